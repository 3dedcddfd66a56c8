//! What guests and hosts are told about money, each in their language, each one SMS.

use chrono::{DateTime, Days, Duration, Utc};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::Cashier;
use crate::booking::money::Money;
use crate::booking::reservation::Status;
use crate::db::DbError;
use crate::db::effect::{Draft, Turn};
use crate::db::payments::attempts::Claimed;
use crate::db::payments::refunds;
use crate::db::payments::settle::{Payable, Purpose, Texts, find_payable};
use crate::db::reservations::Reservation;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::payment::Failure;
use crate::phone::Msisdn;
use crate::session::records;

/// A confirmation is of no use after so many days past check-in.
const CONFIRMATION_DAYS: u64 = 1;
/// Word of money is of use for a while.
const MONEY_TTL: Duration = Duration::days(3);
/// Word that a prompt failed is of use while the room is held.
const FAILURE_TTL: Duration = Duration::minutes(20);

/// The sums that a text may name.
struct Sums<'a> {
    amount: Money,
    left: i64,
    over: i64,
    receipt: &'a str,
}

impl Cashier {
    /// The messages of each way that this money may go, were it applied to the reservation as it is seen.
    pub(super) fn texts(&self, payable: &Payable, amount: Money, receipt: Option<&str>) -> Texts {
        let reservation = &payable.reservation;
        let total = reservation.total.minor;
        let paid = reservation.paid.minor;
        let came = amount.minor;
        // Where none is known yet, what was typed as account tells the payment again.
        let receipt = receipt.unwrap_or(reservation.code.digits());
        let sums = |left: i64, over: i64| Sums {
            amount,
            left: left.max(0),
            over: over.max(0),
            receipt,
        };
        let confirmation_end = (reservation.stay.check_in() + Days::new(CONFIRMATION_DAYS))
            .and_time(reservation.check_in_time)
            .and_utc();
        let money_end = self.app.clock.now() + MONEY_TTL;
        let rest = sums(total - paid - came, paid + came - total);
        let guest = |kind, message, sums: &Sums<'_>, until| {
            self.to_guest(kind, message, reservation, sums, until)
        };
        let host = self.draft(
            "host_booked",
            Message::HostPaidByPhone,
            &reservation.host_msisdn,
            &reservation.host_language,
            reservation,
            &rest,
            confirmation_end,
        );
        // Who pays again for what stands must not think that it is lost.
        let back = match reservation.status {
            Status::Confirmed | Status::CheckedIn | Status::Completed => Message::RefundSurplus,
            _ => Message::MoneyBack,
        };
        let mut confirmed = guest("confirmed", Message::Paid, &rest, confirmation_end);
        confirmed.push(host);
        Texts {
            confirmed,
            part: guest(
                "paid_part",
                Message::PaidPart,
                &sums(payable.to_pay.minor - paid - came, 0),
                money_end,
            ),
            topped_up: guest("paid_rest", Message::PaidRest, &rest, money_end),
            refund_due: guest("refund_due", back, &rest, money_end),
            surplus: guest("refund_surplus", Message::RefundSurplus, &rest, money_end),
        }
    }

    /// Why a prompt brought no money, and what the guest can do; one turn for each attempt.
    pub(super) async fn failure_told(
        &self,
        client: &impl GenericClient,
        claimed: &Claimed,
        failure: Failure,
    ) -> Result<Option<(Turn, Draft)>, DbError> {
        let purpose = Purpose::Attempt(claimed.attempt_id);
        let Some(payable) = find_payable(client, purpose).await? else {
            return Ok(None);
        };
        let message = match failure {
            Failure::WrongPin => Message::PayWrongPin,
            Failure::NoFunds | Failure::Limit => Message::PayNoFunds,
            Failure::Cancelled | Failure::Expired => Message::PayCancelled,
            Failure::Unreachable => Message::PayUnreachable,
            Failure::LineBusy | Failure::TooSoon => Message::PayLineBusy,
            Failure::Locked | Failure::NoAccount | Failure::NotShown | Failure::Other => {
                Message::PayFailed
            }
        };
        let reservation = &payable.reservation;
        let sums = Sums {
            amount: claimed.amount,
            left: claimed.amount.minor,
            over: 0,
            receipt: "",
        };
        let draft = self.draft(
            "pay_failed",
            message,
            &claimed.msisdn,
            &reservation.language,
            reservation,
            &sums,
            self.app.clock.now() + FAILURE_TTL,
        );
        Ok(Some((turn("payment", claimed.attempt_id), draft)))
    }

    /// That money went back; one turn for each refund. `None`: nobody is known whom it belongs to.
    pub(super) async fn refund_told(
        &self,
        client: &impl GenericClient,
        refund_id: Uuid,
    ) -> Result<Option<(Turn, Draft)>, DbError> {
        let Some((reservation, amount, receipt)) = refunds::find_payee(client, refund_id).await?
        else {
            return Ok(None);
        };
        let sums = Sums {
            amount,
            left: 0,
            over: 0,
            receipt: receipt.as_deref().unwrap_or_default(),
        };
        let draft = self.draft(
            "refunded",
            Message::Refunded,
            &reservation.msisdn,
            &reservation.language,
            &reservation,
            &sums,
            self.app.clock.now() + MONEY_TTL,
        );
        Ok(Some((turn("refund", refund_id), draft)))
    }

    /// That what was paid of a hold that ran out goes back; as [`Cashier::refund_told`].
    pub(super) async fn refund_due_told(
        &self,
        client: &impl GenericClient,
        refund_id: Uuid,
    ) -> Result<Option<(Turn, Draft)>, DbError> {
        let Some((reservation, amount, _)) = refunds::find_payee(client, refund_id).await? else {
            return Ok(None);
        };
        let sums = Sums {
            amount,
            left: 0,
            over: 0,
            receipt: "",
        };
        let draft = self.draft(
            "refund_due",
            Message::PartBack,
            &reservation.msisdn,
            &reservation.language,
            &reservation,
            &sums,
            self.app.clock.now() + MONEY_TTL,
        );
        Ok(Some((turn("refund_due", refund_id), draft)))
    }

    /// To whoever made the reservation, and to the guest of a friend.
    fn to_guest(
        &self,
        kind: &'static str,
        message: Message,
        reservation: &Reservation,
        sums: &Sums<'_>,
        until: DateTime<Utc>,
    ) -> Vec<Draft> {
        let draft = |msisdn: &Msisdn| {
            let language = &reservation.language;
            self.draft(kind, message, msisdn, language, reservation, sums, until)
        };
        let friend = reservation
            .guest_msisdn
            .as_ref()
            .filter(|friend| kind == "confirmed" && **friend != reservation.msisdn);
        std::iter::once(&reservation.msisdn)
            .chain(friend)
            .map(draft)
            .collect()
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the letter")]
    fn draft(
        &self,
        kind: &'static str,
        message: Message,
        msisdn: &Msisdn,
        language: &str,
        reservation: &Reservation,
        sums: &Sums<'_>,
        expires_at: DateTime<Utc>,
    ) -> Draft {
        let country = self.app.country(msisdn);
        let menus = self.app.menus.current();
        let code = self.app.spoken(&menus.menu, language, country);
        let currency = reservation.total.currency;
        let money = |minor| Value::Money(Money { minor, currency });
        let record = records::booking(&self.app, reservation).with([
            ("amount", Value::Money(sums.amount)),
            ("left", money(sums.left)),
            ("over", money(sums.over)),
            ("receipt", Value::text(sums.receipt)),
        ]);
        Draft {
            kind,
            msisdn: msisdn.clone(),
            text: self
                .app
                .say(message, menus.menu.language(&code), Some(&record), country),
            expires_at,
        }
    }
}

/// What makes a message one: the matter that it is about.
fn turn(door: &str, matter: Uuid) -> Turn {
    Turn {
        door: door.to_owned(),
        session: matter.to_string(),
        position: 0,
    }
}
