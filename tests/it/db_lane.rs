//! Guests who come at the same time share commits, and nothing else.

use std::time::Duration;

use deadpool_postgres::{Client, Pool, Transaction};
use futures_util::future::join_all;
use reserveflow::db::DbError;
use reserveflow::db::lane::{LaneSettings, Lanes};
use reserveflow::db::reserve::{Isolation, Reserved};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::eventually;
use crate::support::lodging::{Lodge, Wish, assert_sound, count, reserved, stay};
use crate::support::postgres::database;

const ONE: LaneSettings = LaneSettings {
    lanes: 1,
    waiting_max: 16_384,
    batch_max: 128,
};

fn one_lane(pool: &Pool) -> Lanes {
    Lanes::new(pool, Isolation::ReadCommitted, ONE)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn lock<'a>(client: &'a mut Client, property: Uuid) -> Transaction<'a> {
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute(
            "select from property_availability where property_id = $1 for no key update",
            &[&property],
        )
        .await
        .unwrap();
    transaction
}

/// Once a reservation waits for a lock.
async fn waits(pool: &Pool) {
    let client = pool.get().await.unwrap();
    eventually("a reservation that waits for a lock", async || {
        let from =
            "pg_stat_activity where wait_event_type = 'Lock' and query like '%reserve_batch%'";
        (count(&client, from).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_come_during_a_commit_go_together_in_order_of_arrival() {
    let pool = database().await;
    let property = Lodge {
        units: 4,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let lanes = one_lane(&pool);
    let mut holder = pool.get().await.unwrap();
    let locked = lock(&mut holder, property).await;
    let wishes: Vec<Wish> = (0..20)
        .map(|number| Wish::new(property, stay(3, 2), number))
        .collect();
    let first = wishes[0].reserve_in(&lanes, later());
    let others = async {
        waits(&pool).await;
        let others = join_all(
            wishes[1..]
                .iter()
                .map(|wish| wish.reserve_in(&lanes, later())),
        );
        let unlock = async { locked.rollback().await.unwrap() };
        tokio::join!(others, unlock).0
    };
    let (first, others) = tokio::join!(first, others);
    assert!(matches!(first, Ok(Reserved::Made(_))), "{first:?}");
    for (place, outcome) in others.into_iter().enumerate() {
        match outcome.unwrap() {
            Reserved::Made(_) if place < 3 => {}
            Reserved::Taken if place >= 3 => {}
            other => panic!("{place}: {other:?}"),
        }
    }
    let client = pool.get().await.unwrap();
    let commits = count(
        &client,
        "(select distinct xmin::text from reservation) commits",
    )
    .await;
    assert_eq!(commits, 2, "the first alone, the others together");
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_guests_for_five_rooms() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        let pool = database().await;
        let property = Lodge {
            units: 5,
            ..Lodge::default()
        }
        .insert(&pool)
        .await;
        let lanes = Lanes::new(&pool, isolation, LaneSettings::default());
        // A second instance of the service.
        let other = Lanes::new(&pool, isolation, LaneSettings::default());
        let wishes: Vec<Wish> = (0..500)
            .map(|number| Wish::new(property, stay(3, 2), number))
            .collect();
        let outcomes = join_all(wishes.iter().enumerate().map(|(place, wish)| {
            wish.reserve_in(if place % 2 == 0 { &lanes } else { &other }, later())
        }))
        .await;
        let (mut made, mut taken) = (0, 0);
        for outcome in outcomes {
            match outcome.unwrap() {
                Reserved::Made(_) => made += 1,
                Reserved::Taken => taken += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((made, taken), (5, 495));
        assert_sound(&pool).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_turn_through_two_instances_makes_one_reservation() {
    let pool = database().await;
    let property = Lodge {
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let (a, b) = (one_lane(&pool), one_lane(&pool));
    let wish = Wish::new(property, stay(3, 2), 1);
    let outcomes = join_all(
        (0..40).map(|place| wish.reserve_in(if place % 2 == 0 { &a } else { &b }, later())),
    )
    .await;
    let mut made = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            Reserved::Made(_) => made += 1,
            Reserved::Again(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_database_refuses_does_not_spoil_the_others() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let lanes = one_lane(&pool);
    let mut holder = pool.get().await.unwrap();
    let locked = lock(&mut holder, property).await;
    let mut wishes: Vec<Wish> = (0..6)
        .map(|number| Wish::new(property, stay(3, 1), number))
        .collect();
    // Text that Postgres cannot hold.
    wishes[3].session = "\0".into();
    let first = wishes[0].reserve_in(&lanes, later());
    let others = async {
        waits(&pool).await;
        let others = join_all(
            wishes[1..]
                .iter()
                .map(|wish| wish.reserve_in(&lanes, later())),
        );
        tokio::join!(others, async { locked.rollback().await.unwrap() }).0
    };
    let (first, others) = tokio::join!(first, others);
    first.unwrap();
    for (place, outcome) in others.iter().enumerate() {
        match outcome {
            Ok(Reserved::Made(_)) if place != 2 => {}
            Err(DbError::Refused(_)) if place == 2 => {}
            other => panic!("{place}: {other:?}"),
        }
    }
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_bound_is_busy_and_who_waited_too_long_is_not_booked() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let lanes = Lanes::new(
        &pool,
        Isolation::ReadCommitted,
        LaneSettings {
            waiting_max: 2,
            ..ONE
        },
    );
    let mut holder = pool.get().await.unwrap();
    let locked = lock(&mut holder, property).await;
    let wish = |number| Wish::new(property, stay(3, 1), number);
    let (first, patient, hurried, surplus) = (wish(1), wish(2), wish(3), wish(4));
    let others = async {
        waits(&pool).await;
        // In this order into the queue, which then is full.
        let waiting = async {
            tokio::join!(
                patient.reserve_in(&lanes, later()),
                hurried.reserve_in(&lanes, Instant::now()),
                surplus.reserve_in(&lanes, later()),
            )
        };
        tokio::join!(waiting, async { locked.rollback().await.unwrap() }).0
    };
    let (first, (patient, hurried, surplus)) =
        tokio::join!(first.reserve_in(&lanes, later()), others);
    assert!(matches!(first, Ok(Reserved::Made(_))));
    assert!(matches!(patient, Ok(Reserved::Made(_))), "{patient:?}");
    for turned_away in [hurried, surplus] {
        assert!(
            turned_away.as_ref().is_err_and(DbError::is_crowded),
            "{turned_away:?}"
        );
    }
    let client = pool.get().await.unwrap();
    assert_eq!(count(&client, "reservation").await, 2);
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_that_somebody_keeps_locked_does_not_hold_up_its_neighbours() {
    let pool = database().await;
    let locked = Lodge::default().insert(&pool).await;
    let free = Lodge::default().insert(&pool).await;
    let lanes = one_lane(&pool);
    let mut holder = pool.get().await.unwrap();
    let lock = lock(&mut holder, locked).await;
    let first = Wish::new(locked, stay(3, 1), 1);
    let wishes: Vec<Wish> = (2..12)
        .map(|number| {
            Wish::new(
                if number % 2 == 0 { free } else { locked },
                stay(3, 1),
                number,
            )
        })
        .collect();
    let others = async {
        waits(&pool).await;
        join_all(wishes.iter().map(|wish| wish.reserve_in(&lanes, later()))).await
    };
    let (first, others) = tokio::join!(first.reserve_in(&lanes, later()), others);
    assert!(matches!(first, Err(DbError::Busy(_))), "{first:?}");
    for (place, outcome) in others.iter().enumerate() {
        match outcome {
            Ok(Reserved::Made(_)) if place % 2 == 0 => {}
            Err(DbError::Busy(_)) if place % 2 == 1 => {}
            other => panic!("{place}: {other:?}"),
        }
    }
    // It is tried by one at a time, and had again once it is free.
    lock.rollback().await.unwrap();
    let again = Wish::new(locked, stay(3, 1), 20)
        .reserve_in(&lanes, later())
        .await;
    assert!(matches!(again, Ok(Reserved::Made(_))), "{again:?}");
    let client = pool.get().await.unwrap();
    assert_eq!(reserved(&client, locked, stay(3, 1)).await, [1]);
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_leaves_the_outcome_to_the_turn() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let lanes = one_lane(&pool);
    let mut holder = pool.get().await.unwrap();
    let locked = lock(&mut holder, property).await;
    let wish = Wish::new(property, stay(3, 1), 1);
    let break_off = async {
        waits(&pool).await;
        let client = pool.get().await.unwrap();
        let pid: i32 = client
            .query_one(
                "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        client
            .execute("select pg_terminate_backend($1)", &[&pid])
            .await
            .unwrap();
    };
    let (outcome, ()) = tokio::join!(wish.reserve_in(&lanes, later()), break_off);
    assert!(
        matches!(outcome, Err(DbError::Unreachable(_))),
        "{outcome:?}"
    );
    locked.rollback().await.unwrap();
    let outcome = wish.reserve_in(&lanes, later()).await;
    assert!(matches!(outcome, Ok(Reserved::Made(_))), "{outcome:?}");
    assert_sound(&pool).await;
}
