//! Messages, and reports on them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{after, before};
use crate::db::effect::{Draft, Turn};
use crate::db::outbox::{Claimed, Due, Outcome, Via};
use crate::sms::DeliveryReport;
use crate::sms::ids::IdForm;

/// How old a message in doubt may be that a report on its number still speaks of.
const ADOPTED_WITHIN: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Every message that is to be sent, or was.
#[derive(Debug, Default)]
pub struct Outbox {
    /// In the order in which they were written.
    pub rows: Vec<Row>,
    reports: Vec<Report>,
}

/// One message.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the table `outbox`")]
pub struct Row {
    pub id: i64,
    pub reservation_id: Option<Uuid>,
    pub turn: Option<String>,
    pub kind: &'static str,
    pub msisdn: String,
    pub text: String,
    pub nth: i32,
    pub status: RowStatus,
    pub attempts: i32,
    pub unknowns: i32,
    /// `None`: never again.
    pub due_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    lease_token: i64,
    route: Option<String>,
    provider: Option<String>,
    provider_id: Option<String>,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the table `outbox`")]
pub enum RowStatus {
    Pending,
    Sending,
    Accepted,
    /// By the word and the rank of the best report.
    Reported(&'static str, i32),
    Unknown,
    Failed,
    Dropped,
}

impl RowStatus {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            RowStatus::Pending => "pending",
            RowStatus::Sending => "sending",
            RowStatus::Accepted => "accepted",
            RowStatus::Reported(word, _) => word,
            RowStatus::Unknown => "unknown",
            RowStatus::Failed => "failed",
            RowStatus::Dropped => "dropped",
        }
    }

    fn rank(self) -> i32 {
        match self {
            RowStatus::Reported(_, rank) => rank,
            RowStatus::Failed => 3,
            _ => 0,
        }
    }

    fn waits(self) -> bool {
        matches!(
            self,
            RowStatus::Pending | RowStatus::Sending | RowStatus::Unknown
        )
    }
}

#[derive(Debug)]
struct Report {
    provider: String,
    provider_id: String,
    word: &'static str,
    rank: i32,
    matched: bool,
}

impl Outbox {
    /// `write_outbox`
    pub(super) fn write(
        &mut self,
        reservation_id: Option<Uuid>,
        drafts: &[Draft],
        nth: i32,
        now: DateTime<Utc>,
    ) {
        for draft in drafts {
            let is_there = self.rows.iter().any(|row| {
                row.reservation_id == reservation_id
                    && row.kind == draft.kind
                    && row.msisdn == draft.msisdn.as_str()
                    && row.nth == nth
            });
            if !is_there {
                self.push(reservation_id, None, draft, nth, now);
            }
        }
    }

    pub(super) fn reply(&mut self, turn: &Turn, draft: &Draft, now: DateTime<Utc>) {
        let key = turn.key();
        if self.rows.iter().all(|row| row.turn.as_ref() != Some(&key)) {
            self.push(None, Some(key), draft, 0, now);
        }
    }

    fn push(
        &mut self,
        reservation_id: Option<Uuid>,
        turn: Option<String>,
        draft: &Draft,
        nth: i32,
        now: DateTime<Utc>,
    ) {
        self.rows.push(Row {
            id: i64::try_from(self.rows.len() + 1).unwrap_or(i64::MAX),
            reservation_id,
            turn,
            kind: draft.kind,
            msisdn: draft.msisdn.as_str().to_owned(),
            text: draft.text.clone(),
            nth,
            status: RowStatus::Pending,
            attempts: 0,
            unknowns: 0,
            due_at: Some(now),
            expires_at: draft.expires_at,
            created_at: now,
            lease_token: 0,
            route: None,
            provider: None,
            provider_id: None,
        });
    }

    pub(super) fn claim_due(&mut self, limit: usize, lease: Duration, now: DateTime<Utc>) -> Due {
        let priority = |kind: &str| match kind {
            "remind_stay" | "host_digest" => 2,
            kind if kind.starts_with("host_") => 1,
            _ => 0,
        };
        let is_due = |row: &Row| row.status.waits() && row.due_at.is_some_and(|due| due <= now);
        let mut due: Vec<usize> = (0..self.rows.len())
            .filter(|at| is_due(&self.rows[*at]))
            .collect();
        due.sort_by_key(|at| (priority(self.rows[*at].kind), self.rows[*at].due_at));
        due.truncate(limit);
        let mut found = Due::default();
        for at in due {
            let row = &mut self.rows[at];
            row.unknowns += i32::from(row.status == RowStatus::Sending);
            row.lease_token += 1;
            if row.expires_at <= now {
                row.status = match row.status {
                    RowStatus::Pending => RowStatus::Dropped,
                    _ => RowStatus::Unknown,
                };
                row.due_at = None;
                found.expired += 1;
                continue;
            }
            row.status = RowStatus::Sending;
            row.attempts += 1;
            row.due_at = Some(after(now, lease));
            found.claimed.push(Claimed {
                outbox_id: row.id,
                lease_token: row.lease_token,
                attempts: row.attempts,
                unknowns: row.unknowns,
                msisdn: row.msisdn.clone(),
                text: row.text.clone(),
                kind: row.kind.to_owned(),
                route: row.route.clone(),
                age: (now - row.created_at).to_std().unwrap_or_default(),
            });
        }
        found
    }

    pub(super) fn complete(
        &mut self,
        claimed: &Claimed,
        via: Via<'_>,
        outcome: &Outcome,
        now: DateTime<Utc>,
    ) -> bool {
        let row = self.rows.iter_mut().find(|row| {
            row.id == claimed.outbox_id
                && row.lease_token == claimed.lease_token
                && row.status == RowStatus::Sending
        });
        let Some(row) = row else {
            return false;
        };
        let later = |row: &Row, wait: &Duration| Some(after(now, *wait).min(row.expires_at));
        row.provider_id = None;
        (row.status, row.due_at) = match outcome {
            Outcome::Accepted { provider_id } => {
                row.provider_id = Some(comparable(provider_id)).filter(|id| !id.is_empty());
                (RowStatus::Accepted, None)
            }
            Outcome::Retry { after, .. } => (RowStatus::Pending, later(row, after)),
            Outcome::Paused { after, .. } => {
                row.attempts -= 1;
                (RowStatus::Pending, later(row, after))
            }
            Outcome::Unknown { resend_after, .. } => {
                row.unknowns += 1;
                let due_at = resend_after.and_then(|after| later(row, &after));
                (RowStatus::Unknown, due_at)
            }
            Outcome::Failed { .. } => (RowStatus::Failed, None),
        };
        row.provider = Some(via.provider.to_owned());
        row.route = Some(via.route.to_owned());
        if row.provider_id.is_some() {
            self.apply_reports();
        }
        true
    }

    pub(super) fn record_report(
        &mut self,
        provider: &str,
        report: &DeliveryReport,
        now: DateTime<Utc>,
    ) {
        let id = comparable(&report.provider_id);
        self.adopt(provider, &id, report, now);
        let (word, rank) = (report.status.word(), report.status.rank());
        let is_old = self.rows.iter().any(|row| {
            row.provider.as_deref() == Some(provider)
                && row.provider_id.as_ref() == Some(&id)
                && row.status.rank() >= rank
        });
        let waits = self.reports.iter().any(|known| {
            known.provider == provider
                && known.provider_id == id
                && known.word == word
                && !known.matched
        });
        if !is_old && !waits {
            self.reports.push(Report {
                provider: provider.to_owned(),
                provider_id: id,
                word,
                rank,
                matched: false,
            });
        }
        self.apply_reports();
    }

    /// A message in doubt that a report with an unknown id speaks of.
    fn adopt(&mut self, provider: &str, id: &str, report: &DeliveryReport, now: DateTime<Utc>) {
        let is_known = self.rows.iter().any(|row| {
            row.provider.as_deref() == Some(provider) && row.provider_id.as_deref() == Some(id)
        });
        let referred = report.reference.as_ref().and_then(|ours| ours.parse().ok());
        let wanted: Option<i64> = match (referred, &report.msisdn) {
            (Some(ours), _) => Some(ours),
            (None, Some(msisdn)) if !is_known => {
                let under_way = self.rows.iter().filter(|row| {
                    row.msisdn == msisdn.as_str()
                        && matches!(row.status, RowStatus::Unknown | RowStatus::Sending)
                        && row.created_at > before(now, ADOPTED_WITHIN)
                });
                let ids: Vec<i64> = under_way.map(|row| row.id).collect();
                <[i64; 1]>::try_from(ids).ok().map(|[only]| only)
            }
            _ => None,
        };
        let row = self.rows.iter_mut().find(|row| {
            Some(row.id) == wanted
                && row.status == RowStatus::Unknown
                && row.provider.as_deref() == Some(provider)
        });
        if let Some(row) = row {
            row.status = RowStatus::Accepted;
            row.provider_id = Some(id.to_owned());
            row.due_at = None;
        }
    }

    pub(super) fn apply_reports(&mut self) {
        for report in self.reports.iter_mut().filter(|report| !report.matched) {
            let row = self.rows.iter_mut().find(|row| {
                row.provider.as_ref() == Some(&report.provider)
                    && row.provider_id.as_ref() == Some(&report.provider_id)
            });
            if let Some(row) = row {
                report.matched = true;
                if report.rank > row.status.rank() {
                    row.status = RowStatus::Reported(report.word, report.rank);
                }
            }
        }
    }
}

fn comparable(id: &str) -> String {
    IdForm::Text.comparable(id)
}
