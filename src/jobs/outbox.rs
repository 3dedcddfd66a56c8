//! Sends what waits in the outbox: claim a few rows and commit, hand them to a provider, write down what became of them.
//!
//! A message takes the first route for its number. A route that is paused or turns the message away gives it to the
//! next one in the same attempt; one that may have sent it does not, and gets it first when it is sent again.
//!
//! Any number of workers may run, in one process or many. A worker that dies leaves rows whose lease ends; they are
//! sent again, at most `RESENDS_MAX` times.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, info, warn};

use crate::books::Books;
use crate::chance::Chance;
use crate::crash_point;
use crate::db::DbError;
use crate::db::outbox::{Claimed, Due, Outcome, Via};
use crate::db::sms_spend::Empty;
use crate::phone::Msisdn;
use crate::sms::budget::Charge;
use crate::sms::route::{Closed, PAUSE, Route, Routes};
use crate::sms::{Message, Sent};

/// Messages under way at once. Each takes a second or so at a provider.
const SENDS_MAX: usize = 16;
/// How often to look for due rows when nobody hints at one.
const POLL: Duration = Duration::from_millis(250);
/// How long a claimed row is ours: longer than the sends of one attempt and all tries to write down their outcome, and
/// as long as [`UNKNOWN_WAIT`], since a lease that ends leaves the same doubt.
const LEASE: Duration = UNKNOWN_WAIT;
/// Routes that one attempt tries.
const ROUTES_MAX: usize = 3;
/// How long a claim or a completion may take, waiting for a connection included.
const DB_MAX: Duration = Duration::from_secs(5);
/// How often an outcome is tried to be written down, and the pause between. Without it the message is sent again.
const STORE_TRIES: u32 = 3;
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Pause after the database could not be asked.
const DB_PAUSE: Duration = Duration::from_secs(1);
/// How often reports are looked for that a dying process has left unapplied.
const SWEEP: Duration = Duration::from_secs(60);

/// Waits before the second, third … attempt; the last one repeats. Source: fault S1 of the field requirements.
const RETRY_SECONDS: [u64; 6] = [5, 30, 120, 600, 1800, 7200];
/// Retries move by up to this part either way, so that a provider that comes back is not hit by all at once.
const JITTER: f64 = 0.2;
/// A row that fails so often is set aside; others must not wait for it.
const ATTEMPTS_MAX: i32 = 20;
/// How long to wait for a report on a message that may have been sent, before it is sent again.
const UNKNOWN_WAIT: Duration = Duration::from_secs(90);
/// How often a message that may have been sent is sent again.
const RESENDS_MAX: i32 = 2;

/// One worker. [`Worker::hint`] tells it of a fresh row; without hints it polls.
pub struct Worker {
    books: Books,
    http: reqwest::Client,
    routes: Arc<Routes>,
    chance: Chance,
    hint: Arc<Notify>,
}

impl Worker {
    /// A worker for everything in the outbox. `http` is made from [`crate::sms::http_builder`].
    pub fn new(books: Books, http: reqwest::Client, routes: Routes, chance: Chance) -> Worker {
        Worker {
            books,
            http,
            routes: Arc::new(routes),
            chance,
            hint: Arc::new(Notify::new()),
        }
    }

    /// `notify_one` on it after a row has been committed: the row leaves at once.
    pub fn hint(&self) -> Arc<Notify> {
        Arc::clone(&self.hint)
    }

    /// Where messages leave, for whoever asks whether they do.
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    /// Works until `stop` becomes true or its sender is gone, then finishes what is under way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let worker = Arc::new(self);
        let mut sends = JoinSet::new();
        let mut idle_until = Instant::now();
        let mut sweep_at = Instant::now();
        while !*stop.borrow() {
            if let Some(until) = worker.routes.paused_until() {
                idle_until = idle_until.max(Instant::from_std(until));
            }
            if Instant::now() >= idle_until {
                match worker.claim(SENDS_MAX - sends.len()).await {
                    Ok(due) => {
                        let more = due.expired > 0;
                        for claimed in due.claimed {
                            sends.spawn(Arc::clone(&worker).deliver(claimed));
                        }
                        if more {
                            continue;
                        }
                    }
                    Err(error) => {
                        warn!(
                            %error,
                            "the outbox cannot be read"
                        );
                        idle_until = Instant::now() + DB_PAUSE;
                    }
                }
            }
            if Instant::now() >= sweep_at {
                worker.sweep().await;
                sweep_at = Instant::now() + SWEEP;
            }
            tokio::select! {
                biased;
                changed = stop.changed() => if changed.is_err() { break },
                Some(sent) = sends.join_next() => if let Err(error) = sent {
                    error!(%error, "a send broke down; its row is tried again when its lease ends");
                },
                () = worker.hint.notified() => {}
                () = sleep_until(idle_until.max(Instant::now() + POLL)) => {}
            }
        }
        while sends.join_next().await.is_some() {}
    }

    async fn claim(&self, limit: usize) -> Result<Due, DbError> {
        if limit == 0 {
            return Ok(Due::default());
        }
        let due = in_time(self.books.claim_due(limit, LEASE)).await?;
        if due.expired > 0 {
            warn!(
                count = due.expired,
                "messages expired before they could be sent"
            );
            self.count("none", "expired", due.expired as u64);
        }
        Ok(due)
    }

    /// Sends one row and writes down the outcome.
    async fn deliver(self: Arc<Self>, claimed: Claimed) {
        let Ok(msisdn) = Msisdn::parse(&claimed.msisdn) else {
            let reason = "bad_msisdn".to_owned();
            self.store(&claimed, None, &Outcome::Failed { reason })
                .await;
            return;
        };
        if let Some(outcome) = given_up(&claimed) {
            self.store(&claimed, None, &outcome).await;
            return;
        }
        let message = Message {
            reference: claimed.outbox_id.to_string(),
            msisdn,
            text: claimed.text.clone(),
            attempt: claimed.attempts.unsigned_abs(),
            sender: None,
            report_url: None,
        };
        crash_point!("outbox:claimed");
        let charge = self.routes.budgets().charge(&message.msisdn, &message.text);
        if let Some(outcome) = self.spend(&charge).await {
            self.store(&claimed, None, &outcome).await;
            return;
        }
        let (route, outcome) = self.attempt(&claimed, &message).await;
        crash_point!("outbox:sent");
        if !matches!(outcome, Outcome::Accepted { .. } | Outcome::Unknown { .. })
            && let Err(error) = in_time(self.books.unspend(&charge)).await
        {
            warn!(%error, "the cost of a message that did not leave could not be given back");
        }
        let stored = self.store(&claimed, route, &outcome).await;
        if let (true, Some(route), Outcome::Accepted { provider_id }) = (stored, route, &outcome) {
            self.report(route, &message, provider_id).await;
        }
    }

    /// Takes the cost out of its purses. Why the message has to wait, if one of them is empty.
    async fn spend(&self, charge: &Charge) -> Option<Outcome> {
        let spent = in_time(self.books.spend(charge)).await;
        let empty = match spent {
            Ok(empty) => empty,
            Err(error) => {
                warn!(%error, "the budget of a message cannot be looked at");
                let reason = "budget_unknown".to_owned();
                return Some(Outcome::Paused {
                    after: DB_PAUSE,
                    reason,
                });
            }
        };
        let Empty { purse, after } = empty?;
        let country = charge.country;
        metrics::counter!("sms_over_budget_total", "country" => country).increment(1);
        error!(
            purse,
            seconds = after.as_secs(),
            "SMS have cost as much as they may: messages wait until the purse is full again; is somebody making us send them?"
        );
        Some(Outcome::Paused {
            after,
            reason: "over_budget".to_owned(),
        })
    }

    /// Tries the routes for this number in turn, until one takes the message, refuses it for good or leaves us in doubt.
    async fn attempt(&self, claimed: &Claimed, message: &Message) -> (Option<&Route>, Outcome) {
        // After a doubt the same route goes first: a provider that has it may know it again.
        let last = claimed.route.as_deref().filter(|_| claimed.unknowns > 0);
        let routes = self.routes.to(&message.msisdn, last);
        let mut turned_away = None;
        let mut closed = None;
        for route in routes.into_iter().take(ROUTES_MAX) {
            match route.enter(Instant::now().into_std()) {
                Ok(()) => {}
                Err(Closed::Throttled(after)) => {
                    let reason = "throttled".to_owned();
                    closed = Some((Some(route), Outcome::Paused { after, reason }));
                    // A route that is only busy is worth its wait.
                    break;
                }
                Err(Closed::Paused(after)) => {
                    let sooner = closed.as_ref().is_none_or(|(_, known)| matches!(known, Outcome::Paused { after: known, .. } if after < *known));
                    if sooner {
                        let reason = "route_paused".to_owned();
                        closed = Some((Some(route), Outcome::Paused { after, reason }));
                    }
                    continue;
                }
            }
            let sent = route
                .carrier()
                .send(&self.http, &route.address(message))
                .await;
            self.watch(route, &sent);
            let sent = match sent {
                Sent::Accepted { provider_id } => {
                    Sent::accepted(route.ids().answers.comparable(&provider_id))
                }
                other => other,
            };
            let outcome = outcome(claimed, sent, self.chance.number(-JITTER..JITTER));
            match &outcome {
                Outcome::Paused { .. } => closed = closed.or(Some((Some(route), outcome))),
                Outcome::Retry { .. } => turned_away = turned_away.or(Some((Some(route), outcome))),
                _ => return (Some(route), outcome),
            }
        }
        let nowhere = || {
            let reason = "no_route".to_owned();
            (None, Outcome::Failed { reason })
        };
        turned_away.or(closed).unwrap_or_else(nowhere)
    }

    async fn store(&self, claimed: &Claimed, route: Option<&Route>, outcome: &Outcome) -> bool {
        let provider = route.map_or("none", |route| route.carrier().name());
        let via = Via {
            provider,
            route: route.map_or("none", Route::name),
        };
        for _ in 0..STORE_TRIES {
            let written = in_time(self.books.complete(claimed, via, outcome));
            match written.await {
                Ok(true) => {
                    self.show(claimed, via, outcome);
                    return true;
                }
                Ok(false) => {
                    warn!(
                        outbox.id = claimed.outbox_id,
                        "the lease of a message ended before its outcome was known"
                    );
                    self.count(provider, "lease_lost", 1);
                    return false;
                }
                Err(error) => {
                    warn!(
                        outbox.id = claimed.outbox_id,
                        %error,
                        "the outcome of a message could not be written down"
                    );
                    sleep(STORE_PAUSE).await;
                }
            }
        }
        self.count(provider, "not_stored", 1);
        false
    }

    async fn report(&self, route: &Route, message: &Message, provider_id: &str) {
        let Some(report) = route.carrier().own_report(message, provider_id) else {
            return;
        };
        let recorded = in_time(self.books.record_report(route.carrier().name(), &report));
        if let Err(error) = recorded.await {
            warn!(
                outbox.reference = message.reference,
                %error,
                "a delivery report could not be kept"
            );
        }
    }

    async fn sweep(&self) {
        let applied = in_time(self.books.apply_reports()).await;
        if let Err(error) = applied {
            warn!(
                %error,
                "waiting delivery reports could not be applied"
            );
        }
    }

    fn show(&self, claimed: &Claimed, via: Via<'_>, outcome: &Outcome) {
        let (word, reason) = match outcome {
            Outcome::Accepted { .. } => ("accepted", ""),
            Outcome::Retry { reason, .. } => ("retry", reason.as_str()),
            Outcome::Paused { reason, .. } => ("paused", reason.as_str()),
            Outcome::Unknown { reason, .. } => ("unknown", reason.as_str()),
            Outcome::Failed { reason } => ("failed", reason.as_str()),
        };
        self.count(via.provider, word, 1);
        if word == "accepted" {
            metrics::histogram!("sms_outbox_seconds", "provider" => via.provider.to_owned())
                .record(claimed.age.as_secs_f64());
        }
        info!(
            outbox.id = claimed.outbox_id,
            outbox.kind = claimed.kind,
            outbox.attempts = claimed.attempts,
            provider.name = via.provider,
            route.name = via.route,
            outcome = word,
            reason,
            "a message was handled"
        );
    }

    /// Pauses a route whose provider takes nothing from us, and opens it again.
    fn watch(&self, route: &Route, sent: &Sent) {
        let (provider, name) = (route.carrier().name(), route.name());
        let waits = matches!(sent, Sent::RetryLater { .. } | Sent::Unknown { .. });
        route.answered(!waits);
        if let Sent::RoutePaused { reason } = sent {
            if route.pause(Instant::now().into_std()) {
                error!(
                    provider.name = provider,
                    route.name = name,
                    reason,
                    "the SMS provider takes nothing from us: check credit, sender name and key; messages wait or take another route"
                );
            }
        } else if route.open() {
            info!(
                provider.name = provider,
                route.name = name,
                "the SMS provider takes messages again"
            );
        }
        let paused = route.paused_until().map_or(0.0, |_| 1.0);
        metrics::gauge!("sms_route_paused", "provider" => provider.to_owned(), "route" => name.to_owned())
            .set(paused);
    }

    fn count(&self, provider: &str, outcome: &'static str, messages: u64) {
        metrics::counter!("sms_sent_total", "provider" => provider.to_owned(), "outcome" => outcome)
            .increment(messages);
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    timeout(DB_MAX, work)
        .await
        .unwrap_or_else(|late| Err(DbError::Busy(Box::new(late))))
}

/// A row that is not to be tried once more, whatever happened to earlier attempts.
fn given_up(claimed: &Claimed) -> Option<Outcome> {
    if claimed.unknowns > RESENDS_MAX {
        Some(Outcome::Unknown {
            resend_after: None,
            reason: "too_many_unknown".to_owned(),
        })
    } else if claimed.attempts > ATTEMPTS_MAX {
        Some(Outcome::Failed {
            reason: "too_many_attempts".to_owned(),
        })
    } else {
        None
    }
}

/// What an attempt means for its row. `jitter` moves a retry by this part of its wait.
fn outcome(claimed: &Claimed, sent: Sent, jitter: f64) -> Outcome {
    match sent {
        Sent::Accepted { provider_id } => Outcome::Accepted { provider_id },
        Sent::Refused { reason } => Outcome::Failed { reason },
        Sent::RoutePaused { reason } => Outcome::Paused {
            after: PAUSE,
            reason,
        },
        Sent::Unknown { reason } => Outcome::Unknown {
            resend_after: (claimed.unknowns < RESENDS_MAX).then_some(UNKNOWN_WAIT),
            reason,
        },
        Sent::RetryLater { reason, .. } if claimed.attempts >= ATTEMPTS_MAX => {
            Outcome::Failed { reason }
        }
        Sent::RetryLater {
            after_seconds,
            reason,
        } => Outcome::Retry {
            after: retry_after(claimed.attempts, jitter)
                .max(Duration::from_secs(after_seconds.unwrap_or(0))),
            reason,
        },
    }
}

/// The wait after attempt number `attempts` (from 1) was turned away.
fn retry_after(attempts: i32, jitter: f64) -> Duration {
    let step = usize::try_from(attempts - 1).unwrap_or(0);
    let seconds = RETRY_SECONDS[step.min(RETRY_SECONDS.len() - 1)];
    Duration::from_secs(seconds).mul_f64(1.0 + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(attempts: i32, unknowns: i32) -> Claimed {
        Claimed {
            outbox_id: 1,
            lease_token: 1,
            attempts,
            unknowns,
            msisdn: "+254700000001".to_owned(),
            text: String::new(),
            kind: "test".to_owned(),
            route: None,
            age: Duration::ZERO,
        }
    }

    fn later(after_seconds: Option<u64>) -> Sent {
        let reason = "busy".to_owned();
        Sent::RetryLater {
            after_seconds,
            reason,
        }
    }

    #[test]
    fn waits_grow_to_two_hours_and_stay_there() {
        let waits: Vec<u64> = (1..=8).map(|n| retry_after(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [5, 30, 120, 600, 1800, 7200, 7200, 7200]);
        assert_eq!(retry_after(1, -JITTER), Duration::from_secs(4));
        assert_eq!(retry_after(1, JITTER), Duration::from_secs(6));
        assert_eq!(retry_after(i32::MAX, JITTER).as_secs(), 8640);
        assert_eq!(retry_after(0, 0.0).as_secs(), 5);
    }

    #[test]
    fn the_provider_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() {
        for (asked, seconds) in [(None, 5), (Some(1), 5), (Some(77), 77)] {
            let after = Duration::from_secs(seconds);
            let reason = "busy".to_owned();
            assert_eq!(
                outcome(&claimed(1, 0), later(asked), 0.0),
                Outcome::Retry { after, reason }
            );
        }
    }

    #[test]
    fn the_twentieth_attempt_is_the_last() {
        assert!(matches!(
            outcome(&claimed(19, 0), later(None), 0.0),
            Outcome::Retry { .. }
        ));
        assert!(matches!(
            outcome(&claimed(20, 0), later(None), 0.0),
            Outcome::Failed { .. }
        ));
        assert_eq!(given_up(&claimed(20, 0)), None);
        assert!(matches!(
            given_up(&claimed(21, 0)),
            Some(Outcome::Failed { .. })
        ));
    }

    #[test]
    fn what_may_have_been_sent_is_sent_again_twice_at_most() {
        let unknown = || Sent::Unknown {
            reason: "timeout".to_owned(),
        };
        for (unknowns, resend_after) in
            [(0, Some(UNKNOWN_WAIT)), (1, Some(UNKNOWN_WAIT)), (2, None)]
        {
            // Attempts that surely sent nothing do not use up a resend.
            let reason = "timeout".to_owned();
            assert_eq!(
                outcome(&claimed(7, unknowns), unknown(), 0.0),
                Outcome::Unknown {
                    resend_after,
                    reason
                }
            );
        }
        assert_eq!(given_up(&claimed(3, 2)), None);
        assert!(matches!(
            given_up(&claimed(4, 3)),
            Some(Outcome::Unknown {
                resend_after: None,
                ..
            })
        ));
    }
}
