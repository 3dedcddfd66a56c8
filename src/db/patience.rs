//! How long a caller on the phone waits for the database, and when it is not asked at all.

use std::time::Duration;

use deadpool_postgres::{Pool, PoolError, TimeoutType};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use super::DbError;
use crate::breaker::Breaker;

/// The longest that anything asked in one call may take, second tries included.
pub const ASK_MAX: Duration = Duration::from_millis(2_500);
/// What can be done without is waited for no longer than this.
pub const EXTRA_MAX: Duration = Duration::from_secs(1);
/// How long a probe may take.
const PROBE_MAX: Duration = Duration::from_millis(500);

/// Asks the database, if it answers these days, for `limit` at most.
///
/// # Errors
/// What `ask` failed with; [`DbError::Busy`] when it was not asked, [`DbError::Unreachable`] when it took too long: then
/// what was written, if anything, is unknown.
pub async fn within<T>(
    breaker: &Breaker,
    limit: Duration,
    ask: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    breaker
        .admit()
        .map_err(|open| DbError::Busy(Box::new(open)))?;
    let asked = timeout(limit, ask)
        .await
        .unwrap_or_else(|late| Err(DbError::Unreachable(Box::new(late))));
    match &asked {
        Err(error) if error.is_outage() => breaker.failed(),
        _ => breaker.succeeded(),
    }
    asked
}

/// Whether the database answers on a new connection. Those that wait for an answer that never came are given up.
pub async fn probe(pool: &Pool) -> bool {
    pool.retain(|_, _| false);
    let asked = timeout(PROBE_MAX, async {
        let client = pool.get().await.ok()?;
        client.simple_query("select 1").await.ok()
    });
    matches!(asked.await, Ok(Some(_)))
}

impl DbError {
    /// Whether it tells of the database and not of what it was asked: a lock that somebody holds, a conflict, or more
    /// callers than connections do not.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            DbError::Unreachable(_) => true,
            DbError::Conflict(_) | DbError::Refused(_) => false,
            DbError::Busy(source) => {
                if let Some(error) = source.downcast_ref::<tokio_postgres::Error>() {
                    return error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE);
                }
                !matches!(
                    source.downcast_ref(),
                    Some(PoolError::Timeout(TimeoutType::Wait))
                )
            }
        }
    }
}
