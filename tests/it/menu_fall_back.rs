//! A translation that may lack lines: whoever meets the gap reads the language of the country, and it is counted.

use crate::support::app::{TestApp, session_id};
use crate::support::menus::Folder;

/// In Nigeria, whose default is English.
const GUEST: &str = "+2348031000863";
const LANGUAGE: &str = "language: ha\n";

async fn missing(app: &TestApp) -> u64 {
    let url = format!("{}/metrics", app.private);
    let metrics = app.http.get(url).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("menu_texts_missing_total{language=\"ha\"} "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_line_is_said_in_the_language_of_the_country_and_counted() {
    let folder = Folder::new();
    let file = "translations/ha.yaml";
    folder.change(file, LANGUAGE, &format!("{LANGUAGE}fall_back: true\n"));
    folder.change(
        file,
        "  nothing_to_pay:\n    say: \"Babu abin biya yanzu. Za ka biya a lodge idan ka isa.\"\n    options: { 1: \"Booking dina\" }\n",
        "",
    );
    let app = TestApp::start(&folder.setting());
    let chosen = app.dialogue(&session_id(), GUEST, &["4", "7"]).await;
    assert!(chosen.contains("dakin kwana"), "{chosen}");
    assert_eq!(missing(&app).await, 0);

    let session = session_id();
    let screen = app.dialogue(&session, GUEST, &["3"]).await;
    assert_eq!(
        screen,
        "CON Nothing to pay now. You pay at the lodge when you arrive.\n1 My booking\n0 Back"
    );
    assert_eq!(missing(&app).await, 1);
    let next = app.call(&session, GUEST, "3*1").await;
    assert!(next.starts_with("CON Ba ka da booking."), "{next}");
    assert_eq!(missing(&app).await, 1);
}

#[test]
fn without_that_word_a_missing_line_is_refused() {
    let folder = Folder::new();
    folder.change(
        "translations/ha.yaml",
        "    options: { 1: \"Booking dina\" }\n",
        "",
    );
    let read = reserveflow::menu::files::read(Some(&folder.path()), &[]);
    let why = read.map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("translations/ha.yaml:"), "{why}");
    assert!(
        why.contains("option '1' of 'nothing_to_pay' is missing in 'ha'"),
        "{why}"
    );
}
