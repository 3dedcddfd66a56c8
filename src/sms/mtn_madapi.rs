//! MTN MADAPI: SMS of MTN's networks, API version 3.
//!
//! Source: MTN's API specification ("SMS V3 API", "OAuth"), nyaruka/courier for version 2. The specification is certain, how
//! each country's network keeps to it is less so. Read November 2026.
//!
//! A token comes first, by `client_id` and `client_secret`; it lasts an hour or so.
//!
//! ```text
//! POST /v1/oauth/access_token/accesstoken?grant_type=client_credentials    {"access_token":"…","expires_in":"3599"}
//! POST /v3/sms/messages/sms/outbound
//!   {"senderAddress":"ACME","serviceCode":"ACME","receiverAddress":["447700900057"],"message":"Hello","clientCorrelatorId":"42","requestDeliveryReceipt":true}
//!   {"statusCode":"0000","statusMessage":"Successful","transactionId":"t-1","data":{"status":"PENDING"}}
//! ```
//!
//! Reports name our own id. Webhooks are JSON without a signature; messages of subscribers have no id.
//!
//! ```text
//! report    {"clientCorrelatorId":"42","deliveryStatus":"DELIVERED","receiverAddress":"447700900057","error":"000",…}
//! inbound   {"senderAddress":"447700900058","receiverAddress":"22384","message":"Hello","created":1714555812000}
//! ```

use std::time::Duration;

use chrono::DateTime;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::Fields;
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Door, Event, InboundSms, Message,
    Provider, Request, Sent, Settings, Token, Webhook, receipt_status,
};

/// Where everything is unless the setting `url` says otherwise.
const URL: &str = "https://api.mtn.com";
/// How long a token is believed to last that does not say.
const TOKEN_LASTS: Duration = Duration::from_secs(600);

/// The provider `mtn_madapi`. Settings: `client_id`; `client_secret`; `service_code`, the registered code or sender; `url`.
pub struct MtnMadapi;

impl Provider for MtnMadapi {
    fn name(&self) -> &'static str {
        "mtn_madapi"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["client_id", "client_secret", "service_code"],
            optional: &["access_token", "url"],
            sender_needed: false,
            public_url_needed: false,
            polled: false,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let mut body = json!({
            "serviceCode": account.needed("service_code"),
            "receiverAddress": [message.msisdn.digits()],
            "message": message.text,
            "clientCorrelatorId": message.reference,
            "requestDeliveryReceipt": true,
        });
        if let Some(sender) = &message.sender {
            // The specification wants a sender repeated as the service code.
            body["senderAddress"] = json!(sender);
            body["serviceCode"] = json!(sender);
        }
        let url = account.find("url").unwrap_or(URL);
        let token = account.needed("access_token");
        Request::json(format!("{url}/v3/sms/messages/sms/outbound"), &body)
            .header("Authorization", format!("Bearer {token}"))
    }

    fn decode_answer(&self, message: &Message, answer: &Answer<'_>) -> Sent {
        match answer.json::<Body>().filter(|_| answer.is_success()) {
            Some(body) if body.status_code == "0000" => Sent::accepted(message.reference.clone()),
            Some(body) => Sent::refused(format!("mtn_{}", body.status_code)),
            None => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let fields = Fields::json(webhook.request.body)?;
        Ok(vec![match webhook.door {
            Door::Inbound => Event::Inbound(inbound(&fields)?),
            Door::Delivery => Event::Report(report(&fields)?),
            Door::OptOut | Door::Subscription => return Err(BadSms::Door),
        }])
    }

    fn encode_login(&self, account: &Account) -> Option<Request> {
        let url = account.find("url").unwrap_or(URL);
        let form = [
            ("client_id", account.needed("client_id")),
            ("client_secret", account.needed("client_secret")),
        ];
        let path = "/v1/oauth/access_token/accesstoken?grant_type=client_credentials";
        Some(Request::form(format!("{url}{path}"), &form))
    }

    fn decode_login(&self, answer: &Answer<'_>) -> Option<Token> {
        let body: Login = answer.json().filter(|_| answer.is_success())?;
        // A number, or a text with one.
        let seconds = body.expires_in.as_u64();
        let seconds = seconds.or_else(|| body.expires_in.as_str()?.parse().ok());
        Some(Token {
            setting: "access_token",
            value: SecretString::from(body.access_token),
            lasts: seconds.map_or(TOKEN_LASTS, Duration::from_secs),
        })
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "statusCode")]
    status_code: String,
}

#[derive(Deserialize)]
struct Login {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
}

fn inbound(fields: &Fields) -> Result<InboundSms, BadSms> {
    let msisdn = fields.msisdn("senderAddress")?;
    let created = fields.required("created")?;
    let at = created
        .parse()
        .ok()
        .and_then(DateTime::from_timestamp_millis);
    Ok(InboundSms {
        at,
        // One subscriber does not write twice in a millisecond.
        ..InboundSms::new(
            format!("{}-{created}", msisdn.digits()),
            msisdn,
            fields.required("receiverAddress")?,
            fields.present("message")?,
        )
    })
}

fn report(fields: &Fields) -> Result<DeliveryReport, BadSms> {
    let correlator = fields.filled("clientCorrelatorId");
    let transaction = || {
        fields
            .filled("transactionId")
            .or(fields.filled("TransactionID"))
    };
    let id = correlator
        .clone()
        .or_else(transaction)
        .ok_or(BadSms::MissingField("clientCorrelatorId"))?;
    let status = match fields.required("deliveryStatus")?.as_str() {
        // Words of version 2.
        "DeliveredToTerminal" => DeliveryStatus::Delivered,
        "DeliveredToNetwork" => DeliveryStatus::Sent,
        "MessageWaiting" => DeliveryStatus::Buffered,
        "DeliveryImpossible" => DeliveryStatus::Failed,
        word => receipt_status(word),
    };
    Ok(DeliveryReport {
        msisdn: fields.msisdn("receiverAddress").ok(),
        reason: fields
            .filled("error")
            .filter(|_| status == DeliveryStatus::Failed),
        reference: correlator,
        ..DeliveryReport::new(id, status)
    })
}
