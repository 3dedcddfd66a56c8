//! A host with one lodge and nothing but SMS: prices, rooms, nights closed and opened, a guest who does not come and one who
//! is turned away, each to its end.

use chrono::Days;
use reserveflow::db::audit::audit;

use crate::support::app::{TestApp, at, session_id, today};
use crate::support::lodging::Lodge;

const GUEST: &str = "+254711000951";
const OTHER: &str = "+254711000952";

struct Host<'a> {
    app: &'a TestApp,
    phone: String,
}

impl Host<'_> {
    /// What our answer to this message says.
    async fn text(&self, text: &str) -> String {
        let url = format!("{}/sms/africastalking/demo/inbound", self.app.public);
        let id = session_id();
        let sms = [
            ("id", id.as_str()),
            ("from", self.phone.as_str()),
            ("to", "22384"),
            ("text", text),
        ];
        assert_eq!(self.app.post(&url, &sms).await.status(), 200);
        let client = self.app.pool.get().await.unwrap();
        let sql = "select text from outbox where msisdn = $1 order by outbox_id desc limit 1";
        let row = client.query_one(sql, &[&self.phone]).await.unwrap();
        row.get(0)
    }

    /// Asks, reads what would be done, and says yes to it.
    async fn sure(&self, wish: &str, asked: &str) -> String {
        let question = self.text(wish).await;
        assert!(question.contains(asked), "{wish}: {question}");
        let yes = question.split_once("YES ").unwrap().1;
        let yes = format!("YES {}", &yes[..4]);
        let done = self.text(&yes).await;
        // Once: the number is of no use any more.
        let again = self.text(&yes).await;
        assert!(again.starts_with("That number does not fit"), "{again}");
        done
    }
}

async fn book(app: &TestApp, guest: &str, day: &str) -> String {
    let answers = ["1", "Nakuru", day, "1", "1", "1", "0", "1"];
    let screen = app.dialogue(&session_id(), guest, &answers).await;
    assert!(screen.starts_with("END BOOKED "), "{screen}");
    screen["END BOOKED ".len()..][..9].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_does_everything_by_sms_and_says_yes_to_what_cannot_be_undone() {
    let app = TestApp::start_at(at("23:00:00"), "");
    let client = app.pool.get().await.unwrap();
    client
        .batch_execute("update property set open = false")
        .await
        .unwrap();
    let lodge = Lodge::default().insert(&app.pool).await;
    let phone = client
        .query_one(
            "select phone from property where property_id = $1",
            &[&lodge],
        )
        .await
        .unwrap()
        .get(0);
    let host = Host { app: &app, phone };
    let night = async |column: &str, days: u64| -> i64 {
        let sql = format!(
            "select ({column})::bigint from property_availability where property_id = $1 and date = $2"
        );
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&lodge, &(today() + Days::new(days))];
        client.query_one(&sql, &values).await.unwrap().get(0)
    };

    let day = |days: u64| (today() + Days::new(days)).format("%d%m").to_string();
    let done = host
        .sure(
            &format!("PRICE 5000 {} {}", day(2), day(3)),
            "then KES 5,000 a night",
        )
        .await;
    assert!(done.contains("now KES 5,000 a night"), "{done}");
    let prices = [
        night("price_base", 1).await,
        night("price_base", 2).await,
        night("price_base", 3).await,
    ];
    assert_eq!(prices, [450_000, 500_000, 500_000]);

    let done = host.sure("ROOMS 3", "free nights 7, then 3").await;
    assert!(done.contains("free nights before 7, now 3"), "{done}");
    assert_eq!(night("available_units - reserved_units", 0).await, 3);

    let absent = book(&app, GUEST, "1").await;
    let away = book(&app, OTHER, "2").await;
    let closed = host.text("CLOSE").await;
    assert!(closed.contains("rooms free before 2, now 0"), "{closed}");
    assert!(closed.contains("1 booking"), "{closed}");
    let none = ["1", "Nakuru", "1", "1", "2"];
    let screen = app.dialogue(&session_id(), "+254711000953", &none).await;
    assert!(screen.starts_with("CON No room free"), "{screen}");
    let opened = host.text("OPEN").await;
    assert!(opened.contains("now 2"), "{opened}");

    let done = host.sure(&format!("NOSHOW {absent}"), "as absent?").await;
    assert!(done.contains("absent. The room is free again."), "{done}");
    assert_eq!(night("available_units - reserved_units", 0).await, 3);
    let done = host
        .sure(&format!("CANCEL {away}"), &format!("Cancel {away}"))
        .await;
    assert!(done.starts_with(&format!("Cancelled {away}")), "{done}");
    assert_eq!(night("reserved_units", 1).await, 0);
    let ended = "select string_agg(status, ' ' order by status) from reservation";
    let states: String = client.query_one(ended, &[]).await.unwrap().get(0);
    assert_eq!(states, "cancelled no_show");
    let told = app.sms(OTHER, 2).await;
    assert!(
        told.iter().any(|sms| sms["text"]
            .as_str()
            .unwrap()
            .starts_with(&format!("Sorry: Lake View cancelled {away}"))),
        "{told:?}"
    );
    drop(client);
    let mut client = app.pool.get().await.unwrap();
    let differences = audit(&mut client, app.app.clock.now()).await.unwrap();
    assert_eq!(differences, []);
}
