//! Starting and stopping: stores, schema, jobs, the two listeners.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use actix_web::{App as HttpApp, HttpServer};
use anyhow::Context;
use chrono::NaiveDate;
use deadpool_postgres::{Client, Pool};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::api::Api;
use crate::api::keys::{self, Key};
use crate::app::{App, Clock, Stores};
use crate::books::Books;
use crate::cashier::Cashier;
use crate::chance::Chance;
use crate::config::Config;
use crate::connections::Connections;
use crate::db::api_keys;
use crate::db::inventory::{self, Files};
use crate::db::menu_versions;
use crate::db::migrate::migrate;
use crate::db::outbox;
use crate::db::partitions::{MONTHS_AHEAD, ensure_months, fill_nights};
use crate::db::pool::{BadPool, PoolSettings, Statements, list_unset, pool, session_sql};
use crate::doors::Doors;
use crate::health::Readiness;
use crate::menu::files::{self, Sources};
use crate::phone::Msisdn;
use crate::session::menus::LiveMenus;
use crate::session::search::Searches;
use crate::session::store::Store;
use crate::simulator::{self, InboxSms, Line, QuickStart, Simulator};
use crate::spool::Spool;
use crate::{jobs, routes, sms};

/// How long a client may take to send a request's head, and how long an idle connection is kept.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long calls in flight may take to end when the service stops.
const DRAIN_MAX_SECONDS: u64 = 10;
/// The wait between two tries to prepare a database that is not there yet.
const PREPARE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// SMS of one subscriber that the simulator shows.
const INBOX_MAX: usize = 50;
/// Threads that answer aggregators.
pub const PUBLIC_WORKERS: usize = 2;

/// Where the stores are.
pub struct StoreUrls {
    /// Postgres.
    pub database: String,
    /// Redis, where the configuration does not name Sentinels or a cluster.
    pub redis: String,
}

/// A running service.
pub struct Service {
    /// Where aggregators reach it.
    pub public: SocketAddr,
    /// Where the operator reaches it.
    pub private: SocketAddr,
    /// Its parts.
    pub app: Arc<App>,
    readiness: Arc<Readiness>,
    listeners: [(ServerHandle, JoinHandle<std::io::Result<()>>); 2],
    jobs: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Starts everything. A database that is not there does not keep it from starting: callers are told so until it comes.
///
/// # Errors
/// A menu with findings, an address that is taken, a URL that cannot be read.
pub async fn start(config: Config, urls: StoreUrls, clock: Clock) -> anyhow::Result<Service> {
    install_tls();
    let doors = Doors::new(&config.screens);
    let menus = Sources::read(config.menus.as_deref())
        .and_then(|sources| LiveMenus::new(sources, doors.kinds(), clock.now()))
        .context("the menus cannot go live")?;
    let pool = pool(
        &urls.database,
        &PoolSettings {
            connections_max: config.database.pool,
            statements: config.database.statements,
            ..PoolSettings::default()
        },
    )?;
    let sessions = Store::new(&config.redis.site(&urls.redis)).context("redis")?;
    let searches = Searches::new(&urls.database);
    let in_data = config.data.as_ref().map(|data| data.join("spool"));
    let spool = match config.spool.clone().or(in_data) {
        Some(folder) => Some(
            Spool::open(&folder)
                .with_context(|| format!("spool: {} cannot be used", folder.display()))?,
        ),
        None => None,
    };
    let cold_store = config.archive.store(config.data.as_deref());
    let cold_store = cold_store.context("archive: old months have nowhere to go")?;
    let http = sms::http_builder()
        .build()
        .context("the HTTP client for SMS providers")?;
    let books = Books::postgres(
        pool.clone(),
        config.database.isolation,
        config.database.lanes,
    );
    let links = config.links();
    let routes = config.routes(&links);
    let chance = Chance::default();
    let worker = jobs::outbox::Worker::new(books.clone(), http.clone(), routes, chance.clone());
    let mut app = App::new(
        config,
        menus,
        Stores {
            pool: pool.clone(),
            books: books.clone(),
            sessions,
            searches,
            spool,
        },
        worker.hint(),
        clock,
        chance,
    );
    app.links = links;
    app.sms = worker.routes();
    let app = Arc::new(app);
    let (stop, stopped) = watch::channel(false);
    let mut jobs = JoinSet::new();
    if let Err(error) = prepare(&app).await {
        tracing::error!(
            error = format!("{error:#}"),
            "the database is not ready yet"
        );
        jobs.spawn(prepare_again(app.clone(), stopped.clone()));
    }
    if !app.store.is_up().await {
        tracing::error!("Redis is not there yet");
    }
    let cashier = Arc::new(Cashier::new(app.clone(), &http));
    let api = Arc::new(Api::new(app.clone()));
    jobs.spawn(jobs::payments::run(
        cashier.clone(),
        pool.clone(),
        stopped.clone(),
    ));
    jobs.spawn(jobs::payments::probe(cashier.clone(), stopped.clone()));
    jobs.spawn(worker.run(stopped.clone()));
    for link in app.links.values() {
        jobs.spawn(link.clone().run(app.clone(), stopped.clone()));
    }
    jobs.spawn(jobs::sms::run(app.clone(), http, stopped.clone()));
    jobs.spawn(jobs::holds::run(books, stopped.clone()));
    jobs.spawn(jobs::bursts::run(pool.clone(), stopped.clone()));
    jobs.spawn(jobs::waitlist::run(app.clone(), stopped.clone()));
    jobs.spawn(jobs::stays::run(pool.clone(), clock, stopped.clone()));
    jobs.spawn(jobs::reminders::run(app.clone(), stopped.clone()));
    let zone = app.config.home().time_zone;
    jobs.spawn(jobs::audit::run(pool.clone(), clock, zone, stopped.clone()));
    jobs.spawn(jobs::api::run(api.clone(), stopped.clone()));
    jobs.spawn(jobs::partitions::run(pool.clone(), clock, stopped.clone()));
    if let Some(store) = cold_store {
        jobs.spawn(jobs::archive::run(
            direct_pool(&app)?,
            store,
            app.config.archive.keep_months,
            clock,
            stopped.clone(),
        ));
    }
    jobs.spawn(jobs::places::run(app.clone(), stopped.clone()));
    jobs.spawn(jobs::erasures::run(pool.clone(), stopped.clone()));
    jobs.spawn(jobs::menus::run(app.clone(), stopped.clone()));
    jobs.spawn(jobs::funnel::run(app.clone(), stopped.clone()));
    jobs.spawn(jobs::probes::run(app.clone(), stopped.clone()));
    jobs.spawn(jobs::metrics::run(metrics_handle(), stopped.clone()));
    jobs.spawn(jobs::spool::run(app.clone(), stopped.clone()));
    jobs.spawn({
        let app = app.clone();
        async move { app.keeper.run(&app.books, stopped).await }
    });
    listen(app, cashier, api, jobs, stop)
}

fn listen(
    app: Arc<App>,
    cashier: Arc<Cashier>,
    api: Arc<Api>,
    jobs: JoinSet<()>,
    stop: watch::Sender<bool>,
) -> anyhow::Result<Service> {
    let readiness = Arc::new(Readiness::default());
    let (data, cashier) = (Data::from(app.clone()), Data::from(cashier));
    let connections = Arc::new(Connections::new(
        app.config.limits.connections_per_address,
        &app.config.trusted_proxies,
    ));
    let public = {
        let (data, cashier, api) = (data.clone(), cashier.clone(), Data::from(api));
        HttpServer::new(move || {
            HttpApp::new()
                .app_data(data.clone())
                .app_data(cashier.clone())
                .app_data(api.clone())
                .configure(|cfg| routes::public(cfg, &api.app.config.api.origins))
        })
        .on_connect(move |connection, data| connections.meet(connection, data))
        .workers(PUBLIC_WORKERS)
        .keep_alive(IDLE_MAX)
        .client_request_timeout(HEAD_TIME_MAX)
        .shutdown_timeout(DRAIN_MAX_SECONDS)
        .disable_signals()
        .bind(app.config.public)
        .with_context(|| format!("public: {} cannot be listened on", app.config.public))?
    };
    let public_address = public.addrs()[0];
    let private = {
        let (ready, metrics) = (Data::from(readiness.clone()), Data::new(metrics_handle()));
        let simulator = if app.config.simulator() {
            Some(Data::new(simulator(&app, public_address)?))
        } else {
            None
        };
        HttpServer::new(move || {
            let http = HttpApp::new()
                .app_data(data.clone())
                .app_data(cashier.clone())
                .app_data(ready.clone())
                .app_data(metrics.clone())
                .configure(routes::private);
            match simulator.clone() {
                Some(simulator) => http.app_data(simulator).configure(routes::simulator),
                None => http,
            }
        })
        .workers(1)
        .client_request_timeout(HEAD_TIME_MAX)
        .shutdown_timeout(1)
        .disable_signals()
        .bind(app.config.private)
        .with_context(|| format!("private: {} cannot be listened on", app.config.private))?
    };
    let private_address = private.addrs()[0];
    let (public, private) = (public.run(), private.run());
    let listeners = [
        (public.handle(), tokio::spawn(public)),
        (private.handle(), tokio::spawn(private)),
    ];
    tracing::info!(public = %public_address, private = %private_address, "listening");
    Ok(Service {
        public: public_address,
        private: private_address,
        app,
        readiness,
        listeners,
        jobs,
        stop,
    })
}

impl Service {
    /// From now on the service says that it is not ready, and goes on answering.
    pub fn refuse_new(&self) {
        self.readiness.end();
    }

    /// Finishes the calls in flight and the jobs, and writes what is still to be remembered.
    pub async fn stop(mut self) {
        self.refuse_new();
        for (handle, served) in self.listeners {
            handle.stop(true).await;
            if let Ok(Err(error)) = served.await {
                tracing::error!(%error, "a listener ended badly");
            }
        }
        self.stop.send_replace(true);
        while self.jobs.join_next().await.is_some() {}
        self.app.pool.close();
    }
}

/// Brings the schema and the calendar up to date and reads the places.
///
/// # Errors
/// Whatever keeps the database from being used.
pub async fn prepare(app: &App) -> anyhow::Result<()> {
    let settings = &app.config.database;
    let mut client = direct_pool(app)?.get().await?;
    for name in migrate(&client).await? {
        tracing::info!(name, "migrated");
    }
    let today = app.clock.now().date_naive();
    ensure_months(&mut client, today, MONTHS_AHEAD).await?;
    if app.config.sample {
        load_sample(&mut client, today).await?;
        api_keys::insert_key(&client, &Key::demo(), &keys::hash("demo"), None).await?;
    }
    fill_nights(&mut client, today).await?;
    menu_versions::save(&client, &app.menus.current_files().sources).await?;
    drop(client);
    if settings.statements == Statements::Unnamed {
        let unset = list_unset(&app.pool).await?;
        anyhow::ensure!(
            unset.is_empty(),
            "the pooler does not set {}: its database needs connect_query = \"{}\"",
            unset.join(", "),
            session_sql().replace('\'', "''")
        );
    }
    app.load_places().await?;
    Ok(())
}

/// The database itself, past any pooler.
fn direct_pool(app: &App) -> Result<Pool, BadPool> {
    match &app.config.database.direct_url {
        Some(url) => pool(url.expose_secret(), &PoolSettings::default()),
        None => Ok(app.pool.clone()),
    }
}

/// The sample is loaded once; what a visitor changed since stays.
async fn load_sample(client: &mut Client, today: NaiveDate) -> anyhow::Result<()> {
    let row = client
        .query_one("select not exists (select from property) as empty", &[])
        .await?;
    if row.try_get("empty")? {
        let (places, properties) = (files::sample("places.csv"), files::sample("properties.csv"));
        let files = Files {
            places: places.as_deref(),
            properties: properties.as_deref(),
            nights: None,
        };
        inventory::import(client, files, today).await?;
    }
    Ok(())
}

async fn prepare_again(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(PREPARE_AGAIN_AFTER) => {}
        }
        match prepare(&app).await {
            Ok(()) => return tracing::info!("the database is ready"),
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the database is not ready yet"
            ),
        }
    }
}

fn simulator(app: &Arc<App>, public: SocketAddr) -> anyhow::Result<Simulator> {
    let lines = app
        .config
        .aggregators
        .iter()
        .filter_map(|(name, aggregator)| {
            let token = aggregator.tokens.first()?.expose_secret().to_owned();
            simulator::gateway::find(name).map(|_| Line {
                aggregator: name.clone(),
                token,
            })
        });
    let pool = app.pool.clone();
    let code = app.service_code().to_owned();
    // What is dialled ahead begins anew, also for a number that could go on where it broke off.
    let booking = code.replace('#', "*1#");
    let quick_start = |label: &str, dialled: &str, answers: &[&str]| QuickStart {
        label: label.to_owned(),
        dialled: dialled.to_owned(),
        answers: answers.iter().map(|answer| (*answer).to_owned()).collect(),
    };
    Ok(Simulator {
        public: format!("http://{}", reachable(public)),
        lines: lines.collect(),
        service_codes: app.config.service_codes.clone(),
        short_code: "22384".to_owned(),
        quick_starts: vec![
            quick_start("Dial", &code, &[]),
            quick_start("Rooms in Nakuru", &booking, &["Nakuru", "2", "1", "2"]),
            quick_start("My booking", &code.replace('#', "*2#"), &[]),
        ],
        client: simulator::phone::client()?,
        inbox: Box::new(move |msisdn| {
            let pool = pool.clone();
            Box::pin(async move { Ok(inbox(&pool, &msisdn).await?) })
        }),
    })
}

async fn inbox(
    pool: &deadpool_postgres::Pool,
    msisdn: &Msisdn,
) -> Result<Vec<InboxSms>, crate::db::DbError> {
    let sent = outbox::list_sent(&pool.get().await?, "sandbox", msisdn, INBOX_MAX).await?;
    Ok(sent
        .into_iter()
        .map(|sms| InboxSms {
            at: sms.at,
            text: sms.text,
            status: sms.status,
            kind: sms.kind,
        })
        .collect())
}

/// An address that a program on this machine can connect to.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    }
}

fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("metrics go to another recorder");
            }
            handle
        })
        .clone()
}

/// One TLS implementation for the whole process; a second call changes nothing.
pub fn install_tls() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}
