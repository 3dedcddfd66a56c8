//! What a flow whose names all resolve can still have wrong: screens that nobody reaches, variables shown before they
//! are bound, texts that do not fit a phone.

use std::collections::BTreeSet;

use super::action;
use super::finding::Finding;
use super::flow::{Ask, Choice, Flow, Kind, List, RUNS_MAX, Setting, Target, Texts};
use super::language::Language;
use super::link::own_name;
use super::source::Word;
use super::step::BACK;
use super::value::RecordType;
use crate::sms::gsm7;

/// Everything wrong with the flow for these languages and this many septets a screen, in the order of the file.
pub(super) fn findings(flow: &Flow, languages: &[Language], septets_max: usize) -> Vec<Finding> {
    let mut check = Check {
        flow,
        languages,
        septets_max,
        findings: Vec::new(),
    };
    check.entries();
    check.reach();
    check.work();
    check.bindings();
    check.fit();
    check
        .findings
        .sort_by_key(|finding| (finding.file.clone(), finding.line, finding.column));
    check.findings.dedup();
    check.findings
}

struct Check<'a> {
    flow: &'a Flow,
    languages: &'a [Language],
    septets_max: usize,
    findings: Vec<Finding>,
}

type Bound = BTreeSet<String>;

impl<'a> Check<'a> {
    fn language(&self, code: &str) -> Option<&'a Language> {
        self.languages.iter().find(|language| language.code == code)
    }

    fn entries(&mut self) {
        let entries = [
            Some(self.flow.start),
            self.flow.resume.as_ref().map(|resume| resume.screen),
            self.flow.after_wrong.map(|(_, screen)| screen),
            self.flow.dial,
        ];
        for entry in entries.into_iter().flatten() {
            let screen = &self.flow.screens[entry];
            if !matches!(screen.kind, Kind::Ask(_)) {
                self.findings.push(Finding::at(
                    "screen",
                    &screen.at,
                    format!(
                        "'{}' is where callers are taken: it has to ask something",
                        own_name(own_name(&screen.name))
                    ),
                ));
            }
        }
    }

    fn reach(&mut self) {
        let mut reached = BTreeSet::new();
        let mut next = vec![self.flow.start];
        next.extend(self.flow.resume.as_ref().map(|resume| resume.screen));
        next.extend(self.flow.after_wrong.map(|(_, screen)| screen));
        next.extend(self.flow.dial);
        while let Some(screen) = next.pop() {
            if reached.insert(screen) {
                next.extend(ways(self.flow, screen));
            }
        }
        for (index, screen) in self.flow.screens.iter().enumerate() {
            if !reached.contains(&index) {
                self.findings.push(
                    Finding::at(
                        "unreachable",
                        &screen.at,
                        format!("no answer leads to '{}'", own_name(&screen.name)),
                    )
                    .hint("remove it, or lead to it"),
                );
            }
        }
    }

    /// Work that leads to work for ever would never answer the caller, and too much of it not in time.
    fn work(&mut self) {
        for (index, screen) in self.flow.screens.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let mut next = vec![index];
            while let Some(at) = next.pop() {
                if matches!(self.flow.screens[at].kind, Kind::Run(_)) && seen.insert(at) {
                    let ways = ways(self.flow, at);
                    if ways.contains(&index) {
                        self.findings.push(Finding::at(
                            "loop",
                            &screen.at,
                            format!(
                                "'{}' can lead back to itself without asking anything",
                                own_name(own_name(&screen.name))
                            ),
                        ));
                        return;
                    }
                    next.extend(ways);
                }
            }
        }
        for (index, screen) in self.flow.screens.iter().enumerate() {
            if self.works(index) > RUNS_MAX {
                self.findings.push(Finding::at(
                    "limit",
                    &screen.at,
                    format!(
                        "more than {RUNS_MAX} pieces of work in a row begin at '{}'",
                        own_name(own_name(&screen.name))
                    ),
                ));
                return;
            }
        }
    }

    /// The most pieces of work from this screen on until something is asked, counted to just beyond the limit.
    fn works(&self, from: usize) -> usize {
        let mut at = BTreeSet::from([from]);
        for done in 0..=RUNS_MAX {
            at.retain(|screen| matches!(self.flow.screens[*screen].kind, Kind::Run(_)));
            if at.is_empty() {
                return done;
            }
            at = at
                .iter()
                .flat_map(|screen| ways(self.flow, *screen))
                .collect();
        }
        RUNS_MAX + 1
    }

    /// What is bound on every way to each screen, by going round until nothing changes.
    fn bindings(&mut self) {
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
        for entry in entries.into_iter().flatten() {
            bound[entry] = Some(Bound::new());
        }
        loop {
            let mut changed = false;
            for screen in 0..flow.screens.len() {
                let Some(here) = bound[screen].clone() else {
                    continue;
                };
                for (to, binds) in exits(flow, screen) {
                    let there: Bound = here.iter().cloned().chain(binds).collect();
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
                    self.shown(&choice.label, bound, None);
                    self.copied(choice, bound);
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
            Kind::End(texts) => self.shown(texts, bound, None),
        }
    }

    fn copied(&mut self, choice: &Choice, bound: &Bound) {
        for (_, setting) in &choice.set {
            if let Setting::Copy(from) = setting {
                self.need(from, &choice.at, bound);
            }
        }
    }

    fn need(&mut self, variable: &str, at: &Word, bound: &Bound) {
        if !bound.contains(variable) && !is_given(variable) {
            let finding = if self.flow.variables.iter().any(|(name, _)| name == variable) {
                Finding::at(
                    "unbound",
                    at,
                    format!("'{variable}' is not bound on every way to this place"),
                )
            } else {
                Finding::at("variable", at, format!("'{variable}' is not declared"))
                    .hint("declare it under 'variables'")
            };
            self.findings.push(finding);
        }
    }

    fn shown(&mut self, texts: &Texts, bound: &Bound, item: Option<&'static RecordType>) {
        for (index, (template, word)) in texts.0.iter().enumerate() {
            let language = self.language(&self.flow.languages[index]);
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
                        "type",
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
                        "type",
                        word,
                        format!(
                            "'{}' is no text and cannot be cut",
                            path.field.as_ref().unwrap_or(&path.variable)
                        ),
                    ));
                }
            }
            for (path, forms) in template.plurals() {
                if language.is_some_and(|language| language.plural.forms() != forms) {
                    self.findings.push(Finding::at(
                        "plural",
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

    fn fit(&mut self) {
        let lead = self.longest_notices();
        for (index, screen) in self.flow.screens.iter().enumerate() {
            for (position, code) in self.flow.languages.iter().enumerate() {
                let Some(language) = self.language(code) else {
                    continue;
                };
                match &screen.kind {
                    Kind::Ask(ask) => self.fit_ask(ask, position, language, lead[index][position]),
                    Kind::End(texts) => {
                        let (_, word) = &texts.0[position];
                        let needed = self
                            .septets(texts, position, language, None)
                            .map(|say| say + lead[index][position]);
                        self.fits(word, needed, "the last screen");
                    }
                    Kind::Run(_) => {}
                }
            }
        }
    }

    fn fit_ask(&mut self, ask: &Ask, position: usize, language: &Language, notice: usize) {
        let (_, word) = &ask.say.0[position];
        let input = ask.input.as_ref().map(|input| input.of);
        let notice = notice.max(
            language
                .wrong_septets_max(input)
                .max(language.wrong_septets_max(None))
                + 1,
        );
        let Some(say) = self.septets(&ask.say, position, language, None) else {
            return self.fits(word, None, "the text");
        };
        if ask.list.is_none() && ask.options.is_empty() {
            let needed = notice + say + 1 + navigation_septets(language, Turning::Never);
            return self.fits(word, Some(needed), "the screen with its longest notice");
        }
        // A notice stands on the first page only, and the text there in full; later pages repeat its first line.
        let first_page = notice + say + 1 + navigation_septets(language, Turning::First);
        let title = ask.say.0[position].0.first_line();
        let later_page = title
            .septets_max(&|path| self.flow.type_of(path, None), language)
            .map(|title| title + 1 + navigation_septets(language, Turning::Between));
        // What stands in for `0` is named in the navigation line, in place of the word for back.
        let back = gsm7::septets(&language.navigation.back).unwrap_or_default();
        let skip = ask.options.iter().find(|choice| choice.key == BACK);
        let skip = skip
            .and_then(|skip| self.septets(&skip.label, position, language, None))
            .unwrap_or_default();
        let page = first_page.max(later_page.unwrap_or_default()) + skip.saturating_sub(back);
        for choice in &ask.options {
            let (_, word) = &choice.label.0[position];
            let entry = self
                .septets(&choice.label, position, language, None)
                .map(|label| choice.key.len() + 1 + label);
            self.fits(
                word,
                entry.map(|entry| page + 1 + entry),
                "the screen with this option, a notice and the navigation line",
            );
        }
        if let Some(list) = &ask.list {
            let (_, word) = &list.item.0[position];
            let entry = self
                .septets(&list.item, position, language, Some(list))
                .map(|item| digits(list.at_most) + 1 + item);
            self.fits(
                word,
                entry.map(|entry| page + 1 + entry),
                "the screen with one item, a notice and the navigation line",
            );
        }
    }

    /// The most septets a notice can put above each screen, in each language, its line break included.
    fn longest_notices(&self) -> Vec<Vec<usize>> {
        let flow = self.flow;
        let mut lead = vec![vec![0; flow.languages.len()]; flow.screens.len()];
        for screen in &flow.screens {
            let Kind::Run(run) = &screen.kind else {
                continue;
            };
            for (outcome, texts) in &run.notice {
                let Some((_, Target::Screen(to))) = run.on.iter().find(|(on, _)| on == outcome)
                else {
                    continue;
                };
                for to in asked_next(flow, *to) {
                    for (position, code) in flow.languages.iter().enumerate() {
                        if let Some(septets) = self
                            .language(code)
                            .and_then(|language| self.septets(texts, position, language, None))
                        {
                            lead[to][position] = lead[to][position].max(septets + 1);
                        }
                    }
                }
            }
        }
        lead
    }

    fn septets(
        &self,
        texts: &Texts,
        position: usize,
        language: &Language,
        list: Option<&List>,
    ) -> Option<usize> {
        let (template, _) = &texts.0[position];
        template.septets_max(
            &|path| self.flow.type_of(path, list.map(|list| list.of)),
            language,
        )
    }

    fn fits(&mut self, word: &Word, needed: Option<usize>, what: &str) {
        match needed {
            // What is wrong with the value may be said already.
            None if self.findings.iter().any(|finding| finding.is_at(word)) => {}
            None => self.findings.push(Finding::at(
                "type",
                word,
                "a value in this text cannot be shown",
            )),
            Some(needed) if needed > self.septets_max => self.findings.push(
                Finding::at(
                    "fit",
                    word,
                    format!(
                        "{what} can take {needed} septets; a phone shows {}",
                        self.septets_max
                    ),
                )
                .hint(format!(
                    "shorten it by {}, or cap a value as in {{name:12}}",
                    needed - self.septets_max
                )),
            ),
            Some(_) => {}
        }
    }
}

fn is_given(variable: &str) -> bool {
    action::GIVEN.iter().any(|(given, _)| *given == variable)
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// Which turning keys a navigation line can show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turning {
    Never,
    First,
    Between,
}

/// `98 More 99 Prev 0 Back 00 Menu`
fn navigation_septets(language: &Language, turning: Turning) -> usize {
    let words = &language.navigation;
    let word = |key: &str, word: &str| key.len() + 1 + gsm7::septets(word).unwrap_or(word.len());
    let back = word("0", &words.back) + 1 + word("00", &words.home);
    let more = word("98", &words.more) + 1;
    let previous = word("99", &words.previous) + 1;
    match turning {
        Turning::Never => back,
        Turning::First => back + more,
        Turning::Between => back + more + previous,
    }
}

/// Every screen one step away.
fn ways(flow: &Flow, screen: usize) -> Vec<usize> {
    exits(flow, screen).into_iter().map(|(to, _)| to).collect()
}

/// Every screen one step away, and what is bound on that way.
fn exits(flow: &Flow, screen: usize) -> Vec<(usize, Vec<String>)> {
    let mut exits = Vec::new();
    let mut exit = |target: &Target, binds: Vec<String>| {
        if let Target::Screen(to) = target {
            exits.push((*to, binds));
        }
    };
    match &flow.screens[screen].kind {
        Kind::Ask(ask) => {
            for choice in &ask.options {
                exit(
                    &choice.to,
                    choice.set.iter().map(|(name, _)| name.clone()).collect(),
                );
            }
            if let Some(input) = &ask.input {
                exit(&input.to, vec![input.variable.clone()]);
            }
            if let Some(list) = &ask.list {
                exit(&list.to, vec![list.pick.clone()]);
            }
        }
        Kind::Run(run) => {
            for (outcome, target) in &run.on {
                let binds = run
                    .action
                    .outcome(outcome)
                    .map(|outcome| outcome.binds)
                    .unwrap_or_default();
                exit(
                    target,
                    binds.iter().map(|bind| (*bind).to_owned()).collect(),
                );
            }
        }
        Kind::End(_) => {}
    }
    exits
}

/// The screens at which the caller can stand after `screen` without answering anything.
fn asked_next(flow: &Flow, screen: usize) -> Vec<usize> {
    let (mut asked, mut seen, mut next) = (Vec::new(), BTreeSet::new(), vec![screen]);
    while let Some(at) = next.pop() {
        if seen.insert(at) {
            match &flow.screens[at].kind {
                Kind::Run(_) => next.extend(ways(flow, at)),
                Kind::Ask(_) | Kind::End(_) => asked.push(at),
            }
        }
    }
    asked
}
