//! The page's requests, from the page to a service and back.
#![allow(clippy::unwrap_used)]

use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use chrono::{TimeZone, Utc};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::fake::Fake;
use super::{BODY_BYTES_MAX, InboxSms, Line, QuickStart, Simulator, configure, phone};

const WHO: &str = "+254711000001";

fn simulator(fake: &Fake) -> Simulator {
    let sms = |minute, text: &str| InboxSms {
        at: Utc.with_ymd_and_hms(2026, 11, 6, 12, minute, 0).unwrap(),
        text: text.to_owned(),
        status: "sent".to_owned(),
        kind: "booking".to_owned(),
    };
    Simulator {
        public: fake.public(),
        lines: vec![Line {
            aggregator: "africastalking".to_owned(),
            token: "demo".to_owned(),
        }],
        service_codes: vec!["*384*7#".to_owned()],
        short_code: "38407".to_owned(),
        quick_starts: vec![QuickStart {
            label: "Dial".to_owned(),
            dialled: "*384*7#".to_owned(),
            answers: vec![],
        }],
        client: phone::client().unwrap(),
        inbox: Box::new(move |who| {
            let found = match who.as_str() {
                WHO => Ok(vec![sms(1, "older"), sms(2, "newer")]),
                "+254711000009" => Err("the database is away".into()),
                _ => Ok(vec![]),
            };
            std::future::ready(found).boxed()
        }),
    }
}

async fn ask(request: TestRequest) -> (StatusCode, String) {
    let fake = Fake::start();
    let data = web::Data::new(simulator(&fake));
    let app = init_service(App::new().app_data(data).configure(configure)).await;
    let response = call_service(&app, request.to_request()).await;
    let status = response.status();
    (
        status,
        String::from_utf8(read_body(response).await.to_vec()).unwrap(),
    )
}

async fn post(path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, body) = ask(TestRequest::post().uri(path).set_json(body)).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn get(path: &str) -> (StatusCode, String) {
    ask(TestRequest::get().uri(path)).await
}

fn dialogue() -> Value {
    json!({"session": "6dd5a3a2-2d9b-4f5a-8f0c-0d4f3f0d7a11", "service_code": "*384*7#", "answers": [], "hops": 1,
           "began_at": "2026-11-06T12:00:00Z", "last_answer": "CON first:", "state": "waiting"})
}

#[actix_web::test]
async fn the_page_brings_everything_along() {
    assert_eq!(get("/").await.0, StatusCode::FOUND);
    let (status, page) = get("/simulator").await;
    assert_eq!(status, StatusCode::OK);
    // The name of SVG is an address, but nobody goes there.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=\"", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[actix_web::test]
async fn the_page_learns_its_choices() {
    let settings: Value = serde_json::from_str(&get("/simulator/settings").await.1).unwrap();
    assert_eq!(settings["aggregators"], json!(["africastalking"]));
    assert_eq!(settings["service_codes"], json!(["*384*7#"]));
    assert_eq!(settings["subscribers"][0]["msisdn"], WHO);
}

#[actix_web::test]
async fn dialling_gives_the_dialogue_to_bring_along() {
    let asked = json!({"aggregator": "africastalking", "msisdn": WHO, "dialled": "*384*7*1#"});
    let (status, hop) = post("/simulator/dial", &asked).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        hop["exchange"]["reply"],
        json!({"kind": "con", "text": "first:1"})
    );
    assert_eq!(hop["dialogue"]["answers"], json!(["1"]));
    assert_eq!(hop["dialogue"]["state"], "waiting");
}

#[actix_web::test]
async fn answering_and_hanging_up_reach_the_service() {
    let asked =
        json!({"aggregator": "africastalking", "msisdn": WHO, "dialogue": dialogue(), "text": "2"});
    let (_, hop) = post("/simulator/answer", &asked).await;
    assert_eq!(hop["dialogue"]["answers"], json!(["2"]));
    assert_eq!(hop["dialogue"]["hops"], 2);
    let asked = json!({"aggregator": "africastalking", "msisdn": WHO, "dialogue": dialogue()});
    let (_, exchange) = post("/simulator/hangup", &asked).await;
    assert_eq!(exchange["response_body"], "abandoned after 1");
    let asked = json!({"aggregator": "africastalking", "msisdn": WHO, "text": "HELP"});
    let (_, exchange) = post("/simulator/sms", &asked).await;
    assert_eq!(exchange["response_body"], "+254711000001>38407:HELP");
}

#[actix_web::test]
async fn the_inbox_lists_the_newest_first() {
    let (status, body) = get("/simulator/sms?msisdn=%2B254711000001").await;
    assert_eq!(status, StatusCode::OK);
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(list[0]["text"], "newer");
    assert_eq!(list[0]["at"], "2026-11-06T12:02:00Z");
    assert_eq!(get("/simulator/sms?msisdn=254711000002").await.1, "[]");
    // What an unescaped + turns into.
    assert_eq!(
        get("/simulator/sms?msisdn=+254711000002").await.0,
        StatusCode::OK
    );
    let (status, body) = get("/simulator/sms?msisdn=254711000009").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!body.contains("database"), "{body}");
}

#[actix_web::test]
async fn nonsense_is_refused_with_a_sentence() {
    let long = "x".repeat(183);
    let mut over = dialogue();
    over["state"] = json!("ended");
    for (path, body) in [
        (
            "dial",
            json!({"aggregator": "nobody", "msisdn": WHO, "dialled": "*1#"}),
        ),
        (
            "dial",
            json!({"aggregator": "africastalking", "msisdn": "0711", "dialled": "*1#"}),
        ),
        (
            "dial",
            json!({"aggregator": "africastalking", "msisdn": WHO, "dialled": "hello"}),
        ),
        (
            "dial",
            json!({"aggregator": "africastalking", "msisdn": WHO, "dialled": "*1#", "more": 1}),
        ),
        (
            "dial",
            json!({"aggregator": "africastalking", "msisdn": WHO, "dialled": "1".repeat(BODY_BYTES_MAX)}),
        ),
        (
            "answer",
            json!({"aggregator": "africastalking", "msisdn": WHO, "dialogue": dialogue(), "text": long}),
        ),
        (
            "answer",
            json!({"aggregator": "africastalking", "msisdn": WHO, "dialogue": over, "text": "1"}),
        ),
        (
            "hangup",
            json!({"aggregator": "africastalking", "msisdn": WHO, "dialogue": {}}),
        ),
        (
            "sms",
            json!({"aggregator": "africastalking", "msisdn": WHO, "text": "x".repeat(460)}),
        ),
    ] {
        let (status, answer) = post(&format!("/simulator/{path}"), &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {answer}");
        assert!(answer["error"].is_string(), "{path} {answer}");
    }
    for query in ["", "?msisdn=", "?msisdn=abc", "?number=254711000001"] {
        let (status, body) = get(&format!("/simulator/sms{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query} {body}");
    }
}

#[actix_web::test]
async fn another_site_cannot_dial() {
    let body = r#"{"aggregator":"africastalking","msisdn":"+254711000001","dialled":"*384*7#"}"#;
    let request = TestRequest::post().uri("/simulator/dial");
    let plain = request
        .insert_header(("content-type", "text/plain"))
        .set_payload(body);
    assert_eq!(ask(plain).await.0, StatusCode::BAD_REQUEST);
}
