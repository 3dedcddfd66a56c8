//! A property's calendar under a secret URL, for channels that can send no key.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::ical;
use super::{answer, managed};
use crate::api::Api;
use crate::api::answer::Enveloped;
use crate::api::keys::{Key, hash, new_key};
use crate::api::problem::Problem;
use crate::db::patience::{ASK_MAX, within};
use crate::db::properties::{delete_feed, find_by_feed, set_feed};

/// Where a channel reads the calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feed {
    /// To be entered at the channel. It is not shown again.
    pub url: String,
}

/// Makes the secret URL of a property's calendar; the one before it ends.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(post, path = "/v1/properties/{property_id}/feed", operation_id = "make_feed", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")),
    responses((status = 200, description = "Done", body = Enveloped<Feed>)))]
pub async fn make(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let (secret, hash) = new_key();
    set_feed(&client, property.id, &hash).await?;
    let url = format!("{}/v1/feeds/{secret}.ics", api.app.config.public_url);
    answer(&api, &client, &Feed { url }, &request).await
}

/// Ends the secret URL of a property's calendar.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(delete, path = "/v1/properties/{property_id}/feed", operation_id = "end_feed", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")),
    responses((status = 204, description = "Done")))]
pub async fn end(api: Data<Api>, key: Key, id: Path<String>) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    delete_feed(&client, property.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Answers with the nights of the next year on which nothing can be sold, to whoever knows the secret.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/feeds/{secret}.ics", operation_id = "find_feed", tag = "property data", security(()), params(("secret" = String, Path, description = "Of the URL")),
    responses((status = 200, description = "The calendar", body = String, content_type = "text/calendar")))]
pub async fn show(api: Data<Api>, secret: Path<String>) -> Result<HttpResponse, Problem> {
    let find = async {
        let client = api.app.pool.get().await?;
        find_by_feed(&client, &hash(&secret)).await
    };
    let found = within(&api.app.postgres, ASK_MAX, find).await?;
    let property = found.ok_or_else(Problem::not_found)?;
    let client = api.app.pool.get().await?;
    ical::file(&api, &client, &property, None).await
}
