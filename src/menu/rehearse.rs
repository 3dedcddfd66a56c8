//! Dialogues that an operator writes down and plays against a menu, with made-up rooms and bookings behind it.
//!
//! ```text
//! # A room for tomorrow                a title; lines that begin with // are for the reader
//! language sw                          of the caller; the flow's first if left out
//! when search none                     from here on this action ends so; its first outcome if not said
//! dial                                 a new dialogue; the screen stands below, indented by four
//!     ReserveFlow: chumba leo
//! > 1                                  the answer, and the next screen
//!     …
//! = END                                the screen above was the last one
//! ```

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::Menu;
use super::action::{self, Action};
use super::door::Door;
use super::flow::RUNS_MAX;
use super::input::Reader;
use super::sample::Sample;
use super::step::{State, Step, World};
use super::value::Values;
use crate::country::COUNTRIES;

/// What precedes a line of a screen.
const INDENT: &str = "    ";
/// What follows the last screen of a dialogue.
const END: &str = "= END";

/// A line that cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadScript {
    /// Counted from 1.
    pub line: usize,
    /// A sentence.
    pub why: String,
}

/// The script as it reads when it is played on Wednesday 4 November 2026: the same text where every screen is as
/// expected.
///
/// # Errors
/// [`BadScript`] for a line that is no step.
pub fn play(menu: &Menu, script: &str, door: &Door) -> Result<String, BadScript> {
    let mut stage = Stage {
        menu,
        door,
        today: today(),
        language: menu.flow.languages[0].clone(),
        state: None,
        outcomes: BTreeMap::new(),
    };
    let mut played = String::new();
    for (index, line) in script.lines().enumerate() {
        if line.starts_with(INDENT) || line == END {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        let screen = stage.step(line).map_err(|why| BadScript {
            line: index + 1,
            why,
        })?;
        for shown in screen {
            played.push_str(&shown);
            played.push('\n');
        }
    }
    Ok(played)
}

/// A day that does not change, so that a script reads the same tomorrow.
fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 4).unwrap_or_default()
}

struct Stage<'a> {
    menu: &'a Menu,
    door: &'a Door,
    today: NaiveDate,
    language: String,
    state: Option<State>,
    outcomes: BTreeMap<String, String>,
}

impl Stage<'_> {
    /// The lines that the phone shows after this line of the script.
    fn step(&mut self, line: &str) -> Result<Vec<String>, String> {
        if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
            return Ok(Vec::new());
        }
        if let Some(answer) = line.strip_prefix('>') {
            return self.answer(answer.trim());
        }
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["language", language] => {
                language.clone_into(&mut self.language);
                Ok(Vec::new())
            }
            ["when", name, outcome] => {
                let action =
                    action::find(name).ok_or_else(|| format!("there is no action '{name}'"))?;
                action
                    .outcome(outcome)
                    .ok_or_else(|| format!("'{name}' never ends in '{outcome}'"))?;
                self.outcomes.insert(name.to_owned(), outcome.to_owned());
                Ok(Vec::new())
            }
            ["dial"] => {
                self.state = Some(self.menu.begin(&self.language));
                Ok(self.shown())
            }
            _ => Err(format!(
                "'{line}' is no step: dial, > answer, when, language"
            )),
        }
    }

    fn answer(&mut self, answer: &str) -> Result<Vec<String>, String> {
        let mut state = self.state.take().ok_or("nothing is asked: dial first")?;
        let given = Sample::Usual.given(self.today);
        let reader = Reader {
            languages: self.menu.languages.iter().collect(),
            today: self.today,
            country: &COUNTRIES[0],
        };
        let world = World {
            given: &given,
            reader: &reader,
            door: self.door,
        };
        let mut step = self.menu.answer(&mut state, answer, &world);
        for _ in 0..RUNS_MAX {
            let Step::Run(action) = step else { break };
            let (outcome, binds) = self.work(action);
            step = self.menu.resume(&mut state, &outcome, binds, &world);
        }
        self.state = Some(state);
        Ok(self.shown())
    }

    fn work(&self, action: &Action) -> (String, Values) {
        let chosen = self
            .outcomes
            .get(action.name)
            .and_then(|name| action.outcome(name));
        let outcome = chosen.unwrap_or(&action.outcomes[0]);
        (
            outcome.name.to_owned(),
            Sample::Usual.binds(outcome, self.today),
        )
    }

    fn shown(&mut self) -> Vec<String> {
        let Some(state) = &self.state else {
            return Vec::new();
        };
        let page = self
            .menu
            .page(state, &Sample::Usual.given(self.today), self.door);
        let mut lines: Vec<_> = page
            .text
            .lines()
            .map(|line| format!("{INDENT}{line}"))
            .collect();
        if page.ends {
            lines.push(END.to_owned());
            self.state = None;
        }
        lines
    }
}
