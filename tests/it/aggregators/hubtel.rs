use serde_json::json;

use super::{CODE, Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "hubtel",
    write,
    read,
    reuses_sessions: false,
    tells_calls_apart: true,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (kind, message) = match told.event {
        Event::Dialled(string) => ("Initiation", string),
        Event::Answered(answer) => ("Response", answer),
        Event::Left => ("Release", ""),
        Event::TooSlow => ("Timeout", ""),
    };
    Some(Request::json(&json!({
        "Type": kind, "Mobile": told.msisdn, "SessionId": told.session, "ServiceCode": CODE, "Message": message,
        "Operator": "mtn", "Sequence": told.answers.len() + 1, "ClientState": "", "Platform": "USSD",
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(answer["Type"] == "Response", &answer["Message"])
}
