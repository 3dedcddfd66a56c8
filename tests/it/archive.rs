//! Old months go to cold storage: nobody who books notices, a crash at any step loses nothing, and nothing is dropped
//! before it was read back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{NaiveDate, Utc};
use deadpool_postgres::{Client, Pool};
use futures_util::future::join_all;
use reserveflow::archive::{ArchiveError, ColdStore, STEPS, archive, read};
use reserveflow::db::archive::list_archived;
use reserveflow::db::audit::audit;
use reserveflow::db::lane::{LaneSettings, Lanes};
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months};
use reserveflow::db::reserve::{Isolation, Reserved};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::binary::{Program, finish, reserveflow};
use crate::support::lodging::{Lodge, Wish, count, stay, today};
use crate::support::postgres::{database, url_of};
use crate::support::{PATIENCE, eventually};

/// Long before any month that the tests sell.
const OLD: [&str; 2] = ["2019-11", "2019-12"];
const NIGHTS: [i64; 2] = [30, 31];
pub const UNTIL: NaiveDate = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap();

fn first_of(month: &str) -> NaiveDate {
    format!("{month}-01").parse().unwrap()
}

/// A lodge with two old months beside those of today, and a stay over the end of the first of them.
pub async fn lodge_with_old_months(pool: &Pool) -> Uuid {
    let property = Lodge::default().insert(pool).await;
    let mut client = pool.get().await.unwrap();
    client
        .execute(
            "select ensure_months($1, $2)",
            &[&first_of(OLD[0]), &first_of(OLD[1])],
        )
        .await
        .unwrap();
    let reservation = Uuid::new_v4();
    client
        .execute(
            "insert into reservation (reservation_id, code, property_id, check_in, check_out, guests, msisdn, language,
                 status, nightly_prices, total, currency, pay, cancel_hours, turn_door, turn_session, turn_position)
             values ($1, '48217736', $2, '2019-11-30', '2019-12-02', 1, '+254711000001', 'en', 'completed',
                     '{450000,450000}', 900000, 'KES', 'at_lodge', 0, 'africastalking', 'old', 1)",
            &[&reservation, &property],
        )
        .await
        .unwrap();
    client
        .execute(
            "insert into reservation_event (reservation_id, to_status, who, channel, why)
             select $1, status, 'guest', 'ussd', 'long ago' from (values ('confirmed'), ('completed')) v (status)",
            &[&reservation],
        )
        .await
        .unwrap();
    client
        .execute(
            "insert into outbox (reservation_id, kind, msisdn, text, expires_at)
             values ($1, 'confirmed', '+254711000001', 'BOOKED', now())",
            &[&reservation],
        )
        .await
        .unwrap();
    client
        .execute(
            "update property_availability set reserved_units = 1
             where property_id = $1 and date between '2019-11-30' and '2019-12-01'",
            &[&property],
        )
        .await
        .unwrap();
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);
    property
}

fn open(folder: &Path) -> ColdStore {
    ColdStore::open(folder.to_str().unwrap(), &BTreeMap::new()).unwrap()
}

async fn tables(client: &Client) -> Vec<(String, String)> {
    let rows = client
        .query(
            "select child, state from calendar_month where month < '2020-01-01' order by 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Both months are in cold storage with all their nights, no table is left, and everything adds up.
async fn assert_archived(pool: &Pool, folder: &Path, property: Uuid) {
    let mut client = pool.get().await.unwrap();
    assert_eq!(tables(&client).await, []);
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);
    let store = open(folder);
    let archived = list_archived(&client).await.unwrap();
    let nights: Vec<_> = archived
        .iter()
        .map(|month| month.file.as_ref().unwrap().nights)
        .collect();
    assert_eq!(nights, NIGHTS);
    for (month, archived) in OLD.iter().zip(&archived) {
        assert!(archived.dropped_at.is_some(), "{month}");
        let file = archived.file.as_ref().unwrap();
        let sums = fs::read_to_string(folder.join(format!("{}.sha256", file.name))).unwrap();
        assert_eq!(sums, format!("{}  {}\n", file.sha256, file.name));
        let csv = String::from_utf8(read(&store, file).await.unwrap()).unwrap();
        assert_eq!(
            csv.lines().count(),
            1 + usize::try_from(file.nights).unwrap()
        );
    }
    let first = archived[0].file.as_ref().unwrap();
    let csv = read(&store, first).await.unwrap();
    let mut csv = csv::Reader::from_reader(&csv[..]);
    let nights: Vec<BTreeMap<String, String>> = csv.deserialize().map(Result::unwrap).collect();
    let last = nights.last().unwrap();
    for (column, value) in [
        ("property_id", property.to_string().as_str()),
        ("date", "2019-11-30"),
        ("available_units", "7"),
        ("reserved_units", "1"),
        ("price_base", "450000"),
        ("closed", "f"),
    ] {
        assert_eq!(last[column], value, "{column}");
    }
    // Two files a month: no try has left another.
    assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
}

#[tokio::test]
async fn old_months_go_to_cold_storage_and_the_others_stay() {
    let pool = database().await;
    let property = lodge_with_old_months(&pool).await;
    let client = pool.get().await.unwrap();
    let before = count(&client, "property_availability where date >= current_date").await;
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let done = archive(&pool, &store, UNTIL).await.unwrap().unwrap();
    assert_eq!(done, OLD.map(first_of));
    assert_archived(&pool, folder.path(), property).await;
    let after = count(&client, "property_availability where date >= current_date").await;
    assert_eq!(after, before);
    // Again is nothing, and the calendar is not made anew behind what is gone.
    assert_eq!(archive(&pool, &store, UNTIL).await.unwrap(), Some(vec![]));
    let mut client = pool.get().await.unwrap();
    assert_eq!(
        ensure_months(&mut client, today(), MONTHS_AHEAD)
            .await
            .unwrap(),
        Vec::<String>::new()
    );
}

fn command(config: &Path) -> std::process::Command {
    let mut command = reserveflow();
    command.arg("archive").arg("--config").arg(config);
    command
}

fn configure(folder: &Path, database: &str, cold: &Path) -> std::path::PathBuf {
    let path = folder.join("reserveflow.yaml");
    let config = format!(
        "care_phone: \"+254709000000\"\nservice_codes: [\"*384*7#\"]\n\
         database: {{ url: \"{database}\" }}\narchive: {{ to: \"{}\" }}\n",
        cold.display()
    );
    fs::write(&path, config).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_is_made_good_by_the_next_run() {
    let tries = STEPS.iter().flat_map(|step| [(step, 1), (step, 2)]);
    join_all(tries.map(|(step, pass)| survive(format!("{step}:{pass}")))).await;
}

async fn survive(crash: String) {
    let pool = database().await;
    let property = lodge_with_old_months(&pool).await;
    let folder = TempDir::new().unwrap();
    let cold = folder.path().join("cold");
    let config = configure(folder.path(), &url_of(&pool).await, &cold);
    let crashed = Program::start(command(&config).env("RESERVEFLOW_CRASH_AT", &crash));
    assert!(!crashed.end().await.status.success(), "{crash}");
    let mut client = pool.get().await.unwrap();
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), [], "{crash}");
    // The connection of the one that crashed, and with it its lock, takes the server a moment to notice.
    let finished = eventually("the next run", async || {
        let finished = Program::start(&mut command(&config)).end().await;
        let waits = finished.printed.contains("another process");
        (!waits).then_some(finished)
    })
    .await;
    assert!(finished.status.success(), "{crash}: {}", finished.printed);
    assert_archived(&pool, &cold, property).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_and_reads_what_is_archived_and_hears_of_a_file_that_was_changed() {
    let pool = database().await;
    lodge_with_old_months(&pool).await;
    let folder = TempDir::new().unwrap();
    let cold = folder.path().join("cold");
    let config = configure(folder.path(), &url_of(&pool).await, &cold);
    // The lodge has no nights before yesterday but the old ones.
    let run = finish(&mut command(&config));
    assert_eq!(run.printed, "archived 2019-11\narchived 2019-12\n");
    let list = finish(command(&config).arg("list"));
    assert!(
        list.printed.starts_with("2019-11 30 nights, "),
        "{}",
        list.printed
    );
    let csv = finish(command(&config).args(["read", "2019-12"]));
    assert!(csv.status.success());
    assert_eq!(csv.printed.lines().count(), 32);
    let absent = finish(command(&config).args(["read", "2019-10"]));
    assert!(
        absent.printed.contains("2019-10 is not archived"),
        "{}",
        absent.printed
    );

    let file = fs::read_dir(&cold)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with(".csv.gz"))
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let month = name[22..29].replace('_', "-");
    let changed = finish(command(&config).args(["read", &month]));
    assert!(!changed.status.success());
    assert!(
        changed.printed.contains("is not what was written"),
        "{}",
        changed.printed
    );
}

#[tokio::test]
async fn while_cold_storage_cannot_be_written_nothing_is_dropped() {
    let pool = database().await;
    let property = lodge_with_old_months(&pool).await;
    let folder = TempDir::new().unwrap();
    let cold = folder.path().join("cold");
    let store = open(&cold);
    fs::remove_dir(&cold).unwrap();
    fs::write(&cold, "in the way").unwrap();
    let failed = archive(&pool, &store, UNTIL).await;
    assert!(matches!(failed, Err(ArchiveError::Store(_))), "{failed:?}");
    let mut client = pool.get().await.unwrap();
    let state = |state: &str, month: &str| {
        let child = format!("property_availability_{}", month.replace('-', "_"));
        (child, state.to_owned())
    };
    assert_eq!(
        tables(&client).await,
        [state("detached", OLD[0]), state("attached", OLD[1])]
    );
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);
    fs::remove_file(&cold).unwrap();
    fs::create_dir(&cold).unwrap();
    archive(&pool, &store, UNTIL).await.unwrap().unwrap();
    assert_archived(&pool, &cold, property).await;
}

/// How many statements wait: of the archiver for anything, of others for a table. For a page or a row others wait at any time,
/// and not long.
async fn waiting(client: &Client, of_archiver: bool) -> i64 {
    let row = client
        .query_one(
            "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'
               and (query like '%detach partition%') = $1 and ($1 or wait_event = 'relation')",
            &[&of_archiver],
        )
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookings_go_on_while_a_month_is_detached_and_archived() {
    let pool = database().await;
    lodge_with_old_months(&pool).await;
    let lodges = join_all((0..8).map(|_| {
        let lodge = Lodge {
            units: 100,
            ..Lodge::default()
        };
        lodge.insert(&pool)
    }))
    .await;
    // Somebody reads the calendar and does not end: detaching has to wait for that, and nobody for detaching.
    let mut reader = pool.get().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    reading
        .batch_execute("set local idle_in_transaction_session_timeout = 0")
        .await
        .unwrap();
    count(&reading, "property_availability where date = '2019-12-24'").await;
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let archiving = tokio::spawn({
        let pool = pool.clone();
        async move { archive(&pool, &store, UNTIL).await }
    });
    let client = pool.get().await.unwrap();
    eventually("the wait of the archiver", async || {
        (waiting(&client, true).await > 0).then_some(())
    })
    .await;

    let lanes = Lanes::new(&pool, Isolation::ReadCommitted, LaneSettings::default());
    let until = Instant::now() + PATIENCE;
    let (mut made, mut waits) = (0, 0);
    for round in 0..20u32 {
        let wishes: Vec<_> = lodges
            .iter()
            .zip(0..)
            .map(|(lodge, number)| Wish::new(*lodge, stay(u64::from(round), 3), round * 8 + number))
            .collect();
        let answers = join_all(wishes.iter().map(|wish| wish.reserve_in(&lanes, until)));
        let look = waiting(&client, false);
        let (answers, waited) = tokio::join!(answers, look);
        waits += waited;
        for answer in answers {
            let answer = answer.unwrap();
            assert!(matches!(answer, Reserved::Made(_)), "{answer:?}");
            made += 1;
        }
    }
    assert_eq!((made, waits), (160, 0));
    assert_eq!(
        waiting(&client, true).await,
        1,
        "the archiver waited all the time"
    );
    assert!(!archiving.is_finished());
    reading.rollback().await.unwrap();
    archiving.await.unwrap().unwrap();
    assert_eq!(tables(&client).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_that_was_left_half_detached_is_let_go_by_the_next_run() {
    let pool = database().await;
    let property = lodge_with_old_months(&pool).await;
    let mut reader = pool.get().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    count(&reading, "property_availability where date = '2019-12-24'").await;
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let archiving = tokio::spawn({
        let pool = pool.clone();
        async move { archive(&pool, &store, UNTIL).await }
    });
    let mut client = pool.get().await.unwrap();
    eventually("the wait of the archiver", async || {
        (waiting(&client, true).await > 0).then_some(())
    })
    .await;
    let other = archive(&pool, &open(folder.path()), UNTIL).await.unwrap();
    assert_eq!(other, None, "another process is at it");
    client
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and query like '%detach partition%' and pid <> pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    assert!(archiving.await.unwrap().is_err());
    reading.rollback().await.unwrap();
    assert_eq!(tables(&client).await[0].1, "pending");
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);
    let store = open(folder.path());
    eventually("the end of the connection that was ended", async || {
        archive(&pool, &store, UNTIL).await.unwrap()
    })
    .await;
    assert_archived(&pool, folder.path(), property).await;
}
