//! SMS and USSD over SMPP, with an SMSC made of the npm package `smpp`. Time passes by moving the rows.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{Counterpart, free_port, node};
use crate::support::app::TestApp;
use crate::support::eventually;

const MSISDN: &str = "254711000001";

/// An SMSC and a service bound to it.
struct Network {
    smsc: Counterpart,
    port: u16,
    app: TestApp,
}

async fn smsc(port: u16) -> Counterpart {
    smsc_with(port, &[]).await
}

async fn smsc_with(port: u16, key_and_certificate: &[&Path]) -> Counterpart {
    let mut command = node("smsc.js");
    command.arg(port.to_string()).args(key_and_certificate);
    let smsc = Counterpart::start(&mut command);
    smsc.eventually("the SMSC", |lines| find(lines, "listening", 0))
        .await;
    smsc
}

/// The event of this kind after so many of it.
fn find(lines: &[String], kind: &str, before: usize) -> Option<Value> {
    let events = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == kind).nth(before)
}

impl Network {
    async fn start() -> Network {
        Network::configured("").await
    }

    async fn configured(more: &str) -> Network {
        let port = free_port();
        let network = Network::between(smsc(port).await, port, more);
        network.nth("bind", 0).await;
        network
    }

    fn between(smsc: Counterpart, port: u16, more: &str) -> Network {
        let app = TestApp::start(&format!(
            "smpp:\n  op1: {{ address: \"localhost:{port}\", system_id: gw, password: gwpass, enquire_seconds: 1, ussd: {{}}{more} }}\n\
             sms: {{ routes: [{{ provider: op1, sender: \"22384\" }}] }}\n"
        ));
        Network { smsc, port, app }
    }

    /// Leaves nothing behind that others would have to share the database with.
    async fn stop(self) {
        self.app.stop().await;
    }

    async fn nth(&self, kind: &str, before: usize) -> Value {
        self.smsc
            .eventually(kind, |lines| find(lines, kind, before))
            .await
    }

    fn orders(&mut self, order: &Value) {
        self.smsc.tell(&order.to_string());
    }

    /// A message in the outbox; its id.
    async fn send(&self, text: &str) -> i64 {
        let client = self.app.pool.get().await.unwrap();
        let row = client
            .query_one(
                "insert into outbox (kind, msisdn, text, expires_at) values ('test', $1, $2, now() + interval '1 hour')
                 returning outbox_id",
                &[&format!("+{MSISDN}"), &text],
            )
            .await
            .unwrap();
        self.app.app.outbox.notify_one();
        row.get(0)
    }

    /// Once the row has this status and reason.
    async fn status(&self, id: i64, status: &str, reason: Option<&str>) {
        let (status, reason) = (status.to_owned(), reason.map(str::to_owned));
        let wanted = format!("{status} {reason:?}");
        eventually(&wanted, async || {
            let client = self.app.pool.get().await.unwrap();
            let row = client
                .query_one(
                    "select status, reason from outbox where outbox_id = $1",
                    &[&id],
                )
                .await
                .unwrap();
            (row.get::<_, String>("status") == status
                && row.get::<_, Option<String>>("reason") == reason)
                .then_some(())
        })
        .await;
    }

    /// What the operator is shown of it.
    async fn shown(&self) -> Value {
        let url = format!("{}/private/aggregators", self.app.private);
        let all: Value = self
            .app
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let all = all.as_array().unwrap();
        all.iter().find(|one| one["name"] == "op1").unwrap().clone()
    }

    async fn due_now(&self, id: i64) {
        let client = self.app.pool.get().await.unwrap();
        client
            .execute(
                "update outbox set due_at = now() where outbox_id = $1",
                &[&id],
            )
            .await
            .unwrap();
        self.app.app.outbox.notify_one();
    }

    /// A step of a dialogue; the screen that answers it, and its operation.
    async fn step(&mut self, op: u32, text: &str) -> (String, Value) {
        let screens = |lines: &[String]| -> Vec<Value> {
            let submits = (0..).map_while(|at| find(lines, "submit", at));
            submits
                .filter(|submit| submit["service_type"] == "USSD")
                .collect()
        };
        let before = screens(&self.smsc.printed()).len();
        self.orders(&json!({ "deliver": {
            "service_type": "USSD", "source_addr": MSISDN, "destination_addr": "*384*7#",
            "short_message": text, "ussd_service_op": op, "user_message_reference": 42,
        } }));
        let screen = self
            .smsc
            .eventually("a screen", |lines| screens(lines).get(before).cloned())
            .await;
        assert_eq!(screen["to"], MSISDN);
        assert_eq!(screen["from"], "*384*7#");
        assert_eq!(screen["reference"], 42);
        assert_eq!(screen["registered_delivery"], 0);
        (
            screen["text"].as_str().unwrap().to_owned(),
            screen["op"].clone(),
        )
    }

    async fn inbound(&self, text: &str) -> i64 {
        let client = self.app.pool.get().await.unwrap();
        let row = client
            .query_one(
                "select count(*) from inbound_sms where provider = 'op1' and text = $1",
                &[&text],
            )
            .await
            .unwrap();
        row.get(0)
    }
}

#[tokio::test]
async fn a_message_goes_out_over_smpp_and_its_receipt_comes_back() {
    let network = Network::start().await;
    let id = network.send("Karibu é €").await;
    let seen = network.nth("submit", 0).await;
    assert_eq!(seen["text"], "Karibu é €");
    assert_eq!(seen["to"], MSISDN);
    assert_eq!(
        (&seen["from"], &seen["from_ton"]),
        (&json!("22384"), &json!(3))
    );
    assert_eq!(
        (&seen["data_coding"], &seen["registered_delivery"]),
        (&json!(0), &json!(1))
    );
    network.status(id, "delivered", None).await;

    let id = network.send("ሰላም").await;
    let seen = network.nth("submit", 1).await;
    assert_eq!(
        (&seen["text"], &seen["data_coding"]),
        (&json!("ሰላም"), &json!(8))
    );
    network.status(id, "delivered", None).await;
    network.stop().await;
}

#[tokio::test]
async fn a_long_message_goes_in_parts_that_a_phone_can_join() {
    let mut network = Network::start().await;
    let text = "Nairobi ".repeat(25) + "{€}";
    let id = network.send(&text).await;
    network.status(id, "delivered", None).await;
    let parts = [
        network.nth("submit", 0).await,
        network.nth("submit", 1).await,
    ];
    let joined: String = parts
        .iter()
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    assert_eq!(joined, text);
    let reference = format!("{:02x}", id as u8);
    for (part, number) in parts.iter().zip(1..) {
        assert_eq!(part["udh"], json!([format!("0003{reference}020{number}")]));
        assert_eq!(part["registered_delivery"], json!(u8::from(number == 2)));
    }

    // The second part meets a busy SMSC: only that one is offered again.
    network.orders(&json!({ "statuses": [0, 88, 0] }));
    let id = network.send(&text).await;
    network.status(id, "delivered", None).await;
    let numbers: Vec<String> = network.smsc.events()[..]
        .iter()
        .filter(|event| event["event"] == "submit")
        .skip(2)
        .map(|part| part["udh"][0].as_str().unwrap()[8..].to_owned())
        .collect();
    assert_eq!(numbers, ["01", "02", "02"]);
    network.stop().await;
}

#[tokio::test]
async fn what_an_smsc_answers_decides_what_becomes_of_a_message() {
    let mut network = Network::start().await;
    for (status, outcome, reason) in [
        (88, "pending", "throttled"),
        (20, "pending", "queue_full"),
        (8, "pending", "status_0x8"),
        (11, "failed", "destination_address"),
        (1, "failed", "status_0x1"),
    ] {
        network.orders(&json!({ "statuses": [status] }));
        let id = network.send("busy").await;
        network.status(id, outcome, Some(reason)).await;
        if outcome == "pending" {
            network.due_now(id).await;
            network.status(id, "delivered", None).await;
        }
    }
    // The sender is not ours to use: that is no fault of the message.
    network.orders(&json!({ "statuses": [10] }));
    let id = network.send("paused").await;
    network.status(id, "pending", Some("source_address")).await;
    network.stop().await;
}

#[tokio::test]
async fn no_more_is_under_way_than_the_window_lets() {
    let mut network = Network::configured(", window: 2").await;
    network.orders(&json!({ "hold": true }));
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(network.send(text).await);
    }
    network.nth("submit", 1).await;
    for id in &ids {
        network.status(*id, "sending", None).await;
    }
    network.orders(&json!({ "hold": false }));
    for id in ids {
        network.status(id, "delivered", None).await;
    }
    let order: Vec<Value> = network
        .smsc
        .events()
        .into_iter()
        .map(|event| event["event"].clone())
        .filter(|kind| kind == "submit" || kind == "answer")
        .collect();
    assert_eq!(order[..3], ["submit", "submit", "answer"]);
    assert_eq!(order.len(), 6);
    network.stop().await;
}

#[tokio::test]
async fn a_message_whose_answer_never_came_is_in_doubt_until_its_receipt() {
    let mut network = Network::start().await;
    network.orders(&json!({ "hangup": true }));
    let id = network.send("Did it arrive?").await;
    network.status(id, "unknown", Some("connection_lost")).await;
    // It did: the receipt comes over the next connection, with an id that nobody has told.
    network.nth("bind", 1).await;
    network.orders(&json!({ "deliver": {
        "source_addr": MSISDN, "destination_addr": "22384", "esm_class": 4,
        "short_message": "id:77 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:",
    } }));
    network.status(id, "delivered", None).await;
    network.stop().await;
}

#[tokio::test]
async fn an_smsc_that_went_away_is_found_again() {
    let mut network = Network::start().await;
    network.smsc.kill();
    let id = network.send("Are you there?").await;
    network.status(id, "pending", Some("not_bound")).await;
    network.smsc = smsc(network.port).await;
    network.nth("bind", 0).await;
    network.due_now(id).await;
    network.status(id, "delivered", None).await;
    network.stop().await;
}

#[tokio::test]
async fn a_wrong_password_pauses_the_route_and_is_shown_to_the_operator() {
    let port = free_port();
    let smsc = smsc(port).await;
    let app = TestApp::start(&format!(
        "smpp: {{ op1: {{ address: \"127.0.0.1:{port}\", system_id: gw, password: wrong }} }}\n\
         sms: {{ routes: [{{ provider: op1 }}] }}\n"
    ));
    let network = Network { smsc, port, app };
    let seen = network.nth("bind", 0).await;
    assert_eq!(seen["known"], false);
    let op1 = eventually("the error", async || {
        let op1 = network.shown().await;
        (!op1["smpp"]["last_error"].is_null()).then_some(op1)
    })
    .await;
    assert_eq!(op1["smpp"]["bound"], false);
    assert_eq!(
        op1["smpp"]["last_error"],
        "the SMSC refused to bind: status 0xe"
    );
    let id = network.send("Nobody lets us in").await;
    network.status(id, "pending", Some("bind_refused")).await;
    network.stop().await;
}

#[tokio::test]
async fn it_is_asked_whether_it_is_there_and_told_when_we_go() {
    let network = Network::start().await;
    network.nth("enquire_link", 1).await;
    let op1 = network.shown().await;
    assert_eq!(op1["smpp"]["bound"], true);
    assert!(op1["smpp"]["last_error"].is_null(), "{op1}");
    network.app.stop().await;
    network
        .smsc
        .eventually("unbind", |lines| find(lines, "unbind", 0))
        .await;
}

#[tokio::test]
async fn what_a_subscriber_writes_is_kept_and_answered_once() {
    let mut network = Network::start().await;
    let help = json!({ "deliver": {
        "source_addr": MSISDN, "destination_addr": "22384", "short_message": "HELP",
    } });
    network.orders(&help);
    let answer = network.nth("submit", 0).await;
    assert_eq!(answer["to"], MSISDN);
    assert_eq!(network.nth("delivered", 0).await["status"], 0);
    assert_eq!(network.inbound("HELP").await, 1);
    // The acknowledgement was lost with the connection: the same comes over the next one.
    network.orders(&json!({ "drop": true }));
    network.nth("bind", 1).await;
    network.orders(&help);
    assert_eq!(network.nth("delivered", 1).await["status"], 0);
    assert_eq!(network.inbound("HELP").await, 1);
    // Once more it is another message.
    network.orders(&help);
    assert_eq!(network.nth("delivered", 2).await["status"], 0);
    assert_eq!(network.inbound("HELP").await, 2);
}

#[tokio::test]
async fn parts_in_any_order_and_any_alphabet_are_one_message() {
    let mut network = Network::start().await;
    let part = |hex: &str, data_coding: u8| {
        json!({ "deliver": {
            "source_addr": MSISDN, "destination_addr": "22384", "esm_class": 64,
            "data_coding": data_coding, "hex": hex,
        } })
    };
    // "Habari " and "yako", the second one first; then ሰላም in halves, with a 16-bit reference.
    for (hex, data_coding) in [
        ("05000307020279616b6f", 0),
        ("05000307020148616261726920", 0),
        ("06080401020201123012 0b".replace(' ', "").as_str(), 8),
        ("06080401020202121d", 8),
    ] {
        network.orders(&part(hex, data_coding));
    }
    for text in ["Habari yako", "ሰላም"] {
        eventually(text, async || {
            (network.inbound(text).await == 1).then_some(())
        })
        .await;
    }
    // By parameters instead of a header.
    for (number, text) in [(1, "part one, "), (2, "part two")] {
        network.orders(&json!({ "deliver": {
            "source_addr": MSISDN, "destination_addr": "22384", "short_message": text,
            "sar_msg_ref_num": 7, "sar_total_segments": 2, "sar_segment_seqnum": number,
        } }));
    }
    let text = "part one, part two";
    eventually(text, async || {
        (network.inbound(text).await == 1).then_some(())
    })
    .await;
    network.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_the_words_of_the_protocol() {
    let mut network = Network::start().await;
    let cases = [
        // A sender that is a name.
        (
            json!({ "source_addr": "SHOP", "destination_addr": "22384", "short_message": "Buy" }),
            0x0a,
        ),
        // A receipt that is about nothing.
        (
            json!({ "source_addr": MSISDN, "destination_addr": "22384", "esm_class": 4, "short_message": "DELIVRD" }),
            0x65,
        ),
        // A dialogue without a name.
        (
            json!({ "source_addr": MSISDN, "destination_addr": "*384*7#", "short_message": "1", "ussd_service_op": 18 }),
            0xc3,
        ),
        // A screen of ours come back.
        (
            json!({ "source_addr": MSISDN, "destination_addr": "*384*7#", "short_message": "1", "ussd_service_op": 2,
            "user_message_reference": 1 }),
            0xc4,
        ),
    ];
    for (count, (deliver, status)) in cases.iter().enumerate() {
        network.orders(&json!({ "deliver": deliver }));
        assert_eq!(
            network.nth("delivered", count).await["status"],
            *status,
            "{deliver}"
        );
    }
    let op1 = network.shown().await;
    assert_eq!(op1["refused"], cases.len());
    assert_eq!(op1["last_refusal"], "invalid field ussd_service_op");
    network.stop().await;
}

#[tokio::test]
async fn a_room_is_booked_by_ussd_over_smpp() {
    let mut network = Network::start().await;
    let (screen, op) = network.step(1, "*384*7#").await;
    assert!(screen.contains("1 Book a room"), "{screen}");
    assert_eq!(op, 2);
    let mut shown = (screen, op);
    for answer in ["1", "Nakuru", "1", "1", "2", "1", "Mary", "1"] {
        assert_eq!(shown.1, 2, "{} waits for {answer}", shown.0);
        shown = network.step(18, answer).await;
    }
    assert!(shown.0.starts_with("BOOKED"), "{}", shown.0);
    assert_eq!(shown.1, 17);
    // Its confirmation goes out the same way.
    let sms = network
        .smsc
        .eventually("the confirmation", |lines| {
            (0..)
                .map_while(|at| find(lines, "submit", at))
                .find(|sms| sms["from"] == "22384")
        })
        .await;
    assert_eq!(sms["service_type"], "");

    // Dialled again on the same reference, and left: the end is kept.
    let (screen, _) = network.step(1, "*384*7*1#").await;
    assert!(!screen.is_empty());
    network.orders(&json!({ "deliver": {
        "service_type": "USSD", "source_addr": MSISDN, "destination_addr": "*384*7#",
        "short_message": "", "ussd_service_op": 129, "user_message_reference": 42,
    } }));
    eventually("the end", async || {
        let ends =
            "select count(*) from session_end where aggregator = 'smpp' and outcome = 'abandoned'";
        (network.app.count(ends).await == 1).then_some(())
    })
    .await;
    // A late answer wakes nothing up.
    let (screen, op) = network.step(18, "1").await;
    assert_eq!(op, 17, "{screen}");
    network.stop().await;
}

#[tokio::test]
async fn an_encrypted_connection_is_made_with_whom_our_authority_vouches_for_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    let [key, certificate, other] =
        ["key.pem", "own.pem", "other.pem"].map(|name| folder.path().join(name));
    let named = || vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(named()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    fs::write(&certificate, own.cert.pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(named()).unwrap();
    fs::write(&other, stranger.cert.pem()).unwrap();

    let port = free_port();
    let smsc = smsc_with(port, &[&key, &certificate]).await;
    let roots = |path: &Path| format!(", tls: true, tls_roots: {}", path.display());
    let network = Network::between(smsc, port, &roots(&certificate));
    network.nth("bind", 0).await;
    let id = network.send("Habari").await;
    assert_eq!(network.nth("submit", 0).await["text"], "Habari");
    network.status(id, "delivered", None).await;
    network.app.stop().await;
    let mut smsc = network.smsc;

    for (more, why) in [
        (roots(&other), "certificate"),
        (", tls: true".to_owned(), "certificate"),
        (roots(&folder.path().join("nowhere.pem")), "nowhere.pem"),
    ] {
        let network = Network::between(smsc, port, &more);
        let said = eventually("a refusal", async || {
            let error = network.shown().await["smpp"]["last_error"].clone();
            error.as_str().map(str::to_owned)
        })
        .await;
        assert!(said.contains(why), "{more}: {said}");
        network.app.stop().await;
        smsc = network.smsc;
    }
}
