//! How far callers came, by day and screen.

use chrono::NaiveDate;
use deadpool_postgres::GenericClient;
use serde::Serialize;

use super::DbError;
use crate::funnel::{Event, Row};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// First and last day.
    pub days: (NaiveDate, NaiveDate),
    /// Of this flow, aggregator, version, and in this language only.
    pub flow: Option<&'a str>,
    #[expect(missing_docs, reason = "said above")]
    pub aggregator: Option<&'a str>,
    #[expect(missing_docs, reason = "said above")]
    pub version: Option<&'a str>,
    #[expect(missing_docs, reason = "said above")]
    pub language: Option<&'a str>,
    /// What is told apart beside flow and screen.
    pub by: By,
}

/// What is told apart; the rest is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the table funnel")]
pub struct By {
    pub day: bool,
    pub version: bool,
    pub aggregator: bool,
    pub operator: bool,
    pub language: bool,
}

/// How often a screen was shown, and what became of it. What is not told apart is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in the table funnel")]
pub struct Screen {
    pub flow: String,
    pub screen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// Empty where the aggregator did not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    pub shown: i64,
    pub answered: i64,
    pub wrong: i64,
    pub timed_out: i64,
    pub resumed: i64,
    pub completed: i64,
    /// Shown, and nothing is known since: answered a moment later, or left without a word.
    pub open: i64,
}

/// Adds what was counted on this day.
///
/// # Errors
/// [`DbError`]; nothing is added then.
pub async fn add(
    client: &impl GenericClient,
    day: NaiveDate,
    rows: &[Row<'_>],
) -> Result<(), DbError> {
    // In one order, so that instances that add at once do not wait for each other in a circle.
    let statement = client
        .prepare_cached(
            "insert into funnel (day, flow, version, screen, place, aggregator, operator, language,
                 shown, answered, wrong, timed_out, resumed, completed)
             select $1, min(f), v, s, min(p), a, o, l, sum(n1), sum(n2), sum(n3), sum(n4), sum(n5), sum(n6)
             from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
                 $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
                 as counted(f, v, s, p, a, o, l, n1, n2, n3, n4, n5, n6)
             group by v, s, a, o, l
             order by v, s, a, o, l
             on conflict (day, version, screen, aggregator, operator, language) do update set
                 shown = funnel.shown + excluded.shown,
                 answered = funnel.answered + excluded.answered,
                 wrong = funnel.wrong + excluded.wrong,
                 timed_out = funnel.timed_out + excluded.timed_out,
                 resumed = funnel.resumed + excluded.resumed,
                 completed = funnel.completed + excluded.completed",
        )
        .await?;
    let counts =
        |event: Event| -> Vec<i64> { rows.iter().map(|row| row.counts[event as usize]).collect() };
    let places: Vec<i32> = rows.iter().map(|row| row.place).collect();
    client
        .execute(
            &statement,
            &[
                &day,
                &texts(rows, |row| row.flow),
                &texts(rows, |row| row.version),
                &texts(rows, |row| row.screen),
                &places,
                &texts(rows, |row| row.aggregator),
                &texts(rows, |row| row.operator),
                &texts(rows, |row| row.language),
                &counts(Event::Shown),
                &counts(Event::Answered),
                &counts(Event::Wrong),
                &counts(Event::TimedOut),
                &counts(Event::Resumed),
                &counts(Event::Completed),
            ],
        )
        .await?;
    Ok(())
}

fn texts<'a>(rows: &[Row<'a>], of: impl Fn(&Row<'a>) -> &'a str) -> Vec<&'a str> {
    rows.iter().map(of).collect()
}

/// Drops the days before this one.
///
/// # Errors
/// [`DbError`]
pub async fn forget(client: &impl GenericClient, before: NaiveDate) -> Result<(), DbError> {
    let statement = client
        .prepare_cached("delete from funnel where day < $1")
        .await?;
    client.execute(&statement, &[&before]).await?;
    Ok(())
}

/// Screens in the order of their flow, `most` at most.
///
/// # Errors
/// [`DbError`]
pub async fn list(
    client: &impl GenericClient,
    wanted: &Wanted<'_>,
    most: i64,
) -> Result<Vec<Screen>, DbError> {
    let statement = client
        .prepare_cached(
            "select flow, screen, min(place) as place, case when $7 then day end as day,
                 case when $8 then version end as version, case when $9 then aggregator end as aggregator,
                 case when $10 then operator end as operator, case when $11 then language end as language,
                 sum(shown)::bigint as shown, sum(answered)::bigint as answered, sum(wrong)::bigint as wrong,
                 sum(timed_out)::bigint as timed_out, sum(resumed)::bigint as resumed,
                 sum(completed)::bigint as completed
             from funnel
             where day between $1 and $2 and ($3::text is null or flow = $3)
                 and ($4::text is null or aggregator = $4) and ($5::text is null or version = $5)
                 and ($6::text is null or language = $6)
             group by flow, screen, 4, 5, 6, 7, 8
             order by 4, flow, 5, min(place), 6, 7, 8
             limit $12",
        )
        .await?;
    let (from, to) = wanted.days;
    let by = wanted.by;
    let rows = client
        .query(
            &statement,
            &[
                &from,
                &to,
                &wanted.flow,
                &wanted.aggregator,
                &wanted.version,
                &wanted.language,
                &by.day,
                &by.version,
                &by.aggregator,
                &by.operator,
                &by.language,
                &most,
            ],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &tokio_postgres::Row) -> Result<Screen, DbError> {
    let (shown, answered): (i64, i64) = (row.try_get("shown")?, row.try_get("answered")?);
    let (wrong, timed_out): (i64, i64) = (row.try_get("wrong")?, row.try_get("timed_out")?);
    let completed: i64 = row.try_get("completed")?;
    Ok(Screen {
        flow: row.try_get("flow")?,
        screen: row.try_get("screen")?,
        day: row.try_get("day")?,
        version: row.try_get("version")?,
        aggregator: row.try_get("aggregator")?,
        operator: row.try_get("operator")?,
        language: row.try_get("language")?,
        shown,
        answered,
        wrong,
        timed_out,
        resumed: row.try_get("resumed")?,
        completed,
        open: (shown - answered - wrong - timed_out - completed).max(0),
    })
}
