//! A reservation is found only by those whose it is, and its nights go back once.

use chrono::Utc;
use futures_util::future::join_all;
use reserveflow::booking::reservation::Status;
use reserveflow::db::effect::Draft;
use reserveflow::db::holds::expire_holds;
use reserveflow::db::reservations::{
    Cancel, Cancelled, Reservation, cancel, find_by_code, find_by_dialogue, find_cancel_cost,
    list_live,
};
use reserveflow::db::reserve::Reserved;
use uuid::Uuid;

use crate::support::lodging::{
    GUEST, Lodge, Wish, assert_sound, count, draft, kes, msisdn, reserved, stay, today, turn,
};
use crate::support::postgres::database;

async fn make(wish: &Wish, pool: &deadpool_postgres::Pool) -> Reservation {
    match wish.reserve(pool).await {
        Reserved::Made(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

/// As a guest in a turn of their own, who was told that it costs so many minor units.
async fn give_up(
    client: &deadpool_postgres::Client,
    id: Uuid,
    cost_shown: i64,
    drafts: &[Draft],
) -> Cancelled {
    let cancelling = Cancel {
        id,
        at: Utc::now(),
        cost_shown,
        turn: &turn(&Uuid::new_v4().to_string()),
        cause: &GUEST,
        drafts,
    };
    cancel(client, &cancelling).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_ten_times_at_once_gives_the_nights_back_once() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    make(&Wish::new(property, stay(3, 2), 2), &pool).await;
    let made = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    let drafts = [draft(&made.code, "cancelled", &made.msisdn)];
    let outcomes = join_all((0..10).map(|_| async {
        let client = pool.get().await.unwrap();
        give_up(&client, made.id, 0, &drafts).await
    }))
    .await;
    let done = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Cancelled::Done(r) if r.status == Status::Cancelled))
        .count();
    let already = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Cancelled::AlreadyCancelled(_)))
        .count();
    assert_eq!((done, already), (1, 9));
    let client = pool.get().await.unwrap();
    assert_eq!(reserved(&client, property, stay(3, 2)).await, [1, 1]);
    assert_eq!(count(&client, "outbox where kind = 'cancelled'").await, 1);
    assert_eq!(
        count(
            &client,
            "reservation_event where from_status = 'confirmed' and to_status = 'cancelled'"
        )
        .await,
        1
    );
    let unknown = give_up(&client, Uuid::new_v4(), 0, &[]).await;
    assert_eq!(unknown, Cancelled::NotFound);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn after_the_free_time_the_first_night_is_paid_and_only_if_that_was_said() {
    let pool = database().await;
    let property = Lodge {
        cancel_hours: 24 * 5,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let late = make(&Wish::new(property, stay(4, 1), 1), &pool).await;
    let early = make(&Wish::new(property, stay(7, 1), 2), &pool).await;
    let client = pool.get().await.unwrap();
    // The rule is the one the guest was told, not a later one of the host.
    client
        .execute("update property set cancel_hours = 0", &[])
        .await
        .unwrap();
    let drafts = [draft(&late.code, "cancelled", &late.msisdn)];
    for shown in [0, 1] {
        let outcome = give_up(&client, late.id, shown, &drafts).await;
        assert_eq!(outcome, Cancelled::Costs(late.clone(), kes(4500)));
    }
    assert_eq!(count(&client, "outbox where kind = 'cancelled'").await, 0);
    let cost = find_cancel_cost(&client, late.id, Utc::now()).await;
    assert_eq!(cost.unwrap(), Some(450_000));
    let outcome = give_up(&client, late.id, 450_000, &drafts).await;
    assert!(matches!(outcome, Cancelled::Done(_)));
    assert_eq!(
        count(&client, "reservation where cancel_cost = 450000").await,
        1
    );
    let outcome = give_up(&client, early.id, 0, &[]).await;
    assert!(matches!(outcome, Cancelled::Done(_)));
    assert_sound(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_cancelled_while_it_runs_out_gives_its_nights_back_once() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let client = pool.get().await.unwrap();
    let other = pool.get().await.unwrap();
    for number in 0..7 {
        let held = make(&Wish::new(property, stay(3, 3), number), &pool).await;
        client
            .execute("update reservation set hold_expires_at = now()", &[])
            .await
            .unwrap();
        let (cancelled, expired) =
            tokio::join!(give_up(&client, held.id, 0, &[]), expire_holds(&other, 9));
        match (cancelled, expired.unwrap()) {
            (Cancelled::Done(_), 0) | (Cancelled::AlreadyCancelled(_), 1) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reserved(&client, property, stay(3, 3)).await, [0, 0, 0]);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_code_is_found_only_with_its_number() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let made = make(&Wish::new(property, stay(3, 2), 1), &pool).await;
    let client = pool.get().await.unwrap();
    client
        .execute(
            "update reservation set guest_msisdn = $1",
            &[&msisdn(2).as_str()],
        )
        .await
        .unwrap();
    for (number, found) in [(1, true), (2, true), (3, false)] {
        let by_code = find_by_code(&client, &made.code, &msisdn(number))
            .await
            .unwrap();
        assert_eq!(by_code.is_some(), found, "{number}");
        let listed = list_live(&client, &msisdn(number), today()).await.unwrap();
        assert_eq!(listed.len(), usize::from(found), "{number}");
    }
    let (found, position) = find_by_dialogue(&client, "africastalking", "session-1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id, position), (made.id, 7));
    assert!(
        find_by_dialogue(&client, "sms:africastalking", "session-1")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_list_has_the_next_ten_that_are_not_over() {
    let pool = database().await;
    let property = Lodge {
        units: 20,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    for days in (0..13).rev() {
        let wish = Wish {
            session: format!("s{days}"),
            ..Wish::new(property, stay(days, 1), 1)
        };
        make(&wish, &pool).await;
    }
    let client = pool.get().await.unwrap();
    let tomorrow = stay(1, 1).check_in();
    let listed = list_live(&client, &msisdn(1), tomorrow).await.unwrap();
    let days: Vec<i64> = listed
        .iter()
        .map(|reservation| (reservation.stay.check_in() - today()).num_days())
        .collect();
    assert_eq!(days, (0..10).collect::<Vec<i64>>());
}
