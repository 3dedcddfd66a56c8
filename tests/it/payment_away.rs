//! A payment provider out of order: guests are told so before they wait for a prompt, in each language, with what they can do
//! instead, and the room is held as long as it was.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use reserveflow::api::keys::{Key, hash};
use reserveflow::booking::reservation::Status;
use reserveflow::db::api_keys::insert_key;
use reserveflow::db::reservations::Reservation;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{request, whole};
use crate::payments::Till;
use crate::support::app::session_id;
use crate::support::daraja::Fake;
use crate::support::eventually;

/// How each language begins to say that nobody can be prompted now, and what it calls the ways that are left.
const AWAY: [(&str, &str, [&str; 3]); 8] = [
    (
        "en",
        "phone payment is down. No money was taken.",
        ["Pay at lodge", "Pay by Paybill", "Pay later"],
    ),
    (
        "sw",
        "kulipa kwa simu kumekwama. Hakuna pesa iliyotoka.",
        ["Lipa ukifika", "Lipa kwa Paybill", "Lipa baadaye"],
    ),
    (
        "fr",
        "paiement par téléphone en panne. Aucun argent pris.",
        ["Payer au lodge", "Payer par Paybill", "Payer plus tard"],
    ),
    (
        "ha",
        "biya ta waya ta tsaya. Ba a dauki kudi ba.",
        ["Biya a lodge", "Biya ta Paybill", "Biya daga baya"],
    ),
    (
        "lg",
        "okusasula ku ssimu kugaanye. Tetutwadde ssente.",
        ["Sasula ku lodge", "Sasula ku Paybill", "Sasula edda"],
    ),
    (
        "pcm",
        "phone payment don down. We no take money.",
        ["Pay for lodge", "Pay by Paybill", "Pay later"],
    ),
    (
        "rw",
        "telefone ntiyishyura ubu. Nta faranga ryafashwe.",
        ["Ishyura uhageze", "Ishyura Paybill", "Ishyura nyuma"],
    ),
    (
        "yo",
        "sisan lori foonu ko sise. A ko gba owo.",
        ["San ni lodge", "San si Paybill", "San nigba miran"],
    ),
];

async fn degraded(till: &Till) -> Value {
    let url = format!("{}/health/ready", till.app.private);
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200, "calls are taken all the same");
    let mut body: Value = response.json().await.unwrap();
    body["degraded"].take()
}

/// A lodge that wants money first and takes who pays on arrival.
async fn open() -> (Till, Fake) {
    let (till, fake) = Till::open().await;
    let client = till.app.pool.get().await.unwrap();
    let terms = "update property set pay_at_lodge_too = true, by_hand_minutes = 120, units = 12 where property_id = $1";
    client.execute(terms, &[&till.property]).await.unwrap();
    let rooms = "update property_availability set available_units = 12 where property_id = $1";
    client.execute(rooms, &[&till.property]).await.unwrap();
    drop(client);
    (till, fake)
}

/// Daraja goes out of order; a guest's prompt finds that out, again and again.
async fn go_away(till: &Till, fake: &Fake) -> Reservation {
    fake.says(|script| script.is_down = true);
    let unlucky = till.hold(99).await;
    till.ask(&unlucky).await;
    eventually("that it is noticed", async || {
        till.pass(&unlucky, "status = 'due'").await;
        (degraded(till).await == json!(["daraja"])).then_some(())
    })
    .await;
    unlucky
}

async fn ways(till: &Till, held: &Reservation) -> String {
    let caller = held.msisdn.as_str();
    till.app.dialogue(&session_id(), caller, &["3", "1"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_can_be_prompted_each_guest_reads_what_can_be_done_instead() {
    let (till, fake) = open().await;
    let mut guests = Vec::new();
    for (number, (language, ..)) in (1..).zip(AWAY) {
        let held = till.hold(number).await;
        let client = till.app.pool.get().await.unwrap();
        let speaks = "insert into guest (msisdn, language) values ($1, $2)
                      on conflict (msisdn) do update set language = excluded.language";
        client
            .execute(speaks, &[&held.msisdn.as_str(), &language])
            .await
            .unwrap();
        guests.push(held);
    }
    go_away(&till, &fake).await;
    let attempts = till.app.count("select count(*) from payment_attempt").await;
    for (held, (language, words, labels)) in guests.iter().zip(AWAY) {
        let until = till.hold_end(held).await;
        let screen = ways(&till, held).await;
        let begins = format!("CON {}: {words}", held.code);
        assert!(screen.starts_with(&begins), "{language}: {screen}");
        let minutes = (until - Utc::now()).num_minutes();
        let minute = |left: i64| {
            screen.contains(&format!(" {left} min")) || screen.contains(&format!(" {left}."))
        };
        assert!(
            minute(minutes) || minute(minutes + 1),
            "{language}: {screen}"
        );
        for (key, label) in (1..).zip(labels) {
            assert!(
                screen.contains(&format!("\n{key} {label}")),
                "{language}: {screen}"
            );
        }
        // Later: nothing has happened, nor is it held longer.
        let later = till
            .app
            .dialogue(&session_id(), held.msisdn.as_str(), &["3", "1", "3"])
            .await;
        assert!(
            later.starts_with("END ") && later.contains(&held.code.to_string()),
            "{later}"
        );
        assert_eq!(till.status(held).await, Status::Held);
        assert_eq!(till.hold_end(held).await, until);
    }
    assert_eq!(
        till.app.count("select count(*) from payment_attempt").await,
        attempts
    );
    assert_eq!(fake.pushes(), 0);

    // At the pay bill, and on arrival.
    let by_hand = &guests[0];
    let account = by_hand.code.digits();
    let told = format!("Pay KES 9,000 to Paybill 174379, Acc {account}. Room held 120 min");
    let short = till.hold_end(by_hand).await;
    let mut ends = Vec::new();
    for _ in 0..2 {
        let screen = till
            .app
            .dialogue(&session_id(), by_hand.msisdn.as_str(), &["3", "1", "2"])
            .await;
        assert!(screen.starts_with("END "), "{screen}");
        assert!(
            screen.contains(&told) || screen.contains(&told.replace("120", "119")),
            "{screen}"
        );
        ends.push(till.hold_end(by_hand).await);
    }
    assert_eq!(ends[0] - short, TimeDelta::minutes(110));
    assert_eq!(ends[0], ends[1], "asking again gains nothing");
    let arrives = &guests[5];
    till.app
        .dialogue(&session_id(), arrives.msisdn.as_str(), &["3", "1", "1"])
        .await;
    assert_eq!(till.status(arrives).await, Status::Confirmed);
    let money = fake.pays("HAND1", account, "9000");
    till.post(&till.url("confirmation"), &money).await;
    fake.says(|script| script.is_down = false);
    eventually("its return", async || {
        (degraded(&till).await == json!([])).then_some(())
    })
    .await;
    let client = till.app.pool.get().await.unwrap();
    let again = "update payment_claim set due_at = now() where status = 'open'";
    client.execute(again, &[]).await.unwrap();
    drop(client);
    till.until(by_hand, Status::Confirmed).await;
    let screen = ways(&till, &guests[1]).await;
    assert!(screen.contains("\n1 Lipa yote sasa KES 9,000"), "{screen}");
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_chose_a_prompt_as_it_went_away_is_told_and_probes_find_it_back() {
    let (till, fake) = open().await;
    let held = till.hold(1).await;
    let (session, caller) = (session_id(), held.msisdn.as_str());
    let screen = till.app.dialogue(&session, caller, &["3", "1"]).await;
    assert!(screen.contains("\n1 Pay all now KES 9,000"), "{screen}");
    let unlucky = go_away(&till, &fake).await;
    let screen = till.app.call(&session, caller, "3*1*1").await;
    assert!(
        screen.starts_with(&format!("CON {}: phone payment is down", held.code)),
        "{screen}"
    );
    // The same again is the same, and the key that was pressed is none of the new screen's.
    assert_eq!(till.app.call(&session, caller, "3*1*1").await, screen);
    assert_eq!(till.status(&held).await, Status::Held);

    // Who had asked before is told when it is too late for a prompt, and what became of the money.
    let client = till.app.pool.get().await.unwrap();
    let old =
        "update payment_attempt set created_at = created_at - interval '4 minutes', due_at = now()";
    client.execute(old, &[]).await.unwrap();
    drop(client);
    till.until_attempt(&unlucky, "failed").await;
    let told = "select count(*) from outbox where kind = 'pay_failed' and text like '%No money was taken%'";
    assert_eq!(till.app.count(told).await, 1);
    assert_eq!(fake.pushes(), 0);

    fake.says(|script| {
        assert_eq!(script.asked, 0, "nothing is served while it is down");
        script.is_down = false;
    });
    eventually("its return", async || {
        (degraded(&till).await == json!([])).then_some(())
    })
    .await;
    fake.says(|script| assert!(script.asked >= 3, "some good answers in a row"));
    let screen = till
        .app
        .dialogue(&session_id(), caller, &["3", "1", "1"])
        .await;
    assert!(screen.starts_with("END Check your phone"), "{screen}");
    till.pass(&held, "status = 'due'").await;
    till.until_attempt(&held, "pending").await;
    till.pass(&held, "status = 'pending'").await;
    till.until(&held, Status::Confirmed).await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_told_too_and_given_the_pay_bill_instead_of_a_wait() {
    let (till, fake) = open().await;
    let client = till.app.pool.get().await.unwrap();
    insert_key(&client, &Key::demo(), &hash("demo"), None)
        .await
        .unwrap();
    drop(client);
    let held = till.hold(1).await;
    go_away(&till, &fake).await;
    let pay = json!({
        "id": Uuid::new_v4(), "type": "PAY", "at": Utc::now(),
        "reservation": {"code": held.code.digits(), "msisdn": held.msisdn.as_str()},
    });
    let sent = request(&till.app, Method::POST, "/operations").json(&json!({"operations": [pay]}));
    let (data, _) = whole(sent.send().await.unwrap()).await;
    let answer = &data["operations"][0];
    let problem = &answer["problem"];
    assert_eq!(answer["status"], 409, "{answer}");
    assert_eq!(problem["type"], "urn:reserveflow:problem:provider_away");
    assert_eq!(problem["paybill"], "174379");
    assert_eq!(problem["account"], held.code.digits());
    assert_eq!(problem["ways_to_pay"]["at_lodge"], true);
    let until = till.hold_end(&held).await;
    let told = problem["reservation"]["hold_expires_at"].as_str().unwrap();
    assert_eq!(told.parse::<DateTime<Utc>>().unwrap(), until);
    assert_eq!(fake.pushes(), 0);
    till.close().await;
}
