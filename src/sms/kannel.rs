//! Kannel: the open SMS gateway, one's own or an operator's, through its smsbox.
//!
//! Source: Kannel user guide 1.5 ("Sending messages with HTTP", "SMS services", "Delivery reports"), the gateway's source.
//! Read November 2026.
//!
//! ```text
//! GET /cgi-bin/sendsms?username=u&password=p&to=%2B447700900061&from=22384&text=Hello&charset=UTF-8&coding=0&dlr-mask=31&dlr-url=…
//! 202 0: Accepted for delivery        202 3: Queued for later delivery        503 Temporal failure, try again later.
//! ```
//!
//! It gives no id: ours travels in `dlr-url`. What it calls us with is for its configuration to say; this is what is read:
//!
//! ```text
//! get-url = "…/inbound?id=%I&from=%p&to=%P&text=%b&coding=%c&charset=%C&time=%T&smsc=%i"
//! dlr-url =  …/delivery?id=42&type=%d&reply=%A&foreign=%F&ts=%T
//! ```
//!
//! Not `text=%a`: that squeezes white space, and in UTF-16 an octet of a letter may look like it. The text of the answer to
//! `get-url` goes to the subscriber, so it is empty; set `omit-empty = true` or `max-messages = 0` for the service. With
//! `http-request-retry` a message that we could not keep comes again; without it, it is lost.

use chrono::DateTime;

use super::fields::Fields;
use super::gsm7::{read_utf16, septets};
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Door, Event, InboundSms, Message,
    Provider, Request, Sent, Settings, Webhook,
};
use crate::ussd::Rendered;

/// What `dlr-url` ends with; `{ref}` is our id.
const ESCAPES: &str = "?id={ref}&type=%d&reply=%A&foreign=%F&ts=%T";
/// Every event is reported unless the setting `dlr_mask` says otherwise.
const DLR_MASK: &str = "31";

/// The provider `kannel`. Settings: `sendsms_url`, up to `/cgi-bin/sendsms`; `username`; `password`; `dlr_url_template`, if
/// the gateway reaches us otherwise than by `public_url`: a whole URL with `{ref}` for our id; `dlr_mask`.
pub struct Kannel;

impl Provider for Kannel {
    fn name(&self) -> &'static str {
        "kannel"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["sendsms_url", "username", "password"],
            optional: &["dlr_url_template", "dlr_mask"],
            sender_needed: false,
            public_url_needed: false,
            polled: false,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let template = match account.find("dlr_url_template") {
            Some(template) => Some(template.to_owned()),
            None => message
                .report_url
                .as_ref()
                .map(|url| format!("{url}{ESCAPES}")),
        };
        let dlr_url = template.map(|template| template.replace("{ref}", &message.reference));
        let mut query = vec![
            ("username", account.needed("username")),
            ("password", account.needed("password")),
            ("to", message.msisdn.as_str()),
            ("text", &message.text),
            ("charset", "UTF-8"),
            (
                "coding",
                if septets(&message.text).is_some() {
                    "0"
                } else {
                    "2"
                },
            ),
        ];
        if let Some(sender) = &message.sender {
            query.push(("from", sender));
        }
        if let Some(url) = &dlr_url {
            query.push(("dlr-mask", account.find("dlr_mask").unwrap_or(DLR_MASK)));
            query.push(("dlr-url", url));
        }
        Request::get(account.needed("sendsms_url"), &query)
    }

    fn decode_answer(&self, message: &Message, answer: &Answer<'_>) -> Sent {
        match (answer.status, answer.body.first()) {
            (200..=299, Some(b'0' | b'3')) => Sent::accepted(message.reference.clone()),
            (403, _) => Sent::paused("authentication"),
            _ => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let fields = Fields::read(&webhook.request)?;
        Ok(vec![match webhook.door {
            Door::Inbound => Event::Inbound(inbound(&fields)?),
            Door::Delivery => Event::Report(report(&fields)?),
            Door::OptOut | Door::Subscription => return Err(BadSms::Door),
        }])
    }

    fn acknowledge(&self, reply: Option<&str>) -> Rendered {
        Rendered::text(reply.unwrap_or_default())
    }
}

fn inbound(fields: &Fields) -> Result<InboundSms, BadSms> {
    let seconds = fields.find("time").and_then(|time| time.parse().ok());
    let octets = fields.octets("text").unwrap_or_default();
    let charset = fields
        .find("charset")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let text = match charset.as_str() {
        "UTF-16BE" | "UTF-16" | "UCS-2" => read_utf16(octets),
        "ISO-8859-1" | "LATIN1" => octets.iter().map(|&octet| char::from(octet)).collect(),
        _ => fields.present("text")?,
    };
    Ok(InboundSms {
        at: seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        operator: fields.filled("smsc"),
        ..InboundSms::new(
            fields.required("id")?,
            fields.msisdn("from")?,
            fields.required("to")?,
            text,
        )
    })
}

fn report(fields: &Fields) -> Result<DeliveryReport, BadSms> {
    let event: u32 = fields
        .required("type")?
        .parse()
        .map_err(|_| BadSms::InvalidField("type"))?;
    let status = match event {
        1 => DeliveryStatus::Delivered,
        2 | 16 => DeliveryStatus::Failed,
        4 => DeliveryStatus::Buffered,
        8 | 32 => DeliveryStatus::Sent,
        _ => DeliveryStatus::Unknown,
    };
    let id = fields.required("id")?;
    let reason = fields.filled("reply");
    Ok(DeliveryReport {
        reason: reason.filter(|_| status == DeliveryStatus::Failed),
        reference: Some(id.clone()),
        network_id: fields.filled("foreign"),
        ..DeliveryReport::new(id, status)
    })
}
