//! Which nights a calendar shows, and for how long it may be believed.

use chrono::{Days, NaiveDate};

use super::problem::Problem;
use crate::booking::stay::ADVANCE_DAYS_MAX;

/// Nights of a calendar where the client does not say.
const DAYS: u8 = 30;
/// The most nights of a calendar.
const DAYS_MAX: u8 = 62;

/// Nights in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: NaiveDate,
    days: u8,
}

impl Window {
    /// What a client wants to see; from today where it does not say.
    ///
    /// # Errors
    /// [`Problem::bad_request`].
    pub fn read(
        from: Option<NaiveDate>,
        days: Option<u8>,
        today: NaiveDate,
    ) -> Result<Window, Problem> {
        let from = from.unwrap_or(today);
        let (first, last) = (
            today - Days::new(1),
            today + Days::new(ADVANCE_DAYS_MAX.into()),
        );
        if !(first..=last).contains(&from) {
            let detail = "from: is from yesterday to 365 days ahead";
            return Err(Problem::bad_request(detail));
        }
        let days = days.unwrap_or(DAYS);
        if !(1..=DAYS_MAX).contains(&days) {
            let detail = format!("days: is between 1 and {DAYS_MAX}");
            return Err(Problem::bad_request(detail));
        }
        Ok(Window { from, days })
    }

    /// The first night, and the day after the last.
    pub fn nights(self) -> (NaiveDate, NaiveDate) {
        (self.from, self.from + Days::new(self.days.into()))
    }
}

/// How many seconds nights may be believed: what is soon sells fast.
pub fn cache_ttl(window: Window, today: NaiveDate) -> u32 {
    match (window.from - today).num_days() {
        ..1 => 30,
        1..7 => 120,
        7..30 => 600,
        30.. => 3_600,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn later_nights_are_believed_longer() {
        let today = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let ttl = |days: u64| {
            let window = Window::read(Some(today + Days::new(days)), None, today).unwrap();
            cache_ttl(window, today)
        };
        let ttls: Vec<_> = [0, 1, 6, 7, 29, 30, 365].into_iter().map(ttl).collect();
        assert_eq!(ttls, [30, 120, 120, 600, 600, 3_600, 3_600]);
        assert!(Window::read(Some(today + Days::new(366)), None, today).is_err());
        assert!(Window::read(Some(today - Days::new(2)), None, today).is_err());
        assert!(Window::read(None, Some(63), today).is_err());
        assert!(Window::read(None, Some(0), today).is_err());
    }
}
