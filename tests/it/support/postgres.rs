//! Fresh databases, copied from a template, on the run's own server.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{NaiveDate, Utc};
use deadpool_postgres::{Client, Pool};
use reserveflow::books::Books;
use reserveflow::db::inventory::{self, Files};
use reserveflow::db::migrate::migrate;
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::db::reserve::Isolation;
use reserveflow::menu::files;
use tokio::sync::Mutex;

use super::stores::stores;

static TEMPLATE: Mutex<Option<String>> = Mutex::const_new(None);
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A pool of 16 connections to a database of this test's own: the schema and empty months.
pub async fn database() -> Pool {
    let mut template = TEMPLATE.lock().await;
    if template.is_none() {
        let name = create(None).await;
        let pool = connect(&name);
        let mut client = pool.get().await.unwrap();
        migrate(&client).await.unwrap();
        let today = Utc::now().date_naive();
        ensure_months(&mut client, today, MONTHS_AHEAD)
            .await
            .unwrap();
        drop(client);
        pool.close();
        wait_for_leaving(&name).await;
        *template = Some(name);
    }
    connect(&create(template.as_deref()).await)
}

/// An empty database.
pub async fn empty_database() -> Pool {
    let _one_at_a_time = TEMPLATE.lock().await;
    connect(&create(None).await)
}

fn connect(name: &str) -> Pool {
    let settings = PoolSettings {
        // Many test tasks share two cores with others: their wait says nothing of the service.
        wait: std::time::Duration::from_secs(30),
        create: std::time::Duration::from_secs(10),
        ..PoolSettings::default()
    };
    pool(&format!("{} dbname={name}", url()), &settings).unwrap()
}

async fn create(template: Option<&str>) -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("it_{}_{number}", std::process::id());
    let server = connect("postgres");
    let client = server.get().await.unwrap();
    client
        .batch_execute("set statement_timeout = 0")
        .await
        .unwrap();
    client
        .batch_execute(&format!(
            "create database {name} template {}",
            template.unwrap_or("template1")
        ))
        .await
        .unwrap();
    name
}

/// A database with connections cannot be a template, and a closed one takes the server a moment to notice.
async fn wait_for_leaving(name: &str) {
    let server = connect("postgres");
    let client = server.get().await.unwrap();
    loop {
        let row = client
            .query_one(
                "select count(*) from pg_stat_activity where datname = $1",
                &[&name],
            )
            .await
            .unwrap();
        if row.get::<_, i64>(0) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn url() -> &'static str {
    &stores().database
}

/// The URL of a new database with the sample lodgings, whose calendar begins on another day than today's.
pub async fn sample_database_of(today: NaiveDate) -> String {
    let pool = database().await;
    let mut client = pool.get().await.unwrap();
    ensure_months(&mut client, today, MONTHS_AHEAD)
        .await
        .unwrap();
    import_sample(&mut client, today).await;
    url_of(&pool).await
}

/// The URL of this database.
pub async fn url_of(pool: &Pool) -> String {
    format!("{} dbname={}", url(), name_of(pool).await)
}

async fn name_of(pool: &Pool) -> String {
    let client = pool.get().await.unwrap();
    let name = client.query_one("select current_database()::text", &[]);
    name.await.unwrap().get(0)
}

async fn import_sample(client: &mut Client, today: NaiveDate) {
    let (places, properties) = (files::sample("places.csv"), files::sample("properties.csv"));
    let files = Files {
        places: places.as_deref(),
        properties: properties.as_deref(),
        nights: None,
    };
    inventory::import(client, files, today).await.unwrap();
}

/// The URL of a new database with the sample lodgings.
pub async fn sample_database() -> String {
    static SAMPLE: Mutex<Option<String>> = Mutex::const_new(None);
    let mut sample = SAMPLE.lock().await;
    if sample.is_none() {
        let pool = database().await;
        let mut client = pool.get().await.unwrap();
        let name = name_of(&pool).await;
        import_sample(&mut client, Utc::now().date_naive()).await;
        drop(client);
        pool.close();
        wait_for_leaving(&name).await;
        *sample = Some(name);
    }
    let _one_at_a_time = TEMPLATE.lock().await;
    format!("{} dbname={}", url(), create(sample.as_deref()).await)
}

/// What sessions and jobs ask of this database.
pub fn books(pool: &Pool) -> Books {
    Books::postgres(pool.clone(), Isolation::default(), 1)
}
