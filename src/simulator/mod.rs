//! A phone for people without one: a page on the private address and a command in the terminal. Both speak the real wire format to the
//! public address, so whatever works here works with an aggregator.
//!
//! The server keeps nothing: the page holds its [`Dialogue`] and brings it along with every answer.

pub mod dial;
pub mod gateway;
pub mod phone;
mod subscribers;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::error::Error;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use actix_web::{HttpResponse, ResponseError, web};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::phone::{Dialogue, Exchange, NotDialable, Phone, SEPTETS_MAX, State};
use self::subscribers::SUBSCRIBERS;
use crate::phone::Msisdn;

/// The largest request body.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// The longest answer, in characters: what a USSD string holds.
const ANSWER_CHARS_MAX: usize = SEPTETS_MAX;
/// The most answers of one dialogue.
const ANSWERS_MAX: usize = 100;
/// The longest SMS, in characters: three parts.
const SMS_CHARS_MAX: usize = 459;

const PAGE: &str = include_str!("page.html");
/// The page brings its own style and script and talks to this server only.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page needs; the service registers it as [`web::Data`].
pub struct Simulator {
    /// Where the service answers aggregators: `http://127.0.0.1:8080`, no slash at its end.
    pub public: String,
    /// The aggregators to choose from.
    pub lines: Vec<Line>,
    /// Registered codes, the one to dial first: `*384*7#`.
    pub service_codes: Vec<String>,
    /// Where SMS go.
    pub short_code: String,
    /// Dialogues that the page plays at a click.
    pub quick_starts: Vec<QuickStart>,
    /// From [`phone::client`].
    pub client: Client,
    /// The SMS that a subscriber has got.
    pub inbox: Inbox,
}

/// An aggregator and the secret in its paths.
pub struct Line {
    /// A name that [`gateway::find`] knows.
    pub aggregator: String,
    /// The secret.
    pub token: String,
}

/// A dialogue to play at a click.
#[derive(Debug, Clone, Serialize)]
pub struct QuickStart {
    /// What it shows.
    pub label: String,
    /// What is dialled.
    pub dialled: String,
    /// The answers given, one a screen.
    pub answers: Vec<String>,
}

/// Reads the SMS of one subscriber, in any order.
pub type Inbox = Box<
    dyn Fn(Msisdn) -> BoxFuture<'static, Result<Vec<InboxSms>, Box<dyn Error + Send + Sync>>>
        + Send
        + Sync,
>;

/// An SMS as the subscriber has it.
#[derive(Debug, Clone, Serialize)]
pub struct InboxSms {
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// All parts of it joined.
    pub text: String,
    /// The word of the outbox: `sent`, `delivered` …
    pub status: String,
    /// What it is about, in the outbox's word.
    pub kind: String,
}

/// Registers the page and its requests.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(BODY_BYTES_MAX)
        .error_handler(|error, _| Refused::Invalid(error.to_string()).into());
    let query = web::QueryConfig::default()
        .error_handler(|error, _| Refused::Invalid(error.to_string()).into());
    cfg.route("/", web::get().to(home)).service(
        web::scope("/simulator")
            .app_data(json)
            .app_data(query)
            .route("", web::get().to(page))
            .route("/settings", web::get().to(settings))
            .route("/dial", web::post().to(dial))
            .route("/answer", web::post().to(answer))
            .route("/hangup", web::post().to(hang_up))
            .route("/sms", web::post().to(send_sms))
            .route("/sms", web::get().to(list_sms)),
    );
}

async fn home() -> HttpResponse {
    HttpResponse::Found()
        .insert_header(("location", "/simulator"))
        .finish()
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("referrer-policy", "no-referrer"))
        .body(PAGE)
}

async fn settings(simulator: web::Data<Simulator>) -> HttpResponse {
    let aggregators: Vec<&str> = simulator
        .lines
        .iter()
        .map(|line| line.aggregator.as_str())
        .collect();
    HttpResponse::Ok().json(json!({
        "aggregators": aggregators,
        "service_codes": simulator.service_codes,
        "short_code": simulator.short_code,
        "subscribers": SUBSCRIBERS,
        "quick_starts": simulator.quick_starts,
        "septets_max": SEPTETS_MAX,
        "sms_chars_max": SMS_CHARS_MAX,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dial {
    aggregator: String,
    msisdn: Msisdn,
    dialled: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    aggregator: String,
    msisdn: Msisdn,
    dialogue: Dialogue,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HangUp {
    aggregator: String,
    msisdn: Msisdn,
    dialogue: Dialogue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendSms {
    aggregator: String,
    msisdn: Msisdn,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListSms {
    msisdn: Msisdn,
}

/// What the page gets back: the dialogue to bring along next time, and what went over the wire.
#[derive(Serialize)]
struct Hop {
    dialogue: Dialogue,
    exchange: Exchange,
}

async fn dial(
    simulator: web::Data<Simulator>,
    asked: web::Json<Dial>,
) -> Result<web::Json<Hop>, Refused> {
    let asked = asked.into_inner();
    let phone = simulator.phone(&asked.aggregator, asked.msisdn)?;
    let (dialogue, exchange) = phone.dial(&asked.dialled, &simulator.service_codes).await?;
    Ok(web::Json(Hop { dialogue, exchange }))
}

async fn answer(
    simulator: web::Data<Simulator>,
    asked: web::Json<Answer>,
) -> Result<web::Json<Hop>, Refused> {
    let Answer {
        aggregator,
        msisdn,
        mut dialogue,
        text,
    } = asked.into_inner();
    let phone = simulator.phone(&aggregator, msisdn)?;
    if dialogue.state != State::Waiting {
        return Err(Refused::Invalid("the dialogue is over".to_owned()));
    }
    if dialogue.answers.len() >= ANSWERS_MAX {
        return Err(Refused::Invalid(format!("more than {ANSWERS_MAX} answers")));
    }
    within(&text, ANSWER_CHARS_MAX)?;
    let exchange = phone.answer(&mut dialogue, &text).await;
    Ok(web::Json(Hop { dialogue, exchange }))
}

async fn hang_up(
    simulator: web::Data<Simulator>,
    asked: web::Json<HangUp>,
) -> Result<web::Json<Exchange>, Refused> {
    let asked = asked.into_inner();
    let phone = simulator.phone(&asked.aggregator, asked.msisdn)?;
    Ok(web::Json(phone.hang_up(&asked.dialogue).await))
}

async fn send_sms(
    simulator: web::Data<Simulator>,
    asked: web::Json<SendSms>,
) -> Result<web::Json<Exchange>, Refused> {
    let asked = asked.into_inner();
    let phone = simulator.phone(&asked.aggregator, asked.msisdn)?;
    within(&asked.text, SMS_CHARS_MAX)?;
    Ok(web::Json(
        phone.send_sms(&simulator.short_code, &asked.text).await,
    ))
}

async fn list_sms(
    simulator: web::Data<Simulator>,
    asked: web::Query<ListSms>,
) -> Result<web::Json<Vec<InboxSms>>, Refused> {
    let inbox = (simulator.inbox)(asked.into_inner().msisdn).await;
    let mut inbox = inbox.map_err(|error| {
        tracing::warn!(error = %error, "the simulator cannot read the outbox");
        Refused::NoInbox
    })?;
    inbox.sort_by_key(|sms| std::cmp::Reverse(sms.at));
    Ok(web::Json(inbox))
}

impl Simulator {
    fn phone(&self, aggregator: &str, msisdn: Msisdn) -> Result<Phone, Refused> {
        let line = self.lines.iter().find(|line| line.aggregator == aggregator);
        let Some((line, gateway)) = line.zip(gateway::find(aggregator)) else {
            return Err(Refused::Invalid("unknown aggregator".to_owned()));
        };
        Ok(Phone {
            client: self.client.clone(),
            public: self.public.clone(),
            token: line.token.clone(),
            gateway,
            msisdn,
        })
    }
}

fn within(text: &str, chars_max: usize) -> Result<(), Refused> {
    if text.chars().count() > chars_max {
        return Err(Refused::Invalid(format!(
            "longer than {chars_max} characters"
        )));
    }
    Ok(())
}

/// A request that the simulator itself turns down; what the service does is never an error here.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    NotDialable(#[from] NotDialable),
    #[error("the inbox cannot be read now")]
    NoInbox,
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Refused::Invalid(_) | Refused::NotDialable(_) => StatusCode::BAD_REQUEST,
            Refused::NoInbox => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(json!({ "error": self.to_string() }))
    }
}
