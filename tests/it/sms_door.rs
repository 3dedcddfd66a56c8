//! Booking by SMS, over HTTP as providers post: once is once, whoever delivers it how often and to which instance.

use futures_util::future::join_all;
use reserveflow::jobs;
use serde_json::Value;

use crate::support::app::{TestApp, noon, session_id};
use crate::support::postgres::sample_database;
use crate::support::stores::stores;
use crate::support::{background, eventually};

const MORE: &str = "  kannel: { tokens: [demo] }\n";
const GUEST: &str = "+254711000401";
const MADE: &str = "select count(*) from reservation";

/// So many instances on one database.
fn start(instances: usize) -> Vec<TestApp> {
    stores();
    background(async move {
        let database = sample_database().await;
        let mut apps = Vec::new();
        for _ in 0..instances {
            apps.push(TestApp::on(noon(), MORE, &database, &stores().redis).await);
        }
        apps
    })
}

#[derive(Clone, Copy)]
enum Provider {
    AfricasTalking,
    Kannel,
}

/// What a provider posts when `from` writes `text`; the answer must be success.
async fn deliver(app: &TestApp, provider: Provider, id: &str, from: &str, text: &str) {
    let form = [("id", id), ("from", from), ("to", "22384"), ("text", text)];
    let request = match provider {
        Provider::AfricasTalking => app
            .http
            .post(format!("{}/sms/africastalking/demo/inbound", app.public))
            .form(&form),
        Provider::Kannel => app
            .http
            .get(format!("{}/sms/kannel/demo/inbound", app.public))
            .query(&form)
            .query(&[("coding", "0")]),
    };
    let status = request.send().await.unwrap().status();
    assert_eq!(status, 200, "{text}");
}

async fn text(app: &TestApp, from: &str, text: &str) {
    deliver(app, Provider::AfricasTalking, &session_id(), from, text).await;
}

/// Every text written to a number, oldest first.
async fn written(app: &TestApp, to: &str) -> Vec<String> {
    let client = app.pool.get().await.unwrap();
    let sql = "select text from outbox where msisdn = $1 order by outbox_id";
    let rows = client.query(sql, &[&to]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn last(app: &TestApp, to: &str) -> String {
    written(app, to).await.pop().unwrap_or_default()
}

async fn to_confirmation(app: &TestApp, guest: &str) {
    text(app, guest, "BOOK NAKURU FRI 2").await;
    text(app, guest, "1").await;
    text(app, guest, "Amina").await;
    let asked = last(app, guest).await;
    assert!(asked.contains("1 Yes, book"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_delivered_three_times_books_once_through_any_provider() {
    let [one, two] = &start(2)[..] else {
        unreachable!()
    };
    for (provider, guest) in [
        (Provider::AfricasTalking, "+254711000411"),
        (Provider::Kannel, "+254711000412"),
    ] {
        for words in ["BOOK NAKURU FRI 2", "1", "Amina", "1"] {
            let id = session_id();
            deliver(one, provider, &id, guest, words).await;
            deliver(two, provider, &id, guest, words).await;
            deliver(one, provider, &id, guest, words).await;
        }
        let written = written(one, guest).await;
        // The offer, the name, the question, and the confirmation instead of a last screen.
        assert_eq!(written.len(), 4, "{written:?}");
        assert!(written[3].starts_with("BOOKED "), "{written:?}");
        let sql = format!("{MADE} where msisdn = '{guest}'");
        assert_eq!(one.count(&sql).await, 1);
    }
    let doors = "select count(distinct turn_door) from reservation where turn_door in ('sms:africastalking', 'sms:kannel')";
    assert_eq!(one.count(doors).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_confirmation_on_two_instances_at_once_books_once_and_so_do_two_of_them() {
    let [one, two] = &start(2)[..] else {
        unreachable!()
    };
    to_confirmation(one, GUEST).await;
    let id = session_id();
    let again = [one, two, one, two, one, two]
        .map(|app| deliver(app, Provider::AfricasTalking, &id, GUEST, "1"));
    join_all(again).await;
    assert_eq!(one.count(MADE).await, 1);

    // A thumb that slips sends two messages.
    let other = "+254711000402";
    to_confirmation(two, other).await;
    join_all([text(one, other, "1"), text(two, other, "1")]).await;
    assert_eq!(one.count(MADE).await, 2);
    let written = written(one, other).await;
    let booked = written.iter().filter(|text| text.starts_with("BOOKED"));
    assert_eq!(booked.count(), 1, "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_lost_after_its_effect_finds_the_booking_when_it_comes_again() {
    let [app] = &start(1)[..] else { unreachable!() };
    to_confirmation(app, GUEST).await;
    let client = app.pool.get().await.unwrap();
    let dialogue: Value = client
        .query_one(
            "select dialogue from sms_session where msisdn = $1",
            &[&GUEST],
        )
        .await
        .unwrap()
        .get(0);
    let id = session_id();
    deliver(app, Provider::AfricasTalking, &id, GUEST, "1").await;
    // As if the process had died between the reservation and the note of the message.
    let forget = "delete from inbound_sms where provider_id = $1";
    client.execute(forget, &[&id]).await.unwrap();
    let before = "update sms_session set dialogue = $2, lease_until = now() + interval '1 second' where msisdn = $1";
    client.execute(before, &[&GUEST, &dialogue]).await.unwrap();
    deliver(app, Provider::AfricasTalking, &id, GUEST, "1").await;
    assert_eq!(app.count(MADE).await, 1);
    let written = written(app, GUEST).await;
    let booked = written.iter().filter(|text| text.starts_with("BOOKED"));
    assert_eq!(booked.count(), 1, "{written:?}");
    let over = "select count(*) from sms_session where dialogue is null and lease_until is null";
    assert_eq!(app.count(over).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_drops_what_nobody_needs_and_never_the_confirmation() {
    let [app] = &start(1)[..] else { unreachable!() };
    to_confirmation(app, GUEST).await;
    text(app, GUEST, "1").await;
    let client = app.pool.get().await.unwrap();
    let waiting = "insert into outbox (kind, msisdn, text, due_at, expires_at)
         select kind, $1, kind, now() + interval '1 hour', now() + interval '1 day'
         from unnest(array['reminder', 'confirmed']) kind";
    client.execute(waiting, &[&GUEST]).await.unwrap();
    text(app, GUEST, "stop").await;
    text(app, GUEST, "STOP").await;
    text(app, GUEST, "help").await;
    text(app, GUEST, "start").await;
    let sql = "select string_agg(kind || ' ' || status, ', ' order by kind) from outbox where due_at > now() + interval '10 minutes' and text = kind";
    let states: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(states, "confirmed pending, reminder dropped");

    let written = written(app, GUEST).await;
    let stopped = written
        .iter()
        .filter(|text| text.contains("Send START to change this"));
    assert_eq!(stopped.count(), 1, "{written:?}");
    assert!(
        written
            .iter()
            .any(|text| text.contains("You get no offers or reminders")),
        "{written:?}"
    );

    let version = app.app.menus.current().version.clone();
    let sql = "select string_agg(given::text || ' ' || channel, ', ' order by consent_id), min(text_version), max(text_version) from consent";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!(
        row.get::<_, &str>(0),
        "false sms:africastalking, false sms:africastalking, true sms:africastalking"
    );
    assert_eq!(
        (row.get(1), row.get(2)),
        (version.as_str(), version.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_asks_for_it_is_found_nowhere_once_the_stay_is_over() {
    let [app] = &start(1)[..] else { unreachable!() };
    const DIGITS: &str = "711000403";
    let guest = &format!("+254{DIGITS}");
    to_confirmation(app, guest).await;
    text(app, guest, "1").await;
    let code = last(app, guest).await;
    let code = code.split([' ', '.']).nth(1).unwrap().to_owned();
    // A dialogue that breaks off by phone, and a call back.
    app.dialogue(&session_id(), guest, &["1", "Nakuru", "1"])
        .await;
    app.dialogue(&session_id(), guest, &["5", "1"]).await;
    // No lodge takes twelve in one room: the guest waits.
    app.dialogue(&session_id(), guest, &["1", "Nakuru", "1", "1", "12", "3"])
        .await;
    eventually("what is remembered of the guest", async || {
        let pending = app.app.keeper.pending(&crate::support::app::msisdn(guest));
        (pending == Default::default()).then_some(())
    })
    .await;
    text(app, guest, "Delete").await;
    let acknowledged = last(app, guest).await;
    assert!(
        acknowledged.starts_with("Within 1 day we erase"),
        "{acknowledged}"
    );
    let settle = async || {
        eventually("every message to be sent", async || {
            let waiting = "select count(*) from outbox where status in ('pending', 'sending')";
            (app.count(waiting).await == 0).then_some(())
        })
        .await;
    };
    settle().await;
    jobs::erasures::sweep(&app.pool).await.unwrap();
    assert_eq!(
        app.count("select count(*) from erasure where done_at is null")
            .await,
        1
    );
    assert!(
        holders(app, DIGITS)
            .await
            .contains(&"guest.msisdn".to_owned())
    );

    // A day later the stay is still to come: the host needs to know who comes.
    let client = app.pool.get().await.unwrap();
    let due = "update erasure set due_at = now()";
    client.execute(due, &[]).await.unwrap();
    jobs::erasures::sweep(&app.pool).await.unwrap();
    let live =
        "select count(*) from reservation where guest_name = 'Amina' and status = 'confirmed'";
    assert_eq!(app.count(live).await, 1);
    for gone in ["guest", "draft", "sms_session", "call_back", "wish"] {
        assert_eq!(
            app.count(&format!("select count(*) from {gone}")).await,
            0,
            "{gone}"
        );
    }
    assert_eq!(
        app.count("select count(*) from inbound_sms where text <> ''")
            .await,
        0
    );

    // It is given up, and with that it is over.
    text(app, guest, &format!("CANCEL {code}")).await;
    settle().await;
    client.execute(due, &[]).await.unwrap();
    jobs::erasures::sweep(&app.pool).await.unwrap();
    assert_eq!(holders(app, DIGITS).await, ["erasure.msisdn"]);
    assert_eq!(holders(app, "Amina").await, Vec::<String>::new());
    let kept = "select count(*) from reservation where msisdn like '+999%' and total > 0 and status = 'cancelled'";
    assert_eq!(app.count(kept).await, 1);
    let done = "select count(*) from erasure where done_at is not null";
    assert_eq!(app.count(done).await, 1);
    // The wish itself goes when no backup is older.
    let long_ago = "update erasure set done_at = now() - interval '36 days'";
    client.execute(long_ago, &[]).await.unwrap();
    jobs::erasures::sweep(&app.pool).await.unwrap();
    assert_eq!(holders(app, DIGITS).await, Vec::<String>::new());
}

/// Every `table.column` of the database that has this text somewhere.
async fn holders(app: &TestApp, text: &str) -> Vec<String> {
    let client = app.pool.get().await.unwrap();
    let sql = "select c.table_name, c.column_name from information_schema.columns c
         join information_schema.tables t using (table_schema, table_name)
         where c.table_schema = 'public' and t.table_type = 'BASE TABLE'
           and c.data_type in ('text', 'json', 'jsonb', 'ARRAY') order by 1, 2";
    let mut holders = Vec::new();
    for column in client.query(sql, &[]).await.unwrap() {
        let (table, column): (&str, &str) = (column.get(0), column.get(1));
        let sql = format!(
            "select exists (select from {table} where {column}::text like '%' || $1 || '%')"
        );
        if client.query_one(&sql, &[&text]).await.unwrap().get(0) {
            holders.push(format!("{table}.{column}"));
        }
    }
    holders
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_no_sms_and_nobody_gets_more_than_a_day_can_need() {
    let [app] = &start(1)[..] else { unreachable!() };
    let abroad = "+15550001234";
    text(app, abroad, "BOOK NAKURU FRI 2").await;
    text(app, abroad, "HELP").await;
    assert_eq!(written(app, abroad).await, Vec::<String>::new());
    for _ in 0..45 {
        text(app, GUEST, "HELP").await;
    }
    assert_eq!(written(app, GUEST).await.len(), 40);
    // What is asked for is done all the same.
    text(app, GUEST, "STOP").await;
    assert_eq!(
        app.count("select count(*) from guest where opted_out_at is not null")
            .await,
        1
    );
    assert_eq!(written(app, GUEST).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_chosen_by_sms_is_spoken_in_the_dialogue_under_way_and_by_phone() {
    let [app] = &start(1)[..] else { unreachable!() };
    text(app, GUEST, "BOOK NAKURU").await;
    text(app, GUEST, "LANG SW").await;
    text(app, GUEST, "kesho").await;
    let asked = last(app, GUEST).await;
    assert!(asked.contains("Siku ngapi?"), "{asked}");
    let screen = app.call(&session_id(), GUEST, "").await;
    assert!(screen.contains("1 Weka chumba"), "{screen}");
}
