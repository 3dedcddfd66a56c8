//! Requests, and the one call that judges many of them.

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use super::{
    Booking, HOLD_STARTS_MAX, HOLDS_MAX, HOLDS_UNPAID_MAX, Isolation, Reserved, Restriction,
};
use crate::booking::code::Code;
use crate::booking::money::{Currency, Money};
use crate::booking::stay::Stay;
use crate::db::effect::{Draft, Turn};
use crate::db::reservations;
use crate::db::{DbError, unknown};
use crate::phone::Msisdn;

/// A booking on its way to the database, with the code it gets if it is made.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) turn: Turn,
    pub(crate) property_id: Uuid,
    pub(crate) msisdn: Msisdn,
    part: i32,
    code: Code,
    stay: Stay,
    units: i32,
    guests: i32,
    guest_msisdn: Option<Msisdn>,
    guest_name: String,
    language: String,
    total_shown: Money,
    who: String,
    channel: String,
    why: String,
    at: DateTime<Utc>,
    outbox: serde_json::Value,
}

impl Request {
    /// `part` counts the bookings that one turn makes, all or none, from 0.
    ///
    /// # Errors
    /// [`DbError::Refused`] for messages that are no JSON.
    pub fn new(
        booking: &Booking<'_>,
        part: i32,
        code: Code,
        drafts: &[Draft],
    ) -> Result<Request, DbError> {
        Ok(Request {
            turn: booking.turn.clone(),
            property_id: booking.property_id,
            msisdn: booking.msisdn.clone(),
            part,
            code,
            stay: booking.stay,
            units: booking.units,
            guests: i32::from(booking.guests),
            guest_msisdn: booking.guest_msisdn.cloned(),
            guest_name: booking.guest_name.to_owned(),
            language: booking.language.to_owned(),
            total_shown: booking.total_shown,
            who: booking.cause.who.to_owned(),
            channel: booking.cause.channel.to_owned(),
            why: booking.cause.why.to_owned(),
            at: booking.at,
            outbox: serde_json::to_value(drafts).map_err(|e| DbError::Refused(e.into()))?,
        })
    }
}

/// What the database says to one request.
#[derive(Debug)]
pub enum Answer {
    /// It is settled.
    Settled(Box<Reserved>),
    /// Another reservation has its code: nothing was written, draw again.
    CodeTaken,
    /// Another part of its turn could not be made, so that nothing was.
    WithOthers,
}

/// Judges the requests in order, in one transaction; one answer each. No number or turn comes twice, but for the parts
/// of one turn, which stand together.
///
/// # Errors
/// What the database says when it undoes all of it: a conflict, a limit, a clash of two codes or turns in the same moment.
pub async fn reserve_batch(
    client: &mut Client,
    isolation: Isolation,
    requests: &[&Request],
) -> Result<Vec<Answer>, DbError> {
    match isolation {
        Isolation::ReadCommitted => reserve_in_one_call(&*client, requests).await,
        Isolation::Serializable => {
            let transaction = client
                .build_transaction()
                .isolation_level(IsolationLevel::Serializable)
                .start()
                .await?;
            let answers = reserve_in_one_call(&transaction, requests).await?;
            transaction.commit().await?;
            Ok(answers)
        }
    }
}

/// As [`reserve_batch`], in a transaction of its own where `client` has none. Several may be under way on one client: they
/// are judged one after the other, in the order in which they were sent.
///
/// # Errors
/// Those of [`reserve_batch`].
pub async fn reserve_in_one_call(
    client: &impl GenericClient,
    requests: &[&Request],
) -> Result<Vec<Answer>, DbError> {
    let rows = call(client, requests).await?;
    if rows.len() != requests.len() {
        return Err(unknown("outcome"));
    }
    rows.iter()
        .zip(requests)
        .map(|(row, request)| answer(row, request.total_shown.currency))
        .collect()
}

async fn call(
    client: &impl GenericClient,
    requests: &[&Request],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = client
        .prepare_cached(
            "select r.outcome, r.price_now, r.restriction, (r.shown).*
             from reserve_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                                $20, $21, $22, $23, $24, $25) r",
        )
        .await?;
    fn column<'a, T>(requests: &[&'a Request], of: impl Fn(&'a Request) -> T) -> Vec<T> {
        requests.iter().map(|request| of(request)).collect()
    }
    let ids: Vec<Uuid> = column(requests, |_| Uuid::now_v7());
    let codes: Vec<&str> = column(requests, |r| r.code.digits());
    let properties: Vec<Uuid> = column(requests, |r| r.property_id);
    let check_ins: Vec<NaiveDate> = column(requests, |r| r.stay.check_in());
    let check_outs: Vec<NaiveDate> = column(requests, |r| r.stay.check_out());
    let units: Vec<i32> = column(requests, |r| r.units);
    let guests: Vec<i32> = column(requests, |r| r.guests);
    let msisdns: Vec<&str> = column(requests, |r| r.msisdn.as_str());
    let guest_msisdns: Vec<Option<&str>> =
        column(requests, |r| r.guest_msisdn.as_ref().map(Msisdn::as_str));
    let guest_names: Vec<&str> = column(requests, |r| r.guest_name.as_str());
    let languages: Vec<&str> = column(requests, |r| r.language.as_str());
    let totals: Vec<i64> = column(requests, |r| r.total_shown.minor);
    let currencies: Vec<&str> = column(requests, |r| r.total_shown.currency.code());
    let doors: Vec<&str> = column(requests, |r| r.turn.door.as_str());
    let sessions: Vec<&str> = column(requests, |r| r.turn.session.as_str());
    let positions: Vec<i32> = column(requests, |r| r.turn.position);
    let parts: Vec<i32> = column(requests, |r| r.part);
    let whos: Vec<&str> = column(requests, |r| r.who.as_str());
    let channels: Vec<&str> = column(requests, |r| r.channel.as_str());
    let whys: Vec<&str> = column(requests, |r| r.why.as_str());
    let ats: Vec<DateTime<Utc>> = column(requests, |r| r.at);
    let outboxes: Vec<&serde_json::Value> = column(requests, |r| &r.outbox);
    client
        .query(
            &statement,
            &[
                &ids,
                &codes,
                &properties,
                &check_ins,
                &check_outs,
                &units,
                &guests,
                &msisdns,
                &guest_msisdns,
                &guest_names,
                &languages,
                &totals,
                &currencies,
                &doors,
                &sessions,
                &positions,
                &parts,
                &whos,
                &channels,
                &whys,
                &ats,
                &outboxes,
                &HOLDS_MAX,
                &HOLD_STARTS_MAX,
                &HOLDS_UNPAID_MAX,
            ],
        )
        .await
}

fn answer(row: &Row, currency: Currency) -> Result<Answer, DbError> {
    let reserved = match row.try_get("outcome")? {
        "made" => Reserved::Made(reservations::from_row(row)?),
        "again" => Reserved::Again(reservations::from_row(row)?),
        "yours" => Reserved::Yours(reservations::from_row(row)?),
        "taken" => Reserved::Taken,
        "restricted" => Reserved::Restricted(
            row.try_get::<_, Option<&str>>("restriction")?
                .and_then(Restriction::find)
                .ok_or_else(|| unknown("restriction"))?,
        ),
        "price_changed" => Reserved::PriceChanged(Money {
            minor: row.try_get("price_now")?,
            currency,
        }),
        "too_many" => Reserved::TooMany,
        "too_often" => Reserved::TooOften,
        "code_taken" => return Ok(Answer::CodeTaken),
        "with_others" => return Ok(Answer::WithOthers),
        _ => return Err(unknown("outcome")),
    };
    Ok(Answer::Settled(Box::new(reserved)))
}
