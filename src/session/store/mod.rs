//! Dialogues between two calls: in Redis, or in the memory of this instance while Redis is away.
//!
//! A turn is claimed with a lease and a fencing token; its state and its receipt are written together, only while the
//! token still holds. A turn that only looks needs no claim: it is worked on with the dialogue as this instance has kept it
//! last, and is written only if that is what is kept there still. Everything here can be rebuilt from the aggregator's
//! transcript or from the resume point in Postgres, which also decides whether a turn has had its effect: two instances that
//! see different stores do no harm.

mod connection;
mod held;
mod identity;
mod memory;
mod receipts;
mod redis;
pub mod shared;
pub mod simulated;

use std::sync::Arc;
use std::time::Duration;

use ::redis::RedisError;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::error::Elapsed;

use self::held::Held;
use self::memory::MemoryStore;
use self::redis::RedisStore;
use self::shared::Shared;
use self::simulated::{Server, SimulatedStore};
use crate::breaker::{self, Breaker};
use crate::menu::files::Version;
use crate::menu::step::State;
use crate::phone::Msisdn;
use crate::session::packed;
use crate::simulate::link::Link;

/// How long a dialogue and its receipts are kept after its last call.
pub const SESSION_TTL: Duration = Duration::from_secs(10 * 60);
/// How long a claim holds before another instance may take the turn over; longer than any turn may take.
pub const LEASE: Duration = Duration::from_secs(5);
/// The most dialogues held as they were kept last: up to some 1,000 bytes each.
const HELD_MAX: usize = 1 << 14;
/// Few enough that they take each other's places.
const HELD_SIMULATED: usize = 4;
/// The most calls of one session.
pub const HOPS_MAX: i32 = 80;

pub use self::connection::Site;
pub use self::identity::Identity;
pub use self::receipts::{Receipt, Receipts};

/// Every dialogue.
#[derive(Clone)]
pub struct Store {
    far: Far,
    memory: Arc<MemoryStore>,
    held: Arc<Held>,
}

/// What the instances share.
#[derive(Clone)]
enum Far {
    Redis(RedisStore),
    Simulated(SimulatedStore),
}

macro_rules! far {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Far {
            $(async fn $name(&self, $($argument: $type),*) -> $answer {
                match self {
                    Far::Redis(store) => store.$name($($argument),*).await,
                    Far::Simulated(store) => store.$name($($argument),*).await,
                }
            })*
        }
    };
}

far! {
    open(key: &SessionKey, turn: &Identity, now: DateTime<Utc>) -> Result<Opened, StoreError>;
    commit(key: &SessionKey, token: i64, stamped: &[u8], begins: bool) -> Result<bool, StoreError>;
    release(key: &SessionKey, token: i64, unfinished: bool) -> Result<(), StoreError>;
    advance(key: &SessionKey, from: Option<i64>, stamped: &[u8]) -> Result<bool, StoreError>;
    close(key: &SessionKey) -> Result<bool, StoreError>;
    find_waiting(key: &SessionKey) -> Result<Option<Box<Dialogue>>, StoreError>;
    is_up() -> bool;
    claim_shared(name: &str) -> Result<Shared, StoreError>;
    put_shared(name: &str, token: u64, result: Option<&[u8]>, ttl: Duration) -> Result<(), StoreError>;
    forget_shared(name: &str, result: &[u8]) -> Result<(), StoreError>;
}

/// Redis is not there, too slow, or not understood.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Only the kind is told: the rest may quote what subscribers typed.
    #[error("Redis failed: {:?}", .0.kind())]
    Failed(#[from] RedisError),
    /// It did not answer in time.
    #[error("Redis is too slow")]
    Late(#[from] Elapsed),
    /// It is not asked.
    #[error(transparent)]
    Open(#[from] breaker::Open),
}

/// The name of a dialogue: nothing of the phone number can be read from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionKey(String);

impl SessionKey {
    /// A session id is unique per aggregator and phone number only; where the aggregator's is unique without, there is no number.
    pub fn new(aggregator: &str, session: &str, msisdn: Option<&Msisdn>) -> SessionKey {
        let mut hash = Sha256::new();
        for part in [aggregator, session, msisdn.map_or("", Msisdn::as_str)] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        SessionKey(format!(
            "session:{{{}}}",
            HEXLOWER.encode(&hash.finalize()[..16])
        ))
    }
}

impl SessionKey {
    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of a dialogue between two calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialogue {
    /// The code dialled, for calls that do not tell it.
    pub service_code: String,
    /// All answers so far, [`kept`](crate::ussd::transcript::kept).
    pub transcript: String,
    /// How many answers that is.
    pub position: i32,
    /// Which menus it is in.
    pub menus: Version,
    /// Where the menu stands; `None` after the last screen.
    pub state: Option<State>,
    /// When the last screen was shown, in milliseconds since 1970.
    pub shown_at: i64,
    /// The number of its last answer, where the aggregator numbers them.
    pub number: Option<u32>,
    /// Tells this dialogue from an earlier one under the same session id; empty where ids never come again.
    pub begun: String,
    /// Ids of the places that its caller looked for, the last one first, where that is known.
    pub places: Option<Vec<String>>,
    /// What its last turns were answered with.
    pub receipts: Receipts,
}

/// What a session is found to be when a call comes.
#[derive(Debug)]
pub enum Opened {
    /// This very turn was answered before.
    Answered(Receipt),
    /// Another call of this session is being worked on.
    Running,
    /// The aggregator said that the session is over.
    Closed,
    /// The turn is ours, under this fencing token. No dialogue: a new session, or one that was lost.
    Claimed {
        /// What the turn is committed by.
        token: Token,
        /// An earlier claim was not finished: what it did is unknown.
        unfinished: bool,
        /// What was kept.
        dialogue: Option<Box<Dialogue>>,
    },
}

/// A claim on a turn: no two of a session are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// In Redis.
    Redis(i64),
    /// In this instance.
    Memory(i64),
}

/// A dialogue as this instance has kept it last.
#[derive(Debug)]
pub struct Known {
    /// It.
    pub dialogue: Dialogue,
    /// What [`Store::advance`] tells it by from whatever was kept since.
    pub stamp: i64,
}

/// What a turn led to.
#[derive(Debug)]
pub struct TurnEnd {
    /// The dialogue after it, with its receipt.
    pub dialogue: Dialogue,
    /// Whether it is the dialogue's first turn. That its session was over goes then: short ids come again within minutes, and a
    /// phone number as an id with every dialogue.
    pub begins: bool,
}

impl Store {
    /// Connects when first used, and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`StoreError`] when a URL cannot be read.
    pub fn new(site: &Site) -> Result<Store, StoreError> {
        Ok(Store {
            far: Far::Redis(RedisStore::new(site)?),
            memory: Arc::default(),
            held: Arc::new(Held::new(HELD_MAX)),
        })
    }

    /// On a simulated Redis.
    pub fn simulated(server: Arc<Server>, link: Arc<Link>) -> Store {
        Store {
            far: Far::Simulated(SimulatedStore::new(server, link)),
            memory: Arc::default(),
            held: Arc::new(Held::new(HELD_SIMULATED)),
        }
    }

    /// Whether Redis is asked.
    pub fn breaker(&self) -> &Breaker {
        match &self.far {
            Far::Redis(store) => &store.breaker,
            Far::Simulated(store) => &store.breaker,
        }
    }

    /// Looks for the receipt of the turn, and claims the turn where there is none.
    pub async fn open(&self, key: &SessionKey, turn: &Identity, now: DateTime<Utc>) -> Opened {
        // What was said while Redis was away.
        if let Some(receipt) = self.memory.find_receipt(key, turn, now) {
            return Opened::Answered(receipt);
        }
        // What comes of it may be kept elsewhere.
        self.held.forget(key);
        match self.far.open(key, turn, now).await {
            Ok(Opened::Claimed {
                token,
                unfinished,
                dialogue,
            }) => Opened::Claimed {
                token,
                unfinished,
                dialogue: on_the_phone(dialogue, self.memory.dialogue(key)),
            },
            Ok(opened) => opened,
            Err(error) => {
                self.without_redis(&error);
                self.memory.open(key, turn, now)
            }
        }
    }

    /// Whether all that is known of the session is in Redis, as far as is known here.
    pub fn is_in_redis(&self, key: &SessionKey) -> bool {
        !self.breaker().is_open() && !self.memory.knows(key)
    }

    /// The dialogue of the session as this instance has kept it last.
    pub fn known(&self, key: &SessionKey) -> Option<Known> {
        self.held.find(key)
    }

    /// Writes what a turn without a claim led to, in one round trip. `from` is the [stamp](Known) of the dialogue that it was
    /// worked on with, `None` where it begins one. `false`: it is another now, is over, or somebody is at work on it; nothing
    /// was written.
    pub async fn advance(&self, key: &SessionKey, from: Option<i64>, end: TurnEnd) -> bool {
        let Some(stamped) = packed::write_stamped(&end.dialogue, rand::random()) else {
            return false;
        };
        let advanced = self.far.advance(key, from, &stamped).await;
        self.kept(advanced, key, end, stamped)
    }

    /// Writes what the turn led to. `false`: the claim had ended and another call owns the turn; nothing was written.
    pub async fn commit(&self, key: &SessionKey, token: Token, end: TurnEnd) -> bool {
        match token {
            Token::Memory(token) => self.memory.commit(key, token, end),
            Token::Redis(stamp) => {
                let Some(stamped) = packed::write_stamped(&end.dialogue, stamp) else {
                    self.release(key, token, false).await;
                    return true;
                };
                let committed = self.far.commit(key, stamp, &stamped, end.begins).await;
                self.kept(committed, key, end, stamped)
            }
        }
    }

    /// Whether the turn's end is kept, in memory where Redis could not take it.
    fn kept(
        &self,
        in_redis: Result<bool, StoreError>,
        key: &SessionKey,
        end: TurnEnd,
        stamped: Vec<u8>,
    ) -> bool {
        match in_redis {
            Ok(true) => {
                self.held.put(key, stamped);
                self.memory.forget(key);
                true
            }
            Ok(false) => {
                self.held.forget(key);
                false
            }
            Err(error) => {
                self.without_redis(&error);
                self.held.forget(key);
                self.memory.put(key, end);
                true
            }
        }
    }

    /// Lets a claim go without an answer, so that a retry need not wait for its lease to end. With `unfinished` the next
    /// claim is told that nobody knows what this one did.
    pub async fn release(&self, key: &SessionKey, token: Token, unfinished: bool) {
        match token {
            Token::Memory(token) => self.memory.release(key, token, unfinished),
            // If Redis is gone, the lease ends by itself.
            Token::Redis(token) => self
                .far
                .release(key, token, unfinished)
                .await
                .unwrap_or_default(),
        }
    }

    /// No later answer wakes the session up; its receipts stay. `false`: it is unknown, or was closed before.
    pub async fn close(&self, key: &SessionKey) -> bool {
        self.held.forget(key);
        match self.far.close(key).await {
            Ok(known) => self.memory.close(key, true) || known,
            Err(error) => {
                self.without_redis(&error);
                self.memory.close(key, false);
                true
            }
        }
    }

    /// Whether the session has a screen that waits for an answer.
    pub async fn is_live(&self, key: &SessionKey) -> bool {
        self.find_waiting(key).await.is_some()
    }

    /// The dialogue of the session, while a screen of it waits for an answer.
    pub async fn find_waiting(&self, key: &SessionKey) -> Option<Box<Dialogue>> {
        if let Some(known) = self.memory.find_waiting(key) {
            return known;
        }
        self.far.find_waiting(key).await.unwrap_or_else(|error| {
            self.without_redis(&error);
            None
        })
    }

    /// Whether Redis answers, and takes what is written.
    pub async fn is_up(&self) -> bool {
        self.far.is_up().await
    }

    fn without_redis(&self, error: &StoreError) {
        metrics::counter!("store_failures_total").increment(1);
        // An open breaker has been told of when it opened.
        if !matches!(error, StoreError::Open(_)) {
            tracing::warn!(%error, "a call is served without Redis");
        }
    }
}

/// Of what Redis and this instance keep of a dialogue: the one whose screen is on the phone. That is the one shown last, but of
/// two replies to the same call the one that came first. Of two dialogues that began apart under the same id nobody knows which.
fn on_the_phone(
    shared: Option<Box<Dialogue>>,
    here: Option<Box<Dialogue>>,
) -> Option<Box<Dialogue>> {
    match (shared, here) {
        (Some(shared), Some(here)) if shared.begun != here.begun => None,
        (Some(shared), Some(here)) => {
            let is_same_call = shared.transcript == here.transcript;
            let is_shared_last = shared.shown_at > here.shown_at;
            let (mut shown, other) = if is_shared_last == is_same_call {
                (here, shared)
            } else {
                (shared, here)
            };
            shown.receipts = shown.receipts.with(other.receipts);
            Some(shown)
        }
        (shared, here) => here.or(shared),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
