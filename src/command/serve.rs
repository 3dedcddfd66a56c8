//! `reserveflow serve`: everything up, until a signal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use reserveflow::app::Clock;
use reserveflow::config::{Config, Environment};
use reserveflow::embedded::{Options, Stores, default_data_dir};
use reserveflow::service::{self, Service, StoreUrls};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long a load balancer may take to notice that this instance is not ready any more.
const UNREADY: Duration = Duration::from_secs(5);

pub(crate) async fn run(path: PathBuf) -> anyhow::Result<ExitCode> {
    log("info");
    let signals = Signals::catch()?;
    let config = Config::read(&path)?;
    let unready = match config.environment {
        Environment::Production => UNREADY,
        Environment::Development => Duration::ZERO,
    };
    let (service, stores) = start(config).await?;
    until_stopped(service, stores, signals, unready).await
}

/// Logs from this level on, as JSON lines on stderr; `RUST_LOG` says otherwise.
pub(crate) fn log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logging.compact().init()
    } else {
        logging.json().flatten_event(true).init()
    }
}

/// The service on the stores that the configuration names, or on private ones.
pub(crate) async fn start(config: Config) -> anyhow::Result<(Service, Option<Stores>)> {
    let given = |url: &Option<SecretString>| {
        url.as_ref()
            .map(|url| url.expose_secret().to_owned())
            .filter(|url| !url.is_empty())
    };
    let database = given(&config.database.url);
    let redis = config
        .redis
        .is_given()
        .then(|| given(&config.redis.url).unwrap_or_default());
    if let (Some(database), Some(redis)) = (&database, &redis) {
        let urls = StoreUrls {
            database: database.clone(),
            redis: redis.clone(),
        };
        return Ok((service::start(config, urls, Clock::System).await?, None));
    }
    let data = config.data.clone().unwrap_or_else(default_data_dir);
    let stores = Stores::start(Options::new(data)?).await?;
    let urls = StoreUrls {
        database: database.unwrap_or_else(|| stores.database_url().to_owned()),
        redis: redis.unwrap_or_else(|| stores.redis_url().to_owned()),
    };
    let service = service::start(config, urls, Clock::System).await?;
    Ok((service, Some(stores)))
}

/// What ends the service. Caught from the start, so that a signal during the start is not lost.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn catch() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {} _ = self.interrupt.recv() => {} }
    }
}

/// Serves until SIGTERM or Ctrl-C; a second one ends it hard.
pub(crate) async fn until_stopped(
    service: Service,
    stores: Option<Stores>,
    mut signals: Signals,
    unready: Duration,
) -> anyhow::Result<ExitCode> {
    signals.next().await;
    tracing::info!("stopping");
    service.refuse_new();
    let stop = async {
        tokio::time::sleep(unready).await;
        service.stop().await;
        if let Some(stores) = stores {
            stores.stop().await;
        }
    };
    tokio::select! {
        () = stop => Ok(ExitCode::SUCCESS),
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}
