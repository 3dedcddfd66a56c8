//! A mobile-money PIN is typed into the phone's own prompt. Who types it to us, on a screen that asks to pay or in an SMS,
//! finds it nowhere again: not on the next screen, in no store, in no log.

use std::time::Duration;

use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::db::reserve::Reserved;
use reserveflow::session::store::SessionKey;
use tempfile::TempDir;

use crate::support::app::{CONFIG, form, msisdn, session_id};
use crate::support::binary::Program;
use crate::support::eventually;
use crate::support::lodging::{Lodge, Wish, stay};
use crate::support::postgres::sample_database;
use crate::support::stores::stores;

/// Nothing else has these digits. A third wrong answer would be offered help.
const PINS: [&str; 2] = ["5839", "583926"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_typed_on_a_payment_screen_is_kept_and_logged_nowhere() {
    let database = sample_database().await;
    let folder = TempDir::new().unwrap();
    let config = format!(
        "{CONFIG}database: {{ url: \"{database}\" }}\nredis: {{ url: \"{}\" }}\npayments: {{ sandbox: true }}\n",
        stores().redis
    );
    let served = Program::serve(folder.path(), &config, &[]).await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let lodge = Lodge {
        pay: "prepay",
        ..Lodge::default()
    };
    let property = lodge.insert(&tables).await;
    // This number cancels the prompt, so that nothing is over after it.
    let Reserved::Made(held) = Wish::new(property, stay(3, 2), 9032).reserve(&tables).await else {
        panic!("not held");
    };
    let caller = held.msisdn.as_str();
    let session = session_id();
    let mut answers = vec!["3", "1"];
    let asked = served.dialogue(&session, caller, &answers).await;
    assert!(asked.contains("1 Pay all now"), "{asked}");
    for pin in PINS {
        answers.push(pin);
        let screen = served.call(&session, caller, &answers.join("*")).await;
        assert!(
            screen.starts_with("CON ") && screen.contains("1 Pay all now"),
            "{screen}"
        );
        assert!(!screen.contains("5839"), "{screen}");
        // The same call again is answered from what is kept.
        assert_eq!(
            served.call(&session, caller, &answers.join("*")).await,
            screen
        );
    }
    answers.push("1");
    let prompted = served.call(&session, caller, &answers.join("*")).await;
    assert!(prompted.starts_with("END Check your phone"), "{prompted}");
    // To a screen that has ended, and as the aggregator tells of the end.
    answers.push(PINS[1]);
    served.call(&session, caller, &answers.join("*")).await;
    let http = reqwest::Client::new();
    let text = answers.join("*");
    let mut end = form(&session, caller, &text);
    end.retain(|(name, _)| *name != "text");
    end.extend([("status", "Success"), ("input", &text)]);
    let url = format!("{}/ussd/africastalking/demo/events", served.public);
    assert_eq!(
        http.post(url).form(&end).send().await.unwrap().status(),
        200
    );
    // Dialled ahead, and by SMS.
    served
        .call(&session_id(), caller, &format!("3*1*{}", PINS[1]))
        .await;
    for pin in PINS {
        let id = session_id();
        let sms = [
            ("id", id.as_str()),
            ("from", caller),
            ("to", "22384"),
            ("text", pin),
        ];
        let url = format!("{}/sms/africastalking/demo/inbound", served.public);
        assert_eq!(
            http.post(url).form(&sms).send().await.unwrap().status(),
            200
        );
    }

    let client = tables.get().await.unwrap();
    eventually("what is kept of them", async || {
        let sql = "select (select count(*) from inbound_sms) = 2 and (select count(*) from session_end) > 0";
        let row = client.query_one(sql, &[]).await.unwrap();
        row.get::<_, bool>(0).then_some(())
    })
    .await;
    eventually("the end of the prompt", async || {
        let sql = "select count(*) from outbox where kind = 'pay_failed'";
        (client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    let tables = "select table_name from information_schema.tables
                  where table_schema = 'public' and table_type = 'BASE TABLE'
                    and table_name not in ('property_availability', 'property', 'place', 'host')";
    // Digits among bytes are shown as digits.
    client
        .batch_execute("set bytea_output = escape")
        .await
        .unwrap();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        // Between other digits it is part of an id.
        let sql = format!(
            r#"select t::text from "{table}" t where t::text ~ '(^|[^0-9a-f])5839(2|26)?([^0-9a-f]|$)'"#
        );
        let rows = client.query(&sql, &[]).await.unwrap();
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(rows.is_empty(), "{table}: {rows:?}");
    }
    for kept in in_redis(&session, caller).await {
        assert!(!kept.contains("5839"), "{kept}");
    }
    tokio::time::timeout(Duration::from_secs(20), async {
        served.program.send(nix::sys::signal::Signal::SIGTERM);
        let printed = served.program.end().await.printed;
        let shown = printed.lines().filter(|line| {
            line.contains("583926") || line.contains("\"5839\"") || line.contains("*5839")
        });
        assert_eq!(shown.count(), 0, "{printed}");
    })
    .await
    .unwrap();
}

/// Everything that Redis keeps of this session.
async fn in_redis(session: &str, caller: &str) -> Vec<String> {
    let client = redis::Client::open(stores().redis.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let key = SessionKey::new("africastalking", session, Some(&msisdn(caller)));
    let mut named = redis::cmd("KEYS");
    named.arg(format!("{}*", key.as_str()));
    let keys: Vec<String> = named.query_async(&mut redis).await.unwrap();
    assert!(!keys.is_empty());
    let mut kept = redis::cmd("MGET");
    kept.arg(&keys);
    let kept: Vec<Vec<u8>> = kept.query_async(&mut redis).await.unwrap();
    let kept = kept
        .iter()
        .map(|kept| String::from_utf8_lossy(kept).into_owned());
    kept.chain(keys).collect()
}
