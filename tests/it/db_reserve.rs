//! No night is sold twice, whatever happens at the same time.

use chrono::{Datelike, Days, Months};
use futures_util::future::join_all;
use reserveflow::booking::reservation::Status;
use reserveflow::booking::stay::Stay;
use reserveflow::db::holds::expire_holds;
use reserveflow::db::lane::{LaneSettings, Lanes};
use reserveflow::db::reserve::{Isolation, Reserved};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use crate::support::eventually;
use crate::support::lodging::{
    Lodge, Wish, assert_sound, count, kes, msisdn, reserved, stay, today,
};
use crate::support::postgres::database;

#[tokio::test]
async fn a_reservation_freezes_each_night_price_rounded_to_whole_minor_units() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    // 333.33 * 1.25 = 416.6625
    client
        .execute(
            "update property_availability set price_base = 33333, surge_multiplier = 1.25 where date = $1",
            &[&(today() + Days::new(4))],
        )
        .await
        .unwrap();
    let wish = Wish {
        total: reserveflow::booking::money::Money {
            minor: 450_000 + 41_666 + 450_000,
            ..kes(0)
        },
        ..Wish::new(property, stay(3, 3), 1)
    };
    let Reserved::Made(made) = wish.reserve(&pool).await else {
        panic!("not made");
    };
    assert_eq!((made.total, made.status), (wish.total, Status::Confirmed));
    assert_eq!((made.town.as_str(), made.stay), ("Nakuru", wish.stay));
    client
        .execute("update property_availability set price_base = 1", &[])
        .await
        .unwrap();
    let row = client
        .query_one("select nightly_prices, total from reservation", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, Vec<i32>>(0), [450_000, 41_666, 450_000]);
    assert_eq!(row.get::<_, i64>(1), 941_666);
    let event = client
        .query_one(
            "select from_status, to_status, who || channel || why from reservation_event",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(event.get::<_, Option<String>>(0), None);
    assert_eq!(event.get::<_, &str>(1), "confirmed");
    assert_eq!(event.get::<_, &str>(2), "guestussdpressed 1");
    assert_sound(&pool).await;
}

#[tokio::test]
async fn all_nights_or_none() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    client
        .execute(
            "update property_availability set available_units = 0 where date = $1",
            &[&(today() + Days::new(5))],
        )
        .await
        .unwrap();
    let wish = Wish::new(property, stay(3, 3), 1);
    assert_eq!(wish.reserve(&pool).await, Reserved::Taken);
    assert_eq!(reserved(&client, property, wish.stay).await, [0, 0, 0]);
    // Nights that the calendar does not have are not free either.
    client
        .execute(
            "delete from property_availability where date = $1",
            &[&(today() + Days::new(9))],
        )
        .await
        .unwrap();
    let beyond = Wish::new(property, stay(8, 2), 2);
    assert_eq!(beyond.reserve(&pool).await, Reserved::Taken);
    // A party that is too large, more units than there are, and a closed house.
    for wish in [
        Wish {
            guests: 3,
            ..Wish::new(property, stay(6, 1), 3)
        },
        Wish {
            units: 8,
            ..Wish::new(property, stay(6, 1), 4)
        },
    ] {
        assert_eq!(wish.reserve(&pool).await, Reserved::Taken);
    }
    client
        .execute("update property set open = false", &[])
        .await
        .unwrap();
    let closed = Wish::new(property, stay(6, 1), 5);
    assert_eq!(closed.reserve(&pool).await, Reserved::Taken);
    assert_eq!(count(&client, "reservation").await, 0);
    assert_eq!(count(&client, "outbox").await, 0);
}

#[tokio::test]
async fn stays_that_meet_on_a_morning_do_not_collide() {
    let pool = database().await;
    let property = Lodge {
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    for (number, days) in [(1, 3), (2, 5), (3, 1)] {
        let wish = Wish::new(property, stay(days, 2), number);
        assert!(matches!(wish.reserve(&pool).await, Reserved::Made(_)));
    }
    let over = Wish::new(property, stay(4, 2), 4);
    assert_eq!(over.reserve(&pool).await, Reserved::Taken);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_stay_across_two_months_takes_nights_of_both() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let wish = Wish::new(property, stay(20, 30), 1);
    assert!(matches!(wish.reserve(&pool).await, Reserved::Made(_)));
    let client = pool.get().await.unwrap();
    assert_eq!(reserved(&client, property, wish.stay).await, [1; 30]);
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_turn_fifty_times_at_once_makes_one_reservation() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        for (pay, units) in [("at_lodge", 7), ("at_lodge", 1), ("prepay", 1)] {
            let pool = database().await;
            let property = Lodge {
                pay,
                units,
                ..Lodge::default()
            }
            .insert(&pool)
            .await;
            let wish = Wish {
                isolation,
                ..Wish::new(property, stay(3, 2), 1)
            };
            let outcomes = join_all((0..50).map(|_| wish.reserve(&pool))).await;
            let mut codes = Vec::new();
            let mut made = 0;
            for outcome in outcomes {
                match outcome {
                    Reserved::Made(reservation) => {
                        made += 1;
                        codes.push(reservation.code);
                    }
                    Reserved::Again(reservation) => codes.push(reservation.code),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(made, 1);
            assert_eq!(codes.len(), 50);
            assert!(codes.iter().all(|code| *code == codes[0]));
            assert_sound(&pool).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_guests_with_overlapping_stays_share_seven_units() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        let pool = database().await;
        let property = Lodge::default().insert(&pool).await;
        // Stays of 1 to 3 nights, all of which hold the night of day 10.
        let wishes: Vec<Wish> = (0..200)
            .map(|number| {
                let nights = 1 + u8::try_from(number % 3).unwrap();
                let before = u64::from(number / 3 % u32::from(nights));
                Wish {
                    isolation,
                    ..Wish::new(property, stay(10 - before, nights), number)
                }
            })
            .collect();
        let outcomes = join_all(wishes.iter().map(|wish| wish.reserve(&pool))).await;
        let made = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Reserved::Made(_)))
            .count();
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Reserved::Made(_) | Reserved::Taken))
        );
        assert_eq!(made, 7, "{isolation:?}");
        let client = pool.get().await.unwrap();
        let nights = reserved(&client, property, stay(7, 7)).await;
        assert_eq!(nights[3], 7);
        assert!(nights.iter().all(|units| *units <= 7));
        assert_eq!(count(&client, "outbox").await, 7);
        assert_sound(&pool).await;
    }
}

#[tokio::test]
async fn a_price_that_has_changed_is_told_and_nothing_is_written() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let wish = Wish {
        total: kes(8000),
        ..Wish::new(property, stay(3, 2), 1)
    };
    assert_eq!(wish.reserve(&pool).await, Reserved::PriceChanged(kes(9000)));
    let client = pool.get().await.unwrap();
    assert_eq!(reserved(&client, property, wish.stay).await, [0, 0]);
    let agreed = Wish {
        total: kes(9000),
        ..wish
    };
    assert!(matches!(agreed.reserve(&pool).await, Reserved::Made(_)));
    assert_sound(&pool).await;
}

#[tokio::test]
async fn an_unpaid_hold_runs_out_and_its_nights_go_back_once() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    for number in 0..20 {
        let wish = Wish::new(property, stay(3 + u64::from(number / 7) * 3, 3), number);
        let Reserved::Made(held) = wish.reserve(&pool).await else {
            panic!("not made");
        };
        assert_eq!(held.status, Status::Held);
        assert!(held.hold_expires_at.is_some());
    }
    let client = pool.get().await.unwrap();
    assert_eq!(expire_holds(&client, 50).await.unwrap(), 0);
    client
        .execute(
            "update reservation set hold_expires_at = now() - interval '1 second' where msisdn <> $1",
            &[&msisdn(19).as_str()],
        )
        .await
        .unwrap();
    let other = pool.get().await.unwrap();
    let (a, b) = tokio::join!(expire_holds(&client, 50), expire_holds(&other, 50));
    assert_eq!(a.unwrap() + b.unwrap(), 19);
    assert_eq!(expire_holds(&client, 50).await.unwrap(), 0);
    assert_eq!(
        reserved(&client, property, stay(3, 9)).await,
        [0, 0, 0, 0, 0, 0, 1, 1, 1]
    );
    assert_eq!(
        count(&client, "reservation_event where to_status = 'expired'").await,
        19
    );
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweepers_beside_new_guests_do_not_deadlock() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        units: 40,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let wish = |number: u32| {
        Wish::new(
            property,
            stay(u64::from(number % 9), 1 + (number % 4) as u8),
            number,
        )
    };
    join_all((0..40).map(|number| {
        let (wish, pool) = (wish(number), pool.clone());
        async move { wish.reserve(&pool).await }
    }))
    .await;
    let client = pool.get().await.unwrap();
    client
        .execute("update reservation set hold_expires_at = now()", &[])
        .await
        .unwrap();
    let sweep = async {
        for _ in 0..20 {
            expire_holds(&client, 2).await.unwrap();
        }
    };
    let book = join_all((100..160).map(|number| {
        let (wish, pool) = (wish(number), pool.clone());
        async move { wish.reserve(&pool).await }
    }));
    tokio::join!(sweep, book);
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_number_has_two_unpaid_holds_at_most() {
    let pool = database().await;
    let mut properties = Vec::new();
    for _ in 0..4 {
        properties.push(
            Lodge {
                pay: "prepay",
                ..Lodge::default()
            }
            .insert(&pool)
            .await,
        );
    }
    let wishes: Vec<Wish> = properties
        .iter()
        .map(|property| Wish {
            session: property.to_string(),
            ..Wish::new(*property, stay(3, 1), 1)
        })
        .collect();
    let outcomes = join_all(wishes.iter().map(|wish| wish.reserve(&pool))).await;
    let refused = outcomes
        .iter()
        .filter(|outcome| **outcome == Reserved::TooMany)
        .count();
    assert_eq!(refused, 2);
    // A hold that ran out counts no longer, also before the sweeper has seen it.
    let client = pool.get().await.unwrap();
    client
        .execute("update reservation set hold_expires_at = now()", &[])
        .await
        .unwrap();
    let next = Wish {
        session: "next".into(),
        ..Wish::new(properties[0], stay(5, 1), 1)
    };
    assert!(matches!(next.reserve(&pool).await, Reserved::Made(_)));
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_locked_night_is_told_as_busy_in_time() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let mut holder = pool.get().await.unwrap();
    let transaction = holder.transaction().await.unwrap();
    transaction
        .execute(
            "update property_availability set updated_at = now() where property_id = $1",
            &[&property],
        )
        .await
        .unwrap();
    let wish = Wish::new(property, stay(3, 1), 1);
    let error = wish.try_reserve(&pool).await.unwrap_err();
    assert!(
        matches!(error, reserveflow::db::DbError::Busy(_)),
        "{error:?}"
    );
    transaction.rollback().await.unwrap();
    assert!(matches!(wish.reserve(&pool).await, Reserved::Made(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_that_fills_between_the_look_and_the_lock_is_taken() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        let pool = database().await;
        let property = Lodge {
            units: 1,
            ..Lodge::default()
        }
        .insert(&pool)
        .await;
        let mut holder = pool.get().await.unwrap();
        let first = holder.transaction().await.unwrap();
        first
            .execute(
                "update property_availability set reserved_units = 1 where date = $1",
                &[&(today() + Days::new(4))],
            )
            .await
            .unwrap();
        // It sees the night free, and waits for the lock.
        let wish = Wish {
            isolation,
            ..Wish::new(property, stay(3, 3), 1)
        };
        let commit = async {
            let client = pool.get().await.unwrap();
            eventually("a reservation that waits for the lock", async || {
                let waiting = "pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
                (count(&client, waiting).await > 0).then_some(())
            })
            .await;
            first.commit().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(wish.reserve(&pool), commit);
        assert_eq!(outcome, Reserved::Taken, "{isolation:?}");
        let client = pool.get().await.unwrap();
        assert_eq!(reserved(&client, property, stay(3, 3)).await, [0, 1, 0]);
    }
}

#[tokio::test]
async fn whatever_forgets_to_look_is_stopped_by_the_table_itself() {
    let pool = database().await;
    let property = Lodge {
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    assert!(matches!(
        Wish::new(property, stay(3, 1), 1).reserve(&pool).await,
        Reserved::Made(_)
    ));
    let client = pool.get().await.unwrap();
    for by_hand in [
        "update property_availability set reserved_units = reserved_units + 1 where date = $1",
        "update property_availability set available_units = 0 where date = $1",
        "update property_availability set reserved_units = reserved_units - 2 where date = $1",
    ] {
        let error = client
            .execute(by_hand, &[&(today() + Days::new(3))])
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{by_hand}");
    }
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_who_want_several_of_any_units_get_all_or_none() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let wishes: Vec<Wish> = (0..12)
        .map(|number| Wish {
            units: 2,
            total: kes(18_000),
            ..Wish::new(property, stay(3, 2), number)
        })
        .collect();
    let outcomes = join_all(wishes.iter().map(|wish| wish.reserve(&pool))).await;
    let made = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Reserved::Made(_)))
        .count();
    assert_eq!(made, 3, "7 units are 3 pairs");
    let one = Wish::new(property, stay(3, 2), 20).reserve(&pool).await;
    assert!(
        matches!(one, Reserved::Made(_)),
        "the seventh is left: {one:?}"
    );
    assert_sound(&pool).await;
}

/// Alone, through two instances' lanes, back by the sweeper: all on the same few nights, in every order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_on_overlapping_stays_of_several_lodges_do_not_deadlock() {
    let pool = database().await;
    let mut lodges = Vec::new();
    for _ in 0..4 {
        lodges.push(
            Lodge {
                pay: "prepay",
                units: 30,
                ..Lodge::default()
            }
            .insert(&pool)
            .await,
        );
    }
    let settings = LaneSettings {
        lanes: 1,
        ..LaneSettings::default()
    };
    let instances = [0, 1].map(|_| Lanes::new(&pool, Isolation::ReadCommitted, settings));
    let until = Instant::now() + std::time::Duration::from_secs(60);
    let book = join_all((0..64u32).map(|number| {
        let (pool, instances, lodges) = (&pool, &instances, &lodges);
        async move {
            for round in 0..6 {
                let place = (number * 7 + round * 3) as usize % lodges.len();
                let days = u64::from((number * 5 + round) % 9);
                let wish = Wish::new(
                    lodges[place],
                    stay(days, 1 + (number % 5) as u8),
                    number * 10 + round,
                );
                let outcome = match number % 3 {
                    0 => wish.reserve(pool).await,
                    instance => wish
                        .reserve_in(&instances[instance as usize - 1], until)
                        .await
                        .unwrap(),
                };
                assert!(
                    matches!(outcome, Reserved::Made(_) | Reserved::Taken),
                    "{outcome:?}"
                );
            }
        }
    }));
    let sweep = async {
        let client = pool.get().await.unwrap();
        for _ in 0..12 {
            client
                .execute(
                    "update reservation set hold_expires_at = now() where reservation_id in
                         (select reservation_id from reservation where status = 'held' limit 9 for update skip locked)",
                    &[],
                )
                .await
                .unwrap();
            expire_holds(&client, 50).await.unwrap();
        }
    };
    tokio::join!(book, sweep);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn stays_over_every_month_end_take_each_of_their_nights() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    let next_month = today().with_day(1).unwrap() + Months::new(1);
    for month in 0..11u32 {
        let check_in = next_month + Months::new(month) - Days::new(1);
        if check_in <= today() {
            continue;
        }
        let over = Stay::new(check_in, 2).unwrap();
        let wish = Wish::new(property, over, month);
        assert!(
            matches!(wish.reserve(&pool).await, Reserved::Made(_)),
            "{check_in}"
        );
        let around = Stay::new(check_in - Days::new(1), 4).unwrap();
        assert_eq!(
            reserved(&client, property, around).await,
            [0, 1, 1, 0],
            "{check_in}"
        );
    }
    assert_sound(&pool).await;
}
