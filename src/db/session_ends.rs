//! Finished sessions as aggregators report them.

use std::time::Duration;

use deadpool_postgres::{GenericClient, Transaction};

use super::DbError;
use super::effect::Turn;
use crate::phone::Msisdn;

/// How long the end of a session that is known to be over is its repetition: as long as sessions are kept.
pub const TOLD_AGAIN: Duration = Duration::from_secs(600);
/// How long the end of a session that was going on is one that a repetition has overtaken: no dialogue is over so soon.
pub const OVERTAKEN: Duration = Duration::from_secs(2);

/// One report. The texts are kept as received.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the table of the same name")]
pub struct SessionEndRow<'a> {
    pub aggregator: &'a str,
    pub session: &'a str,
    pub msisdn: Option<&'a Msisdn>,
    pub service_code: &'a str,
    pub operator: Option<&'a str>,
    /// `completed`, `abandoned`, `timeout` or `failed`.
    pub outcome: &'a str,
    pub hops: Option<i32>,
    pub duration_ms: Option<i32>,
    pub cost: Option<&'a str>,
    pub input: Option<&'a str>,
    pub last_reply: Option<&'a str>,
    pub error: Option<&'a str>,
}

/// Keeps a report; `false` when it was kept before, which then stays as it is. Ids come again: `was_live` tells that the
/// session went on until now, and so that an earlier end under its id is another's. In a transaction that ends with it.
///
/// # Errors
/// [`DbError`].
pub async fn insert_session_end(
    client: &Transaction<'_>,
    end: &SessionEndRow<'_>,
    was_live: bool,
) -> Result<bool, DbError> {
    let key = format!("session_end/{}/{}", end.aggregator, end.session);
    client
        .execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))",
            &[&key],
        )
        .await?;
    let told_within = if was_live { OVERTAKEN } else { TOLD_AGAIN };
    let statement = client
        .prepare_cached(
            "insert into session_end (aggregator, session, msisdn, service_code, operator, outcome, hops,
                 duration_ms, cost, input, last_reply, error)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
             where not exists (
                 select from session_end
                 where aggregator = $1 and session = $2 and msisdn is not distinct from $3
                   and at > clock_timestamp() - make_interval(secs => $13))",
        )
        .await?;
    let inserted = client
        .execute(
            &statement,
            &[
                &end.aggregator,
                &end.session,
                &end.msisdn.map(Msisdn::as_str),
                &end.service_code,
                &end.operator,
                &end.outcome,
                &end.hops,
                &end.duration_ms,
                &end.cost,
                &end.input,
                &end.last_reply,
                &end.error,
                &told_within.as_secs_f64(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// A dialogue that may be long over.
#[derive(Debug, Clone)]
pub struct Past<'a> {
    /// Any of its turns.
    pub turn: &'a Turn,
    /// Who dialled.
    pub msisdn: &'a Msisdn,
    /// The session in its resume point.
    pub key: &'a str,
    /// How long after its last call a dialogue is over.
    pub age_max: Duration,
}

/// Whether a dialogue is known to be over: what is kept of it is older than any dialogue.
///
/// # Errors
/// [`DbError`].
pub async fn is_past(client: &impl GenericClient, past: &Past<'_>) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "select exists (select from reservation
                            where turn_door = $1 and turn_session = $2
                              and created_at < now() - make_interval(secs => $5))
                 or exists (select from draft
                            where msisdn = $3 and session = $4
                              and saved_at < now() - make_interval(secs => $5)) as past",
        )
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &past.turn.door,
                &past.turn.session,
                &past.msisdn.as_str(),
                &past.key,
                &past.age_max.as_secs_f64(),
            ],
        )
        .await?;
    Ok(row.try_get("past")?)
}
