//! Runs every dialogue of `tests/vectors/*_ussd.json` against its aggregator, keeping between calls what a session would
//! keep. A vector's `config` becomes the account.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::transcript::{Hop, hop};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd, find,
};
use crate::country::Country;
use crate::phone::Msisdn;

#[test]
fn every_dialogue_of_every_aggregator_reads_and_answers_as_recorded() {
    let files = files();
    assert!(!files.is_empty(), "no vectors found");
    for path in files {
        let file: File = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let aggregator = find(&file.aggregator).unwrap_or_else(|| panic!("no {}", file.aggregator));
        for dialogue in &file.dialogues {
            let mut config = file.config.clone();
            config.extend(dialogue.config.clone());
            Run {
                aggregator,
                account: account(&config),
                config,
                sessions: HashMap::new(),
                past: vec![],
            }
            .play(dialogue);
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_string_lossy().ends_with("_ussd.json"))
        .collect()
}

/// An account with one code and a few options, for the cases of an aggregator's own.
pub(super) fn sample_account(service_code: &str, options: &[(&str, &str)]) -> Account {
    let mut config = Map::new();
    config.insert("service_codes".to_owned(), json!([service_code]));
    config.insert("path".to_owned(), json!("/token"));
    let options = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)));
    config.extend(options);
    account(&config)
}

fn account(config: &Map<String, Value>) -> Account {
    let codes = config["service_codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap().to_owned());
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    Account {
        service_codes: codes.collect(),
        country: Country::find("KE").unwrap(),
        url: format!(
            "{}{}",
            config.get("public_base_url").map(text).unwrap_or_default(),
            config.get("path").map(text).unwrap_or_default()
        ),
        options: config
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect::<BTreeMap<_, _>>(),
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
    request: Request,
    expect: Map<String, Value>,
    reply: Option<Spoken>,
    expect_response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize, Clone)]
struct Spoken {
    kind: String,
    text: String,
}

#[derive(Deserialize)]
struct Response {
    status: Option<u16>,
    content_type: Option<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    body: Option<Value>,
    compare: String,
}

/// One dialogue under way.
struct Run {
    aggregator: &'static dyn Aggregator,
    account: Account,
    config: Map<String, Value>,
    sessions: HashMap<String, Session>,
    /// What each step was seen as and answered with.
    past: Vec<(Value, Option<Spoken>)>,
}

/// What is kept of a session between calls.
#[derive(Clone)]
struct Session {
    /// All answers so far, joined by `*`.
    transcript: String,
    /// What it was begun with, for calls that do not tell.
    service_code: String,
    /// The bytes that began it.
    request: (String, String),
    /// What they were answered with.
    first: Spoken,
    /// Whether a screen waits for an answer.
    live: bool,
    /// Whether its end was told.
    closed: bool,
}

impl Run {
    fn play(&mut self, dialogue: &Dialogue) {
        for (number, step) in dialogue.steps.iter().enumerate() {
            let place = format!("{} {} step {number}", self.aggregator.name(), dialogue.name);
            let duplicate_of = step
                .expect
                .get("duplicate_of")
                .map(|n| n.as_u64().unwrap() as usize);
            let spoken = match duplicate_of {
                Some(n) => self.past[n].1.clone(),
                None => step.reply.clone(),
            };
            let (mut seen, answer) = self.step(&step.request, spoken.as_ref());
            if let Some(n) = duplicate_of {
                assert!(
                    seen["kind"] == "repeat" || seen["kind"] == "late" || seen == self.past[n].0,
                    "{place}: {seen}"
                );
                seen = self.past[n].0.clone();
            }
            check_seen(&place, &step.expect, &seen);
            check_response(&place, &step.expect_response, answer);
            self.past.push((seen, spoken));
        }
    }

    fn step(&mut self, request: &Request, spoken: Option<&Spoken>) -> (Value, Option<Rendered>) {
        let callback = self.read(request);
        match callback {
            Err(bad) => (bad_call(&bad), Some(self.aggregator.refuse(&bad))),
            Ok(Callback::Question(answer)) => (json!({ "kind": "status" }), Some(answer)),
            Ok(Callback::Status(session)) => {
                let active = self.sessions.get(&session).is_some_and(|known| known.live);
                (
                    json!({ "kind": "status" }),
                    Some(self.aggregator.encode_status(active)),
                )
            }
            Ok(Callback::End(end)) => self.end(&end),
            Ok(Callback::Call(call)) => self.call(&call, request, spoken),
        }
    }

    /// An end of nobody's session is an error where the protocol answers it as one.
    fn end(&mut self, end: &SessionEnd) -> (Value, Option<Rendered>) {
        let key = self.key(&end.session, end.msisdn.as_ref());
        let known = self.aggregator.acknowledge(end);
        if let Some(session) = self.sessions.get_mut(&key).filter(|known| !known.closed) {
            session.closed = true;
            session.live = false;
            return (release(end), Some(known));
        }
        let unknown = self.aggregator.acknowledge_unknown(end);
        let refused = self.aggregator.session_is_unique() && unknown != known;
        let seen = if refused {
            unknown_session()
        } else {
            release(end)
        };
        (seen, Some(unknown))
    }

    fn key(&self, session: &str, msisdn: Option<&Msisdn>) -> String {
        if self.aggregator.session_is_unique() {
            return session.to_owned();
        }
        format!("{session} {}", msisdn.unwrap().as_str())
    }

    fn call(
        &mut self,
        call: &Call,
        request: &Request,
        spoken: Option<&Spoken>,
    ) -> (Value, Option<Rendered>) {
        let key = self.key(&call.session, Some(&call.msisdn));
        let before = self.sessions.get(&key).cloned();
        let live = before.as_ref().filter(|before| before.live);
        let said = match (&call.said, live) {
            (
                Said::Either {
                    ahead: Some(ahead), ..
                },
                None,
            ) => Said::Dialled(ahead.clone()),
            (Said::Either { input, .. }, _) => Said::Answered {
                input: input.clone(),
                hop: None,
            },
            (said, _) => said.clone(),
        };
        let sent = (request.query.clone(), request.body.clone());
        // The bytes that began a session, once more: its first answer, once more.
        let again = before
            .as_ref()
            .filter(|before| spoken.is_none() && before.request == sent)
            .map(|before| before.first.clone());
        let spoken = spoken.cloned().or(again);
        let previous = before.as_ref().map(|before| before.transcript.as_str());
        let (mut seen, transcript) = match &said {
            Said::Transcript(transcript) => {
                (seen(call, hop(previous, transcript)), transcript.clone())
            }
            Said::Dialled(ahead) => {
                let known = live
                    .filter(|before| before.request != sent)
                    .and_then(|_| self.aggregator.encode_known(call));
                if let Some(answer) = known {
                    return (
                        json!({ "kind": "error", "reason": "session_exists" }),
                        Some(answer),
                    );
                }
                (seen(call, Hop::First { input: ahead }), ahead.clone())
            }
            Said::Either { .. } => unreachable!("decided above"),
            Said::Answered { input, .. } => match (live, &spoken) {
                (Some(before), _) => (
                    seen(call, Hop::Reply { input }),
                    format!("{}*{input}", before.transcript),
                ),
                (None, spoken) => {
                    let sorry = spoken.as_ref().map_or("Session expired", |spoken| {
                        assert_eq!(spoken.kind, "end");
                        &spoken.text
                    });
                    let mut seen = seen(call, Hop::Reply { input });
                    seen["known_session"] = json!(false);
                    if spoken.is_none() {
                        seen = unknown_session();
                    }
                    let answer = self.aggregator.encode_unknown(call, sorry.to_owned());
                    return (seen, Some(answer));
                }
            },
        };
        let begins = matches!(said, Said::Dialled(_));
        let service_code = match &before {
            Some(before) if !begins && call.service_code.is_empty() => before.service_code.clone(),
            Some(before) if matches!(call.said, Said::Either { .. }) && !begins => {
                before.service_code.clone()
            }
            _ => call.service_code.clone(),
        };
        if !service_code.is_empty() {
            seen["service_code"] = json!(service_code);
        }
        let Some(spoken) = spoken else {
            return (seen, None);
        };
        let (request, first) = match before {
            Some(before) if !begins => (before.request, before.first),
            _ => (sent, spoken.clone()),
        };
        self.sessions.insert(
            key,
            Session {
                transcript,
                service_code,
                request,
                first,
                live: spoken.kind == "continue",
                closed: false,
            },
        );
        let reply = match spoken.kind.as_str() {
            "continue" => Reply::Continue(spoken.text),
            "end" => Reply::End(spoken.text),
            other => panic!("unknown kind of reply {other}"),
        };
        (seen, Some(self.aggregator.encode(call, &reply)))
    }

    fn read(&self, request: &Request) -> Result<Callback, BadCall> {
        let headers: Vec<(String, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.as_str()))
            .collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let base = ["path", "base_path"]
            .iter()
            .find_map(|key| self.config.get(*key)?.as_str())
            .unwrap();
        let inbound = Inbound {
            method: &request.method,
            path: request.path.strip_prefix(base).unwrap(),
            query: &request.query,
            headers: &headers,
            body: request.body.as_bytes(),
        };
        self.aggregator.decode(&inbound, &self.account)
    }
}

/// Every expected key has its value; `kind: any_of` leaves several kinds open. Reasons are labels, not required texts.
fn check_seen(place: &str, expect: &Map<String, Value>, seen: &Value) {
    for (key, wanted) in expect {
        match key.as_str() {
            "duplicate_of" | "one_of" => {}
            "reason" if seen["kind"] == "error" => {}
            "field" if seen.get("field").is_none() => {}
            "kind" if wanted == "any_of" => {
                let open = expect["one_of"].as_array().unwrap();
                assert!(open.contains(&seen["kind"]), "{place}: {seen}");
            }
            _ => assert_eq!(
                seen.get(key).unwrap_or(&Value::Null),
                wanted,
                "{place}: {key} in {seen}"
            ),
        }
    }
}

fn check_response(place: &str, wanted: &Response, answer: Option<Rendered>) {
    let Some(answer) = answer else {
        assert!(wanted.compare == "any", "{place}: nothing to compare");
        return;
    };
    if let Some(status) = wanted.status {
        assert_eq!(answer.status, status, "{place}: status");
    }
    for (name, value) in &wanted.headers {
        let header = answer
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        assert_eq!(
            header.map(|(_, value)| value),
            Some(value),
            "{place}: header {name}"
        );
    }
    if wanted.compare == "any" {
        return;
    }
    let body = wanted.body.as_ref().unwrap();
    let text = body
        .as_str()
        .map_or_else(|| body.to_string(), str::to_owned);
    let fits = match wanted.compare.as_str() {
        "exact" => answer.body == text,
        "json" => read_json(&answer.body) == read_json(&text),
        "json_superset" => holds(&read_json(&answer.body), &read_json(&text), false),
        "json_superset_ci" => holds(&read_json(&answer.body), &read_json(&text), true),
        "xml" => Node::read(&answer.body) == Node::read(&text),
        "xml_subset" => Node::read(&answer.body).holds(&Node::read(&text)),
        other => panic!("{place}: teach the runner to compare by {other}"),
    };
    assert!(fits, "{place}: {} instead of {text}", answer.body);
    if let Some(content_type) = &wanted.content_type {
        let media_type = answer.content_type.split(';').next().unwrap();
        assert_eq!(media_type, content_type, "{place}: content type");
    }
}

fn read_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Whether every member of `part` is in `whole`, recursively.
fn holds(whole: &Value, part: &Value, any_case: bool) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(name, wanted)| {
            let same = |key: &str| key == name || any_case && key.eq_ignore_ascii_case(name);
            whole
                .iter()
                .any(|(key, value)| same(key) && holds(value, wanted, any_case))
        }),
        _ => whole == part,
    }
}

/// An XML element, read without the code under test.
#[derive(Debug, PartialEq)]
struct Node {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    children: Vec<Node>,
}

impl Node {
    /// Blank text between elements does not count.
    fn read(document: &str) -> Node {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Node::new("", BTreeMap::new())];
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) => open.push(Node::tag(&tag)),
                Event::Empty(tag) => open.last_mut().unwrap().children.push(Node::tag(&tag)),
                Event::End(_) => {
                    let node = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(node);
                }
                Event::Text(text) => open.last_mut().unwrap().text += &text.xml10_content(),
                Event::GeneralRef(entity) => {
                    let escaped = format!("&{};", &*entity);
                    open.last_mut().unwrap().text += &unescape(&escaped).unwrap();
                }
                Event::Decl(_) => {}
                Event::Eof => break,
                other => panic!("{other:?} in {document}"),
            }
        }
        assert_eq!((open.len(), open[0].children.len()), (1, 1), "{document}");
        let mut root = open.remove(0).children.remove(0);
        root.drop_blanks();
        root
    }

    fn new(name: &str, attributes: BTreeMap<String, String>) -> Node {
        Node {
            name: name.to_owned(),
            attributes,
            text: String::new(),
            children: vec![],
        }
    }

    fn tag(tag: &BytesStart<'_>) -> Node {
        let attributes = tag.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let value = unescape(&attribute.value).unwrap().into_owned();
            (attribute.key.as_ref().to_owned(), value)
        });
        Node::new(tag.name().as_ref(), attributes.collect())
    }

    fn drop_blanks(&mut self) {
        if self.text.trim().is_empty() {
            self.text.clear();
        }
        self.children.iter_mut().for_each(Node::drop_blanks);
    }

    /// Whether every element of `part` is here at its place, in whatever order.
    fn holds(&self, part: &Node) -> bool {
        let text = part.children.is_empty().then_some(&part.text);
        self.name == part.name
            && text.is_none_or(|text| self.text == *text)
            && part
                .children
                .iter()
                .all(|wanted| self.children.iter().any(|child| child.holds(wanted)))
    }
}

fn seen(call: &Call, hop: Hop<'_>) -> Value {
    let (kind, input) = match hop {
        Hop::First { input } => ("first", input),
        Hop::Reply { input } => ("reply", input),
        Hop::Repeat => ("repeat", ""),
        Hop::Late => ("late", ""),
        Hop::Mismatch { input } => ("mismatch", input),
    };
    let mut seen = json!({ "kind": kind, "input": input, "msisdn": call.msisdn.as_str(), "session": call.session, "operator": call.operator });
    if !call.service_code.is_empty() {
        seen["service_code"] = json!(call.service_code);
    }
    if let Said::Answered {
        hop: Some(named), ..
    } = &call.said
    {
        seen["hop"] = json!(named);
    }
    for (name, value) in &call.echo {
        let name = if name.ends_with("metadata") {
            "metadata"
        } else {
            name
        };
        if seen.get(name).is_none() {
            seen[name] = json!(value);
        }
    }
    seen
}

fn release(end: &SessionEnd) -> Value {
    let kind = match end.outcome {
        Outcome::TimedOut => "timeout",
        Outcome::Completed | Outcome::Abandoned | Outcome::Failed => "release",
    };
    json!({
        "kind": kind, "msisdn": end.msisdn.as_ref().map(Msisdn::as_str), "session": end.session, "outcome": end.outcome.word(),
        "service_code": end.service_code, "operator": end.operator, "hops": end.hops, "cost": end.cost,
        "duration_ms": end.duration_ms, "input": end.input, "error": end.error, "reason": end.error,
    })
}

fn unknown_session() -> Value {
    json!({ "kind": "error", "reason": "unknown_session" })
}

fn bad_call(bad: &BadCall) -> Value {
    match bad {
        BadCall::MissingField(field) | BadCall::InvalidField(field) => {
            json!({ "kind": "error", "field": field })
        }
        _ => json!({ "kind": "error" }),
    }
}
