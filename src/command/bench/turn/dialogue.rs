//! The dialogue that is measured, as it comes over the wire from Africa's Talking: a code dialled and five answers, to a page
//! of rooms. Every dialogue is a phone number's first.

use std::io::Write;

/// All answers so far, call by call.
pub(super) const CALLS: [&str; 6] = [
    "",
    "1",
    "1*Nakuru",
    "1*Nakuru*2",
    "1*Nakuru*2*2",
    "1*Nakuru*2*2*2",
];
/// Dialogues that can be told apart.
pub(super) const DIALOGUES_MAX: u64 = 10_000_000;
const DIGITS: usize = 7;

/// A request whose phone number and session id are filled in for each dialogue.
pub(super) struct Request {
    bytes: Vec<u8>,
    session_at: usize,
    msisdn_at: usize,
}

impl Request {
    /// The requests of a dialogue.
    pub(super) fn all(host: &str, path: &str) -> Vec<Request> {
        CALLS
            .iter()
            .map(|text| Request::new(host, path, text))
            .collect()
    }

    fn new(host: &str, path: &str, text: &str) -> Request {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("sessionId", "ATUid_5c1e2f9ab3d84e07x0000000")
            .append_pair("serviceCode", "*384*7#")
            .append_pair("phoneNumber", "+254710000000")
            .append_pair("networkCode", "99999")
            .append_pair("text", text)
            .finish();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let after =
            |mark: &str| head.len() + body.find(mark).map_or(0, |at| at + mark.len()) - DIGITS;
        Request {
            session_at: after("x0000000"),
            msisdn_at: after("%2B254710000000"),
            bytes: [head, body].concat().into_bytes(),
        }
    }

    /// Of this dialogue.
    pub(super) fn write(&self, dialogue: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for at in [self.session_at, self.msisdn_at] {
            let mut digits = &mut out[at..at + DIGITS];
            // A slice of the right length takes them all.
            write!(digits, "{:07}", dialogue % DIALOGUES_MAX).ok();
        }
    }
}

/// The body of a response with status 200, once all of it is there.
pub(super) enum Response<'a> {
    Whole(&'a [u8]),
    Part,
    Wrong,
}

/// Reads what an HTTP/1.1 server has sent so far.
pub(super) fn response(received: &[u8]) -> Response<'_> {
    let Some(head_end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Response::Part;
    };
    let Ok(head) = std::str::from_utf8(&received[..head_end]) else {
        return Response::Wrong;
    };
    let mut lines = head.split("\r\n");
    if !lines
        .next()
        .is_some_and(|line| line.starts_with("HTTP/1.1 200"))
    {
        return Response::Wrong;
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok());
    let Some(length) = length else {
        return Response::Wrong;
    };
    match received[head_end + 4..].get(..length) {
        Some(body) => Response::Whole(body),
        None => Response::Part,
    }
}
