//! Money that goes back, once a person has approved it.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::{BATCH_MAX, Cashier};
use crate::crash_point;
use crate::db::DbError;
use crate::db::payments::refunds::{self, Claimed, Next};
use crate::db::replies;
use crate::payment::trace::{REVERSED, Trace, Traced, Tracing};
use crate::payment::{Door, Refund, Refunding, sandbox};

/// How long a refund is ours.
const LEASE: Duration = Duration::from_secs(60);
/// The result of one that was taken comes within this, or is asked for.
const RESULT_MAX: Duration = Duration::from_secs(300);
/// Before one that was not sent is sent again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Between two questions about one in doubt.
const ASK_AFTER_SECONDS: [u64; 6] = [30, 60, 120, 300, 900, 3600];
/// After so many questions a person has to look.
const ASKED_MAX: i32 = 6;

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
                Refunding::Accepted { provider_id } => Next::Sent {
                    provider_id,
                    ask_after: RESULT_MAX,
                },
                Refunding::RetryLater { reason } => Next::Again {
                    after: AGAIN_AFTER,
                    reason,
                },
                Refunding::Refused { reason } => Next::Person(reason),
                // Never sent twice: its provider is asked what became of it, and then a person.
                Refunding::Unknown { reason } if self.can_ask(claimed) => Next::Ask {
                    after: ask_after(claimed.asked),
                    reason,
                },
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

    /// Whether the provider can still be asked what became of a refund.
    fn can_ask(&self, claimed: &Claimed) -> bool {
        let line = self.lines.get(claimed.provider.as_str());
        claimed.asked < ASKED_MAX
            && claimed.receipt.is_some()
            && line.is_some_and(|line| line.provider().can_trace(line.account()))
    }

    /// Asks for the payment that may have gone back: the answer comes by callback.
    async fn ask_about(&self, claimed: &Claimed) -> Refunding {
        let unknown = |reason: &str| Refunding::Unknown {
            reason: reason.to_owned(),
        };
        let line = self.lines.get(claimed.provider.as_str());
        let asked = line.zip(claimed.receipt.as_deref());
        let Some((line, receipt)) = asked.filter(|_| self.can_ask(claimed)) else {
            return unknown("nobody knows whether it was sent");
        };
        let secret = claimed.refund_id.simple().to_string();
        let url = |door| {
            self.url(&claimed.provider, door, &secret)
                .unwrap_or_default()
        };
        let tracing = line
            .trace(&Trace {
                receipt,
                result_url: &url(Door::Trace),
                late_url: &url(Door::TraceLate),
            })
            .await;
        match tracing {
            Tracing::Asked => unknown("asked"),
            Tracing::Unasked { reason } => unknown(&reason),
        }
    }

    /// Hears what became of the payment that a refund in doubt is of. `None`: no refund of ours is.
    pub(super) async fn refund_traced(
        &self,
        client: &impl GenericClient,
        secret: &str,
        traced: &Traced,
    ) -> Result<Option<&'static str>, DbError> {
        let Ok(refund) = Uuid::parse_str(secret) else {
            return Ok(None);
        };
        if refunds::find_heard(client, Some(refund), "").await? != Some(refund) {
            return Ok(None);
        }
        Ok(Some(match traced {
            Traced::Nothing { reason } if reason == REVERSED => {
                refunds::end(client, refund, None, "provider").await?;
                "refunded"
            }
            Traced::Moved(_) | Traced::Nothing { .. } | Traced::Unknown { .. } => "heard",
        }))
    }

    async fn send_refund(&self, claimed: &Claimed) -> Refunding {
        let refused = |reason: &str| Refunding::Refused {
            reason: reason.to_owned(),
        };
        if claimed.provider == sandbox::NAME {
            return Refunding::Done { receipt: None };
        }
        if claimed.doubtful {
            return self.ask_about(claimed).await;
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

fn ask_after(asked: i32) -> Duration {
    let nth = usize::try_from(asked).unwrap_or_default();
    Duration::from_secs(ASK_AFTER_SECONDS[nth.min(ASK_AFTER_SECONDS.len() - 1)])
}
