//! Transaction Status: whether a payment to the pay bill has happened, asked by its receipt and answered by a post.
//!
//! ```text
//! POST /mpesa/transactionstatus/v1/query
//!   {"Initiator":"…","SecurityCredential":"…","CommandID":"TransactionStatusQuery","TransactionID":"RKTQDM7W6S",
//!    "PartyA":"600638","IdentifierType":"4","ResultURL":"https://…","QueueTimeOutURL":"https://…","Remarks":"…","Occasion":""}
//!   {"OriginatorConversationID":"…","ConversationID":"AG_…","ResponseCode":"0","ResponseDescription":"…"}
//! trace  {"Result":{"ResultType":0,"ResultCode":0,"ResultParameters":{"ResultParameter":[
//!          {"Key":"CreditPartyName","Value":"600638 - Lodges"},{"Key":"TransactionStatus","Value":"Completed"},
//!          {"Key":"Amount","Value":"300"},{"Key":"ReceiptNo","Value":"RKTQDM7W6S"},{"Key":"TransactionReason"},…]}}}
//! ```
//!
//! The parameter with the payee is known from SDKs only. Without it nothing is believed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{call, credential, refusal, word};
use crate::booking::money::Currency;
use crate::payment::amount;
use crate::payment::trace::{Movement, REVERSED, Trace, Traced, Tracing};
use crate::payment::{BadCallback, Misconfigured};
use crate::sms::{Account, Answer, Request};

/// Results that tell of us and not of the payment: busy, no such right, wrong or locked credential.
const OURS: [&str; 5] = ["26", "21", "2001", "8006", "1001"];

pub(super) fn encode(account: &Account, trace: &Trace<'_>) -> Result<Request, Misconfigured> {
    Ok(call(
        account,
        "/mpesa/transactionstatus/v1/query",
        &json!({
            "Initiator": account.needed("initiator"),
            "SecurityCredential": credential(account)?,
            "CommandID": "TransactionStatusQuery",
            "TransactionID": trace.receipt,
            "PartyA": account.needed("short_code"),
            "IdentifierType": "4",
            "ResultURL": trace.result_url,
            "QueueTimeOutURL": trace.late_url,
            "Remarks": "Payment of a booking",
            "Occasion": "",
        }),
    ))
}

pub(super) fn decode_answer(answer: &Answer<'_>) -> Tracing {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        response_code: Value,
    }
    if let Some(body) = answer.json::<Body>().filter(|_| answer.is_success())
        && word(&body.response_code).as_deref() == Some("0")
    {
        return Tracing::Asked;
    }
    let by_status = || format!("http_{}", answer.status);
    Tracing::Unasked {
        reason: refusal(answer).map_or_else(by_status, |refusal| refusal.code),
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Traced, BadCallback> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Outer {
        result: Fields,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields {
        result_code: Value,
        #[serde(default)]
        result_parameters: Option<Parameters>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Parameters {
        #[serde(default)]
        result_parameter: OneOrMany,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Parameter>),
        One(Parameter),
    }
    impl Default for OneOrMany {
        fn default() -> Self {
            OneOrMany::Many(Vec::new())
        }
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Parameter {
        key: String,
        #[serde(default)]
        value: Value,
    }
    let outer: Outer = serde_json::from_slice(body).map_err(|_| BadCallback::Body)?;
    let fields = outer.result;
    let code = word(&fields.result_code).ok_or(BadCallback::InvalidField("ResultCode"))?;
    if code != "0" {
        let reason = format!("result_{code}");
        return Ok(if OURS.contains(&code.as_str()) {
            Traced::Unknown { reason }
        } else {
            Traced::Nothing { reason }
        });
    }
    let parameters = match fields.result_parameters.map(|all| all.result_parameter) {
        Some(OneOrMany::Many(many)) => many,
        Some(OneOrMany::One(one)) => vec![one],
        None => Vec::new(),
    };
    // A key may repeat, and may have no value.
    let find = |key: &'static str| {
        let found = parameters
            .iter()
            .find(|parameter| parameter.key == key && !parameter.value.is_null());
        found
            .map(|parameter| &parameter.value)
            .ok_or(BadCallback::MissingField(key))
    };
    let text = |key| word(find(key)?).ok_or(BadCallback::InvalidField(key));
    let nothing = |reason: &str| Traced::Nothing {
        reason: reason.to_owned(),
    };
    match text("TransactionStatus")?.to_lowercase().as_str() {
        "completed" => {}
        "failed" => return Ok(nothing("failed")),
        "cancelled" => return Ok(nothing("cancelled")),
        "declined" => return Ok(nothing("declined")),
        "expired" => return Ok(nothing("expired")),
        "reversed" => return Ok(nothing(REVERSED)),
        _ => {
            return Ok(Traced::Unknown {
                reason: "under_way".to_owned(),
            });
        }
    }
    let payee = text("CreditPartyName")?;
    Ok(Traced::Moved(Movement {
        receipt: text("ReceiptNo")?,
        amount: amount::parse(find("Amount")?, Currency::Kes)
            .ok_or(BadCallback::InvalidField("Amount"))?,
        // The number, then a name.
        payee: payee.chars().take_while(char::is_ascii_digit).collect(),
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::booking::money::Money;

    fn result(code: &Value, parameters: &Value) -> Value {
        json!({"Result": {"ResultType": 0, "ResultCode": code, "ConversationID": "AG_1",
            "ResultParameters": {"ResultParameter": parameters}, "ReferenceData": {"ReferenceItem": {"Key": "Occasion"}}}})
    }

    fn read(code: &Value, parameters: &Value) -> Result<Traced, BadCallback> {
        decode(result(code, parameters).to_string().as_bytes())
    }

    #[test]
    fn what_has_moved_is_told_with_its_sum_and_payee() {
        let parameters = json!([{"Key": "Amount"}, {"Key": "CreditPartyName", "Value": "600638 - Lake 7"}, {"Key": "Amount", "Value": "300"},
            {"Key": "TransactionStatus", "Value": "Completed"}, {"Key": "ReceiptNo", "Value": "RKTQDM7W6S"}]);
        let movement = Movement {
            receipt: "RKTQDM7W6S".to_owned(),
            amount: Money::from_units(300, Currency::Kes),
            payee: "600638".to_owned(),
        };
        for code in [json!(0), json!("0")] {
            assert_eq!(
                read(&code, &parameters).unwrap(),
                Traced::Moved(movement.clone())
            );
        }
        for (field, key) in ["CreditPartyName", "TransactionStatus", "ReceiptNo"]
            .into_iter()
            .zip([1, 3, 4])
        {
            let mut without = parameters.clone();
            without[key] = json!({"Key": field});
            let missing = BadCallback::MissingField(field);
            assert_eq!(read(&json!(0), &without).unwrap_err(), missing);
        }
    }

    #[test]
    fn what_has_not_moved_is_told_apart_from_what_nobody_knows() {
        let status = |word: &str| json!({"Key": "TransactionStatus", "Value": word});
        let nothing = |reason: &str| Traced::Nothing {
            reason: reason.to_owned(),
        };
        let unknown = |reason: &str| Traced::Unknown {
            reason: reason.to_owned(),
        };
        for (code, parameters, wanted) in [
            (json!("R000002"), json!([]), nothing("result_R000002")),
            (json!(0), status("Reversed"), nothing("reversed")),
            (json!(0), status("Pending"), unknown("under_way")),
            (json!(2001), json!([]), unknown("result_2001")),
        ] {
            assert_eq!(read(&code, &parameters).unwrap(), wanted, "{code}");
        }
        assert_eq!(decode(b"{}").unwrap_err(), BadCallback::Body);
    }
}
