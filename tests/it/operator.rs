//! What the operator does to a booking by its code.

use reserveflow::app::Clock;
use reserveflow::db::payments::refunds::{self, Approval};
use reserveflow::db::reserve::Reserved;
use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::lodging::{Lodge, Wish, stay};

async fn post(app: &TestApp, code: &str, action: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let url = format!("{}/private/bookings/{code}/{action}", app.private);
    let response = app.post(&url, form).await;
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_seen_on_the_till_confirms_a_hold_once_and_goes_back_when_the_booking_is_cancelled() {
    let app = TestApp::start_at(Clock::System, "payments: { sandbox: true }\n");
    let property = Lodge {
        pay: "prepay",
        ..Lodge::default()
    }
    .insert(&app.pool)
    .await;
    let wish = Wish::new(property, stay(5, 2), 1);
    let Reserved::Made(held) = wish.reserve(&app.pool).await else {
        panic!("not held");
    };
    let code = held.code.digits();

    let (status, _) = post(&app, code, "paid", &[("why", " ")]).await;
    assert_eq!(status, 400);
    for _ in 0..2 {
        let form = [("why", "till QX12"), ("key", "till-QX12")];
        let (status, shown) = post(&app, code, "paid", &form).await;
        assert_eq!(
            (status, shown["status"].as_str()),
            (200, Some("confirmed")),
            "{shown}"
        );
        assert_eq!(shown["history"].as_array().unwrap().len(), 2, "{shown}");
        assert_eq!(shown["history"][1]["why"], "till QX12");
    }
    let (status, _) = post(&app, code, "paid", &[("why", "again")]).await;
    assert_eq!(status, 409);
    let told = app.sms(wish.msisdn.as_str(), 2).await;
    assert!(
        told.iter()
            .any(|sms| sms["text"].as_str().unwrap().contains("Paid KES 9,000")),
        "{told:?}"
    );

    let (status, shown) = post(&app, code, "cancel", &[("why", "the roof leaks")]).await;
    assert_eq!(
        (status, shown["status"].as_str()),
        (200, Some("refund_due")),
        "{shown}"
    );
    assert_eq!(shown["refund"], 900_000);
    // The money goes back when somebody else has approved it.
    let client = app.pool.get().await.unwrap();
    let open = refunds::list_open(&client).await.unwrap();
    let refund = open[0].refund_id;
    assert_eq!(open[0].amount, held.total);
    assert!(
        !refunds::end(&client, refund, Some("R1"), "juma")
            .await
            .unwrap()
    );
    let approved = refunds::approve(&client, refund, "asha", i64::MAX).await;
    assert_eq!(approved.unwrap(), Approval::Approved);
    assert!(
        refunds::end(&client, refund, Some("R1"), "juma")
            .await
            .unwrap()
    );
    drop(client);
    let url = format!("{}/private/bookings/{code}", app.private);
    let shown: Value = app
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let words: Vec<&str> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["to"].as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        ["held", "confirmed", "cancelled", "refund_due", "refunded"]
    );

    for (code, action) in [("00000000", "paid"), ("nonsense", "cancel")] {
        assert_eq!(post(&app, code, action, &[("why", "x")]).await.0, 404);
    }
    assert_eq!(post(&app, code, "explode", &[("why", "x")]).await.0, 409);
    assert_eq!(shown["status"], "refunded");
    // Nobody reaches it from outside.
    let outside = format!("{}/private/bookings/{code}", app.public);
    assert_eq!(app.http.get(outside).send().await.unwrap().status(), 404);
    app.stop().await;
}
