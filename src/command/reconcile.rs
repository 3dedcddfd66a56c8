//! `reserveflow reconcile`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use reserveflow::booking::money::Currency;
use reserveflow::breaker::Breaker;
use reserveflow::config::Config;
use reserveflow::db::payments::ledger::{list_entries, list_faults};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::payment::exchange::Line;
use reserveflow::payment::statement::{Difference, Entry, compare, read};
use reserveflow::payment::{self, Span};
use reserveflow::sms::http_builder;

/// The largest statement, in bytes.
const STATEMENT_BYTES_MAX: u64 = 200 * 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct ReconcileArgs {
    /// Whose statement: `daraja`, `mtn_momo`, `airtel_money`.
    provider: String,
    /// The statement, as the provider's portal exports it: CSV.
    #[arg(long, conflicts_with = "config", required_unless_present = "config")]
    statement: Option<PathBuf>,
    /// Ask the provider instead, by the account of this configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Currency of the statement.
    #[arg(long, default_value = "KES")]
    currency: String,
    /// First day of it, UTC.
    #[arg(long)]
    from: NaiveDate,
    /// Last day of it, UTC.
    #[arg(long)]
    to: NaiveDate,
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

/// Prints every difference, one a line; none: exit 0.
pub(crate) async fn run(args: ReconcileArgs) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let currency = Currency::find(&args.currency).context("--currency is not one of service")?;
    let span = Span {
        from: midnight(args.from),
        to: midnight(args.to.succ_opt().context("--to")?),
    };
    let theirs = match (&args.statement, &args.config) {
        (Some(path), _) => read_file(path, currency)?,
        (None, Some(path)) => ask(path, &args.provider, &span).await?,
        (None, None) => bail!("--statement or --config is needed"),
    };
    let pool = pool(&args.database_url, &PoolSettings::default())?;
    let mut client = pool.get().await?;
    let ours = list_entries(&client, &args.provider, span.from, span.to).await?;
    let differences = compare(&theirs, &ours);
    for difference in &differences {
        println!("{}", sentence(difference));
    }
    let faults = list_faults(&mut client).await?;
    for fault in &faults {
        println!("broken: {}: {}", fault.rule, fault.what);
    }
    println!(
        "{} payments in the statement, {} in the books, {} differences, {} faults",
        theirs.len(),
        ours.len(),
        differences.len(),
        faults.len()
    );
    Ok(if differences.is_empty() && faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

fn read_file(path: &std::path::Path, currency: Currency) -> anyhow::Result<Vec<Entry>> {
    let shown = path.display();
    let size = std::fs::metadata(path)
        .with_context(|| format!("{shown}"))?
        .len();
    if size > STATEMENT_BYTES_MAX {
        bail!("{shown}: larger than {STATEMENT_BYTES_MAX} bytes");
    }
    let source = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
    read(&source, currency).with_context(|| format!("{shown}"))
}

async fn ask(path: &std::path::Path, name: &str, span: &Span) -> anyhow::Result<Vec<Entry>> {
    let config = Config::read(path)?;
    let provider = payment::find(name).with_context(|| format!("{name} is not spoken"))?;
    let account = config.payments.providers.get(name);
    let account = account.with_context(|| format!("payments.providers.{name} is not set"))?;
    if provider.encode_statement(account, span, 0).is_none() {
        bail!("{name} does not list its payments: give a --statement");
    }
    let breaker = Arc::new(Breaker::new(provider.name()));
    let line = Line::new(
        provider,
        account.clone(),
        http_builder().build()?,
        breaker,
        None,
    );
    let payments = line.statement(span).await;
    let payments =
        payments.map_err(|reason| anyhow::anyhow!("{name} does not answer: {reason}"))?;
    Ok(payments
        .into_iter()
        .map(|received| Entry {
            receipt: received.receipt,
            amount: received.amount,
        })
        .collect())
}

fn sentence(difference: &Difference) -> String {
    match difference {
        Difference::Missing(entry) => {
            format!("missing here: {} {}", entry.receipt, entry.amount)
        }
        Difference::Unknown(entry) => {
            format!("unknown there: {} {}", entry.receipt, entry.amount)
        }
        Difference::Amount {
            receipt,
            theirs,
            ours,
        } => format!("amount: {receipt} {theirs} there, {ours} here"),
        Difference::Twice(entry) => format!("twice there: {} {}", entry.receipt, entry.amount),
        Difference::NoReceipt(entry) => format!("no receipt here: {}", entry.amount),
    }
}
