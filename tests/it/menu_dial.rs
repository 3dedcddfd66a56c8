//! Aliases behind the code, as posters have them: they lead to their screen whatever the menu looks like, and stop before
//! anything is booked.

use crate::support::app::{TestApp, session_id};
use crate::support::menus::Folder;

const GUEST: &str = "+254711000862";

#[tokio::test(flavor = "multi_thread")]
async fn a_poster_is_right_after_the_menu_was_reordered() {
    let folder = Folder::new();
    folder.change(
        "booking.yaml",
        "      1: { say: { en: Book a room",
        "      9: { say: { en: Book a room",
    );
    folder.change(
        "booking.yaml",
        "      3: { say: { en: Pay, sw: Lipa }",
        "      1: { say: { en: Pay, sw: Lipa }",
    );
    for name in ["fr", "ha", "lg", "pcm", "rw", "yo"] {
        let file = format!("translations/{name}.yaml");
        folder.change(&file, "options: { 1: ", "options: { 9: ");
        folder.change(&file, ", 3: ", ", 1: ");
    }
    let app = TestApp::start(&folder.setting());
    let home = app.call(&session_id(), GUEST, "").await;
    assert!(
        home.contains("\n9 Book a room\n2 My booking\n1 Pay\n"),
        "{home}"
    );

    let session = session_id();
    let screen = app.call(&session, GUEST, "1*Nakuru*2*2*2").await;
    assert!(screen.starts_with("CON Nakuru, "), "{screen}");
    // The answers that follow belong to the screens that are shown.
    let screen = app.call(&session, GUEST, "1*Nakuru*2*2*2*1").await;
    assert!(screen.contains("Your name?"), "{screen}");

    for (dialled, title) in [
        ("BOOK", "CON Where do you sleep?"),
        ("mine", "CON You have no booking."),
        ("3", "CON Nothing to pay now."),
        ("Help", "CON ReserveFlow books rooms by phone."),
    ] {
        let screen = app.call(&session_id(), GUEST, dialled).await;
        assert!(screen.starts_with(title), "{dialled}: {screen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_behind_an_alias_stop_before_the_booking() {
    let app = TestApp::start("");
    let screen = app
        .call(&session_id(), GUEST, "book*Nakuru*2*2*2*1*Mary*1*1")
        .await;
    assert!(screen.contains("\n1 Yes, book"), "{screen}");
    assert_eq!(app.count("select count(*) from reservation").await, 0);
}
