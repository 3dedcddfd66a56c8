//! Airtel Money: Kenya, Uganda, Tanzania, Rwanda, Nigeria and more.
//!
//! Source: Airtel's developer portal, read November 2026; response codes, signing and the callback's hash as SDKs have them.
//!
//! ```text
//! POST /auth/oauth2/token   {"client_id":"…","client_secret":"…","grant_type":"client_credentials"}
//!   {"access_token":"…","expires_in":"180","token_type":"bearer"}
//! GET  /v1/rsa/encryption-keys   {"data":{"key":"base64 DER","valid_upto":"…"},…}
//! POST /merchant/v2/payments/   Authorization: Bearer …, X-Country: KE, X-Currency: KES, x-signature, x-key
//!   {"reference":"48217736","subscriber":{"country":"KE","currency":"KES","msisdn":"733000001"},
//!    "transaction":{"amount":1000,"country":"KE","currency":"KES","id":"<our UUID>"}}
//!   {"data":{"transaction":{"id":"…","status":"SUCCESS"}},"status":{"code":"200","response_code":"DP00800001006","success":true}}
//! GET  /standard/v1/payments/{id}   {"data":{"transaction":{"status":"TS","airtel_money_id":"MP…","message":"…"}},"status":{…}}
//! callback   {"transaction":{"id":"…","message":"Paid …","status_code":"TS","airtel_money_id":"MP…"},"hash":"…="}
//! ```
//!
//! `SUCCESS` in the answer to a collection means accepted. The signature is AES-256-CBC of the exact body under a fresh key,
//! and that key and its IV sealed with the portal's RSA key.

use std::time::Duration;

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{
    Asked, BadCallback, Callback, Door, Failure, Fate, Misconfigured, Notice, Paid, Prompt,
    Prompted, Provider, Refund, Refunding, amount, rsa,
};
use crate::booking::money::Currency;
use crate::sms::sign::{Algorithm, hmac, is_same};
use crate::sms::{Account, Answer, Method, Request, Settings, Token};

/// Where requests go unless the setting `url` says otherwise.
const URL: &str = "https://openapi.airtel.africa";
const TOKEN: &str = "access_token";
const SIGNING_KEY: &str = "signing_key";
/// How long a signing key is used before it is fetched again; the portal changes it rarely.
const SIGNING_KEY_LASTS: Duration = Duration::from_secs(3600);

/// The provider `airtel_money`. Settings: `client_id`, `client_secret`, `country` (ISO code), `currency`; `callback_key`,
/// which signs callbacks; `url`.
pub struct AirtelMoney;

impl Provider for AirtelMoney {
    fn name(&self) -> &'static str {
        "airtel_money"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &["client_id", "client_secret", "country", "currency"],
            optional: &["callback_key", "url"],
            sender_needed: false,
            public_url_needed: false,
            polled: true,
            signs_with: Some("callback_key"),
        }
    }

    fn takes(&self, account: &Account, currency: Currency) -> bool {
        Currency::find(account.needed("currency")) == Some(currency)
    }

    fn encode_login(&self, account: &Account) -> Option<Request> {
        if account.find(TOKEN).is_none() {
            let body = json!({
                "client_id": account.needed("client_id"),
                "client_secret": account.needed("client_secret"),
                "grant_type": "client_credentials",
            });
            return Some(Request::json(
                format!("{}/auth/oauth2/token", url(account)),
                &body,
            ));
        }
        if account.find(SIGNING_KEY).is_none() {
            return Some(get(account, "/v1/rsa/encryption-keys"));
        }
        None
    }

    fn decode_login(&self, account: &Account, answer: &Answer<'_>) -> Option<Token> {
        if account.find(TOKEN).is_none() {
            #[derive(Deserialize)]
            struct Body {
                access_token: SecretString,
                expires_in: serde_json::Value,
            }
            let body: Body = answer.json().filter(|_| answer.is_success())?;
            let seconds = match &body.expires_in {
                serde_json::Value::String(text) => text.parse().ok()?,
                other => other.as_u64()?,
            };
            return Some(Token {
                setting: TOKEN,
                value: body.access_token,
                lasts: Duration::from_secs(seconds),
            });
        }
        #[derive(Deserialize)]
        struct Body {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            key: SecretString,
        }
        let body: Body = answer.json().filter(|_| answer.is_success())?;
        Some(Token {
            setting: SIGNING_KEY,
            value: body.data.key,
            lasts: SIGNING_KEY_LASTS,
        })
    }

    fn encode_prompt(
        &self,
        account: &Account,
        prompt: &Prompt<'_>,
    ) -> Result<Request, Misconfigured> {
        let units = amount::whole_units(prompt.amount).ok_or(Misconfigured("amount"))?;
        let (country, currency) = (account.needed("country"), account.needed("currency"));
        let body = json!({
            "reference": prompt.reference,
            "subscriber": {
                "country": country,
                "currency": currency,
                "msisdn": national(prompt),
            },
            "transaction": {
                "amount": units,
                "country": country,
                "currency": currency,
                "id": prompt.key.simple().to_string(),
            },
        });
        let request = Request::json(format!("{}/merchant/v2/payments/", url(account)), &body);
        sign(account, authorize(account, request))
    }

    fn decode_prompt(&self, answer: &Answer<'_>) -> Prompted {
        let body: Option<Body> = answer.json();
        let Some(code) = body.and_then(|body| body.status.response_code) else {
            return by_status(answer);
        };
        match fate(&code) {
            Some(Fate::Pending | Fate::Paid(_)) if answer.is_success() => {
                Prompted::Accepted { provider_id: None }
            }
            Some(Fate::Failed(failure)) => Prompted::Failed(failure),
            _ if code == "DP00800001010" || code == "DP00800001026" => {
                Prompted::Paused { reason: code }
            }
            _ if answer.is_success() => Prompted::Unknown { reason: code },
            _ => by_status(answer),
        }
    }

    fn encode_query(&self, account: &Account, asked: &Asked<'_>) -> Request {
        get(
            account,
            &format!("/standard/v1/payments/{}", asked.key.simple()),
        )
    }

    fn decode_query(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Fate {
        let unknown = |reason: String| Fate::Unknown { reason };
        let Some(body) = answer.json::<Body>() else {
            return unknown(format!("http_{}", answer.status));
        };
        if let Some(transaction) = body.data.and_then(|data| data.transaction)
            && let Some(status) = transaction.status
        {
            return match by_word(&status) {
                Some(Fate::Paid(_)) => Fate::Paid(Paid {
                    receipt: transaction.airtel_money_id,
                    amount: Some(asked.amount),
                }),
                Some(Fate::Failed(Failure::Other)) => {
                    match body.status.response_code.as_deref().and_then(fate) {
                        Some(Fate::Failed(failure)) => Fate::Failed(failure),
                        _ => Fate::Failed(Failure::Other),
                    }
                }
                Some(fate) => fate,
                None => unknown(status),
            };
        }
        match body.status.response_code.as_deref() {
            Some("DP00800001025") => Fate::Missing,
            Some(code) => fate(code).unwrap_or_else(|| unknown(code.to_owned())),
            None => unknown(format!("http_{}", answer.status)),
        }
    }

    fn decode(&self, account: &Account, callback: &Callback<'_>) -> Result<Notice, BadCallback> {
        if callback.door != Door::Result {
            return Err(BadCallback::Door);
        }
        #[derive(Deserialize)]
        struct Outer<'a> {
            #[serde(borrow)]
            transaction: &'a RawValue,
            hash: Option<String>,
        }
        #[derive(Deserialize)]
        struct Transaction {
            id: String,
            status_code: String,
            airtel_money_id: Option<String>,
        }
        let outer: Outer<'_> =
            serde_json::from_slice(callback.request.body).map_err(|_| BadCallback::Body)?;
        if let Some(key) = account.find("callback_key") {
            // Over the object's bytes as they came.
            let wanted = hmac(
                Algorithm::Sha256,
                key.as_bytes(),
                outer.transaction.get().as_bytes(),
            );
            let given = outer.hash.and_then(|hash| STANDARD.decode(hash).ok());
            if !is_same(&given.unwrap_or_default(), &wanted) {
                return Err(BadCallback::Signature);
            }
        }
        let transaction: Transaction =
            serde_json::from_str(outer.transaction.get()).map_err(|_| BadCallback::Body)?;
        let fate = match by_word(&transaction.status_code)
            .ok_or(BadCallback::InvalidField("status_code"))?
        {
            Fate::Paid(_) => Fate::Paid(Paid {
                receipt: transaction.airtel_money_id,
                amount: None,
            }),
            fate => fate,
        };
        Ok(Notice::Prompt {
            provider_id: transaction.id,
            fate,
        })
    }

    fn can_refund(&self, _account: &Account) -> bool {
        true
    }

    /// The full amount only.
    fn encode_refund(
        &self,
        account: &Account,
        refund: &Refund<'_>,
    ) -> Result<Request, Misconfigured> {
        // It sends back all of a payment, whatever was meant.
        if refund.amount != refund.paid {
            return Err(Misconfigured("part of a payment"));
        }
        let body = json!({ "transaction": { "airtel_money_id": refund.receipt } });
        let request = Request::json(
            format!("{}/standard/v2/payments/refund", url(account)),
            &body,
        );
        sign(account, authorize(account, request))
    }

    fn decode_refund(&self, answer: &Answer<'_>) -> Refunding {
        #[derive(Deserialize)]
        struct Outer {
            status: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            success: Option<bool>,
            response_code: Option<String>,
        }
        match answer.json::<Outer>().map(|outer| outer.status) {
            Some(status) if answer.is_success() && status.success == Some(true) => {
                Refunding::Done { receipt: None }
            }
            Some(status) if answer.status < 500 && status.success == Some(false) => {
                Refunding::Refused {
                    reason: status.response_code.unwrap_or_default(),
                }
            }
            _ => Refunding::Unknown {
                reason: format!("http_{}", answer.status),
            },
        }
    }
}

#[derive(Deserialize)]
struct Body {
    data: Option<Data>,
    status: Status,
}

#[derive(Deserialize)]
struct Data {
    transaction: Option<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    status: Option<String>,
    airtel_money_id: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    response_code: Option<String>,
}

fn url(account: &Account) -> &str {
    account.find("url").unwrap_or(URL)
}

fn get(account: &Account, path: &str) -> Request {
    let request = Request {
        method: Method::Get,
        url: format!("{}{path}", url(account)),
        headers: Vec::new(),
        body: String::new(),
    };
    authorize(account, request)
}

fn authorize(account: &Account, request: Request) -> Request {
    request
        .header("Authorization", format!("Bearer {}", account.needed(TOKEN)))
        .header("X-Country", account.needed("country"))
        .header("X-Currency", account.needed("currency"))
}

/// The number without its country code, as Airtel wants it.
fn national<'a>(prompt: &Prompt<'a>) -> &'a str {
    let digits = prompt.msisdn.digits();
    let code = prompt
        .msisdn
        .country()
        .map_or("", |country| country.dialling_code);
    digits.strip_prefix(code).unwrap_or(digits)
}

fn sign(account: &Account, request: Request) -> Result<Request, Misconfigured> {
    let mut rng = rand::rng();
    let (mut key, mut iv) = ([0; 32], [0; 16]);
    rng.fill_bytes(&mut key);
    rng.fill_bytes(&mut iv);
    let sealed = cbc::Encryptor::<aes::Aes256>::new(&key.into(), &iv.into())
        .encrypt_padded_vec::<Pkcs7>(request.body.as_bytes());
    let pair = format!("{}:{}", STANDARD.encode(key), STANDARD.encode(iv));
    let pair = rsa::seal(account.needed(SIGNING_KEY), pair.as_bytes())
        .ok_or(Misconfigured(SIGNING_KEY))?;
    Ok(request
        .header("x-signature", STANDARD.encode(sealed))
        .header("x-key", pair))
}

fn by_status(answer: &Answer<'_>) -> Prompted {
    let reason = format!("http_{}", answer.status);
    match answer.status {
        408 | 425 | 429 => Prompted::RetryLater { reason },
        400..=499 => Prompted::Paused { reason },
        _ => Prompted::Unknown { reason },
    }
}

/// The transaction's own word.
fn by_word(word: &str) -> Option<Fate> {
    Some(match word {
        "TS" => Fate::Paid(Paid::default()),
        "TF" => Fate::Failed(Failure::Other),
        "TE" => Fate::Failed(Failure::Expired),
        // Ambiguous is not failed.
        "TIP" | "TA" => Fate::Pending,
        _ => return None,
    })
}

/// The table of response codes.
fn fate(code: &str) -> Option<Fate> {
    Some(match code {
        "DP00800001001" => Fate::Paid(Paid::default()),
        "DP00800001000" | "DP00800001006" | "DP00800001024" => Fate::Pending,
        "DP00800001002" => Fate::Failed(Failure::WrongPin),
        "DP00800001003" | "DP00800001004" => Fate::Failed(Failure::Limit),
        "DP00800001005" => Fate::Failed(Failure::Cancelled),
        "DP00800001007" => Fate::Failed(Failure::NoFunds),
        "DP00800001008" | "DP00800001009" => Fate::Failed(Failure::Other),
        "DP00800001029" => Fate::Failed(Failure::Expired),
        _ => return None,
    })
}
