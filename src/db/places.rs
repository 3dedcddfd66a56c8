//! Places: towns, and areas, landmarks and stages in them.

use deadpool_postgres::GenericClient;

use super::DbError;

/// One place as stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "as in the table of the same name")]
pub struct PlaceRow {
    pub place_id: String,
    /// `town`, `area`, `landmark` or `stage`.
    pub kind: String,
    /// The town's id; `None` for a town.
    pub town: Option<String>,
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    pub region: String,
    /// In degrees, WGS 84.
    pub latitude: f64,
    /// In degrees, WGS 84.
    pub longitude: f64,
    /// Larger is asked for more often.
    pub popularity: i32,
    pub aliases: Vec<String>,
}

/// Every place, by id.
///
/// # Errors
/// [`DbError`].
pub async fn list_places(client: &impl GenericClient) -> Result<Vec<PlaceRow>, DbError> {
    let statement = client
        .prepare_cached(
            "select place_id, kind, town, name, country, region, latitude, longitude, popularity, aliases
             from place order by place_id",
        )
        .await?;
    client
        .query(&statement, &[])
        .await?
        .iter()
        .map(|row| {
            Ok(PlaceRow {
                place_id: row.try_get("place_id")?,
                kind: row.try_get("kind")?,
                town: row.try_get("town")?,
                name: row.try_get("name")?,
                country: row.try_get("country")?,
                region: row.try_get("region")?,
                latitude: row.try_get("latitude")?,
                longitude: row.try_get("longitude")?,
                popularity: row.try_get("popularity")?,
                aliases: row.try_get("aliases")?,
            })
        })
        .collect()
}
