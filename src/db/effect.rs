//! What every change carries: the turn that asked for it, who it was, and the messages that tell of it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::phone::Msisdn;

/// The one acknowledged action that has this effect, however often it is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Aggregator, or `sms:` and provider.
    pub door: String,
    /// Its session.
    pub session: String,
    /// Which turn of the session, from 0.
    pub position: i32,
}

impl Turn {
    /// As a unique key: `door/session/position`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.door, self.session, self.position)
    }
}

/// Who did something, for the reservation's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause<'a> {
    /// `guest`, `host`, `operator` or `system`.
    pub who: &'a str,
    /// `ussd`, `sms`, `job` …
    pub channel: &'a str,
    /// A few words.
    pub why: &'a str,
}

/// An SMS that is written with what it tells, and sent afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// What it tells; the same kind goes to the same number once per reservation and its dates.
    pub kind: &'static str,
    /// Who gets it.
    pub msisdn: Msisdn,
    /// The text.
    pub text: String,
    /// After this it is not sent any more.
    pub expires_at: DateTime<Utc>,
}
