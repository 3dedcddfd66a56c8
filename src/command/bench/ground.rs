//! What is measured on: a Postgres of the bench's own, with a town full of lodges.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context;
use chrono::NaiveDate;
use deadpool_postgres::{Client, Pool};
use reserveflow::db::migrate::migrate;
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::embedded::{Options, Stores};
use uuid::Uuid;

/// Lodges of the town.
pub(super) const PROPERTIES: u32 = 500;
/// Units of each: none is sold out while reserving is measured.
const UNITS: i32 = 1_000_000;
/// Far from any real calendar, so that what is written by hand and by the service never depends on today.
pub(super) const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2100, 1, 1).expect("a date");
/// A price of each night, in minor units.
pub(super) const PRICE: i64 = 450_000;

/// As of a server of its own that has run for a while: what is booked in a minute fits into its memory, and its log goes into
/// files that are there already, of which each takes longer to make than many commits.
const SETTINGS: &[&str] = &[
    "shared_buffers=512MB",
    "min_wal_size=2GB",
    "max_wal_size=4GB",
];
/// Fills as many files of the log as are kept; the next checkpoint makes room in them.
const MAKE_LOG_FILES: &str = "select count(pg_logical_emit_message(false, 'bench', repeat('-', 1048576))) from generate_series(1, 2048)";
/// Beside the load of other programs a statement may take its time.
const UNHURRIED: &str = "set statement_timeout = '10s'";

pub(super) struct Ground {
    pub(super) pool: Pool,
    pub(super) url: String,
    stores: Stores,
    data: PathBuf,
}

impl Ground {
    /// Starts it, fsync on, in the temporary folder.
    pub(super) async fn start(connections: usize) -> anyhow::Result<Ground> {
        let data = env::temp_dir().join(format!("reserveflow-bench-{}", std::process::id()));
        let options = Options {
            settings: SETTINGS,
            ..Options::new(data.clone())?
        };
        let stores = Stores::start(options).await?;
        let url = stores.database_url().to_owned();
        let settings = PoolSettings {
            connections_max: connections,
            wait: std::time::Duration::from_secs(10),
            ..PoolSettings::default()
        };
        let pool = pool(&url, &settings)?;
        let mut client = pool.get().await?;
        migrate(&client).await?;
        ensure_months(&mut client, TODAY, MONTHS_AHEAD).await?;
        fill(&client).await?;
        drop(client);
        Ok(Ground {
            pool,
            url,
            stores,
            data,
        })
    }

    pub(super) fn redis_url(&self) -> &str {
        self.stores.redis_url()
    }

    pub(super) async fn stop(self) {
        self.pool.close();
        self.stores.stop().await;
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// The lodge with this number, from 1.
pub(super) fn property(number: u32) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 | to_decimal_nibbles(number))
}

/// The digits of a number as hexadecimal ones: SQL writes the ids with `lpad`.
fn to_decimal_nibbles(number: u32) -> u128 {
    number
        .to_string()
        .bytes()
        .fold(0, |id, digit| id << 4 | u128::from(digit - b'0'))
}

/// One more lodge, beyond the town's.
pub(super) async fn insert_property(
    client: &Client,
    number: u32,
    units: i32,
) -> anyhow::Result<Uuid> {
    insert(client, number, number, units).await?;
    Ok(property(number))
}

async fn fill(client: &Client) -> anyhow::Result<()> {
    client
        .batch_execute(
            "insert into place values ('bench', 'town', null, 'Nakuru', 'KE', 'Rift', 0, 0, 1, '{}');
             insert into host values ('00000000-0000-4000-8000-000000000000', 'Host', '+254712345678', 'en')",
        )
        .await?;
    insert(client, 1, PROPERTIES, UNITS).await?;
    client.batch_execute(MAKE_LOG_FILES).await?;
    tidy(client).await
}

/// As after a night's rest: no dead rows, fresh statistics, nothing left to write.
pub(super) async fn tidy(client: &Client) -> anyhow::Result<()> {
    // One by one: VACUUM does not run inside of a transaction, which several in one message would be.
    for statement in [
        "set statement_timeout = 0",
        "vacuum analyze",
        "checkpoint",
        UNHURRIED,
    ] {
        client.batch_execute(statement).await?;
    }
    Ok(())
}

async fn insert(client: &Client, first: u32, last: u32, units: i32) -> anyhow::Result<()> {
    client
        .batch_execute(&format!(
            "set statement_timeout = 0;
             insert into property (property_id, short_id, host_id, town, name, kind, units, guests_max, price_base,
                 currency, time_zone, pay, phone)
             select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'prop_' || n,
                 '00000000-0000-4000-8000-000000000000', 'bench', 'Lodge ' || n, 'room', {units}, 2, {PRICE}, 'KES',
                 'Africa/Nairobi', 'at_lodge', '+254712345678'
             from generate_series({first}, {last}) n;
             select fill_nights('{TODAY}');
             {UNHURRIED}"
        ))
        .await?;
    Ok(())
}

/// The program of this name beside the Postgres that is used, or on the path.
pub(super) fn find_program(name: &str) -> anyhow::Result<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("PG_BIN")
        .into_iter()
        .map(PathBuf::from)
        .collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|program| Path::is_file(program))
        .with_context(|| {
            format!("no {name} found: install the package `postgresql`, or set PG_BIN")
        })
}
