//! The longest values that the declared types allow, and some that are longer than they say.

use chrono::NaiveDate;

use crate::booking::money::{Currency, Money};
use crate::menu::action;
use crate::menu::value::{
    GUESTS_MAX, NAME_CHARS_MAX, NIGHTS_MAX, PLACE_CHARS_MAX, RecordType, Type, Value, Values,
};

use super::today;

/// Texts come longer than declared: where the world breaks its word, screens still fit.
pub(super) fn longest(of: Type, list_len: usize) -> Value {
    match of {
        Type::Text(max) => Value::text("Wŋ".repeat(max)),
        Type::PlaceName => Value::text("Wŋ".repeat(PLACE_CHARS_MAX)),
        Type::Name => Value::text("W".repeat(NAME_CHARS_MAX)),
        Type::Count(_, high) => Value::Count(high),
        Type::Nights => Value::Count(NIGHTS_MAX),
        Type::Guests => Value::Count(GUESTS_MAX),
        Type::Pin => Value::text(""),
        Type::Date => Value::Date(long_date()),
        Type::Money => Value::Money(Money {
            minor: 999_999_999,
            currency: Currency::Kes,
        }),
        Type::Msisdn => Value::text("+999999999999999"),
        Type::Code => Value::text("9999-9999"),
        Type::Record(record) => record_of(record, 0),
        Type::List(record) => Value::list((0..list_len).map(|item| record_of(record, item))),
    }
}

fn record_of(record: &'static RecordType, item: usize) -> Value {
    let fields = record
        .fields
        .iter()
        .map(|(name, of)| ((*name).to_owned(), longest(*of, 0)));
    let id = ("id".to_owned(), Value::text(item.to_string()));
    Value::from_fields(fields.chain([id]))
}

/// What an outcome binds.
pub(super) fn bound(names: &[&str], list_len: usize) -> Values {
    let known = |name: &str| {
        action::VARIABLES
            .iter()
            .find(|(known, _)| *known == name)
            .and_then(|(_, of)| Type::parse(of))
            .unwrap()
    };
    names
        .iter()
        .map(|name| ((*name).to_owned(), longest(known(name), list_len)))
        .collect()
}

pub(super) fn given() -> Values {
    action::GIVEN
        .iter()
        .map(|(name, of)| ((*name).to_owned(), longest(Type::parse(of).unwrap(), 0)))
        .collect()
}

/// What a caller types at most, as its type is read.
pub(super) fn typed(of: Type) -> String {
    match of {
        Type::Text(max) => "W".repeat(2 * max),
        Type::PlaceName => "W".repeat(2 * PLACE_CHARS_MAX),
        Type::Name => "W".repeat(2 * NAME_CHARS_MAX),
        Type::Count(_, high) => high.to_string(),
        Type::Nights => NIGHTS_MAX.to_string(),
        Type::Guests => GUESTS_MAX.to_string(),
        Type::Money => "9999999".to_owned(),
        Type::Pin => "123456".to_owned(),
        Type::Date => today().format("%d%m").to_string(),
        Type::Msisdn => "+999999999999999".to_owned(),
        Type::Code => "4821-7736".to_owned(),
        Type::Record(_) | Type::List(_) => String::new(),
    }
}

fn long_date() -> NaiveDate {
    today()
}

#[test]
fn no_day_of_a_year_reads_longer_than_the_one_the_walk_takes() {
    for language in super::languages() {
        let longest = today()
            .iter_days()
            .take(366)
            .map(|day| language.date(day).len())
            .max()
            .unwrap();
        assert_eq!(language.date(long_date()).len(), longest);
        assert_eq!(language.septets_max(Type::Date), Some(longest));
    }
}
