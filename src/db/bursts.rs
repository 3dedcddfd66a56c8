//! Many unpaid holds of one property from numbers alike: somebody may be keeping others out with a box of SIM cards.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::db::DbError;

/// Digits at the end of a number that those of one box differ in.
const DIGITS_APART: i32 = 4;
/// The most bursts that are told one by one.
const BURSTS_MAX: i64 = 50;

/// Numbers alike that hold one property unpaid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Burst {
    /// Of which property.
    pub property_id: Uuid,
    /// What the numbers have in common.
    pub prefix: String,
    /// How many numbers.
    pub numbers: i64,
}

/// Properties that at least `numbers_min` numbers alike, none of which has stayed before, hold unpaid since within `time`.
///
/// # Errors
/// [`DbError`]
pub async fn list(
    client: &impl GenericClient,
    time: Duration,
    numbers_min: i64,
) -> Result<Vec<Burst>, DbError> {
    let statement = client
        .prepare_cached(
            "select r.property_id, left(r.msisdn, length(r.msisdn) - $3) as prefix, count(distinct r.msisdn) as numbers
             from reservation r
             where r.status in ('held', 'paying') and r.paid = 0 and r.created_at > now() - make_interval(secs => $1)
               and not exists (select from reservation s where s.msisdn = r.msisdn and s.status in ('checked_in', 'completed'))
             group by 1, 2 having count(distinct r.msisdn) >= $2 order by 3 desc limit $4",
        )
        .await?;
    client
        .query(
            &statement,
            &[
                &time.as_secs_f64(),
                &numbers_min,
                &DIGITS_APART,
                &BURSTS_MAX,
            ],
        )
        .await?
        .iter()
        .map(|row| {
            Ok(Burst {
                property_id: row.try_get("property_id")?,
                prefix: row.try_get("prefix")?,
                numbers: row.try_get("numbers")?,
            })
        })
        .collect()
}
