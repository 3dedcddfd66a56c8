//! `/sms/{provider}/{token}/{door}`: what subscribers write and what became of our messages.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{KEEP_MAX, body, is_authentic, not_kept, nothing_here, put, read, send};
use crate::app::App;
use crate::db::DbError;
use crate::db::consents::{self, Consent};
use crate::db::patience::within;
use crate::session;
use crate::sms::{self, Account, BadSms, DeliveryReport, Door, Event, Provider, Webhook};
use crate::spool::Report;
use crate::ussd::Rendered;

/// How long a message may take, with what it books: providers give up after 5 s. A report takes [`KEEP_MAX`].
const ANSWER_MAX: Duration = Duration::from_millis(4_500);
/// The most events that one webhook may carry. Providers batch some dozens.
const EVENTS_MAX: usize = 1000;

/// Takes what a provider posts, by the method it likes; success only once every event is kept.
pub async fn receive(
    app: Data<App>,
    path: Path<(String, String, String)>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let (name, token, door) = &*path;
    let known = sms::find(name).filter(|_| is_authentic(&app, &request, name, token));
    let Some((provider, door)) = known.zip(Door::find(door)) else {
        return nothing_here(payload);
    };
    let body = match body(&request, &mut payload).await {
        Ok(body) => body,
        Err(refused) => return refused.response(payload),
    };
    send(match understand(&app, provider, door, &request, &body) {
        Ok(events) => keep(&app.into_inner(), provider, &events).await,
        Err(bad) => refuse(provider, &bad),
    })
}

fn understand(
    app: &App,
    provider: &dyn Provider,
    door: Door,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Vec<Event>, BadSms> {
    // The URL that the provider knows: what a proxy in front of us makes of it does not count.
    let url = format!("{}{}", app.config.public_url, request.uri());
    let unset = Account::default();
    let account = app
        .config
        .sms
        .providers
        .get(provider.name())
        .unwrap_or(&unset);
    read(request, body, |request| {
        let webhook = Webhook {
            door,
            url: &url,
            request,
            now: app.clock.now(),
        };
        if !provider.verify(account, &webhook) {
            return Err(BadSms::Signature);
        }
        provider.decode(account, &webhook)
    })
    .and_then(|events| match events.len() {
        0..=EVENTS_MAX => Ok(events),
        _ => Err(BadSms::InvalidBody("too many events")),
    })
}

/// Keeps the events in the database, or on the disk while it is away.
async fn keep(app: &Arc<App>, provider: &'static dyn Provider, events: &[Event]) -> Rendered {
    let mut kept = 0;
    let mut away = app.spool.as_ref().is_some_and(|spool| !spool.is_empty());
    while let Some(event) = events.get(kept).filter(|_| !away) {
        let limit = match event {
            Event::Inbound(_) => ANSWER_MAX,
            _ => KEEP_MAX,
        };
        let taken = within(&app.postgres, limit, take(app, provider.name(), event));
        match taken.await {
            Ok(()) => kept += 1,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    provider = provider.name(),
                    "a webhook was not kept"
                );
                if matches!(error, DbError::Refused(_)) {
                    return not_kept();
                }
                away = true;
            }
        }
    }
    if away {
        let report = Report::Sms {
            provider: provider.name().to_owned(),
            events: events[kept..].to_vec(),
        };
        if !put(app, &report).await {
            return not_kept();
        }
    }
    provider.acknowledge(None)
}

/// Keeps what a provider told; the same again changes nothing.
///
/// # Errors
/// [`DbError`]: it was not kept, the provider may tell it again.
pub async fn take(app: &Arc<App>, provider: &str, event: &Event) -> Result<(), DbError> {
    match event {
        Event::Inbound(sms) => session::sms::receive(app, provider, sms).await,
        Event::Report(report) => {
            metrics::counter!("sms_reports_total", "provider" => provider.to_owned(), "status" => report.status.word()).increment(1);
            let report = DeliveryReport {
                provider_id: app
                    .config
                    .ids(provider)
                    .reports
                    .comparable(&report.provider_id),
                ..report.clone()
            };
            tracing::debug!(
                provider,
                sms.provider_id = report.provider_id,
                sms.network_id = report.network_id,
                status = report.status.word(),
                "a delivery report came"
            );
            app.books.record_report(provider, &report).await
        }
        Event::OptOut(opt_out) => {
            let consent = Consent {
                msisdn: &opt_out.msisdn,
                given: false,
                channel: &format!("sms:{provider}"),
                text_version: &app.menus.current().version,
            };
            consents::record(&app.pool.get().await?, &consent).await?;
            Ok(())
        }
        Event::Subscription(subscription) => {
            tracing::info!(
                provider,
                began = subscription.began,
                "a premium subscription, none of which are sold here"
            );
            Ok(())
        }
    }
}

fn refuse(provider: &dyn Provider, bad: &BadSms) -> Rendered {
    metrics::counter!("sms_refused_total", "provider" => provider.name()).increment(1);
    tracing::info!(provider = provider.name(), why = %bad, "a webhook was not understood");
    provider.refuse(bad)
}
