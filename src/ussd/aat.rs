//! AAT and Vodacom Messaging, South Africa. Source: the working clients praekelt/vumi and vumi2.
//!
//! Each answer names the URL of the next call, with a parameter of ours in it: a call that carries `to_addr` is an answer,
//! one without it was dialled. Where `ussdSessionId` is missing the phone number names the session:
//!
//! ```text
//! GET ?msisdn=27820000001&provider=MTN&request=*384*7#
//! GET ?msisdn=27820000001&provider=MTN&to_addr=*384*7%23&request=1
//! ```
//!
//! The answer is XML; `options` are there while the dialogue goes on, and absent in its last screen:
//!
//! ```text
//! 200  content-type: text/xml; charset=utf-8
//! <request><headertext>Which town?</headertext><options><option command="1" order="1"
//!  callback="https://ussd.example.com/ussd/aat/TOKEN?to_addr=%2A384%2A7%23" display="false" /></options></request>
//! ```
//!
//! A fault is 400 `{"missing_parameter":["provider"]}`. The URL is made of `public_url`, which has to be set.

use super::fields::{Dialled, Fields, dialled};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said, get,
    service_code, xml,
};

/// Our own parameter in the URL of the next call: the code that was dialled.
const DIALLED: &str = "to_addr";
/// What the next URL is called on the wire.
const CALLBACK: &str = "callback";
/// No limit is documented; every network shows this many.
const SEPTETS_MAX: usize = 160;

/// The aggregator `aat`.
#[derive(Debug, Clone, Copy)]
pub struct Aat;

impl Aggregator for Aat {
    fn name(&self) -> &'static str {
        "aat"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let query = get::query(inbound)?;
        call(&query, account).map(Callback::Call)
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (text, options) = match reply {
            Reply::Continue(text) => (text, options(call)),
            Reply::End(text) => (text, String::new()),
        };
        let header = xml::element("headertext", text);
        Rendered::xml(format!("<request>{header}{options}</request>"))
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        get::refuse(bad)
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// One hidden option takes whatever is typed.
fn options(call: &Call) -> String {
    let next = call.echo.iter().find(|(name, _)| *name == CALLBACK);
    let next = xml::escape(next.map_or("", |(_, url)| url));
    format!(
        r#"<options><option command="1" order="1" {CALLBACK}="{next}" display="false" /></options>"#
    )
}

fn call(query: &Fields<'_>, account: &Account) -> Result<Call, BadCall> {
    let msisdn = query.msisdn("msisdn")?;
    query.required("provider")?;
    let operator = query.operator("provider")?;
    let session = match query.find("ussdSessionId") {
        Some(_) => query.session("ussdSessionId")?,
        None => msisdn.digits().to_owned(),
    };
    let (service_code, said) = match query.get(DIALLED) {
        Some(code) => {
            let input = query.typed("request");
            let code = service_code::normalize(code).ok_or(BadCall::InvalidField(DIALLED))?;
            (code, Said::Answered { input, hop: None })
        }
        None => {
            let Dialled {
                service_code,
                ahead,
            } = dialled(account, query.required("request")?, None);
            if service_code.is_empty() {
                return Err(BadCall::InvalidField("request"));
            }
            (service_code, Said::Dialled(ahead))
        }
    };
    let next = format!("{}?{DIALLED}={}", account.url, encoded(&service_code));
    Ok(Call {
        msisdn,
        session,
        service_code,
        operator,
        said,
        echo: vec![(CALLBACK, next)],
    })
}

/// A code consists of digits and these two.
fn encoded(service_code: &str) -> String {
    service_code.replace('*', "%2A").replace('#', "%23")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors_test::sample_account;
    use super::*;

    fn decode(query: &str) -> Result<Call, BadCall> {
        let account = sample_account("*384*7#", &[]);
        match Aat.decode(&get::inbound(query), &account)? {
            Callback::Call(call) => Ok(call),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_dialled_behind_the_code_is_not_in_the_next_url() {
        let call = decode("msisdn=27820000001&provider=MTN&request=*384*7*1*2%23").unwrap();
        assert_eq!(call.said, Said::Dialled("1*2".to_owned()));
        let answer = Aat.encode(&call, &Reply::Continue("x".to_owned())).body;
        assert!(
            answer.contains(r#"/token?to_addr=%2A384%2A7%23" display"#),
            "{answer}"
        );
    }

    #[test]
    fn a_field_is_refused_by_its_name() {
        for (query, bad) in [
            ("provider=MTN&request=1", BadCall::MissingField("msisdn")),
            (
                "msisdn=1&provider=MTN&request=1",
                BadCall::InvalidField("msisdn"),
            ),
            (
                "msisdn=27820000001&provider=&request=1",
                BadCall::MissingField("provider"),
            ),
            (
                "msisdn=27820000001&provider=%00&request=1",
                BadCall::InvalidField("provider"),
            ),
            (
                "msisdn=27820000001&provider=MTN&request=hello",
                BadCall::InvalidField("request"),
            ),
            (
                "msisdn=27820000001&provider=MTN&to_addr=&request=1",
                BadCall::InvalidField("to_addr"),
            ),
            (
                "msisdn=27820000001&provider=MTN&ussdSessionId=%0A&request=1",
                BadCall::InvalidField("ussdSessionId"),
            ),
        ] {
            assert_eq!(decode(query).unwrap_err(), bad, "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(query in ".{0,300}", request in ".{0,50}", code in ".{0,50}") {
            let _ = decode(&query);
            let _ = decode(&format!("msisdn=27820000001&provider=MTN&request={request}"));
            let _ = decode(&format!("msisdn=27820000001&provider=MTN&to_addr={code}&request={request}"));
        }

        #[test]
        fn every_screen_is_one_document(text in ".{0,200}") {
            let call = decode("msisdn=27820000001&provider=MTN&request=*384*7%23").unwrap();
            let answer = Aat.encode(&call, &Reply::Continue(text)).body;
            prop_assert!(xml::Element::read(answer.as_bytes(), "request").is_ok());
        }
    }
}
