//! Delivery receipts: what an SMSC says became of a message of ours, in the text of a `deliver_sm` or beside it. Pure.
//!
//! Source: SMPP 3.4, appendix B (the text, by convention only) and §5.3.2.35 (`message_state`).
//!
//! ```text
//! id:0000658732 sub:001 dlvrd:001 submit date:2405010930 done date:2405010931 stat:DELIVRD err:000 text:Habari
//! ```

use super::pdu::{Deliver, tag};
use crate::phone::Msisdn;
use crate::sms::{BadSms, DeliveryReport, DeliveryStatus, receipt_status};

/// `esm_class`: a receipt, or news on the way.
const RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;
/// The bits of `esm_class` that tell what kind of message it is, §5.2.12.
const KIND: u8 = 0b11_1100;
/// The `err` of a receipt that had none.
const NO_ERROR: &str = "000";

/// Whether this is a receipt. Some SMSCs leave the bit out, but nobody else can write both parameters: a text that looks
/// like a receipt is a subscriber's.
pub fn is_receipt(deliver: &Deliver) -> bool {
    matches!(deliver.esm_class & KIND, RECEIPT | INTERMEDIATE)
        || deliver.parameter(tag::RECEIPTED_MESSAGE_ID).is_some()
            && deliver.parameter(tag::MESSAGE_STATE).is_some()
}

/// Reads a receipt; its parameters are believed before its text.
///
/// # Errors
/// [`BadSms::MissingField`]: it does not say which message it is about.
pub fn read(deliver: &Deliver) -> Result<DeliveryReport, BadSms> {
    let text: String = deliver
        .message
        .iter()
        .map(|&octet| char::from(octet))
        .collect();
    let id = deliver
        .text(tag::RECEIPTED_MESSAGE_ID)
        .or_else(|| field(&text, "id"))
        .ok_or(BadSms::MissingField("receipted_message_id"))?;
    let told = deliver.number(tag::MESSAGE_STATE).map(state);
    let word = field(&text, "stat");
    let status = told
        .or_else(|| word.as_deref().map(receipt_status))
        .unwrap_or(DeliveryStatus::Unknown);
    let error = field(&text, "err").filter(|error| error != NO_ERROR);
    let reason = error.map(|error| format!("err_{error}")).or(word);
    let failed = matches!(status, DeliveryStatus::Failed | DeliveryStatus::Expired);
    Ok(DeliveryReport {
        msisdn: Msisdn::parse(&deliver.source.value).ok(),
        reason: reason.filter(|_| failed),
        ..DeliveryReport::new(id, status)
    })
}

fn state(message_state: u32) -> DeliveryStatus {
    match message_state {
        1 | 6 => DeliveryStatus::Sent,
        2 => DeliveryStatus::Delivered,
        3 => DeliveryStatus::Expired,
        4 | 5 | 8 => DeliveryStatus::Failed,
        _ => DeliveryStatus::Unknown,
    }
}

/// The word behind `name:`, whatever its case and however many blanks there are. What follows `text:` is the message.
fn field(receipt: &str, name: &str) -> Option<String> {
    let lower = receipt.to_ascii_lowercase();
    let end = lower.find("text:").unwrap_or(lower.len());
    let label = format!("{name}:");
    let begins = |at: usize| {
        at == 0
            || lower
                .as_bytes()
                .get(at - 1)
                .is_none_or(u8::is_ascii_whitespace)
    };
    let at = lower[..end]
        .match_indices(&label)
        .map(|(at, _)| at)
        .find(|at| begins(*at))?;
    let value = receipt[at + label.len()..end].split_whitespace().next()?;
    // `id: stat:…` has no value there.
    (!value.contains(':')).then(|| value.to_owned())
}
