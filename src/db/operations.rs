//! Queued operations of the API and their answers, by client and id.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::{DbError, unknown};

/// How long somebody may work on an operation: longer than the service does.
const LEASE: Duration = Duration::from_secs(30);

/// An operation as it came.
#[derive(Debug, Clone, Copy)]
pub struct Queued<'a> {
    /// Who sends it.
    pub client: &'a str,
    /// The client's id of it.
    pub id: Uuid,
    /// SHA-256 of it in canonical JSON.
    pub hash: &'a [u8; 32],
    /// What it wants, in a word.
    pub kind: &'a str,
    /// When it was queued, by the client's clock.
    pub at: DateTime<Utc>,
}

/// What is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is to be worked on; the token goes with its answer.
    Ours(i32),
    /// It was answered with this.
    Answered(String),
    /// Somebody works on it.
    Running,
    /// Its id was used for another one.
    Other,
}

/// Claims an operation for as long as the service works on one.
///
/// # Errors
/// [`DbError`].
pub async fn claim(client: &impl GenericClient, queued: &Queued<'_>) -> Result<Claim, DbError> {
    let statement = client
        .prepare_cached(
            "select * from claim_operation($1, $2, $3, $4, $5, make_interval(secs => $6))",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &queued.client,
                &queued.id,
                &&queued.hash[..],
                &queued.kind,
                &queued.at,
                &LEASE.as_secs_f64(),
            ],
        )
        .await?;
    Ok(match row.try_get("outcome")? {
        "ours" => Claim::Ours(row.try_get("token")?),
        "answered" => Claim::Answered(row.try_get("answer_now")?),
        "running" => Claim::Running,
        "other" => Claim::Other,
        _ => return Err(unknown("outcome")),
    })
}

/// Writes the answer of an operation for good. `false`: its claim was over, and somebody else has it now.
///
/// # Errors
/// [`DbError`].
pub async fn answer(
    client: &impl GenericClient,
    queued: &Queued<'_>,
    token: i32,
    answer: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update api_operation set answer = $4
             where client = $1 and operation_id = $2 and lease_token = $3 and answer is null",
        )
        .await?;
    let written = client
        .execute(&statement, &[&queued.client, &queued.id, &token, &answer])
        .await?;
    Ok(written == 1)
}

/// Gives a claim back: the operation may be sent again at once.
///
/// # Errors
/// [`DbError`]; then it may be sent again when the claim is over.
pub async fn release(
    client: &impl GenericClient,
    queued: &Queued<'_>,
    token: i32,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update api_operation set leased_until = now()
             where client = $1 and operation_id = $2 and lease_token = $3 and answer is null",
        )
        .await?;
    client
        .execute(&statement, &[&queued.client, &queued.id, &token])
        .await?;
    Ok(())
}

/// Whether an operation of this client has its answer.
///
/// # Errors
/// [`DbError`].
pub async fn is_answered(
    client: &impl GenericClient,
    name: &str,
    id: Uuid,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "select exists (select from api_operation
                            where client = $1 and operation_id = $2 and answer is not null) as answered",
        )
        .await?;
    let row = client.query_one(&statement, &[&name, &id]).await?;
    Ok(row.try_get("answered")?)
}

/// Forgets up to `limit` operations that were begun before `until`, and says how many.
///
/// # Errors
/// [`DbError`].
pub async fn forget(
    client: &impl GenericClient,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached(
            "delete from api_operation where (client, operation_id) in
                 (select client, operation_id from api_operation where begun_at < $1
                  order by begun_at limit $2 for update skip locked)",
        )
        .await?;
    Ok(client.execute(&statement, &[&until, &limit]).await?)
}
