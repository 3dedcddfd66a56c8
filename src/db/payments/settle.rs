//! Money that came: written once, applied to its reservation, the rest to go back.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::db::effect::{Cause, Draft};
use crate::db::reservations::{self, Reservation};
use crate::db::{DbError, unknown};

/// Money that came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// By whom.
    pub provider: &'a str,
    /// The provider's receipt, where it is known.
    pub receipt: Option<&'a str>,
    /// For what.
    pub purpose: Purpose<'a>,
    /// How much.
    pub amount: Money,
    /// When, by the provider.
    pub paid_at: DateTime<Utc>,
    /// Who told of it.
    pub cause: Cause<'a>,
}

/// What money was sent for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// In answer to a prompt.
    Attempt(Uuid),
    /// By hand, with these words as account.
    Reference {
        /// As typed.
        typed: &'a str,
        /// As understood.
        code: Option<&'a Code>,
    },
}

/// A reservation with what is due of it.
#[derive(Debug, Clone)]
pub struct Payable {
    /// The reservation.
    pub reservation: Reservation,
    /// What has to come before it is confirmed.
    pub to_pay: Money,
}

/// The messages of each way that money may go.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub struct Texts {
    /// The reservation is confirmed by it: to guest and host.
    pub confirmed: Vec<Draft>,
    /// More has to come.
    pub part: Vec<Draft>,
    /// What was still open of a confirmed one has come.
    pub topped_up: Vec<Draft>,
    /// All of it goes back.
    pub refund_due: Vec<Draft>,
    /// What is too much goes back.
    pub surplus: Vec<Draft>,
}

/// What money did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was written before.
    Again,
    /// The reservation is not as it was seen: nothing was written, look again.
    Moved,
    /// It belongs to no reservation that is known; a person has to look.
    Unallocated,
    /// The reservation is confirmed by it.
    Confirmed,
    /// More has to come.
    Part,
    /// It was for a confirmed one.
    ToppedUp,
    /// All of it is to go back.
    RefundDue,
}

impl Settled {
    /// The word in the database and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Settled::Again => "again",
            Settled::Moved => "moved",
            Settled::Unallocated => "unallocated",
            Settled::Confirmed => "confirmed",
            Settled::Part => "part",
            Settled::ToppedUp => "topped_up",
            Settled::RefundDue => "refund_due",
        }
    }

    pub(super) fn find(word: &str) -> Option<Settled> {
        [
            Settled::Again,
            Settled::Moved,
            Settled::Unallocated,
            Settled::Confirmed,
            Settled::Part,
            Settled::ToppedUp,
            Settled::RefundDue,
        ]
        .into_iter()
        .find(|settled| settled.word() == word)
    }
}

/// The reservation that money is for.
///
/// # Errors
/// [`DbError`]
pub async fn find_payable(
    client: &impl GenericClient,
    purpose: Purpose<'_>,
) -> Result<Option<Payable>, DbError> {
    let (attempt, code) = match purpose {
        Purpose::Attempt(attempt) => (Some(attempt), None),
        Purpose::Reference { code, .. } => (None, code.map(Code::digits)),
    };
    let statement = client
        .prepare_cached(
            "select v.*, coalesce(r.to_pay, r.total) as to_pay
             from reservation r join reservation_shown v on v.reservation_id = r.reservation_id
             where r.reservation_id = (select a.reservation_id from payment_attempt a where a.attempt_id = $1)
                or r.code = $2",
        )
        .await?;
    let row = client.query_opt(&statement, &[&attempt, &code]).await?;
    row.map(|row| {
        let reservation = reservations::from_row(&row)?;
        let currency = reservation.total.currency;
        Ok(Payable {
            to_pay: Money {
                minor: row.try_get("to_pay")?,
                currency,
            },
            reservation,
        })
    })
    .transpose()
}

/// Writes down money that came and applies it. `seen` is what `texts` were written from.
///
/// # Errors
/// [`DbError`]; calling again is harmless.
pub async fn settle(
    client: &impl GenericClient,
    arrival: &Arrival<'_>,
    at: DateTime<Utc>,
    seen: Option<&Payable>,
    texts: &Texts,
) -> Result<Settled, DbError> {
    let (attempt, code, typed) = match arrival.purpose {
        Purpose::Attempt(attempt) => (Some(attempt), None, ""),
        Purpose::Reference { typed, code } => (None, code.map(Code::digits), typed),
    };
    let texts = serde_json::to_value(texts).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached(
            "select s.outcome from settle_payment($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                                                    $13, $14, $15) s",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &arrival.provider,
                &arrival.receipt,
                &attempt,
                &code,
                &typed,
                &arrival.amount.minor,
                &arrival.amount.currency.code(),
                &arrival.paid_at,
                &at,
                &seen.map(|seen| seen.reservation.paid.minor),
                &seen.map(|seen| seen.reservation.status.word()),
                &texts,
                &arrival.cause.who,
                &arrival.cause.channel,
                &arrival.cause.why,
            ],
        )
        .await?;
    Settled::find(row.try_get("outcome")?).ok_or_else(|| unknown("outcome"))
}

/// Gives a prompt's payment the receipt that a callback has told, where it came before that receipt was known: else money by
/// hand of the same sum would be taken for it.
///
/// # Errors
/// [`DbError`]
pub async fn name_by_callback(
    client: &impl GenericClient,
    attempt_id: Uuid,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update payment p set receipt = a.heard_receipt from payment_attempt a
             where a.attempt_id = $1 and p.attempt_id = a.attempt_id and p.receipt is null and a.heard_receipt is not null
               and not exists (select from payment o where o.provider = p.provider and o.receipt = a.heard_receipt)",
        )
        .await?;
    client.execute(&statement, &[&attempt_id]).await?;
    Ok(())
}

/// Whether money with this receipt has come.
///
/// # Errors
/// [`DbError`]
pub async fn is_known(
    client: &impl GenericClient,
    provider: &str,
    receipt: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "select exists (select from payment where provider = $1 and receipt = $2) as known",
        )
        .await?;
    let row = client.query_one(&statement, &[&provider, &receipt]).await?;
    Ok(row.try_get("known")?)
}
