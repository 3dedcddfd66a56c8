//! What may go wrong between a prompt, its result and a refund, at a Daraja that does it.

use futures_util::future::join_all;
use reserveflow::app::Clock;
use reserveflow::booking::reservation::Status;
use reserveflow::db::payments::refunds::{self, Approval};
use serde_json::json;
use uuid::Uuid;

use crate::payments::{Till, config};
use crate::support::app::TestApp;
use crate::support::daraja::{Fake, failure, moved, nothing, success};
use crate::support::{background, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_result_at_two_instances_at_once_is_applied_once() {
    let (till, fake) = Till::open().await;
    let (database, redis) = (till.app.database_url.clone(), till.app.redis_url.clone());
    let more = config(&fake.url);
    let other =
        background(async move { TestApp::on(Clock::System, &more, &database, &redis).await });
    let held = till.hold(1).await;
    till.ask(&held).await;
    till.until_attempt(&held, "pending").await;
    let (id, push) = fake.pushed();
    let told = success(&id, &push, "ONCE1");
    let url = push["CallBackURL"].as_str().unwrap();
    let posts = (0..10).map(|nth| {
        let instance = [&till.app.public, &other.public][nth % 2];
        till.post_to(url.replace("http://PUBLIC", instance), &told)
    });
    let answers = join_all(posts).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    till.until(&held, Status::Confirmed).await;
    till.until_applied(10).await;
    assert_eq!(till.app.count("select count(*) from payment").await, 1);
    let sent = "select count(*) from outbox where kind = 'confirmed'";
    assert_eq!(till.app.count(sent).await, 1);
    let moves = "select count(*) from reservation_event where to_status = 'confirmed'";
    assert_eq!(till.app.count(moves).await, 1);
    other.stop().await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_say_nothing_for_sure_are_asked_about_until_it_is_known() {
    let (till, fake) = Till::open().await;
    for (number, code) in (1..).zip(["1037", "9999", "1019"]) {
        let held = till.hold(number).await;
        fake.says(|script| script.queries = vec![json!(code), json!(code), json!("0")]);
        till.ask(&held).await;
        till.until_attempt(&held, "pending").await;
        let (id, _) = fake.pushed();
        till.post(
            &till.result_url(&fake),
            &failure(&id, code.parse().unwrap()),
        )
        .await;
        eventually("the first question", async || {
            let sql = format!(
                "select count(*) from payment_attempt where asked = 1 and reservation_id = '{}'",
                held.id
            );
            (till.app.count(&sql).await == 1).then_some(())
        })
        .await;
        assert_eq!(till.status(&held).await, Status::Paying, "{code}");
        till.pass(&held, "status = 'pending'").await;
        eventually("the second question", async || {
            let sql = format!(
                "select count(*) from payment_attempt where asked = 2 and reservation_id = '{}'",
                held.id
            );
            (till.app.count(&sql).await == 1).then_some(())
        })
        .await;
        till.pass(&held, "status = 'pending'").await;
        till.until(&held, Status::Confirmed).await;
    }
    let told = "select count(*) from outbox where kind = 'pay_failed'";
    assert_eq!(till.app.count(told).await, 0);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_was_told_and_a_success_after_it_end_as_the_success_alone() {
    let (till, fake) = Till::open().await;
    let held = till.hold(1).await;
    fake.says(|script| script.queries = vec![json!("1037")]);
    till.ask(&held).await;
    till.until_attempt(&held, "pending").await;
    let (id, push) = fake.pushed();
    let client = till.app.pool.get().await.unwrap();
    let old = "update payment_attempt set created_at = created_at - interval '5 minutes'";
    client.execute(old, &[]).await.unwrap();
    drop(client);
    till.post(&till.result_url(&fake), &failure(&id, 1037))
        .await;
    till.until_attempt(&held, "failed").await;
    fake.says(|script| script.queries = vec![]);
    till.post(&till.result_url(&fake), &success(&id, &push, "AFTER1"))
        .await;
    till.until(&held, Status::Confirmed).await;
    // And the reverse.
    let held = till.hold(2).await;
    till.ask(&held).await;
    till.until_attempt(&held, "pending").await;
    let (id, push) = fake.pushed();
    let url = till.result_url(&fake);
    till.post(&url, &success(&id, &push, "FIRST2")).await;
    till.until(&held, Status::Confirmed).await;
    till.post(&url, &failure(&id, 1037)).await;
    till.until_applied(4).await;
    assert_eq!(till.status(&held).await, Status::Confirmed);
    till.close().await;
}

/// A payment that came twice, whose second is to go back: the refund.
async fn refund(till: &Till, fake: &Fake, receipt: &str) -> Uuid {
    let held = till.hold(1).await;
    till.ask(&held).await;
    till.until_attempt(&held, "pending").await;
    let (id, push) = fake.pushed();
    till.post(&till.result_url(fake), &success(&id, &push, "FIRST1"))
        .await;
    till.until(&held, Status::Confirmed).await;
    let again = fake.pays(receipt, held.code.digits(), "9000");
    till.post(&till.url("confirmation"), &again).await;
    eventually("the refund", async || {
        (till.app.count("select count(*) from refund").await == 1).then_some(())
    })
    .await;
    let client = till.app.pool.get().await.unwrap();
    let refund = refunds::list_open(&client).await.unwrap()[0].refund_id;
    let approved = refunds::approve(&client, refund, "asha", i64::MAX).await;
    assert_eq!(approved.unwrap(), Approval::Approved);
    refund
}

async fn until_refund(till: &Till, wanted: &str) {
    eventually(wanted, async || {
        let sql = format!("select count(*) from refund where {wanted}");
        (till.app.count(&sql).await == 1).then_some(())
    })
    .await;
}

async fn ask_again(till: &Till) {
    let client = till.app.pool.get().await.unwrap();
    let now = "update refund set due_at = now() where status = 'sending'";
    client.execute(now, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_whose_answer_is_lost_is_asked_about_and_never_sent_twice() {
    let (till, fake) = Till::open().await;
    fake.says(|script| script.reversal_lost = true);
    let id = refund(&till, &fake, "TWICE1").await;
    until_refund(&till, "status = 'sending' and asked = 1").await;
    fake.says(|script| script.tells = None);
    let asked_before = fake.traces();
    ask_again(&till).await;
    eventually("the question", async || {
        (fake.traces() > asked_before).then_some(())
    })
    .await;
    let answer_to = fake.traced("TWICE1").unwrap();
    assert!(
        answer_to.ends_with(&format!("/trace/{}", id.simple())),
        "{answer_to}"
    );
    let answer_to = answer_to.replace("http://PUBLIC", &till.app.public);
    // It stands as it was at first; then it has gone back.
    till.post(&answer_to, &moved("TWICE1", "9000", "174379"))
        .await;
    until_refund(&till, "status = 'sending'").await;
    let mut reversed = moved("TWICE1", "9000", "174379");
    reversed["Result"]["ResultParameters"]["ResultParameter"][3]["Value"] = json!("Reversed");
    till.post(&answer_to, &reversed).await;
    until_refund(&till, "status = 'done' and told_at is not null").await;
    assert_eq!(fake.reversals(), 1);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_of_which_nothing_is_ever_known_is_a_persons() {
    let (till, fake) = Till::open().await;
    fake.says(|script| script.reversal_lost = true);
    refund(&till, &fake, "TWICE1").await;
    until_refund(&till, "asked = 1").await;
    fake.says(|script| script.tells = None);
    for asked in 2..=6 {
        ask_again(&till).await;
        until_refund(&till, &format!("asked = {asked}")).await;
        let answer_to = fake.traced("TWICE1").unwrap();
        let answer_to = answer_to.replace("http://PUBLIC", &till.app.public);
        till.post(&answer_to, &nothing()).await;
    }
    ask_again(&till).await;
    until_refund(&till, "status = 'refused' and reason like 'unknown: %'").await;
    assert_eq!(fake.reversals(), 1);
    till.close().await;
}
