//! Menus: files that say what a phone shows and what an answer leads to. Loading proves them; stepping and rendering
//! are pure. No I/O after loading.

pub mod action;
pub mod amount;
mod check;
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
