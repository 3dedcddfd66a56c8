//! The aggregator's side of each wire format: what it posts for a phone, and how it reads our answer.

mod africastalking;

use chrono::{DateTime, Utc};

use super::phone::{Dialogue, Screen};
use crate::phone::Msisdn;

/// One aggregator as it stands between phones and us. Pure.
pub trait Gateway: Sync {
    /// Its name in configuration and URLs.
    fn name(&self) -> &'static str;

    /// The callback for the dialogue as it is now.
    fn call(&self, msisdn: &Msisdn, dialogue: &Dialogue) -> Post;

    /// The notification that the dialogue is over.
    fn end(&self, msisdn: &Msisdn, dialogue: &Dialogue, now: DateTime<Utc>) -> Post;

    /// The callback for an SMS to `short_code`.
    fn sms(&self, msisdn: &Msisdn, short_code: &str, text: &str, now: DateTime<Utc>) -> Post;

    /// What our answer to a callback shows on the phone.
    ///
    /// # Errors
    /// The sentence that the aggregator's engineer would write about it.
    fn read(&self, status: u16, body: &str) -> Result<Screen, String>;
}

/// Every aggregator that the simulator can play.
pub static GATEWAYS: &[&dyn Gateway] = &[&africastalking::AfricasTalking];

/// The gateway with this name.
pub fn find(name: &str) -> Option<&'static dyn Gateway> {
    GATEWAYS
        .iter()
        .copied()
        .find(|gateway| gateway.name() == name)
}

/// A request to the public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Path with `{token}` in the place of the secret.
    pub path: &'static str,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}
