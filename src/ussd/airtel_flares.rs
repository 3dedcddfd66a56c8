//! Comviva FLARES by HTTP pull: Airtel in Kenya, Uganda, Rwanda, Malawi, Nigeria and elsewhere. Source: the working client
//! praekelt/vumi, written after "Flares 1.5.0" and production logs; handlers from Rwanda, Malawi and South Sudan agree.
//!
//! Nothing tells a first call but its unknown `SessionID`. `input` is then what was dialled without its first `*` and last
//! `#` (some deployments keep both), later the latest answer:
//!
//! ```text
//! GET ?SessionID=13697502734175597&MSISDN=254733000001&MSC=msc1&input=384*7
//! GET ?SessionID=13697502734175597&MSISDN=254733000001&MSC=msc1&input=1
//! ```
//!
//! The answer is plain text; `Freeflow` says whether the dialogue goes on (`FC`) or ends (`FB`):
//!
//! ```text
//! 200  content-type: text/plain; charset=utf-8  Freeflow: FC  charge: N  amount: 0
//! Which town?
//! ```
//!
//! When a session is over, `clean` comes, with a code of the reason and junk behind it; its answer is empty, or `Unknown Session`:
//!
//! ```text
//! GET ?clean=clean-session&error=522&SessionID=13697502734175597&msisdn=254733000001&=&=en
//! ```
//!
//! Names of fields are the same in capitals and small letters. A fault is 400 `{"missing_parameter":["MSC"]}`.
//!
//! Options: `userid` and `password`, which every call has to carry in its query then; else it is answered 403 `Forbidden`.
//! News of an end carries none in the field: it may leave them out, but not give others.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq;

use super::fields::{Fields, dialled, printable};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd, get,
};

/// The credentials in the query; options of the same names hold what they must be.
const CREDENTIALS: [&str; 2] = ["userid", "password"];
/// The shortest password that proves anything, in characters.
const PASSWORD_CHARS_MIN: usize = 16;
/// The longest code of a reason, in characters; known ones have 3.
const REASON_CHARS_MAX: usize = 20;
/// No limit is documented; every network shows this many.
const SEPTETS_MAX: usize = 160;

/// The aggregator `airtel_flares`.
#[derive(Debug, Clone, Copy)]
pub struct AirtelFlares;

impl Aggregator for AirtelFlares {
    fn name(&self) -> &'static str {
        "airtel_flares"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let query = get::query(inbound)?.in_any_case();
        let is_end = query.get("clean").is_some();
        if !is_authorized(&query, account, is_end) {
            return Err(BadCall::Unauthorized);
        }
        if is_end {
            end(&query).map(Callback::End)
        } else {
            call(&query, account).map(Callback::Call)
        }
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        let (flow, text) = match reply {
            Reply::Continue(text) => ("FC", text),
            Reply::End(text) => ("FB", text),
        };
        Rendered {
            headers: vec![
                ("Freeflow", flow.to_owned()),
                ("charge", "N".to_owned()),
                ("amount", "0".to_owned()),
            ],
            ..Rendered::text(text.trim_start_matches('\n'))
        }
    }

    fn acknowledge_unknown(&self, _end: &SessionEnd) -> Rendered {
        Rendered::text("Unknown Session")
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        get::refuse(bad)
    }

    fn has_credentials(&self, options: &BTreeMap<String, String>) -> bool {
        let password = options.get("password");
        options.get("userid").is_some_and(|name| !name.is_empty())
            && password.is_some_and(|password| password.chars().count() >= PASSWORD_CHARS_MIN)
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

fn is_authorized(query: &Fields<'_>, account: &Account, may_leave_out: bool) -> bool {
    CREDENTIALS.iter().all(|name| {
        let Some(known) = account.options.get(*name) else {
            return true;
        };
        match query.get(name) {
            Some(given) => given.as_bytes().ct_eq(known.as_bytes()).into(),
            None => may_leave_out,
        }
    })
}

fn call(query: &Fields<'_>, account: &Account) -> Result<Call, BadCall> {
    let session = query.session("SessionID")?;
    let msisdn = query.msisdn("MSISDN")?;
    query.required("MSC")?;
    let input = query.required_typed("input")?;
    let first = dialled(account, &input, None);
    let (service_code, ahead) = if account.service_codes.contains(&first.service_code) {
        (first.service_code, Some(first.ahead))
    } else {
        (String::new(), None)
    };
    Ok(Call {
        msisdn,
        session,
        service_code,
        operator: None,
        said: Said::Either { input, ahead },
        echo: vec![],
    })
}

fn end(query: &Fields<'_>) -> Result<SessionEnd, BadCall> {
    let reason = query.find("error").or_else(|| query.find("status"));
    Ok(SessionEnd {
        msisdn: Some(query.msisdn("msisdn")?),
        session: query.session("SessionID")?,
        service_code: String::new(),
        operator: None,
        outcome: Outcome::Abandoned,
        hops: None,
        duration_ms: None,
        cost: None,
        input: None,
        last_reply: None,
        error: reason.and_then(|reason| printable(reason, REASON_CHARS_MAX)),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors_test::sample_account;
    use super::*;

    fn decode(query: &str, options: &[(&str, &str)]) -> Result<Callback, BadCall> {
        let account = sample_account("*384*7#", options);
        AirtelFlares.decode(&get::inbound(query), &account)
    }

    #[test]
    fn what_is_no_code_of_ours_cannot_begin_a_session() {
        for (input, code, ahead) in [
            ("384*7", "*384*7#", Some("")),
            ("*384*7*1*2#", "*384*7#", Some("1*2")),
            ("384", "", None),
            ("1", "", None),
            ("", "", None),
            ("Mary", "", None),
        ] {
            let query = format!(
                "SessionID=1&MSISDN=254733000001&MSC=m&input={}",
                input.replace('#', "%23")
            );
            let Ok(Callback::Call(call)) = decode(&query, &[]) else {
                panic!("{input}");
            };
            let said = Said::Either {
                input: input.to_owned(),
                ahead: ahead.map(str::to_owned),
            };
            assert_eq!((call.service_code.as_str(), call.said), (code, said));
        }
    }

    #[test]
    fn a_field_is_missed_by_its_name() {
        let whole = "SessionID=1&MSISDN=254733000001&MSC=m&input=1";
        for field in ["SessionID", "MSISDN", "MSC", "input"] {
            let query = whole.replace(&format!("{field}="), "x=");
            assert_eq!(
                decode(&query, &[]).unwrap_err(),
                BadCall::MissingField(field)
            );
        }
        let refused = AirtelFlares.refuse(&BadCall::MissingField("MSC"));
        assert_eq!(refused.body, r#"{"missing_parameter":["MSC"]}"#);
        let forbidden = AirtelFlares.refuse(&BadCall::Unauthorized);
        assert_eq!((forbidden.status, &forbidden.body[..]), (403, "Forbidden"));
    }

    #[test]
    fn the_end_may_leave_credentials_out_but_not_give_others() {
        let options = [("userid", "u"), ("password", "p")];
        let end = "clean=x&error=522&SessionID=1&msisdn=254733000001";
        for (more, fits) in [
            ("", true),
            ("&userid=u&password=p", true),
            ("&userid=u&password=q", false),
            ("&password=", false),
        ] {
            let read = decode(&format!("{end}{more}"), &options);
            assert_eq!(read.is_ok(), fits, "{more}");
        }
    }

    #[test]
    fn the_end_tells_its_reason() {
        for (query, reason) in [
            ("error=522", Some("522")),
            ("status=523", Some("523")),
            ("", None),
            ("error=%00", None),
        ] {
            let query = format!("clean=x&SessionID=1&MSISDN=254733000001&{query}");
            let Callback::End(end) = decode(&query, &[]).unwrap() else {
                panic!("{query}");
            };
            assert_eq!(end.error.as_deref(), reason);
            assert_eq!(AirtelFlares.acknowledge(&end), Rendered::empty());
        }
        let unknown = decode("clean=x&SessionID=1", &[]).unwrap_err();
        assert_eq!(unknown, BadCall::MissingField("msisdn"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(query in ".{0,300}", values in prop::array::uniform4("[ -~]{0,40}")) {
            let [id, number, clean, input] = values;
            let _ = decode(&query, &[("password", "p")]);
            let _ = decode(&format!("SessionID={id}&MSISDN={number}&MSC=1&{clean}&input={input}"), &[]);
        }
    }
}
