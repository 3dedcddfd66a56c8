//! What the operator looks at while connecting an aggregator. On the private address only: the URLs hold the tokens.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;

use crate::app::App;
use crate::traffic::Seen;
use crate::ussd;

/// One configured aggregator.
#[derive(Serialize)]
struct Aggregator<'a> {
    name: &'a str,
    /// What to enter in its console. Relative unless `public_url` is set.
    urls: Vec<Url>,
    septets_max: usize,
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
            septets_max: aggregator.septets_max().min(app.config.screen_septets),
            seen: app.traffic.seen(name),
        })
    });
    HttpResponse::Ok().json(configured.collect::<Vec<_>>())
}
