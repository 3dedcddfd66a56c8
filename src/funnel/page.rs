//! `GET /private/funnel`: how far callers come, for whoever writes the menus.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use chrono::{Days, NaiveDate};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::db::DbError;
use crate::db::funnel::{By, Screen, Wanted, list};
use crate::jobs::funnel::flush;

/// The most screens of an answer.
const SCREENS_MAX: usize = 10_000;
/// Days looked at when none are named.
const DAYS: u64 = 7;
/// What is told apart when nothing is named.
const BY: &str = "version,aggregator,operator,language";

/// Which part of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    flow: Option<String>,
    aggregator: Option<String>,
    version: Option<String>,
    language: Option<String>,
    by: Option<String>,
}

/// Of the days `from` to `to`, by default the last week: each screen of the flow with what became of it. What this
/// instance has counted up to now is in it, of the others what they had a minute ago.
pub async fn show(app: Data<App>, asked: Query<Asked>) -> HttpResponse {
    let Some(by) = by(asked.by.as_deref().unwrap_or(BY)) else {
        return HttpResponse::BadRequest()
            .body(format!("by= names some of day,{BY}, joined by commas\n"));
    };
    let today = app.local_time(app.config.home()).today;
    let to = asked.to.unwrap_or(today);
    let from = asked
        .from
        .or(to.checked_sub_days(Days::new(DAYS - 1)))
        .unwrap_or(to);
    let wanted = Wanted {
        days: (from, to),
        flow: asked.flow.as_deref(),
        aggregator: asked.aggregator.as_deref(),
        version: asked.version.as_deref(),
        language: asked.language.as_deref(),
        by,
    };
    match look(&app, &wanted).await {
        Ok(screens) => HttpResponse::Ok().json(json!({
            "from": from,
            "to": to,
            "screens": screens,
        })),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "how far callers came could not be read");
            HttpResponse::ServiceUnavailable().body("the database does not answer\n")
        }
    }
}

async fn look(app: &App, wanted: &Wanted<'_>) -> Result<Vec<Screen>, DbError> {
    flush(app).await?;
    let most = i64::try_from(SCREENS_MAX).unwrap_or(i64::MAX);
    list(&app.pool.get().await?, wanted, most).await
}

fn by(names: &str) -> Option<By> {
    let mut by = By {
        day: false,
        version: false,
        aggregator: false,
        operator: false,
        language: false,
    };
    for name in names.split(',').map(str::trim) {
        match name {
            "day" => by.day = true,
            "version" => by.version = true,
            "aggregator" => by.aggregator = true,
            "operator" => by.operator = true,
            "language" => by.language = true,
            // Flow and screen are always told apart.
            "" | "flow" | "screen" => {}
            _ => return None,
        }
    }
    Some(by)
}
