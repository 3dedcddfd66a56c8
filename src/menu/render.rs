//! What a phone shows of a state: notice, text, the entries that fit, and the navigation line. Pure.

use super::Menu;
use super::door::{Door, Keys};
use super::flow::{Ask, Choice, Kind, List, Texts};
use super::step::State;
use super::template::{Filling, Template};
use super::value::{Value, Values};
use crate::country::Country;
use crate::sms::gsm7;

/// One page of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most as many septets as the door shows, lines split by `\n`.
    pub text: String,
    /// Whether the screen leads on; a last screen does not, even if it has a further page.
    pub asks: bool,
    /// Whether the dialogue is over.
    pub ends: bool,
    /// Whether there is a next page to turn to.
    pub has_more: bool,
    /// Where that begins: at an entry, or at a word of the text.
    pub next: usize,
}

/// Pages that begin at a word of the text count from here.
const IN_TEXT: usize = 1 << 16;

/// A page being written.
struct Sheet<'a> {
    state: &'a State,
    position: usize,
    with: Filling<'a>,
    keys: Keys<'a>,
    septets_max: usize,
    /// Whether the keys back and home lead anywhere.
    leads: bool,
    text: String,
}

impl Menu {
    /// What the caller sees behind this door.
    pub fn page(&self, state: &State, given: &Values, door: &Door) -> Page {
        let flow = &self.flow;
        let screen = flow.screen(&state.screen).unwrap_or(flow.start);
        let position = self.tongue_of(state, given);
        let mut text = String::with_capacity(door.septets_max + SPARE);
        text.push_str(state.notice.as_deref().unwrap_or_default());
        let sheet = Sheet {
            state,
            position,
            with: Filling {
                values: &state.values,
                item: None,
                given,
                language: self.language(&flow.languages[position]),
            },
            keys: self.keys(door),
            septets_max: door.septets_max,
            leads: true,
            text,
        };
        match &flow.screens[screen].kind {
            Kind::Ask(ask) => sheet.ask(ask),
            Kind::End(texts) => sheet.end(texts),
            Kind::Run(_) | Kind::Fork(_) => Page {
                text: String::new(),
                asks: true,
                ends: false,
                has_more: false,
                next: 0,
            },
        }
    }
}

impl Sheet<'_> {
    fn ask(mut self, ask: &Ask) -> Page {
        let begin = self.state.pages.last().copied().unwrap_or_default();
        let say = self.say(&ask.say, begin);
        let first = if begin < IN_TEXT { begin } else { 0 };
        let items = items(ask, self.with.values);
        let options = options(ask, self.with.values, self.with.given, self.keys.back);
        let per_page = ask.list.as_ref().map_or(usize::MAX, |list| list.per_page);
        let entries = items.len() + options.len();
        let rest = entries.saturating_sub(first);
        // Items of a list come at most `per_page` at a time; options follow the last of them.
        let wanted = if first.saturating_add(per_page) < items.len() {
            per_page
        } else {
            match languages_first(&options, self.with.given) {
                own @ 1.. if first == 0 => own.min(rest),
                _ => rest,
            }
        };
        // Where the text ends after each entry; more than fits is not even written.
        let mut ends = vec![self.text.len()];
        for entry in first..first + wanted {
            line_break(&mut self.text);
            match (items.get(entry), &ask.list) {
                (Some(item), Some(list)) => self.item(list, item, entry),
                _ => self.option(options[entry - items.len()]),
            }
            ends.push(self.text.len());
            if self.text.len() > self.septets_max && ends.len() > 2 && !self.fits() {
                break;
            }
        }
        let skip = ask.options.iter().find(|choice| {
            choice.key == self.keys.back && choice.is_offered(self.with.values, self.with.given)
        });
        let skip = skip.map(|skip| skip.label.find(self.position));
        let mut shown = ends.len() - 1;
        loop {
            // Options follow the last items of a list; a page of options only looks empty.
            if !options.is_empty() && first + shown == items.len() && shown > 1 {
                shown -= 1;
            }
            self.text.truncate(ends[shown]);
            self.navigation(shown < rest, skip);
            if self.fits() {
                break;
            }
            if shown <= 1 {
                self.text.truncate(ends[shown]);
                return match say {
                    Some(say) => self.broken(ends[0], say, skip),
                    // The title gives way to what it stands above.
                    None => {
                        self.text.drain(..(ends[0] + 1).min(ends[shown]));
                        self.navigation(shown < rest, skip);
                        self.asked(shown < rest, first + shown)
                    }
                };
            }
            shown -= 1;
        }
        self.asked(shown < rest, first + shown)
    }

    fn asked(self, has_more: bool, next: usize) -> Page {
        Page {
            text: self.text,
            asks: true,
            ends: false,
            has_more,
            next,
        }
    }

    fn end(mut self, texts: &Texts) -> Page {
        self.leads = false;
        let begin = self.state.pages.last().copied().unwrap_or_default();
        let say = self.say(texts, begin);
        if self.fits() {
            return Page {
                text: self.text,
                asks: false,
                ends: true,
                has_more: false,
                next: 0,
            };
        }
        let len = self.text.len();
        Page {
            asks: false,
            ..self.broken(len, say.unwrap_or_default(), None)
        }
    }

    /// Writes the text from where the page begins: whole, from a word on, or its first line. Where of what is written its
    /// words begin, and how many came before; `None` for the first line.
    fn say(&mut self, texts: &Texts, begin: usize) -> Option<(usize, usize)> {
        line_break(&mut self.text);
        let at = self.text.len();
        let template = texts.find(self.position);
        if begin == 0 {
            template.fill_into(&mut self.text, &self.with);
            return Some((at, 0));
        }
        let before = begin.checked_sub(IN_TEXT);
        if let Some(before) = before {
            template.fill_into(&mut self.text, &self.with);
            let rest = words(&self.text[at..])
                .nth(before)
                .map(|(start, _)| at + start);
            self.text.drain(at..rest.unwrap_or(self.text.len()));
            if self.text.len() > at {
                return Some((at, before));
            }
        }
        template.first_line().fill_into(&mut self.text, &self.with);
        None
    }

    /// As many words of the text as fit; the rest, and every entry, stand on the pages that follow. `end` is where the text
    /// ends, `say` where it begins and how many words came before.
    fn broken(mut self, end: usize, (at, before): (usize, usize), skip: Option<&Template>) -> Page {
        self.text.truncate(end);
        let said = std::mem::take(&mut self.text);
        self.navigation(true, skip);
        let navigation = std::mem::take(&mut self.text);
        let room = self
            .septets_max
            .saturating_sub(gsm7::septets(&navigation).unwrap_or_default());
        let fitting = words(&said[at..]).take_while(|(_, end)| {
            gsm7::septets(&said[..at + end]).is_some_and(|septets| septets <= room)
        });
        let (mut shown, mut cut) = (0, at);
        for (_, end) in fitting {
            (shown, cut) = (shown + 1, at + end);
        }
        // A notice may take the first page for itself; a page without one has at least a word.
        if shown == 0 && at == 0 {
            (shown, cut) = (1, words(&said).next().map_or(said.len(), |(_, end)| end));
        }
        self.text.push_str(said[..cut].trim_end());
        self.text.push_str(&navigation);
        self.asked(true, IN_TEXT + before + shown)
    }

    fn fits(&self) -> bool {
        gsm7::fits_ussd(&self.text, self.septets_max)
    }

    fn item(&mut self, list: &List, item: &Value, entry: usize) {
        let number = Value::Count(i64::try_from(entry + 1).unwrap_or_default());
        self.with.language.write(&mut self.text, &number);
        self.text.push(' ');
        let with = Filling {
            item: Some(item),
            ..self.with
        };
        list.item
            .find(self.position)
            .fill_into(&mut self.text, &with);
    }

    fn option(&mut self, choice: &Choice) {
        self.text.push_str(&choice.key);
        self.text.push(' ');
        choice
            .label
            .find(self.position)
            .fill_into(&mut self.text, &self.with);
    }

    /// `98 More 99 Prev 0 Back 00 Menu`, as far as each leads anywhere; what stands in for back is named there.
    fn navigation(&mut self, more: bool, skip: Option<&Template>) {
        let (words, keys, state) = (&self.with.language.navigation, self.keys, self.state);
        let text = &mut self.text;
        let mut joint = '\n';
        let mut key = |text: &mut String, key: &str| {
            text.push(joint);
            text.push_str(key);
            text.push(' ');
            joint = ' ';
        };
        if more {
            key(text, keys.more);
            text.push_str(&words.more);
        }
        if state.pages.len() > 1 {
            key(text, keys.previous);
            text.push_str(&words.previous);
        }
        if let Some(skip) = skip {
            key(text, keys.back);
            skip.fill_into(text, &self.with);
        } else if self.leads && !state.history.is_empty() {
            key(text, keys.back);
            text.push_str(&words.back);
        }
        if self.leads && state.history.len() > 1 {
            key(text, keys.home);
            text.push_str(&words.home);
        }
    }
}

/// Where each word begins and ends.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.split([' ', '\n'])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            (start, start + word.len())
        })
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

/// The options with a line of their own, in the order shown: where they choose a language, those of the caller's country
/// come first. What stands in for back is in the navigation line.
fn options<'a>(ask: &'a Ask, values: &Values, given: &Values, back: &str) -> Vec<&'a Choice> {
    let mut options: Vec<_> = ask
        .options
        .iter()
        .filter(|choice| choice.key != back && choice.is_offered(values, given))
        .collect();
    if options.iter().any(|choice| choice.language.is_some()) {
        let spoken = spoken(given);
        options.sort_by_key(|choice| rank(choice, spoken));
    }
    options
}

/// How many options choose a language of the caller's country. They are a page of their own.
fn languages_first(options: &[&Choice], given: &Values) -> usize {
    let spoken = spoken(given);
    options
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
