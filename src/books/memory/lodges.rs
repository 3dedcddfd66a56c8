//! Lodges and their nights, and what a search finds of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::Ledger;
use crate::booking::money::{Currency, Money};
use crate::booking::offer::{Offer, Pay, Search};
use crate::booking::restriction::Restriction;
use crate::booking::stay::Stay;
use crate::db::search::{ALTERNATIVES_MAX, OFFERS_MAX};
use crate::phone::Msisdn;

/// One night of a lodge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Night {
    /// Units that may be sold.
    pub available: i32,
    /// Units that are.
    pub reserved: i32,
    /// Of one unit, in minor units.
    pub price: i64,
    /// Nothing of it is sold.
    pub closed: bool,
}

impl Night {
    /// Whether so many units can still be had.
    pub fn has(&self, units: i32) -> bool {
        !self.closed && self.reserved + units <= self.available
    }
}

/// A property and its host.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the table `property`")]
pub struct Lodge {
    pub id: Uuid,
    pub name: String,
    pub landmark: String,
    pub town: String,
    pub area: Option<String>,
    pub guests_max: i32,
    pub currency: Currency,
    pub time_zone: Tz,
    pub check_in_time: NaiveTime,
    pub cancel_hours: i32,
    pub pay: Pay,
    pub hold_minutes: i32,
    pub phone: Msisdn,
    pub host_msisdn: Msisdn,
    pub host_language: String,
    pub open: bool,
    pub min_stay: u16,
    pub max_stay: u16,
    pub advance_days_max: u16,
    pub unpaid_percent: i32,
    pub deposit_percent: i64,
    pub pay_at_lodge_too: bool,
    pub by_hand_minutes: i64,
    /// A night that is not here is not for sale.
    pub nights: BTreeMap<NaiveDate, Night>,
}

impl Lodge {
    /// The nights of a stay; `None` where one is not for sale.
    pub(super) fn nights_of(&self, stay: Stay) -> Option<Vec<&Night>> {
        days(stay).map(|day| self.nights.get(&day)).collect()
    }

    pub(super) fn is_free(&self, stay: Stay, units: i32) -> bool {
        self.nights_of(stay)
            .is_some_and(|nights| nights.iter().all(|night| night.has(units)))
    }

    /// Units more, or fewer, on every night of a stay.
    pub(super) fn take(&mut self, stay: Stay, units: i32) {
        for day in days(stay) {
            if let Some(night) = self.nights.get_mut(&day) {
                night.reserved += units;
            }
        }
    }

    pub(super) fn today(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.time_zone).date_naive()
    }

    /// When a stay that begins on this day begins.
    pub(super) fn check_in_at(&self, day: NaiveDate) -> DateTime<Utc> {
        day.and_time(self.check_in_time)
            .and_local_timezone(self.time_zone)
            .earliest()
            .map_or(DateTime::<Utc>::MAX_UTC, |moment| moment.to_utc())
    }

    /// What it asks of a stay; without a moment how far ahead does not count.
    pub(super) fn restriction(&self, stay: Stay, at: Option<DateTime<Utc>>) -> Option<Restriction> {
        let nights = u16::from(stay.nights());
        let ahead = |at| (stay.check_in() - self.today(at)).num_days();
        if nights < self.min_stay {
            Some(Restriction::MinStay(self.min_stay))
        } else if nights > self.max_stay {
            Some(Restriction::MaxStay(self.max_stay))
        } else if at.is_some_and(|at| ahead(at) > i64::from(self.advance_days_max)) {
            Some(Restriction::TooEarly(self.advance_days_max))
        } else {
            None
        }
    }

    pub(super) fn offer(&self, town: &str, stay: Stay, guests: u8) -> Option<Offer> {
        let nights = self.nights_of(stay)?;
        let is_offered = self.open
            && i32::from(guests) <= self.guests_max
            && self.restriction(stay, None).is_none()
            && nights.iter().all(|night| night.has(1));
        let money = |minor| Money {
            minor,
            currency: self.currency,
        };
        is_offered.then(|| Offer {
            property_id: self.id,
            name: self.name.clone(),
            landmark: self.landmark.clone(),
            town: town.to_owned(),
            per_night: money(nights[0].price),
            total: money(nights.iter().map(|night| night.price).sum()),
            units_left: nights
                .iter()
                .map(|night| night.available - night.reserved)
                .min()
                .unwrap_or_default(),
            pay: self.pay,
            hold_minutes: self.hold_minutes,
            cancel_hours: self.cancel_hours,
            check_in_time: self.check_in_time,
            time_zone: self.time_zone,
            phone: self.phone.clone(),
            host_msisdn: self.host_msisdn.clone(),
            host_language: self.host_language.clone(),
        })
    }

    /// Until when a stay that begins on this day can be cancelled for nothing.
    pub(super) fn cancel_until(&self, day: NaiveDate, hours: i32) -> DateTime<Utc> {
        self.check_in_at(day) - TimeDelta::hours(i64::from(hours))
    }
}

/// The nights of a stay.
pub(super) fn days(stay: Stay) -> impl Iterator<Item = NaiveDate> {
    (0..u64::from(stay.nights())).map(move |night| stay.check_in() + Days::new(night))
}

impl Ledger {
    /// The town that a place is in, or is.
    fn town_of(&self, place: &str) -> Option<String> {
        let place = self.places.iter().find(|row| row.place_id == place)?;
        Some(place.town.clone().unwrap_or_else(|| place.place_id.clone()))
    }

    pub(super) fn town_name(&self, lodge: &Lodge) -> String {
        let town = self.places.iter().find(|row| row.place_id == lodge.town);
        town.map(|row| row.name.clone()).unwrap_or_default()
    }

    fn lodges_in(&self, wanted: &Search) -> impl Iterator<Item = &Lodge> {
        let (town, prepaid) = (self.town_of(&wanted.place), wanted.prepaid);
        self.lodges.values().filter(move |lodge| {
            Some(&lodge.town) == town.as_ref() && (prepaid || lodge.pay == Pay::AtLodge)
        })
    }

    pub(super) fn search(&self, wanted: &Search, except: Option<Uuid>) -> Vec<Offer> {
        let mut found: Vec<(bool, Offer)> = self
            .lodges_in(wanted)
            .filter(|lodge| Some(lodge.id) != except)
            .filter_map(|lodge| {
                let offer = lodge.offer(&self.town_name(lodge), wanted.stay, wanted.guests)?;
                Some((lodge.area.as_deref() != Some(&*wanted.place), offer))
            })
            .collect();
        found.sort_by(|(left_far, left), (right_far, right)| {
            let key = |far, offer: &Offer| (far, offer.total.minor, offer.name.clone());
            (key(*left_far, left), left.property_id)
                .cmp(&(key(*right_far, right), right.property_id))
        });
        let limit = if except.is_some() {
            ALTERNATIVES_MAX
        } else {
            OFFERS_MAX
        };
        let limit = usize::try_from(limit).unwrap_or_default();
        found
            .into_iter()
            .map(|(_, offer)| offer)
            .take(limit)
            .collect()
    }

    pub(super) fn town_restriction(
        &self,
        wanted: &Search,
        at: DateTime<Utc>,
    ) -> Option<Restriction> {
        let mut free: Vec<&Lodge> = self
            .lodges_in(wanted)
            .filter(|lodge| lodge.open && i32::from(wanted.guests) <= lodge.guests_max)
            .filter(|lodge| lodge.is_free(wanted.stay, 1))
            .collect();
        free.sort_by_key(|lodge| lodge.id);
        let mut why = free
            .iter()
            .filter_map(|lodge| lodge.restriction(wanted.stay, Some(at)));
        why.find(|restriction| !matches!(restriction, Restriction::MinStay(_)))
    }

    pub(super) fn least_stay(&self, wanted: &Search) -> Option<u8> {
        self.lodges_in(wanted)
            .filter(|lodge| lodge.open && i32::from(wanted.guests) <= lodge.guests_max)
            .filter_map(|lodge| {
                let least = u8::try_from(lodge.min_stay).ok()?;
                let stay = Stay::new(wanted.stay.check_in(), least)?;
                (least > wanted.stay.nights() && lodge.is_free(stay, 1)).then_some(least)
            })
            .min()
    }
}
