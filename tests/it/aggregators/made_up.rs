//! An aggregator that does not exist, added by whoever embeds the crate: its file, and the line that adds it.
//!
//! ```text
//! POST  content-type: text/plain
//! s7 254711000001 dialled *384*7#      or: s7 254711000001 answered 1      or: s7 254711000001 left
//! ```
//!
//! The answer is `ask` or `tell`, a line break and the screen.

use reserveflow::phone::Msisdn;
use reserveflow::ussd::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

use super::{Event, Got, Phone, Request, Screen, Told, Wire};
use crate::support::app::TestApp;

/// The aggregator `made_up`.
struct MadeUp;

impl Aggregator for MadeUp {
    fn name(&self) -> &'static str {
        "made_up"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let body =
            std::str::from_utf8(inbound.body).map_err(|_| BadCall::InvalidBody("not UTF-8"))?;
        let mut words = body.splitn(4, ' ');
        let session = words.next().unwrap_or_default().to_owned();
        let msisdn = words.next().ok_or(BadCall::MissingField("msisdn"))?;
        let msisdn = Msisdn::parse(msisdn).map_err(|_| BadCall::InvalidField("msisdn"))?;
        let event = words.next().ok_or(BadCall::MissingField("event"))?;
        let text = words.next().unwrap_or_default();
        let (service_code, said) = match event {
            "dialled" => {
                let (code, ahead) = account.dialled(text).unwrap_or((text, ""));
                (code.to_owned(), Said::Dialled(ahead.to_owned()))
            }
            "answered" => {
                let (input, hop) = (text.to_owned(), None);
                (String::new(), Said::Answered { input, hop })
            }
            "left" => {
                return Ok(Callback::End(SessionEnd {
                    msisdn: Some(msisdn),
                    ..SessionEnd::of(session, Outcome::Abandoned)
                }));
            }
            _ => return Err(BadCall::InvalidField("event")),
        };
        Ok(Callback::Call(Call {
            msisdn,
            session,
            service_code,
            operator: None,
            said,
            echo: vec![],
        }))
    }

    fn encode(&self, _call: &Call, reply: &Reply) -> Rendered {
        Rendered::text(match reply {
            Reply::Continue(text) => format!("ask\n{text}"),
            Reply::End(text) => format!("tell\n{text}"),
        })
    }

    fn septets_max(&self) -> usize {
        160
    }
}

/// How its gateway would call.
const WIRE: Wire = Wire {
    name: "made_up",
    write: |told: &Told<'_>| {
        let (event, text) = match told.event {
            Event::Dialled(string) => ("dialled", string),
            Event::Answered(answer) => ("answered", answer),
            Event::Left => ("left", ""),
            Event::TooSlow => return None,
        };
        let body = format!("{} {} {event} {text}", told.session, told.msisdn);
        Some(Request {
            method: "POST",
            content_type: "text/plain",
            body,
            ..Request::get(&[])
        })
    },
    read: |got: &Got| {
        let (kind, text) = got.body.split_once('\n').unwrap();
        Screen {
            waits: kind == "ask",
            text: text.to_owned(),
        }
    },
    reuses_sessions: true,
    tells_calls_apart: false,
};

#[tokio::test]
async fn an_aggregator_of_somebody_elses_is_added_by_one_line() {
    reserveflow::ussd::add(&MadeUp);

    // It is configured, listed, called and answered like any other.
    let app = TestApp::start_with_aggregator("made_up: { tokens: [demo], countries: [KE] }");
    let mut phone = Phone::at(&app, &WIRE, 90, 1);
    phone.reach_confirm().await;
    let booked = phone.answer("1").await;
    assert!(
        !booked.waits && booked.text.starts_with("BOOKED"),
        "{booked:?}"
    );
    assert_eq!(phone.tell(Event::Left).await.unwrap().status, 200);
    assert_eq!(
        super::ended(&app, "made_up", &phone.session).await,
        ["abandoned"]
    );
    let junk = phone.send(&Request::get(&[("x", "y")])).await;
    assert_eq!(
        (junk.status, junk.body.as_str()),
        (400, "missing field msisdn")
    );
    let url = format!("{}/private/aggregators", app.private);
    let listed: serde_json::Value = app
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let one = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "made_up")
        .unwrap();
    assert_eq!(one["last_refusal"], "missing field msisdn");
    // Names are not taken twice.
    assert!(!reserveflow::ussd::add(&MadeUp));
    app.stop().await;
}
