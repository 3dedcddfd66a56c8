//! What providers posted, kept before it is acknowledged and applied afterwards, once.

use deadpool_postgres::GenericClient;

use crate::db::DbError;

/// A callback as it came.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The row.
    pub callback_id: i64,
    /// Who posted it.
    pub provider: String,
    /// Which of our URLs.
    pub door: String,
    /// The secret in that URL; empty where it has none.
    pub secret: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Keeps a callback. Once this returns it may be acknowledged.
///
/// # Errors
/// [`DbError`]
pub async fn insert(
    client: &impl GenericClient,
    provider: &str,
    door: &str,
    secret: &str,
    body: &[u8],
) -> Result<i64, DbError> {
    let statement = client
        .prepare_cached(
            "insert into payment_callback (provider, door, secret, body) values ($1, $2, $3, $4)
             returning callback_id",
        )
        .await?;
    let row = client
        .query_one(&statement, &[&provider, &door, &secret, &body])
        .await?;
    Ok(row.try_get("callback_id")?)
}

/// Callbacks that are kept and not applied, the oldest first: at most `limit`.
///
/// # Errors
/// [`DbError`]
pub async fn list_waiting(client: &impl GenericClient, limit: i64) -> Result<Vec<Kept>, DbError> {
    let statement = client
        .prepare_cached(
            "select callback_id, provider, door, coalesce(secret, '') as secret, body from payment_callback
             where applied_at is null order by received_at limit $1",
        )
        .await?;
    client
        .query(&statement, &[&limit])
        .await?
        .iter()
        .map(|row| {
            Ok(Kept {
                callback_id: row.try_get("callback_id")?,
                provider: row.try_get("provider")?,
                door: row.try_get("door")?,
                secret: row.try_get("secret")?,
                body: row.try_get("body")?,
            })
        })
        .collect()
}

/// Notes what became of a callback. Applying one twice changes nothing, so two workers may both get here.
///
/// # Errors
/// [`DbError`]
pub async fn applied(
    client: &impl GenericClient,
    callback_id: i64,
    outcome: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update payment_callback set applied_at = now(), outcome = $2
             where callback_id = $1 and applied_at is null",
        )
        .await?;
    client
        .execute(&statement, &[&callback_id, &outcome])
        .await?;
    Ok(())
}
