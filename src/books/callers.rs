//! What is remembered of those who call: looked up for all who call at the same moment in one query.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;

use super::gather::{Gather, NoAnswer};
use super::postgres::{brief, patient};
use crate::db::DbError;
use crate::db::guests::{self, Caller};
use crate::phone::Msisdn;

/// How long a look-up may take, the wait for a connection included.
const ANSWER_MAX: Duration = Duration::from_millis(2_500);

/// Everybody who has called before.
#[derive(Default)]
pub(super) struct Callers {
    beginning: Arc<Gather<Msisdn, Caller, DbError>>,
    going_on: Arc<Gather<Msisdn, Caller, DbError>>,
}

impl Callers {
    /// For a dialogue that begins: in a rush it is turned away soon.
    pub(super) async fn find(&self, pool: &Pool, msisdn: &Msisdn) -> Result<Caller, DbError> {
        let pool = pool.clone();
        let query = move |msisdns: Vec<Msisdn>| {
            let pool = pool.clone();
            in_time(async move { guests::find_callers(&brief(&pool).await?, &msisdns).await })
        };
        let found = self.beginning.ask(msisdn.clone(), query).await;
        found.map_err(failed)
    }

    /// For a dialogue under way.
    pub(super) async fn find_again(&self, pool: &Pool, msisdn: &Msisdn) -> Result<Caller, DbError> {
        let pool = pool.clone();
        let query = move |msisdns: Vec<Msisdn>| {
            let pool = pool.clone();
            in_time(async move { guests::find_callers(&patient(&pool).await?, &msisdns).await })
        };
        let found = self.going_on.ask(msisdn.clone(), query).await;
        found.map_err(failed)
    }
}

/// A server that has fallen silent must not keep those who come after it is back.
async fn in_time(
    query: impl Future<Output = Result<Vec<Caller>, DbError>>,
) -> Result<Vec<Caller>, DbError> {
    tokio::time::timeout(ANSWER_MAX, query)
        .await
        .unwrap_or_else(|late| Err(DbError::Busy(late.into())))
}

fn failed(why: NoAnswer<DbError>) -> DbError {
    match why {
        NoAnswer::Failed(error) => DbError::share(&error),
        NoAnswer::Lost => DbError::Refused("the look-up was lost".into()),
    }
}
