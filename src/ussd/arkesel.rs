//! Arkesel, in Ghana. Source: its API description, version 2.4.0.
//!
//! ```text
//! POST  content-type: application/json
//! {"sessionID":"ark-1","userID":"USSD_001","newSession":true,"msisdn":"233200000001","userData":"*928*01#","network":"MTN"}
//! {"sessionID":"ark-1","userID":"USSD_001","newSession":false,"msisdn":"233200000001","userData":"1","network":"MTN"}
//!
//! 200  content-type: application/json
//! {"sessionID":"ark-1","userID":"USSD_001","msisdn":"233200000001","message":"Which town?","continueSession":true}
//! ```
//!
//! `userData` is the string dialled, then the latest answer alone; `network` may be missing. An answer has all five members
//! always. There is no word of a session's end, and nothing is signed.

use serde_json::json;

use super::fields::{self, echoed};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;

/// The aggregator `arkesel`.
#[derive(Debug, Clone, Copy)]
pub struct Arkesel;

impl Aggregator for Arkesel {
    fn name(&self) -> &'static str {
        "arkesel"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        let typed = fields.typed("userData");
        let (service_code, said) = if fields.flag("newSession")? {
            let dialled = fields::dialled(account, &typed, None);
            (dialled.service_code, Said::Dialled(dialled.ahead))
        } else {
            let answered = Said::Answered {
                input: typed,
                hop: None,
            };
            (String::new(), answered)
        };
        Ok(Callback::Call(Call {
            msisdn: fields.msisdn("msisdn")?,
            session: fields.session("sessionID")?,
            service_code,
            operator: fields.operator("network")?,
            said,
            echo: fields.echo(&["userID", "msisdn"])?,
        }))
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (text, goes_on) = match reply {
            Reply::Continue(text) => (text, true),
            Reply::End(text) => (text, false),
        };
        Rendered::json(&json!({
            "sessionID": call.session, "userID": echoed(call, "userID"), "msisdn": echoed(call, "msisdn"), "message": text,
            "continueSession": goes_on,
        }))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::test_calls::{self, answered, body, call, dialled, post, with};
    use super::*;

    fn first() -> Value {
        json!({ "sessionID": "a", "userID": "U", "newSession": true, "msisdn": "+254711000001", "userData": "*384*7#" })
    }

    #[test]
    fn only_the_flag_tells_a_first_call() {
        assert_eq!(call(post(&Arkesel, &first())).said, dialled());
        let later = with(&first(), json!({ "newSession": "False" }));
        assert_eq!(call(post(&Arkesel, &later)).said, answered("*384*7#"));
        let unclear = with(&first(), json!({ "newSession": 1 }));
        assert_eq!(
            post(&Arkesel, &unclear),
            Err(BadCall::InvalidField("newSession"))
        );
    }

    #[test]
    fn what_came_goes_back_as_it_came() {
        let call = call(post(&Arkesel, &with(&first(), json!({ "userID": null }))));
        let answer = body(&Arkesel.encode(&call, &Reply::End("x".to_owned())));
        assert_eq!(
            (&answer["msisdn"], &answer["userID"]),
            (&json!("+254711000001"), &json!(""))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["sessionID", "userID", "newSession", "msisdn", "userData", "network"])) {
            test_calls::survives(&Arkesel, "POST", "", "", &body);
        }
    }
}
