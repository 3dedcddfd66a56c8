//! What an SMSC delivers, taken the same ways as what other providers post.

use std::sync::{Arc, LazyLock, PoisonError};

use rusmpp::CommandStatus;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::bound::Submitted;
use super::link::Link;
use super::pdu::{BadPdu, Deliver, Frame, Submit, tag};
use super::{receipt, text};
use crate::app::App;
use crate::phone::Msisdn;
use crate::sms::{BadSms, Binary, Event, InboundSms};
use crate::ussd::smpp::{Smpp, is_ussd, submit};
use crate::ussd::{Aggregator, BadCall, Callback, Inbound};
use crate::webhook;

/// Steps of dialogues worked on at once, of all links; more are told to come later.
const CALLS_MAX: usize = 500;
/// How long the answer to a step of a dialogue is of use to anybody, and the wait between two tries.
const ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(8);
const ANSWER_AGAIN: std::time::Duration = std::time::Duration::from_millis(300);

static CALLS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(CALLS_MAX)));

/// Takes a `deliver_sm`, and says how it is acknowledged: an SMS only once it is kept, a step of a dialogue at once.
pub(super) async fn deliver(
    app: Arc<App>,
    link: Arc<Link>,
    connection: &str,
    frame: &Frame,
) -> CommandStatus {
    let accepted = Instant::now();
    let place = format!("{connection}-{}", frame.sequence);
    let deliver = match Deliver::read(&frame.body) {
        Ok(deliver) => deliver,
        Err(bad) => return unreadable(&app, &link, bad),
    };
    if is_ussd(&deliver) {
        return ussd(app, link, deliver, frame, place, accepted);
    }
    let fresh = deliver
        .text(tag::RECEIPTED_MESSAGE_ID)
        .filter(|_| !receipt::is_receipt(&deliver))
        .unwrap_or(place);
    let doubts = || link.doubts.lock().unwrap_or_else(PoisonError::into_inner);
    let id = doubts().receive(&deliver, fresh, Instant::now().into_std());
    let status = sms(&app, &link, &deliver, &id).await;
    doubts().acknowledge(&id, Instant::now().into_std());
    status
}

async fn sms(app: &Arc<App>, link: &Link, deliver: &Deliver, id: &str) -> CommandStatus {
    let event = if receipt::is_receipt(deliver) {
        receipt::read(deliver).map(Event::Report)
    } else {
        message(link, deliver, id).map(Event::Inbound)
    };
    let event = match event {
        Ok(event) => event,
        Err(bad) => {
            refused(app, link, bad.to_string());
            return match bad {
                BadSms::InvalidField("source_addr") => CommandStatus::EsmeRinvsrcadr,
                _ => CommandStatus::EsmeRxPAppn,
            };
        }
    };
    app.traffic.called(link.name(), app.clock.now());
    match webhook::sms::take(app, link.name(), &event).await {
        Ok(()) => CommandStatus::EsmeRok,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, link = link.name(), "a delivery was not kept");
            // It is delivered again later.
            CommandStatus::EsmeRxTAppn
        }
    }
}

fn message(link: &Link, deliver: &Deliver, id: &str) -> Result<InboundSms, BadSms> {
    let msisdn =
        Msisdn::parse(&deliver.source.value).map_err(|_| BadSms::InvalidField("source_addr"))?;
    let user = text::user_data(deliver);
    let text = link
        .config()
        .alphabet
        .decode(deliver.data_coding, &user.octets);
    let binary = text.is_none().then_some(Binary {
        data: user.octets,
        header: user.header,
    });
    Ok(InboundSms {
        operator: Some(link.name().to_owned()),
        part: user.part,
        binary,
        ..InboundSms::new(
            id,
            msisdn,
            &deliver.destination.value,
            text.unwrap_or_default(),
        )
    })
}

/// A step of a dialogue: acknowledged at once, answered by a `submit_sm`.
fn ussd(
    app: Arc<App>,
    link: Arc<Link>,
    deliver: Deliver,
    frame: &Frame,
    place: String,
    accepted: Instant,
) -> CommandStatus {
    let Some(account) = &link.ussd else {
        refused(&app, &link, "USSD is not configured".to_owned());
        return CommandStatus::EsmeRinvsertyp;
    };
    let inbound = Inbound {
        method: "deliver_sm",
        path: "",
        query: &place,
        headers: &[],
        body: &frame.body,
    };
    let callback = match Smpp.decode(&inbound, account) {
        Ok(callback) => callback,
        Err(bad) => {
            refused(&app, &link, bad.to_string());
            return match bad {
                BadCall::InvalidField("source_addr") => CommandStatus::EsmeRinvsrcadr,
                BadCall::MissingField(_) => CommandStatus::EsmeRmissingtlv,
                BadCall::InvalidField("ussd_service_op") => CommandStatus::EsmeRinvtlvval,
                _ => CommandStatus::EsmeRxPAppn,
            };
        }
    };
    let Ok(permit) = CALLS.clone().try_acquire_owned() else {
        return CommandStatus::EsmeRthrottled;
    };
    app.traffic.called(link.name(), app.clock.now());
    let awaited = matches!(callback, Callback::Call(_));
    tokio::spawn(async move {
        let _sending = link.begin();
        let rendered =
            webhook::ussd::respond(&app, &Smpp, Ok(callback), || place.clone(), accepted).await;
        if awaited {
            answer(
                &link,
                submit(&deliver, link.config().alphabet, &rendered),
                accepted,
            )
            .await;
        }
        drop(permit);
    });
    CommandStatus::EsmeRok
}

/// Somebody looks at the phone: a busy SMSC is asked again at once, but not when nobody waits any more.
async fn answer(link: &Link, submit: Submit, accepted: Instant) {
    loop {
        let submitted = link.submit(submit.clone()).await;
        let word = match &submitted {
            Ok(Submitted::Answered { status, .. }) => match status {
                CommandStatus::EsmeRok => "sent",
                CommandStatus::EsmeRthrottled | CommandStatus::EsmeRmsgqful => "busy",
                _ => "refused",
            },
            Ok(Submitted::Lost(_)) => "unknown",
            Ok(Submitted::NotSent) | Err(_) => "down",
        };
        metrics::counter!("smpp_screens_total", "link" => link.name().to_owned(), "outcome" => word)
            .increment(1);
        match word {
            "sent" => return,
            "busy" if accepted.elapsed() < ANSWER_MAX => sleep(ANSWER_AGAIN).await,
            _ => {
                tracing::warn!(
                    link = link.name(),
                    outcome = word,
                    ?submitted,
                    "a screen did not reach the SMSC"
                );
                return;
            }
        }
    }
}

fn unreadable(app: &App, link: &Link, bad: BadPdu) -> CommandStatus {
    refused(app, link, bad.to_string());
    CommandStatus::EsmeRinvcmdlen
}

fn refused(app: &App, link: &Link, why: String) {
    metrics::counter!("smpp_refused_total", "link" => link.name().to_owned()).increment(1);
    tracing::info!(link = link.name(), why, "a delivery was not understood");
    app.traffic.refused(link.name(), app.clock.now(), why);
}
