//! Against programs that nobody here wrote: an SMSC made of the npm package `smpp`, the gateway Kannel with its fake SMSC,
//! the official SDK of Africa's Talking, a double of Daraja and one of S3, schemathesis,
//! and what clients of the API are given. Each test starts its own, on free ports, and ends them.

mod africastalking;
mod checksum;
mod daraja;
mod kannel;
mod program;
mod s3;
mod schemathesis;
mod smsc;
