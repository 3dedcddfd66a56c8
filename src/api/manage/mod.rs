//! Property data: what hosts and operators write. All of it goes the way of `reserveflow import`, with its limits and its
//! faults, in one transaction that also says who it was; numbers of versions rise by themselves.

pub mod calendar;
pub mod events;
pub mod feed;
pub mod ical;
pub mod record;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDate;
use deadpool_postgres::{Client, GenericClient, Transaction};
use serde::Serialize;
use serde_json::{Value, json};

pub use self::calendar::{
    Calendar, Closures, Nights, NightsRange, change as change_calendar, close, closures, csv,
    csv_change, open, show as show_calendar,
};
pub use self::ical::{Blocked, SoldTwice, export as ical_export, import as ical_import};
pub use self::record::Record;

use super::Api;
use super::answer::{Answer, Enveloped};
use super::keys::{Key, Scope};
use super::problem::Problem;
use crate::db::inventory::{Files, ImportError, RowError, begin, import_in, property_csv};
use crate::db::properties::{self, Named};
use crate::db::{DbError, catalogue};

/// The most faults that are told.
const FAULTS_MAX: usize = 50;
const CSV: &str = "text/csv; charset=utf-8";

/// The property as its managers see it.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/record", operation_id = "find_record", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")),
    responses((status = 200, description = "As it is now", body = Enveloped<Record>)))]
pub async fn show(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let record = record(&client, &property).await?;
    answer(&api, &client, &record, &request).await
}

/// Makes a property, or replaces all of it.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(put, path = "/v1/properties/{property_id}", operation_id = "put_property", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")), request_body = Record,
    responses((status = 200, description = "Done", body = Enveloped<Record>)))]
pub async fn put(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    record: Json<Record>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    write(&api, &key, &id, &request, |_| Ok(record.into_inner())).await
}

/// Changes some of a property: a merge patch of RFC 7396.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(patch, path = "/v1/properties/{property_id}", operation_id = "patch_property", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")), request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "Done", body = Enveloped<Record>)))]
pub async fn patch(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    changes: Json<Value>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    write(&api, &key, &id, &request, |current| {
        let current = current.ok_or_else(Problem::not_found)?;
        let mut members = serde_json::to_value(current).map_err(|_| Problem::defect())?;
        let Value::Object(changes) = changes.into_inner() else {
            return Err(Problem::bad_request("a patch is an object"));
        };
        for (name, value) in changes {
            members[name] = value;
        }
        serde_json::from_value(members).map_err(|error| Problem::bad_request(error.to_string()))
    })
    .await
}

async fn write(
    api: &Api,
    key: &Key,
    id: &str,
    request: &HttpRequest,
    make: impl FnOnce(Option<Record>) -> Result<Record, Problem>,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Manage)?;
    let mut client = api.app.pool.get().await?;
    let transaction = begin(&mut client, &key.name, "api").await?;
    let before = match properties::find(&transaction, id).await? {
        Some(property) if manages(key, &property) => Some(record(&transaction, &property).await?),
        None if key.host.is_none() => None,
        _ => return Err(Problem::not_found()),
    };
    let after = make(before.clone())?;
    if after.property_id.as_ref().is_some_and(|said| said != id) {
        return Err(Problem::unfit("`property_id` is not that of the URL"));
    }
    let host = |record: &Record| (record.host_phone.clone(), record.host_name.clone());
    if key.host.is_some() && before.as_ref().map(host) != Some(host(&after)) {
        return Err(Problem::unfit(
            "only the operator changes whose a property is",
        ));
    }
    let csv = after.csv(id)?;
    let files = Files {
        properties: Some(&csv),
        ..Files::default()
    };
    apply(api, transaction, files).await?;
    let property = managed(&client, key, id).await?;
    let record = record(&client, &property).await?;
    answer(api, &client, &record, request).await
}

/// The file of a property.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/property.csv", operation_id = "find_property_file", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")),
    responses((status = 200, description = "The file", body = String, content_type = "text/csv")))]
pub async fn property_file(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    let csv = property_csv(&client, property.id).await?;
    Ok(HttpResponse::Ok()
        .content_type(CSV)
        .body(csv.ok_or_else(Problem::not_found)?))
}

/// Reads the file of a property.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(put, path = "/v1/properties/{property_id}/property.csv", operation_id = "put_property_file", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`")), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "Done", body = Enveloped<Record>)))]
pub async fn property_file_change(
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
    let before = managed(&transaction, &key, &id).await?;
    let files = Files {
        properties: Some(&csv),
        ..Files::default()
    };
    apply(&api, transaction, files).await?;
    let record = record(&client, &before).await?;
    answer(&api, &client, &record, &request).await
}

fn of_one_property(csv: &str, id: &str) -> Result<(), Problem> {
    let wrong = |error: csv::Error| Problem::bad_request(error.to_string());
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(csv.as_bytes());
    let place = reader.headers().map_err(wrong)?.iter();
    let place = place.clone().position(|name| name == "property_id");
    for line in reader.records() {
        let line = line.map_err(wrong)?;
        if place.and_then(|place| line.get(place)) != Some(id) {
            return Err(Problem::unfit("`property_id` is not that of the URL"));
        }
    }
    Ok(())
}

/// Whether a key may change a property.
fn manages(key: &Key, property: &Named) -> bool {
    key.host.is_none_or(|host| host == property.host)
}

/// A property that this key may change. One of another host is not there for it.
async fn managed(client: &impl GenericClient, key: &Key, id: &str) -> Result<Named, Problem> {
    key.needs(Scope::Manage)?;
    let found = properties::find(client, id).await?;
    found
        .filter(|property| manages(key, property))
        .ok_or_else(Problem::not_found)
}

async fn record(client: &impl GenericClient, property: &Named) -> Result<Record, Problem> {
    let csv = property_csv(client, property.id).await?;
    Record::of_csv(&csv.ok_or_else(Problem::not_found)?)
}

/// Changes what the files say, all of it or nothing.
async fn apply(api: &Api, transaction: Transaction<'_>, files: Files<'_>) -> Result<(), Problem> {
    let today = api.app.clock.now().date_naive();
    match import_in(&transaction, files, today).await {
        Ok(_) => Ok(transaction.commit().await.map_err(DbError::from)?),
        Err(ImportError::Db(error)) => Err(error.into()),
        Err(ImportError::Rows(faults)) => Err(unfit(&faults)),
    }
}

fn unfit(faults: &[RowError]) -> Problem {
    let shown = faults.iter().take(FAULTS_MAX).map(|fault| {
        // The first line is the header's.
        json!({"member": fault.column, "row": fault.line.saturating_sub(2), "why": fault.message})
    });
    let detail = faults
        .first()
        .map(|fault| format!("{}: {}", fault.column, fault.message));
    Problem::unfit(detail.unwrap_or_default()).with("faults", shown.collect::<Vec<_>>())
}

/// Sends data under the number of the last change.
async fn answer(
    api: &Api,
    client: &Client,
    data: &impl Serialize,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    catalogue::number_changes(client).await?;
    let version = properties::last_version(client).await?;
    let now = api.app.clock.now();
    Ok(Answer::new(data, now, version, 0)?.send(request, now))
}

/// The nights of a query, both included.
#[derive(Debug, Clone, Copy, serde::Deserialize, utoipa::ToSchema, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// The first night.
    from: NaiveDate,
    /// The last night.
    to: NaiveDate,
}

impl Span {
    /// The first night, and the day after the last.
    fn bounds(self) -> Result<(NaiveDate, NaiveDate), Problem> {
        let days = (self.to - self.from).num_days();
        if !(0..SPAN_DAYS_MAX).contains(&days) {
            let detail =
                format!("`to` is at most {SPAN_DAYS_MAX} days from `from`, and not before it");
            return Err(Problem::unfit(detail));
        }
        self.to
            .succ_opt()
            .map(|past| (self.from, past))
            .ok_or_else(|| Problem::unfit("`to` is no date of ours"))
    }
}

/// The most nights of one request.
const SPAN_DAYS_MAX: i64 = 400;
