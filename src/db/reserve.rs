//! Reserving: all nights of a stay or none, in one call to the database.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Client;
use rand::RngExt;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::DbError;
use super::effect::{Cause, Draft, Turn};
use super::reservations::Reservation;
use crate::booking::code::Code;
use crate::booking::money::Money;
pub use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;
use crate::phone::Msisdn;

pub mod batch;
pub mod group;

use batch::{Answer, Request, reserve_batch};

/// The most unpaid holds of one number at a time.
pub const HOLDS_MAX: i32 = 2;
/// The most unpaid holds that one number begins in 24 hours.
pub const HOLD_STARTS_MAX: i32 = 5;
/// The most holds that one number lets run out in 7 days; after that it pays first.
pub const HOLDS_UNPAID_MAX: i32 = 3;
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
    /// When it is asked for, which decides what is too early or too late.
    pub at: DateTime<Utc>,
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
    /// Nothing is left but what this number itself holds there on some of these nights, unpaid. Nothing was written.
    Yours(Reservation),
    /// A night is gone or closed, the property is closed or too small, or too much of it is on unpaid holds. Nothing was
    /// written.
    Taken,
    /// The lodge does not take such a stay. Nothing was written.
    Restricted(Restriction),
    /// It costs this now. Nothing was written.
    PriceChanged(Money),
    /// This number has [`HOLDS_MAX`] unpaid holds. Nothing was written.
    TooMany,
    /// This number has begun [`HOLD_STARTS_MAX`] unpaid holds in a day, or let [`HOLDS_UNPAID_MAX`] run out in a week.
    /// Nothing was written.
    TooOften,
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
    let mut patience = Patience::new();
    loop {
        let code = Code::random();
        let request = Request::new(booking, 0, code.clone(), &compose(&code))?;
        match reserve_batch(client, isolation, &[&request]).await {
            Ok(answers) => match answers.into_iter().next() {
                Some(Answer::Settled(reserved)) => return Ok(*reserved),
                _ => patience.draw_again()?,
            },
            Err(error) => patience.after(error).await?,
        }
    }
}

/// What is left of the tries of one reservation.
pub(super) struct Patience {
    until: Instant,
    draws: u32,
    tries: u32,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            until: Instant::now() + RETRY_TOTAL_MAX,
            draws: 1,
            tries: 1,
        }
    }

    /// Another code may be drawn, unless it has been too often.
    pub(super) fn draw_again(&mut self) -> Result<(), DbError> {
        self.draws += 1;
        if self.draws > CODE_DRAWS_MAX {
            return Err(DbError::Busy("every code drawn is taken".into()));
        }
        Ok(())
    }

    /// Returns when the call may be made again after this error, or returns the error.
    pub(super) async fn after(&mut self, error: DbError) -> Result<(), DbError> {
        if is_clash(&error) {
            return self.draw_again().map_err(|_| error);
        }
        let DbError::Conflict(source) = &error else {
            return Err(error);
        };
        if is_deadlock(&error) {
            tracing::error!(%source, "a deadlock: some statement locks in another order");
        }
        if self.tries == TRIES_MAX || Instant::now() >= self.until {
            return Err(error);
        }
        metrics::counter!("reservation_retries_total").increment(1);
        sleep(retry_wait(self.tries)).await;
        self.tries += 1;
        Ok(())
    }
}

/// The unique constraints on code and turn have the last word: a clash on either undoes the call, and the next one
/// draws another code or finds the turn's reservation.
fn is_clash(error: &DbError) -> bool {
    let DbError::Refused(source) = error else {
        return false;
    };
    source
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::as_db_error)
        .is_some_and(|error| {
            *error.code() == SqlState::UNIQUE_VIOLATION
                && matches!(
                    error.constraint(),
                    Some("reservation_code" | "reservation_turn")
                )
        })
}

fn is_deadlock(error: &DbError) -> bool {
    let DbError::Conflict(source) = error else {
        return false;
    };
    source
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::code)
        == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

/// Random between the least wait and a bound that doubles with each try.
fn retry_wait(tries: u32) -> Duration {
    let bound = (RETRY_WAIT_FIRST_MAX * 2u32.saturating_pow(tries - 1)).min(RETRY_WAIT_MAX);
    rand::rng().random_range(RETRY_WAIT_MIN..=bound)
}
