//! `reserveflow payments`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::Utc;
use clap::Subcommand;
use reserveflow::booking::code::Code;
use reserveflow::db::effect::Cause;
use reserveflow::db::payments::claims::{self, End};
use reserveflow::db::payments::ledger::list_balances;
use reserveflow::db::payments::refunds::{self, Approval, approve, list_open};
use reserveflow::db::payments::settle::{Arrival, Purpose, Settled, Texts, settle};
use reserveflow::db::payments::unallocated::{
    Given, give, give_back, is_applied, list_unallocated,
};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::db::reservations::find_any;
use uuid::Uuid;

/// Whole units that one person decides on alone, unless told otherwise; see `payments.alone_max`.
const ALONE_MAX: i64 = 10_000;

/// How long the running service is waited for.
const APPLY_LOOK_EVERY: Duration = Duration::from_millis(250);
const APPLY_LOOKS_MAX: u32 = 40;

#[derive(clap::Args)]
pub(crate) struct PaymentsArgs {
    #[command(subcommand)]
    what: What,
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
}

#[derive(Subcommand)]
enum What {
    /// What stands in each account of the ledger.
    Balance,
    /// Payments that belong to no booking.
    Unallocated,
    /// Give such a payment to a booking. Above the limit two people have to give it to the same one. The running service
    /// applies it and tells guest and host.
    Match {
        /// Its id, as `unallocated` shows it.
        payment: Uuid,
        /// The booking's code.
        code: String,
        #[command(flatten)]
        who: Who,
    },
    /// Payments by hand that we were told of and that their provider has not confirmed.
    Claims,
    /// Take such a payment for real: somebody has seen the money at the provider. It belongs to no booking then.
    Accept {
        /// Its id, as `claims` shows it.
        claim: Uuid,
        /// Who has seen it.
        #[arg(long)]
        by: String,
    },
    /// Send such a payment back: nobody claims it. Another person has to approve the refund.
    Return {
        /// Its id, as `unallocated` shows it.
        payment: Uuid,
        /// Who decides.
        #[arg(long)]
        by: String,
    },
    /// Refunds that are not done.
    Refunds,
    /// Approve a refund; it is sent then. Above the limit two people have to, and nobody what they asked for.
    Approve {
        /// Its id, as `refunds` shows it.
        refund: Uuid,
        #[command(flatten)]
        who: Who,
    },
    /// Note that a refund was sent by hand.
    Sent {
        /// Its id, as `refunds` shows it.
        refund: Uuid,
        /// The provider's receipt of it.
        #[arg(long)]
        receipt: String,
        #[command(flatten)]
        who: Who,
    },
}

#[derive(clap::Args)]
struct Who {
    /// Who decides.
    #[arg(long)]
    by: String,
    /// Whole units of the currency that one person decides on alone.
    #[arg(long, default_value_t = ALONE_MAX)]
    alone_max: i64,
}

pub(crate) async fn run(args: PaymentsArgs) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let url = args.database_url.context("--database-url is needed")?;
    let client = pool(&url, &PoolSettings::default())?.get().await?;
    match args.what {
        What::Balance => {
            for balance in list_balances(&client).await? {
                println!("{:<12} {}", balance.account, balance.amount);
            }
        }
        What::Unallocated => {
            for payment in list_unallocated(&client).await? {
                let proposed = payment
                    .proposed
                    .map(|(code, by)| format!("  proposed for {code} by {by}"));
                println!(
                    "{}  {}  {} {}  {}  \"{}\"{}",
                    payment.payment_id,
                    payment.paid_at.format("%Y-%m-%d %H:%M"),
                    payment.provider,
                    payment.receipt.unwrap_or_default(),
                    payment.amount,
                    payment.reference.escape_debug(),
                    proposed.unwrap_or_default()
                );
            }
        }
        What::Claims => {
            for claim in claims::list_doubtful(&client).await? {
                println!(
                    "{}  {}  {} {}  {}  \"{}\"  {}{}",
                    claim.claim_id,
                    claim.paid_at.format("%Y-%m-%d %H:%M"),
                    claim.provider,
                    claim.receipt.escape_debug(),
                    claim.amount,
                    claim.reference.escape_debug(),
                    claim.status,
                    claim
                        .reason
                        .map(|reason| format!(": {reason}"))
                        .unwrap_or_default(),
                );
            }
        }
        What::Accept { claim, by } => accept(&client, claim, &by).await?,
        What::Match { payment, code, who } => {
            let code = Code::parse(&code).context("the code")?;
            let waiting = list_unallocated(&client).await?;
            let Some(waiting) = waiting.iter().find(|one| one.payment_id == payment) else {
                bail!("{payment} is not an unallocated payment");
            };
            let alone_max = who.alone_max * waiting.amount.currency.minor_per_unit();
            match give(&client, payment, &code, &who.by, alone_max).await? {
                Given::Given => println!("{}", applied(&client, payment, &code).await?),
                Given::NeedsAnother => {
                    println!("noted: another person has to give it to {code} too");
                }
                Given::Refused => {
                    bail!(
                        "no booking in {} has the code {code}",
                        waiting.amount.currency.code()
                    )
                }
            }
        }
        What::Return { payment, by } => {
            if !give_back(&client, payment, &by).await? {
                bail!("{payment} is not an unallocated payment");
            }
            println!("asked for: another person approves it, see `payments refunds`");
        }
        What::Refunds => {
            for refund in list_open(&client).await? {
                println!(
                    "{}  {}  {}  {}  {} {}  {}, asked for by {}{}{}",
                    refund.refund_id,
                    refund.at.format("%Y-%m-%d %H:%M"),
                    refund.code,
                    refund.amount,
                    refund.provider,
                    refund.receipt.unwrap_or_default(),
                    refund.status,
                    refund.requested_by,
                    refund
                        .approved_by
                        .map(|by| format!(", approved by {by}"))
                        .unwrap_or_default(),
                    refund
                        .reason
                        .map(|reason| format!(": {reason}"))
                        .unwrap_or_default(),
                );
            }
        }
        What::Approve { refund, who } => {
            let open = list_open(&client).await?;
            let Some(open) = open.iter().find(|one| one.refund_id == refund) else {
                bail!("{refund} is not an open refund");
            };
            let alone_max = who.alone_max * open.amount.currency.minor_per_unit();
            match approve(&client, refund, &who.by, alone_max).await? {
                Approval::Approved => println!("approved: it is sent now"),
                Approval::NeedsAnother => println!("noted: another person has to approve it too"),
                Approval::Refused => {
                    bail!("not open, or asked for or approved by {} before", who.by)
                }
            }
        }
        What::Sent {
            refund,
            receipt,
            who,
        } => {
            if !refunds::end(&client, refund, Some(&receipt), &who.by).await? {
                bail!("{refund} is not approved, or done already");
            }
            println!("done");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Money that a person has seen is kept for [`What::Match`], which two people have to agree on above the limit.
async fn accept(
    client: &deadpool_postgres::Client,
    claim_id: Uuid,
    by: &str,
) -> anyhow::Result<()> {
    let doubtful = claims::list_doubtful(client).await?;
    let Some(claim) = doubtful.iter().find(|claim| claim.claim_id == claim_id) else {
        bail!("{claim_id} is not a payment in doubt");
    };
    let arrival = Arrival {
        provider: &claim.provider,
        receipt: Some(&claim.receipt),
        purpose: Purpose::Reference {
            typed: &claim.reference,
            code: None,
        },
        amount: claim.amount,
        paid_at: claim.paid_at,
        cause: Cause {
            who: "operator",
            channel: "console",
            why: "seen at the provider",
        },
    };
    let settled = settle(client, &arrival, Utc::now(), None, &Texts::default()).await?;
    claims::end(
        client,
        claim_id,
        End::Proven,
        Some(&format!("seen by {by}")),
    )
    .await?;
    println!(
        "{}",
        match settled {
            Settled::Again => "it was there already: see `payments unallocated`",
            _ => "accepted: see `payments unallocated`, then `payments match`",
        }
    );
    Ok(())
}

/// What the service makes of a payment that was given to a booking.
async fn applied(
    client: &deadpool_postgres::Client,
    payment: Uuid,
    code: &Code,
) -> anyhow::Result<String> {
    for _ in 0..APPLY_LOOKS_MAX {
        if is_applied(client, payment).await?
            && let Some(reservation) = find_any(client, code).await?
        {
            return Ok(format!(
                "applied: {code} is {}, {} paid",
                reservation.status.word(),
                reservation.paid
            ));
        }
        tokio::time::sleep(APPLY_LOOK_EVERY).await;
    }
    Ok("given: the service applies it when it runs".to_owned())
}
