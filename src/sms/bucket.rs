//! A token bucket: so many messages a second, after a pause as many at once. Pure but for the time it is told.

use std::time::{Duration, Instant};

/// The longest that a message is sent away for, however many wait.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How much may leave now.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
    /// When the last message that was sent away may come back.
    queued_until: Instant,
}

impl Bucket {
    /// A full one. `per_second` is above zero; at least one message fits in.
    pub fn new(per_second: f64, now: Instant) -> Bucket {
        Bucket {
            per_second,
            tokens: per_second.max(1.0),
            filled_at: now,
            queued_until: now,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long to stay away when there is none: each caller is given a later moment, so that they do not all come back at once.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled_at);
        self.tokens =
            (self.tokens + passed.as_secs_f64() * self.per_second).min(self.per_second.max(1.0));
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let step = Duration::from_secs_f64(1.0 / self.per_second);
        self.queued_until = self.queued_until.max(now) + step;
        let wait = (self.queued_until - now).min(WAIT_MAX);
        self.queued_until = now + wait;
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_empties_and_fills_and_sends_away_one_after_the_other() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2.0, start);
        let ms = Duration::from_millis;
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(ms(500)));
        assert_eq!(bucket.take(start), Err(ms(1000)));
        assert_eq!(bucket.take(start + ms(500)), Ok(()));
        assert_eq!(bucket.take(start + ms(500)), Err(ms(1000)));
        // However long it rests, no more than a second's worth leaves at once.
        let later = start + ms(60_000);
        let left = (0..10).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(left, 2);
    }

    #[test]
    fn a_slow_one_lets_one_through_and_nobody_waits_for_ever() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0.001, start);
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(WAIT_MAX));
        assert_eq!(bucket.take(start), Err(WAIT_MAX));
    }
}
