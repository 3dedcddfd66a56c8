//! Jasmin: an open SMS gateway, through its HTTP API.
//!
//! Source: Jasmin's documentation ("HTTP API", "MO throwers", "DLR throwers") and source. Read November 2026.
//!
//! ```text
//! username=u&password=p&to=447700900071&from=22384&coding=0&content=Hello&dlr=yes&dlr-level=3&dlr-method=POST&dlr-url=…
//! 200 Success "07033084-5cfd-4812-90a4-e4d24ffb6e20"        412 Error "No route found"
//! ```
//!
//! Webhooks are queries or forms. They repeat, three times, unless the answer is exactly `ACK/Jasmin`.
//!
//! ```text
//! inbound   id=07033084-…&from=447700900070&to=22384&origin-connector=smppc1&coding=8&content=%12%30…&binary=1230…
//! report    id=07033084-…&level=1&message_status=ESME_ROK&connector=smppc1
//! report    id=07033084-…&level=2&message_status=DELIVRD&id_smsc=0a1b&err=000&…
//! ```
//!
//! `content` of coding 8 is UTF-16, which is not valid as a form's text: `binary` has the same octets in hexadecimal.

use super::fields::{Fields, parse_hex};
use super::gsm7::{read_unpacked, read_utf16, septets};
use super::{
    Account, Answer, BadSms, Binary, DeliveryReport, DeliveryStatus, Door, Event, InboundSms,
    Message, Provider, Request, Sent, Settings, Webhook, receipt_status,
};
use crate::ussd::Rendered;

/// What every webhook is answered with.
const ACKNOWLEDGED: &str = "ACK/Jasmin";
/// Reports of the SMSC and of the phone unless the setting `dlr_level` says otherwise.
const DLR_LEVEL: &str = "3";

/// The provider `jasmin`. Settings: `send_url`, up to `/send`; `username`; `password`; `dlr_url`, if the gateway reaches us
/// otherwise than by `public_url`; `dlr_level`: 1, 2 or 3; `dlr_method`: `POST` or `GET`; `default_alphabet`: `gsm7` if the
/// SMSC hands over GSM-7 that nobody has converted.
pub struct Jasmin;

impl Provider for Jasmin {
    fn name(&self) -> &'static str {
        "jasmin"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["send_url", "username", "password"],
            optional: &["dlr_url", "dlr_level", "dlr_method", "default_alphabet"],
            sender_needed: false,
            public_url_needed: false,
            polled: false,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let hex: String = message
            .text
            .encode_utf16()
            .map(|unit| format!("{unit:04x}"))
            .collect();
        let mut form = vec![
            ("username", account.needed("username")),
            ("password", account.needed("password")),
            ("to", message.msisdn.digits()),
        ];
        form.extend(match septets(&message.text) {
            Some(_) => [("coding", "0"), ("content", message.text.as_str())],
            None => [("coding", "8"), ("hex-content", hex.as_str())],
        });
        if let Some(sender) = &message.sender {
            form.push(("from", sender));
        }
        match account.find("dlr_url").or(message.report_url.as_deref()) {
            Some(url) => form.extend([
                ("dlr", "yes"),
                ("dlr-level", account.find("dlr_level").unwrap_or(DLR_LEVEL)),
                ("dlr-method", account.find("dlr_method").unwrap_or("POST")),
                ("dlr-url", url),
            ]),
            None => form.push(("dlr", "no")),
        }
        Request::form(account.needed("send_url"), &form)
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        let said = String::from_utf8_lossy(answer.body);
        let id = said.trim().strip_prefix("Success \"");
        let id = id.and_then(|rest| rest.strip_suffix('"'));
        match (answer.status, id) {
            (200, Some(id)) => Sent::accepted(id),
            (403, _) if said.to_lowercase().contains("throughput") => answer.later("throughput"),
            (403, _) => Sent::paused("authentication"),
            (412, _) => Sent::refused("no_route_at_gateway"),
            _ => answer.by_status(),
        }
    }

    fn decode(&self, account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let fields = Fields::read(&webhook.request)?;
        Ok(vec![match webhook.door {
            Door::Inbound => {
                let gsm7 = account.find("default_alphabet") == Some("gsm7");
                Event::Inbound(inbound(&fields, gsm7)?)
            }
            Door::Delivery => Event::Report(report(&fields)?),
            Door::OptOut | Door::Subscription => return Err(BadSms::Door),
        }])
    }

    fn acknowledge(&self, _reply: Option<&str>) -> Rendered {
        Rendered::text(ACKNOWLEDGED)
    }
}

fn inbound(fields: &Fields, gsm7: bool) -> Result<InboundSms, BadSms> {
    let binary = fields.octets("binary").and_then(parse_hex);
    let content = fields.octets("content");
    let octets = binary
        .or_else(|| content.map(<[u8]>::to_vec))
        .ok_or(BadSms::MissingField("content"))?;
    let latin1 = || octets.iter().map(|&octet| char::from(octet)).collect();
    let coding = fields.filled("coding").unwrap_or_else(|| "0".to_owned());
    let text = match coding.as_str() {
        "0" if gsm7 => Some(read_unpacked(&octets)),
        "0" | "1" => Some(String::from_utf8_lossy(&octets).into_owned()),
        "3" => Some(latin1()),
        "8" => Some(read_utf16(&octets)),
        _ => None,
    };
    let sms = InboundSms::new(
        fields.required("id")?,
        fields.msisdn("from")?,
        fields.required("to")?,
        text.clone().unwrap_or_default(),
    );
    Ok(InboundSms {
        operator: fields.filled("origin-connector"),
        binary: text.is_none().then_some(Binary {
            data: octets,
            header: Vec::new(),
        }),
        ..sms
    })
}

fn report(fields: &Fields) -> Result<DeliveryReport, BadSms> {
    let word = fields.required("message_status")?;
    let status = match word.as_str() {
        "ESME_ROK" => DeliveryStatus::Sent,
        error if error.starts_with("ESME_") => DeliveryStatus::Failed,
        receipt => receipt_status(receipt),
    };
    Ok(DeliveryReport {
        reason: (status == DeliveryStatus::Failed).then_some(word),
        network_id: fields.filled("id_smsc"),
        ..DeliveryReport::new(fields.required("id")?, status)
    })
}
