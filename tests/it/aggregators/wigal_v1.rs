use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "wigal_v1",
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
    Some(Request::get(&[
        ("msisdn", told.msisdn),
        ("sessionid", told.session),
        ("network", "MTN"),
        ("mode", mode),
        ("userdata", data),
        ("username", "demo"),
        ("trafficid", "9"),
    ]))
}

fn read(got: &Got) -> Screen {
    let frame: Vec<_> = got.body.split('|').collect();
    let [_, mode, _, _, text, "demo", "9"] = frame[..] else {
        panic!("{got:?}");
    };
    Screen {
        waits: mode == "MORE",
        text: text.replace('^', "\n"),
    }
}
