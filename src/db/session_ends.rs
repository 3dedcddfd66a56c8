//! Finished sessions as aggregators report them.

use deadpool_postgres::GenericClient;

use super::DbError;
use crate::phone::Msisdn;

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

/// Keeps a report; `false` when this session's was kept before, which then stays as it is.
///
/// # Errors
/// [`DbError`].
pub async fn insert_session_end(
    client: &impl GenericClient,
    end: &SessionEndRow<'_>,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "insert into session_end (aggregator, session, msisdn, service_code, operator, outcome, hops,
                 duration_ms, cost, input, last_reply, error)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing",
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
            ],
        )
        .await?;
    Ok(inserted == 1)
}
