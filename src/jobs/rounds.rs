//! When a job has its turns.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The rounds of one job, the first at once. A round that took long is not made up for.
pub(super) struct Rounds {
    ticks: Interval,
    stop: watch::Receiver<bool>,
}

impl Rounds {
    /// One every `pause`, until `stop` turns true or its sender is gone.
    pub(super) fn every(pause: Duration, stop: watch::Receiver<bool>) -> Rounds {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Rounds { ticks, stop }
    }

    /// Waits for the next one; `false`: the job is to end.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => false,
            _ = self.ticks.tick() => true,
        }
    }

    /// Waits for the end, for what would keep a round long.
    pub(super) async fn stopped(&mut self) {
        // An error: its sender is gone.
        self.stop.wait_for(|stop| *stop).await.ok();
    }
}
