//! Who is to be reminded of what, and that it was done once.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use super::DbError;
use super::effect::Draft;
use super::reservations::{self, Reservation};

/// Confirmed stays that begin on the next local day, booked some hours ago, whose guests have not been reminded of these
/// dates and have not asked to be left alone: while it is between these local hours; at most `limit`.
///
/// # Errors
/// [`DbError`].
pub async fn list_due_stays(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    hours: std::ops::Range<i32>,
    limit: i64,
) -> Result<Vec<Reservation>, DbError> {
    let due = "select v.* from property p
             join reservation r on r.property_id = p.property_id
                 and r.check_in = ($1 at time zone p.time_zone)::date + 1
             join reservation_shown v on v.reservation_id = r.reservation_id
             where r.status = 'confirmed' and r.created_at < $1 - interval '6 hours'
               and extract(hour from $1 at time zone p.time_zone)::integer >= $2
               and extract(hour from $1 at time zone p.time_zone)::integer < $3
               and not exists (select from outbox o where o.reservation_id = r.reservation_id
                               and o.kind = 'remind_stay' and o.nth = r.changes)
               and not exists (select from guest g where g.msisdn = r.msisdn and g.opted_out_at is not null)
             limit $4";
    list(client, due, &[&at, &hours.start, &hours.end, &limit]).await
}

/// Holds that want money, with less than half of their time left, whose guests have not been reminded to pay; at most
/// `limit`.
///
/// # Errors
/// [`DbError`].
pub async fn list_due_payments(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Reservation>, DbError> {
    let due = "select v.* from reservation r
             join reservation_shown v on v.reservation_id = r.reservation_id
             where r.status = 'held' and r.pay = 'prepay' and r.hold_expires_at > $1
               and r.hold_expires_at - $1 < (r.hold_expires_at - r.created_at) / 2
               and not exists (select from outbox o where o.reservation_id = r.reservation_id and o.kind = 'remind_pay')
             limit $2";
    list(client, due, &[&at, &limit]).await
}

/// Holds that ran out within the last hour, unpaid and with no payment under way, whose guests were told of the hold and
/// not yet of its end; at most `limit`.
///
/// # Errors
/// [`DbError`].
pub async fn list_ended_holds(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Reservation>, DbError> {
    let due = "select v.* from reservation r
             join reservation_shown v on v.reservation_id = r.reservation_id
             where r.status = 'expired' and r.paid = 0
               and r.hold_expires_at > $1::timestamptz - interval '1 hour' and r.hold_expires_at <= $1
               and not exists (select from payment_attempt a where a.reservation_id = r.reservation_id
                               and a.status in ('due', 'prompting', 'pending'))
               and exists (select from outbox o where o.reservation_id = r.reservation_id
                           and o.kind in ('held', 'room_for_you'))
               and not exists (select from outbox o where o.reservation_id = r.reservation_id
                               and o.kind = 'hold_expired')
             limit $2";
    list(client, due, &[&at, &limit]).await
}

/// Stays to come whose guests could not be sent the confirmation and whose hosts have not been told so; at most `limit`.
/// Source: fault S4 of the field requirements.
///
/// # Errors
/// [`DbError`].
pub async fn list_unreached(
    client: &impl GenericClient,
    at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Reservation>, DbError> {
    let due = "select v.* from outbox o
             join reservation_shown v on v.reservation_id = o.reservation_id
             where o.kind = 'confirmed' and o.status = 'failed' and v.status = 'confirmed'
               and v.check_in >= ($1 at time zone v.time_zone)::date
               and not exists (select from outbox told where told.reservation_id = o.reservation_id
                               and told.kind = 'host_unreached')
             limit $2";
    list(client, due, &[&at, &limit]).await
}

async fn list(
    client: &impl GenericClient,
    due: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Reservation>, DbError> {
    let statement = client.prepare_cached(due).await?;
    client
        .query(&statement, parameters)
        .await?
        .iter()
        .map(reservations::from_row)
        .collect()
}

/// Writes a reminder, unless it was written before for the same dates or the reservation has gone on since.
///
/// # Errors
/// [`DbError`].
pub async fn insert_reminder(
    client: &impl GenericClient,
    of: &Reservation,
    draft: &Draft,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into outbox (reservation_id, kind, msisdn, text, expires_at, nth)
             select $1, $2, $3, $4, $5, r.changes from reservation r
             where r.reservation_id = $1 and r.status = $6 and r.changes = $7
             on conflict do nothing",
        )
        .await?;
    client
        .execute(
            &statement,
            &[
                &of.id,
                &draft.kind,
                &draft.msisdn.as_str(),
                &draft.text,
                &draft.expires_at,
                &of.status.word(),
                &of.changes,
            ],
        )
        .await?;
    Ok(())
}
