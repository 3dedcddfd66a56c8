//! Vonage (Nexmo): SMS worldwide, with webhooks that may be signed and long messages that come in parts.
//!
//! Source: its SMS API documentation ("Send an SMS", "Inbound SMS", "Delivery receipts", "Signing messages"), its official
//! Python package. Read November 2026.
//!
//! Sending is a form, answered with 200 whatever became of the message, one entry for each part of a long one:
//!
//! ```text
//! api_key=abcd1234&api_secret=…&from=ACME&to=447700900035&text=Hello&status-report-req=1&client-ref=42
//!
//! {"message-count":"1","messages":[{"to":"447700900035","message-id":"0C000000217B7F02","status":"0"}]}
//! {"message-count":"1","messages":[{"status":"1","error-text":"Throughput Rate Exceeded"}]}
//! ```
//!
//! Webhooks are queries, forms or JSON as the account is set. One without any parameter asks whether we are there.
//!
//! ```text
//! inbound   msisdn=447700900031&to=447700900099&messageId=0A…&text=two%20&type=text&message-timestamp=2024-05-01%2009%3A30%3A12&concat=true&concat-ref=108&concat-total=3&concat-part=2
//! binary    msisdn=…&to=…&messageId=…&type=binary&data=0123ff&udh=0605040B8423F0
//! report    msisdn=447700900033&to=ACME&messageId=0C…&status=delivered&err-code=0&client-ref=42
//! ```
//!
//! `sig` is a hash in hexadecimal of the other parameters, sorted: `&name=value`, with `&` and `=` in values replaced by
//! `_`, hashed with the secret behind it (MD5) or by HMAC with the secret. `timestamp` must be of the last minutes.

use chrono::TimeDelta;
use serde::Deserialize;

use super::fields::{Fields, parse_date, parse_hex};
use super::gsm7::septets;
use super::sign::{Algorithm, hmac, is_hex_of, md5};
use super::{
    Account, Answer, BadSms, Binary, DeliveryReport, DeliveryStatus, Door, Event, InboundSms,
    Message, Part, Provider, Request, Sent, Settings, Webhook,
};

/// Where messages go unless the setting `url` says otherwise.
const URL: &str = "https://rest.nexmo.com/sms/json";
/// How far a signed timestamp may be from our clock.
const SKEW_MAX: TimeDelta = TimeDelta::minutes(5);

/// The provider `vonage`. Settings: `api_key`; `api_secret`; `signature_secret`, if webhooks are signed,
/// `signature_secret_next` while it is being replaced, and then `signature_method` as the account is set: `md5hash` (the default), `md5`, `sha1`, `sha256` or `sha512`; `url`.
pub struct Vonage;

impl Provider for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["api_key", "api_secret"],
            optional: &[
                "signature_secret",
                "signature_secret_next",
                "signature_method",
                "url",
            ],
            sender_needed: true,
            public_url_needed: false,
            polled: false,
            signs_with: Some("signature_secret"),
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let mut form = vec![
            ("api_key", account.needed("api_key")),
            ("api_secret", account.needed("api_secret")),
            ("from", message.sender.as_deref().unwrap_or_default()),
            ("to", message.msisdn.digits()),
            ("text", &message.text),
            ("status-report-req", "1"),
            ("client-ref", &message.reference),
        ];
        if septets(&message.text).is_none() {
            form.push(("type", "unicode"));
        }
        if let Some(url) = &message.report_url {
            form.push(("callback", url));
        }
        Request::form(account.find("url").unwrap_or(URL), &form)
    }

    /// A long message of which one part was taken is taken: the phone shows it, and sending it again would show it twice.
    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        let Some(Body { messages }) = answer.json().filter(|_| answer.is_success()) else {
            return answer.by_status();
        };
        let taken = messages.iter().find(|part| part.status == "0");
        match (taken, messages.first()) {
            (Some(part), _) => Sent::accepted(part.message_id.clone()),
            (None, Some(part)) => refusal(&part.status, answer),
            (None, None) => Sent::unknown("answer_unreadable"),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let fields = Fields::read(&webhook.request)?;
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![match webhook.door {
            Door::Inbound => Event::Inbound(inbound(&fields)?),
            Door::Delivery => Event::Report(report(&fields)?),
            Door::OptOut | Door::Subscription => return Err(BadSms::Door),
        }])
    }

    fn verify(&self, account: &Account, webhook: &Webhook<'_>) -> bool {
        if account.find("signature_secret").is_none() {
            return true;
        }
        let Ok(fields) = Fields::read(&webhook.request) else {
            return false;
        };
        if fields.is_empty() {
            return true;
        }
        let timestamp = fields
            .find("timestamp")
            .and_then(|seconds| seconds.parse::<i64>().ok());
        let fresh = timestamp.is_some_and(|seconds| {
            seconds.abs_diff(webhook.now.timestamp()) <= SKEW_MAX.num_seconds().unsigned_abs()
        });
        let mut params: Vec<_> = fields.iter().filter(|(name, _)| *name != "sig").collect();
        params.sort();
        let signed: String = params
            .iter()
            .map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_")))
            .collect();
        let method = account.find("signature_method").unwrap_or("md5hash");
        let given = fields.find("sig").unwrap_or_default();
        let signs = |secret: &str| {
            let by_hmac = |algorithm| hmac(algorithm, secret.as_bytes(), signed.as_bytes());
            let signature = match method {
                "md5hash" => md5(format!("{signed}{secret}").as_bytes()),
                "md5" => by_hmac(Algorithm::Md5),
                "sha1" => by_hmac(Algorithm::Sha1),
                "sha256" => by_hmac(Algorithm::Sha256),
                "sha512" => by_hmac(Algorithm::Sha512),
                _ => return false,
            };
            is_hex_of(&given, &signature)
        };
        account.secrets("signature_secret").any(signs) && fresh
    }
}

#[derive(Deserialize)]
struct Body {
    messages: Vec<Taken>,
}

#[derive(Deserialize)]
struct Taken {
    status: String,
    #[serde(rename = "message-id", default)]
    message_id: String,
}

/// The provider's table of status codes.
fn refusal(status: &str, answer: &Answer<'_>) -> Sent {
    let reason = format!("vonage_{status}");
    match status {
        // Throttled, internal error, too many binds.
        "1" | "5" | "10" => answer.later(reason),
        // Bad credentials, signature, or both at once.
        "4" | "14" | "32" => Sent::paused("authentication"),
        "9" => Sent::paused("balance"),
        // Account barred, not enabled for HTTP, sender not allowed.
        "8" | "11" | "15" => Sent::paused(reason),
        _ => Sent::refused(reason),
    }
}

fn inbound(fields: &Fields) -> Result<InboundSms, BadSms> {
    let hex = |name| {
        let raw = fields.octets(name).unwrap_or_default();
        parse_hex(raw).ok_or(BadSms::InvalidField(name))
    };
    let msisdn = fields.msisdn("msisdn")?;
    let binary = match fields.find("type").as_deref() {
        Some("binary") => Some(Binary {
            data: hex("data")?,
            header: hex("udh")?,
        }),
        _ => None,
    };
    let text = match &binary {
        Some(_) => String::new(),
        None => fields.present("text")?,
    };
    Ok(InboundSms {
        at: fields
            .find("message-timestamp")
            .and_then(|at| parse_date(&at)),
        part: part(fields)?,
        binary,
        ..InboundSms::new(
            fields.required("messageId")?,
            msisdn,
            fields.required("to")?,
            text,
        )
    })
}

fn part(fields: &Fields) -> Result<Option<Part>, BadSms> {
    if fields.find("concat").as_deref() != Some("true") {
        return Ok(None);
    }
    let number = |name: &'static str| {
        let number = fields.required(name)?.parse::<u8>().ok();
        number
            .filter(|&number| number > 0)
            .ok_or(BadSms::InvalidField(name))
    };
    let part = Part {
        reference: fields.required("concat-ref")?,
        number: number("concat-part")?,
        total: number("concat-total")?,
    };
    match part.number <= part.total {
        true => Ok(Some(part)),
        false => Err(BadSms::InvalidField("concat-part")),
    }
}

fn report(fields: &Fields) -> Result<DeliveryReport, BadSms> {
    let status = match fields.required("status")?.as_str() {
        "accepted" => DeliveryStatus::Sent,
        "buffered" => DeliveryStatus::Buffered,
        "delivered" => DeliveryStatus::Delivered,
        "expired" => DeliveryStatus::Expired,
        "failed" | "rejected" => DeliveryStatus::Failed,
        _ => DeliveryStatus::Unknown,
    };
    Ok(DeliveryReport {
        msisdn: fields.msisdn("msisdn").ok(),
        reason: fields.filled("err-code").filter(|code| code != "0"),
        reference: fields.filled("client-ref"),
        ..DeliveryReport::new(fields.required("messageId")?, status)
    })
}
