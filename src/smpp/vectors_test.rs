//! Runs every PDU of `tests/vectors/smpp.json`: what we read is what it says, and what we write is the same octets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::BytesMut;
use rusmpp::pdus::SubmitSm;
use rusmpp::{CommandId, CommandStatus};
use serde_json::{Value, json};

use super::pdu::{self, Address, Deliver, Frame, Submit, tag};
use super::receipt;
use super::text::{Alphabet, user_data};
use crate::country::Country;
use crate::sms::ids::IdForm;
use crate::sms::{DeliveryStatus, Part};
use crate::ussd::smpp::{Smpp, is_ussd, submit};
use crate::ussd::{Account, Aggregator, Call, Callback, Inbound, Reply, Said};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/smpp.json")).unwrap()
}

fn octets(hex: &Value) -> BytesMut {
    crate::sms::fields::parse_hex(hex.as_str().unwrap().as_bytes())
        .unwrap()
        .as_slice()
        .into()
}

/// What a case says of a field that it names must be so.
fn check(case: &Value, seen: &Value) {
    for (field, expected) in case["fields"].as_object().unwrap() {
        assert_eq!(
            &seen[field], expected,
            "{}: {field} of {seen}",
            case["name"]
        );
    }
}

#[test]
fn every_pdu_reads_and_is_answered_as_recorded() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for case in vectors()["cases"].as_array().unwrap() {
        let mut received = octets(&case["pdu_hex"]);
        let fields = &case["fields"];
        let kind = match (&fields["error"], &fields["count"]) {
            (Value::String(_), _) => {
                assert!(Frame::take(&mut received).is_err(), "{}", case["name"]);
                "error"
            }
            (_, Value::Number(_)) => {
                let frames: Vec<Frame> =
                    std::iter::from_fn(|| Frame::take(&mut received).unwrap()).collect();
                let sequences: Vec<u32> = frames.iter().map(|frame| frame.sequence).collect();
                check(
                    case,
                    &json!({ "count": frames.len(), "sequences": sequences, "incomplete": !received.is_empty() }),
                );
                "count"
            }
            _ => {
                let frame = Frame::take(&mut received).unwrap().unwrap();
                assert!(received.is_empty(), "{}", case["name"]);
                one(case, &frame)
            }
        };
        *kinds.entry(kind).or_default() += 1;
    }
    // A kind that no case reaches would prove nothing.
    for kind in [
        "error", "count", "bind", "submit", "response", "sms", "receipt", "ussd", "other",
    ] {
        assert!(kinds.contains_key(kind), "no case of {kind}");
    }
}

fn one(case: &Value, frame: &Frame) -> &'static str {
    let response = |wire: BytesMut| {
        if let Some(expected) = case.get("respond_hex") {
            assert_eq!(wire, octets(expected), "{}", case["name"]);
        }
    };
    let seen = json!({
        "sequence": frame.sequence,
        "status": u32::from(frame.status),
    });
    match frame.id {
        CommandId::BindTransceiver => {
            let greeting = pdu::bind("esme1", "secret12", "");
            let wire = pdu::encode(CommandStatus::EsmeRok, frame.sequence, greeting);
            assert_eq!(wire, octets(&case["pdu_hex"]));
            "bind"
        }
        CommandId::SubmitSm => {
            let (wire, seen) = ours(case, frame);
            assert_eq!(wire, octets(&case["pdu_hex"]), "{}", case["name"]);
            check(case, &seen);
            "submit"
        }
        CommandId::DeliverSm => {
            response(pdu::delivered(CommandStatus::EsmeRok, frame.sequence));
            let deliver = Deliver::read(&frame.body).unwrap();
            if is_ussd(&deliver) {
                check(case, &dialogue(case, frame));
                "ussd"
            } else if receipt::is_receipt(&deliver) {
                check(case, &report(&deliver));
                "receipt"
            } else {
                check(case, &message(&deliver));
                "sms"
            }
        }
        CommandId::SubmitSmResp | CommandId::BindTransceiverResp | CommandId::GenericNack => {
            assert!(frame.is_response());
            let mut seen = seen;
            seen["message_id"] = json!(frame.message_id());
            for (field, expected) in case["fields"].as_object().unwrap() {
                // Whose name it is, or what is made of the status, is told elsewhere.
                if seen.get(field).is_some() {
                    assert_eq!(&seen[field], expected, "{}", case["name"]);
                }
            }
            "response"
        }
        CommandId::EnquireLink => {
            let id = CommandId::EnquireLinkResp;
            response(pdu::encode_bare(id, CommandStatus::EsmeRok, frame.sequence));
            "other"
        }
        CommandId::Unbind => {
            let id = CommandId::UnbindResp;
            response(pdu::encode_bare(id, CommandStatus::EsmeRok, frame.sequence));
            "other"
        }
        _ => {
            let (id, status) = (CommandId::GenericNack, CommandStatus::EsmeRinvcmdid);
            response(pdu::encode_bare(id, status, frame.sequence));
            "other"
        }
    }
}

fn concat(part: Option<&Part>) -> Value {
    part.map_or(Value::Null, |part| {
        json!({ "ref": part.reference.parse::<u32>().unwrap(), "total": part.total, "seq": part.number })
    })
}

fn message(deliver: &Deliver) -> Value {
    let user = user_data(deliver);
    json!({
        "command": "deliver_sm",
        "kind": if user.part.is_some() { "partial" } else { "inbound" },
        "source": deliver.source.value,
        "destination": deliver.destination.value,
        "data_coding": deliver.data_coding,
        "concat": concat(user.part.as_ref()),
        "text": Alphabet::Gsm7.decode(deliver.data_coding, &user.octets),
    })
}

fn report(deliver: &Deliver) -> Value {
    let text = String::from_utf8_lossy(&deliver.message).into_owned();
    let report = receipt::read(deliver).unwrap();
    let state = match report.status {
        DeliveryStatus::Unknown => "unknown",
        status => status.word(),
    };
    let after = |label: &str| {
        let (_, rest) = text.split_once(label)?;
        rest.split_whitespace().next()
    };
    json!({
        "command": "deliver_sm",
        "kind": "dlr",
        "id": report.provider_id,
        "state": state,
        "stat": after("stat:"),
        "err": report.reason.as_deref().and_then(|reason| reason.strip_prefix("err_")).or(after("err:")),
        "message_state": deliver.number(tag::MESSAGE_STATE),
        // Of no use to anybody here.
        "submit_date": after("submit date:"),
        "done_date": after("done date:"),
    })
}

fn account(case: &Value) -> Account {
    let options = [
        ("session", case["profile"].as_str().unwrap()),
        ("end_op", "17"),
    ];
    Account {
        service_codes: vec!["*384*123#".to_owned()],
        country: Country::find("KE").unwrap(),
        url: String::new(),
        options: options
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

fn decode(case: &Value, body: &[u8]) -> Callback {
    let inbound = Inbound {
        method: "deliver_sm",
        path: "",
        query: "",
        headers: &[],
        body,
    };
    Smpp.decode(&inbound, &account(case)).unwrap()
}

fn dialogue(case: &Value, frame: &Frame) -> Value {
    let deliver = Deliver::read(&frame.body).unwrap();
    let mut seen = json!({
        "command": "deliver_sm",
        "ussd_service_op": deliver.number(tag::USSD_SERVICE_OP),
        "end_session": deliver.number(tag::ITS_SESSION_INFO).map(|info| info & 1 == 1),
    });
    match decode(case, &frame.body) {
        Callback::Call(call) => {
            seen["session"] = json!(call.session);
            seen["service_code"] = json!(call.service_code);
            match call.said {
                Said::Dialled(ahead) => {
                    seen["kind"] = json!("first");
                    seen["input"] = json!(ahead);
                }
                Said::Answered { input, .. } => {
                    seen["kind"] = json!("reply");
                    seen["input"] = json!(input);
                }
                other => panic!("{other:?}"),
            }
        }
        Callback::End(end) => {
            seen["kind"] = json!("release");
            seen["session"] = json!(end.session);
        }
        other => panic!("{other:?}"),
    }
    seen
}

/// The same request as we would write it.
fn ours(case: &Value, frame: &Frame) -> (BytesMut, Value) {
    let fields = &case["fields"];
    let wanted = fields["text"].as_str().unwrap();
    // A submit_sm has the fields of a deliver_sm.
    let theirs = Deliver::read(&frame.body).unwrap();
    let written = if let Some(session) = fields["session"].as_str() {
        let reply = match fields["ussd_service_op"].as_u64() {
            Some(2) => Reply::Continue(wanted.to_owned()),
            _ => Reply::End(wanted.to_owned()),
        };
        let call = Call {
            msisdn: crate::phone::Msisdn::parse(&theirs.destination.value).unwrap(),
            session: session.to_owned(),
            service_code: theirs.source.value.clone(),
            operator: None,
            said: Said::Dialled(String::new()),
            echo: vec![
                ("ussd_service_op", "18".to_owned()),
                ("user_message_reference", session.to_owned()),
                ("end_op", "17".to_owned()),
            ],
        };
        let mut asked = theirs.clone();
        std::mem::swap(&mut asked.source, &mut asked.destination);
        submit(&asked, Alphabet::Gsm7, &Smpp.encode(&call, &reply))
    } else {
        let part = user_data(&theirs).part;
        let reference = part
            .as_ref()
            .map_or(0, |part| part.reference.parse().unwrap());
        // The parts of the file belong together.
        let whole = match &part {
            Some(_) => parts_of(&vectors()),
            None => wanted.to_owned(),
        };
        let encoded = Alphabet::Gsm7.encode(&whole, reference);
        let number = part.map_or(0, |part| usize::from(part.number) - 1);
        Submit {
            source: Address::sender(&theirs.source.value),
            destination: Address::subscriber(&theirs.destination.value),
            has_header: encoded.has_header,
            // We ask for one of the last part only.
            wants_receipt: true,
            data_coding: encoded.data_coding,
            short_message: encoded.parts[number].clone(),
            ..Submit::default()
        }
    };
    let seen = json!({
        "command": "submit_sm",
        "source": written.source.value,
        "source_ton": written.source.ton,
        "destination": written.destination.value,
        "data_coding": written.data_coding,
        "registered_delivery": 1,
        "esm_class": if written.has_header { 0x40 } else { 0 },
        "concat": concat(user_data(&theirs).part.as_ref()),
        "text": Alphabet::Gsm7.decode(written.data_coding, &user_data(&theirs).octets),
        "ussd_service_op": written.ussd_service_op,
        "session": written.user_message_reference.map(|reference| reference.to_string()),
    });
    let wire = pdu::encode(
        CommandStatus::EsmeRok,
        frame.sequence,
        SubmitSm::from(&written),
    );
    (wire, seen)
}

fn parts_of(vectors: &Value) -> String {
    let cases = vectors["cases"].as_array().unwrap().iter();
    let parts = cases.filter(|case| {
        case["fields"]["command"] == "submit_sm" && case["fields"]["concat"].is_object()
    });
    parts
        .map(|case| case["fields"]["text"].as_str().unwrap())
        .collect()
}

#[test]
fn an_id_is_found_in_every_form_of_a_receipt() {
    for case in vectors()["receipt_ids"].as_array().unwrap() {
        let (answers, receipts) = match case["mode"].as_str().unwrap() {
            "same" => (IdForm::Text, IdForm::Text),
            "hex_to_decimal" => (IdForm::Hexadecimal, IdForm::Decimal),
            "decimal_to_hex" => (IdForm::Decimal, IdForm::Hexadecimal),
            other => panic!("{other}"),
        };
        let answer = answers.comparable(case["resp"].as_str().unwrap());
        let receipt = receipts.comparable(case["receipt"].as_str().unwrap());
        assert_eq!(answer == receipt, case["match"], "{case}");
    }
}

#[test]
fn a_parameter_of_the_wrong_length_loses_no_message() {
    let body = |parameters: &[u8]| {
        let mut body = b"\0\x01\x01254700000001\0\x03\x0022384\0\x04\0\0\0\0\0\0\0\0\0".to_vec();
        body.extend(parameters);
        body
    };
    // No zero behind the id, a state of two octets, and a parameter that claims more than there is.
    let deliver =
        Deliver::read(&body(b"\0\x1e\0\x02a7\x04\x27\0\x02\0\x02\x04\x24\xff\xff")).unwrap();
    let report = receipt::read(&deliver).unwrap();
    assert_eq!(report.provider_id, "a7");
    assert_eq!(report.status, DeliveryStatus::Delivered);
}

#[test]
fn a_text_that_looks_like_a_receipt_is_a_text() {
    let text = b"id:7 stat:DELIVRD err:000";
    let mut body = b"\0\x01\x01254700000001\0\x03\x0022384\0\0\0\0\0\0\0\0\0\0".to_vec();
    body.push(text.len() as u8);
    body.extend(text);
    assert!(!receipt::is_receipt(&Deliver::read(&body).unwrap()));
}
