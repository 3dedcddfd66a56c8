//! Calls over HTTP: the service beside a bare handler that asks Redis twice. Both run as processes of their own on the same
//! private stores, called by a third process, in short rounds in turn: what else the machine does hits both alike.

mod dialogue;
pub(super) mod floor;
pub(super) mod load;
mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use reserveflow::db::inventory::{self, Files};
use reserveflow::db::migrate::migrate;
use reserveflow::db::partitions::{MONTHS_AHEAD, ensure_months, fill_nights};
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::embedded::{Options, Stores};
use reserveflow::menu::files;
use tokio::process::Command;

use self::dialogue::CALLS;
use self::load::Outcome;
use self::process::{Server, cpu, ourselves};
use super::{Wanted, target};

/// Floor and service are measured in turn.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds of each side; the best of them counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a round is, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Connections of the aggregator, kept alive.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Dialogues that wait for an answer while memory is measured.
    #[arg(long, default_value_t = 50_000)]
    live: u64,
}

const RATE_OF_FLOOR: f64 = 0.75;
const CPU_OF_FLOOR: f64 = 1.4;
const P99_OF_FLOOR: f64 = 3.0;
const RESIDENT_MIB_MAX: f64 = 150.0;
/// What a turn on two instances may cost of one on one: then only Redis, which all share, ends the growth.
const CPU_OF_ONE_INSTANCE: f64 = 1.15;

/// A store is quiet when it uses less of a core than this …
const QUIET_CORES: f64 = 0.05;
/// … over so long.
const QUIET: Duration = Duration::from_millis(400);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(30);

const FLOOR_SHOWS: &str = "You said";
const SERVICE_SHOWS: &str = "KES";

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let folder =
        Folder(std::env::temp_dir().join(format!("reserveflow-bench-{}", std::process::id())));
    let stores = Stores::start(Options::new(folder.0.clone())?).await?;
    prepare(stores.database_url()).await?;
    let config = folder.0.join("reserveflow.yaml");
    std::fs::write(&config, settings(&stores))?;
    let result = measure(&args, &stores, &config).await;
    stores.stop().await;
    result.map(|()| ExitCode::SUCCESS)
}

/// Removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn settings(stores: &Stores) -> String {
    format!(
        "care_phone: \"+254709000000\"\nservice_codes: [\"*384*7#\"]\npublic: 127.0.0.1:0\nprivate: 127.0.0.1:0\n\
         aggregators: {{ africastalking: {{ tokens: [demo] }} }}\n\
         database: {{ url: \"{}\" }}\nredis: {{ url: \"{}\" }}\n",
        stores.database_url(),
        stores.redis_url()
    )
}

/// The schema and the sample lodgings.
async fn prepare(database_url: &str) -> anyhow::Result<()> {
    let pool = pool(database_url, &PoolSettings::default())?;
    let mut client = pool.get().await?;
    let today = Utc::now().date_naive();
    migrate(&client).await?;
    ensure_months(&mut client, today, MONTHS_AHEAD).await?;
    let (places, properties) = (files::sample("places.csv"), files::sample("properties.csv"));
    let files = Files {
        places: places.as_deref(),
        properties: properties.as_deref(),
        nights: None,
    };
    inventory::import(&mut client, files, today).await?;
    fill_nights(&mut client, today).await?;
    Ok(())
}

/// One round.
struct Round {
    outcome: Outcome,
    /// CPU seconds for 1,000 calls: servers, Redis, Postgres.
    servers: f64,
    redis: f64,
    postgres: f64,
}

impl Round {
    fn rate(&self) -> f64 {
        self.outcome.calls as f64 / self.outcome.seconds
    }
}

struct Bench<'a> {
    args: &'a Args,
    redis: redis::aio::MultiplexedConnection,
    redis_pid: u32,
    postgres_pid: u32,
    first: u64,
    wrong: u64,
}

impl Bench<'_> {
    /// Calls these servers for a while; dialogues of earlier rounds are gone.
    async fn round(
        &mut self,
        servers: &[&Server],
        shows: &str,
        rate: Option<f64>,
    ) -> anyhow::Result<Round> {
        redis::cmd("FLUSHALL")
            .query_async::<()>(&mut self.redis)
            .await?;
        self.quiet(servers).await;
        let pids = || {
            servers
                .iter()
                .map(|server| cpu(server.pid()))
                .sum::<Duration>()
        };
        let before = (pids(), cpu(self.redis_pid), cpu(self.postgres_pid));
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        let seconds = self.args.seconds.to_string();
        let mut load = self.load(&addresses)?;
        load.args(["--shows", shows, "--seconds", &seconds]);
        if let Some(rate) = rate {
            load.args(["--rate", &rate.to_string()]);
        }
        let outcome = self.finish(load).await?;
        let per_1000 = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1000.0 / outcome.calls as f64
        };
        Ok(Round {
            servers: per_1000(before.0, pids()),
            redis: per_1000(before.1, cpu(self.redis_pid)),
            postgres: per_1000(before.2, cpu(self.postgres_pid)),
            outcome,
        })
    }

    fn load(&self, to: &[SocketAddr]) -> anyhow::Result<Command> {
        let mut load = Command::from(ourselves()?);
        load.args(["bench", "load", "--first", &self.first.to_string()])
            .args(["--connections", &self.args.connections.to_string()]);
        for address in to {
            load.args(["--to", &address.to_string()]);
        }
        Ok(load)
    }

    async fn finish(&mut self, mut load: Command) -> anyhow::Result<Outcome> {
        // `output` would keep for itself what it says of its troubles.
        let running = load.stdout(Stdio::piped()).spawn()?;
        let output = running.wait_with_output().await?;
        anyhow::ensure!(output.status.success(), "the load generator failed");
        let outcome: Outcome = serde_json::from_slice(&output.stdout).context("load")?;
        self.first += outcome.calls;
        self.wrong += outcome.wrong;
        Ok(outcome)
    }

    /// Waits until what an earlier round left behind is written.
    async fn quiet(&self, servers: &[&Server]) {
        let until = Instant::now() + QUIET_WAIT_MAX;
        let used = || {
            let servers: Duration = servers.iter().map(|server| cpu(server.pid())).sum();
            servers + cpu(self.postgres_pid) + cpu(self.redis_pid)
        };
        while Instant::now() < until {
            let before = used();
            tokio::time::sleep(QUIET).await;
            if used().saturating_sub(before).as_secs_f64() < QUIET_CORES * QUIET.as_secs_f64() {
                return;
            }
        }
    }
}

async fn measure(args: &Args, stores: &Stores, config: &Path) -> anyhow::Result<()> {
    let pids = stores.pids();
    let mut bench = Bench {
        args,
        redis: redis::Client::open(stores.redis_url())?
            .get_multiplexed_async_connection()
            .await?,
        redis_pid: pids.redis.context("redis")?,
        postgres_pid: pids.postgres.context("postgres")?,
        first: 0,
        wrong: 0,
    };
    let floor = Server::floor(stores.redis_url())?;
    let service = Server::service(config)?;
    let (mut floors, mut services) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        floors.push(bench.round(&[&floor], FLOOR_SHOWS, None).await?);
        services.push(bench.round(&[&service], SERVICE_SHOWS, None).await?);
    }
    let (floor_best, service_best) = (best(&floors), best(&services));
    let half = best(&services).rate / 2.0;
    let (mut open_floors, mut open_services) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        open_floors.push(bench.round(&[&floor], FLOOR_SHOWS, Some(half)).await?);
        open_services.push(bench.round(&[&service], SERVICE_SHOWS, Some(half)).await?);
    }
    let (open_floor, open_service) = (best(&open_floors), best(&open_services));
    drop(floor);
    let second = Server::service(config)?;
    let mut twos = Vec::new();
    for _ in 0..args.rounds {
        twos.push(
            bench
                .round(&[&service, &second], SERVICE_SHOWS, None)
                .await?,
        );
    }
    let two = best(&twos);
    drop(second);
    let resident_mib = resident(&mut bench, &service).await?;

    println!(
        "| {} calls a dialogue, {} connections | calls/s | CPU s per 1,000 calls | of Redis | of Postgres | p50 ms | p99 ms |",
        CALLS.len(),
        args.connections
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, best) in [
        ("floor, closed loop", &floor_best),
        ("service, closed loop", &service_best),
        ("floor, open loop", &open_floor),
        ("service, open loop", &open_service),
        ("two instances, closed loop", &two),
    ] {
        println!("{}", best.row(name));
    }
    println!(
        "\n{} wrong answers. {} dialogues wait: {resident_mib:.0} MiB. Redis alone would be full at {:.0} calls/s.\n",
        bench.wrong,
        args.live,
        1000.0 / service_best.redis
    );
    target(
        "turn-rate-of-floor",
        service_best.rate / floor_best.rate,
        Wanted::AtLeast(RATE_OF_FLOOR),
    );
    target(
        "turn-cpu-of-floor",
        service_best.servers / floor_best.servers,
        Wanted::AtMost(CPU_OF_FLOOR),
    );
    target(
        "turn-p99-of-floor-at-half-load",
        open_service.p99 / open_floor.p99,
        Wanted::AtMost(P99_OF_FLOOR),
    );
    target(
        "turn-resident-mib",
        resident_mib,
        Wanted::AtMost(RESIDENT_MIB_MAX),
    );
    target(
        "turn-cpu-of-two-instances",
        two.servers / service_best.servers,
        Wanted::AtMost(CPU_OF_ONE_INSTANCE),
    );
    target(
        "turn-wrong-answers",
        bench.wrong as f64,
        Wanted::AtMost(0.0),
    );
    Ok(())
}

/// Memory of the service while this many dialogues wait for their second answer.
async fn resident(bench: &mut Bench<'_>, service: &Server) -> anyhow::Result<f64> {
    bench.quiet(&[service]).await;
    let mut load = bench.load(&[service.address])?;
    load.args([
        "--seconds",
        "600",
        "--calls",
        "2",
        "--dialogues",
        &bench.args.live.to_string(),
    ]);
    bench.finish(load).await?;
    let live: u64 = redis::cmd("DBSIZE").query_async(&mut bench.redis).await?;
    anyhow::ensure!(live >= bench.args.live, "{live} dialogues are live");
    service.resident_mib()
}

/// Of several rounds, each figure at its best.
struct Best {
    rate: f64,
    servers: f64,
    redis: f64,
    postgres: f64,
    p50: f64,
    p99: f64,
}

fn best(rounds: &[Round]) -> Best {
    let least = |of: fn(&Round) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    Best {
        rate: -least(|round| -round.rate()),
        servers: least(|round| round.servers),
        redis: least(|round| round.redis),
        postgres: least(|round| round.postgres),
        p50: least(|round| round.outcome.p50_us as f64 / 1000.0),
        p99: least(|round| round.outcome.p99_us as f64 / 1000.0),
    }
}

impl Best {
    fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {:.0} | {:.4} | {:.4} | {:.4} | {:.2} | {:.2} |",
            self.rate, self.servers, self.redis, self.postgres, self.p50, self.p99
        )
    }
}
