use quick_xml::escape::escape;

use super::{Event, Got, Request, Screen, Told, Wire};

pub const WIRE: Wire = Wire {
    name: "sixd_dynmenu",
    write,
    read,
    reuses_sessions: true,
    tells_calls_apart: true,
};

/// The number comes without its country code.
fn write(told: &Told<'_>) -> Option<Request> {
    let (is_new, typed) = match told.event {
        Event::Dialled(string) => (1, string),
        Event::Answered(answer) => (0, answer),
        Event::Left | Event::TooSlow => return None,
    };
    let (id, session) = (told.answers.len() + 1, told.session);
    let (msisdn, typed) = (told.msisdn.strip_prefix("254").unwrap(), escape(typed));
    Some(Request::xml(format!(
        "<USSDDynMenuRequest><requestId>{id}</requestId><sessionId>{session}</sessionId><msisdn>{msisdn}</msisdn>\
         <starCode>384</starCode><keyWord>{typed}</keyWord><dataSet><param><id>IS_NEW_REQ</id><value>{is_new}</value></param>\
         </dataSet><userData>{typed}</userData><timeStamp>2024/05/01 09:30:12</timeStamp></USSDDynMenuRequest>"
    )))
}

fn read(got: &Got) -> Screen {
    let flag = got.element("rspFlag");
    assert!(matches!(&flag[..], "1" | "2"), "{got:?}");
    assert_eq!(got.element("ErrCode"), "1");
    Screen {
        waits: flag == "1",
        text: got.element("value"),
    }
}
