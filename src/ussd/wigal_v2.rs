//! Wigal's interface of the second version, in Ghana. Source: the vendor's samples.
//!
//! ```text
//! POST  content-type: application/json
//! {"network":"mtngh","mode":"start","phonenumber":"233200000001","sessionid":"w1","userdata":"*713*55#","username":"demo","trafficid":"t1"}
//! {"network":"mtngh","mode":"more","phonenumber":"233200000001","sessionid":"w1","userdata":"1","username":"demo","trafficid":"t1"}
//!
//! 200  content-type: application/json
//! {"network":"mtngh","mode":"more","phonenumber":"233200000001","sessionid":"w1","userdata":"Which town?^1. Accra","username":"demo",
//!  "trafficid":"t1"}
//! ```
//!
//! `userdata` is the string dialled, then the latest answer alone. The answer is the same object with the screen in it, lines parted
//! by `^`, and `mode` `more` (go on) or `end`. `AirtelTigo` cannot show some characters. There is no word of a session's end, and
//! nothing is signed.

use serde_json::{Map, Value};

use super::fields::{self, Fields};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said};

/// The longest text. Source: the vendor's samples.
pub(super) const SEPTETS_MAX: usize = 160;
/// What an answer repeats.
const ECHO: &[&str] = &[
    "network",
    "phonenumber",
    "sessionid",
    "username",
    "trafficid",
];

/// The aggregator `wigal_v2`.
#[derive(Debug, Clone, Copy)]
pub struct WigalV2;

impl Aggregator for WigalV2 {
    fn name(&self) -> &'static str {
        "wigal_v2"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        call(&fields, "phonenumber", ECHO, account)
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (mode, text) = match reply {
            Reply::Continue(text) => ("more", text),
            Reply::End(text) => ("end", text),
        };
        let mut answer: Map<String, Value> = call
            .echo
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        answer.insert("mode".to_owned(), mode.into());
        answer.insert("userdata".to_owned(), screen(call, text).into());
        Rendered::json(&answer.into())
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// What both versions tell, the number under this name.
pub(super) fn call(
    fields: &Fields<'_>,
    number: &'static str,
    echo: &[&'static str],
    account: &Account,
) -> Result<Callback, BadCall> {
    let mode = fields.required("mode")?.to_ascii_lowercase();
    let typed = fields.typed("userdata");
    let (service_code, said) = match mode.as_str() {
        "start" => {
            let dialled = fields::dialled(account, &typed, None);
            (dialled.service_code, Said::Dialled(dialled.ahead))
        }
        "more" => {
            let answered = Said::Answered {
                input: typed,
                hop: None,
            };
            (String::new(), answered)
        }
        _ => return Err(BadCall::InvalidField("mode")),
    };
    Ok(Callback::Call(Call {
        msisdn: fields.msisdn(number)?,
        session: fields.session("sessionid")?,
        service_code,
        operator: fields.operator("network")?,
        said,
        echo: fields.echo(echo)?,
    }))
}

/// A screen as both versions write it: on one line, and without what its network cannot show.
pub(super) fn screen(call: &Call, text: &str) -> String {
    let network = call.operator.as_deref().unwrap_or_default().to_lowercase();
    let is_airteltigo = network.contains("airtel") || network.contains("tigo");
    text.chars()
        .filter_map(|c| match c {
            '\n' => Some('^'),
            '\r' => None,
            '^' => Some(' '),
            '\'' | '`' if is_airteltigo => None,
            '&' if is_airteltigo => Some('+'),
            '<' if is_airteltigo => Some('('),
            '$' if is_airteltigo => Some('S'),
            c => Some(c),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::test_calls::{self, answered, body, post, with};
    use super::*;

    fn more() -> Value {
        json!({ "mode": "more", "phonenumber": "254711000001", "sessionid": "w", "userdata": "1", "trafficid": 9 })
    }

    fn shown(network: &str, text: &str) -> Value {
        let call = test_calls::call(post(
            &WigalV2,
            &with(&more(), json!({ "network": network })),
        ));
        body(&WigalV2.encode(&call, &Reply::Continue(text.to_owned())))["userdata"].clone()
    }

    #[test]
    fn what_did_not_come_does_not_go_back() {
        let call = test_calls::call(post(&WigalV2, &more()));
        assert_eq!(call.said, answered("1"));
        let answer = body(&WigalV2.encode(&call, &Reply::End("x".to_owned())));
        let expected = json!({ "mode": "end", "phonenumber": "254711000001", "sessionid": "w", "userdata": "x", "trafficid": "9" });
        assert_eq!(answer, expected);
    }

    #[test]
    fn a_screen_is_one_line_that_its_network_can_show() {
        assert_eq!(shown("mtngh", "a^b\r\nAnn's B&B $5"), "a b^Ann's B&B $5");
        assert_eq!(shown("airteltigogh", "Ann's `B&B`\n<$5"), "Anns B+B^(S5");
    }

    #[test]
    fn an_odd_mode_is_refused() {
        let odd = post(&WigalV2, &with(&more(), json!({ "mode": "stop" })));
        assert_eq!(odd, Err(BadCall::InvalidField("mode")));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&[
            "network", "mode", "phonenumber", "sessionid", "userdata", "username", "trafficid",
        ])) {
            test_calls::survives(&WigalV2, "POST", "", "", &body);
        }
    }
}
