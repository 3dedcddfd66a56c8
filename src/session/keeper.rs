//! What is remembered of callers between sessions: language, name, places, and what they were doing. Written behind
//! the reply, the newest of each caller only; what is not written yet is read from here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::books::Books;
use crate::db::DbError;
use crate::db::guests::{self, Remembered};
use crate::menu::files::Version;
use crate::menu::step::State;
use crate::phone::Msisdn;
use crate::session::packed;
use crate::session::store::SessionKey;

/// The most callers waiting to be written; over it the newest are forgotten.
const PENDING_MAX: usize = 20_000;
/// The most callers written together.
const TOGETHER_MAX: usize = 32;
/// How long what is new of a caller waits for more of the same: nobody dials again sooner.
pub const REST: Duration = Duration::from_millis(500);
/// How often is looked for callers who have waited so long: little at a time, so that no call waits for all of them.
const PAUSE: Duration = Duration::from_millis(50);
/// The wait before writing again after the database has failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What to remember of one caller. Absent: as it was.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Chosen by the caller.
    pub language: Option<String>,
    /// Given by the caller.
    pub name: Option<String>,
    /// Ids of the places looked for, the last one first.
    pub places: Vec<String>,
    /// What to offer when the caller dials again soon.
    pub draft: Draft,
}

impl Memory {
    /// What a dialogue tells of its caller; `with_stay`: also name and place.
    pub fn of(state: &State, with_stay: bool) -> Memory {
        let text = |name: &str, field: Option<&str>| {
            let value = state.values.get(name).filter(|_| with_stay)?;
            let text = field
                .map_or(Some(value), |field| value.field(field))?
                .as_text()?;
            Some(text.to_owned())
        };
        Memory {
            language: Some(state.language.clone()),
            name: text("name", None).filter(|_| !state.values.contains_key("friend")),
            places: text("place", Some("id")).into_iter().collect(),
            draft: Draft::Keep,
        }
    }
}

/// What becomes of the offer to go on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Draft {
    /// It stays as it is.
    #[default]
    Keep,
    /// This is offered.
    Save(Box<Resume>),
    /// Nothing is offered any more; what was kept still serves its own session.
    Close,
}

/// A place to go on from: offered when its caller dials again soon, and used by its own session when Redis lost it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Which session got here.
    pub session: SessionKey,
    /// Which dialogue under the session's id; empty where ids never come again.
    pub begun: String,
    /// All its answers so far, [`kept`](crate::ussd::transcript::kept).
    pub transcript: String,
    /// Which menus it is in.
    pub menus: Version,
    /// Where the menu stands.
    pub state: State,
    /// Whether the dialogue has ended since: it is not offered then. Kept beside the rest, to be changed alone.
    #[serde(skip)]
    pub over: bool,
}

impl Resume {
    /// As it is kept.
    pub fn draft(&self) -> Option<guests::Draft> {
        Some(guests::Draft {
            session: self.session.as_str().to_owned(),
            is_over: self.over,
            dialogue: packed::write(self)?,
        })
    }

    /// From what was kept; `None` when another version did.
    pub fn read(draft: &guests::Draft) -> Option<Resume> {
        let resume: Resume = packed::read(&draft.dialogue)?;
        Some(Resume {
            over: draft.is_over,
            ..resume
        })
    }
}

#[derive(Clone)]
struct Waiting {
    /// Shared with whoever is writing it: what is still the same afterwards is written.
    memory: Arc<Memory>,
    due: Instant,
}

/// Callers waiting to be written.
#[derive(Default)]
pub struct Keeper {
    pending: Mutex<BTreeMap<Msisdn, Waiting>>,
    wake: Notify,
}

impl Keeper {
    /// Remembers `newer` of a caller, over what is waiting already, and writes it after `rest`.
    pub fn remember(&self, msisdn: &Msisdn, newer: Memory, rest: Duration) {
        if newer == Memory::default() {
            return;
        }
        let mut pending = self.lock();
        if pending.len() >= PENDING_MAX && !pending.contains_key(msisdn) {
            metrics::counter!("guest_memories_dropped_total").increment(1);
            return;
        }
        let due = Instant::now() + rest;
        let new = || Waiting {
            memory: Arc::default(),
            due,
        };
        let waiting = pending.entry(msisdn.clone()).or_insert_with(new);
        waiting.due = waiting.due.min(due);
        let memory = Arc::make_mut(&mut waiting.memory);
        memory.language = newer.language.or(memory.language.take());
        memory.name = newer.name.or(memory.name.take());
        memory.places = last_places(newer.places, std::mem::take(&mut memory.places));
        match (newer.draft, &mut memory.draft) {
            (Draft::Keep, _) => {}
            (Draft::Close, Draft::Save(resume)) => resume.over = true,
            (newer, draft) => *draft = newer,
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// What is not written yet of a caller.
    pub fn pending(&self, msisdn: &Msisdn) -> Memory {
        let waiting = self.lock().get(msisdn).cloned();
        let memory = waiting.map(|waiting| waiting.memory);
        memory.map(Arc::unwrap_or_clone).unwrap_or_default()
    }

    /// Writes until `stop`, then what is left.
    pub async fn run(&self, books: &Books, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.wake.notified() => {}
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
            if let Err(error) = self.flush(books, Instant::now()).await {
                tracing::warn!(%error, "callers are not remembered yet");
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    _ = stop.wait_for(|stop| *stop) => break,
                }
            }
            if !self.lock().is_empty() {
                self.wake.notify_one();
            }
        }
        if let Err(error) = self.flush(books, Instant::now() + REST).await {
            tracing::warn!(%error, "some callers are not remembered");
        }
    }

    /// Writes those who are due by then.
    async fn flush(&self, books: &Books, by: Instant) -> Result<(), DbError> {
        let waiting: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, waiting)| waiting.due <= by)
            .map(|(msisdn, waiting)| (msisdn.clone(), waiting.memory.clone()))
            .collect();
        for together in waiting.chunks(TOGETHER_MAX) {
            write(books, together).await?;
            let mut pending = self.lock();
            for (msisdn, memory) in together {
                if pending
                    .get(msisdn)
                    .is_some_and(|now| Arc::ptr_eq(&now.memory, memory))
                {
                    pending.remove(msisdn);
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Msisdn, Waiting>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newer before the older, each once, as many as are kept.
pub fn last_places(newer: Vec<String>, older: Vec<String>) -> Vec<String> {
    let mut places = newer;
    for place in older {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.truncate(guests::RECENT_PLACES_MAX.unsigned_abs() as usize);
    places
}

/// One caller that the database refuses is forgotten, and keeps none of the others from being remembered.
async fn write(books: &Books, callers: &[(Msisdn, Arc<Memory>)]) -> Result<(), DbError> {
    let rows: Vec<_> = callers.iter().map(row).collect();
    match books.remember(&rows).await {
        Err(DbError::Refused(_)) => {}
        result => return result,
    }
    for row in rows {
        match books.remember(&[row]).await {
            Err(DbError::Refused(error)) => {
                tracing::error!(
                    error = &*error as &dyn std::error::Error,
                    "a caller cannot be remembered"
                );
                metrics::counter!("guest_memories_dropped_total").increment(1);
            }
            result => result?,
        }
    }
    Ok(())
}

fn row((msisdn, memory): &(Msisdn, Arc<Memory>)) -> Remembered<'_> {
    Remembered {
        msisdn: msisdn.as_str(),
        language: memory.language.as_deref(),
        name: memory.name.as_deref(),
        places: &memory.places,
        draft: match &memory.draft {
            Draft::Save(resume) => resume.draft(),
            Draft::Keep | Draft::Close => None,
        },
        closes: memory.draft == Draft::Close,
    }
}
