//! Money by prompt and by hand, against a Daraja that checks what it gets and does what providers do: late, twice, never,
//! before its own answer, and forged. Time passes by moving the rows.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use reserveflow::app::Clock;
use reserveflow::booking::money::{Currency, Money};
use reserveflow::booking::reservation::Status;
use reserveflow::breaker::Breaker;
use reserveflow::db::effect::Cause;
use reserveflow::db::payments::attempts::{Ask, Asked, Part, ask};
use reserveflow::db::payments::ledger::list_faults;
use reserveflow::db::payments::unallocated::{self, Given};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::db::reservations::{Cancel, Cancelled, Reservation, cancel};
use reserveflow::db::reserve::Reserved;
use reserveflow::payment;
use reserveflow::payment::exchange::Line;
use reserveflow::sms::http_builder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, session_id};
use crate::support::daraja::{Fake, by_hand, failure, success};
use crate::support::double::PORTAL_KEY;
use crate::support::eventually;
use crate::support::lodging::{GUEST, Lodge, Wish, stay, turn};

const PAYS: Cause<'static> = Cause {
    who: "guest",
    channel: "ussd",
    why: "pays",
};

/// Lines of configuration: an account at the Daraja of this address.
pub fn config(url: &str) -> String {
    format!(
            "  daraja: {{ tokens: [till] }}
public_url: http://PUBLIC
payments:
  providers:
    daraja: {{ consumer_key: key, consumer_secret: secret, short_code: \"174379\", passkey: pass, url: \"{url}\",
               initiator: api, initiator_password: hush, public_key: \"{}\" }}
",
            *PORTAL_KEY
        )
}

/// A service with an account at a Daraja, and one lodge that wants money first.
pub struct Till {
    pub app: TestApp,
    pub property: Uuid,
}

impl Till {
    /// At a Daraja of this address.
    pub async fn at(url: &str) -> Till {
        let more = config(url);
        let app = TestApp::start_at(Clock::System, &more);
        let lodge = Lodge {
            units: 9,
            pay: "prepay",
            ..Lodge::default()
        };
        let property = lodge.insert(&app.pool).await;
        Till { app, property }
    }

    pub async fn open() -> (Till, Fake) {
        let fake = Fake::start();
        let till = Till::at(&fake.url).await;
        fake.says(|script| script.tells = Some(till.app.public.clone()));
        (till, fake)
    }

    pub async fn hold(&self, number: u32) -> Reservation {
        match Wish::new(self.property, stay(3, 2), number)
            .reserve(&self.app.pool)
            .await
        {
            Reserved::Made(reservation) => reservation,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for money and lets the wait before the prompt pass.
    pub async fn ask(&self, reservation: &Reservation) -> Asked {
        let client = self.app.pool.get().await.unwrap();
        let asking = Ask {
            reservation_id: reservation.id,
            part: Part::All,
            provider: "daraja",
            msisdn: &reservation.msisdn,
            minor_per_unit: 100,
            turn: &turn(&Uuid::new_v4().to_string()),
            cause: &PAYS,
        };
        let asked = ask(&client, &asking).await.unwrap();
        self.pass(reservation, "status = 'due'").await;
        asked
    }

    /// Lets the wait of an attempt pass.
    pub async fn pass(&self, reservation: &Reservation, which: &str) {
        let client = self.app.pool.get().await.unwrap();
        let sql = format!(
            "update payment_attempt set due_at = now() where reservation_id = $1 and {which}"
        );
        client.execute(&sql, &[&reservation.id]).await.unwrap();
    }

    /// Lets time pass until the attempt has this state.
    pub async fn until_attempt(&self, reservation: &Reservation, wanted: &str) {
        eventually("the attempt", async || {
            let client = self.app.pool.get().await.unwrap();
            let sql = "select status from payment_attempt where reservation_id = $1 order by created_at desc limit 1";
            let status: String = client.query_one(sql, &[&reservation.id]).await.unwrap().get(0);
            (status == wanted).then_some(())
        })
        .await;
    }

    pub async fn until(&self, reservation: &Reservation, wanted: Status) {
        eventually("the reservation", async || {
            (self.status(reservation).await == wanted).then_some(())
        })
        .await;
    }

    pub async fn status(&self, reservation: &Reservation) -> Status {
        let client = self.app.pool.get().await.unwrap();
        let sql = "select status from reservation where reservation_id = $1";
        let row = client.query_one(sql, &[&reservation.id]).await.unwrap();
        Status::find(row.get(0)).unwrap()
    }

    /// When the room is given back, unless it is paid.
    pub async fn hold_end(&self, reservation: &Reservation) -> DateTime<Utc> {
        let client = self.app.pool.get().await.unwrap();
        let sql = "select hold_expires_at from reservation where reservation_id = $1";
        let row = client.query_one(sql, &[&reservation.id]).await.unwrap();
        row.get(0)
    }

    /// The result's URL of the last push, at the address where the service listens.
    pub fn result_url(&self, fake: &Fake) -> String {
        let (_, push) = fake.pushed();
        let url = push["CallBackURL"].as_str().unwrap();
        url.replace("http://PUBLIC", &self.app.public)
    }

    pub async fn post(&self, url: &str, body: &Value) -> (u16, String) {
        let response = self.app.http.post(url).json(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The status of the answer.
    pub async fn post_to(&self, url: String, body: &Value) -> u16 {
        self.post(&url, body).await.0
    }

    pub fn url(&self, door: &str) -> String {
        format!("{}/pay/daraja/till/{door}", self.app.public)
    }

    pub async fn outcomes(&self) -> HashMap<String, i64> {
        let client = self.app.pool.get().await.unwrap();
        let sql = "select coalesce(outcome, 'waiting') as outcome, count(*) as rows from payment_callback group by 1";
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter()
            .map(|row| (row.get("outcome"), row.get("rows")))
            .collect()
    }

    pub async fn until_applied(&self, callbacks: i64) {
        eventually("the callbacks", async || {
            let sql = "select count(*) from payment_callback where applied_at is not null";
            (self.app.count(sql).await >= callbacks).then_some(())
        })
        .await;
    }

    pub async fn close(self) {
        let mut client = self.app.pool.get().await.unwrap();
        assert_eq!(list_faults(&mut client).await.unwrap(), []);
        drop(client);
        self.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_leaves_after_the_turn_and_its_success_is_told_twice_and_counted_once() {
    let (till, fake) = Till::open().await;
    let reservation = till.hold(1).await;
    let client = till.app.pool.get().await.unwrap();
    let asking = Ask {
        reservation_id: reservation.id,
        part: Part::All,
        provider: "daraja",
        msisdn: &reservation.msisdn,
        minor_per_unit: 100,
        turn: &turn("m9"),
        cause: &PAYS,
    };
    // The same turn again asks once.
    for _ in 0..3 {
        assert!(
            matches!(ask(&client, &asking).await.unwrap(), Asked::Asked(amount, _) if amount == reservation.total)
        );
    }
    let waits: f64 = client
        .query_one(
            "select extract(epoch from due_at - created_at)::float8 from payment_attempt",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!((2.9..3.1).contains(&waits), "{waits}");
    till.pass(&reservation, "true").await;
    till.until_attempt(&reservation, "pending").await;
    let (id, push) = fake.pushed();
    assert_eq!(push["Amount"], json!(9000));
    assert_eq!(push["AccountReference"], json!(reservation.code.digits()));
    for _ in 0..2 {
        let (status, body) = till
            .post(&till.result_url(&fake), &success(&id, &push, "NLJ7RT61SV"))
            .await;
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"ResultCode":0,"ResultDesc":"Accepted"}"#)
        );
    }
    till.until(&reservation, Status::Confirmed).await;
    // The pay bill tells of the same money.
    let twin = by_hand("NLJ7RT61SV", reservation.code.digits(), "9000.00");
    assert_eq!(till.post(&till.url("confirmation"), &twin).await.0, 200);
    till.until_applied(3).await;
    assert_eq!(till.app.count("select count(*) from payment").await, 1);
    assert_eq!(
        till.app
            .count("select count(*) from outbox where kind = 'confirmed'")
            .await,
        1
    );
    let text = till.app.pool.get().await.unwrap();
    let text: String = text
        .query_one("select text from outbox where kind = 'confirmed'", &[])
        .await
        .unwrap()
        .get(0);
    assert!(text.contains("Paid KES 9,000 (NLJ7RT61SV)"), "{text}");
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_never_comes_is_asked_for_and_unknown_is_not_failed() {
    let (till, fake) = Till::open().await;
    fake.says(|script| {
        let processed = json!({"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"});
        script.queries = vec![processed, json!({"errorCode": "500.003.02", "errorMessage": "System is busy"}), json!("1037"), json!("0")];
    });
    let reservation = till.hold(1).await;
    till.ask(&reservation).await;
    till.until_attempt(&reservation, "pending").await;
    for asked in 1..=3 {
        till.pass(&reservation, "true").await;
        eventually("the question", async || {
            let sql = "select coalesce(sum(asked), 0)::bigint from payment_attempt";
            (till.app.count(sql).await >= asked).then_some(())
        })
        .await;
        assert_eq!(till.status(&reservation).await, Status::Paying);
    }
    assert_eq!(
        till.app
            .count("select count(*) from outbox where kind = 'pay_failed'")
            .await,
        0
    );
    till.pass(&reservation, "true").await;
    till.until(&reservation, Status::Confirmed).await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_before_the_answer_to_its_push_is_matched() {
    let (till, fake) = Till::open().await;
    fake.says(|script| script.early = Some(till.app.public.clone()));
    let reservation = till.hold(1).await;
    till.ask(&reservation).await;
    till.until(&reservation, Status::Confirmed).await;
    let (id, push) = fake.pushed();
    // An answer that is never stored: only the secret in the URL tells the attempt.
    fake.says(|script| {
        script.early = None;
        script.pushes = vec![(504, json!(null))];
    });
    let lost = till.hold(2).await;
    till.ask(&lost).await;
    till.until_attempt(&lost, "pending").await;
    let secret: String = till
        .app
        .pool
        .get()
        .await
        .unwrap()
        .query_one(
            "select secret from payment_attempt where reservation_id = $1",
            &[&lost.id],
        )
        .await
        .unwrap()
        .get(0);
    let url = format!("{}/{secret}", till.url("result"));
    till.post(&url, &success(&format!("{id}2"), &push, "EARLY2"))
        .await;
    till.until(&lost, Status::Confirmed).await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_is_told_after_the_answer_keeps_a_second_payment_apart() {
    let (till, fake) = Till::open().await;
    let reservation = till.hold(1).await;
    till.ask(&reservation).await;
    till.until_attempt(&reservation, "pending").await;
    till.pass(&reservation, "status = 'pending'").await;
    till.until(&reservation, Status::Confirmed).await;
    let (id, push) = fake.pushed();
    till.post(&till.result_url(&fake), &success(&id, &push, "FIRST1"))
        .await;
    till.until_applied(1).await;
    let again = fake.pays("AGAIN1", reservation.code.digits(), "9000");
    till.post(&till.url("confirmation"), &again).await;
    till.until_applied(3).await;
    assert_eq!(till.app.count("select count(*) from payment").await, 2);
    assert_eq!(till.app.count("select count(*) from refund").await, 1);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_success_changes_nothing() {
    let (till, fake) = Till::open().await;
    fake.says(|script| {
        script.queries = vec![json!({"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"})];
    });
    let reservation = till.hold(1).await;
    till.ask(&reservation).await;
    till.until_attempt(&reservation, "pending").await;
    let (id, push) = fake.pushed();
    // A stranger without the token, without the secret, with a guessed secret; then one who has them all.
    let guess = format!("{}/{}", till.url("result"), "0".repeat(32));
    for (url, status) in [
        (till.url("result").replace("/till/", "/tall/"), 404),
        (format!("{}/not-hex!", till.url("result")), 404),
        (till.url("result"), 200),
        (guess, 200),
        (till.result_url(&fake), 200),
    ] {
        assert_eq!(
            till.post(&url, &success(&id, &push, "FORGED")).await.0,
            status,
            "{url}"
        );
    }
    for odd in [
        json!({}),
        json!([1]),
        json!({"Body": {"stkCallback": {}}}),
        success(&id, &json!({"Amount": "x"}), "F"),
    ] {
        assert_eq!(till.post(&till.result_url(&fake), &odd).await.0, 200);
    }
    till.until_applied(7).await;
    let outcomes = till.outcomes().await;
    assert_eq!(
        (
            outcomes["not_understood"],
            outcomes["no_attempt"],
            outcomes["heard"]
        ),
        (4, 1, 2),
        "{outcomes:?}"
    );
    assert_eq!(till.status(&reservation).await, Status::Paying);
    assert_eq!(till.app.count("select count(*) from payment").await, 0);
    // Money to a short code that is not ours is not ours.
    let mut strange = by_hand("S1", reservation.code.digits(), "9000");
    strange["BusinessShortCode"] = json!("999999");
    till.post(&till.url("confirmation"), &strange).await;
    till.until_applied(8).await;
    assert_eq!(till.outcomes().await["short_code"], 1);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_sentence_and_the_next_try_is_free() {
    let (till, fake) = Till::open().await;
    for (number, (code, words)) in (1..).zip([
        ("1", "Not enough money"),
        ("1032", "You did not pay"),
        ("2001", "The PIN"),
        ("1001", "Your phone was busy"),
        ("1025", "could not be paid by phone"),
        ("SFC_IC0003", "could not be paid by phone"),
    ]) {
        fake.says(|script| script.queries = vec![json!(code)]);
        let reservation = till.hold(number).await;
        till.ask(&reservation).await;
        till.until_attempt(&reservation, "pending").await;
        let (id, _) = fake.pushed();
        till.post(
            &till.result_url(&fake),
            &failure(&id, code.parse().unwrap_or(9)),
        )
        .await;
        // What may still be paid is waited for.
        let client = till.app.pool.get().await.unwrap();
        client
            .execute(
                "update payment_attempt set created_at = created_at - interval '5 minutes'",
                &[],
            )
            .await
            .unwrap();
        drop(client);
        till.pass(&reservation, "true").await;
        till.until_attempt(&reservation, "failed").await;
        let texts = eventually("the SMS", async || {
            let client = till.app.pool.get().await.unwrap();
            let sql = "select text from outbox where kind = 'pay_failed' and msisdn = $1";
            client
                .query_opt(sql, &[&reservation.msisdn.as_str()])
                .await
                .unwrap()
                .map(|row| row.get::<_, String>(0))
        })
        .await;
        assert!(
            texts.contains(words) && texts.contains("No money was taken"),
            "{texts}"
        );
        assert_eq!(till.status(&reservation).await, Status::Paying);
        fake.says(|script| script.queries = vec![]);
        assert!(matches!(till.ask(&reservation).await, Asked::Asked(..)));
        till.until_attempt(&reservation, "pending").await;
        till.pass(&reservation, "status = 'pending'").await;
        till.until(&reservation, Status::Confirmed).await;
        let client = till.app.pool.get().await.unwrap();
        client
            .execute(
                "update property_availability set available_units = available_units + 1",
                &[],
            )
            .await
            .unwrap();
    }
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_cannot_be_sent_is_repeated_and_a_lost_answer_is_not() {
    let (till, fake) = Till::open().await;
    let reservation = till.hold(1).await;
    let busy = json!({"errorCode": "500.003.02", "errorMessage": "Spike Arrest Violation"});
    fake.says(|script| script.pushes = vec![(500, busy)]);
    till.ask(&reservation).await;
    eventually("the refusal", async || {
        let sql = "select count(*) from payment_attempt where reason = '500.003.02'";
        (till.app.count(sql).await == 1).then_some(())
    })
    .await;
    assert_eq!(fake.pushes(), 0);
    // A token that another instance has ended is renewed, once.
    fake.says(|script| script.tokens += 1);
    till.pass(&reservation, "true").await;
    till.until_attempt(&reservation, "pending").await;
    assert_eq!(fake.pushes(), 1);
    till.pass(&reservation, "true").await;
    till.until(&reservation, Status::Confirmed).await;

    // The answer is lost: nobody is prompted twice; the pay bill tells of the money.
    let reservation = till.hold(2).await;
    fake.says(|script| script.pushes = vec![(504, json!(null)), (504, json!(null))]);
    till.ask(&reservation).await;
    till.until_attempt(&reservation, "pending").await;
    till.pass(&reservation, "true").await;
    let money = fake.pays("LOST1", reservation.code.digits(), "9000");
    till.post(&till.url("confirmation"), &money).await;
    till.until(&reservation, Status::Confirmed).await;
    assert_eq!(fake.pushes(), 1);
    till.until_attempt(&reservation, "paid").await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_by_hand_finds_its_booking_however_the_code_is_typed() {
    let (till, fake) = Till::open().await;
    let reservation = till.hold(1).await;
    let code = reservation.code.to_string();
    let valid = |reference: &str, amount: &str| by_hand("V1", reference, amount);
    for (body, wanted) in [
        (valid(&code, "9000"), "\"0\""),
        (valid("4821 7737", "9000"), "C2B00012"),
        (valid("room", "9000"), "C2B00012"),
        (json!({"TransID": "x"}), "C2B00016"),
    ] {
        let (status, said) = till.post(&till.url("validation"), &body).await;
        assert!(status == 200 && said.contains(wanted), "{body} {said}");
    }
    // Too little keeps the room and asks for the rest; the rest confirms it.
    let typed = format!(" {} ", code.replace('-', " "));
    till.post(
        &till.url("confirmation"),
        &fake.pays("H1", &typed, "4000.00"),
    )
    .await;
    till.until(&reservation, Status::Paying).await;
    till.post(
        &till.url("confirmation"),
        &fake.pays("H2", &code, "6000.00"),
    )
    .await;
    till.until(&reservation, Status::Confirmed).await;
    for kind in ["paid_part", "confirmed", "refund_surplus"] {
        let sql = format!("select count(*) from outbox where kind = '{kind}'");
        assert_eq!(till.app.count(&sql).await, 1, "{kind}");
    }
    let (_, said) = till
        .post(&till.url("validation"), &valid(&code, "9000"))
        .await;
    assert!(said.contains("C2B00013"), "{said}");
    till.post(
        &till.url("confirmation"),
        &fake.pays("H3", "my room", "9000"),
    )
    .await;
    till.until_applied(6).await;
    assert_eq!(till.outcomes().await["unallocated"], 1);

    // A person finds out whose it is; guest and host are told as if the code had been typed.
    let other = till.hold(2).await;
    let client = till.app.pool.get().await.unwrap();
    let waiting = unallocated::list_unallocated(&client).await.unwrap();
    let (payment, limit) = (waiting[0].payment_id, i64::MAX);
    let given = unallocated::give(&client, payment, &other.code, "asha", limit).await;
    assert_eq!(given.unwrap(), Given::Given);
    till.until(&other, Status::Confirmed).await;
    assert!(unallocated::is_applied(&client, payment).await.unwrap());
    let sql = "select string_agg(kind, ' ' order by kind) from outbox where reservation_id = $1 and kind <> 'confirmation'";
    let kinds: String = client.query_one(sql, &[&other.id]).await.unwrap().get(0);
    assert_eq!(kinds, "confirmed host_booked");
    drop(client);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_while_paying_frees_the_room_and_the_money_goes_back_by_reversal() {
    let (till, fake) = Till::open().await;
    fake.says(|script| {
        script.queries = vec![json!({"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"})];
    });
    let reservation = till.hold(1).await;
    till.ask(&reservation).await;
    till.until_attempt(&reservation, "pending").await;
    let client = till.app.pool.get().await.unwrap();
    let cancelling = Cancel {
        id: reservation.id,
        at: chrono::Utc::now(),
        cost_shown: 0,
        turn: &turn("cancel"),
        cause: &GUEST,
        drafts: &[],
    };
    assert!(matches!(
        cancel(&client, &cancelling).await.unwrap(),
        Cancelled::Done(_)
    ));
    drop(client);
    fake.says(|script| script.queries = vec![]);
    let (id, push) = fake.pushed();
    till.post(&till.result_url(&fake), &success(&id, &push, "LATE1"))
        .await;
    till.until(&reservation, Status::RefundDue).await;
    assert_eq!(
        till.app
            .count("select coalesce(sum(reserved_units), 0)::bigint from property_availability")
            .await,
        0
    );
    assert_eq!(
        till.app
            .count("select count(*) from outbox where kind = 'refund_due'")
            .await,
        1
    );
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_before_a_crash_is_applied_after_it() {
    let (till, fake) = Till::open().await;
    let reservation = till.hold(1).await;
    // Kept and acknowledged by a process that died before it could do more.
    let body = fake
        .pays("CRASH1", reservation.code.digits(), "9000")
        .to_string();
    let client = till.app.pool.get().await.unwrap();
    let sql = "insert into payment_callback (provider, door, secret, body) values ('daraja', 'confirmation', '', $1)";
    client.execute(sql, &[&body.as_bytes()]).await.unwrap();
    drop(client);
    till.until(&reservation, Status::Confirmed).await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_a_token_and_renew_it_once_where_a_new_one_ends_the_one_before() {
    let fake = Fake::start();
    let till = Till::at(&fake.url).await;
    let line = || {
        let account = &till.app.app.config.payments.providers["daraja"];
        let http = http_builder().build().unwrap();
        let breaker = Arc::new(Breaker::new("daraja"));
        let store = Some(till.app.app.store.clone());
        let daraja = payment::find("daraja").unwrap();
        Line::new(daraja, account.clone(), http, breaker, store)
    };
    let lines: Vec<Line> = (0..4).map(|_| line()).collect();
    let ask_all = async || {
        let asked = lines.iter().map(|line| async {
            let asked = payment::Asked {
                key: Uuid::new_v4(),
                provider_id: "ws_CO_1",
                amount: Money::from_units(1, Currency::Kes),
                now: Utc::now(),
            };
            let fate = line.query(&asked).await;
            assert!(matches!(fate, payment::Fate::Paid(_)), "{fate:?}");
        });
        join_all(asked).await;
    };
    ask_all().await;
    ask_all().await;
    fake.says(|script| assert_eq!(script.tokens, 1, "one for all"));
    // Somebody else has logged in.
    fake.says(|script| script.tokens += 1);
    ask_all().await;
    fake.says(|script| assert_eq!(script.tokens, 3, "one more for all"));
    ask_all().await;
    fake.says(|script| assert_eq!(script.tokens, 3));
    till.close().await;
}

/// From the menu to the SMS, with payers who pay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_pays_a_part_by_phone_and_may_pay_on_arrival_where_the_lodge_says_so() {
    let app = TestApp::start_at(Clock::System, "payments: { sandbox: true }\n");
    let lodge = Lodge {
        pay: "prepay",
        ..Lodge::default()
    };
    let property = lodge.insert(&app.pool).await;
    let client = app.pool.get().await.unwrap();
    let terms =
        "update property set deposit_percent = 20, pay_at_lodge_too = true where property_id = $1";
    client.execute(terms, &[&property]).await.unwrap();
    drop(client);
    let hold = async |number| {
        let wish = Wish::new(property, stay(3, 2), number);
        let Reserved::Made(held) = wish.reserve(&app.pool).await else {
            panic!("not held");
        };
        held
    };

    let paying = hold(1).await;
    let caller = paying.msisdn.as_str();
    let session = session_id();
    let shown = app.dialogue(&session, caller, &["3", "1"]).await;
    let code = paying.code.to_string();
    assert!(
        shown.starts_with(&format!("CON {code}: Lake View\nHeld ")),
        "{shown}"
    );
    for line in [
        "1 Pay all now KES 9,000",
        "2 Pay part now KES 1,800",
        "3 Pay at lodge KES 9,000",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let asked = app.call(&session, caller, "3*1*2").await;
    assert!(
        asked.starts_with("END Check your phone: enter your PIN to pay KES 1,800"),
        "{asked}"
    );
    assert_eq!(app.call(&session, caller, "3*1*2").await, asked);
    assert_eq!(app.count("select count(*) from payment_attempt").await, 1);
    let again = app.dialogue(&session_id(), caller, &["3", "1"]).await;
    assert!(
        again.starts_with(&format!(
            "END We are checking your payment for {code}. Do not pay twice."
        )),
        "{again}"
    );
    let told = app.sms(caller, 2).await;
    let told = told.iter().find(|sms| sms["kind"] == "confirmed").unwrap();
    let text = told["text"].as_str().unwrap();
    assert!(
        text.starts_with(&format!("BOOKED {code}.")) && text.contains("Paid KES 1,800 (SBX"),
        "{text}"
    );

    // Whoever dials again reads first how it stands.
    let shown = app.call(&session_id(), caller, "").await;
    let wanted =
        format!("CON Paid KES 1,800, code {code}\nReserveFlow: a room tonight\n1 Book a room\n");
    assert!(shown.starts_with(&wanted), "{shown}");

    let arriving = hold(2).await;
    let caller = arriving.msisdn.as_str();
    let shown = app.dialogue(&session_id(), caller, &["3", "1", "3"]).await;
    assert!(
        shown.starts_with(&format!("END BOOKED {}.", arriving.code)),
        "{shown}"
    );
    let shown = app.dialogue(&session_id(), caller, &["2", "1"]).await;
    assert!(shown.contains("KES 9,000, pay at lodge"), "{shown}");

    let mut client = app.pool.get().await.unwrap();
    assert_eq!(list_faults(&mut client).await.unwrap(), []);
    drop(client);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_turn_has_held_is_not_denied_by_what_fails_after_it() {
    let more = "payments: { sandbox: true }\ndatabase: { pool: 1 }\n";
    let app = TestApp::start_at(Clock::System, more);
    let tables = pool(&app.database_url, &PoolSettings::default()).unwrap();
    let lodge = Lodge {
        pay: "prepay",
        price: 1,
        ..Lodge::default()
    };
    lodge.insert(&tables).await;
    let (session, caller) = (session_id(), "+254711000077");
    let to_confirm = ["1", "Nakuru", "2", "1", "1", "1", "Asha"];
    let shown = app.dialogue(&session, caller, &to_confirm).await;
    assert!(shown.contains("1 Yes, book"), "{shown}");

    // The reservation waits for its nights; whoever asks for the only connection meanwhile gets it next, and keeps it.
    let mut other = tables.get().await.unwrap();
    let nights = other.transaction().await.unwrap();
    let lock = "select from property_availability for update";
    nights.batch_execute(lock).await.unwrap();
    let text = format!("{}*1", to_confirm.join("*"));
    let booking = async { app.call(&session, caller, &text).await };
    let crowd = async {
        let waits = "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'";
        eventually("the reservation", async || {
            let client = tables.get().await.unwrap();
            let waiting: i64 = client.query_one(waits, &[]).await.unwrap().get(0);
            (waiting > 0).then_some(())
        })
        .await;
        let next = app.pool.get();
        let mut next = std::pin::pin!(next);
        assert!(futures_util::poll!(&mut next).is_pending());
        nights.rollback().await.unwrap();
        next.await.unwrap()
    };
    let (told, taken) = tokio::join!(booking, crowd);
    drop(taken);
    assert!(
        told.contains("Your booking stays as it is") || told.contains("If it is booked"),
        "{told}"
    );
    let held = "select count(*) from reservation where status = 'held'";
    assert_eq!(app.count(held).await, 1);
    assert_eq!(app.call(&session, caller, &text).await, told);
    let shown = app.dialogue(&session_id(), caller, &["3", "1"]).await;
    assert!(shown.contains("Held "), "{shown}");
    app.stop().await;
}

#[tokio::test]
async fn paid_by_sms_tells_what_is_owed_what_is_checked_and_what_is_there() {
    let (till, fake) = Till::open().await;
    let held = till.hold(1).await;
    let ask_by_sms = async |told: &str| {
        let id = session_id();
        let form = [
            ("id", id.as_str()),
            ("from", held.msisdn.as_str()),
            ("to", "22384"),
            ("text", "PAID"),
        ];
        let url = format!("{}/sms/africastalking/demo/inbound", till.app.public);
        assert_eq!(till.app.post(&url, &form).await.status(), 200);
        let client = till.app.pool.get().await.unwrap();
        let sql = "select text from outbox where msisdn = $1 order by outbox_id desc limit 1";
        let row = client.query_one(sql, &[&held.msisdn.as_str()]).await;
        let text: String = row.unwrap().get(0);
        assert!(text.contains(told), "{text}");
    };
    ask_by_sms("not paid").await;
    till.ask(&held).await;
    ask_by_sms("Do not pay twice").await;
    till.until_attempt(&held, "pending").await;
    let (id, push) = fake.pushed();
    let url = till.result_url(&fake);
    assert_eq!(
        till.post(&url, &success(&id, &push, "SKJ4X7AB12")).await.0,
        200
    );
    till.until(&held, Status::Confirmed).await;
    ask_by_sms(&held.code.to_string()).await;
    till.close().await;
}
