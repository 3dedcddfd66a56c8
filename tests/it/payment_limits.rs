//! Against those who keep rooms from others without paying: a hold is made longer once, and many numbers alike are noticed.

use chrono::{DateTime, TimeDelta, Utc};
use reserveflow::app::Clock;
use reserveflow::booking::reservation::Status;
use reserveflow::db::reserve::Reserved;
use serde_json::json;

use crate::payments::Till;
use crate::support::app::{TestApp, session_id};
use crate::support::eventually;
use crate::support::lodging::{Lodge, Wish, stay};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_to_pay_makes_a_hold_longer_once_however_often_it_is_asked() {
    let (till, fake) = Till::open().await;
    fake.says(|script| script.queries = vec![json!("1032")]);
    let held = till.hold(1).await;
    let client = till.app.pool.get().await.unwrap();
    let soon = "update reservation set hold_expires_at = now() + interval '2 minutes'";
    client.execute(soon, &[]).await.unwrap();
    drop(client);
    let before = till.hold_end(&held).await;
    let caller = held.msisdn.as_str();
    // Looking, and going away again, gains nothing.
    for answers in [&["3"][..], &["3", "1"], &["3", "1", "0"]] {
        till.app.dialogue(&session_id(), caller, answers).await;
    }
    assert_eq!(till.hold_end(&held).await, before);

    let mut ends = Vec::new();
    for _ in 0..3 {
        let asked = till
            .app
            .dialogue(&session_id(), caller, &["3", "1", "1"])
            .await;
        assert!(asked.starts_with("END Check your phone"), "{asked}");
        ends.push(till.hold_end(&held).await);
        till.pass(&held, "status = 'due'").await;
        till.until_attempt(&held, "pending").await;
        till.pass(&held, "status = 'pending'").await;
        till.until_attempt(&held, "failed").await;
        ends.push(till.hold_end(&held).await);
    }
    let first = ends[0];
    assert!(
        first > before && first <= Utc::now() + TimeDelta::minutes(10),
        "{first}"
    );
    assert!(ends.iter().all(|end| *end == first), "{ends:?}");
    // A fourth is by hand, and no longer either.
    let by_hand = till
        .app
        .dialogue(&session_id(), caller, &["3", "1", "1"])
        .await;
    assert!(by_hand.contains("to Paybill 174379"), "{by_hand}");
    assert_eq!(till.hold_end(&held).await, first);
    assert_eq!(fake.pushes(), 3);
    // Where the lodge gives time for that it is longer, counted from the booking.
    let client = till.app.pool.get().await.unwrap();
    let terms =
        "update property set by_hand_minutes = 60, pay_at_lodge_too = true where property_id = $1";
    client.execute(terms, &[&till.property]).await.unwrap();
    let hour =
        "select created_at + interval '60 minutes' from reservation where reservation_id = $1";
    let hour: DateTime<Utc> = client.query_one(hour, &[&held.id]).await.unwrap().get(0);
    drop(client);
    for _ in 0..2 {
        till.app
            .dialogue(&session_id(), caller, &["3", "1", "1"])
            .await;
        assert_eq!(till.hold_end(&held).await, hour);
    }
    // When it is over it is over.
    let client = till.app.pool.get().await.unwrap();
    let over = "update reservation set hold_expires_at = now() - interval '1 second'";
    client.execute(over, &[]).await.unwrap();
    let old = "update payment_attempt set created_at = created_at - interval '16 minutes'";
    client.execute(old, &[]).await.unwrap();
    drop(client);
    till.until(&held, Status::Expired).await;
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_could_not_pay_by_phone_can_still_pay_on_arrival_where_the_lodge_takes_that() {
    let (till, fake) = Till::open().await;
    fake.says(|script| script.queries = vec![json!("2001")]);
    let client = till.app.pool.get().await.unwrap();
    let terms = "update property set pay_at_lodge_too = true where property_id = $1";
    client.execute(terms, &[&till.property]).await.unwrap();
    drop(client);
    let held = till.hold(1).await;
    let caller = held.msisdn.as_str();
    let dial = async |answers: &[&str]| till.app.dialogue(&session_id(), caller, answers).await;
    dial(&["3", "1", "1"]).await;
    // While the phone asks it may be paid by that.
    let open = dial(&["3", "1"]).await;
    assert!(open.contains("We are checking your payment"), "{open}");
    till.pass(&held, "status = 'due'").await;
    till.until_attempt(&held, "pending").await;
    till.pass(&held, "status = 'pending'").await;
    till.until_attempt(&held, "failed").await;
    assert_eq!(till.status(&held).await, Status::Paying);
    let ways = dial(&["3", "1"]).await;
    assert!(ways.contains("\n2 Pay at lodge KES 9,000"), "{ways}");
    let booked = dial(&["3", "1", "2"]).await;
    assert!(
        booked.starts_with(&format!("END BOOKED {}.", held.code)),
        "{booked}"
    );
    assert_eq!(till.status(&held).await, Status::Confirmed);
    till.close().await;
}

/// A metric without labels.
async fn metric(app: &TestApp, name: &str) -> f64 {
    let text = app
        .http
        .get(format!("{}/metrics", app.private))
        .send()
        .await;
    let text = text.unwrap().text().await.unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_cards_of_one_box_hold_a_part_of_a_lodge_and_ring_an_alarm() {
    let app = TestApp::start_at(Clock::System, "payments: { sandbox: true }\n");
    let lodge = Lodge {
        pay: "prepay",
        units: 40,
        unpaid_percent: 30,
        ..Lodge::default()
    };
    let property = lodge.insert(&app.pool).await;
    let mut made = 0;
    for number in 0..200 {
        let wish = Wish::new(property, stay(3, 1), number);
        made += i64::from(matches!(wish.reserve(&app.pool).await, Reserved::Made(_)));
    }
    assert_eq!(made, 12, "three tenths of the rooms");
    eventually("the alarm", async || {
        (metric(&app, "unpaid_hold_bursts_total").await >= 1.0).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_have_nothing_in_common_or_have_paid_are_no_burst() {
    use reserveflow::db::bursts;
    use std::time::Duration;

    let app = TestApp::start_at(Clock::System, "payments: { sandbox: true }\n");
    let lodge = Lodge {
        pay: "prepay",
        units: 40,
        ..Lodge::default()
    };
    let property = lodge.insert(&app.pool).await;
    // Each of another ten thousand.
    for number in 0..9 {
        Wish::new(property, stay(3, 1), number * 10_000)
            .reserve(&app.pool)
            .await;
    }
    let client = app.pool.get().await.unwrap();
    let list = async || {
        let found = bursts::list(&client, Duration::from_secs(600), 8).await;
        found.unwrap()
    };
    assert_eq!(list().await, []);
    for number in 1..9 {
        Wish::new(property, stay(4, 1), number)
            .reserve(&app.pool)
            .await;
    }
    let found = list().await;
    // With the one that was there before.
    assert_eq!((found.len(), found[0].numbers), (1, 9), "{found:?}");
    assert_eq!(found[0].prefix, "+25471100");
    let paid = "update reservation set paid = total where check_in = (select max(check_in) from reservation)";
    client.execute(paid, &[]).await.unwrap();
    assert_eq!(list().await, []);
    app.stop().await;
}
