//! A guest hears what a lodge asks of a stay, not that it is full.

use crate::support::app::{TestApp, session_id};

async fn run(app: &TestApp, sql: &str) {
    app.pool
        .get()
        .await
        .unwrap()
        .batch_execute(sql)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_nights_are_told_with_the_number_that_is_taken() {
    let app = TestApp::start("");
    run(
        &app,
        "update property set min_stay = 3 where town = 'ke-nakuru'",
    )
    .await;
    let session = session_id();
    let answers = ["1", "Nakuru", "1", "1", "1"];
    let screen = app.dialogue(&session, "+254711000801", &answers).await;
    assert!(
        screen.contains("a free room, but only for 3 nights or more"),
        "{screen}"
    );
    let more = app
        .call(&session, "+254711000801", "1*Nakuru*1*1*1*1*3*1")
        .await;
    assert!(more.contains("\n1 ") && more.contains("KES"), "{more}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_comes_between_search_and_yes_is_told() {
    let app = TestApp::start("");
    let session = session_id();
    let answers = ["1", "Nakuru", "1", "1", "1", "1", "Mary"];
    let screen = app.dialogue(&session, "+254711000802", &answers).await;
    assert!(screen.contains("1 Yes, book"), "{screen}");
    run(&app, "update property set advance_hours_min = 300").await;
    let text = format!("{}*1", answers.join("*"));
    let screen = app.call(&session, "+254711000802", &text).await;
    assert!(
        screen.contains("does not take a stay like that. Nothing was booked"),
        "{screen}"
    );
}
