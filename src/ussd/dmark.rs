//! `DMark`, Uganda. Source: the working client praekelt/vumi; survey clients agree.
//!
//! A call comes by GET, or by POST as a form. `response=false` marks what was dialled; the working client goes by the unknown
//! `transactionId` instead, and either sign is enough here. Then comes the latest answer:
//!
//! ```text
//! GET ?transactionId=tx1&msisdn=256772000001&ussdServiceCode=*384*7%23&transactionTime=1714555812
//!     &ussdRequestString=*384*7%23&creationTime=1714555800&response=false
//! GET ?…&ussdRequestString=1&creationTime=1714555800&response=true
//! ```
//!
//! The answer is JSON, its `action` `request` (go on) or `end`; any status but 200 is a failure:
//!
//! ```text
//! 200  content-type: application/json
//! {"responseString":"Which town?","action":"request"}
//! ```
//!
//! Nothing tells that the subscriber has left.

use serde_json::json;

use super::fields::{Fields, dialled, registered};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said, get, service_code,
};

/// No limit is documented; every network shows this many.
const SEPTETS_MAX: usize = 160;

/// The aggregator `dmark`.
#[derive(Debug, Clone, Copy)]
pub struct Dmark;

impl Aggregator for Dmark {
    fn name(&self) -> &'static str {
        "dmark"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = match inbound.method {
            "POST" if inbound.path.is_empty() => Fields::form(inbound)?,
            "POST" => return Err(BadCall::Path),
            _ => get::query(inbound)?,
        };
        call(&fields, account).map(Callback::Call)
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        let (action, text) = match reply {
            Reply::Continue(text) => ("request", text),
            Reply::End(text) => ("end", text),
        };
        Rendered::json(&json!({ "responseString": text, "action": action }))
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        get::refuse(bad)
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

fn call(fields: &Fields<'_>, account: &Account) -> Result<Call, BadCall> {
    let session = fields.session("transactionId")?;
    let msisdn = fields.msisdn("msisdn")?;
    let named = fields.required("ussdServiceCode")?;
    if service_code::normalize(named).is_none() {
        return Err(BadCall::InvalidField("ussdServiceCode"));
    }
    let input = fields.required_typed("ussdRequestString")?;
    let first = dialled(account, &input, Some(named));
    let (service_code, said) = if fields.flag("response")? {
        let ahead = Some(first.ahead);
        (
            registered(account, Some(named)),
            Said::Either { input, ahead },
        )
    } else {
        (first.service_code, Said::Dialled(first.ahead))
    };
    Ok(Call {
        msisdn,
        session,
        service_code,
        operator: None,
        said,
        echo: vec![],
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors_test::sample_account;
    use super::*;

    const WHOLE: &str = "transactionId=t&msisdn=256772000001&ussdServiceCode=*384*7%23&ussdRequestString=1&response=true";

    fn decode(inbound: &Inbound<'_>) -> Result<Call, BadCall> {
        let account = sample_account("*384*7#", &[]);
        match Dmark.decode(inbound, &account)? {
            Callback::Call(call) => Ok(call),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_of_an_unknown_session_may_begin_it() {
        for (string, ahead) in [("1", ""), ("*384*7%23", ""), ("*384*7*2*3%23", "2*3")] {
            let query = WHOLE.replace("String=1", &format!("String={string}"));
            let call = decode(&get::inbound(&query)).unwrap();
            let Said::Either { ahead: read, .. } = call.said else {
                panic!("{string}");
            };
            assert_eq!(read.as_deref(), Some(ahead), "{string}");
        }
    }

    #[test]
    fn a_field_is_refused_by_its_name() {
        for field in [
            "transactionId",
            "msisdn",
            "ussdServiceCode",
            "ussdRequestString",
            "response",
        ] {
            let query = WHOLE.replace(&format!("{field}="), "x=");
            let bad = decode(&get::inbound(&query)).unwrap_err();
            assert_eq!(bad, BadCall::MissingField(field));
        }
        for (value, field) in [
            ("true", "response"),
            ("*384*7%23", "ussdServiceCode"),
            ("256772000001", "msisdn"),
        ] {
            let query = WHOLE.replace(value, "maybe");
            let bad = decode(&get::inbound(&query)).unwrap_err();
            assert_eq!(bad, BadCall::InvalidField(field));
        }
    }

    #[test]
    fn a_form_counts_as_such_only() {
        let form = |content_type: &str| {
            decode(&Inbound {
                method: "POST",
                headers: &[("content-type", content_type)],
                body: WHOLE.as_bytes(),
                ..get::inbound("")
            })
        };
        assert!(form("application/x-www-form-urlencoded").is_ok());
        assert!(matches!(form("text/plain"), Err(BadCall::InvalidBody(_))));
        let put = Inbound {
            method: "PUT",
            ..get::inbound(WHOLE)
        };
        assert_eq!(decode(&put).unwrap_err(), BadCall::Method);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(query in ".{0,300}", code in ".{0,20}", string in ".{0,50}") {
            let _ = decode(&get::inbound(&query));
            for response in [true, false] {
                let query = format!("transactionId=t&msisdn=256772000001&ussdServiceCode={code}&ussdRequestString={string}&response={response}");
                let _ = decode(&get::inbound(&query));
            }
        }
    }
}
