//! Payments by hand that we were told of, until their provider has said that they happened.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::LIST_MAX;
use super::attempts::secret;
use crate::booking::money::Money;
use crate::db::{DbError, read_currency};
use crate::payment::Received;

/// What is kept of what a payer typed: a pay bill takes 20 characters.
const REFERENCE_CHARS_MAX: usize = 64;

/// A payment that somebody says has come.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The row.
    pub claim_id: Uuid,
    /// Whose account.
    pub provider: String,
    /// Its receipt, as told.
    pub receipt: String,
    /// What the payer typed, as told.
    pub reference: String,
    /// How much, as told.
    pub amount: Money,
    /// When, as told.
    pub paid_at: DateTime<Utc>,
    /// Names it in the URL of the provider's answer.
    pub secret: String,
    /// `open`, `proven`, `another`, `forged` or `unanswered`.
    pub status: String,
    /// The last word about it.
    pub reason: Option<String>,
    /// How often the provider was asked.
    pub asked: i32,
    /// Proves that nobody has claimed it since.
    pub lease_token: i64,
    /// Since it was told.
    pub age: Duration,
}

const COLUMNS: &str = "claim_id, provider, receipt, reference, amount, currency, paid_at, secret, status, reason, asked,
    lease_token, extract(epoch from now() - created_at)::float8 as age";

fn from_row(row: &Row) -> Result<Claim, DbError> {
    Ok(Claim {
        claim_id: row.try_get("claim_id")?,
        provider: row.try_get("provider")?,
        receipt: row.try_get("receipt")?,
        reference: row.try_get("reference")?,
        amount: Money {
            minor: row.try_get("amount")?,
            currency: read_currency(row)?,
        },
        paid_at: row.try_get("paid_at")?,
        secret: row.try_get("secret")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        asked: row.try_get("asked")?,
        lease_token: row.try_get("lease_token")?,
        age: Duration::try_from_secs_f64(row.try_get("age")?).unwrap_or_default(),
    })
}

/// Writes down that we were told of a payment. False: we were told the same before.
///
/// # Errors
/// [`DbError`]
pub async fn insert(
    client: &impl GenericClient,
    provider: &str,
    received: &Received,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let reference: String = received
        .reference
        .chars()
        .take(REFERENCE_CHARS_MAX)
        .collect();
    let statement = client
        .prepare_cached(
            "insert into payment_claim (provider, receipt, reference, amount, currency, paid_at, secret)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
        )
        .await?;
    let written = client
        .execute(
            &statement,
            &[
                &provider,
                &received.receipt,
                &reference,
                &received.amount.minor,
                &received.amount.currency.code(),
                &received.at.unwrap_or(now),
                &secret(),
            ],
        )
        .await?;
    Ok(written == 1)
}

/// Claims up to `limit` open ones whose provider is to be asked now.
///
/// # Errors
/// [`DbError`]
pub async fn claim_due(
    client: &impl GenericClient,
    limit: i64,
    lease: Duration,
) -> Result<Vec<Claim>, DbError> {
    let sql = format!(
        "with due as materialized (
             select claim_id as due_id from payment_claim where status = 'open' and due_at <= now()
             order by due_at limit $1 for update skip locked)
         update payment_claim set due_at = now() + make_interval(secs => $2), lease_token = lease_token + 1
         from due where claim_id = due_id returning {COLUMNS}"
    );
    let statement = client.prepare_cached(&sql).await?;
    client
        .query(&statement, &[&limit, &lease.as_secs_f64()])
        .await?
        .iter()
        .map(from_row)
        .collect()
}

/// Lets a claimed one rest; `asked`: its provider has taken the question.
///
/// # Errors
/// [`DbError`]
pub async fn rest(
    client: &impl GenericClient,
    claim: &Claim,
    after: Duration,
    asked: bool,
    reason: Option<&str>,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update payment_claim set due_at = now() + make_interval(secs => $3), asked = asked + $4,
                 reason = coalesce($5, reason)
             where claim_id = $1 and lease_token = $2 and status = 'open'",
        )
        .await?;
    client
        .execute(
            &statement,
            &[
                &claim.claim_id,
                &claim.lease_token,
                &after.as_secs_f64(),
                &i32::from(asked),
                &reason,
            ],
        )
        .await?;
    Ok(())
}

/// The claim that a provider's answer is about.
///
/// # Errors
/// [`DbError`]
pub async fn find(
    client: &impl GenericClient,
    provider: &str,
    secret: &str,
) -> Result<Option<Claim>, DbError> {
    let sql = format!("select {COLUMNS} from payment_claim where provider = $1 and secret = $2");
    let statement = client.prepare_cached(&sql).await?;
    let row = client.query_opt(&statement, &[&provider, &secret]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Notes what an answer said of an open one.
///
/// # Errors
/// [`DbError`]
pub async fn note(
    client: &impl GenericClient,
    claim_id: Uuid,
    reason: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update payment_claim set reason = $2 where claim_id = $1 and status = 'open'",
        )
        .await?;
    client.execute(&statement, &[&claim_id, &reason]).await?;
    Ok(())
}

/// How a claim ends. What is proven stays so; everything else may be proven yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is money.
    Proven,
    /// The provider knows another sum or payee.
    Another,
    /// The provider knows of none.
    Forged,
    /// The provider did not tell.
    Unanswered,
}

impl End {
    /// The word in the database and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            End::Proven => "proven",
            End::Another => "another",
            End::Forged => "forged",
            End::Unanswered => "unanswered",
        }
    }
}

/// Ends a claim. False: it had ended so, or better, before.
///
/// # Errors
/// [`DbError`]
pub async fn end(
    client: &impl GenericClient,
    claim_id: Uuid,
    how: End,
    reason: Option<&str>,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update payment_claim set status = $2, reason = coalesce($3, reason), ended_at = now()
             where claim_id = $1 and (status = 'open' or $2 = 'proven' and status <> 'proven')",
        )
        .await?;
    let written = client
        .execute(&statement, &[&claim_id, &how.word(), &reason])
        .await?;
    Ok(written == 1)
}

/// What else was told of a claim's receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rivals {
    /// The same sum for another booking: nobody knows which was typed.
    pub same_sum: bool,
    /// This other sum.
    pub other_sum: bool,
}

/// Whether others tell of the same receipt: with the same sum, or with `sum`.
///
/// # Errors
/// [`DbError`]
pub async fn find_rivals(
    client: &impl GenericClient,
    claim: &Claim,
    sum: Money,
) -> Result<Rivals, DbError> {
    let statement = client
        .prepare_cached(
            "select coalesce(bool_or(amount = $4), false) as same_sum, coalesce(bool_or(amount = $5), false) as other_sum
             from payment_claim where provider = $1 and receipt = $2 and claim_id <> $3",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &claim.provider,
                &claim.receipt,
                &claim.claim_id,
                &claim.amount.minor,
                &sum.minor,
            ],
        )
        .await?;
    Ok(Rivals {
        same_sum: row.try_get("same_sum")?,
        other_sum: row.try_get("other_sum")?,
    })
}

/// Ends as proven what has become money in another way: by a statement or a prompt.
///
/// # Errors
/// [`DbError`]
pub async fn prove_settled(client: &impl GenericClient) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached(
            "update payment_claim c set status = 'proven', ended_at = now() from payment p
             where c.status <> 'proven' and p.provider = c.provider and p.receipt = c.receipt and p.amount = c.amount",
        )
        .await?;
    Ok(client.execute(&statement, &[]).await?)
}

/// Claims that are not proven, the oldest first; at most 200.
///
/// # Errors
/// [`DbError`]
pub async fn list_doubtful(client: &impl GenericClient) -> Result<Vec<Claim>, DbError> {
    let sql = format!(
        "select {COLUMNS} from payment_claim where status <> 'proven' order by created_at limit $1"
    );
    let statement = client.prepare_cached(&sql).await?;
    client
        .query(&statement, &[&LIST_MAX])
        .await?
        .iter()
        .map(from_row)
        .collect()
}
