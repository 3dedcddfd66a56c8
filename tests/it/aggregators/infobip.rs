use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "infobip",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let text = |text: &str| json!({ "msisdn": told.msisdn, "text": text });
    let reason = |reason: &str| json!({ "reason": reason, "exitCode": 500 });
    let (method, event, body) = match told.event {
        Event::Dialled(string) => ("POST", "start", text(string)),
        Event::Answered(answer) => ("POST", "response", text(answer)),
        Event::Left => ("PUT", "end", reason("user cancelled")),
        Event::TooSlow => ("PUT", "end", reason("timeout")),
    };
    Some(Request {
        method,
        path: format!("/session/{}/{event}", told.session),
        ..Request::json(&body)
    })
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    assert_eq!(answer["responseExitCode"], 200, "{got:?}");
    Screen::of(
        !answer["shouldClose"].as_bool().unwrap(),
        &answer["ussdMenu"],
    )
}
