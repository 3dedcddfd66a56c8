//! States only move forward, by moves that program and database agree on; nights follow the state.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use deadpool_postgres::{Client, Pool};
use reserveflow::booking::reservation::Status;
use reserveflow::db::effect::Cause;
use reserveflow::db::holds::expire_holds;
use reserveflow::db::life::{Moved, complete_stays, mark_no_shows, move_to};
use reserveflow::db::payments::settle::{Settled, Texts};
use reserveflow::db::reservations::{Reservation, find_cancel_cost};
use reserveflow::db::reserve::Reserved;
use uuid::Uuid;

use crate::support::lodging::{
    Lodge, Wish, assert_sound, count, draft, pay_all, reserved, stay, turn,
};
use crate::support::postgres::database;

const OPERATOR: Cause<'static> = Cause {
    who: "operator",
    channel: "console",
    why: "seen on the till",
};

async fn make(wish: &Wish, pool: &Pool) -> Reservation {
    match wish.reserve(pool).await {
        Reserved::Made(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

async fn status(client: &Client, id: Uuid) -> Status {
    let row = client
        .query_one(
            "select status from reservation where reservation_id = $1",
            &[&id],
        )
        .await
        .unwrap();
    Status::find(row.get(0)).unwrap()
}

async fn pay(client: &Client, of: &Reservation, receipt: &str) -> Settled {
    let paid = pay_all(client, &of.code, receipt, Utc::now(), &Texts::default()).await;
    paid.unwrap().unwrap()
}

/// As time passes: the hold is over, whether or not the job has seen it.
async fn run_out(client: &Client, id: Uuid) {
    client
        .execute(
            "update reservation set hold_expires_at = now() - interval '1 second' where reservation_id = $1",
            &[&id],
        )
        .await
        .unwrap();
}

/// At this wall-clock time of the property.
fn local(day: NaiveDate, time: &str, zone: chrono_tz::Tz) -> DateTime<Utc> {
    day.and_time(time.parse().unwrap())
        .and_local_timezone(zone)
        .unwrap()
        .to_utc()
}

#[tokio::test]
async fn program_and_database_allow_the_same_moves_and_nights_follow() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let made = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute("update reservation set hold_expires_at = now(); alter table reservation disable trigger reservation_move")
        .await
        .unwrap();
    for from in Status::ALL {
        let takes: bool = client
            .query_one("select takes_nights($1)", &[&from.word()])
            .await
            .unwrap()
            .get(0);
        assert_eq!(takes, from.takes_nights(), "{from:?}");
        for to in Status::ALL {
            let units = i32::from(from.takes_nights());
            client
                .batch_execute(&format!(
                    "update reservation set status = '{}'; update property_availability set reserved_units = {units}
                     where date in (select check_in from reservation union all select check_in + 1 from reservation)",
                    from.word()
                ))
                .await
                .unwrap();
            let session = format!("{from:?}{to:?}");
            let moved = move_to(&client, made.id, to, &OPERATOR, &turn(&session), &[])
                .await
                .unwrap();
            let allowed = if from.may_become(to) {
                Moved::Done
            } else {
                Moved::Refused
            };
            assert_eq!(moved, allowed, "{from:?} to {to:?}");
            let now = if from.may_become(to) { to } else { from };
            assert_eq!(status(&client, made.id).await, now);
            let taken = i32::from(now.takes_nights());
            assert_eq!(reserved(&client, property, made.stay).await, [taken, taken]);
            // The same turn once more reads the same and does nothing.
            if moved == Moved::Done {
                let again = move_to(&client, made.id, to, &OPERATOR, &turn(&session), &[]).await;
                assert_eq!(again.unwrap(), Moved::Done);
                assert_eq!(reserved(&client, property, made.stay).await, [taken, taken]);
            }
        }
    }
}

#[tokio::test]
async fn an_operator_with_a_database_client_cannot_move_a_reservation_backwards() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let made = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    let client = pool.get().await.unwrap();
    let error = client
        .execute(
            "update reservation set status = 'held', hold_expires_at = now()",
            &[],
        )
        .await
        .unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "a reservation does not go from confirmed to held"
    );
    for sql in [
        "update property_availability set reserved_units = available_units + 1",
        "update property_availability set available_units = 0",
        "delete from reservation_event",
    ] {
        assert!(client.execute(sql, &[]).await.is_err(), "{sql}");
    }
    assert_eq!(status(&client, made.id).await, Status::Confirmed);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_payment_in_time_confirms_once_with_its_message() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let held = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    let client = pool.get().await.unwrap();
    let texts = Texts {
        confirmed: vec![draft(&held.code, "confirmed", &held.msisdn)],
        ..Texts::default()
    };
    for expected in [Settled::Confirmed, Settled::Again, Settled::Again] {
        let paid = pay_all(&client, &held.code, "R1", Utc::now(), &texts).await;
        assert_eq!(paid.unwrap(), Some(expected));
    }
    assert_eq!(count(&client, "outbox where kind = 'confirmed'").await, 1);
    assert_eq!(pay(&client, &held, "R2").await, Settled::RefundDue);
    assert_eq!(count(&client, "reservation_event").await, 2);
    assert_sound(&pool).await;
}

/// Known from systems that trust the payment's callback alone.
#[tokio::test]
async fn a_payment_after_the_hold_ran_out_takes_the_nights_again_only_while_they_are_free() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let client = pool.get().await.unwrap();

    // Over, and not yet swept: its nights were never given away.
    let late = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    run_out(&client, late.id).await;
    assert_eq!(pay(&client, &late, "late").await, Settled::Confirmed);
    assert_eq!(
        count(
            &client,
            "reservation_event where why = 'seen on the till, late'"
        )
        .await,
        1
    );

    // Swept, and still free.
    let swept = make(&Wish::new(property, stay(10, 2), 2), &pool).await;
    run_out(&client, swept.id).await;
    assert_eq!(expire_holds(&client, 9).await.unwrap(), 1);
    assert_eq!(reserved(&client, property, swept.stay).await, [0, 0]);
    assert_eq!(pay(&client, &swept, "swept").await, Settled::Confirmed);
    assert_eq!(reserved(&client, property, swept.stay).await, [1, 1]);

    // Swept, and one of its nights is another guest's.
    let gone = make(&Wish::new(property, stay(20, 2), 3), &pool).await;
    run_out(&client, gone.id).await;
    assert_eq!(expire_holds(&client, 9).await.unwrap(), 1);
    make(&Wish::new(property, stay(21, 1), 4), &pool).await;
    assert_eq!(pay(&client, &gone, "gone").await, Settled::RefundDue);
    assert_eq!(pay(&client, &gone, "gone").await, Settled::Again);
    assert_eq!(status(&client, gone.id).await, Status::RefundDue);
    assert_eq!(reserved(&client, property, gone.stay).await, [0, 1]);
    assert_eq!(count(&client, "reservation where refund = total").await, 1);

    // Swept, free, and the stay should have begun yesterday.
    let past = make(&Wish::new(property, stay(30, 1), 5), &pool).await;
    run_out(&client, past.id).await;
    assert_eq!(expire_holds(&client, 9).await.unwrap(), 1);
    let next_day = local(
        past.stay.check_out(),
        "00:00:00",
        chrono_tz::Africa::Nairobi,
    );
    let paid = pay_all(&client, &past.code, "past", next_day, &Texts::default()).await;
    assert_eq!(paid.unwrap(), Some(Settled::RefundDue));
    assert_sound(&pool).await;
}

/// Known from systems whose confirmation does not look at the hold: the sweeper and the payment meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_while_the_hold_runs_out_and_another_guest_waits_confirms_one_of_them() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let client = pool.get().await.unwrap();
    let sweeper = pool.get().await.unwrap();
    for number in 0..20 {
        let days = u64::from(number) * 2 + 2;
        let first = make(&Wish::new(property, stay(days, 2), number), &pool).await;
        run_out(&client, first.id).await;
        let other = Wish::new(property, stay(days, 2), number + 100);
        let session = format!("pay-{number}");
        let (paid, _, second) = tokio::join!(
            pay(&client, &first, &session),
            expire_holds(&sweeper, 9),
            other.reserve(&pool)
        );
        match (&paid, &second) {
            (Settled::Confirmed, Reserved::Taken) | (Settled::RefundDue, Reserved::Made(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_sound(&pool).await;
}

#[tokio::test]
async fn guests_who_do_not_come_lose_their_nights_at_the_lodges_own_hour() {
    for zone in [
        chrono_tz::Africa::Nairobi,
        chrono_tz::Africa::Lagos,
        chrono_tz::America::New_York,
    ] {
        let pool = database().await;
        let property = Lodge::default().insert(&pool).await;
        let client = pool.get().await.unwrap();
        client
            .execute(
                "update property set time_zone = $1, no_show_hours = 9",
                &[&zone.name()],
            )
            .await
            .unwrap();
        let made = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
        let here = make(&Wish::new(property, stay(3, 2), 2), &pool).await;
        let arrived = move_to(
            &client,
            here.id,
            Status::CheckedIn,
            &OPERATOR,
            &turn("in"),
            &[],
        )
        .await;
        assert_eq!(arrived.unwrap(), Moved::Done);
        // Check-in is at 14:00.
        let minute_before = local(made.stay.check_in(), "22:59:59", zone);
        assert_eq!(mark_no_shows(&client, minute_before, 9).await.unwrap(), 0);
        let cut_off = minute_before + TimeDelta::seconds(1);
        assert_eq!(mark_no_shows(&client, cut_off, 9).await.unwrap(), 1);
        assert_eq!(mark_no_shows(&client, cut_off, 9).await.unwrap(), 0);
        assert_eq!(status(&client, made.id).await, Status::NoShow);
        assert_eq!(reserved(&client, property, made.stay).await, [1, 1]);
        assert_sound(&pool).await;
    }
}

#[tokio::test]
async fn stays_end_at_noon_of_their_last_morning_and_keep_their_nights() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    let silent = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    let here = make(&Wish::new(property, stay(4, 1), 2), &pool).await;
    let arrived = move_to(
        &client,
        here.id,
        Status::CheckedIn,
        &OPERATOR,
        &turn("in"),
        &[],
    )
    .await;
    assert_eq!(arrived.unwrap(), Moved::Done);
    let noon = local(
        silent.stay.check_out(),
        "12:00:00",
        chrono_tz::Africa::Nairobi,
    );
    let before = noon - TimeDelta::seconds(1);
    assert_eq!(complete_stays(&client, before, 9).await.unwrap(), 0);
    // Without a cut-off nobody is taken for a no-show.
    assert_eq!(mark_no_shows(&client, noon, 9).await.unwrap(), 0);
    assert_eq!(complete_stays(&client, noon, 9).await.unwrap(), 2);
    assert_eq!(complete_stays(&client, noon, 9).await.unwrap(), 0);
    for id in [silent.id, here.id] {
        assert_eq!(status(&client, id).await, Status::Completed);
    }
    assert_eq!(reserved(&client, property, silent.stay).await, [1, 2]);
    assert_eq!(
        count(
            &client,
            "reservation_event where why = 'the lodge has not said otherwise'"
        )
        .await,
        1
    );
    assert_sound(&pool).await;
}

/// The clock of the lodge decides: on the night when it jumps, hours before check-in are real hours.
#[tokio::test]
async fn cancelling_is_free_until_the_lodges_hour_also_where_clocks_are_put_forward() {
    let pool = database().await;
    let property = Lodge {
        cancel_hours: 24,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let made = make(&Wish::new(property, stay(3, 1), 1), &pool).await;
    let client = pool.get().await.unwrap();
    let midnight = |day: NaiveDate| day.and_hms_opt(0, 0, 0).unwrap().and_utc();
    for (zone, check_in, last_free) in [
        // No clock moves: 14:00 in Nairobi is 11:00 UTC.
        ("Africa/Nairobi", "2027-02-28", "2027-02-27T11:00:00Z"),
        ("Africa/Nairobi", "2028-03-01", "2028-02-29T11:00:00Z"),
        ("Africa/Nairobi", "2027-01-01", "2026-12-31T11:00:00Z"),
        // Put forward on 28 March 2027 at 02:00: 14:00 is 12:00 UTC that day, 13:00 the day before.
        ("Europe/Berlin", "2027-03-28", "2027-03-27T12:00:00Z"),
        ("Europe/Berlin", "2027-03-29", "2027-03-28T12:00:00Z"),
        // Put back on 31 October 2027.
        ("Europe/Berlin", "2027-10-31", "2027-10-30T13:00:00Z"),
    ] {
        let check_in: NaiveDate = check_in.parse().unwrap();
        let last_free: DateTime<Utc> = last_free.parse().unwrap();
        client
            .execute("update property set time_zone = $1", &[&zone])
            .await
            .unwrap();
        client
            .execute(
                "update reservation set check_in = $1, check_out = $2",
                &[&check_in, &(check_in + Days::new(1))],
            )
            .await
            .unwrap();
        for (at, cost) in [
            (midnight(check_in) - TimeDelta::days(9), 0),
            (last_free, 0),
            (last_free + TimeDelta::seconds(1), 450_000),
            (midnight(check_in) + TimeDelta::days(1), 450_000),
        ] {
            let found = find_cancel_cost(&client, made.id, at).await.unwrap();
            assert_eq!(found, Some(cost), "{zone} {check_in} {at}");
        }
    }
    assert_eq!(
        find_cancel_cost(&client, Uuid::new_v4(), Utc::now())
            .await
            .unwrap(),
        None
    );
}
