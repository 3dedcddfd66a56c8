//! Money that came: applied to its reservation, with the messages that tell of it.

use super::{BATCH_MAX, Cashier};
use crate::booking::code::Code;
use crate::booking::offer::Pay;
use crate::booking::reservation::Status;
use crate::crash_point;
use crate::db::DbError;
use crate::db::effect::Cause;
use crate::db::payments::settle::{self, Arrival, Payable, Purpose, Settled, Texts};
use crate::db::payments::unallocated::{self, ToApply};

/// How often a reservation that moves under our hands is looked at again.
const LOOKS_MAX: u32 = 5;
/// Stands in the ledger for a provider where a person has seen the money.
const BY_PERSON: &str = "operator";

impl Cashier {
    /// Writes down money that came and applies it. Calling again changes nothing.
    pub(super) async fn settle(&self, arrival: &Arrival<'_>) -> Result<Settled, DbError> {
        let mut settled = Settled::Moved;
        for _ in 0..LOOKS_MAX {
            let client = self.app.pool.get().await?;
            let seen = settle::find_payable(&client, arrival.purpose).await?;
            let texts = match &seen {
                Some(payable) => self.texts(payable, arrival.amount, receipt_told(arrival)),
                None => Texts::default(),
            };
            let now = self.app.clock.now();
            settled = settle::settle(&client, arrival, now, seen.as_ref(), &texts).await?;
            if settled != Settled::Moved {
                break;
            }
        }
        crash_point!("payment:settled");
        self.note(arrival.provider, settled);
        Ok(settled)
    }

    /// A person has the money that is still due of the reservation with this code, as `cause` says; `receipt` names it, and
    /// the same again changes nothing. `None`: nothing is due of it, or there is none.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn take(
        &self,
        code: &Code,
        receipt: &str,
        cause: Cause<'_>,
    ) -> Result<Option<Settled>, DbError> {
        let purpose = Purpose::Reference {
            typed: cause.why,
            code: Some(code),
        };
        let client = self.app.pool.get().await?;
        let Some(payable) = settle::find_payable(&client, purpose).await? else {
            return Ok(None);
        };
        let due = payable.reservation.left();
        if !is_due(&payable) && !settle::is_known(&client, BY_PERSON, receipt).await? {
            return Ok(None);
        }
        drop(client);
        let arrival = Arrival {
            provider: BY_PERSON,
            receipt: Some(receipt),
            purpose,
            amount: due,
            paid_at: self.app.clock.now(),
            cause,
        };
        self.settle(&arrival).await.map(Some)
    }

    /// Applies payments that a person has given to a reservation; how many those were.
    ///
    /// # Errors
    /// [`DbError`]; the rest waits for the next round.
    pub async fn apply_given(&self) -> Result<usize, DbError> {
        let client = self.app.pool.get().await?;
        let given = unallocated::list_given(&client, BATCH_MAX).await?;
        for one in &given {
            let settled = self.apply_one(&client, one).await?;
            self.note(&one.provider, settled);
        }
        Ok(given.len())
    }

    async fn apply_one(
        &self,
        client: &deadpool_postgres::Client,
        given: &ToApply,
    ) -> Result<Settled, DbError> {
        let purpose = Purpose::Reference {
            typed: "",
            code: Some(&given.code),
        };
        let mut settled = Settled::Moved;
        for _ in 0..LOOKS_MAX {
            let Some(seen) = settle::find_payable(client, purpose).await? else {
                break;
            };
            let texts = self.texts(&seen, given.amount, given.receipt.as_deref());
            let now = self.app.clock.now();
            settled = unallocated::apply(client, given.payment_id, now, &seen, &texts).await?;
            if settled != Settled::Moved {
                break;
            }
        }
        Ok(settled)
    }

    fn note(&self, provider: &str, settled: Settled) {
        metrics::counter!("payments_total", "provider" => provider.to_owned(), "outcome" => settled.word())
            .increment(1);
        match settled {
            Settled::Unallocated => tracing::error!(
                provider,
                "money came that belongs to no booking: reserveflow payments unallocated"
            ),
            Settled::RefundDue => tracing::warn!(
                provider,
                "money came too late: reserveflow payments refunds"
            ),
            _ => {}
        }
        self.app.outbox.notify_one();
    }
}

/// Whether there is something to take: a guest who pays on arrival pays the lodge.
fn is_due(payable: &Payable) -> bool {
    let reservation = &payable.reservation;
    let is_ours = match reservation.status {
        Status::Held | Status::Paying | Status::Expired | Status::Cancelled => true,
        Status::Confirmed | Status::CheckedIn => reservation.pay == Pay::Prepay,
        _ => false,
    };
    is_ours && reservation.left().minor > 0
}

/// The receipt as the guest is told it. One that a person made up tells nothing, their words do.
fn receipt_told<'a>(arrival: &Arrival<'a>) -> Option<&'a str> {
    match arrival.purpose {
        Purpose::Reference { typed, .. } if arrival.provider == BY_PERSON => Some(typed),
        _ => arrival.receipt,
    }
}
