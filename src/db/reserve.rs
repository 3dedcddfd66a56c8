//! Reserving: all nights of a stay or none, in one call to the database.

use std::time::Duration;

use deadpool_postgres::{Client, GenericClient};
use rand::RngExt;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use super::effect::{Cause, Draft, Turn};
use super::reservations::{self, Reservation};
use super::{DbError, unknown};
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::stay::Stay;
use crate::phone::Msisdn;

/// The most unpaid holds of one number at a time.
pub const HOLDS_MAX: i32 = 2;
/// How often a code is drawn when another reservation has it. There are ten million.
const CODE_DRAWS_MAX: u32 = 5;
/// How often, how soon and how long a call undone by a conflict is made again. The wait is random up to its bound.
const TRIES_MAX: u32 = 5;
const RETRY_WAIT_MIN: Duration = Duration::from_millis(2);
const RETRY_WAIT_FIRST_MAX: Duration = Duration::from_millis(5);
const RETRY_WAIT_MAX: Duration = Duration::from_millis(100);
const RETRY_TOTAL_MAX: Duration = Duration::from_secs(1);

/// What to reserve.
#[derive(Debug, Clone)]
pub struct Booking<'a> {
    /// The turn that asks for it.
    pub turn: &'a Turn,
    /// Where.
    pub property_id: Uuid,
    /// Which nights.
    pub stay: Stay,
    /// How many units.
    pub units: i32,
    /// How many people altogether.
    pub guests: u8,
    /// Who books.
    pub msisdn: &'a Msisdn,
    /// Who comes, if that is someone else.
    pub guest_msisdn: Option<&'a Msisdn>,
    /// May be empty.
    pub guest_name: &'a str,
    /// Of the messages about it.
    pub language: &'a str,
    /// What the guest was told that all of it costs.
    pub total_shown: Money,
    /// For the history.
    pub cause: Cause<'a>,
}

/// How the database keeps concurrent reservations apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Row locks and the CHECK: one round trip.
    #[default]
    ReadCommitted,
    /// The same and SERIALIZABLE around it, tried again on a conflict: three round trips.
    Serializable,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Made now.
    Made(Reservation),
    /// This turn had made it before.
    Again(Reservation),
    /// A night is gone, the property is closed or too small. Nothing was written.
    Taken,
    /// It costs this now. Nothing was written.
    PriceChanged(Money),
    /// This number has [`HOLDS_MAX`] unpaid holds. Nothing was written.
    TooMany,
}

/// Takes all nights of the stay or none, with the reservation, its first event and the messages that `compose` writes
/// for its code, all in one transaction. Pay-at-lodge is confirmed at once, prepay is held.
///
/// # Errors
/// [`DbError::Conflict`] after the last try, [`DbError::Unreachable`] when the outcome is unknown: the same turn again
/// tells it.
pub async fn reserve(
    client: &mut Client,
    isolation: Isolation,
    booking: &Booking<'_>,
    compose: impl Fn(&Code) -> Vec<Draft>,
) -> Result<Reserved, DbError> {
    let until = Instant::now() + RETRY_TOTAL_MAX;
    let (mut draws, mut tries) = (1, 1);
    loop {
        let code = Code::random();
        let outbox =
            serde_json::to_value(compose(&code)).map_err(|e| DbError::Refused(e.into()))?;
        match call(client, isolation, booking, &code, &outbox).await {
            Ok(row) => return from_row(&row, booking),
            Err(error) if is_code_taken(&error) && draws < CODE_DRAWS_MAX => draws += 1,
            Err(error) => match DbError::from(error) {
                DbError::Conflict(source) if tries < TRIES_MAX && Instant::now() < until => {
                    tracing::warn!(%source, tries, "a reservation is tried again");
                    sleep(retry_wait(tries)).await;
                    tries += 1;
                }
                error => return Err(error),
            },
        }
    }
}

async fn call(
    client: &mut Client,
    isolation: Isolation,
    booking: &Booking<'_>,
    code: &Code,
    outbox: &serde_json::Value,
) -> Result<Row, tokio_postgres::Error> {
    match isolation {
        Isolation::ReadCommitted => call_once(&*client, booking, code, outbox).await,
        Isolation::Serializable => {
            let transaction = client
                .build_transaction()
                .isolation_level(IsolationLevel::Serializable)
                .start()
                .await?;
            let row = call_once(&transaction, booking, code, outbox).await?;
            transaction.commit().await?;
            Ok(row)
        }
    }
}

async fn call_once(
    client: &impl GenericClient,
    booking: &Booking<'_>,
    code: &Code,
    outbox: &serde_json::Value,
) -> Result<Row, tokio_postgres::Error> {
    let statement = client
        .prepare_cached(
            "select r.outcome, r.price_now, (r.shown).*
             from reserve($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                          $20, $21) r",
        )
        .await?;
    client
        .query_one(
            &statement,
            &[
                &Uuid::now_v7(),
                &code.digits(),
                &booking.property_id,
                &booking.stay.check_in(),
                &booking.stay.check_out(),
                &booking.units,
                &i32::from(booking.guests),
                &booking.msisdn.as_str(),
                &booking.guest_msisdn.map(Msisdn::as_str),
                &booking.guest_name,
                &booking.language,
                &booking.total_shown.minor,
                &booking.total_shown.currency.code(),
                &booking.turn.door,
                &booking.turn.session,
                &booking.turn.position,
                &booking.cause.who,
                &booking.cause.channel,
                &booking.cause.why,
                outbox,
                &HOLDS_MAX,
            ],
        )
        .await
}

fn from_row(row: &Row, booking: &Booking<'_>) -> Result<Reserved, DbError> {
    Ok(match row.try_get("outcome")? {
        "made" => Reserved::Made(reservations::from_row(row)?),
        "again" => Reserved::Again(reservations::from_row(row)?),
        "taken" => Reserved::Taken,
        "price_changed" => Reserved::PriceChanged(Money {
            minor: row.try_get("price_now")?,
            currency: booking.total_shown.currency,
        }),
        "too_many" => Reserved::TooMany,
        _ => return Err(unknown("outcome")),
    })
}

/// The unique constraints on code and turn have the last word: a clash on either undoes the call, and the next one
/// draws another code or finds the turn's reservation.
fn is_code_taken(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
        && error.as_db_error().is_some_and(|error| {
            matches!(
                error.constraint(),
                Some("reservation_code" | "reservation_turn")
            )
        })
}

/// Random between the least wait and a bound that doubles with each try.
fn retry_wait(tries: u32) -> Duration {
    let bound = (RETRY_WAIT_FIRST_MAX * 2u32.saturating_pow(tries - 1)).min(RETRY_WAIT_MAX);
    rand::rng().random_range(RETRY_WAIT_MIN..=bound)
}
