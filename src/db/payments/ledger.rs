//! Whether the money adds up: the ledger against payments, reservations and refunds, and against a provider's statement.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::{Client, GenericClient};

use crate::booking::money::Money;
use crate::db::{DbError, begin_unhurried, read_currency};
use crate::payment::statement::Entry;

/// The most faults that are told one by one.
const FAULTS_MAX: i64 = 100;
/// How long a check may take.
const CHECK_MAX: Duration = Duration::from_secs(60);

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which rule it breaks.
    pub rule: String,
    /// What it is about and by how much.
    pub what: String,
}

/// Everything that does not add up; nothing when all does. Rules: every payment is in the ledger once and in full; no
/// account of a payment is below zero; what stands applied is what reservations have; what is to go back has its refund;
/// a confirmed reservation that wants money first has what it wants; no attempt is open longer than a day unseen.
///
/// # Errors
/// [`DbError`]
pub async fn list_faults(client: &mut Client) -> Result<Vec<Fault>, DbError> {
    let transaction = begin_unhurried(client, CHECK_MAX).await?;
    let faults = money_faults(&transaction, FAULTS_MAX).await?;
    transaction.commit().await?;
    Ok(faults)
}

/// The same within a transaction of the caller's; at most `limit`.
pub(crate) async fn money_faults(
    client: &impl GenericClient,
    limit: i64,
) -> Result<Vec<Fault>, DbError> {
    let rows = client
        .query("select rule, what from money_faults() limit $1", &[&limit])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Fault {
                rule: row.try_get("rule")?,
                what: row.try_get("what")?,
            })
        })
        .collect()
}

/// What stands in an account of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// `paid`, `unallocated`, `applied`, `refund_due` or `refunded`.
    pub account: String,
    /// How much; `paid` is all that ever came.
    pub amount: Money,
}

/// Every account that holds something, by currency.
///
/// # Errors
/// [`DbError`]
pub async fn list_balances(client: &impl GenericClient) -> Result<Vec<Balance>, DbError> {
    let statement = client
        .prepare_cached(
            "select account, currency, sum(amount)::bigint as amount
             from (select debit as account, currency, case debit when 'paid' then amount else -amount end as amount
                   from ledger
                   union all select credit, currency, amount from ledger) side
             group by account, currency order by currency, account",
        )
        .await?;
    client
        .query(&statement, &[])
        .await?
        .iter()
        .map(|row| {
            Ok(Balance {
                account: row.try_get("account")?,
                amount: Money {
                    minor: row.try_get("amount")?,
                    currency: read_currency(row)?,
                },
            })
        })
        .collect()
}

/// The payments of a provider in a time.
///
/// # Errors
/// [`DbError`]
pub async fn list_entries(
    client: &impl GenericClient,
    provider: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Entry>, DbError> {
    let statement = client
        .prepare_cached(
            "select coalesce(receipt, '') as receipt, amount, currency from payment
             where provider = $1 and paid_at >= $2 and paid_at < $3 order by paid_at, receipt",
        )
        .await?;
    client
        .query(&statement, &[&provider, &from, &to])
        .await?
        .iter()
        .map(|row| {
            Ok(Entry {
                receipt: row.try_get("receipt")?,
                amount: Money {
                    minor: row.try_get("amount")?,
                    currency: read_currency(row)?,
                },
            })
        })
        .collect()
}
