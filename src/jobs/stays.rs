//! What time does to stays: guests who have not come by the lodge's cut-off are no-shows, and stays end.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;

use super::rounds::Rounds;
use crate::app::Clock;
use crate::db::DbError;
use crate::db::life::{complete_stays, mark_no_shows};

/// How often stays are looked at.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Stays moved in one transaction.
const BATCH_MAX: i32 = 50;

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(pool: Pool, clock: Clock, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        match move_due(&pool, clock).await {
            Ok((0, 0)) => {}
            Ok((no_shows, completed)) => {
                tracing::info!(no_shows, completed, "stays went on");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "stays were not looked at"
            ),
        }
    }
}

/// Moves every stay whose time has come; returns how many guests did not show up and how many stays ended.
///
/// # Errors
/// [`DbError`]; batches before the failing one stay done.
pub async fn move_due(pool: &Pool, clock: Clock) -> Result<(u64, u64), DbError> {
    let client = pool.get().await?;
    let full = u64::from(BATCH_MAX.unsigned_abs());
    let (mut no_shows, mut completed) = (0, 0);
    loop {
        let marked = mark_no_shows(&client, clock.now(), BATCH_MAX).await?;
        no_shows += marked;
        if marked < full {
            break;
        }
    }
    loop {
        let ended = complete_stays(&client, clock.now(), BATCH_MAX).await?;
        completed += ended;
        if ended < full {
            return Ok((no_shows, completed));
        }
    }
}
