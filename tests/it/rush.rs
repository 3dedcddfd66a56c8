//! Two hundred people want the same seven rooms on the same night, at the same moment.

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use futures_util::StreamExt;
use futures_util::stream;
use reserveflow::db::partitions::fill_nights;
use uuid::Uuid;

use crate::support::app::{TestApp, form, session_id, today};
use crate::support::eventually;

const GUESTS: usize = 200;
const UNITS: i64 = 7;
/// Dialogues that are led at once up to the confirmation.
const AT_ONCE: usize = 16;

struct Guest {
    session: String,
    msisdn: String,
    /// Offset of the first night from the popular one, and how many nights; each stay has the popular night in it.
    early: u64,
    nights: usize,
    /// People: a lodge nearby takes one, not two.
    people: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_rooms_go_to_seven_guests_and_everyone_else_hears_the_truth() {
    let app = TestApp::start("");
    let app = Arc::new(app);
    let popular = today() + Days::new(20);
    let home = lodge(&app, "Sunset", UNITS, 2, 4500).await;
    lodge(&app, "Nearby", 1000, 1, 9900).await;
    app.app.load_places().await.unwrap();

    let guests: Vec<Guest> = (0..GUESTS).map(guest).collect();
    stream::iter(&guests)
        .for_each_concurrent(AT_ONCE, |guest| {
            let app = app.clone();
            async move {
                let answers = answers(guest, popular);
                let mut screen = ask(&app, guest, "").await;
                for count in 1..=answers.len() {
                    screen = ask(&app, guest, &answers[..count].join("*")).await;
                }
                assert!(
                    screen.starts_with("CON Sunset") && screen.contains("1 Yes, book"),
                    "{screen}"
                );
            }
        })
        .await;

    let texts = stream::iter(&guests).map(|guest| {
        let app = app.clone();
        async move {
            let mut answers = answers(guest, popular);
            answers.push("1");
            ask(&app, guest, &answers.join("*")).await
        }
    });
    let texts: Vec<String> = texts.buffered(GUESTS).collect().await;

    let mut booked = Vec::new();
    for (guest, text) in guests.iter().zip(&texts) {
        if text.starts_with("END BOOKED ") {
            booked.push(guest);
        } else if guest.people == 1 {
            assert!(
                text.starts_with("CON That room was just taken.") && text.contains("1 Nearby"),
                "{text}"
            );
        } else {
            assert!(
                text.starts_with("CON ") && text.contains("No room free in Rushtown"),
                "{text}"
            );
        }
    }
    assert_eq!(booked.len() as i64, UNITS);
    nights_are_right(&app, home, popular).await;
    messages_are_right(&app, &booked).await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(app.count(deadlocks).await, 0);
}

/// One call, made again while a machine busy with other tests leaves the service no time for a definite answer.
async fn ask(app: &TestApp, guest: &Guest, text: &str) -> String {
    let url = format!("{}/ussd/africastalking/demo", app.public);
    eventually("a definite answer", async || {
        let response = app
            .post(&url, &form(&guest.session, &guest.msisdn, text))
            .await;
        let is_ok = response.status() == 200;
        let screen = response.text().await.unwrap();
        let is_definite = !["takes longer", "Busy just now"]
            .iter()
            .any(|words| screen.contains(words));
        (is_ok && is_definite).then_some(screen)
    })
    .await
}

fn guest(number: usize) -> Guest {
    let (early, nights) = [(0, 1), (1, 2), (0, 2), (1, 3), (2, 3), (0, 3)][number % 6];
    Guest {
        session: session_id(),
        msisdn: format!("+2547110{number:05}"),
        early,
        nights,
        people: 1 + number % 2,
    }
}

fn answers(guest: &Guest, popular: NaiveDate) -> Vec<&'static str> {
    let check_in = (popular - Days::new(guest.early)).format("%d%m%Y");
    // Answers live as long as the test: their number is small.
    let check_in: &'static str = check_in.to_string().leak();
    let digit = |number: usize| ["0", "1", "2", "3"][number];
    vec![
        "1",
        "Rushtown",
        check_in,
        digit(guest.nights),
        digit(guest.people),
        "1",
        "Asha",
    ]
}

/// A lodge in a town that no other test has.
async fn lodge(app: &TestApp, name: &str, units: i64, guests_max: i32, price: i32) -> Uuid {
    let mut client = app.pool.get().await.unwrap();
    let id = Uuid::new_v4();
    client
        .batch_execute(&format!(
            "insert into place values
                 ('ke-rushtown', 'town', null, 'Rushtown', 'KE', 'Coast', -0.3, 36.1, 9, '{{}}')
                 on conflict do nothing;
             insert into host (host_id, name, msisdn) values ('{id}', '{name}', '+2547220{price:05}');
             insert into property (property_id, short_id, host_id, town, name, kind, units, guests_max, price_base,
                 currency, time_zone, pay, phone)
                 values ('{id}', '{id}', '{id}', 'ke-rushtown', '{name}', 'lodge', {units}, {guests_max},
                 {price}00, 'KES', 'Africa/Nairobi', 'at_lodge', '+2547220{price:05}')"
        ))
        .await
        .unwrap();
    fill_nights(&mut client, today()).await.unwrap();
    id
}

async fn nights_are_right(app: &TestApp, home: Uuid, popular: NaiveDate) {
    let live = |night: &str| {
        format!(
            "select count(*) from reservation where property_id = '{home}' and status = 'confirmed'
             and check_in <= {night} and check_out > {night}"
        )
    };
    assert_eq!(app.count(&live(&format!("date '{popular}'"))).await, UNITS);
    let wrong = format!(
        "select count(*) from property_availability a
         where property_id = '{home}' and (reserved_units > {UNITS} or reserved_units <> ({}))",
        live("a.date")
    );
    assert_eq!(app.count(&wrong).await, 0, "nights that do not add up");
}

async fn messages_are_right(app: &TestApp, booked: &[&Guest]) {
    for guest in booked {
        let sent = app.sms(&guest.msisdn, 1).await;
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0]["text"].as_str().unwrap().starts_with("BOOKED "));
    }
    let notices = app.sms("+254722004500", UNITS as usize).await;
    assert_eq!(notices.len() as i64, UNITS);
    let odd = "select count(*) from reservation r where
         (select array_agg(o.kind order by o.kind) from outbox o where o.reservation_id = r.reservation_id)
         <> array['confirmed', 'host_booked']";
    assert_eq!(app.count(odd).await, 0);
    assert_eq!(
        app.count("select count(*) from outbox").await,
        2 * UNITS,
        "nobody else is written to"
    );
}
