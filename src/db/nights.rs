//! What hosts change of their nights from a phone: closed and opened, rooms free, rooms out of service, prices.

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::GenericClient;
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::effect::Turn;
use super::hosts::Host;
use super::{DbError, read_currency, unknown};
use crate::booking::code::Code;
use crate::booking::money::{Currency, Money};

/// The most nights changed at once.
pub const NIGHTS_MAX: i64 = 92;
/// The most lodges of a host that are listed.
pub const LODGES_MAX: i64 = 24;

/// One property on one night, as its host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lodge {
    /// Which property.
    pub property_id: Uuid,
    /// Its name.
    pub name: String,
    /// Of its prices.
    pub currency: Currency,
    /// Rooms that can be booked for the night.
    pub free: i32,
    /// Rooms that are booked.
    pub sold: i32,
    /// Rooms that cannot be slept in.
    pub out_of_service: i32,
    /// Whether nothing is sold for the night.
    pub closed: bool,
}

/// What to change of nights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nothing is sold; who has booked keeps it.
    Close,
    /// The opposite.
    Open,
    /// So many rooms can be booked.
    Free(i32),
    /// So many rooms cannot be slept in.
    OutOfService {
        /// How many.
        rooms: i32,
        /// It is so, also where more are booked than are left.
        insists: bool,
    },
    /// What one room costs a night, in minor units.
    Price(i32),
}

impl What {
    fn words(self) -> (&'static str, i32, bool) {
        match self {
            What::Close => ("close", 0, false),
            What::Open => ("open", 0, false),
            What::Free(rooms) => ("free", rooms, false),
            What::OutOfService { rooms, insists } => ("out_of_service", rooms, insists),
            What::Price(minor) => ("price", minor, false),
        }
    }
}

/// A host's change of nights.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// Whose nights.
    pub host: &'a Host,
    /// Of one property, or of all.
    pub property_id: Option<Uuid>,
    /// The first night.
    pub from: NaiveDate,
    /// The last night.
    pub until: NaiveDate,
    /// What.
    pub what: What,
}

/// What becomes of one night: rooms, or minor units for a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    /// Which night.
    pub date: NaiveDate,
    /// As it was.
    pub before: i32,
    /// As it is.
    pub after: i32,
    /// Bookings that have no room then, or rooms more than the lodge has. Where any night is short of something, none is
    /// changed, unless the host insists.
    pub short: i32,
    /// Rooms booked.
    pub sold: i32,
}

/// Every property of a host with what is free on that night, by name; at most [`LODGES_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn list_lodges(
    client: &impl GenericClient,
    host: &Host,
    date: NaiveDate,
) -> Result<Vec<Lodge>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.property_id, p.name, p.currency, a.closed, a.reserved_units, a.out_of_service,
                    case when a.closed then 0 else a.available_units - a.reserved_units end as free
             from property p join property_availability a on a.property_id = p.property_id and a.date = $2
             where p.host_id = $1 and p.open order by p.name, p.property_id limit $3",
        )
        .await?;
    client
        .query(&statement, &[&host.id, &date, &LODGES_MAX])
        .await?
        .iter()
        .map(|row| {
            Ok(Lodge {
                property_id: row.try_get("property_id")?,
                name: row.try_get("name")?,
                currency: read_currency(row)?,
                free: row.try_get("free")?,
                sold: row.try_get("reserved_units")?,
                out_of_service: row.try_get("out_of_service")?,
                closed: row.try_get("closed")?,
            })
        })
        .collect()
}

/// What a change would do, one row for each night of each property. Nothing is written.
///
/// # Errors
/// [`DbError`].
pub async fn preview(
    client: &impl GenericClient,
    change: &Change<'_>,
) -> Result<Vec<Night>, DbError> {
    call(client, change, None).await
}

/// Changes the nights, with an event each: all of them or, where one is short, none. The same turn again is told what it
/// did.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn change(
    client: &impl GenericClient,
    change: &Change<'_>,
    channel: &str,
    turn: &Turn,
) -> Result<Vec<Night>, DbError> {
    call(client, change, Some((channel, turn))).await
}

async fn call(
    client: &impl GenericClient,
    change: &Change<'_>,
    written: Option<(&str, &Turn)>,
) -> Result<Vec<Night>, DbError> {
    let statement = client
        .prepare_cached(
            "select n.date, n.before, n.after, n.short, n.sold
             from change_nights($1, $2, $3, $4, $5, $6, $7, $8, $9) n",
        )
        .await?;
    let (word, value, insists) = change.what.words();
    let (channel, turn) = (
        written.map(|(channel, _)| channel),
        written.map(|(_, turn)| turn.key()),
    );
    client
        .query(
            &statement,
            &[
                &change.host.id,
                &change.property_id,
                &change.from,
                &change.until,
                &word,
                &value,
                &insists,
                &channel,
                &turn,
            ],
        )
        .await?
        .iter()
        .map(night)
        .collect()
}

fn night(row: &Row) -> Result<Night, DbError> {
    Ok(Night {
        date: row.try_get("date")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        short: row.try_get("short")?,
        sold: row.try_get("sold")?,
    })
}

/// The lowest and the highest price of a room over these nights; `None` for a property of somebody else's, or without them.
///
/// # Errors
/// [`DbError`].
pub async fn find_prices(
    client: &impl GenericClient,
    host: &Host,
    property_id: Uuid,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<Option<(Money, Money)>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.currency, min(n.price) as low, max(n.price) as high
             from property p
             join property_availability a on a.property_id = p.property_id and a.date >= $3 and a.date <= $4
             cross join lateral (select night_price(a.price_base, a.surge_multiplier) as price) n
             where p.property_id = $2 and p.host_id = $1 group by p.currency",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&host.id, &property_id, &from, &until])
        .await?;
    row.map(|row| {
        let currency = read_currency(&row)?;
        let money = |column| {
            Ok::<_, DbError>(Money {
                minor: row.try_get::<_, i32>(column)?.into(),
                currency,
            })
        };
        Ok((money("low")?, money("high")?))
    })
    .transpose()
}

/// A night with more bookings than rooms, which somebody has to look after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in the table of the same name")]
pub struct Overbooking {
    pub property: String,
    pub town: String,
    pub phone: String,
    pub date: NaiveDate,
    pub missing: i32,
    pub since: DateTime<Utc>,
    /// Of every booking of that night, the last made first.
    pub codes: Vec<String>,
}

/// The most of them listed.
pub const OVERBOOKINGS_MAX: i64 = 100;

/// Every night that is overbooked and not over, the soonest first; at most [`OVERBOOKINGS_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn list_overbookings(
    client: &impl GenericClient,
    today: NaiveDate,
) -> Result<Vec<Overbooking>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.name, t.name as town, p.phone, o.date, o.missing, o.since,
                    array(select r.code from reservation r
                          where r.property_id = o.property_id and r.check_in <= o.date and r.check_out > o.date
                            and takes_nights(r.status) order by r.created_at desc) as codes
             from overbooking o
             join property p on p.property_id = o.property_id
             join place t on t.place_id = p.town
             where o.settled_at is null and o.date >= $1 order by o.date, p.name limit $2",
        )
        .await?;
    client
        .query(&statement, &[&today, &OVERBOOKINGS_MAX])
        .await?
        .iter()
        .map(|row| {
            let codes: Vec<String> = row.try_get("codes")?;
            let codes = codes.iter().map(|code| Code::parse(code));
            let codes = codes.map(|code| code.map(|code| code.to_string()));
            Ok(Overbooking {
                property: row.try_get("name")?,
                town: row.try_get("town")?,
                phone: row.try_get("phone")?,
                date: row.try_get("date")?,
                missing: row.try_get("missing")?,
                since: row.try_get("since")?,
                codes: codes
                    .collect::<Result<_, _>>()
                    .map_err(|_| unknown("code"))?,
            })
        })
        .collect()
}
