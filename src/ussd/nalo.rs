//! Nalo Solutions, in Ghana. Source: its public API collection.
//!
//! ```text
//! POST  content-type: application/json
//! {"USERID":"NALOTest","MSISDN":"233200000001","USERDATA":"*920*123#","MSGTYPE":true,"NETWORK":"MTN","SESSIONID":"1659…"}
//! {"USERID":"NALOTest","MSISDN":"233200000001","USERDATA":"1","MSGTYPE":false,"NETWORK":"MTN","SESSIONID":"1659…"}
//!
//! 200  content-type: application/json
//! {"USERID":"NALOTest","MSISDN":"233200000001","USERDATA":"1","MSG":"Which town?","MSGTYPE":true}
//! ```
//!
//! `MSGTYPE` true means the first call in a request, and a screen that waits for an answer in an answer. `USERDATA` is the string
//! dialled, then the latest answer alone. Older deployments send no `SESSIONID`: there the number names the session. There is no
//! word of a session's end, and nothing is signed.

use serde_json::json;

use super::fields::{self, echoed};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said};

/// The longest `MSG`. Source: its API collection.
const SEPTETS_MAX: usize = 120;

/// The aggregator `nalo`.
#[derive(Debug, Clone, Copy)]
pub struct Nalo;

impl Aggregator for Nalo {
    fn name(&self) -> &'static str {
        "nalo"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        fields.required("USERID")?;
        let mut echo = fields.echo(&["USERID", "MSISDN"])?;
        let msisdn = fields.msisdn("MSISDN")?;
        let session = match fields.find("SESSIONID") {
            Some(_) => fields.session("SESSIONID")?,
            None => msisdn.digits().to_owned(),
        };
        let typed = fields.typed("USERDATA");
        echo.push(("USERDATA", typed.clone()));
        let (service_code, said) = if fields.flag("MSGTYPE")? {
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
            msisdn,
            session,
            service_code,
            operator: fields.operator("NETWORK")?,
            said,
            echo,
        }))
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (text, goes_on) = match reply {
            Reply::Continue(text) => (text, true),
            Reply::End(text) => (text, false),
        };
        Rendered::json(&json!({
            "USERID": echoed(call, "USERID"), "MSISDN": echoed(call, "MSISDN"), "USERDATA": echoed(call, "USERDATA"),
            "MSG": text, "MSGTYPE": goes_on,
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

    use super::super::test_calls::{self, body, call, post, with};
    use super::*;

    fn first() -> Value {
        json!({ "USERID": "U", "MSGTYPE": true, "MSISDN": "+254711000001", "USERDATA": "*384*7*9#", "SESSIONID": 1659 })
    }

    #[test]
    fn without_an_id_the_number_is_the_session_however_it_is_written() {
        assert_eq!(call(post(&Nalo, &first())).session, "1659");
        for number in ["+254711000001", "254711000001", "00254711000001"] {
            let body = with(&first(), json!({ "SESSIONID": null, "MSISDN": number }));
            assert_eq!(call(post(&Nalo, &body)).session, "254711000001");
        }
    }

    #[test]
    fn what_came_goes_back_as_it_came() {
        let call = call(post(&Nalo, &first()));
        assert_eq!(call.service_code, "*384*7*9#");
        let answer = body(&Nalo.encode(&call, &Reply::End("x".to_owned())));
        let expected = json!({ "USERID": "U", "MSISDN": "+254711000001", "USERDATA": "*384*7*9#", "MSG": "x", "MSGTYPE": false });
        assert_eq!(answer, expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["USERID", "MSISDN", "USERDATA", "MSGTYPE", "NETWORK", "SESSIONID"])) {
            test_calls::survives(&Nalo, "POST", "", "", &body);
        }
    }
}
