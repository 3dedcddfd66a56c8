//! What a flow makes of who dials again soon: asked, taken on unasked, or begun anew, as its file says.

use reserveflow::db::effect::Cause;
use reserveflow::db::payments::attempts::{Ask, Part, ask};
use reserveflow::db::reserve::Reserved;
use reserveflow::session::keeper::Memory;
use reserveflow::session::store::SessionKey;

use crate::support::app::{TestApp, msisdn, session_id};
use crate::support::eventually;
use crate::support::lodging::{Lodge, Wish, stay, turn};
use crate::support::menus::Folder;

const TITLE: &str = "CON ReserveFlow: a room tonight";
const GUESTS: &str = "How many people?";
const OFFER: &str = "CON Welcome back.";
/// From the first screen to the question for how many.
const TO_GUESTS: [&str; 4] = ["1", "Nakuru", "1", "2"];
const USUAL: &str = "needs: [place, check_in, nights] }";

fn start(mode: Option<&str>) -> (Folder, TestApp) {
    let folder = Folder::new();
    if let Some(mode) = mode {
        let changed = USUAL.replace(" }", &format!(", mode: {mode} }}"));
        folder.change("booking.yaml", USUAL, &changed);
    }
    let app = TestApp::start(&folder.setting());
    (folder, app)
}

/// A dialogue up to the question for how many, which breaks off there; its session.
async fn break_off(app: &TestApp, guest: &str) -> String {
    let session = session_id();
    let screen = app.dialogue(&session, guest, &TO_GUESTS).await;
    assert!(screen.contains(GUESTS), "{screen}");
    eventually("what is remembered of the guest", async || {
        let pending = app.app.keeper.pending(&msisdn(guest));
        (pending == Memory::default()).then_some(())
    })
    .await;
    session
}

/// As if Redis had lost it.
async fn forget(app: &TestApp, session: &str, guest: &str) {
    let client = redis::Client::open(app.redis_url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let key = SessionKey::new("africastalking", session, Some(&msisdn(guest)));
    redis::cmd("DEL")
        .arg(key.as_str())
        .exec_async(&mut redis)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_dials_again_is_asked_where_the_flow_says_so_or_nothing() {
    for mode in [None, Some("ask")] {
        let (_folder, app) = start(mode);
        let guest = "+254711000261";
        break_off(&app, guest).await;
        let again = session_id();
        let screen = app.call(&again, guest, "").await;
        assert!(screen.starts_with(OFFER), "{mode:?}: {screen}");
        let screen = app.call(&again, guest, "1").await;
        assert!(screen.contains(GUESTS), "{mode:?}: {screen}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_silent_flow_goes_on_where_it_broke_off_and_books() {
    let (_folder, app) = start(Some("silent"));
    let guest = "+254711000262";
    break_off(&app, guest).await;
    let again = session_id();
    let screen = app.call(&again, guest, "").await;
    assert!(
        screen.starts_with("CON Nakuru") && screen.contains(GUESTS),
        "{screen}"
    );
    // Dialled once more, it stands there still; back leads to the question before.
    assert_eq!(app.call(&session_id(), guest, "").await, screen);
    let back = app.dialogue(&session_id(), guest, &["0"]).await;
    assert!(back.contains("How many nights?"), "{back}");
    let booked = app.dialogue(&again, guest, &["2", "1", "Amina", "1"]).await;
    assert!(booked.starts_with("END BOOKED "), "{booked}");
    let screen = app.call(&session_id(), guest, "").await;
    assert!(screen.starts_with(TITLE), "{screen}");
    // What is dialled ahead begins anew, as in every mode.
    let other = "+254711000263";
    break_off(&app, other).await;
    let screen = app.call(&session_id(), other, "1").await;
    assert!(screen.contains("Where do you sleep?"), "{screen}");
    app.stop().await;
}

#[tokio::test]
async fn news_of_a_payment_is_heard_before_a_silent_flow_goes_on() {
    let (_folder, app) = start(Some("silent"));
    let lodge = Lodge {
        pay: "prepay",
        ..Lodge::default()
    };
    let property = lodge.insert(&app.pool).await;
    let reserved = Wish::new(property, stay(3, 2), 266)
        .reserve(&app.pool)
        .await;
    let Reserved::Made(reservation) = reserved else {
        panic!("{reserved:?}");
    };
    let guest = reservation.msisdn.as_str();
    let asking = Ask {
        reservation_id: reservation.id,
        part: Part::All,
        provider: "sandbox",
        msisdn: &reservation.msisdn,
        minor_per_unit: 100,
        turn: &turn("prompted"),
        cause: &Cause {
            who: "guest",
            channel: "ussd",
            why: "pays",
        },
    };
    ask(&app.pool.get().await.unwrap(), &asking).await.unwrap();
    break_off(&app, guest).await;
    let again = session_id();
    let screen = app.call(&again, guest, "").await;
    assert!(
        screen.contains(&reservation.code.to_string()) && screen.contains("Welcome back."),
        "{screen}"
    );
    let screen = app.call(&again, guest, "1").await;
    assert!(screen.contains(GUESTS), "{screen}");
    app.stop().await;
}

#[tokio::test]
async fn a_flow_that_starts_over_offers_nothing_and_its_lost_sessions_still_go_on() {
    let (_folder, app) = start(Some("start_over"));
    let guest = "+254711000264";
    break_off(&app, guest).await;
    let screen = app.call(&session_id(), guest, "").await;
    assert!(screen.starts_with(TITLE), "{screen}");
    // It is about who dials again: the same session, lost in between, stands where it stood.
    let other = "+254711000265";
    let lost = break_off(&app, other).await;
    forget(&app, &lost, other).await;
    let screen = app
        .call(&lost, other, &[&TO_GUESTS[..], &["2"]].concat().join("*"))
        .await;
    assert!(
        screen.starts_with("CON Nakuru") && screen.contains("KES"),
        "{screen}"
    );
    app.stop().await;
}
