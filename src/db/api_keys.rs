//! Keys of the API, known by their hash.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{DbError, unknown};
use crate::api::keys::{Key, KeyHash, Scope};

/// A key as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// What it is and may do.
    pub key: Key,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Keeps a new key. `false`: its hash is there already, and stays as it is.
///
/// # Errors
/// [`DbError`].
pub async fn insert_key(
    client: &impl GenericClient,
    key: &Key,
    hash: &KeyHash,
    expires_at: Option<DateTime<Utc>>,
) -> Result<bool, DbError> {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.word()).collect();
    let statement = client
        .prepare_cached(
            "insert into api_key (api_key_id, name, key_hash, scopes, host_id, expires_at)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        )
        .await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
        &key.id,
        &key.name,
        &&hash[..],
        &scopes,
        &key.host,
        &expires_at,
    ];
    Ok(client.execute(&statement, &values).await? == 1)
}

/// The key with this hash that is valid at `at`.
///
/// # Errors
/// [`DbError`].
pub async fn find_key(
    client: &impl GenericClient,
    hash: &KeyHash,
    at: DateTime<Utc>,
) -> Result<Option<Key>, DbError> {
    let statement = client
        .prepare_cached(
            "select api_key_id, name, scopes, host_id from api_key
             where key_hash = $1 and revoked_at is null and (expires_at is null or expires_at > $2)",
        )
        .await?;
    let row = client.query_opt(&statement, &[&&hash[..], &at]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Every key, the newest last.
///
/// # Errors
/// [`DbError`].
pub async fn list_keys(client: &impl GenericClient) -> Result<Vec<KeyRow>, DbError> {
    let statement = client
        .prepare_cached(
            "select api_key_id, name, scopes, host_id, created_at, expires_at, revoked_at
             from api_key order by created_at, api_key_id",
        )
        .await?;
    let rows = client.query(&statement, &[]).await?;
    let read = |row: &Row| {
        Ok(KeyRow {
            key: from_row(row)?,
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Ends a key; `false` where there is none with this id that is not ended.
///
/// # Errors
/// [`DbError`].
pub async fn revoke_key(client: &impl GenericClient, id: Uuid) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update api_key set revoked_at = now() where api_key_id = $1 and revoked_at is null",
        )
        .await?;
    Ok(client.execute(&statement, &[&id]).await? == 1)
}

fn from_row(row: &Row) -> Result<Key, DbError> {
    let words: Vec<&str> = row.try_get("scopes")?;
    let scopes = words.into_iter().map(Scope::find).collect::<Option<_>>();
    Ok(Key {
        id: row.try_get("api_key_id")?,
        name: row.try_get("name")?,
        scopes: scopes.ok_or_else(|| unknown("scopes"))?,
        host: row.try_get("host_id")?,
    })
}
