//! Moolre, in Ghana. Source: its developer documentation as working clients quote it.
//!
//! ```text
//! POST  content-type: application/json
//! {"sessionid":"m1","new":true,"msisdn":"233200000001","network":3,"message":"","extension":"77","data":"4*5"}
//! {"sessionid":"m1","new":false,"msisdn":"233200000001","network":3,"message":"1","extension":"77","data":""}
//!
//! 200  content-type: application/json
//! {"message":"Which town?","reply":true}
//! ```
//!
//! `message` is the latest answer alone; `data` is what was dialled behind the code. Of the code only its last number is told, the
//! `extension`. `reply` is true to go on and false to end. There is no word of a session's end, and nothing is signed.

use serde_json::json;

use super::fields;
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;

/// The aggregator `moolre`.
#[derive(Debug, Clone, Copy)]
pub struct Moolre;

impl Aggregator for Moolre {
    fn name(&self) -> &'static str {
        "moolre"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        let said = if fields.flag("new")? {
            let data = fields.typed("data");
            // Whole strings are not known to come here, but mean one thing only.
            let whole = account.dialled(&data).map(|(_, ahead)| ahead.to_owned());
            Said::Dialled(whole.unwrap_or(data))
        } else {
            Said::Answered {
                input: fields.typed("message"),
                hop: None,
            }
        };
        Ok(Callback::Call(Call {
            msisdn: fields.msisdn("msisdn")?,
            session: fields.session("sessionid")?,
            service_code: code(account, fields.find("extension")),
            operator: fields.operator("network")?,
            said,
            echo: vec![],
        }))
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        let (text, goes_on) = match reply {
            Reply::Continue(text) => (text, true),
            Reply::End(text) => (text, false),
        };
        Rendered::json(&json!({ "message": text, "reply": goes_on }))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// The registered code with this extension, else the first.
fn code(account: &Account, extension: Option<&str>) -> String {
    let with_extension = extension.and_then(|extension| {
        let tail = format!("*{extension}#");
        account
            .service_codes
            .iter()
            .find(|code| code.ends_with(&tail))
    });
    with_extension
        .cloned()
        .unwrap_or_else(|| fields::configured(account))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::test_calls::{self, CODE, answered, call, post, with};
    use super::*;

    fn first() -> Value {
        json!({ "sessionid": 12, "new": true, "msisdn": "254711000001", "network": 3 })
    }

    #[test]
    fn an_extension_is_the_end_of_a_code() {
        for (extension, code) in [
            (json!("9"), "*384*7*9#"),
            (json!(9), "*384*7*9#"),
            (json!(7), CODE),
            (json!(99), CODE),
            (json!(null), CODE),
        ] {
            let call = call(post(
                &Moolre,
                &with(&first(), json!({ "extension": extension })),
            ));
            assert_eq!(call.service_code, code, "{extension}");
            assert_eq!(call.operator.as_deref(), Some("3"));
        }
    }

    #[test]
    fn what_is_dialled_behind_the_code_is_apart() {
        for (data, ahead) in [("4*5", "4*5"), ("*384*7*4*5#", "4*5"), ("*384*7#", "")] {
            let call = call(post(&Moolre, &with(&first(), json!({ "data": data }))));
            assert_eq!(call.said, Said::Dialled(ahead.to_owned()));
        }
        let later = with(
            &first(),
            json!({ "new": false, "message": "1", "data": "4" }),
        );
        assert_eq!(call(post(&Moolre, &later)).said, answered("1"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["sessionid", "new", "msisdn", "network", "message", "extension", "data"])) {
            test_calls::survives(&Moolre, "POST", "", "", &body);
        }
    }
}
