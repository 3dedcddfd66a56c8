//! SMPP 3.4: a connection to an operator's SMSC that carries SMS out and in, delivery receipts, and USSD.
//!
//! ```text
//! link       connects, binds as transceiver, comes back after a loss, unbinds at the end
//!   bound    one bound connection: window, answers by sequence number, enquire_link both ways
//! sms        a message out: parts, and what each status of an SMSC means for it
//! inbound    a deliver_sm: a subscriber's SMS or a receipt, kept before it is acknowledged; a step of a USSD dialogue
//!   doubt    a delivery that comes twice because its acknowledgement was lost
//! pdu, text, receipt    octets, pure
//! ```
//!
//! What a USSD dialogue looks like in these PDUs is for [`crate::ussd::smpp`] to say.

mod bound;
mod doubt;
mod inbound;
pub mod link;
pub mod pdu;
pub mod receipt;
pub mod sms;
pub mod text;
#[cfg(test)]
mod vectors_test;

pub use link::{Link, LinkConfig, Links};
