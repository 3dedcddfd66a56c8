//! The envelope of every answer: `{"data": …, "_metadata": {"timestamp", "version", "cache_ttl", "checksum"}}`.
//!
//! `data` is sent in the canonical form of RFC 8785, and `checksum` is the CRC-32 (ISO 3309, as in zlib and PNG) of those
//! bytes in 8 lower-case hexadecimal digits: a client that writes `data` again in canonical form can tell whether it has
//! arrived, and was kept, as it was sent.

use actix_web::http::StatusCode;
use actix_web::http::header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use crate::session::search::short_name;

/// What an answer says of its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metadata {
    /// When the data was so, in Unix seconds.
    pub timestamp: i64,
    /// Rises with each change of what is shown.
    pub version: i64,
    /// For how many seconds from `timestamp` on the client may go without asking again.
    pub cache_ttl: u32,
    #[schema(pattern = "^[0-9a-f]{8}$", example = "23f88aae")]
    /// CRC-32 of `data` in the canonical form of RFC 8785: 8 lower-case hexadecimal digits.
    pub checksum: String,
    /// Only while the database is away: the data is what it was at `timestamp`, and may have changed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// The form of every answer, for the description of the API.
#[derive(Debug, Serialize, ToSchema)]
pub struct Enveloped<T> {
    /// What was asked for.
    pub data: T,
    /// What is said of it.
    #[serde(rename = "_metadata")]
    pub metadata: Metadata,
}

/// An answer, ready to be sent any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What is said of the data.
    pub metadata: Metadata,
    /// The data, canonical.
    pub data: Bytes,
    tag: String,
}

impl Answer {
    /// Seals data that was so `at`.
    ///
    /// # Errors
    /// [`Problem::defect`] where it cannot be written as JSON.
    pub fn new(
        data: &impl Serialize,
        at: DateTime<Utc>,
        version: i64,
        cache_ttl: u32,
    ) -> Result<Answer, Problem> {
        let data = serde_json_canonicalizer::to_vec(data).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written");
            Problem::defect()
        })?;
        let metadata = Metadata {
            timestamp: at.timestamp(),
            version,
            cache_ttl,
            checksum: checksum(&data),
            stale: false,
        };
        Ok(Answer::of(metadata, data.into()))
    }

    /// One that was sealed before.
    pub fn of(metadata: Metadata, data: Bytes) -> Answer {
        Answer {
            tag: tag(&data),
            metadata,
            data,
        }
    }

    /// The same answer while nothing newer can be had.
    pub fn stale(mut self) -> Answer {
        self.metadata.stale = true;
        self
    }

    /// Sends it, or 304 to whoever has the same data already. `now` is for `Age`.
    pub fn send(&self, request: &HttpRequest, now: DateTime<Utc>) -> HttpResponse {
        self.send_as(StatusCode::OK, request, now)
    }

    /// [`send`](Self::send) with another status than 200.
    pub fn send_as(
        &self,
        status: StatusCode,
        request: &HttpRequest,
        now: DateTime<Utc>,
    ) -> HttpResponse {
        let is_known = status == StatusCode::OK && self.is_known_to(request);
        let mut response = HttpResponseBuilder::new(if is_known {
            StatusCode::NOT_MODIFIED
        } else {
            status
        });
        let age = (now.timestamp() - self.metadata.timestamp).max(0);
        response
            .insert_header((ETAG, self.tag.as_str()))
            .insert_header((AGE, age));
        let caching = format!("private, max-age={}", self.metadata.cache_ttl);
        response.insert_header((CACHE_CONTROL, caching));
        if is_known {
            return response.finish();
        }
        response.content_type("application/json").body(self.body())
    }

    /// The whole envelope.
    pub fn body(&self) -> Vec<u8> {
        let metadata = serde_json::to_vec(&self.metadata).unwrap_or_default();
        [
            b"{\"data\":",
            &self.data[..],
            b",\"_metadata\":",
            &metadata,
            b"}",
        ]
        .concat()
    }

    fn is_known_to(&self, request: &HttpRequest) -> bool {
        let known = request.headers().get_all(IF_NONE_MATCH);
        known
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || opaque(tag) == opaque(&self.tag))
    }
}

/// `If-None-Match` compares weakly. Source: RFC 9110 §13.1.2.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Weak: equal data may come with another time, or compressed.
fn tag(data: &[u8]) -> String {
    format!("W/\"{}\"", short_name(data))
}

/// CRC-32 in 8 lower-case hexadecimal digits.
pub fn checksum(canonical: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(canonical))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The vectors of the README.
    #[test]
    fn checksums_are_those_that_clients_are_told() {
        for (data, canonical, expected) in [
            (json!({}), "{}", "a3a6bf43"),
            (
                json!({"b": [true, null, "é"], "a": 1}),
                "{\"a\":1,\"b\":[true,null,\"é\"]}",
                "2b9cf434",
            ),
            (
                json!({"price_per_night": 1800, "name": "Mwangaza Rooms"}),
                "{\"name\":\"Mwangaza Rooms\",\"price_per_night\":1800}",
                "23f88aae",
            ),
            (
                json!({"name": "Ol'Kalou \u{f} ☕", "longitude": 36.0, "latitude": -0.2887}),
                "{\"latitude\":-0.2887,\"longitude\":36,\"name\":\"Ol'Kalou \\u000f ☕\"}",
                "4af9b936",
            ),
        ] {
            let answer = Answer::new(&data, DateTime::UNIX_EPOCH, 1, 1).unwrap();
            assert_eq!(answer.data, canonical);
            assert_eq!(answer.metadata.checksum, expected, "{canonical}");
        }
    }

    #[test]
    fn the_envelope_holds_both_parts() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let answer = Answer::new(&json!([1]), at, 7, 30).unwrap().stale();
        let body: Value = serde_json::from_slice(&answer.body()).unwrap();
        let metadata = json!({
            "timestamp": 1_700_000_000, "version": 7, "cache_ttl": 30, "checksum": answer.metadata.checksum, "stale": true
        });
        assert_eq!(body, json!({"data": [1], "_metadata": metadata}));
    }
}
