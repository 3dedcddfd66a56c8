//! Reservations: made, moved, changed and ended by the rules of the functions of the same names in the migrations.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::lodges::days;
use super::{Ledger, before};
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::offer::Pay;
use crate::booking::reservation::Status;
use crate::booking::stay::Stay;
use crate::chance::Chance;
use crate::db::change::{Change, Changed};
use crate::db::effect::{Draft, Turn};
use crate::db::life::Moved;
use crate::db::reservations::{Cancel, Cancelled, LIST_MAX, Reservation};
use crate::db::reserve::{Booking, HOLD_STARTS_MAX, HOLDS_MAX, HOLDS_UNPAID_MAX, Reserved};
use crate::phone::Msisdn;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A reservation.
#[derive(Debug, Clone)]
pub struct Kept {
    /// With what is told of it.
    pub shown: Reservation,
    /// In minor units, of one unit.
    pub nightly_prices: Vec<i64>,
    /// Which turn made it.
    pub turn: Turn,
    /// What has to come before it is confirmed.
    pub to_pay: Option<i64>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// A hold of a number that had not stayed before.
    stranger: bool,
}

impl Kept {
    pub(super) fn total(&self) -> i64 {
        self.shown.total.minor
    }

    /// What has come for it and was not sent back, in minor units.
    pub fn paid(&self) -> i64 {
        self.shown.paid.minor
    }

    fn is_held(&self, now: DateTime<Utc>) -> bool {
        matches!(self.shown.status, Status::Held | Status::Paying)
            && self.shown.hold_expires_at.is_some_and(|end| end > now)
    }
}

/// One line of a reservation's history.
#[derive(Debug, Clone)]
pub struct Event {
    /// Of which.
    pub reservation_id: Uuid,
    /// The state it went to, or stayed in.
    pub to: Status,
    /// The key of the turn that caused it.
    pub turn: Option<String>,
}

/// What a move is caused by.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Turn(&'a str),
    Nobody,
}

impl Ledger {
    /// Where in the list of stays it is.
    pub(super) fn place(&self, id: Uuid) -> Option<usize> {
        self.stays.iter().position(|kept| kept.shown.id == id)
    }

    /// The reservation as it is.
    pub fn shown(&self, at: usize) -> Reservation {
        self.stays[at].shown.clone()
    }

    pub(super) fn has_event(&self, turn: &str) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.turn.as_deref() == Some(turn))
    }

    fn note(&mut self, at: usize, to: Status, by: By<'_>) {
        self.events.push(Event {
            reservation_id: self.stays[at].shown.id,
            to,
            turn: match by {
                By::Turn(turn) => Some(turn.to_owned()),
                By::Nobody => None,
            },
        });
    }

    /// `move_reservation`
    pub(super) fn move_to(
        &mut self,
        at: usize,
        to: Status,
        by: By<'_>,
        drafts: &[Draft],
        now: DateTime<Utc>,
    ) -> Moved {
        if let By::Turn(turn) = by
            && self.has_event(turn)
        {
            return Moved::Done;
        }
        let shown = self.shown(at);
        if !shown.status.may_become(to) {
            return Moved::Refused;
        }
        let Some(lodge) = self.lodges.get_mut(&shown.property_id) else {
            return Moved::NotFound;
        };
        match (shown.status.takes_nights(), to.takes_nights()) {
            (true, false) => lodge.take(shown.stay, -shown.units),
            (false, true) if !lodge.is_free(shown.stay, shown.units) => return Moved::Taken,
            (false, true) => lodge.take(shown.stay, shown.units),
            _ => {}
        }
        self.stays[at].shown.status = to;
        self.note(at, to, by);
        self.outbox
            .write(Some(shown.id), drafts, shown.changes, now);
        Moved::Done
    }

    /// A code that no reservation has.
    pub(super) fn draw_code(&self, chance: &Chance) -> Code {
        loop {
            let code = Code::of_number(chance.uuid().as_u128());
            if self.stays.iter().all(|kept| kept.shown.code != code) {
                return code;
            }
        }
    }

    /// `reserve_batch`, of one request.
    pub(super) fn reserve(
        &mut self,
        booking: &Booking<'_>,
        code: Code,
        drafts: &[Draft],
        now: DateTime<Utc>,
    ) -> Reserved {
        let mut made = self.stays.iter().filter(|kept| kept.turn == *booking.turn);
        if let Some(kept) = made.next() {
            return Reserved::Again(kept.shown.clone());
        }
        let judged = self.judge(booking, now);
        match judged {
            Err(refused @ (Reserved::Taken | Reserved::TooMany)) => match self.own(booking, now) {
                Some(own) => Reserved::Yours(own),
                None => refused,
            },
            Err(refused) => refused,
            Ok(stranger) => self.make(booking, code, drafts, stranger, now),
        }
    }

    /// Whether it can be made, and whether by a stranger.
    #[expect(clippy::result_large_err, reason = "the answer itself, once a call")]
    fn judge(&self, booking: &Booking<'_>, now: DateTime<Utc>) -> Result<bool, Reserved> {
        let Some(lodge) = self.lodges.get(&booking.property_id) else {
            return Err(Reserved::Taken);
        };
        let (stay, units) = (booking.stay, booking.units);
        let yesterday = lodge.today(booking.at) - TimeDelta::days(1);
        if !lodge.open
            || i32::from(booking.guests) > lodge.guests_max * units
            || stay.check_in() < yesterday
        {
            return Err(Reserved::Taken);
        }
        if let Some(restriction) = lodge.restriction(stay, Some(booking.at)) {
            return Err(Reserved::Restricted(restriction));
        }
        if !lodge.is_free(stay, units) {
            return Err(Reserved::Taken);
        }
        let stranger = lodge.pay == Pay::Prepay && self.is_stranger(booking.msisdn, now)?;
        let too_many_strangers = days(stay).any(|day| {
            let room = lodge.nights[&day].available * lodge.unpaid_percent / 100;
            self.unpaid(booking.property_id, day, now) + units > room.max(1)
        });
        if stranger && too_many_strangers {
            return Err(Reserved::Taken);
        }
        let nights = lodge.nights_of(stay).unwrap_or_default();
        let price: i64 = nights.iter().map(|night| night.price).sum();
        let total = Money {
            minor: price * i64::from(units),
            currency: lodge.currency,
        };
        if total != booking.total_shown {
            return Err(Reserved::PriceChanged(total));
        }
        Ok(stranger)
    }

    /// Whether a number has never stayed; it may not hold too much.
    #[expect(clippy::result_large_err, reason = "the answer itself, once a call")]
    fn is_stranger(&self, msisdn: &Msisdn, now: DateTime<Utc>) -> Result<bool, Reserved> {
        let own = || {
            self.stays
                .iter()
                .filter(|kept| kept.shown.msisdn == *msisdn)
        };
        let count = |is: &dyn Fn(&Kept) -> bool| {
            i32::try_from(own().filter(|kept| is(kept)).count()).unwrap_or(i32::MAX)
        };
        let status = |kept: &Kept| kept.shown.status;
        let begun = |kept: &Kept| {
            kept.shown.hold_expires_at.is_some()
                && matches!(
                    status(kept),
                    Status::Held | Status::Paying | Status::Expired | Status::Cancelled
                )
                && kept.created_at > before(now, DAY)
        };
        let left =
            |kept: &Kept| status(kept) == Status::Expired && kept.created_at > before(now, 7 * DAY);
        if count(&|kept| kept.is_held(now)) >= HOLDS_MAX {
            return Err(Reserved::TooMany);
        }
        if count(&begun) >= HOLD_STARTS_MAX || count(&left) >= HOLDS_UNPAID_MAX {
            return Err(Reserved::TooOften);
        }
        Ok(own().all(|kept| !matches!(status(kept), Status::CheckedIn | Status::Completed)))
    }

    /// Units of a night on unpaid holds of strangers.
    fn unpaid(&self, property: Uuid, day: NaiveDate, now: DateTime<Utc>) -> i32 {
        self.stays
            .iter()
            .filter(|kept| kept.stranger && kept.is_held(now))
            .filter(|kept| kept.shown.property_id == property)
            .filter(|kept| days(kept.shown.stay).any(|night| night == day))
            .map(|kept| kept.shown.units)
            .sum()
    }

    /// A hold of the same number on some of the nights.
    fn own(&self, booking: &Booking<'_>, now: DateTime<Utc>) -> Option<Reservation> {
        let is_prepaid = self.lodges.get(&booking.property_id)?.pay == Pay::Prepay;
        let held = self.stays.iter().map(|kept| &kept.shown).filter(|shown| {
            is_prepaid
                && shown.msisdn == *booking.msisdn
                && shown.property_id == booking.property_id
                && shown.status == Status::Held
                && shown.hold_expires_at.is_some_and(|end| end > now)
                && shown.stay.check_in() < booking.stay.check_out()
                && shown.stay.check_out() > booking.stay.check_in()
        });
        held.min_by_key(|shown| shown.stay.check_in()).cloned()
    }

    fn make(
        &mut self,
        booking: &Booking<'_>,
        code: Code,
        drafts: &[Draft],
        stranger: bool,
        now: DateTime<Utc>,
    ) -> Reserved {
        let town = self.town_name(&self.lodges[&booking.property_id]);
        let id = Uuid::from_u128(1 + self.stays.len() as u128);
        let Some(lodge) = self.lodges.get_mut(&booking.property_id) else {
            return Reserved::Taken;
        };
        let status = match lodge.pay {
            Pay::AtLodge => Status::Confirmed,
            Pay::Prepay => Status::Held,
        };
        let nothing = Money {
            minor: 0,
            ..booking.total_shown
        };
        let nights = lodge.nights_of(booking.stay).unwrap_or_default();
        let nightly_prices = nights.iter().map(|night| night.price).collect();
        let shown = Reservation {
            id,
            code,
            property_id: lodge.id,
            property_name: lodge.name.clone(),
            property_phone: lodge.phone.clone(),
            landmark: lodge.landmark.clone(),
            town,
            host_msisdn: lodge.host_msisdn.clone(),
            host_language: lodge.host_language.clone(),
            stay: booking.stay,
            units: booking.units,
            guests: i32::from(booking.guests),
            msisdn: booking.msisdn.clone(),
            guest_msisdn: booking.guest_msisdn.cloned(),
            guest_name: booking.guest_name.to_owned(),
            language: booking.language.to_owned(),
            status,
            total: booking.total_shown,
            pay: lodge.pay,
            check_in_time: lodge.check_in_time,
            cancel_hours: lodge.cancel_hours,
            hold_expires_at: (status == Status::Held)
                .then(|| now + TimeDelta::minutes(i64::from(lodge.hold_minutes))),
            time_zone: lodge.time_zone,
            changes: 0,
            cancel_cost: nothing,
            refund: nothing,
            paid: nothing,
        };
        lodge.take(booking.stay, booking.units);
        self.stays.push(Kept {
            shown: shown.clone(),
            nightly_prices,
            turn: booking.turn.clone(),
            to_pay: None,
            created_at: now,
            stranger,
        });
        self.note(self.stays.len() - 1, status, By::Nobody);
        self.outbox.write(Some(id), drafts, 0, now);
        Reserved::Made(shown)
    }

    pub(super) fn list_live(&self, msisdn: &Msisdn, today: NaiveDate) -> Vec<Reservation> {
        let is_live = |status| matches!(status, Status::Held | Status::Paying | Status::Confirmed);
        let live = self.stays.iter().map(|kept| &kept.shown);
        let live = live.filter(|shown| {
            is_of(shown, msisdn) && is_live(shown.status) && shown.stay.check_out() >= today
        });
        let mut live: Vec<Reservation> = live.cloned().collect();
        live.sort_by_key(|shown| shown.stay.check_in());
        live.truncate(usize::try_from(LIST_MAX).unwrap_or_default());
        live
    }

    pub(super) fn find_by_code(&self, code: &Code, msisdn: &Msisdn) -> Option<Reservation> {
        let mut shown = self.stays.iter().map(|kept| &kept.shown);
        shown
            .find(|shown| shown.code == *code && is_of(shown, msisdn))
            .cloned()
    }

    pub(super) fn find_by_dialogue(&self, door: &str, session: &str) -> Option<(Reservation, i32)> {
        let made = self.stays.iter();
        let made = made.filter(|kept| kept.turn.door == door && kept.turn.session == session);
        made.max_by_key(|kept| kept.turn.position)
            .map(|kept| (kept.shown.clone(), kept.turn.position))
    }

    pub(super) fn cancel_cost(&self, at: usize, now: DateTime<Utc>) -> i64 {
        let kept = &self.stays[at];
        let shown = &kept.shown;
        let lodge = &self.lodges[&shown.property_id];
        let until = lodge.cancel_until(shown.stay.check_in(), shown.cancel_hours);
        if shown.status != Status::Confirmed || now <= until {
            return 0;
        }
        (kept.nightly_prices[0] * i64::from(shown.units)).min(kept.total())
    }

    pub(super) fn cancel(&mut self, cancel: &Cancel<'_>, now: DateTime<Utc>) -> Cancelled {
        let Some(at) = self.place(cancel.id) else {
            return Cancelled::NotFound;
        };
        let cost = match cancel.cause.who {
            "guest" => self.cancel_cost(at, cancel.at),
            _ => 0,
        };
        let key = cancel.turn.key();
        let shown = self.shown(at);
        match shown.status {
            Status::Cancelled | Status::Expired | Status::RefundDue | Status::Refunded => {
                return if self.has_event(&key) {
                    Cancelled::Done(shown)
                } else {
                    Cancelled::AlreadyCancelled(shown)
                };
            }
            Status::Held | Status::Paying | Status::Confirmed => {}
            _ => return Cancelled::TooLate(shown),
        }
        if cost != cancel.cost_shown {
            let cost = Money {
                minor: cost,
                ..shown.total
            };
            return Cancelled::Costs(shown, cost);
        }
        let is_again = self.has_event(&key);
        self.move_to(at, Status::Cancelled, By::Turn(&key), cancel.drafts, now);
        if !is_again {
            let kept = &mut self.stays[at];
            kept.shown.cancel_cost.minor = cost;
            let paid = kept.paid();
            let back = paid - cost.min(paid);
            if back > 0 {
                self.return_money(at, back);
                self.move_to(at, Status::RefundDue, By::Nobody, &[], now);
            }
        }
        Cancelled::Done(self.shown(at))
    }

    /// What each night of other dates would cost; `None` unless all are free. Those that the guest has stay as they are.
    fn changed_prices(&self, at: usize, stay: Stay) -> Option<Vec<i64>> {
        let kept = &self.stays[at];
        let lodge = &self.lodges[&kept.shown.property_id];
        let own: Vec<NaiveDate> = days(kept.shown.stay).collect();
        let price = |day| {
            let night = lodge.nights.get(&day)?;
            match own.iter().position(|own| *own == day) {
                Some(nth) => Some(kept.nightly_prices[nth]),
                None => night.has(kept.shown.units).then_some(night.price),
            }
        };
        days(stay).map(price).collect()
    }

    /// What other dates would come to, with the prices of their nights where they can be had.
    fn quote(&self, at: usize, stay: Stay, now: DateTime<Utc>) -> (Changed, Vec<i64>) {
        let shown = self.shown(at);
        let lodge = &self.lodges[&shown.property_id];
        let is_open = matches!(shown.status, Status::Held | Status::Confirmed);
        let is_late = self.cancel_cost(at, now) > 0 || stay.check_in() < lodge.today(now);
        let changed = if !is_open || is_late {
            Changed::TooLate(shown)
        } else if shown.stay == stay {
            Changed::Same(shown)
        } else if !lodge.open {
            Changed::Taken(shown)
        } else if let Some(restriction) = lodge.restriction(stay, Some(now)) {
            Changed::Restricted(shown, restriction)
        } else if let Some(prices) = self.changed_prices(at, stay) {
            let total = Money {
                minor: prices.iter().sum::<i64>() * i64::from(shown.units),
                ..shown.total
            };
            let is_paid = shown.pay == Pay::Prepay && shown.status == Status::Confirmed;
            let changed = if is_paid && total != shown.total {
                Changed::Prepaid(shown)
            } else {
                Changed::Quoted(shown, total)
            };
            return (changed, prices);
        } else {
            Changed::Taken(shown)
        };
        (changed, Vec::new())
    }

    pub(super) fn quote_change(&self, id: Uuid, stay: Stay, at: DateTime<Utc>) -> Changed {
        match self.place(id) {
            Some(place) => self.quote(place, stay, at).0,
            None => Changed::NotFound,
        }
    }

    pub(super) fn change_stay(&mut self, change: &Change<'_>, now: DateTime<Utc>) -> Changed {
        let Some(at) = self.place(change.id) else {
            return Changed::NotFound;
        };
        let key = change.turn.key();
        if self.has_event(&key) {
            return Changed::Done(self.shown(at));
        }
        let (total, prices, before) = match self.quote(at, change.stay, change.at) {
            (Changed::Quoted(shown, total), prices) if total.minor == change.total_shown => {
                (total, prices, shown)
            }
            (Changed::Quoted(shown, total), _) => return Changed::PriceChanged(shown, total),
            (changed, _) => return changed,
        };
        if let Some(lodge) = self.lodges.get_mut(&before.property_id) {
            lodge.take(before.stay, -before.units);
            lodge.take(change.stay, before.units);
        }
        let kept = &mut self.stays[at];
        kept.nightly_prices = prices;
        kept.shown.stay = change.stay;
        kept.shown.total = total;
        kept.shown.changes += 1;
        self.note(at, before.status, By::Turn(&key));
        let nth = before.changes + 1;
        self.outbox.write(Some(before.id), change.drafts, nth, now);
        Changed::Done(self.shown(at))
    }

    pub(super) fn expire_holds(&mut self, limit: i32, now: DateTime<Utc>) -> u64 {
        let mut due: Vec<usize> = (0..self.stays.len())
            .filter(|at| {
                let shown = &self.stays[*at].shown;
                matches!(shown.status, Status::Held | Status::Paying)
                    && shown.hold_expires_at.is_some_and(|end| end <= now)
                    && !self.awaits_money(shown.id, now)
            })
            .collect();
        due.sort_by_key(|at| self.stays[*at].shown.hold_expires_at);
        due.truncate(limit.unsigned_abs() as usize);
        for at in &due {
            self.move_to(*at, Status::Expired, By::Nobody, &[], now);
            let paid = self.stays[*at].paid();
            if paid > 0 {
                self.return_money(*at, paid);
                self.move_to(*at, Status::RefundDue, By::Nobody, &[], now);
            }
        }
        due.len() as u64
    }
}

fn is_of(shown: &Reservation, msisdn: &Msisdn) -> bool {
    shown.msisdn == *msisdn || shown.guest_msisdn.as_ref() == Some(msisdn)
}
