//! Strangers at the aggregators' address: whatever proof is missing, the answer is one and the same, and nothing of the body
//! is read.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use reserveflow::menu::messages::Message;
use reserveflow::session::turn;

use crate::support::app::{TestApp, form, msisdn, noon, session_id};
use crate::support::background;
use crate::support::binary::{Program, finish, reserveflow};
use crate::support::stores::stores;

const GUEST: &str = "+254711000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// `at:open sesame, please`.
const SIGNED_IN: &str = "Basic YXQ6b3BlbiBzZXNhbWUsIHBsZWFzZQ==";

/// Tests call from 127.0.0.1, which stands for our proxy.
const CONFIG: &str = "
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
public: 127.0.0.1:0
private: 127.0.0.1:0
trusted_proxies: [127.0.0.1]
aggregators:
  africastalking:
    tokens: [demo, second]
    allow: [196.201.214.0/24, \"2001:db8::/32\"]
    basic: [{ username: at, password: \"open sesame, please\" }]
    countries: [KE, UG]
  aat: { tokens: [demo] }
";

/// Nowhere is a store: whoever gets past the door is told that the service is down.
fn start(config: &'static str) -> TestApp {
    const NOWHERE: &str = "127.0.0.1:1";
    background(async move {
        let database = format!("postgres://nobody@{NOWHERE}/none");
        TestApp::configured(noon(), config, &database, &format!("redis://{NOWHERE}")).await
    })
}

/// The answer to a call with these headers, without the date.
async fn call(
    app: &TestApp,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut request = app.http.post(format!("{}{path}", app.public));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let session = session_id();
    let response = request
        .form(&form(&session, GUEST, ""))
        .send()
        .await
        .unwrap();
    let mut headers = response.headers().clone();
    headers.remove(DATE);
    (response.status(), headers, response.text().await.unwrap())
}

#[tokio::test]
async fn whatever_proof_is_missing_the_answer_is_the_same() {
    let app = start(CONFIG);
    let (from, signed_in) = (
        ("x-forwarded-for", "196.201.214.7"),
        ("authorization", SIGNED_IN),
    );
    for path in ["/ussd/africastalking/demo", "/ussd/africastalking/second"] {
        let (status, _, screen) = call(&app, path, &[from, signed_in]).await;
        assert_eq!((status.as_u16(), &screen[..4]), (200, "CON "), "{path}");
    }
    let six = ("x-forwarded-for", "1.1.1.1, [2001:db8::7]:443");
    let (status, ..) = call(&app, "/ussd/africastalking/demo/events", &[six, signed_in]).await;
    assert_eq!(status, 400, "an end without a status, understood as one");

    let nowhere = call(&app, "/nowhere", &[]).await;
    assert_eq!((nowhere.0.as_u16(), &nowhere.2[..]), (404, ""));
    for (path, headers) in [
        ("/ussd/africastalking/Demo", &[from, signed_in][..]),
        ("/ussd/africastalking/demo2", &[from, signed_in]),
        ("/ussd/africastalking/dem", &[from, signed_in]),
        ("/ussd/africastalking/%64emo%00", &[from, signed_in]),
        ("/ussd/africastalking/demo", &[signed_in]),
        (
            "/ussd/africastalking/demo",
            &[("x-forwarded-for", "196.201.215.7"), signed_in],
        ),
        (
            "/ussd/africastalking/demo",
            &[("x-forwarded-for", "196.201.214.7, 203.0.113.9"), signed_in],
        ),
        (
            "/ussd/africastalking/demo",
            &[from, ("x-forwarded-for", "203.0.113.9"), signed_in],
        ),
        (
            "/ussd/africastalking/demo",
            &[("x-forwarded-for", "unknown"), signed_in],
        ),
        (
            "/ussd/africastalking/demo",
            &[("forwarded", "for=196.201.214.7"), signed_in],
        ),
        (
            "/ussd/africastalking/demo",
            &[("x-real-ip", "196.201.214.7"), signed_in],
        ),
        ("/ussd/africastalking/demo", &[from]),
        (
            "/ussd/africastalking/demo",
            &[from, ("authorization", "Basic YXQ6")],
        ),
        (
            "/ussd/africastalking/demo",
            &[
                from,
                ("authorization", "Bearer YXQ6b3BlbiBzZXNhbWUsIHBsZWFzZQ=="),
            ],
        ),
        ("/ussd/africastalking/demo/events", &[from]),
        ("/sms/africastalking/demo/inbound", &[from]),
        ("/sms/africastalking/demo/delivery", &[signed_in]),
        ("/sms/africastalking/wrong/optout", &[from, signed_in]),
        ("/ussd/truroute/demo", &[from, signed_in]),
        ("/ussd/nobody/demo", &[from, signed_in]),
        ("/ussd/aat/wrong", &[from, signed_in]),
    ] {
        assert_eq!(
            call(&app, path, headers).await,
            nowhere,
            "{path} {headers:?}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_header_of_a_stranger_does_not_move_him() {
    let app = start(
        "
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
public: 127.0.0.1:0
private: 127.0.0.1:0
trusted_proxies: [10.0.0.0/8]
aggregators:
  africastalking: { tokens: [demo], allow: [196.201.214.0/24] }
  dmark: { tokens: [demo], allow: [127.0.0.0/8] }
",
    );
    for from in ["196.201.214.7", "127.0.0.1", "10.0.0.1"] {
        let from = [("x-forwarded-for", from)];
        let (status, ..) = call(&app, "/ussd/africastalking/demo", &from).await;
        assert_eq!(status, 404);
        let (status, ..) = call(&app, "/ussd/dmark/demo", &from).await;
        assert_eq!(
            status, 400,
            "let in by the address of the connection, and not understood"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn nothing_of_a_strangers_body_is_read() {
    let app = start(CONFIG);
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(app.public.trim_start_matches("http://"))
            .await
            .unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        // Longer than an answer takes, shorter than a body is waited for.
        let read = timeout(Duration::from_secs(2), stream.read_exact(&mut answer)).await;
        read.is_ok()
            .then(|| String::from_utf8_lossy(&answer).into_owned())
    };
    assert_eq!(
        ask("/ussd/aat/wrong").await.as_deref(),
        Some("HTTP/1.1 404")
    );
    assert_eq!(
        ask("/ussd/africastalking/demo").await.as_deref(),
        Some("HTTP/1.1 404")
    );
    assert_eq!(
        ask("/sms/africastalking/demo/inbound").await.as_deref(),
        Some("HTTP/1.1 404")
    );
    assert_eq!(ask("/ussd/aat/demo").await, None, "the body is waited for");
    app.stop().await;
}

#[tokio::test]
async fn a_caller_of_another_country_or_network_is_turned_away() {
    let app = start(CONFIG);
    for (msisdn, network, served) in [
        ("+254711000001", "63902", true),
        ("+254711000001", "99999", true),
        ("+254711000001", "", true),
        ("+256772000001", "64110", true),
        ("+254711000001", "64110", false),
        ("+255754000001", "64004", false),
        ("+447700900001", "99999", false),
    ] {
        let session = session_id();
        let mut fields = form(&session, msisdn, "");
        fields[3].1 = network;
        let request = app
            .http
            .post(format!("{}/ussd/africastalking/demo", app.public))
            .header("x-forwarded-for", "196.201.214.7")
            .header("authorization", SIGNED_IN);
        let response = request.form(&fields).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let screen = response.text().await.unwrap();
        let sorry = turn::sorry(&app.app, &self::msisdn(msisdn), Message::WrongCode);
        let refused = screen == format!("END {sorry}");
        assert_eq!(screen.starts_with("CON "), served, "{screen}");
        assert_eq!(refused, !served, "{msisdn} {network}: {screen}");
    }
    app.stop().await;
}

#[tokio::test]
async fn production_does_not_start_with_one_proof_and_prints_no_token() {
    let folder = TempDir::new().unwrap();
    let config = |more: &str| {
        format!(
            "
environment: production
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
public: 127.0.0.1:0
private: 127.0.0.1:0
database: {{ url: \"${{DATABASE_URL}}\" }}
redis: {{ url: \"${{REDIS_URL}}\" }}
aggregators: {{ africastalking: {{ tokens: [{TOKEN}]{more} }} }}
"
        )
    };
    let path = folder.path().join("one.yaml");
    std::fs::write(&path, config("")).unwrap();
    let refused = finish(
        reserveflow()
            .args(["serve", "--config"])
            .arg(&path)
            .env("DATABASE_URL", "x")
            .env("REDIS_URL", "x"),
    );
    assert!(!refused.status.success());
    assert!(
        refused.printed.contains("second proof of origin"),
        "{}",
        refused.printed
    );
    assert!(!refused.printed.contains(TOKEN), "{}", refused.printed);

    let stores = stores();
    let urls = [
        ("DATABASE_URL", &stores.database[..]),
        ("REDIS_URL", &stores.redis),
        ("RUST_LOG", "trace"),
    ];
    let served = Program::serve(folder.path(), &config(", allow: [10.0.0.0/8]"), &urls).await;
    let http = reqwest::Client::new();
    for path in [
        format!("ussd/africastalking/{TOKEN}"),
        format!("sms/africastalking/{TOKEN}/inbound"),
        "ussd/africastalking/wrong".to_owned(),
    ] {
        for _ in 0..50 {
            let request = http
                .post(format!("{}/{path}", served.public))
                .form(&form("ATUid_1", GUEST, ""));
            assert_eq!(request.send().await.unwrap().status(), 404, "{path}");
        }
    }
    let (_, metrics) = served.look("/metrics").await;
    assert!(
        metrics
            .contains(r#"webhooks_refused_total{aggregator="africastalking",why="address"} 100"#),
        "{metrics}"
    );
    let printed = served.program.printed();
    assert!(printed.contains("a webhook was refused"), "{printed}");
    assert!(!printed.contains(TOKEN) && !metrics.contains(TOKEN));
}
