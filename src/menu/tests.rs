//! The menu engine and its checks, held against each other and against the menus that are shipped.
#![allow(clippy::unwrap_used)]

mod call;
mod complete;
mod condition;
mod dial;
mod fall_back;
mod findings;
mod glossary;
mod harm;
mod input;
mod languages;
mod longest;
mod messages;
mod paging;
mod readme;
mod repeat;
mod schema;
mod template;
mod translation;
mod walk;
mod wording;

use std::sync::LazyLock;

use chrono::NaiveDate;

use super::Menu;
use super::action::Action;
use super::door::{Door, SEPTETS_USUAL};
use super::files;
use super::flow::{Ask, Kind, RUNS_MAX};
use super::input::Reader;
use super::language::Language;
use super::link::Called;
use super::load::{load, load_whole};
use super::step::{State, Step, World};
use super::translation::Translation;
use super::value::{Value, Values};
use crate::country::Country;
use crate::doors::Doors;
use crate::sms::gsm7;

/// Menus as they are shipped.
fn shipped(name: &str) -> String {
    let path = format!("{}/menus/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn languages() -> Vec<Language> {
    ["en", "sw"].map(language).into()
}

fn language(code: &str) -> Language {
    Language::parse(&shipped(&format!("languages/{code}.yaml"))).unwrap()
}

/// The menu of a source that has nothing wrong.
fn menu(source: &str, septets_max: usize) -> Menu {
    let languages = languages();
    let flow = load(source, &languages, &doors(septets_max)).unwrap();
    Menu { flow, languages }
}

/// The flows that the booking flow calls.
fn called() -> Vec<Called> {
    ["host.yaml", "choose_language.yaml"]
        .map(|name| Called::parse(name, &shipped(name)).unwrap())
        .into()
}

/// The booking flow, perhaps changed, in every language.
fn booking(source: &str, septets_max: usize) -> Menu {
    let codes = ["en", "sw", "fr", "ha", "lg", "pcm", "rw", "yo"];
    let languages: Vec<_> = codes.map(language).into();
    let translations: Vec<_> = codes[2..]
        .iter()
        .map(|code| {
            let name = format!("translations/{code}.yaml");
            Translation::parse(&name, &shipped(&name)).unwrap()
        })
        .collect();
    let flow = load_whole(
        source,
        called(),
        &translations,
        &languages,
        &doors(septets_max),
    )
    .unwrap();
    Menu { flow, languages }
}

/// The booking flow as it is shipped.
static BOOKING: LazyLock<Menu> =
    LazyLock::new(|| files::read(None, &Doors::new(&[]).kinds()).unwrap().0);

/// The usual door.
static DOOR: LazyLock<Door> = LazyLock::new(|| Door::new("usual", SEPTETS_USUAL));

/// A single door of this size.
fn doors(septets_max: usize) -> [Door; 1] {
    [Door::new("test", septets_max)]
}

/// A Wednesday whose date is as long as any.
fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 9, 30).unwrap()
}

fn reader(menu: &Menu) -> Reader<'_> {
    Reader {
        languages: menu.languages.iter().collect(),
        today: today(),
        country: Country::find("KE").unwrap(),
    }
}

/// Goes on after an answer until something is shown; `work` ends each piece of work.
fn settle(
    menu: &Menu,
    state: &mut State,
    mut step: Step,
    world: &World<'_>,
    mut work: impl FnMut(&'static Action) -> (&'static str, Values),
) {
    for _ in 0..RUNS_MAX {
        let Step::Run(action) = step else { return };
        let (outcome, binds) = work(action);
        step = menu.resume(state, outcome, binds, world);
    }
    assert!(matches!(step, Step::Show), "work without end");
}

fn asked<'a>(menu: &'a Menu, state: &State) -> Option<&'a Ask> {
    match &menu.flow.screens[menu.flow.screen(&state.screen).unwrap()].kind {
        Kind::Ask(ask) => Some(ask),
        Kind::Run(_) | Kind::Fork(_) | Kind::End(_) => None,
    }
}

/// Every page of what is shown, by turning with the real keys. Each fits and says something; entries come whole, once
/// and in order; turning back shows the page before.
fn pages(menu: &Menu, state: &State, world: &World<'_>) -> Result<Vec<String>, String> {
    let words = &menu.language(&state.language).navigation;
    let keys = menu.keys(world.door);
    let navigation = [
        format!("{} {}", keys.more, words.more),
        format!("{} {}", keys.previous, words.previous),
        format!("{} {}", keys.back, words.back),
        format!("{} {}", keys.home, words.home),
    ];
    let is_navigation = |line: &str| navigation.iter().any(|word| line.starts_with(word));
    let expected = expected_keys(menu, state, world.given, keys.back);
    // A text that goes on over several pages can have a number where its line begins.
    let is_entry = |key: &String| expected.contains(key) || key == keys.back;
    let (mut state, mut texts, mut entries) = (state.clone(), Vec::new(), Vec::new());
    state.pages = vec![0];
    loop {
        let page = menu.page(&state, world.given, world.door);
        let text = page.text;
        let fault = |why: &str| format!("{} {}: {why}\n{text}", state.screen, state.language);
        match gsm7::septets(&text) {
            None => return Err(fault("outside GSM-7")),
            Some(septets) if septets > world.door.septets_max => {
                return Err(fault(&format!("{septets} septets")));
            }
            Some(_) if text.trim().is_empty() => return Err(fault("nothing to read")),
            Some(_) => {}
        }
        let ask = asked(menu, &state);
        if page.asks == ask.is_none() || page.ends != (ask.is_none() && !page.has_more) {
            return Err(fault("ends where it should not, or not where it should"));
        }
        let lines = text.lines().filter(|line| !is_navigation(line));
        let shown: Vec<_> = lines.filter_map(entry_key).filter(is_entry).collect();
        let whole = world.door.septets_max >= SEPTETS_USUAL;
        if whole
            && ask.is_some_and(|ask| ask.list.is_some() || !ask.options.is_empty())
            && shown.is_empty()
        {
            return Err(fault("no entry"));
        }
        entries.extend(shown);
        texts.push(text.clone());
        let more = text
            .lines()
            .last()
            .is_some_and(|line| line.starts_with(&navigation[0]));
        if !more {
            break;
        }
        let mut turned = state.clone();
        menu.answer(&mut turned, keys.more, world);
        let mut back = turned.clone();
        menu.answer(&mut back, keys.previous, world);
        if state.notice.is_none() && menu.page(&back, world.given, world.door).text != text {
            return Err(fault("the page before the next is another"));
        }
        state = turned;
    }
    entries.retain(|key| key != keys.back);
    if entries == expected {
        Ok(texts)
    } else {
        Err(format!(
            "{} {}: shown {entries:?}, expected {expected:?}",
            state.screen, state.language
        ))
    }
}

fn entry_key(line: &str) -> Option<String> {
    let (key, _) = line.split_once(' ')?;
    key.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| key.to_owned())
}

/// In their order; an option under the key back stands in for going back, wherever that is shown.
fn expected_keys(menu: &Menu, state: &State, given: &Values, back: &str) -> Vec<String> {
    let Some(ask) = asked(menu, state) else {
        return Vec::new();
    };
    let items = ask
        .list
        .as_ref()
        .map_or(0, |list| match state.values.get(&list.variable) {
            Some(Value::List(items)) => items.len().min(list.at_most),
            _ => 0,
        });
    let items = (1..=items).map(|number| number.to_string());
    let options = ask.options.iter();
    let options = options.filter(|option| option.is_offered(&state.values, given));
    items
        .chain(options.map(|option| option.key.clone()))
        .filter(|key| key != back)
        .collect()
}
