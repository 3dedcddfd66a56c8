//! Callbacks for the cases of one aggregator: what it reads of them, and that it has an answer to whatever comes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said, SessionEnd,
};
use crate::country::Country;

/// The code of the account.
pub(super) const CODE: &str = "*384*7#";

/// An account with [`CODE`] and, longer, `*384*7*9#`.
pub(super) fn account() -> Account {
    Account {
        service_codes: vec![CODE.to_owned(), "*384*7*9#".to_owned()],
        country: Country::find("KE").unwrap(),
        url: "https://ussd.example.com/ussd/x/demo".to_owned(),
        options: BTreeMap::new(),
    }
}

/// What comes of a JSON value posted.
pub(super) fn post(aggregator: &dyn Aggregator, body: &Value) -> Result<Callback, BadCall> {
    send(aggregator, "POST", "", "", body.to_string().as_bytes())
}

/// What comes of a query string.
pub(super) fn get(aggregator: &dyn Aggregator, query: &str) -> Result<Callback, BadCall> {
    send(aggregator, "GET", "", query, b"")
}

/// What comes of any request.
pub(super) fn send(
    aggregator: &dyn Aggregator,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Callback, BadCall> {
    let inbound = Inbound {
        method,
        path,
        query,
        headers: &[("content-type", "application/json")],
        body,
    };
    aggregator.decode(&inbound, &account())
}

/// The call that it is.
pub(super) fn call(read: Result<Callback, BadCall>) -> Call {
    match read {
        Ok(Callback::Call(call)) => call,
        other => panic!("{other:?}"),
    }
}

/// The end that it is.
pub(super) fn end(read: Result<Callback, BadCall>) -> SessionEnd {
    match read {
        Ok(Callback::End(end)) => end,
        other => panic!("{other:?}"),
    }
}

/// Dialled, with nothing behind the code.
pub(super) fn dialled() -> Said {
    Said::Dialled(String::new())
}

/// Answered, with nothing that tells the call from others.
pub(super) fn answered(input: &str) -> Said {
    Said::Answered {
        input: input.to_owned(),
        hop: None,
    }
}

/// `value` with some members replaced, or taken out by `null`.
pub(super) fn with(value: &Value, members: Value) -> Value {
    let mut value = value.clone();
    for (name, member) in members.as_object().unwrap() {
        if member.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = member.clone();
        }
    }
    value
}

/// The body of an answer.
pub(super) fn body(answer: &Rendered) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

/// Reads a request, and writes every answer that there is to what it was. None is a server's error.
pub(super) fn survives(
    aggregator: &dyn Aggregator,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) {
    let mut answers = vec![];
    match send(aggregator, method, path, query, body) {
        Ok(Callback::Call(call)) => {
            let text = "1. Ann's | B&B ^ <é>\n2. €5".to_owned();
            answers.push(aggregator.encode(&call, &Reply::Continue(text.clone())));
            answers.push(aggregator.encode(&call, &Reply::End(text.clone())));
            answers.push(aggregator.encode_unknown(&call, text));
            answers.extend(aggregator.encode_known(&call));
        }
        Ok(Callback::End(end)) => {
            answers.push(aggregator.acknowledge(&end));
            answers.push(aggregator.acknowledge_unknown(&end));
        }
        Ok(Callback::Status(_)) => answers.push(aggregator.encode_status(true)),
        Ok(Callback::Question(answer)) => answers.push(answer),
        Err(bad) => answers.push(aggregator.refuse(&bad)),
    }
    for answer in answers {
        assert!((200..500).contains(&answer.status), "{answer:?}");
        if answer.content_type == "application/json" {
            serde_json::from_str::<Value>(&answer.body).unwrap();
        }
    }
}

/// Bytes of all kinds, and JSON objects with some of these members and values of all kinds.
pub(super) fn bodies(names: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        4 => ".{0,12}".prop_map(Value::from),
        4 => "[a-z0-9*#]{1,12}".prop_map(Value::from),
        4 => prop::sample::select(vec![
            json!("254711000001"), json!("start"), json!("more"), json!("continue"), json!("initiate"), json!("Response"),
            json!("Initiation"), json!("0"), json!("1"), json!("*384*7*1#"), json!("x".repeat(200)),
        ]),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        2 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({ "request_id": 1, "response": "1" })),
        1 => Just(json!([1])),
    ];
    let members = prop::collection::vec((prop::sample::select(names), value), 0..12);
    let object = members.prop_map(|members| {
        let object: serde_json::Map<String, Value> = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Value::Object(object).to_string().into_bytes()
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 3 => object]
}

/// Query strings of all kinds, and ones with some of these parameters.
pub(super) fn queries(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let value = prop_oneof![
        ".{0,12}",
        "[a-z0-9*#]{1,12}",
        Just("254711000001".to_owned()),
        prop::sample::select(vec!["start", "more", "begin", "continue", "end"])
            .prop_map(str::to_owned),
    ];
    let pairs = prop::collection::vec((prop::sample::select(names), value), 0..12);
    let query = pairs.prop_map(|pairs| {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    });
    prop_oneof![1 => ".{0,60}", 3 => query]
}
