//! Forgets the guests who asked for it.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;

use crate::db::DbError;
use crate::db::erasures;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Numbers forgotten in one round.
const BATCH: usize = 100;

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(pool: Pool, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = sweep(&pool).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "guests who asked for it are not forgotten yet");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Forgets whoever is due.
///
/// # Errors
/// [`DbError`]
pub async fn sweep(pool: &Pool) -> Result<(), DbError> {
    let mut client = pool.get().await?;
    let erased = erasures::erase_due(&mut client, BATCH).await?;
    if erased > 0 {
        metrics::counter!("erasures_total").increment(erased as u64);
        tracing::info!(erased, "guests were forgotten");
    }
    erasures::drop_done(&client).await?;
    Ok(())
}
