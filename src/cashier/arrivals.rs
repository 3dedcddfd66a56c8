//! Money that came: applied to its reservation, with the messages that tell of it.

use super::Cashier;
use crate::db::DbError;
use crate::db::payments::settle::{self, Arrival, Settled, Texts};

/// How often a reservation that moves under our hands is looked at again.
const LOOKS_MAX: u32 = 5;

impl Cashier {
    /// Writes down money that came and applies it. Calling again changes nothing.
    pub(super) async fn settle(&self, arrival: &Arrival<'_>) -> Result<Settled, DbError> {
        let mut settled = Settled::Moved;
        for _ in 0..LOOKS_MAX {
            let client = self.app.pool.get().await?;
            let seen = settle::find_payable(&client, arrival.purpose).await?;
            let texts = match &seen {
                Some(payable) => self.texts(payable, arrival),
                None => Texts::default(),
            };
            let now = self.app.clock.now();
            settled = settle::settle(&client, arrival, now, seen.as_ref(), &texts).await?;
            if settled != Settled::Moved {
                break;
            }
        }
        metrics::counter!("payments_total", "provider" => arrival.provider.to_owned(), "outcome" => settled.word())
            .increment(1);
        match settled {
            Settled::Unallocated => tracing::error!(
                provider = arrival.provider,
                "money came that belongs to no booking: reserveflow payments unallocated"
            ),
            Settled::RefundDue => tracing::warn!(
                provider = arrival.provider,
                "money came too late: reserveflow payments refunds"
            ),
            _ => {}
        }
        self.app.outbox.notify_one();
        Ok(settled)
    }
}
