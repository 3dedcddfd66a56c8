//! How often a key may ask, and how often an address may come with keys that nobody knows. Kept in the memory of each instance,
//! so that it holds whatever store is away.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use super::ApiConfig;

const MINUTE: Duration = Duration::from_secs(60);
/// Keys that one address may be wrong about in a minute.
const STRANGERS_PER_MINUTE: u32 = 60;

type Buckets<K> =
    RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The buckets of this instance.
pub struct Rates {
    keys: Option<Buckets<Uuid>>,
    strangers: Option<Buckets<IpAddr>>,
}

/// What is left of a bucket. Source of the header fields: draft-ietf-httpapi-ratelimit-headers-06.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    limit: u32,
    remaining: u32,
    /// Until the bucket is full, or until the next request is taken.
    reset_seconds: u64,
}

impl Left {
    /// Tells it in the headers of an answer.
    pub fn tell(self, headers: &mut HeaderMap) {
        let mut put = |name: &'static str, value: u64| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        };
        put("ratelimit-limit", self.limit.into());
        put("ratelimit-remaining", self.remaining.into());
        put("ratelimit-reset", self.reset_seconds);
    }

    /// How long to wait.
    pub fn reset_seconds(self) -> u64 {
        self.reset_seconds
    }
}

impl Rates {
    /// All buckets full.
    pub fn new(config: &ApiConfig) -> Rates {
        Rates {
            keys: buckets(config.requests_per_minute),
            strangers: buckets(STRANGERS_PER_MINUTE),
        }
    }

    /// Counts a request of a key. `None`: it may ask as often as it likes.
    ///
    /// # Errors
    /// What is left is not enough.
    pub fn take(&self, key: Uuid) -> Result<Option<Left>, Left> {
        self.keys.as_ref().map(|keys| take(keys, &key)).transpose()
    }

    /// Counts a request whose key is not known yet.
    ///
    /// # Errors
    /// What is left is not enough.
    pub fn take_stranger(&self, address: IpAddr) -> Result<(), Left> {
        let Some(strangers) = &self.strangers else {
            return Ok(());
        };
        take(strangers, &address).map(|_| ())
    }

    /// Forgets who has not asked for a while.
    pub fn forget_idle(&self) {
        if let Some(keys) = &self.keys {
            keys.retain_recent();
            keys.shrink_to_fit();
        }
        if let Some(strangers) = &self.strangers {
            strangers.retain_recent();
            strangers.shrink_to_fit();
        }
    }
}

fn buckets<K: Clone + Eq + std::hash::Hash>(per_minute: u32) -> Option<Buckets<K>> {
    let burst = NonZeroU32::new(per_minute)?;
    let quota = Quota::with_period(MINUTE / per_minute)?.allow_burst(burst);
    Some(RateLimiter::keyed(quota).with_middleware())
}

fn take<K: Clone + Eq + std::hash::Hash>(buckets: &Buckets<K>, key: &K) -> Result<Left, Left> {
    match buckets.check_key(key) {
        Ok(state) => {
            let (quota, remaining) = (state.quota(), state.remaining_burst_capacity());
            let used = quota.burst_size().get() - remaining;
            Ok(Left {
                limit: quota.burst_size().get(),
                remaining,
                reset_seconds: seconds(quota.replenish_interval() * used),
            })
        }
        Err(not_until) => Err(Left {
            limit: not_until.quota().burst_size().get(),
            remaining: 0,
            reset_seconds: seconds(not_until.wait_time_from(DefaultClock::default().now())).max(1),
        }),
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_what_it_may_and_another_key_its_own() {
        let config = ApiConfig {
            requests_per_minute: 3,
            ..ApiConfig::default()
        };
        let (rates, first, second) = (Rates::new(&config), Uuid::from_u128(1), Uuid::from_u128(2));
        let left: Vec<_> = (0..3)
            .map(|_| {
                rates
                    .take(first)
                    .map(|left| left.map(|left| left.remaining))
            })
            .collect();
        assert_eq!(left, [Ok(Some(2)), Ok(Some(1)), Ok(Some(0))]);
        let refused = rates.take(first);
        assert!(
            matches!(
                refused,
                Err(Left {
                    limit: 3,
                    remaining: 0,
                    reset_seconds: 1..=20
                })
            ),
            "{refused:?}"
        );
        assert!(rates.take(second).is_ok());
        let unlimited = Rates::new(&ApiConfig {
            requests_per_minute: 0,
            ..ApiConfig::default()
        });
        assert_eq!(unlimited.take(first), Ok(None));
    }
}
