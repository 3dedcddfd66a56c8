//! What is remembered of those who call.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::before;
use crate::db::effect::Turn;
use crate::db::guests::{Caller, DRAFT_AGE_MAX, Draft, Guest, RECENT_PLACES_MAX, Remembered};
use crate::db::session_ends::{OVERTAKEN, Past, SessionEndRow, TOLD_AGAIN};
use crate::phone::Msisdn;

#[derive(Default)]
pub(super) struct Callers {
    guests: BTreeMap<String, Guest>,
    drafts: BTreeMap<String, (Draft, DateTime<Utc>)>,
    call_backs: BTreeSet<String>,
    /// When a session ended last, by aggregator, session and number.
    ends: BTreeMap<(String, String, Option<String>), DateTime<Utc>>,
}

impl Callers {
    pub(super) fn find(&self, msisdn: &Msisdn, now: DateTime<Utc>) -> Caller {
        let draft = self.drafts.get(msisdn.as_str());
        Caller {
            guest: self.guests.get(msisdn.as_str()).cloned(),
            draft: draft
                .filter(|(_, saved_at)| *saved_at > before(now, DRAFT_AGE_MAX))
                .map(|(draft, _)| draft.clone()),
            pays: false,
            offered: false,
        }
    }

    /// Whoever is asked to pay is known from then on.
    pub(super) fn know(&mut self, msisdn: &Msisdn) {
        self.guests.entry(msisdn.as_str().to_owned()).or_default();
    }

    pub(super) fn remember(&mut self, new: &Remembered<'_>, now: DateTime<Utc>) {
        let places_max = RECENT_PLACES_MAX.unsigned_abs() as usize;
        if new.language.is_some() || new.name.is_some() || !new.places.is_empty() {
            let guest = self.guests.entry(new.msisdn.to_owned()).or_default();
            if let Some(language) = new.language {
                guest.language = Some(language.to_owned());
            }
            if let Some(name) = new.name {
                guest.name = Some(name.to_owned());
            }
            let newer = &new.places[..new.places.len().min(places_max)];
            let older = std::mem::take(&mut guest.recent_places).into_iter();
            guest.recent_places = newer
                .iter()
                .cloned()
                .chain(older.filter(|place| !newer.contains(place)))
                .take(places_max)
                .collect();
        }
        if new.closes
            && let Some((draft, _)) = self.drafts.get_mut(new.msisdn)
        {
            draft.is_over = true;
        }
        if let Some(draft) = &new.draft {
            self.drafts
                .insert(new.msisdn.to_owned(), (draft.clone(), now));
        }
    }

    pub(super) fn has_draft_before(&self, past: &Past<'_>, moment: DateTime<Utc>) -> bool {
        let draft = self.drafts.get(past.msisdn.as_str());
        draft.is_some_and(|(draft, saved_at)| draft.session == past.key && *saved_at < moment)
    }

    pub(super) fn call_back(&mut self, turn: &Turn) -> bool {
        self.call_backs.insert(turn.key())
    }

    pub(super) fn session_end(
        &mut self,
        end: &SessionEndRow<'_>,
        was_live: bool,
        now: DateTime<Utc>,
    ) -> bool {
        let told_within = if was_live { OVERTAKEN } else { TOLD_AGAIN };
        let msisdn = end.msisdn.map(|msisdn| msisdn.as_str().to_owned());
        let key = (end.aggregator.to_owned(), end.session.to_owned(), msisdn);
        let is_new = self
            .ends
            .get(&key)
            .is_none_or(|at| *at <= before(now, told_within));
        if is_new {
            self.ends.insert(key, now);
        }
        is_new
    }
}
