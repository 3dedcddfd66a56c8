//! What guests have: listing, finding and cancelling reservations.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use deadpool_postgres::GenericClient;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use super::effect::{Cause, Draft, Turn};
use super::{DbError, read_currency, read_msisdn, unknown};
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::offer::Pay;
use crate::booking::reservation::Status;
use crate::booking::stay::Stay;
use crate::phone::Msisdn;

/// The most reservations listed for one number.
pub const LIST_MAX: i64 = 10;

/// A reservation with what guest and host are told about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id.
    pub id: Uuid,
    /// Its speakable code.
    pub code: Code,
    /// Where.
    pub property_id: Uuid,
    /// The property's name.
    pub property_name: String,
    /// Whom a guest calls.
    pub property_phone: Msisdn,
    /// What it is near, or empty.
    pub landmark: String,
    /// Name of its town.
    pub town: String,
    /// Who is told of it.
    pub host_msisdn: Msisdn,
    /// In which language.
    pub host_language: String,
    /// Which nights.
    pub stay: Stay,
    /// How many units.
    pub units: i32,
    /// How many people altogether.
    pub guests: i32,
    /// Who booked.
    pub msisdn: Msisdn,
    /// Who comes, if that is someone else.
    pub guest_msisdn: Option<Msisdn>,
    /// May be empty.
    pub guest_name: String,
    /// Of the messages about it.
    pub language: String,
    /// Where it stands.
    pub status: Status,
    /// The frozen price of all of it.
    pub total: Money,
    /// When the guest pays.
    pub pay: Pay,
    /// In the property's time zone.
    pub check_in_time: NaiveTime,
    /// Until how many hours before check-in it can be cancelled, as it was when it was made.
    pub cancel_hours: i32,
    /// Until when an unpaid one is kept.
    pub hold_expires_at: Option<DateTime<Utc>>,
    /// Of the property.
    pub time_zone: Tz,
    /// How often its dates were changed.
    pub changes: i32,
    /// What the guest was charged for cancelling it.
    pub cancel_cost: Money,
    /// What goes back to the guest after it was paid and cancelled.
    pub refund: Money,
    /// What has come for it and was not sent back.
    pub paid: Money,
}

impl Reservation {
    /// What of the total is not paid.
    pub fn left(&self) -> Money {
        Money {
            minor: (self.total.minor - self.paid.minor).max(0),
            ..self.total
        }
    }
}

/// Who cancels what, and what they were told that it costs.
#[derive(Debug, Clone)]
pub struct Cancel<'a> {
    /// The reservation.
    pub id: Uuid,
    /// Now.
    pub at: DateTime<Utc>,
    /// In minor units. Guests pay [`find_cancel_cost`], others nothing.
    pub cost_shown: i64,
    /// The turn that asks for it.
    pub turn: &'a Turn,
    /// For the history; `who` decides who pays.
    pub cause: &'a Cause<'a>,
    /// Messages that tell of it.
    pub drafts: &'a [Draft],
}

/// What became of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// Cancelled now, or by this turn before; its nights are free again.
    Done(Reservation),
    /// It costs this now, which is not what was shown. Nothing was written.
    Costs(Reservation, Money),
    /// A payment is under way, or the guest is there. Nothing was written.
    TooLate(Reservation),
    /// Its nights went back before: cancelled or expired. Nothing was written.
    AlreadyCancelled(Reservation),
    /// There is none with this id.
    NotFound,
}

/// Reservations that are held, being paid or confirmed, made by or for this number that end `today` or later, the next first; at most
/// [`LIST_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn list_live(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    today: NaiveDate,
) -> Result<Vec<Reservation>, DbError> {
    let statement = client
        .prepare_cached(
            "select * from reservation_shown
             where (msisdn = $1 or guest_msisdn = $1) and status in ('held', 'paying', 'confirmed') and check_out >= $2
             order by check_in, reservation_id limit $3",
        )
        .await?;
    client
        .query(&statement, &[&msisdn.as_str(), &today, &LIST_MAX])
        .await?
        .iter()
        .map(from_row)
        .collect()
}

/// The reservation with this code, if it was made by or for this number.
///
/// # Errors
/// [`DbError`].
pub async fn find_by_code(
    client: &impl GenericClient,
    code: &Code,
    msisdn: &Msisdn,
) -> Result<Option<Reservation>, DbError> {
    let statement = client
        .prepare_cached(
            "select * from reservation_shown where code = $1 and (msisdn = $2 or guest_msisdn = $2)",
        )
        .await?;
    client
        .query_opt(&statement, &[&code.digits(), &msisdn.as_str()])
        .await?
        .as_ref()
        .map(from_row)
        .transpose()
}

/// A reservation as clients of the API see it.
#[derive(Debug, Clone)]
pub struct Versioned {
    /// It.
    pub reservation: Reservation,
    /// `prop_…`
    pub short_id: String,
    /// Rises with each event and each move of money.
    pub version: i64,
}

/// [`find_by_code`], with how often it has changed.
///
/// # Errors
/// [`DbError`].
pub async fn find_with_version(
    client: &impl GenericClient,
    code: &Code,
    msisdn: &Msisdn,
) -> Result<Option<Versioned>, DbError> {
    let statement = client
        .prepare_cached(
            "select r.*, p.short_id,
                    (select count(*) from reservation_event e where e.reservation_id = r.reservation_id)
                    + (select count(*) from ledger l where l.reservation_id = r.reservation_id) as version
             from reservation_shown r join property p on p.property_id = r.property_id
             where r.code = $1 and (r.msisdn = $2 or r.guest_msisdn = $2)",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&code.digits(), &msisdn.as_str()])
        .await?;
    row.map(|row| {
        Ok(Versioned {
            reservation: from_row(&row)?,
            short_id: row.try_get("short_id")?,
            version: row.try_get("version")?,
        })
    })
    .transpose()
}

/// The reservation with this code, whoever asks: for the operator.
///
/// # Errors
/// [`DbError`].
pub async fn find_any(
    client: &impl GenericClient,
    code: &Code,
) -> Result<Option<Reservation>, DbError> {
    let statement = client
        .prepare_cached("select * from reservation_shown where code = $1")
        .await?;
    client
        .query_opt(&statement, &[&code.digits()])
        .await?
        .as_ref()
        .map(from_row)
        .transpose()
}

/// The last reservation that a dialogue made, of a group the first part, and the position of its turn.
///
/// # Errors
/// [`DbError`].
pub async fn find_by_dialogue(
    client: &impl GenericClient,
    door: &str,
    session: &str,
) -> Result<Option<(Reservation, i32)>, DbError> {
    let statement = client
        .prepare_cached(
            "select * from reservation_shown where turn_door = $1 and turn_session = $2
             order by turn_position desc, reservation_id limit 1",
        )
        .await?;
    client
        .query_opt(&statement, &[&door, &session])
        .await?
        .map(|row| Ok((from_row(&row)?, row.try_get("turn_position")?)))
        .transpose()
}

/// Every reservation that a dialogue made, in the order in which they were made; at most [`LIST_MAX`].
///
/// # Errors
/// [`DbError`].
pub async fn list_by_dialogue(
    client: &impl GenericClient,
    door: &str,
    session: &str,
) -> Result<Vec<Reservation>, DbError> {
    let statement = client
        .prepare_cached(
            "select * from reservation_shown where turn_door = $1 and turn_session = $2
             order by turn_position, reservation_id limit $3",
        )
        .await?;
    client
        .query(&statement, &[&door, &session, &LIST_MAX])
        .await?
        .iter()
        .map(from_row)
        .collect()
}

/// What a guest is charged who cancels at this moment, in minor units: nothing for a hold and until `cancel_hours` before
/// check-in, then the first night. `None`: there is no such reservation.
///
/// # Errors
/// [`DbError`].
pub async fn find_cancel_cost(
    client: &impl GenericClient,
    id: Uuid,
    at: DateTime<Utc>,
) -> Result<Option<i64>, DbError> {
    let statement = client
        .prepare_cached(
            "select cancel_cost(r, $2) as cost from reservation r where r.reservation_id = $1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&id, &at]).await?;
    Ok(row.map(|row| row.try_get("cost")).transpose()?)
}

/// Cancels a held or confirmed reservation, gives its nights back once, and writes event and messages with it. What was
/// paid for it is then due to go back, less the cost.
///
/// # Errors
/// [`DbError`]; nothing is half done, and the same turn again tells what happened.
pub async fn cancel(
    client: &impl GenericClient,
    cancel: &Cancel<'_>,
) -> Result<Cancelled, DbError> {
    let outbox = serde_json::to_value(cancel.drafts).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached(
            "select c.outcome, c.cost, (c.shown).*
             from cancel_reservation($1, $2, $3, $4, $5, $6, $7, $8) c",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &cancel.id,
                &cancel.at,
                &cancel.cost_shown,
                &cancel.cause.who,
                &cancel.cause.channel,
                &cancel.cause.why,
                &cancel.turn.key(),
                &outbox,
            ],
        )
        .await?;
    Ok(match row.try_get("outcome")? {
        "done" | "again" => Cancelled::Done(from_row(&row)?),
        "costs" => {
            let reservation = from_row(&row)?;
            let cost = Money {
                minor: row.try_get("cost")?,
                currency: reservation.total.currency,
            };
            Cancelled::Costs(reservation, cost)
        }
        "too_late" => Cancelled::TooLate(from_row(&row)?),
        "already_cancelled" => Cancelled::AlreadyCancelled(from_row(&row)?),
        "not_found" => Cancelled::NotFound,
        _ => return Err(unknown("outcome")),
    })
}

/// Reads the columns of the view `reservation_shown`.
pub(super) fn from_row(row: &Row) -> Result<Reservation, DbError> {
    let currency = read_currency(row)?;
    let check_in: NaiveDate = row.try_get("check_in")?;
    let check_out: NaiveDate = row.try_get("check_out")?;
    let nights = u8::try_from((check_out - check_in).num_days()).unwrap_or(0);
    let guest_msisdn: Option<&str> = row.try_get("guest_msisdn")?;
    Ok(Reservation {
        id: row.try_get("reservation_id")?,
        code: Code::parse(row.try_get("code")?).map_err(|_| unknown("code"))?,
        property_id: row.try_get("property_id")?,
        property_name: row.try_get("property_name")?,
        property_phone: read_msisdn(row, "property_phone")?,
        landmark: row.try_get("landmark")?,
        town: row.try_get("town")?,
        host_msisdn: read_msisdn(row, "host_msisdn")?,
        host_language: row.try_get("host_language")?,
        stay: Stay::new(check_in, nights).ok_or_else(|| unknown("check_out"))?,
        units: row.try_get("units")?,
        guests: row.try_get("guests")?,
        msisdn: read_msisdn(row, "msisdn")?,
        guest_msisdn: guest_msisdn
            .map(|_| read_msisdn(row, "guest_msisdn"))
            .transpose()?,
        guest_name: row.try_get("guest_name")?,
        language: row.try_get("language")?,
        status: Status::find(row.try_get("status")?).ok_or_else(|| unknown("status"))?,
        total: Money {
            minor: row.try_get("total")?,
            currency,
        },
        pay: Pay::find(row.try_get("pay")?).ok_or_else(|| unknown("pay"))?,
        check_in_time: row.try_get("check_in_time")?,
        cancel_hours: row.try_get("cancel_hours")?,
        hold_expires_at: row.try_get("hold_expires_at")?,
        time_zone: row
            .try_get::<_, &str>("time_zone")?
            .parse()
            .map_err(|_| unknown("time_zone"))?,
        changes: row.try_get("changes")?,
        cancel_cost: Money {
            minor: row.try_get("cancel_cost")?,
            currency,
        },
        refund: Money {
            minor: row.try_get("refund")?,
            currency,
        },
        paid: Money {
            minor: row.try_get("paid")?,
            currency,
        },
    })
}
