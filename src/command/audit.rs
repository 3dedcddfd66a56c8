//! `reserveflow audit`

use std::process::ExitCode;

use chrono::Utc;
use reserveflow::db::audit::audit;
use reserveflow::db::pool::{PoolSettings, pool};

pub(crate) async fn run(database_url: String) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let pool = pool(&database_url, &PoolSettings::default())?;
    let differences = audit(&mut pool.get().await?, Utc::now()).await?;
    for difference in &differences {
        println!("{}: {}", difference.rule, difference.what);
    }
    if differences.is_empty() {
        println!("everything adds up");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} differences; nothing was changed", differences.len());
    Ok(ExitCode::FAILURE)
}
