//! Africa's Talking: SMS of eight African markets.
//!
//! Source: the provider's SMS documentation ("Sending", "Delivery reports", "Incoming messages"), its official SDKs,
//! and answers of the live service recorded by SamuelMwangiW/africastalking-laravel. Read November 2026.
//!
//! Sending is a form with the header `apiKey`, answered with 201 whatever became of the message:
//!
//! ```text
//! username=acme&to=%2B447700900001&message=Habari&from=SHORTY
//!
//! {"SMSMessageData":{"Message":"Sent to 1/1 Total Cost: KES 0.8000 Message parts: 1",
//!  "Recipients":[{"statusCode":102,"number":"+447700900001","status":"Success","cost":"KES 0.8000",
//!                 "messageId":"ATXid_00000000000000000000000000000001"}]}}
//! ```
//!
//! A blocked sender gives `{"SMSMessageData":{"Message":"InvalidSenderId","Recipients":[]}}`, a bad key 401 in plain text.
//! Webhooks are forms without a signature: a secret in their path keeps strangers out. They repeat until answered 200.
//!
//! ```text
//! inbound   date=2024-05-01%2009%3A30%3A12&from=%2B447700900010&to=22384&text=Hello&id=id-0001&linkId=…&networkCode=63902
//! report    id=ATXid_…&phoneNumber=%2B447700900012&networkCode=63902&status=Failed&failureReason=UserInBlackList
//! opt-out   senderId=SHORTY&phoneNumber=%2B447700900013
//! ```

use serde::Deserialize;

use super::fields::{Fields, parse_date};
use super::{
    Account, Answer, BadSms, DeliveryReport, DeliveryStatus, Door, Event, InboundSms, Message,
    OptOut, Provider, Request, Sent, Settings, Subscription, Webhook,
};
use crate::phone::Msisdn;

/// Where messages go unless the setting `url` says otherwise; the provider's own sandbox has another host.
const URL: &str = "https://api.africastalking.com/version1/messaging";
/// How often to try while an operator's quiet hours forbid the message (they end once a day).
const QUIET_HOURS_SECONDS: u64 = 3600;

/// The provider `africastalking`. Settings: `username`, the name of the account's application (`sandbox` on the
/// provider's own sandbox); `api_key`; `url`.
pub struct AfricasTalking;

impl Provider for AfricasTalking {
    fn name(&self) -> &'static str {
        "africastalking"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["username", "api_key"],
            optional: &["url"],
            sender_needed: false,
            public_url_needed: false,
            polled: false,
            signs_with: None,
        }
    }

    fn encode(&self, account: &Account, message: &Message) -> Request {
        let mut form = vec![
            ("username", account.needed("username")),
            ("to", message.msisdn.as_str()),
            ("message", &message.text),
        ];
        if let Some(sender) = &message.sender {
            form.push(("from", sender));
        }
        Request::form(account.find("url").unwrap_or(URL), &form)
            .header("apiKey", account.needed("api_key"))
            .header("Accept", "application/json")
    }

    /// Recipients are found by their number: they come in any order.
    fn decode_answer(&self, message: &Message, answer: &Answer<'_>) -> Sent {
        match answer.json() {
            Some(Body { data }) if answer.is_success() => decode_recipient(&data, &message.msisdn),
            _ => answer.by_status(),
        }
    }

    fn decode(&self, _account: &Account, webhook: &Webhook<'_>) -> Result<Vec<Event>, BadSms> {
        let form = Fields::read(&webhook.request)?;
        let event = match webhook.door {
            Door::Inbound => Event::Inbound(decode_inbound(&form)?),
            Door::Delivery => Event::Report(decode_report(&form)?),
            Door::OptOut => Event::OptOut(OptOut {
                msisdn: form.msisdn("phoneNumber")?,
                sender: form.required("senderId")?,
            }),
            Door::Subscription => Event::Subscription(Subscription {
                msisdn: form.msisdn("phoneNumber")?,
                short_code: form.required("shortCode")?,
                keyword: form.required("keyword")?,
                began: form
                    .required("updateType")?
                    .eq_ignore_ascii_case("addition"),
            }),
        };
        Ok(vec![event])
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "SMSMessageData")]
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "Message", default)]
    message: String,
    #[serde(rename = "Recipients")]
    recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
struct Recipient {
    #[serde(rename = "statusCode")]
    status_code: u16,
    number: String,
    #[serde(rename = "messageId", default)]
    message_id: String,
}

fn decode_recipient(data: &Data, msisdn: &Msisdn) -> Sent {
    let ours = |recipient: &&Recipient| Msisdn::parse(&recipient.number).as_ref() == Ok(msisdn);
    match data.recipients.iter().find(ours) {
        Some(recipient) => decode_status(recipient),
        None => match data.message.as_str() {
            reason @ ("InvalidSenderId" | "InsufficientBalance") => Sent::paused(reason),
            _ => Sent::unknown("recipient_missing"),
        },
    }
}

/// The provider's table of status codes.
fn decode_status(recipient: &Recipient) -> Sent {
    match recipient.status_code {
        // Processed, sent, queued. "None" stands for no id.
        100..=102 => Sent::accepted(match recipient.message_id.as_str() {
            "None" => "",
            id => id,
        }),
        401 => Sent::refused("RiskHold"),
        402 => Sent::paused("InvalidSenderId"),
        403 => Sent::refused("InvalidPhoneNumber"),
        404 => Sent::refused("UnsupportedNumberType"),
        405 => Sent::paused("InsufficientBalance"),
        406 => Sent::refused("UserInBlacklist"),
        407 => Sent::later("CouldNotRoute"),
        409 => Sent::RetryLater {
            after_seconds: Some(QUIET_HOURS_SECONDS),
            reason: "DoNotDisturbRejection".to_owned(),
        },
        500 => Sent::later("InternalServerError"),
        501 => Sent::later("GatewayError"),
        502 => Sent::later("RejectedByGateway"),
        other => Sent::refused(format!("status_{other}")),
    }
}

fn decode_inbound(form: &Fields) -> Result<InboundSms, BadSms> {
    Ok(InboundSms {
        at: form.find("date").and_then(|date| parse_date(&date)),
        operator: form.filled("networkCode"),
        link_id: form.filled("linkId"),
        ..InboundSms::new(
            form.required("id")?,
            form.msisdn("from")?,
            form.required("to")?,
            form.present("text")?,
        )
    })
}

fn decode_report(form: &Fields) -> Result<DeliveryReport, BadSms> {
    let status = match form.required("status")?.as_str() {
        "Sent" | "Submitted" => DeliveryStatus::Sent,
        "Buffered" => DeliveryStatus::Buffered,
        "Success" => DeliveryStatus::Delivered,
        "Rejected" | "Failed" | "AbsentSubscriber" => DeliveryStatus::Failed,
        "Expired" => DeliveryStatus::Expired,
        _ => DeliveryStatus::Unknown,
    };
    Ok(DeliveryReport {
        msisdn: form.msisdn("phoneNumber").ok(),
        reason: form.filled("failureReason"),
        ..DeliveryReport::new(form.required("id")?, status)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn an_accepting_answer_that_cannot_be_read_is_unknown() {
        let message = Message {
            reference: "1".to_owned(),
            msisdn: Msisdn::parse("+447700900001").unwrap(),
            text: "x".to_owned(),
            attempt: 1,
            sender: None,
            report_url: None,
        };
        let long = format!(
            "{{\"SMSMessageData\":{{\"Recipients\":[]}}}}{}",
            " ".repeat(crate::sms::http::ANSWER_BYTES_MAX)
        );
        for (body, wanted) in [
            ("", Sent::unknown("answer_unreadable")),
            ("<html>", Sent::unknown("answer_unreadable")),
            (
                "{\"SMSMessageData\":{\"Message\":\"Sent to 1/1",
                Sent::unknown("answer_unreadable"),
            ),
            (long.as_str(), Sent::unknown("answer_too_long")),
            (
                "{\"SMSMessageData\":{\"Message\":\"Sent to 1/1\",\"Recipients\":[]}}",
                Sent::unknown("recipient_missing"),
            ),
            (
                r#"{"SMSMessageData":{"Recipients":[{"statusCode":101,"number":"+447700900001","messageId":"None"}]}}"#,
                Sent::accepted(""),
            ),
        ] {
            let answer = Answer {
                status: 201,
                retry_after_seconds: None,
                body: body.as_bytes(),
            };
            assert_eq!(AfricasTalking.decode_answer(&message, &answer), wanted);
        }
    }

    #[test]
    fn bad_forms_name_the_field() {
        let read = |body: &str| decode_inbound(&Fields::form(body.as_bytes()).unwrap());
        for (body, error) in [
            ("", BadSms::MissingField("id")),
            (
                "id=&from=%2B447700900001&to=1&text=a",
                BadSms::MissingField("id"),
            ),
            (
                "id=1&from=SAFARICOM&to=1&text=a",
                BadSms::InvalidField("from"),
            ),
            (
                "id=1&from=%2B447700900001&text=a",
                BadSms::MissingField("to"),
            ),
            (
                "id=1&from=%2B447700900001&to=1",
                BadSms::MissingField("text"),
            ),
        ] {
            assert_eq!(read(body), Err(error), "{body}");
        }
        // An unencoded plus sign reads as a blank.
        assert!(read("id=1&from=+447700900001&to=1&text=a").is_ok());
        let report = Fields::form(b"id=1").unwrap();
        assert_eq!(decode_report(&report), Err(BadSms::MissingField("status")));
    }
}
