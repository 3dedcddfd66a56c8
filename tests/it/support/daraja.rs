//! A Daraja that checks what it gets and does what providers do: late, twice, never, before its own answer.

use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{detach, double};

/// What the fake does next; by default it takes every prompt and every payer pays.
#[derive(Default)]
pub struct Script {
    /// Status and body of the next answers to a push, before it goes back to taking them.
    pub pushes: Vec<(u16, Value)>,
    /// Answers to queries, the last one for ever; none: paid.
    pub queries: Vec<Value>,
    /// Post the callback to the service at this address before the push is answered.
    pub early: Option<String>,
    /// Tokens given out; the last one counts.
    pub tokens: usize,
    /// Bodies of the pushes that were taken, each with its `CheckoutRequestID`.
    pub taken: Vec<(String, Value)>,
    /// Bodies of reversals.
    pub reversals: Vec<Value>,
    /// Reversals are taken and their answer is lost.
    pub reversal_lost: bool,
    pub asked: usize,
    /// Out of order: nothing is served.
    pub is_down: bool,
    /// Receipts and sums of the payments by hand that have happened.
    pub received: Vec<(String, String)>,
    /// Bodies of questions about receipts.
    pub traces: Vec<Value>,
    /// The service at this address is told at once what it asks about receipts; none: a test does that.
    pub tells: Option<String>,
}

pub struct Fake {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Fake {
    pub fn start() -> Fake {
        let script = Arc::new(Mutex::new(Script::default()));
        let state = script.clone();
        let url = double::serve(move |request, body| {
            let state = state.clone();
            async move { serve(&state, &request, &body).await }
        });
        Fake { url, script }
    }

    pub fn says(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// How many reversals were asked for.
    pub fn reversals(&self) -> usize {
        self.script.lock().unwrap().reversals.len()
    }

    /// The id and body of the last push.
    pub fn pushed(&self) -> (String, Value) {
        self.script.lock().unwrap().taken.last().unwrap().clone()
    }

    /// A payment by hand that happens: what the pay bill tells of it.
    pub fn pays(&self, receipt: &str, reference: &str, amount: &str) -> Value {
        self.says(|script| {
            script
                .received
                .push((receipt.to_owned(), amount.to_owned()))
        });
        by_hand(receipt, reference, amount)
    }

    /// Where the last question about this receipt wants its answer.
    pub fn traced(&self, receipt: &str) -> Option<String> {
        let script = self.script.lock().unwrap();
        let asked = script.traces.iter().rev();
        let mut asked = asked.filter(|trace| trace["TransactionID"] == receipt);
        Some(asked.next()?["ResultURL"].as_str()?.to_owned())
    }

    /// How often receipts were asked for.
    pub fn traces(&self) -> usize {
        self.script.lock().unwrap().traces.len()
    }

    pub fn pushes(&self) -> usize {
        self.script.lock().unwrap().taken.len()
    }
}

async fn serve(state: &Mutex<Script>, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    if state.lock().unwrap().is_down {
        return HttpResponse::ServiceUnavailable().body("<html>maintenance</html>");
    }
    let authorization = request.headers().get("authorization");
    let authorization = authorization
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if request.path() == "/oauth/v1/generate" {
        assert_eq!(
            authorization,
            format!("Basic {}", STANDARD.encode("key:secret"))
        );
        let mut script = state.lock().unwrap();
        script.tokens += 1;
        let token = format!("token{}", script.tokens);
        return HttpResponse::Ok().json(json!({"access_token": token, "expires_in": "3599"}));
    }
    if authorization != format!("Bearer token{}", state.lock().unwrap().tokens) {
        let ended = json!({"errorCode": "404.001.03", "errorMessage": "Invalid Access Token"});
        return HttpResponse::NotFound().json(ended);
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    match request.path() {
        "/mpesa/stkpush/v1/processrequest" => push(state, &body).await,
        "/mpesa/stkpushquery/v1/query" => {
            let mut script = state.lock().unwrap();
            script.asked += 1;
            let said = if script.queries.len() > 1 {
                script.queries.remove(0)
            } else {
                script.queries.first().cloned().unwrap_or(json!("0"))
            };
            if said.get("errorCode").is_some() {
                return HttpResponse::InternalServerError().json(said);
            }
            HttpResponse::Ok().json(json!({"ResponseCode": "0", "CheckoutRequestID": body["CheckoutRequestID"], "ResultCode": said}))
        }
        "/mpesa/reversal/v1/request" => {
            let mut script = state.lock().unwrap();
            script.reversals.push(body);
            if script.reversal_lost {
                return HttpResponse::GatewayTimeout().finish();
            }
            HttpResponse::Ok().json(json!({"ConversationID": "AG_1", "OriginatorConversationID": "o", "ResponseCode": "0"}))
        }
        "/mpesa/transactionstatus/v1/query" => trace(state, &body),
        "/pulltransactions/v1/query" => {
            HttpResponse::Ok().json(json!({"ResponseCode": "1000", "Response": []}))
        }
        other => panic!("{other}"),
    }
}

async fn push(state: &Mutex<Script>, body: &Value) -> HttpResponse {
    let timestamp = body["Timestamp"].as_str().unwrap();
    let password = STANDARD.encode(format!("174379pass{timestamp}"));
    assert_eq!(body["Password"], json!(password));
    assert!(body["AccountReference"].as_str().unwrap().len() <= 12);
    let (said, early) = {
        let mut script = state.lock().unwrap();
        let said = (!script.pushes.is_empty()).then(|| script.pushes.remove(0));
        (said, script.early.clone())
    };
    if let Some((status, said)) = said {
        return HttpResponse::build(status.try_into().unwrap()).json(said);
    }
    let id = format!("ws_CO_{}", Uuid::new_v4().simple());
    state.lock().unwrap().taken.push((id.clone(), body.clone()));
    if let Some(public) = early {
        let url = body["CallBackURL"].as_str().unwrap();
        let url = url.replace("http://PUBLIC", &public);
        let posted = reqwest::Client::new()
            .post(url)
            .json(&success(&id, body, "EARLY1"));
        assert_eq!(posted.send().await.unwrap().status(), 200);
    }
    HttpResponse::Ok()
        .json(json!({"MerchantRequestID": "1", "CheckoutRequestID": id, "ResponseCode": "0"}))
}

fn trace(state: &Mutex<Script>, body: &Value) -> HttpResponse {
    assert_eq!(body["CommandID"], json!("TransactionStatusQuery"));
    assert_eq!(body["PartyA"], json!("174379"));
    let mut script = state.lock().unwrap();
    script.traces.push(body.clone());
    let receipt = body["TransactionID"].as_str().unwrap();
    let found = script.received.iter().find(|(known, _)| known == receipt);
    let told = match found {
        Some((_, amount)) => moved(receipt, amount, "174379"),
        None => nothing(),
    };
    if let Some(public) = &script.tells {
        let url = body["ResultURL"].as_str().unwrap();
        let url = url.replace("http://PUBLIC", public);
        detach(async move {
            // The service may be gone by now.
            let _ = reqwest::Client::new().post(url).json(&told).send().await;
        });
    }
    HttpResponse::Ok().json(
        json!({"ConversationID": "AG_2", "OriginatorConversationID": "o2", "ResponseCode": "0"}),
    )
}

/// What Daraja tells of a receipt that it knows.
pub fn moved(receipt: &str, amount: &str, payee: &str) -> Value {
    json!({"Result": {"ResultType": 0, "ResultCode": 0, "ResultDesc": "ok", "OriginatorConversationID": "o2", "ConversationID": "AG_2",
        "TransactionID": "T", "ResultParameters": {"ResultParameter": [
            {"Key": "DebitPartyName", "Value": "25470****149 - John"}, {"Key": "CreditPartyName", "Value": format!("{payee} - Lodges")},
            {"Key": "TransactionReason"}, {"Key": "TransactionStatus", "Value": "Completed"}, {"Key": "Amount", "Value": amount},
            {"Key": "ReceiptNo", "Value": receipt}]}, "ReferenceData": {"ReferenceItem": {"Key": "Occasion"}}}})
}

/// What Daraja tells of a receipt that it does not know.
pub fn nothing() -> Value {
    json!({"Result": {"ResultType": 0, "ResultCode": "R000002", "ResultDesc": "no such transaction", "ConversationID": "AG_2",
        "OriginatorConversationID": "o2", "ReferenceData": {"ReferenceItem": []}}})
}

/// The callback of a push that was paid.
pub fn success(id: &str, push: &Value, receipt: &str) -> Value {
    json!({"Body": {"stkCallback": {"MerchantRequestID": "1", "CheckoutRequestID": id, "ResultCode": 0, "ResultDesc": "ok",
        "CallbackMetadata": {"Item": [{"Name": "Amount", "Value": push["Amount"]}, {"Name": "MpesaReceiptNumber", "Value": receipt},
            {"Name": "Balance"}, {"Name": "TransactionDate", "Value": 20191219102115_i64}, {"Name": "PhoneNumber", "Value": 254_708_374_149_i64}]}}}})
}

/// The callback of a push that was not.
pub fn failure(id: &str, code: i64) -> Value {
    json!({"Body": {"stkCallback": {"MerchantRequestID": "1", "CheckoutRequestID": id, "ResultCode": code, "ResultDesc": "no"}}})
}

/// What the pay bill tells of a payment by hand.
pub fn by_hand(receipt: &str, reference: &str, amount: &str) -> Value {
    json!({"TransactionType": "Pay Bill", "TransID": receipt, "TransTime": "20261122063845", "TransAmount": amount,
        "BusinessShortCode": "174379", "BillRefNumber": reference, "MSISDN": "25470****149", "FirstName": "John"})
}
