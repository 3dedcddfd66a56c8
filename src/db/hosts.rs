//! What hosts ask from a phone: who comes, which rooms are free, whose code it is.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::reservations::{self, Reservation};
use super::{DbError, unknown};
use crate::booking::code::Code;
use crate::phone::Msisdn;

/// The most arrivals listed.
pub const ARRIVALS_MAX: i64 = 50;
/// How many wrong codes a number may try in [`WRONG_CODES_WITHIN`]. Source: row S-31 of the security requirements.
pub const WRONG_CODES_MAX: i64 = 5;
/// See [`WRONG_CODES_MAX`].
pub const WRONG_CODES_WITHIN: Duration = Duration::from_secs(60 * 60);
/// How many wrong codes the lodges of a host see in a day before none is looked at. Source: the same row.
pub const WRONG_CODES_PER_DAY_MAX: i64 = 50;

/// Who lets rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its number, by which it is known.
    pub msisdn: Msisdn,
    /// Of the messages to it.
    pub language: String,
    /// Of its properties.
    pub time_zone: Tz,
}

/// The host with this number; `None` for anybody else, and for hosts without properties.
///
/// # Errors
/// [`DbError`].
pub async fn find_host(
    client: &impl GenericClient,
    msisdn: &Msisdn,
) -> Result<Option<Host>, DbError> {
    let statement = client
        .prepare_cached(
            "select h.host_id, h.name, h.language, min(p.time_zone) as time_zone
             from host h join property p on p.host_id = h.host_id
             where h.msisdn = $1 group by h.host_id, h.name, h.language",
        )
        .await?;
    let row = client.query_opt(&statement, &[&msisdn.as_str()]).await?;
    row.map(|row| {
        Ok(Host {
            id: row.try_get("host_id")?,
            name: row.try_get("name")?,
            msisdn: msisdn.clone(),
            language: row.try_get("language")?,
            time_zone: zone(row.try_get("time_zone")?)?,
        })
    })
    .transpose()
}

/// Up to `limit` hosts whose local time is past `hour` and who were not sent the digest of their local day yet.
///
/// # Errors
/// [`DbError`].
pub async fn list_due_digests(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    hours: std::ops::Range<i32>,
    limit: i64,
) -> Result<Vec<Host>, DbError> {
    let statement = client
        .prepare_cached(
            "select h.host_id, h.name, h.msisdn, h.language, h.time_zone
             from (select h.host_id, h.name, h.msisdn, h.language, min(p.time_zone) as time_zone
                   from host h join property p on p.host_id = h.host_id
                   group by 1, 2, 3, 4) h
             where extract(hour from $1 at time zone h.time_zone)::integer >= $2
               and extract(hour from $1 at time zone h.time_zone)::integer < $3
               and not exists (select from outbox o
                   where o.turn = 'digest/' || h.host_id || '/' || to_char($1 at time zone h.time_zone, 'YYYYMMDD'))
             limit $4",
        )
        .await?;
    let rows = client
        .query(&statement, &[&at, &hours.start, &hours.end, &limit])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Host {
                id: row.try_get("host_id")?,
                name: row.try_get("name")?,
                msisdn: super::read_msisdn(row, "msisdn")?,
                language: row.try_get("language")?,
                time_zone: zone(row.try_get("time_zone")?)?,
            })
        })
        .collect()
}

fn zone(name: &str) -> Result<Tz, DbError> {
    name.parse().map_err(|_| unknown("time_zone"))
}

/// Confirmed guests of a host who arrive on that day, checked in or not; at most [`ARRIVALS_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn list_arrivals(
    client: &impl GenericClient,
    host: &Host,
    date: NaiveDate,
) -> Result<Vec<Reservation>, DbError> {
    let statement = client
        .prepare_cached(
            "select * from reservation_shown
             where host_msisdn = $1 and check_in = $2 and status in ('confirmed', 'checked_in')
             order by reservation_id limit $3",
        )
        .await?;
    client
        .query(&statement, &[&host.msisdn.as_str(), &date, &ARRIVALS_MAX])
        .await?
        .iter()
        .map(reservations::from_row)
        .collect()
}

/// How many rooms of a host can be booked for that night.
///
/// # Errors
/// [`DbError`].
pub async fn count_free(
    client: &impl GenericClient,
    host: &Host,
    date: NaiveDate,
) -> Result<i64, DbError> {
    let statement = client
        .prepare_cached(
            "select coalesce(sum(a.available_units - a.reserved_units) filter (where not a.closed), 0) as free
             from property p join property_availability a on a.property_id = p.property_id and a.date = $2
             where p.host_id = $1 and p.open",
        )
        .await?;
    let row = client.query_one(&statement, &[&host.id, &date]).await?;
    Ok(row.try_get("free")?)
}

/// How many bookings of a host begin on these days, the last one included, and are not there yet.
///
/// # Errors
/// [`DbError`].
pub async fn count_to_come(
    client: &impl GenericClient,
    host: &Host,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<i64, DbError> {
    let statement = client
        .prepare_cached(
            "select count(*) as to_come
             from property p join reservation r on r.property_id = p.property_id
             where p.host_id = $1 and r.check_in >= $2 and r.check_in <= $3 and r.status = 'confirmed'",
        )
        .await?;
    let row = client
        .query_one(&statement, &[&host.id, &from, &until])
        .await?;
    Ok(row.try_get("to_come")?)
}

/// The id of a property's town.
///
/// # Errors
/// [`DbError`].
pub async fn find_town(
    client: &impl GenericClient,
    property_id: Uuid,
) -> Result<Option<String>, DbError> {
    let statement = client
        .prepare_cached("select town from property where property_id = $1")
        .await?;
    let row = client.query_opt(&statement, &[&property_id]).await?;
    Ok(row.map(|row| row.try_get("town")).transpose()?)
}

/// The reservation with this code, if it is at one of the host's properties.
///
/// # Errors
/// [`DbError`].
pub async fn find_guest_of(
    client: &impl GenericClient,
    host: &Host,
    code: &Code,
) -> Result<Option<Reservation>, DbError> {
    let statement = client
        .prepare_cached("select * from reservation_shown where code = $1 and host_msisdn = $2")
        .await?;
    client
        .query_opt(&statement, &[&code.digits(), &host.msisdn.as_str()])
        .await?
        .as_ref()
        .map(reservations::from_row)
        .transpose()
}

/// Whether this number has tried [`WRONG_CODES_MAX`] codes that fit nobody in [`WRONG_CODES_WITHIN`], or the lodges of the host
/// that it calls for have seen [`WRONG_CODES_PER_DAY_MAX`] in a day.
///
/// # Errors
/// [`DbError`].
pub async fn is_locked(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    host_id: Option<Uuid>,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "select (select count(*) from wrong_code
                     where msisdn = $1 and at > now() - make_interval(secs => $3)) >= $2
                 or (select count(*) from wrong_code
                     where host_id = $4 and at > now() - interval '1 day') >= $5 as locked",
        )
        .await?;
    let within = WRONG_CODES_WITHIN.as_secs_f64();
    let row = client
        .query_one(
            &statement,
            &[
                &msisdn.as_str(),
                &WRONG_CODES_MAX,
                &within,
                &host_id,
                &WRONG_CODES_PER_DAY_MAX,
            ],
        )
        .await?;
    Ok(row.try_get("locked")?)
}

/// Counts a code that fits nobody.
///
/// # Errors
/// [`DbError`].
pub async fn insert_wrong_code(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    host_id: Option<Uuid>,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("insert into wrong_code (msisdn, host_id) values ($1, $2)")
        .await?;
    client
        .execute(&statement, &[&msisdn.as_str(), &host_id])
        .await?;
    Ok(())
}
