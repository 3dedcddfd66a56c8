//! Which menus are spoken: dialogues begin in the current version and stay in theirs until they end, on any instance.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use moka::future::Cache;
use serde::Serialize;

use crate::books::Books;
use crate::db::sms_sessions::DIALOGUE_TTL;
use crate::db::{DbError, guests};
use crate::menu::door::Door;
use crate::menu::files::{MenuError, Sources, Version};
use crate::menu::value::Values;
use crate::menu::{Menu, Menus};
use crate::session::store::SESSION_TTL;

/// How long a version is kept after it was last in use: nobody can be in it any more, or come back to it by a draft.
pub const KEPT: Duration = Duration::from_secs(
    DIALOGUE_TTL.as_secs() + SESSION_TTL.as_secs() + guests::DRAFT_AGE_MAX.as_secs(),
);
/// The most earlier versions in memory; one more is read from the database again.
const EARLIER_MAX: u64 = 16;

/// The versions of the menus that this instance knows.
pub struct LiveMenus {
    /// What every version has to fit behind.
    doors: Vec<Door>,
    current: ArcSwap<Current>,
    earlier: Cache<Version, Arc<Menus>>,
    refusal: ArcSwapOption<Refusal>,
}

/// What new dialogues begin in.
pub struct Current {
    /// Ready to be spoken.
    pub menus: Arc<Menus>,
    /// As written, for other instances.
    pub sources: Sources,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Files that did not go live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When they were read.
    pub at: DateTime<Utc>,
    /// The findings, drawn, with file, line and column.
    pub why: String,
}

impl LiveMenus {
    /// Speaks these.
    ///
    /// # Errors
    /// [`MenuError`] with everything that is wrong with them.
    pub fn new(
        sources: Sources,
        doors: Vec<Door>,
        now: DateTime<Utc>,
    ) -> Result<LiveMenus, MenuError> {
        Ok(LiveMenus {
            current: ArcSwap::from_pointee(Current {
                menus: Arc::new(sources.load(&doors)?),
                sources,
                since: now,
            }),
            doors,
            earlier: Cache::builder()
                .time_to_idle(KEPT)
                .max_capacity(EARLIER_MAX)
                .build(),
            refusal: ArcSwapOption::empty(),
        })
    }

    /// The same current version for another instance.
    pub fn twin(&self) -> LiveMenus {
        LiveMenus {
            doors: self.doors.clone(),
            current: ArcSwap::new(self.current_files()),
            earlier: Cache::new(EARLIER_MAX),
            refusal: ArcSwapOption::empty(),
        }
    }

    /// What new dialogues begin in. No lock, no I/O.
    pub fn current(&self) -> Arc<Menus> {
        self.current.load().menus.clone()
    }

    /// The same with its files.
    pub fn current_files(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The menus of a version, from the database where this instance has not met it. `None`: it is not kept any more,
    /// or this program refuses it.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn find(
        &self,
        version: &Version,
        books: &Books,
    ) -> Result<Option<Arc<Menus>>, DbError> {
        let current = self.current();
        if current.version == *version {
            return Ok(Some(current));
        }
        if let Some(earlier) = self.earlier.get(version).await {
            return Ok(Some(earlier));
        }
        let Some(sources) = books.find_menus(version).await? else {
            lost(version, &"it is not kept any more");
            return Ok(None);
        };
        let doors = self.doors.clone();
        let load = async {
            tokio::task::spawn_blocking(move || sources.load(&doors).map(Arc::new))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        };
        let loaded = self.earlier.try_get_with(version.clone(), load).await;
        Ok(loaded.inspect_err(|why| lost(version, why)).ok())
    }

    /// From now on dialogues begin in these; those under way stay in the ones before.
    pub async fn replace(&self, sources: Sources, menus: Menus, now: DateTime<Utc>) {
        let before = self.current.swap(Arc::new(Current {
            menus: Arc::new(menus),
            sources,
            since: now,
        }));
        self.earlier
            .insert(before.menus.version.clone(), before.menus.clone())
            .await;
        self.refusal.store(None);
    }

    /// The files that wait to be mended.
    pub fn refusal(&self) -> Option<Arc<Refusal>> {
        self.refusal.load_full()
    }

    /// Notes that files were refused, or (`None`) that the files are the current ones again.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.refusal.store(refusal.map(Arc::new));
    }

    /// Every earlier version that was spoken of late, in no order.
    pub fn earlier(&self) -> Vec<Version> {
        self.earlier
            .iter()
            .map(|(version, _)| Version::clone(&version))
            .collect()
    }
}

/// The menus that a dialogue is in, and what any of their texts can show.
pub(super) struct Spoken {
    pub(super) menus: Arc<Menus>,
    pub(super) given: Arc<Values>,
}

impl Spoken {
    pub(super) fn menu(&self) -> &Menu {
        &self.menus.menu
    }
}

fn lost(version: &Version, why: &dyn std::fmt::Display) {
    metrics::counter!("menu_versions_lost_total").increment(1);
    tracing::warn!(version = version.as_str(), %why, "a dialogue loses the menus that it began in");
}
