//! The safety net: payments that a provider lists and that nobody has told us of.

use chrono::{TimeDelta, Utc};

use super::Cashier;
use crate::db::DbError;
use crate::db::payments::claims;
use crate::db::payments::settle::Settled;
use crate::payment::Span;

/// How far back a provider is asked. Daraja tells of the last 48 h.
const LOOK_BACK: TimeDelta = TimeDelta::hours(47);

impl Cashier {
    /// Asks every provider that lists its payments and settles those that are new; how many those were.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn pull_statements(&self) -> Result<usize, DbError> {
        let to = Utc::now();
        let span = Span {
            from: to - LOOK_BACK,
            to,
        };
        let mut new = 0;
        for (name, line) in &self.lines {
            if line
                .provider()
                .encode_statement(line.account(), &span, 0)
                .is_none()
            {
                continue;
            }
            match line.statement(&span).await {
                Ok(payments) => {
                    for received in &payments {
                        let settled = self.settle_by_hand(name, received).await?;
                        new += usize::from(settled != Settled::Again);
                    }
                }
                Err(reason) => {
                    tracing::warn!(provider = name, reason, "payments could not be listed");
                }
            }
        }
        claims::prove_settled(&self.app.pool.get().await?).await?;
        Ok(new)
    }
}
