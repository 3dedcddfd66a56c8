//! Each cause of double booking that is known from other systems, by its name, tried on the last room there is.

use chrono::Utc;
use deadpool_postgres::{Client, Pool};
use futures_util::future::join_all;
use reserveflow::app::Clock;
use reserveflow::db::change::{Change, Changed, change_stay};
use reserveflow::db::holds::expire_holds;
use reserveflow::db::inventory::{Files, import};
use reserveflow::db::payments::settle::{Settled, Texts};
use reserveflow::db::reservations::Reservation;
use reserveflow::db::reserve::Reserved;
use reserveflow::db::search::find_offer;
use reserveflow::jobs::waitlist::offer_all;
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::lodging::{
    GUEST, Lodge, Wish, assert_sound, pay_all, reserved, stay, today, turn,
};
use crate::support::postgres::database;

async fn rooms(pool: &Pool, units: i32, pay: &'static str) -> Uuid {
    let lodge = Lodge {
        units,
        pay,
        ..Lodge::default()
    };
    lodge.insert(pool).await
}

async fn make(wish: &Wish, pool: &Pool) -> Reservation {
    match wish.reserve(pool).await {
        Reserved::Made(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

/// The hold is over, and given back if `swept`.
async fn run_out(client: &Client, of: &Reservation, swept: bool) {
    let sql = "update reservation set hold_expires_at = now() - interval '1 second' where reservation_id = $1";
    client.execute(sql, &[&of.id]).await.unwrap();
    if swept {
        assert_eq!(expire_holds(client, 9).await.unwrap(), 1);
    }
}

async fn pay(client: &Client, of: &Reservation) -> Settled {
    let receipt = of.code.to_string();
    let paid = pay_all(client, &of.code, &receipt, Utc::now(), &Texts::default()).await;
    paid.unwrap().unwrap()
}

async fn change(client: &Client, of: &Reservation, days: u64, key: &str) -> Changed {
    let turn = turn(key);
    let change = Change {
        id: of.id,
        stay: stay(days, 1),
        at: Utc::now(),
        total_shown: of.total.minor,
        turn: &turn,
        cause: &GUEST,
        drafts: &[],
    };
    change_stay(client, &change).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_then_insert_by_sixty_four_guests_at_once_sells_the_last_room_once() {
    let pool = database().await;
    let property = rooms(&pool, 1, "at_lodge").await;
    let wishes: Vec<Wish> = (0..64)
        .map(|number| Wish::new(property, stay(3, 2), number))
        .collect();
    let outcomes = join_all(wishes.iter().map(|wish| wish.reserve(&pool))).await;
    let made = |outcome: &&Reserved| matches!(outcome, Reserved::Made(_));
    assert_eq!(outcomes.iter().filter(made).count(), 1);
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_unit_of_three_is_sold_three_times_however_many_want_one() {
    let pool = database().await;
    let property = rooms(&pool, 3, "at_lodge").await;
    let wishes: Vec<Wish> = (0..64)
        .map(|number| Wish::new(property, stay(3, 1), number))
        .collect();
    let outcomes = join_all(wishes.iter().map(|wish| wish.reserve(&pool))).await;
    let made = |outcome: &&Reserved| matches!(outcome, Reserved::Made(_));
    assert_eq!(outcomes.iter().filter(made).count(), 3);
    let client = pool.get().await.unwrap();
    assert_eq!(reserved(&client, property, stay(3, 1)).await, [3]);
    assert_sound(&pool).await;
}

/// Every way to take a night at once: a new booking, a change of days, money for a hold that was given up, and the line of
/// those who wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_branch_takes_the_last_night_without_its_lock() {
    let app = TestApp::start_at(Clock::System, "payments: { sandbox: true }\n");
    let pool = &app.pool;
    let client = pool.get().await.unwrap();
    for number in 0..8 {
        let property = rooms(pool, 1, "prepay").await;
        let late = make(&Wish::new(property, stay(3, 1), 100 + number), pool).await;
        run_out(&client, &late, true).await;
        let mover = make(&Wish::new(property, stay(9, 1), 200 + number), pool).await;
        let wish = "insert into wish (msisdn, language, place, check_in, check_out, guests, turn)
                    values ($1, 'en', 'ke-nakuru', $2, $3, 2, $1)";
        let msisdn = format!("+2547110003{number:02}");
        let night = stay(3, 1);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&msisdn, &night.check_in(), &night.check_out()];
        client.execute(wish, &values).await.unwrap();

        let fresh = Wish::new(property, stay(3, 1), 400 + number);
        let key = format!("change-{number}");
        let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        tokio::join!(
            fresh.reserve(pool),
            change(&one, &mover, 3, &key),
            pay(&two, &late),
            async { offer_all(&app.app).await.unwrap() },
        );
        assert_eq!(reserved(&client, property, stay(3, 1)).await, [1]);
        // Nobody waits for the next one's room.
        client.batch_execute("delete from wish").await.unwrap();
    }
    let wrong = "select count(*) from property_availability where reserved_units > available_units";
    assert_eq!(app.count(wrong).await, 0);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(app.count(deadlocks).await, 0);
}

#[tokio::test]
async fn holds_are_counted_by_searches_bookings_and_changes() {
    let pool = database().await;
    let property = rooms(&pool, 1, "prepay").await;
    let mover = make(&Wish::new(property, stay(9, 1), 1), &pool).await;
    make(&Wish::new(property, stay(3, 1), 2), &pool).await;
    let client = pool.get().await.unwrap();
    let found = find_offer(&client, property, stay(3, 1), 2).await.unwrap();
    assert_eq!(found, None);
    let other = Wish::new(property, stay(3, 1), 3).reserve(&pool).await;
    assert_eq!(other, Reserved::Taken);
    let changed = change(&client, &mover, 3, "change").await;
    assert!(matches!(changed, Changed::Taken(_)), "{changed:?}");
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_hold_is_verified_when_money_confirms_it() {
    let pool = database().await;
    let property = rooms(&pool, 1, "prepay").await;
    let client = pool.get().await.unwrap();
    let first = make(&Wish::new(property, stay(3, 1), 1), &pool).await;
    run_out(&client, &first, true).await;
    make(&Wish::new(property, stay(3, 1), 2), &pool).await;
    assert_eq!(pay(&client, &first).await, Settled::RefundDue);
    assert_eq!(reserved(&client, property, stay(3, 1)).await, [1]);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn payment_after_expiry_takes_the_night_again_while_it_is_free() {
    let pool = database().await;
    let property = rooms(&pool, 1, "prepay").await;
    let client = pool.get().await.unwrap();
    for (number, swept) in [(1, false), (2, true)] {
        let days = u64::from(number) * 3;
        let held = make(&Wish::new(property, stay(days, 1), number), &pool).await;
        run_out(&client, &held, swept).await;
        assert_eq!(pay(&client, &held).await, Settled::Confirmed);
        let next = Wish::new(property, stay(days, 1), 10 + number);
        assert_eq!(next.reserve(&pool).await, Reserved::Taken);
    }
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_hold_does_not_block_its_owner_and_is_not_taken_twice_by_it() {
    let pool = database().await;
    let property = rooms(&pool, 1, "prepay").await;
    let wish = Wish::new(property, stay(3, 1), 1);
    let held = make(&wish, &pool).await;
    let again = Wish {
        session: "another".to_owned(),
        ..wish
    };
    match again.reserve(&pool).await {
        Reserved::Yours(own) => assert_eq!(own.id, held.id),
        other => panic!("{other:?}"),
    }
    let client = pool.get().await.unwrap();
    assert_eq!(reserved(&client, property, stay(3, 1)).await, [1]);
    assert_sound(&pool).await;
}

/// What an operator or an import does goes by the same counters as guests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_office_paths_cannot_sell_what_is_sold() {
    let app = TestApp::start_at(Clock::System, "payments: { sandbox: true }\n");
    let property = rooms(&app.pool, 1, "prepay").await;
    let mut client = app.pool.get().await.unwrap();
    let first = make(&Wish::new(property, stay(3, 1), 1), &app.pool).await;
    run_out(&client, &first, true).await;
    let second = make(&Wish::new(property, stay(3, 1), 2), &app.pool).await;

    let url = format!(
        "{}/private/bookings/{}/paid",
        app.private,
        first.code.digits()
    );
    let shown: serde_json::Value = app
        .post(&url, &[("why", "till QX12")])
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(shown["status"], "refund_due", "{shown}");
    let short_id: String = client
        .query_one(
            "select short_id from property where property_id = $1",
            &[&property],
        )
        .await
        .unwrap()
        .get(0);
    let night = second.stay.check_in();
    let nights = format!(
        "property_id,from,to,available_units,price_per_night,surge\n{short_id},{night},{night},0,,\n"
    );
    let files = Files {
        nights: Some(&nights),
        ..Files::default()
    };
    import(&mut client, files, today()).await.unwrap_err();
    assert_eq!(reserved(&client, property, stay(3, 1)).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stays_that_lock_their_nights_from_both_ends_do_not_block_each_other() {
    let pool = database().await;
    let property = rooms(&pool, 64, "at_lodge").await;
    let client = pool.get().await.unwrap();
    // Half of them grow forwards over the nights from which the others come.
    let wishes =
        (0..32).map(|number| Wish::new(property, stay(3 + u64::from(number % 2) * 6, 1), number));
    let made = join_all(wishes.map(|wish| {
        let pool = &pool;
        async move { make(&wish, pool).await }
    }))
    .await;
    drop(client);
    let moves = made.iter().enumerate().map(|(number, of)| {
        let pool = &pool;
        async move {
            let client = pool.get().await.unwrap();
            let days = if number % 2 == 0 { 9 } else { 3 };
            change(&client, of, days, &format!("change-{number}")).await
        }
    });
    for changed in join_all(moves).await {
        assert!(matches!(changed, Changed::Done(_)), "{changed:?}");
    }
    assert_sound(&pool).await;
}
