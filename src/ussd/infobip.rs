//! Infobip's USSD Gateway. Source: its third-party HTTP API.
//!
//! The gateway calls paths below our URL, bodies are JSON:
//!
//! ```text
//! POST /session/1001/start     {"msisdn":"254711000001","text":"*120*11#","shortCode":"*120*11#","language":null,"ussdGwId":"gw1"}
//! POST /session/1001/response  {"msisdn":"254711000001","text":"1"}
//! PUT  /session/1001/end       {"reason":"user cancelled","exitCode":500}
//! GET  /session/1001/status
//! ```
//!
//! `text` is the string dialled, then the latest answer alone; `shortCode` may be missing, and then the account's first code was
//! dialled. Everything is answered with 200:
//!
//! ```text
//! {"shouldClose":false,"ussdMenu":"Which town?","responseExitCode":200,"responseMessage":""}   a screen; true with the last one
//! {"responseExitCode":200,"responseMessage":""}                                                the end
//! {"sessionActive":true,"responseExitCode":200,"responseMessage":""}                           the status
//! {"responseExitCode":400,"responseMessage":"missing field text"}                              anything wrong
//! ```
//!
//! Wrong is, too, what is told of a session that is not going on, and the start of one that is. Nothing is signed.

use serde_json::json;

use super::fields::{self, Fields};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;

/// The aggregator `infobip`.
#[derive(Debug, Clone, Copy)]
pub struct Infobip;

impl Aggregator for Infobip {
    fn name(&self) -> &'static str {
        "infobip"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let (session, event) = path(inbound.path)?;
        match (event, inbound.method) {
            ("start", "POST") => start(inbound, session, account).map(Callback::Call),
            ("response", "POST") => response(inbound, session, account).map(Callback::Call),
            ("end", "PUT" | "POST") => end(inbound, session).map(Callback::End),
            ("status", "GET") => Ok(Callback::Status(session)),
            ("start" | "response" | "end" | "status", _) => Err(BadCall::Method),
            _ => Err(BadCall::Path),
        }
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        let (text, closes) = match reply {
            Reply::Continue(text) => (text, false),
            Reply::End(text) => (text, true),
        };
        Rendered::json(&json!({
            "shouldClose": closes, "ussdMenu": text, "responseExitCode": OK, "responseMessage": "",
        }))
    }

    fn encode_unknown(&self, _call: &Call, _sorry: String) -> Rendered {
        wrong("unknown session")
    }

    fn encode_known(&self, _call: &Call) -> Option<Rendered> {
        Some(wrong("the session has started already"))
    }

    fn acknowledge(&self, _end: &SessionEnd) -> Rendered {
        Rendered::json(&json!({ "responseExitCode": OK, "responseMessage": "" }))
    }

    fn acknowledge_unknown(&self, _end: &SessionEnd) -> Rendered {
        wrong("unknown session")
    }

    fn encode_status(&self, active: bool) -> Rendered {
        Rendered::json(
            &json!({ "sessionActive": active, "responseExitCode": OK, "responseMessage": "" }),
        )
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        wrong(&bad.to_string())
    }

    fn session_is_unique(&self) -> bool {
        true
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// `responseExitCode` of an answer to what was understood.
const OK: u16 = 200;
/// `responseExitCode` of any other.
const WRONG: u16 = 400;

fn wrong(why: &str) -> Rendered {
    Rendered::json(&json!({ "responseExitCode": WRONG, "responseMessage": why }))
}

/// The session id and the event of `/session/{id}/{event}`.
fn path(path: &str) -> Result<(String, &str), BadCall> {
    let rest = path.strip_prefix("/session/").ok_or(BadCall::Path)?;
    let (id, event) = rest.split_once('/').ok_or(BadCall::Path)?;
    let id = fields::session(&unescape(id)).ok_or(BadCall::InvalidField("sessionId"))?;
    Ok((id, event))
}

/// Percent-decodes a segment of a path, in which `+` and `&` mean themselves.
fn unescape(segment: &str) -> String {
    let value = segment.replace('+', "%2B").replace('&', "%26");
    form_urlencoded::parse(format!("={value}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn start(inbound: &Inbound<'_>, session: String, account: &Account) -> Result<Call, BadCall> {
    let fields = Fields::json(inbound)?;
    let text = fields.required_typed("text")?;
    let mut dialled = fields::dialled(account, &text, fields.find("shortCode"));
    if dialled.service_code.is_empty() {
        dialled.service_code = fields::configured(account);
    }
    call(
        &fields,
        session,
        dialled.service_code,
        Said::Dialled(dialled.ahead),
    )
}

fn response(inbound: &Inbound<'_>, session: String, account: &Account) -> Result<Call, BadCall> {
    let fields = Fields::json(inbound)?;
    let input = fields.required_typed("text")?;
    let service_code = fields::registered(account, fields.find("shortCode"));
    call(
        &fields,
        session,
        service_code,
        Said::Answered { input, hop: None },
    )
}

fn call(
    fields: &Fields<'_>,
    session: String,
    service_code: String,
    said: Said,
) -> Result<Call, BadCall> {
    Ok(Call {
        msisdn: fields.msisdn("msisdn")?,
        session,
        service_code,
        operator: None,
        said,
        echo: vec![],
    })
}

/// Reasons are free text.
fn end(inbound: &Inbound<'_>, session: String) -> Result<SessionEnd, BadCall> {
    let reason = Fields::json(inbound)?.typed("reason");
    let late = ["timeout", "timed out", "time out"]
        .iter()
        .any(|word| reason.to_lowercase().contains(word));
    let outcome = if late {
        Outcome::TimedOut
    } else {
        Outcome::Abandoned
    };
    Ok(SessionEnd {
        error: Some(reason).filter(|reason| !reason.is_empty()),
        ..SessionEnd::of(session, outcome)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::test_calls::{self, CODE, body, send};
    use super::*;

    fn post(path: &str, body: &Value) -> Result<Callback, BadCall> {
        send(&Infobip, "POST", path, "", body.to_string().as_bytes())
    }

    #[test]
    fn a_path_is_a_session_and_an_event() {
        for (given, session, event) in [
            ("/session/1/start", "1", "start"),
            ("/session/a%2Fb%20c+d&e=f/end", "a/b c+d&e=f", "end"),
        ] {
            assert_eq!(path(given).unwrap(), (session.to_owned(), event));
        }
        for given in ["", "/", "/session/1", "/sessions/1/start"] {
            assert_eq!(path(given), Err(BadCall::Path), "{given}");
        }
        for given in ["/session//start", "/session/%00/start", "/session/%ff/end"] {
            let refused = path(given);
            assert_eq!(refused, Err(BadCall::InvalidField("sessionId")), "{given}");
        }
        let long = format!("/session/{}/start", "x".repeat(101));
        assert!(path(&long).is_err());
    }

    #[test]
    fn an_event_has_its_methods_and_a_refusal_is_200() {
        for (method, path, why) in [
            ("GET", "/session/1/start", BadCall::Method),
            ("POST", "/session/1/status", BadCall::Method),
            ("DELETE", "/session/1/end", BadCall::Method),
            ("POST", "/session/1/push", BadCall::Path),
        ] {
            let refused = send(&Infobip, method, path, "", b"{}");
            assert_eq!(refused, Err(why.clone()), "{method} {path}");
            let answer = Infobip.refuse(&why);
            assert_eq!(answer.status, 200);
            assert_eq!(body(&answer)["responseExitCode"], 400);
        }
    }

    #[test]
    fn the_code_is_dialled_or_named_or_the_only_one() {
        for (text, short_code, code, ahead) in [
            ("*384*7*9*1#", None, "*384*7*9#", "1"),
            ("*384*7*1#", Some("*384#"), CODE, "1"),
            ("", Some("384*7*9"), "*384*7*9#", ""),
            ("", None, CODE, ""),
            ("hello", None, CODE, ""),
        ] {
            let start = json!({ "msisdn": "254711000001", "text": text, "shortCode": short_code });
            let call = test_calls::call(post("/session/1/start", &start));
            assert_eq!(
                (call.service_code.as_str(), call.said),
                (code, Said::Dialled(ahead.to_owned())),
                "{start}"
            );
        }
    }

    #[test]
    fn an_end_without_a_number_says_why() {
        for (reason, outcome) in [
            ("user cancelled", Outcome::Abandoned),
            ("Session Timed Out", Outcome::TimedOut),
            ("TIMEOUT", Outcome::TimedOut),
            ("", Outcome::Abandoned),
        ] {
            let end = test_calls::end(post("/session/1/end", &json!({ "reason": reason })));
            assert_eq!((end.outcome, end.msisdn), (outcome, None), "{reason}");
            assert_eq!(end.error.unwrap_or_default(), reason);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            body in test_calls::bodies(&["msisdn", "text", "shortCode", "reason", "exitCode"]),
            event in prop::sample::select(vec!["start", "response", "end", "status"]),
            id in "[^/]{0,9}",
            any_path in ".{0,30}",
        ) {
            for method in ["POST", "PUT", "GET"] {
                test_calls::survives(&Infobip, method, &format!("/session/{id}/{event}"), "", &body);
                test_calls::survives(&Infobip, method, &any_path, "", &body);
            }
        }
    }
}
