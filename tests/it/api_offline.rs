//! A client that goes offline at random. What it sends is lost, comes twice, or is answered to nobody; it is started again in
//! the middle, and so is the service. In the end both know the same, and nothing is lost or doubled.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use reserveflow::db::audit::audit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{ask, request, start, whole};
use crate::support::app::{TestApp, noon, today};
use crate::support::{background, eventually};

/// Another one: `OFFLINE_SEED=2 cargo test api_offline`.
const SEED: u64 = 1;
const OPERATIONS: usize = 1_000;
const BATCH_MAX: usize = 12;
const TOWN: &str = "ke-nakuru";
const CONFIG: &str = "payments: { sandbox: true }\napi: { requests_per_minute: 0, shared_ms: 0 }\n";
/// Operations between two starts of the service.
const SERVICE_LASTS: usize = 250;

/// What the client has on its disk.
#[derive(Default, Serialize, Deserialize)]
struct Disk {
    /// As the service last showed them, by id.
    properties: BTreeMap<String, Value>,
    version: i64,
    /// Not answered for good yet, the oldest first.
    queue: Vec<Value>,
    /// Operations with their answers, in the order in which they were queued.
    answered: Vec<(Value, Value)>,
}

/// A client with a bad line.
struct Client {
    disk: Disk,
    rng: StdRng,
    /// Batches that the network may deliver once more.
    sent: Vec<Vec<Value>>,
    queued: usize,
}

impl Client {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100u32) < percent
    }

    fn id(&mut self) -> String {
        Uuid::from_u128(self.rng.random()).to_string()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.rng.random_range(0..from.len())].clone())
    }

    fn queue(&mut self, kind: &str, wish: Value) {
        let mut operation = json!({
            "id": self.id(), "type": kind, "at": Utc::now(), "base_version": self.disk.version,
        });
        let members = operation.as_object_mut().unwrap();
        members.extend(wish.as_object().unwrap().clone());
        self.disk.queue.push(operation);
        self.queued += 1;
    }

    /// Something that a person does while the client knows what it knows.
    fn act(&mut self) {
        match self.rng.random_range(0..100u32) {
            0..45 => self.reserve(),
            45..60 => {
                if let Some(reservation) = self.some_reservation() {
                    self.queue("PAY", json!({"reservation": reservation}));
                }
            }
            60..80 => {
                if let Some(reservation) = self.some_reservation() {
                    self.queue(
                        "CANCEL",
                        json!({"reservation": reservation, "cost_minor": 0}),
                    );
                }
            }
            80..90 => {
                if let Some(reservation) = self.some_reservation() {
                    self.queue("CONFIRM", json!({"reservation": reservation}));
                }
            }
            90..95 => {
                let check_in = today() + Days::new(self.rng.random_range(0..20));
                let wish = json!({"place": TOWN, "check_in": check_in, "nights": 2, "guests": 1});
                self.queue("SEARCH", wish);
            }
            _ => self.take_instead(),
        }
    }

    /// What looks free from here, at the price that it has here.
    fn reserve(&mut self) {
        let properties: Vec<Value> = self.disk.properties.values().cloned().collect();
        let Some(property) = self.pick(&properties) else {
            return;
        };
        let calendar = property["calendar"].as_array().unwrap();
        let nights = self.rng.random_range(1..=3usize);
        let first = self.rng.random_range(0..15usize);
        let stay = &calendar[first..first + nights];
        if stay.iter().any(|night| night["units_left"] == 0) {
            return;
        }
        let total: i64 = stay
            .iter()
            .map(|night| night["price_minor"].as_i64().unwrap())
            .sum();
        let guest = self.rng.random_range(0..60u32);
        self.queue(
            "RESERVE",
            json!({
                "property_id": property["property_id"], "check_in": stay[0]["date"], "nights": nights, "guests": 1,
                "total_minor": total, "currency": property["currency"], "msisdn": format!("+2547118{guest:05}"),
            }),
        );
    }

    /// What the last conflict has offered.
    fn take_instead(&mut self) {
        let offered = self
            .disk
            .answered
            .iter()
            .rev()
            .find_map(|(operation, answer)| {
                let instead = &answer["problem"]["instead"];
                let offer = instead["nights"].get(0).or(instead["properties"].get(0))?;
                (operation["type"] == "RESERVE").then(|| (operation.clone(), offer.clone()))
            });
        let Some((operation, offer)) = offered else {
            return;
        };
        let same = |name: &str| offer[name].clone();
        let wish = json!({
            "property_id": same("property_id"), "check_in": same("check_in"), "nights": same("nights"), "guests": 1,
            "total_minor": same("total_minor"), "currency": same("currency"), "msisdn": operation["msisdn"],
        });
        self.queue("RESERVE", wish);
    }

    /// One that is made or only queued, by its operation, or by its code where that is known.
    fn some_reservation(&mut self) -> Option<Value> {
        let all = self.disk.answered.iter().map(|(operation, _)| operation);
        let all = all.chain(&self.disk.queue);
        let made: Vec<Value> = all
            .filter(|operation| operation["type"] == "RESERVE")
            .map(|operation| operation["id"].clone())
            .collect();
        let id = self.pick(&made)?;
        let by_code = self.chance(30);
        let answer = self
            .disk
            .answered
            .iter()
            .find(|(operation, _)| operation["id"] == id);
        match answer {
            Some((operation, answer)) if by_code && answer["status"] == 200 => {
                let code = &answer["result"]["reservation"]["code"];
                Some(json!({"code": code, "msisdn": operation["msisdn"]}))
            }
            _ => Some(json!({"operation": id})),
        }
    }

    /// Sends the head of the queue over the bad line. Whether the queue is empty.
    async fn send(&mut self, app: &TestApp) -> bool {
        let size = self.rng.random_range(1..=BATCH_MAX);
        let batch: Vec<Value> = self.disk.queue.iter().take(size).cloned().collect();
        if batch.is_empty() {
            return true;
        }
        self.sent.push(batch.clone());
        match self.rng.random_range(0..100u32) {
            // The request is lost.
            0..15 => {}
            // It is worked on, and the answer is lost.
            15..30 => drop(post(app, &batch).await),
            // It is delivered twice at once, and one of the answers comes.
            30..40 => {
                let (one, other) = tokio::join!(post(app, &batch), post(app, &batch));
                let answers = if self.chance(50) { one } else { other };
                self.heard(&batch, answers);
            }
            // An old one is delivered once more before it.
            40..50 => {
                let old = self.rng.random_range(0..self.sent.len());
                let again = post(app, &self.sent[old].clone()).await;
                self.same(&self.sent[old], &again);
                let answers = post(app, &batch).await;
                self.heard(&batch, answers);
            }
            _ => {
                let answers = post(app, &batch).await;
                self.heard(&batch, answers);
            }
        }
        self.disk.queue.is_empty()
    }

    /// Keeps the answers that are final.
    fn heard(&mut self, batch: &[Value], answers: Vec<Value>) {
        assert_eq!(batch.len(), answers.len());
        for (operation, answer) in batch.iter().zip(answers) {
            assert_eq!(operation["id"], answer["id"]);
            let status = answer["status"].as_i64().unwrap();
            assert!(
                matches!(status, 200 | 202 | 404 | 409 | 424 | 503),
                "{operation} {answer}"
            );
            if status == 503 {
                continue;
            }
            self.disk
                .queue
                .retain(|queued| queued["id"] != operation["id"]);
            let is_known = self
                .disk
                .answered
                .iter()
                .any(|(known, _)| known["id"] == operation["id"]);
            if !is_known {
                self.disk.answered.push((operation.clone(), answer));
            }
        }
    }

    /// What was answered is answered the same.
    fn same(&self, batch: &[Value], answers: &[Value]) {
        for (operation, answer) in batch.iter().zip(answers) {
            let known = self
                .disk
                .answered
                .iter()
                .find(|(known, _)| known["id"] == operation["id"]);
            if let Some((_, known)) = known {
                assert_eq!(known, answer);
            }
        }
    }

    /// Learns what is otherwise, as long as there is more; over the same bad line.
    async fn sync(&mut self, app: &TestApp) {
        loop {
            if self.chance(20) {
                return;
            }
            let path = format!("/changes?since={}&town={TOWN}", self.disk.version);
            let (changes, metadata) = ask(app, &path).await;
            if self.chance(20) {
                return;
            }
            assert_eq!(changes["snapshot"], false);
            for property in changes["properties"].as_array().unwrap() {
                let id = property["property_id"].as_str().unwrap().to_owned();
                self.disk.properties.insert(id, property.clone());
            }
            for gone in changes["gone"].as_array().unwrap() {
                self.disk
                    .properties
                    .remove(gone["property_id"].as_str().unwrap());
            }
            self.disk.version = metadata["version"].as_i64().unwrap();
            if changes["more"] == false {
                return;
            }
        }
    }

    /// All that is in memory is gone.
    fn restart(&mut self) {
        let disk = serde_json::to_string(&self.disk).unwrap();
        self.disk = serde_json::from_str(&disk).unwrap();
        self.sent.clear();
    }
}

/// The answers to a batch, over a good line.
async fn post(app: &TestApp, batch: &[Value]) -> Vec<Value> {
    let sent = request(app, Method::POST, "/operations").json(&json!({"operations": batch}));
    let (data, _) = whole(sent.send().await.unwrap()).await;
    data["operations"].as_array().unwrap().clone()
}

/// What others do meanwhile: a host changes a price or closes a night, another app takes a room.
async fn others(app: &TestApp, client: &mut Client) {
    let ids: Vec<String> = client.disk.properties.keys().cloned().collect();
    let Some(id) = client.pick(&ids) else { return };
    let night = today() + Days::new(client.rng.random_range(0..15));
    let nights = match client.rng.random_range(0..3u32) {
        0 => {
            json!({"from": night, "to": night, "price_minor": 100_000 + client.rng.random_range(0..9i64) * 10_000})
        }
        1 => json!({"from": night, "to": night, "closed": true}),
        _ => json!({"from": night, "to": night, "closed": false}),
    };
    let sent = request(app, Method::PUT, &format!("/properties/{id}/calendar"));
    let sent = sent.json(&json!({"nights": [nights]}));
    whole(sent.send().await.unwrap()).await;
}

async fn properties(app: &TestApp) -> (BTreeMap<String, Value>, i64) {
    let (mut properties, mut path) = (BTreeMap::new(), format!("/properties?town={TOWN}"));
    loop {
        let (data, metadata) = ask(app, &path).await;
        for property in data["properties"].as_array().unwrap() {
            let id = property["property_id"].as_str().unwrap().to_owned();
            properties.insert(id, property.clone());
        }
        match data["next"].as_str() {
            Some(next) => path = format!("/properties?town={TOWN}&page={next}"),
            None => return (properties, metadata["version"].as_i64().unwrap()),
        }
    }
}

/// The reservations of the database: the operation that made each, its code and its status.
async fn reservations(app: &TestApp) -> BTreeMap<String, (String, String)> {
    let client = app.pool.get().await.unwrap();
    let rows = client
        .query("select split_part(turn_session, '/', 2), code, status from reservation where turn_door = 'api'", &[])
        .await
        .unwrap();
    let found: Vec<(String, (String, String))> = rows
        .iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect();
    let count = found.len();
    let by_operation: BTreeMap<_, _> = found.into_iter().collect();
    assert_eq!(by_operation.len(), count, "an operation has made two");
    by_operation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_often_offline_and_the_service_end_with_the_same() {
    let mut app = start(CONFIG).await;
    let seed = std::env::var("OFFLINE_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut client = Client {
        disk: Disk::default(),
        rng: StdRng::seed_from_u64(seed),
        sent: Vec::new(),
        queued: 0,
    };
    (client.disk.properties, client.disk.version) = properties(&app).await;
    let (mut starts, mut conflicts) = (1, 0);
    while client.queued < OPERATIONS {
        for _ in 0..client.rng.random_range(1..=20) {
            if client.queued < OPERATIONS {
                client.act();
            }
        }
        others(&app, &mut client).await;
        if client.chance(15) {
            client.restart();
        }
        if client.queued >= starts * SERVICE_LASTS {
            starts += 1;
            let (database, redis) = (app.database_url.clone(), app.redis_url.clone());
            app.stop().await;
            app = background(async move { TestApp::on(noon(), CONFIG, &database, &redis).await });
        }
        // Online for a while, or not at all.
        for _ in 0..client.rng.random_range(0..6) {
            if client.send(&app).await {
                break;
            }
        }
        client.sync(&app).await;
    }
    // At last the line is good.
    while !client.disk.queue.is_empty() {
        client.send(&app).await;
    }
    let open =
        "select count(*) from payment_attempt where status in ('due', 'prompting', 'pending')";
    eventually("the end of every payment", async || {
        (app.count(open).await == 0).then_some(())
    })
    .await;

    let answered = &client.disk.answered;
    let ids: BTreeSet<String> = answered
        .iter()
        .map(|(sent, _)| sent["id"].to_string())
        .collect();
    assert_eq!(
        (ids.len(), answered.len()),
        (OPERATIONS, OPERATIONS),
        "nothing is lost"
    );
    for batch in answered.chunks(50) {
        let (sent, known): (Vec<_>, Vec<_>) = batch.iter().cloned().unzip();
        assert_eq!(post(&app, &sent).await, known, "each has its answer");
    }

    // Each reservation that the client knows of is there once, and no other.
    let mut made = BTreeMap::new();
    for (operation, answer) in answered {
        conflicts += usize::from(answer["status"] == 409);
        if operation["type"] == "RESERVE" && answer["status"] == 200 {
            let code = answer["result"]["reservation"]["code"].as_str().unwrap();
            let msisdn = operation["msisdn"]
                .as_str()
                .unwrap()
                .trim_start_matches('+');
            let path = format!("/reservations/{code}?msisdn={msisdn}");
            let (reservation, _) = ask(&app, &path).await;
            let status = reservation["status"].as_str().unwrap().to_owned();
            let id = operation["id"].as_str().unwrap().to_owned();
            made.insert(id, (code.replace('-', ""), status));
        }
    }
    let there = reservations(&app).await;
    assert_eq!(made, there);
    assert!(
        made.len() > 100 && conflicts > 100,
        "{} made, {conflicts} conflicts",
        made.len()
    );
    // What was cancelled is, and nothing else is.
    let cancelled = answered
        .iter()
        .filter(|(operation, answer)| operation["type"] == "CANCEL" && answer["status"] == 200);
    let cancelled: BTreeSet<String> = cancelled
        .map(|(_, answer)| {
            answer["result"]["reservation"]["code"]
                .as_str()
                .unwrap()
                .replace('-', "")
        })
        .collect();
    let gone = there
        .values()
        .filter(|(_, status)| matches!(status.as_str(), "cancelled" | "refund_due" | "refunded"));
    assert_eq!(
        cancelled,
        gone.map(|(code, _)| code.clone()).collect::<BTreeSet<_>>()
    );

    let mut tries = 0;
    let now = loop {
        client.sync(&app).await;
        let now = properties(&app).await;
        if client.disk.version >= now.1 || tries == 50 {
            break now;
        }
        tries += 1;
    };
    for (id, property) in &now.0 {
        assert_eq!(client.disk.properties[id], *property);
    }
    assert_eq!(client.disk.properties.len(), now.0.len());
    let mut database = app.pool.get().await.unwrap();
    let differences = audit(&mut database, Utc::now() + TimeDelta::seconds(1))
        .await
        .unwrap();
    assert_eq!(differences, []);
    drop(database);
    app.stop().await;
}
