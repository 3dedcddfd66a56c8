//! Sums up what was measured, also where nobody asks for it: every single measurement is kept until then.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use super::rounds::Rounds;

const EVERY: Duration = Duration::from_secs(5);

/// Runs until `stop` turns true or its sender is gone.
pub async fn run(measured: PrometheusHandle, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(EVERY, stop);
    while rounds.next().await {
        measured.run_upkeep();
    }
}
