//! Where aggregators, menus, bookings and stores meet: one call in, one reply out, one effect at most.

pub mod actions;
pub mod coalesce;
pub mod error;
pub mod keeper;
pub mod records;
pub mod sms;
pub mod store;
pub mod turn;
