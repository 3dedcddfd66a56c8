//! When to stop asking a store that does not answer, and when to ask it again.
//!
//! On the way of a call that goes well it costs two atomic operations and no lock. While it is open nobody waits for the
//! store: a job asks it once a second whether it is well, so that no caller is the one who finds out.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const FAILURES_IN_A_ROW: u32 = 5;
/// Or half of at least so many calls within this time.
const CALLS_MIN: u32 = 20;
const WINDOW: Duration = Duration::from_secs(2);
/// Good probes in a row that close it.
const GOOD_PROBES: u32 = 3;
/// How often an open one is probed.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A second try costs as much as so many calls earn: a tenth of the calls may be tried again.
const CALLS_A_RETRY: u32 = 10;
/// Second tries that can be saved up.
const RETRIES_SAVED_MAX: u32 = 10;

/// The breaker of one store.
#[derive(Debug)]
pub struct Breaker {
    store: &'static str,
    made: Instant,
    is_open: AtomicBool,
    failures_in_a_row: AtomicU32,
    /// When the window began, in milliseconds since `made`; it begins with a failure.
    window_began: AtomicU64,
    window_calls: AtomicU32,
    window_failures: AtomicU32,
    good_probes: AtomicU32,
    /// Calls that second tries can still be paid with.
    saved: AtomicU32,
}

/// The store is not asked.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not asked until it has proved itself again")]
pub struct Open(pub &'static str);

impl Breaker {
    /// A closed one for the store of this name.
    pub fn new(store: &'static str) -> Breaker {
        metrics::gauge!("breaker_open", "store" => store).set(0.0);
        Breaker {
            store,
            made: Instant::now(),
            is_open: AtomicBool::new(false),
            failures_in_a_row: AtomicU32::new(0),
            window_began: AtomicU64::new(0),
            window_calls: AtomicU32::new(0),
            window_failures: AtomicU32::new(0),
            good_probes: AtomicU32::new(0),
            saved: AtomicU32::new(CALLS_A_RETRY * RETRIES_SAVED_MAX),
        }
    }

    /// Whether the store may be asked.
    ///
    /// # Errors
    /// [`Open`].
    pub fn admit(&self) -> Result<(), Open> {
        if self.is_open() {
            return Err(Open(self.store));
        }
        Ok(())
    }

    /// Whether callers are to do without the store.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// It answered.
    pub fn succeeded(&self) {
        self.window_calls.fetch_add(1, Ordering::Relaxed);
        if self.failures_in_a_row.load(Ordering::Relaxed) != 0 {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
        }
        if self.saved.load(Ordering::Relaxed) < CALLS_A_RETRY * RETRIES_SAVED_MAX {
            self.saved.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It did not answer, or not in time.
    pub fn failed(&self) {
        self.failed_at(self.made.elapsed());
    }

    fn failed_at(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let began = self.window_began.load(Ordering::Relaxed);
        if now.saturating_sub(began) > u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX) {
            self.window_began.store(now, Ordering::Relaxed);
            self.window_calls.store(0, Ordering::Relaxed);
            self.window_failures.store(0, Ordering::Relaxed);
        }
        let calls = self.window_calls.fetch_add(1, Ordering::Relaxed) + 1;
        let failures = self.window_failures.fetch_add(1, Ordering::Relaxed) + 1;
        let in_a_row = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if in_a_row >= FAILURES_IN_A_ROW || calls >= CALLS_MIN && failures * 2 >= calls {
            self.open();
        }
    }

    fn open(&self) {
        if self.is_open.swap(true, Ordering::Relaxed) {
            return;
        }
        self.good_probes.store(0, Ordering::Relaxed);
        metrics::gauge!("breaker_open", "store" => self.store).set(1.0);
        metrics::counter!("breaker_opened_total", "store" => self.store).increment(1);
        tracing::error!(
            store = self.store,
            "callers are served without a store that does not answer"
        );
    }

    /// What a probe of an open one found.
    pub fn probed(&self, is_good: bool) {
        if !is_good {
            self.good_probes.store(0, Ordering::Relaxed);
            return;
        }
        if self.good_probes.fetch_add(1, Ordering::Relaxed) + 1 < GOOD_PROBES {
            return;
        }
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        self.window_calls.store(0, Ordering::Relaxed);
        self.window_failures.store(0, Ordering::Relaxed);
        if self.is_open.swap(false, Ordering::Relaxed) {
            metrics::gauge!("breaker_open", "store" => self.store).set(0.0);
            tracing::info!(store = self.store, "a store is asked again");
        }
    }

    /// Whether a failed call may be made again; takes it from what the calls before have earned.
    pub fn may_retry(&self) -> bool {
        let pay = |saved: u32| saved.checked_sub(CALLS_A_RETRY);
        !self.is_open()
            && self
                .saved
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let breaker = Breaker::new("test");
        for second in 0..4 {
            breaker.failed_at(at(3000 * second));
        }
        breaker.succeeded();
        for second in 4..8 {
            breaker.failed_at(at(3000 * second));
        }
        assert!(breaker.admit().is_ok());
        breaker.failed_at(at(24_000));
        assert!(breaker.admit().is_err());
    }

    #[test]
    fn half_of_twenty_calls_in_two_seconds_open_it() {
        let breaker = Breaker::new("test");
        for call in 0..40 {
            // As many as would open it, but spread over the time.
            breaker.failed_at(at(call * 2100));
            breaker.succeeded();
        }
        assert!(!breaker.is_open());
        for call in 0..11 {
            breaker.failed_at(at(100_000 + call));
            breaker.succeeded();
        }
        assert!(breaker.is_open());
    }

    #[test]
    fn three_good_probes_in_a_row_close_it() {
        let breaker = Breaker::new("test");
        for _ in 0..FAILURES_IN_A_ROW {
            breaker.failed();
        }
        for is_good in [true, true, false, true, true] {
            breaker.probed(is_good);
            assert!(breaker.is_open());
        }
        breaker.probed(true);
        assert!(!breaker.is_open());
        for _ in 0..FAILURES_IN_A_ROW - 1 {
            breaker.failed();
        }
        assert!(!breaker.is_open(), "it counts anew");
    }

    #[test]
    fn a_tenth_of_the_calls_may_be_tried_again() {
        let breaker = Breaker::new("test");
        let spent = (0..100).filter(|_| breaker.may_retry()).count();
        assert_eq!(spent, RETRIES_SAVED_MAX as usize);
        for _ in 0..CALLS_A_RETRY {
            assert!(!breaker.may_retry());
            breaker.succeeded();
        }
        assert!(breaker.may_retry());
        assert!(!breaker.may_retry());
    }
}
