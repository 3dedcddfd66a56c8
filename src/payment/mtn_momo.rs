//! MTN `MoMo` Collections: Uganda, Rwanda, Ghana and a dozen more.
//!
//! Source: MTN's developer portal (Collection API, callbacks, testing, common errors), read November 2026.
//!
//! ```text
//! POST /collection/token/   Authorization: Basic …, Ocp-Apim-Subscription-Key: …
//!   {"access_token":"…","token_type":"access_token","expires_in":3600}
//! POST /collection/v1_0/requesttopay   Authorization: Bearer …, X-Reference-Id: our UUID, X-Target-Environment, X-Callback-Url
//!   {"amount":"120000","currency":"UGX","externalId":"<our UUID>","payer":{"partyIdType":"MSISDN","partyId":"256774290781"},
//!    "payerMessage":"48217736","payeeNote":"Room"}
//!   202, empty; 409 where the same UUID came before
//! GET /collection/v1_0/requesttopay/{UUID}, and the callback by PUT or POST
//!   {"amount":"120000","currency":"UGX","financialTransactionId":"363440463","externalId":"…","payer":{…},
//!    "status":"SUCCESSFUL"|"PENDING"|"FAILED","reason":"NOT_ENOUGH_FUNDS"|{"code":"APPROVAL_REJECTED","message":"…"}}
//! ```
//!
//! The callback is sent once and not signed: it is a hint, and the status is asked for before anything is believed.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Asked, BadCallback, Callback, Door, Failure, Fate, Misconfigured, Notice, OTHER_CURRENCY, Paid,
    Prompt, Prompted, Provider, Refund, Refunding, amount,
};
use crate::booking::money::Currency;
use crate::sms::{Account, Answer, Method, Request, Settings, Token};

/// Where requests go unless the setting `url` says otherwise; production's address is in the contract.
const URL: &str = "https://sandbox.momodeveloper.mtn.com";
/// The environment whose currency is the euro, whatever the country.
const SANDBOX: &str = "sandbox";
const TOKEN: &str = "access_token";

/// The provider `mtn_momo`. Settings: `subscription_key`, `api_user`, `api_key`, `target_environment` (`sandbox`,
/// `mtnuganda`, `mtnrwanda`, `mtnghana` …), `currency` (of that market); `url`.
pub struct MtnMomo;

impl Provider for MtnMomo {
    fn name(&self) -> &'static str {
        "mtn_momo"
    }

    fn settings(&self) -> &'static Settings {
        &Settings {
            needed: &[
                "subscription_key",
                "api_user",
                "api_key",
                "target_environment",
                "currency",
            ],
            optional: &["url"],
            sender_needed: false,
            public_url_needed: true,
            polled: true,
            signs_with: None,
        }
    }

    fn takes(&self, account: &Account, currency: Currency) -> bool {
        Currency::find(account.needed("currency")) == Some(currency)
    }

    fn encode_login(&self, account: &Account) -> Option<Request> {
        if account.find(TOKEN).is_some() {
            return None;
        }
        let request = Request {
            method: Method::Post,
            url: format!("{}/collection/token/", url(account)),
            headers: Vec::new(),
            body: String::new(),
        };
        Some(
            request
                .basic(account.needed("api_user"), account.needed("api_key"))
                .header(
                    "Ocp-Apim-Subscription-Key",
                    account.needed("subscription_key"),
                ),
        )
    }

    fn decode_login(&self, _account: &Account, answer: &Answer<'_>) -> Option<Token> {
        #[derive(Deserialize)]
        struct Body {
            access_token: SecretString,
            expires_in: u64,
        }
        let body: Body = answer.json().filter(|_| answer.is_success())?;
        Some(Token {
            setting: TOKEN,
            value: body.access_token,
            lasts: Duration::from_secs(body.expires_in),
        })
    }

    /// Refusals of one request come as 500 too, with their code.
    fn is_away(&self, answer: &Answer<'_>) -> bool {
        answer.status > 500 || answer.status == 500 && code(answer).is_none()
    }

    fn encode_prompt(
        &self,
        account: &Account,
        prompt: &Prompt<'_>,
    ) -> Result<Request, Misconfigured> {
        let units = amount::whole_units(prompt.amount).ok_or(Misconfigured("amount"))?;
        let body = json!({
            "amount": units.to_string(),
            "currency": currency(account),
            "externalId": prompt.key.to_string(),
            "payer": { "partyIdType": "MSISDN", "partyId": prompt.msisdn.digits() },
            "payerMessage": prompt.reference,
            "payeeNote": "Room",
        });
        let path = "/collection/v1_0/requesttopay";
        Ok(authorize(
            account,
            Request::json(format!("{}{path}", url(account)), &body),
        )
        .header("X-Reference-Id", prompt.key.to_string())
        .header("X-Callback-Url", prompt.callback_url))
    }

    fn decode_prompt(&self, answer: &Answer<'_>) -> Prompted {
        let reason = code(answer).unwrap_or_else(|| format!("http_{}", answer.status));
        match answer.status {
            // 409: it had come before, and its answer was lost.
            202 | 409 => Prompted::Accepted { provider_id: None },
            400..=499 if reason == "PAYER_NOT_FOUND" => Prompted::Failed(Failure::NoAccount),
            408 | 425 | 429 => Prompted::RetryLater { reason },
            400..=499 => Prompted::Paused { reason },
            _ => Prompted::Unknown { reason },
        }
    }

    fn encode_query(&self, account: &Account, asked: &Asked<'_>) -> Request {
        let request = Request {
            method: Method::Get,
            url: format!(
                "{}/collection/v1_0/requesttopay/{}",
                url(account),
                asked.key
            ),
            headers: Vec::new(),
            body: String::new(),
        };
        authorize(account, request)
    }

    fn decode_query(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Fate {
        let unknown = |reason| Fate::Unknown { reason };
        match answer.json::<Status>() {
            Some(status) if answer.is_success() => status
                .fate(asked.amount.currency)
                .unwrap_or_else(|| unknown("answer_unreadable".to_owned())),
            _ if answer.status == 404 && code(answer).as_deref() == Some("RESOURCE_NOT_FOUND") => {
                Fate::Missing
            }
            _ => unknown(format!("http_{}", answer.status)),
        }
    }

    fn decode(&self, account: &Account, callback: &Callback<'_>) -> Result<Notice, BadCallback> {
        if callback.door != Door::Result {
            return Err(BadCallback::Door);
        }
        let status: Status =
            serde_json::from_slice(callback.request.body).map_err(|_| BadCallback::Body)?;
        if status.external_id.is_empty() {
            return Err(BadCallback::MissingField("externalId"));
        }
        let currency = Currency::find(account.needed("currency"))
            .ok_or(BadCallback::InvalidField("currency"))?;
        let fate = status
            .fate(currency)
            .ok_or(BadCallback::InvalidField("status"))?;
        Ok(Notice::Prompt {
            provider_id: status.external_id,
            fate,
        })
    }

    /// Collections take money only.
    fn can_refund(&self, _account: &Account) -> bool {
        false
    }

    fn encode_refund(
        &self,
        _account: &Account,
        _refund: &Refund<'_>,
    ) -> Result<Request, Misconfigured> {
        Err(Misconfigured("refund"))
    }

    fn decode_refund(&self, answer: &Answer<'_>) -> Refunding {
        Refunding::Unknown {
            reason: format!("http_{}", answer.status),
        }
    }
}

fn url(account: &Account) -> &str {
    account.find("url").unwrap_or(URL)
}

/// What the market is called by the wire: the sandbox knows only euros.
fn currency(account: &Account) -> &str {
    match account.needed("target_environment") {
        SANDBOX => "EUR",
        _ => account.needed("currency"),
    }
}

fn authorize(account: &Account, request: Request) -> Request {
    request
        .header("Authorization", format!("Bearer {}", account.needed(TOKEN)))
        .header("X-Target-Environment", account.needed("target_environment"))
        .header(
            "Ocp-Apim-Subscription-Key",
            account.needed("subscription_key"),
        )
}

fn code(answer: &Answer<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    Some(answer.json::<Body>()?.code)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    external_id: String,
    amount: Value,
    #[serde(default)]
    currency: String,
    financial_transaction_id: Option<Value>,
    status: String,
    reason: Option<Reason>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reason {
    Word(String),
    Object { code: String },
}

impl Status {
    fn fate(&self, currency: Currency) -> Option<Fate> {
        Some(match self.status.as_str() {
            "PENDING" => Fate::Pending,
            "SUCCESSFUL" => {
                if self.currency != currency.code() && self.currency != "EUR" {
                    return Some(Fate::Unknown {
                        reason: OTHER_CURRENCY.to_owned(),
                    });
                }
                Fate::Paid(Paid {
                    receipt: self
                        .financial_transaction_id
                        .as_ref()
                        .and_then(|id| match id {
                            Value::String(id) => Some(id.clone()),
                            Value::Number(id) => Some(id.to_string()),
                            _ => None,
                        }),
                    amount: Some(amount::parse(&self.amount, currency)?),
                })
            }
            "FAILED" => {
                let reason = self.reason.as_ref().map_or("", |reason| match reason {
                    Reason::Word(word) | Reason::Object { code: word } => word,
                });
                Fate::Failed(failure(reason))
            }
            _ => return None,
        })
    }
}

fn failure(reason: &str) -> Failure {
    match reason {
        "PAYER_NOT_FOUND" => Failure::NoAccount,
        "NOT_ENOUGH_FUNDS" | "INTERNAL_PROCESSING_ERROR" => Failure::NoFunds,
        "PAYER_LIMIT_REACHED" => Failure::Limit,
        "APPROVAL_REJECTED" | "TRANSACTION_CANCELED" => Failure::Cancelled,
        "EXPIRED" => Failure::Expired,
        "NOT_ALLOWED" => Failure::Locked,
        _ => Failure::Other,
    }
}
