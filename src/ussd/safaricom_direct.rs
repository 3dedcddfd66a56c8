//! Safaricom's own gateway, as an operator calls. Source: the working client praekelt/vumi and its tests.
//!
//! `USSD_PARAMS` holds everything dialled and answered behind the short code, joined by `*`; a code of several parts begins
//! it. Only an unknown `SESSION_ID` tells a first call:
//!
//! ```text
//! GET ?ORIG=254722000001&DEST=384&SESSION_ID=s1&USSD_PARAMS=7
//! GET ?ORIG=254722000001&DEST=384&SESSION_ID=s1&USSD_PARAMS=7*1*Nakuru
//! ```
//!
//! The answer is plain text that begins with `CON ` (go on) or `END `; a fault is 400 `{"missing_parameter":["DEST"]}`:
//!
//! ```text
//! 200  content-type: text/plain; charset=utf-8
//! CON Which town?
//! ```
//!
//! The longest registered code that fits is the one that was dialled: where `*384#` and `*384*7#` are both registered, an
//! answer `7` to the first screen of `*384#` cannot be told from dialling `*384*7#`, and shows the first screen again.

use super::fields::{Fields, readable};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said, get, service_code,
};

/// The longest text of all answers, in bytes.
const TRANSCRIPT_BYTES_MAX: usize = 4096;
/// Safaricom shows this many.
const SEPTETS_MAX: usize = 160;

/// The aggregator `safaricom_direct`.
#[derive(Debug, Clone, Copy)]
pub struct SafaricomDirect;

impl Aggregator for SafaricomDirect {
    fn name(&self) -> &'static str {
        "safaricom_direct"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let query = get::query(inbound)?;
        call(&query, account).map(Callback::Call)
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        Rendered::text(match reply {
            Reply::Continue(text) => format!("CON {text}"),
            Reply::End(text) => format!("END {text}"),
        })
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        get::refuse(bad)
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

fn call(query: &Fields<'_>, account: &Account) -> Result<Call, BadCall> {
    let msisdn = query.msisdn("ORIG")?;
    let short_code = query.required("DEST")?;
    let session = query.session("SESSION_ID")?;
    let told = query
        .get("USSD_PARAMS")
        .ok_or(BadCall::MissingField("USSD_PARAMS"))?;
    if told.len() > TRANSCRIPT_BYTES_MAX {
        return Err(BadCall::InvalidField("USSD_PARAMS"));
    }
    let told = readable(told);
    let short_code = service_code::normalize(short_code).ok_or(BadCall::InvalidField("DEST"))?;
    let root = short_code.trim_end_matches('#');
    let joint = if told.is_empty() { "" } else { "*" };
    let (service_code, transcript) = match account.dialled(&format!("{root}{joint}{told}#")) {
        Some((code, answers)) => (code.to_owned(), answers.to_owned()),
        None => (short_code, told),
    };
    Ok(Call {
        msisdn,
        session,
        service_code,
        operator: None,
        said: Said::Transcript(transcript),
        echo: vec![],
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors_test::sample_account;
    use super::*;

    fn decode(query: &str) -> Result<Call, BadCall> {
        let account = sample_account("*384*7#", &[]);
        match SafaricomDirect.decode(&get::inbound(query), &account)? {
            Callback::Call(call) => Ok(call),
            other => panic!("{other:?}"),
        }
    }

    fn told(params: &str) -> (String, String) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("ORIG", "254722000001")
            .append_pair("DEST", "384")
            .append_pair("SESSION_ID", "s")
            .append_pair("USSD_PARAMS", params);
        let call = decode(&query.finish()).unwrap();
        match call.said {
            Said::Transcript(transcript) => (call.service_code, transcript),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_code_is_taken_off_what_was_told() {
        for (params, code, transcript) in [
            ("7", "*384*7#", ""),
            ("7*", "*384*7#", ""),
            ("7*1*", "*384*7#", "1*"),
            ("7*1 #", "*384*7#", "1 #"),
            ("7* a ", "*384*7#", " a "),
            ("", "*384#", ""),
            ("77", "*384#", "77"),
            ("8*1", "*384#", "8*1"),
        ] {
            let expected = (code.to_owned(), transcript.to_owned());
            assert_eq!(told(params), expected, "{params}");
        }
    }

    #[test]
    fn a_field_is_refused_by_its_name() {
        let whole = "ORIG=254722000001&DEST=384&SESSION_ID=s&USSD_PARAMS=";
        for field in ["ORIG", "DEST", "SESSION_ID", "USSD_PARAMS"] {
            let query = whole.replace(field, "x");
            assert_eq!(decode(&query).unwrap_err(), BadCall::MissingField(field));
        }
        let long = format!("{whole}{}", "1*".repeat(TRANSCRIPT_BYTES_MAX));
        assert_eq!(
            decode(&long).unwrap_err(),
            BadCall::InvalidField("USSD_PARAMS")
        );
        assert_eq!(
            decode(&whole.replace("384", "hotel")).unwrap_err(),
            BadCall::InvalidField("DEST")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(query in ".{0,300}", dest in ".{0,9}", params in ".{0,50}") {
            let _ = decode(&query);
            let _ = decode(&format!("ORIG=254722000001&DEST={dest}&SESSION_ID=1&USSD_PARAMS={params}"));
        }

        #[test]
        fn every_answer_survives_the_wire(answers in "[^\0]{0,100}") {
            prop_assert_eq!(told(&format!("7*{answers}")).1, answers);
        }
    }
}
