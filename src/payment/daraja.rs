//! Daraja: M-Pesa of Safaricom, Kenya.
//!
//! Source: Safaricom's developer portal (Authorization, M-Pesa Express and its query, Customer to Business, Transaction
//! Status, Reversal), read November 2026; where that is silent, what several SDKs agree on. URLs given to Daraja must not contain its brand, `query`,
//! `cmd` and other words, so the name here is the product's code name.
//!
//! ```text
//! GET /oauth/v1/generate?grant_type=client_credentials   Authorization: Basic …
//!   {"access_token":"c9SQ…","expires_in":"3599"}
//! POST /mpesa/stkpush/v1/processrequest
//!   {"BusinessShortCode":"174379","Password":"…","Timestamp":"20260314120000","TransactionType":"CustomerPayBillOnline",
//!    "Amount":4500,"PartyA":"254711000001","PartyB":"174379","PhoneNumber":"254711000001","CallBackURL":"https://…",
//!    "AccountReference":"48217736","TransactionDesc":"Room"}
//!   {"MerchantRequestID":"…","CheckoutRequestID":"ws_CO_…","ResponseCode":"0","ResponseDescription":"…","CustomerMessage":"…"}
//! result        {"Body":{"stkCallback":{"CheckoutRequestID":"ws_CO_…","ResultCode":0,"CallbackMetadata":{"Item":[{"Name":"Amount","Value":1.00},…]}}}}
//! validation,   {"TransactionType":"Pay Bill","TransID":"RKTQDM7W6S","TransTime":"20261122063845","TransAmount":"10.00",
//! confirmation   "BusinessShortCode":"600638","BillRefNumber":"4821 7736","MSISDN":"25470****149",…}
//! refund        {"Result":{"ResultCode":0,"ConversationID":"AG_…","OriginatorConversationID":"…","TransactionID":"…",…}}
//! ```

mod trace;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Africa::Nairobi;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::trace::{Trace, Tracing};
use super::{
    Asked, BadCallback, Callback, Door, Failure, Fate, Misconfigured, Notice, Paid, Prompt,
    Prompted, Provider, Received, Refund, Refunding, Rejection, Span, Traced, amount, rsa,
};
use crate::booking::money::Currency;
use crate::sms::{Account, Answer, Request, Settings, Token};
use crate::ussd::Rendered;

/// Its name in configuration, URLs and the database.
pub const NAME: &str = "daraja";
/// Where requests go unless the setting `url` says otherwise.
const URL: &str = "https://api.safaricom.co.ke";
/// What a payer sees beside the reference: at most 13 characters.
const DESCRIPTION: &str = "Room";
/// Daraja's time is that of East Africa.
const TIME: &str = "%Y%m%d%H%M%S";

/// The provider `daraja`. Settings: `consumer_key`, `consumer_secret`, `short_code` (the pay bill, or of a till its head
/// office), `passkey`; `till`, where the money goes to a till; `url`. Refunds, and asking whether a payment by hand has
/// happened, want `initiator`, `initiator_password` and `public_key`, the key in the portal's certificate as base64 DER.
pub struct Daraja;

impl Provider for Daraja {
    fn name(&self) -> &'static str {
        NAME
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["consumer_key", "consumer_secret", "short_code", "passkey"],
            optional: &[
                "till",
                "url",
                "initiator",
                "initiator_password",
                "public_key",
            ],
            sender_needed: false,
            public_url_needed: true,
            polled: false,
            signs_with: None,
        }
    }

    fn takes(&self, _account: &Account, currency: Currency) -> bool {
        currency == Currency::Kes
    }

    fn encode_login(&self, account: &Account) -> Option<Request> {
        if account.find(TOKEN).is_some() {
            return None;
        }
        let url = format!("{}/oauth/v1/generate", url(account));
        Some(
            Request::get(&url, &[("grant_type", "client_credentials")]).basic(
                account.needed("consumer_key"),
                account.needed("consumer_secret"),
            ),
        )
    }

    fn decode_login(&self, _account: &Account, answer: &Answer<'_>) -> Option<Token> {
        #[derive(Deserialize)]
        struct Body {
            access_token: SecretString,
            expires_in: Value,
        }
        let body: Body = answer.json().filter(|_| answer.is_success())?;
        Some(Token {
            setting: TOKEN,
            value: body.access_token,
            lasts: Duration::from_secs(word(&body.expires_in)?.parse().ok()?),
        })
    }

    fn is_logged_out(&self, answer: &Answer<'_>) -> bool {
        answer.status == 401
            || refusal(answer).is_some_and(|refusal| {
                matches!(
                    refusal.code.as_str(),
                    "404.001.03" | "400.003.01" | "401.003.01"
                )
            })
    }

    /// Much that Daraja says of one request comes as 500 too, and that it is busy.
    fn is_away(&self, answer: &Answer<'_>) -> bool {
        const ANSWERS: [&str; 3] = ["500.001.1001", "500.003.02", "500.003.03"];
        let says = |refusal: Refusal| ANSWERS.contains(&refusal.code.as_str());
        answer.status >= 500 && !refusal(answer).is_some_and(says)
    }

    fn encode_prompt(
        &self,
        account: &Account,
        prompt: &Prompt<'_>,
    ) -> Result<Request, Misconfigured> {
        let short_code = account.needed("short_code");
        let (kind, party) = match account.find("till") {
            Some(till) => ("CustomerBuyGoodsOnline", till),
            None => ("CustomerPayBillOnline", short_code),
        };
        let units = amount::whole_units(prompt.amount).ok_or(Misconfigured("amount"))?;
        let (password, timestamp) = password(account, prompt.now);
        Ok(call(
            account,
            "/mpesa/stkpush/v1/processrequest",
            &json!({
                "BusinessShortCode": short_code,
                "Password": password,
                "Timestamp": timestamp,
                "TransactionType": kind,
                "Amount": units,
                "PartyA": prompt.msisdn.digits(),
                "PartyB": party,
                "PhoneNumber": prompt.msisdn.digits(),
                "CallBackURL": prompt.callback_url,
                "AccountReference": prompt.reference,
                "TransactionDesc": DESCRIPTION,
            }),
        ))
    }

    fn decode_prompt(&self, answer: &Answer<'_>) -> Prompted {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            #[serde(rename = "CheckoutRequestID")]
            id: String,
            response_code: Value,
        }
        if let Some(body) = answer.json::<Body>().filter(|_| answer.is_success())
            && word(&body.response_code).as_deref() == Some("0")
        {
            return Prompted::Accepted {
                provider_id: Some(body.id),
            };
        }
        let Some(refusal) = refusal(answer) else {
            return by_status(answer);
        };
        let reason = refusal.code.clone();
        match refusal.code.as_str() {
            "400.002.02" if refusal.says("phonenumber") || refusal.says("partya") => {
                Prompted::Failed(Failure::NoAccount)
            }
            "400.002.02" | "404.001.01" | "405.001" => Prompted::Paused { reason },
            "404.001.03" => Prompted::RetryLater { reason },
            "500.001.1001" if refusal.says("lock subscriber") => {
                Prompted::Failed(Failure::LineBusy)
            }
            "500.001.1001" if refusal.says("merchant") || refusal.says("credentials") => {
                Prompted::Paused { reason }
            }
            "500.003.02" | "500.003.03" => Prompted::RetryLater { reason },
            _ => by_status(answer),
        }
    }

    fn encode_query(&self, account: &Account, asked: &Asked<'_>) -> Request {
        let (password, timestamp) = password(account, asked.now);
        call(
            account,
            "/mpesa/stkpushquery/v1/query",
            &json!({
                "BusinessShortCode": account.needed("short_code"),
                "Password": password,
                "Timestamp": timestamp,
                "CheckoutRequestID": asked.provider_id,
            }),
        )
    }

    fn decode_query(&self, _asked: &Asked<'_>, answer: &Answer<'_>) -> Fate {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            result_code: Value,
        }
        if let Some(body) = answer.json::<Body>().filter(|_| answer.is_success())
            && let Some(code) = word(&body.result_code)
        {
            // No receipt comes with it: the callback or the pay bill's own notice brings it.
            return fate(&code, Paid::default);
        }
        match refusal(answer) {
            Some(refusal) if refusal.code == "500.001.1001" && refusal.says("being processed") => {
                Fate::Pending
            }
            Some(refusal) => Fate::Unknown {
                reason: refusal.code,
            },
            None => Fate::Unknown {
                reason: format!("http_{}", answer.status),
            },
        }
    }

    fn decode(&self, account: &Account, callback: &Callback<'_>) -> Result<Notice, BadCallback> {
        let body = callback.request.body;
        match callback.door {
            Door::Result => decode_result(body),
            Door::Validation | Door::Confirmation => decode_received(account, body),
            Door::Trace => trace::decode(body).map(Notice::Traced),
            // Late is not unknown for ever: it is asked again.
            Door::TraceLate => Ok(Notice::Traced(Traced::Unknown {
                reason: "late".to_owned(),
            })),
            Door::Refund => decode_refunded(body),
            // Late is not refused: what became of it is asked for.
            Door::RefundLate => match decode_refunded(body)? {
                Notice::Refund { provider_id, .. } => Ok(Notice::Refund {
                    provider_id,
                    outcome: Refunding::Unknown {
                        reason: "late".to_owned(),
                    },
                }),
                other => Ok(other),
            },
        }
    }

    fn acknowledge(&self, door: Door, accepted: Result<(), Rejection>) -> Rendered {
        let (code, words) = match accepted {
            Ok(()) if door == Door::Confirmation => (json!(0), "Success"),
            Ok(()) if door == Door::Validation => (json!("0"), "Accepted"),
            Ok(()) => (json!(0), "Accepted"),
            Err(Rejection::Reference) => (json!("C2B00012"), "Rejected"),
            Err(Rejection::Amount) => (json!("C2B00013"), "Rejected"),
            Err(Rejection::ShortCode) => (json!("C2B00015"), "Rejected"),
            Err(Rejection::Other) => (json!("C2B00016"), "Rejected"),
        };
        Rendered::json(&json!({ "ResultCode": code, "ResultDesc": words }))
    }

    /// All payments to the pay bill of the last 48 h, once the account is registered for pull transactions.
    fn encode_statement(&self, account: &Account, span: &Span, offset: usize) -> Option<Request> {
        let local = |at: DateTime<Utc>| {
            let local = at.with_timezone(&Nairobi);
            local.format("%Y-%m-%d %H:%M:%S").to_string()
        };
        Some(call(
            account,
            "/pulltransactions/v1/query",
            &json!({
                "ShortCode": account.needed("short_code"),
                "StartDate": local(span.from),
                "EndDate": local(span.to),
                "OffSetValue": offset.to_string(),
            }),
        ))
    }

    fn decode_statement(&self, account: &Account, answer: &Answer<'_>) -> Option<Vec<Received>> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "Response", default)]
            pages: Vec<Page>,
        }
        // One list, or a list of lists.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Page {
            Many(Vec<Row>),
            One(Row),
        }
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "transactionId")]
            receipt: String,
            #[serde(default)]
            billreference: String,
            amount: Value,
        }
        let body: Body = answer.json().filter(|_| answer.is_success())?;
        let rows = body.pages.into_iter().flat_map(|page| match page {
            Page::Many(rows) => rows,
            Page::One(row) => vec![row],
        });
        rows.map(|row| {
            Some(Received {
                amount: amount::parse(&row.amount, Currency::Kes)?,
                receipt: row.receipt,
                reference: row.billreference,
                short_code: account.needed("short_code").to_owned(),
                at: None,
            })
        })
        .collect()
    }

    fn can_trace(&self, account: &Account) -> bool {
        has_initiator(account)
    }

    fn encode_trace(&self, account: &Account, trace: &Trace<'_>) -> Result<Request, Misconfigured> {
        trace::encode(account, trace)
    }

    fn decode_trace(&self, answer: &Answer<'_>) -> Tracing {
        trace::decode_answer(answer)
    }

    fn can_refund(&self, account: &Account) -> bool {
        has_initiator(account)
    }

    fn encode_refund(
        &self,
        account: &Account,
        refund: &Refund<'_>,
    ) -> Result<Request, Misconfigured> {
        let units = amount::whole_units(refund.amount).ok_or(Misconfigured("amount"))?;
        Ok(call(
            account,
            "/mpesa/reversal/v1/request",
            &json!({
                "Initiator": account.needed("initiator"),
                "SecurityCredential": credential(account)?,
                "CommandID": "TransactionReversal",
                "TransactionID": refund.receipt,
                "Amount": units,
                "ReceiverParty": account.needed("short_code"),
                // Spelt so.
                "RecieverIdentifierType": "11",
                "ResultURL": refund.result_url,
                "QueueTimeOutURL": refund.late_url,
                "Remarks": "Refund of a booking",
            }),
        ))
    }

    fn decode_refund(&self, answer: &Answer<'_>) -> Refunding {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            #[serde(rename = "ConversationID")]
            id: String,
            response_code: Value,
        }
        if let Some(body) = answer.json::<Body>().filter(|_| answer.is_success())
            && word(&body.response_code).as_deref() == Some("0")
        {
            return Refunding::Accepted {
                provider_id: body.id,
            };
        }
        match refusal(answer) {
            Some(refusal) if answer.status < 500 => Refunding::Refused {
                reason: refusal.code,
            },
            _ => Refunding::Unknown {
                reason: format!("http_{}", answer.status),
            },
        }
    }
}

const TOKEN: &str = "access_token";
const INITIATOR: [&str; 3] = ["initiator", "initiator_password", "public_key"];
/// The longest receipt that is believed to be one: they have ten characters.
const RECEIPT_CHARS_MAX: usize = 32;

/// Whether the account can do what wants a person's credential.
fn has_initiator(account: &Account) -> bool {
    INITIATOR.iter().all(|name| account.find(name).is_some())
}

fn credential(account: &Account) -> Result<String, Misconfigured> {
    let password = account.needed("initiator_password");
    rsa::seal(account.needed("public_key"), password.as_bytes()).ok_or(Misconfigured("public_key"))
}

fn url(account: &Account) -> &str {
    account.find("url").unwrap_or(URL)
}

fn call(account: &Account, path: &str, body: &Value) -> Request {
    Request::json(format!("{}{path}", url(account)), body)
        .header("Authorization", format!("Bearer {}", account.needed(TOKEN)))
}

fn password(account: &Account, now: DateTime<Utc>) -> (String, String) {
    let timestamp = now.with_timezone(&Nairobi).format(TIME).to_string();
    let plain = format!(
        "{}{}{timestamp}",
        account.needed("short_code"),
        account.needed("passkey")
    );
    (STANDARD.encode(plain), timestamp)
}

/// A word that comes as text or as a number.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

struct Refusal {
    code: String,
    message: String,
}

impl Refusal {
    fn says(&self, words: &str) -> bool {
        self.message.contains(words)
    }
}

fn refusal(answer: &Answer<'_>) -> Option<Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        error_code: String,
        #[serde(default)]
        error_message: String,
    }
    let body: Body = answer.json()?;
    Some(Refusal {
        code: body.error_code,
        message: body.error_message.to_lowercase(),
    })
}

fn by_status(answer: &Answer<'_>) -> Prompted {
    let reason = format!("http_{}", answer.status);
    match answer.status {
        408 | 425 | 429 => Prompted::RetryLater { reason },
        401 | 403 => Prompted::Paused { reason },
        400..=499 => Prompted::Paused { reason },
        // An inner error may have come after the prompt was on its way.
        _ => Prompted::Unknown { reason },
    }
}

/// The table of result codes, which callback and query share.
fn fate(code: &str, paid: impl FnOnce() -> Paid) -> Fate {
    Fate::Failed(match code {
        "0" => return Fate::Paid(paid()),
        "4999" => return Fate::Pending,
        "1" => Failure::NoFunds,
        "2" | "3" | "4" => Failure::Limit,
        "17" => Failure::TooSoon,
        "1001" => Failure::LineBusy,
        "1019" => Failure::Expired,
        "1025" => Failure::NotShown,
        // The prompt was perhaps not shown: it is asked about for a while, as is one of a phone out of reach.
        "9999" => Failure::Other,
        "1032" => Failure::Cancelled,
        "1037" => Failure::Unreachable,
        "2001" => Failure::WrongPin,
        "8006" => Failure::Locked,
        _ => Failure::Other,
    })
}

fn decode_result(body: &[u8]) -> Result<Notice, BadCallback> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Outer {
        body: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "stkCallback")]
        callback: Fields,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields {
        #[serde(rename = "CheckoutRequestID")]
        id: String,
        result_code: Value,
        callback_metadata: Option<Metadata>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Metadata {
        #[serde(default)]
        item: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item {
        name: String,
        #[serde(default)]
        value: Value,
    }
    let outer: Outer = serde_json::from_slice(body).map_err(|_| BadCallback::Body)?;
    let fields = outer.body.callback;
    let code = word(&fields.result_code).ok_or(BadCallback::InvalidField("ResultCode"))?;
    let items = fields
        .callback_metadata
        .map(|metadata| metadata.item)
        .unwrap_or_default();
    let item = |name: &str| {
        let found = items.iter().find(|item| item.name == name);
        found.map(|item| &item.value)
    };
    let paid = Paid {
        receipt: item("MpesaReceiptNumber").and_then(word),
        amount: item("Amount").and_then(|value| amount::parse(value, Currency::Kes)),
    };
    if code == "0" {
        // A success without its sum cannot be checked.
        paid.amount.ok_or(BadCallback::InvalidField("Amount"))?;
        if paid.receipt.as_deref().is_none_or(str::is_empty) {
            return Err(BadCallback::MissingField("MpesaReceiptNumber"));
        }
    }
    Ok(Notice::Prompt {
        provider_id: fields.id,
        fate: fate(&code, || paid),
    })
}

fn decode_received(account: &Account, body: &[u8]) -> Result<Notice, BadCallback> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(rename = "TransID")]
        id: String,
        #[serde(default)]
        trans_time: String,
        trans_amount: Value,
        business_short_code: Value,
        #[serde(default)]
        bill_ref_number: String,
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| BadCallback::Body)?;
    if body.id.is_empty() {
        return Err(BadCallback::MissingField("TransID"));
    }
    if body.id.len() > RECEIPT_CHARS_MAX {
        return Err(BadCallback::InvalidField("TransID"));
    }
    let short_code =
        word(&body.business_short_code).ok_or(BadCallback::InvalidField("BusinessShortCode"))?;
    // A till's own number is told here, its head office's in requests.
    let short_code = match account.find("till") {
        Some(till) if till == short_code => account.needed("short_code").to_owned(),
        _ => short_code,
    };
    Ok(Notice::Received(Received {
        receipt: body.id,
        reference: body.bill_ref_number,
        amount: amount::parse(&body.trans_amount, Currency::Kes)
            .ok_or(BadCallback::InvalidField("TransAmount"))?,
        short_code,
        at: NaiveDateTime::parse_from_str(&body.trans_time, TIME)
            .ok()
            .and_then(|local| Nairobi.from_local_datetime(&local).earliest())
            .map(|at| at.to_utc()),
    }))
}

fn decode_refunded(body: &[u8]) -> Result<Notice, BadCallback> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Outer {
        result: Fields,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields {
        #[serde(rename = "ConversationID")]
        id: String,
        result_code: Value,
        #[serde(rename = "TransactionID", default)]
        receipt: Option<String>,
    }
    let outer: Outer = serde_json::from_slice(body).map_err(|_| BadCallback::Body)?;
    let code = word(&outer.result.result_code).ok_or(BadCallback::InvalidField("ResultCode"))?;
    let outcome = match code.as_str() {
        // R000001: it was sent back before.
        "0" | "R000001" => Refunding::Done {
            receipt: outer.result.receipt.filter(|receipt| !receipt.is_empty()),
        },
        code => Refunding::Refused {
            reason: format!("result_{code}"),
        },
    };
    Ok(Notice::Refund {
        provider_id: outer.result.id,
        outcome,
    })
}
