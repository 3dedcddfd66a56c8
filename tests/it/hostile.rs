//! Clients that mean harm, are broken, or speak an HTTP that nobody speaks any more: each is cut or understood, and nobody
//! else notices. These services have no stores.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::app::{CONFIG, TestApp, noon};
use crate::support::binary::{Program, Served, reserveflow};
use crate::support::stores::stores;
use crate::support::{PATIENCE, eventually};

const PATH: &str = "/ussd/africastalking/demo";
const TYPE: &str = "content-type: application/x-www-form-urlencoded\r\n";
/// A code that is not served is told so without any store.
const BODY: &str =
    "sessionId=ATUid_1&serviceCode=*999%23&phoneNumber=%2B254711000001&networkCode=99999&text=";
const ANSWER: &str = "END ";

/// With more under `limits`, and more lines.
async fn start(limits: &str, more: &str) -> TestApp {
    let limits = format!("same_key_ms: 0, {limits} }}");
    let config = CONFIG.replace("same_key_ms: 0 }", &limits);
    assert!(config.contains(&limits));
    let config = format!("{config}{more}");
    let database = "host=/nonexistent user=app dbname=app";
    TestApp::configured(noon(), &config, database, "redis://127.0.0.1:1").await
}

fn address(app: &TestApp) -> SocketAddr {
    app.public.strip_prefix("http://").unwrap().parse().unwrap()
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(address(app)).await.unwrap()
}

/// A whole call.
fn call() -> String {
    let length = BODY.len();
    format!("POST {PATH} HTTP/1.1\r\nhost: x\r\n{TYPE}content-length: {length}\r\n\r\n{BODY}")
}

/// What comes until the server closes.
async fn until_closed(connection: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = connection.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..count]);
        }
    };
    timeout(PATIENCE, read).await.expect("it is not closed");
    String::from_utf8_lossy(&all).into_owned()
}

/// What a whole call gets on this connection, which stays open. `None`: it is closed.
async fn answered(connection: &mut TcpStream) -> Option<String> {
    connection.write_all(call().as_bytes()).await.ok()?;
    let mut all = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&all).contains(ANSWER) {
            match connection.read(&mut chunk).await {
                Ok(count @ 1..) => all.extend_from_slice(&chunk[..count]),
                _ => return None,
            }
        }
        Some(())
    };
    timeout(PATIENCE, read)
        .await
        .expect("no answer, and not closed")?;
    Some(String::from_utf8_lossy(&all).into_owned())
}

/// Someone else is served as ever.
async fn others_are_served(app: &TestApp) {
    let answer = answered(&mut connect(app).await).await;
    assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
}

/// Sends these bytes at once and the rest one by one, until the server has enough.
async fn drip(app: &TestApp, at_once: &str, rest: &str) -> String {
    let mut connection = connect(app).await;
    connection.write_all(at_once.as_bytes()).await.unwrap();
    let (mut answers, mut requests) = connection.split();
    let drip = async {
        for byte in rest.bytes().cycle() {
            if requests.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let read = async {
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = answers.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
        }
    };
    timeout(PATIENCE, async {
        tokio::select! {
            () = read => {}
            () = drip => {}
        }
    })
    .await
    .expect("it is not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_or_never_ends_is_cut() {
    let app = start("connections_per_address: 0", "").await;
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\n{TYPE}");
    let stalls = [
        String::new(),
        head.clone(),
        format!("{head}content-length: 100\r\n\r\nsessionId="),
        format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nsess"),
    ];
    let mut held = Vec::new();
    for stall in &stalls {
        for _ in 0..60 {
            let mut connection = connect(&app).await;
            connection.write_all(stall.as_bytes()).await.unwrap();
            held.push(connection);
        }
    }
    others_are_served(&app).await;
    let dripping = [
        (head.clone(), "x-a: b\r\n"),
        (format!("{head}content-length: 10000\r\n\r\n"), "a"),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n"),
            "1\r\na\r\n",
        ),
    ];
    let dripping = dripping
        .iter()
        .flat_map(|(at_once, rest)| (0..5).map(|_| drip(&app, at_once, rest)));
    let stalled = held.iter_mut().map(until_closed);
    let (stalled, dripped) = tokio::join!(join_all(stalled), join_all(dripping));
    for answer in stalled.iter().chain(&dripped) {
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    others_are_served(&app).await;
    app.stop().await;
}

/// Whether the server still has this connection.
fn is_open(server: SocketAddr, client: SocketAddr) -> bool {
    let end = |port: u16| format!("0100007F:{port:04X}");
    let (local, remote) = (end(server.port()), end(client.port()));
    fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .lines()
        .any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next() == Some(&local) && fields.next() == Some(&remote)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_the_answer_is_cut() {
    let app = start("connections_per_address: 0", "").await;
    let server = address(&app);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(server).await.unwrap();
    // Some hundred times what both ends keep for it.
    let request = "GET /v1/docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let end = client.local_addr().unwrap();
    assert!(is_open(server, end));
    eventually("the end of the connection", async || {
        (!is_open(server, end)).then_some(())
    })
    .await;
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_a_trusted_proxy_any_number() {
    let app = start("connections_per_address: 20", "").await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut connection = connect(&app).await;
        assert!(answered(&mut connection).await.is_some());
        held.push(connection);
    }
    let mut over = connect(&app).await;
    assert_eq!(until_closed(&mut over).await, "");
    assert!(answered(&mut held[7]).await.is_some());
    held.pop();
    eventually("room for another", async || {
        answered(&mut connect(&app).await).await
    })
    .await;
    // The operator's address is another matter.
    let ready = format!("{}/metrics", app.private);
    let metrics = reqwest::get(ready).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("connections_refused_total"));
    app.stop().await;

    let app = start(
        "connections_per_address: 20",
        "trusted_proxies: [127.0.0.1/32]\n",
    )
    .await;
    let mut held = Vec::new();
    for _ in 0..30 {
        let mut connection = connect(&app).await;
        assert!(answered(&mut connection).await.is_some());
        held.push(connection);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_it_waits_and_takes_calls_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("reserveflow.yaml");
    let config = format!(
        "{CONFIG}database: {{ url: \"{}\" }}\nredis: {{ url: \"{}\" }}\n",
        crate::support::postgres::sample_database().await,
        stores().redis
    );
    fs::write(&path, config).unwrap();
    let program = reserveflow();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -n 200; exec \"$0\" serve --config \"$1\""])
        .arg(program.get_program())
        .arg(&path)
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .env_remove("RUST_LOG");
    let service: Served = Program::listening(Program::start(&mut command)).await;
    let server: SocketAddr = service
        .public
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut connection = TcpStream::connect(server).await.unwrap();
        connection.write_all(b"POST ").await.unwrap();
        held.push(connection);
    }
    assert!(service.program.runs());
    drop(held);
    let screen = eventually("an answer", async || {
        let mut connection = TcpStream::connect(server).await.ok()?;
        answered(&mut connection).await
    })
    .await;
    assert!(screen.starts_with("HTTP/1.1 200"), "{screen}");
    assert!(service.program.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_two_servers_could_read_in_two_ways_is_refused_and_closed() {
    let app = start("connections_per_address: 0", "").await;
    let length = BODY.len();
    let inside = format!("0\r\n\r\nPOST {PATH} HTTP/1.1\r\nhost: x\r\n\r\n");
    for (headers, body) in [
        (
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            inside.as_str(),
        ),
        (
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
            inside.as_str(),
        ),
        (
            format!("content-length: {length}\r\ncontent-length: 5\r\n"),
            BODY,
        ),
        (
            format!("content-length: 5\r\ncontent-length: {length}\r\n"),
            BODY,
        ),
        (format!("content-length: +{length}\r\n"), BODY),
        (format!("content-length: -{length}\r\n"), BODY),
        (format!("content-length: {length}, {length}\r\n"), BODY),
        (format!("content-length: 0x{length:x}\r\n"), BODY),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
            inside.as_str(),
        ),
        (
            "transfer-encoding: xchunked\r\n".to_owned(),
            inside.as_str(),
        ),
        (format!("content-length : {length}\r\n"), BODY),
        (
            format!("x-folded: a\r\n b\r\ncontent-length: {length}\r\n"),
            BODY,
        ),
        (format!("x-nul: a\0b\r\ncontent-length: {length}\r\n"), BODY),
    ] {
        let mut connection = connect(&app).await;
        // What stands behind is no request of its own.
        let behind = call();
        let request =
            format!("POST {PATH} HTTP/1.1\r\nhost: x\r\n{TYPE}{headers}\r\n{body}{behind}");
        connection.write_all(request.as_bytes()).await.unwrap();
        let answer = until_closed(&mut connection).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{headers:?}: {answer}"
        );
        assert!(
            answer.matches("HTTP/1.1").count() <= 1,
            "{headers:?}: {answer}"
        );
    }
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_not_spoken_however_much_of_it_comes() {
    let app = start("connections_per_address: 0", "").await;
    let mut connection = connect(&app).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // Settings, then streams that are begun and reset, and headers that go on for ever.
    flood.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for stream in 0..1000_u32 {
        let id = (2 * stream + 1).to_be_bytes();
        flood.extend([0, 0, 1, 1, 0]);
        flood.extend(id);
        flood.push(0x82);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(id);
        flood.extend([0, 0, 0, 8]);
        flood.extend([0, 0, 1, 9, 0]);
        flood.extend(id);
        flood.push(0x82);
    }
    // It may be refused before its end.
    connection.write_all(&flood).await.ok();
    let answer = until_closed(&mut connection).await;
    assert!(
        answer.is_empty()
            || answer.starts_with("HTTP/1.1 400")
            || answer.starts_with("HTTP/1.1 505"),
        "{answer}"
    );
    let mut connection = connect(&app).await;
    let upgrade = call().replacen("host: x\r\n", "host: x\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", 1);
    connection.write_all(upgrade.as_bytes()).await.unwrap();
    let answer = until_closed(&mut connection).await;
    assert!(!answer.starts_with("HTTP/1.1 101"), "{answer}");
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_too_deep_or_no_json_is_refused() {
    let app = start(
        "connections_per_address: 0",
        "  arkesel: { tokens: [demo] }\n",
    )
    .await;
    let call = r#"{"sessionID":"a","userID":"u","newSession":true,"msisdn":"233200000001","userData":"*999#","network":"MTN"}"#;
    let with = |from: &str, to: &str| call.replacen(from, to, 1).into_bytes();
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let post = async |body: Vec<u8>| {
        let url = format!("{}/ussd/arkesel/demo", app.public);
        let request = app
            .http
            .post(url)
            .header("content-type", "application/json");
        request.body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(call.into()).await, 200);
    for (body, status) in [
        (deep(200).into_bytes(), 400),
        (deep(7_000).into_bytes(), 400),
        (deep(10_000).into_bytes(), 413),
        (with("\"u\"", &deep(200)), 400),
        (with("\"u\"", "NaN"), 400),
        (with("\"u\"", "-Infinity"), 400),
        (with("\"u\"", "1e400"), 400),
        (with("\"u\"", "\"\\ud800\""), 400),
        (with("\"u\"", "\"\\udc00\\ud800\""), 400),
        (with("\"u\"", "\"a\nb\""), 400),
        (with("true", "truest"), 400),
        (with("}", ""), 400),
        (with("}", "}}"), 400),
        (b"\xef\xbb\xbf{}".to_vec(), 400),
        (b"\xff\xfe{\0}\0".to_vec(), 400),
        (b"".to_vec(), 400),
        (b"null".to_vec(), 400),
    ] {
        let told = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(post(body).await, status, "{told}");
    }
    // Of two keys alike nobody knows which is meant: no server error, and no second meaning.
    let twice = post(with("\"userID\"", "\"msisdn\":\"233200000002\",\"userID\"")).await;
    assert!(twice < 500, "{twice}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_but_honest_http_is_understood() {
    let app = start("connections_per_address: 0", "").await;
    let length = BODY.len();
    let chunked: String = BODY
        .as_bytes()
        .chunks(7)
        .map(|chunk| {
            format!(
                "{:x};x=y\r\n{}\r\n",
                chunk.len(),
                String::from_utf8_lossy(chunk)
            )
        })
        .collect();
    let close = "connection: close\r\n";
    for request in [
        format!("POST {PATH} HTTP/1.0\r\n{TYPE}content-length: {length}\r\n\r\n{BODY}"),
        format!(
            "POST {PATH} HTTP/1.1\r\nHOST: x\r\nCONTENT-TYPE: APPLICATION/X-WWW-FORM-URLENCODED\r\nCoNtEnT-lEnGtH: {length}\r\n{close}\r\n{BODY}"
        ),
        format!(
            "POST {PATH} HTTP/1.1\r\nhost: x\r\n{TYPE}accept: a\r\naccept: b\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\ncontent-length: {length}\r\n{close}\r\n{BODY}"
        ),
        format!(
            "POST {PATH} HTTP/1.1\r\nhost: x\r\n{TYPE}transfer-encoding: chunked\r\n{close}\r\n{chunked}0\r\nx-trailer: y\r\n\r\n"
        ),
        format!(
            "POST {PATH} HTTP/1.1\r\nhost: x\r\n{TYPE}expect: 100-continue\r\ncontent-length: {length}\r\n{close}\r\n{BODY}"
        ),
        format!(
            "POST http://example.com{PATH} HTTP/1.1\r\nhost: example.com\r\n{TYPE}content-length: {length}\r\n{close}\r\n{BODY}"
        ),
        format!(
            "\r\nPOST {PATH} HTTP/1.1\r\nhost:x\r\n{TYPE}content-length:{length}\r\n{close}\r\n{BODY}"
        ),
    ] {
        let mut connection = connect(&app).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        let answer = until_closed(&mut connection).await;
        assert!(
            answer.contains(" 200 OK\r\n") && answer.contains(ANSWER),
            "{request}\n{answer}"
        );
    }
    // Two at once on one connection are answered in their order.
    let mut connection = connect(&app).await;
    let last = call().replacen("host: x\r\n", "host: x\r\nconnection: close\r\n", 1);
    let both = format!("{}{last}", call());
    connection.write_all(both.as_bytes()).await.unwrap();
    let answer = until_closed(&mut connection).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    app.stop().await;
}
