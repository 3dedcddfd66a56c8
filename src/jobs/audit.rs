//! Every night, says what does not add up.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use chrono_tz::Tz;
use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::Clock;
use crate::db::DbError;
use crate::db::audit::audit;

/// When few people call.
const HOUR: NaiveTime = NaiveTime::from_hms_opt(3, 30, 0).expect("is a time of day");

/// Runs until `stop` turns true or its sender is gone: at half past three in this zone, every night. Each difference is
/// logged as an error; `audit_differences` counts those of the last night.
pub async fn run(pool: Pool, clock: Clock, zone: Tz, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(until_next(clock.now(), zone)) => {}
        }
        match look(&pool, clock.now()).await {
            Ok(differences) => tracing::info!(differences, "the nightly audit is done"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the nightly audit was not done"
            ),
        }
    }
}

/// Says each difference and how many there are.
///
/// # Errors
/// [`DbError`].
pub async fn look(pool: &Pool, at: DateTime<Utc>) -> Result<usize, DbError> {
    let differences = audit(&mut pool.get().await?, at).await?;
    for difference in &differences {
        tracing::error!(
            rule = difference.rule,
            what = difference.what,
            "does not add up"
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "there are never so many")]
    metrics::gauge!("audit_differences").set(differences.len() as f64);
    Ok(differences.len())
}

/// How long until the next audit. Where clocks jump over the hour, the first moment after.
fn until_next(now: DateTime<Utc>, zone: Tz) -> Duration {
    let today = now.with_timezone(&zone).date_naive();
    let next = (0..3)
        .filter_map(|days| {
            let local = (today + Days::new(days)).and_time(HOUR);
            (local.and_local_timezone(zone).earliest()).or_else(|| {
                (local + chrono::TimeDelta::hours(1))
                    .and_local_timezone(zone)
                    .earliest()
            })
        })
        .map(|next| next.to_utc())
        .find(|next| *next > now);
    next.and_then(|next| (next - now).to_std().ok())
        .unwrap_or(Duration::from_secs(24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_once_a_night_also_when_clocks_are_put_forward() {
        for (zone, now, minutes) in [
            (chrono_tz::Africa::Nairobi, "2026-11-25T00:29:00Z", 1),
            (chrono_tz::Africa::Nairobi, "2026-11-25T00:30:00Z", 24 * 60),
            // A night of 23 hours, and one of 25.
            (chrono_tz::Europe::Berlin, "2027-03-27T02:30:00Z", 23 * 60),
            (chrono_tz::Europe::Berlin, "2027-10-30T01:30:00Z", 25 * 60),
        ] {
            let now: DateTime<Utc> = now.parse().expect("is a moment");
            assert_eq!(
                until_next(now, zone),
                Duration::from_secs(minutes * 60),
                "{zone} {now}"
            );
        }
    }
}
