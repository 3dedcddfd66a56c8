//! What fails is told apart by what the caller does next.

use std::time::{Duration, Instant};

use reserveflow::db::DbError;
use reserveflow::db::pool::{PoolSettings, pool};

use crate::support::postgres::database;

#[tokio::test]
async fn a_broken_connection_is_unreachable_once_and_given_to_nobody_else() {
    let pool = database().await;
    // The end of a connection is noticed now before its last answer is read, now after: many times.
    for _ in 0..50 {
        let client = pool.get().await.unwrap();
        let error = client
            .query("select pg_terminate_backend(pg_backend_pid())", &[])
            .await
            .unwrap_err();
        assert!(matches!(DbError::from(error), DbError::Unreachable(_)));
        drop(client);
        let client = pool.get().await.unwrap();
        client.query("select 1", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn those_that_went_with_a_broken_connection_are_not_given_to_anybody_either() {
    let pool = database().await;
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let pid: i32 = other
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    drop(other);
    let error = one
        .query(
            "select pg_terminate_backend($1), pg_terminate_backend(pg_backend_pid())",
            &[&pid],
        )
        .await
        .unwrap_err();
    assert!(matches!(DbError::from(error), DbError::Unreachable(_)));
    drop(one);
    for _ in 0..2 {
        let client = pool.get().await.unwrap();
        client.query("select 1", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_busy_and_a_wrong_one_refused() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    for (sql, code) in [
        ("select pg_sleep(9)", "busy"),
        ("do $$ begin raise sqlstate '40001'; end $$", "conflict"),
        ("do $$ begin raise sqlstate '40P01'; end $$", "conflict"),
        ("do $$ begin raise sqlstate '53300'; end $$", "busy"),
        ("do $$ begin raise sqlstate '08006'; end $$", "unreachable"),
        ("select 1 / 0", "refused"),
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        let told = match DbError::from(error) {
            DbError::Busy(_) => "busy",
            DbError::Conflict(_) => "conflict",
            DbError::Unreachable(_) => "unreachable",
            DbError::Refused(_) => "refused",
        };
        assert_eq!(told, code, "{sql}");
    }
}

#[tokio::test]
async fn without_a_server_or_a_free_connection_it_is_busy_in_time() {
    let nowhere = pool(
        "host=/nonexistent user=app dbname=app",
        &PoolSettings::default(),
    )
    .unwrap();
    let began = Instant::now();
    let error = DbError::from(nowhere.get().await.unwrap_err());
    assert!(matches!(error, DbError::Busy(_)) && !error.is_crowded());

    let busy = database().await;
    let mut held = Vec::new();
    while held.len() < busy.status().max_size {
        held.push(busy.get().await.unwrap());
    }
    let timeouts = deadpool_postgres::Timeouts {
        wait: Some(Duration::from_millis(50)),
        ..busy.timeouts()
    };
    let error = DbError::from(busy.timeout_get(&timeouts).await.unwrap_err());
    assert!(matches!(error, DbError::Busy(_)) && error.is_crowded());
    assert!(began.elapsed() < Duration::from_secs(60));
}
