//! One CSV file as lines of named cells; what is wrong is collected, not returned.

use std::collections::HashMap;
use std::str::FromStr;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};

use super::RowError;
use crate::booking::money::{Currency, Money};
use crate::country::Country;
use crate::phone::Msisdn;

/// The largest file, in bytes.
const BYTES_MAX: usize = 10 * 1024 * 1024;
/// The most lines of one file.
const LINES_MAX: usize = 100_000;
/// The longest name, in characters: a screen shows at most that.
pub(super) const NAME_CHARS_MAX: usize = 30;
/// The highest price of a night, in minor units: with the largest surge it still fits an `integer`.
const PRICE_MINOR_MAX: i64 = 200_000_000;

/// Builds [`RowError`]s.
pub(super) struct Fault;

impl Fault {
    pub(super) fn at(
        file: &'static str,
        line: u64,
        column: impl Into<String>,
        message: impl Into<String>,
    ) -> RowError {
        RowError {
            file,
            line,
            column: column.into(),
            message: message.into(),
        }
    }
}

/// One line. Every reader returns `None` after it has noted what is wrong.
pub(super) struct Line<'a> {
    file: &'static str,
    pub(super) number: u64,
    record: &'a StringRecord,
    places: &'a HashMap<&'static str, usize>,
    faults: &'a mut Vec<RowError>,
}

/// Reads a file whose header has all `columns` and some of `optional`, in any order, and gives each line to `read`. No file
/// has no lines.
pub(super) fn read<T>(
    file: &'static str,
    text: Option<&str>,
    columns: &[&'static str],
    optional: &[&'static str],
    faults: &mut Vec<RowError>,
    mut read: impl FnMut(&mut Line<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(text) = text else {
        return Vec::new();
    };
    if text.len() > BYTES_MAX {
        faults.push(Fault::at(
            file,
            1,
            "file",
            format!("has more than {BYTES_MAX} bytes"),
        ));
        return Vec::new();
    }
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let Some(places) = find_columns(file, reader.headers(), columns, optional, faults) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (count, record) in reader.records().enumerate() {
        if count == LINES_MAX {
            faults.push(Fault::at(
                file,
                1,
                "file",
                format!("has more than {LINES_MAX} lines"),
            ));
            break;
        }
        match record {
            Ok(record) => {
                let mut line = Line {
                    file,
                    number: record.position().map_or(0, csv::Position::line),
                    record: &record,
                    places: &places,
                    faults,
                };
                rows.extend(read(&mut line));
            }
            Err(error) => {
                let number = error.position().map_or(0, csv::Position::line);
                faults.push(Fault::at(file, number, "line", explain(&error)));
            }
        }
    }
    rows
}

fn find_columns(
    file: &'static str,
    headers: Result<&StringRecord, csv::Error>,
    columns: &[&'static str],
    optional: &[&'static str],
    faults: &mut Vec<RowError>,
) -> Option<HashMap<&'static str, usize>> {
    let before = faults.len();
    let headers = match headers {
        Ok(headers) => headers,
        Err(error) => {
            faults.push(Fault::at(file, 1, "line", explain(&error)));
            return None;
        }
    };
    let mut places = HashMap::new();
    for (place, header) in headers.iter().enumerate() {
        let known = columns.iter().chain(optional);
        match known.into_iter().find(|column| **column == header) {
            None => faults.push(Fault::at(file, 1, header, "is not a column of this file")),
            Some(column) => {
                if places.insert(*column, place).is_some() {
                    faults.push(Fault::at(file, 1, *column, "comes twice"));
                }
            }
        }
    }
    for column in columns {
        if !places.contains_key(column) {
            faults.push(Fault::at(file, 1, *column, "is missing"));
        }
    }
    (faults.len() == before).then_some(places)
}

fn explain(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} cells, not {expected_len}"),
        _ => "is not CSV".into(),
    }
}

impl Line<'_> {
    /// Notes that something is wrong.
    pub(super) fn fault(&mut self, column: &str, message: impl Into<String>) {
        self.faults
            .push(Fault::at(self.file, self.number, column, message));
    }

    /// The cell as it is, blanks around it gone.
    pub(super) fn raw(&self, column: &str) -> &str {
        self.places
            .get(column)
            .and_then(|place| self.record.get(*place))
            .unwrap_or_default()
    }

    /// What `read` makes of the cell, or a note that it is not `wanted`.
    pub(super) fn cell<T>(
        &mut self,
        column: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.raw(column));
        if value.is_none() {
            let raw: String = self.raw(column).chars().take(NAME_CHARS_MAX).collect();
            self.fault(column, format!("\"{raw}\" is not {wanted}"));
        }
        value
    }

    /// As [`Line::cell`]; an empty cell is `Some(None)`.
    pub(super) fn optional<T>(
        &mut self,
        column: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.raw(column).is_empty() {
            return Some(None);
        }
        self.cell(column, wanted, read).map(Some)
    }

    /// A number within bounds.
    pub(super) fn number<N>(
        &mut self,
        column: &str,
        bounds: std::ops::RangeInclusive<N>,
    ) -> Option<N>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let wanted = format!("a number from {} to {}", bounds.start(), bounds.end());
        self.cell(column, &wanted, |raw| {
            raw.parse().ok().filter(|number| bounds.contains(number))
        })
    }

    /// As [`Line::number`]; an empty cell or no such column is `Some(None)`.
    pub(super) fn number_or_empty<N>(
        &mut self,
        column: &str,
        bounds: std::ops::RangeInclusive<N>,
    ) -> Option<Option<N>>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        if self.raw(column).is_empty() {
            return Some(None);
        }
        self.number(column, bounds).map(Some)
    }

    /// `yes` or `no`; an empty cell or no such column is `Some(None)`.
    pub(super) fn yes_or_no(&mut self, column: &str) -> Option<Option<bool>> {
        self.optional(column, "yes or no", |raw| match raw {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
    }

    /// A name of 1 to [`NAME_CHARS_MAX`] characters that every phone shows and that cost one septet each.
    pub(super) fn name(&mut self, column: &str) -> Option<String> {
        let wanted = format!("a name of 1 to {NAME_CHARS_MAX} plain characters");
        self.cell(column, &wanted, |raw| {
            (!raw.is_empty() && raw.len() <= NAME_CHARS_MAX && raw.chars().all(is_plain))
                .then(|| raw.to_owned())
        })
    }

    /// As [`Line::name`], or empty.
    pub(super) fn name_or_empty(&mut self, column: &str) -> Option<String> {
        if self.raw(column).is_empty() {
            return Some(String::new());
        }
        self.name(column)
    }

    /// A phone number in national or international form.
    pub(super) fn msisdn(&mut self, column: &str, country: Option<&Country>) -> Option<String> {
        self.cell(column, "a phone number", |raw| {
            let parsed = match country {
                Some(country) => Msisdn::parse_typed(raw, country),
                None => Msisdn::parse(raw),
            };
            parsed.ok().map(String::from)
        })
    }

    /// A price per night in minor units.
    pub(super) fn price(&mut self, column: &str, currency: Currency) -> Option<i32> {
        let wanted = format!("a price in {}", currency.code());
        self.cell(column, &wanted, |raw| read_price(raw, currency))
    }
}

/// Printable ASCII that is in the basic GSM alphabet. Source: 3GPP TS 23.038 §6.2.1.
fn is_plain(c: char) -> bool {
    (c == ' ' || c.is_ascii_graphic())
        && !matches!(c, '[' | ']' | '{' | '}' | '|' | '~' | '^' | '\\' | '`')
}

/// `4500`, or `4500.50` where the currency has minor units.
pub(crate) fn read_price(raw: &str, currency: Currency) -> Option<i32> {
    let (units, cents) = match raw.split_once('.') {
        None => (raw, 0),
        Some((units, cents)) => {
            let whole = currency.minor_per_unit() == 100 && cents.len() == 2;
            (units, read_digits(cents).filter(|_| whole)?)
        }
    };
    let minor = read_digits(units)?
        .checked_mul(currency.minor_per_unit())?
        .checked_add(cents)?;
    (1..=PRICE_MINOR_MAX)
        .contains(&minor)
        .then(|| i32::try_from(minor).ok())?
}

/// What [`read_price`] reads as so many minor units.
pub(crate) fn write_price(minor: i64, currency: Currency) -> String {
    let (units, cents) = Money { minor, currency }.split();
    match cents {
        0 => units.to_string(),
        cents => format!("{units}.{cents:02}"),
    }
}

/// Digits only: `parse` would also take a sign.
pub(super) fn read_digits(raw: &str) -> Option<i64> {
    raw.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| raw.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_whole_minor_units() {
        for (raw, currency, minor) in [
            ("4500", Currency::Kes, Some(450_000)),
            ("4500.50", Currency::Kes, Some(450_050)),
            ("4500.5", Currency::Kes, None),
            ("4500.505", Currency::Kes, None),
            ("4500.+5", Currency::Kes, None),
            ("4,500", Currency::Kes, None),
            ("-1", Currency::Kes, None),
            ("0", Currency::Kes, None),
            ("", Currency::Kes, None),
            ("2000000.01", Currency::Kes, None),
            ("9223372036854775807", Currency::Kes, None),
            ("120000", Currency::Ugx, Some(120_000)),
            ("120000.00", Currency::Ugx, None),
        ] {
            assert_eq!(read_price(raw, currency), minor, "{raw}");
            if let Some(minor) = minor {
                let written = write_price(minor.into(), currency);
                assert_eq!(read_price(&written, currency), Some(minor), "{raw}");
            }
        }
    }
}
