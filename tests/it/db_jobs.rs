//! Jobs do their work at once and end when told to.

use std::time::Duration;

use deadpool_postgres::Pool;
use reserveflow::app::Clock;
use reserveflow::jobs;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::support::lodging::{Lodge, Wish, assert_sound, count, stay};
use crate::support::postgres::{books, database};

const PATIENCE: Duration = Duration::from_secs(20);

async fn until_none(pool: &Pool, from: &str) {
    let client = pool.get().await.unwrap();
    let wait = async {
        while count(&client, from).await > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn the_holds_job_ends_more_holds_than_one_batch_and_stops() {
    let pool = database().await;
    let property = Lodge {
        pay: "prepay",
        units: 60,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    for number in 0..60 {
        Wish::new(property, stay(3, 1), number).reserve(&pool).await;
    }
    pool.get()
        .await
        .unwrap()
        .execute("update reservation set hold_expires_at = now()", &[])
        .await
        .unwrap();
    let (stop, stopped) = watch::channel(false);
    let job = tokio::spawn(jobs::holds::run(books(&pool), stopped));
    until_none(&pool, "reservation where status = 'held'").await;
    stop.send(true).unwrap();
    timeout(PATIENCE, job).await.unwrap().unwrap();
    assert_sound(&pool).await;
}

#[tokio::test]
async fn the_calendar_job_fills_gaps_and_stops() {
    let pool = database().await;
    Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    client
        .execute("delete from property_availability", &[])
        .await
        .unwrap();
    let (stop, stopped) = watch::channel(false);
    let job = tokio::spawn(jobs::partitions::run(pool.clone(), Clock::System, stopped));
    until_none(
        &pool,
        "(values (1)) v where not exists (select from property_availability)",
    )
    .await;
    drop(stop);
    timeout(PATIENCE, job).await.unwrap().unwrap();
}
