use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "safaricom_direct",
    write,
    read,
    reuses_sessions: false,
    tells_calls_apart: true,
};

/// The part of the code behind the short code is the first thing told.
fn write(told: &Told<'_>) -> Option<Request> {
    let params = match told.event {
        Event::Dialled(string) => {
            let behind = string.trim_end_matches('#').strip_prefix("*384*");
            behind.unwrap().to_owned()
        }
        Event::Answered(_) => format!("7*{}", told.answers.join("*")),
        Event::Left | Event::TooSlow => return None,
    };
    Some(Request::get(&[
        ("ORIG", told.msisdn),
        ("DEST", "384"),
        ("SESSION_ID", told.session),
        ("USSD_PARAMS", &params),
    ]))
}

fn read(got: &Got) -> Screen {
    let (word, text) = got.body.split_once(' ').unwrap();
    assert!(matches!(word, "CON" | "END"), "{got:?}");
    Screen {
        waits: word == "CON",
        text: text.to_owned(),
    }
}
