//! The service dies, or its connection does, between the commit in Postgres and the reply: one reservation all the same.

use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use nix::sys::signal::Signal;
use reserveflow::db::pool::{PoolSettings, pool};
use tempfile::TempDir;

use crate::support::app::{CONFIG, TestApp, form, noon, session_id};
use crate::support::binary::{Program, Served};
use crate::support::eventually;
use crate::support::postgres::sample_database;
use crate::support::proxy::{Mishap, Proxy, Weather};
use crate::support::stores::stores;

const MSISDN: &str = "+254711000001";
/// Tomorrow, because the program tells the time itself and "tonight" means two things after midnight.
const TO_CONFIRM: [&str; 7] = ["1", "Nakuru", "2", "1", "1", "1", "Asha"];
const CONFIRMED: &str = "1*Nakuru*2*1*1*1*Asha*1";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_between_commit_and_reply_has_booked_once() {
    let database = sample_database().await;
    let proxy = Proxy::postgres(&database).await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let folder = TempDir::new().unwrap();
    let service = serve(&folder, &proxy.postgres_url(&database)).await;
    let session = session_id();
    let screen = service.dialogue(&session, MSISDN, &TO_CONFIRM).await;
    assert!(screen.contains("1 Yes, book"), "{screen}");

    proxy.arm(&session, Mishap::Withhold);
    let url = format!("{}/ussd/africastalking/demo", service.public);
    let unanswered = reqwest::Client::new()
        .post(url)
        .form(&form(&session, MSISDN, CONFIRMED))
        .send();
    let unanswered = tokio::spawn(unanswered);
    proxy.tripped().await;
    let code = eventually("the committed row", async || {
        codes(&tables, &session).await.pop()
    })
    .await;
    service.program.send(Signal::SIGKILL);
    assert!(!service.program.end().await.status.success());
    assert!(
        unanswered.await.unwrap().is_err(),
        "nobody could have answered"
    );

    let service = serve(&folder, &proxy.postgres_url(&database)).await;
    // The dead process holds the turn until its lease ends; who asks before that is told the truth.
    let screen = eventually("the booking", async || {
        let screen = service.call(&session, MSISDN, CONFIRMED).await;
        if screen.starts_with("END BOOKED") {
            return Some(screen);
        }
        assert!(
            screen.contains("If it is booked"),
            "{screen}\n{}",
            service.program.printed()
        );
        None
    })
    .await;
    assert!(screen.contains(&code), "{screen} is not about {code}");
    assert_eq!(codes(&tables, &session).await, [code]);
    assert_eq!(messages(&tables).await, 1);
    let again = service.call(&session, MSISDN, CONFIRMED).await;
    assert_eq!(again, screen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_the_commit_is_healed_within_the_call() {
    let database = sample_database().await;
    let proxy = Proxy::postgres(&database).await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let url = proxy.postgres_url(&database);
    let app = TestApp::on(noon(), "", &url, &stores().redis).await;
    let session = session_id();
    app.dialogue(&session, MSISDN, &TO_CONFIRM).await;
    proxy.arm(&session, Mishap::CutBeforeAnswer);
    let began = Instant::now();
    let screen = app.call(&session, MSISDN, CONFIRMED).await;
    assert!(began.elapsed() < Duration::from_millis(3500));
    proxy.tripped().await;
    let codes = codes(&tables, &session).await;
    assert_eq!(codes.len(), 1);
    assert!(
        screen.starts_with(&format!("END BOOKED {}", codes[0])),
        "{screen} is not about {codes:?}"
    );
    assert_eq!(messages(&tables).await, 1);
    app.stop().await;
}

/// The answer to a commit is lost and nobody can be asked: then nobody may say that nothing was booked, or cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_with_its_answer_leaves_no_false_word() {
    let database = sample_database().await;
    let proxy = Proxy::postgres(&database).await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let url = proxy.postgres_url(&database);
    let app = TestApp::on(noon(), "", &url, &stores().redis).await;
    let session = session_id();
    app.dialogue(&session, MSISDN, &TO_CONFIRM).await;
    proxy.arm(&session, Mishap::CutForGood);
    let screen = app.call(&session, MSISDN, CONFIRMED).await;
    assert!(screen.contains("If it is booked"), "{screen}");
    let codes_made = codes(&tables, &session).await;
    assert_eq!(codes_made.len(), 1);
    proxy.set(Weather::Fair);
    let screen = eventually("the booking", async || {
        let screen = app.call(&session, MSISDN, CONFIRMED).await;
        screen.starts_with("END BOOKED").then_some(screen)
    })
    .await;
    assert!(screen.contains(&codes_made[0]), "{screen}");
    assert_eq!(messages(&tables).await, 1);

    let session = session_id();
    let to_cancel = ["2", "1", "1", "2"];
    app.dialogue(&session, MSISDN, &to_cancel[..3]).await;
    // What the cancellation alone sends.
    proxy.arm("cancelled by the guest", Mishap::CutForGood);
    let screen = app.call(&session, MSISDN, &to_cancel.join("*")).await;
    assert!(
        screen.starts_with("END ") && !screen.contains("stays"),
        "{screen}"
    );
    assert!(codes(&tables, "%").await.is_empty(), "it is cancelled");
    proxy.set(Weather::Fair);
    app.stop().await;
}

async fn serve(folder: &TempDir, database_url: &str) -> Served {
    let config = format!(
        "{CONFIG}database: {{ url: \"${{DATABASE_URL}}\" }}\nredis: {{ url: \"{}\" }}\n",
        stores().redis
    );
    Program::serve(folder.path(), &config, &[("DATABASE_URL", database_url)]).await
}

/// Of the live reservations made in a session, as the guest reads them.
async fn codes(tables: &Pool, session: &str) -> Vec<String> {
    let client = tables.get().await.unwrap();
    let rows = client
        .query(
            "select code from reservation where turn_session like $1 || '/%' and status = 'confirmed'",
            &[&session],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let code: String = row.get(0);
            format!("{}-{}", &code[..4], &code[4..])
        })
        .collect()
}

/// How many confirmations the guest gets.
async fn messages(tables: &Pool) -> i64 {
    let client = tables.get().await.unwrap();
    let sql = "select count(*) from outbox where kind = 'confirmed' and msisdn = $1";
    client.query_one(sql, &[&MSISDN]).await.unwrap().get(0)
}
