//! Reservations through the lanes, beside the best that pgbench reaches one at a time: the same rows, the same server, in
//! rounds that take turns, so that whatever else the machine does falls on both.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Days, NaiveTime, Utc};
use futures_util::future::join_all;
use rand::RngExt;
use reserveflow::booking::code::Code;
use reserveflow::booking::money::{Currency, Money};
use reserveflow::booking::stay::Stay;
use reserveflow::db::DbError;
use reserveflow::db::effect::{Cause, Draft, Turn};
use reserveflow::db::lane::{LaneSettings, Lanes};
use reserveflow::db::reserve::{Booking, Isolation, Reserved};
use reserveflow::phone::Msisdn;
use tokio::process::Command;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::ground::{self, Ground, PRICE, PROPERTIES, TODAY};
use super::{Wanted, target};

const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(3);
/// Clients of pgbench: more of them are slower on two cores.
const CLIENTS: u32 = 16;
/// Guests who book one after the other, without a pause.
const GUESTS: usize = 384;
const NIGHTS: u8 = 3;
/// Days on which a stay may begin.
const DAYS: u32 = 300;
/// The same for the hot property.
const HOT_DAYS: u32 = 30;
/// At half the load, how long each round runs.
const HALF: Duration = Duration::from_secs(2);
const RUSH: usize = 10_000;
const RUSH_UNITS: i32 = 20;
const RUSH_MAX: Duration = Duration::from_millis(3_500);
/// Beyond the town's.
const RUSH_PROPERTY: u32 = 900_001;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Load {
    /// Any property, any day.
    Uniform,
    /// One property.
    Hot,
}

impl Load {
    fn properties(self) -> u32 {
        match self {
            Load::Uniform => PROPERTIES,
            Load::Hot => 1,
        }
    }

    fn days(self) -> u32 {
        match self {
            Load::Uniform => DAYS,
            Load::Hot => HOT_DAYS,
        }
    }
}

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
    let floor = Floor::prepare(ground).await?;
    println!(
        "| load | one at a time by pgbench, reservations/s | lanes, reservations/s | times |\n| --- | ---: | ---: | ---: |"
    );
    let mut rates = Vec::new();
    let mut ratios = Vec::new();
    for (load, name) in [(Load::Uniform, "uniform"), (Load::Hot, "one hot property")] {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            one.push(floor.round(load).await?);
            many.push(closed(lanes, load).await?);
        }
        let (one, many) = (best(&one), best(&many));
        println!("| {name} | {one:.0} | {many:.0} | {:.2} |", many / one);
        rates.push((load, many));
        ratios.push(many / one);
    }
    println!(
        "\nBest of {ROUNDS} rounds of {} s each, taking turns; percentiles at half the lanes' rate, best of {ROUNDS} rounds.\n",
        ROUND.as_secs()
    );
    ground::tidy(&ground.pool.get().await?).await?;
    let mut halves = Vec::new();
    for (load, rate) in rates {
        let mut quickest = f64::INFINITY;
        for _ in 0..ROUNDS {
            quickest = quickest.min(open(lanes, load, rate / 2.0).await?);
        }
        halves.push(quickest);
    }
    let rush = rush(ground, lanes).await?;
    let wrong = check(ground).await?;
    println!(
        "10,000 guests at once: {} held in {:.2} s",
        rush.made,
        rush.slowest.as_secs_f64()
    );
    println!("broken invariants: {wrong}\n");
    target("booking-uniform-times-raw", ratios[0], Wanted::AtLeast(1.5));
    target("booking-hot-times-raw", ratios[1], Wanted::AtLeast(5.0));
    target("booking-uniform-p99-ms", halves[0], Wanted::AtMost(20.0));
    target("booking-hot-p99-ms", halves[1], Wanted::AtMost(20.0));
    target(
        "booking-rush-slowest-s",
        rush.slowest.as_secs_f64(),
        Wanted::AtMost(RUSH_MAX.as_secs_f64()),
    );
    target(
        "booking-rush-unanswered",
        rush.unanswered as f64,
        Wanted::AtMost(0.0),
    );
    target(
        "booking-rush-held",
        rush.made as f64,
        Wanted::Exactly(f64::from(RUSH_UNITS)),
    );
    target(
        "booking-deadlocks",
        rush.deadlocks as f64,
        Wanted::AtMost(0.0),
    );
    target(
        "booking-aborted-connections",
        rush.aborted as f64,
        Wanted::AtMost(0.0),
    );
    target(
        "booking-broken-invariants",
        wrong as f64,
        Wanted::AtMost(0.0),
    );
    Ok(())
}

/// pgbench with the one-function design.
struct Floor {
    pgbench: PathBuf,
    script: PathBuf,
    url: String,
}

impl Floor {
    async fn prepare(ground: &Ground) -> anyhow::Result<Floor> {
        let client = ground.pool.get().await?;
        client
            .batch_execute(include_str!("one_at_a_time.sql"))
            .await?;
        let script =
            std::env::temp_dir().join(format!("one-at-a-time-{}.pgbench", std::process::id()));
        std::fs::write(&script, include_str!("one_at_a_time.pgbench"))?;
        Ok(Floor {
            pgbench: ground::find_program("pgbench")?,
            script,
            url: ground.url.clone(),
        })
    }

    async fn round(&self, load: Load) -> anyhow::Result<f64> {
        let output = Command::new(&self.pgbench)
            .args([
                "-n",
                "-M",
                "prepared",
                "-j",
                "2",
                "-c",
                &CLIENTS.to_string(),
            ])
            .args(["-T", &ROUND.as_secs().to_string()])
            .arg("-D")
            .arg(format!("properties={}", load.properties()))
            .arg("-D")
            .arg(format!("days={}", load.days()))
            .arg("-f")
            .arg(&self.script as &Path)
            .arg(&self.url)
            .env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan")
            .stdin(Stdio::null())
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "pgbench: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text.lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .context("pgbench told no rate")
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.script);
    }
}

fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

/// Guests who each book again as soon as they have an answer; reservations a second.
async fn closed(lanes: &Arc<Lanes>, load: Load) -> anyhow::Result<f64> {
    let until = Instant::now() + ROUND;
    let made = Arc::new(AtomicU64::new(0));
    let guests = (0..GUESTS).map(|_| {
        let (lanes, made) = (lanes.clone(), made.clone());
        tokio::spawn(async move {
            while Instant::now() < until {
                match book(&lanes, load, until + RUSH_MAX).await? {
                    Reserved::Made(_) => made.fetch_add(1, Ordering::Relaxed),
                    other => bail!("{other:?}"),
                };
            }
            Ok(())
        })
    });
    let begin = Instant::now();
    for guest in join_all(guests).await {
        guest??;
    }
    Ok(made.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64())
}

/// Guests who come at this rate, whether or not those before them have been answered; the 99th percentile in ms, counted
/// from when each was due.
pub(super) async fn open(lanes: &Arc<Lanes>, load: Load, rate: f64) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let mut guests = Vec::new();
    let mut due = begin;
    while due < begin + HALF {
        // Time between arrivals as chance has it.
        let chance: f64 = rand::rng().random_range(f64::EPSILON..1.0);
        due += Duration::from_secs_f64(-chance.ln() / rate);
        sleep_until(due).await;
        let lanes = lanes.clone();
        guests.push(tokio::spawn(async move {
            let outcome = book(&lanes, load, due + RUSH_MAX).await;
            (outcome, due.elapsed())
        }));
    }
    let mut times = Vec::new();
    for guest in join_all(guests).await {
        let (outcome, time) = guest?;
        ensure!(matches!(outcome?, Reserved::Made(_)), "not made");
        times.push(time);
    }
    times.sort();
    Ok(times[times.len() * 99 / 100].as_secs_f64() * 1e3)
}

struct Rush {
    made: usize,
    unanswered: usize,
    slowest: Duration,
    deadlocks: i64,
    aborted: i64,
}

/// Everyone wants the same three nights of the same lodge at the same moment.
async fn rush(ground: &Ground, lanes: &Arc<Lanes>) -> anyhow::Result<Rush> {
    let client = ground.pool.get().await?;
    let property = ground::insert_property(&client, RUSH_PROPERTY, RUSH_UNITS).await?;
    let begin = Instant::now();
    let guests = (0..RUSH).map(|number| {
        let lanes = lanes.clone();
        tokio::spawn(async move {
            let until = begin + RUSH_MAX;
            let outcome =
                timeout_at(until, reserve(&lanes, property, 9, number as u32, until)).await;
            (outcome, begin.elapsed())
        })
    });
    let (mut made, mut unanswered, mut slowest) = (0, 0, Duration::ZERO);
    for guest in join_all(guests).await {
        let (outcome, time) = guest?;
        slowest = slowest.max(time);
        match outcome {
            Ok(Ok(Reserved::Made(_))) => made += 1,
            Ok(Ok(Reserved::Taken)) => {}
            Ok(Ok(other)) => bail!("{other:?}"),
            Ok(Err(_)) | Err(_) => unanswered += 1,
        }
    }
    let row = client
        .query_one(
            "select deadlocks, sessions_abandoned + sessions_fatal + sessions_killed as aborted
             from pg_stat_database where datname = current_database()",
            &[],
        )
        .await?;
    Ok(Rush {
        made,
        unanswered,
        slowest,
        deadlocks: row.try_get("deadlocks")?,
        aborted: row.try_get("aborted")?,
    })
}

async fn book(lanes: &Lanes, load: Load, until: Instant) -> Result<Reserved, DbError> {
    let (place, day, number) = {
        let mut rng = rand::rng();
        (
            rng.random_range(1..=load.properties()),
            rng.random_range(0..=load.days()),
            rng.random_range(0..100_000_000),
        )
    };
    reserve(lanes, ground::property(place), day, number, until).await
}

async fn reserve(
    lanes: &Lanes,
    property: Uuid,
    day: u32,
    number: u32,
    until: Instant,
) -> Result<Reserved, DbError> {
    let number =
        Msisdn::parse(&format!("+2547{number:08}")).map_err(|e| DbError::Refused(e.into()))?;
    let turn = Turn {
        door: "bench".into(),
        session: Uuid::new_v4().to_string(),
        position: 0,
    };
    let stay = Stay::new(TODAY + Days::new(day.into()), NIGHTS);
    let booking = Booking {
        turn: &turn,
        property_id: property,
        stay: stay.ok_or_else(|| DbError::Refused("no stay".into()))?,
        units: 1,
        guests: 1,
        msisdn: &number,
        guest_msisdn: None,
        guest_name: "Asha",
        language: "en",
        total_shown: Money {
            minor: PRICE * i64::from(NIGHTS),
            currency: Currency::Kes,
        },
        at: noon(),
        cause: Cause {
            who: "guest",
            channel: "ussd",
            why: "booked by the guest",
        },
    };
    let compose = |code: &Code| {
        vec![Draft {
            kind: "confirmed",
            msisdn: number.clone(),
            text: format!(
                "BOOKED {code}. Sunset Lodge +254712345678, near KFA stage. From 5 Nov 14:00, 3 nights. Pay KES 13,500 \
                 at lodge. Cancel: *384*7#"
            ),
            expires_at: noon(),
        }]
    };
    lanes.reserve(&booking, until, compose).await
}

fn noon() -> DateTime<Utc> {
    TODAY
        .and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default())
        .and_utc()
}

/// Nights whose counter is not the sum of their reservations or above their units, and reservations without their event
/// or message.
async fn check(ground: &Ground) -> anyhow::Result<i64> {
    let client = ground.pool.get().await?;
    client
        .batch_execute("set statement_timeout = 0; set plan_cache_mode = auto")
        .await?;
    let row = client
        .query_one(
            "select (select count(*) from property_availability a
                     left join (select r.property_id, r.check_in + d.day as date, sum(r.units) as units
                                from reservation r cross join lateral generate_series(0, r.check_out - r.check_in - 1) d (day)
                                group by 1, 2) s using (property_id, date)
                     where a.reserved_units <> coalesce(s.units, 0) or a.reserved_units > a.available_units)
                  + abs((select count(*) from reservation) - (select count(*) from outbox))
                  + abs((select count(*) from reservation) - (select count(*) from reservation_event)) as wrong",
            &[],
        )
        .await?;
    Ok(row.try_get("wrong")?)
}
