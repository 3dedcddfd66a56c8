//! Emergent, also Interpay, in Ghana. Source: clients that agree on a call shaped like Hubtel's and differ in the case of names.
//!
//! ```text
//! POST  content-type: application/json
//! {"Mobile":"233200000001","SessionId":"s1","ServiceCode":"*789*10#","Type":"Initiation","Message":"*789*10#","Operator":"MTN"}
//! {"Mobile":"233200000001","SessionId":"s1","ServiceCode":"*789*10#","Type":"Response","Message":"1","Operator":"MTN"}
//!
//! 200  content-type: application/json
//! {"Message":"Which town?","Type":"Response","MaskNextRoute":true}
//! ```
//!
//! `Message` is the string dialled, then the latest answer alone. `ServiceCode` may be missing. `Type` of an answer is `Response`
//! (go on) or `Release` (end); that of a call also `Release` (the subscriber left) or `Timeout`. Nothing is signed.

use serde_json::json;

use super::hubtel::{self, RELEASE, RESPONSE};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, SessionEnd};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;

/// The aggregator `emergent`.
#[derive(Debug, Clone, Copy)]
pub struct Emergent;

impl Aggregator for Emergent {
    fn name(&self) -> &'static str {
        "emergent"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        hubtel::callback(&hubtel::read(inbound)?, None, account)
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        match reply {
            Reply::Continue(text) => answer(RESPONSE, text),
            Reply::End(text) => answer(RELEASE, text),
        }
    }

    fn acknowledge(&self, _end: &SessionEnd) -> Rendered {
        answer(RELEASE, "")
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

fn answer(kind: &str, text: &str) -> Rendered {
    Rendered::json(&json!({ "Message": text, "Type": kind, "MaskNextRoute": true }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::Said;
    use super::super::test_calls::{self, answered, call, post};
    use super::*;

    #[test]
    fn a_code_that_is_not_named_is_the_one_dialled() {
        let body = json!({ "mobile": "254711000001", "sessionid": "s", "type": "initiation", "message": "*384*7*9*1*2#" });
        let call = call(post(&Emergent, &body));
        assert_eq!(call.service_code, "*384*7*9#");
        assert_eq!(call.said, Said::Dialled("1*2".to_owned()));
    }

    #[test]
    fn a_sequence_means_nothing_here() {
        let body = json!({ "Mobile": "254711000001", "SessionId": "s", "Type": "Response", "Message": "1", "Sequence": 1 });
        assert_eq!(call(post(&Emergent, &body)).said, answered("1"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["Type", "Mobile", "sessionId", "ServiceCode", "Message", "Operator"])) {
            test_calls::survives(&Emergent, "POST", "", "", &body);
        }
    }
}
