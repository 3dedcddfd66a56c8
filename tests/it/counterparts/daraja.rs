//! The Daraja double of `PyPI`. It checks nothing and posts nothing: the password is checked and the callback posted here.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reserveflow::booking::reservation::Status;
use serde_json::json;

use super::program::{Counterpart, free_port, python};
use crate::payments::Till;

fn double(port: u16) -> Counterpart {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("tests/it/counterparts/daraja.py");
    Counterpart::start(python("python3").arg(script).arg(port.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_that_nobody_here_wrote_is_paid_at_and_refused_at() {
    let port = free_port();
    let mut double = double(port);
    double
        .eventually("the double", |lines| {
            lines
                .iter()
                .any(|line| line.contains("Running on"))
                .then_some(())
        })
        .await;
    let till = Till::at(&format!("http://127.0.0.1:{port}")).await;

    let paid = till.hold(1).await;
    till.ask(&paid).await;
    till.until_attempt(&paid, "pending").await;
    let push = double
        .eventually("the push", |lines| {
            lines.iter().find_map(|line| {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                (event["path"] == "/mpesa/stkpush/v1/processrequest").then_some(event)
            })
        })
        .await;
    let body = &push["body"];
    let timestamp = body["Timestamp"].as_str().unwrap();
    let password = STANDARD.encode(format!("174379pass{timestamp}"));
    assert_eq!(body["Password"], json!(password));
    assert_eq!(body["AccountReference"], json!(paid.code.digits()));
    assert_eq!(body["PhoneNumber"], json!(paid.msisdn.digits()));
    till.pass(&paid, "true").await;
    till.until(&paid, Status::Confirmed).await;

    double.tell("1032");
    double
        .eventually("the payers", |lines| {
            lines
                .iter()
                .any(|line| line.contains(r#""payers": 1032"#))
                .then_some(())
        })
        .await;
    let refused = till.hold(2).await;
    till.ask(&refused).await;
    till.until_attempt(&refused, "pending").await;
    till.pass(&refused, "true").await;
    till.until_attempt(&refused, "failed").await;
    assert_eq!(till.status(&refused).await, Status::Paying);
    till.close().await;
}
