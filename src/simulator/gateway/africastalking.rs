//! Africa's Talking as it calls an application: forms with cumulative text. [`crate::ussd::africastalking`] has the format and its source.

use chrono::{DateTime, Utc};
use form_urlencoded::Serializer;
use uuid::Uuid;

use super::{Gateway, Post};
use crate::phone::Msisdn;
use crate::simulator::phone::{Dialogue, Screen, State};

const FORM: &str = "application/x-www-form-urlencoded";

/// Network codes by country, each of one large network. Source: its list of network codes.
const NETWORKS: &[(&str, &str)] = &[
    ("KE", "63902"),
    ("UG", "64110"),
    ("TZ", "64004"),
    ("RW", "63510"),
    ("NG", "62130"),
    ("GH", "62001"),
];
/// The network code of its sandbox.
const SANDBOX: &str = "99999";

/// The aggregator `africastalking`, calling.
pub(super) struct AfricasTalking;

impl Gateway for AfricasTalking {
    fn name(&self) -> &'static str {
        "africastalking"
    }

    fn call(&self, msisdn: &Msisdn, dialogue: &Dialogue) -> Post {
        let body = Serializer::new(String::new())
            .append_pair("sessionId", &session_id(dialogue.session))
            .append_pair("serviceCode", &dialogue.service_code)
            .append_pair("phoneNumber", msisdn.as_str())
            .append_pair("networkCode", network_code(msisdn))
            .append_pair("text", &dialogue.answers.join("*"))
            .finish();
        Post {
            path: "/ussd/africastalking/{token}",
            content_type: FORM,
            body,
        }
    }

    fn end(&self, msisdn: &Msisdn, dialogue: &Dialogue, now: DateTime<Utc>) -> Post {
        let mut form = Serializer::new(String::new());
        form.append_pair("date", &now.format("%Y-%m-%d %H:%M:%S").to_string())
            .append_pair("sessionId", &session_id(dialogue.session))
            .append_pair("serviceCode", &dialogue.service_code)
            .append_pair("networkCode", network_code(msisdn))
            .append_pair("phoneNumber", msisdn.as_str())
            .append_pair("status", status(&dialogue.state))
            .append_pair("cost", "0.00")
            .append_pair("durationInMillis", &milliseconds(dialogue, now).to_string())
            .append_pair("hopsCount", &dialogue.hops.to_string())
            .append_pair("input", &dialogue.answers.join("*"))
            .append_pair("lastAppResponse", &dialogue.last_answer);
        if let State::Failed(why) = &dialogue.state {
            form.append_pair("errorMessage", why);
        }
        Post {
            path: "/ussd/africastalking/{token}/events",
            content_type: FORM,
            body: form.finish(),
        }
    }

    fn sms(&self, msisdn: &Msisdn, short_code: &str, text: &str, now: DateTime<Utc>) -> Post {
        let body = Serializer::new(String::new())
            .append_pair("date", &now.format("%Y-%m-%d %H:%M:%S").to_string())
            .append_pair("from", msisdn.as_str())
            .append_pair("to", short_code)
            .append_pair("text", text)
            .append_pair("id", &Uuid::new_v4().to_string())
            .append_pair("networkCode", network_code(msisdn))
            .finish();
        Post {
            path: "/sms/africastalking/{token}/inbound",
            content_type: FORM,
            body,
        }
    }

    fn read(&self, status: u16, body: &str) -> Result<Screen, String> {
        if status != 200 {
            return Err(format!("answered HTTP {status} instead of 200"));
        }
        if let Some(text) = body.strip_prefix("CON ") {
            return Ok(Screen::Con {
                text: text.to_owned(),
            });
        }
        if let Some(text) = body.strip_prefix("END ") {
            return Ok(Screen::End {
                text: text.to_owned(),
            });
        }
        Err("the answer begins with neither \"CON \" nor \"END \"".to_owned())
    }
}

fn session_id(session: Uuid) -> String {
    format!("ATUid_{}", session.simple())
}

fn network_code(msisdn: &Msisdn) -> &'static str {
    let country = msisdn.country().map(|country| country.code);
    let network = NETWORKS.iter().find(|(code, _)| Some(*code) == country);
    network.map_or(SANDBOX, |(_, network)| network)
}

fn status(state: &State) -> &'static str {
    match state {
        State::Waiting => "Incomplete",
        State::Ended => "Success",
        State::Failed(_) => "Failed",
    }
}

fn milliseconds(dialogue: &Dialogue, now: DateTime<Utc>) -> i64 {
    (now - dialogue.began_at).num_milliseconds().max(0)
}
