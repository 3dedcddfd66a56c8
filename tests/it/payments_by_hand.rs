//! Money at a pay bill, told of by posts that nobody signs: nothing follows from one until Daraja, asked for the receipt,
//! says the same.

use reserveflow::booking::reservation::Status;
use reserveflow::db::reservations::Reservation;
use serde_json::{Value, json};

use crate::payments::Till;
use crate::support::daraja::{Fake, by_hand, moved, nothing};
use crate::support::eventually;

/// Tells of a payment as the pay bill does, and waits until its receipt is asked for; where the answer is to go.
async fn claim(till: &Till, fake: &Fake, told: &Value) -> String {
    let (status, said) = till.post(&till.url("confirmation"), told).await;
    assert_eq!(
        (status, said.as_str()),
        (200, r#"{"ResultCode":0,"ResultDesc":"Success"}"#)
    );
    let receipt = told["TransID"].as_str().unwrap();
    let url = eventually("the question", async || fake.traced(receipt)).await;
    url.replace("http://PUBLIC", &till.app.public)
}

/// A held room whose guest pays at the pay bill, at a Daraja that answers when the test does.
async fn open() -> (Till, Fake, Reservation) {
    let (till, fake) = Till::open().await;
    fake.says(|script| script.tells = None);
    let held = till.hold(1).await;
    (till, fake, held)
}

async fn until_claim(till: &Till, wanted: &str) {
    eventually("the claim", async || {
        let sql = format!("select count(*) from payment_claim where status = '{wanted}'");
        (till.app.count(&sql).await > 0).then_some(())
    })
    .await;
}

/// The value of a counter of payments by hand.
async fn counted(till: &Till, outcome: &str) -> bool {
    let metrics = till.app.http.get(format!("{}/metrics", till.app.private));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    metrics.lines().any(|line| {
        line.starts_with("payment_claims_total{")
            && line.contains(&format!("outcome=\"{outcome}\""))
    })
}

async fn payments(till: &Till) -> i64 {
    till.app.count("select count(*) from payment").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_confirmation_books_nothing_and_is_counted() {
    let (till, fake, held) = open().await;
    let forged = by_hand("FORGED1", held.code.digits(), "9000");
    let answer_to = claim(&till, &fake, &forged).await;
    // Whoever knows the token of the confirmation cannot answer in Daraja's place.
    let guess = till.url(&format!("trace/{}", "0".repeat(32)));
    for url in [till.url("trace"), guess] {
        let answer = moved("FORGED1", "9000", "174379");
        assert_eq!(till.post(&url, &answer).await.0, 200, "{url}");
    }
    till.until_applied(3).await;
    assert_eq!(till.outcomes().await["no_claim"], 2);

    // Daraja knows of none, however often it is asked.
    let mut told = 3;
    for asked in 1..=4 {
        eventually("the question", async || {
            let sql = "select asked::bigint from payment_claim";
            (till.app.count(sql).await == asked).then_some(())
        })
        .await;
        assert_eq!(till.post(&answer_to, &nothing()).await.0, 200);
        told += 1;
        till.until_applied(told).await;
        let client = till.app.pool.get().await.unwrap();
        let again = "update payment_claim set due_at = now() where status = 'open'";
        client.execute(again, &[]).await.unwrap();
    }
    until_claim(&till, "forged").await;
    assert!(counted(&till, "forged").await);
    assert_eq!(fake.traces(), 4);
    assert_eq!(till.status(&held).await, Status::Held);
    assert_eq!(payments(&till).await, 0);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_true_confirmation_books_once_daraja_says_so_however_late_and_often() {
    let (till, fake, held) = open().await;
    let told = by_hand("TRUE1", held.code.digits(), "9000.00");
    let answer_to = claim(&till, &fake, &told).await;
    assert_eq!(till.status(&held).await, Status::Held);
    // The pay bill tells again, Daraja is late and is asked again.
    till.post(&till.url("confirmation"), &told).await;
    let late = answer_to.replace("/trace/", "/trace-late/");
    assert_eq!(till.post(&late, &nothing()).await.0, 200);
    till.until_applied(3).await;
    assert_eq!(till.outcomes().await["claimed_again"], 1);
    let client = till.app.pool.get().await.unwrap();
    let again = "update payment_claim set due_at = now() where asked = 1";
    assert_eq!(client.execute(again, &[]).await.unwrap(), 1);
    drop(client);
    eventually("the second question", async || {
        (fake.traces() == 2).then_some(())
    })
    .await;
    for _ in 0..3 {
        let answer = moved("TRUE1", "9000.00", "174379");
        assert_eq!(till.post(&answer_to, &answer).await.0, 200);
    }
    till.until(&held, Status::Confirmed).await;
    till.until_applied(6).await;
    until_claim(&till, "proven").await;
    assert!(counted(&till, "proven").await);
    let sent = "select count(*) from outbox where kind = 'confirmed'";
    assert_eq!(till.app.count(sent).await, 1);
    assert_eq!(payments(&till).await, 1);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_comes_leaves_it_to_a_person_until_it_comes_after_all() {
    let (till, fake, held) = open().await;
    let told = by_hand("SLOW1", held.code.digits(), "9000");
    let answer_to = claim(&till, &fake, &told).await;
    let client = till.app.pool.get().await.unwrap();
    let a_day =
        "update payment_claim set created_at = created_at - interval '25 hours', due_at = now()";
    eventually("the end of the question", async || {
        let over = "select count(*) from payment_claim where asked = 1";
        (till.app.count(over).await == 1).then_some(())
    })
    .await;
    client.execute(a_day, &[]).await.unwrap();
    drop(client);
    until_claim(&till, "unanswered").await;
    assert!(counted(&till, "unanswered").await);
    assert_eq!(
        (till.status(&held).await, payments(&till).await),
        (Status::Held, 0)
    );
    till.post(&answer_to, &moved("SLOW1", "9000", "174379"))
        .await;
    till.until(&held, Status::Confirmed).await;
    until_claim(&till, "proven").await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sum_or_payee_than_was_told_books_nothing() {
    let (till, fake, held) = open().await;
    let code = held.code.digits();
    // Ten shillings are there, and belong to nobody until a person looks; a receipt of somebody else's is nothing to us.
    for (receipt, answer) in [
        ("SMALL1", moved("SMALL1", "10.00", "174379")),
        ("OTHER1", moved("OTHER1", "9000", "600638")),
        ("SWAP1", moved("SWAP2", "9000", "174379")),
    ] {
        let answer_to = claim(&till, &fake, &by_hand(receipt, code, "9000")).await;
        assert_eq!(till.post(&answer_to, &answer).await.0, 200);
    }
    eventually("the answers", async || {
        let sql = "select count(*) from payment_claim where status = 'another'";
        (till.app.count(sql).await == 3).then_some(())
    })
    .await;
    // What cannot be read is no answer.
    let mut bare = moved("BARE1", "9000", "174379");
    bare["Result"]["ResultParameters"]["ResultParameter"][1] = json!({"Key": "CreditPartyName"});
    let answer_to = claim(&till, &fake, &by_hand("BARE1", code, "9000")).await;
    till.post(&answer_to, &bare).await;
    till.until_applied(8).await;
    assert_eq!(till.outcomes().await["not_understood"], 1);
    assert!(counted(&till, "another").await);
    assert_eq!(till.status(&held).await, Status::Held);
    assert_eq!(payments(&till).await, 1);
    let kept = "select amount from payment where reservation_id is null and receipt = 'SMALL1'";
    assert_eq!(till.app.count(kept).await, 1_000);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_receipt_for_two_bookings_is_for_neither() {
    let (till, fake, held) = open().await;
    let other = till.hold(2).await;
    let mut answers = Vec::new();
    for code in [held.code.digits(), other.code.digits()] {
        let told = by_hand("TWICE1", code, "9000");
        till.post(&till.url("confirmation"), &told).await;
    }
    eventually("both questions", async || {
        (fake.traces() == 2).then_some(())
    })
    .await;
    fake.says(|script| {
        let urls = script.traces.iter().map(|trace| trace["ResultURL"].clone());
        answers.extend(urls);
    });
    for url in answers {
        let url = url
            .as_str()
            .unwrap()
            .replace("http://PUBLIC", &till.app.public);
        till.post(&url, &moved("TWICE1", "9000", "174379")).await;
    }
    till.until_applied(4).await;
    assert_eq!(payments(&till).await, 1);
    assert_eq!(till.outcomes().await["unallocated"], 1);
    for reservation in [&held, &other] {
        assert_eq!(till.status(reservation).await, Status::Held);
    }
    till.close().await;
}
