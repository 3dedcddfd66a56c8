//! The books as plain data: the same rules without a database, as if nothing ever happened at the same time. The test
//! `books_model` holds it to the real one. Its lodges ask no fees, and what they ask of a stay is the same on every night.

mod callers;
mod lodges;
mod money;
mod outbox;
mod stays;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use self::callers::Callers;
pub use self::lodges::{Lodge, Night};
pub use self::money::{Attempt, AttemptStatus};
pub use self::outbox::{Outbox, Row, RowStatus};
pub use self::stays::{Event, Kept};
use crate::app::Clock;
use crate::booking::code::Code;
use crate::booking::offer::{Offer, Search};
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;
use crate::chance::Chance;
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
use crate::db::reserve::{Booking, Reserved};
use crate::db::session_ends::{Past, SessionEndRow};
use crate::db::sms_spend::Empty;
use crate::db::waitlist::{WISHES_MAX, Wished};
use crate::menu::files::{Sources, Version};
use crate::phone::Msisdn;
use crate::simulate::link::{Link, Trouble};
use crate::sms::DeliveryReport;
use crate::sms::budget::Charge;

/// All that is kept.
#[derive(Default)]
pub struct Ledger {
    /// Where lodges are.
    pub places: Vec<PlaceRow>,
    /// By id.
    pub lodges: BTreeMap<Uuid, Lodge>,
    /// In the order in which they were made.
    pub stays: Vec<Kept>,
    /// The history of all, oldest first.
    pub events: Vec<Event>,
    /// Prompts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Messages and reports on them.
    pub outbox: Outbox,
    callers: Callers,
    /// Who waits for what, by the turn that asked for it. Nobody looks at them here.
    wishes: BTreeMap<String, (Msisdn, Search)>,
}

/// One way to a ledger that others may share.
#[derive(Clone)]
pub struct MemoryBooks {
    ledger: Arc<Mutex<Ledger>>,
    link: Arc<Link>,
    clock: Clock,
    chance: Chance,
}

impl MemoryBooks {
    /// By this link, in the time of this clock, with codes by this chance.
    pub fn new(
        ledger: Arc<Mutex<Ledger>>,
        link: Arc<Link>,
        clock: Clock,
        chance: Chance,
    ) -> MemoryBooks {
        MemoryBooks {
            ledger,
            link,
            clock,
            chance,
        }
    }

    /// All that is kept, at once and without the link.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement: it may not get there, or be done and not be heard of.
    async fn ask<T>(
        &self,
        statement: impl FnOnce(&mut Ledger, DateTime<Utc>) -> T,
    ) -> Result<T, DbError> {
        self.link.go().await.map_err(not_done)?;
        let answer = statement(&mut self.ledger(), self.clock.now());
        self.link.come_back().await.map_err(not_heard)?;
        Ok(answer)
    }
}

fn not_done(trouble: Trouble) -> DbError {
    match trouble {
        Trouble::Crowded => {
            deadpool_postgres::PoolError::Timeout(deadpool_postgres::TimeoutType::Wait).into()
        }
        Trouble::Broken => DbError::Busy(trouble.into()),
        Trouble::Silent => not_heard(trouble),
    }
}

fn not_heard(trouble: Trouble) -> DbError {
    DbError::Unreachable(trouble.into())
}

/// So much before a moment.
fn before(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    now - TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// So much after a moment.
fn after(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    now + TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

impl MemoryBooks {
    pub(super) async fn is_up(&self) -> Result<bool, DbError> {
        self.ask(|_, _| true).await
    }

    pub(super) async fn find_caller(&self, msisdn: &Msisdn) -> Result<Caller, DbError> {
        self.ask(|ledger, now| Caller {
            pays: ledger.was_asked_to_pay(msisdn, now),
            ..ledger.callers.find(msisdn, now)
        })
        .await
    }

    pub(super) async fn find_guest(&self, msisdn: &Msisdn) -> Result<Option<Guest>, DbError> {
        self.ask(|ledger, now| ledger.callers.find(msisdn, now).guest)
            .await
    }

    pub(super) async fn remember(&self, callers: &[Remembered<'_>]) -> Result<(), DbError> {
        self.ask(|ledger, now| {
            for caller in callers {
                ledger.callers.remember(caller, now);
            }
        })
        .await
    }

    /// No version but the one that every instance speaks.
    pub(super) async fn find_menus(&self, _version: &Version) -> Result<Option<Sources>, DbError> {
        self.ask(|_, _| None).await
    }

    pub(super) async fn list_places(&self) -> Result<Vec<PlaceRow>, DbError> {
        self.ask(|ledger, _| ledger.places.clone()).await
    }

    pub(super) async fn search_offers(&self, wanted: &Search) -> Result<Vec<Offer>, DbError> {
        self.ask(|ledger, _| ledger.search(wanted, None)).await
    }

    pub(super) async fn find_offer(
        &self,
        property: Uuid,
        stay: Stay,
        guests: u8,
    ) -> Result<Option<Offer>, DbError> {
        self.ask(|ledger, _| {
            let lodge = ledger.lodges.get(&property)?;
            lodge.offer(&ledger.town_name(lodge), stay, guests)
        })
        .await
    }

    pub(super) async fn find_restriction(
        &self,
        property: Uuid,
        stay: Stay,
        at: DateTime<Utc>,
    ) -> Result<Option<Restriction>, DbError> {
        self.ask(|ledger, _| ledger.lodges.get(&property)?.restriction(stay, Some(at)))
            .await
    }

    pub(super) async fn least_stay(&self, wanted: &Search) -> Result<Option<u8>, DbError> {
        self.ask(|ledger, _| ledger.least_stay(wanted)).await
    }

    pub(super) async fn town_restriction(
        &self,
        wanted: &Search,
        at: DateTime<Utc>,
    ) -> Result<Option<Restriction>, DbError> {
        self.ask(|ledger, _| ledger.town_restriction(wanted, at))
            .await
    }

    pub(super) async fn alternatives(
        &self,
        wanted: &Search,
        except: Uuid,
    ) -> Result<Vec<Offer>, DbError> {
        self.ask(|ledger, _| ledger.search(wanted, Some(except)))
            .await
    }

    pub(super) async fn reserve(
        &self,
        booking: &Booking<'_>,
        compose: &(dyn Fn(&Code) -> Vec<Draft> + Sync),
    ) -> Result<Reserved, DbError> {
        self.ask(|ledger, now| {
            let code = ledger.draw_code(&self.chance);
            ledger.reserve(booking, code.clone(), &compose(&code), now)
        })
        .await
    }

    pub(super) async fn list_live(
        &self,
        msisdn: &Msisdn,
        today: NaiveDate,
    ) -> Result<Vec<Reservation>, DbError> {
        self.ask(|ledger, _| ledger.list_live(msisdn, today)).await
    }

    pub(super) async fn find_by_code(
        &self,
        code: &Code,
        msisdn: &Msisdn,
    ) -> Result<Option<Reservation>, DbError> {
        self.ask(|ledger, _| ledger.find_by_code(code, msisdn))
            .await
    }

    pub(super) async fn find_by_dialogue(
        &self,
        door: &str,
        session: &str,
    ) -> Result<Option<(Reservation, i32)>, DbError> {
        self.ask(|ledger, _| ledger.find_by_dialogue(door, session))
            .await
    }

    pub(super) async fn find_payment_news(
        &self,
        msisdn: &Msisdn,
        age_max: Duration,
        waiting_max: Duration,
    ) -> Result<Option<News>, DbError> {
        self.ask(|ledger, now| ledger.find_payment_news(msisdn, age_max, waiting_max, now))
            .await
    }

    pub(super) async fn find_ways(
        &self,
        reservation: &Reservation,
    ) -> Result<Option<Ways>, DbError> {
        self.ask(|ledger, now| ledger.find_ways(reservation.id, now))
            .await
    }

    pub(super) async fn ask_payment(&self, ask: &Ask<'_>) -> Result<Asked, DbError> {
        self.ask(|ledger, now| ledger.ask_payment(ask, now)).await
    }

    pub(super) async fn hold_by_hand(&self, id: Uuid) -> Result<Option<Reservation>, DbError> {
        self.ask(|ledger, now| ledger.hold_by_hand(id, now)).await
    }

    pub(super) async fn pay_at_lodge(
        &self,
        id: Uuid,
        _cause: &Cause<'_>,
        turn: &Turn,
        drafts: &[Draft],
    ) -> Result<Moved, DbError> {
        self.ask(|ledger, now| ledger.pay_at_lodge(id, turn, drafts, now))
            .await
    }

    pub(super) async fn cancel(&self, cancel: &Cancel<'_>) -> Result<Cancelled, DbError> {
        self.ask(|ledger, now| ledger.cancel(cancel, now)).await
    }

    pub(super) async fn find_cancel_cost(
        &self,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<i64>, DbError> {
        self.ask(|ledger, _| Some(ledger.cancel_cost(ledger.place(id)?, at)))
            .await
    }

    pub(super) async fn quote_change(
        &self,
        id: Uuid,
        stay: Stay,
        at: DateTime<Utc>,
    ) -> Result<Changed, DbError> {
        self.ask(|ledger, _| ledger.quote_change(id, stay, at))
            .await
    }

    pub(super) async fn change_stay(&self, change: &Change<'_>) -> Result<Changed, DbError> {
        self.ask(|ledger, now| ledger.change_stay(change, now))
            .await
    }

    pub(super) async fn expire_holds(&self, limit: i32) -> Result<u64, DbError> {
        self.ask(|ledger, now| ledger.expire_holds(limit, now))
            .await
    }

    pub(super) async fn insert_reply(&self, turn: &Turn, draft: &Draft) -> Result<(), DbError> {
        self.ask(|ledger, now| ledger.outbox.reply(turn, draft, now))
            .await
    }

    pub(super) async fn insert_call_back(
        &self,
        turn: &Turn,
        _msisdn: &Msisdn,
        _language: &str,
        _screen: &str,
    ) -> Result<bool, DbError> {
        self.ask(|ledger, _| ledger.callers.call_back(turn)).await
    }

    pub(super) async fn add_wish(
        &self,
        turn: &Turn,
        msisdn: &Msisdn,
        _language: &str,
        wanted: &Search,
    ) -> Result<Wished, DbError> {
        self.ask(|ledger, _| {
            let wish = (msisdn.clone(), wanted.clone());
            let own = ledger.wishes.values().filter(|(whose, _)| whose == msisdn);
            let waits = own.count() >= WISHES_MAX.unsigned_abs() as usize;
            if ledger.wishes.contains_key(&turn.key()) || ledger.wishes.values().any(|w| *w == wish)
            {
                return Wished::Noted;
            }
            if waits {
                return Wished::TooMany;
            }
            ledger.wishes.insert(turn.key(), wish);
            Wished::Noted
        })
        .await
    }

    /// Nobody holds rooms for wishes here.
    pub(super) async fn find_offered(
        &self,
        _msisdn: &Msisdn,
    ) -> Result<Option<Reservation>, DbError> {
        self.ask(|_, _| None).await
    }

    pub(super) async fn is_past(&self, past: &Past<'_>) -> Result<bool, DbError> {
        self.ask(|ledger, now| {
            let long_ago = before(now, past.age_max);
            ledger.stays.iter().any(|kept| {
                kept.turn.door == past.turn.door
                    && kept.turn.session == past.turn.session
                    && kept.created_at < long_ago
            }) || ledger.callers.has_draft_before(past, long_ago)
        })
        .await
    }

    pub(super) async fn insert_session_end(
        &self,
        end: &SessionEndRow<'_>,
        was_live: bool,
    ) -> Result<bool, DbError> {
        self.ask(|ledger, now| ledger.callers.session_end(end, was_live, now))
            .await
    }

    /// Money is no matter in a simulation.
    pub(super) async fn spend(&self, _charge: &Charge) -> Result<Option<Empty>, DbError> {
        Ok(None)
    }

    pub(super) async fn unspend(&self, _charge: &Charge) -> Result<(), DbError> {
        Ok(())
    }

    pub(super) async fn claim_due(&self, limit: usize, lease: Duration) -> Result<Due, DbError> {
        self.ask(|ledger, now| ledger.outbox.claim_due(limit, lease, now))
            .await
    }

    pub(super) async fn complete(
        &self,
        claimed: &Claimed,
        via: Via<'_>,
        outcome: &Outcome,
    ) -> Result<bool, DbError> {
        self.ask(|ledger, now| ledger.outbox.complete(claimed, via, outcome, now))
            .await
    }

    pub(super) async fn record_report(
        &self,
        provider: &str,
        report: &DeliveryReport,
    ) -> Result<(), DbError> {
        self.ask(|ledger, now| ledger.outbox.record_report(provider, report, now))
            .await
    }

    pub(super) async fn apply_reports(&self) -> Result<(), DbError> {
        self.ask(|ledger, _| ledger.outbox.apply_reports()).await
    }
}
