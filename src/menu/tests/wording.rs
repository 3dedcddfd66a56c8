//! The rules of wording that a machine can check, over every text of the menus in every language.

use std::collections::BTreeSet;

use crate::menu::flow::Kind;
use crate::menu::source::{FlowFile, Map, Say};
use crate::menu::template::Template;

use super::{BOOKING, shipped};

const SENTENCE_WORDS_MAX: usize = 12;
const OPTIONS_MAX: usize = 5;
/// Two lines of the narrowest phone.
const OPTION_SEPTETS_MAX: usize = 40;

/// Written in capitals: what is read out or typed as it stands.
const CAPITALS: &[&str] = &[
    "BOOKED", "CHANGED", "OPEN", "CLOSE", "IN", "CODE", "PAID", "PIN", "SMS", "CANCEL", "GHAIRI",
    "STOP", "ACHA", "START", "BOOK", "WEKA", "LANG", "TODAY", "ROOMS", "PRICE", "NOSHOW", "YES",
];
/// Digits say it shorter, and in every language.
const NUMBER_WORDS: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "moja", "mbili",
    "tatu", "nne", "tano", "sita", "saba", "nane", "tisa", "kumi",
];
/// Other words for what is a room, a lodge, a booking, a code, or to pay.
const OTHER_WORDS: &[&str] = &[
    "accommodation",
    "hotel",
    "guesthouse",
    "unit",
    "reservation",
    "reserve",
    "reference",
    "invoice",
    "malazi",
    "hoteli",
    "nafasi",
    "hifadhi",
    "agizo",
    "nambari",
    "ankara",
];
const MONEY: &[&str] = &["money", "pay", "owe", "pesa", "lipa", "hudaiwi"];
const NEXT_STEP: &[&str] = &[
    "dial",
    "call",
    "pay",
    "comes",
    "piga",
    "pigia",
    "tutakupigia",
    "lipa",
    "inakuja",
];

#[derive(serde::Deserialize)]
struct MessagesFile {
    #[serde(rename = "languages")]
    _languages: Vec<String>,
    messages: Map<Say>,
}

/// Where a text stands, and its languages.
type Text = (String, Say);

fn flow() -> FlowFile {
    serde_saphyr::from_str(&shipped("booking.yaml")).unwrap()
}

fn messages() -> Vec<Text> {
    let file: MessagesFile = serde_saphyr::from_str(&shipped("messages.yaml")).unwrap();
    let named = |(name, say): (crate::menu::source::Word, Say)| (name.value, say);
    file.messages.0.into_iter().map(named).collect()
}

/// What hosts see: nothing there is paid.
fn host_flow() -> FlowFile {
    serde_saphyr::from_str(&shipped("host.yaml")).unwrap()
}

fn language_flow() -> FlowFile {
    serde_saphyr::from_str(&shipped("choose_language.yaml")).unwrap()
}

fn screens() -> Vec<Text> {
    let mut texts = Vec::new();
    let flows = [flow(), host_flow(), language_flow()];
    for (name, screen) in flows.into_iter().flat_map(|flow| flow.screens.0) {
        let parts = [screen.say, screen.item, screen.end];
        texts.extend(
            parts
                .into_iter()
                .flatten()
                .map(|say| (name.value.clone(), say)),
        );
        texts.extend(
            screen
                .notice
                .0
                .into_iter()
                .map(|(_, say)| (name.value.clone(), say)),
        );
        let options = screen.options.0.into_iter();
        texts.extend(
            options.map(|(key, option)| (format!("{} {}", name.value, key.value), option.say)),
        );
    }
    texts
}

/// Every text that breaks a rule, with the reason.
fn faults(texts: Vec<Text>, rule: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, say) in texts {
        for (language, word) in say.each.0 {
            let why = rule(&word.value);
            faults.extend(why.map(|why| format!("{at} {}: {why}: {}", language.value, word.value)));
        }
    }
    faults
}

fn all() -> Vec<Text> {
    screens().into_iter().chain(messages()).collect()
}

/// The text with each of its values as one word.
fn with_words(text: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                plain.push('X');
            }
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

fn words(text: &str) -> Vec<String> {
    with_words(text)
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn sentences(text: &str) -> Vec<String> {
    // "e.g." and "k.m." end nothing.
    let text = with_words(text).replace("e.g.", "eg").replace("k.m.", "km");
    text.split_inclusive(['.', '?', ':', '\n'])
        .map(|sentence| sentence.trim().to_owned())
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn sentences_are_short_and_calm() {
    none(faults(all(), |text| {
        if text.contains('!') {
            return Some("an exclamation mark".to_owned());
        }
        sentences(text).into_iter().find_map(|sentence| {
            let count = words(&sentence).len();
            (count > SENTENCE_WORDS_MAX).then(|| format!("{count} words in '{sentence}'"))
        })
    }));
}

#[test]
fn no_question_is_negative() {
    none(faults(all(), |text| {
        let negative = |word: &String| {
            let word = word.to_lowercase();
            word == "not" || word.ends_with("n't") || word == "huna" || word == "hutaki"
        };
        sentences(text)
            .into_iter()
            .find(|sentence| sentence.ends_with('?') && words(sentence).iter().any(negative))
    }));
}

#[test]
fn numbers_are_digits_and_every_thing_has_one_name() {
    none(faults(all(), |text| {
        words(text).into_iter().find(|word| {
            let word = word.to_lowercase();
            NUMBER_WORDS.contains(&word.as_str()) || OTHER_WORDS.contains(&word.as_str())
        })
    }));
}

/// Swahili counts hours from dawn: "saa 8" is 14:00 to one reader and 08:00 to another.
#[test]
fn no_hour_stands_without_its_part_of_the_day() {
    none(faults(all(), |text| {
        let words = words(text);
        words.windows(2).find_map(|pair| {
            let bare = pair[0].eq_ignore_ascii_case("saa")
                && pair[1].starts_with(|c: char| c.is_ascii_digit() || c == 'X');
            bare.then(|| pair.join(" "))
        })
    }));
}

#[test]
fn only_codes_and_keywords_are_in_capitals() {
    none(faults(all(), |text| {
        words(text).into_iter().find(|word| {
            let letters = word.chars().filter(|c| c.is_alphabetic()).count();
            letters > 1
                && word.chars().all(char::is_uppercase)
                && !CAPITALS.contains(&word.as_str())
        })
    }));
}

#[test]
fn every_end_says_what_happened_about_money_and_what_next() {
    let screens = flow().screens.0.into_iter();
    let ends = screens.filter_map(|(name, screen)| Some((name.value, screen.end?)));
    let spoken = ["unavailable", "working", "expired", "wrong_code", "busy"];
    let last_words = messages()
        .into_iter()
        .filter(|(name, _)| spoken.contains(&name.as_str()));
    none(faults(ends.chain(last_words).collect(), |text| {
        let words: Vec<_> = words(text).iter().map(|word| word.to_lowercase()).collect();
        let says = |some: &[&str]| words.iter().any(|word| some.contains(&word.as_str()));
        if sentences(text).len() < 2 {
            Some("one sentence".to_owned())
        } else if !says(MONEY) {
            Some("nothing about money".to_owned())
        } else {
            (!says(NEXT_STEP)).then(|| "no next step".to_owned())
        }
    }));
}

#[test]
fn every_language_shows_the_same_values() {
    for (at, say) in all() {
        let shown: Vec<BTreeSet<String>> = say
            .each
            .0
            .iter()
            .map(|(_, word)| {
                let template = Template::parse(&word.value).unwrap();
                template.paths().map(|path| format!("{path:?}")).collect()
            })
            .collect();
        assert!(
            shown.windows(2).all(|pair| pair[0] == pair[1]),
            "{at}: {shown:?}"
        );
    }
}

#[test]
fn screens_have_few_options_and_none_is_long() {
    let flow = &BOOKING.flow;
    for screen in &flow.screens {
        let Kind::Ask(ask) = &screen.kind else {
            continue;
        };
        let is_main = flow.screens[flow.start].name == screen.name;
        let most = OPTIONS_MAX + usize::from(is_main);
        // Languages come in pages: those of a country first.
        let counted = ask
            .options
            .iter()
            .filter(|option| option.language.is_none());
        let shown = counted
            .count()
            .max(ask.list.as_ref().map_or(0, |list| list.per_page));
        assert!(shown <= most, "{}: {shown} options", screen.name);
        for (position, code) in flow.languages.iter().enumerate() {
            let language = BOOKING.language(code);
            for option in &ask.options {
                let label = option.label.find(position);
                let septets = label
                    .septets_max(&|path| flow.type_of(path, None), language)
                    .map(|label| option.key.len() + 1 + label);
                assert!(
                    septets.is_some_and(|septets| septets <= OPTION_SEPTETS_MAX),
                    "{} {}: {septets:?}",
                    screen.name,
                    option.key
                );
            }
        }
    }
}
