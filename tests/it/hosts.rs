//! Reminders and digests: at the hours of the place, once, and not to those who want none.

use chrono::Days;
use reserveflow::booking::stay::Stay;
use reserveflow::db::reserve::Reserved;
use reserveflow::jobs::holds::expire_all;
use reserveflow::jobs::reminders::remind;

use crate::support::app::{TestApp, at, today};
use crate::support::eventually;
use crate::support::lodging::{Lodge, Wish, stay};
use crate::support::stores::stores;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_are_reminded_the_day_before_by_daylight_and_hosts_told_at_five_once() {
    let noon = TestApp::start("");
    let property = Lodge::default().insert(&noon.pool).await;
    for number in 1..=3 {
        let days = if number == 3 { 2 } else { 1 };
        let stay = Stay::new(today() + Days::new(days), 2).unwrap();
        let made = Wish::new(property, stay, number).reserve(&noon.pool).await;
        assert!(matches!(made, Reserved::Made(_)));
    }
    let client = noon.pool.get().await.unwrap();
    client
        .batch_execute(
            "update reservation set created_at = now() - interval '2 days';
             insert into guest (msisdn, opted_out_at)
             select msisdn, now() from reservation where turn_session = 'session-2';
             update outbox set status = 'delivered'",
        )
        .await
        .unwrap();
    let reminded = "select count(*) from outbox where kind = 'remind_stay'";
    let digest = format!(
        "select count(*) from outbox o join host h on h.msisdn = o.msisdn
         join property p on p.host_id = h.host_id where o.kind = 'host_digest' and p.property_id = '{property}'"
    );
    // Five in Nairobi is three in Lagos.
    let in_lagos = "select count(*) from outbox o join host h on h.msisdn = o.msisdn
                    join property p on p.host_id = h.host_id
                    where o.kind = 'host_digest' and p.time_zone = 'Africa/Lagos'";
    for (time, told, told_host) in [
        ("09:59:59", 0, false),
        ("10:00:00", 1, false),
        ("16:59:59", 1, false),
        ("17:00:00", 1, true),
        ("18:59:59", 1, true),
        ("21:00:00", 1, true),
    ] {
        let app = TestApp::on(at(time), "", &noon.database_url, &stores().redis).await;
        for _ in 0..3 {
            remind(&app.app).await.unwrap();
        }
        assert_eq!(app.count(reminded).await, told, "{time}");
        assert_eq!(app.count(&digest).await, i64::from(told_host), "{time}");
        let is_five_in_lagos = time == "21:00:00";
        assert_eq!(app.count(in_lagos).await > 0, is_five_in_lagos, "{time}");
        app.stop().await;
    }
    let text: String = client
        .query_one(
            "select o.text from outbox o join host h on h.msisdn = o.msisdn
             join property p on p.host_id = h.host_id where o.kind = 'host_digest' and p.property_id = $1",
            &[&property],
        )
        .await
        .unwrap()
        .get(0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].ends_with("2 bookings come, 5 rooms free."),
        "{digest}"
    );
    assert_eq!(lines.len(), 3, "{text}");
    noon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_room_is_told_once_that_half_the_time_is_over_and_once_that_it_has_ended() {
    let app = TestApp::start_at(
        reserveflow::app::Clock::System,
        "payments: { sandbox: true }\n",
    );
    let property = Lodge {
        pay: "prepay",
        ..Lodge::default()
    }
    .insert(&app.pool)
    .await;
    let Reserved::Made(held) = Wish::new(property, stay(5, 2), 1).reserve(&app.pool).await else {
        panic!("not held");
    };
    let reminded = "select count(*) from outbox where kind = 'remind_pay'";
    remind(&app.app).await.unwrap();
    assert_eq!(app.count(reminded).await, 0);
    let client = app.pool.get().await.unwrap();
    let sql = "update reservation set created_at = now() - interval '6 minutes',
                   hold_expires_at = now() + interval '4 minutes' where reservation_id = $1";
    client.execute(sql, &[&held.id]).await.unwrap();
    for _ in 0..3 {
        remind(&app.app).await.unwrap();
    }
    assert_eq!(app.count(reminded).await, 1);

    let sql = "insert into outbox (reservation_id, kind, msisdn, text, expires_at)
               select reservation_id, 'held', msisdn, 'x', now() from reservation on conflict do nothing;
               update reservation set hold_expires_at = now() - interval '1 second'";
    client.batch_execute(sql).await.unwrap();
    let told = "select count(*) from outbox where kind = 'hold_expired'";
    remind(&app.app).await.unwrap();
    assert_eq!(app.count(told).await, 0, "it can still be paid");
    eventually("the end of the hold", async || {
        expire_all(&app.app.books).await.unwrap();
        let expired = "select count(*) from reservation where status = 'expired'";
        (app.count(expired).await == 1).then_some(())
    })
    .await;
    for _ in 0..3 {
        remind(&app.app).await.unwrap();
    }
    assert_eq!(app.count(told).await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_told_once_of_a_guest_whom_no_sms_reaches() {
    let app = TestApp::start_at(reserveflow::app::Clock::System, "");
    let property = Lodge::default().insert(&app.pool).await;
    let client = app.pool.get().await.unwrap();
    for number in 1..=2 {
        let made = Wish::new(property, stay(3, 2), number)
            .reserve(&app.pool)
            .await;
        let Reserved::Made(made) = made else {
            panic!("{made:?}");
        };
        let status = ["failed", "delivered"][usize::from(number == 2)];
        let sql = "insert into outbox (reservation_id, kind, msisdn, text, expires_at, status)
                   values ($1, 'confirmed', $2, 'x', now(), $3)
                   on conflict (reservation_id, kind, msisdn, nth) where reservation_id is not null
                   do update set status = $3";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&made.id, &made.msisdn.as_str(), &status];
        client.execute(sql, &parameters).await.unwrap();
    }
    for _ in 0..2 {
        remind(&app.app).await.unwrap();
    }
    let sql = "select text from outbox where kind = 'host_unreached'";
    let told = client.query(sql, &[]).await.unwrap();
    let told: Vec<String> = told.iter().map(|row| row.get(0)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("0711000001"), "{told:?}");
    app.stop().await;
}
