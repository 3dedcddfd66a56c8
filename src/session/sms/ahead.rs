//! What is typed behind BOOK: place, day, nights and people, in this order, as far as they are told. Pure.

use serde::{Deserialize, Serialize};

/// The most words of one day, as in `Fri 6 Nov`.
const DAY_WORDS_MAX: usize = 3;

/// Answers given before they were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ahead {
    pub(super) place: Option<String>,
    pub(super) day: Option<String>,
    /// Nights, then people.
    pub(super) counts: Vec<String>,
}

/// How words are read in the guest's languages.
pub(super) struct Words<'a> {
    pub(super) is_day: &'a dyn Fn(&str) -> bool,
    pub(super) is_count: &'a dyn Fn(&str) -> bool,
}

impl Ahead {
    /// Reads `NAKURU FRI 2`. A place is at least one word; without a day the numbers mean nothing. Who tells the nights
    /// and not the people comes alone.
    pub(super) fn parse(rest: &str, words: &Words<'_>) -> Ahead {
        let mut tokens: Vec<&str> = rest
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'))
            .map(|token| token.trim_matches(|c: char| !c.is_alphanumeric()))
            .filter(|token| !token.is_empty())
            .collect();
        let day = (1..tokens.len()).find_map(|from| Some((from, day_end(&tokens, from, words)?)));
        while day.is_none() && tokens.last().is_some_and(|token| is_number(token)) {
            tokens.pop();
        }
        let (from, to) = day.unwrap_or((tokens.len(), tokens.len()));
        Ahead {
            place: Some(tokens[..from].join(" ")).filter(|place| !place.is_empty()),
            day: day.map(|_| tokens[from..to].join(" ")),
            counts: counts(&tokens[to..], words),
        }
    }

    /// Reads what follows a day, as in `LEO NAKURU 2`: one night unless more are told.
    pub(super) fn on(day: &str, rest: &str, words: &Words<'_>) -> Ahead {
        let tokens: Vec<&str> = rest.split_whitespace().collect();
        let to = tokens.iter().position(|token| (words.is_count)(token));
        let (place, after) = tokens.split_at(to.unwrap_or(tokens.len()));
        let mut counts = counts(after, words);
        if counts.is_empty() && !place.is_empty() {
            counts = vec!["1".to_owned(), "1".to_owned()];
        }
        Ahead {
            place: Some(place.join(" ")).filter(|place| !place.is_empty()),
            day: Some(day.to_owned()),
            counts,
        }
    }
}

/// Where the day that begins at `from` ends. The number behind a whole day counts nights: `Fri 2` is Friday, 2 nights.
fn day_end(tokens: &[&str], from: usize, words: &Words<'_>) -> Option<usize> {
    let is_day = |to: usize| (words.is_day)(&tokens[from..to].join(" "));
    let whole = !is_number(tokens[from]) && is_day(from + 1);
    let most = tokens.len().min(from + DAY_WORDS_MAX);
    (from + 1..=most)
        .rev()
        .filter(|&to| to > from + 1 || whole)
        .filter(|&to| to == from + 1 || !whole || !is_number(tokens[to - 1]))
        .filter(|&to| to == from + 1 || says_which(tokens[to - 1], words))
        .find(|&to| is_day(to))
}

/// Not a word that may stand in a day and tells nothing of it: `siku` belongs to the nights behind it.
fn says_which(token: &str, words: &Words<'_>) -> bool {
    let has_digit = token.bytes().any(|byte| byte.is_ascii_digit());
    has_digit || (words.is_day)(token) || (words.is_day)(&format!("1 {token}"))
}

/// Too short for a day.
fn is_number(token: &str) -> bool {
    token.len() < 3 && token.bytes().all(|byte| byte.is_ascii_digit())
}

fn counts(tokens: &[&str], words: &Words<'_>) -> Vec<String> {
    let told = tokens.iter().filter(|token| (words.is_count)(token));
    let mut counts: Vec<String> = told.take(2).map(|token| (*token).to_owned()).collect();
    if counts.len() == 1 {
        counts.push("1".to_owned());
    }
    counts
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::country::Country;
    use crate::menu::files;
    use crate::menu::input::Reader;
    use crate::menu::value::Type;

    fn parse(read: impl Fn(&Words<'_>) -> Ahead) -> String {
        let (menu, _) = files::read(None, &[]).unwrap();
        let reader = Reader {
            languages: menu.languages.iter().collect(),
            today: NaiveDate::from_ymd_opt(2099, 11, 4).unwrap(),
            country: Country::find("ke").unwrap(),
        };
        let ahead = read(&Words {
            is_day: &|text| reader.read(text, Type::Date).is_ok(),
            is_count: &|text| reader.read(text, Type::Count(1, 30)).is_ok(),
        });
        let or = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        format!(
            "{} / {} / {}",
            or(ahead.place),
            or(ahead.day),
            ahead.counts.join(" ")
        )
    }

    #[test]
    fn place_day_nights_and_people_are_told_apart() {
        for (rest, told) in [
            ("", "- / - / "),
            ("Nakuru", "Nakuru / - / "),
            ("NAKURU FRI 2", "NAKURU / FRI / 2 1"),
            ("Nakuru, Fri, 2", "Nakuru / Fri / 2 1"),
            ("nakuru fri 2 3", "nakuru / fri / 2 3"),
            ("Nakuru kesho siku 2 watu 3", "Nakuru / kesho / 2 3"),
            ("Nakuru tomorrow 2 nights", "Nakuru / tomorrow / 2 1"),
            ("Fort Portal 25 Dec 2", "Fort Portal / 25 Dec / 2 1"),
            ("Fort Portal 2512 2", "Fort Portal / 2512 / 2 1"),
            ("Nakuru 25/12 2", "Nakuru / 25/12 / 2 1"),
            ("Nakuru Fri 6 Nov 2", "Nakuru / Fri 6 Nov / 2 1"),
            ("Nakuru Dec 25", "Nakuru / Dec 25 / "),
            ("Nakuru Friday", "Nakuru / Friday / "),
            // Without a day nobody knows what the number counts.
            ("Nakuru 2", "Nakuru / - / "),
            // The first word is a place, whatever else it means.
            ("Friday", "Friday / - / "),
        ] {
            assert_eq!(parse(|words| Ahead::parse(rest, words)), told, "{rest}");
        }
    }

    #[test]
    fn a_day_at_the_front_means_one_night_unless_told() {
        for (day, rest, told) in [
            ("LEO", "Nakuru", "Nakuru / LEO / 1 1"),
            ("kesho", "Fort Portal 2", "Fort Portal / kesho / 2 1"),
            ("today", "Nakuru 2 3", "Nakuru / today / 2 3"),
            ("leo", "", "- / leo / "),
        ] {
            assert_eq!(parse(|words| Ahead::on(day, rest, words)), told, "{rest}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_can_follow(rest: String) {
            let never = Words { is_day: &|_| false, is_count: &|_| true };
            let always = Words { is_day: &|_| true, is_count: &|_| false };
            for words in [never, always] {
                Ahead::parse(&rest, &words);
                Ahead::on("leo", &rest, &words);
            }
        }
    }
}
