//! The schema and the calendar are made once, by whoever comes first.

use chrono::{Datelike, Months};
use reserveflow::db::migrate::{MigrateError, Migration, apply, embedded, migrate};
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months, fill_nights};

use crate::support::lodging::{Lodge, count, today};
use crate::support::postgres::{database, empty_database};

#[tokio::test]
async fn migrating_twice_applies_each_file_once_and_a_changed_file_is_refused() {
    let pool = empty_database().await;
    let client = pool.get().await.unwrap();
    let names: Vec<String> = embedded().into_iter().map(|file| file.name).collect();
    assert_eq!(migrate(&client).await.unwrap(), names);
    assert!(migrate(&client).await.unwrap().is_empty());
    let limit = client
        .query_one("show statement_timeout", &[])
        .await
        .unwrap();
    assert_eq!(limit.get::<_, &str>(0), "1500ms");

    let mut changed = embedded();
    changed[1].sql.push_str("-- edited");
    let error = apply(&client, &changed).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Changed(name) if *name == names[1]),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_migrate_once_also_without_a_transaction() {
    let pool = empty_database().await;
    let mut files = embedded();
    files.push(Migration {
        name: "9000_index.sql".into(),
        sql: "-- no-transaction\ncreate index concurrently guest_seen on guest (seen_at);".into(),
    });
    let one = |client: deadpool_postgres::Client| {
        let files = files.clone();
        async move { apply(&client, &files).await.unwrap().len() }
    };
    let (a, b, c) = (
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
    );
    let (a, b, c) = tokio::join!(one(a), one(b), one(c));
    assert_eq!(a + b + c, files.len());
}

#[tokio::test]
async fn a_file_that_fails_leaves_nothing_and_the_connection_usable() {
    let pool = empty_database().await;
    let client = pool.get().await.unwrap();
    let files = [Migration {
        name: "0001_broken.sql".into(),
        sql: "create table half (id int); select 1 / 0;".into(),
    }];
    let error = apply(&client, &files).await.unwrap_err();
    assert!(matches!(error, MigrateError::Failed { .. }), "{error}");
    assert_eq!(count(&client, "pg_class where relname = 'half'").await, 0);
    assert_eq!(count(&client, "migration").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_made_once_and_filled_for_every_property() {
    let pool = database().await;
    Lodge::default().insert(&pool).await;
    let mut a = pool.get().await.unwrap();
    let mut b = pool.get().await.unwrap();
    let (a, b) = tokio::join!(
        ensure_months(&mut a, today(), MONTHS_AHEAD + 2),
        ensure_months(&mut b, today(), MONTHS_AHEAD + 2)
    );
    let made = [a.unwrap(), b.unwrap()].concat();
    let last = today() + Months::new(MONTHS_AHEAD + 2);
    let name = |date: chrono::NaiveDate| {
        format!("property_availability_{}_{:02}", date.year(), date.month())
    };
    assert_eq!(made, [name(last - Months::new(1)), name(last)]);

    let mut client = pool.get().await.unwrap();
    assert_eq!(fill_nights(&mut client, today()).await.unwrap(), 0);
    client
        .execute(
            "delete from property_availability where date = $1",
            &[&(today() + Months::new(3))],
        )
        .await
        .unwrap();
    assert_eq!(fill_nights(&mut client, today()).await.unwrap(), 1);
    let gaps = count(
        &client,
        "(select date - lag(date) over (order by date) as step from property_availability) s where step <> 1",
    )
    .await;
    assert_eq!(gaps, 0);
}
