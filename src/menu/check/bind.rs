//! Every value is known where it is shown or needed, and of a type that can be.

use std::collections::BTreeSet;

use super::{Check, exits};
use crate::menu::action;
use crate::menu::finding::{Fault, Finding};
use crate::menu::flow::{Choice, Kind, Setting, Texts};
use crate::menu::source::Word;
use crate::menu::template::Path;
use crate::menu::value::{RecordType, Type};

pub(super) type Bound = BTreeSet<String>;

impl Check<'_> {
    /// What is bound on every way to each screen, by going round until nothing changes.
    pub(super) fn bindings(&mut self) {
        let flow = self.flow;
        let mut bound: Vec<Option<Bound>> = vec![None; flow.screens.len()];
        if let Some(resume) = &flow.resume {
            bound[resume.screen] = Some(resume.needs.iter().cloned().collect());
        }
        // Nothing is bound there, whatever else the same screen serves as.
        let entries = [
            Some(flow.start),
            flow.after_wrong.map(|(_, lost)| lost),
            flow.dial,
        ];
        let aliases = flow.aliases.iter().map(|(_, screen)| *screen);
        for entry in entries.into_iter().flatten().chain(aliases) {
            bound[entry] = Some(Bound::new());
        }
        loop {
            let mut changed = false;
            for screen in 0..flow.screens.len() {
                let Some(here) = bound[screen].clone() else {
                    continue;
                };
                for (to, binds) in exits(flow, screen) {
                    let mut there: Bound = here.iter().cloned().chain(binds).collect();
                    if !flow.screens[to].kind.is_passed() {
                        there.retain(|variable| !self.is_pin(variable));
                    }
                    let met = match &bound[to] {
                        None => there,
                        Some(before) => before.intersection(&there).cloned().collect(),
                    };
                    if bound[to].as_ref() != Some(&met) {
                        bound[to] = Some(met);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        for (screen, bound) in bound.iter().enumerate() {
            if let Some(bound) = bound {
                self.uses(screen, bound);
            }
        }
    }

    fn uses(&mut self, screen: usize, bound: &Bound) {
        let flow = self.flow;
        match &flow.screens[screen].kind {
            Kind::Ask(ask) => {
                self.shown(&ask.say, bound, None);
                for choice in &ask.options {
                    let mut bound = bound.clone();
                    if let Some(condition) = &choice.condition {
                        self.decides(condition, &bound);
                        bound.extend(condition.makes_known(true).map(str::to_owned));
                    }
                    self.shown(&choice.label, &bound, None);
                    self.copied(choice, &bound);
                }
                if let Some(list) = &ask.list {
                    self.need(&list.variable, &list.at, bound);
                    self.shown(&list.item, bound, Some(list.of));
                }
            }
            Kind::Run(run) => {
                for need in run.action.needs {
                    self.need(need, &run.at, bound);
                }
                for (outcome, texts) in &run.notice {
                    let mut bound = bound.clone();
                    bound.extend(
                        run.action.outcome(outcome).into_iter().flat_map(|outcome| {
                            outcome.binds.iter().map(|bind| (*bind).to_owned())
                        }),
                    );
                    self.shown(texts, &bound, None);
                }
            }
            Kind::Fork(fork) => self.decides(&fork.condition, bound),
            Kind::End(texts) => self.shown(texts, bound, None),
        }
    }

    /// Known to work only.
    fn is_pin(&self, variable: &str) -> bool {
        let mut variables = self.flow.variables.iter();
        variables.any(|(name, of)| name == variable && *of == Type::Pin)
    }

    fn copied(&mut self, choice: &Choice, bound: &Bound) {
        for (_, setting) in &choice.set {
            if let Setting::Copy(from) = setting {
                self.need(from, &choice.at, bound);
            }
        }
    }

    pub(super) fn need(&mut self, variable: &str, at: &Word, bound: &Bound) {
        if !bound.contains(variable) && !is_given(variable) {
            let finding = if self.flow.variables.iter().any(|(name, _)| name == variable) {
                Finding::at(
                    Fault::Unbound,
                    at,
                    format!("'{variable}' is not bound on every way to this place"),
                )
            } else {
                Finding::at(Fault::Variable, at, format!("'{variable}' is not declared"))
                    .hint("declare it under 'variables'")
            };
            self.findings.push(finding);
        }
    }

    fn shown(&mut self, texts: &Texts, bound: &Bound, item: Option<&'static RecordType>) {
        for (index, code) in self.flow.languages.iter().enumerate() {
            let Some((template, word)) = texts.own(index) else {
                continue;
            };
            let language = self.language(code);
            for path in template.paths() {
                if item.is_some_and(|record| {
                    path.field.is_none()
                        && record
                            .fields
                            .iter()
                            .any(|(field, _)| *field == path.variable)
                }) {
                    continue;
                }
                self.need(&path.variable, word, bound);
                if self.flow.type_of(path, item).is_none()
                    && self
                        .flow
                        .variables
                        .iter()
                        .any(|(name, _)| *name == path.variable)
                {
                    self.findings.push(Finding::at(
                        Fault::Type,
                        word,
                        format!(
                            "'{}' has no field '{}'",
                            path.variable,
                            path.field.as_deref().unwrap_or_default()
                        ),
                    ));
                }
            }
            for path in template.cut_paths() {
                let of = self.flow.type_of(path, item);
                if of.is_some_and(|of| of.chars_max().is_none()) {
                    self.findings.push(Finding::at(
                        Fault::Type,
                        word,
                        format!(
                            "'{}' is no text and cannot be cut",
                            path.field.as_ref().unwrap_or(&path.variable)
                        ),
                    ));
                }
            }
            let type_of = |path: &Path| self.flow.type_of(path, item);
            let shows =
                language.is_none_or(|language| template.septets_max(&type_of, language).is_some());
            if !shows && !self.findings.iter().any(|finding| finding.is_at(word)) {
                let message = "a value in this text cannot be shown";
                self.findings.push(Finding::at(Fault::Type, word, message));
            }
            for (path, forms) in template.plurals() {
                if language.is_some_and(|language| language.plural.forms() != forms) {
                    self.findings.push(Finding::at(
                        Fault::Plural,
                        word,
                        format!(
                            "'{}' has {forms} forms, the language has another number",
                            path.variable
                        ),
                    ));
                }
            }
        }
    }
}

fn is_given(variable: &str) -> bool {
    action::GIVEN.iter().any(|(given, _)| *given == variable)
}
