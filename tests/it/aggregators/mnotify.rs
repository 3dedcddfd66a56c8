use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "mnotify",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let data = match told.event {
        Event::Dialled(string) => string,
        Event::Answered(answer) => answer,
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::json(&json!({
        "msisdn": told.msisdn, "sequenceID": told.session, "data": data,
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    let text = answer["message"].as_str().unwrap();
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    Screen {
        waits: answer["continueFlag"] == 0,
        text: text.replace("\r\n", "\n"),
    }
}
