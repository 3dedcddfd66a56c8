//! CODE, PAID and CANCEL: what a guest has, owes, and gives up.

use super::Answer;
use crate::booking::code::Code;
use crate::booking::reservation::Status;
use crate::db::DbError;
use crate::db::effect::Cause;
use crate::db::hosts;
use crate::db::payments::ways;
use crate::db::reservations::{self, Cancel, Cancelled, Reservation};
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::{notices, records};
use crate::sms::keywords::HostCommand;

/// The most bookings told of in answer to one message.
const BOOKINGS_MAX: usize = 3;

impl Answer<'_> {
    pub(super) async fn tell_bookings(&self) -> Result<(), DbError> {
        let live = self.live().await?;
        for (part, reservation) in (0..).zip(&live) {
            let record = records::booking(self.of.app, reservation);
            self.tell("code", Message::BookingLine, &record, part)
                .await?;
        }
        Ok(())
    }

    /// Where each booking and its money stand.
    pub(super) async fn tell_payments(&self) -> Result<(), DbError> {
        let live = self.live().await?;
        for (part, reservation) in (0..).zip(&live) {
            let minor_per_unit = reservation.total.currency.minor_per_unit();
            let ways = ways::find_ways(self.client, reservation.id, minor_per_unit).await?;
            let left = reservation.left();
            let message = match reservation.status {
                _ if ways.is_some_and(|ways| ways.open) => Message::MoneyChecked,
                Status::Held | Status::Paying => Message::OwedNow,
                _ if left.minor == 0 => Message::Paid,
                _ => Message::OwedAtLodge,
            };
            let record = records::booking(self.of.app, reservation).with([
                ("total", Value::Money(left)),
                ("amount", Value::Money(reservation.paid)),
                ("receipt", Value::text(reservation.code.digits())),
            ]);
            self.tell("paid", message, &record, part).await?;
        }
        Ok(())
    }

    /// The next bookings; who has none hears so.
    async fn live(&self) -> Result<Vec<Reservation>, DbError> {
        let today = self.of.app.local_time(self.of.country).today;
        let mut live = reservations::list_live(self.client, &self.of.sms.msisdn, today).await?;
        live.truncate(BOOKINGS_MAX);
        if live.is_empty() {
            self.say("no_booking", Message::NoBooking, None).await?;
        }
        Ok(live)
    }

    async fn tell(
        &self,
        kind: &'static str,
        message: Message,
        record: &Value,
        part: i32,
    ) -> Result<(), DbError> {
        let (app, country) = (self.of.app, self.of.country);
        let text = app.say(message, self.of.language(), Some(record), country);
        self.send(kind, text, part).await
    }

    pub(super) async fn cancel(&self, code: Option<&Code>) -> Result<(), DbError> {
        let app = self.of.app;
        let found = match code {
            Some(code) => {
                reservations::find_by_code(self.client, code, &self.of.sms.msisdn).await?
            }
            None => None,
        };
        let Some(reservation) = found else {
            // A host cancels a guest's with the same word.
            let host = hosts::find_host(self.client, &self.of.sms.msisdn).await?;
            if let (Some(host), Some(code)) = (host, code) {
                return self
                    .serve(&host, &HostCommand::TurnAway(code.clone()))
                    .await;
            }
            return self
                .say("cancel_unknown", Message::CancelUnknown, None)
                .await;
        };
        let cause = Cause {
            who: "guest",
            channel: "sms",
            why: "cancelled by the guest",
        };
        let cancel = Cancel {
            id: reservation.id,
            at: app.clock.now(),
            cost_shown: 0,
            turn: &self.of.turn,
            cause: &cause,
            drafts: &notices::cancelled(app, &reservation, self.of.language(), 0),
        };
        let (kind, message, reservation) = match reservations::cancel(self.client, &cancel).await? {
            // Its own message went out with it.
            Cancelled::Done(_) => return Ok(()),
            // A price is agreed to where it can be shown and answered.
            Cancelled::Costs(reservation, cost) => {
                let record = records::booking(app, &reservation);
                let record = record.with([("cost", Value::Money(cost))]);
                return self
                    .say("cancel_costs", Message::CancelCosts, Some(&record))
                    .await;
            }
            Cancelled::TooLate(reservation) if reservation.status == Status::Paying => {
                ("paid", Message::MoneyChecked, reservation)
            }
            Cancelled::TooLate(reservation) => {
                ("cancel_too_late", Message::CancelTooLate, reservation)
            }
            // It is as they want it, whoever asked first.
            Cancelled::AlreadyCancelled(reservation) if reservation.status == Status::Cancelled => {
                ("cancelled", Message::Cancelled, reservation)
            }
            Cancelled::AlreadyCancelled(_) | Cancelled::NotFound => {
                return self
                    .say("cancel_unknown", Message::CancelUnknown, None)
                    .await;
            }
        };
        let record = records::booking(app, &reservation);
        self.say(kind, message, Some(&record)).await
    }
}
