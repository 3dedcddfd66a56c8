//! The contract of every SMS provider: a [`Message`] in, a [`Request`] out; its [`Answer`] in, what became of the message
//! out; a webhook in, [`Event`]s out. Pure, one file per provider. One [`send`] drives them all.
//!
//! Which of them carries a message is for [`route`] to say, and [`carrier`] has what needs no HTTP.

pub mod africastalking;
pub mod arkesel;
pub mod beem;
pub mod bucket;
pub mod carrier;
pub mod fields;
pub mod gsm7;
pub mod http;
pub mod hubtel;
pub mod ids;
pub mod infobip;
pub mod jasmin;
pub mod kannel;
pub mod keywords;
pub mod mtn_madapi;
pub mod route;
pub mod sandbox;
pub mod sign;
pub mod termii;
pub mod twilio;
#[cfg(test)]
mod vectors_test;
pub mod vonage;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use carrier::Carrier;
pub use http::{Answer, Method, Request, http_builder, send};

use crate::phone::Msisdn;
use crate::ussd::{Inbound, Rendered};

/// One provider's wire format. Adding one touches its file, [`PROVIDERS`] and its cases.
pub trait Provider: Sync {
    /// Its name in configuration, URLs, logs and the database.
    fn name(&self) -> &'static str;

    /// What it has to be told.
    fn settings(&self) -> &'static Settings;

    /// The request that hands one message over.
    fn encode(&self, account: &Account, message: &Message) -> Request;

    /// What its answer says became of the message.
    fn decode_answer(&self, message: &Message, answer: &Answer<'_>) -> Sent;

    /// Reads what it posts: any number of events, none for a mere question whether we are there.
    ///
    /// # Errors
    /// [`BadSms`] names the field by its name on the wire.
    fn decode(&self, account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms>;

    /// Whether a webhook bears the signature that the account asks for. Providers that do not sign have none to ask for.
    fn verify(&self, _account: &Account, _webhook: &Webhook<'_>) -> bool {
        true
    }

    /// Answers a webhook whose events are kept. `reply` goes to the subscriber where the protocol takes an answer along.
    fn acknowledge(&self, _reply: Option<&str>) -> Rendered {
        Rendered::empty()
    }

    /// Answers a webhook that could not be read.
    fn refuse(&self, bad: &BadSms) -> Rendered {
        let status = match bad {
            BadSms::Signature => 401,
            BadSms::Door => 404,
            BadSms::MissingField(_) | BadSms::InvalidField(_) | BadSms::InvalidBody(_) => 400,
        };
        Rendered {
            status,
            ..Rendered::text(bad.to_string())
        }
    }

    /// The request for a token, for providers that want one with each message.
    fn encode_login(&self, _account: &Account) -> Option<Request> {
        None
    }

    /// The answer to [`Provider::encode_login`]. `None`: no token.
    fn decode_login(&self, _answer: &Answer<'_>) -> Option<Token> {
        None
    }

    /// The question what became of a message, for providers that do not report by themselves.
    fn encode_poll(&self, _account: &Account, _asked: &Asked<'_>) -> Option<Request> {
        None
    }

    /// The answer to [`Provider::encode_poll`]. `None`: it does not tell.
    fn decode_poll(&self, _asked: &Asked<'_>, _answer: &Answer<'_>) -> Option<DeliveryReport> {
        None
    }
}

/// Every provider spoken over HTTP. SMSCs are [`crate::smpp`]'s.
pub static PROVIDERS: &[&dyn Provider] = &[
    &africastalking::AfricasTalking,
    &arkesel::Arkesel,
    &beem::Beem,
    &hubtel::Hubtel,
    &infobip::Infobip,
    &jasmin::Jasmin,
    &kannel::Kannel,
    &mtn_madapi::MtnMadapi,
    &termii::Termii,
    &twilio::Twilio,
    &vonage::Vonage,
];

/// The provider with this name.
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS
        .iter()
        .copied()
        .find(|provider| provider.name() == name)
}

/// What a provider has to be told.
#[derive(Debug)]
pub struct Settings {
    /// Settings of the account that sending cannot do without.
    pub needed: &'static [&'static str],
    /// Settings that may be left out; the provider's file says what each is.
    pub optional: &'static [&'static str],
    /// It sends nothing without a sender id.
    pub sender_needed: bool,
    /// It signs over the URL it calls, so that ours must be known.
    pub public_url_needed: bool,
    /// It does not report by itself: [`Provider::encode_poll`] asks.
    pub polled: bool,
    /// The setting with the secret that it signs webhooks with.
    pub signs_with: Option<&'static str>,
}

/// The settings of an account at a provider, all kept secret, by names that the provider's file documents.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Account(BTreeMap<String, SecretString>);

impl Account {
    /// An account with these settings.
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Account {
        let settings = settings.into_iter();
        Account(
            settings
                .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
                .collect(),
        )
    }

    /// The same account with a token.
    pub fn with(&self, token: &Token) -> Account {
        let mut settings = self.0.clone();
        settings.insert(token.setting.to_owned(), token.value.clone());
        Account(settings)
    }

    /// A setting that is there and not empty.
    pub fn find(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|value| value.expose_secret());
        value.filter(|value| !value.is_empty())
    }

    /// A setting that the start has made sure of.
    pub fn needed(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The name of a setting that is missing or not understood, and what is wrong with it.
    pub fn unsound(&self, settings: &Settings) -> Option<(String, &'static str)> {
        let missing = settings
            .needed
            .iter()
            .find(|name| self.find(name).is_none());
        if let Some(name) = missing {
            return Some(((*name).to_owned(), "is needed"));
        }
        let known =
            |name: &str| settings.needed.contains(&name) || settings.optional.contains(&name);
        let unknown = self.0.keys().find(|name| !known(name))?;
        Some((unknown.clone(), "is not a setting of this provider"))
    }
}

/// What a provider wants to see with each message for a while.
#[derive(Debug, Clone)]
pub struct Token {
    /// The setting of the account that it becomes.
    pub setting: &'static str,
    /// The token.
    pub value: SecretString,
    /// How long it lasts.
    pub lasts: Duration,
}

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

/// Which of a provider's URLs was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// What subscribers write.
    Inbound,
    /// What became of our messages.
    Delivery,
    /// Who wants nothing more from a sender.
    OptOut,
    /// Who subscribed to a premium keyword, or no longer does.
    Subscription,
}

impl Door {
    /// The door at the end of a URL.
    pub fn find(segment: &str) -> Option<Door> {
        match segment {
            "inbound" => Some(Door::Inbound),
            "delivery" => Some(Door::Delivery),
            "optout" => Some(Door::OptOut),
            "subscription" => Some(Door::Subscription),
            _ => None,
        }
    }
}

/// A request of a provider to us.
pub struct Webhook<'a> {
    /// Where it came in.
    pub door: Door,
    /// The URL as the provider knows it, query included.
    pub url: &'a str,
    /// The request as it came.
    pub request: Inbound<'a>,
    /// When.
    pub now: DateTime<Utc>,
}

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A subscriber wrote.
    Inbound(InboundSms),
    /// A message of ours moved.
    Report(DeliveryReport),
    /// A subscriber wants nothing more.
    OptOut(OptOut),
    /// A premium subscription began or ended.
    Subscription(Subscription),
}

/// A message from a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundSms {
    /// The provider's id: the same id twice is one message.
    pub provider_id: String,
    /// Who wrote.
    pub msisdn: Msisdn,
    /// The short code or number it was sent to.
    pub recipient: String,
    /// The text as typed; of a part of a long message, this part of it.
    pub text: String,
    /// When the provider got it, if it says so in a way that is understood.
    pub at: Option<DateTime<Utc>>,
    /// The network, as the provider names it.
    pub operator: Option<String>,
    /// What a reply to a premium message must carry.
    pub link_id: Option<String>,
    /// Which part of a long message this is.
    pub part: Option<Part>,
    /// `STOP`, `START` or `HELP`, where the provider has read the text for that.
    pub opt_out: Option<String>,
    /// Pictures that came with it; nobody looks at them.
    pub media: u32,
    /// Octets for a program on the phone, not a text for us.
    pub binary: Option<Binary>,
}

impl InboundSms {
    /// A message of which nothing more is known.
    pub fn new(
        provider_id: impl Into<String>,
        msisdn: Msisdn,
        recipient: impl Into<String>,
        text: impl Into<String>,
    ) -> InboundSms {
        InboundSms {
            provider_id: provider_id.into(),
            msisdn,
            recipient: recipient.into(),
            text: text.into(),
            at: None,
            operator: None,
            link_id: None,
            part: None,
            opt_out: None,
            media: 0,
            binary: None,
        }
    }
}

/// The place of a part in a long message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Names the long message among those of its sender to the same number.
    pub reference: String,
    /// From 1.
    pub number: u8,
    /// At least `number`.
    pub total: u8,
}

/// A message that is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// User data.
    pub data: Vec<u8>,
    /// User data header.
    pub header: Vec<u8>,
}

/// What a provider says became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The id that the send call returned.
    pub provider_id: String,
    /// Whom the message was for, if the report says so.
    pub msisdn: Option<Msisdn>,
    /// Where the message is.
    pub status: DeliveryStatus,
    /// The provider's word for a failure.
    pub reason: Option<String>,
    /// [`Message::reference`], if the report names it.
    pub reference: Option<String>,
    /// The operator's own id, for questions to the operator.
    pub network_id: Option<String>,
}

impl DeliveryReport {
    /// A report that says no more than this.
    pub fn new(provider_id: impl Into<String>, status: DeliveryStatus) -> DeliveryReport {
        DeliveryReport {
            provider_id: provider_id.into(),
            msisdn: None,
            status,
            reason: None,
            reference: None,
            network_id: None,
        }
    }
}

/// A subscriber wants nothing more from a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// Who.
    pub msisdn: Msisdn,
    /// From which of our sender ids.
    pub sender: String,
}

/// A subscriber began or ended a premium subscription. None are sold here; the news is only taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the word says it")]
pub struct Subscription {
    pub msisdn: Msisdn,
    pub short_code: String,
    pub keyword: String,
    pub began: bool,
}

/// Where a message is. A report moves it only to a higher [rank](DeliveryStatus::rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// The report has a word that this program does not know; it moves nothing.
    Unknown,
    /// Still with the provider, as its answer to the send call said.
    Queued,
    /// With the network.
    Sent,
    /// Waiting at the operator for the phone.
    Buffered,
    /// On the phone.
    Delivered,
    /// Will never arrive.
    Failed,
    /// The operator gave up waiting for the phone.
    Expired,
}

impl DeliveryStatus {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            DeliveryStatus::Unknown => "unknown",
            DeliveryStatus::Queued => "queued",
            DeliveryStatus::Sent => "sent",
            DeliveryStatus::Buffered => "buffered",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Failed => "failed",
            DeliveryStatus::Expired => "expired",
        }
    }

    /// How far along: reports repeat and overtake each other, so only a higher rank counts, and the last ones are equal.
    pub fn rank(self) -> i32 {
        match self {
            DeliveryStatus::Unknown | DeliveryStatus::Queued => 0,
            DeliveryStatus::Sent => 1,
            DeliveryStatus::Buffered => 2,
            DeliveryStatus::Delivered | DeliveryStatus::Failed | DeliveryStatus::Expired => 3,
        }
    }
}

/// The words of SMPP receipts, which gateways pass on as they are. Source: SMPP 3.4, appendix B.
pub fn receipt_status(word: &str) -> DeliveryStatus {
    match word.to_ascii_uppercase().as_str() {
        "ACCEPTD" | "ENROUTE" => DeliveryStatus::Sent,
        "DELIVRD" | "DELIVERED" => DeliveryStatus::Delivered,
        "EXPIRED" => DeliveryStatus::Expired,
        "UNDELIV" | "UNDELIVERED" | "REJECTD" | "REJECTED" | "DELETED" => DeliveryStatus::Failed,
        _ => DeliveryStatus::Unknown,
    }
}

/// A webhook that cannot be understood or believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSms {
    /// A required field is absent or empty.
    #[error("missing field {0}")]
    MissingField(&'static str),
    /// A field has a value that it cannot have.
    #[error("invalid field {0}")]
    InvalidField(&'static str),
    /// The body is not what the protocol sends.
    #[error("invalid body: {0}")]
    InvalidBody(&'static str),
    /// The provider has no such webhook.
    #[error("no such webhook")]
    Door,
    /// The signature is missing or wrong.
    #[error("not authorized")]
    Signature,
}
