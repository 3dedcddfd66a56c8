use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "beem",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: true,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (command, response) = match told.event {
        Event::Dialled(_) => ("initiate", "0"),
        Event::Answered(answer) => ("continue", answer),
        Event::Left => ("terminate", ""),
        Event::TooSlow => return None,
    };
    // The number of our screen comes back with its answer.
    let screen = told.before.filter(|_| command != "initiate");
    let number = screen.map_or(json!(0), |got| got.json()["payload"]["request_id"].clone());
    Some(Request::json(&json!({
        "command": command, "msisdn": told.msisdn, "session_id": told.session, "operator": "vodacom",
        "payload": { "request_id": number, "response": response },
    })))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(
        answer["command"] == "continue",
        &answer["payload"]["request"],
    )
}
