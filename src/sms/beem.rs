//! Beem Africa: SMS of Tanzania. It does not report by itself.
//!
//! Source: its documentation ("SMS API", "Delivery reports"). Words of reports and the shape of errors are of middling
//! certainty. Read November 2026.
//!
//! ```text
//! POST /v1/send          {"source_addr":"INFO","schedule_time":"","encoding":0,"message":"Habari","recipients":[{"recipient_id":1,"dest_addr":"447700900053"}]}
//!                        {"successful":true,"request_id":123,"code":100,"message":"Message Submitted Successfully","valid":1,"invalid":0,"duplicates":0}
//!                        {"data":{"code":108,"message":"Invalid Sender Id"}}
//! GET /public/v1/delivery-reports?dest_addr=447700900053&request_id=123
//!                        {"dest_addr":"447700900053","request_id":"123","status":"DELIVERED","timestamp":"2024-05-01 09:31"}
//! ```

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Account, Answer, Asked, BadSms, DeliveryReport, Event, Message, Provider, Request, Sent,
    Settings, Webhook, receipt_status,
};

/// Where messages go unless the setting `url` says otherwise.
const URL: &str = "https://apisms.beem.africa/v1/send";
/// Where reports are asked for unless the setting `report_url` says otherwise.
const REPORT_URL: &str = "https://dlrapi.beem.africa/public/v1/delivery-reports";

/// The provider `beem`. Settings: `api_key`; `secret_key`; `url`; `report_url`.
pub struct Beem;

impl Provider for Beem {
    fn name(&self) -> &'static str {
        "beem"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["api_key", "secret_key"],
            optional: &["url", "report_url"],
            sender_needed: true,
            public_url_needed: false,
            polled: true,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let body = json!({
            "source_addr": message.sender,
            "schedule_time": "",
            "encoding": 0,
            "message": message.text,
            "recipients": [{ "recipient_id": 1, "dest_addr": message.msisdn.digits() }],
        });
        authorized(
            account,
            Request::json(account.find("url").unwrap_or(URL), &body),
        )
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        let Some(body) = answer.json::<Body>() else {
            return answer.by_status();
        };
        match (body.successful, body.request_id) {
            (true, Some(id)) if answer.is_success() => Sent::accepted(id.to_string()),
            _ => match body.code.or(body.data.and_then(|data| data.code)) {
                Some(code) => refusal(code),
                None => answer.by_status(),
            },
        }
    }

    fn decode(&self, _account: &Account, _webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        Err(BadSms::Door)
    }

    fn encode_poll(&self, account: &Account, asked: &Asked<'_>) -> Option<Request> {
        let query = [
            ("dest_addr", asked.msisdn.digits()),
            ("request_id", asked.provider_id),
        ];
        let url = account.find("report_url").unwrap_or(REPORT_URL);
        Some(authorized(account, Request::get(url, &query)))
    }

    fn decode_poll(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Option<DeliveryReport> {
        let body: Value = answer.json().filter(|_| answer.is_success())?;
        let report = body.get(0).unwrap_or(&body);
        let word = report.get("status")?.as_str()?;
        let status = match word {
            "PENDING" => receipt_status("ENROUTE"),
            word => receipt_status(word),
        };
        Some(DeliveryReport {
            msisdn: Some(asked.msisdn.clone()),
            ..DeliveryReport::new(asked.provider_id, status)
        })
    }
}

fn authorized(account: &Account, request: Request) -> Request {
    request.basic(account.needed("api_key"), account.needed("secret_key"))
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    successful: bool,
    request_id: Option<u64>,
    code: Option<u32>,
    data: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: Option<u32>,
}

/// The provider's table of codes.
fn refusal(code: u32) -> Sent {
    let reason = format!("beem_{code}");
    match code {
        102 => Sent::paused("balance"),
        // The network did not answer in time.
        103 => Sent::unknown(reason),
        // No account, no route, no authorization, a bad token or sender.
        105..=108 | 111 => Sent::paused(reason),
        _ => Sent::refused(reason),
    }
}
