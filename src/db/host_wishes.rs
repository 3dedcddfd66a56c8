//! Changes that hosts asked for by SMS and have not said yes to.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::DbError;

/// Keeps what a host asked for, in place of what was asked before, under the number to say yes with.
///
/// # Errors
/// [`DbError`].
pub async fn insert(
    client: &impl GenericClient,
    host_id: Uuid,
    number: &str,
    wish: &impl Serialize,
    until: DateTime<Utc>,
) -> Result<(), DbError> {
    let wish = serde_json::to_value(wish).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached(
            "insert into host_wish (host_id, number, wish, until) values ($1, $2, $3, $4)
             on conflict (host_id) do update set number = excluded.number, wish = excluded.wish, until = excluded.until",
        )
        .await?;
    client
        .execute(&statement, &[&host_id, &number, &wish, &until])
        .await?;
    Ok(())
}

/// What the host said yes to, once; `None`: another number, or too late.
///
/// # Errors
/// [`DbError`].
pub async fn take<W: DeserializeOwned>(
    client: &impl GenericClient,
    host_id: Uuid,
    number: &str,
    at: DateTime<Utc>,
) -> Result<Option<W>, DbError> {
    let statement = client
        .prepare_cached(
            "delete from host_wish where host_id = $1 and number = $2 and until > $3 returning wish",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&host_id, &number, &at])
        .await?;
    row.map(|row| {
        serde_json::from_value(row.try_get("wish")?).map_err(|e| DbError::Refused(e.into()))
    })
    .transpose()
}
