//! `TruTeq` `TruRoute`-USSD by XML: Telecel in Ghana, TNM in Malawi, Namibia, South Africa. Source: SMS.COM.NA API
//! specification, §4 and §5; two public handlers agree.
//!
//! A call is an XML document. Type 1 was dialled, 2 is the latest answer; 3 (left), 4 (too slow) and 10 (a charge failed, the
//! reason in `msg`) tell that the session is over:
//!
//! ```text
//! POST  content-type: text/xml
//! <ussd><msisdn>265881000001</msisdn><sessionid>7</sessionid><type>1</type><msg>*384*7#</msg></ussd>
//! ```
//!
//! The answer is another, of type 2 (go on) or 3 (end); an end is acknowledged by an empty body:
//!
//! ```text
//! 200  content-type: text/xml; charset=utf-8
//! <ussd><type>2</type><msg>Which town?</msg></ussd>
//! ```
//!
//! Options: `strip_trailing_hash`, `true` where the operator appends `#` to answers (Telecel).

use super::fields::{Fields, dialled};
use super::xml::{Element, element};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

/// The option of operators that append `#` to answers.
const STRIP_TRAILING_HASH: &str = "strip_trailing_hash";
/// No limit is documented; every network shows this many.
const SEPTETS_MAX: usize = 160;

/// The aggregator `truroute`.
#[derive(Debug, Clone, Copy)]
pub struct TruRoute;

impl Aggregator for TruRoute {
    fn name(&self) -> &'static str {
        "truroute"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let root = Element::post(inbound, "ussd")?;
        let fields = root.fields();
        let said = match fields.required("type")? {
            "1" => return first(&fields, account).map(Callback::Call),
            "2" => Said::Answered {
                input: answer(fields.required_typed("msg")?, account),
                hop: None,
            },
            "4" => return end(&fields, Outcome::TimedOut).map(Callback::End),
            "3" | "10" => return end(&fields, Outcome::Abandoned).map(Callback::End),
            _ => return Err(BadCall::InvalidField("type")),
        };
        call(&fields, String::new(), said).map(Callback::Call)
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        let (kind, text) = match reply {
            Reply::Continue(text) => ("2", text),
            Reply::End(text) => ("3", text),
        };
        let (kind, text) = (element("type", kind), element("msg", text));
        Rendered::xml(format!("<ussd>{kind}{text}</ussd>"))
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

fn first(fields: &Fields<'_>, account: &Account) -> Result<Call, BadCall> {
    let first = dialled(account, fields.required("msg")?, None);
    if first.service_code.is_empty() {
        return Err(BadCall::InvalidField("msg"));
    }
    call(fields, first.service_code, Said::Dialled(first.ahead))
}

fn answer(typed: String, account: &Account) -> String {
    let strips = account.options.get(STRIP_TRAILING_HASH);
    match typed.strip_suffix('#') {
        Some(bare) if strips.is_some_and(|strips| strips == "true") => bare.to_owned(),
        _ => typed,
    }
}

fn call(fields: &Fields<'_>, service_code: String, said: Said) -> Result<Call, BadCall> {
    Ok(Call {
        msisdn: fields.msisdn("msisdn")?,
        session: fields.session("sessionid")?,
        service_code,
        operator: None,
        said,
        echo: vec![],
    })
}

fn end(fields: &Fields<'_>, outcome: Outcome) -> Result<SessionEnd, BadCall> {
    Ok(SessionEnd {
        msisdn: Some(fields.msisdn("msisdn")?),
        session: fields.session("sessionid")?,
        service_code: String::new(),
        operator: None,
        outcome,
        hops: None,
        duration_ms: None,
        cost: None,
        input: None,
        last_reply: None,
        error: Some(fields.typed("msg")).filter(|reason| !reason.is_empty()),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors_test::sample_account;
    use super::super::xml::inbound;
    use super::*;

    fn decode(body: &str, options: &[(&str, &str)]) -> Result<Callback, BadCall> {
        let account = sample_account("*384*7#", options);
        TruRoute.decode(&inbound(body.as_bytes()), &account)
    }

    fn document(kind: &str, msg: &str) -> String {
        let msg = element("msg", msg);
        format!(
            "<ussd><msisdn>265881000001</msisdn><sessionid>7</sessionid><type>{kind}</type>{msg}</ussd>"
        )
    }

    fn typed(msg: &str, options: &[(&str, &str)]) -> String {
        match decode(&document("2", msg), options).unwrap() {
            Callback::Call(Call {
                said: Said::Answered { input, .. },
                ..
            }) => input,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_hash_is_dropped_where_the_operator_appends_it() {
        let strips = [(STRIP_TRAILING_HASH, "true")];
        for (msg, kept, stripped) in [("5#", "5#", "5"), ("##", "##", "#"), ("5", "5", "5")] {
            assert_eq!(typed(msg, &[]), kept);
            assert_eq!(typed(msg, &[(STRIP_TRAILING_HASH, "false")]), kept);
            assert_eq!(typed(msg, &strips), stripped);
        }
    }

    #[test]
    fn an_end_tells_its_reason_where_it_has_one() {
        for (kind, msg, reason) in [
            ("3", "", None),
            ("4", "", None),
            ("10", "no credit", Some("no credit")),
        ] {
            let Callback::End(end) = decode(&document(kind, msg), &[]).unwrap() else {
                panic!("{kind}");
            };
            assert_eq!(end.error.as_deref(), reason);
            assert_eq!(TruRoute.acknowledge(&end).body, "");
        }
    }

    #[test]
    fn a_field_is_refused_by_its_name() {
        for (body, bad) in [
            (
                document("1", "*384*7#").replace("type", "x"),
                BadCall::MissingField("type"),
            ),
            (document("", "1"), BadCall::MissingField("type")),
            (document("5", "1"), BadCall::InvalidField("type")),
            (document("1", ""), BadCall::MissingField("msg")),
            (document("1", "hello"), BadCall::InvalidField("msg")),
            (
                document("2", "1").replace("msg", "x"),
                BadCall::MissingField("msg"),
            ),
            (
                document("2", "1").replace("265881000001", "0881"),
                BadCall::InvalidField("msisdn"),
            ),
            (
                document("3", "").replace("msisdn", "x"),
                BadCall::MissingField("msisdn"),
            ),
        ] {
            assert_eq!(decode(&body, &[]).unwrap_err(), bad, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300), kind in "[0-9]{0,2}", msg in ".{0,200}") {
            let account = sample_account("*384*7#", &[]);
            let _ = TruRoute.decode(&inbound(&body), &account);
            let _ = decode(&document(&kind, &msg), &[]);
        }

        #[test]
        fn every_answer_survives_the_wire(msg in "[!-~é]([ -~é]{0,60}[!-~é])?") {
            prop_assert_eq!(typed(&msg, &[]), msg);
        }
    }
}
