//! What a phone shows of a state: notice, text, the entries that fit, and the navigation line. Pure.

use super::Menu;
use super::flow::{Ask, Choice, Kind, List};
use super::step::{BACK, HOME, MORE, PREVIOUS, State};
use super::template::{Filling, Template};
use super::value::{Value, Values};
use crate::country::Country;
use crate::sms::gsm7;

/// One page of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most as many septets as asked for, lines split by `\n`.
    pub text: String,
    /// Whether the dialogue is over.
    pub ends: bool,
    /// The first entry of the next page; as many as there are entries when this is the last.
    pub next: usize,
    entries: usize,
}

impl Page {
    /// Whether there is a next page to turn to.
    pub fn has_more(&self) -> bool {
        self.next < self.entries
    }
}

impl Menu {
    /// What the caller sees.
    pub fn page(&self, state: &State, given: &Values) -> Page {
        let flow = &self.flow;
        let screen = flow.screen(&state.screen).unwrap_or(flow.start);
        let position = flow.language(&state.language);
        let with = Filling {
            values: &state.values,
            item: None,
            given,
            language: self.language(&state.language),
        };
        let mut text = String::with_capacity(self.septets_max + SPARE);
        text.push_str(state.notice.as_deref().unwrap_or_default());
        match &flow.screens[screen].kind {
            Kind::Ask(ask) => self.ask_page(ask, state, position, &with, text),
            Kind::End(texts) => {
                line_break(&mut text);
                texts.find(position).fill_into(&mut text, &with);
                Page {
                    text,
                    ends: true,
                    next: 0,
                    entries: 0,
                }
            }
            Kind::Run(_) => Page {
                text: String::new(),
                ends: false,
                next: 0,
                entries: 0,
            },
        }
    }

    fn ask_page(
        &self,
        ask: &Ask,
        state: &State,
        position: usize,
        with: &Filling<'_>,
        mut text: String,
    ) -> Page {
        let first = state.pages.last().copied().unwrap_or_default();
        line_break(&mut text);
        match first {
            0 => ask.say.find(position).fill_into(&mut text, with),
            _ => ask
                .say
                .find(position)
                .first_line()
                .fill_into(&mut text, with),
        }
        let items = items(ask, with.values);
        let options = options(ask, with.given);
        let per_page = ask.list.as_ref().map_or(usize::MAX, |list| list.per_page);
        let entries = items.len() + options.len();
        let rest = entries.saturating_sub(first);
        // Items of a list come at most `per_page` at a time; options follow the last of them.
        let wanted = if first.saturating_add(per_page) < items.len() {
            per_page
        } else {
            match languages_first(ask, with.given) {
                own @ 1.. if first == 0 => own.min(rest),
                _ => rest,
            }
        };
        // Where the text ends after each entry; more than fits is not even written.
        let mut ends = vec![text.len()];
        for entry in first..first + wanted {
            text.push('\n');
            match (items.get(entry), &ask.list) {
                (Some(item), Some(list)) => {
                    write_item(&mut text, list, item, entry, position, with)
                }
                _ => write_option(&mut text, options[entry - items.len()], position, with),
            }
            ends.push(text.len());
            if text.len() > self.septets_max
                && ends.len() > 2
                && !gsm7::fits_ussd(&text, self.septets_max)
            {
                break;
            }
        }
        let skip = ask.options.iter().find(|choice| choice.key == BACK);
        let mut shown = ends.len() - 1;
        loop {
            // Options follow the last items of a list; a page of options only looks empty.
            if !options.is_empty() && first + shown == items.len() && shown > 1 {
                shown -= 1;
            }
            text.truncate(ends[shown]);
            write_navigation(
                &mut text,
                state,
                shown < rest,
                skip.map(|skip| skip.label.find(position)),
                with,
            );
            if shown <= 1 || gsm7::fits_ussd(&text, self.septets_max) {
                return Page {
                    text,
                    ends: false,
                    next: first + shown,
                    entries,
                };
            }
            shown -= 1;
        }
    }
}

/// Room for what is written before it is seen not to fit.
const SPARE: usize = 64;

fn line_break(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

fn items<'a>(ask: &Ask, values: &'a Values) -> &'a [Value] {
    match ask
        .list
        .as_ref()
        .and_then(|list| Some((list, values.get(&list.variable)?)))
    {
        Some((list, Value::List(items))) => &items[..items.len().min(list.at_most)],
        _ => &[],
    }
}

fn write_item(
    text: &mut String,
    list: &List,
    item: &Value,
    entry: usize,
    position: usize,
    with: &Filling<'_>,
) {
    with.language.write(
        text,
        &Value::Count(i64::try_from(entry + 1).unwrap_or_default()),
    );
    text.push(' ');
    list.item.find(position).fill_into(
        text,
        &Filling {
            item: Some(item),
            ..*with
        },
    );
}

fn write_option(text: &mut String, choice: &Choice, position: usize, with: &Filling<'_>) {
    text.push_str(&choice.key);
    text.push(' ');
    choice.label.find(position).fill_into(text, with);
}

/// The options with a line of their own, in the order shown: where they choose a language, those of the caller's country
/// come first. What stands in for `0` is in the navigation line.
fn options<'a>(ask: &'a Ask, given: &Values) -> Vec<&'a Choice> {
    let mut options: Vec<_> = ask
        .options
        .iter()
        .filter(|choice| choice.key != BACK)
        .collect();
    if options.iter().any(|choice| choice.language.is_some()) {
        let spoken = spoken(given);
        options.sort_by_key(|choice| rank(choice, spoken));
    }
    options
}

/// How many options choose a language of the caller's country. They are a page of their own.
fn languages_first(ask: &Ask, given: &Values) -> usize {
    let spoken = spoken(given);
    ask.options
        .iter()
        .filter(|choice| rank(choice, spoken) < spoken.len())
        .count()
}

fn rank(choice: &Choice, spoken: &[&str]) -> usize {
    let code = choice.language.as_deref();
    let position = code.and_then(|code| spoken.iter().position(|known| *known == code));
    position.unwrap_or(spoken.len())
}

fn spoken(given: &Values) -> &'static [&'static str] {
    given
        .get("country")
        .and_then(Value::as_text)
        .and_then(Country::find)
        .map_or(&[], |country| country.languages)
}

/// `98 More 99 Prev 0 Back 00 Menu`, as far as each leads anywhere; what stands in for `0` is named there.
fn write_navigation(
    text: &mut String,
    state: &State,
    more: bool,
    skip: Option<&Template>,
    with: &Filling<'_>,
) {
    let words = &with.language.navigation;
    let mut joint = '\n';
    let mut key = |text: &mut String, key: &str| {
        text.push(joint);
        text.push_str(key);
        text.push(' ');
        joint = ' ';
    };
    if more {
        key(text, MORE);
        text.push_str(&words.more);
    }
    if state.pages.len() > 1 {
        key(text, PREVIOUS);
        text.push_str(&words.previous);
    }
    if let Some(skip) = skip {
        key(text, BACK);
        skip.fill_into(text, with);
    } else if !state.history.is_empty() {
        key(text, BACK);
        text.push_str(&words.back);
    }
    if state.history.len() > 1 {
        key(text, HOME);
        text.push_str(&words.home);
    }
}
