//! Stores that are gone, silent, slow, emptied or damaged: what callers hear, and that it heals by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reserveflow::embedded::Stores;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{CONFIG, TestApp, noon, session_id};
use crate::support::binary::Program;
use crate::support::eventually;
use crate::support::postgres::sample_database;
use crate::support::proxy::{Proxy, Weather};
use crate::support::stores::{fill, options, stores};

/// No answer comes later, whatever is wrong.
const ANSWER_MAX: Duration = Duration::from_millis(3500);
/// From the first screen to a booking.
const ANSWERS: [&str; 8] = ["1", "Nakuru", "1", "1", "1", "1", "Asha", "1"];
/// The answer, from 1, that leads to a search.
const SEARCH: usize = 5;

/// A service whose ways to both stores can be closed.
struct Frail {
    app: TestApp,
    postgres: Proxy,
    redis: Proxy,
}

impl Frail {
    /// Each test has a database of Redis of its own, by number.
    async fn start(redis_number: u8) -> Frail {
        let database = sample_database().await;
        let postgres = Proxy::postgres(&database).await;
        let redis = Proxy::redis(&stores().redis).await;
        let redis_url = redis.redis_url(redis_number);
        let app = TestApp::on(noon(), "", &postgres.postgres_url(&database), &redis_url).await;
        Frail {
            app,
            postgres,
            redis,
        }
    }

    async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.app.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn forget_sessions(&self) {
        let mut redis = self.redis().await;
        redis::cmd("FLUSHDB").exec_async(&mut redis).await.unwrap();
    }

    async fn degraded(&self) -> Value {
        degraded(&self.app.private).await
    }

    /// One dialogue for each answer, led up to the screen before it; then the sky darkens and all go on at once. The
    /// one that searches asks for what no other has asked.
    async fn every_hop_under(&self, store: &Proxy, weather: Weather, first: usize) -> Vec<String> {
        let numbers: Vec<String> = (first..=first + ANSWERS.len()).map(msisdn).collect();
        let sessions: Vec<String> = numbers.iter().map(|_| session_id()).collect();
        let answers = |count: usize| {
            let mut answers = ANSWERS[..count].to_vec();
            if count == SEARCH {
                answers[SEARCH - 2] = "9";
            }
            answers
        };
        for count in 1..=ANSWERS.len() {
            let before = &answers(count)[..count - 1];
            self.app
                .dialogue(&sessions[count], &numbers[count], before)
                .await;
        }
        store.set(weather);
        let hops = (0..=ANSWERS.len()).map(async |count| {
            let began = Instant::now();
            let text = answers(count).join("*");
            let screen = self
                .app
                .call(&sessions[count], &numbers[count], &text)
                .await;
            let taken = began.elapsed();
            assert!(taken < ANSWER_MAX, "{taken:?} for {text}: {screen}");
            screen
        });
        futures_util::future::join_all(hops).await
    }

    async fn heals(&self, number: usize) {
        eventually("a booking", async || {
            let screen = self
                .app
                .dialogue(&session_id(), &msisdn(number), &ANSWERS)
                .await;
            screen.starts_with("END BOOKED").then_some(())
        })
        .await;
    }
}

/// What is told when something could not be done; the dialogue is over.
fn assert_honest(screen: &str) {
    assert!(screen.starts_with("END "), "{screen}");
    assert!(
        screen.contains("Nothing was booked and no money was taken"),
        "{screen}"
    );
}

/// The same, or what is told when it is not known yet.
fn assert_honest_or_working(screen: &str) {
    if !screen.contains("If it is booked you get an SMS. No money was taken") {
        assert_honest(screen);
    }
}

fn msisdn(number: usize) -> String {
    format!("+2547120{number:05}")
}

async fn degraded(private: &str) -> Value {
    let response = reqwest::get(format!("{private}/health/ready"))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut body: Value = response.json().await.unwrap();
    assert_eq!(body["ready"], true);
    body["degraded"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_every_dialogue_goes_on_and_books() {
    let frail = Frail::start(1).await;
    let late = Weather::Slow(Duration::from_secs(3));
    for (weather, first) in [(Weather::Cut, 100), (Weather::Silent, 200), (late, 300)] {
        let screens = frail.every_hop_under(&frail.redis, weather, first).await;
        let (last, before) = screens.split_last().unwrap();
        for screen in before {
            assert!(screen.starts_with("CON "), "{screen}");
        }
        assert!(last.starts_with("END BOOKED"), "{last}");
        // And whole ones, from the memory of the instance.
        let whole = frail
            .app
            .dialogue(&session_id(), &msisdn(first + 60), &ANSWERS)
            .await;
        assert!(whole.starts_with("END BOOKED"), "{whole}");
        assert_eq!(frail.degraded().await, json!(["redis"]));
        frail.redis.set(Weather::Fair);
        eventually("health", async || {
            (frail.degraded().await == json!([])).then_some(())
        })
        .await;
        frail.heals(first + 50).await;
    }
    let booked = "select count(*) from reservation";
    assert_eq!(frail.app.count(booked).await, 3 * 3);
    frail.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_screens_that_need_it_end_honestly_and_all_heals() {
    let frail = Frail::start(2).await;
    for (weather, first) in [(Weather::Cut, 300), (Weather::Silent, 400)] {
        let screens = frail.every_hop_under(&frail.postgres, weather, first).await;
        // A new search, a price, a booking; nothing else needs the database.
        for (count, screen) in screens.iter().enumerate() {
            match (count, weather) {
                (5 | 6, _) | (8, Weather::Cut) => assert_honest(screen),
                (8, _) => assert_honest_or_working(screen),
                _ => assert!(screen.starts_with("CON "), "{count}: {screen}"),
            }
        }
        eventually("ill health", async || {
            (frail.degraded().await == json!(["postgres"]) || weather == Weather::Silent)
                .then_some(())
        })
        .await;
        frail.postgres.set(Weather::Fair);
        frail.heals(first + 50).await;
        assert_eq!(frail.degraded().await, json!([]));
    }
    frail.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_stopped_or_killed_come_back_without_a_hand() {
    let data = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .tempdir()
        .unwrap();
    let servers = Stores::start(options(data.path())).await.unwrap();
    fill(servers.database_url()).await;
    let app = TestApp::on(noon(), "", servers.database_url(), servers.redis_url()).await;
    let number = AtomicUsize::new(500);
    let booked = async || {
        let msisdn = msisdn(number.fetch_add(1, Ordering::Relaxed));
        let screen = app.dialogue(&session_id(), &msisdn, &ANSWERS).await;
        screen.starts_with("END BOOKED")
    };
    assert!(booked().await);
    for stopped in [servers.pids().postgres, servers.pids().redis] {
        signal(stopped, Signal::SIGSTOP);
        let began = Instant::now();
        let screen = app.call(&session_id(), &msisdn(600), "").await;
        // Postgres that was asked may have sent its answer before it was stopped: its processes are not.
        assert!(began.elapsed() < ANSWER_MAX);
        assert!(screen.starts_with("CON "), "{screen}");
        signal(stopped, Signal::SIGCONT);
        eventually("a booking", async || booked().await.then_some(())).await;
    }
    for killed in [servers.pids().postgres, servers.pids().redis] {
        signal(killed, Signal::SIGKILL);
        let began = Instant::now();
        let screen = app.call(&session_id(), &msisdn(601), "").await;
        assert!(began.elapsed() < ANSWER_MAX, "{screen}");
        eventually("a booking", async || booked().await.then_some(())).await;
    }
    app.stop().await;
    servers.stop().await;
}

fn signal(pid: Option<u32>, signal: Signal) {
    kill(Pid::from_raw(pid.unwrap().cast_signed()), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_started_without_stores_is_usable_once_they_come() {
    let database = sample_database().await;
    let (postgres, redis) = (
        Proxy::postgres(&database).await,
        Proxy::redis(&stores().redis).await,
    );
    postgres.set(Weather::Cut);
    redis.set(Weather::Cut);
    let app = TestApp::on(
        noon(),
        "",
        &postgres.postgres_url(&database),
        &redis.redis_url(3),
    )
    .await;
    assert_eq!(degraded(&app.private).await, json!(["postgres", "redis"]));
    eventually("no service", async || {
        let screen = app.call(&session_id(), &msisdn(700), "").await;
        if screen.starts_with("CON ") {
            return None;
        }
        assert!(screen.starts_with("END Our service is down. Nothing was booked"));
        Some(())
    })
    .await;
    redis.set(Weather::Fair);
    eventually("menus", async || {
        let screen = app.call(&session_id(), &msisdn(701), "").await;
        screen.starts_with("CON ").then_some(())
    })
    .await;
    postgres.set(Weather::Fair);
    eventually("a booking", async || {
        let screen = app.dialogue(&session_id(), &msisdn(702), &ANSWERS).await;
        screen.starts_with("END BOOKED").then_some(())
    })
    .await;
    assert_eq!(degraded(&app.private).await, json!([]));
    app.stop().await;
}

/// Redis may lose a dialogue before any answer: nobody notices, and nothing is booked twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialogue_that_redis_lost_or_spoilt_goes_on_at_the_same_step() {
    let frail = Frail::start(4).await;
    let undisturbed = screens(&frail, &msisdn(800), async || {}).await;
    assert!(undisturbed[ANSWERS.len()].starts_with("END BOOKED"));
    let emptied = screens(&frail, &msisdn(801), async || {
        frail.forget_sessions().await;
    })
    .await;
    let spoilt = screens(&frail, &msisdn(802), async || {
        let mut redis = frail.redis().await;
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("session:*}")
            .query_async(&mut redis)
            .await
            .unwrap();
        for key in keys {
            redis::cmd("SET")
                .arg(key)
                .arg(&b"{\"transcript\":\xff\0"[..])
                .exec_async(&mut redis)
                .await
                .unwrap();
        }
    })
    .await;
    for (count, screen) in undisturbed[..ANSWERS.len()].iter().enumerate() {
        assert_eq!(&emptied[count], screen, "emptied before answer {count}");
        assert_eq!(&spoilt[count], screen, "spoilt before answer {count}");
    }
    for last in [&emptied[ANSWERS.len()], &spoilt[ANSWERS.len()]] {
        assert!(last.starts_with("END BOOKED"), "{last}");
    }
    let booked = "select count(*) from reservation";
    assert_eq!(frail.app.count(booked).await, 3);
    frail.app.stop().await;
}

/// The screens of a whole dialogue, `fault` before each answer.
async fn screens(frail: &Frail, msisdn: &str, fault: impl AsyncFn()) -> Vec<String> {
    let session = session_id();
    let mut screens = Vec::new();
    for count in 0..=ANSWERS.len() {
        fault().await;
        screens.push(
            frail
                .app
                .call(&session, msisdn, &ANSWERS[..count].join("*"))
                .await,
        );
    }
    screens
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_repeated_after_redis_lost_the_session_does_not_book_again() {
    let frail = Frail::start(5).await;
    let (session, number) = (session_id(), msisdn(900));
    let booked = frail.app.dialogue(&session, &number, &ANSWERS).await;
    assert!(booked.starts_with("END BOOKED"), "{booked}");
    // A second instance remembers nothing of the turn.
    let other = TestApp::on(noon(), "", &frail.app.database_url, &frail.app.redis_url).await;
    frail.redis.set(Weather::Cut);
    for weather in [Weather::Cut, Weather::Fair] {
        frail.redis.set(weather);
        let again = other.call(&session, &number, &ANSWERS.join("*")).await;
        assert_eq!(again, booked);
    }
    for table in ["reservation", "outbox where kind = 'confirmed'"] {
        let sql = format!("select count(*) from {table}");
        assert_eq!(frail.app.count(&sql).await, 1, "{table}");
    }
    other.stop().await;
    frail.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_takes_too_long_is_told_in_time_and_not_done_twice() {
    let database = sample_database().await;
    let postgres = Proxy::postgres(&database).await;
    let folder = TempDir::new().unwrap();
    let config = format!(
        "{CONFIG}database: {{ url: \"{}\" }}\nredis: {{ url: \"{}\" }}\n",
        postgres.postgres_url(&database),
        stores().redis
    );
    let service = Program::serve(folder.path(), &config, &[]).await;
    let (session, number) = (session_id(), msisdn(950));
    let to_guests = ["1", "Nakuru", "2", "1"];
    service.dialogue(&session, &number, &to_guests).await;
    postgres.set(Weather::Slow(Duration::from_secs(2)));
    let text = "1*Nakuru*2*1*1";
    let (one, two) = tokio::join!(timed(&service, &session, &number, text), async {
        eventually("the first search", async || {
            let (_, metrics) = service.look("/metrics").await;
            let begun = metrics.lines().any(|line| line == "searches_total 1");
            begun.then_some(())
        })
        .await;
        timed(&service, &session, &number, text).await
    });
    for screen in [one, two] {
        assert!(screen.starts_with("END We can't book"), "{screen}");
        assert_honest(&screen);
    }
    let (_, metrics) = service.look("/metrics").await;
    assert!(
        metrics.lines().any(|line| line == "searches_total 1"),
        "{metrics}"
    );
    postgres.set(Weather::Fair);
    let screen = eventually("the rooms", async || {
        let answers: Vec<&str> = text.split('*').collect();
        let screen = service
            .dialogue(&session_id(), &msisdn(951), &answers)
            .await;
        screen.starts_with("CON Nakuru").then_some(screen)
    })
    .await;
    assert!(screen.contains("1 "), "{screen}");
}

async fn timed(
    service: &crate::support::binary::Served,
    session: &str,
    number: &str,
    text: &str,
) -> String {
    let began = Instant::now();
    let screen = service.call(session, number, text).await;
    assert!(began.elapsed() < ANSWER_MAX, "{screen}");
    screen
}
