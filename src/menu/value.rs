//! Values that screens show and actions exchange, and the declared types that bound them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::pin::Pin;
use crate::booking::money::Money;

/// A value of a variable. Records and lists come from actions only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Words; shown folded to the GSM-7 basic table.
    Text(String),
    /// A whole number.
    Count(i64),
    /// A calendar date.
    Date(NaiveDate),
    /// An amount.
    Money(Money),
    /// Named fields, and what the action that made it needs to know it again by.
    Record(Arc<BTreeMap<String, Value>>),
    /// Records in the order shown.
    List(Arc<Vec<Value>>),
    /// Until the work that it is for is done; a state that still holds one cannot be written anywhere.
    #[serde(skip)]
    Pin(Pin),
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// A record of these fields.
    pub fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
        Value::from_fields(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        )
    }

    /// A record of any fields.
    pub fn from_fields(fields: impl Iterator<Item = (String, Value)>) -> Value {
        Value::Record(Arc::new(fields.collect()))
    }

    /// The record with these fields beside its own; anything else stays as it is.
    pub fn with<const N: usize>(self, fields: [(&str, Value); N]) -> Value {
        let Value::Record(own) = self else {
            return self;
        };
        let own = Arc::unwrap_or_clone(own).into_iter();
        let more = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Value::from_fields(own.chain(more))
    }

    /// A list of these.
    pub fn list(items: impl Iterator<Item = Value>) -> Value {
        Value::List(Arc::new(items.collect()))
    }

    /// The field of a record.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Record(fields) => fields.get(name),
            _ => None,
        }
    }

    /// The words of a text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a count.
    pub fn as_count(&self) -> Option<i64> {
        match self {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    /// The PIN.
    pub fn as_pin(&self) -> Option<&Pin> {
        match self {
            Value::Pin(pin) => Some(pin),
            _ => None,
        }
    }

    /// The date.
    pub fn as_date(&self) -> Option<NaiveDate> {
        match self {
            Value::Date(date) => Some(*date),
            _ => None,
        }
    }
}

/// What a variable may hold, with the bounds from which the longest screen is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// At most so many characters.
    Text(usize),
    /// Words that can name a town or a stage: a text of [`PLACE_CHARS_MAX`].
    PlaceName,
    /// A number in this range.
    Count(i64, i64),
    /// How long a stay is: a count of 1 to [`NIGHTS_MAX`].
    Nights,
    /// For how many people it is: a count of 1 to [`GUESTS_MAX`].
    Guests,
    /// A calendar date.
    Date,
    /// An amount up to [`UNITS_MAX`] whole units.
    Money,
    /// A person's name, one word or more.
    Name,
    /// A phone number.
    Msisdn,
    /// A booking code.
    Code,
    /// A PIN. Known to the work that follows the screen it is typed at, and to nothing after that.
    Pin,
    /// Fields of their own types.
    Record(&'static RecordType),
    /// Up to [`LIST_LEN_MAX`] records.
    List(&'static RecordType),
}

/// The longest list that an action may hand to a screen.
pub const LIST_LEN_MAX: usize = 24;
/// The longest name of a place that is looked for, in characters.
pub const PLACE_CHARS_MAX: usize = 40;
/// The longest stay.
pub const NIGHTS_MAX: i64 = 30;
/// The most people of a stay.
pub const GUESTS_MAX: i64 = 12;
/// The largest amount, in whole units.
pub const UNITS_MAX: i64 = 9_999_999;
/// The longest name kept, in characters.
pub const NAME_CHARS_MAX: usize = 20;

/// A record's name and fields.
#[derive(Debug, PartialEq, Eq)]
pub struct RecordType {
    /// As in `variables:`.
    pub name: &'static str,
    /// The fields a template can reach; a record may carry more that only actions read.
    pub fields: &'static [(&'static str, Type)],
}

/// Every record that actions exchange with screens.
pub static RECORDS: &[RecordType] = &[
    RecordType {
        name: "place",
        fields: &[
            ("name", Type::Text(20)),
            ("town", Type::Text(20)),
            ("label", Type::Text(42)),
        ],
    },
    RecordType {
        name: "region",
        fields: &[("name", Type::Text(20))],
    },
    RecordType {
        name: "offer",
        fields: &[
            ("name", Type::Text(30)),
            ("landmark", Type::Text(30)),
            ("town", Type::Text(20)),
            ("price", Type::Money),
            ("total", Type::Money),
            ("left", Type::Count(1, 999)),
        ],
    },
    RecordType {
        name: "quote",
        fields: &[
            ("total", Type::Money),
            ("check_out", Type::Date),
            ("pay", Type::Text(8)),
            ("cancel_rule", Type::Text(26)),
        ],
    },
    // A night of a host's, as told to the host.
    RecordType {
        name: "evening",
        fields: &[
            ("date", Type::Date),
            ("until", Type::Date),
            ("arrivals", Type::Count(0, 999)),
            ("before", Type::Count(0, 999)),
            ("free", Type::Count(0, 999)),
        ],
    },
    RecordType {
        name: "payment",
        fields: &[
            ("code", Type::Code),
            ("lodge", Type::Text(30)),
            ("phone", Type::Text(16)),
            ("check_in", Type::Date),
            ("check_in_time", Type::Text(5)),
            ("nights", Type::Count(1, 30)),
            ("guests", Type::Count(1, 12)),
            ("contact", Type::Text(29)),
            ("hold_minutes", Type::Count(1, 999)),
            ("amount", Type::Money),
            ("left", Type::Money),
            ("over", Type::Money),
            ("receipt", Type::Text(20)),
            ("paybill", Type::Text(7)),
            ("account", Type::Text(8)),
        ],
    },
    RecordType {
        name: "way",
        fields: &[("label", Type::Text(17)), ("amount", Type::Money)],
    },
    RecordType {
        name: "host",
        fields: &[("name", Type::Text(30))],
    },
    // A property on one night, as its host sees it.
    RecordType {
        name: "lodge",
        fields: &[
            ("name", Type::Text(30)),
            ("free", Type::Count(0, 999)),
            ("sold", Type::Count(0, 999)),
            ("out", Type::Count(0, 999)),
        ],
    },
    // Nights of a lodge before and after a change.
    RecordType {
        name: "change",
        fields: &[
            ("before", Type::Count(0, 999)),
            ("after", Type::Count(0, 999)),
            ("short", Type::Count(0, 999)),
            ("sold", Type::Count(0, 999)),
            ("old_prices", Type::Text(30)),
            ("price", Type::Money),
        ],
    },
    // What a host asks for by SMS, and the number to say yes with.
    RecordType {
        name: "wish",
        fields: &[
            ("lodge", Type::Text(30)),
            ("from", Type::Date),
            ("until", Type::Date),
            ("before", Type::Count(0, 999)),
            ("after", Type::Count(0, 999)),
            ("old_prices", Type::Text(30)),
            ("price", Type::Money),
            ("code", Type::Code),
            ("guest", Type::Text(NAME_CHARS_MAX)),
            ("check_in", Type::Date),
            ("number", Type::Text(4)),
        ],
    },
    // What only the rightful host is told.
    RecordType {
        name: "secret",
        fields: &[("secret", Type::Text(6)), ("from", Type::Text(16))],
    },
    RecordType {
        name: "moment",
        fields: &[("until", Type::Text(16))],
    },
    RecordType {
        name: "booking",
        fields: &[
            ("code", Type::Code),
            ("lodge", Type::Text(30)),
            ("town", Type::Text(20)),
            ("landmark", Type::Text(30)),
            ("phone", Type::Text(16)),
            ("check_in", Type::Date),
            ("check_in_time", Type::Text(5)),
            ("nights", Type::Count(1, 30)),
            ("guests", Type::Count(1, 12)),
            ("guest", Type::Text(NAME_CHARS_MAX)),
            ("guest_phone", Type::Text(16)),
            ("contact", Type::Text(29)),
            ("pay", Type::Text(15)),
            ("total", Type::Money),
            // What cancelling costs, what of a payment comes back, and until when.
            ("cost", Type::Money),
            ("refund", Type::Money),
            ("refund_by", Type::Date),
            // What of the total is not paid.
            ("left", Type::Money),
            ("hold_minutes", Type::Count(1, 999)),
        ],
    },
];

impl Type {
    /// Reads `text 40`, `count 1..30`, `date`, `money`, `name`, `place_name`, `nights`, `guests`, `msisdn`, `code`, `pin`,
    /// a record's name, or `list of` one.
    pub fn parse(text: &str) -> Option<Type> {
        let record = |name: &str| RECORDS.iter().find(|record| record.name == name);
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["text", max] => max.parse().ok().filter(|max| *max > 0).map(Type::Text),
            ["count", range] => {
                let (low, high) = range.split_once("..")?;
                let (lowest, highest) = (low.parse().ok()?, high.parse().ok()?);
                (lowest <= highest && low.len() < 5 && high.len() < 5)
                    .then_some(Type::Count(lowest, highest))
            }
            ["date"] => Some(Type::Date),
            ["money"] => Some(Type::Money),
            ["name"] => Some(Type::Name),
            ["msisdn"] => Some(Type::Msisdn),
            ["code"] => Some(Type::Code),
            ["pin"] => Some(Type::Pin),
            ["place_name"] => Some(Type::PlaceName),
            ["nights"] => Some(Type::Nights),
            ["guests"] => Some(Type::Guests),
            ["list", "of", name] => record(name).map(Type::List),
            [name] => record(name).map(Type::Record),
            _ => None,
        }
    }

    /// The most characters of a text of this type. `None` for what is not cut.
    pub(super) fn chars_max(self) -> Option<usize> {
        match self {
            Type::Text(max) => Some(max),
            Type::Name => Some(NAME_CHARS_MAX),
            Type::PlaceName => Some(PLACE_CHARS_MAX),
            _ => None,
        }
    }

    /// The least and the most of a count.
    pub fn range(self) -> Option<(i64, i64)> {
        match self {
            Type::Count(low, high) => Some((low, high)),
            Type::Nights => Some((1, NIGHTS_MAX)),
            Type::Guests => Some((1, GUESTS_MAX)),
            _ => None,
        }
    }

    /// Whether every value of this type is one of the other.
    pub(super) fn fits_in(self, other: Type) -> bool {
        if let (Some((low, high)), Some((lowest, highest))) = (self.range(), other.range()) {
            return lowest <= low && high <= highest;
        }
        match (self, other) {
            (Type::Text(max), Type::Text(room)) => max <= room,
            (Type::PlaceName, Type::Text(room)) => PLACE_CHARS_MAX <= room,
            _ => self == other,
        }
    }

    /// How a menu file writes it.
    pub fn word(self) -> String {
        match self {
            Type::Text(max) => format!("text {max}"),
            Type::Count(low, high) => format!("count {low}..{high}"),
            Type::Date => "date".to_owned(),
            Type::Money => "money".to_owned(),
            Type::Name => "name".to_owned(),
            Type::Msisdn => "msisdn".to_owned(),
            Type::Code => "code".to_owned(),
            Type::Pin => "pin".to_owned(),
            Type::PlaceName => "place_name".to_owned(),
            Type::Nights => "nights".to_owned(),
            Type::Guests => "guests".to_owned(),
            Type::Record(record) => record.name.to_owned(),
            Type::List(record) => format!("list of {}", record.name),
        }
    }

    /// Whether a screen can ask for it.
    pub fn can_be_typed(self) -> bool {
        !matches!(self, Type::Record(_) | Type::List(_))
    }
}

/// The value of every variable that is bound.
pub type Values = BTreeMap<String, Value>;
