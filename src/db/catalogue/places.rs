//! Places as the API shows them.

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use super::read_numbered;
use crate::db::DbError;
use crate::db::places::PlaceRow;

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
