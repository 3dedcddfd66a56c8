//! Connections that may be lost and not know it yet. Whether one is closed is known for nothing, and mostly enough; but an
//! error can come back before the end of its connection is noticed, and others may have gone with it. So after an outcome
//! of [`DbError::Unreachable`](super::DbError) each connection is asked once before it is given to anybody.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{Hook, HookError};

/// When a connection of this process failed last.
static FAILED_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// Puts every connection that is open now in doubt.
pub(super) fn arise() {
    *FAILED_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

fn is_in_doubt(handed_out: Instant) -> bool {
    let failed_at = *FAILED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    failed_at.is_some_and(|failed_at| handed_out <= failed_at)
}

/// What a pool does before it gives a connection to somebody else: one that is in doubt has to answer within `patience`.
pub(super) fn hook(patience: Duration) -> Hook {
    Hook::async_fn(move |client, metrics| {
        let in_doubt = is_in_doubt(metrics.recycled.unwrap_or(metrics.created));
        Box::pin(async move {
            if !in_doubt {
                return Ok(());
            }
            match tokio::time::timeout(patience, client.simple_query("")).await {
                Ok(answer) => answer.map(|_| ()).map_err(HookError::Backend),
                Err(_) => Err(HookError::message("a connection does not answer")),
            }
        })
    })
}
