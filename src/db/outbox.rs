//! SMS out and in: the outbox, the reports on it, and what subscribers write.
//!
//! A row is written in the transaction that causes it and sent afterwards. Times are the database's own, so that
//! several processes agree on what is due. A row waits in `pending`, `sending` (until its lease ends) or `unknown`
//! until `due_at`; in every other state it is done with but for reports.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use serde::Serialize;

use super::DbError;
use crate::phone::Msisdn;
use crate::sms::ids::IdForm;
use crate::sms::{DeliveryReport, InboundSms, Part};
use crate::ussd::transcript::kept;

/// How long the parts of a long message wait for each other. Source: fault S14 of the field requirements.
pub const JOIN_WAIT: Duration = Duration::from_secs(600);

/// SQL for the rank of a status, as [`crate::sms::DeliveryStatus::rank`] has it.
macro_rules! rank {
    ($status:literal) => {
        concat!(
            "(case ",
            $status,
            " when 'sent' then 1 when 'buffered' then 2 when 'unconfirmed' then 2 when 'delivered' then 3 when 'failed' then 3 when 'expired' then 3 else 0 end)"
        )
    };
}

/// A row that this process may send until its lease ends.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The row.
    pub outbox_id: i64,
    /// Proves in [`complete`] that nobody has claimed it since.
    pub lease_token: i64,
    /// Which attempt this is, from 1.
    pub attempts: i32,
    /// How many earlier attempts ended without an answer.
    pub unknowns: i32,
    /// Who gets it, as stored.
    pub msisdn: String,
    /// The text.
    pub text: String,
    /// What it is about.
    pub kind: String,
    /// The route that the attempt before took.
    pub route: Option<String>,
    /// Time since it was written.
    pub age: Duration,
}

/// The way that an attempt took.
#[derive(Debug, Clone, Copy)]
pub struct Via<'a> {
    /// Who carried it.
    pub provider: &'a str,
    /// By which account and settings.
    pub route: &'a str,
}

/// What [`claim_due`] found.
#[derive(Debug, Default)]
pub struct Due {
    /// Rows to send now.
    pub claimed: Vec<Claimed>,
    /// Rows that were given up, since they had expired.
    pub expired: usize,
}

/// What becomes of a claimed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it.
    Accepted {
        /// Empty when the provider gave none.
        provider_id: String,
    },
    /// Not sent; again later.
    Retry {
        /// Counted from now; never beyond the row's own end.
        after: Duration,
        /// A short word.
        reason: String,
    },
    /// Not tried: the provider takes nothing from us. The attempt does not count.
    Paused {
        /// Counted from now.
        after: Duration,
        /// A short word.
        reason: String,
    },
    /// May or may not be sent.
    Unknown {
        /// When to send it again; `None`: never.
        resend_after: Option<Duration>,
        /// A short word.
        reason: String,
    },
    /// Never to be tried again.
    Failed {
        /// A short word.
        reason: String,
    },
}

/// A message that the provider has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentSms {
    /// What the phone shows.
    pub text: String,
    /// When the provider took it.
    pub at: DateTime<Utc>,
    /// `accepted`, or what the last report says.
    pub status: String,
    /// What it is about.
    pub kind: String,
}

/// Claims up to `limit` due rows for `lease`, guests' before hosts' before reminders, and gives up those past their end. A row whose lease ended unanswered
/// counts as an attempt that may have reached the phone; so does one that expires meanwhile, which stays `unknown`.
///
/// Not inside a transaction: a claim holds against other processes only when committed.
///
/// # Errors
/// [`DbError`]
pub async fn claim_due(
    client: &impl GenericClient,
    limit: usize,
    lease: Duration,
) -> Result<Due, DbError> {
    // Materialized: a limit that locks must run once, whatever the planner thinks of joining it.
    let statement = client
        .prepare_cached(
            "with due as materialized (
                 select outbox_id from outbox
                 where status in ('pending', 'sending', 'unknown') and due_at <= now()
                 order by priority, due_at limit $1 for update skip locked)
             update outbox set
                 status = case when expires_at > now() then 'sending' when status = 'pending' then 'dropped' else 'unknown' end,
                 reason = case when expires_at > now() then reason else 'expired' end,
                 attempts = attempts + (expires_at > now())::int,
                 unknowns = unknowns + (status = 'sending')::int,
                 due_at = case when expires_at > now() then now() + make_interval(secs => $2::float8) else 'infinity' end,
                 lease_until = case when expires_at > now() then now() + make_interval(secs => $2::float8) end,
                 lease_token = lease_token + 1
             from due where outbox.outbox_id = due.outbox_id
             returning outbox.outbox_id, status, lease_token, attempts, unknowns, msisdn, text, kind, route,
                 extract(epoch from now() - created_at)::float8 as age",
        )
        .await?;
    let rows = client
        .query(&statement, &[&(limit as i64), &lease.as_secs_f64()])
        .await?;
    let mut due = Due::default();
    for row in rows {
        match row.get("status") {
            "sending" => due.claimed.push(Claimed::from_row(&row)),
            _ => due.expired += 1,
        }
    }
    Ok(due)
}

impl Claimed {
    fn from_row(row: &tokio_postgres::Row) -> Claimed {
        Claimed {
            outbox_id: row.get("outbox_id"),
            lease_token: row.get("lease_token"),
            attempts: row.get("attempts"),
            unknowns: row.get("unknowns"),
            msisdn: row.get("msisdn"),
            text: row.get("text"),
            kind: row.get("kind"),
            route: row.get("route"),
            age: Duration::from_secs_f64(row.get::<_, f64>("age").max(0.0)),
        }
    }
}

/// Writes down what became of a claimed row, and applies reports that came first. `false`: the lease had ended and
/// someone else has claimed the row since, or a report has settled it; nothing was written.
///
/// Not inside a transaction, as [`record_report`].
///
/// # Errors
/// [`DbError`]
pub async fn complete(
    client: &impl GenericClient,
    claimed: &Claimed,
    via: Via<'_>,
    outcome: &Outcome,
) -> Result<bool, DbError> {
    let (status, after, reason, id) = match outcome {
        Outcome::Accepted { provider_id } => ("accepted", None, None, Some(provider_id.as_str())),
        Outcome::Retry { after, reason } | Outcome::Paused { after, reason } => {
            ("pending", Some(*after), Some(reason), None)
        }
        Outcome::Unknown {
            resend_after,
            reason,
        } => ("unknown", *resend_after, Some(reason), None),
        Outcome::Failed { reason } => ("failed", None, Some(reason), None),
    };
    let uncounted = i32::from(matches!(outcome, Outcome::Paused { .. }));
    let unknown = i32::from(matches!(outcome, Outcome::Unknown { .. }));
    let id = id.map(comparable_id).filter(|id| !id.is_empty());
    let statement = client
        .prepare_cached(
            "update outbox set
                 status = $3,
                 due_at = case when $4::float8 is null then 'infinity'
                               else least(now() + make_interval(secs => $4), expires_at) end,
                 reason = $5,
                 provider = $6,
                 provider_id = $7,
                 attempts = attempts - $8,
                 unknowns = unknowns + $9,
                 route = $10,
                 sent_at = case when $3 = 'accepted' then now() end,
                 lease_until = null
             where outbox_id = $1 and lease_token = $2 and status = 'sending'",
        )
        .await?;
    let written = client
        .execute(
            &statement,
            &[
                &claimed.outbox_id,
                &claimed.lease_token,
                &status,
                &after.map(|after| after.as_secs_f64()),
                &reason,
                &via.provider,
                &id,
                &uncounted,
                &unknown,
                &via.route,
            ],
        )
        .await?;
    if let (1, Some(id)) = (written, &id) {
        apply_reports_on(client, via.provider, id).await?;
    }
    Ok(written == 1)
}

/// Keeps a delivery report and moves its message up, never down. One that comes before the send call's own answer
/// has been stored waits for it; a repeated or overtaken one changes nothing.
///
/// A message whose send call got no answer has no id to be found by. The first report with an unknown id that names our
/// own id, or else its number, says that it was sent after all; the number only if no other message to it is on its way.
///
/// Not inside a transaction: this and [`complete`] each store their own part, commit, and look for the other's, so
/// that one of them sees both.
///
/// # Errors
/// [`DbError`]
pub async fn record_report(
    client: &impl GenericClient,
    provider: &str,
    report: &DeliveryReport,
) -> Result<(), DbError> {
    let id = comparable_id(&report.provider_id);
    let reference = report.reference.as_ref().and_then(|ours| ours.parse().ok());
    if let Some(outbox_id) = reference {
        adopt_referred(client, provider, &id, outbox_id).await?;
    } else if let Some(msisdn) = &report.msisdn {
        adopt_unknown(client, provider, &id, msisdn).await?;
    }
    let statement = client
        .prepare_cached(concat!(
            "insert into delivery_report (provider, provider_id, status, reason)
             select $1, $2, $3, $4
             where not exists (select from outbox where provider = $1 and provider_id = $2 and ",
            rank!("status"),
            " >= $5)
             and not exists (select from delivery_report
                             where provider = $1 and provider_id = $2 and status = $3 and not matched)"
        ))
        .await?;
    let (word, rank) = (report.status.word(), report.status.rank());
    let reason = report.reason.as_deref().map(storable);
    client
        .execute(&statement, &[&provider, &id, &word, &reason, &rank])
        .await?;
    apply_reports_on(client, provider, &id).await
}

async fn adopt_referred(
    client: &impl GenericClient,
    provider: &str,
    id: &str,
    outbox_id: i64,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update outbox set status = 'accepted', provider_id = $2, reason = null, due_at = 'infinity', sent_at = now()
             where outbox_id = $3 and status = 'unknown' and provider = $1",
        )
        .await?;
    client
        .execute(&statement, &[&provider, &id, &outbox_id])
        .await?;
    Ok(())
}

async fn adopt_unknown(
    client: &impl GenericClient,
    provider: &str,
    id: &str,
    msisdn: &Msisdn,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(
            "update outbox set status = 'accepted', provider_id = $2, reason = null, due_at = 'infinity', sent_at = now()
             where status = 'unknown' and provider = $1
               and not exists (select from outbox where provider = $1 and provider_id = $2)
               and outbox_id = (select min(outbox_id) from outbox
                                where msisdn = $3 and status in ('unknown', 'sending')
                                  and created_at > now() - interval '3 days'
                                having count(*) = 1)",
        )
        .await?;
    client
        .execute(&statement, &[&provider, &id, &msisdn.as_str()])
        .await?;
    Ok(())
}

/// SQL that matches waiting reports to their messages and moves each message to the highest rank among them.
macro_rules! apply {
    ($which:literal) => {
        concat!(
            "with report as (
                 update delivery_report set matched = true
                 from outbox
                 where not delivery_report.matched
                   and outbox.provider = delivery_report.provider
                   and outbox.provider_id = delivery_report.provider_id ",
            $which,
            " returning delivery_report_id, outbox_id, delivery_report.status, delivery_report.reason, at),
             best as (
                 select distinct on (outbox_id) * from report order by outbox_id, ",
            rank!("status"),
            " desc, delivery_report_id)
             update outbox set status = best.status, reason = best.reason, reported_at = best.at
             from best
             where outbox.outbox_id = best.outbox_id and ",
            rank!("best.status"),
            " > ",
            rank!("outbox.status")
        )
    };
}

async fn apply_reports_on(
    client: &impl GenericClient,
    provider: &str,
    id: &str,
) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(apply!(
            "and delivery_report.provider = $1 and delivery_report.provider_id = $2"
        ))
        .await?;
    client.execute(&statement, &[&provider, &id]).await?;
    Ok(())
}

/// Applies the reports of the last week that still wait though their message is known: a process died between storing
/// and applying.
///
/// # Errors
/// [`DbError`]
pub async fn apply_reports(client: &impl GenericClient) -> Result<(), DbError> {
    let statement = client
        .prepare_cached(apply!("and delivery_report.at > now() - interval '7 days'"))
        .await?;
    client.execute(&statement, &[]).await?;
    Ok(())
}

/// Whether a subscriber's message was kept before.
///
/// # Errors
/// [`DbError`]
pub async fn has_inbound(
    client: &impl GenericClient,
    provider: &str,
    provider_id: &str,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "select exists (select from inbound_sms where provider = $1 and provider_id = $2) as seen",
        )
        .await?;
    let row = client
        .query_one(&statement, &[&provider, &storable(provider_id)])
        .await?;
    Ok(row.try_get("seen")?)
}

/// Keeps a subscriber's message. `false`: seen before.
///
/// # Errors
/// [`DbError`]
pub async fn insert_inbound(
    client: &impl GenericClient,
    provider: &str,
    sms: &InboundSms,
) -> Result<bool, DbError> {
    let statement = client
        .prepare_cached(
            "insert into inbound_sms (provider, provider_id, msisdn, recipient, text)
             values ($1, $2, $3, $4, $5)
             on conflict (provider, provider_id) do nothing",
        )
        .await?;
    let written = client
        .execute(
            &statement,
            &[
                &provider,
                &storable(&sms.provider_id),
                &sms.msisdn.as_str(),
                &storable(&sms.recipient),
                &storable(&without_pin(&sms.text)),
            ],
        )
        .await?;
    Ok(written == 1)
}

/// A message as it is kept: one that is nothing but a number may be somebody's PIN, typed on a screen that asks to pay.
fn without_pin(text: &str) -> Cow<'_, str> {
    let typed = text.trim();
    let is_pin = (4..=6).contains(&typed.len()) && typed.bytes().all(|byte| byte.is_ascii_digit());
    if is_pin {
        Cow::Owned(kept(typed))
    } else {
        Cow::Borrowed(text)
    }
}

/// Keeps a part of a long message. The part that completes it gets the whole message back, under the id of its first
/// part; the same part again is the same part, and others than it asks for are not joined.
///
/// In the transaction that takes the whole message: what is joined is gone from here.
///
/// # Errors
/// [`DbError`]
pub async fn join_part(
    client: &impl GenericClient,
    provider: &str,
    sms: &InboundSms,
    part: &Part,
) -> Result<Option<InboundSms>, DbError> {
    let (reference, recipient) = (storable(&part.reference), storable(&sms.recipient));
    let msisdn = sms.msisdn.as_str();
    let total = i16::from(part.total);
    let key = format!("{provider}/{msisdn}/{recipient}/{reference}");
    client
        .execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))",
            &[&key],
        )
        .await?;
    let statement = client
        .prepare_cached(
            "insert into inbound_part (provider, msisdn, recipient, reference, total, number, provider_id, text)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (provider, msisdn, recipient, reference, total, number) do update set
                 provider_id = excluded.provider_id, text = excluded.text, at = excluded.at
             where inbound_part.at <= now() - make_interval(secs => $9)",
        )
        .await?;
    let wait = JOIN_WAIT.as_secs_f64();
    client
        .execute(
            &statement,
            &[
                &provider,
                &msisdn,
                &recipient,
                &reference,
                &total,
                &i16::from(part.number),
                &storable(&sms.provider_id),
                &storable(&sms.text),
                &wait,
            ],
        )
        .await?;
    let statement = client
        .prepare_cached(
            "with fresh as (
                 select number from inbound_part
                 where provider = $1 and msisdn = $2 and recipient = $3 and reference = $4 and total = $5
                   and at > now() - make_interval(secs => $6)
                 for update)
             delete from inbound_part
             where provider = $1 and msisdn = $2 and recipient = $3 and reference = $4 and total = $5
               and (select count(*) from fresh) = $5
             returning number, provider_id, text",
        )
        .await?;
    let mut rows = client
        .query(
            &statement,
            &[&provider, &msisdn, &recipient, &reference, &total, &wait],
        )
        .await?;
    rows.sort_by_key(|row| row.get::<_, i16>("number"));
    Ok(rows.first().map(|first| InboundSms {
        provider_id: first.get("provider_id"),
        text: rows.iter().map(|row| row.get::<_, &str>("text")).collect(),
        part: None,
        ..sms.clone()
    }))
}

/// Drops parts that have waited in vain and says how many.
///
/// # Errors
/// [`DbError`]
pub async fn drop_parts(client: &impl GenericClient) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached("delete from inbound_part where at <= now() - make_interval(secs => $1)")
        .await?;
    Ok(client
        .execute(&statement, &[&JOIN_WAIT.as_secs_f64()])
        .await?)
}

/// Stops awaiting reports on messages that have had none for `after`: they are sent, unconfirmed. A late report still
/// counts. Says how many.
///
/// # Errors
/// [`DbError`]
pub async fn give_up_reports(client: &impl GenericClient, after: Duration) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached(
            "update outbox set status = 'unconfirmed', reason = 'no_report'
             where status in ('accepted', 'sent', 'buffered') and sent_at <= now() - make_interval(secs => $1)",
        )
        .await?;
    Ok(client.execute(&statement, &[&after.as_secs_f64()]).await?)
}

/// Forgets reports that are older than this: applied ones, and those whose message never showed. Says how many.
///
/// # Errors
/// [`DbError`]
pub async fn drop_reports(client: &impl GenericClient, after: Duration) -> Result<u64, DbError> {
    let statement = client
        .prepare_cached("delete from delivery_report where at <= now() - make_interval(secs => $1)")
        .await?;
    Ok(client.execute(&statement, &[&after.as_secs_f64()]).await?)
}

/// A message that its provider is to be asked about.
#[derive(Debug, Clone)]
pub struct Unreported {
    /// Whom it was for, as stored.
    pub msisdn: String,
    /// The provider's id.
    pub provider_id: String,
}

/// Takes up to `limit` messages to ask `provider` about: half a minute after they were sent, then each time they have
/// become half as old again.
///
/// # Errors
/// [`DbError`]
pub async fn claim_unreported(
    client: &impl GenericClient,
    provider: &str,
    limit: usize,
) -> Result<Vec<Unreported>, DbError> {
    let statement = client
        .prepare_cached(
            "update outbox set polled_at = now()
             from (select outbox_id from outbox
                   where status in ('accepted', 'sent', 'buffered') and provider = $1 and provider_id is not null
                     and now() - coalesce(polled_at, sent_at) > greatest(interval '30 seconds', (now() - sent_at) / 3)
                   order by sent_at limit $2 for update skip locked) due
             where outbox.outbox_id = due.outbox_id
             returning msisdn, provider_id",
        )
        .await?;
    let rows = client
        .query(&statement, &[&provider, &(limit as i64)])
        .await?;
    let due = rows.iter().map(|row| Unreported {
        msisdn: row.get("msisdn"),
        provider_id: row.get("provider_id"),
    });
    Ok(due.collect())
}

/// What `provider` took for this number, the newest first.
///
/// # Errors
/// [`DbError`]
pub async fn list_sent(
    client: &impl GenericClient,
    provider: &str,
    msisdn: &Msisdn,
    limit: usize,
) -> Result<Vec<SentSms>, DbError> {
    let statement = client
        .prepare_cached(
            "select text, sent_at, status, kind from outbox
             where msisdn = $2 and provider = $1 and sent_at is not null
             order by outbox_id desc limit $3",
        )
        .await?;
    let rows = client
        .query(&statement, &[&provider, &msisdn.as_str(), &(limit as i64)])
        .await?;
    let sent = rows.iter().map(|row| SentSms {
        text: row.get("text"),
        at: row.get("sent_at"),
        status: row.get("status"),
        kind: row.get("kind"),
    });
    Ok(sent.collect())
}

/// The spelling of an id that the tables hold.
fn comparable_id(raw: &str) -> String {
    IdForm::Text.comparable(raw)
}

/// Text of Postgres holds every character but NUL.
fn storable(raw: &str) -> String {
    raw.replace('\0', "")
}
