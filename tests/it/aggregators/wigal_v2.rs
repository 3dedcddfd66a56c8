use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "wigal_v2",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (mode, data) = match told.event {
        Event::Dialled(string) => ("start", string),
        Event::Answered(answer) => ("more", answer),
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::json(&json!({
        "network": "mtngh", "mode": mode, "phonenumber": told.msisdn, "sessionid": told.session, "userdata": data,
        "username": "demo", "trafficid": "t1",
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    let text = answer["userdata"].as_str().unwrap();
    assert!(!text.contains('\n'), "{got:?}");
    Screen {
        waits: answer["mode"] == "more",
        text: text.replace('^', "\n"),
    }
}
