//! What the operator looks at: aggregators while connecting them, menus while changing them. On the private address
//! only: URLs hold tokens.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::smpp::link::Health;
use crate::traffic::Seen;
use crate::ussd::smpp::Smpp;
use crate::ussd::{self, Aggregator as _};

/// One configured aggregator.
#[derive(Serialize)]
struct Aggregator<'a> {
    name: &'a str,
    /// What to enter in its console. Relative unless `public_url` is set.
    urls: Vec<Url>,
    septets_max: usize,
    /// Of an SMSC, which posts nothing: its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    smpp: Option<Health>,
    #[serde(flatten)]
    seen: Seen,
}

#[derive(Serialize)]
struct Url {
    label: &'static str,
    url: String,
}

/// `GET /private/aggregators`: for each configured one its URLs, its last call and its last error.
pub async fn aggregators(app: Data<App>) -> HttpResponse {
    let configured = app.accounts.iter().filter_map(|(name, account)| {
        let aggregator = ussd::find(name)?;
        let urls = aggregator.urls().iter().map(|(label, rest)| Url {
            label,
            url: format!("{}{rest}", account.url),
        });
        Some(Aggregator {
            name,
            urls: urls.collect(),
            septets_max: app.doors.find(name, None).septets_max,
            smpp: None,
            seen: app.traffic.seen(name),
        })
    });
    let links = app.links.iter().map(|(name, link)| Aggregator {
        name,
        urls: Vec::new(),
        septets_max: app.doors.find(Smpp.name(), None).septets_max,
        smpp: Some(link.health()),
        seen: app.traffic.seen(name),
    });
    HttpResponse::Ok().json(configured.chain(links).collect::<Vec<_>>())
}

/// `GET /private/menus`: the version that dialogues begin in, earlier ones that some are still in, and why changed files
/// did not go live.
pub async fn menus(app: Data<App>) -> HttpResponse {
    let current = app.menus.current_files();
    HttpResponse::Ok().json(json!({
        "version": current.menus.version,
        "since": current.since,
        "earlier": app.menus.earlier(),
        "refused": app.menus.refusal(),
    }))
}
