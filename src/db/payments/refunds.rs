//! Money that goes back: requested, approved by a person, sent, confirmed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::LIST_MAX;
use crate::booking::money::Money;
use crate::db::reservations::{self, Reservation};
use crate::db::{DbError, read_currency};

/// A refund as an operator sees it.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Its id.
    pub refund_id: Uuid,
    /// The booking's code digits; empty for a payment that belongs to none.
    pub code: String,
    /// How much.
    pub amount: Money,
    /// Why.
    pub why: String,
    /// `requested`, `approved`, `sending`, `sent`, `done` or `refused`.
    pub status: String,
    /// Who asked for it.
    pub requested_by: String,
    /// Who approved it first.
    pub approved_by: Option<String>,
    /// Whose account the money is at.
    pub provider: String,
    /// The receipt of the payment.
    pub receipt: Option<String>,
    /// The last word about it.
    pub reason: Option<String>,
    /// When it was asked for.
    pub at: DateTime<Utc>,
}

/// Refunds that are not done, the oldest first; at most 200.
///
/// # Errors
/// [`DbError`]
pub async fn list_open(client: &impl GenericClient) -> Result<Vec<Refund>, DbError> {
    let statement = client
        .prepare_cached(
            "select f.refund_id, coalesce(r.code, '') as code, f.amount, f.currency, f.why, f.status, f.requested_by,
                    f.approved_by, p.provider, p.receipt, f.reason, f.created_at
             from refund f join payment p on p.payment_id = f.payment_id
             left join reservation r on r.reservation_id = f.reservation_id
             where f.status <> 'done' order by f.created_at limit $1",
        )
        .await?;
    client
        .query(&statement, &[&LIST_MAX])
        .await?
        .iter()
        .map(from_row)
        .collect()
}

fn from_row(row: &Row) -> Result<Refund, DbError> {
    Ok(Refund {
        refund_id: row.try_get("refund_id")?,
        code: row.try_get("code")?,
        amount: Money {
            minor: row.try_get("amount")?,
            currency: read_currency(row)?,
        },
        why: row.try_get("why")?,
        status: row.try_get("status")?,
        requested_by: row.try_get("requested_by")?,
        approved_by: row.try_get("approved_by")?,
        provider: row.try_get("provider")?,
        receipt: row.try_get("receipt")?,
        reason: row.try_get("reason")?,
        at: row.try_get("created_at")?,
    })
}

/// What an approval did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// It is sent now.
    Approved,
    /// It is above the limit: another person has to approve it too.
    NeedsAnother,
    /// Not open, or by somebody who asked for it or has approved it already.
    Refused,
}

/// Approves a refund as `by`. Above `alone_max` (minor units) two people have to; nobody approves what they asked for.
///
/// # Errors
/// [`DbError`]
pub async fn approve(
    client: &impl GenericClient,
    refund_id: Uuid,
    by: &str,
    alone_max: i64,
) -> Result<Approval, DbError> {
    let statement = client
        .prepare_cached(
            "update refund set
                 second_by = case when approved_by is null then null else $2 end,
                 approved_by = coalesce(approved_by, $2),
                 status = case when amount <= $3 or approved_by is not null then 'approved' else status end,
                 due_at = case when amount <= $3 or approved_by is not null then now() end
             where refund_id = $1 and status = 'requested' and requested_by <> $2
               and approved_by is distinct from $2
             returning status",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&refund_id, &by, &alone_max])
        .await?;
    Ok(match row {
        None => Approval::Refused,
        Some(row) if row.try_get::<_, &str>("status")? == "approved" => Approval::Approved,
        Some(_) => Approval::NeedsAnother,
    })
}

/// Writes down that a refund has reached the payer, by a provider's word or a person's. False: it is not open.
///
/// # Errors
/// [`DbError`]
pub async fn end(
    client: &impl GenericClient,
    refund_id: Uuid,
    receipt: Option<&str>,
    by: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached("select end_refund($1, $2, $3) as ended")
        .await?;
    let row = client
        .query_one(&statement, &[&refund_id, &receipt, &by])
        .await?;
    Ok(row.try_get("ended")?)
}

/// A refund that this process may send.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub refund_id: Uuid,
    /// Proves that nobody has claimed it since.
    pub lease_token: i64,
    /// Whose account.
    pub provider: String,
    /// The receipt of the payment.
    pub receipt: Option<String>,
    /// How much.
    pub amount: Money,
    /// How much that payment was.
    pub paid: Money,
    /// Whether it may have been sent: then it is asked about and not sent again.
    pub doubtful: bool,
    /// How often its provider was asked about it.
    pub asked: i32,
}

/// Claims up to `limit` refunds that are approved, or whose result is overdue.
///
/// # Errors
/// [`DbError`]
pub async fn claim_due(
    client: &impl GenericClient,
    limit: i64,
    lease: Duration,
) -> Result<Vec<Claimed>, DbError> {
    let statement = client
        .prepare_cached(
            "with due as materialized (
                 select refund_id, status as before from refund where status in ('approved', 'sending', 'sent') and due_at <= now()
                 order by due_at limit $1 for update skip locked)
             update refund f set status = 'sending', due_at = now() + make_interval(secs => $2),
                 lease_token = f.lease_token + 1
             from due, payment p where f.refund_id = due.refund_id and p.payment_id = f.payment_id
             returning f.refund_id, f.lease_token, p.provider, p.receipt, f.amount, p.amount as paid, f.currency,
                 due.before <> 'approved' as doubtful, f.asked",
        )
        .await?;
    client
        .query(&statement, &[&limit, &lease.as_secs_f64()])
        .await?
        .iter()
        .map(|row| {
            Ok(Claimed {
                refund_id: row.try_get("refund_id")?,
                lease_token: row.try_get("lease_token")?,
                provider: row.try_get("provider")?,
                receipt: row.try_get("receipt")?,
                amount: Money {
                    minor: row.try_get("amount")?,
                    currency: read_currency(row)?,
                },
                paid: Money {
                    minor: row.try_get("paid")?,
                    currency: read_currency(row)?,
                },
                doubtful: row.try_get("doubtful")?,
                asked: row.try_get("asked")?,
            })
        })
        .collect()
}

/// What becomes of a claimed refund that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The provider has it; its result comes later.
    Sent {
        /// The provider's id of it.
        provider_id: String,
        /// When it is asked about, had no result come.
        ask_after: Duration,
    },
    /// It was not sent: once more.
    Again {
        /// From now.
        after: Duration,
        /// A short word.
        reason: String,
    },
    /// It may have been sent: ask the provider about it.
    Ask {
        /// From now.
        after: Duration,
        /// A short word.
        reason: String,
    },
    /// A person has to look: refused, in doubt, or not to be sent by request.
    Person(String),
}

/// Writes down what becomes of a claimed refund.
///
/// # Errors
/// [`DbError`]
pub async fn complete(
    client: &impl GenericClient,
    claimed: &Claimed,
    next: &Next,
) -> Result<bool, DbError> {
    let (status, provider_id, reason, after) = match next {
        Next::Sent {
            provider_id,
            ask_after,
        } => ("sent", Some(provider_id), None, Some(ask_after)),
        Next::Again { after, reason } => ("approved", None, Some(reason), Some(after)),
        Next::Ask { after, reason } => ("sending", None, Some(reason), Some(after)),
        Next::Person(reason) => ("refused", None, Some(reason), None),
    };
    let asked = matches!(next, Next::Ask { .. });
    let statement = client
        .prepare_cached(
            "update refund set status = $3, provider_id = coalesce($4, provider_id), reason = $5,
                 due_at = now() + make_interval(secs => $6), asked = asked + $7
             where refund_id = $1 and lease_token = $2 and status = 'sending'",
        )
        .await?;
    let written = client
        .execute(
            &statement,
            &[
                &claimed.refund_id,
                &claimed.lease_token,
                &status,
                &provider_id,
                &reason,
                &after.map(Duration::as_secs_f64),
                &i32::from(asked),
            ],
        )
        .await?;
    Ok(written == 1)
}

/// Nobody knows whether a refund went through: its provider is asked.
///
/// # Errors
/// [`DbError`]
pub async fn doubt(
    client: &impl GenericClient,
    refund_id: Uuid,
    reason: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update refund set status = 'sending', reason = $2, due_at = now()
             where refund_id = $1 and status in ('sending', 'sent')",
        )
        .await?;
    client.execute(&statement, &[&refund_id, &reason]).await?;
    Ok(())
}

/// The refund that a provider tells of: by our id, else by its own.
///
/// # Errors
/// [`DbError`]
pub async fn find_heard(
    client: &impl GenericClient,
    own: Option<Uuid>,
    provider_id: &str,
) -> Result<Option<Uuid>, DbError> {
    let statement = client
        .prepare_cached(
            "select refund_id from refund where refund_id = $1 or $1 is null and provider_id = $2",
        )
        .await?;
    let row = client.query_opt(&statement, &[&own, &provider_id]).await?;
    Ok(row.map(|row| row.try_get("refund_id")).transpose()?)
}

/// A refund with its reservation, amount and receipt; `None` where it belongs to no reservation.
///
/// # Errors
/// [`DbError`]
pub async fn find_payee(
    client: &impl GenericClient,
    refund_id: Uuid,
) -> Result<Option<(Reservation, Money, Option<String>)>, DbError> {
    let statement = client
        .prepare_cached(
            "select v.*, f.amount, f.receipt from refund f join reservation_shown v on v.reservation_id = f.reservation_id
             where f.refund_id = $1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&refund_id]).await?;
    row.map(|row| {
        let reservation = reservations::from_row(&row)?;
        let amount = Money {
            minor: row.try_get("amount")?,
            currency: reservation.total.currency,
        };
        Ok((reservation, amount, row.try_get("receipt")?))
    })
    .transpose()
}

/// Refunds that are done and of which nobody was told, the oldest first: at most `limit`.
///
/// # Errors
/// [`DbError`]
pub async fn list_untold(client: &impl GenericClient, limit: i64) -> Result<Vec<Uuid>, DbError> {
    let statement = client
        .prepare_cached(
            "select refund_id from refund where status = 'done' and told_at is null order by ended_at limit $1",
        )
        .await?;
    client
        .query(&statement, &[&limit])
        .await?
        .iter()
        .map(|row| Ok(row.try_get("refund_id")?))
        .collect()
}

/// Notes that the guest was told of it.
///
/// # Errors
/// [`DbError`]
pub async fn told(client: &impl GenericClient, refund_id: Uuid) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("update refund set told_at = now() where refund_id = $1")
        .await?;
    client.execute(&statement, &[&refund_id]).await?;
    Ok(())
}

/// Refunds of what was paid of holds that ran out, of which nobody was told, the oldest first: at most `limit`. Of all
/// others the message that tells what happened tells too.
///
/// # Errors
/// [`DbError`]
pub async fn list_due_untold(
    client: &impl GenericClient,
    limit: i64,
) -> Result<Vec<Uuid>, DbError> {
    let statement = client
        .prepare_cached(
            "select refund_id from refund where due_told_at is null and why = 'the hold ran out'
             order by created_at limit $1",
        )
        .await?;
    client
        .query(&statement, &[&limit])
        .await?
        .iter()
        .map(|row| Ok(row.try_get("refund_id")?))
        .collect()
}

/// Notes that the guest was told that it is due.
///
/// # Errors
/// [`DbError`]
pub async fn due_told(client: &impl GenericClient, refund_id: Uuid) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("update refund set due_told_at = now() where refund_id = $1")
        .await?;
    client.execute(&statement, &[&refund_id]).await?;
    Ok(())
}

/// A refund that was sent did not go through, or nobody knows: a person has to look.
///
/// # Errors
/// [`DbError`]
pub async fn refuse(
    client: &impl GenericClient,
    refund_id: Uuid,
    reason: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update refund set status = 'refused', reason = $2 where refund_id = $1 and status in ('sending', 'sent')",
        )
        .await?;
    client.execute(&statement, &[&refund_id, &reason]).await?;
    Ok(())
}
