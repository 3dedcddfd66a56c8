//! `reserveflow archive`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{NaiveDate, Utc};
use clap::Subcommand;
use reserveflow::archive::{ColdStore, archive, first_kept, read};
use reserveflow::config::Config;
use reserveflow::db::archive::list_archived;
use reserveflow::db::pool::{PoolSettings, pool};
use secrecy::ExposeSecret;

#[derive(clap::Args)]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// The configuration file of the service, which says where the months go and how many stay.
    #[arg(
        long,
        env = "RESERVEFLOW_CONFIG",
        default_value = "reserveflow.yaml",
        global = true
    )]
    config: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Say which months are archived, and where each one is.
    List,
    /// Write an archived month as CSV, after comparing its checksum.
    Read {
        /// `2025-10`.
        #[arg(value_parser = month)]
        month: NaiveDate,
    },
}

fn month(text: &str) -> Result<NaiveDate, String> {
    format!("{text}-01")
        .parse()
        .map_err(|_| "a month is written like 2025-10".to_owned())
}

pub(crate) async fn run(args: ArchiveArgs) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let config = Config::read(&args.config)?;
    let settings = &config.archive;
    let Some(store) = settings
        .store(config.data.as_deref())
        .context("archive.to")?
    else {
        bail!("neither `archive.to` nor `data` is set: there is nowhere to put them");
    };
    let database = &config.database;
    let url = database.direct_url.as_ref().or(database.url.as_ref());
    let url = url.context("database.url is not set")?.expose_secret();
    let pool = pool(url, &PoolSettings::default())?;
    match args.what {
        None => {
            let until = first_kept(Utc::now().date_naive(), settings.keep_months);
            let Some(months) = archive(&pool, &store, until).await? else {
                bail!("another process is archiving");
            };
            for month in &months {
                println!("archived {}", month.format("%Y-%m"));
            }
            if months.is_empty() {
                println!("nothing before {} is left", until.format("%Y-%m"));
            }
        }
        Some(What::List) => {
            for month in list_archived(&pool.get().await?).await? {
                let name = month.month.format("%Y-%m");
                match month.file {
                    Some(file) => println!(
                        "{name} {} nights, {} bytes: {}",
                        file.nights, file.bytes, file.name
                    ),
                    None => println!("{name} under way"),
                }
            }
        }
        Some(What::Read { month }) => write(&pool.get().await?, &store, month).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(
    client: &deadpool_postgres::Client,
    store: &ColdStore,
    month: NaiveDate,
) -> anyhow::Result<()> {
    let archived = list_archived(client).await?;
    let file = archived
        .into_iter()
        .find(|archived| archived.month == month)
        .and_then(|archived| archived.file);
    let Some(file) = file else {
        bail!("{} is not archived", month.format("%Y-%m"));
    };
    let csv = read(store, &file).await?;
    std::io::stdout().write_all(&csv)?;
    Ok(())
}
