use super::{CODE, Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "hollatags",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (operation, kind, message) = match told.event {
        Event::Dialled(string) => ("begin", "1", string),
        Event::Answered(answer) => ("continue", "3", answer),
        Event::Left => ("end", "4", ""),
        Event::TooSlow => return None,
    };
    Some(Request::get(&[
        ("session_id", told.session),
        ("session_msisdn", told.msisdn),
        ("session_operation", operation),
        ("session_type", kind),
        ("session_msg", message),
        ("session_from", CODE),
        ("session_mno", "mtn"),
    ]))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(
        answer["session_operation"] == "continue",
        &answer["session_msg"],
    )
}
