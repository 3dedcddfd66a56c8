//! Termii: SMS of Nigeria.
//!
//! Source: its documentation ("Send message", "Events and reports"), of middling precision; the shape of inbound messages
//! is not documented. Read November 2026.
//!
//! ```text
//! {"api_key":"…","to":"447700900052","from":"Acme","sms":"Hello","type":"plain","channel":"dnd"}
//!
//! {"code":"ok","message_id":"9122821270554876575","message":"Successfully Sent","balance":9,"user":"Acme"}
//! ```
//!
//! One URL gets both kinds of webhook, as JSON; `X-Termii-Signature` is the HMAC-SHA512 of the raw body in hexadecimal.
//!
//! ```text
//! report    {"type":"outbound","id":"…","message_id":"9122821270554876574","receiver":"447700900050","status":"DELIVERED | Message delivered to handset"}
//! inbound   {"type":"inbound","id":"in-1","receiver":"447700900099","sender":"447700900051","message":"Hi","sent_at":"2024-05-01 09:30:12"}
//! ```

use serde::Deserialize;
use serde_json::json;

use super::fields::{Fields, parse_date};
use super::sign::{Algorithm, hmac, is_hex_of};
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Event, InboundSms, Message, Provider,
    Request, Sent, Settings, Webhook,
};

/// The way that messages take unless the setting `channel` says otherwise.
const CHANNEL: &str = "generic";

/// The provider `termii`. Settings: `base_url`, the account's own (`https://v3.api.termii.com`); `api_key`; `secret_key`,
/// which signs webhooks, and `secret_key_next` while it is being replaced; `channel`: `generic` (the default), or `dnd` once it is enabled, which reaches numbers with
/// do-not-disturb too.
pub struct Termii;

impl Provider for Termii {
    fn name(&self) -> &'static str {
        "termii"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["base_url", "api_key"],
            optional: &["secret_key", "secret_key_next", "channel"],
            sender_needed: true,
            public_url_needed: false,
            polled: false,
            signs_with: Some("secret_key"),
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let body = json!({
            "api_key": account.needed("api_key"),
            "to": message.msisdn.digits(),
            "from": message.sender,
            "sms": message.text,
            "type": "plain",
            "channel": account.find("channel").unwrap_or(CHANNEL),
        });
        Request::json(
            format!("{}/api/sms/send", account.needed("base_url")),
            &body,
        )
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        let Some(body) = answer.json::<Body>() else {
            return answer.by_status();
        };
        let said = body.message.unwrap_or_default().to_lowercase();
        match body.message_id {
            Some(id) if answer.is_success() => Sent::accepted(id),
            _ if said.contains("balance") => Sent::paused("balance"),
            _ if said.contains("sender") => Sent::paused("InvalidSenderId"),
            _ => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let fields = Fields::json(webhook.request.body)?;
        Ok(vec![match fields.required("type")?.as_str() {
            "inbound" => Event::Inbound(InboundSms {
                at: fields.find("sent_at").and_then(|at| parse_date(&at)),
                ..InboundSms::new(
                    fields.required("id")?,
                    fields.msisdn("sender")?,
                    fields.required("receiver")?,
                    fields.present("message")?,
                )
            }),
            "outbound" => {
                let said = fields.required("status")?;
                let status = status(&said);
                Event::Report(DeliveryReport {
                    msisdn: fields.msisdn("receiver").ok(),
                    reason: (status == DeliveryStatus::Failed).then_some(said),
                    ..DeliveryReport::new(fields.required("message_id")?, status)
                })
            }
            _ => return Err(BadSms::InvalidField("type")),
        }])
    }

    fn verify(&self, account: &Account, webhook: &Webhook<'_>) -> bool {
        if account.find("secret_key").is_none() {
            return true;
        }
        let given = webhook.request.header("x-termii-signature");
        account.secrets("secret_key").any(|secret| {
            let signature = hmac(Algorithm::Sha512, secret.as_bytes(), webhook.request.body);
            is_hex_of(given.unwrap_or_default(), &signature)
        })
    }
}

#[derive(Deserialize)]
struct Body {
    message_id: Option<String>,
    message: Option<String>,
}

/// The provider's sentences, which come with and without an explanation behind them.
fn status(said: &str) -> DeliveryStatus {
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&[
        "dnd active",
        "undelivered",
        "not delivered",
        "failed",
        "rejected",
    ]) {
        DeliveryStatus::Failed
    } else if says(&["expired"]) {
        DeliveryStatus::Expired
    } else if says(&["delivered"]) {
        DeliveryStatus::Delivered
    } else if says(&["sent"]) {
        DeliveryStatus::Sent
    } else {
        DeliveryStatus::Unknown
    }
}
