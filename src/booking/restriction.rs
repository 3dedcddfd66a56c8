//! Why a stay cannot be booked though its nights may be free.

use serde::{Deserialize, Serialize};

/// What the lodge asks of a stay that this one does not fulfil. It is not "full": other dates or nights may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    /// At least so many nights from that night on.
    MinStay(u16),
    /// At most so many nights from that night on.
    MaxStay(u16),
    /// Nobody arrives on that day.
    NoArrival,
    /// Nobody leaves on that day.
    NoDeparture,
    /// Not more than so many days ahead.
    TooEarly(u16),
    /// At least so many hours before check-in time.
    TooLate(u16),
}

impl Restriction {
    /// Reads the database's word and number, e.g. `min_stay 2`.
    pub fn find(words: &str) -> Option<Restriction> {
        let (word, number) = words.split_once(' ')?;
        let number = number.parse().ok()?;
        Some(match word {
            "min_stay" => Restriction::MinStay(number),
            "max_stay" => Restriction::MaxStay(number),
            "no_arrival" => Restriction::NoArrival,
            "no_departure" => Restriction::NoDeparture,
            "too_early" => Restriction::TooEarly(number),
            "too_late" => Restriction::TooLate(number),
            _ => return None,
        })
    }
}
