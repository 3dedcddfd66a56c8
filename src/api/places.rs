//! `GET /v1/places`.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Enveloped};
use super::keys::{Key, Scope};
use super::problem::Problem;
use crate::db::catalogue::places::list_places;
use crate::db::patience::{ASK_MAX, within};
use crate::db::places::PlaceRow;

/// Places change when the operator imports them.
const CACHE_TTL_SECONDS: u32 = 60 * 60;

/// Which places.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlacesQuery {
    /// Only what lies in the town with this id, and the town.
    town: Option<String>,
}

/// Places in the order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct Places {
    /// At most 5,000.
    pub places: Vec<Place>,
}

/// A town, or an area, landmark or stage in one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Place {
    /// A stable word: `ke-nakuru-milimani`.
    pub place_id: String,
    /// `town`, `area`, `landmark` or `stage`.
    pub kind: String,
    /// Id of its town; null for a town.
    pub town: Option<String>,
    /// Its name.
    pub name: String,
    /// Other names, short forms and local spellings.
    pub aliases: Vec<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// County, district or state.
    pub region: String,
    /// In degrees, WGS 84, rounded to 4 digits behind the point.
    pub latitude: f64,
    /// In degrees, WGS 84, rounded to 4 digits behind the point.
    pub longitude: f64,
}

impl From<PlaceRow> for Place {
    fn from(row: PlaceRow) -> Place {
        Place {
            place_id: row.place_id,
            kind: row.kind,
            town: row.town,
            name: row.name,
            aliases: row.aliases,
            country: row.country,
            region: row.region,
            latitude: degrees(row.latitude),
            longitude: degrees(row.longitude),
        }
    }
}

/// Smaller numbers are written differently by different languages, and 11 m is enough.
pub(super) fn degrees(exact: f64) -> f64 {
    (exact * 10_000.0).round() / 10_000.0
}

/// Answers with all places, or those of a town.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/places", operation_id = "list_places", tag = "catalogue", params(PlacesQuery),
    responses((status = 200, description = "As it is now", body = Enveloped<Places>)))]
pub async fn list(
    api: Data<Api>,
    key: Key,
    query: Query<PlacesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Read)?;
    let town = query.into_inner().town.filter(|town| !town.is_empty());
    let name = format!("places {}", town.as_deref().unwrap_or_default());
    let app = api.app.clone();
    let answer = api.share(name, async move {
        let at = app.clock.now();
        let ask = async { list_places(&app.pool.get().await?, town.as_deref()).await };
        let found = within(&app.postgres, ASK_MAX, ask).await?;
        let places = found.places.into_iter().map(Place::from).collect();
        Answer::new(&Places { places }, at, found.version, CACHE_TTL_SECONDS)
    });
    Ok(answer.await?.send(&request, api.app.clock.now()))
}
