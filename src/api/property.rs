//! A property as clients see it.

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::places::degrees;
use super::problem::Problem;
use crate::booking::money::{Currency, Money};
use crate::booking::stay::Stay;
use crate::db::catalogue::properties::{FeeRow, NightRow, PropertyRow};

/// What can come with a property; without `include` it is the calendar.
pub const INCLUDES: [&str; 4] = ["calendar", "host", "place", "policies"];
/// What `fields` can name.
pub const FIELDS: [&str; 20] = [
    "area",
    "available_dates",
    "calendar",
    "currency",
    "distance_metres",
    "guests_max",
    "host",
    "kind",
    "landmark",
    "minor_per_unit",
    "name",
    "place",
    "policies",
    "price_per_night",
    "price_per_night_minor",
    "property_id",
    "stay",
    "town",
    "units",
    "version",
];

/// Whatever `fields` says.
pub const ALWAYS: [&str; 2] = ["property_id", "version"];

/// One rentable kind of unit: a studio, or a hotel's double rooms.
#[derive(Debug, Serialize, ToSchema)]
pub struct Property {
    /// Stays the same for ever.
    #[schema(pattern = "^prop_[a-z0-9]{4,12}$", example = "prop_de8gxd")]
    pub property_id: String,
    /// Rises with each change of what is shown of this property.
    pub version: i64,
    /// At most 30 characters.
    pub name: String,
    /// In the host's word: room, cottage, studio.
    pub kind: String,
    /// Id of its town.
    pub town: String,
    /// Id of the area, landmark or stage that it is at.
    pub area: Option<String>,
    /// What it is near, in words; may be empty.
    pub landmark: String,
    /// How many units there are.
    pub units: i32,
    /// How many people sleep in one.
    pub guests_max: i32,
    /// ISO 4217.
    #[schema(example = "KES")]
    pub currency: &'static str,
    /// Minor units in one whole unit: 100, or 1 where no smaller coin is used.
    pub minor_per_unit: i64,
    /// What a night usually costs, in whole units, rounded half up. What a single night costs is in the calendar.
    #[schema(example = 4500)]
    pub price_per_night: i64,
    /// The same, exact, in minor units.
    #[schema(example = 450000)]
    pub price_per_night_minor: i64,
    /// Nights on which a unit can be booked, within the calendar that was asked for.
    pub available_dates: Vec<NaiveDate>,
    /// From where `near` is, as the crow flies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_metres: Option<i64>,
    /// What the stay that was asked for costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stay: Option<QuotedStay>,
    /// Each night; one that is missing is not for sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Vec<Night>>,
    /// Who lets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// What is asked of a stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<Policies>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PropertyPlace>,
}

/// What a stay costs for one unit. It is not held.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotedStay {
    /// The first night.
    pub check_in: NaiveDate,
    /// The morning of leaving.
    pub check_out: NaiveDate,
    /// For all nights, fees included, in minor units.
    pub total_minor: i64,
}

/// One night.
#[derive(Debug, Serialize, ToSchema)]
pub struct Night {
    /// In the property's own calendar.
    pub date: NaiveDate,
    /// Of one unit, in minor units of the property's currency.
    pub price_minor: i32,
    /// That can be booked; 0 where the night is full or closed.
    pub units_left: i32,
    /// The fewest nights of a stay that arrives on this one, where it is not as the policies say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_stay: Option<i16>,
    /// The most, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stay: Option<i16>,
    /// Nobody arrives on this day.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closed_to_arrival: bool,
    /// Nobody leaves on this day.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closed_to_departure: bool,
}

/// Who lets a property.
#[derive(Debug, Serialize, ToSchema)]
pub struct Host {
    /// Whom guests know.
    pub name: String,
    /// Where guests call, in E.164.
    #[schema(example = "+254722000264")]
    pub phone: String,
}

/// What is asked of a stay.
#[derive(Debug, Serialize, ToSchema)]
pub struct Policies {
    /// From when on guests are let in, local time.
    #[schema(example = "14:00")]
    pub check_in_time: String,
    /// IANA name of the local time.
    #[schema(example = "Africa/Nairobi")]
    pub time_zone: String,
    /// `at_lodge`: on arrival. `prepay`: before the hold runs out.
    pub pay: &'static str,
    /// How long an unpaid unit is held.
    pub hold_minutes: i32,
    /// Cancelling costs nothing until so many hours before check-in time.
    pub cancel_hours: i32,
    /// The fewest nights of a stay, where the night of arrival does not say otherwise.
    pub min_stay: i16,
    /// The most.
    pub max_stay: i16,
    /// Booked at least so many hours before check-in time; 0: also during the night.
    pub advance_hours_min: i32,
    /// Booked at most so many days before the first night.
    pub advance_days_max: i32,
    /// What a stay costs beyond its nights.
    pub fees: Vec<Fee>,
}

/// What a stay costs beyond its nights.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fee {
    /// What for.
    pub name: String,
    /// `stay`, `night`, `person_night` or `percent`; a stay and a night are for each unit.
    pub per: String,
    /// In minor units, of `percent` in hundredths of a percent.
    pub amount: i64,
    /// In the price already.
    pub included: bool,
}

/// The area of a property, or its town where it names no area.
#[derive(Debug, Serialize, ToSchema)]
pub struct PropertyPlace {
    /// As in the list of places.
    pub place_id: String,
    /// Its name.
    pub name: String,
    /// The name of its town.
    pub town_name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// County, district or state.
    pub region: String,
    /// In degrees, WGS 84, rounded to 4 digits behind the point.
    pub latitude: f64,
    /// In degrees, WGS 84, rounded to 4 digits behind the point.
    pub longitude: f64,
}

impl Property {
    /// The property with what is to come with it, words of [`INCLUDES`].
    pub fn new(row: PropertyRow, includes: &[&str], stay: Option<Stay>) -> Property {
        let price = Money {
            minor: row.price_base.into(),
            currency: row.currency,
        };
        let included = |word| includes.contains(&word);
        let free = row.nights.iter().filter(|night| night.units_left > 0);
        Property {
            available_dates: free.map(|night| night.date).collect(),
            stay: stay
                .zip(row.stay_total)
                .map(|(stay, total_minor)| QuotedStay {
                    check_in: stay.check_in(),
                    check_out: stay.check_out(),
                    total_minor,
                }),
            calendar: included("calendar").then(|| row.nights.iter().map(Night::from).collect()),
            host: included("host").then(|| Host {
                name: row.host_name.clone(),
                phone: row.phone.as_str().to_owned(),
            }),
            policies: included("policies").then(|| Policies::from(&row)),
            place: included("place").then(|| PropertyPlace::from(&row)),
            property_id: row.short_id,
            version: row.version,
            name: row.name,
            kind: row.kind,
            town: row.town,
            area: row.area,
            landmark: row.landmark,
            units: row.units,
            guests_max: row.guests_max,
            currency: row.currency.code(),
            minor_per_unit: row.currency.minor_per_unit(),
            price_per_night: whole(price),
            price_per_night_minor: price.minor,
            distance_metres: row.distance_metres,
        }
    }

    /// As JSON with these of its [`FIELDS`], or all.
    ///
    /// # Errors
    /// [`Problem::defect`].
    pub fn json(&self, fields: Option<&[&str]>) -> Result<Value, Problem> {
        let mut json = serde_json::to_value(self).map_err(|_| Problem::defect())?;
        if let (Some(fields), Some(members)) = (fields, json.as_object_mut()) {
            members.retain(|name, _| {
                ALWAYS.contains(&name.as_str()) || fields.contains(&name.as_str())
            });
        }
        Ok(json)
    }
}

/// In whole units, rounded half up.
fn whole(price: Money) -> i64 {
    let per_unit = Currency::minor_per_unit(price.currency);
    (price.minor + per_unit / 2).div_euclid(per_unit)
}

impl From<&NightRow> for Night {
    fn from(row: &NightRow) -> Night {
        Night {
            date: row.date,
            price_minor: row.price,
            units_left: row.units_left,
            min_stay: row.min_stay,
            max_stay: row.max_stay,
            closed_to_arrival: row.closed_to_arrival,
            closed_to_departure: row.closed_to_departure,
        }
    }
}

impl From<&PropertyRow> for Policies {
    fn from(row: &PropertyRow) -> Policies {
        Policies {
            check_in_time: row.check_in_time.format("%H:%M").to_string(),
            time_zone: row.time_zone.clone(),
            pay: row.pay.word(),
            hold_minutes: row.hold_minutes,
            cancel_hours: row.cancel_hours,
            min_stay: row.min_stay,
            max_stay: row.max_stay,
            advance_hours_min: row.advance_hours_min,
            advance_days_max: row.advance_days_max,
            fees: row.fees.iter().map(Fee::from).collect(),
        }
    }
}

impl From<&FeeRow> for Fee {
    fn from(row: &FeeRow) -> Fee {
        Fee {
            name: row.name.clone(),
            per: row.per.clone(),
            amount: row.amount,
            included: row.included,
        }
    }
}

impl From<&PropertyRow> for PropertyPlace {
    fn from(row: &PropertyRow) -> PropertyPlace {
        PropertyPlace {
            place_id: row.place_id.clone(),
            name: row.place_name.clone(),
            town_name: row.town_name.clone(),
            country: row.country.clone(),
            region: row.region.clone(),
            latitude: degrees(row.latitude),
            longitude: degrees(row.longitude),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_units_are_rounded_half_up() {
        for (minor, currency, expected) in [
            (450_000, Currency::Kes, 4500),
            (450_049, Currency::Kes, 4500),
            (450_050, Currency::Kes, 4501),
            (45_000, Currency::Ugx, 45_000),
        ] {
            assert_eq!(whole(Money { minor, currency }), expected);
        }
    }
}
