//! Dialogues by SMS, one a number. A message is worked on under a lease, so that two of one number follow each other and
//! no connection is held meanwhile.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use serde_json::Value;

use super::DbError;
use crate::phone::Msisdn;

/// How long a dialogue waits for its next message.
pub const DIALOGUE_TTL: Duration = Duration::from_secs(6 * 3600);

/// A number whose messages are ours until the lease ends.
#[derive(Debug)]
pub struct Claimed {
    /// Proves in [`save`] that nobody has claimed it since.
    pub token: i64,
    /// What is under way.
    pub dialogue: Option<Value>,
}

/// Claims the messages of this number for `lease`. `None`: another message of it is being worked on.
///
/// Not inside a transaction: a claim holds against others only when committed.
///
/// # Errors
/// [`DbError`]
pub async fn claim(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    lease: Duration,
) -> Result<Option<Claimed>, DbError> {
    let statement = client
        .prepare_cached(
            "insert into sms_session (msisdn, lease_until, lease_token)
             values ($1, now() + make_interval(secs => $2), 1)
             on conflict (msisdn) do update
                 set lease_until = now() + make_interval(secs => $2), lease_token = sms_session.lease_token + 1
                 where sms_session.lease_until is null or sms_session.lease_until <= now()
             returning lease_token,
                 case when answered_at > now() - make_interval(secs => $3) then dialogue end as dialogue",
        )
        .await?;
    let row = client
        .query_opt(
            &statement,
            &[
                &msisdn.as_str(),
                &lease.as_secs_f64(),
                &DIALOGUE_TTL.as_secs_f64(),
            ],
        )
        .await?;
    row.map(|row| {
        Ok(Claimed {
            token: row.try_get("lease_token")?,
            dialogue: row.try_get("dialogue")?,
        })
    })
    .transpose()
}

/// Writes where the dialogue is now (`None`: nowhere) and ends the lease. `false`: it had ended, and another message was
/// worked on since; nothing was written.
///
/// # Errors
/// [`DbError`]
pub async fn save(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    token: i64,
    dialogue: Option<&Value>,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update sms_session set dialogue = $3, answered_at = now(), lease_until = null
             where msisdn = $1 and lease_token = $2",
        )
        .await?;
    let written = client
        .execute(&statement, &[&msisdn.as_str(), &token, &dialogue])
        .await?;
    Ok(written == 1)
}

/// Ends the lease; the dialogue stays where it is. `false`: as for [`save`].
///
/// # Errors
/// [`DbError`]
pub async fn release(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    token: i64,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update sms_session set lease_until = null where msisdn = $1 and lease_token = $2",
        )
        .await?;
    let written = client
        .execute(&statement, &[&msisdn.as_str(), &token])
        .await?;
    Ok(written == 1)
}

/// Drops dialogues that nobody has answered for [`DIALOGUE_TTL`], and says how many.
///
/// # Errors
/// [`DbError`]
pub async fn drop_old(client: &impl GenericClient) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached(
            "delete from sms_session
             where answered_at <= now() - make_interval(secs => $1) and coalesce(lease_until, '-infinity') <= now()",
        )
        .await?;
    Ok(client
        .execute(&statement, &[&DIALOGUE_TTL.as_secs_f64()])
        .await?)
}
