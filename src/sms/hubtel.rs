//! Hubtel: SMS of Ghana. Reports are asked for.
//!
//! Source: its documentation ("Send SMS", "Query SMS status"). Read November 2026.
//!
//! ```text
//! POST /v1/messages/send    {"From":"Acme","To":"447700900055","Content":"Hello"}
//!                           {"rate":0.03,"messageId":"00000000-0000-4000-8000-000000000055","status":0,"networkId":"62001","statusDescription":"request submitted successfully"}
//! GET /v1/messages/{id}     {"messageId":"…","status":"Delivered","updateTime":"…","to":"447700900055"}
//! ```

use serde::Deserialize;
use serde_json::json;

use super::{
    Account, Answer, Asked, BadSms, DeliveryReport, DeliveryStatus, Event, Message, Provider,
    Request, Sent, Settings, Webhook,
};

/// Where messages are unless the setting `url` says otherwise.
const URL: &str = "https://sms.hubtel.com/v1/messages";

/// The provider `hubtel`. Settings: `client_id`; `client_secret`; `url`.
pub struct Hubtel;

impl Provider for Hubtel {
    fn name(&self) -> &'static str {
        "hubtel"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["client_id", "client_secret"],
            optional: &["url"],
            sender_needed: true,
            public_url_needed: false,
            polled: true,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let body = json!({
            "From": message.sender,
            "To": message.msisdn.digits(),
            "Content": message.text,
        });
        let url = account.find("url").unwrap_or(URL);
        authorized(account, Request::json(format!("{url}/send"), &body))
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        match answer.json().filter(|_| answer.is_success()) {
            Some(Body {
                status: 0,
                message_id: Some(id),
            }) => Sent::accepted(id),
            Some(Body {
                status: 0,
                message_id: None,
            }) => Sent::accepted(""),
            Some(Body { status, .. }) => Sent::refused(format!("hubtel_{status}")),
            None => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, _webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        Err(BadSms::Door)
    }

    fn encode_poll(&self, account: &Account, asked: &Asked<'_>) -> Option<Request> {
        let id = asked.provider_id;
        let is_plain = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let url = account.find("url").unwrap_or(URL);
        is_plain.then(|| authorized(account, Request::get(&format!("{url}/{id}"), &[])))
    }

    fn decode_poll(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Option<DeliveryReport> {
        let Polled { status } = answer.json().filter(|_| answer.is_success())?;
        let status = match status.to_ascii_lowercase().as_str() {
            "delivered" => DeliveryStatus::Delivered,
            "undelivered" | "failed" | "rejected" | "undeliverable" => DeliveryStatus::Failed,
            "expired" => DeliveryStatus::Expired,
            "sent" | "submitted" | "pending" | "scheduled" => DeliveryStatus::Sent,
            _ => DeliveryStatus::Unknown,
        };
        Some(DeliveryReport::new(asked.provider_id, status))
    }
}

fn authorized(account: &Account, request: Request) -> Request {
    request.basic(account.needed("client_id"), account.needed("client_secret"))
}

#[derive(Deserialize)]
struct Body {
    status: i32,
    #[serde(rename = "messageId")]
    message_id: Option<String>,
}

#[derive(Deserialize)]
struct Polled {
    status: String,
}
