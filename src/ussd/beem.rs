//! Beem Africa's USSD hub, in Tanzania. Source: its developer documentation of USSD.
//!
//! ```text
//! POST  content-type: application/json
//! {"command":"initiate","msisdn":"255711000001","session_id":"4574","operator":"vodacom","payload":{"request_id":0,"response":0}}
//! {"command":"continue","msisdn":"255711000001","session_id":"4574","operator":"vodacom","payload":{"request_id":1,"response":"1"}}
//!
//! 200  content-type: application/json
//! {"msisdn":"255711000001","operator":"vodacom","session_id":"4574","command":"continue",
//!  "payload":{"request_id":2,"request":"Which town?"}}
//! ```
//!
//! We number our screens from 1; the number of a screen comes back with its answer, so it tells a call from every other of the
//! session. `command` of an answer is `continue` or `terminate` (end); that of a call `terminate` when the subscriber left. Session
//! ids are short and used again. No code is told: one URL serves one code, the first of the account. Nothing is signed.

use serde_json::json;

use super::fields::{self, Fields, echoed};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;

/// The aggregator `beem`.
#[derive(Debug, Clone, Copy)]
pub struct Beem;

impl Aggregator for Beem {
    fn name(&self) -> &'static str {
        "beem"
    }

    fn numbers_answers(&self) -> bool {
        true
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        let command = fields.required("command")?;
        let session = fields.session("session_id")?;
        let msisdn = fields.msisdn("msisdn")?;
        let operator = fields.operator("operator")?;
        let service_code = fields::configured(account);
        let (number, said) = match command {
            // The payload answers nothing yet.
            "initiate" => (0, Said::Dialled(String::new())),
            "continue" => {
                let payload = fields.object("payload")?;
                let number = number(&payload);
                // A number below 1 is none that we gave, and may come with every call.
                let hop = (number > 0).then(|| number.to_string());
                let input = payload.typed("response");
                (number, Said::Answered { input, hop })
            }
            "terminate" => {
                return Ok(Callback::End(SessionEnd {
                    msisdn: Some(msisdn),
                    service_code,
                    operator,
                    ..SessionEnd::of(session, Outcome::Abandoned)
                }));
            }
            _ => return Err(BadCall::InvalidField("command")),
        };
        let mut echo = fields.echo(&["msisdn"])?;
        echo.push((NUMBER, number.saturating_add(1).to_string()));
        Ok(Callback::Call(Call {
            msisdn,
            session,
            service_code,
            operator,
            said,
            echo,
        }))
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (command, text) = match reply {
            Reply::Continue(text) => ("continue", text),
            Reply::End(text) => ("terminate", text),
        };
        let number: i32 = echoed(call, NUMBER).parse().unwrap_or(1);
        Rendered::json(&json!({
            "msisdn": echoed(call, "msisdn"), "operator": call.operator.as_deref().unwrap_or_default(),
            "session_id": call.session, "command": command, "payload": { "request_id": number, "request": text },
        }))
    }

    fn acknowledge(&self, end: &SessionEnd) -> Rendered {
        Rendered::json(&json!({ "session_id": end.session, "command": "terminate" }))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// The number of a screen: of the one answered in a call, of the next one in its echo.
const NUMBER: &str = "request_id";

fn number(payload: &Fields<'_>) -> i32 {
    payload.figure(NUMBER).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::test_calls::{self, CODE, body, call, post};
    use super::*;

    fn answered(payload: Value) -> Call {
        let body = json!({ "command": "continue", "msisdn": "254711000001", "session_id": 4574, "payload": payload });
        call(post(&Beem, &body))
    }

    #[test]
    fn a_screen_is_named_by_our_number_and_any_other_names_nothing() {
        for (number, hop, next) in [
            (json!(1), Some("1"), 2),
            (json!("7"), Some("7"), 8),
            (json!(0), None, 1),
            (json!("first"), None, 1),
            (json!(i32::MAX), Some("2147483647"), i32::MAX),
        ] {
            let call = answered(json!({ "request_id": number, "response": 4 }));
            let said = Said::Answered {
                input: "4".to_owned(),
                hop: hop.map(str::to_owned),
            };
            assert_eq!(
                (&call.said, call.service_code.as_str()),
                (&said, CODE),
                "{number}"
            );
            let answer = body(&Beem.encode(&call, &Reply::Continue("x".to_owned())));
            assert_eq!(answer["payload"]["request_id"], next, "{number}");
        }
    }

    #[test]
    fn an_answer_may_be_missing_and_a_command_may_not_be_odd() {
        let blank = answered(json!({ "request_id": 1 }));
        assert!(matches!(blank.said, Said::Answered { input, .. } if input.is_empty()));
        let body = json!({ "command": "resume", "msisdn": "254711000001", "session_id": "1" });
        assert_eq!(post(&Beem, &body), Err(BadCall::InvalidField("command")));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["command", "msisdn", "session_id", "operator", "payload"])) {
            test_calls::survives(&Beem, "POST", "", "", &body);
        }
    }
}
