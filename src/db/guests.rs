//! What is remembered of a number: language, name, last places, opt-out, and the dialogue it may go on with.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

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

/// Where a dialogue broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Which session got there.
    pub session: String,
    /// Whether that has ended since.
    pub is_over: bool,
    /// What it goes on from, as it was given.
    pub dialogue: Vec<u8>,
}

/// A number that has just dialled.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Caller {
    /// `None` for a new number.
    pub guest: Option<Guest>,
    /// The dialogue that broke off within [`DRAFT_AGE_MAX`].
    pub draft: Option<Draft>,
    /// Whether this phone was asked to pay a short while ago.
    pub pays: bool,
    /// Whether a room may be held for it, because it waited for one.
    pub offered: bool,
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

/// Guest and draft of each of these, in their order.
///
/// # Errors
/// [`DbError`].
pub async fn find_callers(
    client: &impl GenericClient,
    msisdns: &[Msisdn],
) -> Result<Vec<Caller>, DbError> {
    // Laterals with a limit: one look into each index a caller, whatever the planner thinks of sizes.
    let statement = client
        .prepare_cached(
            "select g.msisdn, g.language, g.name, g.recent_places, g.opted_out_at,
                    d.session, d.is_over, d.dialogue,
                    coalesce(g.pays_until > now(), false) as pays,
                    coalesce(g.offered_until > now(), false) as offered
             from unnest($1::text[]) with ordinality as caller (msisdn, place)
             left join lateral (select * from guest where guest.msisdn = caller.msisdn limit 1) g on true
             left join lateral (select * from draft where draft.msisdn = caller.msisdn
                                and draft.saved_at > now() - make_interval(secs => $2) limit 1) d on true
             order by caller.place",
        )
        .await?;
    let asked: Vec<_> = msisdns.iter().map(Msisdn::as_str).collect();
    let rows = client
        .query(&statement, &[&asked, &DRAFT_AGE_MAX.as_secs_f64()])
        .await?;
    let caller = |row: &Row| {
        let known: Option<&str> = row.try_get("msisdn")?;
        Ok(Caller {
            guest: known.map(|_| from_row(row)).transpose()?,
            draft: draft(row)?,
            pays: row.try_get("pays")?,
            offered: row.try_get("offered")?,
        })
    };
    rows.iter().map(caller).collect()
}

fn draft(row: &Row) -> Result<Option<Draft>, tokio_postgres::Error> {
    let Some(session) = row.try_get("session")? else {
        return Ok(None);
    };
    Ok(Some(Draft {
        session,
        is_over: row.try_get("is_over")?,
        dialogue: row.try_get("dialogue")?,
    }))
}

/// What is new of one caller. Absent: as it was.
#[derive(Debug, Serialize)]
pub struct Remembered<'a> {
    /// Who.
    pub msisdn: &'a str,
    /// The language chosen.
    pub language: Option<&'a str>,
    /// The name given.
    pub name: Option<&'a str>,
    /// Ids of places, the latest first; they go in front of those kept, of which [`RECENT_PLACES_MAX`] stay.
    pub places: &'a [String],
    /// Where a dialogue is, in place of what was kept before.
    #[serde(skip)]
    pub draft: Option<Draft>,
    /// Marks what was kept as over.
    pub closes: bool,
}

/// Keeps what is new of callers, each of whom is named once; all of it or nothing.
///
/// # Errors
/// [`DbError`].
pub async fn remember(
    client: &impl GenericClient,
    callers: &[Remembered<'_>],
) -> Result<(), DbError> {
    let drafts: Vec<(&str, &Draft)> = callers
        .iter()
        .filter_map(|caller| Some((caller.msisdn, caller.draft.as_ref()?)))
        .collect();
    fn column<'a, T>(
        drafts: &[(&'a str, &'a Draft)],
        of: impl Fn(&(&'a str, &'a Draft)) -> T,
    ) -> Vec<T> {
        drafts.iter().map(of).collect()
    }
    // In the order of numbers: two instances that remember the same callers wait for each other and do not deadlock.
    let statement = client
        .prepare_cached(
            "with new as materialized (
                 select msisdn, language, name, places, closes
                 from jsonb_to_recordset($1) as new (msisdn text, language text, name text, places text[],
                                                     closes boolean)
                 order by msisdn
             ), guests as (
                 insert into guest (msisdn, language, name, recent_places)
                 select msisdn, language, name, places[:$2] from new
                 where language is not null or name is not null or places <> '{}'
                 on conflict (msisdn) do update set
                     language = coalesce(excluded.language, guest.language),
                     name = coalesce(excluded.name, guest.name),
                     recent_places = (excluded.recent_places || array(
                         select old.place from unnest(guest.recent_places) with ordinality as old (place, at)
                         where old.place <> all (excluded.recent_places) order by old.at))[:$2],
                     seen_at = now()
             ), drafts as (
                 insert into draft (msisdn, session, is_over, dialogue)
                 select msisdn, session, is_over, dialogue
                 from unnest($3::text[], $4::text[], $5::boolean[], $6::bytea[])
                      as new (msisdn, session, is_over, dialogue)
                 order by msisdn
                 on conflict (msisdn) do update set
                     session = excluded.session, is_over = excluded.is_over, dialogue = excluded.dialogue,
                     saved_at = now()
             )
             update draft set is_over = true from new where new.closes and draft.msisdn = new.msisdn",
        )
        .await?;
    client
        .execute(
            &statement,
            &[
                &Json(callers),
                &RECENT_PLACES_MAX,
                &column(&drafts, |(msisdn, _)| *msisdn),
                &column(&drafts, |(_, draft)| draft.session.as_str()),
                &column(&drafts, |(_, draft)| draft.is_over),
                &column(&drafts, |(_, draft)| draft.dialogue.as_slice()),
            ],
        )
        .await?;
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
