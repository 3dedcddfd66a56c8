//! What a search finds: a property that is free for the whole stay, with its price.

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::booking::money::Money;
use crate::booking::stay::Stay;
use crate::phone::Msisdn;

/// What a guest looks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Search {
    /// Id of a town, or of an area, landmark or stage in one.
    pub place: String,
    /// Which nights.
    pub stay: Stay,
    /// How many people for one unit.
    pub guests: u8,
    /// Whether lodges that want money before the stay are offered too.
    pub prepaid: bool,
}

/// When the guest pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pay {
    /// On arrival: the reservation is confirmed at once.
    AtLodge,
    /// Before the hold runs out.
    Prepay,
}

impl Pay {
    /// The word in the database and in files.
    pub fn word(self) -> &'static str {
        match self {
            Pay::AtLodge => "at_lodge",
            Pay::Prepay => "prepay",
        }
    }

    /// The way to pay with this word.
    pub fn find(word: &str) -> Option<Pay> {
        [Pay::AtLodge, Pay::Prepay]
            .into_iter()
            .find(|pay| pay.word() == word)
    }
}

/// One unit of a property, free for all nights of a stay at the moment of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Which property.
    pub property_id: Uuid,
    /// Its name, at most 30 characters.
    pub name: String,
    /// What it is near, or empty.
    pub landmark: String,
    /// Name of its town.
    pub town: String,
    /// The first night's price for one unit.
    pub per_night: Money,
    /// The whole stay's price for one unit.
    pub total: Money,
    /// Units free on the fullest night.
    pub units_left: i32,
    /// When the guest pays.
    pub pay: Pay,
    /// How long an unpaid unit is kept, in minutes.
    pub hold_minutes: i32,
    /// Until how many hours before check-in time a guest may cancel.
    pub cancel_hours: i32,
    /// In the property's time zone.
    pub check_in_time: NaiveTime,
    /// Of the property.
    pub time_zone: Tz,
    /// Whom a guest calls.
    pub phone: Msisdn,
    /// Who is told of a reservation.
    pub host_msisdn: Msisdn,
    /// In which language.
    pub host_language: String,
}
