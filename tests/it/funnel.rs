//! How far callers come, as the operator is told: counted once, whichever instance they are at.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reserveflow::session::keeper::Memory;
use serde_json::{Value, json};

use crate::support::app::{TestApp, form, msisdn, noon, session_id, today};
use crate::support::postgres::sample_database;
use crate::support::stores::stores;
use crate::support::{background, eventually};

const COUNTS: [&str; 6] = [
    "shown",
    "answered",
    "wrong",
    "timed_out",
    "resumed",
    "completed",
];

/// Two instances on one database and one Redis.
fn two_instances() -> [TestApp; 2] {
    let stores = stores();
    background(async move {
        let database = sample_database().await;
        [
            TestApp::on(noon(), "", &database, &stores.redis).await,
            TestApp::on(noon(), "", &database, &stores.redis).await,
        ]
    })
}

async fn look(app: &TestApp, query: &str) -> reqwest::Response {
    let url = format!("{}/private/funnel?{query}", app.private);
    app.http.get(url).send().await.unwrap()
}

/// What both have counted.
async fn screens(apps: &[TestApp; 2], query: &str) -> Vec<Value> {
    for app in apps {
        assert_eq!(look(app, query).await.status(), 200);
    }
    let mut told: Value = look(&apps[0], query).await.json().await.unwrap();
    serde_json::from_value(told["screens"].take()).unwrap()
}

/// Each screen with its counts, in the order of [`COUNTS`].
fn counts(screens: &[Value]) -> BTreeMap<String, [i64; 6]> {
    let counts = screens.iter().map(|screen| {
        let name = screen["screen"].as_str().unwrap().to_owned();
        (name, COUNTS.map(|count| screen[count].as_i64().unwrap()))
    });
    counts.collect()
}

/// Each call several times at once at both instances, and once more after that; the last screen.
async fn dialogue(apps: &[TestApp; 2], guest: &str, session: &str, answers: &[&str]) -> String {
    let mut screen = String::new();
    for count in 0..=answers.len() {
        let text = answers[..count].join("*");
        let at_once = (0..4).map(|number| apps[number % 2].call(session, guest, &text));
        let screens = join_all(at_once).await;
        screen = apps[count % 2].call(session, guest, &text).await;
        assert!(screens.iter().all(|other| *other == screen), "{screens:?}");
    }
    for app in apps {
        eventually("what is remembered of the guest", async || {
            let pending = app.app.keeper.pending(&msisdn(guest));
            (pending == Memory::default()).then_some(())
        })
        .await;
    }
    screen
}

/// The aggregator says that the session is over.
async fn hang_up(app: &TestApp, guest: &str, session: &str) {
    let url = format!("{}/ussd/africastalking/demo/events", app.public);
    let mut end = form(session, guest, "");
    end.retain(|(name, _)| *name != "text");
    end.extend([("status", "Incomplete"), ("hopsCount", "5")]);
    assert_eq!(app.post(&url, &end).await.status(), 200);
}

#[tokio::test]
async fn every_screen_is_told_with_what_became_of_it() {
    let apps = two_instances();
    // One books, after an answer that nobody understands.
    let answers = ["1", "Nakuru", "gibberish", "2", "1", "2", "1", "Amina", "1"];
    let screen = dialogue(&apps, "+254711000271", &session_id(), &answers).await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    // One hangs up, which is told twice and at both, and dials again: goes on, and is lost without a word.
    let (guest, session) = ("+254711000272", session_id());
    let screen = dialogue(&apps, guest, &session, &["1", "Nakuru", "2", "1"]).await;
    assert!(screen.contains("How many people?"), "{screen}");
    for app in [&apps[0], &apps[1], &apps[0]] {
        hang_up(app, guest, &session).await;
    }
    let screen = dialogue(&apps, guest, &session_id(), &["1"]).await;
    assert!(screen.contains("How many people?"), "{screen}");
    // One changes the language.
    let screen = dialogue(&apps, "+254711000273", &session_id(), &["4", "2", "1"]).await;
    assert!(screen.contains("Unalala wapi?"), "{screen}");

    let all = screens(&apps, "by=").await;
    let told = counts(&all);
    for (screen, counts) in [
        ("home", [4, 4, 0, 0, 0, 0]),
        ("place_typed", [3, 2, 0, 0, 0, 0]),
        ("when", [3, 2, 1, 0, 0, 0]),
        ("how_many_nights", [2, 2, 0, 0, 0, 0]),
        ("how_many_guests", [3, 1, 0, 1, 1, 0]),
        ("which_room", [1, 1, 0, 0, 0, 0]),
        ("name", [1, 1, 0, 0, 0, 0]),
        ("confirm", [1, 1, 0, 0, 0, 0]),
        ("booked", [1, 0, 0, 0, 0, 1]),
        ("welcome_back", [1, 1, 0, 0, 0, 0]),
    ] {
        assert_eq!(told[screen], counts, "{screen}: {COUNTS:?}");
    }
    // In the order of the flow, and what is not known of the last ones is said.
    let place = |name: &str| all.iter().position(|screen| screen["screen"] == name);
    assert!(place("home") < place("when") && place("when") < place("booked"));
    let open = |name: &str| all[place(name).unwrap()]["open"].clone();
    assert_eq!(
        (open("how_many_guests"), open("place_typed"), open("when")),
        (json!(1), json!(1), json!(0))
    );

    // By language, operator, aggregator and version; by day.
    let swahili = counts(&screens(&apps, "by=&language=sw").await);
    assert_eq!(swahili["home"], [1, 1, 0, 0, 0, 0]);
    assert_eq!(swahili["place_typed"], [1, 0, 0, 0, 0, 0]);
    assert_eq!(swahili.len(), 2);
    let version = apps[0].app.menus.current().version.to_string();
    let rows = screens(&apps, "").await;
    for row in &rows {
        assert_eq!(row["flow"], "booking");
        assert_eq!(row["aggregator"], "africastalking");
        assert_eq!(row["operator"], "99999");
        assert_eq!(row["version"], version.as_str());
        assert!(row.get("day").is_none());
    }
    let homes = rows.iter().filter(|row| row["screen"] == "home");
    assert_eq!(homes.count(), 2);
    let by_day = screens(&apps, "by=day").await;
    assert!(
        by_day
            .iter()
            .all(|row| row["day"] == today().to_string().as_str())
    );
    for nothing in [
        "to=2020-01-01".to_owned(),
        "flow=host".to_owned(),
        "aggregator=nalo".to_owned(),
        "version=0".to_owned(),
        format!("from={}", today() + chrono::Days::new(1)),
    ] {
        assert_eq!(
            screens(&apps, &nothing).await,
            Vec::<Value>::new(),
            "{nothing}"
        );
    }
    for bad in ["by=town", "from=yesterday", "language=sw&tongue=sw"] {
        assert_eq!(look(&apps[0], bad).await.status(), 400, "{bad}");
    }

    // What an instance has counted is written when it stops; days of long ago go.
    let [one, two] = apps;
    two.call(&session_id(), "+254711000274", "").await;
    two.stop().await;
    let old = "with old as (insert into funnel (day, flow, version, screen, place, aggregator, operator, language)
                            values (now() - interval '1 year', 'booking', '', 'home', 0, '', '', '') returning 1)
               select count(*) from old";
    assert_eq!(one.count(old).await, 1);
    let told: Value = look(&one, "by=&from=2000-01-01")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(told["screens"][0]["screen"], "home");
    assert_eq!(told["screens"][0]["shown"], 5);
    let days = "select count(distinct day) from funnel";
    assert_eq!(one.count(days).await, 1);
    one.stop().await;
}

#[tokio::test]
async fn what_could_not_be_written_counts_on() {
    let [one, two] = two_instances();
    one.call(&session_id(), "+254711000275", "").await;
    let client = two.pool.get().await.unwrap();
    let away = "alter table funnel rename to funnel_away";
    let back = "alter table funnel_away rename to funnel";
    client.batch_execute(away).await.unwrap();
    assert_eq!(look(&one, "by=").await.status(), 503);
    one.call(&session_id(), "+254711000276", "").await;
    client.batch_execute(back).await.unwrap();
    let told: Value = look(&one, "by=").await.json().await.unwrap();
    assert_eq!(told["screens"][0]["shown"], 2);
    drop(client);
    for app in [one, two] {
        app.stop().await;
    }
}
