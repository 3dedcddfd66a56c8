//! Old months as tables: which there are, taking them out of the calendar, copying them out, dropping them.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Months, NaiveDate, Utc};
use deadpool_postgres::GenericClient;
use futures_util::Stream;
use tokio_postgres::{Client, Row};

use super::{DbError, unknown};

/// Longest run of one statement here. Detaching waits for every transaction that began before it; nobody waits for it.
const LIMIT: Duration = Duration::from_secs(600);
/// Longest wait for a table that nobody should be using any more.
const LOCK_MAX: Duration = Duration::from_secs(2);

/// Where a month stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// Part of the calendar.
    Attached,
    /// Half out of it: not read any more, and still to be let go.
    Pending,
    /// A table of its own.
    Detached,
}

/// A month that is there as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthTable {
    /// Its first day.
    pub month: NaiveDate,
    /// The table's name.
    pub name: String,
    /// Where it stands.
    pub attachment: Attachment,
}

/// A month's file in cold storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthFile {
    /// Its name there.
    pub name: String,
    /// How many nights it holds.
    pub nights: i64,
    /// Its size.
    pub bytes: i64,
    /// Of the file, 64 hexadecimal digits.
    pub sha256: String,
}

/// A month that is not read from the calendar any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedMonth {
    /// Its first day.
    pub month: NaiveDate,
    /// Since when.
    pub begun_at: DateTime<Utc>,
    /// Its file, once that was read back.
    pub file: Option<MonthFile>,
    /// When its table was dropped.
    pub dropped_at: Option<DateTime<Utc>>,
}

impl ArchivedMonth {
    /// The first day that is not of it.
    pub fn past(&self) -> NaiveDate {
        self.month + Months::new(1)
    }
}

/// Lets this connection have one archiver at a time until it is closed; `false` while another has it. A connection of
/// the caller's own: it is left with other limits than those of the pool.
///
/// # Errors
/// [`DbError`].
pub async fn begin(client: &Client) -> Result<bool, DbError> {
    let limit_ms = LIMIT.as_millis();
    client
        .batch_execute(&format!(
            "set statement_timeout = {limit_ms}; set lock_timeout = 0; set idle_in_transaction_session_timeout = {limit_ms}"
        ))
        .await?;
    let row = client
        .query_one(
            "select pg_try_advisory_lock(hashtext('reserveflow'), hashtext('archive'))",
            &[],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// The months that begin before `until` and are there as tables, the oldest first.
///
/// # Errors
/// [`DbError`].
pub async fn list_tables(client: &Client, until: NaiveDate) -> Result<Vec<MonthTable>, DbError> {
    let rows = client
        .query(
            "select month, child, state from calendar_month where month < $1 order by month",
            &[&until],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(MonthTable {
                month: row.try_get("month")?,
                name: row.try_get("child")?,
                attachment: match row.try_get("state")? {
                    "attached" => Attachment::Attached,
                    "pending" => Attachment::Pending,
                    "detached" => Attachment::Detached,
                    _ => return Err(unknown("state")),
                },
            })
        })
        .collect()
}

/// Says that a month is not read from the calendar any more.
///
/// # Errors
/// [`DbError`]; again is harmless.
pub async fn insert_begun(client: &Client, month: NaiveDate) -> Result<(), DbError> {
    client
        .execute(
            "insert into archived_month (month) values ($1) on conflict (month) do nothing",
            &[&month],
        )
        .await?;
    Ok(())
}

/// Takes a month out of the calendar while others book. Two transactions of the server's own: what is left half done by
/// a crash is [`Attachment::Pending`], and this ends it.
///
/// # Errors
/// [`DbError`]
pub async fn detach(client: &Client, table: &MonthTable) -> Result<(), DbError> {
    let how = match table.attachment {
        Attachment::Attached => "concurrently",
        Attachment::Pending => "finalize",
        Attachment::Detached => return Ok(()),
    };
    client
        .batch_execute(&format!(
            "alter table property_availability detach partition {} {how}",
            table.name
        ))
        .await?;
    Ok(())
}

/// Every night of a detached month as CSV with a header, whatever columns it has, in the order of property and date.
///
/// # Errors
/// [`DbError`]
pub async fn copy_out(
    client: &Client,
    table: &MonthTable,
) -> Result<impl Stream<Item = Result<Bytes, tokio_postgres::Error>> + use<>, DbError> {
    Ok(client
        .copy_out(&format!(
            "copy (select * from {} order by property_id, date) to stdout (format csv, header)",
            table.name
        ))
        .await?)
}

/// How many nights a detached month has.
///
/// # Errors
/// [`DbError`]
pub async fn count_nights(client: &Client, table: &MonthTable) -> Result<i64, DbError> {
    let count = format!("select count(*) from {}", table.name);
    Ok(client.query_one(&count, &[]).await?.try_get(0)?)
}

/// Keeps which file holds a month, once that was read back.
///
/// # Errors
/// [`DbError`]; again is harmless.
pub async fn record_verified(
    client: &Client,
    month: NaiveDate,
    file: &MonthFile,
) -> Result<(), DbError> {
    client
        .execute(
            "insert into archived_month (month, file, nights, bytes, sha256, verified_at)
             values ($1, $2, $3, $4, $5, now())
             on conflict (month) do update set file = excluded.file, nights = excluded.nights, bytes = excluded.bytes,
                 sha256 = excluded.sha256, verified_at = excluded.verified_at, dropped_at = null",
            &[&month, &file.name, &file.nights, &file.bytes, &file.sha256],
        )
        .await?;
    Ok(())
}

/// Drops the table of a month whose file was verified, if it still has as many nights as the file; `false`, and nothing
/// is dropped, if it has others.
///
/// # Errors
/// [`DbError`]; nothing is half done.
pub async fn drop_verified(client: &mut Client, table: &MonthTable) -> Result<bool, DbError> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "set local lock_timeout = {}; lock table {} in access exclusive mode",
            LOCK_MAX.as_millis(),
            table.name
        ))
        .await?;
    let dropped = transaction
        .execute(
            &format!(
                "update archived_month set dropped_at = now()
                 where month = $1 and verified_at is not null and nights = (select count(*) from {})",
                table.name
            ),
            &[&table.month],
        )
        .await?;
    if dropped == 0 {
        return Ok(false);
    }
    transaction
        .batch_execute(&format!("drop table {}", table.name))
        .await?;
    transaction.commit().await?;
    Ok(true)
}

/// The months that are not read from the calendar any more, the oldest first.
///
/// # Errors
/// [`DbError`].
pub async fn list_archived(client: &impl GenericClient) -> Result<Vec<ArchivedMonth>, DbError> {
    let rows = client
        .query("select * from archived_month order by month", &[])
        .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<ArchivedMonth, DbError> {
    let verified: Option<DateTime<Utc>> = row.try_get("verified_at")?;
    let file = match verified {
        Some(_) => Some(MonthFile {
            name: row.try_get("file")?,
            nights: row.try_get("nights")?,
            bytes: row.try_get("bytes")?,
            sha256: row.try_get("sha256")?,
        }),
        None => None,
    };
    Ok(ArchivedMonth {
        month: row.try_get("month")?,
        begun_at: row.try_get("begun_at")?,
        file,
        dropped_at: row.try_get("dropped_at")?,
    })
}
