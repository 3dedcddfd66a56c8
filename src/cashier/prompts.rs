//! One attempt after the other: send the prompt, then ask until it is known what became of it.

use std::time::Duration;

use chrono::Utc;
use futures_util::future::join_all;

use super::{BATCH_MAX, Cashier, TOLD};
use crate::booking::money::Money;
use crate::crash_point;
use crate::db::DbError;
use crate::db::payments::attempts::{self, Claimed, Next, Stage};
use crate::db::payments::settle::{Arrival, Purpose, name_by_callback};
use crate::db::replies;
use crate::payment::away::AWAY;
use crate::payment::{Asked, Door, Failure, Fate, OTHER_CURRENCY, Prompt, Prompted, sandbox};

/// How long an attempt is ours: longer than a login, a request and its repetition.
const LEASE: Duration = Duration::from_secs(60);
/// Between two questions about a prompt; the last one repeats. Source: fault M3 of the field requirements.
const ASK_AFTER_SECONDS: [u64; 6] = [30, 30, 60, 180, 600, 900];
/// Where asking costs nothing.
const ASK_SANDBOX_AFTER: Duration = Duration::from_secs(1);
/// After a prompt whose answer was lost. Source: fault M12.
const ASK_LOST_AFTER: Duration = Duration::from_secs(90);
/// A phone out of reach may show the prompt late: no word of failure before this age.
const DOUBT_MAX: Duration = Duration::from_secs(240);
/// Between two tries to send a prompt, and how long to go on.
const PROMPT_AGAIN_AFTER: Duration = Duration::from_secs(20);
const PROMPT_AGE_MAX: Duration = Duration::from_secs(180);
/// A prompt that cannot be asked about is given up after this, while the room is still held for another; money that
/// comes all the same is told by its callback and by the pay bill.
const UNASKABLE_MAX: Duration = Duration::from_secs(180);
/// Somebody is alarmed about an attempt this old. Source: invariant I10.
const ALARM_AGE: Duration = Duration::from_secs(24 * 3600);

impl Cashier {
    /// Works on every attempt that is due; how many those were.
    ///
    /// # Errors
    /// [`DbError`]; attempts under way are found again when their lease ends.
    pub async fn work_attempts(&self) -> Result<usize, DbError> {
        let due = attempts::claim_due(&self.app.pool.get().await?, BATCH_MAX, LEASE).await?;
        let worked = join_all(due.iter().map(|claimed| self.work(claimed))).await;
        for result in worked {
            result?;
        }
        Ok(due.len())
    }

    async fn work(&self, claimed: &Claimed) -> Result<(), DbError> {
        crash_point!("prompt:claimed");
        let next = match claimed.stage {
            // Nobody pays for a room that is gone.
            Stage::Due if claimed.hold_is_over => Some(Next::Failed(Failure::Expired)),
            Stage::Due => Some(self.prompt(claimed).await),
            Stage::Pending => self.query(claimed).await?,
        };
        let Some(next) = next else { return Ok(()) };
        let mut client = self.app.pool.get().await?;
        let told = match next {
            Next::Failed(failure) => self.failure_told(&client, claimed, failure).await?,
            _ => None,
        };
        // That it failed and that the guest is told so are one.
        let transaction = client.transaction().await?;
        let written = attempts::complete(&transaction, claimed, &next).await?;
        if let Some((turn, draft)) = told.filter(|_| written) {
            replies::insert_reply(&transaction, &turn, &draft).await?;
        }
        transaction.commit().await?;
        crash_point!("prompt:stored");
        if let Next::Failed(failure) = next
            && written
        {
            metrics::counter!("payments_failed_total", "provider" => claimed.provider.clone(), "why" => failure.word())
                .increment(1);
            self.app.outbox.notify_one();
        }
        Ok(())
    }

    async fn prompt(&self, claimed: &Claimed) -> Next {
        let url = self.url(&claimed.provider, Door::Result, &claimed.secret);
        let prompt = Prompt {
            key: claimed.attempt_id,
            msisdn: &claimed.msisdn,
            amount: claimed.amount,
            reference: &claimed.code,
            callback_url: url.as_deref().unwrap_or_default(),
            now: Utc::now(),
        };
        let line = self.lines.get(claimed.provider.as_str());
        let prompted = match line {
            Some(line) => line.prompt(&prompt).await,
            None if claimed.provider == sandbox::NAME => sandbox::prompt(&prompt),
            None => Prompted::Paused {
                reason: "not_configured".to_owned(),
            },
        };
        crash_point!("prompt:answered");
        let ask = |after, provider_id, reason| Next::Ask {
            after,
            provider_id,
            reason,
            counts: false,
            alarm: false,
        };
        match prompted {
            Prompted::Accepted { provider_id } => ask(ask_after(claimed, 0), provider_id, None),
            Prompted::Failed(failure) => Next::Failed(failure),
            Prompted::RetryLater { reason } if claimed.age < PROMPT_AGE_MAX => Next::Prompt {
                after: PROMPT_AGAIN_AFTER,
                reason,
            },
            Prompted::RetryLater { .. } => Next::Failed(Failure::NotShown),
            Prompted::Paused { reason } => {
                metrics::counter!("payments_paused_total", "provider" => claimed.provider.clone())
                    .increment(1);
                tracing::error!(
                    provider = claimed.provider,
                    reason,
                    "nobody can be asked to pay: check the account"
                );
                Next::Failed(Failure::NotShown)
            }
            Prompted::Unknown { reason } => ask(ASK_LOST_AFTER, None, Some(reason)),
        }
    }

    /// `None`: it was settled.
    async fn query(&self, claimed: &Claimed) -> Result<Option<Next>, DbError> {
        let needs_id = claimed.provider == crate::payment::daraja::NAME;
        let provider_id = claimed.provider_id.as_deref();
        if needs_id && provider_id.is_none() {
            return Ok(Some(if claimed.age < UNASKABLE_MAX {
                self.again(claimed, "no_id")
            } else {
                Next::Failed(Failure::NotShown)
            }));
        }
        let asked = Asked {
            key: claimed.attempt_id,
            provider_id: provider_id.unwrap_or_default(),
            amount: claimed.amount,
            now: Utc::now(),
        };
        let fate = match self.lines.get(claimed.provider.as_str()) {
            Some(line) => line.query(&asked).await,
            None if claimed.provider == sandbox::NAME => {
                let times = claimed.asked.unsigned_abs();
                sandbox::query(&claimed.msisdn, &asked, times)
            }
            None => Fate::Unknown {
                reason: "not_configured".to_owned(),
            },
        };
        crash_point!("query:answered");
        Ok(match fate {
            Fate::Paid(paid) => {
                let receipt = paid.receipt.as_ref().or(claimed.heard_receipt.as_ref());
                let arrival = Arrival {
                    provider: &claimed.provider,
                    receipt: receipt.map(String::as_str),
                    purpose: Purpose::Attempt(claimed.attempt_id),
                    amount: paid.amount.unwrap_or_else(|| heard(claimed)),
                    paid_at: Utc::now(),
                    cause: TOLD,
                };
                self.settle(&arrival).await?;
                // It may have come while the provider was asked.
                let client = self.app.pool.get().await?;
                name_by_callback(&client, claimed.attempt_id).await?;
                None
            }
            Fate::Failed(failure) if failure.may_still_pay() && claimed.age < DOUBT_MAX => {
                Some(self.again(claimed, failure.word()))
            }
            Fate::Failed(failure) => Some(Next::Failed(failure)),
            Fate::Missing if claimed.age < ASK_LOST_AFTER => Some(self.again(claimed, "missing")),
            Fate::Missing => Some(Next::Failed(Failure::NotShown)),
            Fate::Pending => Some(self.again(claimed, "pending")),
            Fate::Unknown { reason } => Some(self.again(claimed, &reason)),
        })
    }

    fn again(&self, claimed: &Claimed, reason: &str) -> Next {
        let strange = reason == OTHER_CURRENCY;
        let alarm = (claimed.age >= ALARM_AGE || strange) && !claimed.alarmed;
        // One that is away was not asked.
        let counts = reason != AWAY;
        if alarm {
            metrics::counter!("payments_unknown_total", "provider" => claimed.provider.clone())
                .increment(1);
            tracing::error!(
                attempt = %claimed.attempt_id,
                provider = claimed.provider,
                reason,
                "a payment is not what was asked for, or unknown for a day: ask the provider"
            );
        }
        Next::Ask {
            after: ask_after(claimed, claimed.asked + i32::from(counts)),
            provider_id: None,
            reason: Some(reason.to_owned()),
            counts,
            alarm,
        }
    }
}

/// What came by a provider that, asked, names no sum: a callback may say that it was less, nobody is believed that it was
/// more than was asked for.
fn heard(claimed: &Claimed) -> Money {
    let asked = claimed.amount;
    let minor = claimed.heard_amount.unwrap_or(asked.minor);
    if minor != asked.minor {
        tracing::error!(
            attempt = %claimed.attempt_id,
            provider = claimed.provider,
            "another sum was paid than was asked for: compare with the provider's statement"
        );
    }
    Money {
        minor: minor.min(asked.minor),
        ..asked
    }
}

fn ask_after(claimed: &Claimed, asked: i32) -> Duration {
    let nth = usize::try_from(asked).unwrap_or_default();
    if claimed.provider == sandbox::NAME && nth < ASK_AFTER_SECONDS.len() {
        return ASK_SANDBOX_AFTER;
    }
    Duration::from_secs(ASK_AFTER_SECONDS[nth.min(ASK_AFTER_SECONDS.len() - 1)])
}
