//! The nights of a property: ranges as JSON and as CSV, and what is closed.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::{price, sheet, yes_or_no};
use super::{CSV, Enveloped, Span, answer, apply, managed, of_one_property};
use crate::api::Api;
use crate::api::keys::{Key, Scope};
use crate::api::problem::Problem;
use crate::db::archive::list_archived;
use crate::db::inventory::{Files, begin, nights_csv};
use crate::db::properties::{self, ManagedNight, Named};

/// The most ranges of one request.
const RANGES_MAX: usize = 400;

/// Changes of nights.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nights {
    /// At most 400; a later one goes over an earlier one.
    #[schema(max_items = 400)]
    pub nights: Vec<NightsRange>,
}

/// What some nights get. What is left out stays as it is.
#[derive(Debug, Default, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NightsRange {
    /// The first night.
    pub from: NaiveDate,
    /// The last night.
    pub to: NaiveDate,
    /// Units for rent on them, whatever the property has.
    #[serde(default)]
    pub available_units: Option<i32>,
    /// The price of one unit, in minor units, whatever the property's is.
    #[serde(default)]
    pub price_minor: Option<i64>,
    /// The price is so many hundredths of itself, 50 to 300.
    #[serde(default)]
    #[schema(minimum = 50, maximum = 300)]
    pub surge_hundredths: Option<i32>,
    /// Nothing is sold.
    #[serde(default)]
    pub closed: Option<bool>,
    /// Units that cannot be slept in.
    #[serde(default)]
    pub out_of_service: Option<i32>,
    /// Of stays that arrive on these nights.
    #[serde(default)]
    pub min_stay: Option<i32>,
    /// Of stays that arrive on these nights.
    #[serde(default)]
    pub max_stay: Option<i32>,
    /// Nobody arrives.
    #[serde(default)]
    pub closed_to_arrival: Option<bool>,
    /// Nobody leaves.
    #[serde(default)]
    pub closed_to_departure: Option<bool>,
}

impl NightsRange {
    fn cells(&self, property: &Named) -> [(&'static str, String); 12] {
        let number = |value: Option<i32>| value.map(|value| value.to_string()).unwrap_or_default();
        let price = |minor| price(minor, property.currency.code());
        let surge = |hundredths: i32| {
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            format!("{whole}.{rest:02}")
        };
        [
            ("property_id", property.short_id.clone()),
            ("from", self.from.to_string()),
            ("to", self.to.to_string()),
            ("available_units", number(self.available_units)),
            (
                "price_per_night",
                self.price_minor.map(price).unwrap_or_default(),
            ),
            (
                "surge",
                self.surge_hundredths.map(surge).unwrap_or_default(),
            ),
            ("closed", yes_or_no(self.closed)),
            ("out_of_service", number(self.out_of_service)),
            ("min_stay", number(self.min_stay)),
            ("max_stay", number(self.max_stay)),
            ("closed_to_arrival", yes_or_no(self.closed_to_arrival)),
            ("closed_to_departure", yes_or_no(self.closed_to_departure)),
        ]
    }
}

/// The nights of a property as its managers see them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calendar {
    /// By date.
    pub nights: Vec<ManagedNight>,
    /// Months of these nights, `2025-10`, that are in cold storage: their nights are not here any more.
    pub archived: Vec<String>,
}

/// Answers with the nights of a property.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/calendar", operation_id = "find_calendar", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), Span),
    responses((status = 200, description = "As it is now", body = Enveloped<Calendar>)))]
pub async fn show(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    span: Query<Span>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let calendar = calendar(&client, &property, span.into_inner()).await?;
    answer(&api, &client, &calendar, &request).await
}

async fn calendar(
    client: &deadpool_postgres::Client,
    property: &Named,
    span: Span,
) -> Result<Calendar, Problem> {
    let (first, past) = span.bounds()?;
    let nights = properties::list_nights(client, property.id, first, past).await?;
    let archived = list_archived(client).await?;
    let archived = archived
        .iter()
        .filter(|month| month.month < past && month.past() > first)
        .map(|month| month.month.format("%Y-%m").to_string());
    Ok(Calendar {
        nights,
        archived: archived.collect(),
    })
}

/// Changes nights of a property, all that is said or nothing; answers with those from the first to the last.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(put, path = "/v1/properties/{property_id}/calendar", operation_id = "put_calendar", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")), request_body = Nights,
    responses((status = 200, description = "Done", body = Enveloped<Calendar>)))]
pub async fn change(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    changes: Json<Nights>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ranges = changes.into_inner().nights;
    write(&api, &key, &id, &ranges, &request).await
}

async fn write(
    api: &Api,
    key: &Key,
    id: &str,
    ranges: &[NightsRange],
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Manage)?;
    let first = ranges.iter().map(|range| range.from).min();
    let last = ranges.iter().map(|range| range.to).max();
    let (Some(from), Some(to), 1..=RANGES_MAX) = (first, last, ranges.len()) else {
        let detail = format!("1 to {RANGES_MAX} ranges are changed at a time");
        return Err(Problem::unfit(detail));
    };
    let span = Span { from, to };
    span.bounds()?;
    let mut client = api.app.pool.get().await?;
    let transaction = begin(&mut client, &key.name, "api").await?;
    let property = managed(&transaction, key, id).await?;
    let csv = sheet(ranges.iter().map(|range| range.cells(&property)))?;
    let files = Files {
        nights: Some(&csv),
        ..Files::default()
    };
    apply(api, transaction, files).await?;
    let calendar = calendar(&client, &property, span).await?;
    answer(api, &client, &calendar, request).await
}

/// The nights of a property as the file that the import reads.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/calendar.csv", operation_id = "find_calendar_file", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), Span),
    responses((status = 200, description = "The file", body = String, content_type = "text/csv")))]
pub async fn csv(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    span: Query<Span>,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let (first, past) = span.bounds()?;
    let csv = nights_csv(&client, property.id, first, past).await?;
    Ok(HttpResponse::Ok().content_type(CSV).body(csv))
}

/// Reads such a file.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(put, path = "/v1/properties/{property_id}/calendar.csv", operation_id = "put_calendar_file", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "Done", body = Enveloped<Calendar>)))]
pub async fn csv_change(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    csv: String,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Manage)?;
    of_one_property(&csv, &id)?;
    let mut client = api.app.pool.get().await?;
    let transaction = begin(&mut client, &key.name, "api").await?;
    managed(&transaction, &key, &id).await?;
    let files = Files {
        nights: Some(&csv),
        ..Files::default()
    };
    apply(&api, transaction, files).await?;
    let lines = csv::Reader::from_reader(csv.as_bytes()).records().count();
    answer(
        &api,
        &client,
        &serde_json::json!({"lines": lines}),
        &request,
    )
    .await
}

/// Ranges of nights that are closed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Closures {
    /// By date.
    pub closures: Vec<Closure>,
}

/// Nights on which nothing is sold.
#[derive(Debug, Serialize, ToSchema)]
pub struct Closure {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

/// Answers with what is closed of a property.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/closures", operation_id = "list_closures", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), Span),
    responses((status = 200, description = "As it is now", body = Enveloped<Closures>)))]
pub async fn closures(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    span: Query<Span>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let (first, past) = span.bounds()?;
    let nights = properties::list_nights(&client, property.id, first, past).await?;
    let closed = nights.iter().filter(|night| night.closed);
    let closures = ranges(closed.map(|night| night.date))
        .into_iter()
        .map(|(from, to)| Closure { from, to });
    let closures = Closures {
        closures: closures.collect(),
    };
    answer(&api, &client, &closures, &request).await
}

/// Closes nights. Guests who have booked them keep them.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(put, path = "/v1/properties/{property_id}/closures", operation_id = "close_nights", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")), request_body = Span,
    responses((status = 200, description = "Done", body = Enveloped<Calendar>)))]
pub async fn close(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    span: Json<Span>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    write(&api, &key, &id, &[closed(*span, true)], &request).await
}

/// Opens nights.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(delete, path = "/v1/properties/{property_id}/closures", operation_id = "open_nights", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), Span),
    responses((status = 200, description = "Done", body = Enveloped<Calendar>)))]
pub async fn open(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    span: Query<Span>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    write(&api, &key, &id, &[closed(*span, false)], &request).await
}

fn closed(span: Span, closed: bool) -> NightsRange {
    NightsRange {
        from: span.from,
        to: span.to,
        closed: Some(closed),
        ..NightsRange::default()
    }
}

/// Dates that follow each other, as their first and last.
pub(super) fn ranges(dates: impl Iterator<Item = NaiveDate>) -> Vec<(NaiveDate, NaiveDate)> {
    let mut ranges: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for date in dates {
        match ranges.last_mut() {
            Some((_, last)) if last.succ_opt() == Some(date) => *last = date,
            _ => ranges.push((date, date)),
        }
    }
    ranges
}
