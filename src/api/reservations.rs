//! `GET /v1/reservations/{code}?msisdn=`: a reservation, for whoever knows its code and its guest's number.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Enveloped};
use super::keys::{Key, Scope};
use super::operations::ReservationShown;
use super::problem::Problem;
use crate::booking::code::Code;
use crate::db::DbError;
use crate::db::hosts::{WRONG_CODES_WITHIN, insert_wrong_code, is_locked};
use crate::db::patience::{ASK_MAX, within};
use crate::db::reservations::find_with_version;
use crate::phone::Msisdn;

/// It changes when the guest or the lodge does something, which an app wants to see soon.
const CACHE_TTL_SECONDS: u32 = 30;

/// Whose it is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReservationQuery {
    /// The guest's number in E.164; the `+` may be left out.
    #[param(example = "254711000001")]
    msisdn: String,
}

/// Answers with the reservation; 404 alike where the code or the number is wrong.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/reservations/{code}", operation_id = "find_reservation", tag = "reservations", params(("code" = String, Path, description = "`4821-7736`"), ReservationQuery),
    responses((status = 200, description = "As it is now", body = Enveloped<ReservationShown>)))]
pub async fn find(
    api: Data<Api>,
    key: Key,
    code: Path<String>,
    query: Query<ReservationQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Book)?;
    let Ok(msisdn) = Msisdn::parse(&query.msisdn) else {
        return Err(Problem::bad_request("msisdn: is not a phone number"));
    };
    let now = api.app.clock.now();
    let ask = async {
        let client = api.app.pool.get().await?;
        if is_locked(&client, &msisdn, None).await? {
            return Ok(Err(locked()));
        }
        let found = match Code::parse(&code) {
            Ok(code) => find_with_version(&client, &code, &msisdn).await?,
            Err(_) => None,
        };
        if found.is_none() {
            insert_wrong_code(&client, &msisdn, None).await?;
        }
        Ok::<_, DbError>(found.ok_or_else(Problem::not_found))
    };
    let found = within(&api.app.postgres, ASK_MAX, ask).await??;
    let shown = ReservationShown::new(&found.reservation, found.short_id);
    Answer::new(&shown, now, found.version, CACHE_TTL_SECONDS)
        .map(|answer| answer.send(&request, now))
}

/// Codes are not to be guessed.
fn locked() -> Problem {
    let detail = "too many wrong codes for this number";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "wrong_codes", detail)
        .retry_after(WRONG_CODES_WITHIN.as_secs())
}
