//! ReserveFlow lets a person with any phone find and book a place to sleep by dialling a short code or sending an SMS.
//!
//! # The way of one call
//!
//! ```text
//! POST /ussd/africastalking/{token}   1*Nakuru*1*1*2*1*Mary*1
//!   webhook::ussd     proofs of origin, body limit; then ussd::africastalking reads the form into a Call
//!   session::turn     3.3 s from accept to reply, whatever happens. An answer that only looks goes on from the dialogue as
//!                     this instance has kept it last; its one Redis round trip keeps it if nobody has gone on since.
//!                     Any other turn: the same call in flight? wait for it
//!   session::store    one Redis round trip: has the turn a receipt? else claim it (lease, fencing token)
//!   menu              pure: State + answer -> the next screen, or an action to run
//!   session::actions  search, quote, reserve … by way of db, each effect keyed by the turn
//!   db::lane          whoever comes while a commit is under way goes together with others in the next one
//!   db::reserve       one Postgres round trip: lock the nights in date order, check, take all or none,
//!                     with reservation, event and outbox rows in the same transaction
//!   menu::render      the screen in the caller's language, paged to the operator's septets
//!   session::store    one Redis round trip: state and receipt, only if the claim still holds
//!   ussd::africastalking writes "END BOOKED 4821-7736. …"
//! jobs::outbox        claims the SMS rows, commits the claim, then sends; reports only ever raise their rank
//! ```
//!
//! # Where what lives
//!
//! - [`ussd`], [`sms`]: wire formats, one file each behind one contract; they know nothing of menus.
//! - [`smpp`]: the connection to an operator's SMSC, which carries both.
//! - [`menu`]: the flow language of `menus/`, its proof, its steps and its pages. No I/O after loading.
//! - [`booking`]: money, stays, codes, the life of a reservation. No I/O.
//! - [`payment`]: wire formats of mobile money, one file each. [`cashier`]: where money meets reservations: prompts,
//!   callbacks, the ledger, refunds and what is said of them.
//! - [`session`]: where they meet: turns, actions, the store (Redis, or memory while it is away), live menus, inbound SMS.
//! - [`breaker`]: when a store is not asked any more, and when again. [`spool`]: what is reported meanwhile.
//! - [`db`]: all SQL. It imports the types of [`booking`], never the reverse. [`books`]: what sessions and jobs ask of it.
//! - [`jobs`]: outbox, expiry of holds, rooms for who waits, stays that end, months of the calendar, changed menus, erasures.
//! - [`archive`]: old months out of the calendar into cold storage, a folder or S3.
//! - [`api`]: the offline-first REST API below `/v1`: envelope, keys, problems, one file per resource.
//! - [`funnel`]: what became of each screen that was shown, counted as turns are committed.
//! - [`webhook`], [`health`], [`console`], [`operator`], [`routes`]: HTTP; every URL is on one page.
//! - [`service`], [`app`], [`config`]: starting, stopping, settings; [`doors`]: how much of a screen each operator
//!   shows; [`connections`]: how many one address may have.
//! - [`tls`]: encryption towards Postgres and SMSCs. [`embedded`]: the private Postgres and Redis of the demo and the tests.
//! - [`simulate`]: whole runs of the above in virtual time, in which everything fails, each told again by its seed.
//! - [`simulator`]: a phone, in the browser and in the terminal, that speaks the real wire formats.
//!
//! # What always holds
//!
//! Live reservations of a property and night never exceed its units; a stay has all its nights or none; one
//! acknowledged answer has one effect, however often and wherever it is repeated; a confirmation SMS exists if and only
//! if its reservation is confirmed; no reply is late, longer than the screen, or without a word about booking and money.

pub mod api;
pub mod app;
pub mod archive;
pub mod booking;
pub mod books;
pub mod breaker;
pub mod cashier;
pub mod chance;
pub mod config;
pub mod connections;
pub mod console;
pub mod country;
pub mod crash_point;
pub mod db;
pub mod doors;
pub mod embedded;
pub mod funnel;
pub mod health;
pub mod jobs;
pub mod letters;
pub mod menu;
pub mod operator;
pub mod payment;
pub mod phone;
pub mod places;
pub mod routes;
pub mod service;
pub mod session;
pub mod simulate;
pub mod simulator;
pub mod smpp;
pub mod sms;
pub mod spool;
pub mod tls;
pub mod traffic;
pub mod ussd;
pub mod webhook;
