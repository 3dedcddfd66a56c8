//! Other dates: the new nights are taken and the old ones given back, or nothing changes.

use chrono::{TimeDelta, Utc};
use deadpool_postgres::{Client, Pool};
use futures_util::future::join_all;
use reserveflow::booking::restriction::Restriction;
use reserveflow::booking::stay::Stay;
use reserveflow::db::change::{Change, Changed, change_stay, quote_change};
use reserveflow::db::effect::Turn;
use reserveflow::db::reservations::{Cancel, Cancelled, Reservation, cancel};
use reserveflow::db::reserve::Reserved;
use uuid::Uuid;

use crate::support::lodging::{
    GUEST, Lodge, Wish, assert_sound, count, draft, kes, reserved, stay, turn,
};
use crate::support::postgres::database;

async fn make(wish: &Wish, pool: &Pool) -> Reservation {
    match wish.reserve(pool).await {
        Reserved::Made(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

async fn change(client: &Client, of: &Reservation, to: Stay, total: i64, turn: &Turn) -> Changed {
    let drafts = [draft(&of.code, "changed", &of.msisdn)];
    let change = Change {
        id: of.id,
        stay: to,
        at: Utc::now(),
        total_shown: total,
        turn,
        cause: &GUEST,
        drafts: &drafts,
    };
    change_stay(client, &change).await.unwrap()
}

#[tokio::test]
async fn nights_kept_keep_their_price_and_new_ones_have_todays() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let made = make(&Wish::new(property, stay(5, 3), 1), &pool).await;
    let client = pool.get().await.unwrap();
    client
        .execute("update property_availability set price_base = 500000", &[])
        .await
        .unwrap();
    // Days 5, 6, 7 become 6, 7, 8.
    let to = stay(6, 3);
    let quoted = quote_change(&client, made.id, to, Utc::now())
        .await
        .unwrap();
    assert_eq!(quoted, Changed::Quoted(made.clone(), kes(14_000)));
    assert_eq!(reserved(&client, property, stay(5, 4)).await, [1, 1, 1, 0]);
    let dearer = change(&client, &made, to, 1_350_000, &turn("a")).await;
    assert_eq!(dearer, Changed::PriceChanged(made.clone(), kes(14_000)));
    for _ in 0..3 {
        let Changed::Done(changed) = change(&client, &made, to, 1_400_000, &turn("b")).await else {
            panic!("not changed");
        };
        assert_eq!(
            (changed.stay, changed.total, changed.changes),
            (to, kes(14_000), 1)
        );
        assert_eq!(
            (changed.code.clone(), changed.status),
            (made.code.clone(), made.status)
        );
    }
    assert_eq!(reserved(&client, property, stay(5, 4)).await, [0, 1, 1, 1]);
    let again = change(&client, &made, to, 1_400_000, &turn("c")).await;
    assert!(matches!(again, Changed::Same(_)), "{again:?}");
    // Back again: a second message of its kind, and day 5 is sold at what it costs by now.
    let Changed::Done(back) = change(&client, &made, made.stay, 1_400_000, &turn("d")).await else {
        panic!("not changed back");
    };
    assert_eq!((back.stay, back.changes), (made.stay, 2));
    assert_eq!(count(&client, "outbox where kind = 'changed'").await, 2);
    assert_eq!(
        count(&client, "reservation_event where from_status = to_status").await,
        2
    );
    assert_sound(&pool).await;
}

#[tokio::test]
async fn the_guests_own_nights_do_not_block_a_full_house_and_others_do() {
    let pool = database().await;
    let property = Lodge {
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let mine = make(&Wish::new(property, stay(5, 2), 1), &pool).await;
    make(&Wish::new(property, stay(8, 1), 2), &pool).await;
    let client = pool.get().await.unwrap();
    let later = change(&client, &mine, stay(6, 2), 900_000, &turn("later")).await;
    assert!(matches!(later, Changed::Done(_)), "{later:?}");
    let longer = change(&client, &mine, stay(6, 3), 1_350_000, &turn("longer")).await;
    assert!(matches!(longer, Changed::Taken(_)), "{longer:?}");
    assert_eq!(reserved(&client, property, stay(5, 4)).await, [0, 1, 1, 1]);
    // Further ahead than the lodge takes, and at a lodge that has closed.
    let beyond = quote_change(&client, mine.id, stay(600, 1), Utc::now()).await;
    assert!(matches!(
        beyond.unwrap(),
        Changed::Restricted(_, Restriction::TooEarly(365))
    ));
    client
        .execute("update property set open = false", &[])
        .await
        .unwrap();
    let closed = quote_change(&client, mine.id, stay(20, 1), Utc::now()).await;
    assert!(matches!(closed.unwrap(), Changed::Taken(_)));
    let unknown = quote_change(&client, Uuid::new_v4(), stay(20, 1), Utc::now()).await;
    assert_eq!(unknown.unwrap(), Changed::NotFound);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn who_can_no_longer_cancel_for_nothing_or_has_paid_another_sum_cannot_change() {
    let pool = database().await;
    let property = Lodge {
        cancel_hours: 48,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let made = make(&Wish::new(property, stay(5, 2), 1), &pool).await;
    let client = pool.get().await.unwrap();
    let near = Utc::now() + TimeDelta::days(4);
    let late = quote_change(&client, made.id, stay(9, 2), near).await;
    assert!(matches!(late.unwrap(), Changed::TooLate(_)));
    let past = Stay::new(stay(0, 1).check_in() - chrono::Days::new(2), 2).unwrap();
    let past = quote_change(&client, made.id, past, Utc::now()).await;
    assert!(matches!(past.unwrap(), Changed::TooLate(_)));
    client
        .execute("update reservation set pay = 'prepay'", &[])
        .await
        .unwrap();
    let same_price = quote_change(&client, made.id, stay(9, 2), Utc::now()).await;
    assert!(matches!(same_price.unwrap(), Changed::Quoted(..)));
    let dearer = quote_change(&client, made.id, stay(9, 3), Utc::now()).await;
    assert!(matches!(dearer.unwrap(), Changed::Prepaid(_)));
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_swap_dates_at_once_never_sell_a_night_twice_nor_lock_each_other_out() {
    let pool = database().await;
    let property = Lodge {
        units: 3,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let mut made = Vec::new();
    for number in 0..12 {
        let days = 2 + u64::from(number % 4) * 2;
        made.push(make(&Wish::new(property, stay(days, 2), number), &pool).await);
    }
    let rounds =
        (0..6).flat_map(|round| made.iter().enumerate().map(move |(i, of)| (round, i, of)));
    let outcomes = join_all(rounds.map(|(round, i, of)| {
        let pool = &pool;
        async move {
            let client = pool.get().await.unwrap();
            let to = stay(2 + (i as u64 * 5 + round * 3) % 9, 2);
            change(&client, of, to, 900_000, &turn(&format!("{round}-{i}"))).await
        }
    }))
    .await;
    let done = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Changed::Done(_)))
        .count();
    assert!(done > 0);
    let client = pool.get().await.unwrap();
    let over = count(
        &client,
        "property_availability where reserved_units > available_units",
    )
    .await;
    assert_eq!(over, 0);
    assert_sound(&pool).await;
}

/// A night that fills or opens changes the calendar of its property, which others wait for with nights in their hands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nights_that_fill_and_open_for_many_at_once_never_end_in_a_deadlock() {
    let pool = database().await;
    let property = Lodge {
        units: 1,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let outcomes = join_all((0..120).map(|number| {
        let pool = &pool;
        async move {
            let wish = Wish::new(property, stay(2 + u64::from(number % 5), 4), number);
            let Reserved::Made(made) = wish.reserve(pool).await else {
                return false;
            };
            let client = pool.get().await.unwrap();
            let session = format!("back-{number}");
            let cancelling = Cancel {
                id: made.id,
                at: Utc::now(),
                cost_shown: 0,
                turn: &turn(&session),
                cause: &GUEST,
                drafts: &[],
            };
            let cancelled = cancel(&client, &cancelling).await.unwrap();
            assert!(matches!(cancelled, Cancelled::Done(_)), "{cancelled:?}");
            true
        }
    }))
    .await;
    assert!(outcomes.contains(&true));
    assert_eq!(
        reserved(&pool.get().await.unwrap(), property, stay(2, 9)).await,
        [0; 9]
    );
    assert_sound(&pool).await;
}
