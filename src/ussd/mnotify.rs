//! mNotify's shared codes, in Ghana. Source: a client that quotes its API description.
//!
//! ```text
//! POST  content-type: application/json
//! {"msisdn":"233200000001","sequenceID":"q1","data":"*920*71#"}
//! {"msisdn":"233200000001","sequenceID":"q1","data":"1"}
//!
//! 200  content-type: application/json
//! {"msisdn":"233200000001","sequenceID":"q1","message":"Which town?\r\n1. Accra","timestamp":"2026-05-01 09:30:00","continueFlag":0}
//! ```
//!
//! `sequenceID` names the session. Nothing tells a first call but that `data` is a string dialled, or the session unknown; later
//! `data` is the latest answer alone. `continueFlag` is 0 to go on and 1 to end. Lines end with CR LF. There is no word of a
//! session's end, and nothing is signed.

use chrono::Utc;
use serde_json::json;

use super::fields::{self, echoed};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said};

/// What every network is known to show, less a line end more than ours for each of ten lines.
const SEPTETS_MAX: usize = 150;
/// `continueFlag` of a screen that waits for an answer.
const GOES_ON: u8 = 0;
/// `continueFlag` of the last screen.
const ENDS: u8 = 1;

/// The aggregator `mnotify`.
#[derive(Debug, Clone, Copy)]
pub struct Mnotify;

impl Aggregator for Mnotify {
    fn name(&self) -> &'static str {
        "mnotify"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        let (service_code, said) = said(fields.typed("data"), account);
        Ok(Callback::Call(Call {
            msisdn: fields.msisdn("msisdn")?,
            session: fields.session("sequenceID")?,
            service_code,
            operator: None,
            said,
            echo: fields.echo(&["msisdn"])?,
        }))
    }

    /// The time is the one thing in it that is not of the call.
    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (text, flag) = match reply {
            Reply::Continue(text) => (text, GOES_ON),
            Reply::End(text) => (text, ENDS),
        };
        let now = Utc::now().format("%Y-%m-%d %H:%M:%S").to_string();
        Rendered::json(&json!({
            "msisdn": echoed(call, "msisdn"), "sequenceID": call.session, "message": text.replace('\n', "\r\n"),
            "timestamp": now, "continueFlag": flag,
        }))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// A string that begins with a code of ours was dialled. Any other that looks dialled may be an answer, but begins nothing.
fn said(data: String, account: &Account) -> (String, Said) {
    if data.ends_with('#')
        && let Some((code, ahead)) = account.dialled(&data)
    {
        return (code.to_owned(), Said::Dialled(ahead.to_owned()));
    }
    let looks_dialled = data.starts_with('*') && data.ends_with('#');
    let either = Said::Either {
        input: data,
        ahead: (!looks_dialled).then(String::new),
    };
    (fields::configured(account), either)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::test_calls::{self, CODE, body, call, post};
    use super::*;

    fn said(data: &str) -> (String, Said) {
        let body = json!({ "msisdn": "254711000001", "sequenceID": "q", "data": data });
        let call = call(post(&Mnotify, &body));
        (call.service_code, call.said)
    }

    #[test]
    fn only_our_code_is_surely_dialled() {
        assert_eq!(
            said("*384*7*9*1#"),
            ("*384*7*9#".to_owned(), Said::Dialled("1".to_owned()))
        );
        for (data, ahead) in [
            ("1", Some("")),
            ("", Some("")),
            ("384*7", Some("")),
            ("*5#", None),
            ("*#", None),
        ] {
            let either = Said::Either {
                input: data.to_owned(),
                ahead: ahead.map(str::to_owned),
            };
            assert_eq!(said(data), (CODE.to_owned(), either), "{data}");
        }
    }

    #[test]
    fn an_answer_is_dated() {
        let call = call(post(
            &Mnotify,
            &json!({ "msisdn": "254711000001", "sequenceID": "q" }),
        ));
        let answer = body(&Mnotify.encode(&call, &Reply::End("a\nb".to_owned())));
        assert_eq!(answer["message"], "a\r\nb");
        let stamp = answer["timestamp"].as_str().unwrap_or_default();
        assert!(
            chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S").is_ok(),
            "{stamp}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["msisdn", "sequenceID", "data"])) {
            test_calls::survives(&Mnotify, "POST", "", "", &body);
        }
    }
}
