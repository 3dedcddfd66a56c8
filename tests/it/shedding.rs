//! More than is taken on: who is turned away first, and what he hears.

use reserveflow::ussd::{Call, Said};

use crate::support::app::{CONFIG, TestApp, form, msisdn, noon, session_id};
use crate::support::background;
use crate::support::postgres::sample_database;
use crate::support::stores::stores;

const BUSY: &str = "END Many people are calling now. Nothing was booked and no money was taken.";
/// Calls worked on at once over which no dialogue begins, and over which no call is taken.
const NEW_AT_ONCE_MAX: usize = 512;
const CALLS_AT_ONCE_MAX: usize = 2_048;

/// With these limits.
fn start(limits: &str) -> TestApp {
    let usual = "same_key_ms: 0 }";
    assert!(CONFIG.contains(usual));
    let config = CONFIG.replace(usual, &format!("same_key_ms: 0, {limits} }}"));
    let config = format!("{config}  nalo: {{ tokens: [demo] }}\n");
    let redis = stores().redis.clone();
    background(async move {
        let database = sample_database().await;
        TestApp::configured(noon(), &config, &database, &redis).await
    })
}

/// A call of a dialogue under way, as the service counts it.
fn under_way() -> Call {
    Call {
        msisdn: msisdn("+254711000001"),
        session: session_id(),
        service_code: "*384*7#".to_owned(),
        operator: None,
        said: Said::Transcript("1".to_owned()),
        echo: Vec::new(),
    }
}

#[tokio::test]
async fn while_many_calls_are_worked_on_dialogues_go_on_and_none_begins() {
    let app = start("calls_per_second: 0");
    let guest = "+254711000281";
    let session = session_id();
    app.call(&session, guest, "").await;
    // Each stands for a call that takes its time.
    let call = under_way();
    let admit = || app.app.limits.admit("africastalking", &call).unwrap();
    let mut held: Vec<_> = (0..NEW_AT_ONCE_MAX).map(|_| admit()).collect();
    let screen = app.call(&session_id(), "+254711000282", "").await;
    assert!(screen.starts_with(BUSY), "{screen}");
    let mut screen = String::new();
    let answers = ["1", "Nakuru", "2", "1", "2", "1", "Amina", "1"];
    for count in 1..=answers.len() {
        screen = app.call(&session, guest, &answers[..count].join("*")).await;
    }
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    held.extend((NEW_AT_ONCE_MAX..CALLS_AT_ONCE_MAX).map(|_| admit()));
    let other = session_id();
    let screen = app.call(&other, "+254711000283", "1").await;
    assert!(screen.starts_with(BUSY), "{screen}");
    drop(held);
    let screen = app.call(&session_id(), "+254711000282", "").await;
    assert!(screen.starts_with("CON "), "{screen}");
    app.stop().await;
}

#[tokio::test]
async fn a_thousand_numbers_in_a_row_begin_so_many_dialogues_and_others_are_not_kept_from_it() {
    let app = start("block_dialogues_per_minute: 3");
    let mut sessions = Vec::new();
    for number in 0..3 {
        let (session, guest) = (session_id(), format!("+25471100029{number}"));
        let screen = app.call(&session, &guest, "").await;
        assert!(screen.starts_with("CON "), "{screen}");
        sessions.push((session, guest));
    }
    let screen = app.call(&session_id(), "+254711000999", "").await;
    assert!(screen.starts_with(BUSY), "{screen}");
    let screen = app.call(&session_id(), "+254711001999", "").await;
    assert!(screen.starts_with("CON "), "{screen}");
    for (session, guest) in &sessions {
        let screen = app.call(session, guest, "1").await;
        assert!(screen.starts_with("CON Where"), "{screen}");
    }
    app.stop().await;
}

#[tokio::test]
async fn one_aggregator_may_call_so_often_and_another_is_not_kept_from_it() {
    let app = start("aggregator_calls_per_second: 1");
    // More in a row than a second could bring.
    let mut busy = 0;
    for number in 0..20 {
        let guest = format!("+25471100{number:04}");
        let screen = app.call(&session_id(), &guest, "").await;
        busy += usize::from(screen.starts_with(BUSY));
        assert!(
            screen.starts_with(BUSY) || screen.starts_with("CON "),
            "{screen}"
        );
    }
    assert!(busy > 0);
    let body = r#"{"USERID":"GEN","MSISDN":"233200000001","USERDATA":"*384*7#","MSGTYPE":true,"SESSIONID":"16891574871233999","NETWORK":"MTN"}"#;
    let url = format!("{}/ussd/nalo/demo", app.public);
    let request = app
        .http
        .post(url)
        .header("content-type", "application/json");
    let answer = request
        .body(body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(answer.contains("ReserveFlow"), "{answer}");
    let metrics = format!("{}/metrics", app.private);
    let metrics = app.http.get(metrics).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("limit=\"aggregator\""));
    // Reports of ends are no calls, and are kept whatever calls do.
    let url = format!("{}/ussd/africastalking/demo/events", app.public);
    let mut end = form("ATUid_1", "+254711000001", "");
    end.retain(|(name, _)| *name != "text");
    end.extend([("status", "Incomplete"), ("hopsCount", "1")]);
    for _ in 0..5 {
        assert_eq!(app.post(&url, &end).await.status(), 200);
    }
    app.stop().await;
}
