//! What has changed since a number of the log.

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::properties::{PropertyRow, from_row, with_calendar};
use super::{CHANGES_KEPT, read_numbered};
use crate::db::DbError;
use chrono::NaiveDate;

/// One thing that is otherwise than it was.
#[derive(Debug, Clone)]
pub enum Changed {
    /// A property as it is now.
    Property(Box<PropertyRow>),
    /// A property that is not shown any more, by its short id.
    Gone(String),
    /// Some place; which one is not told.
    Places,
}

/// What has changed, the longest ago first.
#[derive(Debug, Clone)]
pub struct FoundChanges {
    /// Each with the number of its last change. Each thing is there once.
    pub changed: Vec<(i64, Changed)>,
    /// The number of the last change of anything that the API shows.
    pub version: i64,
}

impl FoundChanges {
    /// Whether what was asked for is further back than is kept, or was never told by this database.
    pub fn is_lost(&self, since: i64) -> bool {
        since > self.version || since < self.version - CHANGES_KEPT
    }
}

/// At most `limit` changes with numbers after `since`, of one town or all. Where [`FoundChanges::is_lost`] they are not all.
///
/// # Errors
/// [`DbError`].
pub async fn list_changes(
    client: &impl GenericClient,
    since: i64,
    town: Option<&str>,
    nights: (NaiveDate, NaiveDate),
    limit: i64,
) -> Result<FoundChanges, DbError> {
    let statement = client
        .prepare_cached(with_calendar!(
            "select p.*, null::bigint as stay_total, null::bigint as distance, c.version as rank,
                    case when p.property_id is null then c.short_id end as gone
             from (select property_id, max(version) as version, max(short_id) as short_id
                   from catalogue_change
                   where version > greatest($3, (select max(version) from catalogue_change) - $6)
                     and ($4::text is null or town = $4)
                   group by property_id order by 2 limit $5) c
             left join property p on p.property_id = c.property_id and p.open and ($4::text is null or p.town = $4)"
        ))
        .await?;
    let values: [&(dyn ToSql + Sync); 6] =
        [&nights.0, &nights.1, &since, &town, &limit, &CHANGES_KEPT];
    let rows = read_numbered(client, &statement, &values).await?;
    let version = rows.first().map_or(Ok(0), |row| row.try_get("head"))?;
    let mut changed = Vec::with_capacity(rows.len());
    for row in &rows {
        // Where nothing has changed there is one row, for the version.
        let Some(number) = row.try_get::<_, Option<i64>>("rank")? else {
            continue;
        };
        let what = if row.try_get::<_, Option<Uuid>>("property_id")?.is_some() {
            Changed::Property(Box::new(from_row(row, nights.0)?))
        } else if let Some(short_id) = row.try_get("gone")? {
            Changed::Gone(short_id)
        } else {
            Changed::Places
        };
        changed.push((number, what));
    }
    Ok(FoundChanges { changed, version })
}
