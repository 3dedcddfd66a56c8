//! Dialogues in the memory of this instance, while Redis is away. The same rules as in Redis; nothing here outlives the
//! process, and nothing is locked while there is nothing here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Dialogue, Identity, LEASE, Opened, Receipt, SESSION_TTL, SessionKey, Token, TurnEnd};

/// The most dialogues; over it a turn is worked on and not kept.
const SESSIONS_MAX: usize = 50_000;
/// How often what has ended is thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The dialogues of this instance.
#[derive(Default)]
pub(super) struct MemoryStore {
    sessions: Mutex<Sessions>,
    is_used: AtomicBool,
}

#[derive(Default, Clone)]
struct Sessions {
    by_key: HashMap<SessionKey, Session>,
    swept: Option<Instant>,
    tokens: i64,
}

/// A dialogue, and the number of whoever has kept it.
#[derive(Clone)]
struct Stamped {
    dialogue: Box<Dialogue>,
    stamp: i64,
}

#[derive(Clone)]
struct Session {
    dialogue: Option<Stamped>,
    /// Number and end of the last claim.
    claim: Option<(i64, Instant)>,
    is_closed: bool,
    until: Instant,
}

impl Session {
    fn new(now: Instant) -> Session {
        Session {
            dialogue: None,
            claim: None,
            is_closed: false,
            until: now + SESSION_TTL,
        }
    }

    fn receipt(&self, turn: &Identity, now: DateTime<Utc>) -> Option<Receipt> {
        let kept = self.dialogue.as_ref()?;
        kept.dialogue.receipts.find(turn, now).cloned()
    }

    fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.is_closed, true) && self.dialogue.is_some()
    }

    fn end(&mut self, stamp: i64, end: TurnEnd) {
        self.is_closed &= !end.begins;
        self.keep(stamp, end.dialogue);
    }

    fn keep(&mut self, stamp: i64, dialogue: Dialogue) {
        self.dialogue = Some(Stamped {
            dialogue: Box::new(dialogue),
            stamp,
        });
        self.claim = None;
        self.until = Instant::now() + SESSION_TTL;
    }
}

impl MemoryStore {
    pub(super) fn find_receipt(
        &self,
        key: &SessionKey,
        turn: &Identity,
        now: DateTime<Utc>,
    ) -> Option<Receipt> {
        self.used()?.by_key.get(key)?.receipt(turn, now)
    }

    /// What is kept of a dialogue.
    pub(super) fn dialogue(&self, key: &SessionKey) -> Option<Box<Dialogue>> {
        let sessions = self.used()?;
        let kept = sessions.by_key.get(key)?.dialogue.as_ref()?;
        Some(kept.dialogue.clone())
    }

    /// It goes on in Redis.
    pub(super) fn forget(&self, key: &SessionKey) {
        if let Some(mut sessions) = self.used() {
            sessions.by_key.remove(key);
        }
    }

    pub(super) fn open(&self, key: &SessionKey, turn: &Identity, at: DateTime<Utc>) -> Opened {
        let now = Instant::now();
        let mut sessions = self.lock(now);
        sessions.tokens += 1;
        let token = sessions.tokens;
        let Some(session) = sessions.session(key, now) else {
            return Opened::Claimed {
                token: Token::Memory(token),
                unfinished: false,
                dialogue: None,
            };
        };
        if let Some(receipt) = session.receipt(turn, at) {
            return Opened::Answered(receipt);
        }
        if session.is_closed {
            if !turn.may_begin() {
                return Opened::Closed;
            }
            session.is_closed = false;
            session.dialogue = None;
        }
        if session.claim.is_some_and(|(_, until)| until > now) {
            return Opened::Running;
        }
        self.is_used.store(true, Ordering::Relaxed);
        let unfinished = session.claim.is_some();
        session.claim = Some((token, now + LEASE));
        session.until = now + SESSION_TTL;
        Opened::Claimed {
            token: Token::Memory(token),
            unfinished,
            dialogue: session.dialogue.as_ref().map(|kept| kept.dialogue.clone()),
        }
    }

    /// Keeps what a turn without a claim led to under `stamp`. `false`: another dialogue is kept than the one with the stamp
    /// that it is from, it is over, or somebody works on it.
    pub(super) fn advance(
        &self,
        key: &SessionKey,
        from: Option<i64>,
        stamp: i64,
        dialogue: Dialogue,
    ) -> bool {
        let now = Instant::now();
        let mut sessions = self.lock(now);
        let Some(session) = sessions.session(key, now) else {
            return false;
        };
        let kept = session.dialogue.as_ref().map(|kept| kept.stamp);
        if kept != from || session.is_closed || session.claim.is_some() {
            return false;
        }
        self.is_used.store(true, Ordering::Relaxed);
        session.keep(stamp, dialogue);
        true
    }

    pub(super) fn commit(&self, key: &SessionKey, token: i64, end: TurnEnd) -> bool {
        let now = Instant::now();
        let mut sessions = self.lock(now);
        let Some(session) = sessions.by_key.get_mut(key) else {
            // There was no room for it.
            return true;
        };
        let holds = session.claim.is_some_and(|(held, _)| held == token);
        if holds {
            session.end(token, end);
        }
        holds
    }

    /// Keeps what Redis could not take any more.
    pub(super) fn put(&self, key: &SessionKey, end: TurnEnd) {
        let now = Instant::now();
        let mut sessions = self.lock(now);
        sessions.tokens += 1;
        let stamp = sessions.tokens;
        if let Some(session) = sessions.session(key, now) {
            self.is_used.store(true, Ordering::Relaxed);
            session.end(stamp, end);
        }
    }

    pub(super) fn release(&self, key: &SessionKey, token: i64, unfinished: bool) {
        let now = Instant::now();
        if let Some(session) = self.lock(now).by_key.get_mut(key)
            && session.claim.is_some_and(|(held, _)| held == token)
        {
            session.claim = unfinished.then_some((token, now));
        }
    }

    /// Whether it is known here and was not closed before. Where Redis cannot be told, what is unknown is closed too.
    pub(super) fn close(&self, key: &SessionKey, redis_knows: bool) -> bool {
        let now = Instant::now();
        if redis_knows {
            let Some(mut sessions) = self.used() else {
                return false;
            };
            return sessions.by_key.get_mut(key).is_some_and(Session::close);
        }
        let mut sessions = self.lock(now);
        self.is_used.store(true, Ordering::Relaxed);
        sessions.session(key, now).is_some_and(Session::close)
    }

    pub(super) fn knows(&self, key: &SessionKey) -> bool {
        self.used()
            .is_some_and(|sessions| sessions.by_key.contains_key(key))
    }

    /// A dialogue while a screen of it waits for an answer. `None`: it is not known here.
    pub(super) fn find_waiting(&self, key: &SessionKey) -> Option<Option<Box<Dialogue>>> {
        let sessions = self.used()?;
        let session = sessions.by_key.get(key)?;
        let dialogue = &session.dialogue.as_ref()?.dialogue;
        let waits = !session.is_closed && dialogue.state.is_some();
        Some(waits.then(|| dialogue.clone()))
    }

    /// Keeps what `other` does, and nothing else.
    pub(super) fn replace(&self, other: &MemoryStore) {
        let now = Instant::now();
        let sessions = other.lock(now).clone();
        let tokens = self.lock(now).tokens;
        let is_used = !sessions.by_key.is_empty();
        *self.lock(now) = Sessions { tokens, ..sessions };
        self.is_used.store(is_used, Ordering::Relaxed);
    }

    fn used(&self) -> Option<MutexGuard<'_, Sessions>> {
        if !self.is_used.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.lock(Instant::now()))
    }

    fn lock(&self, now: Instant) -> MutexGuard<'_, Sessions> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.swept.is_none_or(|swept| now - swept > SWEEP_EVERY) {
            sessions.by_key.retain(|_, session| session.until > now);
            sessions.swept = Some(now);
            self.is_used
                .store(!sessions.by_key.is_empty(), Ordering::Relaxed);
        }
        sessions
    }
}

impl Sessions {
    fn session(&mut self, key: &SessionKey, now: Instant) -> Option<&mut Session> {
        if self.by_key.len() >= SESSIONS_MAX && !self.by_key.contains_key(key) {
            metrics::counter!("dialogues_not_kept_total").increment(1);
            return None;
        }
        Some(
            self.by_key
                .entry(key.clone())
                .or_insert_with(|| Session::new(now)),
        )
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::session::store::Receipts;

    fn key(session: &str) -> SessionKey {
        SessionKey::new("test", session, None)
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn claim(store: &MemoryStore, turn: &Identity) -> i64 {
        match store.open(&key("one"), turn, NOW) {
            Opened::Claimed {
                token: Token::Memory(token),
                ..
            } => token,
            opened => panic!("{opened:?}"),
        }
    }

    fn commit(store: &MemoryStore, token: i64, turn: &Identity, text: &str) -> bool {
        let end = TurnEnd {
            dialogue: dialogue(turn, text),
            begins: false,
        };
        store.commit(&key("one"), token, end)
    }

    fn advance(store: &MemoryStore, from: Option<i64>, turn: &Identity, text: &str) -> Option<i64> {
        let stamp = rand::random();
        let kept = store.advance(&key("one"), from, stamp, dialogue(turn, text));
        kept.then_some(stamp)
    }

    fn dialogue(turn: &Identity, text: &str) -> Dialogue {
        let mut receipts = Receipts::default();
        let receipt = Receipt {
            ends: false,
            text: text.to_owned(),
        };
        receipts.push(turn, receipt, NOW);
        Dialogue {
            receipts,
            ..Dialogue::default()
        }
    }

    fn text(store: &MemoryStore, session: &str, turn: &Identity) -> Option<String> {
        let found = store.find_receipt(&key(session), turn, NOW);
        found.map(|receipt| receipt.text)
    }

    #[test]
    fn a_turn_is_claimed_once_and_answered_from_then_on() {
        let store = MemoryStore::default();
        let (first, second) = (Identity::transcript("1"), Identity::transcript("1*1"));
        assert_eq!(text(&store, "one", &first), None);
        let token = claim(&store, &first);
        assert!(matches!(
            store.open(&key("one"), &first, NOW),
            Opened::Running
        ));
        assert!(!commit(&store, token + 1, &first, "not ours"));
        assert!(commit(&store, token, &first, "Which town?"));
        assert_eq!(text(&store, "one", &first).as_deref(), Some("Which town?"));
        let token = claim(&store, &second);
        store.release(&key("one"), token, false);
        claim(&store, &second);
        assert_eq!(text(&store, "two", &first), None);
    }

    #[test]
    fn a_turn_without_a_claim_goes_on_from_what_is_kept_only() {
        let store = MemoryStore::default();
        let turn = |transcript| Identity::transcript(transcript);
        let begun = advance(&store, None, &turn(""), "Welcome").unwrap();
        assert_eq!(advance(&store, None, &turn(""), "Welcome"), None);
        let next = advance(&store, Some(begun), &turn("1"), "Which town?").unwrap();
        assert_eq!(advance(&store, Some(begun), &turn("1"), "another"), None);
        assert_eq!(text(&store, "one", &turn("1")).unwrap(), "Which town?");

        let token = claim(&store, &turn("1*1"));
        assert_eq!(advance(&store, Some(next), &turn("1*1"), "worked on"), None);
        assert!(commit(&store, token, &turn("1*1"), "Which day?"));
        assert_eq!(advance(&store, Some(next), &turn("1*1"), "older"), None);
        let last = advance(&store, Some(token), &turn("1*1*1"), "Who comes?").unwrap();
        store.close(&key("one"), false);
        assert_eq!(advance(&store, Some(last), &turn("1*1*1*1"), "over"), None);
    }

    #[test]
    fn what_is_over_is_not_woken_up_by_an_answer() {
        let store = MemoryStore::default();
        assert!(!store.close(&key("one"), false));
        let answer = Identity::transcript("1");
        assert!(matches!(
            store.open(&key("one"), &answer, NOW),
            Opened::Closed
        ));
        claim(&store, &Identity::dialled("*384*7#"));
    }

    #[test]
    fn a_dialogue_that_goes_on_in_redis_is_forgotten() {
        let store = MemoryStore::default();
        let turn = Identity::transcript("1");
        let token = claim(&store, &turn);
        commit(&store, token, &turn, "screen");
        assert!(store.dialogue(&key("one")).is_some());
        store.forget(&key("one"));
        assert!(!store.knows(&key("one")));
    }
}
