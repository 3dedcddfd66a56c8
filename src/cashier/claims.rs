//! Payments by hand. What tells of one is not signed, so nothing follows from it until the provider, asked for the receipt,
//! has said the same, or has listed it in its statement.

use std::time::Duration;

use super::{BATCH_MAX, Cashier, TOLD};
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::crash_point;
use crate::db::DbError;
use crate::db::payments::claims::{self, Claim, End};
use crate::db::payments::settle::{Arrival, Purpose, Settled, is_known};
use crate::payment::trace::{Movement, Trace, Traced, Tracing};
use crate::payment::{Door, Received};

/// How long a claim is ours: longer than a login, a question and its repetition.
const LEASE: Duration = Duration::from_secs(60);
/// Between two questions about a receipt; the last one repeats.
const ASK_AFTER_SECONDS: [u64; 6] = [30, 60, 120, 300, 900, 3600];
/// A provider that knows nothing of a receipt when asked so often is believed.
const ASKED_MIN: i32 = 4;
/// Where a provider cannot be asked, its statement tells.
const STATEMENT_AFTER: Duration = Duration::from_secs(15 * 60);
/// Nobody asks any longer. A statement or a person may still prove it.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

impl Cashier {
    /// Writes down that a payment by hand was told of; what is known already needs no proof.
    pub(super) async fn claim(
        &self,
        provider: &'static str,
        received: &Received,
    ) -> Result<&'static str, DbError> {
        let client = self.app.pool.get().await?;
        if is_known(&client, provider, &received.receipt).await? {
            return Ok(Settled::Again.word());
        }
        let is_new = claims::insert(&client, provider, received, self.app.clock.now()).await?;
        Ok(if is_new { "claimed" } else { "claimed_again" })
    }

    /// Asks providers for the receipts that we were told; how many those were.
    ///
    /// # Errors
    /// [`DbError`]; those under way are found again when their lease ends.
    pub async fn work_claims(&self) -> Result<usize, DbError> {
        let due = claims::claim_due(&self.app.pool.get().await?, BATCH_MAX, LEASE).await?;
        for claim in &due {
            self.ask_for(claim).await?;
        }
        Ok(due.len())
    }

    async fn ask_for(&self, claim: &Claim) -> Result<(), DbError> {
        if claim.age >= AGE_MAX {
            return self.end(claim, End::Unanswered, None).await;
        }
        let line = self.lines.get(claim.provider.as_str());
        let line = line.filter(|line| line.provider().can_trace(line.account()));
        let Some(line) = line else {
            let client = self.app.pool.get().await?;
            let why = Some("waits for the statement");
            return claims::rest(&client, claim, STATEMENT_AFTER, false, why).await;
        };
        let url = |door| {
            self.url(&claim.provider, door, &claim.secret)
                .unwrap_or_default()
        };
        let tracing = line
            .trace(&Trace {
                receipt: &claim.receipt,
                result_url: &url(Door::Trace),
                late_url: &url(Door::TraceLate),
            })
            .await;
        crash_point!("claim:asked");
        let reason = match &tracing {
            Tracing::Asked => None,
            Tracing::Unasked { reason } => {
                tracing::warn!(
                    provider = claim.provider,
                    reason,
                    "a payment by hand could not be asked for"
                );
                Some(reason.as_str())
            }
        };
        let client = self.app.pool.get().await?;
        let asked = tracing == Tracing::Asked;
        claims::rest(&client, claim, ask_after(claim.asked), asked, reason).await
    }

    /// Hears what a provider says of the receipt that the claim with this secret names.
    pub(super) async fn traced(
        &self,
        provider: &'static str,
        secret: &str,
        traced: &Traced,
    ) -> Result<&'static str, DbError> {
        let client = self.app.pool.get().await?;
        let Some(claim) = claims::find(&client, provider, secret).await? else {
            if let Some(heard) = self.refund_traced(&client, secret, traced).await? {
                return Ok(heard);
            }
            tracing::error!(
                provider,
                "a provider tells of a receipt that nobody asked for"
            );
            return Ok("no_claim");
        };
        match traced {
            Traced::Moved(movement) => {
                drop(client);
                return self.judge(provider, &claim, movement).await;
            }
            Traced::Nothing { reason } if claim.asked >= ASKED_MIN => {
                drop(client);
                self.end(&claim, End::Forged, Some(reason)).await?;
            }
            Traced::Nothing { reason } | Traced::Unknown { reason } => {
                claims::note(&client, claim.claim_id, reason).await?;
            }
        }
        Ok("heard")
    }

    async fn judge(
        &self,
        provider: &'static str,
        claim: &Claim,
        movement: &Movement,
    ) -> Result<&'static str, DbError> {
        let account = self.account(provider);
        let is_ours = ["short_code", "till"]
            .iter()
            .any(|name| account.find(name) == Some(&movement.payee));
        if !is_ours || movement.receipt != claim.receipt {
            self.end(claim, End::Another, Some("another payee or receipt"))
                .await?;
            return Ok(End::Another.word());
        }
        let client = self.app.pool.get().await?;
        let rivals = claims::find_rivals(&client, claim, movement.amount).await?;
        drop(client);
        if movement.amount != claim.amount {
            // What has moved is ours and is kept for a person, unless somebody tells of that very sum.
            if !rivals.other_sum {
                self.settle_claim(provider, claim, movement.amount, None)
                    .await?;
            }
            self.end(claim, End::Another, Some("another sum")).await?;
            return Ok(End::Another.word());
        }
        let code = Code::parse(&claim.reference).ok();
        let code = code.as_ref().filter(|_| !rivals.same_sum);
        let settled = self
            .settle_claim(provider, claim, movement.amount, code)
            .await?;
        crash_point!("claim:settled");
        self.end(claim, End::Proven, None).await?;
        Ok(settled.word())
    }

    async fn settle_claim(
        &self,
        provider: &'static str,
        claim: &Claim,
        amount: Money,
        code: Option<&Code>,
    ) -> Result<Settled, DbError> {
        self.settle(&Arrival {
            provider,
            receipt: Some(&claim.receipt),
            purpose: Purpose::Reference {
                typed: &claim.reference,
                code,
            },
            amount,
            paid_at: claim.paid_at,
            cause: TOLD,
        })
        .await
    }

    async fn end(&self, claim: &Claim, how: End, reason: Option<&str>) -> Result<(), DbError> {
        let client = self.app.pool.get().await?;
        if !claims::end(&client, claim.claim_id, how, reason).await? {
            return Ok(());
        }
        metrics::counter!("payment_claims_total", "provider" => claim.provider.clone(), "outcome" => how.word())
            .increment(1);
        let why = match how {
            End::Proven => return Ok(()),
            End::Another => "the provider knows another sum, payee or receipt",
            End::Forged => "the provider knows nothing of it",
            End::Unanswered => "the provider did not tell for a day",
        };
        tracing::error!(
            provider = claim.provider,
            claim = %claim.claim_id,
            why,
            "a payment by hand that we were told of is not believed: reserveflow payments claims"
        );
        Ok(())
    }
}

fn ask_after(asked: i32) -> Duration {
    let nth = usize::try_from(asked).unwrap_or_default();
    Duration::from_secs(ASK_AFTER_SECONDS[nth.min(ASK_AFTER_SECONDS.len() - 1)])
}
