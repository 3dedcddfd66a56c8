//! Money: prompts, what providers post, what came, what goes back, and the ledger that holds it together.

pub mod attempts;
pub mod callbacks;
pub mod claims;
pub mod ledger;
pub mod refunds;
pub mod settle;
pub mod unallocated;
pub mod ways;

/// The most rows that a list for the operator shows.
const LIST_MAX: i64 = 200;
