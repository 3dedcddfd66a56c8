//! Reservations while old months are detached and archived, beside the same load without: rounds that take turns, so that
//! whatever else the machine does falls on both.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use chrono::Months;
use reserveflow::archive::{ColdStore, archive};
use reserveflow::db::lane::{LaneSettings, Lanes};
use reserveflow::db::reserve::Isolation;
use tokio::time::Instant;

use super::booking::{Load, open};
use super::ground::{Ground, PROPERTIES, TODAY, tidy};
use super::{Wanted, target};

const ROUNDS: u32 = 6;
/// Archived one after the other in each round.
const MONTHS: u32 = 3;
/// Guests a second.
const RATE: f64 = 500.0;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> anyhow::Result<ExitCode> {
    let settings = LaneSettings::default();
    let ground = Ground::start(usize::from(settings.lanes) + 2).await?;
    let lanes = Arc::new(Lanes::new(&ground.pool, Isolation::ReadCommitted, settings));
    let outcome = run_all(&ground, &lanes).await;
    ground.stop().await;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

async fn run_all(ground: &Ground, lanes: &Arc<Lanes>) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("reserveflow-cold-{}", std::process::id()));
    let to = folder.to_str().context("the temporary folder's name")?;
    let store = ColdStore::open(to, &BTreeMap::new())?;
    let (mut quiet, mut archiving) = (f64::INFINITY, f64::INFINITY);
    let mut archived = 0;
    println!(
        "| round | p99 without, ms | p99 while archiving, ms | months archived in, ms |\n| ---: | ---: | ---: | ---: |"
    );
    for round in 1..=ROUNDS {
        let client = ground.pool.get().await?;
        let first = TODAY - Months::new(24);
        let last = first + Months::new(MONTHS - 1);
        client
            .execute("select ensure_months($1, $2)", &[&first, &last])
            .await?;
        tidy(&client).await?;
        drop(client);
        let without = open(lanes, Load::Uniform, RATE).await?;
        let work = async {
            let begin = Instant::now();
            let months = archive(&ground.pool, &store, TODAY - Months::new(12)).await?;
            anyhow::Ok((months.unwrap_or_default().len(), begin.elapsed()))
        };
        let (with, worked) = tokio::join!(open(lanes, Load::Uniform, RATE), work);
        let (with, (months, time)) = (with?, worked?);
        let time = time.as_secs_f64() * 1e3;
        println!("| {round} | {without:.1} | {with:.1} | {time:.0} |");
        (quiet, archiving) = (quiet.min(without), archiving.min(with));
        archived += months;
    }
    std::fs::remove_dir_all(&folder)?;
    ensure!(archived == (ROUNDS * MONTHS) as usize, "{archived} months");
    println!(
        "\n{RATE} guests a second; {MONTHS} months of {PROPERTIES} lodges in each round. A guest that fails ends the run.\n"
    );
    target(
        "archive-p99-times-quiet",
        archiving / quiet,
        Wanted::AtMost(1.5),
    );
    Ok(())
}
