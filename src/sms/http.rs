//! One HTTP exchange with a provider: what leaves, what comes back, and what its status alone says.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::{Account, Message, Provider, Sent};

/// How long a connection to a provider may take, TLS included.
pub const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long one send may take from the first byte to the last.
pub const SEND_MAX: Duration = Duration::from_secs(10);
/// The longest answer that is read. One recipient takes some hundred bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest wait that a `Retry-After` is believed.
const RETRY_AFTER_SECONDS_MAX: u64 = 2 * 3600;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// An HTTP client for providers, but for its TLS: short waits, no redirects, which would repeat a message elsewhere.
pub fn http_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_MAX)
        .timeout(SEND_MAX)
        .redirect(reqwest::redirect::Policy::none())
}

/// A request to a provider. It holds keys, so it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where, query included.
    pub url: String,
    /// `Content-Type` among them.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for GET.
    pub body: String,
}

/// The methods that providers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the word says it")]
pub enum Method {
    Get,
    Post,
}

impl Request {
    /// A GET of `url`, which has no query, with these fields as its query.
    pub fn get(url: &str, fields: &[(&str, &str)]) -> Request {
        Request {
            method: Method::Get,
            url: format!("{url}?{}", form(fields)),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A POST of a form.
    pub fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Request {
        Request {
            method: Method::Post,
            url: url.into(),
            headers: vec![("Content-Type", FORM.to_owned())],
            body: form(fields),
        }
    }

    /// A POST of JSON.
    pub fn json(url: impl Into<String>, body: &serde_json::Value) -> Request {
        Request {
            method: Method::Post,
            url: url.into(),
            headers: vec![("Content-Type", JSON.to_owned())],
            body: body.to_string(),
        }
    }

    /// The same with one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a name and a password.
    pub fn basic(self, name: &str, password: &str) -> Request {
        let credentials = STANDARD.encode(format!("{name}:{password}"));
        self.header("Authorization", format!("Basic {credentials}"))
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// What came back for a request, its body cut off some bytes after [`ANSWER_BYTES_MAX`].
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After`, where it is a number of seconds.
    pub retry_after_seconds: Option<u64>,
    /// As far as it could be read.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON of a known shape. `None`: too long, cut short or of another shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        if self.body.len() > ANSWER_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(self.body).ok()
    }

    /// What the status alone says: a success that says nothing else leaves the message's fate open.
    pub fn by_status(&self) -> Sent {
        let reason = || format!("http_{}", self.status);
        match self.status {
            200..=299 if self.body.len() > ANSWER_BYTES_MAX => Sent::unknown("answer_too_long"),
            200..=299 => Sent::unknown("answer_unreadable"),
            400 | 413 | 422 => Sent::refused(reason()),
            // A gateway that waited in vain for the service behind it knows as little as we do after a timeout.
            504 => Sent::unknown(reason()),
            408 | 425 | 429 | 500..=599 => self.later(reason()),
            401 => Sent::paused("authentication"),
            402 => Sent::paused("balance"),
            // Redirects and other refusals are about the account or the address, not about this message.
            _ => Sent::paused(reason()),
        }
    }

    /// Later, or when the provider asked for it.
    pub fn later(&self, reason: impl Into<String>) -> Sent {
        let asked = self.retry_after_seconds;
        Sent::RetryLater {
            after_seconds: asked.map(|seconds| seconds.min(RETRY_AFTER_SECONDS_MAX)),
            reason: reason.into(),
        }
    }
}

/// Hands one message over. How long that may take is up to `http`, see [`http_builder`].
pub async fn send(
    http: &reqwest::Client,
    provider: &dyn Provider,
    account: &Account,
    message: &Message,
) -> Sent {
    match exchange(http, provider.encode(account, message)).await {
        Ok(reply) => provider.decode_answer(message, &reply.answer()),
        Err(error) => not_sent(&error),
    }
}

/// A provider's answer, read.
pub struct Reply {
    status: u16,
    retry_after_seconds: Option<u64>,
    body: Vec<u8>,
}

impl Reply {
    /// For decoding.
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after_seconds: self.retry_after_seconds,
            body: &self.body,
        }
    }
}

/// One request and what came back.
///
/// # Errors
/// Whatever kept the head of an answer from coming.
pub async fn exchange(http: &reqwest::Client, request: Request) -> Result<Reply, reqwest::Error> {
    let mut call = match request.method {
        Method::Get => http.get(&request.url),
        Method::Post => http.post(&request.url).body(request.body),
    };
    for (name, value) in request.headers {
        call = call.header(
            if name == "Content-Type" {
                CONTENT_TYPE.as_str()
            } else {
                name
            },
            value,
        );
    }
    let mut response = call.send().await?;
    let retry_after = response.headers().get(RETRY_AFTER);
    Ok(Reply {
        retry_after_seconds: retry_after.and_then(|value| value.to_str().ok()?.parse().ok()),
        status: response.status().as_u16(),
        body: read(&mut response).await,
    })
}

/// What is read before the connection breaks or the limit is passed; an answer that is cut short does not parse.
async fn read(response: &mut reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() <= ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body
}

/// Only a connection that never stood proves that nothing was sent.
fn not_sent(error: &reqwest::Error) -> Sent {
    if error.is_builder() {
        Sent::paused("bad_settings")
    } else if error.is_connect() {
        Sent::later("connect")
    } else if error.is_timeout() {
        Sent::unknown("timeout")
    } else {
        Sent::unknown("connection_lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_says_by_itself() {
        let later = |after_seconds, reason: &str| Sent::RetryLater {
            after_seconds,
            reason: reason.to_owned(),
        };
        for (status, retry_after_seconds, wanted) in [
            (500, None, later(None, "http_500")),
            (503, Some(7), later(Some(7), "http_503")),
            (429, Some(999_999_999), later(Some(7200), "http_429")),
            (504, None, Sent::unknown("http_504")),
            (400, None, Sent::refused("http_400")),
            (401, None, Sent::paused("authentication")),
            (402, None, Sent::paused("balance")),
            (302, None, Sent::paused("http_302")),
            (403, None, Sent::paused("http_403")),
            (404, None, Sent::paused("http_404")),
            (200, None, Sent::unknown("answer_unreadable")),
        ] {
            let answer = Answer {
                status,
                retry_after_seconds,
                body: b"",
            };
            assert_eq!(answer.by_status(), wanted, "{status}");
        }
    }
}
