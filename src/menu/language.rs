//! One language: how values read, what navigation is called, what people type, and what is said to a wrong answer.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::date::DateWords;
use super::finding::{Fault, Finding, did_you_mean};
use super::source::{Map, Word};
use super::template::Template;
use super::value::{NAME_CHARS_MAX, PLACE_CHARS_MAX, Type, Value};
use crate::booking::money::Money;
use crate::sms::gsm7;

/// `menus/languages/<code>.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageFile {
    language: String,
    name: String,
    plural: Plural,
    thousands: Word,
    weekdays: [Word; 7],
    months: [Word; 12],
    navigation: NavigationFile,
    today: Vec<String>,
    tomorrow: Vec<String>,
    weekday_words: [Vec<String>; 7],
    month_words: [Vec<String>; 12],
    number_words: Vec<Vec<String>>,
    night_words: Vec<String>,
    guest_words: Vec<String>,
    wrong: Spanned<Map<Word>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NavigationFile {
    back: Word,
    home: Word,
    more: Word,
    previous: Word,
}

/// One language, loaded.
#[derive(Debug)]
pub struct Language {
    /// ISO 639 code.
    pub code: String,
    /// Its own name.
    pub name: String,
    /// How counts take forms.
    pub plural: Plural,
    thousands: String,
    weekdays: [String; 7],
    months: [String; 12],
    /// The words of the navigation line.
    pub navigation: Navigation,
    /// What people type for dates.
    pub date_words: DateWords,
    number_words: Vec<Vec<String>>,
    /// What people say beside a count of nights, and of people.
    pub(super) night_words: Vec<String>,
    pub(super) guest_words: Vec<String>,
    wrong: BTreeMap<Wrong, Template>,
}

/// Which form of a noun goes with a count. Source: Unicode CLDR plural rules, as far as these languages use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plural {
    /// One form for 1, another for the rest.
    OneOther,
    /// One form for 0 and 1, another for the rest.
    ZeroOneOther,
    /// The same form always.
    Same,
}

impl Plural {
    /// How many forms a text must give.
    pub fn forms(self) -> usize {
        match self {
            Plural::OneOther | Plural::ZeroOneOther => 2,
            Plural::Same => 1,
        }
    }

    /// The index of the form for this count.
    pub fn form(self, count: i64) -> usize {
        match self {
            Plural::OneOther => usize::from(count != 1),
            Plural::ZeroOneOther => usize::from(count > 1),
            Plural::Same => 0,
        }
    }
}

/// The words behind `0`, `00`, `98` and `99`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the word shown")]
pub struct Navigation {
    pub back: String,
    pub home: String,
    pub more: String,
    pub previous: String,
}

/// What can be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the text in the language file says it")]
pub enum Wrong {
    Option,
    Date,
    Past,
    TooFar,
    NoSuchDay,
    Count,
    Name,
    Msisdn,
    Code,
    Text,
    Place,
    Nights,
    Guests,
    Money,
    Pin,
}

impl Wrong {
    const ALL: [(Wrong, &'static str); 15] = [
        (Wrong::Option, "option"),
        (Wrong::Date, "date"),
        (Wrong::Past, "past"),
        (Wrong::TooFar, "too_far"),
        (Wrong::NoSuchDay, "no_such_day"),
        (Wrong::Count, "count"),
        (Wrong::Name, "name"),
        (Wrong::Msisdn, "msisdn"),
        (Wrong::Code, "code"),
        (Wrong::Text, "text"),
        (Wrong::Place, "place"),
        (Wrong::Nights, "nights"),
        (Wrong::Guests, "guests"),
        (Wrong::Money, "money"),
        (Wrong::Pin, "pin"),
    ];
}

impl Wrong {
    fn has_range(self) -> bool {
        matches!(self, Wrong::Count | Wrong::Nights | Wrong::Guests)
    }
}

/// A count's range is filled into its error text as these.
const RANGE: [&str; 2] = ["low", "high"];

impl Language {
    /// Reads a language file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(source: &str) -> Result<Language, Finding> {
        let file: LanguageFile =
            serde_saphyr::from_str(source).map_err(|error| Finding::syntax(&error))?;
        let wrong = wrong(&file.wrong)?;
        let words = &file.navigation;
        let shown = [
            &file.thousands,
            &words.back,
            &words.home,
            &words.more,
            &words.previous,
        ];
        for word in shown.into_iter().chain(&file.weekdays).chain(&file.months) {
            if gsm7::septets(&word.value).is_none() {
                let message = format!("'{}' has a letter outside the GSM-7 alphabet", word.value);
                return Err(Finding::at(Fault::Text, word, message));
            }
        }
        let value = |word: Word| word.value;
        Ok(Language {
            code: file.language,
            name: file.name,
            plural: file.plural,
            thousands: file.thousands.value,
            weekdays: file.weekdays.map(value),
            months: file.months.map(value),
            navigation: Navigation {
                back: file.navigation.back.value,
                home: file.navigation.home.value,
                more: file.navigation.more.value,
                previous: file.navigation.previous.value,
            },
            date_words: DateWords {
                today: file.today,
                tomorrow: file.tomorrow,
                weekdays: file.weekday_words,
                months: file.month_words,
            },
            number_words: file.number_words,
            night_words: file.night_words,
            guest_words: file.guest_words,
            wrong,
        })
    }

    /// What to say to a wrong answer; `range` for a count.
    pub fn wrong(&self, kind: Wrong, range: Option<(i64, i64)>) -> String {
        let (low, high) = range.unwrap_or_default();
        let values = [
            (RANGE[0].to_owned(), Value::Count(low)),
            (RANGE[1].to_owned(), Value::Count(high)),
        ]
        .into();
        self.wrong
            .get(&kind)
            .map(|template| template.fill(&values, None, &values, self))
            .unwrap_or_default()
    }

    /// The most septets that a wrong answer to this kind of input can be told in.
    pub fn wrong_septets_max(&self, input: Option<Type>) -> usize {
        let kinds: &[Wrong] = match input {
            Some(Type::Date) => &[Wrong::Date, Wrong::Past, Wrong::TooFar, Wrong::NoSuchDay],
            Some(Type::Count(..)) => &[Wrong::Count],
            Some(Type::Nights) => &[Wrong::Nights],
            Some(Type::Guests) => &[Wrong::Guests],
            Some(Type::PlaceName) => &[Wrong::Place],
            Some(Type::Money) => &[Wrong::Money],
            Some(Type::Pin) => &[Wrong::Pin],
            Some(Type::Name) => &[Wrong::Name],
            Some(Type::Msisdn) => &[Wrong::Msisdn],
            Some(Type::Code) => &[Wrong::Code],
            Some(Type::Text(_)) => &[Wrong::Text],
            _ => &[Wrong::Option],
        };
        let range = input.and_then(Type::range);
        kinds
            .iter()
            .filter_map(|kind| gsm7::septets(&self.wrong(*kind, range)))
            .max()
            .unwrap_or_default()
    }

    /// A value as it reads, in the GSM-7 basic table only.
    pub fn show(&self, value: &Value) -> String {
        let mut text = String::new();
        self.write(&mut text, value);
        text
    }

    /// Writes a value as it reads.
    pub fn write(&self, text: &mut String, value: &Value) {
        match value {
            Value::Text(words) => text.push_str(&gsm7::plain(words)),
            Value::Count(count) => write_number(text, *count),
            Value::Date(date) => {
                text.push_str(&self.weekdays[date.weekday().num_days_from_monday() as usize]);
                text.push(' ');
                self.write_day(text, *date);
            }
            Value::Money(money) => self.write_money(text, *money),
            Value::Record(_) | Value::List(_) | Value::Pin(_) => {}
        }
    }

    /// `Fri 6 Nov`
    pub fn date(&self, date: NaiveDate) -> String {
        self.show(&Value::Date(date))
    }

    /// `KES 4,500`, cents only where there are some.
    pub fn money(&self, money: Money) -> String {
        self.show(&Value::Money(money))
    }

    fn write_day(&self, text: &mut String, date: NaiveDate) {
        write_number(text, i64::from(date.day()));
        text.push(' ');
        text.push_str(&self.months[date.month0() as usize]);
    }

    fn write_money(&self, text: &mut String, money: Money) {
        let (units, minor) = money.split();
        text.push_str(money.currency.code());
        text.push(' ');
        self.write_grouped(text, units);
        if minor != 0 {
            text.push_str(&format!(".{minor:02}"));
        }
    }

    /// Thousands from the left, each after its separator.
    fn write_grouped(&self, text: &mut String, units: i64) {
        const GROUP: i64 = 1000;
        if units.abs() < GROUP {
            return write_number(text, units);
        }
        self.write_grouped(text, units / GROUP);
        text.push_str(&self.thousands);
        let rest = (units % GROUP).unsigned_abs();
        for place in [100, 10, 1] {
            text.push(char::from(
                b'0' + u8::try_from(rest / place % 10).unwrap_or_default(),
            ));
        }
    }

    /// The most septets a value of this type can take. `None` where it cannot be shown.
    pub fn septets_max(&self, of: Type) -> Option<usize> {
        let longest = |words: &[String]| {
            words
                .iter()
                .filter_map(|word| gsm7::septets(word))
                .max()
                .unwrap_or_default()
        };
        match of {
            Type::Text(chars) => Some(chars),
            Type::PlaceName => Some(PLACE_CHARS_MAX),
            Type::Count(..) | Type::Nights | Type::Guests => {
                let (low, high) = of.range()?;
                Some(low.to_string().len().max(high.to_string().len()))
            }
            Type::Date => Some(longest(&self.weekdays) + " 31 ".len() + longest(&self.months)),
            Type::Money => {
                Some("KES 9999999.99".len() + 2 * gsm7::septets(&self.thousands).unwrap_or(2))
            }
            Type::Name => Some(NAME_CHARS_MAX),
            Type::Msisdn => Some("+123456789012345".len()),
            Type::Code => Some("1234-5678".len()),
            Type::Pin | Type::Record(_) | Type::List(_) => None,
        }
    }

    /// The number that a word of this language names.
    pub fn number(&self, word: &str) -> Option<i64> {
        let position = self
            .number_words
            .iter()
            .position(|words| words.iter().any(|known| known == word))?;
        i64::try_from(position).ok().map(|index| index + 1)
    }
}

/// What is said to each kind of wrong answer.
fn wrong(written: &Spanned<Map<Word>>) -> Result<BTreeMap<Wrong, Template>, Finding> {
    let mut wrong = BTreeMap::new();
    for (kind, key) in Wrong::ALL {
        let Some(word) = written.value.find(key) else {
            let message = format!("'{key}' is missing under 'wrong'");
            return Err(
                Finding::at_location(Fault::Language, written.defined, message)
                    .hint(format!("add '{key}: …'")),
            );
        };
        let template = Template::parse(&word.value)
            .map_err(|error| Finding::at(Fault::Text, word, error.0))?;
        let strange = template
            .paths()
            .find(|path| !kind.has_range() || !RANGE.contains(&path.variable.as_str()));
        if let Some(path) = strange {
            let message = format!("'{key}' does not know '{}'", path.variable);
            return Err(Finding::at(Fault::Variable, word, message)
                .hint("only counts, nights and guests know {low} and {high}"));
        }
        wrong.insert(kind, template);
    }
    let known = || Wrong::ALL.iter().map(|(_, key)| *key);
    let mut strange = written.value.0.iter().map(|(key, _)| key);
    let strange = strange.find(|key| known().all(|known| known != key.value));
    match strange {
        Some(key) => {
            let message = format!("no answer is wrong in the way '{}'", key.value);
            let hint = did_you_mean(&key.value, known());
            Err(Finding::at(Fault::Language, key, message)
                .hint(hint.unwrap_or_else(|| "take it out".to_owned())))
        }
        None => Ok(wrong),
    }
}

fn write_number(text: &mut String, number: i64) {
    // Writing into a String cannot fail.
    let _ = write!(text, "{number}");
}
