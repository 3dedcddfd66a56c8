//! Other dates for a reservation: takes the new nights and gives the old ones back, or changes nothing.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::effect::{Cause, Draft, Turn};
use super::reservations::{self, Reservation};
use super::{DbError, unknown};
use crate::booking::money::Money;
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;

/// What to change.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// The reservation.
    pub id: Uuid,
    /// Its new dates.
    pub stay: Stay,
    /// Now.
    pub at: DateTime<Utc>,
    /// What the guest was told that all of it costs then, in minor units.
    pub total_shown: i64,
    /// The turn that asks for it.
    pub turn: &'a Turn,
    /// For the history.
    pub cause: &'a Cause<'a>,
    /// Messages that tell of it.
    pub drafts: &'a [Draft],
}

/// What became of it, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It would cost this altogether. Nothing was written.
    Quoted(Reservation, Money),
    /// Changed now, or by this turn before.
    Done(Reservation),
    /// Those are its dates. Nothing was written.
    Same(Reservation),
    /// A night is gone, or the property is closed. Nothing was written.
    Taken(Reservation),
    /// The lodge does not take such a stay. Nothing was written.
    Restricted(Reservation, Restriction),
    /// It costs this altogether now. Nothing was written.
    PriceChanged(Reservation, Money),
    /// It cannot be cancelled for nothing any more, or the new stay would begin in the past. Nothing was written.
    TooLate(Reservation),
    /// It is paid and would cost something else. Nothing was written.
    Prepaid(Reservation),
    /// There is none with this id.
    NotFound,
}

/// What a reservation would cost with other dates: nights that it has keep their price.
///
/// # Errors
/// [`DbError`].
pub async fn quote_change(
    client: &impl GenericClient,
    id: Uuid,
    stay: Stay,
    at: DateTime<Utc>,
) -> Result<Changed, DbError> {
    let statement = client
        .prepare_cached(
            "select c.outcome, c.total_now, c.restriction, (c.shown).*
             from change_stay($1, $2, $3, $4, null, '', '', '', null, '[]') c",
        )
        .await?;
    let row = client
        .query_one(&statement, &[&id, &stay.check_in(), &stay.check_out(), &at])
        .await?;
    from_row(&row)
}

/// Changes the dates, with event and messages.
///
/// # Errors
/// [`DbError`]; nothing is half done, and the same turn again tells what happened.
pub async fn change_stay(
    client: &impl GenericClient,
    change: &Change<'_>,
) -> Result<Changed, DbError> {
    let outbox = serde_json::to_value(change.drafts).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached(
            "select c.outcome, c.total_now, c.restriction, (c.shown).*
             from change_stay($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) c",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &change.id,
                &change.stay.check_in(),
                &change.stay.check_out(),
                &change.at,
                &change.total_shown,
                &change.cause.who,
                &change.cause.channel,
                &change.cause.why,
                &change.turn.key(),
                &outbox,
            ],
        )
        .await?;
    from_row(&row)
}

fn from_row(row: &Row) -> Result<Changed, DbError> {
    let outcome = row.try_get("outcome")?;
    if outcome == "not_found" {
        return Ok(Changed::NotFound);
    }
    let reservation = reservations::from_row(row)?;
    let total_now = || -> Result<Money, DbError> {
        Ok(Money {
            minor: row.try_get("total_now")?,
            currency: reservation.total.currency,
        })
    };
    Ok(match outcome {
        "quoted" => {
            let total = total_now()?;
            Changed::Quoted(reservation, total)
        }
        "price_changed" => {
            let total = total_now()?;
            Changed::PriceChanged(reservation, total)
        }
        "done" | "again" => Changed::Done(reservation),
        "same" => Changed::Same(reservation),
        "taken" => Changed::Taken(reservation),
        "restricted" => {
            let restriction = Restriction::find(row.try_get("restriction")?);
            Changed::Restricted(
                reservation,
                restriction.ok_or_else(|| unknown("restriction"))?,
            )
        }
        "too_late" => Changed::TooLate(reservation),
        "prepaid" => Changed::Prepaid(reservation),
        _ => return Err(unknown("outcome")),
    })
}
