//! Calendars as other channels read and write them: RFC 5545, all-day events from the first night to the morning of leaving.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use icalendar::{
    CalendarComponent, CalendarDateTime, Component, DatePerhapsTime, Event, EventLike,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calendar::ranges;
use super::{Enveloped, Span, answer, managed};
use crate::api::Api;
use crate::api::keys::{Key, Scope};
use crate::api::problem::Problem;
use crate::db::DbError;
use crate::db::inventory::begin;
use crate::db::properties::{self, Named, set_channel_blocks};

/// The most events of one calendar.
const EVENTS_MAX: usize = 1_000;
/// The longest event that is a stay: nobody blocks more in one.
const EVENT_DAYS_MAX: i64 = 800;
/// The end of every UID of ours: what a channel has from us is not its own.
const OURS: &str = "@reserveflow";

/// Which channel a calendar is of.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Source {
    /// Its name: 1 to 30 of a-z, 0-9, - and _.
    source: String,
}

/// What was blocked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Blocked {
    /// The channel.
    pub source: String,
    /// Ranges of nights that it has sold, from the first to the last.
    pub nights: Vec<(NaiveDate, NaiveDate)>,
    /// Nights that it has sold and that are sold here too. Nothing was taken from a guest: somebody has to choose.
    pub sold_twice: Vec<SoldTwice>,
}

/// A night that two channels have sold.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoldTwice {
    /// Which.
    pub date: NaiveDate,
    /// How many units too many.
    pub units: i32,
}

/// Answers with the nights on which nothing of a property can be sold: booked, closed or out of service.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}/calendar.ics", operation_id = "find_ical", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), ("from" = Option<NaiveDate>, Query, description = "The first night; today"), ("to" = Option<NaiveDate>, Query, description = "The last night")),
    responses((status = 200, description = "The file", body = String, content_type = "text/calendar")))]
pub async fn export(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    span: Option<Query<Span>>,
) -> Result<HttpResponse, Problem> {
    let client = api.app.pool.get().await?;
    let property = managed(&client, &key, &id).await?;
    file(&api, &client, &property, span.map(Query::into_inner)).await
}

/// The calendar of a property: of these nights, or of the next year.
pub(super) async fn file(
    api: &Api,
    client: &deadpool_postgres::Client,
    property: &Named,
    span: Option<Span>,
) -> Result<HttpResponse, Problem> {
    let today = api.app.clock.now().date_naive();
    let year = Span {
        from: today,
        to: today + Days::new(365),
    };
    let (first, past) = span.unwrap_or(year).bounds()?;
    let nights = properties::list_nights(client, property.id, first, past).await?;
    let gone = nights
        .iter()
        .filter(|night| night.closed || night.available_units <= night.reserved_units);
    let mut calendar = icalendar::Calendar::new();
    for (from, to) in ranges(gone.map(|night| night.date)) {
        let mut event = Event::new();
        event
            .uid(&format!("{}-{from}{OURS}", property.short_id))
            .summary("Not available")
            .starts(from)
            .ends(to + Days::new(1));
        calendar.push(event);
    }
    Ok(HttpResponse::Ok()
        .content_type("text/calendar; charset=utf-8")
        .body(calendar.to_string()))
}

/// Takes the nights that a channel has sold off what is for sale, and gives back what it has not sold any more. Sending the
/// same calendar again changes nothing.
///
/// # Errors
/// [`Problem`]; nothing is changed.
#[utoipa::path(put, path = "/v1/properties/{property_id}/calendar.ics", operation_id = "put_ical", tag = "property data", params(("property_id" = String, Path, description = "`prop_…`"), Source), request_body(content = String, content_type = "text/calendar"),
    responses((status = 200, description = "Done", body = Enveloped<Blocked>)))]
pub async fn import(
    api: Data<Api>,
    key: Key,
    id: Path<String>,
    source: Query<Source>,
    calendar: String,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Manage)?;
    let source = source.into_inner().source;
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if !(1..=30).contains(&source.len()) || !source.bytes().all(is_plain) {
        return Err(Problem::unfit("`source` is 1 to 30 of a-z, 0-9, - and _"));
    }
    let today = api.app.clock.now().date_naive();
    let mut client = api.app.pool.get().await?;
    let who = format!("{} for {source}", key.name);
    let transaction = begin(&mut client, &who, "ical").await?;
    let property = managed(&transaction, &key, &id).await?;
    let zone = properties::time_zone(&transaction, property.id).await?;
    let sold = read(&calendar, zone, today)?;
    let twice = set_channel_blocks(&transaction, property.id, &source, today, &sold).await?;
    transaction.commit().await.map_err(DbError::from)?;
    let blocked = Blocked {
        source,
        nights: ranges(sold.into_keys()),
        sold_twice: twice
            .into_iter()
            .map(|(date, units)| SoldTwice { date, units })
            .collect(),
    };
    answer(&api, &client, &blocked, &request).await
}

/// How many units a calendar says to be sold on each night from `first` on.
fn read(text: &str, zone: Tz, first: NaiveDate) -> Result<BTreeMap<NaiveDate, i32>, Problem> {
    let calendar: icalendar::Calendar = text
        .parse()
        .map_err(|error: String| Problem::bad_request(error))?;
    if !text.trim_start().starts_with("BEGIN:VCALENDAR") {
        return Err(Problem::bad_request("no VCALENDAR is in it"));
    }
    let mut sold = BTreeMap::new();
    let events = calendar
        .components
        .iter()
        .filter_map(|component| match component {
            CalendarComponent::Event(event) => Some(event),
            _ => None,
        });
    for (number, event) in events.enumerate() {
        if number == EVENTS_MAX {
            let detail = format!("a calendar has at most {EVENTS_MAX} events");
            return Err(Problem::unfit(detail));
        }
        let is_ours = event.get_uid().is_some_and(|uid| uid.ends_with(OURS));
        let is_free = event.property_value("TRANSP") == Some("TRANSPARENT")
            || event.property_value("STATUS") == Some("CANCELLED");
        if is_ours || is_free {
            continue;
        }
        let (from, past) = nights(event, zone).map_err(|why| {
            let uid = event.get_uid().unwrap_or_default().to_owned();
            Problem::unfit(why).with("event", number).with("uid", uid)
        })?;
        let mut date = from.max(first);
        while date < past {
            *sold.entry(date).or_insert(0) += 1;
            date = date + Days::new(1);
        }
    }
    Ok(sold)
}

/// The first night of an event, and the morning of leaving.
fn nights(event: &Event, zone: Tz) -> Result<(NaiveDate, NaiveDate), &'static str> {
    if event.property_value("RRULE").is_some() || event.property_value("DURATION").is_some() {
        return Err("an event says its end by DTEND, and does not recur");
    }
    let start = event.get_start().ok_or("DTSTART is missing or no date")?;
    let from = local(&start, zone).ok_or("DTSTART is in no time zone that is known")?;
    let past = match (event.get_end(), event.property_value("DTEND")) {
        (Some(end), _) => local(&end, zone).ok_or("DTEND is in no time zone that is known")?,
        (None, Some(_)) => return Err("DTEND is no date"),
        (None, None) => from,
    };
    // Within one day it is still the night of that day.
    let past = past.max(from.succ_opt().ok_or("DTSTART is too late")?);
    if (past - from).num_days() > EVENT_DAYS_MAX {
        return Err("an event is longer than 800 days");
    }
    Ok((from, past))
}

fn local(moment: &DatePerhapsTime, zone: Tz) -> Option<NaiveDate> {
    Some(match moment {
        DatePerhapsTime::Date(date) => *date,
        DatePerhapsTime::DateTime(CalendarDateTime::Floating(local)) => local.date(),
        DatePerhapsTime::DateTime(CalendarDateTime::Utc(moment)) => {
            moment.with_timezone(&zone).date_naive()
        }
        DatePerhapsTime::DateTime(CalendarDateTime::WithTimezone { date_time, tzid }) => {
            let there: Tz = tzid.parse().ok()?;
            let moment = date_time.and_local_timezone(there).earliest()?;
            moment.with_timezone(&zone).date_naive()
        }
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn sold(event: &str) -> Result<Vec<String>, String> {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//A//B//EN\r\nBEGIN:VEVENT\r\nUID:1@a\r\n{event}\r\nEND:VEVENT\r\n\
             END:VCALENDAR\r\n"
        );
        let first = "2026-12-01".parse().unwrap();
        let nights = read(&text, chrono_tz::Africa::Nairobi, first);
        let nights = nights.map_err(|problem| problem.to_string())?;
        Ok(nights.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn events_are_the_nights_between_their_days() {
        for (event, nights) in [
            (
                "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261226",
                Ok(vec!["2026-12-24", "2026-12-25"]),
            ),
            ("DTSTART;VALUE=DATE:20261224", Ok(vec!["2026-12-24"])),
            // What is over does not count.
            (
                "DTSTART;VALUE=DATE:20261129\r\nDTEND;VALUE=DATE:20261202",
                Ok(vec!["2026-12-01"]),
            ),
            // Eleven in the evening in London is the next day in Nairobi.
            (
                "DTSTART;TZID=Europe/London:20261223T230000\r\nDTEND;TZID=Europe/London:20261225T100000",
                Ok(vec!["2026-12-24"]),
            ),
            (
                "DTSTART:20261224T110000Z\r\nDTEND:20261224T120000Z",
                Ok(vec!["2026-12-24"]),
            ),
            (
                "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261226\r\nSTATUS:CANCELLED",
                Ok(vec![]),
            ),
            (
                "DTSTART;VALUE=DATE:20261224\r\nRRULE:FREQ=DAILY;COUNT=9",
                Err("does not recur"),
            ),
            ("SUMMARY:No date", Err("DTSTART")),
            (
                "DTSTART;TZID=Mars/Base:20261224T110000",
                Err("no time zone"),
            ),
            (
                "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20991226",
                Err("longer"),
            ),
        ] {
            match (sold(event), nights) {
                (Ok(found), Ok(nights)) => assert_eq!(found, nights, "{event}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{event}: {why}"),
                (found, _) => panic!("{event}: {found:?}"),
            }
        }
        assert!(read("hello", chrono_tz::UTC, NaiveDate::MIN).is_err());
    }
}
