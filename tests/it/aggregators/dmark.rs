use super::{CODE, Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "dmark",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (goes_on, string) = match told.event {
        Event::Dialled(string) => ("false", string),
        Event::Answered(answer) => ("true", answer),
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::get(&[
        ("transactionId", told.session),
        ("msisdn", told.msisdn),
        ("ussdServiceCode", CODE),
        ("transactionTime", "1714555812"),
        ("ussdRequestString", string),
        ("creationTime", ""),
        ("response", goes_on),
    ]))
}

fn read(got: &Got) -> Screen {
    let answer = got.json();
    Screen::of(answer["action"] == "request", &answer["responseString"])
}
