//! Months of the calendar that are over for long: taken out of it while others book, written to cold storage, read back,
//! and only then dropped. Every step can be the last before a crash; the next run goes on where it ended.
//!
//! A month is `property_availability_2025_10.3f9a5c1e.csv.gz`: every night with all its columns, in the order of
//! property and date. The digits are the first of its SHA-256, so that no file is ever written over by another; beside
//! it lies `….csv.gz.sha256`, which `sha256sum -c` reads.

mod cold;

use std::io::Write;

use bytes::Bytes;
use chrono::{Datelike, Months, NaiveDate};
use data_encoding::HEXLOWER;
use deadpool_postgres::{Client, Pool};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, pin_mut};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use crate::crash_point;
use crate::db::DbError;
use crate::db::archive::{self, Attachment, MonthFile, MonthTable};

pub use cold::{BadStore, ColdStore};

/// How many months stay after they are over, where the operator does not say.
pub const KEEP_MONTHS: u32 = 12;
/// The largest file, in bytes: a month of three million properties. It is held in memory.
const FILE_BYTES_MAX: usize = 1 << 30;
/// How much is worked on without a rest, and how many times as long the rest is: nobody waits for a month, and guests do
/// for their rooms.
const STRETCH_BYTES: usize = 64 * 1024;
const STRETCH_ROWS: i64 = 1_000;
const REST_TIMES: u32 = 4;
/// How many digits of its checksum a file's name shows.
const NAME_DIGITS: usize = 8;

/// Steps at which tests end the process.
#[cfg(feature = "crash-points")]
pub const STEPS: &[&str] = &[
    "archive:begun",
    "archive:detached",
    "archive:written",
    "archive:verified",
    "archive:dropped",
];

/// Why a month is not archived. Its nights are in the database until it is.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Cold storage.
    #[error("cold storage")]
    Store(#[from] object_store::Error),
    /// Compressing in memory.
    #[error("the month cannot be compressed")]
    Compress(#[from] std::io::Error),
    /// A month is larger than a file may be.
    #[error("{0} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge(String),
    /// What was read back is not what was written.
    #[error("{0} in cold storage is not what was written: nothing is dropped")]
    Differs(String),
    /// The table has other nights than its file.
    #[error("{0} has other nights than its file: nothing is dropped")]
    Changed(String),
}

/// The first month that stays, of those before `today` and with so many kept after they are over.
pub fn first_kept(today: NaiveDate, keep_months: u32) -> NaiveDate {
    let this_month = today.with_day(1).unwrap_or(today);
    this_month
        .checked_sub_months(Months::new(keep_months))
        .unwrap_or(NaiveDate::MIN)
}

/// Archives every month that begins before `until` and is still there; the months done now. `None`: another process is
/// at it.
///
/// # Errors
/// [`ArchiveError`]; months before the one that failed are done, and the next run goes on.
pub async fn archive(
    pool: &Pool,
    store: &ColdStore,
    until: NaiveDate,
) -> Result<Option<Vec<NaiveDate>>, ArchiveError> {
    // Not the pool's any more: closing it is what gives up the lock, also when this future is dropped.
    let mut client = Client::take(pool.get().await.map_err(DbError::from)?);
    if !archive::begin(&client).await? {
        return Ok(None);
    }
    let mut done = Vec::new();
    for table in archive::list_tables(&client, until).await? {
        archive_month(&mut client, store, &table).await?;
        crash_point!("archive:dropped");
        done.push(table.month);
    }
    Ok(Some(done))
}

async fn archive_month(
    client: &mut tokio_postgres::Client,
    store: &ColdStore,
    table: &MonthTable,
) -> Result<(), ArchiveError> {
    if table.attachment != Attachment::Detached {
        archive::insert_begun(client, table.month).await?;
        crash_point!("archive:begun");
        archive::detach(client, table).await?;
    }
    crash_point!("archive:detached");
    let (file, bytes) = compress(client, table).await?;
    let list = format!("{}  {}\n", file.sha256, file.name);
    store.put(&file.name, bytes).await?;
    store
        .put(&format!("{}.sha256", file.name), list.into())
        .await?;
    crash_point!("archive:written");
    let nights = archive::count_nights(client, table).await?;
    let back = fetch(store, &file).await?;
    if count_rows(&back).await != Some(nights) {
        return Err(ArchiveError::Differs(file.name));
    }
    let file = MonthFile { nights, ..file };
    archive::record_verified(client, table.month, &file).await?;
    crash_point!("archive:verified");
    if !archive::drop_verified(client, table).await? {
        return Err(ArchiveError::Changed(table.name.clone()));
    }
    Ok(())
}

/// The file of a month, and what is known of it before it was read back.
async fn compress(
    client: &tokio_postgres::Client,
    table: &MonthTable,
) -> Result<(MonthFile, Bytes), ArchiveError> {
    let rows = archive::copy_out(client, table).await?;
    pin_mut!(rows);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let (mut fresh, mut since) = (0, Instant::now());
    while let Some(row) = rows.next().await {
        let row = row.map_err(DbError::from)?;
        gzip.write_all(&row)?;
        fresh += row.len();
        if fresh >= STRETCH_BYTES {
            (fresh, since) = (0, rest(since).await);
        }
        if gzip.get_ref().len() > FILE_BYTES_MAX {
            return Err(ArchiveError::TooLarge(table.name.clone()));
        }
    }
    let bytes = gzip.finish()?;
    let sha256 = sha256(&bytes);
    let file = MonthFile {
        name: format!("{}.{}.csv.gz", table.name, &sha256[..NAME_DIGITS]),
        nights: 0,
        bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        sha256,
    };
    Ok((file, bytes.into()))
}

/// The CSV of a month as it is in cold storage, its checksum compared.
///
/// # Errors
/// [`ArchiveError::Differs`] when it is not what was written.
pub async fn read(store: &ColdStore, file: &MonthFile) -> Result<Vec<u8>, ArchiveError> {
    let bytes = fetch(store, file).await?;
    let mut csv = Vec::new();
    std::io::copy(&mut GzDecoder::new(&bytes[..]), &mut csv)
        .map_err(|_| ArchiveError::Differs(file.name.clone()))?;
    Ok(csv)
}

async fn fetch(store: &ColdStore, file: &MonthFile) -> Result<Bytes, ArchiveError> {
    let bytes = store.read(&file.name).await?;
    if sha256(&bytes) != file.sha256 {
        return Err(ArchiveError::Differs(file.name.clone()));
    }
    Ok(bytes)
}

async fn count_rows(file: &[u8]) -> Option<i64> {
    let mut csv = csv::Reader::from_reader(GzDecoder::new(file));
    let mut row = csv::ByteRecord::new();
    let (mut rows, mut since) = (0, Instant::now());
    while csv.read_byte_record(&mut row).ok()? {
        rows += 1;
        if rows % STRETCH_ROWS == 0 {
            since = rest(since).await;
        }
    }
    Some(rows)
}

/// Leaves the processor to those who book, for some times as long as was worked; from when it is worked again.
async fn rest(since: Instant) -> Instant {
    sleep(since.elapsed() * REST_TIMES).await;
    Instant::now()
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_goes_when_all_of_it_is_over_for_as_long_as_it_is_kept() {
        for (today, keep, first) in [
            ("2026-11-28", 12, "2025-11-01"),
            ("2026-11-01", 12, "2025-11-01"),
            ("2026-10-31", 12, "2025-10-01"),
            ("2026-03-31", 1, "2026-02-01"),
        ] {
            let day = |text: &str| text.parse::<NaiveDate>().expect("is a date");
            assert_eq!(first_kept(day(today), keep), day(first), "{today} {keep}");
        }
    }
}
