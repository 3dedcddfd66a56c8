//! Cross-Switch, in Ghana. Source: two libraries that agree on a call shaped like Hubtel's with `Type` in small letters; a third
//! client speaks otherwise, so ask the vendor before going live.
//!
//! ```text
//! POST  content-type: application/json
//! {"Mobile":"233200000001","SessionId":"s1","ServiceCode":"*789*10#","Type":"initiation","Message":"*789*10#","Operator":"MTN"}
//! {"Mobile":"233200000001","SessionId":"s1","ServiceCode":"*789*10#","Type":"response","Message":"1","Operator":"MTN"}
//!
//! 200  content-type: application/json
//! {"Message":"Which town?","Type":"Response"}
//! ```
//!
//! `Message` is the string dialled, then the latest answer alone. `Type` of an answer is `Response` (go on) or `Release` (end);
//! that of a call also `release` (the subscriber left) or `timeout`. Nothing is signed.

use serde_json::json;

use super::hubtel::{self, RELEASE, RESPONSE};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, SessionEnd};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;

/// The aggregator `cross_switch`.
#[derive(Debug, Clone, Copy)]
pub struct CrossSwitch;

impl Aggregator for CrossSwitch {
    fn name(&self) -> &'static str {
        "cross_switch"
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
    Rendered::json(&json!({ "Message": text, "Type": kind }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::test_calls::{self, answered, call, post};
    use super::*;

    #[test]
    fn names_and_types_count_in_any_case() {
        let body = json!({ "mobile": "254711000001", "SESSIONID": "s", "TYPE": "Response", "Message": "1" });
        assert_eq!(call(post(&CrossSwitch, &body)).said, answered("1"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["Type", "Mobile", "SessionId", "ServiceCode", "Message", "Operator"])) {
            test_calls::survives(&CrossSwitch, "POST", "", "", &body);
        }
    }
}
