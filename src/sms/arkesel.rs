//! Arkesel: SMS of Ghana and its neighbours, API version 2.
//!
//! Source: its developer documentation ("Send SMS", "Delivery webhook"). Read November 2026.
//!
//! ```text
//! {"sender":"Acme","message":"Hello","recipients":["447700900056"],"callback_url":"https://…"}
//!
//! {"status":"success","data":[{"recipient":"447700900056","id":"00000000-0000-4000-8000-000000000056"}]}
//! {"status":"success","data":[{"invalid numbers":["44770"]}]}
//! ```
//!
//! A report is a query: `sms_id=00000000-0000-4000-8000-000000000056&status=DELIVERED`. It has no signature.

use serde_json::{Value, json};

use super::fields::Fields;
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Door, Event, Message, Provider,
    Request, Sent, Settings, Webhook,
};

/// Where messages go unless the setting `url` says otherwise.
const URL: &str = "https://sms.arkesel.com/api/v2/sms/send";

/// The provider `arkesel`. Settings: `api_key`; `use_case`, which Nigerian numbers need: `transactional`; `url`.
pub struct Arkesel;

impl Provider for Arkesel {
    fn name(&self) -> &'static str {
        "arkesel"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["api_key"],
            optional: &["use_case", "url"],
            sender_needed: true,
            public_url_needed: false,
            polled: false,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let mut body = json!({
            "sender": message.sender,
            "message": message.text,
            "recipients": [message.msisdn.digits()],
        });
        if let Some(url) = &message.report_url {
            body["callback_url"] = json!(url);
        }
        if let Some(use_case) = account.find("use_case") {
            body["use_case"] = json!(use_case);
        }
        Request::json(account.find("url").unwrap_or(URL), &body)
            .header("api-key", account.needed("api_key"))
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        let Some(body) = answer.json::<Value>().filter(|_| answer.is_success()) else {
            return answer.by_status();
        };
        let items = body["data"].as_array().into_iter().flatten();
        let mut ids = items.clone().filter_map(|item| item["id"].as_str());
        let mut invalid = items.filter(|item| item.get("invalid numbers").is_some());
        match (body["status"].as_str(), ids.next(), invalid.next()) {
            (Some("success"), Some(id), _) => Sent::accepted(id),
            (Some("success"), None, Some(_)) => Sent::refused("InvalidPhoneNumber"),
            (Some("error"), ..) => Sent::refused("error"),
            _ => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        if webhook.door != Door::Delivery {
            return Err(BadSms::Door);
        }
        let fields = Fields::read(&webhook.request)?;
        let id = fields.required("sms_id")?;
        let word = fields.required("status")?.to_ascii_uppercase();
        let status = match word.as_str() {
            "DELIVERED" => DeliveryStatus::Delivered,
            "NOT_DELIVERED" | "UNDELIVERED" | "FAILED" | "REJECTED" => DeliveryStatus::Failed,
            "EXPIRED" => DeliveryStatus::Expired,
            "SENT" | "SUBMITTED" | "ACCEPTED" | "PENDING" => DeliveryStatus::Sent,
            _ => DeliveryStatus::Unknown,
        };
        Ok(vec![Event::Report(DeliveryReport::new(id, status))])
    }
}
