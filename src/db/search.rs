//! Finding what is free. Reads only, without locks: what is found may be gone at the reservation, which looks again.

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{DbError, read_currency, read_msisdn, unknown};
use crate::booking::money::Money;
pub use crate::booking::offer::Search;
use crate::booking::offer::{Offer, Pay};
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;

/// The most offers a search returns.
pub const OFFERS_MAX: i64 = 24;
/// The most alternatives for a property that is gone.
pub const ALTERNATIVES_MAX: i64 = 3;

/// The columns of an [`Offer`] for the nights `$2` to before `$3` and `$4` guests. The calendar's bits tell who is free;
/// only of those the nights are read.
macro_rules! offers {
    () => {
        "select p.property_id, p.name, p.landmark, t.name as town, n.first_night, n.units_left, p.currency,
                n.price + case p.fees when '[]' then 0 else
                    fees_added(fee_lines(p.fees, n.price, $3::date - $2::date, 1, $4)) end as total,
                p.pay, p.hold_minutes, p.cancel_hours, p.check_in_time, p.time_zone, p.phone,
                h.msisdn as host_msisdn, h.language as host_language
         from property p
         join property_calendar c on c.property_id = p.property_id
         join place t on t.place_id = p.town
         join host h on h.host_id = p.host_id
         join lateral (
             select count(*) filter (where a.date < $3 and not a.closed) as nights,
                    min(a.available_units - a.reserved_units) filter (where a.date < $3) as units_left,
                    sum(night_price(a.price_base, a.surge_multiplier)) filter (where a.date < $3) as price,
                    min(night_price(a.price_base, a.surge_multiplier)) filter (where a.date = $2) as first_night,
                    min(a.min_stay) filter (where a.date = $2) as min_stay,
                    max(a.max_stay) filter (where a.date = $2) as max_stay,
                    bool_or(a.closed_to_arrival) filter (where a.date = $2) as no_arrival,
                    bool_or(a.closed_to_departure) filter (where a.date = $3) as no_departure
             from property_availability a
             where a.property_id = p.property_id and a.date >= $2 and a.date <= $3
         ) n on n.nights = $3::date - $2::date and n.units_left > 0
            -- How far ahead is for the reservation to judge, which knows the moment.
            and stay_restriction(p, $2, $3, n.min_stay, n.max_stay, n.no_arrival, n.no_departure, null) is null
         where p.open and p.guests_max >= $4
           and substring(c.free from $2::date - c.first_night + 1 for $3::date - $2::date)
               = repeat('1', $3::date - $2::date)::bit varying
         "
    };
}

/// The soonest stay that a property has free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStay {
    /// Which property.
    pub property_id: Uuid,
    /// Its name.
    pub name: String,
    /// The first night.
    pub check_in: NaiveDate,
}

/// One night of one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarNight {
    /// Which property.
    pub property_id: Uuid,
    /// Which night.
    pub date: NaiveDate,
    /// Units that can be booked.
    pub free_units: i32,
    /// Of one unit, in minor units of the property's currency.
    pub price_minor: i32,
}

/// Properties of the town, or of the place's town, that are free on all nights and large enough: those in the place
/// itself first, then by total price and name; at most [`OFFERS_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn search_offers(
    client: &impl GenericClient,
    search: &Search,
) -> Result<Vec<Offer>, DbError> {
    in_town(client, search, None, OFFERS_MAX).await
}

/// What else is free for the same search when `except` is gone; at most [`ALTERNATIVES_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn alternatives(
    client: &impl GenericClient,
    search: &Search,
    except: Uuid,
) -> Result<Vec<Offer>, DbError> {
    in_town(client, search, Some(except), ALTERNATIVES_MAX).await
}

/// One property's offer for a stay; `None` when a night is taken, it is closed or too small, or does not take such a stay
/// ([`find_restriction`]).
///
/// # Errors
/// [`DbError`].
pub async fn find_offer(
    client: &impl GenericClient,
    property_id: Uuid,
    stay: Stay,
    guests: u8,
) -> Result<Option<Offer>, DbError> {
    let statement = client
        .prepare_cached(concat!(offers!(), "and p.property_id = $1"))
        .await?;
    client
        .query_opt(
            &statement,
            &[
                &property_id,
                &stay.check_in(),
                &stay.check_out(),
                &i32::from(guests),
            ],
        )
        .await?
        .as_ref()
        .map(from_row)
        .transpose()
}

/// Why a property does not take this stay, though its nights may be free; `None` when nothing of the kind is in the way.
///
/// # Errors
/// [`DbError`].
pub async fn find_restriction(
    client: &impl GenericClient,
    property_id: Uuid,
    stay: Stay,
    at: DateTime<Utc>,
) -> Result<Option<Restriction>, DbError> {
    let statement = client
        .prepare_cached(
            "select stay_restriction(p, $2, $3, a.min_stay, a.max_stay, a.closed_to_arrival, d.closed_to_departure, $4)
                 as restriction
             from property p
             left join property_availability a on a.property_id = $1 and a.date = $2
             left join property_availability d on d.property_id = $1 and d.date = $3
             where p.property_id = $1",
        )
        .await?;
    let row = client
        .query_opt(
            &statement,
            &[&property_id, &stay.check_in(), &stay.check_out(), &at],
        )
        .await?;
    match row
        .map(|row| row.try_get::<_, Option<String>>("restriction"))
        .transpose()?
    {
        Some(Some(words)) => match Restriction::find(&words) {
            Some(restriction) => Ok(Some(restriction)),
            None => Err(unknown("restriction")),
        },
        Some(None) | None => Ok(None),
    }
}

/// The fewest nights, more than wanted, for which a property of the town that asks for so many is free from that night
/// on; `None` when none is, or when no property asks for more.
///
/// # Errors
/// [`DbError`].
pub async fn least_stay(
    client: &impl GenericClient,
    search: &Search,
) -> Result<Option<u8>, DbError> {
    let statement = client
        .prepare_cached(
            "select min(n.least)::smallint as least
             from property p
             join property_calendar c on c.property_id = p.property_id
             join property_availability a on a.property_id = p.property_id and a.date = $2
             cross join lateral (select coalesce(a.min_stay, p.min_stay)::integer as least) n
             where p.open and p.guests_max >= $4 and ($5 or p.pay = 'at_lodge')
               and p.town = (select coalesce(town, place_id) from place where place_id = $1)
               and n.least > $3 and not a.closed_to_arrival
               and substring(c.free from $2::date - c.first_night + 1 for n.least)
                   = repeat('1', n.least)::bit varying",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &search.place,
                &search.stay.check_in(),
                &i32::from(search.stay.nights()),
                &i32::from(search.guests),
                &search.prepaid,
            ],
        )
        .await?;
    let least: Option<i16> = row.try_get("least")?;
    Ok(least.and_then(|least| u8::try_from(least).ok()))
}

/// Why a property of the town that has room does not take this stay, of the first of those; [`least_stay`] tells of stays
/// that are too short. `None` when none has room.
///
/// # Errors
/// [`DbError`].
pub async fn town_restriction(
    client: &impl GenericClient,
    search: &Search,
    at: DateTime<Utc>,
) -> Result<Option<Restriction>, DbError> {
    let statement = client
        .prepare_cached(
            "select r.restriction
             from property p
             join property_calendar c on c.property_id = p.property_id
             left join property_availability a on a.property_id = p.property_id and a.date = $2
             left join property_availability d on d.property_id = p.property_id and d.date = $3
             cross join lateral (
                 select stay_restriction(p, $2, $3, a.min_stay, a.max_stay, a.closed_to_arrival, d.closed_to_departure, $6)
                     as restriction
             ) r
             where p.open and p.guests_max >= $4 and ($5 or p.pay = 'at_lodge')
               and p.town = (select coalesce(town, place_id) from place where place_id = $1)
               and substring(c.free from $2::date - c.first_night + 1 for $3::date - $2::date)
                   = repeat('1', $3::date - $2::date)::bit varying
               and r.restriction not like 'min_stay%'
             order by p.property_id limit 1",
        )
        .await?;
    let row = client
        .query_opt(
            &statement,
            &[
                &search.place,
                &search.stay.check_in(),
                &search.stay.check_out(),
                &i32::from(search.guests),
                &search.prepaid,
                &at,
            ],
        )
        .await?;
    row.map(|row| {
        Restriction::find(row.try_get("restriction")?).ok_or_else(|| unknown("restriction"))
    })
    .transpose()
}

/// The first stay of the wanted length that a property of the town has free, from `search.stay` on and beginning within
/// `days` days: the soonest first, then by price; at most [`OFFERS_MAX`]. What the lodge asks of a stay is left to the
/// offer.
///
/// # Errors
/// [`DbError`].
pub async fn next_stays(
    client: &impl GenericClient,
    search: &Search,
    days: u16,
) -> Result<Vec<NextStay>, DbError> {
    let statement = client
        .prepare_cached(
            "select p.property_id, p.name, $2::date + n.later - 1 as check_in
             from property p
             join property_calendar c on c.property_id = p.property_id
             cross join lateral (
                 select position(repeat('1', $3)::bit varying in
                                 substring(c.free from $2::date - c.first_night + 1 for $4)) as later
             ) n
             where p.open and p.guests_max >= $5
               and p.town = (select coalesce(town, place_id) from place where place_id = $1)
               and ($6 or p.pay = 'at_lodge') and n.later > 0 and c.first_night <= $2
             order by n.later, p.price_base, p.name, p.property_id limit $7",
        )
        .await?;
    let nights = i32::from(search.stay.nights());
    client
        .query(
            &statement,
            &[
                &search.place,
                &search.stay.check_in(),
                &nights,
                &(i32::from(days) + nights - 1),
                &i32::from(search.guests),
                &search.prepaid,
                &OFFERS_MAX,
            ],
        )
        .await?
        .iter()
        .map(|row| {
            Ok(NextStay {
                property_id: row.try_get("property_id")?,
                name: row.try_get("name")?,
                check_in: row.try_get("check_in")?,
            })
        })
        .collect()
}

/// The days nearest to a stay's check-in, not before `first` and within `days` of it, from which as many nights of the
/// property are free; the nearest first, at most [`ALTERNATIVES_MAX`]. What the lodge asks of a stay is left to the offer.
///
/// # Errors
/// [`DbError`].
pub async fn nearest_stays(
    client: &impl GenericClient,
    property_id: Uuid,
    stay: Stay,
    first: NaiveDate,
    days: u16,
) -> Result<Vec<NaiveDate>, DbError> {
    let statement = client
        .prepare_cached(
            "select $2::date + s.shift as check_in
             from property_calendar c cross join generate_series(-$5::integer, $5) as s (shift)
             where c.property_id = $1 and s.shift <> 0 and $2::date + s.shift >= greatest($4, c.first_night)
               and substring(c.free from $2::date + s.shift - c.first_night + 1 for $3) = repeat('1', $3)::bit varying
             order by abs(s.shift), s.shift limit $6",
        )
        .await?;
    client
        .query(
            &statement,
            &[
                &property_id,
                &stay.check_in(),
                &i32::from(stay.nights()),
                &first,
                &i32::from(days),
                &ALTERNATIVES_MAX,
            ],
        )
        .await?
        .iter()
        .map(|row| Ok(row.try_get("check_in")?))
        .collect()
}

/// The nights of these properties from `first` on, by property and date, in one round trip. A night without a row is not
/// for sale.
///
/// # Errors
/// [`DbError`].
pub async fn calendar(
    client: &impl GenericClient,
    properties: &[Uuid],
    first: NaiveDate,
    days: u16,
) -> Result<Vec<CalendarNight>, DbError> {
    let statement = client
        .prepare_cached(
            "select a.property_id, a.date, night_price(a.price_base, a.surge_multiplier) as price,
                    case when a.closed then 0 else a.available_units - a.reserved_units end as free
             from property_availability a
             where a.property_id = any ($1) and a.date >= $2 and a.date < $3
             order by a.property_id, a.date",
        )
        .await?;
    let past = first + Days::new(days.into());
    client
        .query(&statement, &[&properties, &first, &past])
        .await?
        .iter()
        .map(|row| {
            Ok(CalendarNight {
                property_id: row.try_get("property_id")?,
                date: row.try_get("date")?,
                free_units: row.try_get("free")?,
                price_minor: row.try_get("price")?,
            })
        })
        .collect()
}

async fn in_town(
    client: &impl GenericClient,
    search: &Search,
    except: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Offer>, DbError> {
    let statement = client
        .prepare_cached(concat!(
            offers!(),
            "and p.town = (select coalesce(town, place_id) from place where place_id = $1)
               and p.property_id is distinct from $5 and ($7 or p.pay = 'at_lodge')
             order by p.area is not distinct from $1 desc, total, p.name, p.property_id limit $6"
        ))
        .await?;
    client
        .query(
            &statement,
            &[
                &search.place,
                &search.stay.check_in(),
                &search.stay.check_out(),
                &i32::from(search.guests),
                &except,
                &limit,
                &search.prepaid,
            ],
        )
        .await?
        .iter()
        .map(from_row)
        .collect()
}

fn from_row(row: &Row) -> Result<Offer, DbError> {
    let currency = read_currency(row)?;
    let money = |minor: i64| Money { minor, currency };
    Ok(Offer {
        property_id: row.try_get("property_id")?,
        name: row.try_get("name")?,
        landmark: row.try_get("landmark")?,
        town: row.try_get("town")?,
        per_night: money(row.try_get::<_, i32>("first_night")?.into()),
        total: money(row.try_get("total")?),
        units_left: row.try_get("units_left")?,
        pay: Pay::find(row.try_get("pay")?).ok_or_else(|| unknown("pay"))?,
        hold_minutes: row.try_get("hold_minutes")?,
        cancel_hours: row.try_get("cancel_hours")?,
        check_in_time: row.try_get("check_in_time")?,
        time_zone: row
            .try_get::<_, &str>("time_zone")?
            .parse::<Tz>()
            .map_err(|_| unknown("time_zone"))?,
        phone: read_msisdn(row, "phone")?,
        host_msisdn: read_msisdn(row, "host_msisdn")?,
        host_language: row.try_get("host_language")?,
    })
}
