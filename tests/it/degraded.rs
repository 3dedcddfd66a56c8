//! What still works while a store is away, slow or full, and what is caught up with afterwards.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use reserveflow::db::pool::{PoolSettings, pool};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{TestApp, form, noon, session_id};
use crate::support::eventually;
use crate::support::postgres::sample_database;
use crate::support::proxy::{Proxy, Weather};
use crate::support::stores::stores;

const ANSWERS: [&str; 8] = ["1", "Nakuru", "1", "1", "1", "1", "Asha", "1"];
/// Callers at once: more would wait for the machine and not for the service.
const AT_ONCE: usize = 100;
const TO_SEARCH: [&str; 5] = ["1", "Nakuru", "1", "1", "1"];

async fn degraded(app: &TestApp) -> Value {
    let url = format!("{}/health/ready", app.private);
    let mut body: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    body["degraded"].take()
}

fn booked(screen: &str) -> bool {
    screen.starts_with("END BOOKED ")
}

/// One report of Africa's Talking, and one text of a guest.
async fn post_webhooks(app: &TestApp, number: usize) -> [u16; 2] {
    let id = format!("ATXid_{number}");
    let report = [
        ("id", id.as_str()),
        ("status", "Success"),
        ("phoneNumber", "+254711000001"),
        ("networkCode", "63902"),
    ];
    let text = [
        ("id", id.as_str()),
        ("from", "+254711000001"),
        ("to", "22384"),
        ("text", "HELP"),
        ("date", "2026-11-04 10:00:00"),
    ];
    let url = |door: &str| format!("{}/sms/africastalking/demo/{door}", app.public);
    let report = app.post(&url("delivery"), &report).await;
    let text = app.post(&url("inbound"), &text).await;
    [report.status().as_u16(), text.status().as_u16()]
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_providers_wait_on_the_disk_while_postgres_is_away() {
    let database = sample_database().await;
    let postgres = Proxy::postgres(&database).await;
    let folder = TempDir::new().unwrap();
    let spool = format!("spool: {}\n", folder.path().display());
    let app = TestApp::on(
        noon(),
        &spool,
        &postgres.postgres_url(&database),
        &stores().redis,
    )
    .await;
    let end = async |session: &str| {
        let url = format!("{}/ussd/africastalking/demo/events", app.public);
        let mut end = form(session, "+254711000001", "");
        end.retain(|(name, _)| *name != "text");
        end.extend([("status", "Incomplete"), ("hopsCount", "1")]);
        app.post(&url, &end).await.status()
    };
    for (round, weather) in [Weather::Cut, Weather::Silent].into_iter().enumerate() {
        postgres.set(weather);
        for number in 0..3 {
            let began = Instant::now();
            assert_eq!(post_webhooks(&app, 10 * round + number).await, [200, 200]);
            assert_eq!(end(&format!("ATUid_{round}{number}")).await, 200);
            assert!(began.elapsed() < 3 * Duration::from_secs(2));
        }
        postgres.set(Weather::Fair);
        let tables = pool(&database, &PoolSettings::default()).unwrap();
        let sessions = i64::try_from(3 * (round + 1)).unwrap();
        eventually("all reports", async || {
            let client = tables.get().await.ok()?;
            let count =
                async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
            let kept = [
                count("select count(*) from session_end").await,
                count("select count(*) from inbound_sms").await,
            ];
            (kept == [sessions, sessions]).then_some(())
        })
        .await;
    }
    let left = std::fs::read_dir(folder.path()).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["lock"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_a_search_is_remembered_and_says_so_and_nothing_is_held() {
    let database = sample_database().await;
    let postgres = Proxy::postgres(&database).await;
    let app = TestApp::on(
        noon(),
        "",
        &postgres.postgres_url(&database),
        &stores().redis,
    )
    .await;
    let fresh = app
        .dialogue(&session_id(), "+254714000001", &TO_SEARCH)
        .await;
    assert!(fresh.starts_with("CON Nakuru"), "{fresh}");
    postgres.set(Weather::Cut);
    let session = session_id();
    // Its result is shared for two seconds; after that it is remembered.
    let number = std::sync::atomic::AtomicUsize::new(0);
    let remembered = eventually("the remembered rooms", async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let msisdn = format!("+25471401{number:04}");
        let screen = app.dialogue(&session_id(), &msisdn, &TO_SEARCH).await;
        screen.contains("may change").then_some(screen)
    })
    .await;
    let rooms = |screen: &str| {
        screen
            .lines()
            .filter(|line| line.starts_with("1 "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(rooms(&remembered), rooms(&fresh));
    let mut answers = TO_SEARCH.to_vec();
    answers.push("1");
    let screen = app.dialogue(&session, "+254714000003", &answers).await;
    assert!(
        screen.starts_with("END We can't book right now. Nothing was booked"),
        "{screen}"
    );
    postgres.set(Weather::Fair);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_search_the_same_at_two_instances_ask_once() {
    let database = sample_database().await;
    let apps = [
        TestApp::on(noon(), "", &database, &stores().redis).await,
        TestApp::on(noon(), "", &database, &stores().redis).await,
    ];
    let calls = async || -> i64 {
        let client = apps[0].pool.get().await.unwrap();
        client
            .batch_execute("select pg_stat_force_next_flush()")
            .await
            .unwrap();
        let sql = "select coalesce(sum(idx_scan + seq_scan), 0)::bigint from pg_stat_user_tables where relname = 'property'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    let sessions: Vec<_> = (0..1000)
        .map(|number| (session_id(), format!("+25471500{number:04}")))
        .collect();
    let to_guests = TO_SEARCH[..4].join("*");
    let text = TO_SEARCH.join("*");
    for (number, (session, msisdn)) in sessions.iter().enumerate() {
        apps[number % 2].call(session, msisdn, &to_guests).await;
    }
    let before = calls().await;
    let asked = sessions
        .iter()
        .enumerate()
        .map(|(number, (session, msisdn))| {
            let app = &apps[number % 2];
            let text = &text;
            async move { app.call(session, msisdn, text).await }
        });
    let screens: Vec<String> = stream::iter(asked.collect::<Vec<_>>())
        .buffered(AT_ONCE)
        .collect()
        .await;
    assert!(screens[0].starts_with("CON Nakuru"), "{}", screens[0]);
    let other = screens.iter().find(|screen| **screen != screens[0]);
    assert_eq!(other, None);
    let after = calls().await;
    assert!(after - before < 50, "{before} then {after}");
    for app in apps {
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_without_memory_or_made_a_replica_is_done_without() {
    let database = sample_database().await;
    let data = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .tempdir()
        .unwrap();
    let servers =
        reserveflow::embedded::Stores::start(crate::support::stores::options(data.path()))
            .await
            .unwrap();
    let app = TestApp::on(noon(), "", &database, servers.redis_url()).await;
    let client = redis::Client::open(servers.redis_url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = async |command: &[&str]| {
        let mut all = redis::cmd(command[0]);
        all.arg(&command[1..]);
        all.exec_async(&mut redis).await.unwrap();
    };
    for (number, (broken, mended)) in [
        (
            &["CONFIG", "SET", "maxmemory", "1"][..],
            &["CONFIG", "SET", "maxmemory", "0"][..],
        ),
        (
            &["REPLICAOF", "127.0.0.1", "1"],
            &["REPLICAOF", "NO", "ONE"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (session, msisdn) = (session_id(), format!("+25471600000{number}"));
        app.dialogue(&session, &msisdn, &ANSWERS[..4]).await;
        set(broken).await;
        for count in 5..=ANSWERS.len() {
            let screen = app
                .call(&session, &msisdn, &ANSWERS[..count].join("*"))
                .await;
            assert!(screen.starts_with("CON ") || booked(&screen), "{screen}");
        }
        eventually("ill health", async || {
            (degraded(&app).await == json!(["redis"])).then_some(())
        })
        .await;
        set(mended).await;
        eventually("health", async || {
            (degraded(&app).await == json!([])).then_some(())
        })
        .await;
    }
    assert_eq!(app.count("select count(*) from reservation").await, 2);
    app.stop().await;
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_nights_somebody_holds_is_told_in_time_and_bookable_afterwards() {
    let app = TestApp::start("");
    let (session, msisdn) = (session_id(), "+254717000001");
    app.dialogue(&session, msisdn, &ANSWERS[..7]).await;
    let mut holder = app.pool.get().await.unwrap();
    let transaction = holder.transaction().await.unwrap();
    transaction
        .batch_execute("select * from property_availability for update")
        .await
        .unwrap();
    let began = Instant::now();
    let screen = app.call(&session, msisdn, &ANSWERS.join("*")).await;
    assert!(began.elapsed() < Duration::from_millis(3500));
    assert!(
        screen.starts_with("END ") && screen.contains("Nothing was booked"),
        "{screen}"
    );
    assert!(!app.app.postgres.is_open(), "a lock is no outage");
    transaction.rollback().await.unwrap();
    let screen = app.dialogue(&session_id(), "+254717000002", &ANSWERS).await;
    assert!(booked(&screen), "{screen}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_on_two_connections_are_answered_in_time() {
    let app = TestApp::start("database: { pool: 2 }\n");
    let dialogues = (0..200).map(|number| {
        let app = &app;
        async move {
            let (session, msisdn) = (session_id(), format!("+25471800{number:04}"));
            let mut last = String::new();
            for count in 0..=ANSWERS.len() {
                let began = Instant::now();
                last = app
                    .call(&session, &msisdn, &ANSWERS[..count].join("*"))
                    .await;
                assert!(began.elapsed() < Duration::from_millis(3500), "{last}");
                if last.starts_with("END ") {
                    break;
                }
            }
            last
        }
    });
    let last = join_all(dialogues).await;
    let made = last.iter().filter(|screen| booked(screen)).count();
    assert!(made > 0);
    for screen in last.iter().filter(|screen| screen.starts_with("END ")) {
        assert!(
            booked(screen) || screen.contains("Nothing") || screen.contains("If your booking"),
            "{screen}"
        );
    }
    let rows = app.count("select count(*) from reservation").await;
    assert!(rows >= i64::try_from(made).unwrap());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_backends_ended_each_call_fails_once_at_most() {
    let app = TestApp::start("");
    let sessions = (0..8).map(|number| (session_id(), format!("+25471900000{number}")));
    let sessions: Vec<_> = sessions.collect();
    for (session, msisdn) in &sessions {
        app.dialogue(session, msisdn, &ANSWERS[..7]).await;
    }
    let other = pool(&app.database_url, &PoolSettings::default()).unwrap();
    let client = other.get().await.unwrap();
    for (session, msisdn) in &sessions {
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()";
        client.batch_execute(ended).await.unwrap();
        let text = ANSWERS.join("*");
        let first = app.call(session, msisdn, &text).await;
        let screen = if booked(&first) {
            first
        } else {
            app.call(session, msisdn, &text).await
        };
        assert!(booked(&screen), "{screen}");
    }
    let count = "select count(*) from reservation";
    assert_eq!(
        client.query_one(count, &[]).await.unwrap().get::<_, i64>(0),
        8
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dials_too_often_is_told_so_in_his_language_whatever_store_is_away() {
    let database = sample_database().await;
    let redis = Proxy::redis(&stores().redis).await;
    let config = "care_phone: \"+254709000000\"\nservice_codes: [\"*384*7#\"]\npublic: 127.0.0.1:0\nprivate: 127.0.0.1:0\n\
        aggregators: { africastalking: { tokens: [demo] } }\n";
    let app = TestApp::configured(noon(), config, &database, &redis.redis_url(6)).await;
    redis.set(Weather::Cut);
    let caller = "+254711999001";
    // Kiswahili.
    app.dialogue(&session_id(), caller, &["4", "2"]).await;
    let mut screens = Vec::new();
    for _ in 0..12 {
        screens.push(app.call(&session_id(), caller, "").await);
    }
    assert!(screens[0].starts_with("CON "), "{}", screens[0]);
    let refused = screens.last().unwrap();
    assert!(refused.starts_with("END Umepiga mara nyingi."), "{refused}");
    let other = app.call(&session_id(), "+254711999002", "").await;
    assert!(other.starts_with("CON "), "{other}");
    app.stop().await;
}
