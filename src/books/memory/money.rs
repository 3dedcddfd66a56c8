//! Prompts, and what money does for a reservation.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::stays::By;
use super::{Ledger, after, before};
use crate::booking::money::Money;
use crate::booking::offer::Pay;
use crate::booking::reservation::Status;
use crate::db::effect::{Draft, Turn};
use crate::db::life::Moved;
use crate::db::payments::attempts::{
    ATTEMPTS_MAX, Ask, Asked, HOLD_WHILE_PAYING, News, Part, Stand,
};
use crate::db::payments::settle::Settled;
use crate::db::payments::ways::Ways;
use crate::db::reservations::Reservation;
use crate::phone::Msisdn;

/// A hold is not ended under a prompt that is younger.
const PROMPT_LIVES: Duration = Duration::from_secs(15 * 60);
/// How long a phone that was asked to pay is known as one.
const PAYS: Duration = Duration::from_secs(24 * 3600);

/// One prompt.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the table `payment_attempt`")]
pub struct Attempt {
    pub id: Uuid,
    pub reservation_id: Uuid,
    pub msisdn: Msisdn,
    pub amount: Money,
    pub turn: String,
    pub status: AttemptStatus,
    pub created_at: DateTime<Utc>,
}

/// Where a prompt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the word says it")]
pub enum AttemptStatus {
    Open,
    Paid,
    Failed,
}

impl Ledger {
    fn has_open_attempt(&self, id: Uuid, since: Option<DateTime<Utc>>) -> bool {
        self.attempts.iter().any(|attempt| {
            attempt.reservation_id == id
                && attempt.status == AttemptStatus::Open
                && since.is_none_or(|since| attempt.created_at > since)
        })
    }

    /// Whether a prompt under way may still bring money for it.
    pub(super) fn awaits_money(&self, id: Uuid, now: DateTime<Utc>) -> bool {
        self.has_open_attempt(id, Some(before(now, PROMPT_LIVES)))
    }

    pub(super) fn was_asked_to_pay(&self, msisdn: &Msisdn, now: DateTime<Utc>) -> bool {
        let since = before(now, PAYS);
        let mut asked = self.attempts.iter();
        asked.any(|attempt| attempt.msisdn == *msisdn && attempt.created_at > since)
    }

    pub(super) fn find_payment_news(
        &self,
        msisdn: &Msisdn,
        age_max: Duration,
        waiting_max: Duration,
        now: DateTime<Utc>,
    ) -> Option<News> {
        let since = before(now, age_max);
        let mut latest_first = self.attempts.iter().rev();
        let attempt = latest_first.find(|attempt| {
            attempt.msisdn == *msisdn
                && (attempt.status == AttemptStatus::Open || attempt.created_at > since)
        })?;
        Some(News {
            reservation: self.shown(self.place(attempt.reservation_id)?),
            amount: attempt.amount,
            stand: match attempt.status {
                AttemptStatus::Paid => Stand::Paid,
                AttemptStatus::Failed => Stand::Failed,
                AttemptStatus::Open if attempt.created_at > before(now, waiting_max) => {
                    Stand::Waiting
                }
                AttemptStatus::Open => Stand::Checking,
            },
        })
    }

    fn deposit(&self, at: usize) -> i64 {
        let kept = &self.stays[at];
        let (total, unit) = (kept.total(), kept.shown.total.currency.minor_per_unit());
        let percent = self.lodges[&kept.shown.property_id].deposit_percent;
        total.min((total * percent + 100 * unit - 1) / (100 * unit) * unit)
    }

    pub(super) fn find_ways(&self, id: Uuid, now: DateTime<Utc>) -> Option<Ways> {
        let at = self.place(id)?;
        let (kept, deposit) = (&self.stays[at], self.deposit(at));
        let lodge = &self.lodges[&kept.shown.property_id];
        let status = kept.shown.status;
        let is_held = matches!(status, Status::Held | Status::Paying);
        let money = |minor| Money {
            minor,
            currency: kept.shown.total.currency,
        };
        Some(Ways {
            left: money(kept.total() - kept.paid()),
            deposit: (is_held && lodge.deposit_percent > 0 && kept.paid() < deposit)
                .then(|| money(deposit - kept.paid())),
            at_lodge: self.can_pay_at_lodge(at),
            open: self.has_open_attempt(id, None),
            over: kept.shown.hold_expires_at.is_some_and(|end| end <= now),
        })
    }

    pub(super) fn ask_payment(&mut self, ask: &Ask<'_>, now: DateTime<Utc>) -> Asked {
        let Some(at) = self.place(ask.reservation_id) else {
            return Asked::NotFound;
        };
        let key = ask.turn.key();
        let shown = Box::new(self.shown(at));
        if let Some(attempt) = self.attempts.iter().find(|attempt| attempt.turn == key) {
            return Asked::Asked(attempt.amount, shown);
        }
        if self.has_open_attempt(ask.reservation_id, None) {
            return Asked::Open(shown);
        }
        let kept = &self.stays[at];
        let status = kept.shown.status;
        let is_held = matches!(status, Status::Held | Status::Paying)
            && kept.shown.hold_expires_at.is_some_and(|end| end > now);
        if !(is_held || status == Status::Confirmed && kept.paid() > 0) {
            return Asked::Over(shown);
        }
        let asked = self.attempts.iter();
        let asked = asked.filter(|attempt| attempt.reservation_id == ask.reservation_id);
        if asked.count() >= ATTEMPTS_MAX.unsigned_abs() as usize {
            return Asked::TooOften(shown);
        }
        let has_deposit = self.lodges[&kept.shown.property_id].deposit_percent > 0;
        let to_pay = match (status, ask.part) {
            (Status::Confirmed, _) => kept.to_pay,
            (_, Part::Deposit) if has_deposit => Some(self.deposit(at)),
            _ => Some(kept.total()),
        };
        let wanted = match status {
            Status::Confirmed => kept.total(),
            _ => to_pay.unwrap_or_default(),
        };
        let amount = wanted - kept.paid();
        if amount <= 0 {
            return Asked::Settled(shown);
        }
        let amount = Money {
            minor: amount,
            ..kept.shown.total
        };
        self.stays[at].to_pay = to_pay;
        if status == Status::Held {
            let least = after(now, HOLD_WHILE_PAYING);
            let end = &mut self.stays[at].shown.hold_expires_at;
            *end = (*end).max(Some(least));
            self.move_to(at, Status::Paying, By::Turn(&key), &[], now);
        }
        self.callers.know(ask.msisdn);
        self.attempts.push(Attempt {
            id: Uuid::from_u128(1 + self.attempts.len() as u128),
            reservation_id: ask.reservation_id,
            msisdn: ask.msisdn.clone(),
            amount,
            turn: key,
            status: AttemptStatus::Open,
            created_at: now,
        });
        Asked::Asked(amount, Box::new(self.shown(at)))
    }

    fn can_pay_at_lodge(&self, at: usize) -> bool {
        let kept = &self.stays[at];
        let lodge = &self.lodges[&kept.shown.property_id];
        matches!(kept.shown.status, Status::Held | Status::Paying)
            && kept.paid() == 0
            && (lodge.pay_at_lodge_too || kept.shown.pay == Pay::AtLodge)
            && !self.has_open_attempt(kept.shown.id, None)
    }

    pub(super) fn hold_by_hand(&mut self, id: Uuid, now: DateTime<Utc>) -> Option<Reservation> {
        let at = self.place(id)?;
        let kept = &mut self.stays[at];
        let minutes = self.lodges[&kept.shown.property_id].by_hand_minutes;
        let until = kept.created_at + TimeDelta::minutes(minutes);
        let is_held = matches!(kept.shown.status, Status::Held | Status::Paying);
        if let Some(end) = &mut kept.shown.hold_expires_at
            && is_held
            && *end > now
        {
            *end = until.max(*end);
        }
        Some(self.shown(at))
    }

    pub(super) fn pay_at_lodge(
        &mut self,
        id: Uuid,
        turn: &Turn,
        drafts: &[Draft],
        now: DateTime<Utc>,
    ) -> Moved {
        let Some(at) = self.place(id) else {
            return Moved::NotFound;
        };
        let key = turn.key();
        if self.has_event(&key) {
            return Moved::Done;
        }
        let hold_expires_at = self.stays[at].shown.hold_expires_at;
        if !self.can_pay_at_lodge(at) || hold_expires_at.is_none_or(|end| end <= now) {
            return Moved::Refused;
        }
        self.stays[at].shown.pay = Pay::AtLodge;
        self.move_to(at, Status::Confirmed, By::Turn(&key), drafts, now)
    }

    /// The payer of a prompt has paid, and guest and host are told so if that confirms the reservation.
    pub fn settle(&mut self, attempt: usize, confirmed: &[Draft], now: DateTime<Utc>) -> Settled {
        if self.attempts[attempt].status == AttemptStatus::Paid {
            return Settled::Again;
        }
        self.attempts[attempt].status = AttemptStatus::Paid;
        let Attempt {
            id,
            reservation_id,
            amount,
            ..
        } = self.attempts[attempt].clone();
        let Some(at) = self.place(reservation_id) else {
            return Settled::Unallocated;
        };
        let receipt = format!("payment {id}");
        let kept = &self.stays[at];
        let (status, paid, total) = (kept.shown.status, kept.paid(), kept.total());
        let today = self.lodges[&kept.shown.property_id].today(now);
        let can_be_had = status.takes_nights()
            || status == Status::Expired && kept.shown.stay.check_in() >= today;
        let mut take = if can_be_had {
            amount.minor.min(total - paid)
        } else {
            0
        };
        let mut settled = Settled::RefundDue;
        if take > 0 && matches!(status, Status::Held | Status::Paying | Status::Expired) {
            if paid + take >= kept.to_pay.unwrap_or(total) {
                match self.move_to(at, Status::Confirmed, By::Turn(&receipt), confirmed, now) {
                    Moved::Done => settled = Settled::Confirmed,
                    _ => take = 0,
                }
            } else if status == Status::Expired {
                take = 0;
            } else {
                if status == Status::Held {
                    self.move_to(at, Status::Paying, By::Turn(&receipt), &[], now);
                }
                settled = Settled::Part;
            }
        } else if take > 0 {
            settled = Settled::ToppedUp;
        }
        let kept = &mut self.stays[at];
        kept.shown.paid.minor += take;
        if take < amount.minor {
            kept.shown.refund.minor += amount.minor - take;
            if take == 0 && status.may_become(Status::RefundDue) {
                self.move_to(at, Status::RefundDue, By::Nobody, &[], now);
            }
        }
        settled
    }

    /// What was paid for it goes back.
    pub(super) fn return_money(&mut self, at: usize, amount: i64) {
        let kept = &mut self.stays[at];
        kept.shown.paid.minor -= amount;
        kept.shown.refund.minor += amount;
    }
}
