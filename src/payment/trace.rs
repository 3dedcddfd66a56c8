//! Whether a payment that we were told of has happened: the question about its receipt, and what is said of it.

use crate::booking::money::Money;

/// The reason of a payment that has gone back.
pub const REVERSED: &str = "reversed";

/// A payment to ask about.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    /// The receipt that we were told.
    pub receipt: &'a str,
    /// Where the answer is to be posted; its path is secret and names the claim.
    pub result_url: &'a str,
    /// Where it is to be posted that the answer is late.
    pub late_url: &'a str,
}

/// What became of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracing {
    /// It was taken; what is known of the payment comes later.
    Asked,
    /// It was not taken, or nobody knows. Ask again later.
    Unasked {
        /// A short word for the row and the log.
        reason: String,
    },
}

/// What is known of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traced {
    /// Money has moved.
    Moved(Movement),
    /// No money has moved under this receipt, as far as the provider knows now.
    Nothing {
        /// A short word for the row and the log.
        reason: String,
    },
    /// It does not tell: ask again.
    Unknown {
        /// A short word for the row and the log.
        reason: String,
    },
}

/// Money that a provider says has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Its receipt.
    pub receipt: String,
    /// How much.
    pub amount: Money,
    /// To which number, as far as it is told.
    pub payee: String,
}
