//! Africa's Talking, in Kenya and some fifteen other countries. Source: its developer documentation of USSD and of USSD
//! notifications, help-centre articles 1284071 and 1284096.
//!
//! A call is a form; `text` holds all answers so far, joined by `*`:
//!
//! ```text
//! POST  content-type: application/x-www-form-urlencoded
//! sessionId=ATUid_1f…&serviceCode=%2A384%2A7%23&phoneNumber=%2B254711000001&networkCode=63902&text=1%2ANakuru
//! ```
//!
//! The answer is plain text that begins with exactly `CON ` (go on) or `END `; anything else shows the subscriber an error:
//!
//! ```text
//! 200  content-type: text/plain; charset=utf-8
//! CON Which town?
//! ```
//!
//! When a session is over, however it ended, a form comes to the events URL; its answer is not read:
//!
//! ```text
//! date=2026-05-01%2009%3A30%3A12&sessionId=ATUid_1f…&serviceCode=%2A384%2A7%23&networkCode=63902&phoneNumber=%2B254711000001
//! &status=Success&cost=0.10&durationInMillis=14520&hopsCount=2&input=1%2ANakuru&lastAppResponse=END%20Bye
//! ```
//!
//! Nothing is signed: the secret path and the aggregator's addresses are the only proof of origin.

use super::fields::Fields;
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd, service_code,
};

/// The longest text of all answers, in bytes.
const TRANSCRIPT_BYTES_MAX: usize = 4096;
/// A header that travels to the aggregator and comes back with the next call.
const METADATA: &str = "at-ussd-hop-metadata";
/// The longest metadata kept, in characters. Source: its documentation of that header.
const METADATA_CHARS_MAX: usize = 99;
/// The first three digits of a network code, and the country code of its numbers. The sandbox, `99999`, has none.
const NETWORKS: [(&str, &str); 10] = [
    ("620", "233"),
    ("621", "234"),
    ("635", "250"),
    ("636", "251"),
    ("639", "254"),
    ("640", "255"),
    ("641", "256"),
    ("645", "260"),
    ("650", "265"),
    ("655", "27"),
];
/// Safaricom shows this many; other networks of Kenya a few more.
const SEPTETS_MAX: usize = 160;

/// The aggregator `africastalking`.
#[derive(Debug, Clone, Copy)]
pub struct AfricasTalking;

impl Aggregator for AfricasTalking {
    fn name(&self) -> &'static str {
        "africastalking"
    }

    fn decode(&self, inbound: &Inbound<'_>, _account: &Account) -> Result<Callback, BadCall> {
        if inbound.method != "POST" {
            return Err(BadCall::Method);
        }
        match inbound.path {
            "" => call(inbound).map(Callback::Call),
            "/events" => end(inbound).map(Callback::End),
            _ => Err(BadCall::Path),
        }
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let body = match reply {
            Reply::Continue(text) => format!("CON {text}"),
            Reply::End(text) => format!("END {text}"),
        };
        Rendered {
            headers: call.echo.clone(),
            ..Rendered::text(body)
        }
    }

    fn dialling_code(&self, operator: &str) -> Option<&'static str> {
        let networks = NETWORKS.iter();
        let (_, dialling_code) = networks
            .copied()
            .find(|(country, _)| operator.len() == 5 && operator.starts_with(country))?;
        Some(dialling_code)
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }

    fn urls(&self) -> &'static [(&'static str, &'static str)] {
        &[("USSD callback", ""), ("USSD events", "/events")]
    }
}

/// What our answer asked to be handed back, kept in the aggregator's own reports of the session.
fn metadata(inbound: &Inbound<'_>) -> Option<String> {
    let metadata = inbound.header(METADATA)?;
    (1..=METADATA_CHARS_MAX)
        .contains(&metadata.chars().count())
        .then(|| metadata.to_owned())
}

fn call(inbound: &Inbound<'_>) -> Result<Call, BadCall> {
    let form = Fields::form(inbound)?;
    let transcript = form.text("text").unwrap_or_default();
    if transcript.len() > TRANSCRIPT_BYTES_MAX {
        return Err(BadCall::InvalidField("text"));
    }
    Ok(Call {
        session: form.session("sessionId")?,
        msisdn: form.msisdn("phoneNumber")?,
        service_code: service_code(&form)?,
        operator: form.operator("networkCode")?,
        said: Said::Transcript(transcript),
        echo: metadata(inbound)
            .map(|metadata| (METADATA, metadata))
            .into_iter()
            .collect(),
    })
}

fn end(inbound: &Inbound<'_>) -> Result<SessionEnd, BadCall> {
    let form = Fields::form(inbound)?;
    Ok(SessionEnd {
        session: form.session("sessionId")?,
        msisdn: Some(form.msisdn("phoneNumber")?),
        service_code: service_code(&form)?,
        operator: form.operator("networkCode")?,
        outcome: match form.required("status")? {
            "Success" => Outcome::Completed,
            "Incomplete" => Outcome::Abandoned,
            "Failed" => Outcome::Failed,
            _ => return Err(BadCall::InvalidField("status")),
        },
        hops: form.figure("hopsCount"),
        duration_ms: form.figure("durationInMillis"),
        cost: form.text("cost"),
        input: form.text("input"),
        last_reply: form.text("lastAppResponse"),
        error: form.text("errorMessage"),
    })
}

fn service_code(form: &Fields<'_>) -> Result<String, BadCall> {
    service_code::normalize(form.required("serviceCode")?)
        .ok_or(BadCall::InvalidField("serviceCode"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::fields::SESSION_CHARS_MAX;
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn read<T>(
        content_type: &str,
        body: &[u8],
        read: impl Fn(&Inbound<'_>) -> Result<T, BadCall>,
    ) -> Result<T, BadCall> {
        read(&Inbound {
            method: "POST",
            path: "",
            query: "",
            headers: &[("content-type", content_type)],
            body,
        })
    }

    fn decode(body: &str) -> Result<Call, BadCall> {
        read(FORM, body.as_bytes(), super::call)
    }

    fn transcript(call: Call) -> String {
        match call.said {
            Said::Transcript(transcript) => transcript,
            other => panic!("{other:?}"),
        }
    }

    fn call(field: &str, value: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair(field, value);
        for (key, value) in [
            ("sessionId", "ATUid_1"),
            ("serviceCode", "*384*7#"),
            ("phoneNumber", "+254711000001"),
            ("text", "1"),
        ] {
            form.append_pair(key, value);
        }
        form.finish()
    }

    #[test]
    fn a_field_is_refused_by_its_name() {
        let long = "x".repeat(SESSION_CHARS_MAX + 1);
        for (field, value) in [
            ("sessionId", long.as_str()),
            ("sessionId", "ATUid\n1"),
            ("sessionId", "é"),
            ("phoneNumber", "0711000001"),
            ("serviceCode", "hotel"),
            ("networkCode", "\u{fffd}"),
            ("text", &"1*".repeat(TRANSCRIPT_BYTES_MAX)),
        ] {
            match decode(&call(field, value)) {
                Err(BadCall::InvalidField(named)) => assert_eq!(named, field),
                other => panic!("{field}={value}: {other:?}"),
            }
        }
        let broken = call("x", "").replace("networkCode", "") + "&networkCode=%FF";
        assert_eq!(decode(&broken), Err(BadCall::InvalidField("networkCode")));
    }

    #[test]
    fn a_network_code_tells_its_country() {
        for (operator, dialling_code) in [
            ("63902", Some("254")),
            ("64101", Some("256")),
            ("65510", Some("27")),
            ("99999", None),
            ("639", None),
            ("Safaricom", None),
        ] {
            assert_eq!(AfricasTalking.dialling_code(operator), dialling_code);
        }
    }

    #[test]
    fn the_limits_are_inside() {
        assert!(decode(&call("sessionId", &"x".repeat(SESSION_CHARS_MAX))).is_ok());
        assert!(decode(&call("text", &"1".repeat(TRANSCRIPT_BYTES_MAX))).is_ok());
    }

    #[test]
    fn the_first_of_two_counts() {
        assert_eq!(transcript(decode(&call("text", "7")).unwrap()), "7");
    }

    #[test]
    fn what_is_not_a_form_is_refused() {
        let body = call("x", "");
        for content_type in ["", "application/json", "text/plain"] {
            let refused = read(content_type, body.as_bytes(), super::call);
            assert!(
                matches!(refused, Err(BadCall::InvalidBody(_))),
                "{content_type}"
            );
        }
        let shouting = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
        assert!(read(shouting, body.as_bytes(), super::call).is_ok());
    }

    #[test]
    fn unreadable_text_is_kept_as_such() {
        let call =
            decode("sessionId=1&serviceCode=1&phoneNumber=254711000001&text=a%FF%00").unwrap();
        assert_eq!(transcript(call), "a\u{fffd}\u{fffd}");
    }

    #[test]
    fn an_unknown_end_is_refused_and_an_odd_figure_is_not() {
        let end = |status: &str| {
            let body = call("status", status) + "&hopsCount=many&durationInMillis=-1";
            read(FORM, body.as_bytes(), super::end)
        };
        assert_eq!(end("Exploded"), Err(BadCall::InvalidField("status")));
        assert_eq!(end(""), Err(BadCall::MissingField("status")));
        let read = end("Incomplete").unwrap();
        assert_eq!(
            (read.outcome, read.hops, read.duration_ms),
            (Outcome::Abandoned, None, None)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(FORM, &body, super::call);
            let _ = read(FORM, &body, super::end);
        }

        #[test]
        fn every_answer_survives_the_wire(text in "[^\0]{0,200}") {
            let read = decode(&call("text", &text)).unwrap();
            prop_assert_eq!(transcript(read), text);
        }
    }
}
