//! `nights.csv`: what the host's calendar says of single nights.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::Serialize;

use super::properties::UNITS_MAX;
use super::sheet::{self, Line, read_digits, read_price};
use super::{Calendar, Night, RowError};
use crate::booking::money::Currency;
use crate::booking::stay::NIGHTS_MAX as STAY_MAX;

pub(super) const COLUMNS: [&str; 6] = [
    "property_id",
    "from",
    "to",
    "available_units",
    "price_per_night",
    "surge",
];
pub(super) const OPTIONAL: [&str; 6] = [
    "closed",
    "out_of_service",
    "min_stay",
    "max_stay",
    "closed_to_arrival",
    "closed_to_departure",
];
/// The most nights that one file may name.
const NIGHTS_MAX: usize = 400_000;
/// Surge multipliers, in hundredths: half the price to three times.
const SURGE_HUNDREDTHS: std::ops::RangeInclusive<i64> = 50..=300;

/// What one night gets; `None` leaves it as it is.
#[derive(Clone, Serialize)]
pub(super) struct Override {
    /// Of the row that sets the units, or of the first.
    #[serde(skip)]
    pub(super) line: u64,
    short_id: String,
    date: NaiveDate,
    pub(super) available_units: Option<i32>,
    pub(super) out_of_service: Option<i32>,
    price_base: Option<i32>,
    surge: Option<String>,
    #[serde(flatten)]
    rules: Rules,
}

/// Who may come on a night; `None` leaves it as it is.
#[derive(Clone, Copy, Serialize)]
struct Rules {
    closed: Option<bool>,
    min_stay: Option<i16>,
    max_stay: Option<i16>,
    closed_to_arrival: Option<bool>,
    closed_to_departure: Option<bool>,
}

struct Row {
    line: u64,
    short_id: String,
    from: NaiveDate,
    to: NaiveDate,
    available_units: Option<i32>,
    out_of_service: Option<i32>,
    rules: Rules,
    price_base: Option<i32>,
    surge: Option<String>,
}

/// The nights from the calendar's first on that right rows name. `properties` gives the currency by short id.
pub(super) fn read(
    text: Option<&str>,
    properties: &HashMap<String, String>,
    calendar: Calendar,
    faults: &mut Vec<RowError>,
) -> BTreeMap<Night, Override> {
    let rows = sheet::read("nights", text, &COLUMNS, &OPTIONAL, faults, |line| {
        read_line(line, properties, calendar)
    });
    let mut nights: BTreeMap<Night, Override> = BTreeMap::new();
    for row in rows {
        for date in row.from.max(calendar.first).iter_days() {
            if date > row.to {
                break;
            }
            if nights.len() == NIGHTS_MAX {
                let message = format!("has more than {NIGHTS_MAX} nights");
                faults.push(sheet::Fault::at("nights", row.line, "file", message));
                return nights;
            }
            nights
                .entry((row.short_id.clone(), date))
                .and_modify(|night| night.take_over(&row))
                .or_insert_with(|| Override {
                    line: row.line,
                    short_id: row.short_id.clone(),
                    date,
                    available_units: row.available_units,
                    out_of_service: row.out_of_service,
                    rules: row.rules,
                    price_base: row.price_base,
                    surge: row.surge.clone(),
                });
        }
    }
    nights
}

impl Override {
    fn take_over(&mut self, row: &Row) {
        if row.available_units.is_some() || row.out_of_service.is_some() {
            self.line = row.line;
        }
        self.available_units = row.available_units.or(self.available_units);
        self.out_of_service = row.out_of_service.or(self.out_of_service);
        let (new, old) = (row.rules, self.rules);
        self.rules = Rules {
            closed: new.closed.or(old.closed),
            min_stay: new.min_stay.or(old.min_stay),
            max_stay: new.max_stay.or(old.max_stay),
            closed_to_arrival: new.closed_to_arrival.or(old.closed_to_arrival),
            closed_to_departure: new.closed_to_departure.or(old.closed_to_departure),
        };
        self.price_base = row.price_base.or(self.price_base);
        self.surge = row.surge.clone().or_else(|| self.surge.take());
    }
}

fn read_line(
    line: &mut Line<'_>,
    properties: &HashMap<String, String>,
    calendar: Calendar,
) -> Option<Row> {
    let short_id = line.cell("property_id", "a known property", |raw| {
        properties.contains_key(raw).then(|| raw.to_owned())
    });
    let currency = short_id
        .as_ref()
        .and_then(|id| Currency::find(properties.get(id)?));
    let from = line.cell("from", "a date like 2026-12-24", read_date);
    let to = line.cell("to", "a date like 2026-12-24", read_date);
    let wanted = format!("a number from 0 to {UNITS_MAX}");
    let available_units = line.optional("available_units", &wanted, |raw| {
        let units = i32::try_from(read_digits(raw)?).ok()?;
        (0..=UNITS_MAX).contains(&units).then_some(units)
    });
    let price_base = match currency {
        None => Some(None),
        Some(currency) => line.optional("price_per_night", "a price", |raw| {
            read_price(raw, currency)
        }),
    };
    let out_of_service = line.number_or_empty("out_of_service", 0..=UNITS_MAX);
    let stays = 1..=i16::from(STAY_MAX);
    let (min_stay, max_stay) = (
        line.number_or_empty("min_stay", stays.clone()),
        line.number_or_empty("max_stay", stays),
    );
    let closed = line.yes_or_no("closed");
    let closed_to_arrival = line.yes_or_no("closed_to_arrival");
    let closed_to_departure = line.yes_or_no("closed_to_departure");
    let surge = line.optional("surge", "a factor from 0.50 to 3.00", read_surge);
    let (from, to) = (from?, to?);
    if to < from {
        line.fault("to", "is before \"from\"");
        return None;
    }
    if to >= calendar.past {
        line.fault("to", format!("the calendar ends before {}", calendar.past));
        return None;
    }
    Some(Row {
        line: line.number,
        short_id: short_id?,
        from,
        to,
        available_units: available_units?,
        out_of_service: out_of_service?,
        rules: Rules {
            closed: closed?,
            min_stay: min_stay?,
            max_stay: max_stay?,
            closed_to_arrival: closed_to_arrival?,
            closed_to_departure: closed_to_departure?,
        },
        price_base: price_base?,
        surge: surge?,
    })
}

fn read_date(raw: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(raw, "%Y-%m-%d").ok()
}

/// `2`, `1.5` or `1.25`; as text, which the database reads exactly.
fn read_surge(raw: &str) -> Option<String> {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, "0"));
    let tenths = match fraction.len() {
        1 => read_digits(fraction)? * 10,
        2 => read_digits(fraction)?,
        _ => return None,
    };
    let hundredths = read_digits(whole)?.checked_mul(100)?.checked_add(tenths)?;
    SURGE_HUNDREDTHS
        .contains(&hundredths)
        .then(|| format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_has_at_most_two_decimals() {
        for (raw, surge) in [
            ("1.25", Some("1.25")),
            ("1.5", Some("1.50")),
            ("2", Some("2.00")),
            ("0.49", None),
            ("3.01", None),
            ("1.255", None),
            ("+1", None),
            ("1.", None),
            ("", None),
        ] {
            assert_eq!(read_surge(raw).as_deref(), surge, "{raw}");
        }
    }
}
