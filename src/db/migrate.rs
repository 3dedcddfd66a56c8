//! The migration runner: numbered SQL files inside the binary, each applied once, in order of name, by one process at
//! a time. A file once applied is never edited: its SHA-256 is kept and compared.

use std::collections::HashMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use deadpool_postgres::GenericClient;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::DbError;

/// First line of a file whose one statement cannot run in a transaction, such as `CREATE INDEX CONCURRENTLY`.
pub const NO_TRANSACTION: &str = "-- no-transaction";
/// Longest wait for another process that migrates.
const WAIT_MAX: Duration = Duration::from_secs(60);
const WAIT_STEP: Duration = Duration::from_millis(50);
/// Longest run of one file, and longest wait for a table that others use: their statements queue behind that wait.
const LIMITS: &str = "set statement_timeout = '10min'; set lock_timeout = '2s'";

#[derive(RustEmbed)]
#[folder = "migrations/"]
struct Embedded;

/// One file.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Its file name, which orders it.
    pub name: String,
    /// Its text.
    pub sql: String,
}

/// Why the schema is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Another process has been migrating all the time that this one waited.
    #[error("another process is migrating")]
    Locked,
    /// A file was edited after it had been applied.
    #[error("migration {0} was changed after it had been applied")]
    Changed(String),
    /// A file failed; those before it stay applied.
    #[error("migration {name} failed")]
    Failed {
        /// The file.
        name: String,
        /// What the database said.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// The runner's own statements failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Brings the schema up to date and returns the names of the files applied now.
///
/// # Errors
/// [`MigrateError`]; files applied before the failing one stay applied.
pub async fn migrate(client: &impl GenericClient) -> Result<Vec<String>, MigrateError> {
    apply(client, &embedded()).await
}

/// The files inside this binary, in order.
pub fn embedded() -> Vec<Migration> {
    let mut files: Vec<Migration> = Embedded::iter()
        .filter(|name| name.ends_with(".sql"))
        .filter_map(|name| {
            let file = Embedded::get(&name)?;
            Some(Migration {
                name: name.into_owned(),
                sql: String::from_utf8_lossy(&file.data).into_owned(),
            })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// Applies those of `files`, ordered by name, that this database does not have yet.
///
/// # Errors
/// As [`migrate`].
pub async fn apply(
    client: &impl GenericClient,
    files: &[Migration],
) -> Result<Vec<String>, MigrateError> {
    let before = client
        .query_one(
            "select current_setting('statement_timeout'), current_setting('lock_timeout')",
            &[],
        )
        .await
        .map_err(DbError::from)?;
    client.batch_execute(LIMITS).await.map_err(DbError::from)?;
    let outcome = apply_locked(client, files).await;
    let (statement, lock): (String, String) = (before.get(0), before.get(1));
    let restored = client
        .batch_execute(&format!(
            "set statement_timeout = '{statement}'; set lock_timeout = '{lock}'; \
             select pg_advisory_unlock(hashtext('reserveflow'), hashtext('migrate'))"
        ))
        .await;
    let names = outcome?;
    restored.map_err(DbError::from)?;
    Ok(names)
}

async fn apply_locked(
    client: &impl GenericClient,
    files: &[Migration],
) -> Result<Vec<String>, MigrateError> {
    lock(client).await?;
    let applied = list_applied(client).await?;
    // A changed file is refused before anything is done.
    for file in files {
        if applied
            .get(&file.name)
            .is_some_and(|known| *known != sha256(&file.sql))
        {
            return Err(MigrateError::Changed(file.name.clone()));
        }
    }
    let mut names = Vec::new();
    for file in files {
        if !applied.contains_key(&file.name) {
            run(client, file)
                .await
                .map_err(|error| MigrateError::Failed {
                    name: file.name.clone(),
                    source: Box::new(error),
                })?;
            names.push(file.name.clone());
        }
    }
    Ok(names)
}

/// Asks again and again instead of waiting inside the server: `CREATE INDEX CONCURRENTLY` waits for every older
/// snapshot, also for that of a process which waits for this very lock.
async fn lock(client: &impl GenericClient) -> Result<(), MigrateError> {
    let until = Instant::now() + WAIT_MAX;
    loop {
        let locked: bool = client
            .query_one(
                "select pg_try_advisory_lock(hashtext('reserveflow'), hashtext('migrate'))",
                &[],
            )
            .await
            .map_err(DbError::from)?
            .get(0);
        if locked {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(MigrateError::Locked);
        }
        sleep(WAIT_STEP).await;
    }
}

async fn list_applied(client: &impl GenericClient) -> Result<HashMap<String, String>, DbError> {
    client
        .batch_execute(
            "create table if not exists migration (
                name       text primary key,
                sha256     text not null,
                applied_at timestamptz not null default now())",
        )
        .await?;
    let rows = client
        .query("select name, sha256 from migration", &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get("name"), row.get("sha256")))
        .collect())
}

async fn run(client: &impl GenericClient, file: &Migration) -> Result<(), tokio_postgres::Error> {
    let note = format!(
        "insert into migration (name, sha256) values ('{}', '{}')",
        file.name.replace('\'', "''"),
        sha256(&file.sql)
    );
    if file.sql.starts_with(NO_TRANSACTION) {
        client.batch_execute(&file.sql).await?;
        client.batch_execute(&note).await
    } else {
        // Statements sent in one message are one transaction, undone as a whole.
        client
            .batch_execute(&format!("{}\n;\n{note}", file.sql))
            .await
    }
}

fn sha256(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_numbered_and_opens_with_a_comment() {
        let files = embedded();
        assert!(!files.is_empty());
        let number = |file: &Migration| file.name.split_once('_').map(|(number, _)| number.len());
        for (place, file) in files.iter().enumerate() {
            assert_eq!(number(file), Some(4), "{}", file.name);
            assert!(
                files[place + 1..]
                    .iter()
                    .all(|later| later.name[..4] > file.name[..4]),
                "{}",
                file.name
            );
            assert!(file.sql.starts_with("-- "), "{}", file.name);
        }
    }
}
