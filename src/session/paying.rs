//! The actions behind paying: which ways there are, and the one that was chosen. The prompt leaves after the dialogue has
//! ended: a phone in a dialogue cannot show one.

use crate::booking::money::Money;
use crate::booking::offer::Pay;
use crate::booking::reservation::Status;
use crate::crash_point;
use crate::db::DbError;
use crate::db::life::Moved;
use crate::db::payments::attempts::{Ask, Asked, Part};
use crate::db::payments::ways::Ways;
use crate::db::reservations::Reservation;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::actions::{Done, Work, done, listed};
use crate::session::notices;

/// A way to pay as a list knows it again.
const ALL: &str = "all";
const DEPOSIT: &str = "deposit";
const AT_LODGE: &str = "at_lodge";
const BY_HAND: &str = "by_hand";
const LATER: &str = "later";

impl Work<'_> {
    pub(super) async fn ways_to_pay(&self) -> Result<Done, DbError> {
        let Some(reservation) = self.picked().await? else {
            return Ok(done("over"));
        };
        let Some(ways) = self.app.books.find_ways(&reservation).await? else {
            return Ok(done("over"));
        };
        if ways.open {
            return Ok(done("open"));
        }
        let is_held = matches!(reservation.status, Status::Held | Status::Paying);
        if is_held && ways.over || !is_held && reservation.status != Status::Confirmed {
            return Ok(done("over"));
        }
        if ways.left.minor <= 0 || (reservation.pay == Pay::AtLodge && !is_held) {
            return Ok(done("none"));
        }
        let mut list = Vec::new();
        let currency = reservation.total.currency;
        let config = &self.app.config.payments;
        if reservation.pay == Pay::Prepay
            && let Some(provider) = config.provider(self.msisdn, currency)
        {
            if self.app.payments.is_away(provider) {
                return self.without(&reservation, &ways).await;
            }
            list.push(self.way(ALL, Message::WayAll, ways.left));
            if let Some(deposit) = ways.deposit {
                list.push(self.way(DEPOSIT, Message::WayDeposit, deposit));
            }
        }
        if ways.at_lodge {
            list.push(self.way(AT_LODGE, Message::WayAtLodge, ways.left));
        }
        let bound = self.shown(&reservation);
        if list.is_empty() {
            return match config.paybill(currency) {
                Some(_) => self.by_hand(&reservation, ways.left).await,
                None => Ok(done("unavailable")),
            };
        }
        Ok(listed("ways", list).bind("booking", bound))
    }

    /// The ways that need no prompt, while whoever sends prompts is away.
    async fn without(&self, reservation: &Reservation, ways: &Ways) -> Result<Done, DbError> {
        let by_hand = self.app.config.payments.paybill(reservation.total.currency);
        if !matches!(reservation.status, Status::Held | Status::Paying) {
            return match by_hand {
                Some(_) => self.by_hand(reservation, ways.left).await,
                None => Ok(done("unavailable")),
            };
        }
        let mut list = Vec::new();
        if ways.at_lodge {
            list.push(self.way(AT_LODGE, Message::WayAtLodge, ways.left));
        }
        if by_hand.is_some() {
            list.push(self.way(BY_HAND, Message::WayByHand, ways.left));
        }
        list.push(self.way(LATER, Message::WayLater, ways.left));
        Ok(done("away")
            .bind("ways", Value::list(list.into_iter()))
            .bind("booking", self.shown(reservation)))
    }

    fn way(&self, kind: &str, message: Message, amount: Money) -> Value {
        Value::record([
            ("id", Value::text(kind)),
            ("label", Value::text(self.say(message))),
            ("amount", Value::Money(amount)),
        ])
    }

    pub(super) async fn pay(&self) -> Result<Done, DbError> {
        let Some(reservation) = self.picked().await? else {
            return Ok(done("over"));
        };
        let currency = reservation.total.currency;
        let config = &self.app.config.payments;
        let by_hand = config.paybill(currency).is_some();
        let part = match self.text("way", "id") {
            Some(DEPOSIT) => Part::Deposit,
            Some(AT_LODGE) => return self.pay_at_lodge(&reservation).await,
            Some(BY_HAND) if by_hand => {
                return self.by_hand(&reservation, reservation.left()).await;
            }
            Some(LATER) => {
                return Ok(done("later").bind("booking", self.shown(&reservation)));
            }
            _ => Part::All,
        };
        let Some(provider) = config.provider(self.msisdn, currency) else {
            return Ok(done("unavailable"));
        };
        if self.app.payments.is_away(provider)
            && let Some(ways) = self.app.books.find_ways(&reservation).await?
            && !ways.open
        {
            return self.without(&reservation, &ways).await;
        }
        let asked = self
            .app
            .books
            .ask_payment(&Ask {
                reservation_id: reservation.id,
                part,
                provider,
                msisdn: self.msisdn,
                minor_per_unit: currency.minor_per_unit(),
                turn: self.turn,
                cause: &self.cause("paid by phone"),
            })
            .await?;
        crash_point!("pay:asked");
        Ok(match asked {
            Asked::Asked(amount, now) if by_hand => {
                self.payment("prompted_or_by_hand", &now, amount)
            }
            Asked::Asked(amount, now) => self.payment("prompted", &now, amount),
            Asked::Open(_) => done("open"),
            Asked::Settled(_) => done("none"),
            Asked::TooOften(now) if by_hand => self.by_hand(&now, now.left()).await?,
            Asked::TooOften(_) => done("too_often"),
            Asked::Over(_) | Asked::NotFound => done("over"),
        })
    }

    pub(super) async fn pay_at_lodge(&self, reservation: &Reservation) -> Result<Done, DbError> {
        let drafts = notices::booked(self.app, reservation, self.language());
        let cause = self.cause("pays on arrival");
        let moved = self
            .app
            .books
            .pay_at_lodge(reservation.id, &cause, self.turn, &drafts)
            .await?;
        self.app.outbox.notify_one();
        Ok(match moved {
            Moved::Done => done("confirmed").bind("booking", self.shown(reservation)),
            Moved::Refused | Moved::Taken | Moved::NotFound => done("over"),
        })
    }

    /// The pay bill to type, and the time that the lodge gives for that.
    async fn by_hand(&self, reservation: &Reservation, amount: Money) -> Result<Done, DbError> {
        let longer = self.app.books.hold_by_hand(reservation.id).await?;
        let reservation = longer.as_ref().unwrap_or(reservation);
        Ok(self.payment("by_hand", reservation, amount))
    }

    fn payment(&self, outcome: &'static str, reservation: &Reservation, amount: Money) -> Done {
        let config = &self.app.config.payments;
        let paybill = config.paybill(reservation.total.currency);
        let booking = self.shown(reservation);
        let payment = booking.clone().with([
            ("amount", Value::Money(amount)),
            ("paybill", Value::text(paybill.unwrap_or_default())),
            ("account", Value::text(reservation.code.digits())),
        ]);
        done(outcome)
            .bind("booking", booking)
            .bind("payment", payment)
    }

    fn say(&self, message: Message) -> String {
        self.app.say(message, self.language(), None, self.country)
    }
}
