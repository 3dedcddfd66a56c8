//! Refusals as RFC 9457 says them: `application/problem+json` with `type`, `title`, `status`, `detail`, `instance`.
//!
//! `type` is `urn:reserveflow:problem:` and a word that a program can tell them apart by; `instance` names this one answer in
//! our log. More members say what would work instead.

use std::fmt;

use actix_web::error::JsonPayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::db::DbError;
use crate::session::coalesce::Coalesced;

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// When a database that is busy or away is worth another try, in seconds.
const AGAIN_SECONDS: u64 = 2;

/// Why a request is refused.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
    retry_after_seconds: Option<u64>,
    methods: &'static [&'static str],
}

#[derive(Serialize)]
struct Written<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

impl Problem {
    /// A problem of its own: `code` is the last word of its type, `detail` a sentence for whoever writes the client.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            detail: detail.into(),
            more: Map::new(),
            retry_after_seconds: None,
            methods: &[],
        }
    }

    /// 400: the request is not one of ours.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: no key, or none that is known.
    pub fn unknown_key() -> Problem {
        let detail = "send `Authorization: Bearer KEY` with a key that is valid";
        Problem::new(StatusCode::UNAUTHORIZED, "unknown_key", detail)
    }

    /// 403: the key is known and may not do that.
    pub fn scope_missing(scope: &'static str) -> Problem {
        let detail = format!("the key has not the scope `{scope}`");
        Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail).with("scope", scope)
    }

    /// 404: nothing is there, or nothing that this key may know of.
    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "nothing is there")
    }

    /// 405, with the methods that work.
    pub fn method_not_allowed(methods: &'static [&'static str]) -> Problem {
        let detail = format!("use {}", methods.join(", "));
        let mut problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        problem.methods = methods;
        problem
    }

    /// 422: understood, and nothing that can be done.
    pub fn unfit(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", detail)
    }

    /// 409: it was possible once, or will be again; the answer says what is so now.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, code, detail)
    }

    /// 429, and when the next request will be taken.
    pub fn too_many_requests(seconds: u64) -> Problem {
        let detail = "this key asks more often than it may";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
            .retry_after(seconds)
    }

    /// 503: nothing was done; the same request may be sent again.
    pub fn busy() -> Problem {
        let detail = "nothing was done; send the same request again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(AGAIN_SECONDS)
    }

    /// 500: a defect of ours.
    pub fn defect() -> Problem {
        let detail = "a defect of the service; it is in its log";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "defect", detail)
    }

    /// With one more member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// With `Retry-After`.
    pub fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Whether it is told because the database is busy or away.
    pub fn is_busy(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem as a member of another answer, where several are judged in one request.
    pub fn json(&self) -> Value {
        serde_json::to_value(self.written()).unwrap_or_default()
    }

    fn written(&self) -> Written<'_> {
        Written {
            r#type: format!("urn:reserveflow:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: Uuid::now_v7().urn().to_string(),
            more: &self.more,
        }
    }

    /// What anything of ours or of the server below us that is not a problem yet is told as.
    pub(super) fn of_status(status: StatusCode) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::not_found(),
            StatusCode::INTERNAL_SERVER_ERROR => Problem::defect(),
            status => {
                let reason = status.canonical_reason().unwrap_or("refused");
                Problem::new(status, "refused", reason.to_lowercase())
            }
        }
    }
}

/// Why a JSON body is not taken.
pub(super) fn of_body(error: &JsonPayloadError) -> Problem {
    let new = |status, code| Problem::new(status, code, error.to_string());
    match error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
            new(StatusCode::PAYLOAD_TOO_LARGE, "too_large")
        }
        JsonPayloadError::ContentType => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "send `Content-Type: application/json`",
        ),
        JsonPayloadError::Deserialize(error) => Problem::bad_request(error.to_string()),
        _ => Problem::bad_request("the body cannot be read"),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status);
        response
            .content_type(CONTENT_TYPE)
            .insert_header((CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if !self.methods.is_empty() {
            response.insert_header((ALLOW, self.methods.join(", ")));
        }
        let written = self.written();
        if self.status.is_server_error() {
            tracing::warn!(
                instance = written.instance,
                status = written.status,
                code = self.code,
                "an API request failed"
            );
        }
        response.body(serde_json::to_vec(&written).unwrap_or_default())
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Problem {
        (&error).into()
    }
}

impl From<&DbError> for Problem {
    fn from(error: &DbError) -> Problem {
        match error {
            DbError::Busy(_) | DbError::Conflict(_) | DbError::Unreachable(_) => Problem::busy(),
            DbError::Refused(source) => {
                tracing::error!(error = %source, "a statement of the API is refused");
                Problem::defect()
            }
        }
    }
}

impl From<deadpool_postgres::PoolError> for Problem {
    fn from(error: deadpool_postgres::PoolError) -> Problem {
        DbError::from(error).into()
    }
}

impl From<Coalesced<DbError>> for Problem {
    fn from(error: Coalesced<DbError>) -> Problem {
        match error {
            Coalesced::Failed(error) => (&*error).into(),
            Coalesced::Lost => Problem::defect(),
        }
    }
}
