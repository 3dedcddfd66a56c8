//! The offline-first REST API below `/v1`, on the public address.
//!
//! Every answer is `{"data": …, "_metadata": {timestamp, version, cache_ttl, checksum}}` ([`answer`]), every refusal a problem
//! of RFC 9457 ([`problem`]). A request shows a key ([`keys`]) whose scopes say what it may do, and is counted ([`rate`]);
//! both before its handler sees it ([`gate`]). A handler takes [`keys::Key`] as an argument and asks it for the scope it
//! needs; it returns `Result<HttpResponse, Problem>`.

pub mod answer;
pub mod changes;
pub mod gate;
pub mod keys;
pub mod manage;
pub mod openapi;
pub mod operations;
pub mod paging;
pub mod places;
pub mod problem;
pub mod properties;
pub mod property;
pub mod rate;
pub mod reservations;
pub mod shared;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, JsonConfig, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{HttpRequest, Resource, Route};
use serde::Deserialize;

use self::keys::Keys;
use self::problem::Problem;
use self::rate::Rates;
use self::shared::Reads;
use crate::app::App;

/// The largest JSON body, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
const READ: [&str; 2] = ["GET", "HEAD"];
/// The longest that a read may be shared.
const SHARED_MS_MAX: u32 = 60_000;
/// How long a browser may remember that a page may ask.
const PREFLIGHT_SECONDS: usize = 600;

/// How the API is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Requests of one key in a minute; 0: as many as it likes. Default 600.
    pub requests_per_minute: u32,
    /// For how many milliseconds a read is shared with others who ask the same, here and at other instances. Default 2,000.
    pub shared_ms: u32,
    /// Origins of web pages that may ask, `https://app.example.com`. Default none.
    pub origins: Vec<String>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig {
            requests_per_minute: 600,
            shared_ms: 2_000,
            origins: Vec::new(),
        }
    }
}

impl ApiConfig {
    /// The setting that is wrong, and why.
    pub fn unsound(&self) -> Option<(&'static str, &'static str)> {
        let is_origin = |origin: &String| {
            let host = origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']))
        };
        if self.shared_ms > SHARED_MS_MAX {
            return Some(("api.shared_ms", "is at most 60000"));
        }
        if !self.origins.iter().all(is_origin) {
            return Some((
                "api.origins",
                "needs origins like https://app.example.com, without a path",
            ));
        }
        None
    }
}

/// What its handlers share.
pub struct Api {
    /// The service.
    pub app: Arc<App>,
    /// Who may ask.
    pub keys: Keys,
    /// How often.
    pub rates: Rates,
    /// What was read lately.
    pub reads: Reads,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(app: Arc<App>) -> Api {
        Api {
            keys: Keys::default(),
            rates: Rates::new(&app.config.api),
            reads: Reads::new(Duration::from_millis(app.config.api.shared_ms.into())),
            app,
        }
    }
}

/// Every URL below `/v1`.
pub fn configure(cfg: &mut ServiceConfig, origins: &[String]) {
    let refused = |error: String| actix_web::Error::from(Problem::bad_request(error));
    cfg.service(
        web::scope("/v1")
            .app_data(
                JsonConfig::default()
                    .limit(BODY_BYTES_MAX)
                    .error_handler(|error, _| problem::of_body(&error).into()),
            )
            .app_data(QueryConfig::default().error_handler(move |error, _| refused(query(&error))))
            .app_data(PathConfig::default().error_handler(|_, _| Problem::not_found().into()))
            .service(at(
                "/operations",
                &["POST"],
                [web::post().to(operations::work)],
            ))
            .service(at("/properties", &READ, [read().to(properties::list)]))
            .service(at(
                "/properties/{property_id}",
                &["GET", "HEAD", "PUT", "PATCH"],
                [
                    read().to(properties::find),
                    web::put().to(manage::put),
                    web::patch().to(manage::patch),
                ],
            ))
            .configure(managed)
            .service(at("/changes", &READ, [read().to(changes::list)]))
            .service(at(
                "/reservations/{code}",
                &READ,
                [read().to(reservations::find)],
            ))
            .service(at("/places", &READ, [read().to(places::list)]))
            .service(at("/openapi.json", &READ, [read().to(openapi::show)]))
            .service(at("/docs", &READ, [read().to(openapi::to_page)]))
            .service(openapi::page())
            .default_service(web::to(nothing_here))
            .wrap(from_fn(gate::admit))
            .wrap(cors(origins))
            .wrap(from_fn(gate::explain))
            .wrap(Compress::default()),
    );
}

/// What hosts and operators write.
fn managed(cfg: &mut ServiceConfig) {
    let path = |rest: &str| format!("/properties/{{property_id}}/{rest}");
    let changed = &["GET", "HEAD", "PUT"];
    cfg.service(at(&path("record"), &READ, [read().to(manage::show)]))
        .service(at(
            &path("property.csv"),
            changed,
            [
                read().to(manage::property_file),
                web::put().to(manage::property_file_change),
            ],
        ))
        .service(at(
            &path("calendar"),
            changed,
            [
                read().to(manage::show_calendar),
                web::put().to(manage::change_calendar),
            ],
        ))
        .service(at(
            &path("calendar.csv"),
            changed,
            [read().to(manage::csv), web::put().to(manage::csv_change)],
        ))
        .service(at(
            &path("calendar.ics"),
            changed,
            [
                read().to(manage::ical_export),
                web::put().to(manage::ical_import),
            ],
        ))
        .service(at(
            &path("feed"),
            &["POST", "DELETE"],
            [
                web::post().to(manage::feed::make),
                web::delete().to(manage::feed::end),
            ],
        ))
        .service(at(
            "/feeds/{secret}.ics",
            &READ,
            [read().to(manage::feed::show)],
        ))
        .service(at(
            &path("events"),
            &READ,
            [read().to(manage::events::list)],
        ))
        .service(at(
            &path("closures"),
            &["GET", "HEAD", "PUT", "DELETE"],
            [
                read().to(manage::closures),
                web::put().to(manage::close),
                web::delete().to(manage::open),
            ],
        ));
}

/// A resource that tells which methods it knows to whoever comes with another.
fn at<const N: usize>(
    path: &str,
    methods: &'static [&'static str],
    routes: [Route; N],
) -> Resource {
    let resource = routes
        .into_iter()
        .fold(web::resource(path), |resource, route| resource.route(route));
    resource.default_service(web::to(move || async move {
        Err::<&str, _>(Problem::method_not_allowed(methods))
    }))
}

/// A route of `GET`, and of `HEAD`, whose body the server leaves out.
fn read() -> Route {
    web::route().guard(actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head()))
}

async fn nothing_here() -> Result<&'static str, Problem> {
    Err(Problem::not_found())
}

fn query(error: &actix_web::error::QueryPayloadError) -> String {
    match error {
        actix_web::error::QueryPayloadError::Deserialize(error) => error.to_string(),
        _ => "the query cannot be read".to_owned(),
    }
}

fn cors(origins: &[String]) -> Cors {
    let cors = origins
        .iter()
        .fold(Cors::default(), |cors, origin| cors.allowed_origin(origin));
    cors.allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers(["authorization", "content-type", "if-none-match", "if-match"])
        .expose_headers([
            "etag",
            "age",
            "retry-after",
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
        ])
        .max_age(PREFLIGHT_SECONDS)
}

/// The whole of a path below `/v1`, for the log: no ids and codes are in it.
fn route(request: &HttpRequest) -> String {
    request
        .match_pattern()
        .unwrap_or_else(|| "unknown".to_owned())
}
