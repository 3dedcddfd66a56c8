//! `/ussd/{aggregator}/{token}` and what an aggregator has below it: a call, answered by a screen, or the news that a
//! session is over.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;

use super::authentic::fits;
use super::{KEEP_MAX, body, is_authentic, not_kept, nothing_here, put, read, send};
use crate::app::App;
use crate::db::DbError;
use crate::db::patience::within;
use crate::db::session_ends::SessionEndRow;
use crate::funnel;
use crate::menu::messages::Message;
use crate::session::store::SessionKey;
use crate::session::turn::{self, Answer};
use crate::spool::{Report, Spool};
use crate::ussd::transcript::kept;
use crate::ussd::{
    self, Aggregator, BadCall, Call, Callback, Outcome, Rendered, Reply, SessionEnd,
};

/// Answers a callback. A call gets status 200 and a screen whatever our own troubles are; what is not a call gets its
/// protocol's own word for that.
pub async fn receive(
    app: Data<App>,
    path: Path<(String, String, String)>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let accepted = Instant::now();
    let (name, token, _) = &*path;
    let known = ussd::find(name).filter(|_| is_authentic(&app, &request, name, token));
    let Some((aggregator, account)) = known.zip(app.accounts.get(name)) else {
        return nothing_here(payload);
    };
    let body = match body(&request, &mut payload).await {
        Ok(body) => body,
        Err(refused) => return refused.response(payload),
    };
    let sent = || {
        format!(
            "{}\n{}",
            request.query_string(),
            String::from_utf8_lossy(&body)
        )
    };
    let callback = read(&request, &body, |inbound| {
        aggregator.decode(&inbound, account)
    });
    match &callback {
        Ok(_) => app.traffic.called(name, app.clock.now()),
        Err(bad) => app.traffic.refused(name, app.clock.now(), bad.to_string()),
    }
    send(respond(&app.into_inner(), aggregator, callback, sent, accepted).await)
}

/// What a callback is answered with; `sent` is the whole request, `accepted` when it came.
pub async fn respond(
    app: &Arc<App>,
    aggregator: &'static dyn Aggregator,
    callback: Result<Callback, BadCall>,
    sent: impl FnOnce() -> String,
    accepted: Instant,
) -> Rendered {
    match callback {
        Ok(Callback::Call(call)) => answer(app, aggregator, call, sent, accepted).await,
        Ok(Callback::End(end)) => {
            let input = end.input.as_deref().map(kept);
            let end = SessionEnd { input, ..end };
            // In a box, so that every call need not carry what it may take.
            Box::pin(close(app, aggregator, &end)).await
        }
        Ok(Callback::Status(session)) => status(app, aggregator, &session).await,
        Ok(Callback::Question(answer)) => answer,
        Err(bad) => refuse(aggregator, &bad),
    }
}

async fn answer(
    app: &Arc<App>,
    aggregator: &'static dyn Aggregator,
    call: Call,
    request: impl FnOnce() -> String,
    accepted: Instant,
) -> Rendered {
    let name = aggregator.name();
    let network = call.operator.as_deref();
    let network = network.and_then(|operator| aggregator.dialling_code(operator));
    let countries = app.config.contracted(aggregator.configured_as(&call));
    if !fits(&call.msisdn, network, &countries) {
        metrics::counter!("callers_refused_total", "aggregator" => name).increment(1);
        tracing::warn!(aggregator = name, msisdn = %call.msisdn, operator = call.operator, "no number of this aggregator's");
        let sorry = turn::sorry(app, &call.msisdn, Message::WrongCode);
        return aggregator.encode(&call, &Reply::End(sorry));
    }
    let call = Arc::new(call);
    let answer = turn::answer(app, aggregator, &call, request, accepted).await;
    let kind = match &answer {
        Answer::Screen(Reply::Continue(_)) => "continue",
        Answer::Screen(Reply::End(_)) => "end",
        Answer::UnknownSession(_) => "unknown",
        Answer::KnownSession => "known",
    };
    metrics::counter!("ussd_replies_total", "aggregator" => name, "kind" => kind).increment(1);
    metrics::histogram!("ussd_reply_seconds", "aggregator" => name)
        .record(accepted.elapsed().as_secs_f64());
    match answer {
        Answer::Screen(reply) => aggregator.encode(&call, &reply),
        Answer::UnknownSession(sorry) => aggregator.encode_unknown(&call, sorry),
        Answer::KnownSession => aggregator.encode_known(&call).unwrap_or(Rendered::empty()),
    }
}

/// Keeps the end of a session, and lets no late call wake it up.
async fn close(app: &App, aggregator: &dyn Aggregator, end: &SessionEnd) -> Rendered {
    let name = aggregator.name();
    let msisdn = end
        .msisdn
        .as_ref()
        .filter(|_| !aggregator.session_is_unique());
    let key = SessionKey::new(name, &end.session, msisdn);
    let waiting = match end.outcome {
        Outcome::Completed => None,
        Outcome::Abandoned | Outcome::TimedOut | Outcome::Failed => {
            app.store.find_waiting(&key).await
        }
    };
    let known = app.store.close(&key).await;
    if let Some(dialogue) = waiting.filter(|_| known)
        && let Ok(Some(menus)) = app.menus.find(&dialogue.menus, &app.books).await
        && let Some(state) = &dialogue.state
    {
        funnel::left_at(&app.funnel, &menus, state, name, end.operator.as_deref());
    }
    let is_first = app.spool.as_ref().is_none_or(Spool::is_empty);
    let kept = if is_first {
        within(&app.postgres, KEEP_MAX, keep(app, name, end, known)).await
    } else {
        Err(DbError::Busy("others wait already".into()))
    };
    match kept {
        Ok(true) => {
            metrics::counter!("sessions_ended_total", "aggregator" => name, "outcome" => end.outcome.word()).increment(1);
        }
        Ok(false) => {}
        Err(error) => {
            let report = Report::End {
                aggregator: name.to_owned(),
                was_live: known,
                end: Box::new(end.clone()),
            };
            if matches!(error, DbError::Refused(_)) || !put(app, &report).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the end of a session was not kept"
                );
                return not_kept();
            }
        }
    }
    if known {
        aggregator.acknowledge(end)
    } else {
        aggregator.acknowledge_unknown(end)
    }
}

async fn status(app: &App, aggregator: &dyn Aggregator, session: &str) -> Rendered {
    let key = SessionKey::new(aggregator.name(), session, None);
    aggregator.encode_status(app.store.is_live(&key).await)
}

/// Keeps the end of a session; `false` when it was kept before. `was_live` tells that the session went on until now.
///
/// # Errors
/// [`DbError`]
pub async fn keep(
    app: &App,
    aggregator: &str,
    end: &SessionEnd,
    was_live: bool,
) -> Result<bool, DbError> {
    let row = SessionEndRow {
        aggregator,
        session: &end.session,
        msisdn: end.msisdn.as_ref(),
        service_code: &end.service_code,
        operator: end.operator.as_deref(),
        outcome: end.outcome.word(),
        hops: end.hops,
        duration_ms: end.duration_ms,
        cost: end.cost.as_deref(),
        input: end.input.as_deref(),
        last_reply: end.last_reply.as_deref(),
        error: end.error.as_deref(),
    };
    app.books.insert_session_end(&row, was_live).await
}

fn refuse(aggregator: &dyn Aggregator, bad: &BadCall) -> Rendered {
    metrics::counter!("ussd_refused_total", "aggregator" => aggregator.name()).increment(1);
    tracing::info!(aggregator = aggregator.name(), why = %bad, "a call was not understood");
    aggregator.refuse(bad)
}
