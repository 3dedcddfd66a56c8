//! A phone that reaches the service as a real one does: over HTTP, through an aggregator's wire format, at the public address.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Request, Response, redirect};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gateway::{Gateway, Post};
use crate::phone::Msisdn;
use crate::sms::gsm7::septets;
use crate::ussd::service_code;

/// How long the aggregator waits for an answer. Source: Africa's Talking's developer documentation.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Septets of a USSD string: 160 octets. Source: 3GPP TS 23.038 §6.1.2.3.
pub const SEPTETS_MAX: usize = 182;
/// UTF-16 code units of a USSD string with a character outside GSM-7.
const UNITS_MAX: usize = 80;
/// The longest answer read from the service.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One subscriber's phone on one aggregator's network.
pub struct Phone {
    /// For all requests; [`client`] makes one.
    pub client: Client,
    /// `http://127.0.0.1:8080`, no slash at its end.
    pub public: String,
    /// The secret in the aggregator's paths.
    pub token: String,
    /// The aggregator between this phone and the service.
    pub gateway: &'static dyn Gateway,
    /// The subscriber.
    pub msisdn: Msisdn,
}

/// A USSD dialogue under way, as the aggregator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialogue {
    /// The aggregator's id of the session, without its prefix.
    pub session: Uuid,
    /// The registered code that was dialled.
    pub service_code: String,
    /// What was dialled ahead, if anything, and each answer since.
    pub answers: Vec<String>,
    /// Callbacks made so far.
    pub hops: u32,
    /// When it was dialled.
    pub began_at: DateTime<Utc>,
    /// Body of the last answer.
    pub last_answer: String,
    /// Whose turn it is.
    pub state: State,
}

/// Where a dialogue is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The subscriber is asked.
    Waiting,
    /// The service said its last word.
    Ended,
    /// The service did not answer, or nothing that can be shown: why.
    Failed(String),
}

/// What the service said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Screen {
    /// A screen that waits for an answer.
    Con {
        /// What is shown.
        text: String,
    },
    /// The last screen.
    End {
        /// What is shown.
        text: String,
    },
}

impl Screen {
    /// What is shown.
    pub fn text(&self) -> &str {
        match self {
            Screen::Con { text } | Screen::End { text } => text,
        }
    }
}

/// One request and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// As sent: request line, headers, blank line, body. The token is masked.
    pub request: String,
    /// As received, in the same form; empty when nothing came.
    pub response: String,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Body of the answer.
    pub response_body: String,
    /// What the phone shows of it, for a USSD call that went well.
    pub reply: Option<Screen>,
    /// Septets of the screen; `None` too when it needs UCS-2.
    pub septets: Option<usize>,
    /// What went wrong, as a sentence.
    pub fault: Option<String>,
    /// From the first byte sent to the last received, in milliseconds.
    pub elapsed_ms: u64,
}

/// The dialled string is not of digits, `*` and `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a USSD code: it begins with * and ends with #")]
pub struct NotDialable;

impl Phone {
    /// Dials `*384*7#` or, further into the menu of the registered code `*384*7#`, `*384*7*1*Nakuru#`.
    ///
    /// # Errors
    /// [`NotDialable`] when it begins with none of `codes` and is not a code by itself.
    pub async fn dial(
        &self,
        dialled: &str,
        codes: &[String],
    ) -> Result<(Dialogue, Exchange), NotDialable> {
        let (service_code, ahead) = registered(dialled, codes).ok_or(NotDialable)?;
        let mut dialogue = Dialogue {
            session: Uuid::new_v4(),
            service_code,
            answers: ahead.into_iter().collect(),
            hops: 0,
            began_at: Utc::now(),
            last_answer: String::new(),
            state: State::Waiting,
        };
        let exchange = self.call(&mut dialogue).await;
        Ok((dialogue, exchange))
    }

    /// Sends the subscriber's answer. An empty one before any other leaves no trace in cumulative text, so it repeats the first call.
    pub async fn answer(&self, dialogue: &mut Dialogue, text: &str) -> Exchange {
        if !(text.is_empty() && dialogue.answers.is_empty()) {
            dialogue.answers.push(text.to_owned());
        }
        self.call(dialogue).await
    }

    /// Tells the service that the dialogue is over: left by the subscriber, ended by the service, or failed.
    pub async fn hang_up(&self, dialogue: &Dialogue) -> Exchange {
        let post = self.gateway.end(&self.msisdn, dialogue, Utc::now());
        let exchange = self.post(&post).await;
        exchange.accepted()
    }

    /// Sends an SMS to the service.
    pub async fn send_sms(&self, short_code: &str, text: &str) -> Exchange {
        let post = self.gateway.sms(&self.msisdn, short_code, text, Utc::now());
        let exchange = self.post(&post).await;
        exchange.accepted()
    }

    async fn call(&self, dialogue: &mut Dialogue) -> Exchange {
        let mut exchange = self.post(&self.gateway.call(&self.msisdn, dialogue)).await;
        dialogue.hops += 1;
        dialogue.last_answer.clone_from(&exchange.response_body);
        if let Some(status) = exchange.status {
            match self
                .gateway
                .read(status, &exchange.response_body)
                .and_then(showable)
            {
                Ok(screen) => exchange.show(screen),
                Err(fault) => exchange.fault = exchange.fault.or(Some(fault)),
            }
        }
        dialogue.state = match (&exchange.fault, &exchange.reply) {
            (None, Some(Screen::Con { .. })) => State::Waiting,
            (None, Some(Screen::End { .. })) => State::Ended,
            (fault, _) => State::Failed(fault.clone().unwrap_or_default()),
        };
        exchange
    }

    async fn post(&self, post: &Post) -> Exchange {
        let url = format!(
            "{}{}",
            self.public,
            post.path.replace("{token}", &self.token)
        );
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, post.content_type)
            .header(USER_AGENT, "reserveflow-simulator")
            .body(post.body.clone())
            .build();
        let mut exchange = Exchange::unanswered();
        let request = match request {
            Ok(request) => request,
            Err(_) => return exchange.failed("the public address is not a URL"),
        };
        exchange.request = request_text(&request, post);
        let sent = Instant::now();
        let outcome = match self.client.execute(request).await {
            Ok(response) => exchange.receive(response).await,
            Err(error) => Err(error),
        };
        exchange.elapsed_ms = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => exchange,
            Err(error) if error.is_timeout() => exchange.failed("no answer within 10 seconds"),
            Err(error) if error.is_connect() => {
                exchange.failed("nobody listens at the public address")
            }
            Err(_) => exchange.failed("the connection broke"),
        }
    }
}

impl Exchange {
    fn unanswered() -> Exchange {
        Exchange {
            request: String::new(),
            response: String::new(),
            status: None,
            response_body: String::new(),
            reply: None,
            septets: None,
            fault: None,
            elapsed_ms: 0,
        }
    }

    async fn receive(&mut self, mut response: Response) -> Result<(), reqwest::Error> {
        self.status = Some(response.status().as_u16());
        let mut text = format!("{:?} {}\n", response.version(), response.status());
        for (name, value) in response.headers() {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                body.truncate(ANSWER_BYTES_MAX);
                self.fault = Some("the answer is longer than 16 KiB".to_owned());
                break;
            }
        }
        self.response_body = String::from_utf8_lossy(&body).into_owned();
        self.response = format!("{text}\n{}", self.response_body);
        Ok(())
    }

    fn show(&mut self, screen: Screen) {
        self.septets = septets(screen.text());
        self.reply = Some(screen);
    }

    fn failed(mut self, fault: &str) -> Exchange {
        self.fault = Some(fault.to_owned());
        self
    }

    /// Of a notification only the status counts.
    fn accepted(self) -> Exchange {
        match self.status {
            Some(200..=299) | None => self,
            Some(status) => {
                let fault = format!("answered HTTP {status} instead of 200");
                self.failed(&fault)
            }
        }
    }
}

/// A client as an aggregator has it: patient for [`ANSWER_WITHIN`], follows no redirect, asks no proxy.
///
/// # Errors
/// [`reqwest::Error`] when TLS cannot be set up.
pub fn client() -> Result<Client, reqwest::Error> {
    // The client needs a provider even for plain HTTP; one that is already installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(ANSWER_WITHIN)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
}

/// The registered code that was dialled and what was dialled ahead; the longest code wins.
fn registered(dialled: &str, codes: &[String]) -> Option<(String, Option<String>)> {
    let known = codes
        .iter()
        .filter_map(|code| Some((code, service_code::dialled_ahead(dialled, code)?)))
        .max_by_key(|(code, _)| code.len());
    match known {
        Some((code, "")) => Some((code.clone(), None)),
        Some((code, ahead)) => Some((code.clone(), Some(ahead.to_owned()))),
        None => {
            let complete = dialled.trim().starts_with(['*', '#']) && dialled.trim().ends_with('#');
            let code = service_code::normalize(dialled).filter(|_| complete)?;
            Some((code, None))
        }
    }
}

/// The network carries 160 octets, no more.
fn showable(screen: Screen) -> Result<Screen, String> {
    let text = screen.text();
    match septets(text) {
        Some(count) if count > SEPTETS_MAX => {
            Err(format!("{count} septets, a phone shows {SEPTETS_MAX}"))
        }
        None if text.encode_utf16().count() > UNITS_MAX => Err(format!(
            "characters outside GSM-7 and more than {UNITS_MAX} of them in all"
        )),
        _ => Ok(screen),
    }
}

fn request_text(request: &Request, post: &Post) -> String {
    let url = request.url();
    let mut text = format!("POST {} HTTP/1.1\n", post.path.replace("{token}", "****"));
    if let Some(host) = url.host_str() {
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        text += &format!("host: {host}{port}\n");
    }
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text + &format!("content-length: {}\n\n{}", post.body.len(), post.body)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::simulator::fake::Fake;

    fn codes() -> Vec<String> {
        vec!["*384*7#".to_owned(), "*384*7*9#".to_owned()]
    }

    #[actix_web::test]
    async fn a_dialogue_is_heard_as_it_was_typed() {
        let fake = Fake::start();
        let phone = fake.phone();
        let (mut dialogue, first) = phone.dial("*384*7#", &codes()).await.unwrap();
        assert_eq!(first.reply.unwrap().text(), "first:");
        for typed in ["1", "", "*", "4*5", "Mama Njeri & co + é", "1"] {
            let exchange = phone.answer(&mut dialogue, typed).await;
            assert_eq!(exchange.reply.unwrap().text(), format!("reply:{typed}"));
        }
        let last = phone.answer(&mut dialogue, "bye").await;
        assert_eq!(
            last.reply,
            Some(Screen::End {
                text: "Bye".to_owned()
            })
        );
        assert_eq!(last.septets, Some(3));
        assert_eq!(dialogue.state, State::Ended);
        assert_eq!(
            phone.hang_up(&dialogue).await.response_body,
            "completed after 8"
        );
    }

    #[actix_web::test]
    async fn a_deep_dial_answers_in_advance() {
        let phone = Fake::start().phone();
        let (dialogue, exchange) = phone.dial("*384*7*1*Nakuru#", &codes()).await.unwrap();
        assert_eq!(exchange.reply.unwrap().text(), "first:1*Nakuru");
        assert_eq!(dialogue.service_code, "*384*7#");
        let (dialogue, _) = phone.dial("*384*7*9*1#", &codes()).await.unwrap();
        assert_eq!(
            (
                dialogue.service_code.as_str(),
                dialogue.answers.join("*").as_str()
            ),
            ("*384*7*9#", "1")
        );
        let (dialogue, _) = phone.dial("*100#", &codes()).await.unwrap();
        assert_eq!(dialogue.service_code, "*100#");
        for no_code in ["0711000001", "*384*7", "Nakuru", ""] {
            assert_eq!(
                phone.dial(no_code, &codes()).await.unwrap_err(),
                NotDialable,
                "{no_code}"
            );
        }
    }

    #[actix_web::test]
    async fn an_empty_first_answer_repeats_the_first_call() {
        let phone = Fake::start().phone();
        let (mut dialogue, _) = phone.dial("*384*7#", &codes()).await.unwrap();
        assert_eq!(
            phone.answer(&mut dialogue, "").await.reply.unwrap().text(),
            "repeat"
        );
        assert_eq!(
            phone.answer(&mut dialogue, "2").await.reply.unwrap().text(),
            "reply:2"
        );
    }

    #[actix_web::test]
    async fn hanging_up_in_the_middle_is_told() {
        let phone = Fake::start().phone();
        let (dialogue, _) = phone.dial("*384*7#", &codes()).await.unwrap();
        assert_eq!(
            phone.hang_up(&dialogue).await.response_body,
            "abandoned after 1"
        );
    }

    #[actix_web::test]
    async fn what_no_phone_can_show_is_a_fault() {
        let phone = Fake::start().phone();
        for (typed, fault) in [
            ("status", "answered HTTP 503 instead of 200"),
            ("prefix", "neither"),
            ("empty", "neither"),
            ("long", "183 septets, a phone shows 182"),
            ("amharic", "characters outside GSM-7"),
            ("huge", "longer than 16 KiB"),
        ] {
            let (mut dialogue, _) = phone.dial("*384*7#", &codes()).await.unwrap();
            let exchange = phone.answer(&mut dialogue, typed).await;
            let said = exchange.fault.unwrap();
            assert!(said.contains(fault), "{typed}: {said}");
            assert_eq!(exchange.reply, None, "{typed}");
            assert_eq!(
                phone.hang_up(&dialogue).await.response_body,
                "failed after 2",
                "{typed}"
            );
        }
        let (mut dialogue, _) = phone.dial("*384*7#", &codes()).await.unwrap();
        assert_eq!(
            phone.answer(&mut dialogue, "full").await.septets,
            Some(SEPTETS_MAX)
        );
    }

    #[actix_web::test]
    async fn a_service_that_is_down_is_a_fault() {
        let mut phone = Fake::start().phone();
        phone.public = "http://127.0.0.1:1".to_owned();
        let (dialogue, exchange) = phone.dial("*384*7#", &codes()).await.unwrap();
        assert_eq!(
            exchange.fault.as_deref(),
            Some("nobody listens at the public address")
        );
        assert!(matches!(dialogue.state, State::Failed(_)));
    }

    #[actix_web::test]
    async fn the_request_is_shown_as_sent_without_its_token() {
        let phone = Fake::start().phone();
        let (_, exchange) = phone.dial("*384*7#", &codes()).await.unwrap();
        assert!(
            exchange
                .request
                .starts_with("POST /ussd/africastalking/**** HTTP/1.1\nhost: 127.0.0.1:")
        );
        assert!(exchange.request.contains("\n\nsessionId=ATUid_"));
        assert!(exchange.request.contains("networkCode=63902"));
        assert!(exchange.response.starts_with("HTTP/1.1 200 OK\n"));
        assert!(exchange.response.ends_with("\n\nCON first:"));
    }

    #[actix_web::test]
    async fn an_sms_goes_to_the_short_code() {
        let phone = Fake::start().phone();
        let exchange = phone.send_sms("38407", "CODE 4821 7736").await;
        assert_eq!(exchange.response_body, "+254711000001>38407:CODE 4821 7736");
        assert_eq!(exchange.fault, None);
    }
}
