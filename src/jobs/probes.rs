//! Asks stores that callers are served without whether they are well again, so that no caller has to find out, and forgets
//! whose calls need not be counted any more.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::breaker::PROBE_EVERY;

/// Runs until `stop` turns true or its sender is gone.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut round = interval(PROBE_EVERY);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = round.tick() => {}
        }
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
