use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "arkesel",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (is_new, data) = match told.event {
        Event::Dialled(string) => (true, string),
        Event::Answered(answer) => (false, answer),
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::json(&json!({
        "sessionID": told.session, "userID": "USSD_001", "newSession": is_new, "msisdn": told.msisdn, "userData": data,
        "network": "MTN",
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(
        answer["continueSession"].as_bool().unwrap(),
        &answer["message"],
    )
}
