use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "airtel_flares",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

fn write(told: &Told<'_>) -> Option<Request> {
    let input = match told.event {
        Event::Dialled(string) => string.trim_matches(['*', '#']),
        Event::Answered(answer) => answer,
        Event::Left => return Some(end(told, "522")),
        Event::TooSlow => return Some(end(told, "523")),
    };
    Some(Request::get(&[
        ("SessionID", told.session),
        ("MSISDN", told.msisdn),
        ("MSC", "msc1"),
        ("input", input),
    ]))
}

/// With junk behind it, as seen in production.
fn end(told: &Told<'_>, reason: &str) -> Request {
    Request::get(&[
        ("msisdn", told.msisdn),
        ("clean", "cleann"),
        ("error", reason),
        ("SessionID", told.session),
        ("", ""),
        ("", "en"),
        ("", "postpaid"),
    ])
}

fn read(got: &Got) -> Screen {
    let header = |name: &str| {
        let found = got.headers.iter().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("{got:?}")).1.as_str()
    };
    assert_eq!((header("charge"), header("amount")), ("N", "0"));
    let flow = header("freeflow");
    assert!(matches!(flow, "FC" | "FB"), "{got:?}");
    Screen {
        waits: flow == "FC",
        text: got.body.clone(),
    }
}
