//! Properties by the ids that they are known by outside.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use deadpool_postgres::GenericClient;
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{DbError, read_currency, unknown};
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

/// Where the nights of a property are.
///
/// # Errors
/// [`DbError`].
pub async fn time_zone(client: &impl GenericClient, id: Uuid) -> Result<Tz, DbError> {
    let statement = client
        .prepare_cached("select time_zone from property where property_id = $1")
        .await?;
    let row = client.query_one(&statement, &[&id]).await?;
    let name: &str = row.try_get("time_zone")?;
    name.parse().map_err(|_| unknown("time_zone"))
}

/// One night as whoever manages the property sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ManagedNight {
    /// The evening's date.
    pub date: NaiveDate,
    /// Units that may be sold; those out of service are not among them.
    pub available_units: i32,
    /// Units that are sold.
    pub reserved_units: i32,
    /// Units that cannot be slept in, or that another channel has sold.
    pub out_of_service: i32,
    /// Before the surge, in minor units.
    pub price_minor: i32,
    /// The price is so many hundredths of itself.
    pub surge_hundredths: i32,
    /// Nothing is sold.
    pub closed: bool,
    /// Of stays that arrive; null: as the property says.
    pub min_stay: Option<i16>,
    /// Of stays that arrive; null: as the property says.
    pub max_stay: Option<i16>,
    /// Nobody arrives.
    pub closed_to_arrival: bool,
    /// Nobody leaves.
    pub closed_to_departure: bool,
}

/// The nights of a property from `first` to before `past`.
///
/// # Errors
/// [`DbError`].
pub async fn list_nights(
    client: &impl GenericClient,
    id: Uuid,
    first: NaiveDate,
    past: NaiveDate,
) -> Result<Vec<ManagedNight>, DbError> {
    let statement = client
        .prepare_cached(
            "select date, available_units, reserved_units, out_of_service, price_base,
                    (surge_multiplier * 100)::integer as surge, closed, min_stay, max_stay, closed_to_arrival,
                    closed_to_departure
             from property_availability where property_id = $1 and date >= $2 and date < $3 order by date",
        )
        .await?;
    let rows = client.query(&statement, &[&id, &first, &past]).await?;
    rows.iter()
        .map(|row| {
            Ok(ManagedNight {
                date: row.try_get("date")?,
                available_units: row.try_get("available_units")?,
                reserved_units: row.try_get("reserved_units")?,
                out_of_service: row.try_get("out_of_service")?,
                price_minor: row.try_get("price_base")?,
                surge_hundredths: row.try_get("surge")?,
                closed: row.try_get("closed")?,
                min_stay: row.try_get("min_stay")?,
                max_stay: row.try_get("max_stay")?,
                closed_to_arrival: row.try_get("closed_to_arrival")?,
                closed_to_departure: row.try_get("closed_to_departure")?,
            })
        })
        .collect()
}

/// Makes the nights of a channel from `first` on what its calendar says now: how many units it has sold on each. What is
/// sold here stays sold; how many units of which night are missing comes back.
///
/// # Errors
/// [`DbError`].
pub async fn set_channel_blocks(
    client: &impl GenericClient,
    id: Uuid,
    source: &str,
    first: NaiveDate,
    sold: &BTreeMap<NaiveDate, i32>,
) -> Result<Vec<(NaiveDate, i32)>, DbError> {
    let dates: Vec<NaiveDate> = sold.keys().copied().collect();
    let units: Vec<i32> = sold.values().copied().collect();
    let statement = client
        .prepare_cached("select sold_twice, missing from set_channel_blocks($1, $2, $3, $4, $5)")
        .await?;
    let rows = client
        .query(&statement, &[&id, &source, &first, &dates, &units])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("sold_twice")?, row.try_get("missing")?)))
        .collect()
}

/// Lets a property's calendar be read by a secret with this hash, and by no other any more.
///
/// # Errors
/// [`DbError`].
pub async fn set_feed(
    client: &impl GenericClient,
    id: Uuid,
    hash: &[u8; 32],
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into property_feed (property_id, secret_hash) values ($1, $2)
             on conflict (property_id) do update set secret_hash = excluded.secret_hash, made_at = now()",
        )
        .await?;
    client.execute(&statement, &[&id, &&hash[..]]).await?;
    Ok(())
}

/// Lets a property's calendar be read by no secret.
///
/// # Errors
/// [`DbError`].
pub async fn delete_feed(client: &impl GenericClient, id: Uuid) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("delete from property_feed where property_id = $1")
        .await?;
    client.execute(&statement, &[&id]).await?;
    Ok(())
}

/// The property whose calendar is read by the secret with this hash.
///
/// # Errors
/// [`DbError`].
pub async fn find_by_feed(
    client: &impl GenericClient,
    hash: &[u8; 32],
) -> Result<Option<Named>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.property_id, p.short_id, p.host_id, p.town, p.currency
             from property_feed f join property p on p.property_id = f.property_id where f.secret_hash = $1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&&hash[..]]).await?;
    row.as_ref().map(from_row).transpose()
}

/// A change of a property, or of one of its nights.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PropertyEvent {
    /// Rises with time.
    pub id: i64,
    /// When, in UTC.
    pub at: DateTime<Utc>,
    /// Which night; null: the property.
    pub date: Option<NaiveDate>,
    /// The name of the key, `operator`, or `not said`.
    pub who: String,
    /// `api`, `ical`, `import`, or `database`.
    pub channel: String,
    /// What it was, of all that is otherwise.
    pub before: serde_json::Value,
    /// What it is.
    pub after: serde_json::Value,
}

/// The last changes of a property, the newest first, before the one with an id.
///
/// # Errors
/// [`DbError`].
pub async fn list_events(
    client: &impl GenericClient,
    id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<PropertyEvent>, DbError> {
    let statement = client
        .prepare_cached(
            "select property_event_id, at, date, who, channel, before, after from property_event
             where property_id = $1 and ($2::bigint is null or property_event_id < $2)
             order by property_event_id desc limit $3",
        )
        .await?;
    let rows = client.query(&statement, &[&id, &before, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(PropertyEvent {
                id: row.try_get("property_event_id")?,
                at: row.try_get("at")?,
                date: row.try_get("date")?,
                who: row.try_get("who")?,
                channel: row.try_get("channel")?,
                before: row.try_get("before")?,
                after: row.try_get("after")?,
            })
        })
        .collect()
}
