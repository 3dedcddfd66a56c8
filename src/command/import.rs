//! `reserveflow import`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::Utc;
use reserveflow::db::inventory::{self, Files};
use reserveflow::db::migrate::migrate;
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months};
use reserveflow::db::pool::{PoolSettings, pool};

/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    /// CSV files. The header tells what is in each: places (`place_id,kind,…`), properties
    /// (`property_id,host_name,…`)
    /// or nights (`property_id,from,…`). `reserveflow import --help` and the README list the columns.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let (mut places, mut properties, mut nights) = (None, None, None);
    for path in &args.files {
        let shown = path.display();
        let size = std::fs::metadata(path)
            .with_context(|| format!("{shown}"))?
            .len();
        if size > FILE_BYTES_MAX {
            bail!("{shown}: larger than {FILE_BYTES_MAX} bytes");
        }
        let source = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
        let header: Vec<_> = source
            .lines()
            .next()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .collect();
        let slot = match header[..] {
            ["place_id", ..] => &mut places,
            ["property_id", "from", ..] => &mut nights,
            ["property_id", ..] => &mut properties,
            _ => bail!("{shown}: the header begins with neither place_id nor property_id"),
        };
        if slot.replace(source).is_some() {
            bail!("{shown}: a second file of the same kind");
        }
    }
    let pool = pool(&args.database_url, &PoolSettings::default())?;
    let mut client = pool.get().await?;
    migrate(&client).await?;
    let today = Utc::now().date_naive();
    ensure_months(&mut client, today, MONTHS_AHEAD).await?;
    let files = Files {
        places: places.as_deref(),
        properties: properties.as_deref(),
        nights: nights.as_deref(),
    };
    let imported = inventory::import(&mut client, files, today).await?;
    println!(
        "imported {} places, {} properties, {} overrides",
        imported.places, imported.properties, imported.nights
    );
    Ok(ExitCode::SUCCESS)
}
