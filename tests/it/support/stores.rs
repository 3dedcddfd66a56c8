//! One private Postgres and Redis for the whole run, in a folder that goes with the next run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use chrono::Utc;
use reserveflow::db::inventory::{self, Files};
use reserveflow::db::migrate::migrate;
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::embedded::{Options, Stores};
use reserveflow::menu::files;

/// Where the servers are.
pub struct Urls {
    /// Key/value form, with the database `app`.
    pub database: String,
    pub redis: String,
}

/// The servers, started when first asked for. They stop when the test process ends, however it ends.
pub fn stores() -> &'static Urls {
    static STORES: LazyLock<Urls> = LazyLock::new(|| {
        super::background(async {
            let stores = Stores::start(options(&data_dir())).await.unwrap();
            let urls = Urls {
                database: stores.database_url().to_owned(),
                redis: stores.redis_url().to_owned(),
            };
            // The servers stop when this is dropped: never before the process ends.
            std::mem::forget(stores);
            urls
        })
    });
    &STORES
}

/// For servers of a test's own: without fsync, watched over by the binary under test.
pub fn options(data: &Path) -> Options {
    Options {
        fsync: false,
        supervisor: env!("CARGO_BIN_EXE_reserveflow").into(),
        ..Options::new(data.to_owned()).unwrap()
    }
}

/// Outside of the checkout, which the servers' account may not be allowed to enter. Folders of ended runs are removed.
fn data_dir() -> PathBuf {
    const PREFIX: &str = "reserveflow-test-";
    let temp = std::env::temp_dir();
    for entry in std::fs::read_dir(&temp).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix(PREFIX)
            && !Path::new("/proc").join(pid).exists()
        {
            // Tens of thousands of files can take the disk a minute: nobody waits for it.
            Command::new("rm")
                .arg("-rf")
                .arg(entry.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok();
        }
    }
    temp.join(format!("{PREFIX}{}", std::process::id()))
}

/// Schema, calendar and sample lodgings for a database of a server of a test's own.
pub async fn fill(database_url: &str) {
    let pool = pool(database_url, &PoolSettings::default()).unwrap();
    let mut client = pool.get().await.unwrap();
    let today = Utc::now().date_naive();
    migrate(&client).await.unwrap();
    ensure_months(&mut client, today, MONTHS_AHEAD)
        .await
        .unwrap();
    let (places, properties) = (files::sample("places.csv"), files::sample("properties.csv"));
    let files = Files {
        places: places.as_deref(),
        properties: properties.as_deref(),
        nights: None,
    };
    inventory::import(&mut client, files, today).await.unwrap();
}
