//! What answers to operations show.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::booking::money::Money;
use crate::booking::offer::Offer;
use crate::booking::stay::Stay;
use crate::db::payments::ways::Ways;
use crate::db::reservations::Reservation;

/// One unit of a property that is free for all nights of a stay.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferShown {
    /// `prop_…`
    pub property_id: String,
    /// Its name.
    pub name: String,
    /// Name of its town.
    pub town: String,
    /// What it is near, or empty.
    pub landmark: String,
    /// The first night.
    pub check_in: NaiveDate,
    /// How many.
    pub nights: u8,
    /// ISO 4217.
    pub currency: &'static str,
    /// The first night's price, in minor units.
    pub per_night_minor: i64,
    /// The whole stay's price, in minor units: what a `RESERVE` has to say.
    pub total_minor: i64,
    /// Units free on the fullest night.
    pub units_left: i32,
    /// `at_lodge` or `prepay`.
    pub pay: &'static str,
    /// How long an unpaid unit is kept.
    pub hold_minutes: i32,
    /// Until how many hours before check-in cancelling costs nothing.
    pub cancel_hours: i32,
    /// In the property's time zone.
    pub check_in_time: NaiveTime,
}

impl OfferShown {
    pub(super) fn new(offer: &Offer, short_id: String, stay: Stay) -> OfferShown {
        OfferShown {
            property_id: short_id,
            name: offer.name.clone(),
            town: offer.town.clone(),
            landmark: offer.landmark.clone(),
            check_in: stay.check_in(),
            nights: stay.nights(),
            currency: offer.total.currency.code(),
            per_night_minor: offer.per_night.minor,
            total_minor: offer.total.minor,
            units_left: offer.units_left,
            pay: offer.pay.word(),
            hold_minutes: offer.hold_minutes,
            cancel_hours: offer.cancel_hours,
            check_in_time: offer.check_in_time,
        }
    }
}

/// A reservation as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationShown {
    /// `4821-7736`
    pub code: String,
    /// `held`, `paying`, `confirmed`, `checked_in`, `completed`, `expired`, `cancelled`, `no_show`, `refund_due`, `refunded`
    pub status: &'static str,
    /// `prop_…`
    pub property_id: String,
    /// Name of the property.
    pub property_name: String,
    /// Whom the guest calls, in E.164.
    pub phone: String,
    /// The first night.
    pub check_in: NaiveDate,
    /// The morning of leaving.
    pub check_out: NaiveDate,
    /// How many people.
    pub guests: i32,
    /// May be empty.
    pub guest_name: String,
    /// ISO 4217.
    pub currency: &'static str,
    /// The frozen price of all of it, in minor units.
    pub total_minor: i64,
    /// What was paid of it.
    pub paid_minor: i64,
    /// `at_lodge` or `prepay`.
    pub pay: &'static str,
    /// Until when an unpaid one is kept.
    pub hold_expires_at: Option<DateTime<Utc>>,
    /// What cancelling has cost.
    pub cancel_cost_minor: i64,
    /// What goes back to the guest.
    pub refund_minor: i64,
}

impl ReservationShown {
    pub(in crate::api) fn new(reservation: &Reservation, short_id: String) -> ReservationShown {
        ReservationShown {
            code: reservation.code.to_string(),
            status: reservation.status.word(),
            property_id: short_id,
            property_name: reservation.property_name.clone(),
            phone: reservation.property_phone.as_str().to_owned(),
            check_in: reservation.stay.check_in(),
            check_out: reservation.stay.check_out(),
            guests: reservation.guests,
            guest_name: reservation.guest_name.clone(),
            currency: reservation.total.currency.code(),
            total_minor: reservation.total.minor,
            paid_minor: reservation.paid.minor,
            pay: reservation.pay.word(),
            hold_expires_at: reservation.hold_expires_at,
            cancel_cost_minor: reservation.cancel_cost.minor,
            refund_minor: reservation.refund.minor,
        }
    }
}

/// What can be done about paying.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaysShown {
    /// What is left of the total, in minor units.
    pub left_minor: i64,
    /// What is enough for now, where the lodge takes a part first.
    pub deposit_minor: Option<i64>,
    /// Whether a `CONFIRM` makes it sure without paying now.
    pub at_lodge: bool,
    /// Whether a prompt is under way.
    pub prompt_open: bool,
}

impl From<&Ways> for WaysShown {
    fn from(ways: &Ways) -> WaysShown {
        WaysShown {
            left_minor: ways.left.minor,
            deposit_minor: ways.deposit.map(|deposit| deposit.minor),
            at_lodge: ways.at_lodge,
            prompt_open: ways.open,
        }
    }
}

/// A property's nights as they are now, for whoever wanted something else of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentShown {
    /// `prop_…`
    pub property_id: String,
    /// Of its last change.
    pub version: i64,
    /// Whether it has changed since the operation's `base_version`.
    pub changed_since_base: Option<bool>,
    /// ISO 4217.
    pub currency: &'static str,
    /// By date; a night that is not for sale is missing.
    pub nights: Vec<NightShown>,
}

/// One night.
#[derive(Debug, Serialize, ToSchema)]
pub struct NightShown {
    /// The evening's date.
    pub date: NaiveDate,
    /// For one unit, in minor units.
    pub price_minor: i64,
    /// Free now.
    pub units_left: i32,
}

/// What would work instead.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct InsteadShown {
    /// The same property on other nights.
    pub nights: Vec<OfferShown>,
    /// Other properties on the same nights.
    pub properties: Vec<OfferShown>,
}

/// One member of an object.
pub(super) fn member(name: &str, value: impl Serialize) -> Value {
    let mut members = Map::new();
    members.insert(name.to_owned(), json(value));
    Value::Object(members)
}

/// Plain data is always JSON.
pub(super) fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// An amount and its currency.
pub(super) fn amount(name: &str, money: Money) -> [(String, Value); 2] {
    [
        (format!("{name}_minor"), money.minor.into()),
        ("currency".to_owned(), money.currency.code().into()),
    ]
}
