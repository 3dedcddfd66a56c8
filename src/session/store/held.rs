//! The dialogues that this instance has kept last, as they are in the store if nobody else has touched them since.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Dialogue, Identity, Known, SessionKey};
use crate::session::packed;

/// As it is kept: a dialogue, and at its end the stamp of whoever keeps it.
pub(super) fn stamped(dialogue: &Dialogue, stamp: i64) -> Option<Vec<u8>> {
    let mut stamped = packed::write(dialogue)?;
    stamped.extend_from_slice(&stamp.to_be_bytes());
    Some(stamped)
}

/// The dialogue and its stamp.
pub(super) fn unstamped(stamped: &[u8]) -> Option<(Box<Dialogue>, i64)> {
    let (dialogue, stamp) = stamped.split_last_chunk()?;
    Some((packed::read(dialogue)?, i64::from_be_bytes(*stamp)))
}

/// Dialogues by key, each at the one place that its key has: a newer one there takes it.
pub(super) struct Held {
    places: Box<[Place]>,
}

type Place = Mutex<Option<Box<One>>>;

struct One {
    key: SessionKey,
    turn: Identity,
    stamped: Box<[u8]>,
}

impl Held {
    /// At most so many.
    pub(super) fn new(places: usize) -> Held {
        Held {
            places: (0..places.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The dialogue of this key.
    pub(super) fn find(&self, key: &SessionKey) -> Option<Known> {
        let place = self.place(key);
        let one = place.as_ref().filter(|one| one.key == *key)?;
        let (dialogue, stamp) = unstamped(&one.stamped)?;
        Some(Known {
            dialogue,
            stamp,
            turn: one.turn,
        })
    }

    pub(super) fn put(&self, key: &SessionKey, turn: &Identity, stamped: Vec<u8>) {
        *self.place(key) = Some(Box::new(One {
            key: key.clone(),
            turn: *turn,
            stamped: stamped.into(),
        }));
    }

    pub(super) fn forget(&self, key: &SessionKey) {
        self.place(key).take_if(|one| one.key == *key);
    }

    fn place(&self, key: &SessionKey) -> MutexGuard<'_, Option<Box<One>>> {
        // The same in every run: what a simulation holds depends on its seed alone.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let places = self.places.len() as u64;
        self.places[(hasher.finish() % places) as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::menu::files::Version;

    #[test]
    fn a_place_holds_the_newest_and_nothing_under_another_key() {
        let held = Held::new(1);
        let key = |session| SessionKey::new("test", session, None);
        let put = |session, stamp| {
            let stamped = stamped(&dialogue(), stamp).unwrap();
            held.put(&key(session), &Identity::either("1"), stamped);
        };
        let find = |session| held.find(&key(session)).map(|known| known.stamp);
        put("one", 1);
        assert_eq!(find("one"), Some(1));
        assert_eq!(find("two"), None);
        held.forget(&key("two"));
        put("one", 2);
        assert_eq!(find("one"), Some(2));
        put("two", 3);
        assert_eq!(find("one"), None);
        held.forget(&key("two"));
        assert_eq!(find("two"), None);
    }

    fn dialogue() -> Dialogue {
        Dialogue {
            service_code: "*384*7#".to_owned(),
            transcript: String::new(),
            position: 0,
            menus: Version::named("test"),
            state: None,
            shown_at: 0,
            number: None,
            begun: String::new(),
            places: None,
        }
    }
}
