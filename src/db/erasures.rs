//! Forgetting a guest: everything that tells who they are goes; amounts and dates of bookings that are over stay, under a
//! number that nobody has.

use std::time::Duration;

use deadpool_postgres::{Client, GenericClient};

use super::DbError;
use crate::phone::Msisdn;

/// How long after the wish it is done: answers to it have reached the phone by then. The law gives 14 days.
pub const ERASE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long a wish is kept after it is done: as long as a backup without it may be restored.
const KEPT: Duration = Duration::from_secs(35 * 24 * 3600);
/// When to look again at what could not go yet: a stay to come, a message on its way.
const AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// States of a reservation that host and guest still need.
macro_rules! live {
    () => {
        "status in ('held', 'paying', 'confirmed', 'checked_in', 'refund_due')"
    };
}

/// An outbox row that is not sent any more, whatever becomes of it.
macro_rules! settled {
    () => {
        "outbox.status not in ('pending', 'sending') and (outbox.status <> 'unknown' or outbox.due_at = 'infinity')"
    };
}

/// What goes, in this order. $1 is the number.
const FORGET: &[&str] = &[
    // First, as whoever holds a room for a wish does.
    "delete from wish where msisdn = $1",
    "delete from guest where msisdn = $1",
    "delete from draft where msisdn = $1",
    "delete from sms_session where msisdn = $1",
    "delete from call_back where msisdn = $1",
    "delete from inbound_part where msisdn = $1",
    "update session_end
     set msisdn = null, input = null, last_reply = null, session = 'erased/' || gen_random_uuid()
     where msisdn = $1",
    // What hosts were told of a guest names them too.
    concat!(
        "update outbox set text = '' from reservation r
         where r.reservation_id = outbox.reservation_id and (r.msisdn = $1 or r.guest_msisdn = $1)
           and not r.",
        live!(),
        " and ",
        settled!()
    ),
    concat!(
        "update reservation_event set turn = null from reservation r
         where r.reservation_id = reservation_event.reservation_id and r.msisdn = $1 and turn is not null
           and not r.",
        live!()
    ),
    concat!(
        "update reservation set guest_msisdn = null, guest_name = '' where guest_msisdn = $1 and not ",
        live!()
    ),
];

/// What stays under another number. $1 is the number, $2 the one in its place.
const RENAME: &[&str] = &[
    concat!(
        "update payment_attempt set msisdn = $2, turn = 'erased/' || attempt_id from reservation r
         where r.reservation_id = payment_attempt.reservation_id and payment_attempt.msisdn = $1 and not r.",
        live!()
    ),
    "update consent set msisdn = $2 where msisdn = $1",
    "update inbound_sms set msisdn = $2, text = '' where msisdn = $1",
    concat!(
        "update outbox set msisdn = $2, text = '', turn = null where msisdn = $1 and ",
        settled!()
    ),
    concat!(
        "update reservation set msisdn = $2, guest_name = '', turn_session = 'erased/' || reservation_id
         where msisdn = $1 and not ",
        live!()
    ),
];

/// Keeps the wish; a second one changes nothing.
///
/// # Errors
/// [`DbError`]
pub async fn request(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    channel: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into erasure (msisdn, channel, due_at) values ($1, $2, now() + make_interval(secs => $3))
             on conflict (msisdn) where done_at is null do nothing",
        )
        .await?;
    client
        .execute(
            &statement,
            &[&msisdn.as_str(), &channel, &ERASE_AFTER.as_secs_f64()],
        )
        .await?;
    Ok(())
}

/// Forgets up to `limit` numbers whose time has come, each in a transaction of its own, and says how many were begun.
/// One with a stay to come is looked at again until that is over.
///
/// # Errors
/// [`DbError`]; what was begun and not done is done by the next call.
pub async fn erase_due(client: &mut Client, limit: usize) -> Result<usize, DbError> {
    for done in 0..limit {
        let transaction = client.transaction().await?;
        let due = transaction
            .query_opt(
                "select erasure_id, msisdn, '+999' || lpad((random() * 999999999)::bigint::text, 9, '0') as nobody
                 from erasure where done_at is null and due_at <= now()
                 order by due_at limit 1 for update skip locked",
                &[],
            )
            .await?;
        let Some(due) = due else {
            return Ok(done);
        };
        let (id, msisdn): (i64, &str) = (due.try_get("erasure_id")?, due.try_get("msisdn")?);
        let nobody: &str = due.try_get("nobody")?;
        for statement in FORGET {
            transaction.execute(*statement, &[&msisdn]).await?;
        }
        for statement in RENAME {
            transaction.execute(*statement, &[&msisdn, &nobody]).await?;
        }
        transaction
            .execute(
                "update erasure set
                     done_at = case when left_over then null else now() end,
                     due_at = case when left_over then now() + make_interval(secs => $2) else due_at end
                 from (select exists (select from outbox where msisdn = $3)
                           or exists (select from reservation where msisdn = $3 or guest_msisdn = $3) as left_over) rest
                 where erasure_id = $1",
                &[&id, &AGAIN_AFTER.as_secs_f64(), &msisdn],
            )
            .await?;
        transaction.commit().await?;
    }
    Ok(limit)
}

/// Drops wishes that no backup is older than.
///
/// # Errors
/// [`DbError`]
pub async fn drop_done(client: &impl GenericClient) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached("delete from erasure where done_at < now() - make_interval(secs => $1)")
        .await?;
    Ok(client.execute(&statement, &[&KEPT.as_secs_f64()]).await?)
}
