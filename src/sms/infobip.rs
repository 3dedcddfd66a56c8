//! Infobip: SMS worldwide, API version 3.
//!
//! Source: its OpenAPI-generated client, its documentation ("Send SMS messages", "Receive outbound SMS delivery reports",
//! "Receive inbound SMS"). Read November 2026.
//!
//! ```text
//! {"messages":[{"sender":"ACME","destinations":[{"to":"447700900040"}],"content":{"text":"Hello"},
//!  "webhooks":{"delivery":{"url":"https://…"},"contentType":"application/json","callbackData":"42"}}]}
//!
//! {"bulkId":"b1","messages":[{"messageId":"m1","status":{"groupId":1,"name":"PENDING_ACCEPTED"},"destination":"447700900040"}]}
//! ```
//!
//! Webhooks are JSON lists without a signature, repeated until answered 200:
//!
//! ```text
//! report    {"results":[{"messageId":"m1","to":"447700900041","status":{"groupId":3,"name":"DELIVERED"},"error":{"name":"NO_ERROR"},"callbackData":"42"}]}
//! inbound   {"results":[{"messageId":"817790313235066447","from":"447700900042","to":"447700900099","text":"Hello","receivedAt":"2024-05-01T09:30:12.000+0000"}]}
//! ```

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{parse_date, parse_json};
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Door, Event, InboundSms, Message,
    Provider, Request, Sent, Settings, Webhook,
};
use crate::phone::Msisdn;

/// The provider `infobip`. Settings: `base_url`, the account's own (`https://xyz.api.infobip.com`); `api_key`.
pub struct Infobip;

impl Provider for Infobip {
    fn name(&self) -> &'static str {
        "infobip"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["base_url", "api_key"],
            optional: &[],
            sender_needed: true,
            public_url_needed: false,
            polled: false,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let mut sms = json!({
            "sender": message.sender,
            "destinations": [{ "to": message.msisdn.digits() }],
            "content": { "text": message.text },
        });
        if let Some(url) = &message.report_url {
            sms["webhooks"] = json!({
                "delivery": { "url": url, "intermediateReport": true },
                "contentType": "application/json",
                "callbackData": message.reference,
            });
        }
        let url = format!("{}/sms/3/messages", account.needed("base_url"));
        Request::json(url, &json!({ "messages": [sms] }))
            .header(
                "Authorization",
                format!("App {}", account.needed("api_key")),
            )
            .header("Accept", "application/json")
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        let body = answer.json().filter(|_| answer.is_success());
        let Some(Body { messages: [sms] }) = body else {
            return answer.by_status();
        };
        match (sms.status.group_id, sms.status.name.as_str()) {
            (0 | 1 | 3, _) => Sent::accepted(sms.message_id),
            (_, "REJECTED_NOT_ENOUGH_CREDITS") => Sent::paused("balance"),
            (_, name @ ("REJECTED_SENDER" | "REJECTED_SOURCE")) => Sent::paused(name),
            (_, name) => Sent::refused(name),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let body = webhook.request.body;
        match webhook.door {
            Door::Inbound => {
                let Results { results } = parse_json::<Results<Received>>(body)?;
                results.into_iter().map(inbound).collect()
            }
            Door::Delivery => {
                let Results { results } = parse_json::<Results<Reported>>(body)?;
                Ok(results.into_iter().map(report).collect())
            }
            Door::OptOut | Door::Subscription => Err(BadSms::Door),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    messages: [Accepted; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    message_id: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    group_id: i32,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Results<T> {
    results: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    message_id: String,
    from: String,
    to: String,
    text: Option<String>,
    received_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reported {
    message_id: String,
    to: Option<String>,
    status: Status,
    error: Option<Named>,
    callback_data: Option<Value>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

fn inbound(sms: Received) -> Result<Event, BadSms> {
    let msisdn = Msisdn::parse(&sms.from).map_err(|_| BadSms::InvalidField("from"))?;
    Ok(Event::Inbound(InboundSms {
        at: sms.received_at.and_then(|at| parse_date(&at)),
        ..InboundSms::new(sms.message_id, msisdn, sms.to, sms.text.unwrap_or_default())
    }))
}

fn report(report: Reported) -> Event {
    let status = match report.status.group_id {
        0 | 1 => DeliveryStatus::Sent,
        3 => DeliveryStatus::Delivered,
        4 => DeliveryStatus::Expired,
        2 | 5 => DeliveryStatus::Failed,
        _ => DeliveryStatus::Unknown,
    };
    let error = report.error.and_then(|error| error.name);
    Event::Report(DeliveryReport {
        msisdn: report.to.and_then(|to| Msisdn::parse(&to).ok()),
        reason: error.filter(|name| name != "NO_ERROR"),
        reference: report
            .callback_data
            .and_then(|data| Some(data.as_str()?.to_owned())),
        ..DeliveryReport::new(report.message_id, status)
    })
}
