//! `properties.csv`.

use std::collections::HashMap;

use chrono::NaiveTime;
use serde::Serialize;
use uuid::Uuid;

use super::fees::{self, Fee};
use super::sheet::{self, Line};
use super::{KnownPlace, RowError};
use crate::booking::money::Currency;
use crate::booking::offer::Pay;
use crate::booking::stay::{ADVANCE_DAYS_MAX, GUESTS_MAX, NIGHTS_MAX};
use crate::country::Country;

pub(super) const COLUMNS: [&str; 17] = [
    "property_id",
    "host_name",
    "host_phone",
    "name",
    "kind",
    "town",
    "area",
    "landmark",
    "units",
    "guests_max",
    "price_per_night",
    "currency",
    "hold_minutes",
    "phone",
    "check_in_time",
    "cancel_hours",
    "pay",
];
pub(super) const OPTIONAL: [&str; 11] = [
    "min_stay",
    "max_stay",
    "advance_hours_min",
    "advance_days_max",
    "unpaid_percent",
    "fees",
    "open",
    "deposit_percent",
    "pay_at_lodge_too",
    "by_hand_minutes",
    "no_show_hours",
];
/// The most units of one property.
pub(super) const UNITS_MAX: i32 = 10_000;
/// The longest hold: a day.
const HOLD_MINUTES_MAX: i32 = 24 * 60;
/// The longest hold that is paid by hand. Source: row S-21 of the security requirements.
const BY_HAND_MINUTES_MAX: i32 = 2 * 60;
/// The longest notice that a lodge asks for: 30 days.
const ADVANCE_HOURS_MAX: i32 = 30 * 24;
/// The earliest end of cancelling: 30 days before.
const CANCEL_HOURS_MAX: i32 = 30 * 24;
/// The latest that a guest may come before being a no-show: 3 days after check-in time.
const NO_SHOW_HOURS_MAX: i32 = 3 * 24;

/// One right row. `property_id` is used only where the short id is new.
#[derive(Serialize)]
pub(super) struct Property {
    #[serde(skip)]
    pub(super) line: u64,
    property_id: Uuid,
    pub(super) short_id: String,
    pub(super) host_name: String,
    pub(super) host_msisdn: String,
    pub(super) host_language: &'static str,
    name: String,
    kind: String,
    town: String,
    area: Option<String>,
    landmark: String,
    pub(super) units: i32,
    guests_max: i32,
    price_base: i32,
    pub(super) currency: String,
    time_zone: &'static str,
    check_in_time: NaiveTime,
    cancel_hours: i32,
    pay: &'static str,
    hold_minutes: i32,
    phone: String,
    #[serde(flatten)]
    terms: Terms,
}

/// What is left as it is, or at its default, where the file does not say it.
#[derive(Serialize)]
struct Terms {
    min_stay: Option<i16>,
    max_stay: Option<i16>,
    advance_hours_min: Option<i32>,
    advance_days_max: Option<i32>,
    unpaid_percent: Option<i16>,
    fees: Option<Vec<Fee>>,
    open: Option<bool>,
    deposit_percent: Option<i16>,
    pay_at_lodge_too: Option<bool>,
    by_hand_minutes: Option<i32>,
    /// 0: the host alone says who has not come.
    no_show_hours: Option<i32>,
}

/// The right rows. `stored` gives the currency by short id of properties that were imported before.
pub(super) fn read(
    text: Option<&str>,
    places: &HashMap<String, KnownPlace>,
    stored: &HashMap<String, String>,
    faults: &mut Vec<RowError>,
) -> Vec<Property> {
    let properties = sheet::read("properties", text, &COLUMNS, &OPTIONAL, faults, |line| {
        read_line(line, places)
    });
    let mut ids = HashMap::new();
    let mut hosts = HashMap::new();
    for property in &properties {
        let first = *ids.entry(&property.short_id).or_insert(property.line);
        if first != property.line {
            let message = format!("is the same as in line {first}");
            faults.push(sheet::Fault::at(
                "properties",
                property.line,
                "property_id",
                message,
            ));
        }
        if let Some(stored) = stored.get(&property.short_id)
            && *stored != property.currency
        {
            // Prices of single nights were given in it.
            let message = format!("was {stored} and cannot change");
            faults.push(sheet::Fault::at(
                "properties",
                property.line,
                "currency",
                message,
            ));
        }
        let (first, name) = *hosts
            .entry(&property.host_msisdn)
            .or_insert((property.line, &property.host_name));
        if *name != property.host_name {
            let message = format!("this number has another name in line {first}");
            faults.push(sheet::Fault::at(
                "properties",
                property.line,
                "host_phone",
                message,
            ));
        }
    }
    properties
}

fn read_line(line: &mut Line<'_>, places: &HashMap<String, KnownPlace>) -> Option<Property> {
    let short_id = line.cell("property_id", "prop_ and 4 to 12 of a-z and 0-9", |raw| {
        is_short_id(raw).then(|| raw.to_owned())
    });
    let town = line.cell("town", "the id of a town", |raw| {
        let place = places.get(raw).filter(|place| place.town.is_none())?;
        Some((raw.to_owned(), Country::find(&place.country)?))
    });
    let country = town.as_ref().map(|(_, country)| *country);
    let area = match town.as_ref() {
        None => Some(None),
        Some((town, _)) => line.optional("area", "the id of a place in this town", |raw| {
            let place = places.get(raw)?;
            (place.town.as_ref() == Some(town)).then(|| raw.to_owned())
        }),
    };
    let host_name = line.name("host_name");
    let host_msisdn = line.msisdn("host_phone", country);
    let name = line.name("name");
    let kind = line.name("kind");
    let landmark = line.name_or_empty("landmark");
    let units = line.number("units", 0..=UNITS_MAX);
    let guests_max = line.number("guests_max", 1..=i32::from(GUESTS_MAX));
    let currency = line.cell("currency", "a currency served", Currency::find);
    let price_base = currency.and_then(|currency| line.price("price_per_night", currency));
    let hold_minutes = line.number("hold_minutes", 1..=HOLD_MINUTES_MAX);
    let phone = line.msisdn("phone", country);
    let check_in_time = line.cell("check_in_time", "a time of day like 14:00", |raw| {
        NaiveTime::parse_from_str(raw, "%H:%M").ok()
    });
    let cancel_hours = line.number("cancel_hours", 0..=CANCEL_HOURS_MAX);
    let pay = line.cell("pay", "at_lodge or prepay", Pay::find);
    let stays = 1..=i16::from(NIGHTS_MAX);
    let min_stay = line.number_or_empty("min_stay", stays.clone());
    let max_stay = line.number_or_empty("max_stay", stays);
    let advance_hours_min = line.number_or_empty("advance_hours_min", 0..=ADVANCE_HOURS_MAX);
    let advance_days_max =
        line.number_or_empty("advance_days_max", 0..=i32::from(ADVANCE_DAYS_MAX));
    let unpaid_percent = line.number_or_empty("unpaid_percent", 0..=100);
    let fees = match currency {
        None => Some(None),
        Some(currency) => line.optional("fees", fees::WANTED, |raw| fees::read(raw, currency)),
    };
    let open = line.yes_or_no("open");
    let deposit_percent = line.number_or_empty("deposit_percent", 0..=99);
    let pay_at_lodge_too = line.yes_or_no("pay_at_lodge_too");
    let by_hand_minutes = line.number_or_empty("by_hand_minutes", 0..=BY_HAND_MINUTES_MAX);
    let no_show_hours = line.number_or_empty("no_show_hours", 0..=NO_SHOW_HOURS_MAX);
    let (town, country) = town?;
    Some(Property {
        line: line.number,
        property_id: Uuid::now_v7(),
        short_id: short_id?,
        host_name: host_name?,
        host_msisdn: host_msisdn?,
        host_language: country.languages.first().copied().unwrap_or("en"),
        name: name?,
        kind: kind?,
        town,
        area: area?,
        landmark: landmark?,
        units: units?,
        guests_max: guests_max?,
        price_base: price_base?,
        currency: currency?.code().to_owned(),
        time_zone: country.time_zone.name(),
        check_in_time: check_in_time?,
        cancel_hours: cancel_hours?,
        pay: pay?.word(),
        hold_minutes: hold_minutes?,
        phone: phone?,
        terms: Terms {
            min_stay: min_stay?,
            max_stay: max_stay?,
            advance_hours_min: advance_hours_min?,
            advance_days_max: advance_days_max?,
            unpaid_percent: unpaid_percent?,
            fees: fees?,
            open: open?,
            deposit_percent: deposit_percent?,
            pay_at_lodge_too: pay_at_lodge_too?,
            by_hand_minutes: by_hand_minutes?,
            no_show_hours: no_show_hours?,
        },
    })
}

fn is_short_id(raw: &str) -> bool {
    raw.strip_prefix("prop_").is_some_and(|rest| {
        (4..=12).contains(&rest.len())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}
