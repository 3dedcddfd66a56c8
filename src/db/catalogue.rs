//! What the API shows, with the numbers of its last changes.

use std::time::Duration;

use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::places::PlaceRow;
use super::{DbError, begin_unhurried};

/// The most places that are shown.
pub const PLACES_MAX: i64 = 5_000;

/// Places, and the number of their last change.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundPlaces {
    /// By id.
    pub places: Vec<PlaceRow>,
    /// Of the last change of any of them.
    pub version: i64,
}

/// How many numbers back a client may be that is told what has changed since; one that is further back gets everything.
pub const CHANGES_KEPT: i64 = 50_000;
const PRUNE_MAX: Duration = Duration::from_secs(30);
/// How often what is shown may change while it is read.
const TRIES_MAX: u32 = 5;

/// Gives numbers to the changes that are noted and committed: see the migration that makes `catalogue_change`.
///
/// # Errors
/// [`DbError`].
pub async fn number_changes(client: &impl GenericClient) -> Result<(), DbError> {
    let statement = client.prepare_cached("select number_changes()").await?;
    client.execute(&statement, &[]).await?;
    Ok(())
}

/// Forgets what is more than `kept` numbers back and said again by newer ones; says how much that was.
///
/// # Errors
/// [`DbError`].
pub async fn prune_changes(client: &mut Client, kept: i64) -> Result<i64, DbError> {
    let transaction = begin_unhurried(client, PRUNE_MAX).await?;
    let row = transaction
        .query_one("select prune_changes($1)", &[&kept])
        .await?;
    let pruned = row.try_get(0)?;
    transaction.commit().await?;
    Ok(pruned)
}

/// Reads what is numbered: two statements in one round trip. Where a row says `noted`, a change that it shows was committed
/// between the two and has no number yet; then both run again.
async fn read_numbered(
    client: &impl GenericClient,
    statement: &Statement,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, DbError> {
    let number = client.prepare_cached("select number_changes()").await?;
    let mut tries = 1;
    loop {
        // Sent in this order, and the server answers in order.
        let (numbered, rows) = tokio::join!(
            client.execute(&number, &[]),
            client.query(statement, values)
        );
        numbered?;
        let rows = rows?;
        let mut is_noted = false;
        for row in &rows {
            is_noted |= row.try_get::<_, bool>("noted")?;
        }
        if !is_noted || tries == TRIES_MAX {
            return Ok(rows);
        }
        tries += 1;
    }
}

/// All places, or those of one town.
///
/// # Errors
/// [`DbError`].
pub async fn list_places(
    client: &impl GenericClient,
    town: Option<&str>,
) -> Result<FoundPlaces, DbError> {
    let statement = client
        .prepare_cached(
            "select c.version, c.noted, p.place_id, p.kind, p.town, p.name, p.country, p.region, p.latitude, p.longitude,
                    p.popularity, p.aliases
             from (select coalesce(max(version), 0) as version,
                          exists (select from catalogue_change_noted
                                  where property_id is null and ($1::text is null or town = $1)) as noted
                   from catalogue_change
                   where property_id is null and ($1::text is null or town = $1)) c
             left join place p on $1::text is null or p.town = $1 or p.place_id = $1
             order by p.place_id limit $2",
        )
        .await?;
    let values: [&(dyn ToSql + Sync); 2] = [&town, &PLACES_MAX];
    let rows = read_numbered(client, &statement, &values).await?;
    let mut places = Vec::with_capacity(rows.len());
    for row in &rows {
        // Without any place there is one row, for the version.
        let Some(place_id) = row.try_get("place_id")? else {
            continue;
        };
        places.push(PlaceRow {
            place_id,
            kind: row.try_get("kind")?,
            town: row.try_get("town")?,
            name: row.try_get("name")?,
            country: row.try_get("country")?,
            region: row.try_get("region")?,
            latitude: row.try_get("latitude")?,
            longitude: row.try_get("longitude")?,
            popularity: row.try_get("popularity")?,
            aliases: row.try_get("aliases")?,
        });
    }
    let version = rows.first().map_or(Ok(0), |row| row.try_get("version"))?;
    Ok(FoundPlaces { places, version })
}
