//! Hosts by USSD and SMS: the PIN at the door, what they change, and what becomes of more bookings than rooms.

use chrono::Utc;
use reserveflow::db::audit::audit;
use serde_json::Value;

use crate::support::app::{TestApp, session_id};

/// Who lets Colobus Studio and Ukunda Rooms, 11 of them.
const HOST: &str = "+254733000579";
const GUEST: &str = "+254711000641";
const PIN: &str = "90417";

/// The digits of the newest code by SMS.
async fn code(app: &TestApp, at_least: usize) -> String {
    let sent = app.sms(HOST, at_least).await;
    let text = sent[0]["text"].as_str().unwrap().to_owned();
    let digits = text.split(|c: char| !c.is_ascii_digit());
    let mut codes = digits.filter(|digits| digits.len() == 6);
    codes
        .next()
        .unwrap_or_else(|| panic!("no code in {text}"))
        .to_owned()
}

/// Sets the PIN by way of the code.
async fn set_pin(app: &TestApp) {
    let screen = app.dialogue(&session_id(), HOST, &["6", "1"]).await;
    assert!(
        screen.starts_with("END We send you a code by SMS."),
        "{screen}"
    );
    let code = code(app, 1).await;
    let second = session_id();
    let screen = app.dialogue(&second, HOST, &["6", &code, "12345"]).await;
    assert!(
        screen.starts_with("CON That PIN is short or easy to guess."),
        "{screen}"
    );
    let screen = app
        .call(&second, HOST, &format!("6*{code}*12345*{PIN}"))
        .await;
    assert!(screen.starts_with("CON Type the new PIN again"), "{screen}");
    let screen = app
        .call(&second, HOST, &format!("6*{code}*12345*{PIN}*{PIN}"))
        .await;
    assert!(screen.starts_with("CON Your PIN is set."), "{screen}");
}

/// A dialogue behind the PIN.
async fn host(app: &TestApp, session: &str, answers: &[&str]) -> String {
    let answers: Vec<&str> = ["6", PIN]
        .into_iter()
        .chain(answers.iter().copied())
        .collect();
    app.dialogue(session, HOST, &answers).await
}

/// A guest books the first room of Ukunda for tonight.
async fn book(app: &TestApp, session: &str) -> String {
    let screen = app
        .dialogue(
            session,
            GUEST,
            &["1", "Ukunda", "1", "1", "1", "1", "0", "1"],
        )
        .await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    screen["END BOOKED ".len()..][..9].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_is_set_by_a_code_and_five_wrong_ones_lock_the_door() {
    let app = TestApp::start("");
    let screen = app.dialogue(&session_id(), GUEST, &["6"]).await;
    assert!(
        screen.starts_with("CON Let your rooms through ReserveFlow"),
        "{screen}"
    );
    set_pin(&app).await;
    let screen = host(&app, &session_id(), &[]).await;
    assert!(
        screen.contains("1 Who comes today\n2 Rooms free tonight"),
        "{screen}"
    );

    // Another takes a day: until then the old one counts.
    let screen = app.dialogue(&session_id(), HOST, &["6", "1", "2"]).await;
    assert!(screen.contains("It works from "), "{screen}");
    let early = code(&app, 3).await;
    let wrong = app.dialogue(&session_id(), HOST, &["6", &early]).await;
    assert!(wrong.starts_with("CON That PIN is wrong."), "{wrong}");
    let screen = host(&app, &session_id(), &[]).await;
    assert!(screen.contains("1 Who comes today"), "{screen}");

    for number in 1..=5 {
        let screen = app.dialogue(&session_id(), HOST, &["6", "55501"]).await;
        let told = if number < 5 {
            "CON That PIN is wrong."
        } else {
            "END Too many wrong tries."
        };
        assert!(screen.starts_with(told), "{number}: {screen}");
    }
    let screen = app.dialogue(&session_id(), HOST, &["6"]).await;
    assert!(screen.starts_with("END Too many wrong tries."), "{screen}");

    let client = app.pool.get().await.unwrap();
    let row = client
        .query_one("select hash from host_pin", &[])
        .await
        .unwrap();
    assert!(row.get::<_, String>(0).starts_with("$argon2id$"));
    for table in ["draft", "outbox", "session_end", "guest", "host_event"] {
        let clear = app
            .count(&format!(
                "select count(*) from {table} t where t::text like '%{PIN}%'"
            ))
            .await;
        assert_eq!(clear, 0, "{table}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_changes_rooms_nights_and_prices_and_sees_before_and_after() {
    let app = TestApp::start("");
    set_pin(&app).await;
    let run = session_id();
    for (session, answers, told) in [
        (
            "rooms",
            &["2", "2", "1", "3"][..],
            "rooms free 11, then 3. Right?",
        ),
        (
            "rooms-yes",
            &["2", "2", "1", "3", "1"],
            "rooms free before 11, now 3.",
        ),
        (
            "many",
            &["2", "2", "1", "12"],
            "You have fewer rooms than that.",
        ),
        (
            "close",
            &["2", "2", "2", "1"],
            "Free nights before 3, now 0.",
        ),
        (
            "open",
            &["2", "2", "2", "1"],
            "Free nights before 0, now 3.",
        ),
        (
            "broken",
            &["2", "2", "4", "2", "1"],
            "rooms out of use before 0, now 2.",
        ),
        (
            "none",
            &["2", "2", "1", "0", "1"],
            "rooms free before 1, now 0.",
        ),
        (
            "price",
            &["4", "2", "1", "1", "2,500"],
            "KES 1,800, then KES 2,500 a night",
        ),
        (
            "price-yes",
            &["4", "2", "1", "1", "2,500", "1"],
            "before KES 1,800, now KES 2,500 a night.",
        ),
        (
            "range",
            &["4", "2", "tomorrow", "1", "2000", "1"],
            "before KES 1,800, now KES 2,000 a night.",
        ),
    ] {
        let screen = host(&app, &format!("{session}-{run}"), answers).await;
        assert!(screen.contains(told), "{session}: {screen}");
    }
    let events = app
        .count("select count(*) from host_event where channel = 'ussd' and turn is not null")
        .await;
    assert_eq!(events, 7);
    // The same call once more changes nothing.
    host(
        &app,
        &format!("price-yes-{run}"),
        &["4", "2", "1", "1", "2,500", "1"],
    )
    .await;
    assert_eq!(app.count("select count(*) from host_event").await, events);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_rooms_than_bookings_are_refused_or_looked_after_until_they_fit() {
    let app = TestApp::start("");
    set_pin(&app).await;
    let codes = [
        book(&app, &session_id()).await,
        book(&app, &session_id()).await,
    ];
    let screen = host(&app, &session_id(), &["2", "2", "4", "10"]).await;
    assert!(
        screen.contains("bookings without a room then: 1. Nothing was changed."),
        "{screen}"
    );
    let list = async || -> Vec<Value> {
        let url = format!("{}/private/overbookings", app.private);
        app.http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    assert_eq!(list().await.len(), 0);
    let screen = host(&app, &session_id(), &["2", "2", "4", "10", "2"]).await;
    assert!(
        screen.starts_with("END Noted. Bookings without a room: 1."),
        "{screen}"
    );
    let listed = list().await;
    assert_eq!((listed.len(), &listed[0]["missing"]), (1, &Value::from(1)));
    assert_eq!(listed[0]["codes"].as_array().unwrap().len(), 2);
    let mut client = app.pool.get().await.unwrap();
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);

    // The lodge turns one away: that was the one too many, and its room is not sold again.
    let screen = host(&app, &session_id(), &["1", "1", "3", "2"]).await;
    assert!(screen.contains("Cancelled: "), "{screen}");
    assert_eq!(list().await.len(), 0);
    let free = "select count(*) from property_availability where overbooked > 0 or available_units < reserved_units";
    assert_eq!(app.count(free).await, 0);
    let screen = host(&app, &session_id(), &["2", "2"]).await;
    assert!(screen.contains("rooms free 0, booked 1"), "{screen}");
    let told = app.sms(GUEST, 4).await;
    let texts: Vec<&str> = told
        .iter()
        .map(|sms| sms["text"].as_str().unwrap())
        .collect();
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("Sorry: Ukunda Rooms cancelled")),
        "{texts:?}"
    );
    assert!(
        texts.iter().any(|text| text.contains("Colobus Studio KES")),
        "{texts:?}"
    );
    assert!(
        codes
            .iter()
            .any(|code| texts.iter().any(|text| text.contains(&**code)))
    );
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);
    app.stop().await;
}
