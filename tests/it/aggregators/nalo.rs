use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "nalo",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

/// As an older deployment, without session ids.
fn write(told: &Told<'_>) -> Option<Request> {
    let (is_new, data) = match told.event {
        Event::Dialled(string) => (true, string),
        Event::Answered(answer) => (false, answer),
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::json(&json!({
        "USERID": "NALOTest", "MSISDN": told.msisdn, "USERDATA": data, "MSGTYPE": is_new, "NETWORK": "MTN",
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    assert_eq!(answer["USERID"], "NALOTest");
    Screen::of(answer["MSGTYPE"].as_bool().unwrap(), &answer["MSG"])
}
