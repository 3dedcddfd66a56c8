//! The life of a reservation: which state may follow which.

use serde::{Deserialize, Serialize};

/// Where a reservation stands. It only moves forward; see [`Status::may_become`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Units taken until a time, not yet paid.
    Held,
    /// A payment is under way.
    Paying,
    /// The guest has it.
    Confirmed,
    /// The guest has arrived.
    CheckedIn,
    /// The stay is over.
    Completed,
    /// The hold ran out.
    Expired,
    /// Given up by guest, host or operator.
    Cancelled,
    /// Nobody came.
    NoShow,
    /// Money came for nights that are gone.
    RefundDue,
    /// That money went back.
    Refunded,
}

impl Status {
    /// Every state.
    pub const ALL: [Status; 10] = [
        Status::Held,
        Status::Paying,
        Status::Confirmed,
        Status::CheckedIn,
        Status::Completed,
        Status::Expired,
        Status::Cancelled,
        Status::NoShow,
        Status::RefundDue,
        Status::Refunded,
    ];

    /// The word in the database, in events and in the API.
    pub fn word(self) -> &'static str {
        match self {
            Status::Held => "held",
            Status::Paying => "paying",
            Status::Confirmed => "confirmed",
            Status::CheckedIn => "checked_in",
            Status::Completed => "completed",
            Status::Expired => "expired",
            Status::Cancelled => "cancelled",
            Status::NoShow => "no_show",
            Status::RefundDue => "refund_due",
            Status::Refunded => "refunded",
        }
    }

    /// The state with this word.
    pub fn find(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Whether the guest has it for good, come or not.
    pub fn is_confirmed(self) -> bool {
        matches!(
            self,
            Status::Confirmed | Status::CheckedIn | Status::Completed | Status::NoShow
        )
    }

    /// Whether its nights are taken from others. Those of a stay that is over stay taken: they were slept.
    pub fn takes_nights(self) -> bool {
        matches!(
            self,
            Status::Held
                | Status::Paying
                | Status::Confirmed
                | Status::CheckedIn
                | Status::Completed
        )
    }

    /// Whether `next` may follow directly. The table `reservation_move` holds the database to the same.
    pub fn may_become(self, next: Status) -> bool {
        use Status::{
            Cancelled, CheckedIn, Completed, Confirmed, Expired, Held, NoShow, Paying, RefundDue,
            Refunded,
        };
        matches!(
            (self, next),
            (Held, Paying | Confirmed | Expired | Cancelled)
                | (Paying, Confirmed | Expired | Cancelled | RefundDue)
                | (Confirmed, CheckedIn | Cancelled | NoShow)
                | (CheckedIn, Completed)
                | (Expired, Confirmed | RefundDue)
                | (Cancelled, RefundDue)
                | (RefundDue, Refunded)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_can_come_back_to_held_and_words_are_unique() {
        for status in Status::ALL {
            assert!(!status.may_become(Status::Held));
            assert_eq!(Status::find(status.word()), Some(status));
        }
    }
}
