//! Wigal's interface of the first version, in Ghana. Source: the vendor's samples.
//!
//! ```text
//! GET ?msisdn=233200000001&sessionid=v1&network=MTN&mode=start&userdata=%2A713%2A55%23&username=demo&trafficid=9
//! GET ?msisdn=233200000001&sessionid=v1&network=MTN&mode=more&userdata=1&username=demo&trafficid=9
//!
//! 200  content-type: text/plain; charset=utf-8
//! MTN|MORE|233200000001|v1|Which town?^1. Accra|demo|9
//! ```
//!
//! `userdata` is the string dialled, then the latest answer alone. The answer is one line: what came, with `MORE` (go on) or `END`
//! and the screen, its lines parted by `^`. `AirtelTigo` cannot show some characters. There is no word of a session's end, and nothing
//! is signed.

use super::fields::{self, echoed};
use super::wigal_v2::{self, SEPTETS_MAX};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply};

/// What an answer repeats.
const ECHO: &[&str] = &["network", "msisdn", "sessionid", "username", "trafficid"];

/// The aggregator `wigal_v1`.
#[derive(Debug, Clone, Copy)]
pub struct WigalV1;

impl Aggregator for WigalV1 {
    fn name(&self) -> &'static str {
        "wigal_v1"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        wigal_v2::call(&fields::query_get(inbound)?, "msisdn", ECHO, account)
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (mode, text) = match reply {
            Reply::Continue(text) => ("MORE", text),
            Reply::End(text) => ("END", text),
        };
        let text = wigal_v2::screen(call, text);
        let frame = [
            echoed(call, "network"),
            mode,
            echoed(call, "msisdn"),
            echoed(call, "sessionid"),
            &text,
            echoed(call, "username"),
            echoed(call, "trafficid"),
        ];
        Rendered::text(frame.map(unbroken).join("|"))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// A field that does not break the frame.
fn unbroken(field: &str) -> String {
    field.replace('|', "/").replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_calls::{self, call, get};
    use super::*;

    #[test]
    fn nothing_breaks_the_frame() {
        let query = "msisdn=%2B254711000001&sessionid=a|b&mode=MORE&userdata=1&username=x%0Ay";
        let call = call(get(&WigalV1, query));
        let answer = WigalV1.encode(&call, &Reply::End("1|2\n3".to_owned()));
        assert_eq!(answer.body, "|END|+254711000001|a/b|1/2^3|x y|");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(query in test_calls::queries(&[
            "network", "mode", "msisdn", "sessionid", "userdata", "username", "trafficid",
        ])) {
            test_calls::survives(&WigalV1, "GET", "", &query, b"");
        }

        #[test]
        fn every_answer_has_seven_fields_on_one_line(text in "[ -~\n|^]{0,160}") {
            let call = call(get(&WigalV1, "msisdn=254711000001&sessionid=s&mode=more&network=AirtelTigo"));
            let answer = WigalV1.encode(&call, &Reply::Continue(text)).body;
            prop_assert_eq!(answer.split('|').count(), 7);
            prop_assert!(!answer.contains(['\n', '$', '<', '&', '\'', '`']));
        }
    }
}
