//! Everything in a run, and the instances that come and go.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::Instant;

use super::gateway::{Gateway, Line};
use super::law::Law;
use super::link::Link;
use super::scene;
use crate::app::{App, Clock, Stores};
use crate::books::Books;
use crate::books::memory::{Ledger, MemoryBooks};
use crate::chance::Chance;
use crate::config::Config;
use crate::db::pool::{PoolSettings, pool};
use crate::doors::Doors;
use crate::jobs;
use crate::menu::files::Sources;
use crate::session::menus::LiveMenus;
use crate::session::search::Searches;
use crate::session::store::Store;
use crate::session::store::simulated::Server;
use crate::sms::Carrier;
use crate::sms::route::Routes;

const CONFIG: &str = "\
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
limits: { calls_per_minute: 0, dialogues_per_10_minutes: 0, block_dialogues_per_minute: 0, same_key_ms: 300 }
payments: { sandbox: true }
";
/// Nobody is there: what a run asks for goes by the port.
const NO_DATABASE: &str = "host=/nowhere user=nobody dbname=none";

/// What all runs of a process share, which is costly to make and never changes.
struct Common {
    menus: LiveMenus,
    http: reqwest::Client,
}

static COMMON: LazyLock<Result<Common, String>> = LazyLock::new(|| {
    let make = || -> anyhow::Result<Common> {
        crate::service::install_tls();
        let doors = Doors::new(&[]).kinds();
        Ok(Common {
            menus: LiveMenus::new(Sources::read(None)?, doors, scene::noon())?,
            http: crate::sms::http_builder().build()?,
        })
    };
    make().map_err(|error| format!("{error:#}"))
});

/// One run.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) clock: Clock,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) redis: Arc<Server>,
    pub(super) gateway: Arc<Gateway>,
    instances: Mutex<Vec<Arc<Instance>>>,
    start: Instant,
    told: Mutex<Vec<String>>,
    law: Mutex<Law>,
}

/// One process of the service.
pub(super) struct Instance {
    pub(super) number: usize,
    pub(super) app: Arc<App>,
    pub(super) to_books: Arc<Link>,
    pub(super) to_redis: Arc<Link>,
    pub(super) to_gateway: Arc<Link>,
    _stop: watch::Sender<bool>,
}

impl Instance {
    pub(super) fn is_dead(&self) -> bool {
        self.to_books.is_dead()
    }

    pub(super) fn links(&self) -> [&Arc<Link>; 3] {
        [&self.to_books, &self.to_redis, &self.to_gateway]
    }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let chance = Chance::seeded(seed);
        World {
            clock: Clock::Running {
                from: scene::noon(),
                start: Instant::now(),
            },
            ledger: Arc::new(Mutex::new(scene::ledger(&chance))),
            redis: Arc::default(),
            gateway: Arc::new(Gateway::new(chance.clone())),
            instances: Mutex::default(),
            start: Instant::now(),
            told: Mutex::default(),
            law: Mutex::default(),
            chance,
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(super) fn law(&self) -> MutexGuard<'_, Law> {
        lock(&self.law)
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: usize) -> usize {
        let drawn = self.chance.number(0.0..1.0) * end as f64;
        (drawn as usize).min(end.saturating_sub(1))
    }

    /// Whether something happens that happens so many times of a hundred.
    pub(super) fn happens(&self, percent: f64) -> bool {
        self.chance.number(0.0..100.0) < percent
    }

    /// Adds a line to the story.
    pub(super) fn tell(&self, line: impl std::fmt::Display) {
        let at = self.start.elapsed().as_secs_f64();
        lock(&self.told).push(format!("{at:9.3} {line}"));
    }

    pub(super) fn take_story(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.told))
    }

    /// Those that live, the oldest first.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        lock(&self.instances).clone()
    }

    /// One more instance, with its jobs.
    pub(super) async fn start_instance(&self) -> anyhow::Result<Arc<Instance>> {
        let common = COMMON.as_ref().map_err(anyhow::Error::msg)?;
        let config = Config::parse(CONFIG, "simulate", HashMap::new()).context("settings")?;
        let link = || Arc::new(Link::new(self.chance.clone()));
        let (to_books, to_redis, to_gateway) = (link(), link(), link());
        let books = Books::Memory(MemoryBooks::new(
            self.ledger.clone(),
            to_books.clone(),
            self.clock,
            self.chance.clone(),
        ));
        let line = Line::new(self.gateway.clone(), to_gateway.clone());
        let worker = jobs::outbox::Worker::new(
            books.clone(),
            common.http.clone(),
            Routes::one(Carrier::Simulated(line), None),
            self.chance.clone(),
        );
        let stores = Stores {
            pool: pool(NO_DATABASE, &PoolSettings::default())?,
            books: books.clone(),
            sessions: Store::simulated(self.redis.clone(), to_redis.clone()),
            searches: Searches::new("simulated"),
            spool: None,
        };
        let app = Arc::new(App::new(
            config,
            common.menus.twin(),
            stores,
            worker.hint(),
            self.clock,
            self.chance.clone(),
        ));
        app.load_places().await?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(worker.run(stopped.clone()));
        tokio::spawn(jobs::holds::run(books, stopped.clone()));
        tokio::spawn(jobs::probes::run(app.clone(), stopped.clone()));
        tokio::spawn({
            let app = app.clone();
            async move { app.keeper.run(&app.books, stopped).await }
        });
        let mut instances = lock(&self.instances);
        let number = instances.last().map_or(0, |last| last.number + 1);
        let instance = Arc::new(Instance {
            number,
            app,
            to_books,
            to_redis,
            to_gateway,
            _stop: stop,
        });
        instances.push(instance.clone());
        Ok(instance)
    }

    /// An instance is no more: what it was doing gets nowhere, and what it alone knew is lost.
    pub(super) fn kill(&self, victim: &Arc<Instance>) {
        for link in victim.links() {
            link.die();
        }
        lock(&self.instances).retain(|instance| !Arc::ptr_eq(instance, victim));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
