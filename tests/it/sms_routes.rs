//! What providers answer over a real connection, and which way a message takes then. Time passes by moving the rows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use deadpool_postgres::{Client, Pool};
use reserveflow::chance::Chance;
use reserveflow::db::outbox;
use reserveflow::jobs;
use reserveflow::jobs::outbox::Worker;
use reserveflow::phone::Msisdn;
use reserveflow::sms::budget::{Budget, Budgets};
use reserveflow::sms::ids::Ids;
use reserveflow::sms::route::{Route, RouteConfig, Routes};
use reserveflow::sms::{self, Account, Carrier, DeliveryReport, DeliveryStatus, Message, Sent};
use serde_json::json;
use tokio::sync::watch;

use crate::support::outbox as written;
use crate::support::postgres::{books, database};
use crate::support::{double, eventually};

/// What a fake provider answers next.
#[derive(Clone)]
enum Say {
    /// This status and body.
    Answer(u16, String),
    /// Nothing: the connection breaks, the request read.
    HangUp,
}

fn say(status: u16, body: &str) -> Say {
    Say::Answer(status, body.to_owned())
}

/// A provider that speaks by a script, the last line of it for ever.
struct Fake {
    url: String,
    script: Arc<Mutex<VecDeque<Say>>>,
    /// Method, path with query, and body of each request.
    requests: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl Fake {
    fn start(script: &[Say]) -> Fake {
        let script: Arc<Mutex<VecDeque<_>>> =
            Arc::new(Mutex::new(script.iter().cloned().collect()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let state = (script.clone(), requests.clone());
        let url = double::serve(move |http, body| {
            let (script, requests) = &state;
            let body = String::from_utf8_lossy(&body).into_owned();
            let called = (http.method().to_string(), http.uri().to_string(), body);
            requests.lock().unwrap().push(called);
            let mut script = script.lock().unwrap();
            let said = if script.len() > 1 {
                script.pop_front()
            } else {
                script.front().cloned()
            };
            let answer = match said.unwrap() {
                Say::Answer(status, body) => {
                    HttpResponse::build(status.try_into().unwrap()).body(body)
                }
                Say::HangUp => HttpResponse::Ok().streaming(futures_util::stream::once(async {
                    Err::<web::Bytes, _>(std::io::Error::other("gone"))
                })),
            };
            async move { answer }
        });
        Fake {
            url,
            script,
            requests,
        }
    }

    fn says(&self, script: &[Say]) {
        *self.script.lock().unwrap() = script.iter().cloned().collect();
    }

    fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn msisdn(raw: &str) -> Msisdn {
    Msisdn::parse(raw).unwrap()
}

fn message() -> Message {
    Message {
        reference: "42".to_owned(),
        msisdn: msisdn("+254700000001"),
        text: "Habari é".to_owned(),
        attempt: 1,
        sender: Some("LODGE".to_owned()),
        report_url: Some("https://sms.example.com/delivery".to_owned()),
    }
}

/// The account that leads to a fake, by whatever names the provider has for its address and secrets.
fn account(provider: &str, url: &str) -> Account {
    let settings = sms::find(provider).unwrap().settings();
    let mut values = Vec::new();
    for name in settings.needed.iter().chain(settings.optional) {
        match *name {
            "url" | "base_url" | "sendsms_url" | "send_url" | "report_url" => {
                values.push((*name, url))
            }
            _ if settings.needed.contains(name) => values.push((*name, "secret")),
            _ => {}
        }
    }
    Account::new(values)
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    sms::http_builder().build().unwrap()
}

#[tokio::test]
async fn every_provider_takes_refuses_and_fails_in_its_own_words() {
    let at = |status: &str, code: u32| {
        json!({ "SMSMessageData": { "Message": status, "Recipients": [
            { "statusCode": code, "number": "+254700000001", "messageId": "id-1" }] } })
        .to_string()
    };
    let infobip = |group: u32, name: &str| {
        json!({ "messages": [{ "messageId": "id-1", "status": { "groupId": group, "name": name } }] }).to_string()
    };
    let vonage = |status: &str| {
        json!({ "messages": [{ "status": status, "message-id": "id-1" }] }).to_string()
    };
    // Accepted, refused for good, and the route of no use: the words of each.
    let table = [
        (
            "africastalking",
            "id-1",
            say(201, &at("Sent", 101)),
            say(201, &at("Sent", 403)),
            say(201, &at("Sent", 405)),
        ),
        (
            "arkesel",
            "id-1",
            say(200, r#"{"status":"success","data":[{"id":"id-1"}]}"#),
            say(
                200,
                r#"{"status":"success","data":[{"invalid numbers":["x"]}]}"#,
            ),
            say(402, r#"{"status":"error"}"#),
        ),
        (
            "beem",
            "17",
            say(200, r#"{"successful":true,"request_id":17,"code":100}"#),
            say(400, r#"{"data":{"code":101}}"#),
            say(400, r#"{"data":{"code":102}}"#),
        ),
        (
            "hubtel",
            "id-1",
            say(201, r#"{"messageId":"id-1","status":0}"#),
            say(200, r#"{"messageId":null,"status":4}"#),
            say(401, ""),
        ),
        (
            "infobip",
            "id-1",
            say(200, &infobip(1, "PENDING_ACCEPTED")),
            say(200, &infobip(5, "REJECTED_DESTINATION")),
            say(200, &infobip(5, "REJECTED_NOT_ENOUGH_CREDITS")),
        ),
        (
            "jasmin",
            "id-1",
            say(200, "Success \"id-1\""),
            say(412, "Error \"No route found\""),
            say(403, "Error \"Authentication failure for username:u\""),
        ),
        (
            "kannel",
            "42",
            say(202, "0: Accepted for delivery"),
            say(400, "Bad"),
            say(403, "Authorization failed for sendsms"),
        ),
        (
            "mtn_madapi",
            "42",
            say(200, r#"{"statusCode":"0000","transactionId":"t-1"}"#),
            say(200, r#"{"statusCode":"4000"}"#),
            say(401, ""),
        ),
        (
            "termii",
            "id-1",
            say(200, r#"{"code":"ok","message_id":"id-1"}"#),
            say(422, r#"{"message":"Invalid number"}"#),
            say(400, r#"{"message":"Insufficient balance"}"#),
        ),
        (
            "twilio",
            "id-1",
            say(201, r#"{"sid":"id-1"}"#),
            say(400, r#"{"code":21610}"#),
            say(400, r#"{"code":21606}"#),
        ),
        (
            "vonage",
            "id-1",
            say(200, &vonage("0")),
            say(200, &vonage("3")),
            say(200, &vonage("9")),
        ),
    ];
    let untried = sms::PROVIDERS
        .iter()
        .filter(|known| table.iter().all(|(name, ..)| *name != known.name()));
    assert_eq!(
        untried.map(|provider| provider.name()).collect::<Vec<_>>(),
        [""; 0]
    );
    let http = http();
    let fake = Fake::start(&[say(500, "")]);
    for (name, id, accepted, refused, useless) in table {
        let (provider, account) = (sms::find(name).unwrap(), account(name, &fake.url));
        let sent = async |said: Say| {
            fake.says(&[said]);
            sms::send(&http, provider, &account, &message()).await
        };
        let provider_id = id.to_owned();
        assert_eq!(
            sent(accepted).await,
            Sent::Accepted { provider_id },
            "{name}"
        );
        assert!(
            matches!(sent(refused).await, Sent::Refused { .. }),
            "{name}"
        );
        assert!(
            matches!(sent(useless).await, Sent::RoutePaused { .. }),
            "{name}"
        );
        for status in [429, 500, 503] {
            let later = sent(say(status, "try later")).await;
            assert!(
                matches!(later, Sent::RetryLater { .. }),
                "{name} {status}: {later:?}"
            );
        }
        for doubtful in [say(200, ""), say(200, "<html>"), say(504, ""), Say::HangUp] {
            let unknown = sent(doubtful).await;
            assert!(
                matches!(unknown, Sent::Unknown { .. }),
                "{name}: {unknown:?}"
            );
        }
    }
}

async fn insert(client: &Client, number: &str) -> i64 {
    written::insert(client, "booked", number, "x").await
}

/// Status, route and reason of a row.
async fn row(client: &Client, outbox_id: i64) -> (String, Option<String>, Option<String>) {
    let sql = "select status, route, reason from outbox where outbox_id = $1";
    let row = client.query_one(sql, &[&outbox_id]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

async fn reach(client: &Client, outbox_id: i64, status: &str, route: &str) {
    let wanted = (status.to_owned(), Some(route.to_owned()));
    eventually(&format!("{status} by {route}"), async || {
        let (status, route, _) = row(client, outbox_id).await;
        ((status, route) == wanted).then_some(())
    })
    .await;
}

async fn pass(client: &Client, seconds: u64) {
    let sql = "update outbox set due_at = due_at - make_interval(secs => $1), sent_at = sent_at - make_interval(secs => $1)";
    client.execute(sql, &[&(seconds as f64)]).await.unwrap();
}

fn route(name: &str, provider: &str, fake: &Fake, more: serde_json::Value) -> Route {
    let mut config = json!({ "provider": provider, "name": name, "sender": "LODGE" });
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let config: RouteConfig = serde_json::from_value(config).unwrap();
    let carrier = Carrier::http(sms::find(provider).unwrap(), account(provider, &fake.url));
    Route::new(config, carrier, None, Ids::default())
}

struct Running {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(pool: &Pool, routes: Vec<Route>) -> Running {
        Running::with(pool, Routes::new(routes))
    }

    fn with(pool: &Pool, routes: Routes) -> Running {
        let worker = Worker::new(books(pool), http(), routes, Chance::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(worker.run(stopped));
        Running { stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

const TAKEN_BY_INFOBIP: &str =
    r#"{"messages":[{"messageId":"m-1","status":{"groupId":1,"name":"PENDING"}}]}"#;

#[tokio::test]
async fn a_spare_takes_over_where_the_first_route_is_of_no_use() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    for useless in [
        say(403, "Authorization failed"),
        say(503, "Temporal failure"),
    ] {
        let (first, spare) = (
            Fake::start(&[useless]),
            Fake::start(&[say(200, TAKEN_BY_INFOBIP)]),
        );
        let id = insert(&client, "+254700000001").await;
        let worker = Running::start(
            &pool,
            vec![
                route("own", "kannel", &first, json!({})),
                route("spare", "infobip", &spare, json!({})),
            ],
        );
        reach(&client, id, "accepted", "spare").await;
        assert_eq!((first.asked(), spare.asked()), (1, 1));
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_paused_route_is_not_asked_again_and_its_spare_is() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let (first, spare) = (
        Fake::start(&[say(403, "")]),
        Fake::start(&[say(200, TAKEN_BY_INFOBIP)]),
    );
    let worker = Running::start(
        &pool,
        vec![
            route("own", "kannel", &first, json!({})),
            route("spare", "infobip", &spare, json!({})),
        ],
    );
    for _ in 0..3 {
        let id = insert(&client, "+254700000001").await;
        reach(&client, id, "accepted", "spare").await;
    }
    assert_eq!((first.asked(), spare.asked()), (1, 3));
    worker.stop().await;
}

#[tokio::test]
async fn a_message_in_doubt_waits_and_stays_with_its_route() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let (first, spare) = (
        Fake::start(&[Say::HangUp]),
        Fake::start(&[say(200, TAKEN_BY_INFOBIP)]),
    );
    let id = insert(&client, "+254700000001").await;
    let worker = Running::start(
        &pool,
        vec![
            route("own", "kannel", &first, json!({})),
            route("spare", "infobip", &spare, json!({})),
        ],
    );
    reach(&client, id, "unknown", "own").await;
    // Others go on meanwhile.
    first.says(&[say(202, "0: Accepted for delivery")]);
    let other = insert(&client, "+254700000002").await;
    reach(&client, other, "accepted", "own").await;
    pass(&client, 89).await;
    assert_eq!(
        (row(&client, id).await.0.as_str(), spare.asked()),
        ("unknown", 0)
    );
    pass(&client, 1).await;
    reach(&client, id, "accepted", "own").await;
    assert_eq!(spare.asked(), 0);
    // In doubt again, and then its route is of no use: only now another one gets it.
    first.says(&[Say::HangUp, say(503, "")]);
    let id = insert(&client, "+254700000003").await;
    reach(&client, id, "unknown", "own").await;
    pass(&client, 90).await;
    reach(&client, id, "accepted", "spare").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_report_that_names_our_id_settles_a_message_in_doubt() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[Say::HangUp]);
    // Two to one number: the number alone would not tell which.
    let ids = [
        insert(&client, "+254700000001").await,
        insert(&client, "+254700000001").await,
    ];
    let worker = Running::start(&pool, vec![route("own", "kannel", &fake, json!({}))]);
    for id in ids {
        reach(&client, id, "unknown", "own").await;
    }
    worker.stop().await;
    let report = DeliveryReport {
        reference: Some(ids[1].to_string()),
        ..DeliveryReport::new(ids[1].to_string(), DeliveryStatus::Delivered)
    };
    outbox::record_report(&client, "kannel", &report)
        .await
        .unwrap();
    assert_eq!(row(&client, ids[0]).await.0, "unknown");
    assert_eq!(row(&client, ids[1]).await.0, "delivered");
    pass(&client, 90).await;
    let due = outbox::claim_due(&client, 10, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(
        due.claimed
            .iter()
            .map(|row| row.outbox_id)
            .collect::<Vec<_>>(),
        [ids[0]]
    );
}

#[tokio::test]
async fn a_number_takes_the_route_of_its_country_and_one_without_a_route_fails() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let (east, west) = (
        Fake::start(&[say(202, "0: Accepted")]),
        Fake::start(&[say(202, "0: Accepted")]),
    );
    let worker = Running::start(
        &pool,
        vec![
            route(
                "east",
                "kannel",
                &east,
                json!({ "countries": ["KE", "TZ"], "senders": { "TZ": "MAHALI" } }),
            ),
            route("west", "kannel", &west, json!({ "countries": ["GH"] })),
        ],
    );
    for (number, name) in [
        ("+254700000001", "east"),
        ("+255700000001", "east"),
        ("+233240000001", "west"),
    ] {
        let id = insert(&client, number).await;
        reach(&client, id, "accepted", name).await;
    }
    let nowhere = insert(&client, "+447700900001").await;
    reach(&client, nowhere, "failed", "none").await;
    assert_eq!(row(&client, nowhere).await.2.as_deref(), Some("no_route"));
    let senders: Vec<bool> = east
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|(_, uri, _)| uri.contains("from=MAHALI"))
        .collect();
    assert_eq!(senders, [false, true]);
    worker.stop().await;
}

#[tokio::test]
async fn a_route_at_its_rate_puts_messages_off_and_others_pass() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let (slow, fast) = (
        Fake::start(&[say(202, "0: Accepted")]),
        Fake::start(&[say(202, "0: Accepted")]),
    );
    let mut slow_ids = Vec::new();
    for _ in 0..5 {
        slow_ids.push(insert(&client, "+254700000001").await);
    }
    let fast_id = insert(&client, "+233240000001").await;
    let worker = Running::start(
        &pool,
        vec![
            route(
                "slow",
                "kannel",
                &slow,
                json!({ "countries": ["KE"], "per_second": 0.01 }),
            ),
            route("fast", "kannel", &fast, json!({ "countries": ["GH"] })),
        ],
    );
    reach(&client, fast_id, "accepted", "fast").await;
    let sql = "select count(*) from outbox where outbox_id = any($1) and status = 'pending' and attempts = 0
               and reason = 'throttled' and due_at between now() + interval '60 seconds' and now() + interval '401 seconds'";
    eventually("four to wait", async || {
        let waiting: i64 = client.query_one(sql, &[&slow_ids]).await.unwrap().get(0);
        (waiting == 4).then_some(())
    })
    .await;
    assert_eq!(slow.asked(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_provider_that_does_not_report_is_asked() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[say(
        200,
        r#"{"successful":true,"request_id":17,"code":100}"#,
    )]);
    let id = insert(&client, "+254700000001").await;
    let worker = Running::start(&pool, vec![route("tz", "beem", &fake, json!({}))]);
    reach(&client, id, "accepted", "tz").await;
    worker.stop().await;
    let (beem, account) = (sms::find("beem").unwrap(), account("beem", &fake.url));
    let ask = async || {
        jobs::sms::poll(&pool, &http(), beem, &account)
            .await
            .unwrap()
    };
    ask().await;
    assert_eq!(fake.asked(), 1, "too early to ask");
    fake.says(&[
        say(200, r#"{"status":"PENDING"}"#),
        say(500, ""),
        say(200, r#"{"status":"DELIVERED"}"#),
    ]);
    for (passed, state) in [
        (40, "sent"),
        (60, "sent"),
        (600, "delivered"),
        (6000, "delivered"),
    ] {
        pass(&client, passed).await;
        client
            .execute(
                "update outbox set polled_at = polled_at - make_interval(secs => $1)",
                &[&f64::from(passed as u32)],
            )
            .await
            .unwrap();
        ask().await;
        assert_eq!(row(&client, id).await.0, state, "{passed}");
    }
    assert_eq!(fake.asked(), 4);
    let (method, uri, _) = fake.requests.lock().unwrap()[1].clone();
    assert_eq!(
        (method.as_str(), uri.as_str()),
        ("GET", "/?dest_addr=254700000001&request_id=17")
    );
}

#[tokio::test]
async fn a_message_that_nobody_reports_on_is_unconfirmed_after_two_days() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[say(202, "0: Accepted")]);
    let (silent, fresh) = (
        insert(&client, "+254700000001").await,
        insert(&client, "+254700000002").await,
    );
    let worker = Running::start(&pool, vec![route("own", "kannel", &fake, json!({}))]);
    reach(&client, silent, "accepted", "own").await;
    reach(&client, fresh, "accepted", "own").await;
    worker.stop().await;
    let sql = "update outbox set sent_at = now() - interval '48 hours' where outbox_id = $1";
    client.execute(sql, &[&silent]).await.unwrap();
    let early = DeliveryReport::new("nobody", DeliveryStatus::Delivered);
    outbox::record_report(&client, "kannel", &early)
        .await
        .unwrap();
    client
        .execute(
            "update delivery_report set at = now() - interval '73 hours'",
            &[],
        )
        .await
        .unwrap();
    jobs::sms::sweep(&pool).await.unwrap();
    assert_eq!(row(&client, silent).await.0, "unconfirmed");
    assert_eq!(row(&client, fresh).await.0, "accepted");
    let kept: i64 = client
        .query_one("select count(*) from delivery_report", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(
        kept, 1,
        "a report without a message is kept for 72 hours at least"
    );
    // A step on the way changes nothing any more, the end does.
    for (status, state) in [
        (DeliveryStatus::Sent, "unconfirmed"),
        (DeliveryStatus::Delivered, "delivered"),
        (DeliveryStatus::Failed, "delivered"),
    ] {
        let report = DeliveryReport::new(silent.to_string(), status);
        outbox::record_report(&client, "kannel", &report)
            .await
            .unwrap();
        assert_eq!(row(&client, silent).await.0, state);
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_refused() {
    let token = say(200, r#"{"access_token":"tok","expires_in":"3599"}"#);
    let taken = say(200, r#"{"statusCode":"0000"}"#);
    let fake = Fake::start(&[
        token.clone(),
        taken.clone(),
        taken.clone(),
        say(401, ""),
        token,
        taken,
        say(503, ""),
    ]);
    let mtn = sms::find("mtn_madapi").unwrap();
    let carrier = Carrier::http(mtn, account("mtn_madapi", &fake.url));
    let http = http();
    let accepted = || Sent::Accepted {
        provider_id: "42".to_owned(),
    };
    assert_eq!(carrier.send(&http, &message()).await, accepted());
    assert_eq!(carrier.send(&http, &message()).await, accepted());
    assert_eq!(fake.asked(), 3);
    // The token has ended before its time: the message is only late.
    let refused = carrier.send(&http, &message()).await;
    assert!(matches!(refused, Sent::RetryLater { .. }), "{refused:?}");
    assert_eq!(carrier.send(&http, &message()).await, accepted());
    assert_eq!(fake.asked(), 6);
    // A fresh account that gets no token sends nothing.
    let account = account("mtn_madapi", &fake.url);
    let fresh = Carrier::http(mtn, account.clone());
    let late = fresh.send(&http, &message()).await;
    assert!(matches!(late, Sent::RetryLater { .. }), "{late:?}");
    fake.says(&[say(200, r#"{"access_token":"tok"}"#), say(401, "")]);
    let useless = Carrier::http(mtn, account.clone())
        .send(&http, &message())
        .await;
    assert!(matches!(useless, Sent::RoutePaused { .. }), "{useless:?}");
    fake.says(&[say(401, "")]);
    let useless = Carrier::http(mtn, account).send(&http, &message()).await;
    assert!(matches!(useless, Sent::RoutePaused { .. }), "{useless:?}");
}

#[tokio::test]
async fn a_flood_of_messages_costs_no_more_than_its_budget_and_leaves_when_that_is_full_again() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[say(200, TAKEN_BY_INFOBIP)]);
    // 80 a part: 5 parts an hour for a block, 8 a day for the country.
    let kenya = Budget {
        part: 80,
        hour: 100 * 80,
        day: 8 * 80,
        block_hour: 5 * 80,
    };
    let mut rows = Vec::new();
    for block in ["+254711000", "+254711001"] {
        for number in 100..120 {
            rows.push(insert(&client, &format!("{block}{number}")).await);
        }
    }
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let routes = Routes::new(vec![route("one", "infobip", &fake, json!({}))])
                .within(Budgets::new(&[("KE".to_owned(), kenya)].into()));
            Running::with(&pool, routes)
        })
        .collect();
    let count = async |status: &str, reason: Option<&str>| -> i64 {
        let sql =
            "select count(*) from outbox where status = $1 and reason is not distinct from $2";
        client
            .query_one(sql, &[&status, &reason])
            .await
            .unwrap()
            .get(0)
    };
    let rest = i64::try_from(rows.len()).unwrap() - 8;
    eventually("eight have left and the others wait", async || {
        let waits = count("pending", Some("over_budget")).await == rest;
        (waits && count("accepted", None).await == 8).then_some(())
    })
    .await;
    assert_eq!(fake.asked(), 8, "the spend is within its cap");
    let first =
        "select count(*) from outbox where status = 'accepted' and msisdn like '+254711000%'";
    let first: i64 = client.query_one(first, &[]).await.unwrap().get(0);
    assert!((3..=5).contains(&first), "{first} of one block");
    let waits = "select count(*) from outbox where status = 'pending' and attempts = 0
                 and due_at between now() and date_trunc('day', now()) + interval '1 day 1 minute'";
    let waits: i64 = client.query_one(waits, &[]).await.unwrap().get(0);
    assert_eq!(
        waits, rest,
        "they wait for the next hour and use up no attempt"
    );

    // The next hour.
    client
        .batch_execute(
            "update sms_spend set since = since - interval '1 day';
             update outbox set due_at = now() where status = 'pending'",
        )
        .await
        .unwrap();
    eventually("another eight have left", async || {
        (count("accepted", None).await == 16).then_some(())
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_did_not_leave_costs_nothing() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[say(400, "{}")]);
    let outbox_id = insert(&client, "+254711000001").await;
    let worker = Running::start(&pool, vec![route("one", "infobip", &fake, json!({}))]);
    reach(&client, outbox_id, "failed", "one").await;
    worker.stop().await;
    let spent = "select count(*), sum(spent)::bigint from sms_spend";
    let row = client.query_one(spent, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 0));
}
