//! Why no money moved, in words that a guest can act upon.

use serde::{Deserialize, Serialize};

/// What a guest is told after a prompt that brought no money, and what they can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The PIN was wrong.
    WrongPin,
    /// The account holds too little.
    NoFunds,
    /// The payer said no, or let the prompt pass.
    Cancelled,
    /// The phone was off or did not answer.
    Unreachable,
    /// The phone or its line was busy with another session or prompt.
    LineBusy,
    /// The payer's limit of a payment or a day.
    Limit,
    /// The payer's account is locked or may not pay so.
    Locked,
    /// The number has no account there.
    NoAccount,
    /// The prompt could not be shown.
    NotShown,
    /// The same sum was paid by the same payer a moment ago.
    TooSoon,
    /// Nobody answered before the prompt ended.
    Expired,
    /// Any other refusal.
    Other,
}

impl Failure {
    /// Every reason.
    pub const ALL: [Failure; 12] = [
        Failure::WrongPin,
        Failure::NoFunds,
        Failure::Cancelled,
        Failure::Unreachable,
        Failure::LineBusy,
        Failure::Limit,
        Failure::Locked,
        Failure::NoAccount,
        Failure::NotShown,
        Failure::TooSoon,
        Failure::Expired,
        Failure::Other,
    ];

    /// The word in the database, in events and in logs.
    pub fn word(self) -> &'static str {
        match self {
            Failure::WrongPin => "wrong_pin",
            Failure::NoFunds => "no_funds",
            Failure::Cancelled => "cancelled",
            Failure::Unreachable => "unreachable",
            Failure::LineBusy => "line_busy",
            Failure::Limit => "limit",
            Failure::Locked => "locked",
            Failure::NoAccount => "no_account",
            Failure::NotShown => "not_shown",
            Failure::TooSoon => "too_soon",
            Failure::Expired => "expired",
            Failure::Other => "other",
        }
    }

    /// The reason with this word.
    pub fn find(word: &str) -> Option<Failure> {
        Failure::ALL
            .into_iter()
            .find(|failure| failure.word() == word)
    }

    /// Whether the prompt may be answered after all: a phone that was out of reach may show it late.
    pub fn may_still_pay(self) -> bool {
        matches!(
            self,
            Failure::Unreachable | Failure::Expired | Failure::Other
        )
    }
}
