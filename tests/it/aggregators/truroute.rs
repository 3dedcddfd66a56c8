use quick_xml::escape::escape;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "truroute",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let (kind, msg) = match told.event {
        Event::Dialled(string) => (1, string),
        Event::Answered(answer) => (2, answer),
        Event::Left => (3, ""),
        Event::TooSlow => (4, ""),
    };
    let (msisdn, session, msg) = (told.msisdn, told.session, escape(msg));
    Some(Request::xml(format!(
        "<ussd><msisdn>{msisdn}</msisdn><sessionid>{session}</sessionid><type>{kind}</type><msg>{msg}</msg></ussd>"
    )))
}

fn read(got: &Got) -> Screen {
    let kind = got.element("type");
    assert!(matches!(&kind[..], "2" | "3"), "{got:?}");
    Screen {
        waits: kind == "2",
        text: got.element("msg"),
    }
}
