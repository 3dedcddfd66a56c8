//! What is remembered of a number: language, name, last places, opt-out, and the dialogue it may go on with.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::Row;

use super::DbError;
use crate::phone::Msisdn;

/// How many last places are kept.
pub const RECENT_PLACES_MAX: i32 = 3;
/// How long after its last step a dialogue can be gone on with.
pub const DRAFT_AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// What is remembered of a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guest {
    /// The language chosen.
    pub language: Option<String>,
    /// The name given.
    pub name: Option<String>,
    /// Ids of the last places, the latest first.
    pub recent_places: Vec<String>,
    /// Since when no SMS but answers are wanted.
    pub opted_out_at: Option<DateTime<Utc>>,
}

/// A number that has just dialled.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Caller {
    /// `None` for a new number.
    pub guest: Option<Guest>,
    /// The dialogue that broke off within [`DRAFT_AGE_MAX`].
    pub draft: Option<Value>,
}

/// What is remembered of `msisdn`; `None` for a new number.
///
/// # Errors
/// [`DbError`].
pub async fn find(client: &impl GenericClient, msisdn: &Msisdn) -> Result<Option<Guest>, DbError> {
    let statement = client
        .prepare_cached(
            "select language, name, recent_places, opted_out_at from guest where msisdn = $1",
        )
        .await?;
    client
        .query_opt(&statement, &[&msisdn.as_str()])
        .await?
        .as_ref()
        .map(from_row)
        .transpose()
}

/// Guest and draft together.
///
/// # Errors
/// [`DbError`].
pub async fn find_caller(client: &impl GenericClient, msisdn: &Msisdn) -> Result<Caller, DbError> {
    let statement = client
        .prepare_cached(
            "select g.msisdn, g.language, g.name, g.recent_places, g.opted_out_at, d.draft
             from (select $1::text as msisdn) caller
             left join guest g on g.msisdn = caller.msisdn
             left join draft d on d.msisdn = caller.msisdn
                              and d.saved_at > now() - make_interval(secs => $2)",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[&msisdn.as_str(), &DRAFT_AGE_MAX.as_secs_f64()],
        )
        .await?;
    let known: Option<&str> = row.try_get("msisdn")?;
    Ok(Caller {
        guest: known.map(|_| from_row(&row)).transpose()?,
        draft: row.try_get("draft")?,
    })
}

/// Keeps the language chosen.
///
/// # Errors
/// [`DbError`].
pub async fn remember_language(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    language: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into guest (msisdn, language) values ($1, $2)
             on conflict (msisdn) do update set language = excluded.language, seen_at = now()",
        )
        .await?;
    client
        .execute(&statement, &[&msisdn.as_str(), &language])
        .await?;
    Ok(())
}

/// Keeps the name given.
///
/// # Errors
/// [`DbError`].
pub async fn remember_name(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    name: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into guest (msisdn, name) values ($1, $2)
             on conflict (msisdn) do update set name = excluded.name, seen_at = now()",
        )
        .await?;
    client
        .execute(&statement, &[&msisdn.as_str(), &name])
        .await?;
    Ok(())
}

/// Puts `place` in front of the last places and keeps [`RECENT_PLACES_MAX`] of them.
///
/// # Errors
/// [`DbError`].
pub async fn remember_place(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    place: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into guest (msisdn, recent_places) values ($1, array[$2::text])
             on conflict (msisdn) do update set seen_at = now(),
                 recent_places = (array_prepend($2, array_remove(guest.recent_places, $2)))[:$3]",
        )
        .await?;
    client
        .execute(&statement, &[&msisdn.as_str(), &place, &RECENT_PLACES_MAX])
        .await?;
    Ok(())
}

/// Keeps that `msisdn` wants no SMS but answers; the first time counts.
///
/// # Errors
/// [`DbError`].
pub async fn opt_out(client: &impl GenericClient, msisdn: &Msisdn) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into guest (msisdn, opted_out_at) values ($1, now())
             on conflict (msisdn) do update set opted_out_at = coalesce(guest.opted_out_at, now())",
        )
        .await?;
    client.execute(&statement, &[&msisdn.as_str()]).await?;
    Ok(())
}

/// Takes an opt-out back.
///
/// # Errors
/// [`DbError`].
pub async fn opt_in(client: &impl GenericClient, msisdn: &Msisdn) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("update guest set opted_out_at = null where msisdn = $1")
        .await?;
    client.execute(&statement, &[&msisdn.as_str()]).await?;
    Ok(())
}

/// Keeps where a dialogue is, replacing what was kept before.
///
/// # Errors
/// [`DbError`].
pub async fn save_draft(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    draft: &Value,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into draft (msisdn, draft) values ($1, $2)
             on conflict (msisdn) do update set draft = excluded.draft, saved_at = now()",
        )
        .await?;
    client
        .execute(&statement, &[&msisdn.as_str(), draft])
        .await?;
    Ok(())
}

/// Where the dialogue of `msisdn` broke off, if that is not longer ago than `age_max`.
///
/// # Errors
/// [`DbError`].
pub async fn find_draft(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    age_max: Duration,
) -> Result<Option<Value>, DbError> {
    let statement = client
        .prepare_cached(
            "select draft from draft
             where msisdn = $1 and saved_at > now() - make_interval(secs => $2)",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&msisdn.as_str(), &age_max.as_secs_f64()])
        .await?;
    Ok(row.map(|row| row.try_get("draft")).transpose()?)
}

/// Marks what is kept as `over`.
///
/// # Errors
/// [`DbError`].
pub async fn close_draft(client: &impl GenericClient, msisdn: &Msisdn) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("update draft set draft = draft || '{\"over\": true}' where msisdn = $1")
        .await?;
    client.execute(&statement, &[&msisdn.as_str()]).await?;
    Ok(())
}

fn from_row(row: &Row) -> Result<Guest, DbError> {
    Ok(Guest {
        language: row.try_get("language")?,
        name: row.try_get("name")?,
        recent_places: row.try_get("recent_places")?,
        opted_out_at: row.try_get("opted_out_at")?,
    })
}
