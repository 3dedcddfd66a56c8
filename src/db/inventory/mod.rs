//! Import of places, properties and calendar overrides from CSV: all of it or, with the list of every wrong row,
//! nothing. Importing the same files again changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use chrono::NaiveDate;
use deadpool_postgres::{Client, GenericClient, Transaction};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::partitions::first_night;
use super::{DbError, begin_unhurried};

mod export;
mod fees;
mod nights;
mod places;
mod properties;
mod sheet;

pub use export::{nights_csv, property_csv};
use nights::Override;
use places::Place;
use properties::Property;
use sheet::Fault;
pub(crate) use sheet::{read_price, write_price};

/// The most wrong rows that are shown; the others are counted.
const ROWS_SHOWN_MAX: usize = 100;
/// Longest run of one statement of an import.
const LIMIT: Duration = Duration::from_secs(60);

/// The texts of the files to import; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// `place_id,kind,town,name,country,region,latitude,longitude,popularity,aliases`; aliases separated by `|`.
    pub places: Option<&'a str>,
    /// `property_id,host_name,host_phone,name,kind,town,area,landmark,units,guests_max,price_per_night,currency,`
    /// `hold_minutes,phone,check_in_time,cancel_hours,pay`, and where wanted `min_stay,max_stay,advance_hours_min,`
    /// `advance_days_max,unpaid_percent,fees,open,deposit_percent,pay_at_lodge_too,by_hand_minutes,no_show_hours`.
    pub properties: Option<&'a str>,
    /// `property_id,from,to,available_units,price_per_night,surge`, and where wanted `closed,out_of_service,min_stay,`
    /// `max_stay,closed_to_arrival,closed_to_departure`: `to` is included, an empty cell leaves it as it is, a later row
    /// goes over an earlier one.
    pub nights: Option<&'a str>,
}

/// How many rows of each kind were imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Rows of places.
    pub places: usize,
    /// Rows of properties.
    pub properties: usize,
    /// Nights that overrides name.
    pub nights: usize,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Every wrong row.
    #[error("{}", Listed(.0))]
    Rows(Vec<RowError>),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<tokio_postgres::Error> for ImportError {
    fn from(error: tokio_postgres::Error) -> ImportError {
        ImportError::Db(error.into())
    }
}

/// What is wrong with one cell, or with a whole file at line 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, {column}: {message}")]
pub struct RowError {
    /// `places`, `properties` or `nights`.
    pub file: &'static str,
    /// Counted from 1, the header's line.
    pub line: u64,
    /// The column's name.
    pub column: String,
    /// A sentence.
    pub message: String,
}

struct Listed<'a>(&'a [RowError]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was imported, {} faults:", self.0.len())?;
        for error in self.0.iter().take(ROWS_SHOWN_MAX) {
            write!(f, "\n{error}")?;
        }
        match self.0.len().saturating_sub(ROWS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Imports `files` in one transaction. The months must exist; nights before yesterday are left alone.
///
/// # Errors
/// [`ImportError::Rows`] lists every wrong row; in any case nothing is written.
pub async fn import(
    client: &mut Client,
    files: Files<'_>,
    today: NaiveDate,
) -> Result<Imported, ImportError> {
    let transaction = begin(client, "operator", "import").await?;
    let imported = import_in(&transaction, files, today).await?;
    transaction.commit().await?;
    Ok(imported)
}

/// Begins a transaction of changes that somebody makes by some channel; one at a time.
///
/// # Errors
/// [`DbError`].
pub async fn begin<'a>(
    client: &'a mut Client,
    who: &str,
    channel: &str,
) -> Result<Transaction<'a>, DbError> {
    let transaction = begin_unhurried(client, LIMIT).await?;
    // In a statement of its own: what is read next must be newer than the lock.
    transaction
        .query(
            "select lock_calendar(), changed_by($1, $2)",
            &[&who, &channel],
        )
        .await?;
    Ok(transaction)
}

/// [`import`] in a transaction that was begun by [`begin`].
///
/// # Errors
/// As [`import`]; the transaction is to be rolled back.
pub async fn import_in(
    transaction: &Transaction<'_>,
    files: Files<'_>,
    today: NaiveDate,
) -> Result<Imported, ImportError> {
    let known = Known::load(transaction).await?;

    let mut faults = Vec::new();
    let places = places::read(files.places, &known.places, &mut faults);
    let known = known.with_places(&places);
    let properties = properties::read(
        files.properties,
        &known.places,
        &known.properties,
        &mut faults,
    );
    let known = known.with_properties(&properties);
    let calendar = Calendar {
        first: first_night(today),
        past: known.calendar_end.unwrap_or(today),
    };
    let overrides = nights::read(files.nights, &known.properties, calendar, &mut faults);
    let sold = lock_nights(transaction, &properties, &overrides, calendar.first).await?;
    check_sold(&sold, &properties, &overrides, &mut faults);
    if !faults.is_empty() {
        return Err(ImportError::Rows(faults));
    }

    write_places(transaction, &places).await?;
    write_properties(transaction, &properties).await?;
    write_nights(transaction, &properties, &overrides, calendar.first).await?;
    Ok(Imported {
        places: places.len(),
        properties: properties.len(),
        nights: overrides.len(),
    })
}

/// The nights that an import may name: from `first` to before `past`.
#[derive(Debug, Clone, Copy)]
struct Calendar {
    first: NaiveDate,
    past: NaiveDate,
}

/// What rows may refer to: what is stored, and what the files before them bring.
struct Known {
    places: HashMap<String, KnownPlace>,
    /// Currency by short id.
    properties: HashMap<String, String>,
    calendar_end: Option<NaiveDate>,
}

#[derive(Debug, Clone)]
struct KnownPlace {
    /// `None` for a town.
    town: Option<String>,
    country: String,
}

impl Known {
    async fn load(client: &impl GenericClient) -> Result<Known, DbError> {
        let places = client
            .query("select place_id, town, country from place", &[])
            .await?;
        let properties = client
            .query("select short_id, currency from property", &[])
            .await?;
        let end = client.query_one("select calendar_end()", &[]).await?;
        Ok(Known {
            places: places
                .iter()
                .map(|row| {
                    let place = KnownPlace {
                        town: row.get("town"),
                        country: row.get("country"),
                    };
                    (row.get("place_id"), place)
                })
                .collect(),
            properties: properties
                .iter()
                .map(|row| (row.get("short_id"), row.get("currency")))
                .collect(),
            calendar_end: end.get(0),
        })
    }

    fn with_places(mut self, places: &[Place]) -> Known {
        self.places.extend(places.iter().map(|place| {
            let known = KnownPlace {
                town: place.town.clone(),
                country: place.country.clone(),
            };
            (place.place_id.clone(), known)
        }));
        self
    }

    fn with_properties(mut self, properties: &[Property]) -> Known {
        self.properties.extend(
            properties
                .iter()
                .map(|property| (property.short_id.clone(), property.currency.clone())),
        );
        self
    }
}

type Night = (String, NaiveDate);

/// A night that this import may change.
struct Sold {
    night: Night,
    reserved_units: i32,
    available_units: i32,
    out_of_service: i32,
    overbooked: i32,
    own_units: bool,
}

/// Locks the stored nights that the import may change, in the order of every other lock on nights.
async fn lock_nights(
    transaction: &Transaction<'_>,
    properties: &[Property],
    overrides: &BTreeMap<Night, Override>,
    first: NaiveDate,
) -> Result<Vec<Sold>, DbError> {
    let rows = transaction
        .query(
            "select p.short_id, a.date, a.reserved_units, a.available_units, a.out_of_service, a.overbooked,
                    a.own_units
             from property p
             left join jsonb_to_recordset($1) as n (short_id text, units integer, price_base integer)
                    on n.short_id = p.short_id
             join property_availability a on a.property_id = p.property_id and a.date >= $3
             where (not a.own_units and a.available_units <> n.units - a.out_of_service)
                or (not a.own_price and a.price_base <> n.price_base)
                or (p.short_id, a.date) in
                   (select o.short_id, o.date from jsonb_to_recordset($2) as o (short_id text, date date))
             order by a.property_id, a.date
             for no key update of a",
            &[&rows_of(properties)?, &rows_of(overrides.values())?, &first],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Sold {
            night: (row.get("short_id"), row.get("date")),
            reserved_units: row.get("reserved_units"),
            available_units: row.get("available_units"),
            out_of_service: row.get("out_of_service"),
            overbooked: row.get("overbooked"),
            own_units: row.get("own_units"),
        })
        .collect())
}

/// No night may have fewer units than are sold.
fn check_sold(
    sold: &[Sold],
    properties: &[Property],
    overrides: &BTreeMap<Night, Override>,
    faults: &mut Vec<RowError>,
) {
    let units: HashMap<&str, &Property> = properties
        .iter()
        .map(|property| (property.short_id.as_str(), property))
        .collect();
    for night in sold {
        let own = overrides.get(&night.night);
        let property = units
            .get(night.night.0.as_str())
            .filter(|_| !night.own_units);
        let units = own
            .and_then(|own| own.available_units)
            .or(property.map(|property| property.units))
            .unwrap_or(night.available_units + night.out_of_service - night.overbooked);
        let broken = own.and_then(|own| own.out_of_service);
        let left = units - broken.unwrap_or(night.out_of_service);
        if left >= night.reserved_units {
            continue;
        }
        let (file, line, column) = match (own, property) {
            (Some(own), _) if own.available_units.is_some() => {
                ("nights", own.line, "available_units")
            }
            (Some(own), _) if own.out_of_service.is_some() => {
                ("nights", own.line, "out_of_service")
            }
            (_, Some(property)) => ("properties", property.line, "units"),
            _ => continue,
        };
        let message = format!(
            "{} are sold on {}, more than {left}",
            night.reserved_units, night.night.1
        );
        faults.push(Fault::at(file, line, column, message));
    }
}

async fn write_places(transaction: &Transaction<'_>, places: &[Place]) -> Result<(), DbError> {
    transaction
        .execute(
            "insert into place (place_id, kind, town, name, country, region, latitude, longitude, popularity, aliases)
             select place_id, kind, town, name, country, region, latitude, longitude, popularity, aliases
             from jsonb_to_recordset($1) as r (place_id text, kind text, town text, name text, country text,
                 region text, latitude double precision, longitude double precision, popularity integer,
                 aliases text[])
             on conflict (place_id) do update set kind = excluded.kind, town = excluded.town, name = excluded.name,
                 country = excluded.country, region = excluded.region, latitude = excluded.latitude,
                 longitude = excluded.longitude, popularity = excluded.popularity, aliases = excluded.aliases",
            &[&rows_of(places)?],
        )
        .await?;
    Ok(())
}

async fn write_properties(
    transaction: &Transaction<'_>,
    properties: &[Property],
) -> Result<(), DbError> {
    let hosts: BTreeMap<&str, serde_json::Value> = properties
        .iter()
        .map(|property| {
            let host = json!({
                "host_id": Uuid::now_v7(),
                "name": property.host_name,
                "msisdn": property.host_msisdn,
                "language": property.host_language,
            });
            (property.host_msisdn.as_str(), host)
        })
        .collect();
    transaction
        .execute(
            "insert into host (host_id, name, msisdn, language)
             select host_id, name, msisdn, language
             from jsonb_to_recordset($1) as r (host_id uuid, name text, msisdn text, language text)
             on conflict (msisdn) do update set name = excluded.name",
            &[&rows_of(hosts.values())?],
        )
        .await?;
    transaction
        .execute(
            "insert into property (property_id, short_id, host_id, town, area, name, kind, landmark, units, guests_max,
                 price_base, currency, time_zone, check_in_time, cancel_hours, pay, hold_minutes, phone)
             select r.property_id, r.short_id, h.host_id, r.town, r.area, r.name, r.kind, r.landmark, r.units,
                 r.guests_max, r.price_base, r.currency, r.time_zone, r.check_in_time, r.cancel_hours, r.pay,
                 r.hold_minutes, r.phone
             from jsonb_to_recordset($1) as r (property_id uuid, short_id text, host_msisdn text, town text, area text,
                 name text, kind text, landmark text, units integer, guests_max integer, price_base integer,
                 currency text, time_zone text, check_in_time time, cancel_hours integer, pay text,
                 hold_minutes integer, phone text)
             join host h on h.msisdn = r.host_msisdn
             on conflict (short_id) do update set host_id = excluded.host_id, town = excluded.town,
                 area = excluded.area, name = excluded.name, kind = excluded.kind, landmark = excluded.landmark,
                 units = excluded.units, guests_max = excluded.guests_max, price_base = excluded.price_base,
                 currency = excluded.currency, time_zone = excluded.time_zone,
                 check_in_time = excluded.check_in_time, cancel_hours = excluded.cancel_hours, pay = excluded.pay,
                 hold_minutes = excluded.hold_minutes, phone = excluded.phone, updated_at = now()",
            &[&rows_of(properties)?],
        )
        .await?;
    transaction
        .execute(
            "update property p
             set min_stay = coalesce(r.min_stay, p.min_stay), max_stay = coalesce(r.max_stay, p.max_stay),
                 advance_hours_min = coalesce(r.advance_hours_min, p.advance_hours_min),
                 advance_days_max = coalesce(r.advance_days_max, p.advance_days_max),
                 unpaid_percent = coalesce(r.unpaid_percent, p.unpaid_percent), fees = coalesce(r.fees, p.fees),
                 open = coalesce(r.open, p.open), deposit_percent = coalesce(r.deposit_percent, p.deposit_percent),
                 pay_at_lodge_too = coalesce(r.pay_at_lodge_too, p.pay_at_lodge_too),
                 by_hand_minutes = coalesce(r.by_hand_minutes, p.by_hand_minutes),
                 no_show_hours = nullif(coalesce(r.no_show_hours, p.no_show_hours), 0)
             from jsonb_to_recordset($1) as r (short_id text, min_stay smallint, max_stay smallint,
                 advance_hours_min integer, advance_days_max integer, unpaid_percent smallint, fees jsonb, open boolean,
                 deposit_percent smallint, pay_at_lodge_too boolean, by_hand_minutes integer, no_show_hours integer)
             where p.short_id = r.short_id",
            &[&rows_of(properties)?],
        )
        .await?;
    Ok(())
}

/// New nights first, then what the calendar says, then what follows the property: in this order no night is for a
/// moment below what is sold on it.
async fn write_nights(
    transaction: &Transaction<'_>,
    properties: &[Property],
    overrides: &BTreeMap<Night, Override>,
    first: NaiveDate,
) -> Result<(), DbError> {
    let short_ids: Vec<&str> = properties
        .iter()
        .map(|property| property.short_id.as_str())
        .collect();
    transaction
        .execute(
            "select fill_nights($1, array(select property_id from property where short_id = any ($2)))",
            &[&first, &short_ids],
        )
        .await?;
    if !overrides.is_empty() {
        transaction
            .execute(
                "update property_availability a
                 set available_units = greatest(a.reserved_units, r.rooms), overbooked = greatest(0, a.reserved_units - r.rooms),
                     out_of_service = coalesce(o.out_of_service, a.out_of_service),
                     closed = coalesce(o.closed, a.closed), min_stay = coalesce(o.min_stay, a.min_stay),
                     max_stay = coalesce(o.max_stay, a.max_stay),
                     closed_to_arrival = coalesce(o.closed_to_arrival, a.closed_to_arrival),
                     closed_to_departure = coalesce(o.closed_to_departure, a.closed_to_departure),
                     own_units = a.own_units or o.available_units is not null,
                     price_base = coalesce(o.price_base, a.price_base),
                     own_price = a.own_price or o.price_base is not null,
                     surge_multiplier = coalesce(o.surge, a.surge_multiplier), updated_at = now()
                 from jsonb_to_recordset($1) as o (short_id text, date date, available_units integer,
                     price_base integer, surge numeric(3, 2), out_of_service integer, closed boolean,
                     min_stay smallint, max_stay smallint, closed_to_arrival boolean, closed_to_departure boolean)
                 join property p on p.short_id = o.short_id
                 join property_availability b on b.property_id = p.property_id and b.date = o.date
                 cross join lateral (
                     select coalesce(o.available_units, b.available_units + b.out_of_service - b.overbooked)
                            - coalesce(o.out_of_service, b.out_of_service) as rooms) r
                 where a.property_id = p.property_id and a.date = o.date",
                &[&rows_of(overrides.values())?],
            )
            .await?;
    }
    transaction
        .execute(
            "update property_availability a
             set available_units = case when a.own_units then a.available_units
                                        else greatest(0, p.units - a.out_of_service) end,
                 price_base = case when a.own_price then a.price_base else p.price_base end, updated_at = now()
             from property p
             where p.short_id = any ($2) and a.property_id = p.property_id and a.date >= $1
               and ((not a.own_units and a.available_units <> greatest(0, p.units - a.out_of_service))
                 or (not a.own_price and a.price_base <> p.price_base))",
            &[&first, &short_ids],
        )
        .await?;
    Ok(())
}

/// Rows as one parameter, so that each write is one statement however many there are.
fn rows_of<R: Serialize>(rows: impl IntoIterator<Item = R>) -> Result<serde_json::Value, DbError> {
    rows.into_iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map(serde_json::Value::Array)
        .map_err(|error| DbError::Refused(error.into()))
}
