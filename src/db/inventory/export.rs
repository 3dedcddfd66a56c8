//! A property and its nights as the files that [`super::import`] reads.

use chrono::{NaiveDate, NaiveTime};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fees::{self, Fee};
use super::sheet::write_price;
use super::{nights, properties};
use crate::booking::money::Currency;
use crate::db::{DbError, read_currency};

/// A property as a file with its header and one line. `None`: there is none with this id.
///
/// # Errors
/// [`DbError`].
pub async fn property_csv(
    client: &impl GenericClient,
    id: Uuid,
) -> Result<Option<String>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.*, h.name as host_name, h.msisdn as host_phone
             from property p join host h on h.host_id = p.host_id where p.property_id = $1",
        )
        .await?;
    let Some(row) = client.query_opt(&statement, &[&id]).await? else {
        return Ok(None);
    };
    let currency = read_currency(&row)?;
    let header = properties::COLUMNS.iter().chain(&properties::OPTIONAL);
    let cells = header
        .clone()
        .map(|column| property_cell(&row, column, currency))
        .collect::<Result<Vec<_>, DbError>>()?;
    Ok(Some(sheet(header, [cells])?))
}

fn property_cell(row: &Row, column: &str, currency: Currency) -> Result<String, DbError> {
    Ok(match column {
        "property_id" => row.try_get("short_id")?,
        "area" => row
            .try_get::<_, Option<String>>("area")?
            .unwrap_or_default(),
        "price_per_night" => {
            let price: i32 = row.try_get("price_base")?;
            write_price(price.into(), currency)
        }
        "check_in_time" => {
            let time: NaiveTime = row.try_get(column)?;
            time.format("%H:%M").to_string()
        }
        "fees" => {
            let stored: serde_json::Value = row.try_get(column)?;
            let fees: Vec<Fee> =
                serde_json::from_value(stored).map_err(|error| DbError::Refused(error.into()))?;
            fees::write(&fees, currency)
        }
        "open" | "pay_at_lodge_too" => yes_or_no(row.try_get(column)?),
        "min_stay" | "max_stay" | "unpaid_percent" | "deposit_percent" => {
            row.try_get::<_, i16>(column)?.to_string()
        }
        "units" | "guests_max" | "hold_minutes" | "by_hand_minutes" | "cancel_hours"
        | "advance_hours_min" | "advance_days_max" => row.try_get::<_, i32>(column)?.to_string(),
        "no_show_hours" => {
            let hours: Option<i32> = row.try_get(column)?;
            hours.unwrap_or_default().to_string()
        }
        _ => row.try_get(column)?,
    })
}

/// The nights of a property from `first` to before `past`, a line each: what is its own is said, what follows the property
/// is left empty.
///
/// # Errors
/// [`DbError`].
pub async fn nights_csv(
    client: &impl GenericClient,
    id: Uuid,
    first: NaiveDate,
    past: NaiveDate,
) -> Result<String, DbError> {
    let statement = client
        .prepare_cached(
            "select p.short_id, p.currency, a.date, a.available_units + a.out_of_service as units, a.own_units,
                    a.price_base, a.own_price, a.surge_multiplier::text as surge, a.closed, a.out_of_service,
                    a.min_stay, a.max_stay, a.closed_to_arrival, a.closed_to_departure
             from property p join property_availability a on a.property_id = p.property_id
             where p.property_id = $1 and a.date >= $2 and a.date < $3 order by a.date",
        )
        .await?;
    let rows = client.query(&statement, &[&id, &first, &past]).await?;
    let header = nights::COLUMNS.iter().chain(&nights::OPTIONAL);
    let lines = rows
        .iter()
        .map(|row| {
            header
                .clone()
                .map(|column| night_cell(row, column))
                .collect::<Result<Vec<_>, DbError>>()
        })
        .collect::<Result<Vec<_>, DbError>>()?;
    sheet(header, lines)
}

fn night_cell(row: &Row, column: &str) -> Result<String, DbError> {
    let number = |value: Option<i16>| value.map(|value| value.to_string()).unwrap_or_default();
    Ok(match column {
        "property_id" => row.try_get("short_id")?,
        "from" | "to" => row.try_get::<_, NaiveDate>("date")?.to_string(),
        "available_units" if row.try_get("own_units")? => {
            row.try_get::<_, i32>("units")?.to_string()
        }
        "price_per_night" if row.try_get("own_price")? => {
            let price: i32 = row.try_get("price_base")?;
            write_price(price.into(), read_currency(row)?)
        }
        "available_units" | "price_per_night" => String::new(),
        "out_of_service" => row.try_get::<_, i32>(column)?.to_string(),
        "min_stay" | "max_stay" => number(row.try_get(column)?),
        "surge" => row.try_get(column)?,
        _ => yes_or_no(row.try_get(column)?),
    })
}

fn yes_or_no(yes: bool) -> String {
    (if yes { "yes" } else { "no" }).to_owned()
}

fn sheet<'a>(
    header: impl Iterator<Item = &'a &'static str>,
    lines: impl IntoIterator<Item = Vec<String>>,
) -> Result<String, DbError> {
    let refused = |error: csv::Error| DbError::Refused(error.into());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(refused)?;
    for line in lines {
        writer.write_record(line).map_err(refused)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| DbError::Refused(error.into_error().into()))?;
    String::from_utf8(bytes).map_err(|error| DbError::Refused(error.into()))
}
