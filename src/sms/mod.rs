//! The contract of every SMS provider: a [`Message`] in, a [`Request`] out; its [`Answer`] in, what became of the message
//! out; a webhook in, [`Event`]s out. Pure, one file per provider. One [`send`] drives them all.
//!
//! Which of them carries a message is for [`route`] to say, and [`carrier`] has what needs no HTTP.

mod account;
pub mod africastalking;
pub mod arkesel;
pub mod beem;
pub mod bucket;
pub mod budget;
pub mod carrier;
mod event;
pub mod fields;
pub mod gsm7;
pub mod http;
pub mod hubtel;
pub mod ids;
pub mod infobip;
pub mod jasmin;
pub mod kannel;
pub mod keywords;
mod message;
pub mod mtn_madapi;
pub mod route;
pub mod sandbox;
pub mod sign;
pub mod termii;
pub mod twilio;
#[cfg(test)]
mod vectors_test;
pub mod vonage;

pub use account::{Account, Token};
pub use carrier::Carrier;
pub use event::{
    BadSms, Binary, DeliveryReport, DeliveryStatus, Door, Event, InboundSms, OptOut, Part,
    Subscription, Webhook, receipt_status,
};
pub use http::{Answer, Method, Request, http_builder, send};
pub use message::{Asked, Message, Sent};

use crate::ussd::Rendered;

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
