//! Menus: files that say what a phone shows and what an answer leads to. Loading proves them; stepping and rendering
//! are pure. No I/O after loading.

pub mod action;
pub mod amount;
mod check;
pub mod condition;
pub mod date;
pub mod door;
pub mod files;
pub mod finding;
pub mod flow;
pub mod graph;
pub mod input;
pub mod language;
pub mod link;
pub mod load;
pub mod messages;
pub mod pin;
pub mod rehearse;
pub mod render;
pub mod sample;
pub mod schema;
pub mod source;
pub mod step;
pub mod template;
pub mod translation;
pub mod value;
pub mod word;

use files::Version;
use flow::Flow;
use language::Language;
use messages::Messages;
use step::State;
use value::{Value, Values};

use crate::country::Country;

/// All that is said, of one version of the menu files.
#[derive(Debug)]
pub struct Menus {
    /// Of which files.
    pub version: Version,
    /// The booking flow.
    pub menu: Menu,
    /// Texts outside of it.
    pub messages: Messages,
}

/// A flow with the languages that it speaks.
#[derive(Debug)]
pub struct Menu {
    /// The flow.
    pub flow: Flow,
    /// Every language on file.
    pub languages: Vec<Language>,
}

impl Menu {
    /// The language with this code, else the flow's own first.
    pub fn language(&self, code: &str) -> &Language {
        let find = |code: &str| self.languages.iter().find(|language| language.code == code);
        find(code)
            .or_else(|| find(&self.flow.languages[0]))
            .unwrap_or(&self.languages[0])
    }

    /// The language to begin with: the country's first that the flow speaks.
    pub fn default_language(&self, country: &Country) -> &str {
        let known = country.languages.iter().copied();
        known
            .into_iter()
            .find(|language| self.speaks(language))
            .unwrap_or(&self.flow.languages[0])
    }

    /// The position of the flow's language in which something is said to a caller: the caller's own, else that of the
    /// caller's country, else the flow's first.
    fn tongue(&self, language: &str, given: &Values, speaks: impl Fn(usize) -> bool) -> usize {
        let own = self.flow.language(language);
        if speaks(own) {
            return own;
        }
        let country = given.get("country").and_then(Value::as_text);
        let default = country
            .and_then(Country::find)
            .map(|country| self.flow.language(self.default_language(country)));
        default.filter(|default| speaks(*default)).unwrap_or(0)
    }

    /// In which language the screen of this state is said.
    fn tongue_of(&self, state: &State, given: &Values) -> usize {
        let screen = self.flow.screen(&state.screen).unwrap_or(self.flow.start);
        let speaks = &self.flow.screens[screen].speaks;
        self.tongue(&state.language, given, |language| speaks[language])
    }

    /// Whether the screen lacks a line in the caller's language.
    pub fn lacks_a_line(&self, state: &State) -> bool {
        let screen = self.flow.screen(&state.screen);
        let language = self.flow.language(&state.language);
        screen.is_some_and(|screen| !self.flow.screens[screen].speaks[language])
    }

    /// Whether the flow has texts in this language.
    pub fn speaks(&self, code: &str) -> bool {
        self.flow.languages.iter().any(|known| known == code)
    }

    /// `English/Kiswahili`: the languages of a country by their own names, as far as the flow speaks them.
    pub fn names_spoken_in(&self, country: &Country) -> String {
        let spoken = country.languages.iter().filter(|code| self.speaks(code));
        let names: Vec<_> = spoken
            .map(|code| self.language(code).name.as_str())
            .collect();
        names.join("/")
    }
}

#[cfg(test)]
mod tests;
