//! Every month, takes the month that is over for long enough out of the calendar and into cold storage.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::Clock;
use crate::archive::{ColdStore, archive, first_kept};

/// How often it is looked for a month to archive, and how soon again after a failure.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const RETRY: Duration = Duration::from_secs(10 * 60);

/// Runs until `stop` turns true or its sender is gone. `archive_failed` is 1 while what is due cannot be archived. Ending
/// it in the middle of a month is harmless: the next run goes on.
pub async fn run(
    pool: Pool,
    store: ColdStore,
    keep_months: u32,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let work = async {
        loop {
            let until = first_kept(clock.now().date_naive(), keep_months);
            let done = archive(&pool, &store, until).await;
            let failed = done.is_err();
            metrics::gauge!("archive_failed").set(if failed { 1.0 } else { 0.0 });
            match done {
                Ok(months) => tracing::info!(
                    months = months.map(|months| months.len()),
                    "old months are archived"
                ),
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a month was not archived"
                ),
            }
            sleep(if failed { RETRY } else { INTERVAL }).await;
        }
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}
