//! The booking flow through every format, over HTTP, as its aggregator would drive it: one file each says how that writes its
//! calls and reads our answers.

mod aat;
mod africastalking;
mod airtel_flares;
mod arkesel;
mod beem;
mod cross_switch;
mod dmark;
mod emergent;
mod hollatags;
mod hubtel;
mod infobip;
mod made_up;
mod mnotify;
mod moolre;
mod mtn_madapi;
mod nalo;
mod safaricom_direct;
mod sixd_dynmenu;
mod truroute;
mod wigal_v1;
mod wigal_v2;

use std::collections::BTreeSet;

use reserveflow::ussd::AGGREGATORS;
use serde_json::Value;

use crate::support::app::TestApp;

/// Every format.
const WIRES: &[&Wire] = &[
    &aat::WIRE,
    &africastalking::WIRE,
    &airtel_flares::WIRE,
    &arkesel::WIRE,
    &beem::WIRE,
    &cross_switch::WIRE,
    &dmark::WIRE,
    &emergent::WIRE,
    &hollatags::WIRE,
    &hubtel::WIRE,
    &infobip::WIRE,
    &mnotify::WIRE,
    &moolre::WIRE,
    &mtn_madapi::WIRE,
    &nalo::WIRE,
    &safaricom_direct::WIRE,
    &sixd_dynmenu::WIRE,
    &truroute::WIRE,
    &wigal_v1::WIRE,
    &wigal_v2::WIRE,
];

const CODE: &str = "*384*7#";
/// What a screen with these words is answered with, to book the first room for one night.
const ANSWERS: [(&str, &str); 8] = [
    // What was just booked may still be offered to go on with.
    ("2 New", "2"),
    ("1 Book a room", "1"),
    ("7 Other place", "7"),
    ("Where do you sleep?", "Nakuru"),
    ("How many nights?", "1"),
    ("How many people?", "2"),
    ("Your name?", "Asha"),
    (" KES ", "1"),
];
/// More screens than there are up to the one that asks whether to book.
const SCREENS_MAX: usize = 12;

/// How one aggregator speaks.
pub struct Wire {
    /// As in configuration and URLs.
    pub name: &'static str,
    /// Its request for an event; `None` where it has no such.
    pub write: fn(&Told<'_>) -> Option<Request>,
    /// What its phone shows of an answer.
    pub read: fn(&Got) -> Screen,
    /// Whether it would use this session id again for the same phone, or has none but the phone.
    pub reuses_sessions: bool,
    /// Whether its calls show which of a session they are, however late they come again.
    pub tells_calls_apart: bool,
}

/// What happens on a phone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// This whole string is dialled.
    Dialled(&'a str),
    /// A screen is answered.
    Answered(&'a str),
    /// The subscriber hangs up.
    Left,
    /// Nothing happens for too long.
    TooSlow,
}

/// What its aggregator knows when it tells of an event.
pub struct Told<'a> {
    /// Of this run; a format may shape it.
    pub session: &'a str,
    /// `254711…`.
    pub msisdn: &'a str,
    pub event: Event<'a>,
    /// All answers of the session, this one included.
    pub answers: &'a [String],
    /// The answer to the call before.
    pub before: Option<&'a Got>,
}

/// A request below the aggregator's URL.
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub content_type: &'static str,
    pub body: String,
}

impl Request {
    pub fn get(parameters: &[(&str, &str)]) -> Request {
        Request {
            method: "GET",
            path: String::new(),
            query: encode(parameters),
            content_type: "",
            body: String::new(),
        }
    }

    pub fn form(fields: &[(&str, &str)]) -> Request {
        Request {
            method: "POST",
            content_type: "application/x-www-form-urlencoded",
            body: encode(fields),
            ..Request::get(&[])
        }
    }

    pub fn xml(body: String) -> Request {
        Request {
            method: "POST",
            content_type: "text/xml",
            body,
            ..Request::get(&[])
        }
    }

    pub fn json(body: &Value) -> Request {
        Request {
            method: "POST",
            content_type: "application/json",
            body: body.to_string(),
            ..Request::get(&[])
        }
    }
}

fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// Our answer.
#[derive(Debug, Clone)]
pub struct Got {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(key, _)| key == name);
        header.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// The text of the first XML element of this name.
    pub fn element(&self, name: &str) -> String {
        let text = || {
            let (_, behind) = self.body.split_once(&format!("<{name}>"))?;
            Some(behind.split_once(&format!("</{name}>"))?.0)
        };
        let text = text().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        quick_xml::escape::unescape(text).unwrap().into_owned()
    }
}

/// What the phone shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Whether it waits for an answer.
    pub waits: bool,
    pub text: String,
}

impl Screen {
    pub fn of(waits: bool, text: &Value) -> Screen {
        Screen {
            waits,
            text: text.as_str().unwrap().to_owned(),
        }
    }
}

/// A phone and its session at one aggregator.
struct Phone<'a> {
    app: &'a TestApp,
    wire: &'a Wire,
    /// Where the wire stands in the list.
    at: usize,
    msisdn: String,
    session: String,
    answers: Vec<String>,
    before: Option<Got>,
}

impl<'a> Phone<'a> {
    /// The phone with this number, or one of its own for each aggregator.
    fn new(app: &'a TestApp, wire: &'a Wire, number: u32) -> Phone<'a> {
        let at = WIRES
            .iter()
            .position(|other| other.name == wire.name)
            .unwrap();
        Phone::at(app, wire, at, number)
    }

    /// The same for a wire that stands nowhere.
    fn at(app: &'a TestApp, wire: &'a Wire, at: usize, number: u32) -> Phone<'a> {
        Phone {
            app,
            wire,
            at,
            msisdn: format!("2547110{at:02}{number:03}"),
            session: format!("s{at}{number}"),
            answers: vec![],
            before: None,
        }
    }

    async fn dial(&mut self, string: &str) -> Screen {
        self.answers.clear();
        self.call(Event::Dialled(string)).await
    }

    async fn answer(&mut self, answer: &str) -> Screen {
        self.answers.push(answer.to_owned());
        self.call(Event::Answered(answer)).await
    }

    /// From dialling to the screen that asks whether to book. Most formats do not tell two answers `1` from one that comes again
    /// unless a while has passed, so another stands between them.
    async fn reach_confirm(&mut self) -> Screen {
        let mut screen = self.dial(CODE).await;
        for _ in 0..SCREENS_MAX {
            assert!(screen.waits, "{}: {screen:?}", self.wire.name);
            let asks = screen.text.contains("1 Yes, book");
            if asks && self.answers.last().unwrap() != "1" {
                return screen;
            }
            let known = ANSWERS
                .iter()
                .find(|(words, _)| screen.text.contains(words));
            let answer = match known {
                _ if asks => "7",
                // So many guests do not find a room on one night.
                _ if screen.text.contains("which night?") => ["2", "3"][self.at % 2],
                Some((_, answer)) => answer,
                // A short screen asks on its second page.
                None if screen.text.contains("98 More") => "98",
                None => panic!("{}: {screen:?}", self.wire.name),
            };
            screen = self.answer(answer).await;
        }
        panic!("{}: {screen:?}", self.wire.name);
    }

    async fn call(&mut self, event: Event<'_>) -> Screen {
        let got = self.tell(event).await.unwrap();
        assert_eq!(got.status, 200, "{}: {got:?}", self.wire.name);
        assert!(got.header("content-type").is_some(), "{got:?}");
        let screen = (self.wire.read)(&got);
        self.before = Some(got);
        screen
    }

    /// Our answer to an event; `None` where the aggregator tells no such.
    async fn tell(&self, event: Event<'_>) -> Option<Got> {
        let told = Told {
            session: &self.session,
            msisdn: &self.msisdn,
            event,
            answers: &self.answers,
            before: self.before.as_ref(),
        };
        let request = (self.wire.write)(&told)?;
        Some(self.send(&request).await)
    }

    async fn send(&self, request: &Request) -> Got {
        let url = format!(
            "{}/ussd/{}/demo{}?{}",
            self.app.public, self.wire.name, request.path, request.query
        );
        let response = self
            .app
            .http
            .request(request.method.parse().unwrap(), url)
            .header("content-type", request.content_type)
            .body(request.body.clone())
            .send()
            .await
            .unwrap();
        Got {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: response.text().await.unwrap(),
        }
    }
}

#[test]
fn every_aggregator_has_its_wire() {
    let wires: BTreeSet<_> = WIRES.iter().map(|wire| wire.name).collect();
    let spoken: BTreeSet<_> = AGGREGATORS
        .iter()
        .map(|aggregator| aggregator.name())
        .collect();
    assert_eq!(wires, spoken);
}

#[tokio::test]
async fn every_format_books_a_room() {
    let app = TestApp::start("");
    for wire in WIRES {
        let mut phone = Phone::new(&app, wire, 1);
        let confirm = phone.reach_confirm().await;
        assert!(
            confirm.waits && confirm.text.contains("\n1 Yes, book"),
            "{}: {confirm:?}",
            wire.name
        );
        let booked = phone.answer("1").await;
        assert!(
            !booked.waits && booked.text.starts_with("BOOKED"),
            "{}: {booked:?}",
            wire.name
        );
    }
    let booked = app.count("select count(*) from reservation").await;
    assert_eq!(booked, i64::try_from(WIRES.len()).unwrap());
}

#[tokio::test]
async fn what_is_dialled_behind_the_code_is_answered_ahead() {
    let app = TestApp::start("");
    for wire in WIRES {
        let mut phone = Phone::new(&app, wire, 2);
        if let Some(ahead) = deep(wire) {
            let screen = phone.dial(ahead).await;
            assert!(
                screen.waits && screen.text.starts_with("Nakuru: which night?"),
                "{}: {screen:?}",
                wire.name
            );
        }
    }
}

/// Where the string dialled is told.
fn deep(wire: &Wire) -> Option<&'static str> {
    (wire.name != "beem").then_some("*384*7*1*Nakuru#")
}

#[tokio::test]
async fn who_hangs_up_is_known_to_have_left_and_who_was_slow_to_have_been_slow() {
    let app = TestApp::start("");
    for wire in WIRES {
        for (number, event, outcomes) in [
            (3, Event::Left, ["abandoned", "completed"].as_slice()),
            (4, Event::TooSlow, &["timeout", "abandoned"]),
        ] {
            let mut phone = Phone::new(&app, wire, number);
            phone.dial(CODE).await;
            let Some(got) = phone.tell(event).await else {
                continue;
            };
            assert_eq!(got.status, 200, "{}: {got:?}", wire.name);
            // The news may come twice.
            let again = phone.tell(event).await.unwrap();
            assert_eq!(again.status, 200, "{}: {again:?}", wire.name);
            let told = ended(&app, wire.name, &phone.session).await;
            assert_eq!(told.len(), 1, "{}", wire.name);
            assert!(
                outcomes.contains(&told[0].as_str()),
                "{}: {told:?}",
                wire.name
            );
        }
    }
}

async fn ended(app: &TestApp, aggregator: &str, session: &str) -> Vec<String> {
    let client = app.pool.get().await.unwrap();
    let rows = client
        .query(
            "select outcome from session_end where aggregator = $1 and session = $2",
            &[&aggregator, &session],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_session_id_that_comes_again_is_another_session() {
    let app = TestApp::start("");
    for wire in WIRES.iter().filter(|wire| wire.reuses_sessions) {
        let mut codes = BTreeSet::new();
        for _ in 0..2 {
            let mut phone = Phone::new(&app, wire, 5);
            phone.reach_confirm().await;
            let booked = phone.answer("1").await;
            assert!(
                booked.text.starts_with("BOOKED"),
                "{}: {booked:?}",
                wire.name
            );
            codes.insert(booked.text);
        }
        assert_eq!(codes.len(), 2, "{}: {codes:?}", wire.name);
    }
}

#[tokio::test]
async fn a_repeated_confirmation_books_once() {
    let app = TestApp::start("");
    for wire in WIRES {
        let mut phone = Phone::new(&app, wire, 6);
        phone.reach_confirm().await;
        phone.answers.push("1".to_owned());
        let told = Told {
            session: &phone.session,
            msisdn: &phone.msisdn,
            event: Event::Answered("1"),
            answers: &phone.answers,
            before: phone.before.as_ref(),
        };
        let request = (wire.write)(&told).unwrap();
        let (first, second) =
            futures_util::future::join(phone.send(&request), phone.send(&request)).await;
        let screens = [(wire.read)(&first), (wire.read)(&second)];
        let booked = |screen: &Screen| screen.text.starts_with("BOOKED");
        assert!(screens.iter().any(booked), "{}: {screens:?}", wire.name);
        if wire.tells_calls_apart {
            let late = (wire.read)(&phone.send(&request).await);
            assert!(
                screens.iter().all(|screen| *screen == late),
                "{}: {screens:?} {late:?}",
                wire.name
            );
        }
    }
    let booked = app.count("select count(*) from reservation").await;
    assert_eq!(booked, i64::try_from(WIRES.len()).unwrap());
}

#[tokio::test]
async fn an_answer_in_an_unknown_session_is_told_so_and_nothing_is_a_server_error() {
    let app = TestApp::start("");
    for wire in WIRES {
        let mut phone = Phone::new(&app, wire, 7);
        phone.answers.push("1".to_owned());
        let got = phone.tell(Event::Answered("1")).await.unwrap();
        assert_eq!(got.status, 200, "{}: {got:?}", wire.name);
        for (method, body) in [("POST", "{"), ("POST", ""), ("GET", ""), ("PUT", "\0")] {
            let junk = Request {
                method,
                body: body.to_owned(),
                content_type: "application/json",
                ..Request::get(&[("x", "y")])
            };
            let got = phone.send(&junk).await;
            assert!(
                got.status == 200 || (400..500).contains(&got.status),
                "{}: {got:?}",
                wire.name
            );
        }
    }
}
