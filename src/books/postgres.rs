//! The books in Postgres.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::{Client, Pool, Timeouts};
use tokio::time::Instant;
use uuid::Uuid;

use super::callers::Callers;
use crate::booking::code::Code;
use crate::booking::offer::{Offer, Search};
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;
use crate::db::change::{Change, Changed};
use crate::db::effect::{Cause, Draft, Turn};
use crate::db::guests::{Caller, Guest, Remembered};
use crate::db::lane::{LaneSettings, Lanes};
use crate::db::life::Moved;
use crate::db::outbox::{Claimed, Due, Outcome, Via};
use crate::db::payments::{attempts, ways};
use crate::db::places::PlaceRow;
use crate::db::reservations::{Cancel, Cancelled, Reservation};
use crate::db::reserve::{Booking, Isolation, Reserved};
use crate::db::session_ends::{Past, SessionEndRow};
use crate::db::sms_spend::Empty;
use crate::db::waitlist::{self, Wished};
use crate::db::{
    DbError, call_backs, change, guests, holds, menu_versions, outbox, patience, places, replies,
    reservations, search, session_ends, sms_spend,
};
use crate::menu::files::{Sources, Version};
use crate::phone::Msisdn;
use crate::sms::DeliveryReport;
use crate::sms::budget::Charge;

/// How long a dialogue under way waits for a connection, and a reservation in its lane, in a rush. New ones are turned away by the pool much sooner.
const CROWD_MAX: Duration = Duration::from_secs(2);

/// [`crate::db`] by way of a pool. Each method means what the one of [`super::Books`] does.
#[derive(Clone)]
pub struct PostgresBooks {
    pool: Pool,
    callers: Arc<Callers>,
    lanes: Arc<Lanes>,
}

impl PostgresBooks {
    pub(super) fn new(pool: Pool, isolation: Isolation, lanes: u8) -> PostgresBooks {
        let settings = LaneSettings {
            lanes,
            ..LaneSettings::default()
        };
        PostgresBooks {
            callers: Arc::default(),
            lanes: Arc::new(Lanes::new(&pool, isolation, settings)),
            pool,
        }
    }

    async fn brief(&self) -> Result<Client, DbError> {
        brief(&self.pool).await
    }

    async fn patient(&self) -> Result<Client, DbError> {
        patient(&self.pool).await
    }

    pub(super) async fn is_up(&self) -> Result<bool, DbError> {
        Ok(patience::probe(&self.pool).await)
    }

    pub(super) async fn find_caller(&self, msisdn: &Msisdn) -> Result<Caller, DbError> {
        self.callers.find(&self.pool, msisdn).await
    }

    pub(super) async fn find_guest(&self, msisdn: &Msisdn) -> Result<Option<Guest>, DbError> {
        let caller = self.callers.find_again(&self.pool, msisdn).await?;
        Ok(caller.guest)
    }

    pub(super) async fn remember(&self, callers: &[Remembered<'_>]) -> Result<(), DbError> {
        guests::remember(&self.brief().await?, callers).await
    }

    pub(super) async fn find_menus(&self, version: &Version) -> Result<Option<Sources>, DbError> {
        menu_versions::find(&self.brief().await?, version).await
    }

    pub(super) async fn list_places(&self) -> Result<Vec<PlaceRow>, DbError> {
        places::list_places(&self.brief().await?).await
    }

    pub(super) async fn search_offers(&self, wanted: &Search) -> Result<Vec<Offer>, DbError> {
        search::search_offers(&self.patient().await?, wanted).await
    }

    pub(super) async fn find_offer(
        &self,
        property: Uuid,
        stay: Stay,
        guests: u8,
    ) -> Result<Option<Offer>, DbError> {
        search::find_offer(&self.patient().await?, property, stay, guests).await
    }

    pub(super) async fn find_restriction(
        &self,
        property: Uuid,
        stay: Stay,
        at: DateTime<Utc>,
    ) -> Result<Option<Restriction>, DbError> {
        search::find_restriction(&self.patient().await?, property, stay, at).await
    }

    pub(super) async fn least_stay(&self, wanted: &Search) -> Result<Option<u8>, DbError> {
        search::least_stay(&self.patient().await?, wanted).await
    }

    pub(super) async fn town_restriction(
        &self,
        wanted: &Search,
        at: DateTime<Utc>,
    ) -> Result<Option<Restriction>, DbError> {
        search::town_restriction(&self.patient().await?, wanted, at).await
    }

    pub(super) async fn alternatives(
        &self,
        wanted: &Search,
        except: Uuid,
    ) -> Result<Vec<Offer>, DbError> {
        search::alternatives(&self.patient().await?, wanted, except).await
    }

    pub(super) async fn reserve(
        &self,
        booking: &Booking<'_>,
        compose: &(dyn Fn(&Code) -> Vec<Draft> + Sync),
    ) -> Result<Reserved, DbError> {
        let until = Instant::now() + CROWD_MAX;
        self.lanes.reserve(booking, until, compose).await
    }

    pub(super) async fn list_live(
        &self,
        msisdn: &Msisdn,
        today: NaiveDate,
    ) -> Result<Vec<Reservation>, DbError> {
        reservations::list_live(&self.patient().await?, msisdn, today).await
    }

    pub(super) async fn find_by_code(
        &self,
        code: &Code,
        msisdn: &Msisdn,
    ) -> Result<Option<Reservation>, DbError> {
        reservations::find_by_code(&self.patient().await?, code, msisdn).await
    }

    pub(super) async fn find_payment_news(
        &self,
        msisdn: &Msisdn,
        age_max: Duration,
        waiting_max: Duration,
    ) -> Result<Option<attempts::News>, DbError> {
        attempts::find_news(&self.brief().await?, msisdn, age_max, waiting_max).await
    }

    pub(super) async fn find_ways(
        &self,
        reservation: &Reservation,
    ) -> Result<Option<ways::Ways>, DbError> {
        let minor_per_unit = reservation.total.currency.minor_per_unit();
        ways::find_ways(&self.patient().await?, reservation.id, minor_per_unit).await
    }

    pub(super) async fn ask_payment(
        &self,
        ask: &attempts::Ask<'_>,
    ) -> Result<attempts::Asked, DbError> {
        attempts::ask(&self.patient().await?, ask).await
    }

    pub(super) async fn hold_by_hand(&self, id: Uuid) -> Result<Option<Reservation>, DbError> {
        ways::hold_by_hand(&self.patient().await?, id).await
    }

    pub(super) async fn pay_at_lodge(
        &self,
        id: Uuid,
        cause: &Cause<'_>,
        turn: &Turn,
        drafts: &[Draft],
    ) -> Result<Moved, DbError> {
        ways::pay_at_lodge(&self.patient().await?, id, cause, turn, drafts).await
    }

    pub(super) async fn find_by_dialogue(
        &self,
        door: &str,
        session: &str,
    ) -> Result<Option<(Reservation, i32)>, DbError> {
        reservations::find_by_dialogue(&self.brief().await?, door, session).await
    }

    pub(super) async fn cancel(&self, cancel: &Cancel<'_>) -> Result<Cancelled, DbError> {
        reservations::cancel(&self.patient().await?, cancel).await
    }

    pub(super) async fn find_cancel_cost(
        &self,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<i64>, DbError> {
        reservations::find_cancel_cost(&self.patient().await?, id, at).await
    }

    pub(super) async fn quote_change(
        &self,
        id: Uuid,
        stay: Stay,
        at: DateTime<Utc>,
    ) -> Result<Changed, DbError> {
        change::quote_change(&self.patient().await?, id, stay, at).await
    }

    pub(super) async fn change_stay(&self, change: &Change<'_>) -> Result<Changed, DbError> {
        change::change_stay(&self.patient().await?, change).await
    }

    pub(super) async fn expire_holds(&self, limit: i32) -> Result<u64, DbError> {
        holds::expire_holds(&self.brief().await?, limit).await
    }

    pub(super) async fn insert_reply(&self, turn: &Turn, draft: &Draft) -> Result<(), DbError> {
        replies::insert_reply(&self.patient().await?, turn, draft).await
    }

    pub(super) async fn insert_call_back(
        &self,
        turn: &Turn,
        msisdn: &Msisdn,
        language: &str,
        screen: &str,
    ) -> Result<bool, DbError> {
        call_backs::insert_call_back(&self.patient().await?, turn, msisdn, language, screen).await
    }

    pub(super) async fn add_wish(
        &self,
        turn: &Turn,
        msisdn: &Msisdn,
        language: &str,
        wanted: &Search,
    ) -> Result<Wished, DbError> {
        waitlist::add(&self.patient().await?, turn, msisdn, language, wanted).await
    }

    pub(super) async fn find_offered(
        &self,
        msisdn: &Msisdn,
    ) -> Result<Option<Reservation>, DbError> {
        waitlist::find_offered(&self.patient().await?, msisdn).await
    }

    pub(super) async fn is_past(&self, past: &Past<'_>) -> Result<bool, DbError> {
        session_ends::is_past(&self.brief().await?, past).await
    }

    pub(super) async fn insert_session_end(
        &self,
        end: &SessionEndRow<'_>,
        was_live: bool,
    ) -> Result<bool, DbError> {
        let mut client = self.brief().await?;
        let transaction = client.transaction().await?;
        let inserted = session_ends::insert_session_end(&transaction, end, was_live).await?;
        transaction.commit().await?;
        Ok(inserted)
    }

    pub(super) async fn claim_due(&self, limit: usize, lease: Duration) -> Result<Due, DbError> {
        outbox::claim_due(&self.brief().await?, limit, lease).await
    }

    pub(super) async fn complete(
        &self,
        claimed: &Claimed,
        via: Via<'_>,
        outcome: &Outcome,
    ) -> Result<bool, DbError> {
        outbox::complete(&self.brief().await?, claimed, via, outcome).await
    }

    pub(super) async fn spend(&self, charge: &Charge) -> Result<Option<Empty>, DbError> {
        sms_spend::spend(&self.brief().await?, charge).await
    }

    pub(super) async fn unspend(&self, charge: &Charge) -> Result<(), DbError> {
        sms_spend::unspend(&self.brief().await?, charge).await
    }

    pub(super) async fn record_report(
        &self,
        provider: &str,
        report: &DeliveryReport,
    ) -> Result<(), DbError> {
        outbox::record_report(&self.brief().await?, provider, report).await
    }

    pub(super) async fn apply_reports(&self) -> Result<(), DbError> {
        outbox::apply_reports(&self.brief().await?).await
    }
}

/// A connection at once or soon: a dialogue that begins can be turned away.
pub(super) async fn brief(pool: &Pool) -> Result<Client, DbError> {
    Ok(pool.get().await?)
}

/// A connection for a dialogue under way.
pub(super) async fn patient(pool: &Pool) -> Result<Client, DbError> {
    let timeouts = Timeouts {
        wait: Some(CROWD_MAX),
        ..pool.timeouts()
    };
    Ok(pool.timeout_get(&timeouts).await?)
}
