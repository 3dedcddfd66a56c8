//! Who finds no room can wait for one. Whatever frees it, the first who fits is held it and told; who does not take it makes
//! way for the next.

use chrono::Utc;
use futures_util::future::join_all;
use reserveflow::db::audit::audit;
use reserveflow::jobs::holds::expire_all;
use reserveflow::jobs::waitlist::offer_all;

use crate::support::app::{TestApp, at, session_id};
use crate::support::eventually;
use crate::support::lodging::Lodge;

const ASHA: &str = "+254711000901";
const BARAKA: &str = "+254711000902";
const CHEBET: &str = "+254711000903";
const TOMORROW: &str = "2";

/// The only lodge in Nakuru that is open has one room.
async fn one_room(app: &TestApp, lodge: Lodge) {
    run(app, "update property set open = false").await;
    Lodge { units: 1, ..lodge }.insert(&app.pool).await;
}

async fn run(app: &TestApp, sql: &str) {
    let client = app.pool.get().await.unwrap();
    client.batch_execute(sql).await.unwrap();
}

/// The nights that anybody here asks for.
async fn set_closed(app: &TestApp, closed: bool) {
    run(
        app,
        &format!(
            "update property_availability a set closed = {closed} from property p
             where p.property_id = a.property_id and p.open and a.date < current_date + 9"
        ),
    )
    .await;
}

async fn book(app: &TestApp, msisdn: &str) {
    let answers = ["1", "Nakuru", TOMORROW, "1", "1", "1", "0", "1"];
    let screen = app.dialogue(&session_id(), msisdn, &answers).await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
}

/// Looks for a room, finds none and waits for one.
async fn wait(app: &TestApp, msisdn: &str, day: &str, nights: &str) -> String {
    let mut answers = vec!["1", "Nakuru", day, nights, "1"];
    let session = session_id();
    let mut screen = app.dialogue(&session, msisdn, &answers).await;
    if screen.contains("1 Lake View") {
        // What others found a moment ago: the price is looked at anew.
        answers.push("1");
        screen = app.call(&session, msisdn, &answers.join("*")).await;
    }
    assert!(screen.contains("\n3 Tell me when free"), "{screen}");
    answers.push("3");
    app.call(&session, msisdn, &answers.join("*")).await
}

async fn cancel(app: &TestApp, msisdn: &str) {
    let screen = app
        .dialogue(&session_id(), msisdn, &["2", "1", "1", "2"])
        .await;
    assert!(screen.starts_with("END Cancelled"), "{screen}");
}

/// Once a message of this kind is written, by whichever worker.
async fn told(app: &TestApp, msisdn: &str) -> String {
    offer_all(&app.app).await.unwrap();
    let sql = "select text from outbox where msisdn = $1 and kind = 'room_for_you' order by outbox_id desc";
    eventually("the room", async || {
        let client = app.pool.get().await.unwrap();
        let row = client.query_opt(sql, &[&msisdn]).await.unwrap();
        row.map(|row| row.get(0))
    })
    .await
}

async fn offers(app: &TestApp) -> i64 {
    app.count("select count(*) from outbox where kind = 'room_for_you'")
        .await
}

async fn assert_sound(app: &TestApp) {
    let mut client = app.pool.get().await.unwrap();
    // Holds run by the database's clock.
    let differences = audit(&mut client, Utc::now()).await.unwrap();
    assert_eq!(differences, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_given_back_goes_to_the_first_who_waits_and_not_to_the_second() {
    let app = TestApp::start("");
    one_room(&app, Lodge::default()).await;
    book(&app, ASHA).await;
    for guest in [BARAKA, CHEBET] {
        let screen = wait(&app, guest, TOMORROW, "1").await;
        assert!(
            screen.starts_with("END An SMS tells you when a room is free: Nakuru"),
            "{screen}"
        );
    }
    offer_all(&app.app).await.unwrap();
    assert_eq!(offers(&app).await, 0);

    cancel(&app, ASHA).await;
    let text = told(&app, BARAKA).await;
    assert!(text.starts_with("A room for you: Lake View, "), "{text}");
    offer_all(&app.app).await.unwrap();
    assert_eq!(offers(&app).await, 1);
    assert_sound(&app).await;

    // Nobody else can have it meanwhile, and who waited begins where it is taken.
    let screen = app
        .dialogue(&session_id(), CHEBET, &["1", "Nakuru", TOMORROW, "1", "2"])
        .await;
    assert!(screen.starts_with("CON No room free"), "{screen}");
    let session = session_id();
    let screen = app.call(&session, BARAKA, "").await;
    assert!(
        screen.starts_with("CON A room for you: Lake View\n") && screen.contains("\n1 Take it"),
        "{screen}"
    );
    let screen = app.call(&session, BARAKA, "1").await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    assert_eq!(app.call(&session, BARAKA, "1").await, screen);
    let host =
        "select count(*) from outbox where kind = 'host_booked' and reservation_id in
                    (select reservation_id from reservation where turn_door = 'waitlist' and status = 'confirmed')";
    assert_eq!(app.count(host).await, 1);
    let screen = app.call(&session_id(), BARAKA, "").await;
    assert!(screen.starts_with("CON ReserveFlow: a room"), "{screen}");
    assert_sound(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_the_room_in_time_or_refuses_it_makes_way_for_the_next() {
    let app = TestApp::start("");
    one_room(&app, Lodge::default()).await;
    book(&app, ASHA).await;
    const DAUDI: &str = "+254711000904";
    for guest in [BARAKA, CHEBET, DAUDI] {
        wait(&app, guest, TOMORROW, "1").await;
    }
    cancel(&app, ASHA).await;
    told(&app, BARAKA).await;
    run(
        &app,
        "update reservation set hold_expires_at = now() - interval '1 second' where status = 'held'",
    )
    .await;
    expire_all(&app.app.books).await.unwrap();
    told(&app, CHEBET).await;
    let screen = app.call(&session_id(), BARAKA, "").await;
    assert!(screen.starts_with("CON ReserveFlow: a room"), "{screen}");

    let screen = app.dialogue(&session_id(), CHEBET, &["3", "2"]).await;
    assert!(screen.starts_with("END Cancelled"), "{screen}");
    told(&app, DAUDI).await;
    assert_eq!(offers(&app).await, 3);
    assert_sound(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_that_a_host_opens_are_held_until_they_are_paid() {
    let app = TestApp::start("payments: { sandbox: true }\n");
    let lodge = Lodge {
        pay: "prepay",
        ..Lodge::default()
    };
    one_room(&app, lodge).await;
    set_closed(&app, true).await;
    wait(&app, BARAKA, TOMORROW, "2").await;
    set_closed(&app, false).await;
    told(&app, BARAKA).await;
    let session = session_id();
    let screen = app.dialogue(&session, BARAKA, &["1"]).await;
    assert!(screen.contains("No money was taken yet. Pay?"), "{screen}");
    let screen = app.call(&session, BARAKA, "1*1").await;
    assert!(screen.starts_with("END Check your phone"), "{screen}");
    assert_sound(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_at_once_keep_the_line_and_a_longer_wish_lets_a_shorter_one_pass() {
    let app = TestApp::start("");
    one_room(&app, Lodge::default()).await;
    set_closed(&app, true).await;
    wait(&app, ASHA, TOMORROW, "2").await;
    for number in 0..9 {
        wait(&app, &format!("+25471100091{number}"), TOMORROW, "1").await;
    }
    // The first wants two nights, and only one is free.
    run(
        &app,
        "update property_availability set closed = false
         where date = (select min(check_in) from wish)",
    )
    .await;
    join_all((0..4).map(|_| offer_all(&app.app))).await;
    told(&app, "+254711000910").await;
    join_all((0..4).map(|_| offer_all(&app.app))).await;
    assert_eq!(offers(&app).await, 1);
    assert_sound(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_waits_for_three_rooms_and_the_same_wish_counts_once() {
    let app = TestApp::start("");
    one_room(&app, Lodge::default()).await;
    set_closed(&app, true).await;
    for nights in ["1", "1", "2", "3"] {
        let screen = wait(&app, ASHA, TOMORROW, nights).await;
        assert!(screen.starts_with("END An SMS tells you"), "{screen}");
    }
    assert_eq!(app.count("select count(*) from wish").await, 3);
    let screen = wait(&app, ASHA, TOMORROW, "4").await;
    assert!(
        screen.starts_with("END You wait for 3 rooms already."),
        "{screen}"
    );
    assert_eq!(app.count("select count(*) from wish").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_woken_for_a_room_of_tomorrow_nor_told_who_wants_no_sms() {
    let app = TestApp::start_at(at("23:00:00"), "");
    let lodge = Lodge {
        units: 5,
        ..Lodge::default()
    };
    run(&app, "update property set open = false").await;
    lodge.insert(&app.pool).await;
    set_closed(&app, true).await;
    wait(&app, ASHA, TOMORROW, "1").await;
    wait(&app, BARAKA, "1", "1").await;
    run(
        &app,
        &format!(
            "insert into guest (msisdn, opted_out_at) values ('{BARAKA}', now())
                  on conflict (msisdn) do update set opted_out_at = now()"
        ),
    )
    .await;
    wait(&app, CHEBET, "1", "1").await;
    set_closed(&app, false).await;
    // Who comes last in the line is told, so the others were passed over.
    told(&app, CHEBET).await;
    assert_eq!(offers(&app).await, 1);
}
