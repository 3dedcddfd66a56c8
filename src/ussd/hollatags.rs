//! `HollaTags`, in Nigeria. Source: its developer documentation of USSD. On its shared codes a whole session lasts 20 s.
//!
//! ```text
//! GET ?session_id=h1&session_msisdn=2348030000001&session_operation=begin&session_type=1&session_msg=%2A347%2A100%23
//!     &session_from=%2A347%2A100%23&session_mno=mtn
//! GET ?session_id=h1&session_msisdn=2348030000001&session_operation=continue&session_type=3&session_msg=1&…
//!
//! 200  content-type: application/json
//! {"session_operation":"continue","session_type":1,"session_id":"h1","session_msg":"Which town?"}
//! ```
//!
//! `session_msg` is the string dialled, then the latest answer alone. Of an answer, `session_operation` is `continue` with
//! `session_type` 1 (wants an answer), or `end` with 4; `session_operation` of a call is `end` when the subscriber left. Nothing
//! is signed.

use serde_json::json;

use super::fields;
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

/// The longest `session_msg`. Source: its documentation.
const SEPTETS_MAX: usize = 160;

/// The aggregator `hollatags`.
#[derive(Debug, Clone, Copy)]
pub struct Hollatags;

impl Aggregator for Hollatags {
    fn name(&self) -> &'static str {
        "hollatags"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::query_get(inbound)?;
        let operation = fields.required("session_operation")?.to_ascii_lowercase();
        let session = fields.session("session_id")?;
        let msisdn = fields.msisdn("session_msisdn")?;
        let operator = fields.operator("session_mno")?;
        let named = fields.find("session_from");
        let typed = fields.typed("session_msg");
        let (service_code, said) = match operation.as_str() {
            "begin" => {
                let dialled = fields::dialled(account, &typed, named);
                (dialled.service_code, Said::Dialled(dialled.ahead))
            }
            "continue" => {
                let answered = Said::Answered {
                    input: typed,
                    hop: None,
                };
                (fields::registered(account, named), answered)
            }
            "end" => {
                return Ok(Callback::End(SessionEnd {
                    msisdn: Some(msisdn),
                    service_code: fields::registered(account, named),
                    operator,
                    ..SessionEnd::of(session, Outcome::Abandoned)
                }));
            }
            _ => return Err(BadCall::InvalidField("session_operation")),
        };
        Ok(Callback::Call(Call {
            msisdn,
            session,
            service_code,
            operator,
            said,
            echo: vec![],
        }))
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        match reply {
            Reply::Continue(text) => answer(&call.session, "continue", 1, text),
            Reply::End(text) => answer(&call.session, "end", 4, text),
        }
    }

    fn acknowledge(&self, end: &SessionEnd) -> Rendered {
        answer(&end.session, "end", 4, "")
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

fn answer(session: &str, operation: &str, kind: u8, text: &str) -> Rendered {
    Rendered::json(&json!({
        "session_operation": operation, "session_type": kind, "session_id": session, "session_msg": text,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_calls::{self, answered, body, call, end, get};
    use super::*;

    const CALLER: &str = "session_id=h&session_msisdn=%20254711000001&session_from=384";

    #[test]
    fn the_longest_registered_code_was_dialled() {
        let query = format!("{CALLER}&session_operation=Begin&session_msg=%2A384%2A7%2A9%2A1%23");
        let call = call(get(&Hollatags, &query));
        assert_eq!(call.service_code, "*384*7*9#");
        assert_eq!(call.said, Said::Dialled("1".to_owned()));
    }

    #[test]
    fn an_answer_may_hold_anything() {
        for (wire, input) in [("", ""), ("1%2B1+%C3%A9", "1+1 é"), ("%2A%23", "*#")] {
            let query = format!("{CALLER}&session_operation=continue&session_msg={wire}");
            assert_eq!(call(get(&Hollatags, &query)).said, answered(input));
        }
    }

    #[test]
    fn an_end_is_answered_with_an_end() {
        let end = end(get(&Hollatags, &format!("{CALLER}&session_operation=end")));
        assert_eq!(end.outcome, Outcome::Abandoned);
        assert_eq!(
            body(&Hollatags.acknowledge(&end))["session_operation"],
            "end"
        );
        let odd = get(&Hollatags, &format!("{CALLER}&session_operation=pause"));
        assert_eq!(odd, Err(BadCall::InvalidField("session_operation")));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(query in test_calls::queries(&[
            "session_id", "session_msisdn", "session_operation", "session_msg", "session_from", "session_mno",
        ])) {
            test_calls::survives(&Hollatags, "GET", "", &query, b"");
        }
    }
}
