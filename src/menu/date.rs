//! Dates as people type them: `2512`, `25/12`, `25-12-26`, `25 dec`, `friday`, `kesho`.
//!
//! Day comes before month, as written everywhere we serve; only `2026-12-25` is read year first. Typed text becomes parts
//! (numbers and words with a meaning), and the row of parts becomes a day.

use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde::Deserialize;
use strsim::osa_distance;

use crate::booking::stay::ADVANCE_DAYS_MAX;
use crate::letters::{fold_letter, squash};

/// The most characters that can be a date.
pub const TYPED_CHARS_MAX: usize = 40;
/// The fewest letters that stand for the word they begin.
const PREFIX_LETTERS_MIN: usize = 3;

/// What one language calls days and months. Case, accents, blanks and apostrophes do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateWords {
    /// `today`, `leo`.
    pub today: Vec<String>,
    /// `tomorrow`, `kesho`.
    pub tomorrow: Vec<String>,
    /// Full names and short forms, Monday first.
    pub weekdays: [Vec<String>; 7],
    /// Full names and short forms, January first.
    pub months: [Vec<String>; 12],
}

/// Why typed text is no date to book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDate {
    /// Not a date at all, or one that could be two.
    #[error("not understood as a date")]
    Unreadable,
    /// Before today.
    #[error("this day is over")]
    Past,
    /// More than [`ADVANCE_DAYS_MAX`] days ahead.
    #[error("too far ahead")]
    TooFar,
    /// Not in the calendar, as 31/02 or Friday 25 December when that is a Saturday.
    #[error("no such day")]
    NoSuchDay,
}

/// Reads a typed date. A date without a year is the next such day from `today` on; a weekday is the next such day, `today`
/// included. `words` are those of the caller's language, then of others: an exact word of any language comes before a
/// beginning or a typo of one, and earlier languages come first.
///
/// # Errors
/// [`BadDate`], with the reason to tell the caller.
pub fn parse_date(
    typed: &str,
    today: NaiveDate,
    words: &[&DateWords],
) -> Result<NaiveDate, BadDate> {
    let runs = runs(typed).ok_or(BadDate::Unreadable)?;
    let phrase = Phrase::read(&runs, words).ok_or(BadDate::Unreadable)?;
    let date = phrase.resolve(today)?;
    if date < today {
        Err(BadDate::Past)
    } else if (date - today).num_days() > i64::from(ADVANCE_DAYS_MAX) {
        Err(BadDate::TooFar)
    } else {
        Ok(date)
    }
}

/// The weekend night to offer beside today and tomorrow: the first Friday or Saturday after them.
pub fn weekend(today: NaiveDate) -> NaiveDate {
    today
        .iter_days()
        .skip(2)
        .take(7)
        .find(|day| matches!(day.weekday(), Weekday::Fri | Weekday::Sat))
        .unwrap_or(today)
}

/// Digits or folded letters that were typed together.
#[derive(Debug, PartialEq, Eq)]
enum Run {
    Digits(String),
    Letters(String),
}

/// Splits at separators and between digits and letters; `None` for characters that no date has.
fn runs(typed: &str) -> Option<Vec<Run>> {
    let typed = typed.trim();
    if typed.chars().nth(TYPED_CHARS_MAX).is_some() {
        return None;
    }
    let has_digit = typed.bytes().any(|byte| byte.is_ascii_digit());
    let mut runs = Vec::new();
    for chunk in typed.split(|c: char| c.is_whitespace() || "/-.,_\\".contains(c)) {
        let mut folded = String::new();
        for letter in chunk.chars() {
            match fold_letter(letter) {
                Some(letter) => folded.push(letter),
                None if matches!(letter, '\'' | '’' | '\u{300}'..='\u{36f}') => {}
                None => return None,
            }
        }
        runs.extend(split_chunk(&folded, has_digit));
    }
    Some(runs)
}

/// `25dec` is `25` and `dec`; `l2` is `12` where the text has a digit, for feature phones show O and 0, I, l and 1 alike.
fn split_chunk(folded: &str, has_digit: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let same_kind = |a: &u8, b: &u8| a.is_ascii_digit() == b.is_ascii_digit();
    for piece in folded.as_bytes().chunk_by(same_kind) {
        let piece = String::from_utf8_lossy(piece);
        let digits = if has_digit { as_digits(&piece) } else { None };
        match (digits, runs.last_mut()) {
            (Some(digits), Some(Run::Digits(before))) => before.push_str(&digits),
            (Some(digits), _) => runs.push(Run::Digits(digits)),
            (None, _) => runs.push(Run::Letters(piece.into_owned())),
        }
    }
    runs
}

fn as_digits(piece: &str) -> Option<String> {
    piece
        .chars()
        .map(|c| match c {
            'o' => Some('0'),
            'i' | 'l' => Some('1'),
            digit if digit.is_ascii_digit() => Some(digit),
            _ => None,
        })
        .collect()
}

/// A number, or what a word means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Number(String),
    Today,
    Tomorrow,
    /// Days from Monday.
    Weekday(u32),
    /// 1 to 12.
    Month(u32),
}

/// Words around a date that do not change it, and endings of ordinal numbers.
const FILLERS: &[&str] = &[
    "on", "this", "the", "of", "for", "coming", "night", "date", "tarehe", "siku", "ya", "mwezi",
    "hii", "usiku", "le", "ce", "st", "nd", "rd", "th", "er", "ku", "ranar", "ojo",
];
/// Words that put a weekday off by a week; "next tomorrow" is West African for the day after tomorrow.
const NEXT: &[&str] = &["next", "ijayo"];

#[derive(Debug)]
struct Phrase {
    parts: Vec<Part>,
    next: bool,
}

impl Phrase {
    /// `None` when a word means nothing.
    fn read(runs: &[Run], words: &[&DateWords]) -> Option<Phrase> {
        let mut phrase = Phrase {
            parts: Vec::new(),
            next: false,
        };
        let mut rest = runs;
        while let [run, after @ ..] = rest {
            rest = after;
            let word = match run {
                Run::Digits(digits) => {
                    phrase.parts.push(Part::Number(digits.clone()));
                    continue;
                }
                Run::Letters(word) => word.as_str(),
            };
            // "juma tatu", "to morrow".
            if let [Run::Letters(second), beyond @ ..] = after
                && let Some(part) = exact_meaning(&format!("{word}{second}"), words)
            {
                phrase.parts.push(part);
                rest = beyond;
            } else if let Some(part) = exact_meaning(word, words) {
                phrase.parts.push(part);
            } else if NEXT.contains(&word) {
                phrase.next = true;
            } else if !FILLERS.contains(&word) {
                phrase.parts.push(near_meaning(word, words)?);
            }
        }
        Some(phrase)
    }

    fn resolve(&self, today: NaiveDate) -> Result<NaiveDate, BadDate> {
        let (week, day) = if self.next { (7, 1) } else { (0, 0) };
        let date = match self.parts.as_slice() {
            [Part::Tomorrow] => today.checked_add_days(Days::new(1 + day)),
            [Part::Weekday(weekday)] => coming_weekday(today, *weekday)
                .and_then(|date| date.checked_add_days(Days::new(week))),
            _ if self.next => return Err(BadDate::Unreadable),
            [Part::Today] => Some(today),
            [Part::Weekday(weekday), rest @ ..] | [rest @ .., Part::Weekday(weekday)] => {
                let date = resolve_calendar(rest, today)?;
                Some(date).filter(|date| date.weekday().num_days_from_monday() == *weekday)
            }
            parts => return resolve_calendar(parts, today),
        };
        date.ok_or(BadDate::NoSuchDay)
    }
}

/// A day named by day and month, perhaps with its year.
fn resolve_calendar(parts: &[Part], today: NaiveDate) -> Result<NaiveDate, BadDate> {
    use Part::{Month, Number};
    match parts {
        [Number(digits)] => resolve_digits(digits, today),
        [Number(year), Number(month), Number(day)] if year.len() == 4 => {
            with_year(small(day)?, small(month)?, year)
        }
        [Number(day), Number(month)] => without_year(small(day)?, small(month)?, today),
        [Number(day), Number(month), Number(year)] => with_year(small(day)?, small(month)?, year),
        [Number(day), Month(month)] | [Month(month), Number(day)] => {
            without_year(small(day)?, *month, today)
        }
        [Number(day), Month(month), Number(year)] | [Month(month), Number(day), Number(year)] => {
            with_year(small(day)?, *month, year)
        }
        _ => Err(BadDate::Unreadable),
    }
}

/// `DDMM`, `DDMMYY`, `DDMMYYYY`; `DMM` or `DDM` where only one of them is a day.
fn resolve_digits(digits: &str, today: NaiveDate) -> Result<NaiveDate, BadDate> {
    match digits.len() {
        3 => {
            let day_of = |split: usize| {
                let (day, month) = digits.split_at(split);
                without_year(small(day)?, small(month)?, today)
            };
            match (day_of(1), day_of(2)) {
                (Ok(_), Ok(_)) => Err(BadDate::Unreadable),
                (Ok(date), Err(_)) | (Err(_), Ok(date)) => Ok(date),
                (Err(_), Err(reason)) => Err(reason),
            }
        }
        4 => without_year(small(&digits[..2])?, small(&digits[2..])?, today),
        6 | 8 => with_year(small(&digits[..2])?, small(&digits[2..4])?, &digits[4..]),
        _ => Err(BadDate::Unreadable),
    }
}

/// A day or month of one or two digits.
fn small(digits: &str) -> Result<u32, BadDate> {
    match digits.len() {
        1..=2 => digits.parse().map_err(|_| BadDate::Unreadable),
        _ => Err(BadDate::Unreadable),
    }
}

fn with_year(day: u32, month: u32, year: &str) -> Result<NaiveDate, BadDate> {
    let century = match year.len() {
        2 => 2000,
        4 => 0,
        _ => return Err(BadDate::Unreadable),
    };
    let year: i32 = year.parse().map_err(|_| BadDate::Unreadable)?;
    NaiveDate::from_ymd_opt(century + year, month, day).ok_or(BadDate::NoSuchDay)
}

/// The next such day from `today` on, this year or next.
fn without_year(day: u32, month: u32, today: NaiveDate) -> Result<NaiveDate, BadDate> {
    [today.year(), today.year() + 1]
        .into_iter()
        .filter_map(|year| NaiveDate::from_ymd_opt(year, month, day))
        .find(|date| *date >= today)
        .ok_or(BadDate::NoSuchDay)
}

fn coming_weekday(today: NaiveDate, weekday: u32) -> Option<NaiveDate> {
    let ahead = (7 + weekday - today.weekday().num_days_from_monday()) % 7;
    today.checked_add_days(Days::new(u64::from(ahead)))
}

/// Every word of a language, squashed, with its meaning.
fn lexicon(words: &DateWords) -> impl Iterator<Item = (String, Part)> {
    let today = words.today.iter().map(|word| (word, Part::Today));
    let tomorrow = words.tomorrow.iter().map(|word| (word, Part::Tomorrow));
    let weekdays = (0..)
        .zip(&words.weekdays)
        .flat_map(|(day, names)| names.iter().map(move |name| (name, Part::Weekday(day))));
    let months = (1..)
        .zip(&words.months)
        .flat_map(|(month, names)| names.iter().map(move |name| (name, Part::Month(month))));
    today
        .chain(tomorrow)
        .chain(weekdays)
        .chain(months)
        .map(|(word, part)| (squash(word), part))
}

fn exact_meaning(typed: &str, words: &[&DateWords]) -> Option<Part> {
    words
        .iter()
        .flat_map(|words| lexicon(words))
        .find(|(word, _)| word == typed)
        .map(|(_, part)| part)
}

/// The meaning of a beginning (`thurs`) or a misspelling (`tommorow`), where one language has just one.
fn near_meaning(typed: &str, words: &[&DateWords]) -> Option<Part> {
    let by_beginning = words.iter().find_map(|words| {
        let begun = |word: &str| typed.len() >= PREFIX_LETTERS_MIN && word.starts_with(typed);
        only(lexicon(words).filter(|(word, _)| begun(word)))
    });
    by_beginning.or_else(|| {
        words.iter().find_map(|words| {
            (1..=2).find_map(|typos| {
                only(lexicon(words).filter(|(word, _)| {
                    typos <= typos_allowed(word.len()) && osa_distance(typed, word) == typos
                }))
            })
        })
    })
}

/// The meaning that all of `found` share.
fn only(mut found: impl Iterator<Item = (String, Part)>) -> Option<Part> {
    let (_, first) = found.next()?;
    found.all(|(_, part)| part == first).then_some(first)
}

fn typos_allowed(letters: usize) -> usize {
    match letters {
        0..=4 => 0,
        5..=7 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
