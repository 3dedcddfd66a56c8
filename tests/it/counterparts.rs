//! Against programs that nobody here wrote: an SMSC made of the npm package `smpp`, the gateway Kannel with its fake SMSC,
//! the official SDK of Africa's Talking, and a double of Daraja. Each test starts its own, on free ports, and ends them.

mod africastalking;
mod daraja;
mod kannel;
mod program;
mod smsc;
