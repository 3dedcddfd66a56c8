//! Where aggregators, menus, bookings and stores meet: one call in, one reply out, one effect at most.

pub mod actions;
mod answers;
mod bookings;
pub mod coalesce;
mod dialogue;
pub mod error;
pub mod given;
pub mod keeper;
pub mod limits;
pub mod lodges;
pub mod menus;
pub mod notices;
mod packed;
mod paying;
pub mod records;
mod redial;
mod resume;
pub mod search;
pub mod sms;
pub mod store;
pub mod turn;
mod waitlist;
