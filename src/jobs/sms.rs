//! What time does to messages: parts that wait in vain are dropped, reports that never come are awaited no longer, and
//! providers that do not report by themselves are asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::rounds::Rounds;
use crate::app::App;
use crate::db::DbError;
use crate::db::outbox::{self, Unreported};
use crate::db::sms_sessions;
use crate::phone::Msisdn;
use crate::sms::http::exchange;
use crate::sms::{self, Account, Asked, DeliveryReport, Provider};

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a report is awaited: fault S8 of the field requirements.
const REPORT_WAIT: Duration = Duration::from_secs(48 * 3600);
/// How long reports are kept: fault S6 asks for 72 h at least.
const REPORT_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Messages asked about in one round, one after the other.
const POLLS_MAX: usize = 20;

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(app: Arc<App>, http: reqwest::Client, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        if let Err(error) = sweep(&app.pool).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "waiting parts and reports were not looked at");
        }
        let polled = async {
            for (name, account) in &app.config.sms.providers {
                if let Some(provider) = sms::find(name) {
                    poll(&app.pool, &http, provider, account).await?;
                }
            }
            Ok::<(), DbError>(())
        };
        tokio::select! {
            () = rounds.stopped() => return,
            polled = polled => if let Err(error) = polled {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "no provider was asked for reports");
            },
        }
    }
}

/// Drops and gives up what has waited too long.
///
/// # Errors
/// [`DbError`]
pub async fn sweep(pool: &deadpool_postgres::Pool) -> Result<(), DbError> {
    let client = pool.get().await?;
    let parts = outbox::drop_parts(&client).await?;
    if parts > 0 {
        tracing::info!(
            parts,
            "parts of long messages were dropped: the rest never came"
        );
    }
    let unconfirmed = outbox::give_up_reports(&client, REPORT_WAIT).await?;
    if unconfirmed > 0 {
        tracing::info!(unconfirmed, "messages were sent that nobody reports on");
        metrics::counter!("sms_unconfirmed_total").increment(unconfirmed);
    }
    outbox::drop_reports(&client, REPORT_KEPT).await?;
    sms_sessions::drop_old(&client).await?;
    Ok(())
}

/// Asks a provider about messages that it has not reported on.
///
/// # Errors
/// [`DbError`]
pub async fn poll(
    pool: &deadpool_postgres::Pool,
    http: &reqwest::Client,
    provider: &'static dyn Provider,
    account: &Account,
) -> Result<(), DbError> {
    if !provider.settings().polled {
        return Ok(());
    }
    let client = pool.get().await?;
    let due = outbox::claim_unreported(&client, provider.name(), POLLS_MAX).await?;
    for unreported in due {
        if let Some(report) = ask(http, provider, account, &unreported).await {
            outbox::record_report(&client, provider.name(), &report).await?;
        }
    }
    Ok(())
}

async fn ask(
    http: &reqwest::Client,
    provider: &dyn Provider,
    account: &Account,
    unreported: &Unreported,
) -> Option<DeliveryReport> {
    let msisdn = Msisdn::parse(&unreported.msisdn).ok()?;
    let asked = Asked {
        msisdn: &msisdn,
        provider_id: &unreported.provider_id,
    };
    let request = provider.encode_poll(account, &asked)?;
    match exchange(http, request).await {
        Ok(reply) => provider.decode_poll(&asked, &reply.answer()),
        Err(error) => {
            let error = error.without_url();
            tracing::info!(%error, provider = provider.name(), "a provider did not say what became of a message");
            None
        }
    }
}
