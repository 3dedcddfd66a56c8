//! The PIN that a host dials in with: its hash, tries that are counted, codes that let a new one be chosen.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::effect::{Draft, Turn};
use super::{DbError, unknown};

/// How many wrong PINs or codes in a row lock a host out. Source: row S-37 of the security requirements.
pub const TRIES_MAX: i32 = 5;
/// For how long.
pub const LOCKED_FOR: Duration = Duration::from_secs(60 * 60);
/// The most codes sent to a host in a day.
pub const CODES_PER_DAY_MAX: i32 = 3;
/// How long a PIN may be chosen once the code was right.
const CHOOSE_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Where a host stands. Hashes are Argon2id, as PHC strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pin {
    /// Of the PIN; `None` until one is set.
    pub hash: Option<String>,
    /// Of the one to be typed once more.
    pub next_hash: Option<String>,
    /// Of the code sent by SMS, while it counts.
    pub code_hash: Option<String>,
    /// When that code begins to count, if it does not yet.
    pub code_from: Option<DateTime<Utc>>,
    /// Nothing is looked at now.
    pub locked: bool,
}

/// The PIN of a host.
///
/// # Errors
/// [`DbError`].
pub async fn find_pin(
    client: &impl GenericClient,
    host_id: Uuid,
    at: DateTime<Utc>,
) -> Result<Pin, DbError> {
    let statement = client
        .prepare_cached(
            "select hash, next_hash, code_hash, code_from, code_until, coalesce(locked_until > $2, false) as locked
             from host_pin where host_id = $1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&host_id, &at]).await?;
    row.map_or_else(|| Ok(Pin::default()), |row| pin(&row, at))
}

fn pin(row: &Row, at: DateTime<Utc>) -> Result<Pin, DbError> {
    let from: Option<DateTime<Utc>> = row.try_get("code_from")?;
    let until: Option<DateTime<Utc>> = row.try_get("code_until")?;
    let is_out = until.is_some_and(|until| at < until);
    let counts = is_out && from.is_some_and(|from| from <= at);
    Ok(Pin {
        hash: row.try_get("hash")?,
        next_hash: row.try_get("next_hash")?,
        code_hash: row.try_get::<_, Option<_>>("code_hash")?.filter(|_| counts),
        code_from: from.filter(|from| is_out && at < *from),
        locked: row.try_get("locked")?,
    })
}

/// Counts a try and returns what to compare it with; `None`: the host is locked out. Say [`right`] or [`wrong`] then.
///
/// # Errors
/// [`DbError`].
pub async fn take_try(
    client: &impl GenericClient,
    host_id: Uuid,
    at: DateTime<Utc>,
    turn: &Turn,
) -> Result<Option<Pin>, DbError> {
    let statement = client
        .prepare_cached(
            "select hash, next_hash, code_hash, code_from, code_until, false as locked
             from take_pin_try($1, $2, $3, $4)",
        )
        .await?;
    let row = client
        .query_opt(&statement, &[&host_id, &at, &turn.key(), &TRIES_MAX])
        .await?;
    row.map(|row| pin(&row, at)).transpose()
}

/// The try was right: the next wrong one is the first again.
///
/// # Errors
/// [`DbError`].
pub async fn right(client: &impl GenericClient, host_id: Uuid) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("update host_pin set tries = 0, tries_turn = null where host_id = $1")
        .await?;
    client.execute(&statement, &[&host_id]).await?;
    Ok(())
}

/// The try was wrong. Whether the host is locked out now.
///
/// # Errors
/// [`DbError`].
pub async fn wrong(
    client: &impl GenericClient,
    host_id: Uuid,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update host_pin set locked_until = $2, tries = 0, tries_turn = null, code_hash = null
             where host_id = $1 and tries >= $3",
        )
        .await?;
    let locked = client
        .execute(&statement, &[&host_id, &(at + LOCKED_FOR), &TRIES_MAX])
        .await?;
    Ok(locked == 1)
}

/// A code for a host.
#[derive(Debug, Clone)]
pub struct NewCode<'a> {
    /// Whose.
    pub host_id: Uuid,
    /// Now.
    pub at: DateTime<Utc>,
    /// Of the code.
    pub hash: &'a str,
    /// From when it counts.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The SMS with it.
    pub draft: &'a Draft,
}

/// Sends a code in place of the one before; `false`: [`CODES_PER_DAY_MAX`] were sent.
///
/// # Errors
/// [`DbError`]; the same turn again sends no second one.
pub async fn send_code(
    client: &impl GenericClient,
    new: &NewCode<'_>,
    turn: &Turn,
) -> Result<bool, DbError> {
    let outbox = serde_json::to_value([new.draft]).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached("select send_pin_code($1, $2, $3, $4, $5, $6, $7, $8) as outcome")
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &new.host_id,
                &new.at,
                &new.hash,
                &new.from,
                &new.until,
                &CODES_PER_DAY_MAX,
                &turn.key(),
                &outbox,
            ],
        )
        .await?;
    Ok(match row.try_get("outcome")? {
        "sent" | "again" => true,
        "too_often" => false,
        _ => return Err(unknown("outcome")),
    })
}

/// The code was right: it is used up, and for a while a PIN may be chosen.
///
/// # Errors
/// [`DbError`].
pub async fn let_choose(
    client: &impl GenericClient,
    host_id: Uuid,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update host_pin set choose_until = $2, next_hash = null, code_hash = null, code_until = $3
             where host_id = $1",
        )
        .await?;
    client
        .execute(&statement, &[&host_id, &(at + CHOOSE_WITHIN), &at])
        .await?;
    Ok(())
}

/// Keeps a PIN that is to be typed once more; `false`: no code was right just now.
///
/// # Errors
/// [`DbError`].
pub async fn choose(
    client: &impl GenericClient,
    host_id: Uuid,
    at: DateTime<Utc>,
    hash: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "update host_pin set next_hash = $3 where host_id = $1 and choose_until > $2",
        )
        .await?;
    Ok(client.execute(&statement, &[&host_id, &at, &hash]).await? == 1)
}

/// The PIN that was typed twice counts from now on, and the host is told; `false`: it is another by now, or the time is
/// over. The same turn again changes nothing.
///
/// # Errors
/// [`DbError`].
pub async fn set(
    client: &impl GenericClient,
    host_id: Uuid,
    at: DateTime<Utc>,
    hash: &str,
    turn: &Turn,
    told: &Draft,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "with done as (
                 update host_pin set hash = next_hash, next_hash = null, choose_until = null, locked_until = null,
                     tries = 0, tries_turn = null
                 where host_id = $1 and choose_until > $2 and next_hash = $3 returning host_id)
             insert into outbox (turn, kind, msisdn, text, expires_at)
             select $4, $5, $6, $7, $8 from done
             on conflict (turn) where turn is not null do nothing",
        )
        .await?;
    let set = client
        .execute(
            &statement,
            &[
                &host_id,
                &at,
                &hash,
                &turn.key(),
                &told.kind,
                &told.msisdn.as_str(),
                &told.text,
                &told.expires_at,
            ],
        )
        .await?;
    Ok(set == 1)
}
