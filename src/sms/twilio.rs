//! Twilio: SMS worldwide, with signed webhooks.
//!
//! Source: Twilio's documentation ("Messages resource", "Webhooks security", error dictionary), the request validator of
//! its official Python SDK. Read November 2026.
//!
//! Sending is a form with a name and password, answered with 201, or with 4xx and a code of the error dictionary:
//!
//! ```text
//! To=%2B447700900025&From=%2B15005550006&Body=Hi&StatusCallback=https%3A%2F%2F…
//!
//! {"sid":"SM00000000000000000000000000000028","status":"queued","error_code":null,…}
//! {"code":21211,"message":"…","more_info":"…","status":400}
//! ```
//!
//! Webhooks are forms; an inbound one is answered by XML.
//!
//! ```text
//! inbound   MessageSid=SM…&From=%2B447700900020&To=%2B15005550006&Body=Hello&NumMedia=0&OptOutType=STOP
//! report    MessageSid=SM…&MessageStatus=undelivered&To=%2B447700900024&ErrorCode=30003
//! ```
//!
//! `X-Twilio-Signature` is the HMAC-SHA1 in base64, by the auth token, of the URL as called and then each form parameter,
//! sorted: name and value, without separators. A JSON body is named by its SHA-256 in the URL instead. Accounts with
//! shared keys sign by HMAC-SHA256 and say so in `X-Twilio-Webhooks-Signature-Settings: key=ID,algorithm=HMAC_SHA256`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::fields::Fields;
use super::sign::{Algorithm, hmac, is_hex_of, is_same, sha256};
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Door, Event, InboundSms, Message,
    Provider, Request, Sent, Settings, Webhook,
};
use crate::ussd::Rendered;

/// Where messages go unless the setting `url` says otherwise.
const URL: &str = "https://api.twilio.com";
/// An answer that says nothing to the subscriber.
const NO_REPLY: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// The provider `twilio`. Settings: `account_sid`; `auth_token`, which also signs webhooks, and `auth_token_next` while
/// it is being replaced; `shared_keys`, for accounts that sign by those: `ID=SECRET`, blanks between several; `url`. A sender that begins with `MG` is a messaging service.
pub struct Twilio;

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["account_sid", "auth_token"],
            optional: &["auth_token_next", "shared_keys", "url"],
            sender_needed: true,
            public_url_needed: true,
            polled: false,
            signs_with: Some("auth_token"),
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let sid = account.needed("account_sid");
        let mut form = vec![("To", message.msisdn.as_str()), ("Body", &message.text)];
        if let Some(sender) = &message.sender {
            let service = sender.len() == 34 && sender.starts_with("MG");
            form.push((
                if service {
                    "MessagingServiceSid"
                } else {
                    "From"
                },
                sender,
            ));
        }
        if let Some(url) = &message.report_url {
            form.push(("StatusCallback", url));
        }
        let host = account.find("url").unwrap_or(URL);
        Request::form(
            format!("{host}/2010-04-01/Accounts/{sid}/Messages.json"),
            &form,
        )
        .basic(sid, account.needed("auth_token"))
    }

    fn decode_answer(&self, _message: &Message, answer: &Answer<'_>) -> Sent {
        match answer.json() {
            Some(Body { sid: Some(sid), .. }) if answer.is_success() => Sent::accepted(sid),
            Some(Body {
                code: Some(code), ..
            }) if !answer.is_success() => refusal(code, answer),
            _ => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let form = Fields::read(&webhook.request)?;
        let event = match webhook.door {
            Door::Inbound => Event::Inbound(InboundSms {
                media: form
                    .find("NumMedia")
                    .and_then(|count| count.parse().ok())
                    .unwrap_or(0),
                opt_out: form.filled("OptOutType"),
                ..InboundSms::new(
                    form.required("MessageSid")?,
                    form.msisdn("From")?,
                    form.required("To")?,
                    form.present("Body")?,
                )
            }),
            Door::Delivery => Event::Report(DeliveryReport {
                msisdn: form.msisdn("To").ok(),
                reason: form.filled("ErrorCode"),
                ..DeliveryReport::new(
                    form.required("MessageSid")?,
                    status(&form.required("MessageStatus")?),
                )
            }),
            Door::OptOut | Door::Subscription => return Err(BadSms::Door),
        };
        Ok(vec![event])
    }

    fn verify(&self, account: &Account, webhook: &Webhook<'_>) -> bool {
        if account.find("auth_token").is_none() {
            return true;
        }
        let request = &webhook.request;
        let given = request.header("x-twilio-signature").unwrap_or_default();
        let keys: Vec<_> = match request.header("x-twilio-webhooks-signature-settings") {
            None => account
                .secrets("auth_token")
                .map(|token| (Algorithm::Sha1, token))
                .collect(),
            Some(settings) => shared_key(account, settings).into_iter().collect(),
        };
        let (Ok(given), Some(params)) = (STANDARD.decode(given), signed_params(webhook)) else {
            return false;
        };
        urls(webhook.url).iter().any(|url| {
            let signed = format!("{url}{params}");
            keys.iter().any(|(algorithm, key)| {
                is_same(&given, &hmac(*algorithm, key.as_bytes(), signed.as_bytes()))
            })
        })
    }

    fn acknowledge(&self, _reply: Option<&str>) -> Rendered {
        Rendered::xml(NO_REPLY)
    }

    fn refuse(&self, bad: &BadSms) -> Rendered {
        let status = match bad {
            BadSms::Signature => 403,
            BadSms::Door => 404,
            _ => 400,
        };
        Rendered {
            status,
            ..Rendered::text(bad.to_string())
        }
    }
}

#[derive(Deserialize)]
struct Body {
    sid: Option<String>,
    code: Option<u32>,
}

/// The error dictionary, as far as it decides.
fn refusal(code: u32, answer: &Answer<'_>) -> Sent {
    let reason = format!("twilio_{code}");
    match code {
        20003 => Sent::paused("authentication"),
        // Too many requests; the channel's own limit; the queue is full.
        20429 | 63018 | 30001 => answer.later(reason),
        // The account is not active, suspended, or has no such sender.
        20005 | 30002 | 21212 | 21603 | 21606 | 21659 | 21660 => Sent::paused(reason),
        // No such number, not a mobile one, opted out.
        21211 | 21610 | 21614 => Sent::refused(reason),
        _ => match answer.by_status() {
            Sent::Refused { .. } => Sent::refused(reason),
            other => other,
        },
    }
}

fn status(word: &str) -> DeliveryStatus {
    match word {
        "queued" | "accepted" | "scheduled" | "sending" => DeliveryStatus::Queued,
        "sent" => DeliveryStatus::Sent,
        "delivered" | "read" => DeliveryStatus::Delivered,
        "undelivered" | "failed" | "canceled" => DeliveryStatus::Failed,
        _ => DeliveryStatus::Unknown,
    }
}

/// The secret that the header names, and how it signs.
fn shared_key<'a>(account: &'a Account, settings: &str) -> Option<(Algorithm, &'a str)> {
    let named = |name: &str| {
        let mut settings = settings.split(',').filter_map(|pair| pair.split_once('='));
        settings
            .find(|(known, _)| known.trim() == name)
            .map(|(_, value)| value.trim())
    };
    let id = named("key")?;
    let keys = account.find("shared_keys")?.split_whitespace();
    let mut keys = keys.filter_map(|pair| pair.split_once('='));
    let (_, secret) = keys.find(|(known, _)| *known == id)?;
    (named("algorithm")? == "HMAC_SHA256").then_some((Algorithm::Sha256, secret))
}

/// What is signed after the URL. `None`: the body is not the one that the URL names.
fn signed_params(webhook: &Webhook<'_>) -> Option<String> {
    let request = &webhook.request;
    if request.body.is_empty() {
        return Some(String::new());
    }
    if !request.is_of_type("application/x-www-form-urlencoded") {
        let (_, query) = webhook.url.split_once('?')?;
        let mut query = form_urlencoded::parse(query.as_bytes());
        let (_, named) = query.find(|(name, _)| name == "bodySHA256")?;
        return is_hex_of(&named, &sha256(request.body)).then(String::new);
    }
    let mut params: Vec<_> = form_urlencoded::parse(request.body).collect();
    params.sort();
    params.dedup();
    Some(
        params
            .iter()
            .flat_map(|(name, value)| [&**name, &**value])
            .collect(),
    )
}

/// The URL as called, and with its standard port said or left out: either may be signed.
fn urls(url: &str) -> Vec<String> {
    let url = url.split('#').next().unwrap_or_default();
    let mut urls = vec![url.to_owned()];
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
        let Some(rest) = url.strip_prefix(scheme) else {
            continue;
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        match host.strip_suffix(port) {
            Some(bare) => urls.push(format!("{scheme}{bare}{path}")),
            None if !host.contains(':') => urls.push(format!("{scheme}{host}{port}{path}")),
            None => {}
        }
    }
    urls
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::ussd::Inbound;

    #[test]
    fn signatures_are_the_recorded_ones() {
        let file = include_str!("../../tests/vectors/twilio_signature.json");
        let file: Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let params = case["params"].as_array().unwrap();
            let params = params
                .iter()
                .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
            let form = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(params)
                .finish();
            let (content_type, body) = match case["body"].as_str() {
                Some(json) => ("application/json", json),
                None => ("application/x-www-form-urlencoded", form.as_str()),
            };
            let mut headers = vec![
                ("content-type", content_type),
                ("x-twilio-signature", case["signature"].as_str().unwrap()),
            ];
            let algorithm = case["algorithm"].as_str().unwrap();
            let settings = format!("key=k1,algorithm={algorithm}");
            if algorithm != "HMAC_SHA1" {
                headers.push(("x-twilio-webhooks-signature-settings", &settings));
            }
            let token = case["token"].as_str().unwrap();
            let account = Account::new([
                ("auth_token", token),
                ("shared_keys", &format!("k0=other k1={token}")),
            ]);
            let verified = |url: &str| {
                let request = Inbound {
                    method: "POST",
                    path: "",
                    query: "",
                    headers: &headers,
                    body: body.as_bytes(),
                };
                let webhook = Webhook {
                    door: Door::Inbound,
                    url,
                    request,
                    now: chrono::Utc::now(),
                };
                Twilio.verify(&account, &webhook)
            };
            let (url, name) = (case["url"].as_str().unwrap(), &case["name"]);
            let valid = case["valid"].as_bool().unwrap_or(true);
            assert_eq!(verified(url), valid, "{name}");
            assert_eq!(
                verified(&url.replace(".com", ".com:443")),
                valid,
                "{name} with port"
            );
            assert!(!verified(&format!("{url}&x=1")), "{name} at another URL");
        }
    }
}
