//! What hosts do by SMS: see who comes, check a guest in by code, close and open a night. The number is the host's own.

use chrono::{Days, NaiveDate};
use deadpool_postgres::GenericClient;

use crate::app::App;
use crate::booking::code::Code;
use crate::booking::reservation::Status;
use crate::country::Country;
use crate::db::DbError;
use crate::db::effect::{Cause, Turn};
use crate::db::hosts::{self, Host};
use crate::db::life::{self, Moved};
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::records;
use crate::sms::gsm7;
use crate::sms::keywords::HostCommand;

/// One SMS of one part.
const SMS_SEPTETS: usize = 160;

/// The answer to a host's command; what it changes is changed in the caller's transaction.
///
/// # Errors
/// [`DbError`].
pub async fn answer(
    app: &App,
    client: &impl GenericClient,
    host: &Host,
    command: &HostCommand,
    turn: &Turn,
    language: &Language,
) -> Result<String, DbError> {
    let country = app.country(&host.msisdn);
    let today = app.clock.now().with_timezone(&host.time_zone).date_naive();
    match command {
        HostCommand::Today => arrivals(app, client, host, today, language).await,
        HostCommand::Tomorrow => arrivals(app, client, host, today + Days::new(1), language).await,
        HostCommand::CheckIn(code) => {
            let message = check_in(app, client, host, code.as_ref(), turn, today).await?;
            Ok(match message {
                Arrived::Yes(message, record) => app.say(message, language, Some(&record), country),
                Arrived::No(message) => app.say(message, language, None, country),
            })
        }
        HostCommand::Close | HostCommand::Open => {
            let closed = *command == HostCommand::Close;
            close(app, client, host, today, closed, language, country).await
        }
    }
}

/// Who arrives on that day, as many as fit, and how many rooms are free.
///
/// # Errors
/// [`DbError`].
pub async fn arrivals(
    app: &App,
    client: &impl GenericClient,
    host: &Host,
    date: NaiveDate,
    language: &Language,
) -> Result<String, DbError> {
    let country = app.country(&host.msisdn);
    let guests = hosts::list_arrivals(client, host, date).await?;
    let free = hosts::count_free(client, host, date).await?;
    let evening = evening(date, guests.len(), 0, free);
    let mut text = app.say(Message::HostArrivals, language, Some(&evening), country);
    for guest in &guests {
        let record = records::booking(app, guest);
        let line = app.say(Message::HostArrival, language, Some(&record), country);
        if !gsm7::fits_ussd(&format!("{text}\n{line}"), SMS_SEPTETS) {
            break;
        }
        text = format!("{text}\n{line}");
    }
    Ok(text)
}

enum Arrived {
    Yes(Message, Value),
    No(Message),
}

/// A code of another lodge, of another day and one that nobody has read the same.
async fn check_in(
    app: &App,
    client: &impl GenericClient,
    host: &Host,
    code: Option<&Code>,
    turn: &Turn,
    today: NaiveDate,
) -> Result<Arrived, DbError> {
    if hosts::is_locked(client, &host.msisdn).await? {
        return Ok(Arrived::No(Message::HostCodeLocked));
    }
    let guest = match code {
        Some(code) => hosts::find_guest_of(client, host, code).await?,
        None => None,
    };
    let expected = guest.filter(|guest| {
        let is_today = guest.stay.check_in() <= today && today < guest.stay.check_out();
        is_today && matches!(guest.status, Status::Confirmed | Status::CheckedIn)
    });
    let Some(guest) = expected else {
        hosts::insert_wrong_code(client, &host.msisdn).await?;
        return Ok(Arrived::No(Message::HostCodeWrong));
    };
    if guest.status == Status::Confirmed {
        let cause = Cause {
            who: "host",
            channel: "sms",
            why: "the guest showed the code",
        };
        let moved = life::move_to(client, guest.id, Status::CheckedIn, &cause, turn, &[]).await?;
        if moved != Moved::Done {
            return Ok(Arrived::No(Message::HostCodeWrong));
        }
    }
    let message = match guest.left().minor {
        0 => Message::HostCheckedInPaid,
        _ => Message::HostCheckedIn,
    };
    Ok(Arrived::Yes(message, records::booking(app, &guest)))
}

async fn close(
    app: &App,
    client: &impl GenericClient,
    host: &Host,
    date: NaiveDate,
    closed: bool,
    language: &Language,
    country: &Country,
) -> Result<String, DbError> {
    let (before, free) = hosts::close_night(client, host, date, closed, "sms").await?;
    let arrivals = hosts::list_arrivals(client, host, date).await?;
    let to_come = arrivals
        .iter()
        .filter(|guest| guest.status == Status::Confirmed);
    let evening = evening(date, to_come.count(), before, free);
    let message = if closed {
        Message::HostClosed
    } else {
        Message::HostOpened
    };
    Ok(app.say(message, language, Some(&evening), country))
}

fn evening(date: NaiveDate, arrivals: usize, before: i64, free: i64) -> Value {
    let arrivals = i64::try_from(arrivals).unwrap_or(i64::MAX);
    Value::record([
        ("date", Value::Date(date)),
        ("arrivals", Value::Count(arrivals)),
        ("before", Value::Count(before)),
        ("free", Value::Count(free)),
    ])
}
