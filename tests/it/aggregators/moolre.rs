use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "moolre",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (is_new, message, data) = match told.event {
        Event::Dialled(string) => {
            let behind = string.trim_end_matches('#').strip_prefix("*384*7").unwrap();
            (true, "", behind.trim_start_matches('*'))
        }
        Event::Answered(answer) => (false, answer, ""),
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::json(&json!({
        "sessionid": told.session, "new": is_new, "msisdn": told.msisdn, "network": 3, "message": message, "extension": "7",
        "data": data,
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(answer["reply"].as_bool().unwrap(), &answer["message"])
}
