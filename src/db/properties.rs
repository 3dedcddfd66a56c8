//! Properties by the ids that they are known by outside.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{DbError, read_currency};
use crate::booking::money::Currency;

/// What names a property, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id here.
    pub id: Uuid,
    /// `prop_…`
    pub short_id: String,
    /// Whose it is.
    pub host: Uuid,
    /// Id of its town.
    pub town: String,
    /// Of its prices.
    pub currency: Currency,
}

/// The property with this short id.
///
/// # Errors
/// [`DbError`].
pub async fn find(client: &impl GenericClient, short_id: &str) -> Result<Option<Named>, DbError> {
    let statement = client
        .prepare_cached(
            "select property_id, short_id, host_id, town, currency from property where short_id = $1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&short_id]).await?;
    row.as_ref().map(from_row).transpose()
}

fn from_row(row: &Row) -> Result<Named, DbError> {
    Ok(Named {
        id: row.try_get("property_id")?,
        short_id: row.try_get("short_id")?,
        host: row.try_get("host_id")?,
        town: row.try_get("town")?,
        currency: read_currency(row)?,
    })
}

/// The short ids of properties.
///
/// # Errors
/// [`DbError`].
pub async fn short_ids(
    client: &impl GenericClient,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, String>, DbError> {
    let statement = client
        .prepare_cached("select property_id, short_id from property where property_id = any ($1)")
        .await?;
    let rows = client.query(&statement, &[&ids]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("property_id")?, row.try_get("short_id")?)))
        .collect()
}

/// The number of a property's last change.
///
/// # Errors
/// [`DbError`].
pub async fn version(client: &impl GenericClient, id: Uuid) -> Result<i64, DbError> {
    let statement = client
        .prepare_cached(
            "select coalesce(max(version), 0) as version from catalogue_change where property_id = $1",
        )
        .await?;
    Ok(client
        .query_one(&statement, &[&id])
        .await?
        .try_get("version")?)
}

/// The number of the last change of anything.
///
/// # Errors
/// [`DbError`].
pub async fn last_version(client: &impl GenericClient) -> Result<i64, DbError> {
    let statement = client
        .prepare_cached("select coalesce(max(version), 0) as version from catalogue_change")
        .await?;
    Ok(client
        .query_one(&statement, &[])
        .await?
        .try_get("version")?)
}
