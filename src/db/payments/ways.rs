//! The ways in which a reservation can be paid, and those that need no prompt.

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::booking::money::Money;
use crate::db::effect::{Cause, Draft, Turn};
use crate::db::life::Moved;
use crate::db::reservations::{self, Reservation};
use crate::db::{DbError, read_currency, unknown};

/// What can be done about paying for a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// What is left of the total.
    pub left: Money,
    /// What is enough for now, where the lodge takes a part first.
    pub deposit: Option<Money>,
    /// Whether the guest may pay on arrival after all.
    pub at_lodge: bool,
    /// Whether a prompt is under way.
    pub open: bool,
    /// Whether its hold has ended.
    pub over: bool,
}

/// What can be done about paying for a reservation. `None`: there is none with this id.
///
/// # Errors
/// [`DbError`]
pub async fn find_ways(
    client: &impl GenericClient,
    reservation_id: Uuid,
    minor_per_unit: i64,
) -> Result<Option<Ways>, DbError> {
    let statement = client
        .prepare_cached(
            "select r.currency, r.total - r.paid as left, r.status in ('held', 'paying') and p.deposit_percent > 0
                        and r.paid < d.deposit as partly, d.deposit - r.paid as deposit,
                    can_pay_at_lodge(r) as at_lodge,
                    coalesce(r.hold_expires_at <= now(), false) as over,
                    exists (select from payment_attempt a where a.reservation_id = r.reservation_id
                            and a.status in ('due', 'prompting', 'pending')) as open
             from reservation r join property p on p.property_id = r.property_id
             cross join lateral (select deposit_of(r.total, p.deposit_percent, $2) as deposit) d
             where r.reservation_id = $1",
        )
        .await?;
    let minor_per_unit = i32::try_from(minor_per_unit).unwrap_or(i32::MAX);
    let row = client
        .query_opt(&statement, &[&reservation_id, &minor_per_unit])
        .await?;
    row.map(|row| {
        let currency = read_currency(&row)?;
        let money = |minor| Money { minor, currency };
        let partly: bool = row.try_get("partly")?;
        Ok(Ways {
            left: money(row.try_get("left")?),
            deposit: if partly {
                Some(money(row.try_get("deposit")?))
            } else {
                None
            },
            at_lodge: row.try_get("at_lodge")?,
            open: row.try_get("open")?,
            over: row.try_get("over")?,
        })
    })
    .transpose()
}

/// The guest pays by typing the number of a pay bill: the hold is as long as the property allows for that, however often
/// this is called. The reservation as it is then; `None`: there is none with this id.
///
/// # Errors
/// [`DbError`]
pub async fn hold_by_hand(
    client: &impl GenericClient,
    reservation_id: Uuid,
) -> Result<Option<Reservation>, DbError> {
    let statement = client
        .prepare_cached("select * from hold_by_hand($1)")
        .await?;
    client
        .query_opt(&statement, &[&reservation_id])
        .await?
        .as_ref()
        .map(reservations::from_row)
        .transpose()
}

/// The guest pays on arrival, where the lodge that wants money first takes that too.
///
/// # Errors
/// [`DbError`]; the same turn again tells what happened.
pub async fn pay_at_lodge(
    client: &impl GenericClient,
    reservation_id: Uuid,
    cause: &Cause<'_>,
    turn: &Turn,
    drafts: &[Draft],
) -> Result<Moved, DbError> {
    let outbox = serde_json::to_value(drafts).map_err(|e| DbError::Refused(e.into()))?;
    let statement = client
        .prepare_cached("select pay_at_lodge($1, $2, $3, $4, $5) as outcome")
        .await?;
    let row = client
        .query_one(
            &statement,
            &[
                &reservation_id,
                &cause.who,
                &cause.channel,
                &turn.key(),
                &outbox,
            ],
        )
        .await?;
    Ok(match row.try_get("outcome")? {
        "done" | "again" => Moved::Done,
        "refused" | "not_allowed" => Moved::Refused,
        "taken" => Moved::Taken,
        "not_found" => Moved::NotFound,
        _ => return Err(unknown("outcome")),
    })
}
