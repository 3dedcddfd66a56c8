//! A flow that is ready to be stepped: screens, what they ask, and where each answer leads. Made by `load` only.

use std::collections::HashMap;

use super::action::{self, Action};
use super::condition::Condition;
use super::door::DoorKeys;
use super::source::{ResumeMode, Word};
use super::template::{Path, Template};
use super::value::{RecordType, Type, Value, Values};

/// The most pieces of work between two screens.
pub const RUNS_MAX: usize = 8;

/// A dialogue, ready to be stepped.
#[derive(Debug)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// The languages it speaks, the default first.
    pub languages: Vec<String>,
    /// The screen a dialogue begins at.
    pub start: usize,
    /// Where a caller is taken who dials again soon.
    pub resume: Option<Resume>,
    /// Where a caller is taken after so many wrong answers to one screen.
    pub after_wrong: Option<(u8, usize)>,
    /// The screen that takes what was dialled behind the short code, where the first screen does not.
    pub dial: Option<usize>,
    /// What can be dialled behind the code to begin at a screen of its own, in small letters.
    pub aliases: Vec<(String, usize)>,
    /// The keys that it changes.
    pub keys: DoorKeys,
    /// Every declared variable.
    pub variables: Vec<(String, Type)>,
    /// In the order of the file.
    pub screens: Vec<Screen>,
    /// Where each screen stands in `screens`.
    pub(super) index: HashMap<String, usize>,
}

/// The screen that offers to go on, the variables without which there is nothing to go on with, and whether it is asked.
#[derive(Debug)]
#[expect(missing_docs, reason = "said above")]
pub struct Resume {
    pub screen: usize,
    pub needs: Vec<String>,
    pub mode: ResumeMode,
}

/// One screen.
#[derive(Debug)]
pub struct Screen {
    /// Unique in its flow.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// In which of the flow's languages it can be said whole.
    pub(super) speaks: Vec<bool>,
    /// Its name's place in the file.
    pub(super) at: Word,
}

/// What a screen does.
#[derive(Debug)]
pub enum Kind {
    /// Says something and waits for an answer.
    Ask(Ask),
    /// Does a piece of work and goes on by its outcome.
    Run(Run),
    /// Goes one of two ways, and shows nothing.
    Fork(Fork),
    /// Says the last thing.
    End(Texts),
}

impl Kind {
    /// Whether a caller passes through without being shown anything.
    pub fn is_passed(&self) -> bool {
        matches!(self, Kind::Run(_) | Kind::Fork(_))
    }
}

/// A screen that waits for an answer.
#[derive(Debug)]
pub struct Ask {
    /// What stands above the options.
    pub say: Texts,
    /// Numbered options, in the order of the file.
    pub options: Vec<Choice>,
    /// A variable that a typed answer binds, and where that leads.
    pub input: Option<Input>,
    /// Items of a list, numbered before the options.
    pub list: Option<List>,
}

/// One option.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Choice {
    pub key: String,
    pub label: Texts,
    pub to: Target,
    pub set: Vec<(String, Setting)>,
    pub language: Option<String>,
    pub(super) condition: Option<Condition>,
    pub(super) at: Word,
}

impl Choice {
    /// Whether it is offered to a caller with these values.
    pub(super) fn is_offered(&self, values: &Values, given: &Values) -> bool {
        let condition = self.condition.as_ref();
        condition.is_none_or(|condition| condition.holds(values, given))
    }
}

/// A typed answer.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Input {
    pub variable: String,
    pub of: Type,
    pub to: Target,
}

/// A list to pick from.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the file")]
pub struct List {
    pub variable: String,
    pub of: &'static RecordType,
    pub item: Texts,
    pub pick: String,
    pub per_page: usize,
    pub at_most: usize,
    pub to: Target,
    pub(super) at: Word,
}

/// A piece of work.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Run {
    pub action: &'static Action,
    pub on: Vec<(String, Target)>,
    pub notice: Vec<(String, Texts)>,
    pub(super) at: Word,
}

/// Two ways, and what decides between them.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in the file")]
pub struct Fork {
    pub(super) condition: Condition,
    pub then: Target,
    pub otherwise: Target,
}

/// Where an answer or an outcome leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A screen.
    Screen(usize),
    /// Where the last session broke off.
    Draft,
}

/// What an option binds.
#[derive(Debug)]
pub enum Setting {
    /// This value.
    Value(Value),
    /// The value of another variable.
    Copy(String),
}

/// One text in each language of the flow, in its order; with its place in the file. The first language lacks none.
#[derive(Debug)]
pub struct Texts {
    first: Box<(Template, Word)>,
    /// In the languages after the first.
    others: Vec<Option<(Template, Word)>>,
}

impl Texts {
    /// `None` without a text in the first language.
    pub(super) fn new(mut texts: Vec<Option<(Template, Word)>>) -> Option<Texts> {
        let others = texts.split_off(1.min(texts.len()));
        Some(Texts {
            first: Box::new(texts.pop()??),
            others,
        })
    }

    /// The text in this language of the flow, with its place. `None`: it falls back to another.
    pub(super) fn own(&self, language: usize) -> Option<&(Template, Word)> {
        match language.checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.others.get(other)?.as_ref(),
        }
    }

    /// The text in this language of the flow, or in its first.
    pub fn find(&self, language: usize) -> &Template {
        &self.own(language).unwrap_or(&self.first).0
    }

    fn templates_mut(&mut self) -> impl Iterator<Item = &mut Template> {
        let others = self.others.iter_mut().flatten();
        std::iter::once(&mut *self.first)
            .chain(others)
            .map(|(template, _)| template)
    }
}

impl Kind {
    /// Every text that is shown with it.
    pub(super) fn texts(&self) -> Vec<&Texts> {
        match self {
            Kind::Ask(ask) => {
                let labels = ask.options.iter().map(|choice| &choice.label);
                let item = ask.list.as_ref().map(|list| &list.item);
                std::iter::once(&ask.say)
                    .chain(labels)
                    .chain(item)
                    .collect()
            }
            Kind::End(texts) => vec![texts],
            Kind::Run(_) | Kind::Fork(_) => Vec::new(),
        }
    }
}

impl Flow {
    pub(super) fn bound_texts(&mut self) {
        let mut screens = std::mem::take(&mut self.screens);
        for screen in &mut screens {
            match &mut screen.kind {
                Kind::Ask(ask) => {
                    self.bound(&mut ask.say, None);
                    for choice in &mut ask.options {
                        self.bound(&mut choice.label, None);
                    }
                    if let Some(list) = &mut ask.list {
                        self.bound(&mut list.item, Some(list.of));
                    }
                }
                Kind::Run(run) => {
                    for (_, texts) in &mut run.notice {
                        self.bound(texts, None);
                    }
                }
                Kind::Fork(_) => {}
                Kind::End(texts) => self.bound(texts, None),
            }
        }
        self.screens = screens;
    }

    fn bound(&self, texts: &mut Texts, item: Option<&'static RecordType>) {
        for template in texts.templates_mut() {
            template.bound(&|path| self.type_of(path, item));
        }
    }

    /// The type of a path in a template, an item's own fields first.
    pub(super) fn type_of(&self, path: &Path, item: Option<&'static RecordType>) -> Option<Type> {
        let field_of = |record: &'static RecordType, name: &str| {
            record
                .fields
                .iter()
                .find(|(field, _)| *field == name)
                .map(|(_, of)| *of)
        };
        match &path.field {
            Some(field) => match self.variable(&path.variable)? {
                Type::Record(record) => field_of(record, field),
                _ => None,
            },
            None => item
                .and_then(|record| field_of(record, &path.variable))
                .or_else(|| self.variable(&path.variable)),
        }
    }

    fn variable(&self, name: &str) -> Option<Type> {
        let declared = self
            .variables
            .iter()
            .find(|(variable, _)| variable == name)
            .map(|(_, of)| *of);
        declared.or_else(|| {
            action::GIVEN
                .iter()
                .find(|(given, _)| *given == name)
                .and_then(|(_, of)| Type::parse(of))
        })
    }

    /// The screen with this name.
    pub fn screen(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Whether this way leads to work that changes something outside the dialogue.
    pub fn commits(&self, target: Target) -> bool {
        self.works(target, |action| action.commits)
    }

    /// Whether this way leads to work that makes a reservation.
    pub(super) fn reserves(&self, target: Target) -> bool {
        self.works(target, |action| action.name == "reserve")
    }

    /// Whether this way leads to work that may cost the caller money at once.
    pub(super) fn costs(&self, target: Target) -> bool {
        self.works(target, |action| action.costs)
    }

    fn works(&self, target: Target, is_it: impl Fn(&Action) -> bool) -> bool {
        match target {
            Target::Screen(to) => self.worked_through(to).any(|run| is_it(run.action)),
            Target::Draft => false,
        }
    }

    /// Every piece of work that entering this screen can lead through before something is asked.
    fn worked_through(&self, screen: usize) -> impl Iterator<Item = &Run> {
        let (mut runs, mut seen, mut next) =
            (Vec::new(), vec![false; self.screens.len()], vec![screen]);
        while let Some(at) = next.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let ways: Vec<&Target> = match &self.screens[at].kind {
                Kind::Run(run) => {
                    runs.push(run);
                    run.on.iter().map(|(_, target)| target).collect()
                }
                Kind::Fork(fork) => vec![&fork.then, &fork.otherwise],
                Kind::Ask(_) | Kind::End(_) => Vec::new(),
            };
            next.extend(ways.into_iter().filter_map(|target| match target {
                Target::Screen(to) => Some(*to),
                Target::Draft => None,
            }));
        }
        runs.into_iter()
    }
}
