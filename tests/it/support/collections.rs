//! An MTN `MoMo` and an Airtel Money in one server: each checks what it gets, and says of a prompt what the test wants.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::double::{self, PORTAL_KEY};

/// One prompt that was taken.
#[derive(Clone)]
pub struct Prompt {
    /// Our key of it: `X-Reference-Id`, or the transaction's id.
    pub key: String,
    pub body: Value,
    /// Where the result is to be posted, where that is told with each prompt.
    pub callback_url: Option<String>,
}

#[derive(Default)]
pub struct Script {
    pub prompts: Vec<Prompt>,
    /// What it says of prompts, one after the other, the last for ever; none: paid. `PAID`, `PENDING`, or a reason.
    pub says: VecDeque<&'static str>,
    /// The currency that it says was paid in.
    pub currency: Option<&'static str>,
    pub asked: usize,
}

pub struct Collections {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Collections {
    pub fn start() -> Collections {
        let script = Arc::new(Mutex::new(Script::default()));
        let state = script.clone();
        let url = double::serve(move |request, body| {
            let state = state.clone();
            async move { serve(&mut state.lock().unwrap(), &request, &body) }
        });
        Collections { url, script }
    }

    pub fn says(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    pub fn prompts(&self) -> Vec<Prompt> {
        self.script.lock().unwrap().prompts.clone()
    }

    pub fn asked(&self) -> usize {
        self.script.lock().unwrap().asked
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    let value = request.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn serve(script: &mut Script, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    let path = request.path();
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    match path {
        "/collection/token/" => {
            let basic = format!("Basic {}", STANDARD.encode("user:key"));
            assert_eq!(header(request, "authorization"), basic);
            assert!(body.is_empty());
            return HttpResponse::Ok().json(
                json!({"access_token": "t0ken", "token_type": "access_token", "expires_in": 3600}),
            );
        }
        "/auth/oauth2/token" => {
            assert_eq!(parsed["client_id"], "id");
            return HttpResponse::Ok().json(
                json!({"access_token": "t0ken", "expires_in": "180", "token_type": "bearer"}),
            );
        }
        _ => assert_eq!(header(request, "authorization"), "Bearer t0ken", "{path}"),
    }
    if path.starts_with("/collection/") {
        return mtn(script, request, parsed);
    }
    airtel(script, request, parsed)
}

fn mtn(script: &mut Script, request: &HttpRequest, body: Value) -> HttpResponse {
    assert_eq!(header(request, "ocp-apim-subscription-key"), "sub");
    assert_eq!(header(request, "x-target-environment"), "mtnkenya");
    if request.method() == "POST" {
        let key = header(request, "x-reference-id").to_owned();
        assert_eq!(body["externalId"], json!(key));
        if script.prompts.iter().any(|prompt| prompt.key == key) {
            let twice = json!({"code": "RESOURCE_ALREADY_EXIST", "message": "Duplicated"});
            return HttpResponse::Conflict().json(twice);
        }
        script.prompts.push(Prompt {
            key,
            callback_url: Some(header(request, "x-callback-url").to_owned()),
            body,
        });
        return HttpResponse::Accepted().finish();
    }
    let (_, key) = request.path().rsplit_once('/').unwrap();
    match next(script, key) {
        Some((prompt, said)) => {
            let currency = script.currency.unwrap_or("KES");
            HttpResponse::Ok().json(mtn_status(&prompt, said, currency))
        }
        None => HttpResponse::NotFound().json(
            json!({"code": "RESOURCE_NOT_FOUND", "message": "Requested resource was not found"}),
        ),
    }
}

/// The status of a prompt, which is also the callback.
pub fn mtn_status(prompt: &Prompt, said: &str, currency: &str) -> Value {
    let mut status = json!({"amount": prompt.body["amount"], "currency": currency, "externalId": prompt.key,
        "payer": prompt.body["payer"], "status": said});
    match said {
        "PENDING" => {}
        "PAID" => {
            status["status"] = json!("SUCCESSFUL");
            status["financialTransactionId"] = json!(receipt(prompt));
        }
        reason => {
            status["status"] = json!("FAILED");
            status["reason"] = json!({"code": reason, "message": "no"});
        }
    }
    status
}

fn airtel(script: &mut Script, request: &HttpRequest, body: Value) -> HttpResponse {
    let done = json!({"code": "200", "response_code": "DP00800001006", "success": true});
    assert_eq!(header(request, "x-country"), "KE");
    match request.path() {
        "/v1/rsa/encryption-keys" => {
            HttpResponse::Ok().json(json!({"data": {"key": *PORTAL_KEY}, "status": done}))
        }
        "/merchant/v2/payments/" => {
            assert!(!header(request, "x-signature").is_empty());
            assert!(!header(request, "x-key").is_empty());
            let id = body["transaction"]["id"].as_str().unwrap().to_owned();
            script.prompts.push(Prompt {
                key: id.clone(),
                body,
                callback_url: None,
            });
            HttpResponse::Ok().json(
                json!({"data": {"transaction": {"id": id, "status": "SUCCESS"}}, "status": done}),
            )
        }
        path => {
            let (_, key) = path.rsplit_once('/').unwrap();
            let Some((prompt, said)) = next(script, key) else {
                let missing = json!({"response_code": "DP00800001025", "success": false});
                return HttpResponse::Ok().json(json!({"status": missing}));
            };
            let (word, code) = match said {
                "PAID" => ("TS", "DP00800001001"),
                "PENDING" => ("TIP", "DP00800001006"),
                code => ("TF", code),
            };
            HttpResponse::Ok().json(json!({
                "data": {"transaction": {"id": prompt.key, "status": word, "airtel_money_id": receipt(&prompt)}},
                "status": {"response_code": code, "success": true}}))
        }
    }
}

/// What Airtel posts when a prompt is over.
pub fn airtel_callback(prompt: &Prompt, word: &str) -> Value {
    json!({"transaction": {"id": prompt.key, "message": "told", "status_code": word, "airtel_money_id": receipt(prompt)}})
}

/// Each payment has its own.
fn receipt(prompt: &Prompt) -> String {
    prompt.key.replace('-', "")[..12].to_uppercase()
}

fn next(script: &mut Script, key: &str) -> Option<(Prompt, &'static str)> {
    script.asked += 1;
    let prompt = script.prompts.iter().find(|prompt| prompt.key == key)?;
    let prompt = prompt.clone();
    let said = match script.says.len() {
        0 => "PAID",
        1 => script.says[0],
        _ => script.says.pop_front()?,
    };
    Some((prompt, said))
}
