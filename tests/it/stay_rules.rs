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

/// What a lodge asks, and how it is told of a stay of three nights from tomorrow on.
const RULES: &[(&str, &str)] = &[
    ("max_stay = 2", "only for 2 nights or fewer."),
    ("advance_days_max = 0", "to be booked 0 days ahead at most."),
    ("advance_hours_min = 300", "to be booked 300 hours ahead."),
];

/// The same, of single nights.
const NIGHTLY: &[(&str, &str)] = &[
    ("closed_to_arrival", "nobody can arrive that day."),
    ("closed_to_departure", "nobody can leave on "),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_that_comes_between_search_and_yes_is_told_by_its_own_screen() {
    let app = TestApp::start("");
    for (number, (rule, told)) in RULES.iter().chain(NIGHTLY).enumerate() {
        let guest = format!("+25471100081{number}");
        let session = session_id();
        let answers = ["1", "Nakuru", "2", "3", "1", "1", "Mary"];
        let screen = app.dialogue(&session, &guest, &answers).await;
        assert!(screen.contains("1 Yes, book"), "{screen}");
        set(&app, rule).await;
        let screen = app
            .call(&session, &guest, &format!("{}*1", answers.join("*")))
            .await;
        assert!(
            screen.contains(told) && screen.contains("Not booked."),
            "{rule}: {screen}"
        );
        unset(&app).await;
    }
    assert_eq!(app.count("select count(*) from reservation").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_town_with_rooms_that_takes_no_such_stay_is_not_called_full() {
    let app = TestApp::start("");
    // How far ahead is looked at with the price.
    for (number, (rule, told)) in RULES[..1].iter().chain(NIGHTLY).enumerate() {
        let guest = format!("+25471100082{number}");
        set(&app, rule).await;
        let answers = ["1", "Nakuru", "2", "3", "1"];
        let screen = app.dialogue(&session_id(), &guest, &answers).await;
        assert!(screen.contains(told), "{rule}: {screen}");
        unset(&app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_days_that_a_rule_forbids_is_told_with_the_rule() {
    let app = TestApp::start("");
    let guest = "+254711000804";
    let answers = ["1", "Nakuru", "2", "1", "1", "1", "Mary", "1"];
    let booked = app.dialogue(&session_id(), guest, &answers).await;
    assert!(booked.starts_with("END BOOKED "), "{booked}");
    let later = (crate::support::app::today() + chrono::Days::new(9))
        .format("%d%m")
        .to_string();
    let rules = RULES.iter().chain(NIGHTLY);
    for (rule, told) in rules.chain(&[("min_stay = 5", "only for 5 nights or more.")]) {
        set(&app, rule).await;
        let answers = ["2", "1", "2", "3", &later];
        let screen = app.dialogue(&session_id(), guest, &answers).await;
        assert!(
            screen.contains(told) && screen.contains("Your booking stays as it is."),
            "{rule}: {screen}"
        );
        unset(&app).await;
    }
}

async fn set(app: &TestApp, rule: &str) {
    let sql = if rule.starts_with("closed") {
        format!(
            "update property_availability a set {rule} = true from property p
             where p.property_id = a.property_id and p.town = 'ke-nakuru' and a.date < current_date + 14"
        )
    } else {
        format!("update property set {rule}")
    };
    run(app, &sql).await;
}

async fn unset(app: &TestApp) {
    run(
        app,
        "update property set min_stay = 1, max_stay = 30, advance_days_max = 365, advance_hours_min = 0;
         update property_availability set closed_to_arrival = false, closed_to_departure = false
         where closed_to_arrival or closed_to_departure",
    )
    .await;
}
