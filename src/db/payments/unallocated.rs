//! Payments that belong to no reservation: a person gives them to one, or sends them back.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::LIST_MAX;
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::db::payments::settle::{Payable, Settled, Texts};
use crate::db::{DbError, read_currency, unknown};

/// A payment that belongs to no reservation.
#[derive(Debug, Clone)]
pub struct Unallocated {
    /// Its id.
    pub payment_id: Uuid,
    /// Whose account.
    pub provider: String,
    /// The provider's receipt.
    pub receipt: Option<String>,
    /// What the payer typed.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When, by the provider.
    pub paid_at: DateTime<Utc>,
    /// The code that somebody proposed for it, and who, where two people have to agree.
    pub proposed: Option<(String, String)>,
}

/// Payments that belong to no reservation, the oldest first; at most 200.
///
/// # Errors
/// [`DbError`]
pub async fn list_unallocated(client: &impl GenericClient) -> Result<Vec<Unallocated>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.payment_id, p.provider, p.receipt, p.reference, b.amount, p.currency, p.paid_at, p.proposed_code,
                    p.proposed_by
             from payment p cross join lateral (select ledger_balance(p.payment_id, 'unallocated') as amount) b
             where p.reservation_id is null and p.given_by is null and b.amount > 0 order by p.paid_at limit $1",
        )
        .await?;
    client
        .query(&statement, &[&LIST_MAX])
        .await?
        .iter()
        .map(|row| {
            let code: Option<String> = row.try_get("proposed_code")?;
            Ok(Unallocated {
                payment_id: row.try_get("payment_id")?,
                provider: row.try_get("provider")?,
                receipt: row.try_get("receipt")?,
                reference: row.try_get("reference")?,
                amount: Money {
                    minor: row.try_get("amount")?,
                    currency: read_currency(row)?,
                },
                paid_at: row.try_get("paid_at")?,
                proposed: code.zip(row.try_get("proposed_by")?),
            })
        })
        .collect()
}

/// What giving a payment to a reservation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// The cashier applies it now.
    Given,
    /// It is above the limit: another person has to give it to the same one.
    NeedsAnother,
    /// It is not unallocated, or no reservation of its currency has this code.
    Refused,
}

/// Gives an unallocated payment to the reservation with this code, as `by` decides. Above `alone_max` (minor units) two
/// people have to decide the same.
///
/// # Errors
/// [`DbError`]
pub async fn give(
    client: &impl GenericClient,
    payment_id: Uuid,
    code: &Code,
    by: &str,
    alone_max: i64,
) -> Result<Given, DbError> {
    let statement = client
        .prepare_cached(
            "update payment p set proposed_code = $2, proposed_by = $3,
                 given_by = case when p.amount <= $4 or p.proposed_code = $2 and p.proposed_by <> $3 then $3 end
             from reservation r
             where p.payment_id = $1 and p.reservation_id is null and p.given_by is null
               and ledger_balance(p.payment_id, 'unallocated') > 0 and r.code = $2 and r.currency = p.currency
             returning p.given_by is not null as given",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&payment_id, &code.digits(), &by, &alone_max])
        .await?;
    Ok(match row {
        None => Given::Refused,
        Some(row) if row.try_get("given")? => Given::Given,
        Some(_) => Given::NeedsAnother,
    })
}

/// A payment that a person has given to a reservation.
#[derive(Debug, Clone)]
pub struct ToApply {
    /// Its id.
    pub payment_id: Uuid,
    /// By whom.
    pub provider: String,
    /// The provider's receipt.
    pub receipt: Option<String>,
    /// The reservation's code.
    pub code: Code,
    /// How much.
    pub amount: Money,
    /// When, by the provider.
    pub paid_at: DateTime<Utc>,
}

/// Payments that were given to a reservation and are not applied, the oldest first: at most `limit`.
///
/// # Errors
/// [`DbError`]
pub async fn list_given(client: &impl GenericClient, limit: i64) -> Result<Vec<ToApply>, DbError> {
    let statement = client
        .prepare_cached(
            "select payment_id, provider, receipt, proposed_code, amount, currency, paid_at from payment
             where given_by is not null and reservation_id is null order by created_at limit $1",
        )
        .await?;
    client
        .query(&statement, &[&limit])
        .await?
        .iter()
        .map(|row| {
            Ok(ToApply {
                payment_id: row.try_get("payment_id")?,
                provider: row.try_get("provider")?,
                receipt: row.try_get("receipt")?,
                code: Code::parse(row.try_get("proposed_code")?)
                    .map_err(|_| unknown("proposed_code"))?,
                amount: Money {
                    minor: row.try_get("amount")?,
                    currency: read_currency(row)?,
                },
                paid_at: row.try_get("paid_at")?,
            })
        })
        .collect()
}

/// Applies a payment that was given to a reservation; `texts` were written from `seen`.
///
/// # Errors
/// [`DbError`]; calling again is harmless.
pub async fn apply(
    client: &impl GenericClient,
    payment_id: Uuid,
    at: DateTime<Utc>,
    seen: &Payable,
    texts: &Texts,
) -> Result<Settled, DbError> {
    let texts = serde_json::to_value(texts).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached("select give_payment($1, $2, $3, $4, $5) as outcome")
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &payment_id,
                &at,
                &seen.reservation.paid.minor,
                &seen.reservation.status.word(),
                &texts,
            ],
        )
        .await?;
    Settled::find(row.try_get("outcome")?).ok_or_else(|| unknown("outcome"))
}

/// Whether a payment that was given to a reservation is applied.
///
/// # Errors
/// [`DbError`]
pub async fn is_applied(client: &impl GenericClient, payment_id: Uuid) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "select exists (select from payment where payment_id = $1 and reservation_id is not null) as applied",
        )
        .await?;
    let row = client.query_one(&statement, &[&payment_id]).await?;
    Ok(row.try_get("applied")?)
}

/// Asks for all of an unallocated payment to go back, as `by` decides; another person approves the refund. False: it is
/// not unallocated.
///
/// # Errors
/// [`DbError`]
pub async fn give_back(
    client: &impl GenericClient,
    payment_id: Uuid,
    by: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached("select return_payment($1, $2, 'nobody claims it') as returned")
        .await?;
    let row = client.query_one(&statement, &[&payment_id, &by]).await?;
    Ok(row.try_get("returned")?)
}
