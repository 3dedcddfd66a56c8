//! What each aggregator and provider has sent lately, for the operator who connects one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Since the start of this instance.
#[derive(Default)]
pub struct Traffic(Mutex<BTreeMap<String, Seen>>);

/// What one of them has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Callbacks that were understood.
    pub calls: u64,
    /// When the last of them came.
    pub last_call_at: Option<DateTime<Utc>>,
    /// Callbacks that were not understood.
    pub refused: u64,
    /// When the last of them came.
    pub last_refused_at: Option<DateTime<Utc>>,
    /// What was wrong with it.
    pub last_refusal: Option<String>,
}

impl Traffic {
    /// A callback was understood.
    pub fn called(&self, name: &str, at: DateTime<Utc>) {
        self.change(name, |seen| {
            seen.calls += 1;
            seen.last_call_at = Some(at);
        });
    }

    /// A callback was not understood.
    pub fn refused(&self, name: &str, at: DateTime<Utc>, why: String) {
        self.change(name, |seen| {
            seen.refused += 1;
            seen.last_refused_at = Some(at);
            seen.last_refusal = Some(why);
        });
    }

    /// What this one has sent.
    pub fn seen(&self, name: &str) -> Seen {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(name.to_owned()).or_default());
    }
}
