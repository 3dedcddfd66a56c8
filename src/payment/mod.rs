//! The contract of every mobile-money provider: a [`Prompt`] in, a [`Request`] out; its [`Answer`] in, what became of the
//! prompt out; a callback in, [`Notice`]s out. Pure, one file per provider. [`exchange`] drives them all.
//!
//! A request that is accepted is no payment: the result comes by callback or by query, late, twice or never. So there are
//! four things to hear of a prompt and they are kept apart: it is under way, money has moved, it has not moved and will
//! not, and nobody knows.

pub mod airtel_money;
pub mod amount;
pub mod away;
#[cfg(test)]
mod cases;
pub mod daraja;
pub mod exchange;
pub mod failure;
mod login;
pub mod mtn_momo;
pub mod rsa;
pub mod sandbox;
pub mod statement;
pub mod trace;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use failure::Failure;

use crate::booking::money::{Currency, Money};
use crate::phone::Msisdn;
use crate::sms::{Account, Answer, Request, Settings, Token};
use crate::ussd::{Inbound, Rendered};
use trace::{Trace, Traced, Tracing};

/// One provider's wire format. Adding one touches its file, [`PROVIDERS`] and its cases.
pub trait Provider: Sync {
    /// Its name in configuration, URLs, logs and the database.
    fn name(&self) -> &'static str;

    /// What it has to be told.
    fn settings(&self) -> &'static Settings;

    /// The currencies that it can take, given its account.
    fn takes(&self, account: &Account, currency: Currency) -> bool;

    /// The request for the next thing that the account lacks and that lasts a while: a token, a key. `None`: all is there.
    fn encode_login(&self, account: &Account) -> Option<Request>;

    /// The answer to [`Provider::encode_login`]. `None`: it was refused.
    fn decode_login(&self, account: &Account, answer: &Answer<'_>) -> Option<Token>;

    /// Whether an answer says that the token has ended before its time.
    fn is_logged_out(&self, answer: &Answer<'_>) -> bool {
        answer.status == 401
    }

    /// Whether an answer says that nobody is served there now, whatever is asked.
    fn is_away(&self, answer: &Answer<'_>) -> bool {
        answer.status >= 500
    }

    /// The request that makes the payer's phone ask for the PIN.
    ///
    /// # Errors
    /// [`Misconfigured`] when a setting cannot be used.
    fn encode_prompt(
        &self,
        account: &Account,
        prompt: &Prompt<'_>,
    ) -> Result<Request, Misconfigured>;

    /// What its answer says became of the prompt.
    fn decode_prompt(&self, answer: &Answer<'_>) -> Prompted;

    /// The question what became of a prompt.
    fn encode_query(&self, account: &Account, asked: &Asked<'_>) -> Request;

    /// The answer to [`Provider::encode_query`].
    fn decode_query(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Fate;

    /// Reads what it posts.
    ///
    /// # Errors
    /// [`BadCallback`] names the field by its name on the wire.
    fn decode(&self, account: &Account, callback: &Callback<'_>) -> Result<Notice, BadCallback>;

    /// Answers a callback that is kept. `accepted` matters to the question whether money may come.
    fn acknowledge(&self, _door: Door, _accepted: Result<(), Rejection>) -> Rendered {
        Rendered::empty()
    }

    /// The question which payments have come in a time, from the `offset`-th on. `None`: the provider does not tell.
    fn encode_statement(
        &self,
        _account: &Account,
        _span: &Span,
        _offset: usize,
    ) -> Option<Request> {
        None
    }

    /// The answer to [`Provider::encode_statement`]. `None`: it cannot be read.
    fn decode_statement(&self, _account: &Account, _answer: &Answer<'_>) -> Option<Vec<Received>> {
        None
    }

    /// Whether it can be asked for the receipt of a payment by hand; else only its statement proves one.
    fn can_trace(&self, _account: &Account) -> bool {
        false
    }

    /// The question whether a payment by hand has happened.
    ///
    /// # Errors
    /// [`Misconfigured`] when a setting cannot be used, and always where [`Provider::can_trace`] says no.
    fn encode_trace(
        &self,
        _account: &Account,
        _trace: &Trace<'_>,
    ) -> Result<Request, Misconfigured> {
        Err(Misconfigured("trace"))
    }

    /// What its answer says became of the question.
    fn decode_trace(&self, answer: &Answer<'_>) -> Tracing {
        Tracing::Unasked {
            reason: format!("http_{}", answer.status),
        }
    }

    /// Whether money can be sent back by request; else the provider's own console does that.
    fn can_refund(&self, account: &Account) -> bool;

    /// The request that sends money back.
    ///
    /// # Errors
    /// [`Misconfigured`] when a setting cannot be used, and always where [`Provider::can_refund`] says no.
    fn encode_refund(
        &self,
        account: &Account,
        refund: &Refund<'_>,
    ) -> Result<Request, Misconfigured>;

    /// What its answer says became of a refund.
    fn decode_refund(&self, answer: &Answer<'_>) -> Refunding;
}

/// Every provider spoken over HTTP.
pub static PROVIDERS: &[&dyn Provider] = &[
    &airtel_money::AirtelMoney,
    &daraja::Daraja,
    &mtn_momo::MtnMomo,
];

/// The provider with this name.
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS
        .iter()
        .copied()
        .find(|provider| provider.name() == name)
}

/// What a phone is to ask its owner.
#[derive(Debug, Clone, Copy)]
pub struct Prompt<'a> {
    /// Our key of the attempt, written down before the call: where the provider takes one, it makes a repeated call harmless.
    pub key: Uuid,
    /// Who pays.
    pub msisdn: &'a Msisdn,
    /// How much: whole units of the currency.
    pub amount: Money,
    /// What the payer sees that it is for: the booking code's eight digits.
    pub reference: &'a str,
    /// Where the result is to be posted; its path is secret and names the attempt.
    pub callback_url: &'a str,
    /// The moment of the call.
    pub now: DateTime<Utc>,
}

/// What became of one attempt to prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompted {
    /// It is on its way; the result comes later.
    Accepted {
        /// The provider's id of it, where that is not our own key.
        provider_id: Option<String>,
    },
    /// The phone was not asked, and asking again will not help unless something changes.
    Failed(Failure),
    /// The phone was not asked. Try again later.
    RetryLater {
        /// A short word for the row and the log.
        reason: String,
    },
    /// Nobody can be prompted until someone acts: wrong keys, wrong short code.
    Paused {
        /// A short word for the row and the log.
        reason: String,
    },
    /// The phone may or may not have been asked.
    Unknown {
        /// A short word for the row and the log.
        reason: String,
    },
}

/// A prompt to ask about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Our key of the attempt.
    pub key: Uuid,
    /// The provider's id of it, where that is not our own key.
    pub provider_id: &'a str,
    /// What was asked for.
    pub amount: Money,
    /// The moment of the call.
    pub now: DateTime<Utc>,
}

/// What is known of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Still open.
    Pending,
    /// Money has moved.
    Paid(Paid),
    /// Money has not moved by this prompt, as far as the provider knows. A success may still follow and wins.
    Failed(Failure),
    /// The provider never had it.
    Missing,
    /// It does not tell: ask again.
    Unknown {
        /// A short word for the row and the log.
        reason: String,
    },
}

/// The reason of a payment that is said to have happened in another currency than was asked for.
pub const OTHER_CURRENCY: &str = "other_currency";

/// A payment that has happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paid {
    /// The provider's receipt; `None` where only a later message tells it.
    pub receipt: Option<String>,
    /// How much, where the provider says so; else what was asked for.
    pub amount: Option<Money>,
}

/// Which of our URLs a provider called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The result of a prompt.
    Result,
    /// The question whether a payment by hand may come.
    Validation,
    /// A payment by hand that has come.
    Confirmation,
    /// The result of a refund.
    Refund,
    /// A refund's result is late.
    RefundLate,
    /// What is known of a payment by hand.
    Trace,
    /// The answer to that question is late.
    TraceLate,
}

impl Door {
    /// Every door.
    pub const ALL: [Door; 7] = [
        Door::Result,
        Door::Validation,
        Door::Confirmation,
        Door::Refund,
        Door::RefundLate,
        Door::Trace,
        Door::TraceLate,
    ];

    /// Its segment of a URL. Providers refuse URLs with words such as `query`, `cmd` or their own brands.
    pub fn segment(self) -> &'static str {
        match self {
            Door::Result => "result",
            Door::Validation => "validation",
            Door::Confirmation => "confirmation",
            Door::Refund => "refund",
            Door::RefundLate => "refund-late",
            Door::Trace => "trace",
            Door::TraceLate => "trace-late",
        }
    }

    /// The door of this segment.
    pub fn find(segment: &str) -> Option<Door> {
        Door::ALL.into_iter().find(|door| door.segment() == segment)
    }
}

/// A request of a provider to us.
pub struct Callback<'a> {
    /// Where it came in.
    pub door: Door,
    /// The request as it came.
    pub request: Inbound<'a>,
}

/// What a callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// What became of a prompt.
    Prompt {
        /// The provider's id of it, or our key.
        provider_id: String,
        /// What it says.
        fate: Fate,
    },
    /// A payment by hand, come or about to come.
    Received(Received),
    /// What is known of a payment by hand.
    Traced(Traced),
    /// What became of a refund.
    Refund {
        /// The provider's id of the request.
        provider_id: String,
        /// What it says.
        outcome: Refunding,
    },
}

/// A payment that a guest made by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The provider's receipt, unique for all time.
    pub receipt: String,
    /// What the payer typed as account: a booking code, more or less.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// To which of our numbers.
    pub short_code: String,
    /// When, by the provider's clock.
    pub at: Option<DateTime<Utc>>,
}

/// From a moment to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the word says it")]
pub struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// Why a payment by hand may not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// No booking has this code.
    Reference,
    /// Not the sum that is due.
    Amount,
    /// Not one of our numbers.
    ShortCode,
    /// Another reason.
    Other,
}

/// Money to send back.
#[derive(Debug, Clone, Copy)]
pub struct Refund<'a> {
    /// Our key of the refund, written down before the call.
    pub key: Uuid,
    /// The provider's receipt of the payment.
    pub receipt: &'a str,
    /// How much: whole units of the currency.
    pub amount: Money,
    /// How much that payment was.
    pub paid: Money,
    /// Where its result is to be posted.
    pub result_url: &'a str,
    /// Where it is to be posted that the result is late.
    pub late_url: &'a str,
}

/// What became of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refunding {
    /// It is on its way; the result comes under this id.
    Accepted {
        /// The provider's id of the request.
        provider_id: String,
    },
    /// The money is back.
    Done {
        /// The provider's receipt, where it gives one.
        receipt: Option<String>,
    },
    /// It was not sent. Try again later.
    RetryLater {
        /// A short word for the row and the log.
        reason: String,
    },
    /// It was refused; a person has to look.
    Refused {
        /// A short word for the row and the log.
        reason: String,
    },
    /// It may or may not be on its way.
    Unknown {
        /// A short word for the row and the log.
        reason: String,
    },
}

/// A setting that the provider's request cannot be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the setting {0} cannot be used")]
pub struct Misconfigured(pub &'static str);

/// A callback that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCallback {
    /// The provider does not call this URL.
    #[error("not here")]
    Door,
    /// Not JSON of the provider's shape.
    #[error("the body cannot be read")]
    Body,
    /// A field is missing.
    #[error("{0} is missing")]
    MissingField(&'static str),
    /// A field cannot be read.
    #[error("{0} cannot be read")]
    InvalidField(&'static str),
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature,
}
