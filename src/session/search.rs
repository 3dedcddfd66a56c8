//! Availability searches: asked once for all who ask the same, in this instance and in the others, and remembered for when
//! the database is away. What is found is looked at again before it is sold.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::booking::offer::{Offer, Search};
use crate::db::DbError;
use crate::db::patience::{ASK_MAX, within};
use crate::menu::value::Value;
use crate::session::coalesce::{Coalesced, Coalescer};
use crate::session::records;

/// How long a result is shared before the database is asked again.
pub const SHARED_TTL: Duration = Duration::from_secs(2);
/// How long a result may still be shown, with its age, while the database is away.
const REMEMBERED_TTL: Duration = Duration::from_secs(60 * 60);
const SEARCHES_MAX: u64 = 10_000;
/// Offers of one search: three pages, the last with the option to get them by SMS.
const OFFERS_MAX: usize = 8;

/// What was found, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// When the database was asked.
    pub at: DateTime<Utc>,
    /// What was free then.
    pub offers: Vec<Offer>,
    #[serde(skip)]
    listed: OnceLock<Value>,
}

impl Found {
    /// The list of offers that a menu shows, made once for all who see it.
    pub fn listed(&self) -> Value {
        let list = || Value::list(self.offers.iter().take(OFFERS_MAX).map(records::offer));
        self.listed.get_or_init(list).clone()
    }
}

/// The searches of this instance.
pub struct Searches {
    database: String,
    now: Coalescer<Search, Arc<Found>>,
    remembered: Cache<Search, Arc<Found>>,
}

impl Searches {
    /// Shares with instances on the same database; `database` tells it from others on the same Redis and is not kept.
    pub fn new(database: &str) -> Searches {
        Searches {
            database: short_name(database.as_bytes()),
            now: Coalescer::new(SHARED_TTL, SEARCHES_MAX),
            remembered: Cache::builder()
                .time_to_live(REMEMBERED_TTL)
                .max_capacity(SEARCHES_MAX)
                .build(),
        }
    }

    /// What tells the database from others on the same Redis.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// What is free now, or was within [`SHARED_TTL`].
    ///
    /// # Errors
    /// [`DbError`], shared by all who waited; the next one asks again.
    pub async fn find(
        &self,
        app: &Arc<App>,
        wanted: Search,
    ) -> Result<Arc<Found>, Coalesced<DbError>> {
        let (app, query) = (app.clone(), wanted.clone());
        let found = self
            .now
            .get(wanted, async move { shared(&app, query).await });
        found.await
    }

    /// What was free when it was last asked, not longer ago than an hour.
    pub async fn remembered(&self, wanted: &Search) -> Option<Arc<Found>> {
        self.remembered.get(wanted).await
    }
}

/// Another instance's result, or our own for all.
async fn shared(app: &App, wanted: Search) -> Result<Arc<Found>, DbError> {
    let wanted_json = serde_json::to_vec(&wanted).unwrap_or_default();
    // The same for the same search on every instance.
    let name = format!(
        "search:{}:{{{}}}",
        app.searches.database,
        short_name(&wanted_json)
    );
    let read = |stored: &[u8]| {
        // `None`: written by another version.
        let found = serde_json::from_slice::<Found>(stored).ok()?;
        metrics::counter!("searches_shared_total").increment(1);
        Some(found)
    };
    let write = |found: &Found| serde_json::to_vec(found).ok();
    let ask = asked(app, &wanted);
    let found = app.store.share(&name, SHARED_TTL, read, write, ask).await?;
    Ok(remember(app, wanted, found).await)
}

async fn asked(app: &App, wanted: &Search) -> Result<Found, DbError> {
    let at = app.clock.now();
    metrics::counter!("searches_total").increment(1);
    let offers = within(&app.postgres, ASK_MAX, app.books.search_offers(wanted));
    Ok(Found {
        at,
        offers: offers.await?,
        listed: OnceLock::new(),
    })
}

async fn remember(app: &App, wanted: Search, found: Found) -> Arc<Found> {
    let found = Arc::new(found);
    app.searches.remembered.insert(wanted, found.clone()).await;
    found
}

/// A short name for any bytes: half of their SHA-256.
pub fn short_name(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}
