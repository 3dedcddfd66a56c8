//! Sessions: a turn is claimed with a lease and a fencing token on the store's clock; its state and its receipt are
//! written together, only while the token still holds. Everything here can be rebuilt from the aggregator's transcript.

mod redis;

use std::time::Duration;

use ::redis::RedisError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::menu::files::Version;
use crate::menu::step::State;
use crate::phone::Msisdn;

/// How long a dialogue and its receipts are kept after its last call.
pub const SESSION_TTL: Duration = Duration::from_secs(10 * 60);
/// How long a claim holds before another instance may take the turn over; longer than any turn may take.
pub const LEASE: Duration = Duration::from_secs(5);
/// The most calls of one session.
pub const HOPS_MAX: i32 = 80;

pub use self::redis::Store;

/// Redis is not there, too slow, or not understood. Only the kind is told: the rest may quote what subscribers typed.
#[derive(Debug, thiserror::Error)]
#[error("the session store failed: {:?}", .0.kind())]
pub struct StoreError(#[from] RedisError);

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
        SessionKey(format!("session:{{{}}}", hex(&hash.finalize()[..16])))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What tells a turn of a session from every other. Where that is little, only the session's last turn can come again: after
/// another, the same words are a new turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// All answers up to it: `1` and then `1` are two turns.
    Transcript(String),
    /// The aggregator's own name for the call.
    Hop(String),
    /// The whole request that began the session: dialled again after a while it begins anew.
    Dialled(String),
    /// The code or an answer; what was typed.
    Either(String),
    /// An answer that nothing tells from the same answer to the next screen but time.
    Answer(String),
}

/// How long a code dialled with an id that is known already is the aggregator's own repetition.
const DIALLED_AGAIN: Duration = Duration::from_secs(5);
/// How long the same answer once more is the aggregator's own repetition.
const ANSWERED_AGAIN: Duration = Duration::from_secs(1);

impl Identity {
    /// Where its receipt is kept.
    fn field(&self) -> String {
        let (kind, name) = match self {
            Identity::Transcript(transcript) => ('t', transcript),
            Identity::Hop(hop) => ('h', hop),
            Identity::Dialled(ahead) => ('d', ahead),
            Identity::Either(input) | Identity::Answer(input) => ('a', input),
        };
        format!("{kind}:{}", hex(&Sha256::digest(name.as_bytes())[..16]))
    }

    /// How long its receipt counts.
    fn receipt_age_max(&self) -> Duration {
        match self {
            Identity::Transcript(_) | Identity::Hop(_) => SESSION_TTL,
            Identity::Dialled(_) => DIALLED_AGAIN,
            Identity::Either(_) | Identity::Answer(_) => ANSWERED_AGAIN,
        }
    }

    /// Whether it may begin a session under the id of one that is over.
    fn may_begin(&self) -> bool {
        matches!(self, Identity::Dialled(_) | Identity::Either(_))
    }
}

/// What is kept of a dialogue between two calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialogue {
    /// The code dialled, for calls that do not tell it.
    pub service_code: String,
    /// All answers so far.
    pub transcript: String,
    /// How many answers that is.
    pub position: i32,
    /// Which menus it is in.
    pub menus: Version,
    /// Where the menu stands; `None` after the last screen.
    pub state: Option<State>,
    /// Tells this dialogue from an earlier one under the same session id; empty where ids never come again.
    #[serde(default)]
    pub begun: String,
}

/// The stored reply of a turn: `+text` waits for an answer, `.text` is the last screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether the dialogue ended with it.
    pub ends: bool,
    /// What the phone showed.
    pub text: String,
}

impl Receipt {
    fn encode(&self) -> String {
        format!("{}{}", if self.ends { '.' } else { '+' }, self.text)
    }

    fn decode(stored: &[u8]) -> Option<Receipt> {
        let stored = std::str::from_utf8(stored).ok()?;
        let ends = stored.starts_with('.');
        stored.get(1..).map(|text| Receipt {
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
        /// Rises with each claim.
        token: i64,
        /// What was kept.
        dialogue: Option<Box<Dialogue>>,
    },
}
