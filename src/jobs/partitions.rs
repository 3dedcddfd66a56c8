//! Keeps the calendar's months and nights ahead of what can be booked.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::Clock;
use crate::db::DbError;
use crate::db::partitions::{MONTHS_AHEAD, ensure_months, fill_nights};

/// How often the calendar is looked at, and how soon again after a failure.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const RETRY: Duration = Duration::from_secs(60);

/// Runs until `stop` turns true or its sender is gone. A failure is logged and tried again after a minute.
pub async fn run(pool: Pool, clock: Clock, mut stop: watch::Receiver<bool>) {
    loop {
        let wait = match extend(&pool, clock).await {
            Ok((months, nights)) => {
                tracing::info!(months, nights, "the calendar is complete");
                INTERVAL
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the calendar was not extended"
                );
                RETRY
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(wait) => {}
        }
    }
}

/// Makes what is missing; returns how many months and nights that was.
async fn extend(pool: &Pool, clock: Clock) -> Result<(usize, u64), DbError> {
    let today = clock.now().date_naive();
    let mut client = pool.get().await?;
    let months = ensure_months(&mut client, today, MONTHS_AHEAD).await?;
    let nights = fill_nights(&mut client, today).await?;
    Ok((months.len(), nights))
}
