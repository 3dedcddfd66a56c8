//! Background jobs: each is one loop that is safe to run on every instance at once, and ends when told to.

pub mod api;
pub mod archive;
pub mod audit;
pub mod bursts;
pub mod erasures;
pub mod funnel;
pub mod holds;
pub mod menus;
pub mod metrics;
pub mod outbox;
pub mod partitions;
pub mod payments;
pub mod places;
pub mod probes;
pub mod reminders;
mod rounds;
pub mod sms;
pub mod spool;
pub mod stays;
pub mod waitlist;
