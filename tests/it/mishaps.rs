//! What seldom happens to dialogues: an older state of Redis comes back, a Redis that is only loading, an answer that lands
//! where another screen was shown, a retry while the first try is stuck, a storm of conflicts, no way out for SMS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use reserveflow::session::keeper::Memory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::{CONFIG, TestApp, msisdn, noon, session_id};
use crate::support::postgres::sample_database;
use crate::support::proxy::{Proxy, Weather};
use crate::support::redis::RedisServer;
use crate::support::stores::stores;
use crate::support::{background, eventually};

const ANSWERS: [&str; 8] = ["1", "Nakuru", "2", "1", "2", "1", "Asha", "1"];

async fn degraded(app: &TestApp) -> Value {
    let url = format!("{}/health/ready", app.private);
    let mut body: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    body["degraded"].take()
}

async fn remembered(app: &TestApp, guest: &str) {
    eventually("what is remembered of the guest", async || {
        let pending = app.app.keeper.pending(&msisdn(guest));
        (pending == Memory::default()).then_some(())
    })
    .await;
}

/// Everything in a Redis, with how long it lives.
async fn snapshot(server: &RedisServer) -> Vec<(String, i64, Vec<u8>)> {
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut redis)
        .await
        .unwrap();
    let mut all = Vec::new();
    for key in keys {
        let life: i64 = redis::cmd("PTTL")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        let dump: Option<Vec<u8>> = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        all.extend(dump.map(|dump| (key, life.max(0), dump)));
    }
    all
}

/// As if everything since had been lost.
async fn restore(server: &RedisServer, snapshot: &[(String, i64, Vec<u8>)]) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    for (key, life, dump) in snapshot {
        let mut command = redis::cmd("RESTORE");
        command.arg(key).arg(*life).arg(dump);
        command.exec_async(&mut redis).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_of_redis_repeats_a_screen_at_most() {
    let server = RedisServer::start("", &[]).await;
    let (url, database) = (server.url(), background(sample_database()));
    let app = background(async move { TestApp::on(noon(), "", &database, &url).await });
    let (session, guest) = (session_id(), "+254711000301");
    let mut screens = Vec::new();
    let mut states = Vec::new();
    for count in 0..=ANSWERS.len() {
        states.push(snapshot(&server).await);
        let text = ANSWERS[..count].join("*");
        screens.push(app.call(&session, guest, &text).await);
    }
    let booked = screens.last().unwrap();
    assert!(booked.starts_with("END BOOKED "), "{booked}");
    remembered(&app, guest).await;
    // The last second is lost; the confirmation comes again, and again with one lost screen more.
    for state in [ANSWERS.len(), ANSWERS.len() - 1, 3, 0] {
        restore(&server, &states[state]).await;
        let again = app.call(&session, guest, &ANSWERS.join("*")).await;
        assert_eq!(again, *booked, "from before answer {state}");
    }
    assert_eq!(app.count("select count(*) from reservation").await, 1);
    assert_eq!(app.count("select count(*) from outbox").await, 2);
    // A dialogue under way: what is answered next is answered, perhaps one screen later.
    let (session, guest) = (session_id(), "+254711000302");
    for count in 0..=4 {
        states.push(snapshot(&server).await);
        app.call(&session, guest, &ANSWERS[..count].join("*")).await;
    }
    remembered(&app, guest).await;
    restore(&server, states.last().unwrap()).await;
    for count in 5..=ANSWERS.len() {
        let screen = app.call(&session, guest, &ANSWERS[..count].join("*")).await;
        if count < ANSWERS.len() {
            assert_eq!(screen, screens[count]);
        } else {
            assert!(screen.starts_with("END BOOKED "), "{screen}");
        }
    }
    assert_eq!(app.count("select count(*) from reservation").await, 2);
    app.stop().await;
}

/// A server in front of another that says to each command that it is loading, until it has loaded.
async fn loading(to: String, loaded: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (to, loaded) = (to.clone(), loaded.clone());
            tokio::spawn(async move {
                if loaded.load(Ordering::SeqCst) {
                    let mut server = TcpStream::connect(&to).await.unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut server)
                        .await
                        .ok();
                    return;
                }
                let mut asked = [0; 16 * 1024];
                while let Ok(count @ 1..) = client.read(&mut asked).await {
                    if loaded.load(Ordering::SeqCst) {
                        return;
                    }
                    // Each command is an array that begins a line with `*`.
                    let text = String::from_utf8_lossy(&asked[..count]).into_owned();
                    let commands = text.split("\r\n").filter(|line| line.starts_with('*'));
                    let answer = "-LOADING Redis is loading the dataset in memory\r\n";
                    let answers = answer.repeat(commands.count());
                    if client.write_all(answers.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_loading_is_done_without_until_it_has_loaded() {
    let server = RedisServer::start("", &[]).await;
    let loaded = Arc::new(AtomicBool::new(false));
    let url = loading(format!("127.0.0.1:{}", server.port), loaded.clone()).await;
    let database = background(sample_database());
    let app = background(async move { TestApp::on(noon(), "", &database, &url).await });
    let screen = app.dialogue(&session_id(), "+254711000303", &ANSWERS).await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    assert_eq!(degraded(&app).await, json!(["redis"]));
    let keys: Vec<String> = server.ask("KEYS session:*").await;
    assert_eq!(keys, Vec::<String>::new());
    loaded.store(true, Ordering::SeqCst);
    eventually("health", async || {
        (degraded(&app).await == json!([])).then_some(())
    })
    .await;
    let guest = "+254711000304";
    eventually("a dialogue in Redis", async || {
        app.call(&session_id(), guest, "").await;
        let keys: Vec<String> = server.ask("KEYS session:*").await;
        (!keys.is_empty()).then_some(())
    })
    .await;
    app.stop().await;
}

/// One call of an aggregator that tells the latest answer and nothing else.
async fn arkesel(app: &TestApp, session: &str, guest: &str, typed: &str, new: bool) -> String {
    let body = json!({
        "sessionID": session, "userID": "USSD_001", "newSession": new, "msisdn": guest, "userData": typed, "network": "MTN",
    });
    let url = format!("{}/ussd/arkesel/demo", app.public);
    let answer: Value = app
        .http
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_an_answer_to_the_screen_of_another_instance_confirms_nothing_here() {
    let database = background(sample_database());
    let mut apps = Vec::new();
    let mut skies = Vec::new();
    for number in [7, 8] {
        let redis = Proxy::redis(&stores().redis).await;
        let (url, database) = (redis.redis_url(number), database.clone());
        redis.set(Weather::Cut);
        skies.push(redis);
        apps.push(background(async move {
            TestApp::on(noon(), "", &database, &url).await
        }));
    }
    let [one, two] = &apps[..] else {
        unreachable!()
    };
    let (guest, number) = ("254711000305", "+254711000305");

    // It asks whether to book; the answer gets to the other instance, which has not seen any of it.
    let session = session_id();
    let mut screen = arkesel(one, &session, guest, "*384*7#", true).await;
    for answer in &ANSWERS[..7] {
        screen = arkesel(one, &session, guest, answer, false).await;
    }
    assert!(screen.contains("1 Yes, book"), "{screen}");
    remembered(one, number).await;
    let offer = arkesel(two, &session, guest, "1", false).await;
    assert!(offer.contains("1 Continue"), "{offer}");
    remembered(two, number).await;
    // "Continue" gets to the first one, where the same key would book.
    let again = arkesel(one, &session, guest, "1", false).await;
    assert!(again.contains("1 Continue"), "{again}");
    assert_eq!(one.count("select count(*) from reservation").await, 0);
    // Who stays with one is served to the end. The same key at once would be taken for the aggregator's repetition.
    remembered(one, number).await;
    let screen = arkesel(one, &session, guest, "Continue", false).await;
    assert!(screen.contains("1 Yes, book"), "{screen}");
    remembered(one, number).await;
    let booked = arkesel(one, &session, guest, "Yes", false).await;
    assert!(booked.starts_with("BOOKED "), "{booked}");
    assert_eq!(one.count("select count(*) from reservation").await, 1);

    // Also where there is nothing to go on with: a booking given up.
    let session = session_id();
    let mut screen = arkesel(one, &session, guest, "*384*7#", true).await;
    for answer in ["2", "1", "Cancel"] {
        screen = arkesel(one, &session, guest, answer, false).await;
    }
    let yes = screen
        .lines()
        .find_map(|line| line.split_once(" Yes"))
        .unwrap_or_else(|| panic!("{screen}"))
        .0
        .to_owned();
    let begun = arkesel(two, &session, guest, "9", false).await;
    assert!(begun.contains("1 Book a room"), "{begun}");
    remembered(two, number).await;
    let other = arkesel(one, &session, guest, &yes, false).await;
    assert!(other.contains("1 Book a room"), "{other}");
    let gone = "select count(*) from reservation where status = 'cancelled'";
    assert_eq!(one.count(gone).await, 0);
    for app in apps {
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_while_the_first_try_is_stuck_finds_what_that_did() {
    let database = background(sample_database());
    let postgres = Proxy::postgres(&database).await;
    let url = postgres.postgres_url(&database);
    let app = background(async move { TestApp::on(noon(), "", &url, &stores().redis).await });
    let (session, guest) = (session_id(), "+254711000306");
    app.dialogue(&session, guest, &ANSWERS[..7]).await;
    remembered(&app, guest).await;
    postgres.set(Weather::Silent);
    let text = ANSWERS.join("*");
    // The aggregator gives up and calls again, at once and later.
    let (one, two) = tokio::join!(
        app.call(&session, guest, &text),
        app.call(&session, guest, &text)
    );
    for stuck in [&one, &two] {
        assert!(
            stuck.starts_with("END ") && !stuck.contains("BOOKED "),
            "{stuck}"
        );
    }
    postgres.set(Weather::Fair);
    let booked = eventually("the booking", async || {
        let screen = app.call(&session, guest, &text).await;
        screen.starts_with("END BOOKED ").then_some(screen)
    })
    .await;
    assert_eq!(app.call(&session, guest, &text).await, booked);
    assert_eq!(app.count("select count(*) from reservation").await, 1);
    assert_eq!(app.count("select count(*) from outbox").await, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_conflicts_is_told_and_passes() {
    let app = TestApp::start("database: { isolation: serializable }\n");
    let client = app.pool.get().await.unwrap();
    // Nine of ten reservations fail as if they had met another.
    client
        .batch_execute(
            "create sequence storm;
             create function storm() returns trigger language plpgsql as $$
             begin
                 if nextval('storm') % 10 <> 0 then
                     raise exception 'could not serialize access' using errcode = '40001';
                 end if;
                 return new;
             end $$;
             create trigger storm before insert on reservation for each row execute function storm();",
        )
        .await
        .unwrap();
    drop(client);
    let guests = (0..20).map(|number| {
        let app = &app;
        async move {
            let guest = format!("+25471100{:04}", 4000 + number);
            let session = session_id();
            app.dialogue(&session, &guest, &ANSWERS[..7]).await;
            (
                app.call(&session, &guest, &ANSWERS.join("*")).await,
                session,
                guest,
            )
        }
    });
    let told = join_all(guests).await;
    let is_booked = |screen: &str| screen.starts_with("END BOOKED ");
    for (screen, ..) in &told {
        let honest = screen.starts_with("END ") && screen.contains("Nothing was booked");
        assert!(is_booked(screen) || honest, "{screen}");
    }
    let booked = told.iter().filter(|(screen, ..)| is_booked(screen)).count();
    let rows = app.count("select count(*) from reservation").await;
    assert_eq!(rows, i64::try_from(booked).unwrap());
    // It passes, and everybody who tries again has a room.
    let client = app.pool.get().await.unwrap();
    client
        .batch_execute("drop trigger storm on reservation")
        .await
        .unwrap();
    drop(client);
    for (screen, _, guest) in told
        .iter()
        .filter(|(screen, ..)| !is_booked(screen))
        .take(2)
    {
        let mut later = ANSWERS.to_vec();
        later[2] = "3";
        let again = app
            .dialogue(&session_id(), guest, &[&["2"], &later[..]].concat())
            .await;
        assert!(is_booked(&again), "{screen}\n{again}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_sms_leaves_bookings_go_on_and_health_says_so() {
    let config = format!(
        "{CONFIG}sms: {{ routes: [{{ provider: kannel, sender: \"22384\" }}], providers: {{ kannel: {{ sendsms_url: \"http://127.0.0.1:1\", username: u, password: p }} }} }}\n"
    );
    let database = background(sample_database());
    let redis = stores().redis.clone();
    let app =
        background(async move { TestApp::configured(noon(), &config, &database, &redis).await });
    assert_eq!(degraded(&app).await, json!([]));
    for number in 0..2 {
        let guest = format!("+25471100032{number}");
        let screen = app.dialogue(&session_id(), &guest, &ANSWERS).await;
        assert!(screen.starts_with("END BOOKED "), "{screen}");
    }
    eventually("ill health", async || {
        (degraded(&app).await == json!(["sms"])).then_some(())
    })
    .await;
    let screen = app.dialogue(&session_id(), "+254711000329", &ANSWERS).await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    assert_eq!(
        app.count("select count(*) from outbox where sent_at is null")
            .await,
        6
    );
    app.stop().await;
}
