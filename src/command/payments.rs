//! `reserveflow payments`

use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::Utc;
use clap::Subcommand;
use reserveflow::booking::code::Code;
use reserveflow::db::payments::ledger::list_balances;
use reserveflow::db::payments::refunds::{
    self, Approval, approve, list_open, list_unallocated, propose,
};
use reserveflow::db::payments::settle::give;
use reserveflow::db::pool::{PoolSettings, pool};
use uuid::Uuid;

/// Whole units that one person decides on alone, unless told otherwise; see `payments.alone_max`.
const ALONE_MAX: i64 = 10_000;

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
    /// Give such a payment to a booking. Above the limit two people have to give it to the same one.
    Match {
        /// Its id, as `unallocated` shows it.
        payment: Uuid,
        /// The booking's code.
        code: String,
        #[command(flatten)]
        who: Who,
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
        What::Match { payment, code, who } => {
            let code = Code::parse(&code).context("the code")?;
            let waiting = list_unallocated(&client).await?;
            let Some(waiting) = waiting.iter().find(|one| one.payment_id == payment) else {
                bail!("{payment} is not an unallocated payment");
            };
            let agreed = propose(&client, payment, code.digits(), &who.by).await?;
            let alone =
                waiting.amount.minor <= who.alone_max * waiting.amount.currency.minor_per_unit();
            if !agreed && !alone {
                println!("noted: another person has to give it to {code} too");
                return Ok(ExitCode::SUCCESS);
            }
            match give(&client, payment, &code, Utc::now(), &who.by).await? {
                Some(settled) => println!("{}", settled.word()),
                None => bail!("no booking has the code {code}"),
            }
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
