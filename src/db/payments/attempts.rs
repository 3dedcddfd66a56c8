//! Prompts: asked for in a turn, sent afterwards under a lease, and asked about until it is known what became of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use deadpool_postgres::GenericClient;
use rand::RngExt;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::booking::money::Money;
use crate::db::effect::{Cause, Turn};
use crate::db::reservations::{self, Reservation};
use crate::db::{DbError, read_currency, read_msisdn, unknown};
use crate::payment::{Failure, Paid};
use crate::phone::Msisdn;

/// The most prompts of one reservation. Source: fault M8 of the field requirements.
pub const ATTEMPTS_MAX: i32 = 3;
/// From the end of a turn to its prompt: a phone in a dialogue cannot show one. Source: row X-40.
pub const PROMPT_WAIT: Duration = Duration::from_secs(3);
/// How long a hold lasts at least from its first prompt on. Source: row S-21.
pub const HOLD_WHILE_PAYING: Duration = Duration::from_secs(600);
const SECRET_BYTES: usize = 16;

/// How much of a total a guest wants to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything that is left.
    All,
    /// The deposit, where the lodge takes one.
    Deposit,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Of which reservation.
    pub reservation_id: Uuid,
    /// How much of it.
    pub part: Part,
    /// Who asks the phone.
    pub provider: &'a str,
    /// Which phone.
    pub msisdn: &'a Msisdn,
    /// Minor units in a unit of the reservation's currency.
    pub minor_per_unit: i64,
    /// Turn and cause.
    pub turn: &'a Turn,
    /// Who wants it.
    pub cause: &'a Cause<'a>,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The prompt leaves soon, for this amount; or this turn had asked before.
    Asked(Money, Box<Reservation>),
    /// Another prompt of this reservation is under way.
    Open(Box<Reservation>),
    /// It is not held any more.
    Over(Box<Reservation>),
    /// Nothing is left to pay.
    Settled(Box<Reservation>),
    /// [`ATTEMPTS_MAX`] prompts were sent.
    TooOften(Box<Reservation>),
    /// There is none with this id.
    NotFound,
}

/// Asks for money.
///
/// # Errors
/// [`DbError`]; calling again with the same turn is harmless.
pub async fn ask(client: &impl GenericClient, ask: &Ask<'_>) -> Result<Asked, DbError> {
    let statement = client
        .prepare_cached(
            "select a.outcome, a.amount, (a.shown).*
             from ask_payment($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, make_interval(secs => $11),
                              make_interval(secs => $12), $13) a",
        )
        .await?;
    let part = match ask.part {
        Part::All => "all",
        Part::Deposit => "deposit",
    };
    let minor_per_unit = i32::try_from(ask.minor_per_unit).unwrap_or(i32::MAX);
    let row = client
        .query_one(
            &statement,
            &[
                &Uuid::new_v4(),
                &secret(),
                &ask.reservation_id,
                &part,
                &ask.provider,
                &ask.msisdn.as_str(),
                &minor_per_unit,
                &ask.turn.key(),
                &ask.cause.who,
                &ask.cause.channel,
                &PROMPT_WAIT.as_secs_f64(),
                &HOLD_WHILE_PAYING.as_secs_f64(),
                &ATTEMPTS_MAX,
            ],
        )
        .await?;
    let outcome: &str = row.try_get("outcome")?;
    if outcome == "not_found" {
        return Ok(Asked::NotFound);
    }
    let shown = Box::new(reservations::from_row(&row)?);
    Ok(match outcome {
        "asked" | "again" => {
            let amount = Money {
                minor: row.try_get("amount")?,
                currency: shown.total.currency,
            };
            Asked::Asked(amount, shown)
        }
        "open" => Asked::Open(shown),
        "over" => Asked::Over(shown),
        "settled" => Asked::Settled(shown),
        "too_often" => Asked::TooOften(shown),
        _ => return Err(unknown("outcome")),
    })
}

/// Nobody guesses it, and it holds no word that a provider refuses in a URL.
pub(super) fn secret() -> String {
    let bytes: [u8; SECRET_BYTES] = rand::rng().random();
    HEXLOWER.encode(&bytes)
}

/// Where a claimed attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not sent yet.
    Due,
    /// Sent, or perhaps sent: ask.
    Pending,
}

/// An attempt that this process may work on until its lease ends.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Our key.
    pub attempt_id: Uuid,
    /// Proves that nobody has claimed it since.
    pub lease_token: i64,
    /// What is to be done.
    pub stage: Stage,
    /// Of which reservation.
    pub reservation_id: Uuid,
    /// Its code's digits.
    pub code: String,
    /// By whom.
    pub provider: String,
    /// Which phone.
    pub msisdn: Msisdn,
    /// How much.
    pub amount: Money,
    /// In the URL of its callback.
    pub secret: String,
    /// The provider's id, where it gave one.
    pub provider_id: Option<String>,
    /// The receipt that a callback told.
    pub heard_receipt: Option<String>,
    /// How much a callback told of, in minor units.
    pub heard_amount: Option<i64>,
    /// How often the provider was asked.
    pub asked: i32,
    /// Since it was asked for.
    pub age: Duration,
    /// Whether the guest's hold is over.
    pub hold_is_over: bool,
    /// Whether somebody was alarmed about it.
    pub alarmed: bool,
}

/// Claims up to `limit` attempts that are due. One whose lease ended while it was being sent may have reached the phone:
/// it comes back as pending.
///
/// Not inside a transaction: a claim holds against other processes only when committed.
///
/// # Errors
/// [`DbError`]
pub async fn claim_due(
    client: &impl GenericClient,
    limit: i64,
    lease: Duration,
) -> Result<Vec<Claimed>, DbError> {
    let statement = client
        .prepare_cached(
            "with due as materialized (
                 select attempt_id from payment_attempt
                 where status in ('due', 'prompting', 'pending') and due_at <= now()
                 order by due_at limit $1 for update skip locked)
             update payment_attempt a set
                 status = case a.status when 'due' then 'prompting' else 'pending' end,
                 prompted_at = coalesce(a.prompted_at, now()),
                 due_at = now() + make_interval(secs => $2),
                 lease_token = a.lease_token + 1
             from due, reservation r
             where a.attempt_id = due.attempt_id and r.reservation_id = a.reservation_id
             returning a.attempt_id, a.lease_token, a.status = 'prompting' as fresh, a.reservation_id, r.code, a.provider,
                 a.msisdn, a.amount, a.currency, a.secret, a.provider_id, a.heard_receipt, a.heard_amount, a.asked,
                 extract(epoch from now() - a.created_at)::float8 as age,
                 coalesce(r.hold_expires_at <= now(), false) as hold_is_over, a.alarmed_at is not null as alarmed",
        )
        .await?;
    client
        .query(&statement, &[&limit, &lease.as_secs_f64()])
        .await?
        .iter()
        .map(claimed_from_row)
        .collect()
}

fn claimed_from_row(row: &Row) -> Result<Claimed, DbError> {
    let fresh: bool = row.try_get("fresh")?;
    Ok(Claimed {
        attempt_id: row.try_get("attempt_id")?,
        lease_token: row.try_get("lease_token")?,
        stage: if fresh { Stage::Due } else { Stage::Pending },
        reservation_id: row.try_get("reservation_id")?,
        code: row.try_get("code")?,
        provider: row.try_get("provider")?,
        msisdn: read_msisdn(row, "msisdn")?,
        amount: Money {
            minor: row.try_get("amount")?,
            currency: read_currency(row)?,
        },
        secret: row.try_get("secret")?,
        provider_id: row.try_get("provider_id")?,
        heard_receipt: row.try_get("heard_receipt")?,
        heard_amount: row.try_get("heard_amount")?,
        asked: row.try_get("asked")?,
        age: Duration::from_secs_f64(row.try_get::<_, f64>("age")?.max(0.0)),
        hold_is_over: row.try_get("hold_is_over")?,
        alarmed: row.try_get("alarmed")?,
    })
}

/// What becomes of a claimed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The phone may have been asked: ask the provider what became of it.
    Ask {
        /// From now.
        after: Duration,
        /// The provider's id, where it gave one now.
        provider_id: Option<String>,
        /// A short word.
        reason: Option<String>,
        /// Whether the provider was asked just now.
        counts: bool,
        /// Whether somebody is alarmed about it now.
        alarm: bool,
    },
    /// The phone was not asked: try again.
    Prompt {
        /// From now.
        after: Duration,
        /// A short word.
        reason: String,
    },
    /// No money by this prompt.
    Failed(Failure),
}

/// Writes down what becomes of a claimed attempt. False: somebody else has claimed it since, or it was paid meanwhile.
///
/// # Errors
/// [`DbError`]
pub async fn complete(
    client: &impl GenericClient,
    claimed: &Claimed,
    next: &Next,
) -> Result<bool, DbError> {
    let (status, after, provider_id, reason, failure, asked, alarm) = match next {
        Next::Ask {
            after,
            provider_id,
            reason,
            counts,
            alarm,
        } => (
            "pending",
            *after,
            provider_id.as_deref(),
            reason.as_deref(),
            None,
            i32::from(*counts),
            *alarm,
        ),
        Next::Prompt { after, reason } => {
            ("due", *after, None, Some(reason.as_str()), None, 0, false)
        }
        Next::Failed(failure) => (
            "failed",
            Duration::ZERO,
            None,
            None,
            Some(failure.word()),
            0,
            false,
        ),
    };
    let statement = client
        .prepare_cached(
            "update payment_attempt set status = $3, provider_id = coalesce(provider_id, $5), reason = $6, failure = $7,
                 asked = asked + $8, alarmed_at = case when $9 then now() else alarmed_at end,
                 -- What a callback has told meanwhile does not wait.
                 due_at = case when heard_paid and asked = 0 and $3 = 'pending' then now()
                               else now() + make_interval(secs => $4) end
             where attempt_id = $1 and lease_token = $2 and status in ('prompting', 'pending')",
        )
        .await?;
    let written = client
        .execute(
            &statement,
            &[
                &claimed.attempt_id,
                &claimed.lease_token,
                &status,
                &after.as_secs_f64(),
                &provider_id,
                &reason,
                &failure,
                &asked,
                &alarm,
            ],
        )
        .await?;
    Ok(written == 1)
}

/// A callback about an attempt: by its secret, else by the provider's id. It is only a hint, upon which the provider is
/// asked at once. `None`: no such attempt.
///
/// # Errors
/// [`DbError`]
pub async fn hear(
    client: &impl GenericClient,
    provider: &str,
    secret: &str,
    provider_id: &str,
    paid: Option<&Paid>,
) -> Result<Option<Uuid>, DbError> {
    // A failed attempt is asked about again only where it may have been paid after all.
    let statement = client
        .prepare_cached(
            "update payment_attempt a set
                 heard_paid = heard_paid or $5, heard_receipt = coalesce(heard_receipt, $4),
                 heard_amount = coalesce(heard_amount, $7),
                 provider_id = coalesce(a.provider_id, nullif($3, '')),
                 status = case when a.status = 'failed' and $5 and not a.heard_paid
                               and not exists (select from payment_attempt o where o.reservation_id = a.reservation_id
                                               and o.status in ('due', 'prompting', 'pending'))
                          then 'pending' else a.status end,
                 due_at = case when a.status in ('pending', 'failed') then now() else a.due_at end
             where a.provider = $1 and (a.secret = $2 or ($2 = '' and (a.provider_id = $3 or a.attempt_id = $6)))
             returning a.attempt_id",
        )
        .await?;
    let row = client
        .query_opt(
            &statement,
            &[
                &provider,
                &secret,
                &provider_id,
                &paid.and_then(|paid| paid.receipt.as_deref()),
                &paid.is_some(),
                // Where it is our own key.
                &Uuid::parse_str(provider_id).ok(),
                &paid
                    .and_then(|paid| paid.amount)
                    .map(|amount| amount.minor)
                    .filter(|minor| *minor > 0),
            ],
        )
        .await?;
    Ok(row.map(|row| row.try_get("attempt_id")).transpose()?)
}

/// The last attempt of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// Whether it is still open.
    pub open: bool,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it was asked for.
    pub at: DateTime<Utc>,
}

/// The last attempt of a reservation, for the first words of a redial.
///
/// # Errors
/// [`DbError`]
pub async fn find_last(
    client: &impl GenericClient,
    reservation_id: Uuid,
) -> Result<Option<LastAttempt>, DbError> {
    let statement = client
        .prepare_cached(
            "select status, failure, created_at from payment_attempt where reservation_id = $1
             order by created_at desc limit 1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&reservation_id]).await?;
    row.map(|row| {
        let status: &str = row.try_get("status")?;
        let failure: Option<&str> = row.try_get("failure")?;
        Ok(LastAttempt {
            open: !matches!(status, "paid" | "failed"),
            failure: failure.and_then(Failure::find),
            at: row.try_get("created_at")?,
        })
    })
    .transpose()
}

/// How the last prompt on a phone stands.
#[derive(Debug, Clone)]
pub struct News {
    /// For what.
    pub reservation: Reservation,
    /// How much it asked for.
    pub amount: Money,
    /// Where it stands.
    pub stand: Stand,
}

/// Where a prompt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// The phone asks, or is about to.
    Waiting,
    /// Nobody has heard for a while.
    Checking,
    /// The money has come.
    Paid,
    /// It brought no money.
    Failed,
}

/// The last prompt on a phone, while it is open or was asked for within `age_max`; it is waited for within `waiting_max`.
///
/// # Errors
/// [`DbError`]
pub async fn find_news(
    client: &impl GenericClient,
    msisdn: &Msisdn,
    age_max: Duration,
    waiting_max: Duration,
) -> Result<Option<News>, DbError> {
    let statement = client
        .prepare_cached(
            "select a.amount as asked_for, case when a.status in ('paid', 'failed') then a.status
                        when a.created_at > now() - make_interval(secs => $3) then 'waiting' else 'checking' end as stand,
                    v.*
             from payment_attempt a join reservation_shown v on v.reservation_id = a.reservation_id
             where a.msisdn = $1 and (a.status in ('due', 'prompting', 'pending')
                                      or a.created_at > now() - make_interval(secs => $2))
             order by a.created_at desc limit 1",
        )
        .await?;
    let ages = (age_max.as_secs_f64(), waiting_max.as_secs_f64());
    let row = client
        .query_opt(&statement, &[&msisdn.as_str(), &ages.0, &ages.1])
        .await?;
    row.map(|row| {
        let reservation = reservations::from_row(&row)?;
        Ok(News {
            amount: Money {
                minor: row.try_get("asked_for")?,
                currency: reservation.total.currency,
            },
            stand: match row.try_get("stand")? {
                "waiting" => Stand::Waiting,
                "checking" => Stand::Checking,
                "paid" => Stand::Paid,
                "failed" => Stand::Failed,
                _ => return Err(unknown("stand")),
            },
            reservation,
        })
    })
    .transpose()
}
