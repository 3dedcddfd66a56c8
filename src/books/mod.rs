//! What the session engine and the jobs ask of the database, each question on one line: the port between them and
//! [`crate::db`].

mod callers;
mod gather;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::{Client, Pool, Timeouts};
use tokio::time::Instant;
use uuid::Uuid;

use self::callers::Callers;
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
use crate::db::payments::attempts;
use crate::db::places::PlaceRow;
use crate::db::reservations::{Cancel, Cancelled, Reservation};
use crate::db::reserve::{Booking, Isolation, Reserved};
use crate::db::session_ends::{Past, SessionEndRow};
use crate::db::{
    DbError, call_backs, change, guests, holds, menu_versions, outbox, places, replies,
    reservations, search, session_ends,
};
use crate::menu::files::{Sources, Version};
use crate::phone::Msisdn;
use crate::sms::DeliveryReport;

/// How long a dialogue under way waits for a connection, and a reservation in its lane, in a rush. New ones are turned away by the pool much sooner.
const CROWD_MAX: Duration = Duration::from_secs(2);

/// Guests, stays and messages. Every method can fail with [`DbError`], and means what the function of [`crate::db`] that it
/// names means.
#[derive(Clone)]
pub struct Books {
    pool: Pool,
    callers: Arc<Callers>,
    lanes: Arc<Lanes>,
}

#[expect(clippy::missing_errors_doc, reason = "said of all at `Books`")]
impl Books {
    /// The books in Postgres, with as many lanes for reservations.
    pub fn postgres(pool: Pool, isolation: Isolation, lanes: u8) -> Books {
        let settings = LaneSettings {
            lanes,
            ..LaneSettings::default()
        };
        Books {
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

    /// [`guests::find_callers`] of one, for a dialogue that begins.
    pub async fn find_caller(&self, msisdn: &Msisdn) -> Result<Caller, DbError> {
        self.callers.find(&self.pool, msisdn).await
    }

    /// [`guests::find_callers`] of one, for a dialogue under way.
    pub async fn find_guest(&self, msisdn: &Msisdn) -> Result<Option<Guest>, DbError> {
        let caller = self.callers.find_again(&self.pool, msisdn).await?;
        Ok(caller.guest)
    }

    /// [`guests::remember`]
    pub async fn remember(&self, callers: &[Remembered<'_>]) -> Result<(), DbError> {
        guests::remember(&self.brief().await?, callers).await
    }

    /// [`menu_versions::find`]
    pub async fn find_menus(&self, version: &Version) -> Result<Option<Sources>, DbError> {
        menu_versions::find(&self.brief().await?, version).await
    }

    /// [`places::list_places`]
    pub async fn list_places(&self) -> Result<Vec<PlaceRow>, DbError> {
        places::list_places(&self.brief().await?).await
    }

    /// [`search::search_offers`]
    pub async fn search_offers(&self, wanted: &Search) -> Result<Vec<Offer>, DbError> {
        search::search_offers(&self.patient().await?, wanted).await
    }

    /// [`search::find_offer`]
    pub async fn find_offer(
        &self,
        property: Uuid,
        stay: Stay,
        guests: u8,
    ) -> Result<Option<Offer>, DbError> {
        search::find_offer(&self.patient().await?, property, stay, guests).await
    }

    /// [`search::find_restriction`]
    pub async fn find_restriction(
        &self,
        property: Uuid,
        stay: Stay,
        at: DateTime<Utc>,
    ) -> Result<Option<Restriction>, DbError> {
        search::find_restriction(&self.patient().await?, property, stay, at).await
    }

    /// [`search::least_stay`]
    pub async fn least_stay(&self, wanted: &Search) -> Result<Option<u8>, DbError> {
        search::least_stay(&self.patient().await?, wanted).await
    }

    /// [`search::alternatives`]
    pub async fn alternatives(&self, wanted: &Search, except: Uuid) -> Result<Vec<Offer>, DbError> {
        search::alternatives(&self.patient().await?, wanted, except).await
    }

    /// [`Lanes::reserve`]
    pub async fn reserve(
        &self,
        booking: &Booking<'_>,
        compose: impl Fn(&Code) -> Vec<Draft>,
    ) -> Result<Reserved, DbError> {
        let until = Instant::now() + CROWD_MAX;
        self.lanes.reserve(booking, until, compose).await
    }

    /// [`reservations::list_live`]
    pub async fn list_live(
        &self,
        msisdn: &Msisdn,
        today: NaiveDate,
    ) -> Result<Vec<Reservation>, DbError> {
        reservations::list_live(&self.patient().await?, msisdn, today).await
    }

    /// [`reservations::find_by_code`]
    pub async fn find_by_code(
        &self,
        code: &Code,
        msisdn: &Msisdn,
    ) -> Result<Option<Reservation>, DbError> {
        reservations::find_by_code(&self.patient().await?, code, msisdn).await
    }

    /// [`attempts::find_ways`]
    pub async fn find_ways(
        &self,
        reservation: &Reservation,
    ) -> Result<Option<attempts::Ways>, DbError> {
        let minor_per_unit = reservation.total.currency.minor_per_unit();
        attempts::find_ways(&self.patient().await?, reservation.id, minor_per_unit).await
    }

    /// [`attempts::ask`]
    pub async fn ask_payment(&self, ask: &attempts::Ask<'_>) -> Result<attempts::Asked, DbError> {
        attempts::ask(&self.patient().await?, ask).await
    }

    /// [`attempts::pay_at_lodge`]
    pub async fn pay_at_lodge(
        &self,
        id: Uuid,
        cause: &Cause<'_>,
        turn: &Turn,
        drafts: &[Draft],
    ) -> Result<Moved, DbError> {
        attempts::pay_at_lodge(&self.patient().await?, id, cause, turn, drafts).await
    }

    /// [`reservations::find_by_dialogue`]
    pub async fn find_by_dialogue(
        &self,
        door: &str,
        session: &str,
    ) -> Result<Option<(Reservation, i32)>, DbError> {
        reservations::find_by_dialogue(&self.brief().await?, door, session).await
    }

    /// [`reservations::cancel`]
    pub async fn cancel(&self, cancel: &Cancel<'_>) -> Result<Cancelled, DbError> {
        reservations::cancel(&self.patient().await?, cancel).await
    }

    /// [`reservations::find_cancel_cost`]
    pub async fn find_cancel_cost(
        &self,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<i64>, DbError> {
        reservations::find_cancel_cost(&self.patient().await?, id, at).await
    }

    /// [`change::quote_change`]
    pub async fn quote_change(
        &self,
        id: Uuid,
        stay: Stay,
        at: DateTime<Utc>,
    ) -> Result<Changed, DbError> {
        change::quote_change(&self.patient().await?, id, stay, at).await
    }

    /// [`change::change_stay`]
    pub async fn change_stay(&self, change: &Change<'_>) -> Result<Changed, DbError> {
        change::change_stay(&self.patient().await?, change).await
    }

    /// [`holds::expire_holds`]
    pub async fn expire_holds(&self, limit: i32) -> Result<u64, DbError> {
        holds::expire_holds(&self.brief().await?, limit).await
    }

    /// [`replies::insert_reply`]
    pub async fn insert_reply(&self, turn: &Turn, draft: &Draft) -> Result<(), DbError> {
        replies::insert_reply(&self.patient().await?, turn, draft).await
    }

    /// [`call_backs::insert_call_back`]
    pub async fn insert_call_back(
        &self,
        turn: &Turn,
        msisdn: &Msisdn,
        language: &str,
        screen: &str,
    ) -> Result<bool, DbError> {
        call_backs::insert_call_back(&self.patient().await?, turn, msisdn, language, screen).await
    }

    /// [`session_ends::is_past`]
    pub async fn is_past(&self, past: &Past<'_>) -> Result<bool, DbError> {
        session_ends::is_past(&self.brief().await?, past).await
    }

    /// [`session_ends::insert_session_end`]
    pub async fn insert_session_end(
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

    /// [`outbox::claim_due`]
    pub async fn claim_due(&self, limit: usize, lease: Duration) -> Result<Due, DbError> {
        outbox::claim_due(&self.brief().await?, limit, lease).await
    }

    /// [`outbox::complete`]
    pub async fn complete(
        &self,
        claimed: &Claimed,
        via: Via<'_>,
        outcome: &Outcome,
    ) -> Result<bool, DbError> {
        outbox::complete(&self.brief().await?, claimed, via, outcome).await
    }

    /// [`outbox::record_report`]
    pub async fn record_report(
        &self,
        provider: &str,
        report: &DeliveryReport,
    ) -> Result<(), DbError> {
        outbox::record_report(&self.brief().await?, provider, report).await
    }

    /// [`outbox::apply_reports`]
    pub async fn apply_reports(&self) -> Result<(), DbError> {
        outbox::apply_reports(&self.brief().await?).await
    }
}

/// A connection at once or soon: a dialogue that begins can be turned away.
async fn brief(pool: &Pool) -> Result<Client, DbError> {
    Ok(pool.get().await?)
}

/// A connection for a dialogue under way.
async fn patient(pool: &Pool) -> Result<Client, DbError> {
    let timeouts = Timeouts {
        wait: Some(CROWD_MAX),
        ..pool.timeouts()
    };
    Ok(pool.timeout_get(&timeouts).await?)
}
