//! What passes between an aggregator's format and everything else: a request, what it is about, and what is answered.

use std::collections::BTreeMap;
use std::fmt;

use super::service_code;
use crate::country::Country;
use crate::phone::Msisdn;

/// An HTTP request as it came, its body within the limit.
pub struct Inbound<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// What follows the token in the path, percent-encoded as it came: empty, or `/events`.
    pub path: &'a str,
    /// Raw query string without `?`.
    pub query: &'a str,
    /// All headers, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// Raw body.
    pub body: &'a [u8],
}

impl<'a> Inbound<'a> {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    /// Whether the body is of this media type, parameters left aside.
    pub fn is_of_type(&self, media_type: &str) -> bool {
        let given = self.header("content-type").unwrap_or_default();
        given
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(media_type)
    }
}

/// What an aggregator's file has to know of its configuration.
#[derive(Clone)]
pub struct Account {
    /// The registered codes, `*384*7#`; a dialled string that begins with one is dialled ahead.
    pub service_codes: Vec<String>,
    /// Where numbers without a country code belong.
    pub country: &'static Country,
    /// Our callback URL as the aggregator calls it, token included, for formats that name it in the answer.
    pub url: String,
    /// More settings, by names that the aggregator's file documents.
    pub options: BTreeMap<String, String>,
}

/// The URL holds a token, and options may hold credentials.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("service_codes", &self.service_codes)
            .field("country", &self.country.code)
            .field("options", &self.options.keys())
            .finish_non_exhaustive()
    }
}

impl Account {
    /// The registered code that a dialled string begins with, the longest first, and what is dialled behind it.
    pub fn dialled<'a>(&self, dialled: &'a str) -> Option<(&str, &'a str)> {
        let codes = self
            .service_codes
            .iter()
            .filter_map(|code| Some((code.as_str(), service_code::dialled_ahead(dialled, code)?)));
        codes.max_by_key(|(code, _)| code.len())
    }
}

/// What a callback is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// Somebody waits for a screen.
    Call(Call),
    /// A session is over.
    End(SessionEnd),
    /// Somebody asks whether the session of this id is going on.
    Status(String),
    /// A question of the protocol itself that needs no session, with its answer.
    Question(Rendered),
}

/// One USSD callback that waits for a screen, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who dialled.
    pub msisdn: Msisdn,
    /// The aggregator's session id exactly as received; where there is none, whatever names the session.
    pub session: String,
    /// `*384*7#`; empty where the callback does not tell.
    pub service_code: String,
    /// The network, as the aggregator names it.
    pub operator: Option<String>,
    /// What the subscriber did.
    pub said: Said,
    /// What the answer has to repeat, by its name on the wire.
    pub echo: Vec<(&'static str, String)>,
}

/// What the subscriber did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Said {
    /// Dialled the code; what was dialled behind it, or nothing.
    Dialled(String),
    /// Answered a screen. Only the latest answer is told.
    Answered {
        /// As typed.
        input: String,
        /// What tells this call of the session from every other, where the protocol has that.
        hop: Option<String>,
    },
    /// Dialled or answered. All answers so far are told, joined by `*`, none at first.
    Transcript(String),
    /// Dialled where nobody knows the session, answered where it is under way: the call itself does not tell. Its service code
    /// counts in the first case only.
    Either {
        /// As dialled or typed. Only the latest answer is told.
        input: String,
        /// If it was dialled, what was dialled behind the code; `None` where it cannot have been.
        ahead: Option<String>,
    },
}

/// A session is over, whoever ended it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "as in the table of the same name")]
pub struct SessionEnd {
    /// `None` only where a session id names the session without it.
    pub msisdn: Option<Msisdn>,
    pub session: String,
    pub service_code: String,
    pub operator: Option<String>,
    pub outcome: Outcome,
    pub hops: Option<i32>,
    pub duration_ms: Option<i32>,
    pub cost: Option<String>,
    pub input: Option<String>,
    pub last_reply: Option<String>,
    pub error: Option<String>,
}

impl SessionEnd {
    /// With nothing known but the session and how it ended.
    pub fn of(session: String, outcome: Outcome) -> SessionEnd {
        SessionEnd {
            msisdn: None,
            session,
            service_code: String::new(),
            operator: None,
            outcome,
            hops: None,
            duration_ms: None,
            cost: None,
            input: None,
            last_reply: None,
            error: None,
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Outcome {
    /// We said END.
    Completed,
    /// The subscriber left, or was too slow where the protocol does not tell.
    Abandoned,
    /// The subscriber or we were too slow.
    TimedOut,
    /// We failed the aggregator.
    Failed,
}

impl Outcome {
    /// The word in the database and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Abandoned => "abandoned",
            Outcome::TimedOut => "timeout",
            Outcome::Failed => "failed",
        }
    }
}

/// What the subscriber sees next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A screen that waits for an answer.
    Continue(String),
    /// The last screen.
    End(String),
}

/// A response ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

impl Rendered {
    /// 200 with plain text.
    pub fn text(body: impl Into<String>) -> Rendered {
        Rendered {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// 200 with a JSON value.
    pub fn json(body: &serde_json::Value) -> Rendered {
        Rendered {
            content_type: "application/json",
            ..Rendered::text(body.to_string())
        }
    }

    /// 200 with XML.
    pub fn xml(body: impl Into<String>) -> Rendered {
        Rendered {
            content_type: "text/xml; charset=utf-8",
            ..Rendered::text(body)
        }
    }

    /// 200 with nothing.
    pub fn empty() -> Rendered {
        Rendered::text("")
    }
}

/// A callback that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCall {
    /// A required field is absent or empty.
    #[error("missing field {0}")]
    MissingField(&'static str),
    /// A field has a value that it cannot have.
    #[error("invalid field {0}")]
    InvalidField(&'static str),
    /// The body is not what the protocol sends.
    #[error("invalid body: {0}")]
    InvalidBody(&'static str),
    /// The protocol does not use this HTTP method here.
    #[error("wrong method")]
    Method,
    /// The protocol has no such path.
    #[error("no such path")]
    Path,
    /// Credentials that the protocol carries are wrong.
    #[error("not authorized")]
    Unauthorized,
}

impl BadCall {
    /// The HTTP status that says so.
    pub fn status(&self) -> u16 {
        match self {
            BadCall::Method => 405,
            BadCall::Unauthorized => 403,
            BadCall::Path => 404,
            BadCall::MissingField(_) | BadCall::InvalidField(_) | BadCall::InvalidBody(_) => 400,
        }
    }
}
