//! What a caller types, read as what a screen asks for. Harmless slips are understood: blanks, leading zeros, O for 0.

use chrono::NaiveDate;

use super::amount::parse_amount;
use super::date::{BadDate, parse_date};
use super::language::{Language, Wrong};
use super::pin::Pin;
use super::value::{GUESTS_MAX, NAME_CHARS_MAX, NIGHTS_MAX, PLACE_CHARS_MAX, Type, Value};
use crate::booking::code::Code;
use crate::country::Country;
use crate::phone::Msisdn;
use crate::sms::gsm7;

/// What reading depends on besides the text.
pub struct Reader<'a> {
    /// The caller's language first, then the others of the flow.
    pub languages: Vec<&'a Language>,
    /// The caller's date.
    pub today: NaiveDate,
    /// Where national phone numbers belong.
    pub country: &'static Country,
}

impl Reader<'_> {
    /// The value typed.
    ///
    /// # Errors
    /// [`Wrong`] says what to tell the caller.
    pub fn read(&self, typed: &str, of: Type) -> Result<Value, Wrong> {
        let typed = typed.trim();
        match of {
            Type::Text(max) => words(typed, max).map(Value::Text).ok_or(Wrong::Text),
            Type::Name => read_name(typed).map(Value::Text).ok_or(Wrong::Name),
            Type::PlaceName => words(typed, PLACE_CHARS_MAX)
                .filter(|name| name.chars().any(char::is_alphabetic))
                .map(Value::Text)
                .ok_or(Wrong::Place),
            Type::Count(low, high) => within(self.count(typed), (low, high)).ok_or(Wrong::Count),
            Type::Nights => {
                let count = self.counted(typed, |language| &language.night_words);
                within(count, (1, NIGHTS_MAX)).ok_or(Wrong::Nights)
            }
            Type::Guests => {
                let count = self.counted(typed, |language| &language.guest_words);
                within(count, (1, GUESTS_MAX)).ok_or(Wrong::Guests)
            }
            Type::Date => self.date(typed).map(Value::Date),
            Type::Msisdn => Msisdn::parse_typed(typed, self.country)
                .map(|msisdn| Value::text(msisdn.as_str()))
                .map_err(|_| Wrong::Msisdn),
            Type::Code => Code::parse(typed)
                .map(|code| Value::text(code.to_string()))
                .map_err(|_| Wrong::Code),
            Type::Money => parse_amount(typed, self.country.currency)
                .map(Value::Money)
                .ok_or(Wrong::Money),
            Type::Pin => Pin::parse(typed).map(Value::Pin).ok_or(Wrong::Pin),
            Type::Record(_) | Type::List(_) => Err(Wrong::Option),
        }
    }

    fn count(&self, typed: &str) -> Option<i64> {
        let word = typed.to_lowercase();
        key(typed).parse().ok().or_else(|| {
            self.languages
                .iter()
                .find_map(|language| language.number(&word))
        })
    }

    /// `2`, `2 nights`, `siku 2`: a count, perhaps with a word for what is counted.
    fn counted<'b>(
        &'b self,
        typed: &str,
        units: impl Fn(&'b Language) -> &'b [String],
    ) -> Option<i64> {
        let lower = typed.to_lowercase();
        let is_unit = |word: &str| {
            let mut languages = self.languages.iter();
            languages.any(|language| units(language).iter().any(|unit| unit == word))
        };
        let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && is_unit(lower[digits..].trim()) {
            return lower[..digits].parse().ok();
        }
        let mut told = lower.split_whitespace().filter(|word| !is_unit(word));
        match (told.next(), told.next()) {
            (Some(count), None) => self.count(count),
            _ => self.count(typed),
        }
    }

    fn date(&self, typed: &str) -> Result<NaiveDate, Wrong> {
        let words: Vec<_> = self
            .languages
            .iter()
            .map(|language| &language.date_words)
            .collect();
        parse_date(typed, self.today, &words).map_err(|bad| match bad {
            BadDate::Unreadable => Wrong::Date,
            BadDate::Past => Wrong::Past,
            BadDate::TooFar => Wrong::TooFar,
            BadDate::NoSuchDay => Wrong::NoSuchDay,
        })
    }
}

fn within(count: Option<i64>, (low, high): (i64, i64)) -> Option<Value> {
    count
        .filter(|count| (low..=high).contains(count))
        .map(Value::Count)
}

/// A key as meant: blanks around it and a final dot or `#` dropped, letters that look like digits read as digits, no leading
/// zeros except in `0` and `00` themselves.
pub fn key(typed: &str) -> String {
    let digits: String = typed
        .trim()
        .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '#' | ')'))
        .chars()
        .map(|c| match c {
            'o' | 'O' => '0',
            'i' | 'I' | 'l' => '1',
            other => other,
        })
        .collect();
    if digits == "0" || digits == "00" {
        digits
    } else {
        digits.trim_start_matches('0').to_owned()
    }
}

/// Words folded to what a phone shows, blanks squeezed, at most `max` characters. `None` if nothing is left.
/// A name as texts show it, at most [`NAME_CHARS_MAX`] characters. `None`: no letter is in it.
pub fn read_name(typed: &str) -> Option<String> {
    words(typed, NAME_CHARS_MAX).filter(|name| name.chars().any(char::is_alphabetic))
}

fn words(typed: &str, max: usize) -> Option<String> {
    let folded = gsm7::plain(typed);
    let squeezed: Vec<_> = folded.split_whitespace().collect();
    let text: String = squeezed.join(" ").chars().take(max).collect();
    let text = text.trim();
    text.chars()
        .any(char::is_alphanumeric)
        .then(|| text.to_owned())
}
