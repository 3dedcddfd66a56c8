use super::{CODE, Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "africastalking",
    write,
    read,
    reuses_sessions: false,
    tells_calls_apart: true,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let mut text = told.answers.join("*");
    match told.event {
        Event::Dialled(string) => {
            let behind = string.trim_end_matches('#').strip_prefix("*384*7").unwrap();
            behind.trim_start_matches('*').clone_into(&mut text);
        }
        Event::Answered(_) => {}
        Event::Left => {
            let fields = [fields(told).as_slice(), &[("status", "Incomplete")]].concat();
            return Some(Request {
                path: "/events".to_owned(),
                ..Request::form(&fields)
            });
        }
        Event::TooSlow => return None,
    }
    let fields = [fields(told).as_slice(), &[("text", &text)]].concat();
    Some(Request::form(&fields))
}

fn fields<'a>(told: &Told<'a>) -> [(&'static str, &'a str); 3] {
    [
        ("sessionId", told.session),
        ("serviceCode", CODE),
        ("phoneNumber", told.msisdn),
    ]
}

fn read(got: &Got) -> Screen {
    let (word, text) = got.body.split_once(' ').unwrap();
    assert!(matches!(word, "CON" | "END"), "{got:?}");
    Screen {
        waits: word == "CON",
        text: text.to_owned(),
    }
}
