//! The calendar's months and nights, made ahead.

use std::time::Duration;

use chrono::{Days, Months, NaiveDate};
use deadpool_postgres::Client;

use super::{DbError, begin_unhurried};

/// How many months there are after today's. Covers the latest stay: a year ahead and its longest length.
pub const MONTHS_AHEAD: u32 = 14;
/// Properties whose calendars are lengthened in one transaction.
const CALENDARS_AT_ONCE: i32 = 100;
/// Longest run of one statement here.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes the missing months from yesterday's to `months_ahead` after today's, with the nights of every property, and
/// returns the names of the new partitions. Safe from several processes at once.
///
/// # Errors
/// [`DbError::Busy`] when the table could not be had; nothing is half done and a later call goes on.
pub async fn ensure_months(
    client: &mut Client,
    today: NaiveDate,
    months_ahead: u32,
) -> Result<Vec<String>, DbError> {
    let transaction = begin_unhurried(client, LIMIT).await?;
    let row = transaction
        .query_one(
            "select ensure_months($1, $2) as made",
            &[&first_night(today), &(today + Months::new(months_ahead))],
        )
        .await?;
    transaction.commit().await?;
    complete_calendars(client).await?;
    Ok(row.try_get("made")?)
}

/// Lengthens what searches read to the end of the months, some properties at a time, so that no reservation waits long
/// for it.
async fn complete_calendars(client: &mut Client) -> Result<(), DbError> {
    loop {
        let transaction = begin_unhurried(client, LIMIT).await?;
        let row = transaction
            .query_one(
                "select complete_calendars($1) as made",
                &[&CALENDARS_AT_ONCE],
            )
            .await?;
        transaction.commit().await?;
        if row.try_get::<_, i32>("made")? == 0 {
            return Ok(());
        }
    }
}

/// Gives every property the nights it lacks, from yesterday to the end of the last month, and returns how many.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn fill_nights(client: &mut Client, today: NaiveDate) -> Result<u64, DbError> {
    let transaction = begin_unhurried(client, LIMIT).await?;
    let row = transaction
        .query_one("select fill_nights($1) as filled", &[&first_night(today)])
        .await?;
    transaction.commit().await?;
    Ok(row.try_get::<_, i64>("filled")?.unsigned_abs())
}

/// Yesterday: between midnight and dawn a guest may mean the night that has begun.
pub(super) fn first_night(today: NaiveDate) -> NaiveDate {
    today - Days::new(1)
}
