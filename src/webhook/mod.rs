//! What aggregators and providers post. Where it comes from is checked before anything of the body is read, and every
//! refusal of a stranger looks the same.

pub mod address;
pub mod authentic;
pub mod payment;
pub mod sms;
pub mod ussd;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::StreamExt;

use self::address::source;
use self::authentic::{Stranger, Visitor, check};
use crate::app::App;
use crate::spool::Report;
use crate::ussd::{Inbound, Rendered};

/// The largest callback.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a callback may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a report waits for the database before it goes to the disk: providers give up after 5 s.
const KEEP_MAX: Duration = Duration::from_millis(1_200);

/// A callback that is refused before it is understood.
enum Refused {
    TooLarge,
    TooSlow,
    Encoded,
    Broken,
}

impl Refused {
    fn response(self, rest: Payload) -> HttpResponse {
        HttpResponseBuilder::new(match self {
            Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refused::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::Broken => StatusCode::BAD_REQUEST,
        })
        .force_close()
        .body(Unread { _rest: rest })
    }
}

/// What every stranger gets.
fn nothing_here(rest: Payload) -> HttpResponse {
    HttpResponse::NotFound().body(Unread { _rest: rest })
}

/// Nothing, in answer to a request that was not read to its end. While the rest of that is kept, the server closes the
/// connection behind the answer; it would wait for the end of a body in chunks otherwise, however long that takes.
struct Unread {
    _rest: Payload,
}

impl MessageBody for Unread {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Whether the request shows every proof of origin that this aggregator is configured to give, before its body is read.
fn is_authentic(app: &App, request: &HttpRequest, aggregator: &str, token: &str) -> bool {
    let Some((name, policy)) = app.config.aggregators.get_key_value(aggregator) else {
        return false;
    };
    let headers = request.headers();
    let lines: Vec<_> = headers
        .get_all("x-forwarded-for")
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    let source = request
        .peer_addr()
        .and_then(|peer| source(peer.ip(), &lines, &app.config.trusted_proxies));
    let visitor = Visitor {
        token,
        source,
        authorization: headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()),
    };
    let Err(stranger) = check(policy, &visitor) else {
        return true;
    };
    let why = stranger.word();
    metrics::counter!("webhooks_refused_total", "aggregator" => name.clone(), "why" => why)
        .increment(1);
    // Whoever has the token is the aggregator from an address not told yet, or a thief: both are for the operator.
    if stranger != Stranger::Token {
        tracing::warn!(aggregator = name, why, ?source, "a webhook was refused");
    }
    false
}

async fn body(request: &HttpRequest, payload: &mut Payload) -> Result<Bytes, Refused> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Refused::Encoded);
    }
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Refused::TooLarge);
    }
    let collect = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Refused::Broken)?;
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(Refused::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(BODY_TIME_MAX, collect)
        .await
        .unwrap_or(Err(Refused::TooSlow))
}

/// Lets `decode` read a request as it came.
fn read<T>(request: &HttpRequest, body: &[u8], decode: impl FnOnce(Inbound<'_>) -> T) -> T {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    // What actix has matched is decoded already; formats with an id in the path need it as it came.
    let path = request
        .uri()
        .path()
        .splitn(5, '/')
        .nth(4)
        .map_or(String::new(), |rest| format!("/{rest}"));
    decode(Inbound {
        method: request.method().as_str(),
        path: &path,
        query: request.query_string(),
        headers: &headers,
        body,
    })
}

/// Whether the report is on the disk now.
async fn put(app: &App, report: &Report) -> bool {
    let Some(spool) = &app.spool else {
        return false;
    };
    match spool.put(report).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "a report is neither in the database nor on the disk");
            false
        }
    }
}

/// Providers try again for hours; what is kept already changes nothing then.
fn not_kept() -> Rendered {
    Rendered {
        status: 503,
        ..Rendered::empty()
    }
}

fn send(rendered: Rendered) -> HttpResponse {
    let mut response = HttpResponse::build(
        StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    for (name, value) in rendered.headers {
        response.insert_header((name, value));
    }
    // Two calls by GET may look the same and mean two answers.
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type(rendered.content_type)
        .body(rendered.body)
}
