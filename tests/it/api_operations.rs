//! `POST /v1/operations`: what was done offline has its effect once, and an answer that says what would work instead.

use std::collections::HashSet;

use chrono::{Days, NaiveDate, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use reserveflow::api::keys::{Key, Scope, hash};
use reserveflow::db::api_keys::insert_key;
use reserveflow::db::hosts::WRONG_CODES_MAX;
use reserveflow::db::operations::forget;
use reserveflow::db::pool::{PoolSettings, pool};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::api::{ask, problem, request, start, whole};
use crate::support::app::{CONFIG, TestApp, today};
use crate::support::binary::{Program, Served};
use crate::support::eventually;
use crate::support::postgres::sample_database;
use crate::support::stores::stores;

/// Mwangaza Rooms: 12 units at KES 1,800, paid at the lodge.
const AT_LODGE: &str = "prop_de8gxd";
/// Jacaranda Flat: 2 units at KES 6,500, paid first.
const PREPAID: &str = "prop_vj50ce";
const GUEST: &str = "+254711000001";

fn day(days: u64) -> NaiveDate {
    today() + Days::new(days)
}

/// An operation with an id of its own.
fn operation(kind: &str, wish: &Value) -> Value {
    let mut operation = json!({"id": Uuid::new_v4(), "type": kind, "at": "2026-11-28T20:00:00Z"});
    let members = operation.as_object_mut().unwrap();
    members.extend(wish.as_object().unwrap().clone());
    operation
}

fn reserve(property: &str, days: u64, nights: i64, price: i64) -> Value {
    let wish = json!({
        "property_id": property, "check_in": day(days), "nights": nights, "guests": 2,
        "total_minor": nights * price * 100, "currency": "KES", "msisdn": GUEST, "guest_name": "Asha",
    });
    operation("RESERVE", &wish)
}

fn with(mut operation: Value, member: &str, value: impl Into<Value>) -> Value {
    operation[member] = value.into();
    operation
}

fn of(kind: &str, reserve: &Value) -> Value {
    operation(kind, &json!({"reservation": {"operation": reserve["id"]}}))
}

/// The answers to a batch, and the bytes of `data`.
async fn send(app: &TestApp, operations: &[&Value]) -> Vec<Value> {
    let batch = json!({"operations": operations});
    let sent = request(app, Method::POST, "/operations").json(&batch);
    let (data, _) = whole(sent.send().await.unwrap()).await;
    let answers = data["operations"].as_array().unwrap().clone();
    assert_eq!(answers.len(), operations.len());
    for (operation, answer) in operations.iter().zip(&answers) {
        assert_eq!(operation["id"], answer["id"]);
    }
    answers
}

async fn send_one(app: &TestApp, operation: &Value) -> Value {
    send(app, &[operation]).await.remove(0)
}

/// The last word of a problem's type, with its status.
fn refusal(answer: &Value) -> (i64, &str) {
    let kind = answer["problem"]["type"].as_str().unwrap();
    let status = answer["status"].as_i64().unwrap();
    assert_eq!(answer["problem"]["status"], status);
    (status, kind.rsplit(':').next().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_done_in_order_and_answered_the_same_when_it_comes_again() {
    let app = start("").await;
    let search = operation(
        "SEARCH",
        &json!({"place": "ke-nakuru", "check_in": day(3), "nights": 2, "guests": 2}),
    );
    let quote = operation(
        "QUOTE",
        &json!({"property_id": AT_LODGE, "check_in": day(3), "nights": 2, "guests": 2}),
    );
    let reserve = reserve(AT_LODGE, 3, 2, 1800);
    let confirm = of("CONFIRM", &reserve);
    let cancel = of("CANCEL", &reserve);
    let batch = [&search, &quote, &reserve, &confirm, &cancel];
    let answers = send(&app, &batch).await;
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].clone())
        .collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200], "{answers:#?}");
    let found = answers[0]["result"]["offers"].as_array().unwrap();
    assert!(found.iter().any(|offer| offer["property_id"] == AT_LODGE));
    let offer = &answers[1]["result"]["offer"];
    assert_eq!(offer["total_minor"], 360_000);
    assert_eq!(offer["units_left"], 12);
    let made = &answers[2]["result"]["reservation"];
    assert_eq!(made["status"], "confirmed");
    assert_eq!(made["property_id"], AT_LODGE);
    assert_eq!(made["total_minor"], 360_000);
    assert_eq!(answers[3]["result"]["reservation"]["code"], made["code"]);
    assert_eq!(answers[4]["result"]["reservation"]["status"], "cancelled");

    let again = send(&app, &batch).await;
    assert_eq!(again, answers, "byte for byte the same, also the search");
    assert_eq!(app.count("select count(*) from reservation").await, 1);
    let events = "select count(*) from reservation_event";
    assert_eq!(app.count(events).await, 2);
    // Asked for, confirmed to guest and host, and so is the end of it.
    assert_eq!(app.count("select count(*) from outbox").await, 4);

    let other = with(reserve, "guests", 1);
    assert_eq!(refusal(&send_one(&app, &other).await), (422, "id_reused"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stay_is_taken_and_paid_for_in_one_batch() {
    let app = start("payments: { sandbox: true }\n").await;
    let reserve = reserve(PREPAID, 3, 1, 6500);
    let (pay, confirm) = (of("PAY", &reserve), of("CONFIRM", &reserve));
    let answers = send(&app, &[&reserve, &confirm, &pay]).await;
    assert_eq!(answers[0]["result"]["reservation"]["status"], "held");
    assert_eq!(refusal(&answers[1]), (409, "payment_needed"));
    assert_eq!(
        answers[1]["problem"]["ways_to_pay"],
        json!({"left_minor": 650_000, "deposit_minor": null, "at_lodge": false, "prompt_open": false})
    );
    assert_eq!(answers[2]["status"], 202, "{}", answers[2]);
    assert_eq!(answers[2]["result"]["asked_minor"], 650_000);
    let more = of("PAY", &reserve);
    assert_eq!(refusal(&send_one(&app, &more).await), (409, "payment_open"));
    eventually("the payment", async || {
        let answer = send_one(&app, &of("CONFIRM", &reserve)).await;
        (answer["status"] == 200).then(|| {
            let paid = &answer["result"]["reservation"];
            assert_eq!(paid["status"], "confirmed");
            assert_eq!(paid["paid_minor"], 650_000);
        })
    })
    .await;
    // The answers that were given stay.
    assert_eq!(send(&app, &[&reserve, &confirm, &pay]).await, answers);
    let paid = send_one(&app, &of("PAY", &reserve)).await;
    assert_eq!(paid["status"], 200, "{paid}");
    assert_eq!(app.count("select count(*) from payment_attempt").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lodge_that_takes_money_later_too_is_confirmed_without() {
    let app = start("payments: { sandbox: true }\n").await;
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "update property set pay_at_lodge_too = true where short_id = $1",
            &[&PREPAID],
        )
        .await
        .unwrap();
    let reserve = reserve(PREPAID, 3, 1, 6500);
    let answers = send(&app, &[&reserve, &of("CONFIRM", &reserve)]).await;
    assert_eq!(answers[0]["result"]["reservation"]["status"], "held");
    assert_eq!(answers[1]["result"]["reservation"]["status"], "confirmed");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_says_what_is_so_now_and_what_would_work_instead() {
    let app = start("").await;
    let (_, places) = ask(&app, "/places").await;
    let client = app.pool.get().await.unwrap();
    let base = {
        // Whatever the sample was loaded by has its numbers now.
        let row = client
            .query_one("select max(version) from catalogue_change", &[])
            .await
            .unwrap();
        row.get::<_, i64>(0)
    };
    assert!(base >= places["version"].as_i64().unwrap());
    client
        .execute(
            "update property_availability a set reserved_units = available_units
             from property p where p.property_id = a.property_id and p.short_id = $1 and a.date = $2",
            &[&AT_LODGE, &day(5)],
        )
        .await
        .unwrap();
    let wish = with(reserve(AT_LODGE, 4, 2, 1800), "base_version", base);
    let answer = send_one(&app, &wish).await;
    assert_eq!(refusal(&answer), (409, "taken"));
    let problem = &answer["problem"];
    assert_eq!(problem["current"]["changed_since_base"], true);
    assert!(problem["current"]["version"].as_i64().unwrap() > base);
    let nights = json!([
        {"date": day(4), "price_minor": 180_000, "units_left": 12},
        {"date": day(5), "price_minor": 180_000, "units_left": 0},
    ]);
    assert_eq!(problem["current"]["nights"], nights);
    let instead = problem["instead"]["nights"].as_array().unwrap();
    let days: Vec<_> = instead
        .iter()
        .map(|offer| offer["check_in"].clone())
        .collect();
    assert_eq!(days, [json!(day(3)), json!(day(2)), json!(day(6))]);
    let others = problem["instead"]["properties"].as_array().unwrap();
    assert_eq!(others.len(), 3);
    assert!(others.iter().all(|offer| offer["property_id"] != AT_LODGE));

    // What is offered instead can be taken as it stands.
    let other = &others[0];
    let taken = with(wish.clone(), "id", Uuid::new_v4().to_string());
    let taken = with(taken, "property_id", other["property_id"].clone());
    let taken = with(taken, "total_minor", other["total_minor"].clone());
    assert_eq!(send_one(&app, &taken).await["status"], 200);
    // The answer that was given stays, also when the night is free again.
    client
        .execute("update property_availability set reserved_units = 0 where date = $1 and reserved_units = 12", &[&day(5)])
        .await
        .unwrap();
    assert_eq!(send_one(&app, &wish).await, answer);

    let dearer = send_one(&app, &reserve(AT_LODGE, 10, 2, 1700)).await;
    assert_eq!(refusal(&dearer), (409, "price_changed"));
    assert_eq!(dearer["problem"]["total_minor"], 360_000);
    assert_eq!(
        dearer["problem"]["current"]["changed_since_base"],
        Value::Null
    );

    client
        .execute(
            "update property set min_stay = 3 where short_id = $1",
            &[&AT_LODGE],
        )
        .await
        .unwrap();
    let short = send_one(&app, &reserve(AT_LODGE, 10, 2, 1800)).await;
    assert_eq!(refusal(&short), (409, "restricted"));
    assert_eq!(
        short["problem"]["rule"],
        json!({"name": "min_stay", "nights": 3})
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cancelling_costs_has_to_be_known() {
    let app = start("").await;
    let tonight = reserve(AT_LODGE, 0, 1, 1800);
    send_one(&app, &tonight).await;
    let answer = send_one(&app, &of("CANCEL", &tonight)).await;
    assert_eq!(refusal(&answer), (409, "costs"));
    assert_eq!(answer["problem"]["cost_minor"], 180_000);
    assert_eq!(answer["problem"]["reservation"]["status"], "confirmed");
    let known = with(of("CANCEL", &tonight), "cost_minor", 180_000);
    let cancelled = send_one(&app, &known).await;
    assert_eq!(cancelled["result"]["reservation"]["status"], "cancelled");
    // Wanted once more, by its code: it is what was wanted.
    let code = cancelled["result"]["reservation"]["code"].clone();
    let by_code = json!({"reservation": {"code": code, "msisdn": GUEST}});
    let again = send_one(&app, &operation("CANCEL", &by_code)).await;
    assert_eq!(again["result"]["reservation"]["status"], "cancelled");
    let stranger = json!({"reservation": {"code": code, "msisdn": "+254711000002"}});
    let answer = send_one(&app, &operation("CANCEL", &stranger)).await;
    assert_eq!(refusal(&answer), (404, "not_found"));
    // Nobody guesses one.
    for tries in 2..=WRONG_CODES_MAX {
        let answer = send_one(&app, &operation("CANCEL", &stranger)).await;
        assert_eq!(refusal(&answer), (404, "not_found"), "{tries}");
    }
    let answer = send_one(&app, &operation("CANCEL", &stranger)).await;
    assert_eq!(refusal(&answer), (429, "wrong_codes"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_depends_on_another_operation_waits_for_it_and_fails_with_it() {
    let app = start("").await;
    let reserve = reserve(AT_LODGE, 3, 1, 1800);
    let cancel = of("CANCEL", &reserve);
    // The batch of the reservation was lost.
    assert_eq!(refusal(&send_one(&app, &cancel).await), (503, "not_yet"));
    assert_eq!(send_one(&app, &reserve).await["status"], 200);
    assert_eq!(send_one(&app, &cancel).await["status"], 200);

    let cheap = with(reserve, "id", Uuid::new_v4().to_string());
    let cheap = with(cheap, "total_minor", 1);
    let cancel = of("CANCEL", &cheap);
    let answers = send(&app, &[&cheap, &cancel]).await;
    assert_eq!(refusal(&answers[0]), (409, "price_changed"));
    assert_eq!(refusal(&answers[1]), (424, "no_reservation"));
    assert_eq!(send(&app, &[&cheap, &cancel]).await, answers);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_is_judged_on_its_own() {
    let app = start("").await;
    let good = reserve(AT_LODGE, 3, 1, 1800);
    let new = || reserve(AT_LODGE, 3, 1, 1800);
    for (wrong, status, word) in [
        (with(new(), "type", "BUY"), 400, "bad_request"),
        (with(new(), "surprise", 1), 400, "bad_request"),
        (with(new(), "msisdn", "0711"), 400, "bad_request"),
        (with(new(), "currency", "XXX"), 400, "bad_request"),
        (with(new(), "nights", 0), 422, "unfit"),
        (with(new(), "nights", 31), 422, "unfit"),
        (with(new(), "guests", 13), 422, "unfit"),
        (with(new(), "check_in", "1999-12-31"), 422, "unfit"),
        (with(new(), "check_in", "+262142-12-31"), 422, "unfit"),
        (with(new(), "property_id", "prop_none"), 422, "unfit"),
        (with(new(), "language", "xx"), 422, "unfit"),
        (with(new(), "guest_name", "123"), 422, "unfit"),
    ] {
        let answers = send(&app, &[&wrong, &good]).await;
        assert_eq!(refusal(&answers[0]), (status, word), "{wrong}");
        assert_eq!(answers[1]["status"], 200);
    }
    for batch in [json!([]), json!([7]), json!(vec![new(); 51])] {
        let sent = request(&app, Method::POST, "/operations").json(&json!({"operations": batch}));
        let response = sent.send().await.unwrap();
        if batch == json!([7]) {
            let (data, _) = whole(response).await;
            let answer = &data["operations"][0];
            assert_eq!(answer["id"], Value::Null);
            assert_eq!(refusal(answer), (400, "bad_request"));
        } else {
            problem(response, 422).await;
        }
    }
    let client = app.pool.get().await.unwrap();
    let reader = Key {
        id: Uuid::now_v7(),
        name: "reader".to_owned(),
        scopes: vec![Scope::Read],
        host: None,
    };
    insert_key(&client, &reader, &hash("reader"), None)
        .await
        .unwrap();
    let quote = json!({"property_id": AT_LODGE, "check_in": day(3), "nights": 1, "guests": 1});
    let batch = json!({"operations": [new(), operation("QUOTE", &quote), good]});
    let sent = app
        .http
        .post(format!("{}/v1/operations", app.public))
        .bearer_auth("reader")
        .json(&batch);
    let (data, _) = whole(sent.send().await.unwrap()).await;
    let statuses: Vec<_> = (0..3)
        .map(|n| data["operations"][n]["status"].clone())
        .collect();
    assert_eq!(statuses, [403, 200, 403]);
    assert_eq!(app.count("select count(*) from reservation").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_operation_sent_many_times_at_once_has_one_effect_and_one_answer() {
    let app = start("").await;
    let wish = reserve(AT_LODGE, 3, 1, 1800);
    let sent = join_all((0..8).map(|_| send_one(&app, &wish))).await;
    let mut done = HashSet::new();
    for answer in sent {
        match answer["status"].as_i64() {
            Some(200) => drop(done.insert(answer.to_string())),
            _ => assert_eq!(refusal(&answer), (503, "busy")),
        }
    }
    assert_eq!(done.len(), 1);
    assert_eq!(app.count("select count(*) from reservation").await, 1);

    // A day later its answer is forgotten, and its effect is not.
    let client = app.pool.get().await.unwrap();
    let forgotten = forget(&client, Utc::now() + chrono::TimeDelta::minutes(1), 10).await;
    assert_eq!(forgotten.unwrap(), 1);
    assert_eq!(send_one(&app, &wish).await["status"], 200);
    assert_eq!(app.count("select count(*) from reservation").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_leaves_one_reservation_and_its_answer() {
    let steps = ["operation:claimed", "operation:done", "operation:answered"];
    join_all(steps.map(survive)).await;
}

async fn survive(step: &'static str) {
    let database = sample_database().await;
    let pool = pool(&database, &PoolSettings::default()).unwrap();
    let folder = TempDir::new().unwrap();
    let crashing = serve(&folder, &database, Some(&format!("{step}:1"))).await;
    let client = pool.get().await.unwrap();
    insert_key(&client, &Key::demo(), &hash("demo"), None)
        .await
        .unwrap();
    let wish = reserve(AT_LODGE, 3, 1, 1800);
    assert_eq!(post(&crashing, &wish).await, None, "{step}");
    assert!(!crashing.program.end().await.status.success(), "{step}");
    // Half a minute later.
    client
        .execute("update api_operation set leased_until = now()", &[])
        .await
        .unwrap();
    let service = serve(&folder, &database, None).await;
    let answer = post(&service, &wish).await.unwrap();
    assert_eq!(answer["status"], 200, "{step}: {answer}");
    assert_eq!(post(&service, &wish).await.unwrap(), answer, "{step}");
    let row = client
        .query_one("select count(*) from reservation", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1, "{step}");
}

async fn serve(folder: &TempDir, database: &str, crash: Option<&str>) -> Served {
    let redis = &stores().redis;
    let mut environment = vec![("DATABASE_URL", database), ("REDIS_URL", redis.as_str())];
    environment.extend(crash.map(|crash| ("RESERVEFLOW_CRASH_AT", crash)));
    Program::serve(folder.path(), CONFIG, &environment).await
}

/// The answer to one operation; `None` where there is none.
async fn post(service: &Served, operation: &Value) -> Option<Value> {
    let sent = reqwest::Client::new()
        .post(format!("{}/v1/operations", service.public))
        .bearer_auth("demo")
        .json(&json!({"operations": [operation]}));
    let response = sent.send().await.ok()?;
    let body: Value = response.json().await.ok()?;
    Some(body["data"]["operations"][0].clone())
}

fn group(parts: &[(&str, u64, i64)]) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|(property, days, price)| {
            json!({"property_id": property, "check_in": day(*days), "nights": 2, "guests": 2,
                   "total_minor": 2 * price * 100, "currency": "KES"})
        })
        .collect();
    operation(
        "GROUP",
        &json!({"parts": parts, "msisdn": GUEST, "guest_name": "Asha"}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_rooms_and_lodges_is_taken_whole_or_not_at_all() {
    let app = start("payments: { sandbox: true }\n").await;
    // Two rooms of one lodge and one of another, on other nights.
    let wish = group(&[(AT_LODGE, 3, 1800), (AT_LODGE, 3, 1800), (PREPAID, 4, 6500)]);
    let answer = send_one(&app, &wish).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let made = answer["result"]["reservations"].as_array().unwrap();
    let states: Vec<_> = made.iter().map(|part| part["status"].clone()).collect();
    assert_eq!(states, ["confirmed", "confirmed", "held"]);
    assert_eq!(made[2]["property_id"], PREPAID);
    assert_eq!(send_one(&app, &wish).await, answer);
    // Also where the answer itself was lost.
    let forget = "delete from api_operation";
    let client = app.pool.get().await.unwrap();
    client.batch_execute(forget).await.unwrap();
    assert_eq!(send_one(&app, &wish).await, answer);
    assert_eq!(app.count("select count(*) from reservation").await, 3);

    // One of the two flats is left, and the second part wants two nights of which another guest has one.
    let taken = "update property_availability set reserved_units = available_units
                 where date = $1 and property_id = (select property_id from property where short_id = $2)";
    client.execute(taken, &[&day(8), &PREPAID]).await.unwrap();
    let wish = group(&[(AT_LODGE, 7, 1800), (PREPAID, 7, 6500), (AT_LODGE, 9, 1800)]);
    let answer = send_one(&app, &wish).await;
    assert_eq!(refusal(&answer), (409, "taken"));
    assert_eq!(answer["problem"]["part"], 1);
    let current = &answer["problem"]["current"];
    assert_eq!(current["property_id"], PREPAID);
    assert_eq!(app.count("select count(*) from reservation").await, 3);
    let held = "select coalesce(sum(reserved_units), 0) from property_availability
                where property_id = (select property_id from property where short_id = 'prop_de8gxd')";
    assert_eq!(app.count(held).await, 4, "two rooms for two nights");

    // A price that is not the one of now is told with its part, and nothing is taken.
    let dear = group(&[(AT_LODGE, 12, 1800), (AT_LODGE, 12, 1700)]);
    let answer = send_one(&app, &dear).await;
    assert_eq!(refusal(&answer), (409, "price_changed"));
    assert_eq!(answer["problem"]["part"], 1);
    assert_eq!(app.count("select count(*) from reservation").await, 3);
    let many: Vec<_> = (0..11).map(|_| (AT_LODGE, 20, 1800)).collect();
    let answer = send_one(&app, &group(&many)).await;
    assert_eq!(answer["status"], 422, "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_want_the_same_rooms_in_opposite_order_do_not_block_each_other() {
    let app = start("").await;
    let client = app.pool.get().await.unwrap();
    const OTHER: &str = "prop_10epf9";
    client
        .execute(
            "update property_availability a set available_units = 4, own_units = true from property p
             where p.property_id = a.property_id and p.short_id = any ($1)",
            &[&[AT_LODGE, OTHER].as_slice()],
        )
        .await
        .unwrap();
    let wishes: Vec<Value> = (0..16u32)
        .map(|number| {
            let mut parts = [(AT_LODGE, 3, 1800), (OTHER, 3, 1500)];
            if number % 2 == 1 {
                parts.reverse();
            }
            with(group(&parts), "msisdn", format!("+2547110009{number:02}"))
        })
        .collect();
    let answers = join_all(wishes.iter().map(|wish| send_one(&app, wish))).await;
    let made = answers.iter().filter(|answer| answer["status"] == 200);
    assert_eq!(made.count(), 4, "{answers:#?}");
    let refused = answers.iter().filter(|answer| answer["status"] != 200);
    for answer in refused {
        assert_eq!(refusal(answer), (409, "taken"));
    }
    assert_eq!(app.count("select count(*) from reservation").await, 8);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(app.count(deadlocks).await, 0);
    app.stop().await;
}
