//! What the API shows, with the numbers of its last changes.

pub mod changes;
pub mod places;
pub mod properties;

use std::time::Duration;

use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::{DbError, begin_unhurried};

/// How many numbers back a client may be that is told what has changed since; one that is further back gets everything.
pub const CHANGES_KEPT: i64 = 50_000;
const PRUNE_MAX: Duration = Duration::from_secs(30);
/// How often what is shown may change while it is read.
const TRIES_MAX: u32 = 5;

/// Gives numbers to the changes that are noted and committed: see the migration that makes `catalogue_change`.
///
/// # Errors
/// [`DbError`].
pub async fn number_changes(client: &impl GenericClient) -> Result<(), DbError> {
    let statement = client.prepare_cached("select number_changes()").await?;
    client.execute(&statement, &[]).await?;
    Ok(())
}

/// Forgets what is more than `kept` numbers back and said again by newer ones; says how much that was.
///
/// # Errors
/// [`DbError`].
pub async fn prune_changes(client: &mut Client, kept: i64) -> Result<i64, DbError> {
    let transaction = begin_unhurried(client, PRUNE_MAX).await?;
    let row = transaction
        .query_one("select prune_changes($1)", &[&kept])
        .await?;
    let pruned = row.try_get(0)?;
    transaction.commit().await?;
    Ok(pruned)
}

/// Reads what is numbered: two statements in one round trip. Where a row says `noted`, a change that it shows was committed
/// between the two and has no number yet; then both run again.
async fn read_numbered(
    client: &impl GenericClient,
    statement: &Statement,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, DbError> {
    let number = client.prepare_cached("select number_changes()").await?;
    let mut tries = 1;
    loop {
        // Sent in this order, and the server answers in order.
        let (numbered, rows) = tokio::join!(
            client.execute(&number, &[]),
            client.query(statement, values)
        );
        numbered?;
        let rows = rows?;
        let mut is_noted = false;
        for row in &rows {
            is_noted |= row.try_get::<_, bool>("noted")?;
        }
        if !is_noted || tries == TRIES_MAX {
            return Ok(rows);
        }
        tries += 1;
    }
}
