//! The dialogues that this instance has kept last, as they are in the store if nobody else has touched them since.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Known, SessionKey};
use crate::session::packed::read_stamped;

/// Dialogues by key, each at the one place that its key has: a newer one there takes it.
pub(super) struct Held {
    places: Box<[Place]>,
}

type Place = Mutex<Option<Box<One>>>;

/// Packed, which takes a third of the room.
struct One {
    key: SessionKey,
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
        let (dialogue, stamp) = read_stamped(&one.stamped)?;
        Some(Known { dialogue, stamp })
    }

    pub(super) fn put(&self, key: &SessionKey, stamped: Vec<u8>) {
        *self.place(key) = Some(Box::new(One {
            key: key.clone(),
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
    use crate::session::packed::write_stamped;
    use crate::session::store::Dialogue;

    #[test]
    fn a_place_holds_the_newest_and_nothing_under_another_key() {
        let held = Held::new(1);
        let key = |session| SessionKey::new("test", session, None);
        let put = |session, stamp| {
            let stamped = write_stamped(&Dialogue::default(), stamp).unwrap();
            held.put(&key(session), stamped);
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
}
