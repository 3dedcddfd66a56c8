//! Hubtel Programmable Services, in Ghana. Source: its developer documentation of programmable services, and the models of its
//! own SDK for .NET.
//!
//! A call is JSON. Documents and traffic differ in the case of names and of `Type`, so neither counts:
//!
//! ```text
//! POST  content-type: application/json
//! {"Type":"Initiation","Mobile":"233200000001","SessionId":"0c5e…","ServiceCode":"711*2","Message":"*711*2#","Operator":"mtn",
//!  "Sequence":1,"ClientState":"","Platform":"USSD"}
//! {"Type":"Response", … "Message":"1","Sequence":2, …}
//! ```
//!
//! `Message` is the string dialled, blank where an app began the session; then the latest answer alone. `ServiceCode` may be a
//! service's id instead of a code. `Sequence` counts the calls of a session: the same one twice is the same call.
//!
//! ```text
//! 200  content-type: application/json
//! {"SessionId":"0c5e…","Type":"Response","Message":"Which town?","Label":"Which town?","DataType":"input","FieldType":"text",
//!  "ClientState":""}
//! ```
//!
//! `Type` is `Response` (go on) or `Release` (end, with `DataType` `display`); label and types are for apps. When the subscriber
//! leaves, `Type` is `Release`, when something was too slow, `Timeout`; what is answered to those is not read.
//!
//! Nothing is signed.

use serde_json::json;

use super::fields::{self, Fields};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

/// A whole USSD string of the networks in Ghana is shown, less what some keep for themselves.
const SEPTETS_MAX: usize = 160;

/// The aggregator `hubtel`.
#[derive(Debug, Clone, Copy)]
pub struct Hubtel;

impl Aggregator for Hubtel {
    fn name(&self) -> &'static str {
        "hubtel"
    }

    fn numbers_answers(&self) -> bool {
        true
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = read(inbound)?;
        let hop = fields.figure("Sequence").map(|count| count.to_string());
        callback(&fields, hop, account)
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (kind, text, data_type) = match reply {
            Reply::Continue(text) => (RESPONSE, text, "input"),
            Reply::End(text) => (RELEASE, text, "display"),
        };
        Rendered::json(&json!({
            "SessionId": call.session, "Type": kind, "Message": text, "Label": text.lines().next().unwrap_or_default(),
            "DataType": data_type, "FieldType": "text", "ClientState": "",
        }))
    }

    fn acknowledge(&self, end: &SessionEnd) -> Rendered {
        Rendered::json(&json!({ "SessionId": end.session, "Type": RELEASE, "Message": "" }))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// `Type` of an answer that goes on.
pub(super) const RESPONSE: &str = "Response";
/// `Type` of the last answer.
pub(super) const RELEASE: &str = "Release";

/// The members of a callback of this shape, which Emergent and Cross-Switch use as well.
pub(super) fn read(inbound: &Inbound<'_>) -> Result<Fields<'static>, BadCall> {
    fields::json_post(inbound).map(Fields::in_any_case)
}

/// What they say; `hop` tells the call from every other of its session.
pub(super) fn callback(
    fields: &Fields<'_>,
    hop: Option<String>,
    account: &Account,
) -> Result<Callback, BadCall> {
    let kind = fields.required("Type")?.to_ascii_lowercase();
    let session = fields.session("SessionId")?;
    let msisdn = fields.msisdn("Mobile")?;
    let operator = fields.operator("Operator")?;
    let named = fields.find("ServiceCode");
    let typed = fields.typed("Message");
    let (service_code, said) = match kind.as_str() {
        // What the latter two ask for is not documented: the first screen answers anything.
        "initiation" | "favorite" | "query" => {
            let dialled = fields::dialled(account, &typed, named);
            (dialled.service_code, Said::Dialled(dialled.ahead))
        }
        "response" => (
            fields::registered(account, named),
            Said::Answered { input: typed, hop },
        ),
        "release" | "timeout" => {
            let outcome = match kind.as_str() {
                "timeout" => Outcome::TimedOut,
                _ => Outcome::Abandoned,
            };
            return Ok(Callback::End(SessionEnd {
                msisdn: Some(msisdn),
                service_code: fields::registered(account, named),
                operator,
                ..SessionEnd::of(session, outcome)
            }));
        }
        _ => return Err(BadCall::InvalidField("Type")),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::test_calls::{self, answered, body, call, dialled, end, post, with};
    use super::*;

    fn response() -> Value {
        json!({ "Type": "Response", "Mobile": "254711000001", "SessionId": "a", "ServiceCode": "384*7", "Message": "1", "Sequence": 2 })
    }

    fn hop(members: Value) -> Option<String> {
        match call(post(&Hubtel, &with(&response(), members))).said {
            Said::Answered { hop, .. } => hop,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_is_told_by_its_sequence_if_that_can_be_read() {
        for (sequence, named) in [
            (json!(2), Some("2")),
            (json!("02"), Some("2")),
            (json!(null), None),
            (json!("two"), None),
            (json!(-1), None),
        ] {
            assert_eq!(
                hop(json!({ "Sequence": sequence })).as_deref(),
                named,
                "{sequence}"
            );
        }
    }

    #[test]
    fn names_and_types_count_in_any_case() {
        let body = json!({ "TYPE": "RESPONSE", "mobile": "254711000001", "SESSIONID": "a", "message": "2" });
        assert_eq!(call(post(&Hubtel, &body)).said, answered("2"));
    }

    #[test]
    fn an_app_dials_nothing() {
        for kind in ["Initiation", "Favorite", "Query"] {
            let members = json!({ "Type": kind, "ServiceCode": "0c5e0c5e", "Message": " " });
            let call = call(post(&Hubtel, &with(&response(), members)));
            assert_eq!((call.said, call.service_code.as_str()), (dialled(), ""));
        }
    }

    #[test]
    fn the_longest_registered_code_was_dialled_whatever_root_is_named() {
        let members =
            json!({ "Type": "Initiation", "ServiceCode": "384", "Message": "*384*7*9*1#" });
        let first = call(post(&Hubtel, &with(&response(), members)));
        assert_eq!(first.service_code, "*384*7*9#");
        assert_eq!(first.said, Said::Dialled("1".to_owned()));
        let later = call(post(
            &Hubtel,
            &with(&response(), json!({ "ServiceCode": "384" })),
        ));
        assert_eq!(later.service_code, "");
    }

    #[test]
    fn leaving_is_not_being_late() {
        let told = |kind: &str| end(post(&Hubtel, &with(&response(), json!({ "Type": kind }))));
        assert_eq!(told("release").outcome, Outcome::Abandoned);
        assert_eq!(told("Timeout").outcome, Outcome::TimedOut);
        assert_eq!(body(&Hubtel.acknowledge(&told("Timeout")))["Type"], RELEASE);
    }

    #[test]
    fn an_app_is_told_what_to_show() {
        let call = call(post(&Hubtel, &response()));
        let screen = body(&Hubtel.encode(&call, &Reply::Continue("Town?\n1. A".to_owned())));
        assert_eq!(
            screen,
            json!({
                "SessionId": "a", "Type": "Response", "Message": "Town?\n1. A", "Label": "Town?", "DataType": "input",
                "FieldType": "text", "ClientState": "",
            })
        );
        let last = body(&Hubtel.encode(&call, &Reply::End("Bye".to_owned())));
        assert_eq!(last["DataType"], "display");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["Type", "Mobile", "SessionId", "ServiceCode", "Message", "Operator", "Sequence"])) {
            test_calls::survives(&Hubtel, "POST", "", "", &body);
        }
    }
}
