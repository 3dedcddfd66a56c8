//! What providers tell: messages of subscribers, and what became of ours.

use chrono::{DateTime, Utc};

use crate::phone::Msisdn;
use crate::ussd::Inbound;

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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// Names the long message among those of its sender to the same number.
    pub reference: String,
    /// From 1.
    pub number: u8,
    /// At least `number`.
    pub total: u8,
}

/// A message that is no text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Binary {
    /// User data.
    pub data: Vec<u8>,
    /// User data header.
    pub header: Vec<u8>,
}

/// What a provider says became of a message.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeliveryReport {
    /// The id that the send call returned.
    pub provider_id: String,
    /// Whom the message was for, if the report says so.
    pub msisdn: Option<Msisdn>,
    /// Where the message is.
    pub status: DeliveryStatus,
    /// The provider's word for a failure.
    pub reason: Option<String>,
    /// [`Message::reference`](super::Message::reference), if the report names it.
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OptOut {
    /// Who.
    pub msisdn: Msisdn,
    /// From which of our sender ids.
    pub sender: String,
}

/// A subscriber began or ended a premium subscription. None are sold here; the news is only taken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the word says it")]
pub struct Subscription {
    pub msisdn: Msisdn,
    pub short_code: String,
    pub keyword: String,
    pub began: bool,
}

/// Where a message is. A report moves it only to a higher [rank](DeliveryStatus::rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
