//! Properties with a calendar, many in one round trip.

use chrono::{NaiveDate, NaiveTime};
use deadpool_postgres::GenericClient;
use serde::Deserialize;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::read_numbered;
use crate::booking::money::Currency;
use crate::booking::offer::Pay;
use crate::booking::stay::Stay;
use crate::db::{DbError, read_currency, read_msisdn, unknown};
use crate::phone::Msisdn;

/// Which properties, and which part of their calendars.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The calendar's first night, and the day after its last.
    pub nights: (NaiveDate, NaiveDate),
    /// Id of a town.
    pub town: Option<&'a str>,
    /// Id of an area, landmark or stage.
    pub area: Option<&'a str>,
    /// The nearest first.
    pub near: Option<Near<'a>>,
    /// Only what is free for all of it and takes such a stay; then the cheapest first.
    pub stay: Option<Stay>,
    /// Whether lodges that want money before the stay can be booked.
    pub prepaid: bool,
    /// How many people sleep in one unit.
    pub guests: Option<u8>,
    /// In whole units of each property's currency, for a night: the mean of the stay's, or the usual price.
    pub price_max: Option<i64>,
    /// What the page before ended with.
    pub after: Option<(i64, &'a str)>,
    /// At most so many.
    pub limit: i64,
}

/// A place or a point.
#[derive(Debug, Clone, Copy)]
pub enum Near<'a> {
    /// Id of a place.
    Place(&'a str),
    /// Latitude and longitude in degrees, WGS 84.
    Point(f64, f64),
}

/// A property as stored, with what belongs to it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the table of the same name")]
pub struct PropertyRow {
    pub property_id: Uuid,
    /// `prop_` and 4 to 12 letters and digits.
    pub short_id: String,
    /// The number of its last change.
    pub version: i64,
    /// Where it stands in its page's order.
    pub rank: i64,
    /// From what it was to be near to.
    pub distance_metres: Option<i64>,
    /// Of one unit for all nights of the stay that was asked for, fees included.
    pub stay_total: Option<i64>,
    pub name: String,
    pub kind: String,
    pub town: String,
    pub area: Option<String>,
    pub landmark: String,
    pub units: i32,
    pub guests_max: i32,
    pub price_base: i32,
    pub currency: Currency,
    pub time_zone: String,
    pub check_in_time: NaiveTime,
    pub cancel_hours: i32,
    pub pay: Pay,
    pub hold_minutes: i32,
    pub min_stay: i16,
    pub max_stay: i16,
    pub advance_hours_min: i32,
    pub advance_days_max: i32,
    pub fees: Vec<FeeRow>,
    pub phone: Msisdn,
    pub host_name: String,
    /// The area's, or the town's where there is no area.
    pub place_id: String,
    pub place_name: String,
    pub town_name: String,
    pub country: String,
    pub region: String,
    pub latitude: f64,
    pub longitude: f64,
    /// By date; a night that is missing is not for sale.
    pub nights: Vec<NightRow>,
}

/// A fee as stored.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as in the column of the same name")]
pub struct FeeRow {
    pub name: String,
    /// `stay`, `night`, `person_night` or `percent`.
    pub per: String,
    /// In minor units, of `percent` in hundredths of a percent.
    pub amount: i64,
    pub included: bool,
}

/// A night as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the table of the same name")]
pub struct NightRow {
    pub date: NaiveDate,
    /// That can be booked; 0 where the night is closed.
    pub units_left: i32,
    /// Of one unit, in minor units of the currency.
    pub price: i32,
    pub min_stay: Option<i16>,
    pub max_stay: Option<i16>,
    pub closed_to_arrival: bool,
    pub closed_to_departure: bool,
}

/// A page of properties.
#[derive(Debug, Clone)]
pub struct FoundProperties {
    /// In order.
    pub properties: Vec<PropertyRow>,
    /// The number of the last change of anything that the API shows.
    pub version: i64,
}

/// Closes a query whose part `shown` chose properties, with `rank`, `distance` and `stay_total`, or is null but for `rank` and
/// the short id of what is `gone`.
macro_rules! with_calendar {
    ($shown:expr) => {
        concat!(
            "with shown as (",
            $shown,
            ")
             select head.version as head, exists (select from catalogue_change_noted) as noted,
                    s.rank, s.gone, s.distance, s.stay_total, v.version, s.property_id, s.short_id, s.name, s.kind, s.town, s.area,
                    s.landmark, s.units, s.guests_max, s.price_base, s.currency, s.time_zone, s.check_in_time,
                    s.cancel_hours, s.pay, s.hold_minutes, s.min_stay, s.max_stay, s.advance_hours_min,
                    s.advance_days_max, s.fees, s.phone, h.name as host_name, t.name as town_name,
                    coalesce(a.place_id, t.place_id) as place_id, coalesce(a.name, t.name) as place_name,
                    t.country, t.region, coalesce(a.latitude, t.latitude) as latitude,
                    coalesce(a.longitude, t.longitude) as longitude, c.days, c.free, c.prices, c.min_stays, c.max_stays,
                    c.no_arrival, c.no_departure
             from (select coalesce(max(version), 0) as version from catalogue_change) head
             left join shown s on true
             left join host h on h.host_id = s.host_id
             left join place t on t.place_id = s.town
             left join place a on a.place_id = s.area
             left join lateral (
                 select max(version) as version from catalogue_change where property_id = s.property_id
             ) v on true
             left join lateral (
                 select array_agg(n.date - $1) as days, array_agg(n.free) as free, array_agg(n.price) as prices,
                        array_agg(n.min_stay) as min_stays, array_agg(n.max_stay) as max_stays,
                        array_agg(n.closed_to_arrival) as no_arrival, array_agg(n.closed_to_departure) as no_departure
                 from (select a.date, case when a.closed then 0 else a.available_units - a.reserved_units end as free,
                              night_price(a.price_base, a.surge_multiplier) as price, a.min_stay, a.max_stay,
                              a.closed_to_arrival, a.closed_to_departure
                       from property_availability a
                       where a.property_id = s.property_id and a.date >= $1 and a.date < $2
                       order by a.date) n
             ) c on true
             order by s.rank, s.short_id"
        )
    };
}

pub(super) use with_calendar;

/// Chooses by what a guest wants. `$town` is the condition on the town, `$stay` brings `n` with `price`, the sum of the
/// nights, and `total`, with fees; `$free` is the condition that the stay is possible.
macro_rules! wanted {
    ($town:expr, $stay:expr, $free:expr) => {
        with_calendar!(concat!(
            "select w.* from (
                 select p.*, n.total as stay_total, d.distance, coalesce(d.distance, n.total, 0) as rank, null::text as gone
                 from property p
                 join place t on t.place_id = p.town
                 left join place a on a.place_id = p.area
                 left join place np on np.place_id = $8 ",
            $stay,
            "    cross join lateral (
                     select coalesce($9::float8, np.latitude) as latitude, coalesce($10::float8, np.longitude) as longitude,
                            coalesce(a.latitude, t.latitude) as own_latitude,
                            coalesce(a.longitude, t.longitude) as own_longitude
                 ) at
                 cross join lateral (
                     -- least() would take a null for the largest.
                     select case when at.latitude is not null then round(12742000 * asin(least(1, sqrt(
                         power(sin(radians(at.own_latitude - at.latitude) / 2), 2)
                         + cos(radians(at.latitude)) * cos(radians(at.own_latitude))
                           * power(sin(radians(at.own_longitude - at.longitude) / 2), 2)))))::bigint end as distance
                 ) d
                 where p.open and ",
            $town,
            "      and ($4::text is null or p.area = $4)
                   and ($5::integer is null or p.guests_max >= $5)
                   and ($6::bigint is null or coalesce(n.price / n.nights, p.price_base)
                                              <= $6 * case when p.currency = any ($7::text[]) then 100 else 1 end)
                   and ",
            $free,
            ") w
             where $11::bigint is null or (w.rank, w.short_id) > ($11, $12::text)
             order by w.rank, w.short_id limit $13"
        ))
    };
}

macro_rules! in_town {
    () => {
        "p.town = $3"
    };
}
macro_rules! anywhere {
    () => {
        "$3::text is null"
    };
}
macro_rules! any_time {
    () => {
        "cross join (select null::bigint as price, null::bigint as nights, null::bigint as total
                     where $14::date is null and $15::date is null and $16::boolean is not null) n "
    };
}
macro_rules! on_nights {
    () => {
        "join property_calendar c on c.property_id = p.property_id
         join lateral (
             select count(*) filter (where a.date < $15 and not a.closed) as nights,
                    min(a.available_units - a.reserved_units) filter (where a.date < $15) as units_left,
                    sum(night_price(a.price_base, a.surge_multiplier)) filter (where a.date < $15) as price,
                    min(a.min_stay) filter (where a.date = $14) as min_stay,
                    max(a.max_stay) filter (where a.date = $14) as max_stay,
                    bool_or(a.closed_to_arrival) filter (where a.date = $14) as no_arrival,
                    bool_or(a.closed_to_departure) filter (where a.date = $15) as no_departure
             from property_availability a
             where a.property_id = p.property_id and a.date >= $14 and a.date <= $15
         ) f on f.nights = $15::date - $14::date and f.units_left > 0
            and stay_restriction(p, $14, $15, f.min_stay, f.max_stay, f.no_arrival, f.no_departure, null) is null
         cross join lateral (
             select f.price, f.nights, f.price + case p.fees when '[]' then 0 else
                 fees_added(fee_lines(p.fees, f.price, f.nights::integer, 1, coalesce($5, 1))) end as total
         ) n "
    };
}
macro_rules! all_free {
    () => {
        "substring(c.free from $14::date - c.first_night + 1 for $15::date - $14::date)
             = repeat('1', $15::date - $14::date)::bit varying
         and (p.pay = 'at_lodge' or $16)"
    };
}

/// What [`list_properties`] asks for a town, without a stay.
pub const TOWN_SQL: &str = wanted!(in_town!(), any_time!(), "true");

/// A page of the properties that are wanted and open to guests.
///
/// # Errors
/// [`DbError`].
pub async fn list_properties(
    client: &impl GenericClient,
    wanted: &Wanted<'_>,
) -> Result<FoundProperties, DbError> {
    let sql = match (wanted.town, wanted.stay) {
        (Some(_), Some(_)) => wanted!(in_town!(), on_nights!(), all_free!()),
        (Some(_), None) => TOWN_SQL,
        (None, Some(_)) => wanted!(anywhere!(), on_nights!(), all_free!()),
        (None, None) => wanted!(anywhere!(), any_time!(), "true"),
    };
    let statement = client.prepare_cached(sql).await?;
    let (place, point) = match wanted.near {
        Some(Near::Place(id)) => (Some(id), None),
        Some(Near::Point(latitude, longitude)) => (None, Some((latitude, longitude))),
        None => (None, None),
    };
    let with_cents = Currency::ALL
        .into_iter()
        .filter(|currency| currency.minor_per_unit() == 100)
        .map(Currency::code)
        .collect::<Vec<_>>();
    let values: [&(dyn ToSql + Sync); 16] = [
        &wanted.nights.0,
        &wanted.nights.1,
        &wanted.town,
        &wanted.area,
        &wanted.guests.map(i32::from),
        &wanted.price_max,
        &with_cents,
        &place,
        &point.map(|(latitude, _)| latitude),
        &point.map(|(_, longitude)| longitude),
        &wanted.after.map(|(rank, _)| rank),
        &wanted.after.map(|(_, id)| id),
        &wanted.limit,
        &wanted.stay.map(|stay| stay.check_in()),
        &wanted.stay.map(|stay| stay.check_out()),
        &wanted.prepaid,
    ];
    find(client, &statement, &values, wanted.nights.0).await
}

/// Those of these properties, by their short ids, that are open to guests.
///
/// # Errors
/// [`DbError`].
pub async fn find_properties(
    client: &impl GenericClient,
    short_ids: &[&str],
    nights: (NaiveDate, NaiveDate),
) -> Result<FoundProperties, DbError> {
    let statement = client
        .prepare_cached(with_calendar!(
            "select p.*, null::bigint as stay_total, null::bigint as distance, 0::bigint as rank, null::text as gone
             from property p where p.open and p.short_id = any ($3)"
        ))
        .await?;
    let values: [&(dyn ToSql + Sync); 3] = [&nights.0, &nights.1, &short_ids];
    find(client, &statement, &values, nights.0).await
}

async fn find(
    client: &impl GenericClient,
    statement: &Statement,
    values: &[&(dyn ToSql + Sync)],
    first: NaiveDate,
) -> Result<FoundProperties, DbError> {
    let rows = read_numbered(client, statement, values).await?;
    let version = rows.first().map_or(Ok(0), |row| row.try_get("head"))?;
    let mut properties = Vec::with_capacity(rows.len());
    for row in &rows {
        // Where nothing is shown there is one row, for the version.
        if row.try_get::<_, Option<Uuid>>("property_id")?.is_some() {
            properties.push(from_row(row, first)?);
        }
    }
    Ok(FoundProperties {
        properties,
        version,
    })
}

pub(super) fn from_row(row: &Row, first: NaiveDate) -> Result<PropertyRow, DbError> {
    let Json(fees) = row.try_get::<_, Json<Vec<FeeRow>>>("fees")?;
    Ok(PropertyRow {
        property_id: row.try_get("property_id")?,
        short_id: row.try_get("short_id")?,
        version: row.try_get::<_, Option<i64>>("version")?.unwrap_or(0),
        rank: row.try_get("rank")?,
        distance_metres: row.try_get("distance")?,
        stay_total: row.try_get("stay_total")?,
        name: row.try_get("name")?,
        kind: row.try_get("kind")?,
        town: row.try_get("town")?,
        area: row.try_get("area")?,
        landmark: row.try_get("landmark")?,
        units: row.try_get("units")?,
        guests_max: row.try_get("guests_max")?,
        price_base: row.try_get("price_base")?,
        currency: read_currency(row)?,
        time_zone: row.try_get("time_zone")?,
        check_in_time: row.try_get("check_in_time")?,
        cancel_hours: row.try_get("cancel_hours")?,
        pay: Pay::find(row.try_get("pay")?).ok_or_else(|| unknown("pay"))?,
        hold_minutes: row.try_get("hold_minutes")?,
        min_stay: row.try_get("min_stay")?,
        max_stay: row.try_get("max_stay")?,
        advance_hours_min: row.try_get("advance_hours_min")?,
        advance_days_max: row.try_get("advance_days_max")?,
        fees,
        phone: read_msisdn(row, "phone")?,
        host_name: row.try_get("host_name")?,
        place_id: row.try_get("place_id")?,
        place_name: row.try_get("place_name")?,
        town_name: row.try_get("town_name")?,
        country: row.try_get("country")?,
        region: row.try_get("region")?,
        latitude: row.try_get("latitude")?,
        longitude: row.try_get("longitude")?,
        nights: nights(row, first)?,
    })
}

fn nights(row: &Row, first: NaiveDate) -> Result<Vec<NightRow>, DbError> {
    let Some(days) = row.try_get::<_, Option<Vec<i32>>>("days")? else {
        return Ok(Vec::new());
    };
    let free: Vec<i32> = row.try_get("free")?;
    let prices: Vec<i32> = row.try_get("prices")?;
    let min_stays: Vec<Option<i16>> = row.try_get("min_stays")?;
    let max_stays: Vec<Option<i16>> = row.try_get("max_stays")?;
    let no_arrival: Vec<bool> = row.try_get("no_arrival")?;
    let no_departure: Vec<bool> = row.try_get("no_departure")?;
    let columns = free.into_iter().zip(prices);
    let stays = min_stays.into_iter().zip(max_stays);
    let closed = no_arrival.into_iter().zip(no_departure);
    let nights = days.into_iter().zip(columns).zip(stays).zip(closed).map(
        |(((day, (units_left, price)), (min_stay, max_stay)), (arrival, departure))| NightRow {
            date: first + chrono::TimeDelta::days(day.into()),
            units_left,
            price,
            min_stay,
            max_stay,
            closed_to_arrival: arrival,
            closed_to_departure: departure,
        },
    );
    Ok(nights.collect())
}
