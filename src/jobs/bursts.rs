//! Alarms when many numbers alike hold one property and none of them pays.

use std::collections::HashSet;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;
use uuid::Uuid;

use super::rounds::Rounds;
use crate::db::DbError;
use crate::db::bursts::{self, Burst};

/// How often unpaid holds are looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// How far back.
const WINDOW: Duration = Duration::from_secs(600);
/// So many numbers are no coincidence: a family has fewer, and a party books by one of them.
const NUMBERS_MIN: i64 = 8;

/// Runs until `stop` turns true or its sender is gone. A burst is told once while it lasts.
pub async fn run(pool: Pool, stop: watch::Receiver<bool>) {
    let mut told = HashSet::new();
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        match look(&pool).await {
            Ok(bursts) => told = alarm(&bursts, &told),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "unpaid holds were not looked at"
            ),
        }
    }
}

async fn look(pool: &Pool) -> Result<Vec<Burst>, DbError> {
    bursts::list(&pool.get().await?, WINDOW, NUMBERS_MIN).await
}

/// Those that are told now.
fn alarm(bursts: &[Burst], told: &HashSet<(Uuid, String)>) -> HashSet<(Uuid, String)> {
    metrics::gauge!("unpaid_hold_bursts").set(bursts.len() as f64);
    let key = |burst: &Burst| (burst.property_id, burst.prefix.clone());
    for burst in bursts.iter().filter(|burst| !told.contains(&key(burst))) {
        metrics::counter!("unpaid_hold_bursts_total").increment(1);
        tracing::error!(
            property.id = %burst.property_id,
            prefix = burst.prefix,
            numbers = burst.numbers,
            "many numbers alike hold one property and none has paid"
        );
    }
    bursts.iter().map(key).collect()
}
