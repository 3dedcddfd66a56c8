//! Ends holds that ran out.

use std::time::Duration;

use tokio::sync::watch;

use super::rounds::Rounds;
use crate::books::Books;
use crate::db::DbError;

/// How often holds are looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// Holds ended in one transaction.
const BATCH_MAX: i32 = 50;

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(books: Books, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        match expire_all(&books).await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(expired, "holds ran out"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "holds were not looked at"
            ),
        }
    }
}

/// Ends every hold whose time is over and returns how many.
///
/// # Errors
/// [`DbError`]; batches before the failing one stay done.
pub async fn expire_all(books: &Books) -> Result<u64, DbError> {
    let mut total = 0;
    loop {
        let expired = books.expire_holds(BATCH_MAX).await?;
        total += expired;
        if expired < u64::from(BATCH_MAX.unsigned_abs()) {
            return Ok(total);
        }
    }
}
