//! `reserveflow migrate`

use std::process::ExitCode;

use reserveflow::db::migrate::migrate;
use reserveflow::db::pool::{PoolSettings, pool};

pub(crate) async fn run(database_url: String) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let pool = pool(&database_url, &PoolSettings::default())?;
    let applied = migrate(&pool.get().await?).await?;
    match &applied[..] {
        [] => println!("the schema is up to date"),
        names => println!("applied {}", names.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}
