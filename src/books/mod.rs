//! What the session engine and the jobs ask of the database, each question on one line: the port between them and
//! [`crate::db`].

mod callers;
mod gather;
pub mod memory;
mod postgres;

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::Pool;
use uuid::Uuid;

use self::memory::MemoryBooks;
pub use self::postgres::PostgresBooks;
use crate::booking::code::Code;
use crate::booking::offer::{Offer, Search};
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;
use crate::db::DbError;
use crate::db::change::{Change, Changed};
use crate::db::effect::{Cause, Draft, Turn};
use crate::db::guests::{Caller, Guest, Remembered};
use crate::db::life::Moved;
use crate::db::outbox::{Claimed, Due, Outcome, Via};
use crate::db::payments::attempts::{Ask, Asked, News};
use crate::db::payments::ways::Ways;
use crate::db::places::PlaceRow;
use crate::db::reservations::{Cancel, Cancelled, Reservation};
use crate::db::reserve::{Booking, Isolation, Reserved};
use crate::db::session_ends::{Past, SessionEndRow};
use crate::db::sms_spend::Empty;
use crate::db::waitlist::Wished;
use crate::menu::files::{Sources, Version};
use crate::phone::Msisdn;
use crate::sms::DeliveryReport;
use crate::sms::budget::Charge;

/// Guests, stays and messages. Every method can fail with [`DbError`], and means what the function of [`crate::db`] that it
/// names means.
#[derive(Clone)]
pub enum Books {
    /// In the database.
    Postgres(PostgresBooks),
    /// In a model of it, for [`crate::simulate`].
    Memory(MemoryBooks),
}

impl Books {
    /// The books in Postgres, with as many lanes for reservations.
    pub fn postgres(pool: Pool, isolation: Isolation, lanes: u8) -> Books {
        Books::Postgres(PostgresBooks::new(pool, isolation, lanes))
    }
}

macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),* $(,)?) -> $answer:ty;)*) => {
        #[expect(clippy::missing_errors_doc, reason = "said of all at `Books`")]
        impl Books {
            $(
                $(#[$doc])*
                pub async fn $name(&self, $($argument: $type),*) -> Result<$answer, DbError> {
                    match self {
                        Books::Postgres(books) => books.$name($($argument),*).await,
                        Books::Memory(books) => books.$name($($argument),*).await,
                    }
                }
            )*
        }
    };
}

questions! {
    /// [`crate::db::patience::probe`]
    is_up() -> bool;
    /// [`crate::db::guests::find_callers`] of one, for a dialogue that begins.
    find_caller(msisdn: &Msisdn) -> Caller;
    /// [`crate::db::guests::find_callers`] of one, for a dialogue under way.
    find_guest(msisdn: &Msisdn) -> Option<Guest>;
    /// [`crate::db::guests::remember`]
    remember(callers: &[Remembered<'_>]) -> ();
    /// [`crate::db::menu_versions::find`]
    find_menus(version: &Version) -> Option<Sources>;
    /// [`crate::db::places::list_places`]
    list_places() -> Vec<PlaceRow>;
    /// [`crate::db::search::search_offers`]
    search_offers(wanted: &Search) -> Vec<Offer>;
    /// [`crate::db::search::find_offer`]
    find_offer(property: Uuid, stay: Stay, guests: u8) -> Option<Offer>;
    /// [`crate::db::search::find_restriction`]
    find_restriction(property: Uuid, stay: Stay, at: DateTime<Utc>) -> Option<Restriction>;
    /// [`crate::db::search::least_stay`]
    least_stay(wanted: &Search) -> Option<u8>;
    /// [`crate::db::search::town_restriction`]
    town_restriction(wanted: &Search, at: DateTime<Utc>) -> Option<Restriction>;
    /// [`crate::db::search::alternatives`]
    alternatives(wanted: &Search, except: Uuid) -> Vec<Offer>;
    /// [`crate::db::lane::Lanes::reserve`]
    reserve(booking: &Booking<'_>, compose: &(dyn Fn(&Code) -> Vec<Draft> + Sync)) -> Reserved;
    /// [`crate::db::reservations::list_live`]
    list_live(msisdn: &Msisdn, today: NaiveDate) -> Vec<Reservation>;
    /// [`crate::db::reservations::find_by_code`]
    find_by_code(code: &Code, msisdn: &Msisdn) -> Option<Reservation>;
    /// [`crate::db::reservations::find_by_dialogue`]
    find_by_dialogue(door: &str, session: &str) -> Option<(Reservation, i32)>;
    /// [`crate::db::payments::attempts::find_news`]
    find_payment_news(msisdn: &Msisdn, age_max: Duration, waiting_max: Duration) -> Option<News>;
    /// [`crate::db::payments::ways::find_ways`]
    find_ways(reservation: &Reservation) -> Option<Ways>;
    /// [`crate::db::payments::attempts::ask`]
    ask_payment(ask: &Ask<'_>) -> Asked;
    /// [`crate::db::payments::ways::hold_by_hand`]
    hold_by_hand(id: Uuid) -> Option<Reservation>;
    /// [`crate::db::payments::ways::pay_at_lodge`]
    pay_at_lodge(id: Uuid, cause: &Cause<'_>, turn: &Turn, drafts: &[Draft]) -> Moved;
    /// [`crate::db::reservations::cancel`]
    cancel(cancel: &Cancel<'_>) -> Cancelled;
    /// [`crate::db::reservations::find_cancel_cost`]
    find_cancel_cost(id: Uuid, at: DateTime<Utc>) -> Option<i64>;
    /// [`crate::db::change::quote_change`]
    quote_change(id: Uuid, stay: Stay, at: DateTime<Utc>) -> Changed;
    /// [`crate::db::change::change_stay`]
    change_stay(change: &Change<'_>) -> Changed;
    /// [`crate::db::holds::expire_holds`]
    expire_holds(limit: i32) -> u64;
    /// [`crate::db::replies::insert_reply`]
    insert_reply(turn: &Turn, draft: &Draft) -> ();
    /// [`crate::db::call_backs::insert_call_back`]
    insert_call_back(turn: &Turn, msisdn: &Msisdn, language: &str, screen: &str) -> bool;
    /// [`crate::db::waitlist::add`]
    add_wish(turn: &Turn, msisdn: &Msisdn, language: &str, wanted: &Search) -> Wished;
    /// [`crate::db::waitlist::find_offered`]
    find_offered(msisdn: &Msisdn) -> Option<Reservation>;
    /// [`crate::db::session_ends::is_past`]
    is_past(past: &Past<'_>) -> bool;
    /// [`crate::db::session_ends::insert_session_end`]
    insert_session_end(end: &SessionEndRow<'_>, was_live: bool) -> bool;
    /// [`crate::db::outbox::claim_due`]
    claim_due(limit: usize, lease: Duration) -> Due;
    /// [`crate::db::outbox::complete`]
    complete(claimed: &Claimed, via: Via<'_>, outcome: &Outcome) -> bool;
    /// [`crate::db::outbox::record_report`]
    record_report(provider: &str, report: &DeliveryReport) -> ();
    /// [`crate::db::sms_spend::spend`]
    spend(charge: &Charge) -> Option<Empty>;
    /// [`crate::db::sms_spend::unspend`]
    unspend(charge: &Charge) -> ();
    /// [`crate::db::outbox::apply_reports`]
    apply_reports() -> ();
}
