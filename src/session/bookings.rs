//! The actions behind "My booking": list, cancel, change days.

use chrono::{DateTime, Utc};

use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::offer::Pay;
use crate::booking::reservation::Status;
use crate::booking::stay::Stay;
use crate::db::DbError;
use crate::db::change::{Change, Changed};
use crate::db::reservations::{Cancel, Cancelled, Reservation};
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::actions::{Done, Work, done, listed, restricted};
use crate::session::{notices, records};

impl Work<'_> {
    pub(super) async fn list_bookings(
        &self,
        keep: impl Fn(&Reservation) -> bool,
    ) -> Result<Done, DbError> {
        let today = self.app.local_time(self.country).today;
        let live = self.app.books.list_live(self.msisdn, today).await?;
        Ok(listed(
            "bookings",
            live.iter()
                .filter(|reservation| keep(reservation))
                .map(|reservation| self.shown(reservation))
                .collect(),
        ))
    }

    /// A booking with a word on how it is paid.
    pub(super) fn shown(&self, reservation: &Reservation) -> Value {
        let message = match reservation.pay {
            Pay::AtLodge => Message::DueAtLodge,
            Pay::Prepay if reservation.left().minor == 0 => Message::IsPaid,
            Pay::Prepay if reservation.paid.minor > 0 => Message::IsPartPaid,
            Pay::Prepay => Message::IsUnpaid,
        };
        let pay = self.app.say(message, self.language(), None, self.country);
        records::booking(self.app, reservation).with([("pay", Value::text(pay))])
    }

    /// The booking picked from the list, as it is now.
    pub(super) async fn picked(&self) -> Result<Option<Reservation>, DbError> {
        match self.text("booking", "id").map(Code::parse) {
            Some(Ok(code)) => self.app.books.find_by_code(&code, self.msisdn).await,
            _ => Ok(None),
        }
    }

    pub(super) async fn price_of_cancel(&self) -> Result<Done, DbError> {
        let Some(reservation) = self.picked().await? else {
            return Ok(done("gone"));
        };
        match reservation.status {
            Status::Held | Status::Paying | Status::Confirmed => {}
            Status::CheckedIn => return Ok(done("too_late")),
            _ => return Ok(done("gone")),
        }
        let now = self.app.clock.now();
        let cost = self
            .app
            .books
            .find_cancel_cost(reservation.id, now)
            .await?
            .unwrap_or_default();
        Ok(cancel_costs(
            if cost == 0 { "free" } else { "costs" },
            Money {
                minor: cost,
                ..reservation.total
            },
        ))
    }

    pub(super) async fn cancel(&self) -> Result<Done, DbError> {
        let Some(reservation) = self.picked().await? else {
            return Ok(done("gone"));
        };
        let cost = self.money("cancel_cost").unwrap_or_default();
        let drafts = notices::cancelled(self.app, &reservation, self.language(), cost);
        let cancel = Cancel {
            id: reservation.id,
            at: self.app.clock.now(),
            cost_shown: cost,
            turn: self.turn,
            cause: &self.cause("cancelled by the guest"),
            drafts: &drafts,
        };
        let cancelled = self.app.books.cancel(&cancel).await?;
        self.app.outbox.notify_one();
        Ok(match cancelled {
            Cancelled::Done(_) if cost > 0 => done("cancelled_late"),
            Cancelled::Done(_) => done("cancelled"),
            Cancelled::Costs(_, cost) => cancel_costs("costs", cost),
            Cancelled::TooLate(_) => done("too_late"),
            Cancelled::AlreadyCancelled(_) | Cancelled::NotFound => done("gone"),
        })
    }

    pub(super) async fn price_of_change(&self) -> Result<Done, DbError> {
        let (Some(reservation), Some(stay)) = (self.picked().await?, self.new_stay()) else {
            return Ok(done("gone"));
        };
        let quoted = self
            .app
            .books
            .quote_change(reservation.id, stay, self.now())
            .await?;
        Ok(self.changed(quoted))
    }

    pub(super) async fn change_days(&self) -> Result<Done, DbError> {
        let (Some(reservation), Some(stay)) = (self.picked().await?, self.new_stay()) else {
            return Ok(done("gone"));
        };
        let total = self.money("new_total").unwrap_or_default();
        let after = Reservation {
            stay,
            total: Money {
                minor: total,
                ..reservation.total
            },
            ..reservation.clone()
        };
        let change = Change {
            id: reservation.id,
            stay,
            at: self.now(),
            total_shown: total,
            turn: self.turn,
            cause: &self.cause("changed by the guest"),
            drafts: &notices::changed(self.app, &after, self.language()),
        };
        let changed = self.app.books.change_stay(&change).await?;
        self.app.outbox.notify_one();
        Ok(self.changed(changed))
    }

    fn changed(&self, changed: Changed) -> Done {
        match changed {
            Changed::Quoted(reservation, total) | Changed::PriceChanged(reservation, total) => {
                let more = total.minor - reservation.total.minor;
                let outcome = match more {
                    0 => "same_price",
                    1.. => "dearer",
                    _ => "cheaper",
                };
                let difference = Money {
                    minor: more.abs(),
                    ..total
                };
                done(outcome)
                    .bind("new_total", Value::Money(total))
                    .bind("difference", Value::Money(difference))
            }
            Changed::Done(reservation) => {
                done("changed").bind("booking", records::booking(self.app, &reservation))
            }
            Changed::Same(_) => done("same_days"),
            Changed::Taken(_) => done("taken"),
            Changed::Restricted(_, restriction) => restricted(restriction, self.new_stay()),
            Changed::TooLate(_) | Changed::Prepaid(_) => done("too_late"),
            Changed::NotFound => done("gone"),
        }
    }

    fn new_stay(&self) -> Option<Stay> {
        let values = &self.state.values;
        let nights = u8::try_from(values.get("nights")?.as_count()?).ok()?;
        Stay::new(values.get("check_in")?.as_date()?, nights)
    }

    /// In minor units.
    fn money(&self, variable: &str) -> Option<i64> {
        match self.state.values.get(variable)? {
            Value::Money(money) => Some(money.minor),
            _ => None,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }
}

fn cancel_costs(outcome: &'static str, cost: Money) -> Done {
    done(outcome).bind("cancel_cost", Value::Money(cost))
}
