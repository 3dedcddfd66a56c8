//! Messages leave once, whatever breaks, and reports find them. Time passes by moving the rows, never by sleeping.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use deadpool_postgres::{Client, Pool};
use reserveflow::chance::Chance;
use reserveflow::db::outbox::{self, Claimed, Outcome, Via};
use reserveflow::jobs::outbox::Worker;
use reserveflow::phone::Msisdn;
use reserveflow::sms::africastalking::AfricasTalking;
use reserveflow::sms::route::Routes;
use reserveflow::sms::{self, Account, Carrier, DeliveryReport, DeliveryStatus, InboundSms};
use tokio::sync::watch;

use crate::support::outbox as written;
use crate::support::postgres::{books, database};

const LEASE: Duration = Duration::from_secs(60);
/// Longer than anything here should take; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn msisdn(raw: &str) -> Msisdn {
    Msisdn::parse(raw).unwrap()
}

async fn insert(client: &Client, number: &str, text: &str) -> i64 {
    written::insert(client, "booked", number, text).await
}

async fn claim(client: &Client) -> Vec<Claimed> {
    outbox::claim_due(client, 50, LEASE).await.unwrap().claimed
}

async fn claim_one(client: &Client) -> Claimed {
    let mut claimed = claim(client).await;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

async fn complete(client: &Client, claimed: &Claimed, outcome: &Outcome) -> bool {
    outbox::complete(client, claimed, via("africastalking"), outcome)
        .await
        .unwrap()
}

/// The way of a provider with one route.
fn via(provider: &str) -> Via<'_> {
    Via {
        provider,
        route: provider,
    }
}

async fn status(client: &Client, outbox_id: i64) -> String {
    let sql = "select status from outbox where outbox_id = $1";
    client.query_one(sql, &[&outbox_id]).await.unwrap().get(0)
}

/// Lets this much time pass for every row.
async fn pass(client: &Client, seconds: u64) {
    let sql = "update outbox set due_at = due_at - make_interval(secs => $1),
               lease_until = lease_until - make_interval(secs => $1),
               expires_at = expires_at - make_interval(secs => $1)";
    client.execute(sql, &[&(seconds as f64)]).await.unwrap();
}

fn accepted(provider_id: &str) -> Outcome {
    let provider_id = provider_id.to_owned();
    Outcome::Accepted { provider_id }
}

fn retry(seconds: u64) -> Outcome {
    Outcome::Retry {
        after: Duration::from_secs(seconds),
        reason: "busy".to_owned(),
    }
}

fn unknown(seconds: Option<u64>) -> Outcome {
    Outcome::Unknown {
        resend_after: seconds.map(Duration::from_secs),
        reason: "timeout".to_owned(),
    }
}

async fn report(client: &Client, id: &str, number: Option<&str>, status: DeliveryStatus) {
    let report = DeliveryReport {
        msisdn: number.map(msisdn),
        ..DeliveryReport::new(id, status)
    };
    outbox::record_report(client, "africastalking", &report)
        .await
        .unwrap();
}

async fn reports_waiting(client: &Client) -> i64 {
    let sql = "select count(*) from delivery_report where not matched";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn four_workers_never_claim_the_same_row() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute(
            "insert into outbox (kind, msisdn, text, expires_at)
             select 'test', '+254700000001', 'x', now() + interval '1 hour' from generate_series(1, 2000)",
        )
        .await
        .unwrap();
    let claims = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let client = pool.get().await.unwrap();
            let mut ids = Vec::new();
            loop {
                let claimed = claim(&client).await;
                if claimed.is_empty() {
                    return ids;
                }
                assert!(claimed.len() <= 50);
                ids.extend(claimed.iter().map(|row| row.outbox_id));
            }
        })
    });
    let mut ids: Vec<i64> = Vec::new();
    for worker in claims.collect::<Vec<_>>() {
        ids.extend(worker.await.unwrap());
    }
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!((all, ids.len()), (2000, 2000));
}

#[tokio::test]
async fn after_an_outage_guests_come_before_hosts_and_reminders_last() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    for kind in [
        "remind_stay",
        "host_booked",
        "remind_pay",
        "host_digest",
        "booked",
    ] {
        written::insert(&client, kind, "+254700000001", "x").await;
        // The later it was written, the longer the others have waited.
        pass(&client, 60).await;
    }
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let due = outbox::claim_due(&client, 1, LEASE).await.unwrap();
        kinds.extend(due.claimed.into_iter().map(|claimed| claimed.kind));
    }
    assert_eq!(
        kinds,
        [
            "remind_pay",
            "booked",
            "host_booked",
            "remind_stay",
            "host_digest"
        ]
    );
}

#[tokio::test]
async fn a_worker_that_outlived_its_lease_changes_nothing() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "Karibu").await;
    let slow = claim_one(&client).await;
    pass(&client, 59).await;
    assert!(claim(&client).await.is_empty());
    pass(&client, 2).await;
    let next = claim_one(&client).await;
    assert_eq!(
        (next.attempts, next.unknowns, next.text.as_str()),
        (2, 1, "Karibu")
    );
    assert!(!complete(&client, &slow, &retry(5)).await);
    assert!(complete(&client, &next, &accepted("ATXid_1")).await);
    assert!(!complete(&client, &slow, &accepted("ATXid_0")).await);
    assert!(!complete(&client, &next, &retry(5)).await);
    assert_eq!(status(&client, id).await, "accepted");
}

#[tokio::test]
async fn retries_go_on_until_the_message_expires() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "x").await;
    for (attempt, wait) in [5, 30, 120, 600, 1800, 7200, 7200].into_iter().enumerate() {
        let claimed = claim_one(&client).await;
        assert_eq!(claimed.attempts as usize, attempt + 1);
        assert!(complete(&client, &claimed, &retry(wait)).await);
        pass(&client, wait - 1).await;
        assert!(claim(&client).await.is_empty());
        pass(&client, 1).await;
    }
    // 16,955 of 21,600 seconds are over: the next wait is cut short by the end.
    let claimed = claim_one(&client).await;
    assert!(complete(&client, &claimed, &retry(7200)).await);
    pass(&client, 4644).await;
    assert!(claim(&client).await.is_empty());
    pass(&client, 2).await;
    let due = outbox::claim_due(&client, 50, LEASE).await.unwrap();
    assert_eq!((due.claimed.len(), due.expired), (0, 1));
    assert_eq!(status(&client, id).await, "dropped");
    pass(&client, 100_000).await;
    assert_eq!(
        outbox::claim_due(&client, 50, LEASE).await.unwrap().expired,
        0
    );
}

#[tokio::test]
async fn a_paused_attempt_does_not_count() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "x").await;
    let paused = Outcome::Paused {
        after: Duration::from_secs(60),
        reason: "InsufficientBalance".to_owned(),
    };
    for _ in 0..3 {
        let claimed = claim_one(&client).await;
        assert_eq!(claimed.attempts, 1);
        assert!(complete(&client, &claimed, &paused).await);
        assert_eq!(status(&client, id).await, "pending");
        pass(&client, 60).await;
    }
}

#[tokio::test]
async fn what_may_have_been_sent_waits_and_stays_unknown_in_the_end() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "same text").await;
    for unknowns in 0..2 {
        let claimed = claim_one(&client).await;
        assert_eq!(
            (claimed.unknowns, claimed.text.as_str()),
            (unknowns, "same text")
        );
        assert!(complete(&client, &claimed, &unknown(Some(90))).await);
        pass(&client, 89).await;
        assert!(claim(&client).await.is_empty());
        pass(&client, 1).await;
    }
    let claimed = claim_one(&client).await;
    assert!(complete(&client, &claimed, &unknown(None)).await);
    pass(&client, 1_000_000).await;
    assert!(claim(&client).await.is_empty());
    assert_eq!(status(&client, id).await, "unknown");
}

#[tokio::test]
async fn a_send_without_answer_that_expires_is_not_called_dropped() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "x").await;
    claim_one(&client).await;
    pass(&client, 6 * 3600).await;
    let due = outbox::claim_due(&client, 50, LEASE).await.unwrap();
    assert_eq!((due.claimed.len(), due.expired), (0, 1));
    assert_eq!(status(&client, id).await, "unknown");
}

#[tokio::test]
async fn an_early_report_waits_for_its_message() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "x").await;
    let claimed = claim_one(&client).await;
    // The spelling of the id differs, and the report comes twice.
    report(
        &client,
        "atxid_0000000a",
        Some("+254700000001"),
        DeliveryStatus::Delivered,
    )
    .await;
    report(
        &client,
        "atxid_0000000a",
        Some("+254700000001"),
        DeliveryStatus::Delivered,
    )
    .await;
    report(&client, "ATXid_0000000A", None, DeliveryStatus::Sent).await;
    assert_eq!(reports_waiting(&client).await, 2);
    assert_eq!(status(&client, id).await, "sending");
    assert!(complete(&client, &claimed, &accepted("ATXid_0000000A")).await);
    assert_eq!(status(&client, id).await, "delivered");
    assert_eq!(reports_waiting(&client).await, 0);
}

#[tokio::test]
async fn rank_only_rises() {
    use DeliveryStatus::{Buffered, Delivered, Expired, Failed, Sent, Unknown};
    let pool = database().await;
    let client = pool.get().await.unwrap();
    for (place, (reports, end)) in [
        (vec![Sent, Delivered, Sent], "delivered"),
        (vec![Delivered, Failed], "delivered"),
        (vec![Failed, Delivered], "failed"),
        (vec![Buffered, Sent], "buffered"),
        (vec![Unknown], "accepted"),
        (vec![Buffered, Expired, Unknown], "expired"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = insert(&client, "+254700000001", "x").await;
        let claimed = claim_one(&client).await;
        let provider_id = format!("id{place}");
        assert!(complete(&client, &claimed, &accepted(&provider_id)).await);
        for status in reports {
            for _ in 0..2 {
                report(&client, &provider_id, None, status).await;
            }
        }
        assert_eq!(status(&client, id).await, end);
        assert_eq!(reports_waiting(&client).await, 0);
    }
}

#[tokio::test]
async fn a_report_on_the_number_settles_what_was_unknown() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "x").await;
    let claimed = claim_one(&client).await;
    assert!(complete(&client, &claimed, &unknown(Some(90))).await);
    report(
        &client,
        "ATXid_other",
        Some("+254700000002"),
        DeliveryStatus::Sent,
    )
    .await;
    assert_eq!(status(&client, id).await, "unknown");
    report(
        &client,
        "ATXid_7",
        Some("+254700000001"),
        DeliveryStatus::Sent,
    )
    .await;
    assert_eq!(status(&client, id).await, "sent");
    report(
        &client,
        "ATXid_7",
        Some("+254700000001"),
        DeliveryStatus::Delivered,
    )
    .await;
    assert_eq!(status(&client, id).await, "delivered");
    pass(&client, 90).await;
    assert!(claim(&client).await.is_empty());
}

#[tokio::test]
async fn a_report_that_may_be_for_another_message_settles_nothing() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "first").await;
    let claimed = claim_one(&client).await;
    assert!(complete(&client, &claimed, &unknown(Some(90))).await);
    let second = insert(&client, "+254700000001", "second").await;
    let sending = claim_one(&client).await;
    report(
        &client,
        "ATXid_8",
        Some("+254700000001"),
        DeliveryStatus::Sent,
    )
    .await;
    assert_eq!(status(&client, id).await, "unknown");
    assert!(complete(&client, &sending, &accepted("ATXid_8")).await);
    assert_eq!(status(&client, second).await, "sent");
    assert_eq!(status(&client, id).await, "unknown");
}

#[tokio::test]
async fn reports_and_answers_that_race_always_meet() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    for turn in 0..100 {
        let id = insert(&client, "+254700000001", "x").await;
        let claimed = claim_one(&client).await;
        let provider_id = format!("race{turn}");
        let reporter = pool.get().await.unwrap();
        let outcome = accepted(&provider_id);
        tokio::join!(
            complete(&client, &claimed, &outcome),
            report(
                &reporter,
                &provider_id,
                Some("+254700000001"),
                DeliveryStatus::Delivered
            ),
        );
        assert_eq!(status(&client, id).await, "delivered", "{turn}");
    }
    assert_eq!(reports_waiting(&client).await, 0);
}

#[tokio::test]
async fn reports_left_by_a_dead_process_are_applied_later() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let id = insert(&client, "+254700000001", "x").await;
    let claimed = claim_one(&client).await;
    assert!(complete(&client, &claimed, &accepted("ATXid_1")).await);
    client
        .batch_execute(
            "insert into delivery_report (provider, provider_id, status, reason) values
             ('africastalking', 'atxid_1', 'failed', 'UserInBlackList'), ('africastalking', 'atxid_1', 'sent', null),
             ('africastalking', 'atxid_2', 'sent', null)",
        )
        .await
        .unwrap();
    outbox::apply_reports(&client).await.unwrap();
    assert_eq!(status(&client, id).await, "failed");
    assert_eq!(reports_waiting(&client).await, 1);
}

#[tokio::test]
async fn one_message_of_a_kind_to_a_number_per_reservation() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let reservation = Some(reservation(&client).await);
    let mut inserted = Vec::new();
    for (kind, number) in [
        ("booked", "+254700000001"),
        ("booked", "+254700000001"),
        ("booked", "+254700000002"),
        ("host_booked", "+254700000001"),
    ] {
        let id = written::insert_for(&client, reservation, kind, number, "x").await;
        inserted.push(id.is_some());
    }
    assert_eq!(inserted, [true, false, true, true]);
}

/// A reservation with the least that the schema asks for.
async fn reservation(client: &Client) -> uuid::Uuid {
    let id = uuid::Uuid::new_v4();
    client
        .batch_execute(&format!(
            "insert into place (place_id, kind, name, country, region, latitude, longitude)
               values ('nakuru', 'town', 'Nakuru', 'ke', 'Nakuru', 0, 36);
             insert into host (host_id, name, msisdn) values ('{id}', 'Wanjiru', '+254700000009');
             insert into property (property_id, short_id, host_id, town, name, kind, units, guests_max, price_base,
               currency, time_zone, pay, phone) values ('{id}', '1', '{id}', 'nakuru', 'Sunset', 'lodge', 1, 2, 100,
               'KES', 'Africa/Nairobi', 'at_lodge', '0700000009');
             insert into reservation (reservation_id, code, property_id, check_in, check_out, guests, msisdn, language,
               status, nightly_prices, total, currency, pay, cancel_hours, turn_door, turn_session, turn_position)
               values ('{id}', '12345678', '{id}', '2030-01-01', '2030-01-02', 1, '+254700000001', 'en',
               'confirmed', '{{100}}', 100, 'KES', 'at_lodge', 0, 'test', 's', 1);"
        ))
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn an_inbound_message_counts_once() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let sms = |id: &str| InboundSms::new(id, msisdn("+254700000001"), "22384", "STOP\0");
    let mut fresh = Vec::new();
    for (provider, id) in [
        ("africastalking", "1"),
        ("africastalking", "1"),
        ("africastalking", "2"),
        ("twilio", "1"),
    ] {
        fresh.push(
            outbox::insert_inbound(&client, provider, &sms(id))
                .await
                .unwrap(),
        );
    }
    assert_eq!(fresh, [true, false, true, true]);
}

/// A running worker, stopped by [`Running::stop`].
struct Running {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(pool: &Pool, carrier: Carrier) -> Running {
        let routes = Routes::one(carrier, Some("SHORTY"));
        let worker = Worker::new(
            books(pool),
            http().build().unwrap(),
            routes,
            Chance::default(),
        );
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(worker.run(stopped));
        Running { stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Waits until the row is in this state.
async fn reach(client: &Client, outbox_id: i64, wanted: &str) {
    let reached = async {
        while status(client, outbox_id).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, reached).await.is_err() {
        panic!(
            "still {} instead of {wanted}",
            status(client, outbox_id).await
        );
    }
}

#[tokio::test]
async fn the_sandbox_delivers_but_for_its_failing_numbers() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let good = insert(&client, "+254700000001", "Karibu").await;
    let refused = insert(&client, "+254700000404", "x").await;
    let later = insert(&client, "+254700000500", "x").await;
    let unanswered = insert(&client, "+254700000504", "x").await;
    let undelivered = insert(&client, "+254700000410", "x").await;
    let crooked = insert(&client, "+254700000003", "x").await;
    let sql = "update outbox set msisdn = 'nobody' where outbox_id = $1";
    client.execute(sql, &[&crooked]).await.unwrap();
    let worker = Running::start(&pool, Carrier::Sandbox);
    reach(&client, good, "delivered").await;
    reach(&client, refused, "failed").await;
    reach(&client, crooked, "failed").await;
    reach(&client, undelivered, "failed").await;
    reach(&client, later, "pending").await;
    reach(&client, unanswered, "unknown").await;
    pass(&client, 90).await;
    reach(&client, later, "delivered").await;
    reach(&client, unanswered, "delivered").await;
    worker.stop().await;
    let sent = outbox::list_sent(&client, "sandbox", &msisdn("+254700000001"), 10)
        .await
        .unwrap();
    assert_eq!(sent.len(), 1);
    let json = serde_json::to_value(&sent[0]).unwrap();
    assert_eq!(json["text"], "Karibu");
    assert_eq!(
        (&json["status"], &json["kind"]),
        (&"delivered".into(), &"booked".into())
    );
    assert!(json["at"].is_string());
    let refused = outbox::list_sent(&client, "sandbox", &msisdn("+254700000404"), 10)
        .await
        .unwrap();
    assert!(refused.is_empty());
}

/// What the fake provider says next.
#[derive(Clone, Copy)]
enum Say {
    /// HTTP status without a useful body.
    Http(u16),
    /// 201 with this status code for the recipient.
    Code(u16),
    /// 201 with an answer broken off.
    Garbage,
    /// Accept after a while.
    Slow,
    /// Close the connection without an answer, the request read.
    HangUp,
}

type Form = HashMap<String, String>;

/// Speaks as Africa's Talking does; accepts when its script is at an end.
struct Fake {
    url: String,
    script: Arc<Mutex<VecDeque<Say>>>,
    requests: Arc<Mutex<Vec<Form>>>,
}

impl Fake {
    async fn start(script: &[Say]) -> Fake {
        let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let state = (Arc::clone(&script), Arc::clone(&requests));
        let server = HttpServer::new(move || {
            let (script, requests) = state.clone();
            App::new().route(
                "/version1/messaging",
                web::post().to(move |http: actix_web::HttpRequest, form: web::Form<Form>| {
                    let header = http.headers().get("apiKey");
                    assert_eq!(header.unwrap(), "test-key");
                    let said = script.lock().unwrap().pop_front().unwrap_or(Say::Code(101));
                    let mut requests = requests.lock().unwrap();
                    requests.push(form.into_inner());
                    let answer = answer(said, requests.last().unwrap(), requests.len());
                    async move {
                        if matches!(said, Say::Slow) {
                            tokio::time::sleep(Duration::from_millis(300)).await;
                        }
                        answer
                    }
                }),
            )
        });
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/version1/messaging", server.addrs()[0]);
        tokio::spawn(server.disable_signals().run());
        Fake {
            url,
            script,
            requests,
        }
    }

    fn carrier(&self) -> Carrier {
        Carrier::http(&AfricasTalking, account(&self.url))
    }

    fn requests(&self) -> Vec<Form> {
        self.requests.lock().unwrap().clone()
    }
}

fn account(url: &str) -> Account {
    Account::new([("url", url), ("username", "acme"), ("api_key", "test-key")])
}

fn answer(said: Say, form: &Form, count: usize) -> HttpResponse {
    match said {
        Say::Http(status) => HttpResponse::build(status.try_into().unwrap()).body("The supplied authentication is invalid"),
        Say::Garbage => HttpResponse::Created().body("{\"SMSMessageData\":{\"Mess"),
        Say::HangUp => {
            let broken = futures_util::stream::once(async { Err::<web::Bytes, _>(std::io::Error::other("gone")) });
            HttpResponse::Created().streaming(broken)
        }
        Say::Slow => self::answer(Say::Code(101), form, count),
        Say::Code(code) => HttpResponse::Created().json(serde_json::json!({ "SMSMessageData": {
            "Message": "Sent to 1/1 Total Cost: KES 0.8000 Message parts: 1",
            "Recipients": [{ "statusCode": code, "number": form["to"], "status": "Success", "cost": "KES 0.8000",
                             "messageId": if code > 102 { "None".to_owned() } else { format!("ATXid_{count:032}") } }],
        }})),
    }
}

fn http() -> reqwest::ClientBuilder {
    // Fails when another test was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    sms::http_builder()
}

#[tokio::test]
async fn a_provider_that_fails_gets_the_message_again_until_it_takes_it() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let script = [
        Say::Http(500),
        Say::Http(503),
        Say::Code(502),
        Say::Code(407),
        Say::Garbage,
        Say::HangUp,
    ];
    let fake = Fake::start(&script).await;
    let id = insert(&client, "+254700000001", "Habari & karibu + é").await;
    let worker = Running::start(&pool, fake.carrier());
    // Each wait at its longest, jitter included.
    for (attempts, state, wait) in [
        (1, "pending", 6),
        (2, "pending", 36),
        (3, "pending", 144),
        (4, "pending", 720),
        (5, "unknown", 90),
        (6, "unknown", 90),
    ] {
        reach_attempt(&client, id, attempts, state).await;
        pass(&client, wait).await;
    }
    reach(&client, id, "accepted").await;
    let provider_id = format!("ATXid_{:032}", 7);
    report(
        &client,
        &provider_id,
        Some("+254700000001"),
        DeliveryStatus::Delivered,
    )
    .await;
    assert_eq!(status(&client, id).await, "delivered");
    worker.stop().await;
    let requests = fake.requests();
    assert_eq!(requests.len(), 7);
    for request in requests {
        let sent = |field: &str| request[field].clone();
        assert_eq!(sent("message"), "Habari & karibu + é");
        assert_eq!(
            (sent("to"), sent("from"), sent("username")),
            ("+254700000001".into(), "SHORTY".into(), "acme".into())
        );
    }
}

/// Waits until this attempt has ended so.
async fn reach_attempt(client: &Client, outbox_id: i64, attempts: i32, wanted: &str) {
    let sql = "select from outbox where outbox_id = $1 and attempts = $2 and status = $3";
    let reached = async {
        let row = async || {
            client
                .query_opt(sql, &[&outbox_id, &attempts, &wanted])
                .await
        };
        while row().await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "attempt {attempts} is not {wanted}");
}

#[tokio::test]
async fn a_provider_without_credit_is_left_alone_and_nothing_is_lost() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    for said in [Say::Code(405), Say::Code(402), Say::Http(401)] {
        let fake = Fake::start(&[said; 16]).await;
        let mut ids = Vec::new();
        for _ in 0..40 {
            ids.push(insert(&client, "+254700000001", "x").await);
        }
        let worker = Running::start(&pool, fake.carrier());
        let asked = async {
            while fake.requests().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap();
        worker.stop().await;
        let asked = fake.requests().len();
        assert!(asked <= 16, "{asked}");
        let sql = "select count(*) from outbox where outbox_id = any($1) and status = 'pending' and attempts = 0";
        let waiting: i64 = client.query_one(sql, &[&ids]).await.unwrap().get(0);
        assert_eq!(waiting, 40);
        // Someone has paid; a worker that starts afresh tries at once.
        fake.script.lock().unwrap().clear();
        pass(&client, 60).await;
        let worker = Running::start(&pool, fake.carrier());
        for id in ids {
            reach(&client, id, "accepted").await;
        }
        worker.stop().await;
        assert_eq!(fake.requests().len(), asked + 40);
    }
}

#[tokio::test]
async fn one_bad_row_does_not_hold_up_the_others() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[Say::Code(403)]).await;
    let bad = insert(&client, "+254700000001", "x").await;
    let worker = Running::start(&pool, fake.carrier());
    reach(&client, bad, "failed").await;
    let good = insert(&client, "+254700000002", "x").await;
    reach(&client, good, "accepted").await;
    worker.stop().await;
    // A row that no attempt has ever settled is set aside unsent.
    let endless = insert(&client, "+254700000003", "x").await;
    let sql = "update outbox set attempts = 20 where outbox_id = $1";
    client.execute(sql, &[&endless]).await.unwrap();
    let worker = Running::start(&pool, fake.carrier());
    reach(&client, endless, "failed").await;
    assert_eq!(fake.requests().len(), 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_stops_finishes_what_is_under_way() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let fake = Fake::start(&[Say::Slow]).await;
    let id = insert(&client, "+254700000001", "x").await;
    let worker = Running::start(&pool, fake.carrier());
    reach(&client, id, "sending").await;
    worker.stop().await;
    assert_eq!(status(&client, id).await, "accepted");
}

#[tokio::test]
async fn no_connection_is_a_retry_and_no_answer_is_unknown() {
    let patient = http().build().unwrap();
    let message = sms::Message {
        reference: "1".to_owned(),
        msisdn: msisdn("+254700000001"),
        text: "x".to_owned(),
        attempt: 1,
        sender: None,
        report_url: None,
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // The kernel accepts the connection and the request; nobody ever answers.
    let hasty = http().timeout(Duration::from_millis(100)).build().unwrap();
    let unanswered = sms::send(&hasty, &AfricasTalking, &account(&url), &message).await;
    assert_eq!(
        unanswered,
        sms::Sent::Unknown {
            reason: "timeout".to_owned()
        }
    );
    drop(listener);
    let refused = sms::send(&patient, &AfricasTalking, &account(&url), &message).await;
    assert_eq!(
        refused,
        sms::Sent::RetryLater {
            after_seconds: None,
            reason: "connect".to_owned()
        }
    );
    let nonsense = sms::send(&patient, &AfricasTalking, &account("::"), &message).await;
    assert_eq!(
        nonsense,
        sms::Sent::RoutePaused {
            reason: "bad_settings".to_owned()
        }
    );
}
