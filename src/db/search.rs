//! Finding what is free. Reads only, without locks: what is found may be gone at the reservation, which looks again.

use chrono_tz::Tz;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{DbError, read_currency, read_msisdn, unknown};
use crate::booking::money::Money;
pub use crate::booking::offer::Search;
use crate::booking::offer::{Offer, Pay};
use crate::booking::stay::Stay;

/// The most offers a search returns.
pub const OFFERS_MAX: i64 = 24;
/// The most alternatives for a property that is gone.
pub const ALTERNATIVES_MAX: i64 = 3;

/// The columns of an [`Offer`] for the nights `$2` to before `$3`, every one of them present and free.
macro_rules! offers {
    () => {
        "select p.property_id, p.name, p.landmark, t.name as town, n.first_night, n.total, n.units_left, p.currency,
                p.pay, p.hold_minutes, p.cancel_hours, p.check_in_time, p.time_zone, p.phone,
                h.msisdn as host_msisdn, h.language as host_language
         from property p
         join place t on t.place_id = p.town
         join host h on h.host_id = p.host_id
         join lateral (
             select count(*) as nights, min(a.available_units - a.reserved_units) as units_left,
                    sum(night_price(a.price_base, a.surge_multiplier)) as total,
                    (array_agg(night_price(a.price_base, a.surge_multiplier) order by a.date))[1] as first_night
             from property_availability a
             where a.property_id = p.property_id and a.date >= $2 and a.date < $3
         ) n on n.nights = $3::date - $2::date and n.units_left > 0
         "
    };
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

/// One property's offer for a stay; `None` when a night is taken, it is closed or too small.
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
        .prepare_cached(concat!(
            offers!(),
            "where p.property_id = $1 and p.open and p.guests_max >= $4"
        ))
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

async fn in_town(
    client: &impl GenericClient,
    search: &Search,
    except: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Offer>, DbError> {
    let statement = client
        .prepare_cached(concat!(
            offers!(),
            "where p.open and p.guests_max >= $4
               and p.town = (select coalesce(town, place_id) from place where place_id = $1)
               and p.property_id is distinct from $5 and ($7 or p.pay = 'at_lodge')
             order by p.area is not distinct from $1 desc, n.total, p.name, p.property_id limit $6"
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
