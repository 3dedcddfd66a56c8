//! Sends prompts, asks what became of them, applies what providers posted, asks for payments by hand, sends refunds and tells of them, and looks whether it adds up.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::cashier::Cashier;
use crate::db::DbError;
use crate::db::payments::ledger;

/// How often to look when nobody hints at anything.
const POLL: Duration = Duration::from_millis(500);
/// Pause after the database could not be asked.
const DB_PAUSE: Duration = Duration::from_secs(1);
/// How often a provider that is away is asked whether it is back.
const PROBE_EVERY: Duration = Duration::from_secs(3);
/// How often the ledger is checked, and providers are asked which payments have come.
const CHECK_EVERY: Duration = Duration::from_secs(15 * 60);

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(cashier: Arc<Cashier>, pool: Pool, mut stop: watch::Receiver<bool>) {
    let mut check_at = Instant::now() + CHECK_EVERY;
    loop {
        let pause = match round(&cashier).await {
            Ok(0) => POLL,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "payments were not looked at");
                DB_PAUSE
            }
        };
        if Instant::now() >= check_at {
            match cashier.pull_statements().await {
                Ok(0) => {}
                Ok(new) => tracing::warn!(new, "payments came that nobody had told of"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "payments were not looked for");
                }
            }
            check(&pool).await;
            check_at = Instant::now() + CHECK_EVERY;
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = cashier.hinted() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Asks providers that are away whether they are back, until `stop` turns true or its sender is gone.
pub async fn probe(cashier: Arc<Cashier>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(PROBE_EVERY) => {}
        }
        cashier.probe().await;
    }
}

/// Everything that is due; how much that was.
///
/// # Errors
/// [`DbError`]
pub async fn round(cashier: &Cashier) -> Result<usize, DbError> {
    // What has come is applied before anybody is asked about it.
    let applied = cashier.apply_callbacks().await? + cashier.apply_given().await?;
    let worked = cashier.work_attempts().await? + cashier.work_claims().await?;
    let refunded = cashier.send_refunds().await?;
    let told = cashier.tell_refunds().await?;
    Ok(applied + worked + refunded + told)
}

async fn check(pool: &Pool) {
    let faults = async { ledger::list_faults(&mut pool.get().await?).await };
    match faults.await {
        Ok(faults) => {
            metrics::gauge!("money_faults").set(faults.len() as f64);
            for fault in faults {
                tracing::error!(
                    rule = fault.rule,
                    what = fault.what,
                    "the money does not add up"
                );
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the money was not checked");
        }
    }
}
