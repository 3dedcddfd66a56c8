//! Runs every dialogue of `tests/vectors/*_sms.json` against its provider: sends are encoded and their answers decoded,
//! webhooks verified, decoded, joined and answered. A vector's `config` becomes the account.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::sign::{Algorithm, hmac, md5};
use super::{
    Account, Answer, Asked, BadSms, DeliveryReport, DeliveryStatus, Door, Event, InboundSms,
    Message, Method, PROVIDERS, Provider, Request, Sent, Webhook, find,
};
use crate::phone::Msisdn;
use crate::ussd::{Inbound, Rendered};

#[test]
fn every_dialogue_of_every_provider_reads_and_answers_as_recorded() {
    let mut unproven: BTreeSet<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    for path in files() {
        let file: File = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let provider = find(&file.aggregator).unwrap_or_else(|| panic!("no {}", file.aggregator));
        unproven.remove(provider.name());
        for dialogue in &file.dialogues {
            let mut config = file.config.clone();
            config.extend(dialogue.config.clone());
            Run {
                provider,
                account: account(provider, &config),
                config,
                parts: HashMap::new(),
                seen: BTreeSet::new(),
                states: HashMap::new(),
            }
            .play(dialogue);
        }
    }
    assert!(unproven.is_empty(), "no vectors of {unproven:?}");
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_string_lossy().ends_with("_sms.json"))
        .collect()
}

/// The settings among the values of a vector file; its other values are about paths and the runner.
fn account(provider: &dyn Provider, config: &Map<String, Value>) -> Account {
    let settings = provider.settings();
    let known = settings.needed.iter().chain(settings.optional);
    let found: Vec<(&str, String)> = known
        .filter_map(|name| Some((*name, setting(config.get(*name)?))))
        .collect();
    // What a file does not say is of no matter to it.
    let unsaid = settings.needed.iter().map(|name| (*name, "unsaid"));
    let said = found.iter().map(|(name, value)| (*name, value.as_str()));
    let account = Account::new(unsaid.chain(said));
    assert_eq!(account.unsound(settings), None, "{}", provider.name());
    account
}

fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| format!("{key}={}", setting(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[derive(Deserialize)]
struct File {
    aggregator: String,
    config: Map<String, Value>,
    dialogues: Vec<Dialogue>,
}

#[derive(Deserialize)]
struct Dialogue {
    name: String,
    #[serde(default)]
    config: Map<String, Value>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    request: Option<Called>,
    send: Option<Ordered>,
    expect_request: Option<Value>,
    response: Option<Responded>,
    expect: Value,
    reply: Option<Value>,
    expect_response: Option<Map<String, Value>>,
}

/// What a provider posts.
#[derive(Deserialize)]
struct Called {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    #[serde(default)]
    body: String,
}

/// What the application asks for.
#[derive(Deserialize)]
struct Ordered {
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    text: String,
    sender: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    status_url: Option<String>,
    poll: Option<Map<String, Value>>,
}

/// What a provider answers to us.
#[derive(Deserialize)]
struct Responded {
    status: u16,
    body: String,
}

/// One dialogue under way.
struct Run {
    provider: &'static dyn Provider,
    account: Account,
    config: Map<String, Value>,
    parts: HashMap<(Msisdn, String, String), BTreeMap<u8, InboundSms>>,
    /// Inbound messages known by their id.
    seen: BTreeSet<String>,
    /// Where each message of ours is.
    states: HashMap<String, DeliveryStatus>,
}

impl Run {
    fn play(&mut self, dialogue: &Dialogue) {
        for (number, step) in dialogue.steps.iter().enumerate() {
            let place = format!("{} {} step {number}", self.provider.name(), dialogue.name);
            match (&step.request, &step.send) {
                (Some(called), _) => self.called(&place, called, step),
                (None, Some(ordered)) => self.ordered(&place, ordered, step),
                (None, None) => panic!("{place}: nothing happens"),
            }
        }
    }

    fn ordered(&self, place: &str, ordered: &Ordered, step: &Step) {
        let response = step.response.as_ref().unwrap();
        let answer = Answer {
            status: response.status,
            retry_after_seconds: None,
            body: response.body.as_bytes(),
        };
        let wanted = step.expect_request.as_ref().unwrap();
        if let Some(poll) = &ordered.poll {
            let msisdn = msisdn(poll["to"].as_str().unwrap());
            let asked = Asked {
                msisdn: &msisdn,
                provider_id: poll["request_id"].as_str().unwrap(),
            };
            let request = self.provider.encode_poll(&self.account, &asked).unwrap();
            check_request(place, &request, wanted, asked.msisdn.as_str(), 1);
            let report = self.provider.decode_poll(&asked, &answer).unwrap();
            check(place, &step.expect, &report_seen(&report));
            return;
        }
        // We hand over one message at a time; vectors with several recipients are read for each of them.
        for result in step.expect["results"].as_array().unwrap() {
            let to = result["to"].as_str().unwrap();
            let message = Message {
                reference: ordered.reference.clone().unwrap_or_else(|| "1".to_owned()),
                msisdn: msisdn(to),
                text: ordered.text.clone(),
                attempt: 1,
                sender: ordered.sender.clone(),
                report_url: ordered.status_url.clone(),
            };
            let request = self.provider.encode(&self.account, &message);
            check_request(place, &request, wanted, to, ordered.to.len());
            check_result(
                place,
                &self.provider.decode_answer(&message, &answer),
                result,
            );
        }
    }

    fn called(&mut self, place: &str, called: &Called, step: &Step) {
        let answer = match self.understand(called) {
            Err(bad) => {
                check(place, &step.expect, &bad_seen(&bad));
                self.provider.refuse(&bad)
            }
            Ok(events) => {
                let mut seen: Vec<Value> = events.iter().map(|event| self.event(event)).collect();
                match step.expect.get("events") {
                    Some(wanted) => {
                        let wanted = wanted.as_array().unwrap();
                        assert_eq!(seen.len(), wanted.len(), "{place}");
                        for (wanted, seen) in wanted.iter().zip(&seen) {
                            check(place, wanted, seen);
                        }
                    }
                    None => {
                        assert!(seen.len() <= 1, "{place}");
                        let seen = seen.pop().unwrap_or(json!({ "kind": "ignored" }));
                        check(place, &step.expect, &seen);
                    }
                }
                let reply = step
                    .reply
                    .as_ref()
                    .map(|reply| reply["text"].as_str().unwrap());
                self.provider.acknowledge(reply)
            }
        };
        check_response(place, step.expect_response.as_ref().unwrap(), &answer);
    }

    fn understand(&self, called: &Called) -> Result<Vec<Event>, BadSms> {
        let headers: Vec<(String, &str)> = called
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.as_str()))
            .collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let base = self.config.get("public_base_url").and_then(Value::as_str);
        let question = if called.query.is_empty() { "" } else { "?" };
        let now = self.config.get("now").map(|now| now.as_i64().unwrap());
        let webhook = Webhook {
            door: self.door(&called.path),
            url: &format!(
                "{}{}{question}{}",
                base.unwrap_or_default(),
                called.path,
                called.query
            ),
            request: Inbound {
                method: &called.method,
                path: &called.path,
                query: &called.query,
                headers: &headers,
                body: called.body.as_bytes(),
            },
            now: now.map_or_else(Utc::now, |now| DateTime::from_timestamp(now, 0).unwrap()),
        };
        if !self.provider.verify(&self.account, &webhook) {
            return Err(BadSms::Signature);
        }
        self.provider.decode(&self.account, &webhook)
    }

    fn door(&self, path: &str) -> Door {
        let named = |key: &str| self.config.get(key).is_some_and(|known| known == path);
        for (key, door) in [
            ("inbound_path", Door::Inbound),
            ("signed_inbound_path", Door::Inbound),
            ("webhook_path", Door::Inbound),
            ("dlr_path", Door::Delivery),
            ("status_path", Door::Delivery),
            ("optout_path", Door::OptOut),
            ("subscription_path", Door::Subscription),
        ] {
            if named(key) {
                return door;
            }
        }
        panic!("{path} is no path of the file")
    }

    /// What an event looks like in the words of the vectors, effects included.
    fn event(&mut self, event: &Event) -> Value {
        match event {
            Event::Inbound(sms) => {
                let Some(sms) = self.join(sms) else {
                    return json!({ "kind": "partial" });
                };
                let known = !self.seen.insert(sms.provider_id.clone());
                json!({
                    "kind": "inbound", "id": sms.provider_id, "msisdn": sms.msisdn.as_str(), "to": sms.recipient,
                    "text": sms.text, "at": sms.at.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
                    "operator": sms.operator, "link_id": sms.link_id, "media": sms.media, "opt_out": sms.opt_out,
                    "binary": sms.binary.as_ref().map(|binary| HEXLOWER.encode(&binary.data)),
                    "udh": sms.binary.as_ref().map(|binary| HEXLOWER.encode(&binary.header)), "duplicate": known,
                })
            }
            Event::Report(report) => {
                let state = self
                    .states
                    .entry(report.provider_id.clone())
                    .or_insert(DeliveryStatus::Unknown);
                if report.status.rank() > state.rank() {
                    *state = report.status;
                }
                let mut seen = report_seen(report);
                seen["final_state"] = json!(state.word());
                seen
            }
            Event::OptOut(opt_out) => {
                json!({ "kind": "optout", "msisdn": opt_out.msisdn.as_str(), "sender": opt_out.sender })
            }
            Event::Subscription(subscription) => json!({
                "kind": "subscription", "msisdn": subscription.msisdn.as_str(), "short_code": subscription.short_code,
                "keyword": subscription.keyword, "action": if subscription.began { "addition" } else { "deletion" },
            }),
        }
    }

    /// The tables join parts in the same way; see `db::outbox::join_part`.
    fn join(&mut self, sms: &InboundSms) -> Option<InboundSms> {
        let Some(part) = &sms.part else {
            return Some(sms.clone());
        };
        let key = (
            sms.msisdn.clone(),
            sms.recipient.clone(),
            part.reference.clone(),
        );
        let parts = self.parts.entry(key).or_default();
        parts.insert(part.number, sms.clone());
        if parts.len() < usize::from(part.total) {
            return None;
        }
        Some(InboundSms {
            text: parts.values().map(|part| part.text.as_str()).collect(),
            ..parts.values().next().unwrap().clone()
        })
    }
}

fn msisdn(raw: &str) -> Msisdn {
    Msisdn::parse(raw).unwrap()
}

fn report_seen(report: &DeliveryReport) -> Value {
    json!({
        "kind": "dlr", "id": report.provider_id, "state": report.status.word(),
        "msisdn": report.msisdn.as_ref().map(Msisdn::as_str), "reason": report.reason,
        // No error is no reason.
        "error_code": report.reason.as_deref().unwrap_or("0"),
        "ref": report.reference, "client_ref": report.reference, "smsc_id": report.network_id,
    })
}

fn bad_seen(bad: &BadSms) -> Value {
    match bad {
        BadSms::MissingField(field) | BadSms::InvalidField(field) => {
            json!({ "kind": "error", "field": field })
        }
        BadSms::Signature => json!({ "kind": "error", "reason": "unauthorized" }),
        BadSms::InvalidBody(_) | BadSms::Door => json!({ "kind": "error" }),
    }
}

/// Every expected key has its value. The reasons of errors are labels, but for "unauthorized".
fn check(place: &str, wanted: &Value, seen: &Value) {
    for (key, wanted) in wanted.as_object().unwrap() {
        let label = key == "reason" && seen["kind"] == "error" && wanted != "unauthorized";
        match key.as_str() {
            _ if label => {}
            "duplicate_of" => assert!(
                seen["kind"] == "partial" || seen["duplicate"] == true,
                "{place}: {seen}"
            ),
            _ => assert_eq!(
                seen.get(key).unwrap_or(&Value::Null),
                wanted,
                "{place}: {key} in {seen}"
            ),
        }
    }
}

/// A request as wanted. Of wanted values that name all `recipients`, ours may name but the one.
fn check_request(place: &str, request: &Request, wanted: &Value, to: &str, recipients: usize) {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    assert_eq!(method, wanted["method"], "{place}: method");
    let (url, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
    match wanted["url"].as_str().unwrap() {
        whole if whole.contains('?') => assert_eq!(request.url, whole, "{place}"),
        bare => assert_eq!(url, bare, "{place}"),
    }
    for (name, value) in wanted["headers"].as_object().into_iter().flatten() {
        let sent = request
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        assert_eq!(
            sent.map(|(_, value)| value.as_str()),
            value.as_str(),
            "{place}: header {name}"
        );
    }
    let own = |value: &str| match recipients {
        1 => value.to_owned(),
        _ if value.split(',').any(|number| number == to) => to.to_owned(),
        _ => value.to_owned(),
    };
    let fields = |raw: &str, wanted: &Value| {
        let sent: HashMap<String, String> = form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        for (name, value) in wanted.as_object().unwrap() {
            let value = own(value.as_str().unwrap());
            assert_eq!(sent.get(name), Some(&value), "{place}: {name}");
        }
    };
    let body = || serde_json::from_str::<Value>(&request.body).unwrap();
    let wanted_body = || serde_json::from_str::<Value>(wanted["body"].as_str().unwrap()).unwrap();
    match wanted["compare"].as_str().unwrap() {
        "form_fields" => fields(&request.body, &wanted["form"]),
        "query_fields" => fields(query, &wanted["query_fields"]),
        "json" if recipients == 1 => assert_eq!(body(), wanted_body(), "{place}"),
        "json" => {
            // Lists that name the recipients have one entry each.
            let (mut ours, mut theirs) = (body(), wanted_body());
            for value in [&mut ours, &mut theirs] {
                let members = value.as_object_mut().unwrap().values_mut();
                members.filter_map(Value::as_array_mut).for_each(Vec::clear);
            }
            assert_eq!(ours, theirs, "{place}");
        }
        "json_superset" => assert!(holds(&body(), &wanted_body()), "{place}: {}", request.body),
        "headers_only" | "url_and_headers" | "any" => {}
        other => panic!("{place}: teach the runner to compare by {other}"),
    }
}

/// Whether every member of `part` is in `whole`, recursively; lists place by place.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, wanted)| whole.get(name).is_some_and(|value| holds(value, wanted))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(whole, part)| holds(whole, part))
        }
        _ => whole == part,
    }
}

fn check_result(place: &str, sent: &Sent, wanted: &Value) {
    let retried = match sent {
        Sent::RetryLater { .. } => Some(true),
        Sent::Refused { .. } => Some(false),
        // Goes on after someone has acted, whatever the vectors say of a retry by itself.
        _ => None,
    };
    if let (Some(retried), Some(wanted)) = (retried, wanted.get("retry")) {
        assert_eq!(json!(retried), *wanted, "{place}: {sent:?}");
    }
    match (wanted["outcome"].as_str().unwrap(), sent) {
        ("accepted", Sent::Accepted { provider_id }) => {
            let ids = ["id", "request_id"].iter().find_map(|key| wanted.get(*key));
            let first = || wanted["ids"].get(0);
            assert_eq!(provider_id, ids.or_else(first).unwrap(), "{place}");
        }
        ("unknown", Sent::Unknown { .. }) => {}
        ("rejected", Sent::Refused { .. } | Sent::RetryLater { .. } | Sent::RoutePaused { .. }) => {
        }
        ("error", Sent::RoutePaused { reason }) => {
            let reasons = match wanted["class"].as_str().unwrap() {
                "auth" => "authentication",
                "balance" => "balance",
                other => panic!("{place}: {other} pauses nothing"),
            };
            assert_eq!(reason, reasons, "{place}");
        }
        ("error", Sent::RetryLater { .. }) => {
            let class = wanted["class"].as_str().unwrap();
            assert!(
                ["throttled", "temporary"].contains(&class),
                "{place}: {class}"
            );
        }
        (wanted, sent) => panic!("{place}: {sent:?} instead of {wanted}"),
    }
    if wanted["opted_out"] == true {
        assert!(matches!(sent, Sent::Refused { .. }), "{place}: {sent:?}");
    }
    let (Sent::Refused { reason } | Sent::RoutePaused { reason } | Sent::RetryLater { reason, .. }) =
        sent
    else {
        return;
    };
    if let Some(word) = wanted.get("reason") {
        assert_eq!(reason, word, "{place}");
    }
    if let Some(code) = wanted.get("code") {
        // A code may have become its name.
        let named = !reason.contains(|c: char| c.is_ascii_digit());
        assert!(
            named || reason.contains(&code.to_string()),
            "{place}: {reason}"
        );
    }
}

fn check_response(place: &str, wanted: &Map<String, Value>, answer: &Rendered) {
    match wanted.get("one_of_status") {
        Some(open) => assert!(
            open.as_array().unwrap().contains(&json!(answer.status)),
            "{place}"
        ),
        None => assert_eq!(json!(answer.status), wanted["status"], "{place}: status"),
    }
    if let Some(content_type) = wanted.get("content_type") {
        let media_type = answer.content_type.split(';').next().unwrap();
        assert_eq!(media_type, content_type, "{place}: content type");
    }
    match wanted["compare"].as_str().unwrap() {
        "any" => {}
        "exact" | "xml" => assert_eq!(answer.body, wanted["body"], "{place}"),
        other => panic!("{place}: teach the runner to compare by {other}"),
    }
}

#[test]
fn while_a_secret_is_replaced_both_sign() {
    let body = b"messageId=1&msisdn=447700900001&timestamp=1714555800";
    let signed = "&messageId=1&msisdn=447700900001&timestamp=1714555800";
    for (provider, name) in [
        ("termii", "secret_key"),
        ("twilio", "auth_token"),
        ("vonage", "signature_secret"),
    ] {
        let next = format!("{name}_next");
        let account = Account::new([(name, "old"), (next.as_str(), "new")]);
        for (secret, believed) in [("old", true), ("new", true), ("none", false)] {
            let hex = |octets: Vec<u8>| HEXLOWER.encode(&octets);
            let termii = hex(hmac(Algorithm::Sha512, secret.as_bytes(), body));
            let pairs = "https://x/messageId1msisdn447700900001timestamp1714555800";
            let twilio =
                STANDARD.encode(hmac(Algorithm::Sha1, secret.as_bytes(), pairs.as_bytes()));
            let vonage = hex(md5(format!("{signed}{secret}").as_bytes()));
            let body = match provider {
                "vonage" => [body.as_slice(), b"&sig=", vonage.as_bytes()].concat(),
                _ => body.to_vec(),
            };
            let headers = [
                ("content-type", "application/x-www-form-urlencoded"),
                ("x-twilio-signature", twilio.as_str()),
                ("x-termii-signature", termii.as_str()),
            ];
            let webhook = Webhook {
                door: Door::Inbound,
                url: "https://x/",
                request: Inbound {
                    method: "POST",
                    path: "",
                    query: "",
                    headers: &headers,
                    body: &body,
                },
                now: DateTime::from_timestamp(1_714_555_800, 0).unwrap(),
            };
            let verified = find(provider).unwrap().verify(&account, &webhook);
            assert_eq!(verified, believed, "{provider} {secret}");
        }
    }
}

proptest! {
    #[test]
    fn any_octets_are_understood_somehow(body: Vec<u8>, query: String, header: String, status: u16, json: bool, door in 0usize..4) {
        let door = [Door::Inbound, Door::Delivery, Door::OptOut, Door::Subscription][door];
        let content_type = if json { "application/json" } else { "application/x-www-form-urlencoded" };
        let headers = [("content-type", content_type), ("x-twilio-signature", header.as_str()), ("x-termii-signature", header.as_str())];
        let webhook = Webhook {
            door,
            url: &query,
            request: Inbound { method: "POST", path: "", query: &query, headers: &headers, body: &body },
            now: Utc::now(),
        };
        let message = Message {
            reference: "1".to_owned(),
            msisdn: msisdn("+447700900001"),
            text: query.clone(),
            attempt: 1,
            sender: Some(header.clone()),
            report_url: Some(header.clone()),
        };
        let asked = Asked { msisdn: &message.msisdn, provider_id: &header };
        let answer = Answer { status, retry_after_seconds: None, body: &body };
        let secrets = ["auth_token", "signature_secret", "secret_key"].map(|name| (name, header.as_str()));
        for provider in PROVIDERS {
            for account in [Account::default(), Account::new(secrets)] {
                let _ = provider.verify(&account, &webhook);
                let _ = provider.decode(&account, &webhook);
                let _ = provider.encode(&account, &message);
                let _ = provider.encode_poll(&account, &asked);
                let _ = provider.encode_login(&account);
            }
            provider.decode_answer(&message, &answer);
            provider.decode_poll(&asked, &answer);
            provider.decode_login(&answer);
        }
    }

    /// Nearly right JSON and forms go deeper than noise.
    #[test]
    fn any_values_of_known_fields_are_understood_somehow(values in prop::collection::vec("\\PC{0,12}", 40)) {
        let names = ["msisdn", "to", "text", "messageId", "type", "data", "udh", "concat", "concat-ref", "concat-total",
            "concat-part", "status", "err-code", "id", "from", "coding", "charset", "content", "binary", "message_status",
            "level", "time", "sms_id", "MessageSid", "MessageStatus", "From", "To", "Body", "NumMedia", "OptOutType",
            "message_id", "receiver", "sender", "message", "sent_at", "deliveryStatus", "clientCorrelatorId", "timestamp",
            "sig", "date"];
        let pairs: Vec<(&str, &String)> = names.into_iter().zip(&values).collect();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let object: Map<String, Value> = pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let list = json!({ "results": [object.clone()] }).to_string();
        let object = Value::Object(object).to_string();
        for (content_type, body) in [("application/json", object), ("application/json", list), ("", form)] {
            for door in [Door::Inbound, Door::Delivery] {
                let webhook = Webhook {
                    door,
                    url: "https://x/",
                    request: Inbound { method: "POST", path: "", query: "", headers: &[("content-type", content_type)], body: body.as_bytes() },
                    now: Utc::now(),
                };
                for provider in PROVIDERS {
                    let _ = provider.verify(&Account::new([("signature_secret", "x")]), &webhook);
                    let _ = provider.decode(&Account::default(), &webhook);
                }
            }
        }
    }
}
