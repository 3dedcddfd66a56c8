use serde_json::json;

use super::{CODE, Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "cross_switch",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (kind, message) = match told.event {
        Event::Dialled(string) => ("initiation", string),
        Event::Answered(answer) => ("response", answer),
        Event::Left => ("release", ""),
        Event::TooSlow => ("timeout", ""),
    };
    Some(Request::json(&json!({
        "Type": kind, "Mobile": told.msisdn, "SessionId": told.session, "ServiceCode": CODE, "Message": message,
        "Operator": "mtn",
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(answer["Type"] == "Response", &answer["Message"])
}
