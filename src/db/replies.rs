//! Messages that a turn asked for without a reservation: a list, an answer to an SMS. Each turn causes one, however
//! often it is repeated.

use std::time::Duration;

use deadpool_postgres::GenericClient;

use super::DbError;
use super::effect::{Draft, Turn};
use crate::phone::Msisdn;

/// Writes the message to be sent, unless this turn has written it before.
///
/// # Errors
/// [`DbError`]
pub async fn insert_reply(
    client: &impl GenericClient,
    turn: &Turn,
    draft: &Draft,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "insert into outbox (turn, kind, msisdn, text, expires_at)
             values ($1, $2, $3, $4, $5) on conflict (turn) where turn is not null do nothing",
        )
        .await?;
    client
        .execute(
            &statement,
            &[
                &turn.key(),
                &draft.kind,
                &draft.msisdn.as_str(),
                &draft.text,
                &draft.expires_at,
            ],
        )
        .await?;
    Ok(())
}

/// Whether this number was sent a message of this kind in the time just past.
///
/// # Errors
/// [`DbError`]
pub async fn was_sent(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    kind: &str,
    within: Duration,
) -> Result<bool, DbError> {
    let statement =
        client.prepare_cached("select exists (select from outbox where msisdn = $1 and kind = $2 and created_at > now() - make_interval(secs => $3)) as sent").await?;
    Ok(client
        .query_one(
            &statement,
            &[&msisdn.as_str(), &kind, &within.as_secs_f64()],
        )
        .await?
        .try_get("sent")?)
}

/// How many messages without a reservation were written for this number in the time just past.
///
/// # Errors
/// [`DbError`]
pub async fn count(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    within: Duration,
) -> Result<i64, DbError> {
    let statement = client
        .prepare_cached(
            "select count(*) as written from outbox
             where msisdn = $1 and reservation_id is null and created_at > now() - make_interval(secs => $2)",
        )
        .await?;
    Ok(client
        .query_one(&statement, &[&msisdn.as_str(), &within.as_secs_f64()])
        .await?
        .try_get("written")?)
}
