//! Moves of a reservation from one state to the next: each a compare-and-set with its event and its messages. Which
//! moves there are: [`Status::may_become`].

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use serde::Serialize;
use uuid::Uuid;

use super::effect::{Cause, Draft, Turn};
use super::{DbError, unknown};
use crate::booking::reservation::Status;

/// What became of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Done now, or by this turn before.
    Done,
    /// It is not in a state from which it can go there. Nothing was written.
    Refused,
    /// Its nights were given back and others have them. Nothing was written.
    Taken,
    /// There is none with this id.
    NotFound,
}

/// Moves a reservation to a state, gives its nights back or takes them again where the state asks for it.
///
/// # Errors
/// [`DbError`]; nothing is half done, and the same turn again tells what happened.
pub async fn move_to(
    client: &impl GenericClient,
    id: Uuid,
    to: Status,
    cause: &Cause<'_>,
    turn: &Turn,
    drafts: &[Draft],
) -> Result<Moved, DbError> {
    let statement = client
        .prepare_cached("select move_reservation($1, $2, $3, $4, $5, $6, $7) as outcome")
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &id,
                &to.word(),
                &cause.who,
                &cause.channel,
                &cause.why,
                &turn.key(),
                &json(drafts)?,
            ],
        )
        .await?;
    Ok(match row.try_get("outcome")? {
        "done" | "again" => Moved::Done,
        "refused" => Moved::Refused,
        "taken" => Moved::Taken,
        "not_found" => Moved::NotFound,
        _ => return Err(unknown("outcome")),
    })
}

/// Marks up to `limit` guests who have not come by their lodge's cut-off, gives their nights back, and says how many.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn mark_no_shows(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    limit: i32,
) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached("select mark_no_shows($1, $2) as marked")
        .await?;
    let row = client.query_one(&statement, &[&at, &limit]).await?;
    Ok(row.try_get::<_, i64>("marked")?.unsigned_abs())
}

/// Ends up to `limit` stays whose day of check-out has reached noon, and says how many.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn complete_stays(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    limit: i32,
) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached("select complete_stays($1, $2) as completed")
        .await?;
    let row = client.query_one(&statement, &[&at, &limit]).await?;
    Ok(row.try_get::<_, i64>("completed")?.unsigned_abs())
}

/// One line of a reservation's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// The state it went to; the one it was in when only its dates changed.
    pub to: String,
    /// `guest`, `host`, `operator` or `system`.
    pub who: String,
    /// `ussd`, `sms`, `console`, `job`.
    pub channel: String,
    /// A few words.
    pub why: String,
}

/// The history of a reservation, oldest first; there is no way to change it.
///
/// # Errors
/// [`DbError`].
pub async fn list_events(client: &impl GenericClient, id: Uuid) -> Result<Vec<Event>, DbError> {
    let statement = client
        .prepare_cached(
            "select at, to_status, who, channel, why from reservation_event
             where reservation_id = $1 order by reservation_event_id",
        )
        .await?;
    let rows = client.query(&statement, &[&id]).await?;
    rows.iter()
        .map(|row| {
            Ok(Event {
                at: row.try_get("at")?,
                to: row.try_get("to_status")?,
                who: row.try_get("who")?,
                channel: row.try_get("channel")?,
                why: row.try_get("why")?,
            })
        })
        .collect()
}

fn json(drafts: &(impl Serialize + ?Sized)) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(drafts).map_err(|e| DbError::Refused(e.into()))
}
