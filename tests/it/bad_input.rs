//! What is not understood gets its clear answer, and costs nothing: these services have no stores at all.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reserveflow::db::pool::{PoolSettings, pool};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::support::app::{CONFIG, TestApp, form, noon, session_id};
use crate::support::binary::{Finished, finish, reserveflow};
use crate::support::postgres::{empty_database, sample_database};

const MSISDN: &str = "+254711000001";
const FORM: &str = "application/x-www-form-urlencoded";
const CALLS: &str = "/ussd/africastalking/demo";
/// No refusal may wait for a store.
const AT_ONCE: Duration = Duration::from_millis(500);
const RAW_PATIENCE: Duration = Duration::from_secs(10);

/// A service whose stores cannot be reached: whoever asked one would notice.
async fn storeless() -> TestApp {
    TestApp::on(
        noon(),
        "",
        "host=/nonexistent user=app dbname=app",
        "redis://127.0.0.1:1",
    )
    .await
}

struct Answer {
    status: u16,
    body: String,
}

async fn post(app: &TestApp, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = app.http.post(format!("{}{path}", app.public)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let began = Instant::now();
    let response = request.send().await.unwrap();
    let answer = Answer {
        status: response.status().as_u16(),
        body: response.text().await.unwrap(),
    };
    assert!(began.elapsed() < AT_ONCE, "{path}: {:?}", began.elapsed());
    answer
}

async fn post_form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    post(app, path, &[("content-type", FORM)], body.into()).await
}

/// The fields of a good call with one changed, or left out.
fn changed<'a>(field: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    form("ATUid_1", MSISDN, "1")
        .into_iter()
        .filter_map(|(name, good)| {
            if name == field {
                value.map(|value| (name, value))
            } else {
                Some((name, good))
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_missing_empty_or_wrong_is_named() {
    let app = storeless().await;
    for (field, value) in [
        ("sessionId", None),
        ("sessionId", Some("")),
        ("sessionId", Some("a\nb")),
        ("sessionId", Some("\u{202e}evil")),
        ("phoneNumber", None),
        ("phoneNumber", Some("")),
        ("phoneNumber", Some("0711000001")),
        ("phoneNumber", Some("+254")),
        ("phoneNumber", Some("+254711000001000000")),
        ("phoneNumber", Some("+2547110000'; drop table reservation")),
        ("serviceCode", None),
        ("serviceCode", Some("hotel")),
        ("networkCode", Some("\u{1f3e8}")),
    ] {
        let answer = post_form(&app, CALLS, &changed(field, value)).await;
        assert_eq!(answer.status, 400, "{field} {value:?}");
        assert!(answer.body.contains(field), "{field}: {}", answer.body);
        if let Some(value) = value.filter(|value| value.len() > 3) {
            assert!(!answer.body.contains(value), "the input comes back");
        }
    }
    let endings = "/ussd/africastalking/demo/events";
    for fields in [
        &changed("sessionId", None)[..],
        &[changed("text", None), vec![("status", "Odd")]].concat(),
    ] {
        assert_eq!(post_form(&app, endings, fields).await.status, 400);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_all_get_the_same_empty_answer() {
    let app = storeless().await;
    for path in [
        "/ussd/africastalking/Demo",
        "/ussd/africastalking/demo2",
        "/ussd/africastalking/dem",
        "/ussd/nobody/demo",
        "/ussd/africastalking/demo%00",
        "/ussd/africastalking/x/events",
        "/sms/africastalking/x/inbound",
        "/sms/africastalking/x/delivery",
        "/sms/nobody/demo/inbound",
        "/sms/nobody/demo/optout",
        "/health/ready",
        "/metrics",
        "/",
    ] {
        let answer = post_form(&app, path, &changed("", None)).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{path}");
    }
    // Authentic, and served without stores.
    for token in ["demo", "second"] {
        let path = format!("/ussd/africastalking/{token}");
        let body = app
            .post(&format!("{}{path}", app.public), &changed("", None))
            .await;
        assert_eq!(body.status(), 200);
        assert!(body.text().await.unwrap().starts_with("CON Where"));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_not_served_is_told_so() {
    let app = storeless().await;
    let answer = post_form(&app, CALLS, &changed("serviceCode", Some("*999#"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        "END This number does not work. Nothing was booked and no money was taken. Please dial *384*7#"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_are_refused_before_they_are_read() {
    let app = storeless().await;
    let url = format!("{}{CALLS}", app.public);
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let request = app.http.request(method.parse().unwrap(), &url);
        assert_eq!(request.send().await.unwrap().status(), 405, "{method}");
    }
    let gzip = [("content-type", FORM), ("content-encoding", "gzip")];
    assert_eq!(post(&app, CALLS, &gzip, vec![0x1f, 0x8b]).await.status, 415);
    for content_type in ["application/json", "text/plain", "multipart/form-data"] {
        let headers = [("content-type", content_type)];
        let answer = post(&app, CALLS, &headers, b"{}".to_vec()).await;
        assert_eq!(answer.status, 400, "{content_type}");
    }
    assert_eq!(post(&app, CALLS, &[], Vec::new()).await.status, 400);
    for path in [
        CALLS,
        "/ussd/africastalking/demo/events",
        "/sms/africastalking/demo/inbound",
        "/sms/africastalking/demo/delivery",
        "/sms/africastalking/demo/optout",
    ] {
        let announced = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM}\r\ncontent-length: 1000000\r\n\r\n"
        );
        assert_eq!(
            raw(&app, &[announced.as_bytes()]).await,
            Some(413),
            "{path}"
        );
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let chunk = format!("{:x}\r\n{}\r\n", 4000, "a".repeat(4000));
        let mut pieces = vec![head.as_bytes()];
        pieces.extend([chunk.as_bytes(); 20]);
        pieces.push(b"0\r\n\r\n");
        assert_eq!(raw(&app, &pieces).await, Some(413), "{path}");
    }
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let huge = format!("x-huge: {}\r\n", "y".repeat(1024 * 1024));
    for headers in [many, huge] {
        let head = format!("POST {CALLS} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let status = raw(&app, &[head.as_bytes()]).await;
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{status:?}"
        );
    }
    // After all that it still answers.
    let answer = post_form(&app, CALLS, &changed("serviceCode", Some("*999#"))).await;
    assert_eq!(answer.status, 200);
    app.stop().await;
}

/// The status of the answer to these bytes; `None` when the connection is closed without one.
async fn raw(app: &TestApp, pieces: &[&[u8]]) -> Option<u16> {
    let address = app.public.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let (mut answers, mut requests) = connection.split();
    let send = async {
        for piece in pieces {
            // It may be refused before its end.
            if requests.write_all(piece).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut answer = vec![0; 1024];
        let count = answers.read(&mut answer).await.unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        answer.get(9..12).and_then(|status| status.parse().ok())
    };
    let (status, ()) = timeout(RAW_PATIENCE, async { tokio::join!(read, send) })
        .await
        .expect("no answer and not closed");
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_sms_and_reports_are_refused() {
    let app = storeless().await;
    let inbound = [
        ("from", MSISDN),
        ("to", "22384"),
        ("text", "CODE"),
        ("date", "2026-05-01 09:30:12"),
        ("id", "m-1"),
    ];
    let report = [
        ("id", "m-1"),
        ("status", "Success"),
        ("phoneNumber", MSISDN),
        ("networkCode", "63902"),
    ];
    for (path, good, required) in [
        ("inbound", &inbound[..], &["from", "to", "id"][..]),
        ("delivery", &report[..], &["id", "status"][..]),
    ] {
        let path = format!("/sms/africastalking/demo/{path}");
        for missing in required {
            let fields: Vec<_> = good
                .iter()
                .copied()
                .filter(|(name, _)| name != missing)
                .collect();
            let answer = post_form(&app, &path, &fields).await;
            assert_eq!(answer.status, 400, "{path} without {missing}");
        }
        let json = [("content-type", "application/json")];
        assert_eq!(post(&app, &path, &json, b"{}".to_vec()).await.status, 400);
        let form = [("content-type", FORM)];
        let noise = post(&app, &path, &form, b"%ff%00=%&&==\xff".to_vec()).await;
        assert_eq!(noise.status, 400);
        // Understood, and not kept: the provider is to come again.
        let url = format!("{}{path}", app.public);
        assert_eq!(app.post(&url, good).await.status(), 503, "{path}");
    }
    app.stop().await;
}

/// What people and machines type that fits nowhere.
fn nonsense() -> Vec<Vec<u8>> {
    let long = "x".repeat(3000);
    let mut texts: Vec<Vec<u8>> = [
        "",
        " ",
        "*",
        "**",
        "#",
        "*#",
        "*384*7#",
        "77",
        "-1",
        "000000",
        "1e9",
        "\0",
        "a\0b",
        "\u{1f3e8}\u{1f600}",
        "\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        "\u{645}\u{631}\u{62d}\u{628}\u{627}",
        "'; drop table reservation; --",
        "<script>",
        "{place.name}",
        "${PATH}",
        "%s%n",
        "\r\n\r\n",
        &long,
    ]
    .iter()
    .map(|text| {
        form_urlencoded::byte_serialize(text.as_bytes())
            .collect::<String>()
            .into_bytes()
    })
    .collect();
    texts.extend([b"%ff%fe".to_vec(), b"%zz%".to_vec(), b"\xff\xc0".to_vec()]);
    texts
}

/// Answers that lead to each prompt of the flow.
const PROMPTS: [&[&str]; 15] = [
    &[],
    &["1"],
    &["1", "1"],
    &["1", "1", "1"],
    &["1", "Nakuru"],
    &["1", "Nakuru", "4"],
    &["1", "Nakuru", "1"],
    &["1", "Nakuru", "1", "1"],
    &["1", "Nakuru", "1", "1", "1"],
    &["1", "Nakuru", "1", "1", "1", "1"],
    &["1", "Nakuru", "1", "1", "1", "1", "Asha"],
    &["1", "Nakuru", "1", "1", "1", "1", "Asha", "2"],
    &["2"],
    &["4"],
    &["5"],
];

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_at_every_prompt_gets_a_screen() {
    static DATABASE: OnceCell<String> = OnceCell::const_new();
    let database = DATABASE.get_or_init(sample_database).await;
    let redis = &crate::support::stores::stores().redis;
    let app = TestApp::on(noon(), "", database, redis).await;
    let url = format!("{}{CALLS}", app.public);
    for (number, prompt) in PROMPTS.iter().enumerate() {
        let calls = nonsense()
            .into_iter()
            .enumerate()
            .map(async |(kind, typed)| {
                // A number of its own: no last places, no name, no draft.
                let msisdn = format!("+25471{number:02}{kind:05}");
                let session = session_id();
                app.dialogue(&session, &msisdn, prompt).await;
                let mut body = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(&form(&session, &msisdn, "")[..4])
                    .finish()
                    .into_bytes();
                body.extend(b"&text=");
                for answer in *prompt {
                    body.extend(answer.bytes());
                    body.push(b'*');
                }
                body.extend(&typed);
                let request = app.http.post(&url).header("content-type", FORM).body(body);
                let response = request.send().await.unwrap();
                let shown = String::from_utf8_lossy(&typed[..typed.len().min(40)]).into_owned();
                assert_eq!(response.status(), 200, "{prompt:?} {shown}");
                let screen = response.text().await.unwrap();
                assert!(
                    (screen.starts_with("CON ") || screen.starts_with("END "))
                        && !screen.contains("is down")
                        && screen.len() <= 4 + 182,
                    "{prompt:?} {shown}: {screen}"
                );
            });
        futures_util::future::join_all(calls).await;
    }
    let long = "9".repeat(10_000);
    let answer = app.post(&url, &form(&session_id(), MSISDN, &long)).await;
    assert_eq!(answer.status(), 400, "longer than any dialogue");
    let booked = "select count(*) from reservation";
    assert_eq!(app.count(booked).await, 0, "nonsense books nothing");
    app.stop().await;
}

fn serve(folder: &Path, config: &str) -> Finished {
    let path = folder.join("reserveflow.yaml");
    fs::write(&path, config).unwrap();
    finish(reserveflow().arg("serve").arg("--config").arg(path))
}

/// Nothing is started for these: the stores named here do not exist.
const NO_STORES: &str =
    "database: { url: \"host=/nonexistent user=app\" }\nredis: { url: \"redis://127.0.0.1:1\" }\n";

#[test]
fn a_configuration_that_is_not_understood_stops_the_start() {
    let folder = TempDir::new().unwrap();
    for (line, named) in [
        ("databse: { pool: 3 }", "databse"),
        ("database: { pool: many }", "many"),
        ("public: nowhere", "public"),
        ("environment: prod", "prod"),
        ("country: XX", "country"),
    ] {
        let finished = serve(
            folder.path(),
            &format!("{CONFIG}{line}\n").replace(
                if line.starts_with("public") {
                    "public: 127.0.0.1:0\n"
                } else {
                    "\0"
                },
                "",
            ),
        );
        assert!(!finished.status.success(), "{line}");
        let printed = &finished.printed;
        assert!(printed.contains("reserveflow.yaml"), "{line}: {printed}");
        assert!(printed.contains(named), "{line}: {printed}");
        assert!(!printed.contains("panicked"), "{printed}");
    }
    let finished = serve(folder.path(), &format!("{CONFIG}databse: {{}}\n"));
    let at = CONFIG.lines().count() + 1;
    assert!(
        finished.printed.contains(&format!("{at}:1")),
        "{}",
        finished.printed
    );
    let missing = finish(reserveflow().args(["serve", "--config", "/nonexistent/r.yaml"]));
    assert!(!missing.status.success());
    assert!(
        missing.printed.contains("/nonexistent/r.yaml"),
        "{}",
        missing.printed
    );
}

/// A copy of the menus in which `booking` leads to a screen that is not there.
fn broken_menus(folder: &Path) -> (usize, usize) {
    for name in [
        "booking.yaml",
        "host.yaml",
        "choose_language.yaml",
        "messages.yaml",
        "languages/en.yaml",
        "languages/sw.yaml",
    ] {
        let to = folder.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(Path::new("menus").join(name), to).unwrap();
    }
    let path = folder.join("booking.yaml");
    let source = fs::read_to_string(&path).unwrap();
    let broken = source.replacen("goto: look_up_place", "goto: look_up_plaice", 1);
    fs::write(&path, &broken).unwrap();
    let mut lines = broken.lines().map(|line| line.find("look_up_plaice"));
    let line = lines.clone().position(|column| column.is_some());
    let column = lines.find_map(|column| column);
    (line.unwrap() + 1, column.unwrap() + 1)
}

#[test]
fn a_menu_with_an_error_stops_the_start_and_fails_the_check() {
    let folder = TempDir::new().unwrap();
    let menus = folder.path().join("menus");
    let (line, column) = broken_menus(&menus);
    let config = format!("{CONFIG}{NO_STORES}menus: {}\n", menus.display());
    let checked = finish(reserveflow().args(["menus", "check"]).arg(&menus));
    for finished in [serve(folder.path(), &config), checked] {
        assert_eq!(finished.status.code(), Some(1));
        let printed = &finished.printed;
        assert!(
            printed.contains(&format!("booking.yaml:{line}:{column}"))
                && printed.contains("look_up_plaice"),
            "{printed}"
        );
    }
    // A file that is no text at all.
    let mut bytes = fs::read(menus.join("messages.yaml")).unwrap();
    bytes.extend(b"\xff");
    let last = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    fs::write(menus.join("messages.yaml"), bytes).unwrap();
    let finished = serve(folder.path(), &config);
    assert_eq!(finished.status.code(), Some(1));
    let place = format!("messages.yaml: line {last}, column 1");
    assert!(finished.printed.contains(&place), "{}", finished.printed);
    let nowhere = finish(reserveflow().args(["menus", "check", "/nonexistent"]));
    assert!(!nowhere.status.success());
    assert!(
        nowhere.printed.contains("/nonexistent"),
        "{}",
        nowhere.printed
    );
    assert!(
        finish(reserveflow().args(["menus", "check"]))
            .status
            .success()
    );
}

#[test]
fn programs_are_told_what_is_wrong_with_a_menu_and_where() {
    let folder = TempDir::new().unwrap();
    let menus = folder.path().join("menus");
    let (line, column) = broken_menus(&menus);
    let check = |folder: &Path| {
        let mut command = reserveflow();
        let output = command
            .args(["menus", "check", "--format", "json"])
            .arg(folder)
            .output()
            .unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        (output.status.code(), said)
    };
    let (code, said) = check(&menus);
    assert_eq!((code, &said["proven"]), (Some(1), &false.into()));
    let findings = said["findings"].as_array().unwrap();
    let target = findings.iter().find(|finding| finding["kind"] == "target");
    let target = target.unwrap_or_else(|| panic!("{said:#}"));
    assert_eq!(
        target["file"],
        menus.join("booking.yaml").display().to_string()
    );
    assert_eq!(
        (target["line"].as_u64(), target["column"].as_u64()),
        (Some(line as u64), Some(column as u64))
    );
    assert_eq!(target["message"], "there is no screen 'look_up_plaice'");
    assert_eq!(target["hint"], "did you mean 'look_up_place'?");

    let (code, said) = check(Path::new("menus"));
    assert_eq!((code, &said["proven"]), (Some(0), &true.into()));
    assert_eq!(said["findings"], serde_json::json!([]));

    fs::write(menus.join("booking.yaml"), "flow: [").unwrap();
    let (code, said) = check(&menus);
    assert_eq!(
        (code, &said["findings"][0]["kind"]),
        (Some(1), &"syntax".into())
    );
    assert!(said["findings"][0]["line"].as_u64() > Some(0), "{said:#}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for name in ["public", "private"] {
        let config = format!("{CONFIG}{NO_STORES}").replace(
            &format!("{name}: 127.0.0.1:0"),
            &format!("{name}: {address}"),
        );
        let finished = serve(folder.path(), &config);
        assert!(!finished.status.success());
        let expected = format!("{name}: {address} cannot be listened on");
        assert!(finished.printed.contains(&expected), "{}", finished.printed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_with_wrong_rows_lists_them_and_imports_nothing() {
    let database = empty_database().await;
    let client = database.get().await.unwrap();
    let name: String = client
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let url = format!(
        "{} dbname={name}",
        crate::support::stores::stores().database
    );
    let folder = TempDir::new().unwrap();
    let places = fs::read_to_string("menus/demo/places.csv").unwrap();
    let good = fs::read_to_string("menus/demo/properties.csv").unwrap();
    let rows: Vec<_> = good.lines().collect();
    let wrong = [
        rows[0].to_owned(),
        rows[1].replace("ke-nakuru,", "ke-atlantis,"),
        rows[2].to_owned(),
        rows[3].replace("KES", "BTC"),
    ];
    let (places_path, wrong_path) = (
        folder.path().join("places.csv"),
        folder.path().join("p.csv"),
    );
    fs::write(&places_path, places).unwrap();
    fs::write(&wrong_path, wrong.join("\n")).unwrap();
    let import = |files: &[&Path]| {
        let mut command: Command = reserveflow();
        command.arg("import").args(files).env("DATABASE_URL", &url);
        tokio::task::block_in_place(|| finish(&mut command))
    };
    let finished = import(&[&places_path, &wrong_path]);
    assert!(!finished.status.success());
    for row in ["line 2, town", "line 4, currency", "nothing was imported"] {
        assert!(
            finished.printed.contains(row),
            "{row}: {}",
            finished.printed
        );
    }
    assert!(!finished.printed.contains("line 3"), "{}", finished.printed);
    let tables = pool(&url, &PoolSettings::default()).unwrap();
    let client = tables.get().await.unwrap();
    for table in ["place", "property", "host"] {
        let sql = format!("select count(*) from {table}");
        let count: i64 = client.query_one(&sql, &[]).await.unwrap().get(0);
        assert_eq!(count, 0, "{table}");
    }
    fs::write(&wrong_path, "name,town\n").unwrap();
    assert!(!import(&[&wrong_path]).status.success());
    assert!(!import(&[Path::new("/nonexistent.csv")]).status.success());
}
