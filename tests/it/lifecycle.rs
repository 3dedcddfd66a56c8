//! The real program from its start to its end: what it prints, how it stops, how it comes back.

use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::{CONFIG, form, session_id};
use crate::support::binary::{Program, Served, reserveflow};
use crate::support::eventually;
use crate::support::postgres::sample_database;
use crate::support::proxy::{Mishap, Proxy, Weather};
use crate::support::stores::stores;

const MSISDN: &str = "+254711000001";

/// A service that logs as it does by default, on a Postgres that can be taken away.
async fn serve(folder: &TempDir, config: &str) -> (Served, Proxy) {
    let database = sample_database().await;
    let postgres = Proxy::postgres(&database).await;
    let config = format!("{config}redis: {{ url: \"{}\" }}\n", stores().redis);
    let url = postgres.postgres_url(&database);
    let environment = [("DATABASE_URL", url.as_str()), ("RUST_LOG", "info")];
    let service = Program::serve(folder.path(), &config, &environment).await;
    (service, postgres)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_the_call_in_flight_end() {
    let folder = TempDir::new().unwrap();
    let (service, postgres) = serve(&folder, CONFIG).await;
    assert_eq!(service.look("/health/ready").await.0, 200);
    assert_eq!(service.look("/health/live").await.0, 200);
    postgres.arm(MSISDN, Mishap::Silence);
    let session = session_id();
    let stopping = async {
        postgres.tripped().await;
        service.program.send(Signal::SIGTERM);
        eventually("unreadiness", async || {
            (service.look("/health/ready").await.0 == 503).then_some(())
        })
        .await;
        postgres.set(Weather::Fair);
    };
    let (screen, ()) = tokio::join!(service.call(&session, MSISDN, ""), stopping);
    assert!(screen.starts_with("CON ReserveFlow"), "{screen}");
    let finished = service.program.end().await;
    assert!(finished.status.success(), "{}", finished.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_and_hold_nothing_of_anybody() {
    const TOKEN: &str = "b2f7c9d1e4a84be0a6f3d5c8e7901234";
    const NUMBER: &str = "711987654";
    const FRIEND: &str = "722456789";
    const NAME: &str = "Zubedaqwx";
    let folder = TempDir::new().unwrap();
    let config = CONFIG.replace("[demo, second]", &format!("[demo, {TOKEN}]"));
    let (service, postgres) = serve(&folder, &config).await;
    let msisdn = format!("+254{NUMBER}");
    let session = session_id();
    let to_confirm = ["1", "Nakuru", "2", "1", "1", "1", NAME];
    let friend = format!("0{FRIEND}");
    let booked = service
        .dialogue(&session, &msisdn, &[&to_confirm[..], &["1"]].concat())
        .await;
    let for_friend = [&to_confirm[..6], &["2", &friend, NAME, "1"]].concat();
    let other = service.dialogue(&session_id(), &msisdn, &["2", "1"]).await;
    assert!(other.starts_with("CON "), "{other}");
    let gift = service
        .dialogue(&session_id(), &format!("+254{FRIEND}"), &to_confirm)
        .await;
    assert!(gift.starts_with("CON "), "{gift}");
    let gift = service
        .dialogue(&session_id(), "+254711987600", &for_friend)
        .await;
    let code = booked.split(['.', ' ']).nth(2).unwrap().to_owned();
    assert!(booked.starts_with("END BOOKED"), "{booked}");

    let http = reqwest::Client::new();
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let url = format!("{}{path}", service.public);
        http.post(url).form(fields).send().await.unwrap().status()
    };
    let cancel = format!("CANCEL {code}");
    let calls = format!("/ussd/africastalking/{TOKEN}");
    let sms = format!("/sms/africastalking/{TOKEN}");
    let inbound = |text| {
        [
            ("from", msisdn.clone()),
            ("to", "22384".to_owned()),
            ("text", text),
            ("date", "2026-05-01 09:30:12".to_owned()),
            ("id", session_id()),
        ]
    };
    let report = [("id", "odd"), ("status", "Odd"), ("phoneNumber", NUMBER)];
    for healthy in [true, false] {
        if !healthy {
            postgres.set(Weather::Cut);
        }
        post(&calls, &form(&session_id(), &msisdn, "")).await;
        post(&calls, &form(&session_id(), NUMBER, NAME)).await;
        post(
            &format!("/ussd/africastalking/{TOKEN}x"),
            &form(&session, &msisdn, ""),
        )
        .await;
        for text in [format!("{NAME} {code}"), cancel.clone()] {
            let fields = inbound(text);
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| (*key, value.as_str()))
                .collect();
            post(&format!("{sms}/inbound"), &fields).await;
        }
        post(&format!("{sms}/delivery"), &report).await;
        let mut end = form(&session, &msisdn, NAME);
        end.push(("status", "Failed"));
        post(&format!("{calls}/events"), &end).await;
        service
            .call(&session_id(), &msisdn, &to_confirm.join("*"))
            .await;
    }
    service.program.send(Signal::SIGTERM);
    let finished = service.program.end().await;
    let printed = finished.printed;
    assert!(printed.contains("\"WARN\""), "the error path: {printed}");
    for line in printed.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["level"].is_string() && event["timestamp"].is_string());
    }
    let digits = code.replace('-', "");
    let sent = "BOOKED";
    for secret in [TOKEN, NUMBER, FRIEND, NAME, &code, &digits, sent, "Nakuru"] {
        assert!(!printed.contains(secret), "{secret} in\n{printed}");
    }
    assert!(gift.starts_with("END BOOKED"), "{gift}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_starts_from_nothing_again_and_after_a_kill() {
    let data = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .tempdir()
        .unwrap();
    let folder = data.path().join("data");
    let first = demo(&folder, "first start").await;
    let booked = dialogue(&first, &["1", "Nakuru", "2", "1", "1", "1", "Asha", "1"]).await;
    assert!(booked.starts_with("END BOOKED"), "{booked}");
    let code = booked.split(['.', ' ']).nth(2).unwrap();
    first.program.send(Signal::SIGTERM);
    let finished = first.program.end().await;
    assert!(finished.status.success(), "{}", finished.printed);

    let second = demo(&folder, "second start").await;
    second.program.send(Signal::SIGKILL);
    second.program.end().await;
    let third = demo(&folder, "start after a kill").await;
    let screen = dialogue(&third, &["2", "1"]).await;
    assert!(screen.contains(code), "{screen} is not about {code}");
    third.program.send(Signal::SIGTERM);
    assert!(third.program.end().await.status.success());
}

async fn dialogue(demo: &Served, answers: &[&str]) -> String {
    demo.dialogue(&session_id(), "+254711000001", answers).await
}

/// A demo that has answered a call. Prints how long that took; a test's machine says nothing of others.
async fn demo(data: &Path, which: &str) -> Served {
    let began = Instant::now();
    let mut command = reserveflow();
    command
        .args([
            "demo",
            "--public",
            "127.0.0.1:0",
            "--private",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(data);
    let program = Program::start(&mut command);
    let (public, private) = eventually("the demo", async || {
        let printed = program.printed();
        let address = |before: &str, after: &str| {
            let from = printed.find(before)? + before.len();
            let rest = &printed[from..];
            Some(format!("http://{}", &rest[..rest.find(after)?]))
        };
        Some((
            address("Callbacks                http://", "/ussd/")?,
            address("A phone in the browser   http://", "/\n")?,
        ))
    })
    .await;
    let demo = Served::new(program, public, private);
    let screen = demo.call(&session_id(), "+254711000002", "").await;
    assert!(screen.starts_with("CON "), "{screen}");
    println!("demo, {which}: first answer after {:?}", began.elapsed());
    demo
}
