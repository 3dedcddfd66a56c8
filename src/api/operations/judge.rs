//! One operation: what it asks for is done with its id as the effect's key, or it is said why not and what would do.

mod group;

use std::collections::HashMap;

use actix_web::http::StatusCode;
use chrono::Days;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::shown::{
    CurrentShown, InsteadShown, NightShown, OfferShown, ReservationShown, WaysShown, amount, json,
    member,
};
use super::wish::{self, Of, OfCode, Operation, Wish};
use super::{Done, Undone};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::app::App;
use crate::booking::code::Code;
use crate::booking::money::{Currency, Money};
use crate::booking::offer::{self, Offer};
use crate::booking::reservation::Status;
use crate::booking::restriction::Restriction;
use crate::booking::stay::{ADVANCE_DAYS_MAX, Stay};
use crate::country::Country;
use crate::db::DbError;
use crate::db::effect::{Cause, Turn};
use crate::db::hosts::{insert_wrong_code, is_locked};
use crate::db::life::Moved;
use crate::db::operations::{self, Queued};
use crate::db::patience::{ASK_MAX, within};
use crate::db::payments::attempts::{Ask, Asked, Part};
use crate::db::properties::{self, Named};
use crate::db::reservations::{Cancel, Cancelled, Reservation, find_by_code};
use crate::db::reserve::{Booking, Reserved};
use crate::db::{catalogue, search};
use crate::menu::Menu;
use crate::menu::input::read_name;
use crate::session::notices;

const DOOR: &str = "api";
/// How far from the wanted nights others are looked for.
const NEAR_DAYS: u16 = 14;

pub(super) struct Judge<'a> {
    api: &'a Api,
    app: &'a App,
    client: &'a str,
    operation: &'a Operation,
    turn: Turn,
}

/// A stay that somebody wants.
struct Wanted<'a> {
    property: &'a Named,
    stay: Stay,
    guests: u8,
}

impl<'a> Judge<'a> {
    pub(super) fn new(api: &'a Api, queued: &Queued<'a>, operation: &'a Operation) -> Judge<'a> {
        Judge {
            api,
            app: &api.app,
            client: queued.client,
            operation,
            turn: Turn {
                door: DOOR.to_owned(),
                session: session(queued.client, queued.id),
                position: 0,
            },
        }
    }

    pub(super) async fn judge(&self) -> Result<Done, Undone> {
        match &self.operation.wish {
            Wish::Search(search) => self.search(search).await,
            Wish::Quote(quote) => self.quote(quote).await,
            Wish::Reserve(reserve) => self.reserve(reserve).await,
            Wish::Group(group) => self.group(group).await,
            Wish::Pay(pay) => self.pay(pay).await,
            Wish::Confirm(confirm) => self.confirm(confirm).await,
            Wish::Cancel(cancel) => self.cancel(cancel).await,
        }
    }

    async fn search(&self, wanted: &wish::Search) -> Result<Done, Undone> {
        let stay = self.stay(wanted.check_in, wanted.nights, wanted.guests)?;
        if self.app.gazetteer().find(&wanted.place).is_none() {
            return Err(Undone::Final(wish::unfit("place", "is none of /v1/places")));
        }
        let search = self.search_of(&wanted.place, stay, wanted.guests);
        let found = self.api.app.searches.find(&self.api.app, search).await;
        let found = found.map_err(|error| Undone::Passing(error.into()))?;
        let mut result = member("offers", self.offers(&found.offers, stay).await?);
        result["timestamp"] = found.at.timestamp().into();
        Ok(done(result))
    }

    async fn quote(&self, wanted: &wish::Quote) -> Result<Done, Undone> {
        let stay = self.stay(wanted.check_in, wanted.nights, wanted.guests)?;
        let property = self.property(&wanted.property_id).await?;
        let wanted = Wanted {
            property: &property,
            stay,
            guests: wanted.guests,
        };
        match self.offer(&wanted).await? {
            Some(offer) => Ok(done(member("offer", shown(&offer, &property, stay)))),
            None => Err(self.not_free(&wanted).await?),
        }
    }

    async fn reserve(&self, wish: &wish::Reserve) -> Result<Done, Undone> {
        let stay = self.stay(wish.check_in, wish.nights, wish.guests)?;
        let name = self.guest_name(wish.guest_name.as_deref())?;
        let property = self.property(&wish.property_id).await?;
        let wanted = Wanted {
            property: &property,
            stay,
            guests: wish.guests,
        };
        let Some(offer) = self.offer(&wanted).await? else {
            // Perhaps because this operation has taken the last of it.
            return match self.made_by(self.operation.id).await? {
                Some(reservation) => self.with_reservation(&reservation).await,
                None => Err(self.not_free(&wanted).await?),
            };
        };
        let country = self.app.country(&wish.msisdn);
        let menus = self.app.menus.current();
        let language = self.language(&menus.menu, wish.language.as_deref(), country)?;
        let why = format!("booked by the guest at {}", self.operation.at.to_rfc3339());
        let booking = Booking {
            turn: &self.turn,
            property_id: property.id,
            stay,
            units: 1,
            guests: wish.guests,
            msisdn: &wish.msisdn,
            guest_msisdn: wish.guest_msisdn.as_ref(),
            guest_name: &name,
            language,
            total_shown: Money {
                minor: wish.total_minor,
                currency: wish.currency,
            },
            at: self.app.clock.now(),
            cause: Cause { why: &why, ..CAUSE },
        };
        let speaks = menus.menu.language(language);
        let compose =
            |code: &Code| notices::made(self.app, code, &booking, &offer, speaks, country);
        let reserved = self.ask(self.app.books.reserve(&booking, &compose)).await?;
        self.reserved(reserved, &wanted).await
    }

    async fn reserved(&self, reserved: Reserved, wanted: &Wanted<'_>) -> Result<Done, Undone> {
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
        metrics::counter!("reservations_total", "outcome" => outcome, "channel" => DOOR)
            .increment(1);
        match reserved {
            Reserved::Made(reservation) | Reserved::Again(reservation) => {
                self.app.outbox.notify_one();
                self.with_reservation(&reservation).await
            }
            Reserved::Yours(reservation) => {
                let detail = "this number already holds what is left of it, unpaid";
                self.over("already_held", detail, &reservation).await
            }
            Reserved::Taken | Reserved::Restricted(_) => Err(self.not_free(wanted).await?),
            Reserved::PriceChanged(now) => {
                let detail = "it costs something else than was shown";
                let mut problem = Problem::conflict("price_changed", detail);
                for (name, value) in amount("total", now) {
                    problem = problem.with(&name, value);
                }
                Err(Undone::Final(self.with_current(problem, wanted).await?))
            }
            Reserved::TooMany => Err(Undone::Final(Problem::conflict(
                "too_many_holds",
                "this number has as many unpaid holds as it may",
            ))),
            Reserved::TooOften => Err(Undone::Final(Problem::conflict(
                "too_often",
                "this number has let too many holds run out lately",
            ))),
        }
    }

    async fn pay(&self, wish: &wish::Pay) -> Result<Done, Undone> {
        let reservation = self.reservation(&wish.reservation).await?;
        let currency = reservation.total.currency;
        let msisdn = wish.msisdn.as_ref().unwrap_or(&reservation.msisdn);
        let config = &self.app.config.payments;
        let Some(provider) = config.provider(msisdn, currency) else {
            let problem = Problem::conflict("no_prompt", "this phone cannot be asked for money");
            return self.by_hand(problem, &reservation).await;
        };
        let ways = self.app.books.find_ways(&reservation);
        if self.app.payments.is_away(provider)
            && self.ask(ways).await?.is_some_and(|ways| !ways.open)
        {
            let problem = Problem::conflict("provider_away", "no phone can be asked for money now");
            return self.by_hand(problem, &reservation).await;
        }
        let ask = Ask {
            reservation_id: reservation.id,
            part: match wish.part {
                wish::Part::All => Part::All,
                wish::Part::Deposit => Part::Deposit,
            },
            provider,
            msisdn,
            minor_per_unit: currency.minor_per_unit(),
            turn: &self.turn,
            cause: &CAUSE,
        };
        match self.ask(self.app.books.ask_payment(&ask)).await? {
            Asked::Asked(asked, now) => {
                let mut result = self.with_reservation(&now).await?.result;
                for (name, value) in amount("asked", asked) {
                    result[name] = value;
                }
                Ok(Done {
                    status: StatusCode::ACCEPTED,
                    result,
                })
            }
            Asked::Settled(now) => self.with_reservation(&now).await,
            Asked::Open(now) => {
                let detail = "the phone is being asked already";
                self.over("payment_open", detail, &now).await
            }
            Asked::TooOften(now) => {
                let problem = Problem::conflict("too_often", "the phone was asked too often");
                self.by_hand(problem, &now).await
            }
            Asked::Over(now) => self.over("over", "it is not held any more", &now).await,
            Asked::NotFound => Err(Undone::Final(Problem::not_found())),
        }
    }

    async fn confirm(&self, wish: &wish::Confirm) -> Result<Done, Undone> {
        let reservation = self.reservation(&wish.reservation).await?;
        if reservation.status.is_confirmed() {
            return self.with_reservation(&reservation).await;
        }
        if !matches!(reservation.status, Status::Held | Status::Paying) {
            let detail = "it is not held any more";
            return self.over("over", detail, &reservation).await;
        }
        let ways = self.ask(self.app.books.find_ways(&reservation)).await?;
        if ways.is_some_and(|ways| ways.at_lodge && !ways.over) {
            let menus = self.app.menus.current();
            let language = menus.menu.language(&reservation.language);
            let drafts = notices::booked(self.app, &reservation, language);
            let books = &self.app.books;
            let moved = books.pay_at_lodge(reservation.id, &CAUSE, &self.turn, &drafts);
            let moved = self.ask(moved).await?;
            self.app.outbox.notify_one();
            if moved == Moved::Done {
                let now = self.reservation(&wish.reservation).await?;
                return self.with_reservation(&now).await;
            }
        }
        let now = self.reservation(&wish.reservation).await?;
        self.over("payment_needed", "it is sure once it is paid", &now)
            .await
    }

    async fn cancel(&self, wish: &wish::Cancel) -> Result<Done, Undone> {
        let reservation = self.reservation(&wish.reservation).await?;
        let menus = self.app.menus.current();
        let language = menus.menu.language(&reservation.language);
        let cancel = Cancel {
            id: reservation.id,
            at: self.app.clock.now(),
            cost_shown: wish.cost_minor,
            turn: &self.turn,
            cause: &Cause {
                why: "cancelled by the guest",
                ..CAUSE
            },
            drafts: &notices::cancelled(self.app, &reservation, language, wish.cost_minor),
        };
        match self.ask(self.app.books.cancel(&cancel)).await? {
            Cancelled::Done(now) => {
                self.app.outbox.notify_one();
                self.with_reservation(&now).await
            }
            Cancelled::AlreadyCancelled(now) => self.with_reservation(&now).await,
            Cancelled::Costs(now, cost) => {
                let detail = "cancelling costs something else than was shown";
                let problem = Problem::conflict("costs", detail);
                let problem = amount("cost", cost)
                    .into_iter()
                    .fold(problem, |problem, (name, value)| problem.with(&name, value));
                Err(self.told(problem, &now).await?)
            }
            Cancelled::TooLate(now) => {
                let detail = "a payment is under way, or the stay has begun";
                self.over("too_late", detail, &now).await
            }
            Cancelled::NotFound => Err(Undone::Final(Problem::not_found())),
        }
    }

    async fn ask<T>(&self, ask: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        within(&self.app.postgres, ASK_MAX, ask).await
    }

    fn stay(&self, check_in: chrono::NaiveDate, nights: u8, guests: u8) -> Result<Stay, Undone> {
        let today = self.app.clock.now().date_naive();
        // The lodge's own day is for the books to judge.
        let first = today - Days::new(2);
        let last = today + Days::new(u64::from(ADVANCE_DAYS_MAX) + 1);
        if check_in < first || check_in > last {
            let why = format!("is from {first} to {last}");
            return Err(Undone::Final(wish::unfit("check_in", why)));
        }
        wish::stay(check_in, nights, guests).map_err(Undone::Final)
    }

    fn language<'b>(
        &self,
        menu: &'b Menu,
        wanted: Option<&'b str>,
        country: &Country,
    ) -> Result<&'b str, Undone> {
        match wanted {
            Some(code) if menu.speaks(code) => Ok(code),
            Some(_) => Err(Undone::Final(wish::unfit("language", "is not spoken here"))),
            None => Ok(menu.default_language(country)),
        }
    }

    fn guest_name(&self, wanted: Option<&str>) -> Result<String, Undone> {
        match wanted {
            None => Ok(String::new()),
            Some(name) => read_name(name)
                .ok_or_else(|| Undone::Final(wish::unfit("guest_name", "has no letter"))),
        }
    }

    fn search_of(&self, place: &str, stay: Stay, guests: u8) -> offer::Search {
        offer::Search {
            place: place.to_owned(),
            stay,
            guests,
            prepaid: self.app.config.takes_money(),
        }
    }

    async fn property(&self, short_id: &str) -> Result<Named, Undone> {
        let find = async { properties::find(&self.app.pool.get().await?, short_id).await };
        let found = self.ask(find).await?;
        found.ok_or_else(|| Undone::Final(wish::unfit("property_id", "is none of /v1/properties")))
    }

    /// What can be booked; a lodge that wants money first can only where money is taken.
    async fn offer(&self, wanted: &Wanted<'_>) -> Result<Option<Offer>, DbError> {
        let books = &self.app.books;
        let find = books.find_offer(wanted.property.id, wanted.stay, wanted.guests);
        let found = self.ask(find).await?;
        let takes_money = self.app.config.takes_money();
        Ok(found.filter(|found| takes_money || found.pay == offer::Pay::AtLodge))
    }

    /// The reservation that an operation of this client has made.
    async fn made_by(&self, operation: Uuid) -> Result<Option<Reservation>, DbError> {
        let session = session(self.client, operation);
        let find = self.app.books.find_by_dialogue(DOOR, &session);
        let found = self.ask(find).await?;
        Ok(found.map(|(reservation, _)| reservation))
    }

    async fn reservation(&self, of: &Of) -> Result<Reservation, Undone> {
        match of {
            Of::Code(of) => self.by_code(of).await,
            Of::Operation(of) => {
                if let Some(reservation) = self.made_by(of.operation).await? {
                    return Ok(reservation);
                }
                let answered = async {
                    let client = self.app.pool.get().await?;
                    operations::is_answered(&client, self.client, of.operation).await
                };
                let operation = of.operation.to_string();
                // 424 is final: an operation that is on its way may still make one.
                Err(if self.ask(answered).await? {
                    let detail = "the operation that it needs has made no reservation";
                    let status = StatusCode::FAILED_DEPENDENCY;
                    let problem = Problem::new(status, "no_reservation", detail);
                    Undone::Final(problem.with("operation", operation))
                } else {
                    let detail = "the operation that it needs is not done yet: send it first";
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    let problem = Problem::new(status, "not_yet", detail);
                    Undone::Passing(problem.with("operation", operation))
                })
            }
        }
    }

    /// Codes are not to be guessed.
    async fn by_code(&self, of: &OfCode) -> Result<Reservation, Undone> {
        let find = async {
            let client = self.app.pool.get().await?;
            if is_locked(&client, &of.msisdn, None).await? {
                return Ok(None);
            }
            let found = find_by_code(&client, &of.code, &of.msisdn).await?;
            if found.is_none() {
                insert_wrong_code(&client, &of.msisdn, None).await?;
            }
            Ok(Some(found))
        };
        match self.ask(find).await? {
            Some(found) => found.ok_or_else(|| Undone::Final(Problem::not_found())),
            None => {
                let detail = "too many wrong codes for this number";
                let status = StatusCode::TOO_MANY_REQUESTS;
                Err(Undone::Passing(Problem::new(status, "wrong_codes", detail)))
            }
        }
    }

    async fn with_reservation(&self, reservation: &Reservation) -> Result<Done, Undone> {
        Ok(done(member(
            "reservation",
            self.reservation_shown(reservation).await?,
        )))
    }

    async fn reservation_shown(
        &self,
        reservation: &Reservation,
    ) -> Result<ReservationShown, DbError> {
        let mut short_ids = self.short_ids(&[reservation.property_id]).await?;
        let short_id = short_ids.remove(&reservation.property_id);
        Ok(ReservationShown::new(
            reservation,
            short_id.unwrap_or_default(),
        ))
    }

    async fn short_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, String>, DbError> {
        let find = async { properties::short_ids(&self.app.pool.get().await?, ids).await };
        self.ask(find).await
    }

    async fn offers(&self, offers: &[Offer], stay: Stay) -> Result<Vec<OfferShown>, DbError> {
        let ids: Vec<Uuid> = offers.iter().map(|offer| offer.property_id).collect();
        let mut short_ids = self.short_ids(&ids).await?;
        let shown = offers.iter().filter_map(|offer| {
            let short_id = short_ids.remove(&offer.property_id)?;
            Some(OfferShown::new(offer, short_id, stay))
        });
        Ok(shown.collect())
    }

    /// 409 with the reservation as it is, and what can be done about paying for it.
    async fn over(
        &self,
        code: &'static str,
        detail: &str,
        reservation: &Reservation,
    ) -> Result<Done, Undone> {
        Err(self
            .told(Problem::conflict(code, detail), reservation)
            .await?)
    }

    async fn told(&self, problem: Problem, reservation: &Reservation) -> Result<Undone, DbError> {
        let ways = self.ask(self.app.books.find_ways(reservation)).await?;
        let shown = self.reservation_shown(reservation).await?;
        let problem = problem.with("reservation", json(shown));
        Ok(Undone::Final(match &ways {
            Some(ways) => problem.with("ways_to_pay", json(WaysShown::from(ways))),
            None => problem,
        }))
    }

    /// 409 with the reservation as it is and, where there is a pay bill, its number, what to type as the account, and the
    /// time that the lodge gives for that.
    async fn by_hand(&self, problem: Problem, reservation: &Reservation) -> Result<Done, Undone> {
        let currency = reservation.total.currency;
        let Some(paybill) = self.app.config.payments.paybill(currency) else {
            return Err(self.told(problem, reservation).await?);
        };
        let longer = self
            .ask(self.app.books.hold_by_hand(reservation.id))
            .await?;
        let problem = problem
            .with("paybill", paybill)
            .with("account", reservation.code.digits());
        let reservation = longer.as_ref().unwrap_or(reservation);
        Err(self.told(problem, reservation).await?)
    }

    /// 409 with the nights as they are, and what is free instead.
    async fn not_free(&self, wanted: &Wanted<'_>) -> Result<Undone, DbError> {
        let books = &self.app.books;
        let now = self.app.clock.now();
        let find = books.find_restriction(wanted.property.id, wanted.stay, now);
        let problem = match self.ask(find).await? {
            Some(restriction) => {
                let detail = "the lodge does not take such a stay";
                Problem::conflict("restricted", detail).with("rule", rule(restriction))
            }
            None => Problem::conflict("taken", "a night of it is not free"),
        };
        let problem = self.with_current(problem, wanted).await?;
        let instead = self.instead(wanted).await?;
        Ok(Undone::Final(problem.with("instead", json(instead))))
    }

    async fn with_current(
        &self,
        problem: Problem,
        wanted: &Wanted<'_>,
    ) -> Result<Problem, DbError> {
        let Wanted { property, stay, .. } = wanted;
        let now = async {
            let client = self.app.pool.get().await?;
            // First the nights: their changes have numbers afterwards.
            let nights = u16::from(stay.nights());
            let nights = search::calendar(&client, &[property.id], stay.check_in(), nights).await?;
            catalogue::number_changes(&client).await?;
            let version = properties::version(&client, property.id).await?;
            Ok((nights, version))
        };
        let (nights, version) = self.ask(now).await?;
        let base = self.operation.base_version;
        let current = CurrentShown {
            property_id: property.short_id.clone(),
            version,
            changed_since_base: base.map(|base| version > base),
            currency: Currency::code(property.currency),
            nights: nights
                .iter()
                .map(|night| NightShown {
                    date: night.date,
                    price_minor: night.price_minor.into(),
                    units_left: night.free_units,
                })
                .collect(),
        };
        Ok(problem.with("current", json(current)))
    }

    async fn instead(&self, wanted: &Wanted<'_>) -> Result<InsteadShown, DbError> {
        let Wanted {
            property,
            stay,
            guests,
        } = *wanted;
        let search = self.search_of(&property.town, stay, guests);
        let others = self
            .ask(self.app.books.alternatives(&search, property.id))
            .await?;
        let today = self.app.clock.now().date_naive();
        let nearest = async {
            let client = self.app.pool.get().await?;
            search::nearest_stays(&client, property.id, stay, today, NEAR_DAYS).await
        };
        let nearest = self.ask(nearest).await?;
        let nearest = nearest
            .into_iter()
            .filter_map(|check_in| Stay::new(check_in, stay.nights()));
        let offers = nearest.map(async |stay| {
            let wanted = Wanted {
                property,
                stay,
                guests,
            };
            let offer = self.offer(&wanted).await?;
            Ok::<_, DbError>(offer.map(|offer| shown(&offer, property, stay)))
        });
        Ok(InsteadShown {
            nights: try_join_all(offers).await?.into_iter().flatten().collect(),
            properties: self.offers(&others, stay).await?,
        })
    }
}

fn shown_reservations(
    reservations: &[Reservation],
    short_ids: &HashMap<Uuid, String>,
) -> Vec<ReservationShown> {
    let short_id = |made: &Reservation| short_ids.get(&made.property_id).cloned();
    reservations
        .iter()
        .map(|made| ReservationShown::new(made, short_id(made).unwrap_or_default()))
        .collect()
}

const CAUSE: Cause<'static> = Cause {
    who: "guest",
    channel: DOOR,
    why: "asked for by an app",
};

/// The effect key of an operation.
fn session(client: &str, operation: Uuid) -> String {
    format!("{client}/{operation}")
}

fn done(result: Value) -> Done {
    Done {
        status: StatusCode::OK,
        result,
    }
}

fn shown(offer: &Offer, property: &Named, stay: Stay) -> OfferShown {
    OfferShown::new(offer, property.short_id.clone(), stay)
}

/// What the lodge asks of a stay: a word, and its number where it has one.
fn rule(restriction: Restriction) -> Value {
    match restriction {
        Restriction::MinStay(nights) => json!({"name": "min_stay", "nights": nights}),
        Restriction::MaxStay(nights) => json!({"name": "max_stay", "nights": nights}),
        Restriction::NoArrival => json!({"name": "no_arrival"}),
        Restriction::NoDeparture => json!({"name": "no_departure"}),
        Restriction::TooEarly(days) => json!({"name": "too_early", "days_ahead_max": days}),
        Restriction::TooLate(hours) => json!({"name": "too_late", "hours_before_min": hours}),
    }
}
