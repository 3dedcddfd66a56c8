//! A stay: the calendar nights from check-in up to, not including, check-out.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// The longest stay sold in one reservation, in nights.
pub const NIGHTS_MAX: u8 = 30;
/// How far ahead a stay may begin, in days.
pub const ADVANCE_DAYS_MAX: u16 = 365;
/// The largest party for one unit.
pub const GUESTS_MAX: u8 = 12;

/// Consecutive nights in the property's calendar, 1 to [`NIGHTS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stay {
    check_in: NaiveDate,
    nights: u8,
}

impl Stay {
    /// `None` for no night at all or more than [`NIGHTS_MAX`].
    pub fn new(check_in: NaiveDate, nights: u8) -> Option<Stay> {
        (1..=NIGHTS_MAX)
            .contains(&nights)
            .then_some(Stay { check_in, nights })
    }

    /// The first night.
    pub fn check_in(self) -> NaiveDate {
        self.check_in
    }

    /// How many nights.
    pub fn nights(self) -> u8 {
        self.nights
    }

    /// The morning of leaving; not a night of the stay.
    pub fn check_out(self) -> NaiveDate {
        self.check_in + Days::new(u64::from(self.nights))
    }
}
