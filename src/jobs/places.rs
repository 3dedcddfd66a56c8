//! Keeps the places in memory those of the database: another instance or an import may have changed them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;

/// How long a new place may be unknown to a running service.
const INTERVAL: Duration = Duration::from_secs(30);

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the places known before stay.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Err(error) = app.load_places().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the places were not read again"
            );
        }
    }
}
