//! Dialogues between two calls: in Redis, or in the memory of this instance while Redis is away.
//!
//! A turn is claimed with a lease and a fencing token; its state and its receipt are written together, only while the
//! token still holds. A turn that only looks needs no claim: it is worked on with the dialogue as this instance has kept it
//! last, and is written only if that is what is kept there still. Everything here can be rebuilt from the aggregator's
//! transcript or from the resume point in Postgres, which also decides whether a turn has had its effect: two instances that
//! see different stores do no harm.

mod connection;
mod held;
mod memory;
mod redis;
pub mod shared;
pub mod simulated;

use std::sync::Arc;
use std::time::Duration;

use ::redis::RedisError;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::error::Elapsed;

use self::held::{Held, stamped};
use self::memory::MemoryStore;
use self::redis::RedisStore;
use self::shared::Shared;
use self::simulated::{Server, SimulatedStore};
use crate::breaker::{self, Breaker};
use crate::menu::files::Version;
use crate::menu::step::State;
use crate::phone::Msisdn;
use crate::simulate::link::Link;
use crate::ussd::transcript::kept;

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
    open(key: &SessionKey, turn: &Identity) -> Result<Opened, StoreError>;
    commit(key: &SessionKey, token: i64, turn: &Identity, end: &TurnEnd<'_>, stamped: &[u8]) -> Result<bool, StoreError>;
    release(key: &SessionKey, token: i64, unfinished: bool) -> Result<(), StoreError>;
    advance(key: &SessionKey, from: Option<i64>, turn: &Identity, end: &TurnEnd<'_>, stamped: &[u8]) -> Result<bool, StoreError>;
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

/// What tells a turn of a session from every other. Where that is little, only the session's last turn can come again: after
/// another, the same words are a new turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    told_by: ToldBy,
    /// A hash: nothing of what was typed can be read from it.
    name: [u8; 16],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ToldBy {
    Transcript,
    Hop,
    Dialled,
    Either,
    Answer,
}

/// How long a code dialled with an id that is known already is the aggregator's own repetition.
const DIALLED_AGAIN: Duration = Duration::from_secs(5);
/// How long the same answer once more is the aggregator's own repetition.
const ANSWERED_AGAIN: Duration = Duration::from_secs(1);

impl Identity {
    /// By all answers up to it: `1` and then `1` are two turns.
    pub fn transcript(transcript: &str) -> Identity {
        Identity::typed(ToldBy::Transcript, transcript)
    }

    /// By the aggregator's own name for the call.
    pub fn hop(hop: &str) -> Identity {
        Identity::named(ToldBy::Hop, hop)
    }

    /// By the whole request that began the session: dialled again after a while it begins anew.
    pub fn dialled(request: &str) -> Identity {
        Identity::named(ToldBy::Dialled, request)
    }

    /// By what was typed, which may be the code or an answer.
    pub fn either(input: &str) -> Identity {
        Identity::typed(ToldBy::Either, input)
    }

    /// By an answer that nothing tells from the same answer to the next screen but time.
    pub fn answer(input: &str) -> Identity {
        Identity::typed(ToldBy::Answer, input)
    }

    /// From a hash of a few digits they could be found again: they are hidden first.
    fn typed(told_by: ToldBy, typed: &str) -> Identity {
        Identity::named(told_by, &kept(typed))
    }

    fn named(told_by: ToldBy, name: &str) -> Identity {
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(name.as_bytes())[..16]);
        Identity {
            told_by,
            name: hash,
        }
    }

    /// Its name among the turns of its session.
    fn field(&self) -> String {
        let kind = match self.told_by {
            ToldBy::Transcript => 't',
            ToldBy::Either | ToldBy::Answer => 'a',
            ToldBy::Hop => 'h',
            ToldBy::Dialled => 'd',
        };
        format!("{kind}:{}", HEXLOWER.encode(&self.name))
    }

    /// How long its receipt counts.
    fn receipt_age_max(&self) -> Duration {
        match self.told_by {
            ToldBy::Transcript | ToldBy::Hop => SESSION_TTL,
            ToldBy::Dialled => DIALLED_AGAIN,
            ToldBy::Either | ToldBy::Answer => ANSWERED_AGAIN,
        }
    }

    /// Whether only its age tells it from the same answer to the next screen.
    fn is_told_by_time(&self) -> bool {
        matches!(
            self.told_by,
            ToldBy::Either | ToldBy::Answer | ToldBy::Dialled
        )
    }

    /// Whether it may be the same turn once more.
    pub fn may_repeat(&self, other: &Identity) -> bool {
        self.name == other.name
    }

    /// Whether the aggregator names it: another of its session may have been told by time.
    fn is_numbered(&self) -> bool {
        self.told_by == ToldBy::Hop
    }

    /// Whether it may begin a session under the id of one that is over.
    fn may_begin(&self) -> bool {
        matches!(self.told_by, ToldBy::Dialled | ToldBy::Either)
    }
}

/// What is kept of a dialogue between two calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialogue {
    /// The code dialled, for calls that do not tell it.
    pub service_code: String,
    /// All answers so far, [`kept`].
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
}

/// The reply of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether the dialogue ended with it.
    pub ends: bool,
    /// What the phone showed.
    pub text: String,
}

impl Receipt {
    /// `mark+text` waits for an answer, `mark.text` is the last screen. A mark has neither `+` nor `.`.
    fn encode(&self, mark: &str) -> String {
        format!("{mark}{}{}", if self.ends { '.' } else { '+' }, self.text)
    }

    /// `None`: it cannot be read, or is that of another turn.
    fn decode(stored: &[u8], mark: &str) -> Option<Receipt> {
        let marked = std::str::from_utf8(stored).ok()?.strip_prefix(mark)?;
        let ends = marked.starts_with('.');
        let text = marked.strip_prefix(['.', '+'])?;
        Some(Receipt {
            ends,
            text: text.to_owned(),
        })
    }
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
    pub dialogue: Box<Dialogue>,
    /// What [`Store::advance`] tells it by from whatever was kept since.
    pub stamp: i64,
    /// The turn that led to it.
    pub turn: Identity,
}

/// What a turn led to.
#[derive(Debug)]
pub struct TurnEnd<'a> {
    /// The dialogue after it.
    pub dialogue: &'a Dialogue,
    /// Its reply.
    pub receipt: &'a Receipt,
    /// All that was kept under this id before goes: short ids come again within minutes, and a phone number as an id with
    /// every dialogue.
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
    pub async fn open(&self, key: &SessionKey, turn: &Identity) -> Opened {
        // What was said while Redis was away.
        if let Some(receipt) = self.memory.find_receipt(key, turn) {
            return Opened::Answered(receipt);
        }
        // What comes of it may be kept elsewhere.
        self.held.forget(key);
        match self.far.open(key, turn).await {
            Ok(Opened::Claimed {
                token,
                unfinished,
                dialogue,
            }) => Opened::Claimed {
                token,
                unfinished,
                dialogue: on_the_phone(dialogue, self.memory.take_dialogue(key)),
            },
            Ok(opened) => opened,
            Err(error) => {
                self.without_redis(&error);
                self.memory.open(key, turn)
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
    pub async fn advance(
        &self,
        key: &SessionKey,
        from: Option<i64>,
        turn: &Identity,
        end: &TurnEnd<'_>,
    ) -> bool {
        let Some(stamped) = stamped(end.dialogue, rand::random()) else {
            return false;
        };
        let advanced = self.far.advance(key, from, turn, end, &stamped).await;
        self.kept(advanced, key, turn, end, stamped)
    }

    /// Writes what the turn led to. `false`: the claim had ended and another call owns the turn; nothing was written.
    pub async fn commit(
        &self,
        key: &SessionKey,
        token: Token,
        turn: &Identity,
        end: &TurnEnd<'_>,
    ) -> bool {
        match token {
            Token::Memory(token) => self.memory.commit(key, token, turn, end),
            Token::Redis(token) => {
                let stamped = stamped(end.dialogue, token).unwrap_or_default();
                let committed = self.far.commit(key, token, turn, end, &stamped).await;
                self.kept(committed, key, turn, end, stamped)
            }
        }
    }

    /// Whether the turn's end is kept, in memory where Redis could not take it.
    fn kept(
        &self,
        in_redis: Result<bool, StoreError>,
        key: &SessionKey,
        turn: &Identity,
        end: &TurnEnd<'_>,
        stamped: Vec<u8>,
    ) -> bool {
        if matches!(in_redis, Ok(true)) {
            self.held.put(key, turn, stamped);
        } else {
            self.held.forget(key);
        }
        in_redis.unwrap_or_else(|error| {
            self.without_redis(&error);
            self.memory.put(key, turn, end);
            true
        })
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
        if let Some(known) = self.memory.find(key) {
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
/// two replies to the same call the one that came first.
fn on_the_phone(
    shared: Option<Box<Dialogue>>,
    here: Option<Box<Dialogue>>,
) -> Option<Box<Dialogue>> {
    match (shared, here) {
        (Some(shared), Some(here)) => {
            let is_same_call =
                (&shared.begun, &shared.transcript) == (&here.begun, &here.transcript);
            let (first, last) = if shared.shown_at > here.shown_at {
                (here, shared)
            } else {
                (shared, here)
            };
            Some(if is_same_call { first } else { last })
        }
        (shared, here) => here.or(shared),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
