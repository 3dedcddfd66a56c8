//! Who changed what of a property.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{answer, managed};
use crate::api::Api;
use crate::api::answer::Enveloped;
use crate::api::keys::Key;
use crate::api::problem::Problem;
use crate::db::properties::{PropertyEvent, list_events};

/// The most events of one answer.
const EVENTS_MAX: i64 = 100;

/// How far back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Before {
    /// Only events before the one with this id.
    before: Option<i64>,
}

/// Changes of a property.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    /// At most 100, the newest first.
    pub events: Vec<PropertyEvent>,
}

/// Answers with what was changed of a property, by whom, from what to what.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/events", operation_id = "list_events", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), Before),
    responses((status = 200, description = "The changes", body = Enveloped<Events>)))]
pub async fn list(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    before: Query<Before>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let events = list_events(&client, property.id, before.before, EVENTS_MAX).await?;
    answer(&api, &client, &Events { events }, &request).await
}
