//! A message out, and what becomes of it.

use crate::phone::Msisdn;

/// What became of one attempt to hand a message to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The provider has it under this id.
    Accepted {
        /// The provider's message id, as its reports will name it; empty when it gave none.
        provider_id: String,
    },
    /// Not sent. Try again later.
    RetryLater {
        /// Seconds the provider asked for, if it did.
        after_seconds: Option<u64>,
        /// A short word for the row and the log.
        reason: String,
    },
    /// Never try again: bad number, opted out, refused text.
    Refused {
        /// A short word for the row and the log.
        reason: String,
    },
    /// Nothing can be sent by this provider until someone acts: no credit, sender blocked, bad key.
    RoutePaused {
        /// A short word for the row and the log.
        reason: String,
    },
    /// The request left but no answer came: it may or may not be sent.
    Unknown {
        /// A short word for the row and the log.
        reason: String,
    },
}

impl Sent {
    pub(crate) fn accepted(provider_id: impl Into<String>) -> Sent {
        let provider_id = provider_id.into();
        Sent::Accepted { provider_id }
    }

    pub(crate) fn later(reason: impl Into<String>) -> Sent {
        Sent::RetryLater {
            after_seconds: None,
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Sent {
        let reason = reason.into();
        Sent::Refused { reason }
    }

    pub(crate) fn paused(reason: impl Into<String>) -> Sent {
        let reason = reason.into();
        Sent::RoutePaused { reason }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Sent {
        let reason = reason.into();
        Sent::Unknown { reason }
    }
}

/// A message to hand over.
#[derive(Debug, Clone)]
pub struct Message {
    /// Our id of the row, for providers that take one and name it in reports. At most 36 characters.
    pub reference: String,
    /// Who gets it.
    pub msisdn: Msisdn,
    /// At most a few parts of GSM-7 or UCS-2 text.
    pub text: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Registered short code, number or name that it comes from; none: the provider's own choice.
    pub sender: Option<String>,
    /// Where reports on it go, for providers that are told with each message.
    pub report_url: Option<String>,
}

/// A message to ask about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whom it was for.
    pub msisdn: &'a Msisdn,
    /// The id that the send call returned.
    pub provider_id: &'a str,
}
