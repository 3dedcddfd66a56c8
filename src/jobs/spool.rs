//! Takes what was reported while the database was away, in the order it came.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
use crate::db::DbError;
use crate::spool::{Report, Spool};
use crate::webhook;

/// How often to look whether the database is back.
const INTERVAL: Duration = Duration::from_secs(1);
/// Reports read at once.
const READ_MAX: usize = 100;

/// Runs until `stop` turns true or its sender is gone.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let Some(spool) = &app.spool else { return };
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = spool.rung.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if spool.is_empty() || app.postgres.is_open() {
            continue;
        }
        if let Err(error) = drain(&app, spool).await {
            tracing::warn!(%error, "reports still wait");
        }
    }
}

async fn drain(app: &Arc<App>, spool: &Spool) -> anyhow::Result<()> {
    while !spool.is_empty() {
        for waiting in spool.first(READ_MAX)? {
            let taken = match &waiting.report {
                Some(report) => take(app, report).await,
                None => Err(DbError::Refused("it cannot be read".into())),
            };
            match taken {
                Ok(()) => spool.remove(&waiting)?,
                Err(error @ DbError::Refused(_)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a report is set aside that was not understood");
                    spool.set_aside(&waiting)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    tracing::info!("all reports that waited are taken");
    Ok(())
}

async fn take(app: &Arc<App>, report: &Report) -> Result<(), DbError> {
    match report {
        Report::Sms { provider, events } => {
            for event in events {
                webhook::sms::take(app, provider, event).await?;
            }
            Ok(())
        }
        Report::End {
            aggregator,
            was_live,
            end,
        } => {
            webhook::ussd::keep(app, aggregator, end, *was_live).await?;
            Ok(())
        }
    }
}
