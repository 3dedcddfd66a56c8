//! The upkeep of the API: numbers what has changed where nobody asks for it, forgets old numbers and idle callers.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;

use super::rounds::Rounds;
use crate::api::Api;
use crate::db::DbError;
use crate::db::catalogue::{CHANGES_KEPT, number_changes, prune_changes};
use crate::db::operations;

/// How often changes are numbered, so that they do not pile up.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many of these rounds there are from one forgetting to the next: an hour.
const PRUNE_EVERY: u32 = 360;

/// How long the answer to an operation is kept.
pub const OPERATIONS_KEPT: TimeDelta = TimeDelta::hours(24);
const OPERATIONS_AT_ONCE: i64 = 100_000;

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(api: Arc<Api>, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    let mut count = 0;
    while rounds.next().await {
        if let Err(error) = keep(&api, count % PRUNE_EVERY == 1).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "changes of the catalogue were not numbered"
            );
        }
        count += 1;
    }
}

async fn keep(api: &Api, prune: bool) -> Result<(), DbError> {
    api.rates.forget_idle();
    let mut client = api.app.pool.get().await?;
    number_changes(&client).await?;
    if prune {
        let pruned = prune_changes(&mut client, CHANGES_KEPT).await?;
        let until = api.app.clock.now() - OPERATIONS_KEPT;
        let forgotten = operations::forget(&client, until, OPERATIONS_AT_ONCE).await?;
        tracing::debug!(
            pruned,
            forgotten,
            "old changes of the catalogue and old operations are forgotten"
        );
    }
    Ok(())
}
