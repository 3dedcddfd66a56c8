//! What providers post: kept first, acknowledged then, understood and applied afterwards, also by another process after a
//! crash. Nothing in it is believed by itself: the provider is asked.

use super::{BATCH_MAX, Cashier, TOLD};
use crate::booking::code::Code;
use crate::crash_point;
use crate::db::DbError;
use crate::db::payments::callbacks::{self, Kept};
use crate::db::payments::settle::{Arrival, Purpose, Settled, find_payable, name_by_callback};
use crate::db::payments::{attempts, refunds};
use crate::payment::{
    self, BadCallback, Callback, Door, Fate, Notice, Received, Refunding, Rejection,
};
use crate::sms::Account;
use crate::ussd::Inbound;
use uuid::Uuid;

/// A callback that has proven where it comes from.
pub struct Posted<'a> {
    /// Who posted it.
    pub provider: &'static dyn payment::Provider,
    /// Where.
    pub door: Door,
    /// What in the URL names the matter.
    pub secret: &'a str,
    /// As it came.
    pub body: &'a [u8],
}

impl Cashier {
    /// Keeps a callback and lets the next round apply it.
    ///
    /// # Errors
    /// [`DbError`]: it is not kept and must not be acknowledged.
    pub async fn keep(&self, posted: &Posted<'_>) -> Result<(), DbError> {
        callbacks::insert(
            &self.app.pool.get().await?,
            posted.provider.name(),
            posted.door.segment(),
            posted.secret,
            posted.body,
        )
        .await?;
        crash_point!("callback:kept");
        self.hint.notify_one();
        Ok(())
    }

    /// Whether a payment by hand may come.
    ///
    /// # Errors
    /// [`DbError`]: it cannot be said.
    pub async fn validate(&self, posted: &Posted<'_>) -> Result<Result<(), Rejection>, DbError> {
        let Ok(Notice::Received(received)) = self.decode(posted.provider, posted.door, posted.body)
        else {
            return Ok(Err(Rejection::Other));
        };
        if !self.is_ours(posted.provider.name(), &received) {
            return Ok(Err(Rejection::ShortCode));
        }
        let Ok(code) = Code::parse(&received.reference) else {
            return Ok(Err(Rejection::Reference));
        };
        let purpose = Purpose::Reference {
            typed: &received.reference,
            code: Some(&code),
        };
        let payable = find_payable(&self.app.pool.get().await?, purpose).await?;
        Ok(match payable {
            None => Err(Rejection::Reference),
            Some(payable) if payable.reservation.total.currency != received.amount.currency => {
                Err(Rejection::Other)
            }
            Some(payable) if payable.reservation.left().minor == 0 => Err(Rejection::Amount),
            Some(_) => Ok(()),
        })
    }

    /// Applies callbacks that are kept; how many those were.
    ///
    /// # Errors
    /// [`DbError`]; the rest waits for the next round.
    pub async fn apply_callbacks(&self) -> Result<usize, DbError> {
        let waiting = callbacks::list_waiting(&self.app.pool.get().await?, BATCH_MAX).await?;
        for kept in &waiting {
            let outcome = match self.apply(kept).await {
                // Those behind it do not wait for it.
                Err(DbError::Refused(error)) => {
                    tracing::error!(callback = kept.callback_id, %error, "a payment callback was refused");
                    "refused"
                }
                outcome => outcome?,
            };
            crash_point!("callback:applied");
            metrics::counter!("payment_callbacks_total", "provider" => kept.provider.clone(), "outcome" => outcome)
                .increment(1);
            let client = self.app.pool.get().await?;
            callbacks::applied(&client, kept.callback_id, outcome).await?;
        }
        Ok(waiting.len())
    }

    async fn apply(&self, kept: &Kept) -> Result<&'static str, DbError> {
        let found = payment::find(&kept.provider).zip(Door::find(&kept.door));
        let Some((provider, door)) = found else {
            return Ok("unspoken");
        };
        let notice = match self.decode(provider, door, &kept.body) {
            Ok(notice) => notice,
            Err(bad) => {
                tracing::warn!(provider = kept.provider, door = kept.door, why = %bad, "a payment callback was not understood");
                return Ok("not_understood");
            }
        };
        match notice {
            Notice::Prompt { provider_id, fate } => self.hear(kept, &provider_id, &fate).await,
            Notice::Received(received) => self.receive(provider.name(), &received).await,
            Notice::Traced(traced) => self.traced(provider.name(), &kept.secret, &traced).await,
            Notice::Refund {
                provider_id,
                outcome,
            } => self.refunded(kept, &provider_id, outcome).await,
        }
    }

    async fn hear(
        &self,
        kept: &Kept,
        provider_id: &str,
        fate: &Fate,
    ) -> Result<&'static str, DbError> {
        let paid = match fate {
            Fate::Paid(paid) => Some(paid),
            _ => None,
        };
        let client = self.app.pool.get().await?;
        let heard =
            attempts::hear(&client, &kept.provider, &kept.secret, provider_id, paid).await?;
        let Some(attempt) = heard else {
            tracing::error!(
                provider = kept.provider,
                callback = kept.callback_id,
                "a payment callback fits no prompt of ours"
            );
            return Ok("no_attempt");
        };
        name_by_callback(&client, attempt).await?;
        Ok("heard")
    }

    async fn receive(
        &self,
        provider: &'static str,
        received: &Received,
    ) -> Result<&'static str, DbError> {
        if !self.is_ours(provider, received) {
            tracing::error!(
                provider,
                "a payment callback names another short code than ours"
            );
            return Ok("short_code");
        }
        self.claim(provider, received).await
    }

    /// A payment by hand that its provider lists; the code that was typed says what it is for.
    pub(super) async fn settle_by_hand(
        &self,
        provider: &'static str,
        received: &Received,
    ) -> Result<Settled, DbError> {
        let code = Code::parse(&received.reference).ok();
        self.settle(&Arrival {
            provider,
            receipt: Some(&received.receipt),
            purpose: Purpose::Reference {
                typed: &received.reference,
                code: code.as_ref(),
            },
            amount: received.amount,
            paid_at: received.at.unwrap_or_else(|| self.app.clock.now()),
            cause: TOLD,
        })
        .await
    }

    async fn refunded(
        &self,
        kept: &Kept,
        provider_id: &str,
        outcome: Refunding,
    ) -> Result<&'static str, DbError> {
        let client = self.app.pool.get().await?;
        let own = Uuid::parse_str(&kept.secret).ok();
        let Some(refund) = refunds::find_heard(&client, own, provider_id).await? else {
            tracing::error!("the result of a refund fits none of ours");
            return Ok("no_refund");
        };
        match outcome {
            Refunding::Done { receipt } => {
                refunds::end(&client, refund, receipt.as_deref(), "provider").await?;
                Ok("refunded")
            }
            Refunding::Refused { reason } => {
                tracing::error!(%refund, reason, "a refund did not go through");
                refunds::refuse(&client, refund, &reason).await?;
                Ok("refund_refused")
            }
            Refunding::Unknown { reason } => {
                refunds::doubt(&client, refund, &reason).await?;
                Ok("refund_in_doubt")
            }
            Refunding::Accepted { .. } | Refunding::RetryLater { .. } => Ok("heard"),
        }
    }

    fn is_ours(&self, provider: &str, received: &Received) -> bool {
        self.account(provider).find("short_code") == Some(&received.short_code)
    }

    pub(super) fn account(&self, provider: &str) -> Account {
        let account = self.app.config.payments.providers.get(provider);
        account.cloned().unwrap_or_default()
    }

    fn decode(
        &self,
        provider: &dyn payment::Provider,
        door: Door,
        body: &[u8],
    ) -> Result<Notice, BadCallback> {
        let callback = Callback {
            door,
            request: Inbound {
                method: "POST",
                path: "",
                query: "",
                headers: &[],
                body,
            },
        };
        provider.decode(&self.account(provider.name()), &callback)
    }
}
