//! A PIN that is typed into a menu stands in no store, whatever else is kept of its dialogue.

use reserveflow::session::keeper::Memory;
use reserveflow::session::store::SessionKey;

use crate::support::app::{TestApp, msisdn, session_id};
use crate::support::eventually;
use crate::support::menus::Folder;

const GUEST: &str = "+254711000861";
const PIN: &str = "739146";
const WRONG_PIN: &str = "7391468";
const FLOW: &str = r#"flow: booking
languages: [en, sw]
start: home
resume: { screen: again, needs: [check_in] }
variables: { check_in: date, secret: pin }
screens:
  home:
    say: { en: Hello, sw: Habari }
    options:
      1: { say: { en: Today, sw: Leo }, set: { check_in: today }, goto: ask }
  again:
    say: { en: Welcome back, sw: Karibu tena }
    options: { 1: { say: { en: Continue, sw: Endelea }, goto: draft } }
  ask:
    say: { en: Your PIN?, sw: PIN yako? }
    input: { secret: pin }
    goto: work
  work: { run: time_of_day, on: { day: inside, after_midnight: inside } }
  inside:
    say: { en: "Inside on {check_in}", sw: "Ndani, {check_in}" }
    options: { 1: { say: { en: Back, sw: Rudi }, goto: ask } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_in_no_store() {
    let folder = Folder::with_flow(FLOW);
    let app = TestApp::start(&folder.setting());
    let session = session_id();
    let said = |answers: &[&str]| answers.join("*");

    let screen = app.dialogue(&session, GUEST, &["1", WRONG_PIN]).await;
    assert!(
        screen.starts_with("CON Type 4 to 6 numbers.\nYour PIN?"),
        "{screen}"
    );
    let screen = app
        .call(&session, GUEST, &said(&["1", WRONG_PIN, PIN]))
        .await;
    assert!(screen.starts_with("CON Inside"), "{screen}");
    // The same call again has the same answer, and the next one follows.
    assert_eq!(
        app.call(&session, GUEST, &said(&["1", WRONG_PIN, PIN]))
            .await,
        screen
    );
    let asked = app
        .call(&session, GUEST, &said(&["1", WRONG_PIN, PIN, "1"]))
        .await;
    assert!(asked.starts_with("CON Your PIN?"), "{asked}");
    let screen = app
        .call(&session, GUEST, &said(&["1", WRONG_PIN, PIN, "1", PIN]))
        .await;
    assert!(screen.starts_with("CON Inside"), "{screen}");

    eventually("what is remembered of the guest", async || {
        (app.app.keeper.pending(&msisdn(GUEST)) == Memory::default()).then_some(())
    })
    .await;
    let key = SessionKey::new("africastalking", &session, Some(&msisdn(GUEST)));
    let keys = app.keys_of(&key).await;
    let mut kept = redis::cmd("MGET");
    kept.arg(keys);
    let kept: Vec<Vec<u8>> = kept.query_async(&mut app.redis().await).await.unwrap();
    let kept = String::from_utf8_lossy(&kept.concat()).into_owned();
    assert!(kept.contains("Inside"), "{kept}");
    assert!(!kept.contains(PIN) && !kept.contains(WRONG_PIN), "{kept}");

    let input = said(&["1", WRONG_PIN, PIN, "1", PIN]);
    let end = [
        ("date", "2026-09-30 12:00:00"),
        ("sessionId", &session),
        ("serviceCode", "*384*7#"),
        ("networkCode", "99999"),
        ("phoneNumber", GUEST),
        ("status", "Incomplete"),
        ("input", &input),
    ];
    let url = format!("{}/ussd/africastalking/demo/events", app.public);
    assert_eq!(app.post(&url, &end).await.status(), 200);
    for (kept, what) in [
        ("draft", "encode(dialogue, 'escape')"),
        ("session_end", "input"),
    ] {
        let sql = |like: &str| format!("select count(*) from {kept} where {what} like '%{like}%'");
        assert_eq!(app.count(&sql("1*")).await, 1, "{kept}");
        assert_eq!(app.count(&sql(&PIN[..4])).await, 0, "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_dialled_ahead_stop_before_a_pin() {
    let folder = Folder::with_flow(FLOW);
    let app = TestApp::start(&folder.setting());
    let screen = app.call(&session_id(), GUEST, &["1", PIN].join("*")).await;
    assert!(screen.starts_with("CON Your PIN?"), "{screen}");
}
