//! A service for tests of the phone: it reads calls with the real decoder and says what it heard.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Mutex;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::gateway;
use super::phone::{Phone, SEPTETS_MAX, client};
use crate::country::COUNTRIES;
use crate::phone::Msisdn;
use crate::ussd::africastalking::AfricasTalking;
use crate::ussd::transcript::{Hop, hop};
use crate::ussd::{Account, Aggregator, Callback, Inbound, Reply, Said};

/// The service, on a port of its own until the test is over.
pub(crate) struct Fake {
    address: SocketAddr,
}

impl Fake {
    pub(crate) fn start() -> Fake {
        let sessions = web::Data::new(Sessions::default());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(sessions.clone())
                .route("/ussd/africastalking/demo", web::post().to(ussd))
                .route("/ussd/africastalking/demo/events", web::post().to(events))
                .route("/sms/africastalking/demo/inbound", web::post().to(sms))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        Fake { address }
    }

    pub(crate) fn public(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn phone(&self) -> Phone {
        Phone {
            client: client().unwrap(),
            public: self.public(),
            token: "demo".to_owned(),
            gateway: gateway::find("africastalking").unwrap(),
            msisdn: Msisdn::parse("+254711000001").unwrap(),
        }
    }
}

#[derive(Default)]
struct Sessions(Mutex<HashMap<String, String>>);

async fn ussd(
    request: HttpRequest,
    body: web::Bytes,
    sessions: web::Data<Sessions>,
) -> HttpResponse {
    let Callback::Call(call) = decode(&request, "", &body) else {
        panic!("no call")
    };
    let Said::Transcript(transcript) = call.said.clone() else {
        panic!("no transcript")
    };
    let previous = sessions
        .0
        .lock()
        .unwrap()
        .insert(call.session.clone(), transcript.clone());
    let heard = match hop(previous.as_deref(), &transcript) {
        Hop::First { input } => format!("first:{input}"),
        Hop::Reply { input } => format!("reply:{input}"),
        Hop::Repeat => "repeat".to_owned(),
        other => panic!("{other:?}"),
    };
    let reply = match heard.as_str() {
        "reply:status" => return HttpResponse::ServiceUnavailable().body("CON no"),
        "reply:prefix" => return HttpResponse::Ok().body("con no"),
        "reply:empty" => return HttpResponse::Ok().body(""),
        "reply:huge" => return HttpResponse::Ok().body("CON ".repeat(5000)),
        "reply:long" => Reply::Continue("x".repeat(SEPTETS_MAX + 1)),
        "reply:full" => Reply::Continue("x".repeat(SEPTETS_MAX)),
        "reply:amharic" => Reply::Continue("ሰ".repeat(81)),
        "reply:bye" => Reply::End("Bye".to_owned()),
        _ => Reply::Continue(heard),
    };
    let rendered = AfricasTalking.encode(&call, &reply);
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, rendered.content_type))
        .body(rendered.body)
}

async fn events(request: HttpRequest, body: web::Bytes) -> String {
    let Callback::End(end) = decode(&request, "/events", &body) else {
        panic!("no end")
    };
    format!("{} after {}", end.outcome.word(), end.hops.unwrap())
}

async fn sms(form: web::Form<HashMap<String, String>>) -> String {
    format!("{}>{}:{}", form["from"], form["to"], form["text"])
}

fn decode(request: &HttpRequest, path: &str, body: &[u8]) -> Callback {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::to_str);
    let headers = [("content-type", content_type.unwrap().unwrap())];
    let inbound = Inbound {
        method: "POST",
        path,
        query: "",
        headers: &headers,
        body,
    };
    let account = Account {
        service_codes: vec![],
        country: &COUNTRIES[0],
        url: String::new(),
        options: BTreeMap::new(),
    };
    AfricasTalking.decode(&inbound, &account).unwrap()
}
