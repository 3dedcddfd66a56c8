//! What the actions of a menu do: search, quote, reserve, look up, give up. Each ends in an outcome declared in
//! `menu::action`; a database that cannot be used is the outcome `unavailable`, never a broken dialogue.

use std::sync::Arc;

use tokio::time::Instant;

use chrono::Duration;
use uuid::Uuid;

use crate::app::App;
use crate::booking::code::Code;
use crate::booking::offer::{Offer, Search};
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;
use crate::country::Country;
use crate::crash_point;
use crate::db::DbError;
use crate::db::effect::{Cause, Draft, Turn};
use crate::db::patience::{ASK_MAX, EXTRA_MAX, within};
use crate::db::reserve::{Booking, Reserved};
use crate::menu::Menu;
use crate::menu::action::Action;
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::step::State;
use crate::menu::value::{Value, Values};
use crate::phone::Msisdn;
use crate::session::coalesce::Coalesced;
use crate::session::error::TurnError;
use crate::session::keeper::last_places;
use crate::session::search::Found;
use crate::session::{notices, records};
use crate::sms::gsm7;

/// The greatest age of offers that is told.
const AGE_MINUTES_MAX: i64 = 60;
/// A list of offers is of no use after so long.
const OFFERS_TEXT_TTL: Duration = Duration::hours(6);
/// The most hours ahead that are told.
const HOURS_BEFORE_MAX: u16 = 999;
/// One SMS of one part.
const SMS_SEPTETS: usize = 160;

/// What an action works with.
pub struct Work<'a> {
    /// The service.
    pub app: &'a Arc<App>,
    /// What the dialogue speaks.
    pub menu: &'a Menu,
    /// The caller's country.
    pub country: &'static Country,
    /// The caller.
    pub msisdn: &'a Msisdn,
    /// The turn that any effect is keyed by.
    pub turn: &'a Turn,
    /// `ussd` or `sms`.
    pub channel: &'static str,
    /// The dialogue so far.
    pub state: &'a State,
    /// When the caller stops waiting.
    pub until: Instant,
    /// An earlier try of this turn was not finished: it may have had its effect.
    pub unfinished: bool,
    /// Ids of the places that the caller looked for, the last one first, where that is known.
    pub places: Option<&'a [String]>,
}

/// How an action ended, and what it binds.
pub struct Done {
    /// One of the action's outcomes.
    pub outcome: &'static str,
    /// Variables.
    pub binds: Values,
}

pub(super) fn done(outcome: &'static str) -> Done {
    Done {
        outcome,
        binds: Values::new(),
    }
}

impl Done {
    pub(super) fn bind(mut self, name: &str, value: Value) -> Done {
        self.binds.insert(name.to_owned(), value);
        self
    }
}

/// Does the work of an action that waits for nothing. `None`: it is one for [`run`].
pub fn at_once(action: &Action, work: &Work<'_>) -> Option<Done> {
    match action.name {
        "find_place" => Some(work.find_place()),
        "list_regions" => Some(work.list_regions()),
        "list_towns" => Some(work.list_towns()),
        "time_of_day" => Some(work.time_of_day()),
        "recent_places" => work.places.map(|known| work.listed_places(known)),
        _ => None,
    }
}

/// Does the work of any other action.
///
/// # Errors
/// [`TurnError::Unknown`] when an effect may or may not have happened.
pub async fn run(action: &Action, work: &Work<'_>) -> Result<Done, TurnError> {
    match action.name {
        "recent_places" => return Ok(work.extra(work.recent_places(), "none").await),
        "known_guest" => return Ok(work.extra(work.known_guest(), "unknown").await),
        "search" => return Ok(work.search().await),
        "reserve" => return work.reserve().await,
        _ => {}
    }
    let result = work.within(ASK_MAX, async {
        match action.name {
            "text_offers" => work.text_offers().await,
            "quote" => work.quote().await,
            "list_bookings" => work.list_bookings(|_| true).await,
            "list_unpaid" => {
                work.list_bookings(|reservation| !reservation.status.is_confirmed())
                    .await
            }
            "price_of_cancel" => work.price_of_cancel().await,
            "cancel" => work.cancel().await,
            "price_of_change" => work.price_of_change().await,
            "change_days" => work.change_days().await,
            "ways_to_pay" => work.ways_to_pay().await,
            "pay" => work.pay().await,
            "call_back" => work.call_back().await,
            "add_wish" => work.add_wish().await,
            "find_offered" => work.find_offered().await,
            "take_room" => work.take_room().await,
            other => work.for_lodges(other).await,
        }
    });
    match result.await {
        Ok(done) => Ok(done),
        // It may have been cancelled, or changed.
        Err(error)
            if action.commits
                && !matches!(action.name, "text_offers" | "call_back" | "add_wish")
                && work.may_be_done(&error) =>
        {
            Err(TurnError::Unknown(error))
        }
        // The dialogue stays where it is: the same answer again may find room.
        Err(error) if error.is_crowded() => Err(TurnError::Database(error)),
        Err(error) if action.outcome("unavailable").is_some() => without(action, error),
        Err(error) => Err(TurnError::Database(error)),
    }
}

/// The end of an action that could not be done. What was done before it in the same turn stays as it is, and is not denied.
///
/// # Errors
/// [`TurnError::Unknown`] where the action has no such end.
pub fn without(action: &Action, error: DbError) -> Result<Done, TurnError> {
    if action.outcome("unavailable").is_none() {
        return Err(TurnError::Unknown(error));
    }
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        action = action.name,
        "an action could not be done"
    );
    metrics::counter!("actions_unavailable_total", "action" => action.name).increment(1);
    Ok(done("unavailable"))
}

/// Whether the guest hears of this end by an SMS of its own.
pub fn is_texted(action: &Action, outcome: &str) -> bool {
    matches!(
        (action.name, outcome),
        ("reserve", "confirmed" | "held")
            | ("cancel", "cancelled" | "cancelled_late")
            | ("change_days" | "pay" | "take_room", "changed" | "confirmed")
            | ("text_offers", "done")
    )
}

impl Work<'_> {
    pub(super) fn language(&self) -> &Language {
        self.menu.language(&self.state.language)
    }

    pub(super) fn text(&self, variable: &str, field: &str) -> Option<&str> {
        self.state.values.get(variable)?.field(field)?.as_text()
    }

    async fn recent_places(&self) -> Result<Done, DbError> {
        // First what waits to be written: it may be written, and gone from there, while the database answers.
        let waiting = self.app.keeper.pending(self.msisdn).places;
        let known = self.app.books.find_guest(self.msisdn).await?;
        let recent = last_places(
            waiting,
            known.map(|guest| guest.recent_places).unwrap_or_default(),
        );
        Ok(self.listed_places(&recent))
    }

    fn listed_places(&self, ids: &[String]) -> Done {
        let gazetteer = self.app.gazetteer();
        let places = ids
            .iter()
            .filter_map(|id| gazetteer.find(id))
            .map(|place| records::place(place, &gazetteer))
            .collect();
        listed("places", places)
    }

    /// Asks the database for as long as the caller waits.
    async fn within<T>(
        &self,
        limit: std::time::Duration,
        ask: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let left = self.until.saturating_duration_since(Instant::now());
        within(&self.app.postgres, limit.min(left), ask).await
    }

    /// What the dialogue can do without.
    async fn extra(
        &self,
        ask: impl Future<Output = Result<Done, DbError>>,
        without: &'static str,
    ) -> Done {
        self.within(EXTRA_MAX, ask).await.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                without,
                "a dialogue goes on without what is known of its caller"
            );
            done(without)
        })
    }

    /// Whether what failed so may have had its effect, now or when it was tried before.
    fn may_be_done(&self, error: &DbError) -> bool {
        match error {
            DbError::Unreachable(_) => true,
            DbError::Busy(_) => self.unfinished,
            DbError::Conflict(_) | DbError::Refused(_) => false,
        }
    }

    fn time_of_day(&self) -> Done {
        done(if self.app.local_time(self.country).after_midnight {
            "after_midnight"
        } else {
            "day"
        })
    }

    fn find_place(&self) -> Done {
        let typed = self
            .state
            .values
            .get("typed")
            .and_then(Value::as_text)
            .unwrap_or_default();
        let gazetteer = self.app.gazetteer();
        let found = gazetteer.search(typed, Some(self.country.code));
        match &found[..] {
            [] => done("none"),
            [one] => done("one").bind("place", records::place(one, &gazetteer)),
            several => done("several").bind(
                "places",
                Value::list(
                    several
                        .iter()
                        .map(|place| records::place(place, &gazetteer)),
                ),
            ),
        }
    }

    fn list_regions(&self) -> Done {
        let regions = self.app.gazetteer().regions(self.country.code);
        listed(
            "regions",
            regions.iter().map(|name| records::region(name)).collect(),
        )
    }

    fn list_towns(&self) -> Done {
        let gazetteer = self.app.gazetteer();
        let towns = gazetteer.towns(self.country.code, self.text("region", "name"));
        listed(
            "places",
            towns
                .iter()
                .map(|place| records::place(place, &gazetteer))
                .collect(),
        )
    }

    /// The stay asked for. `None` only in a flow that runs an action without its variables.
    pub(super) fn wanted(&self) -> Option<Search> {
        let values = &self.state.values;
        let nights = u8::try_from(values.get("nights")?.as_count()?).ok()?;
        let guests = u8::try_from(values.get("guests")?.as_count()?).ok()?;
        let stay = Stay::new(values.get("check_in")?.as_date()?, nights)?;
        Some(Search {
            place: self.text("place", "id")?.to_owned(),
            stay,
            guests,
            prepaid: self.app.config.takes_money(),
        })
    }

    /// What is free now; where the database cannot tell, what was free when it last did.
    async fn search(&self) -> Done {
        let Some(wanted) = self.wanted() else {
            return done("unavailable");
        };
        let listed = |found: &Found| done("found").bind("offers", found.listed());
        match self.app.searches.find(self.app, wanted.clone()).await {
            Ok(found) if found.offers.is_empty() => return self.none_for(&wanted).await,
            Ok(found) => return listed(&found),
            Err(Coalesced::Failed(error)) => {
                tracing::warn!(error = &*error as &dyn std::error::Error, "a search failed");
            }
            Err(Coalesced::Lost) => {}
        }
        match self.app.searches.remembered(&wanted).await {
            Some(found) if !found.offers.is_empty() => {
                let age = (self.app.clock.now() - found.at).num_minutes();
                Done {
                    outcome: "remembered",
                    ..listed(&found)
                }
                .bind("age", Value::Count(age.clamp(1, AGE_MINUTES_MAX)))
            }
            _ => done("unavailable"),
        }
    }

    /// Nothing is offered for such a stay: perhaps for more nights, or lodges have room and do not take it.
    async fn none_for(&self, wanted: &Search) -> Done {
        match self.why_none(wanted).await {
            Ok(Some(restriction)) => restricted(restriction, Some(wanted.stay)),
            Ok(None) => done("none"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "whether another stay would be taken is not known"
                );
                done("none")
            }
        }
    }

    async fn why_none(&self, wanted: &Search) -> Result<Option<Restriction>, DbError> {
        let books = &self.app.books;
        match books.least_stay(wanted).await? {
            Some(least) => Ok(Some(Restriction::MinStay(u16::from(least)))),
            None => books.town_restriction(wanted, self.app.clock.now()).await,
        }
    }

    async fn text_offers(&self) -> Result<Done, DbError> {
        let (Some(Value::List(offers)), Some(wanted)) =
            (self.state.values.get("offers"), self.wanted())
        else {
            return Ok(done("unavailable"));
        };
        let language = self.language();
        let head = Value::record([
            (
                "town",
                Value::text(self.text("place", "name").unwrap_or_default()),
            ),
            ("check_in", Value::Date(wanted.stay.check_in())),
            ("nights", Value::Count(i64::from(wanted.stay.nights()))),
        ]);
        let mut text = self
            .app
            .say(Message::OffersHead, language, Some(&head), self.country);
        for offer in offers.iter() {
            let line = format!(
                "\n{}",
                self.app
                    .say(Message::OfferLine, language, Some(offer), self.country)
            );
            if !gsm7::fits_ussd(&format!("{text}{line}"), SMS_SEPTETS) {
                break;
            }
            text.push_str(&line);
        }
        let expires_at = self.app.clock.now() + OFFERS_TEXT_TTL;
        let draft = Draft {
            kind: "offers",
            msisdn: self.msisdn.clone(),
            text,
            expires_at,
        };
        self.app.books.insert_reply(self.turn, &draft).await?;
        self.app.outbox.notify_one();
        Ok(done("done"))
    }

    async fn quote(&self) -> Result<Done, DbError> {
        let (Some(wanted), Some(property)) = (self.wanted(), self.property()) else {
            return Ok(done("unavailable"));
        };
        let books = &self.app.books;
        match books
            .find_offer(property, wanted.stay, wanted.guests)
            .await?
        {
            Some(offer) => {
                let quote =
                    records::quote(self.app, &offer, wanted.stay, self.language(), self.country);
                Ok(done("quoted").bind("quote", quote))
            }
            None => {
                let now = self.app.clock.now();
                match books.find_restriction(property, wanted.stay, now).await? {
                    Some(restriction) => Ok(restricted(restriction, Some(wanted.stay))),
                    None => self.alternatives(&wanted, property).await,
                }
            }
        }
    }

    async fn alternatives(&self, wanted: &Search, taken: Uuid) -> Result<Done, DbError> {
        let offers = self.app.books.alternatives(wanted, taken).await?;
        if offers.is_empty() {
            return Ok(done("sold_out"));
        }
        Ok(done("taken").bind("offers", Value::list(offers.iter().map(records::offer))))
    }

    fn property(&self) -> Option<Uuid> {
        self.text("offer", "id")?.parse().ok()
    }

    async fn known_guest(&self) -> Result<Done, DbError> {
        let pending = self.app.keeper.pending(self.msisdn).name;
        let name = match pending {
            Some(name) => Some(name),
            None => self
                .app
                .books
                .find_guest(self.msisdn)
                .await?
                .and_then(|guest| guest.name),
        };
        Ok(match name.filter(|name| !name.is_empty()) {
            Some(name) => done("known").bind("name", Value::Text(name)),
            None => done("unknown"),
        })
    }

    async fn reserve(&self) -> Result<Done, TurnError> {
        let offer = self
            .text("quote", "offer")
            .and_then(|offer| serde_json::from_str::<Offer>(offer).ok());
        let (Some(wanted), Some(offer)) = (self.wanted(), offer) else {
            return Ok(done("unavailable"));
        };
        let friend = self
            .state
            .values
            .get("friend")
            .and_then(Value::as_text)
            .and_then(|friend| Msisdn::parse(friend).ok());
        let name = self
            .state
            .values
            .get("name")
            .and_then(Value::as_text)
            .unwrap_or_default();
        let booking = Booking {
            turn: self.turn,
            property_id: offer.property_id,
            stay: wanted.stay,
            units: 1,
            guests: wanted.guests,
            msisdn: self.msisdn,
            guest_msisdn: friend.as_ref(),
            guest_name: name,
            language: &self.state.language,
            total_shown: offer.total,
            at: self.app.clock.now(),
            cause: self.cause("booked by the guest"),
        };
        let reserved = self.within(ASK_MAX, async {
            crash_point!("reserve:asked");
            match self.try_reserve(&booking, &offer).await {
                // The turn key decides: a reservation that was made all the same is found.
                Err(DbError::Unreachable(_)) if self.app.postgres.may_retry() => self
                    .try_reserve(&booking, &offer)
                    .await
                    // Whatever kept the second try from finding out: the first may have been made.
                    .map_err(|error| DbError::Unreachable(error.into())),
                Err(DbError::Conflict(_)) if self.app.postgres.may_retry() => {
                    self.try_reserve(&booking, &offer).await
                }
                reserved => reserved,
            }
        });
        let reserved = reserved.await;
        crash_point!("reserve:made");
        match reserved {
            Ok(reserved) => self
                .reserved(reserved, &wanted, &offer)
                .await
                .map_err(TurnError::Database),
            Err(error) if self.may_be_done(&error) => Err(TurnError::Unknown(error)),
            Err(error) if error.is_crowded() => Err(TurnError::Database(error)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a reservation could not be made"
                );
                metrics::counter!("actions_unavailable_total", "action" => "reserve").increment(1);
                Ok(done("unavailable"))
            }
        }
    }

    async fn try_reserve(&self, booking: &Booking<'_>, offer: &Offer) -> Result<Reserved, DbError> {
        let compose = |code: &Code| {
            notices::made(
                self.app,
                code,
                booking,
                offer,
                self.language(),
                self.country,
            )
        };
        self.app.books.reserve(booking, &compose).await
    }

    async fn reserved(
        &self,
        reserved: Reserved,
        wanted: &Search,
        offer: &Offer,
    ) -> Result<Done, DbError> {
        let outcome = match &reserved {
            Reserved::Made(_) => "made",
            Reserved::Again(_) => "again",
            Reserved::Yours(_) => "yours",
            Reserved::Taken => "taken",
            Reserved::Restricted(_) => "restricted",
            Reserved::PriceChanged(_) => "price_changed",
            Reserved::TooMany => "too_many",
            Reserved::TooOften => "too_often",
        };
        metrics::counter!("reservations_total", "outcome" => outcome, "channel" => self.channel)
            .increment(1);
        match reserved {
            Reserved::Made(reservation)
            | Reserved::Again(reservation)
            | Reserved::Yours(reservation) => {
                self.app.outbox.notify_one();
                let outcome = if reservation.status.is_confirmed() {
                    "confirmed"
                } else {
                    "held"
                };
                Ok(done(outcome).bind("booking", records::booking(self.app, &reservation)))
            }
            Reserved::Taken => self.alternatives(wanted, offer.property_id).await,
            Reserved::Restricted(restriction) => Ok(restricted(restriction, Some(wanted.stay))),
            Reserved::TooMany => Ok(done("too_many")),
            Reserved::TooOften => Ok(done("too_often")),
            Reserved::PriceChanged(_) => {
                let books = &self.app.books;
                match books
                    .find_offer(offer.property_id, wanted.stay, wanted.guests)
                    .await?
                {
                    Some(offer) => {
                        let quote = records::quote(
                            self.app,
                            &offer,
                            wanted.stay,
                            self.language(),
                            self.country,
                        );
                        Ok(done("price_changed").bind("quote", quote))
                    }
                    None => self.alternatives(wanted, offer.property_id).await,
                }
            }
        }
    }

    async fn call_back(&self) -> Result<Done, DbError> {
        let screen = self.state.history.last().map_or("", String::as_str);
        let books = &self.app.books;
        books
            .insert_call_back(self.turn, self.msisdn, &self.state.language, screen)
            .await?;
        Ok(done("noted"))
    }

    pub(super) fn cause(&self, why: &'static str) -> Cause<'static> {
        Cause {
            who: "guest",
            channel: self.channel,
            why,
        }
    }
}

/// The lodge does not take such a stay, and what it would take.
pub(super) fn restricted(restriction: Restriction, stay: Option<Stay>) -> Done {
    let count = |number: u16| Value::Count(i64::from(number));
    match restriction {
        Restriction::MinStay(least) => done("too_short").bind("least", count(least)),
        Restriction::MaxStay(most) => done("too_long").bind("most", count(most)),
        Restriction::NoArrival => done("no_arrival"),
        Restriction::NoDeparture => match stay {
            Some(stay) => done("no_departure").bind("check_out", Value::Date(stay.check_out())),
            None => done("no_arrival"),
        },
        Restriction::TooEarly(days) => done("too_far").bind("days_ahead", count(days)),
        Restriction::TooLate(hours) => {
            done("too_soon").bind("hours_before", count(hours.min(HOURS_BEFORE_MAX)))
        }
    }
}

pub(super) fn listed(variable: &str, items: Vec<Value>) -> Done {
    if items.is_empty() {
        done("none")
    } else {
        done("found").bind(variable, Value::list(items.into_iter()))
    }
}
