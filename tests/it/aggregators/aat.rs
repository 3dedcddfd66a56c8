use super::{CODE, Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "aat",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: false,
};

/// Without a session id; the URL of the next call is the one that our answer names.
fn write(told: &Told<'_>) -> Option<Request> {
    let mut parameters = vec![("msisdn", told.msisdn), ("provider", "MTN")];
    match told.event {
        Event::Dialled(string) => parameters.push(("request", string)),
        Event::Answered(answer) => parameters.push(("request", answer)),
        Event::Left | Event::TooSlow => return None,
    }
    if let (Event::Answered(_), None) = (told.event, told.before) {
        parameters.push(("to_addr", CODE));
    }
    let mut request = Request::get(&parameters);
    if let (Event::Answered(_), Some(before)) = (told.event, told.before) {
        request.query = format!("{}&{}", next(before), request.query);
    }
    Some(request)
}

/// The query of the URL to call next; the service has no `public_url` here.
fn next(before: &Got) -> &str {
    let (_, url) = before
        .body
        .split_once(r#"callback="/ussd/aat/demo?"#)
        .unwrap();
    url.split_once('"').unwrap().0
}

fn read(got: &Got) -> Screen {
    Screen {
        waits: got.body.contains(r#"display="false""#),
        text: got.element("headertext"),
    }
}
