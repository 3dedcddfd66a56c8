//! Guests who wait for a room: their wishes, whose turn it is, and the room that is held for one.

use std::ops::Range;

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::effect::{Draft, Turn};
use super::reservations::{self, Reservation};
use super::{DbError, read_msisdn, unknown};
use crate::booking::code::Code;
use crate::booking::offer::{Offer, Search};
use crate::booking::stay::Stay;
use crate::phone::Msisdn;

/// The most rooms that one number waits for.
pub const WISHES_MAX: i32 = 3;
/// A room is held so long at the least: an SMS has to be read first.
pub const HELD_MINUTES_MIN: i32 = 30;
/// How many days after its last night a wish is forgotten.
const KEPT_DAYS: i32 = 30;
/// Lets one worker at a time go through the line, so that the first who fits comes first.
const LINE_LOCK: i64 = 0x5741_4954;

/// Somebody who waits.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its place in the line.
    pub id: i64,
    /// Who waits.
    pub msisdn: Msisdn,
    /// Of the message.
    pub language: String,
    /// For what.
    pub search: Search,
}

/// What became of a new wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wished {
    /// It stands in the line, now or by this turn or another for the same before.
    Noted,
    /// This number waits for [`WISHES_MAX`] rooms. Nothing was written.
    TooMany,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The room is held, and the message about it is written.
    Held,
    /// Others were faster, the price is another by now, or the lodge does not take such a stay. Nothing was written.
    NotHeld,
    /// Another reservation has the code: draw again. Nothing was written.
    CodeTaken,
}

/// Puts a wish at the end of the line.
///
/// # Errors
/// [`DbError`]; the same turn again changes nothing.
pub async fn add(
    client: &impl GenericClient,
    turn: &Turn,
    msisdn: &Msisdn,
    language: &str,
    wanted: &Search,
) -> Result<Wished, DbError> {
    let statement = client
        .prepare_cached("select add_wish($1, $2, $3, $4, $5, $6, $7, $8) as outcome")
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &msisdn.as_str(),
                &language,
                &wanted.place,
                &wanted.stay.check_in(),
                &wanted.stay.check_out(),
                &i32::from(wanted.guests),
                &turn.key(),
                &WISHES_MAX,
            ],
        )
        .await?;
    match row.try_get("outcome")? {
        "noted" => Ok(Wished::Noted),
        "too_many" => Ok(Wished::TooMany),
        _ => Err(unknown("outcome")),
    }
}

/// Whether the line is this transaction's until it ends; `false` while another worker has it.
///
/// # Errors
/// [`DbError`].
pub async fn lock_line(client: &impl GenericClient) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached("select pg_try_advisory_xact_lock($1) as locked")
        .await?;
    let row = client.query_one(&statement, &[&LINE_LOCK]).await?;
    Ok(row.try_get("locked")?)
}

/// The first wish behind `after` that some lodge seems to have a room for; `prepaid`: also lodges that want money first. Who
/// does not arrive today is left alone outside of the waking hours.
///
/// # Errors
/// [`DbError`].
pub async fn next(
    client: &impl GenericClient,
    after: i64,
    at: DateTime<Utc>,
    prepaid: bool,
    waking_hours: &Range<i32>,
) -> Result<Option<Wish>, DbError> {
    let statement = client
        .prepare_cached(
            "select wish_id, msisdn, language, place, check_in, check_out, guests
             from next_wish($1, $2, $3, $4, $5)",
        )
        .await?;
    let row = client
        .query_opt(
            &statement,
            &[
                &after,
                &at,
                &prepaid,
                &waking_hours.start,
                &waking_hours.end,
            ],
        )
        .await?;
    row.map(|row| {
        let check_in: NaiveDate = row.try_get("check_in")?;
        let check_out: NaiveDate = row.try_get("check_out")?;
        let nights = u8::try_from((check_out - check_in).num_days()).unwrap_or(0);
        Ok(Wish {
            id: row.try_get("wish_id")?,
            msisdn: read_msisdn(&row, "msisdn")?,
            language: row.try_get("language")?,
            search: Search {
                place: row.try_get("place")?,
                stay: Stay::new(check_in, nights).ok_or_else(|| unknown("check_out"))?,
                guests: u8::try_from(row.try_get::<_, i32>("guests")?)
                    .map_err(|_| unknown("guests"))?,
                prepaid,
            },
        })
    })
    .transpose()
}

/// Holds a room for a wish under this code, with its event and messages.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn offer(
    client: &impl GenericClient,
    wish: &Wish,
    offer: &Offer,
    code: &Code,
    at: DateTime<Utc>,
    drafts: &[Draft],
) -> Result<Offered, DbError> {
    let outbox = serde_json::to_value(drafts).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached("select offer_wish($1, $2, $3, $4, $5, $6, $7, $8, $9) as outcome")
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &wish.id,
                &Uuid::now_v7(),
                &code.digits(),
                &offer.property_id,
                &offer.total.minor,
                &offer.total.currency.code(),
                &HELD_MINUTES_MIN,
                &at,
                &outbox,
            ],
        )
        .await?;
    match row.try_get("outcome")? {
        "offered" => Ok(Offered::Held),
        "gone" | "taken" | "price_changed" => Ok(Offered::NotHeld),
        "code_taken" => Ok(Offered::CodeTaken),
        _ => Err(unknown("outcome")),
    }
}

/// The room that is held for this number because it waited, the one that is given up first.
///
/// # Errors
/// [`DbError`].
pub async fn find_offered(
    client: &impl GenericClient,
    msisdn: &Msisdn,
) -> Result<Option<Reservation>, DbError> {
    let statement = client
        .prepare_cached(
            "select v.* from wish w join reservation_shown v on v.reservation_id = w.reservation_id
             where w.msisdn = $1 and v.status = 'held' and v.hold_expires_at > now()
             order by v.hold_expires_at limit 1",
        )
        .await?;
    client
        .query_opt(&statement, &[&msisdn.as_str()])
        .await?
        .as_ref()
        .map(reservations::from_row)
        .transpose()
}

/// Ends wishes whose first night is over everywhere on earth, says how many, and forgets those that are over for long.
///
/// # Errors
/// [`DbError`].
pub async fn end_past(client: &impl GenericClient, at: DateTime<Utc>) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached(
            "with forgotten as (delete from wish where check_out < $1::date - $2::integer)
             update wish set ended_at = now()
             where reservation_id is null and ended_at is null and check_in < $1::date - 1
               and check_out >= $1::date - $2::integer",
        )
        .await?;
    Ok(client
        .execute(&statement, &[&at.date_naive(), &KEPT_DAYS])
        .await?)
}
