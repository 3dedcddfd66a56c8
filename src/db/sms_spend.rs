//! What SMS have cost, shared by all instances.

use std::time::Duration;

use deadpool_postgres::GenericClient;

use super::DbError;
use crate::sms::budget::Charge;

/// A purse that has not so much left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Empty {
    /// Its name.
    pub purse: String,
    /// Until it is full again.
    pub after: Duration,
}

/// Takes what a message costs out of all of its purses, or out of none of them.
///
/// # Errors
/// [`DbError`]
pub async fn spend(client: &impl GenericClient, charge: &Charge) -> Result<Option<Empty>, DbError> {
    let statement = client
        .prepare_cached("select empty, seconds from spend_on_sms($1, $2, $3, $4)")
        .await?;
    let (names, windows, mosts) = columns(charge);
    let row = client
        .query_opt(&statement, &[&names, &windows, &mosts, &charge.amount])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let seconds: f64 = row.try_get("seconds")?;
    Ok(Some(Empty {
        purse: row.try_get("empty")?,
        after: Duration::from_secs_f64(seconds.max(0.0)),
    }))
}

/// Gives it back: the message did not leave.
///
/// # Errors
/// [`DbError`]
pub async fn unspend(client: &impl GenericClient, charge: &Charge) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("select unspend_on_sms($1, $2, $3)")
        .await?;
    let (names, windows, _) = columns(charge);
    client
        .query(&statement, &[&names, &windows, &charge.amount])
        .await?;
    Ok(())
}

fn columns(charge: &Charge) -> (Vec<&str>, Vec<&str>, Vec<i64>) {
    let purses = charge.purses.iter();
    let names = purses.clone().map(|purse| purse.name.as_str()).collect();
    let windows = purses.clone().map(|purse| purse.window).collect();
    (names, windows, purses.map(|purse| purse.most).collect())
}
