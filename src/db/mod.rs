//! All SQL, one file per table or transaction. Functions borrow a connection; where they need a transaction of their
//! own they say so by taking the connection mutably. Each is one round trip unless it says otherwise.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, PoolError, TimeoutType, Transaction};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::booking::money::Currency;
use crate::phone::Msisdn;

pub mod api_keys;
pub mod archive;
pub mod audit;
pub mod bursts;
pub mod call_backs;
pub mod catalogue;
pub mod change;
pub mod consents;
mod doubt;
pub mod effect;
pub mod erasures;
pub mod funnel;
pub mod guests;
pub mod holds;
pub mod host_pins;
pub mod host_wishes;
pub mod hosts;
pub mod inventory;
pub mod lane;
pub mod life;
pub mod menu_versions;
pub mod migrate;
pub mod nights;
pub mod operations;
pub mod outbox;
pub mod partitions;
pub mod patience;
pub mod payments;
pub mod places;
pub mod pool;
pub mod properties;
pub mod reminders;
pub mod replies;
pub mod reservations;
pub mod reserve;
pub mod search;
pub mod session_ends;
pub mod sms_sessions;
pub mod sms_spend;
mod unnamed;
pub mod waitlist;

/// What a statement can fail with, told apart by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No answer in time, a lock that others hold, no connection: nothing was written; the guest is told "busy".
    #[error("the database is busy")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// Two transactions were in each other's way and this one was undone: the same call may be made again.
    #[error("a conflict with another transaction")]
    Conflict(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke while a statement ran: the outcome is unknown; the turn key decides on a retry.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// A statement, a constraint or a row is not as this program expects: a defect of ours.
    #[error("the database refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl DbError {
    /// Whether more callers than connections were there: it passes within moments.
    pub fn is_crowded(&self) -> bool {
        let DbError::Busy(source) = self else {
            return false;
        };
        if let Some(Shared(error)) = source.downcast_ref() {
            return error.is_crowded();
        }
        matches!(
            source.downcast_ref(),
            Some(PoolError::Timeout(TimeoutType::Wait))
        )
    }

    /// The error of a statement that several have waited for, for one of them.
    pub fn share(error: &Arc<DbError>) -> DbError {
        let shared = Box::new(Shared(error.clone()));
        match **error {
            DbError::Busy(_) => DbError::Busy(shared),
            DbError::Conflict(_) => DbError::Conflict(shared),
            DbError::Unreachable(_) => DbError::Unreachable(shared),
            DbError::Refused(_) => DbError::Refused(shared),
        }
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> DbError {
        let told_apart = tell_apart(error);
        if matches!(told_apart, DbError::Unreachable(_)) {
            doubt::arise();
        }
        told_apart
    }
}

/// By SQLSTATE. Source of the codes: `PostgreSQL` documentation, appendix A.
fn tell_apart(error: tokio_postgres::Error) -> DbError {
    let Some(code) = error.code() else {
        let broken = error.is_closed()
            || error
                .source()
                .is_some_and(|source| source.is::<std::io::Error>());
        return if broken {
            DbError::Unreachable(error.into())
        } else {
            DbError::Refused(error.into())
        };
    };
    if [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::TOO_MANY_CONNECTIONS,
    ]
    .contains(code)
    {
        DbError::Busy(error.into())
    } else if [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
    {
        DbError::Conflict(error.into())
    } else if error.is_closed()
        || ["08", "57P0", "25P0"]
            .iter()
            .any(|class| code.code().starts_with(class))
    {
        DbError::Unreachable(error.into())
    } else {
        DbError::Refused(error.into())
    }
}

impl From<PoolError> for DbError {
    /// Without a connection nothing was written, so what would be an unknown outcome is "busy" here.
    fn from(error: PoolError) -> DbError {
        match error {
            PoolError::Timeout(_) => DbError::Busy(error.into()),
            PoolError::Backend(error) => match DbError::from(error) {
                DbError::Unreachable(source) | DbError::Conflict(source) => DbError::Busy(source),
                other => other,
            },
            other => DbError::Refused(other.into()),
        }
    }
}

/// Begins a transaction for work that may take up to `limit` a statement, which the pool's limits for a guest's turn
/// would cut off. Two round trips.
async fn begin_unhurried(client: &mut Client, limit: Duration) -> Result<Transaction<'_>, DbError> {
    let transaction = client.transaction().await?;
    let limit_ms = limit.as_millis();
    transaction
        .batch_execute(&format!(
            "set local statement_timeout = {limit_ms}; set local lock_timeout = {limit_ms}; \
             set local idle_in_transaction_session_timeout = {limit_ms}"
        ))
        .await?;
    Ok(transaction)
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<DbError>);

/// A column holds a word that this program does not know.
#[derive(Debug, thiserror::Error)]
#[error("column {0} holds an unknown value")]
struct UnknownValue(&'static str);

fn unknown(column: &'static str) -> DbError {
    DbError::Refused(UnknownValue(column).into())
}

fn read_msisdn(row: &Row, column: &'static str) -> Result<Msisdn, DbError> {
    Msisdn::parse(row.try_get(column)?).map_err(|_| unknown(column))
}

fn read_currency(row: &Row) -> Result<Currency, DbError> {
    Currency::find(row.try_get("currency")?).ok_or_else(|| unknown("currency"))
}
