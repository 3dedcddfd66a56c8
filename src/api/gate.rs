//! What happens to a request before its handler, and to an answer after it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, STRICT_TRANSPORT_SECURITY};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, ResponseError};

use super::keys::{Key, shown};
use super::problem::{self, Problem};
use super::rate::Left;
use super::{Api, route};
use crate::webhook::address::source;

/// Two years. Source: hstspreload.org; browsers heed it over TLS only.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
/// What can be read without a key.
const OPEN: [&str; 2] = ["/v1/openapi.json", "/v1/docs"];
/// What is read by a secret in its URL.
const SECRET: &str = "/v1/feeds/";

/// Lets pass whoever shows a key that is valid and does not ask too often.
///
/// # Errors
/// What the handler failed with.
pub async fn admit(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if OPEN.iter().any(|open| request.path().starts_with(open)) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    if request.path().starts_with(SECRET) {
        let address = address(&api, &request);
        let response = next.call(request).await?.map_into_boxed_body();
        // As with keys that nobody knows.
        return Ok(match response.status() {
            StatusCode::NOT_FOUND => match api.rates.take_stranger(address) {
                Ok(()) => response,
                Err(left) => {
                    let problem = Problem::too_many_requests(left.reset_seconds());
                    ServiceResponse::new(response.into_parts().0, problem.error_response())
                }
            },
            _ => response,
        });
    }
    match check(&api, &request).await {
        Ok((key, left)) => {
            request.extensions_mut().insert(key);
            let mut response = next.call(request).await?.map_into_boxed_body();
            if let Some(left) = left {
                left.tell(response.headers_mut());
            }
            Ok(response)
        }
        Err((problem, left)) => {
            let mut response = request.into_response(problem.error_response());
            if let Some(left) = left {
                left.tell(response.headers_mut());
            }
            Ok(response)
        }
    }
}

async fn check(
    api: &Api,
    request: &ServiceRequest,
) -> Result<(Arc<Key>, Option<Left>), (Problem, Option<Left>)> {
    let too_many = |left: Left| (Problem::too_many_requests(left.reset_seconds()), Some(left));
    let Some(hash) = shown(request.headers()) else {
        return Err((Problem::unknown_key(), None));
    };
    if !api.keys.is_known(&hash) {
        let address = address(api, request);
        api.rates.take_stranger(address).map_err(too_many)?;
    }
    let found = api.keys.find(&api.app, hash).await;
    let Some(key) = found.map_err(|problem| (problem, None))? else {
        return Err((Problem::unknown_key(), None));
    };
    let left = api.rates.take(key.id).map_err(too_many)?;
    Ok((key, left))
}

/// Those behind a proxy that does not tell their address are one.
fn address(api: &Api, request: &ServiceRequest) -> IpAddr {
    let lines: Vec<_> = request
        .headers()
        .get_all("x-forwarded-for")
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    let proxies = &api.app.config.trusted_proxies;
    let peer = request.peer_addr();
    let known = peer.and_then(|peer| source(peer.ip(), &lines, proxies));
    known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Makes a problem of every refusal that is not one yet, and counts.
///
/// # Errors
/// None: an error is told as its response.
pub async fn explain(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(problem::CONTENT_TYPE.as_bytes())
    });
    if (status.is_client_error() || status.is_server_error()) && !is_problem {
        let (request, _) = response.into_parts();
        let problem = Problem::of_status(status).error_response();
        response = ServiceResponse::new(request, problem);
    }
    let headers = response.headers_mut();
    headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    let labels = [
        ("route", route(response.request())),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!("api_requests_total", &labels).increment(1);
    Ok(response)
}
