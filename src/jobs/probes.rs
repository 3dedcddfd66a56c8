//! Asks stores that callers are served without whether they are well again, so that no caller has to find out, and forgets
//! whose calls need not be counted any more.

use std::sync::Arc;

use tokio::sync::watch;

use super::rounds::Rounds;
use crate::app::App;
use crate::breaker::PROBE_EVERY;

/// Runs until `stop` turns true or its sender is gone.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(PROBE_EVERY, stop);
    while rounds.next().await {
        let redis = async {
            if app.store.breaker().is_open() {
                app.store.breaker().probed(app.store.is_up().await);
            }
        };
        let postgres = async {
            if app.postgres.is_open() {
                app.postgres
                    .probed(app.books.is_up().await.unwrap_or(false));
            }
        };
        tokio::join!(redis, postgres);
        app.limits.forget_idle();
    }
}
