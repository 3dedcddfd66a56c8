//! How often a caller, a block of numbers, an aggregator and everybody together may call, and how many calls are worked on
//! at once. Kept in the memory of each instance, so that it holds whatever store is away.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::Deserialize;

use crate::menu::messages::Message;
use crate::ussd::{Call, Said};

const MINUTE: Duration = Duration::from_secs(60);
/// Numbers of a block share all digits but the last three.
const BLOCK: u64 = 1_000;
/// Calls worked on at once over which none is taken that begins a dialogue, and over which none is taken at all.
const NEW_AT_ONCE_MAX: usize = 512;
const CALLS_AT_ONCE_MAX: usize = 2_048;

/// How often. 0: as often as they like.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Calls of one number in a minute. Default 30.
    pub calls_per_minute: u32,
    /// Dialogues that one number begins in ten minutes. Default 10.
    pub dialogues_per_10_minutes: u32,
    /// Dialogues that a block of 1,000 numbers begins in a minute. Default 3,000.
    pub block_dialogues_per_minute: u32,
    /// Calls of one aggregator in a second. Default 0.
    pub aggregator_calls_per_second: u32,
    /// Calls of everybody in a second. Default 0.
    pub calls_per_second: u32,
    /// Connections of one address, other than a trusted proxy's. Default 1,000.
    pub connections_per_address: u32,
    /// Milliseconds in which the same key again is no answer to a screen that books or cancels: it was meant for the screen
    /// before. Default 300.
    pub same_key_ms: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            calls_per_minute: 30,
            dialogues_per_10_minutes: 10,
            block_dialogues_per_minute: 3_000,
            aggregator_calls_per_second: 0,
            calls_per_second: 0,
            connections_per_address: 1_000,
            same_key_ms: 300,
        }
    }
}

/// The buckets of this instance.
pub struct Limits {
    calls: Option<DefaultKeyedRateLimiter<u64>>,
    dialogues: Option<DefaultKeyedRateLimiter<u64>>,
    blocks: Option<DefaultKeyedRateLimiter<u64>>,
    aggregators: Option<DefaultKeyedRateLimiter<&'static str>>,
    all: Option<DefaultDirectRateLimiter>,
    at_once: AtomicUsize,
}

/// A call that is worked on, until it is dropped.
pub struct Admitted<'a>(&'a AtomicUsize);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    /// All buckets full.
    pub fn new(config: &LimitsConfig) -> Limits {
        let per = |count: u32, time: Duration| {
            let burst = NonZeroU32::new(count)?;
            Some(Quota::with_period(time / count)?.allow_burst(burst))
        };
        Limits {
            calls: per(config.calls_per_minute, MINUTE).map(RateLimiter::keyed),
            dialogues: per(config.dialogues_per_10_minutes, 10 * MINUTE).map(RateLimiter::keyed),
            blocks: per(config.block_dialogues_per_minute, MINUTE).map(RateLimiter::keyed),
            aggregators: per(config.aggregator_calls_per_second, Duration::from_secs(1))
                .map(RateLimiter::keyed),
            all: per(config.calls_per_second, Duration::from_secs(1)).map(RateLimiter::direct),
            at_once: AtomicUsize::new(0),
        }
    }

    /// Takes the call on.
    ///
    /// # Errors
    /// The text to end with.
    pub fn admit(&self, aggregator: &'static str, call: &Call) -> Result<Admitted<'_>, Message> {
        // A number has 15 digits at the most.
        let number: u64 = call.msisdn.digits().parse().unwrap_or_default();
        if is_over(self.calls.as_ref(), number) {
            return Err(refused(aggregator, "calls", Message::TooOften));
        }
        let begins = match &call.said {
            Said::Transcript(transcript) => transcript.is_empty(),
            Said::Dialled(_) => true,
            Said::Answered { .. } | Said::Either { .. } => false,
        };
        if begins && is_over(self.dialogues.as_ref(), number) {
            return Err(refused(aggregator, "dialogues", Message::TooOften));
        }
        if begins && is_over(self.blocks.as_ref(), number / BLOCK) {
            return Err(refused(aggregator, "block", Message::Busy));
        }
        if is_over(self.aggregators.as_ref(), aggregator) {
            return Err(refused(aggregator, "aggregator", Message::Busy));
        }
        if self.all.as_ref().is_some_and(|all| all.check().is_err()) {
            return Err(refused(aggregator, "all", Message::Busy));
        }
        // Counted first: who is turned away goes again at once.
        let admitted = Admitted(&self.at_once);
        let before = self.at_once.fetch_add(1, Ordering::Relaxed);
        if before >= CALLS_AT_ONCE_MAX || begins && before >= NEW_AT_ONCE_MAX {
            return Err(refused(aggregator, "at_once", Message::Busy));
        }
        Ok(admitted)
    }

    /// Forgets whoever has not called for a while.
    pub fn forget_idle(&self) {
        for buckets in [&self.calls, &self.dialogues, &self.blocks]
            .into_iter()
            .flatten()
        {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }
}

fn is_over<K: Clone + std::hash::Hash + Eq>(
    buckets: Option<&DefaultKeyedRateLimiter<K>>,
    key: K,
) -> bool {
    buckets.is_some_and(|buckets| buckets.check_key(&key).is_err())
}

fn refused(aggregator: &'static str, limit: &'static str, message: Message) -> Message {
    metrics::counter!("calls_shed_total", "aggregator" => aggregator, "limit" => limit)
        .increment(1);
    message
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::phone::Msisdn;

    fn call(number: &str, transcript: &str) -> Call {
        Call {
            msisdn: Msisdn::parse(number).unwrap(),
            session: "one".to_owned(),
            service_code: "*384*7#".to_owned(),
            operator: None,
            said: Said::Transcript(transcript.to_owned()),
            echo: Vec::new(),
        }
    }

    fn admitted(limits: &Limits, call: &Call, times: usize) -> usize {
        (0..times)
            .filter(|_| limits.admit("africastalking", call).is_ok())
            .count()
    }

    #[test]
    fn each_limit_holds_for_whom_it_is_meant() {
        let limits = Limits::new(&LimitsConfig::default());
        let (first, second) = ("+254711000001", "+254711000002");
        assert_eq!(admitted(&limits, &call(first, ""), 20), 10);
        // The calls refused count too: ten are left.
        assert_eq!(admitted(&limits, &call(first, "1"), 20), 10);
        assert_eq!(admitted(&limits, &call(second, "1"), 40), 30);

        let limits = Limits::new(&LimitsConfig {
            block_dialogues_per_minute: 3,
            ..LimitsConfig::default()
        });
        assert_eq!(admitted(&limits, &call(first, ""), 2), 2);
        assert_eq!(admitted(&limits, &call(second, ""), 2), 1);
        assert_eq!(admitted(&limits, &call("+254711001002", ""), 2), 2);
        assert_eq!(admitted(&limits, &call(second, "1"), 2), 2);
    }

    #[test]
    fn new_dialogues_are_turned_away_before_running_ones() {
        let unlimited = LimitsConfig {
            calls_per_minute: 0,
            dialogues_per_10_minutes: 0,
            block_dialogues_per_minute: 0,
            ..LimitsConfig::default()
        };
        let limits = Limits::new(&unlimited);
        let (new, running) = (call("+254711000001", ""), call("+254711000001", "1"));
        let mut held: Vec<_> = (0..NEW_AT_ONCE_MAX)
            .map(|_| limits.admit("africastalking", &new).unwrap())
            .collect();
        assert!(limits.admit("africastalking", &new).is_err());
        while held.len() < CALLS_AT_ONCE_MAX {
            held.push(limits.admit("africastalking", &running).unwrap());
        }
        assert!(limits.admit("africastalking", &running).is_err());
        held.clear();
        assert!(limits.admit("africastalking", &new).is_ok());
    }
}
