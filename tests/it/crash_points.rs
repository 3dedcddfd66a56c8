//! The process ends at every named step of a booking in turn; after the restart and the aggregator's repetition the guest
//! has one room, each recipient one message, and the call one text.

use chrono::{Timelike, Utc};
use futures_util::StreamExt;
use futures_util::stream;
use reserveflow::crash_point::STEPS;
use reserveflow::db::pool::{PoolSettings, pool};
use tempfile::TempDir;

use crate::support::app::{CONFIG, form, session_id};
use crate::support::binary::{Program, Served, says_later};
use crate::support::eventually;
use crate::support::postgres::sample_database;
use crate::support::stores::stores;

/// Tomorrow, because the program tells the time itself.
const ANSWERS: [&str; 8] = ["1", "Nakuru", "2", "1", "1", "1", "Asha", "1"];
/// At the first of the three guests, on the way of a dialogue, and later.
const PASSES: [u32; 3] = [1, 2, 3];
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_leaves_one_booking_its_messages_and_one_text() {
    let crashes = STEPS
        .iter()
        .flat_map(|(step, passes)| PASSES.map(|pass| format!("{step}:{}", pass * passes)));
    stream::iter(crashes.enumerate())
        .for_each_concurrent(AT_ONCE, |(number, crash)| survive(number, crash))
        .await;
}

async fn survive(number: usize, crash: String) {
    let database = sample_database().await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let client = tables.get().await.unwrap();
    // No host is sent what is sent in the evening: it is noon for all of them.
    let east = 12 - i64::from(Utc::now().hour());
    let noon = format!("update property set time_zone = 'Etc/GMT{:+}'", -east);
    client.execute(&noon, &[]).await.unwrap();
    let folder = TempDir::new().unwrap();
    let mut service = serve(&folder, &database, Some(&crash)).await;
    let (mut crashes, mut texts) = (0, Vec::new());
    for guest in 0..3 {
        let (session, msisdn) = (session_id(), format!("+2547130{number:02}00{guest}"));
        let mut last = String::new();
        for count in 0..=ANSWERS.len() {
            let text = ANSWERS[..count].join("*");
            last = eventually(&format!("{crash}: an answer"), async || {
                call(&service, &session, &msisdn, &text).await
            })
            .await
            .unwrap_or_default();
            if last.is_empty() {
                crashes += 1;
                assert!(!service.program.end().await.status.success(), "{crash}");
                service = serve(&folder, &database, None).await;
                last = eventually(&format!("{crash}: the repeated call"), async || {
                    call(&service, &session, &msisdn, &text).await
                })
                .await
                .unwrap();
            }
        }
        assert!(last.starts_with("END BOOKED "), "{crash}: {last}");
        texts.push((session, msisdn, last));
    }
    // The outbox may get there after the last call.
    if crashes == 0 {
        assert!(crash.starts_with("outbox:"), "{crash} was not passed");
        assert!(!service.program.end().await.status.success(), "{crash}");
        crashes += 1;
        service = serve(&folder, &database, None).await;
    }
    assert_eq!(crashes, 1, "{crash}");
    for (session, msisdn, text) in &texts {
        let again = call(&service, session, msisdn, &ANSWERS.join("*")).await;
        assert_eq!(again, Some(Some(text.clone())), "{crash}");
    }
    let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
    assert_eq!(
        count("select count(*) from reservation").await,
        3,
        "{crash}"
    );
    assert_eq!(count("select count(*) from outbox").await, 2 * 3, "{crash}");
    let recipients = "select count(distinct (reservation_id, kind, msisdn)) from outbox";
    assert_eq!(count(recipients).await, 2 * 3, "{crash}");
    let codes = "select count(distinct code) from reservation";
    assert_eq!(count(codes).await, 3, "{crash}");
}

/// `None`: ask again. `Some(None)`: the process has ended.
async fn call(service: &Served, session: &str, msisdn: &str, text: &str) -> Option<Option<String>> {
    let url = format!("{}/ussd/africastalking/demo", service.public);
    let sent = reqwest::Client::new()
        .post(url)
        .form(&form(session, msisdn, text))
        .send();
    let Ok(response) = sent.await else {
        return Some(None);
    };
    let screen = response.text().await.ok()?;
    (!says_later(&screen)).then_some(Some(screen))
}

async fn serve(folder: &TempDir, database: &str, crash: Option<&str>) -> Served {
    let config = format!(
        "{CONFIG}database: {{ url: \"{database}\" }}\nredis: {{ url: \"{}\" }}\n",
        stores().redis
    );
    let armed = crash.map(|crash| ("RESERVEFLOW_CRASH_AT", crash));
    Program::serve(folder.path(), &config, armed.as_slice()).await
}
