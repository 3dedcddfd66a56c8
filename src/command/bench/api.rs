//! 50 properties with 30 nights each over HTTP: what goes over the wire, and how many answers a second, beside the same query
//! asked by pgbench of the same server, in rounds that take turns. Service and clients share the machine, as pgbench does.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{Days, NaiveTime};
use deadpool_postgres::Client;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use reserveflow::api::keys::{self, Key};
use reserveflow::app::Clock;
use reserveflow::config::Config;
use reserveflow::db::api_keys::insert_key;
use reserveflow::db::catalogue::properties::TOWN_SQL;
use reserveflow::service::{self, Service, StoreUrls};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use super::ground::{self, Ground, TODAY};
use super::{Wanted, target};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);
/// At once, of each side; the service has as many connections to Postgres.
const CLIENTS: usize = 8;
const PATH: &str = "/v1/properties?town=bench";
const MICROS_MAX: u64 = 60_000_000;
/// What an answer of this size may weigh on a slow network.
const COMPRESSED_KIB_MAX: f64 = 32.0;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    service::install_tls();
    crate::run(async {
        let ground = Ground::start(CLIENTS).await?;
        let result = measure(&ground).await;
        ground.stop().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}

async fn measure(ground: &Ground) -> anyhow::Result<()> {
    let client = ground.pool.get().await?;
    insert_key(&client, &Key::demo(), &keys::hash("demo"), None).await?;
    client.batch_execute(&vary()).await?;
    ground::tidy(&client).await?;
    let floor = Floor::prepare(ground, &client).await?;
    drop(client);
    // One that asks the database for each answer, one that shares what was just read.
    let alone = start(ground, 0).await?;
    let shared = start(ground, 2_000).await?;
    let asker = Asker::new();
    let sizes = asker.sizes(&alone).await?;
    let mut rounds: Vec<(&str, Vec<Round>)> = Vec::new();
    for _ in 0..ROUNDS {
        let mut put = |name, round| match rounds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(round),
            None => rounds.push((name, vec![round])),
        };
        put("the query, by pgbench", floor.round().await?);
        put("each its own query", asker.round(&alone, "identity").await?);
        put("the same, gzip", asker.round(&alone, "gzip").await?);
        put("shared for 2 s", asker.round(&shared, "identity").await?);
        put("the same, brotli", asker.round(&shared, "br").await?);
    }
    alone.stop().await;
    shared.stop().await;

    println!("| on the wire | bytes |\n| --- | ---: |");
    for (encoding, bytes) in &sizes {
        println!("| {encoding} | {bytes} |");
    }
    println!("\n| 50 properties × 30 nights, {CLIENTS} clients | answers/s | p50 ms | p99 ms |");
    println!("| --- | ---: | ---: | ---: |");
    for (name, rounds) in &rounds {
        let best = |of: fn(&Round) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
        println!(
            "| {name} | {:.0} | {:.2} | {:.2} |",
            -best(|round| -round.rate),
            best(|round| round.p50_ms),
            best(|round| round.p99_ms)
        );
    }
    println!(
        "\nBest of {ROUNDS} rounds of {} s each, taking turns.\n",
        ROUND.as_secs()
    );
    let smallest = sizes.iter().map(|(_, bytes)| *bytes).min().unwrap_or(0);
    let kib = smallest as f64 / 1024.0;
    target(
        "api-compressed-kib",
        kib,
        Wanted::AtMost(COMPRESSED_KIB_MAX),
    );
    Ok(())
}

/// Names, prices and free units as they are in life: what is all the same would be compressed to nothing.
fn vary() -> String {
    let past = TODAY + Days::new(30);
    format!(
        "set statement_timeout = 0;
         update property set name = initcap(substr(md5(short_id), 1, 6)) || ' Lodge', price_base = 100000 + hash % 80 * 5000
         from (select property_id as id, abs(hashtext(short_id)) as hash from property) h where id = property_id;
         update property_availability a set price_base = h.price_base, available_units = 2 + h.hash % 9,
             reserved_units = h.hash % 3, surge_multiplier = case when extract(isodow from a.date) in (5, 6) then 1.2 else 1 end
         from (select d.property_id, d.date, p.price_base, abs(hashtext(p.short_id || d.date)) as hash
               from property_availability d join property p on p.property_id = d.property_id) h
         where h.property_id = a.property_id and h.date = a.date and a.date < '{past}'"
    )
}

async fn start(ground: &Ground, shared_ms: u32) -> anyhow::Result<Service> {
    let config = format!(
        "care_phone: \"+254709000000\"\nservice_codes: [\"*384*7#\"]\npublic: 127.0.0.1:0\nprivate: 127.0.0.1:0\n\
         database: {{ pool: {CLIENTS} }}\napi: {{ requests_per_minute: 0, shared_ms: {shared_ms} }}\n"
    );
    let config = Config::parse(&config, "bench", HashMap::new())?;
    let urls = StoreUrls {
        database: ground.url.clone(),
        redis: ground.redis_url().to_owned(),
    };
    let noon = TODAY.and_time(NaiveTime::default()) + chrono::TimeDelta::hours(12);
    service::start(config, urls, Clock::Fixed(noon.and_utc())).await
}

/// What came of a round.
struct Round {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Round {
    fn new(micros: &Histogram<u64>, seconds: f64) -> Round {
        Round {
            rate: micros.len() as f64 / seconds,
            p50_ms: micros.value_at_quantile(0.5) as f64 / 1000.0,
            p99_ms: micros.value_at_quantile(0.99) as f64 / 1000.0,
        }
    }
}

/// An app with several connections.
struct Asker(reqwest::Client);

impl Asker {
    fn new() -> Asker {
        Asker(reqwest::Client::new())
    }

    async fn ask(&self, service: &Service, encoding: &str) -> anyhow::Result<Vec<u8>> {
        let response = self
            .0
            .get(format!("http://{}{PATH}", service.public))
            .bearer_auth("demo")
            .header("accept-encoding", encoding)
            .send()
            .await?
            .error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }

    /// Bytes of an answer in each encoding; it must be whole.
    async fn sizes(&self, service: &Service) -> anyhow::Result<Vec<(&'static str, usize)>> {
        let plain: Value = serde_json::from_slice(&self.ask(service, "identity").await?)?;
        let properties = plain["data"]["properties"]
            .as_array()
            .context("no properties")?;
        let nights: usize = properties
            .iter()
            .filter_map(|property| property["calendar"].as_array().map(Vec::len))
            .sum();
        ensure!(properties.len() == 50 && nights == 1_500, "{nights} nights");
        let mut sizes = Vec::new();
        for encoding in ["identity", "gzip", "zstd", "br"] {
            sizes.push((encoding, self.ask(service, encoding).await?.len()));
        }
        Ok(sizes)
    }

    async fn round(&self, service: &Service, encoding: &str) -> anyhow::Result<Round> {
        let begun = Instant::now();
        let clients = (0..CLIENTS).map(|_| async {
            let mut micros = Histogram::<u64>::new_with_max(MICROS_MAX, 3)?;
            while begun.elapsed() < ROUND {
                let asked = Instant::now();
                self.ask(service, encoding).await?;
                micros.record(u64::try_from(asked.elapsed().as_micros())?)?;
            }
            anyhow::Ok(micros)
        });
        let mut all = Histogram::<u64>::new_with_max(MICROS_MAX, 3)?;
        for micros in join_all(clients).await {
            all.add(micros?)?;
        }
        Ok(Round::new(&all, begun.elapsed().as_secs_f64()))
    }
}

/// pgbench with what the service asks.
struct Floor {
    pgbench: PathBuf,
    folder: Folder,
    url: String,
}

/// Removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Floor {
    async fn prepare(ground: &Ground, client: &Client) -> anyhow::Result<Floor> {
        let folder = std::env::temp_dir().join(format!("api-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        // What the first read numbers is not to be part of a round.
        client.batch_execute("select number_changes()").await?;
        let script = format!("select number_changes();\n{};\n", sql());
        std::fs::write(folder.join("script"), script)?;
        Ok(Floor {
            pgbench: ground::find_program("pgbench")?,
            folder: Folder(folder),
            url: ground.url.clone(),
        })
    }

    async fn round(&self) -> anyhow::Result<Round> {
        let folder = &self.folder.0;
        let output = Command::new(&self.pgbench)
            .args(["-n", "-M", "prepared", "-j", "2", "-l"])
            .args(["-c", &CLIENTS.to_string()])
            .args(["-T", &ROUND.as_secs().to_string()])
            .arg("--log-prefix")
            .arg(folder.join("log"))
            .arg("-f")
            .arg(folder.join("script"))
            .arg(&self.url)
            .stdin(Stdio::null())
            .output()
            .await?;
        let failed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {failed}");
        let mut micros = Histogram::<u64>::new_with_max(MICROS_MAX, 3)?;
        for file in std::fs::read_dir(folder)?.flatten() {
            if !file.file_name().to_string_lossy().starts_with("log") {
                continue;
            }
            // client, transaction, microseconds, …
            for line in std::fs::read_to_string(file.path())?.lines() {
                let spent = line.split(' ').nth(2).context("a log of pgbench")?;
                micros.record(spent.parse()?)?;
            }
            std::fs::remove_file(file.path())?;
        }
        Ok(Round::new(&micros, ROUND.as_secs_f64()))
    }
}

/// The service's query for this answer, with its values written into it.
fn sql() -> String {
    let past = TODAY + Days::new(30);
    let mut values = vec!["null"; 16];
    let (from, until) = (format!("'{TODAY}'::date"), format!("'{past}'::date"));
    (values[0], values[1], values[2]) = (&from, &until, "'bench'");
    (values[6], values[12], values[15]) = ("'{KES,NGN,GHS}'", "51", "false");
    let mut sql = TOWN_SQL.to_owned();
    for (number, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", number + 1), value);
    }
    sql
}
