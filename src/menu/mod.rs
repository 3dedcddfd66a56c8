//! Menus: files that say what a phone shows and what an answer leads to. Loading proves them; stepping and rendering
//! are pure. No I/O after loading.

pub mod action;
mod check;
pub mod date;
pub mod files;
pub mod finding;
pub mod flow;
pub mod graph;
pub mod input;
pub mod language;
pub mod link;
pub mod load;
pub mod messages;
pub mod rehearse;
pub mod render;
pub mod sample;
pub mod source;
pub mod step;
pub mod template;
pub mod translation;
pub mod value;
pub mod word;

use flow::Flow;
use language::Language;

use crate::country::Country;

/// A flow with the languages that it speaks.
#[derive(Debug)]
pub struct Menu {
    /// The flow.
    pub flow: Flow,
    /// Every language on file.
    pub languages: Vec<Language>,
    /// No screen is longer than this; what the checks were made for.
    pub septets_max: usize,
}

impl Menu {
    /// The language with this code, else the flow's own first.
    pub fn language(&self, code: &str) -> &Language {
        let find = |code: &str| self.languages.iter().find(|language| language.code == code);
        find(code)
            .or_else(|| find(&self.flow.languages[0]))
            .unwrap_or(&self.languages[0])
    }

    /// `English/Kiswahili`: the languages of a country by their own names, as far as the flow speaks them.
    pub fn names_spoken_in(&self, country: &Country) -> String {
        let spoken = country
            .languages
            .iter()
            .filter(|code| self.flow.languages.iter().any(|known| known == *code));
        let names: Vec<_> = spoken
            .map(|code| self.language(code).name.as_str())
            .collect();
        names.join("/")
    }
}

#[cfg(test)]
mod tests;
