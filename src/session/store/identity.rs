//! Which turn of its session a call is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SESSION_TTL;
use crate::ussd::transcript::kept;

/// What tells a turn of a session from every other. Where that is little, only the session's last turn can come again: after
/// another, the same words are a new turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    told_by: ToldBy,
    /// A hash: nothing of what was typed can be read from it.
    name: [u8; 16],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// How long its receipt counts.
    pub(super) fn receipt_age_max(&self) -> Duration {
        match self.told_by {
            ToldBy::Transcript | ToldBy::Hop => SESSION_TTL,
            ToldBy::Dialled => DIALLED_AGAIN,
            ToldBy::Either | ToldBy::Answer => ANSWERED_AGAIN,
        }
    }

    /// Whether only its age tells it from the same answer to the next screen.
    pub(super) fn is_told_by_time(&self) -> bool {
        matches!(
            self.told_by,
            ToldBy::Either | ToldBy::Answer | ToldBy::Dialled
        )
    }

    /// Whether it may be the same turn once more.
    pub(super) fn may_repeat(&self, other: &Identity) -> bool {
        self.name == other.name
    }

    /// Whether it may begin a session under the id of one that is over.
    pub(super) fn may_begin(&self) -> bool {
        matches!(self.told_by, ToldBy::Dialled | ToldBy::Either)
    }
}
