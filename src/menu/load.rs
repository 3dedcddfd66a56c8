//! From a flow file to a flow that can be stepped: every name resolved, every text read, every fault reported.

mod ask;
mod dial;
mod keys;
mod work;

use super::action;
use super::check;
use super::condition::Condition;
use super::door::{Door, DoorKeys};
use super::finding::{Fault, Finding, did_you_mean};
use super::flow::{Flow, Fork, Kind, Resume, Screen, Target, Texts};
use super::language::Language;
use super::link::{Called, ONE_KIND, link, own_name};
use super::source::{FlowFile, Say, ScreenFile, Word};
use super::template::Template;
use super::translation::{self, Translation};
use super::value::Type;

/// The most screens of one flow.
pub const SCREENS_MAX: usize = 500;
/// The word of `goto:` for what the caller was doing when the last session broke off.
pub const DRAFT: &str = "draft";

/// Reads and checks a flow file against the languages it may speak and the doors that it stands behind.
///
/// # Errors
/// Everything that is wrong with it; at least one finding.
pub fn load(source: &str, languages: &[Language], doors: &[Door]) -> Result<Flow, Vec<Finding>> {
    load_whole(source, Vec::new(), &[], languages, doors)
}

/// The same with the flows that it calls, and further languages from files of their own.
///
/// # Errors
/// As [`load`]; each finding names the called flow or the translation that it is in.
pub fn load_whole(
    source: &str,
    mut called: Vec<Called>,
    translations: &[Translation],
    languages: &[Language],
    doors: &[Door],
) -> Result<Flow, Vec<Finding>> {
    let mut main: FlowFile =
        serde_saphyr::from_str(source).map_err(|error| vec![Finding::syntax(&error)])?;
    // They are said once, where the dialogue begins.
    for Called(flow) in called.iter_mut().filter(|flow| flow.0.languages.is_empty()) {
        flow.languages.clone_from(&main.languages);
    }
    let mut flows = vec![&mut main];
    flows.extend(called.iter_mut().map(|called| &mut called.0));
    let findings = translation::into_flows(translations, &mut flows);
    if !findings.is_empty() {
        return Err(findings);
    }
    let file = link(&main, &called)?;
    let key = |key: &Option<Word>| key.as_ref().map(|word| word.value.clone());
    let mut loader = Loader {
        file: &file,
        keys: DoorKeys {
            back: key(&file.keys.back),
            home: key(&file.keys.home),
            more: key(&file.keys.more),
            previous: key(&file.keys.previous),
        },
        languages,
        doors,
        findings: Vec::new(),
    };
    let flow = loader.flow();
    let mut findings = loader.findings;
    match flow {
        Some(mut flow) if findings.is_empty() => {
            findings = check::findings(&flow, languages, doors);
            if findings.is_empty() {
                flow.bound_texts();
                Ok(flow)
            } else {
                Err(findings)
            }
        }
        _ => Err(findings),
    }
}

struct Loader<'a> {
    file: &'a FlowFile,
    /// The keys that the flow changes.
    keys: DoorKeys,
    languages: &'a [Language],
    doors: &'a [Door],
    findings: Vec<Finding>,
}

impl Loader<'_> {
    /// A flow that is called twice has each fault but once.
    fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn flow(&mut self) -> Option<Flow> {
        let file = self.file;
        if file.languages.is_empty() {
            self.find(Finding::at(
                Fault::Language,
                &file.flow,
                "the flow speaks no language",
            ));
        }
        for word in &file.languages {
            if self.languages.iter().all(|known| known.code != word.value) {
                self.find(Finding::at(
                    Fault::Language,
                    word,
                    format!("there is no file for the language '{}'", word.value),
                ));
            }
        }
        if !self.findings.is_empty() {
            return None;
        }
        if file.screens.0.len() > SCREENS_MAX {
            self.find(Finding::at(
                Fault::Limit,
                &file.flow,
                format!("more than {SCREENS_MAX} screens"),
            ));
        }
        self.keys_are_sound();
        let variables = self.variables();
        let screens: Vec<Screen> = file
            .screens
            .0
            .iter()
            .filter_map(|(name, screen)| self.screen(name, screen))
            .collect();
        let start = self.screen_index(&file.start);
        let resume = file.resume.as_ref().and_then(|resume| {
            let screen = self.screen_index(&resume.screen)?;
            resume.needs.iter().for_each(|need| {
                self.variable(need);
            });
            Some(Resume {
                screen,
                needs: resume.needs.iter().map(|need| need.value.clone()).collect(),
                mode: resume.mode,
            })
        });
        let after_wrong = file
            .after_wrong
            .as_ref()
            .and_then(|after| Some((after.tries.max(1), self.screen_index(&after.goto)?)));
        let dial = file.dial.as_ref().and_then(|dial| self.screen_index(dial));
        let aliases = self.aliases();
        let index = screens
            .iter()
            .enumerate()
            .map(|(index, screen)| (screen.name.clone(), index))
            .collect();
        Some(Flow {
            name: file.flow.value.clone(),
            languages: file
                .languages
                .iter()
                .map(|language| language.value.clone())
                .collect(),
            start: start?,
            resume,
            after_wrong,
            dial,
            aliases,
            keys: self.keys.clone(),
            variables,
            index,
            screens,
        })
    }

    fn variables(&mut self) -> Vec<(String, Type)> {
        let mut variables = Vec::new();
        for (name, of) in &self.file.variables.0 {
            let fixed = action::VARIABLES
                .iter()
                .find(|(known, _)| *known == name.value);
            let is_same = |expected: &str| {
                let types = Type::parse(expected).zip(Type::parse(&of.value));
                types.is_some_and(|(one, other)| one.fits_in(other) && other.fits_in(one))
            };
            if let Some((_, expected)) = fixed.filter(|(_, expected)| !is_same(expected)) {
                self.find(
                    Finding::at(
                        Fault::Type,
                        of,
                        format!("actions know '{}' as '{expected}'", name.value),
                    )
                    .hint(format!("write '{expected}'")),
                );
            }
            if action::GIVEN.iter().any(|(given, _)| *given == name.value) {
                self.find(Finding::at(
                    Fault::Variable,
                    name,
                    format!("'{}' is given and cannot be declared", name.value),
                ));
            }
            match Type::parse(&of.value) {
                Some(of) => variables.push((name.value.clone(), of)),
                None => self.find(Finding::at(Fault::Type, of, format!("'{}' is not a type", of.value)).hint(
                    "one of: text N, count A..B, nights, guests, date, money, name, place_name, msisdn, code, pin, place, offer, booking, list of …",
                )),
            }
        }
        variables
    }

    fn screen(&mut self, name: &Word, screen: &ScreenFile) -> Option<Screen> {
        if name.value == DRAFT {
            self.find(Finding::at(
                Fault::Screen,
                name,
                format!("'{DRAFT}' is where the last session broke off and cannot be a screen"),
            ));
        }
        for (key, to) in screen.strange_keys() {
            let message = format!("'{key}' belongs to a screen with '{to}'");
            self.find(Finding::at(Fault::Screen, name, message));
        }
        let kind = match (&screen.say, &screen.run, &screen.r#if, &screen.end) {
            (Some(say), None, None, None) => Kind::Ask(self.ask(name, screen, say)?),
            (None, Some(run), None, None) => Kind::Run(self.run(screen, run)?),
            (None, None, Some(fork), None) => Kind::Fork(self.fork(name, screen, fork)?),
            (None, None, None, Some(end)) => Kind::End(self.texts(name, end)?),
            _ => {
                self.find(Finding::at(Fault::Screen, name, ONE_KIND));
                return None;
            }
        };
        let texts = kind.texts();
        let languages = 0..self.file.languages.len();
        let speaks =
            languages.map(|language| texts.iter().all(|texts| texts.own(language).is_some()));
        Some(Screen {
            name: name.value.clone(),
            speaks: speaks.collect(),
            kind,
            at: name.clone(),
        })
    }

    fn fork(&mut self, name: &Word, screen: &ScreenFile, fork: &Word) -> Option<Fork> {
        let condition = self.condition(fork);
        let mut way = |target: &Option<Word>| {
            let Some(target) = target else {
                let message = "'if' needs a 'goto' and an 'else'";
                self.find(Finding::at(Fault::Target, name, message));
                return None;
            };
            self.not_to_draft(target);
            self.target(target)
        };
        let (then, otherwise) = (way(&screen.goto), way(&screen.r#else));
        Some(Fork {
            condition: condition?,
            then: then?,
            otherwise: otherwise?,
        })
    }

    fn condition(&mut self, word: &Word) -> Option<Condition> {
        let condition = Condition::parse(word);
        if condition.is_none() {
            let message = format!("'{}' is not a condition", word.value);
            self.find(
                Finding::at(Fault::Condition, word, message)
                    .hint("as in: friend, not friend, nights > 1, country = UG"),
            );
        }
        if let Some(variable) = condition.as_ref().and_then(Condition::asks_after) {
            let name = Word {
                value: variable.to_owned(),
                ..word.clone()
            };
            self.variable(&name)?;
        }
        condition
    }

    fn not_to_draft(&mut self, target: &Word) {
        if target.value == DRAFT {
            let message = format!("only an option can lead to '{DRAFT}'");
            self.find(Finding::at(Fault::Target, target, message));
        }
    }

    fn texts(&mut self, at: &Word, say: &Say) -> Option<Texts> {
        let mut texts = Vec::new();
        for language in &self.file.languages {
            match say.find(&language.value) {
                None if self.file.fall_back.contains(&language.value) => texts.push(None),
                None => self.find(
                    Finding::at(
                        Fault::Language,
                        at,
                        format!("no text in '{}'", language.value),
                    )
                    .hint(format!(
                        "add '{}: …' beside the other languages",
                        language.value
                    )),
                ),
                Some(word) => match Template::parse(&word.value) {
                    Ok(template) => {
                        if template.is_blank() {
                            self.find(Finding::at(
                                Fault::Text,
                                word,
                                "there is nothing to read here",
                            ));
                        }
                        texts.push(Some((template, word.clone())));
                    }
                    Err(error) => self.find(Finding::at(Fault::Text, word, error.0)),
                },
            }
        }
        for (language, _) in &say.each.0 {
            if !self
                .file
                .languages
                .iter()
                .any(|known| known.value == language.value)
            {
                self.find(
                    Finding::at(
                        Fault::Language,
                        language,
                        format!("the flow does not speak '{}'", language.value),
                    )
                    .hint("add it to 'languages', or drop this line"),
                );
            }
        }
        (texts.len() == self.file.languages.len())
            .then(|| Texts::new(texts))
            .flatten()
    }

    fn target(&mut self, word: &Word) -> Option<Target> {
        if word.value == DRAFT {
            if self.file.resume.is_none() {
                self.find(Finding::at(
                    Fault::Target,
                    word,
                    "'draft' needs 'resume' in the flow",
                ));
            }
            return Some(Target::Draft);
        }
        self.screen_index(word).map(Target::Screen)
    }

    fn screen_index(&mut self, word: &Word) -> Option<usize> {
        let index = self
            .file
            .screens
            .0
            .iter()
            .position(|(name, _)| name.value == word.value);
        if index.is_none() {
            let finding = Finding::at(
                Fault::Target,
                word,
                format!("there is no screen '{}'", own_name(&word.value)),
            );
            let known = self.file.screens.0.iter();
            let known = known.map(|(name, _)| own_name(&name.value));
            let hint = did_you_mean(own_name(&word.value), known);
            self.find(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
        }
        index
    }

    fn variable(&mut self, word: &Word) -> Option<Type> {
        let declared = self
            .file
            .variables
            .find(&word.value)
            .and_then(|of| Type::parse(&of.value));
        if self.file.variables.find(&word.value).is_none() {
            let finding = Finding::at(
                Fault::Variable,
                word,
                format!("'{}' is not declared", word.value),
            );
            let hint = did_you_mean(
                &word.value,
                self.file
                    .variables
                    .0
                    .iter()
                    .map(|(name, _)| name.value.as_str()),
            );
            self.find(
                finding.hint(hint.unwrap_or_else(|| "declare it under 'variables'".to_owned())),
            );
        }
        declared
    }

    fn type_of(&self, name: &str) -> Option<Type> {
        let given = action::GIVEN
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, of)| *of);
        let declared = self.file.variables.find(name).map(|of| of.value.as_str());
        Type::parse(given.or(declared)?)
    }
}
