//! Each decoder as a function from an input to a word for what came of it.

use std::sync::LazyLock;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use reserveflow::country::Country;
use reserveflow::phone::Msisdn;
use reserveflow::smpp::pdu::{Deliver, Frame};
use reserveflow::smpp::receipt;
use reserveflow::smpp::text::{Alphabet, user_data};
use reserveflow::sms::fields::parse_hex;
use reserveflow::sms::{
    self, Answer, Asked, Door, Event, Message, PROVIDERS, Provider, Sent, Webhook,
};
use reserveflow::ussd::smpp::{Smpp, is_ussd, submit};
use reserveflow::ussd::{
    AGGREGATORS, Account, Aggregator, BadCall, Callback, Inbound, Rendered, Reply,
};

use super::corpus::{self, Input};

/// One decoder with what it is fed by.
pub struct Decoder {
    /// `ussd/beem`, `sms/beem`, `sms/beem/answer`, `smpp`.
    pub name: String,
    kind: Kind,
}

enum Kind {
    Ussd(&'static dyn Aggregator),
    Webhook(&'static dyn Provider),
    Answer(&'static dyn Provider),
    Smpp,
}

/// Every decoder there is.
pub static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    let ussd = AGGREGATORS.iter().map(|aggregator| Decoder {
        name: format!("ussd/{}", aggregator.name()),
        kind: Kind::Ussd(*aggregator),
    });
    let sms = PROVIDERS.iter().flat_map(|provider| {
        let name = provider.name();
        [
            Decoder {
                name: format!("sms/{name}"),
                kind: Kind::Webhook(*provider),
            },
            Decoder {
                name: format!("sms/{name}/answer"),
                kind: Kind::Answer(*provider),
            },
        ]
    });
    let smpp = Decoder {
        name: "smpp".to_owned(),
        kind: Kind::Smpp,
    };
    // Some providers post nothing; the others are to have vectors.
    let sms = sms.filter(|decoder| !decoder.seeds().is_empty());
    ussd.chain(sms).chain(std::iter::once(smpp)).collect()
});

/// The decoder of this name.
pub fn find(name: &str) -> &'static Decoder {
    let found = DECODERS.iter().find(|decoder| decoder.name == name);
    found.unwrap_or_else(|| panic!("the corpus has an input for {name}, which is no decoder"))
}

impl Decoder {
    /// The requests of its vectors.
    pub fn seeds(&self) -> Vec<Input> {
        match self.kind {
            Kind::Ussd(aggregator) => {
                corpus::requests(&self.name, &format!("{}_ussd.json", aggregator.name()))
            }
            Kind::Webhook(provider) => {
                corpus::requests(&self.name, &format!("{}_sms.json", provider.name()))
            }
            Kind::Answer(provider) => {
                corpus::answers(&self.name, &format!("{}_sms.json", provider.name()))
            }
            Kind::Smpp => {
                let file = corpus::vectors("smpp.json").unwrap();
                let cases = file["cases"].as_array().unwrap().iter();
                cases
                    .map(|case| Input {
                        decoder: self.name.clone(),
                        body: parse_hex(case["pdu_hex"].as_str().unwrap().as_bytes()).unwrap(),
                        ..Input::default()
                    })
                    .collect()
            }
        }
    }

    /// Decodes, and writes every answer that there is to it.
    pub fn run(&self, input: &Input) -> String {
        let headers: Vec<(&str, &str)> = input
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let inbound = Inbound {
            method: &input.method,
            path: &input.path,
            query: &input.query,
            headers: &headers,
            body: &input.body,
        };
        match self.kind {
            Kind::Ussd(aggregator) => ussd(aggregator, &inbound),
            Kind::Webhook(provider) => webhook(provider, inbound),
            Kind::Answer(provider) => answer(provider, &input.body),
            Kind::Smpp => smpp(&input.body),
        }
    }
}

fn account() -> Account {
    Account {
        service_codes: vec!["*384*7#".to_owned(), "*384*123#".to_owned()],
        country: Country::find("KE").unwrap(),
        url: "https://ussd.example.com/ussd/x/demo".to_owned(),
        options: [("userid", "u"), ("password", "p")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

fn ussd(aggregator: &dyn Aggregator, inbound: &Inbound<'_>) -> String {
    let callback = aggregator.decode(inbound, &account());
    let word = match &callback {
        Ok(Callback::Call(call)) => {
            assert!(!call.session.is_empty(), "{call:?}");
            let said = format!("{:?}", call.said);
            let (said, _) = said.split_once(['(', ' ']).unwrap();
            format!("call {said} {}", call.operator.is_some())
        }
        Ok(Callback::End(end)) => format!("end {}", end.outcome.word()),
        Ok(Callback::Status(_)) => "status".to_owned(),
        Ok(Callback::Question(_)) => "question".to_owned(),
        Err(bad) => format!("{bad:?}"),
    };
    for rendered in answers(aggregator, callback) {
        fits(&rendered);
    }
    word
}

fn answers(aggregator: &dyn Aggregator, callback: Result<Callback, BadCall>) -> Vec<Rendered> {
    match callback {
        Ok(Callback::Call(call)) => {
            let text = "1. Ann's | B&B ^ <é>\n2. €5 ]]> ሰ".to_owned();
            let mut answers = vec![
                aggregator.encode(&call, &Reply::Continue(text.clone())),
                aggregator.encode(&call, &Reply::End(text.clone())),
                aggregator.encode_unknown(&call, text),
            ];
            answers.extend(aggregator.encode_known(&call));
            answers
        }
        Ok(Callback::End(end)) => vec![
            aggregator.acknowledge(&end),
            aggregator.acknowledge_unknown(&end),
        ],
        Ok(Callback::Status(_)) => vec![aggregator.encode_status(true)],
        Ok(Callback::Question(answer)) => vec![answer],
        Err(bad) => vec![aggregator.refuse(&bad)],
    }
}

/// No server's error, and JSON that is JSON.
fn fits(rendered: &Rendered) {
    assert!((200..500).contains(&rendered.status), "{rendered:?}");
    if rendered.content_type == "application/json" {
        let body: Result<serde_json::Value, _> = serde_json::from_str(&rendered.body);
        assert!(body.is_ok(), "{rendered:?}");
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_714_555_800, 0).unwrap()
}

fn webhook(provider: &dyn Provider, request: Inbound<'_>) -> String {
    let door = match request.path.rsplit('/').next() {
        Some("dlr" | "delivery" | "status") => Door::Delivery,
        Some("optout") => Door::OptOut,
        Some("subscription") => Door::Subscription,
        _ => Door::Inbound,
    };
    let secrets = [
        ("auth_token", "12345"),
        ("signature_secret", "12345"),
        ("secret_key", "12345"),
        ("default_alphabet", "gsm7"),
    ];
    let webhook = Webhook {
        door,
        url: "https://sms.example.com/sms/x/demo/inbound?a=b",
        request,
        now: now(),
    };
    let signed = provider.verify(&sms::Account::new(secrets), &webhook);
    match provider.decode(&sms::Account::default(), &webhook) {
        Ok(events) => {
            fits(&provider.acknowledge(Some("Habari <&>")));
            let kinds: Vec<&str> = events
                .iter()
                .take(2)
                .map(|event| match event {
                    Event::Inbound(sms) if sms.part.is_some() => "part",
                    Event::Inbound(sms) if sms.binary.is_some() => "binary",
                    Event::Inbound(_) => "inbound",
                    Event::Report(report) => report.status.word(),
                    Event::OptOut(_) => "opt-out",
                    Event::Subscription(_) => "subscription",
                })
                .collect();
            format!("{kinds:?} {signed}")
        }
        Err(bad) => {
            fits(&provider.refuse(&bad));
            format!("{bad:?}")
        }
    }
}

fn answer(provider: &dyn Provider, body: &[u8]) -> String {
    let message = Message {
        reference: "1".to_owned(),
        msisdn: Msisdn::parse("+447700900001").unwrap(),
        text: "Habari".to_owned(),
        attempt: 1,
        sender: None,
        report_url: None,
    };
    let asked = Asked {
        msisdn: &message.msisdn,
        provider_id: "1",
    };
    let mut words = Vec::new();
    for status in [200, 201, 202, 400, 500] {
        let answer = Answer {
            status,
            retry_after_seconds: None,
            body,
        };
        let sent = provider.decode_answer(&message, &answer);
        let polled = provider.decode_poll(&asked, &answer);
        let login = provider.decode_login(&answer).is_some();
        words.push(match sent {
            Sent::Accepted { .. } => "accepted",
            Sent::RetryLater { .. } => "later",
            Sent::Refused { .. } => "refused",
            Sent::RoutePaused { .. } => "paused",
            Sent::Unknown { .. } => "unknown",
        });
        words.extend(polled.map(|report| report.status.word()));
        words.extend(login.then_some("login"));
    }
    words.join(" ")
}

/// What a connection reads of octets, one PDU after the other.
fn smpp(octets: &[u8]) -> String {
    let mut received = BytesMut::from(octets);
    let mut words = Vec::new();
    loop {
        match Frame::take(&mut received) {
            Ok(Some(frame)) => words.push(pdu(&frame)),
            Ok(None) => break,
            Err(bad) => {
                words.push(format!("{bad:?}").split('(').next().unwrap().to_owned());
                break;
            }
        }
    }
    words.truncate(1);
    words.join("")
}

fn pdu(frame: &Frame) -> String {
    if frame.is_response() {
        return format!("response {}", frame.message_id().is_empty());
    }
    // Whatever it says it is.
    let Ok(deliver) = Deliver::read(&frame.body) else {
        return "unreadable".to_owned();
    };
    let user = user_data(&deliver);
    let texts = [Alphabet::Gsm7, Alphabet::Latin1]
        .map(|alphabet| alphabet.decode(deliver.data_coding, &user.octets).is_some());
    if is_ussd(&deliver) {
        let words = [
            "user_message_reference",
            "its_session_info",
            "its_session_number",
            "msisdn",
        ]
        .map(|session| dialogue(frame, &deliver, session));
        return words.join(" ");
    }
    if receipt::is_receipt(&deliver) {
        return match receipt::read(&deliver) {
            Ok(report) => format!("receipt {}", report.status.word()),
            Err(bad) => format!("{bad:?}"),
        };
    }
    format!("sms {texts:?} {}", user.part.is_some())
}

fn dialogue(frame: &Frame, deliver: &Deliver, session: &str) -> String {
    let mut account = account();
    account
        .options
        .insert("session".to_owned(), session.to_owned());
    let inbound = Inbound {
        method: "deliver_sm",
        path: "",
        query: "1-1",
        headers: &[],
        body: &frame.body,
    };
    let callback = Smpp.decode(&inbound, &account);
    let word = match &callback {
        Ok(Callback::Call(_)) => "call".to_owned(),
        Ok(Callback::End(_)) => "end".to_owned(),
        Ok(_) => "other".to_owned(),
        Err(bad) => format!("{bad:?}"),
    };
    for rendered in answers(&Smpp, callback) {
        submit(deliver, Alphabet::Gsm7, &rendered);
    }
    word
}
