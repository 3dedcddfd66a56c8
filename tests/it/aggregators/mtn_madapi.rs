use serde_json::json;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "mtn_madapi",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (kind, string) = match told.event {
        Event::Dialled(string) => ("0", string),
        Event::Answered(answer) => ("1", answer),
        Event::Left => ("4", "user abort"),
        Event::TooSlow => ("5", ""),
    };
    Some(Request::json(&json!({
        "sessionId": told.session, "messageType": kind, "msisdn": told.msisdn, "serviceCode": "384*7", "ussdString": string,
    })))
}

fn read(got: &Got) -> Screen {
    let data = &got.json()["data"];
    assert_eq!(data["serviceCode"], "*384*7#");
    assert_eq!(data["userInputRequired"], data["messageType"] == 1);
    Screen::of(data["messageType"] == 1, &data["inboundResponse"])
}
