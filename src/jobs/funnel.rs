//! Writes down how far callers came, and forgets it after a while.

use std::time::Duration;

use chrono::Days;
use tokio::sync::watch;

use super::rounds::Rounds;
use crate::app::App;
use crate::db::DbError;
use crate::db::funnel::{add, forget};

/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(60);
/// Rows written in one statement.
const TOGETHER_MAX: usize = 1_000;
/// How long a day is kept.
pub const KEPT_DAYS: u64 = 90;

/// Runs until `stop` turns true or its sender is gone, then writes what is left. A failure is logged; what was not written
/// counts on.
pub async fn run(app: std::sync::Arc<App>, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        write(&app).await;
    }
    write(&app).await;
}

async fn write(app: &App) {
    if let Err(error) = flush(app).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "how far callers came is not written yet");
    }
}

/// Writes what this instance has counted up to now.
///
/// # Errors
/// [`DbError`]
pub async fn flush(app: &App) -> Result<(), DbError> {
    let client = app.pool.get().await?;
    let today = app.local_time(app.config.home()).today;
    let mut drained = app.funnel.drain();
    loop {
        let rows = drained.next(TOGETHER_MAX);
        if rows.is_empty() {
            break;
        }
        add(&client, today, &rows).await?;
        let written = rows.len();
        drained.wrote(written);
    }
    forget(&client, today - Days::new(KEPT_DAYS)).await
}
