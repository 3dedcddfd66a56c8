//! Values for screens without a service behind them: as guests see them, or as long as they can be.

use chrono::{Days, NaiveDate};

use super::action::{self, Outcome};
use super::flow::Flow;
use super::value::{RecordType, Type, Value, Values};
use crate::booking::money::{Currency, Money};

/// Which values to make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Of usual length.
    Usual,
    /// As long as their types allow.
    Longest,
}

/// Entries of a made-up list.
const LIST_LEN: usize = 6;

impl Sample {
    /// A value of this type, called `name` in the flow or in its record.
    pub fn value(self, name: &str, of: Type, today: NaiveDate) -> Value {
        match of {
            Type::Text(max) => Value::text(self.text(name, max)),
            Type::Name => Value::text(self.text("name", super::value::NAME_CHARS_MAX)),
            Type::PlaceName => Value::text(self.text(name, super::value::PLACE_CHARS_MAX)),
            Type::Count(..) | Type::Nights | Type::Guests => {
                let (low, high) = of.range().unwrap_or_default();
                Value::Count(match self {
                    Sample::Usual => 2.clamp(low, high),
                    Sample::Longest => high,
                })
            }
            Type::Date => Value::Date(today + Days::new(1)),
            Type::Money => Value::Money(match self {
                Sample::Usual => Money::from_units(4_500, Currency::Kes),
                Sample::Longest => Money {
                    minor: 999_999_999,
                    currency: Currency::Kes,
                },
            }),
            Type::Msisdn => Value::text("+254712345678"),
            Type::Code => Value::text("4821-7736"),
            // Nothing shows it.
            Type::Pin => Value::text(""),
            Type::Record(record) => self.record(record, today),
            Type::List(record) => Value::list((0..LIST_LEN).map(|_| self.record(record, today))),
        }
    }

    /// Every variable of the flow.
    pub fn values(self, flow: &Flow, today: NaiveDate) -> Values {
        flow.variables
            .iter()
            .map(|(name, of)| (name.clone(), self.value(name, *of, today)))
            .collect()
    }

    /// What an action binds when it ends so.
    pub fn binds(self, outcome: &Outcome, today: NaiveDate) -> Values {
        let of = |name: &str| {
            action::VARIABLES
                .iter()
                .find(|(known, _)| *known == name)
                .and_then(|(_, of)| Type::parse(of))
        };
        outcome
            .binds
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.value(name, of(name)?, today))))
            .collect()
    }

    /// What every template can show.
    pub fn given(self, today: NaiveDate) -> Values {
        let date = |days: i64| today + chrono::Duration::days(days);
        action::GIVEN
            .iter()
            .filter_map(|(name, of)| {
                let value = match *name {
                    "today" => Value::Date(date(0)),
                    "tomorrow" => Value::Date(date(1)),
                    "yesterday" => Value::Date(date(-1)),
                    "weekend" => Value::Date(super::date::weekend(today)),
                    _ => self.value(name, Type::parse(of)?, today),
                };
                Some(((*name).to_owned(), value))
            })
            .collect()
    }

    fn record(self, record: &RecordType, today: NaiveDate) -> Value {
        let field = |name: &str, of| self.value(&format!("{}.{name}", record.name), of, today);
        Value::from_fields(
            record
                .fields
                .iter()
                .map(|(name, of)| ((*name).to_owned(), field(name, *of))),
        )
    }

    fn text(self, name: &str, max: usize) -> String {
        if self == Sample::Longest {
            return "Wambui ".repeat(max / 7 + 1)[..max].to_owned();
        }
        let usual = match name {
            "service_code" => "*384*7#",
            "care_phone" => "0709000000",
            "booking.phone" | "booking.guest_phone" => "0712345678",
            "offer.name" | "booking.lodge" => "Sunset Lodge",
            "offer.landmark" | "booking.landmark" => "KFA stage",
            "booking.check_in_time" => "14:00",
            "quote.pay" => "at lodge",
            "quote.cancel_rule" => "Cancel by 5 Nov 14:00",
            "name" | "booking.guest" => "Mary Wanjiku",
            _ => "Nakuru",
        };
        usual.chars().take(max).collect()
    }
}
