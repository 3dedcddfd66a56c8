//! Holds cost nothing, so they are limited; and they never stand in the way of whoever has them.

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::Pool;
use reserveflow::db::holds::expire_holds;
use reserveflow::db::payments::attempts::{Ask, Asked, Part, ask};
use reserveflow::db::reserve::Reserved;
use uuid::Uuid;

use crate::support::lodging::{GUEST, Lodge, Wish, assert_sound, msisdn, stay, turn};
use crate::support::postgres::database;

async fn prepaid(pool: &Pool, units: i32) -> Uuid {
    Lodge {
        pay: "prepay",
        units,
        ..Lodge::default()
    }
    .insert(pool)
    .await
}

async fn run(pool: &Pool, sql: &str) {
    pool.get().await.unwrap().batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_number_begins_five_holds_a_day_and_lets_three_run_out_in_a_week() {
    for (more, limit) in [
        // Given up each time.
        ("update reservation set status = 'cancelled'", 5),
        ("update reservation set hold_expires_at = now()", 3),
        // What was paid is no hold that was left.
        ("update reservation set status = 'confirmed'", 9),
    ] {
        let pool = database().await;
        let property = prepaid(&pool, 40).await;
        for number in 0..9 {
            let wish = Wish {
                msisdn: msisdn(1),
                ..Wish::new(property, stay(3, 1), number)
            };
            match wish.reserve(&pool).await {
                Reserved::Made(_) if number < limit => {}
                Reserved::TooOften if number >= limit => {}
                other => panic!("{more}: {number}: {other:?}"),
            }
            if number < limit {
                run(&pool, more).await;
                expire_holds(&pool.get().await.unwrap(), 50).await.unwrap();
            }
        }
        // A day later, or a week, all is forgotten; others were never in the way.
        run(
            &pool,
            "update reservation set created_at = now() - interval '8 days'",
        )
        .await;
        let later = Wish {
            msisdn: msisdn(1),
            ..Wish::new(property, stay(3, 1), 10)
        };
        assert!(
            matches!(later.reserve(&pool).await, Reserved::Made(_)),
            "{more}"
        );
    }
}

#[tokio::test]
async fn strangers_hold_at_most_a_part_of_a_night_unpaid() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        units: 10,
        unpaid_percent: 30,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let outcomes = |first: u32| {
        let pool = &pool;
        async move {
            let mut made = 0;
            for number in first..first + 6 {
                match Wish::new(property, stay(3, 2), number).reserve(pool).await {
                    Reserved::Made(_) => made += 1,
                    Reserved::Taken => {}
                    other => panic!("{other:?}"),
                }
            }
            made
        }
    };
    assert_eq!(outcomes(0).await, 3, "30 % of 10 units");
    // One who has stayed before may.
    let known = Wish::new(property, stay(30, 1), 20);
    assert!(matches!(known.reserve(&pool).await, Reserved::Made(_)));
    for status in ["confirmed", "checked_in", "completed"] {
        let stayed = "check_in > now()::date + 20";
        run(
            &pool,
            &format!("update reservation set status = '{status}' where {stayed}"),
        )
        .await;
    }
    let again = Wish {
        msisdn: msisdn(20),
        ..Wish::new(property, stay(3, 2), 21)
    };
    assert!(matches!(again.reserve(&pool).await, Reserved::Made(_)));
    // What is paid makes room.
    run(
        &pool,
        "update reservation set status = 'confirmed' where msisdn like '%00'",
    )
    .await;
    assert_eq!(outcomes(40).await, 1);
    // One unit may always be held.
    let small = Lodge {
        pay: "prepay",
        units: 1,
        unpaid_percent: 0,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let one = Wish::new(small, stay(3, 2), 60).reserve(&pool).await;
    assert!(matches!(one, Reserved::Made(_)), "{one:?}");
}

#[tokio::test]
async fn a_hold_does_not_block_its_owner() {
    let pool = database().await;
    let property = prepaid(&pool, 1).await;
    let Reserved::Made(held) = Wish::new(property, stay(3, 2), 1).reserve(&pool).await else {
        panic!("not made");
    };
    // The owner dials again and wants the same, or a night of it: it is theirs.
    for (session, wanted) in [(2, stay(3, 2)), (3, stay(4, 3))] {
        let wish = Wish {
            msisdn: msisdn(1),
            ..Wish::new(property, wanted, session)
        };
        assert_eq!(wish.reserve(&pool).await, Reserved::Yours(held.clone()));
    }
    let other = Wish::new(property, stay(3, 2), 4).reserve(&pool).await;
    assert_eq!(other, Reserved::Taken);
    // Where it has run out it is theirs no more, and not free before it was swept.
    run(&pool, "update reservation set hold_expires_at = now()").await;
    let wish = Wish {
        msisdn: msisdn(1),
        ..Wish::new(property, stay(3, 2), 5)
    };
    assert_eq!(wish.reserve(&pool).await, Reserved::Taken);
    expire_holds(&pool.get().await.unwrap(), 50).await.unwrap();
    let wish = Wish {
        session: "later".into(),
        ..wish
    };
    assert!(matches!(wish.reserve(&pool).await, Reserved::Made(_)));
    assert_sound(&pool).await;
}

#[tokio::test]
async fn holds_count_as_taken() {
    let pool = database().await;
    let property = prepaid(&pool, 2).await;
    for number in 0..4 {
        let outcome = Wish::new(property, stay(3, 2), number).reserve(&pool).await;
        assert_eq!(
            matches!(outcome, Reserved::Made(_)),
            number < 2,
            "{outcome:?}"
        );
    }
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_hold_is_made_longer_once_however_often_a_phone_is_asked() {
    let pool = database().await;
    let property = prepaid(&pool, 1).await;
    let Reserved::Made(held) = Wish::new(property, stay(3, 1), 1).reserve(&pool).await else {
        panic!("not held");
    };
    let client = pool.get().await.unwrap();
    let until = async || -> DateTime<Utc> {
        let sql = "select hold_expires_at from reservation";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    run(
        &pool,
        "update reservation set hold_expires_at = now() + interval '1 minute'",
    )
    .await;
    let mut ends = vec![until().await];
    for session in ["first", "second"] {
        let asked = ask(
            &client,
            &Ask {
                reservation_id: held.id,
                part: Part::All,
                provider: "sandbox",
                msisdn: &held.msisdn,
                minor_per_unit: 100,
                turn: &turn(session),
                cause: &GUEST,
            },
        )
        .await
        .unwrap();
        assert!(matches!(asked, Asked::Asked(..)), "{asked:?}");
        ends.push(until().await);
        run(&pool, "update payment_attempt set status = 'failed'").await;
    }
    assert!(ends[1] > ends[0] + TimeDelta::minutes(8), "{ends:?}");
    assert_eq!(ends[2], ends[1]);
}
