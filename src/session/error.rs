//! What keeps a call from a reply of its own.

use crate::db::DbError;

/// Why a call has no reply of its own.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Postgres, before anything was written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Postgres broke off while something was being written: a repetition of the call finds out.
    #[error("the outcome is unknown")]
    Unknown(#[source] DbError),
    /// Neither store answers: nothing can be begun.
    #[error("neither Redis nor Postgres answers")]
    Down,
    /// The session has ended or never was.
    #[error("the session is over")]
    Over,
    /// The session goes on already, and its protocol lets it begin once only.
    #[error("the session goes on already")]
    Known,
    /// It would do more than look, and has no claim.
    #[error("the turn is not claimed")]
    Unclaimed,
    /// Another call of the session, which may book, did not finish.
    #[error("an earlier call is still running")]
    Running,
}
