//! Money that goes back, once a person has approved it.

use std::time::Duration;

use super::{BATCH_MAX, Cashier};
use crate::crash_point;
use crate::db::DbError;
use crate::db::payments::refunds::{self, Claimed, Next};
use crate::db::replies;
use crate::payment::{Door, Refund, Refunding, sandbox};

/// How long a refund is ours.
const LEASE: Duration = Duration::from_secs(60);

impl Cashier {
    /// Sends every refund that is approved; how many those were.
    ///
    /// # Errors
    /// [`DbError`]; one that was under way is in doubt then, and a person has to look.
    pub async fn send_refunds(&self) -> Result<usize, DbError> {
        let due = refunds::claim_due(&self.app.pool.get().await?, BATCH_MAX, LEASE).await?;
        for claimed in &due {
            crash_point!("refund:claimed");
            let refunding = self.send_refund(claimed).await;
            crash_point!("refund:answered");
            let client = self.app.pool.get().await?;
            let next = match refunding {
                Refunding::Done { receipt } => {
                    refunds::end(&client, claimed.refund_id, receipt.as_deref(), "provider")
                        .await?;
                    continue;
                }
                Refunding::Accepted { provider_id } => Next::Sent(provider_id),
                Refunding::Refused { reason } => Next::Person(reason),
                // Never sent twice: what became of it is looked up by a person.
                Refunding::Unknown { reason } => Next::Person(format!("unknown: {reason}")),
            };
            if let Next::Person(reason) = &next {
                tracing::error!(refund = %claimed.refund_id, reason, "a refund needs a person");
            }
            refunds::complete(&client, claimed, &next).await?;
            crash_point!("refund:stored");
        }
        Ok(due.len())
    }

    /// Tells guests of money that is to go back because their hold ran out, and of money that went back, by whomever; how
    /// much that was.
    ///
    /// # Errors
    /// [`DbError`]; the rest waits for the next round.
    pub async fn tell_refunds(&self) -> Result<usize, DbError> {
        let client = self.app.pool.get().await?;
        let due = refunds::list_due_untold(&client, BATCH_MAX).await?;
        for refund_id in &due {
            if let Some((turn, draft)) = self.refund_due_told(&client, *refund_id).await? {
                replies::insert_reply(&client, &turn, &draft).await?;
                self.app.outbox.notify_one();
            }
            refunds::due_told(&client, *refund_id).await?;
        }
        let untold = refunds::list_untold(&client, BATCH_MAX).await?;
        for refund_id in &untold {
            if let Some((turn, draft)) = self.refund_told(&client, *refund_id).await? {
                replies::insert_reply(&client, &turn, &draft).await?;
                self.app.outbox.notify_one();
            }
            crash_point!("refund:told");
            refunds::told(&client, *refund_id).await?;
        }
        Ok(due.len() + untold.len())
    }

    async fn send_refund(&self, claimed: &Claimed) -> Refunding {
        let refused = |reason: &str| Refunding::Refused {
            reason: reason.to_owned(),
        };
        if claimed.provider == sandbox::NAME {
            return Refunding::Done { receipt: None };
        }
        if claimed.doubtful {
            return Refunding::Unknown {
                reason: "the process ended".to_owned(),
            };
        }
        let Some(receipt) = claimed.receipt.as_deref() else {
            return refused("no_receipt");
        };
        let Some(line) = self.lines.get(claimed.provider.as_str()) else {
            return refused("not_configured");
        };
        if !line.provider().can_refund(line.account()) {
            return refused("by_hand");
        }
        // Its result may come before the answer that tells the provider's id is stored.
        let secret = claimed.refund_id.simple().to_string();
        let url = |door| {
            self.url(&claimed.provider, door, &secret)
                .unwrap_or_default()
        };
        line.refund(&Refund {
            key: claimed.refund_id,
            receipt,
            amount: claimed.amount,
            paid: claimed.paid,
            result_url: &url(Door::Refund),
            late_url: &url(Door::RefundLate),
        })
        .await
    }
}
