//! The official SDK of Africa's Talking: it sends what we send and takes the answers that we take, and our dialler can be
//! used with an application made with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::HttpResponse;
use reserveflow::phone::Msisdn;
use reserveflow::sms::{self, Account, Message, Sent};
use serde_json::{Value, json};

use super::program::{Counterpart, free_port, node};
use crate::support::binary::{finish, reserveflow};
use crate::support::double;

/// Fields that the SDK writes and the service takes for granted.
const DEFAULTS: &[&str] = &["bulkSMSMode", "enqueue"];

/// Header `apiKey`, header `Accept`, content type, and the form.
type Seen = (String, String, String, Vec<(String, String)>);

/// A stand-in that takes one message.
fn stand_in() -> (String, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let state = seen.clone();
    let url = double::serve(move |http, body| {
        let header = |name: &str| {
            let value = http.headers().get(name);
            value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        let mut form: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        form.sort();
        let content_type = header("content-type");
        let (content_type, _) = content_type.split_once(';').unwrap_or((&content_type, ""));
        let seen = (
            header("apikey"),
            header("accept"),
            content_type.to_owned(),
            form,
        );
        state.lock().unwrap().push(seen);
        let answer = json!({ "SMSMessageData": {
            "Message": "Sent to 1/1 Total Cost: KES 0.8000 Message parts: 1",
            "Recipients": [{ "statusCode": 101, "number": "+254711000001", "status": "Success",
                "cost": "KES 0.8000", "messageId": "ATXid_1" }],
        } });
        // Its SDKs take no other status for success, and no other content type.
        let answer = HttpResponse::Created()
            .insert_header(("Content-Type", "application/json"))
            .body(answer.to_string());
        async move { answer }
    });
    (url, seen)
}

#[tokio::test]
async fn the_sdk_sends_what_we_send_and_takes_what_we_take() {
    let (url, seen) = stand_in();
    let url = format!("{url}/version1/messaging");
    let sdk = Counterpart::start(node("africastalking.js").args(["send", &url]));
    let answer = sdk
        .eventually("the SDK's answer", |lines| event(lines, "sent"))
        .await;
    assert_eq!(
        answer["answer"]["SMSMessageData"]["Recipients"][0]["messageId"],
        "ATXid_1"
    );

    reserveflow::service::install_tls();
    let http = sms::http_builder()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let account = Account::new([("username", "lodging"), ("api_key", "key"), ("url", &url)]);
    let message = Message {
        reference: "1".to_owned(),
        msisdn: Msisdn::parse("+254711000001").unwrap(),
        text: "Karibu é €".to_owned(),
        attempt: 1,
        sender: Some("22384".to_owned()),
        report_url: None,
    };
    let provider = sms::find("africastalking").unwrap();
    let sent = sms::send(&http, provider, &account, &message).await;
    assert_eq!(
        sent,
        Sent::Accepted {
            provider_id: "ATXid_1".to_owned()
        }
    );
    let seen = seen.lock().unwrap();
    let [theirs, ours] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((&theirs.0, &theirs.2), (&ours.0, &ours.2));
    let told: Vec<_> = theirs
        .3
        .iter()
        .filter(|(name, _)| !DEFAULTS.contains(&name.as_str()))
        .collect();
    assert_eq!(told, ours.3.iter().collect::<Vec<_>>());
    assert!(theirs.1.contains(&ours.1), "{} {}", theirs.1, ours.1);
}

#[tokio::test]
async fn our_dialler_talks_to_an_application_made_with_the_sdk() {
    let port = free_port();
    let application =
        Counterpart::start(node("africastalking.js").args(["serve", &port.to_string()]));
    application
        .eventually("the application", |lines| event(lines, "listening"))
        .await;
    let public = format!("http://127.0.0.1:{port}");
    let dialled = tokio::task::spawn_blocking(move || {
        finish(reserveflow().args(["dial", "*384*7#", "--public", &public, "--answers", "Mary"]))
    })
    .await
    .unwrap();
    assert!(dialled.status.success(), "{}", dialled.printed);
    assert!(
        dialled.printed.contains("What is your name?"),
        "{}",
        dialled.printed
    );
    assert!(dialled.printed.contains("Bye Mary"), "{}", dialled.printed);
    let calls: Vec<Value> = application
        .events()
        .into_iter()
        .filter(|event| event["event"] == "call")
        .collect();
    let texts: Vec<&str> = calls
        .iter()
        .map(|call| call["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["", "Mary"]);
    assert_eq!(calls[0]["serviceCode"], "*384*7#");
    assert_eq!(calls[0]["sessionId"], calls[1]["sessionId"]);
}

fn event(lines: &[String], kind: &str) -> Option<Value> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event["event"] == kind)
}
