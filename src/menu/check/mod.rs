//! What a flow whose names all resolve can still have wrong: screens that nobody reaches, variables shown before they
//! are bound, conditions that decide nothing, texts that do not fit a phone, money that a key pressed twice would pay.

mod bind;
mod condition;
mod fit;
mod reach;
mod repeat;

use std::collections::BTreeSet;

use super::door::Door;
use super::finding::Finding;
use super::flow::{Flow, Kind, Target};
use super::language::Language;

/// Everything wrong with the flow for these languages and behind these doors, in the order of the file.
pub(super) fn findings(flow: &Flow, languages: &[Language], doors: &[Door]) -> Vec<Finding> {
    let mut check = Check {
        flow,
        languages,
        doors,
        findings: Vec::new(),
    };
    check.entries();
    check.reach();
    check.work();
    check.bindings();
    check.fit();
    check.repeats();
    check
        .findings
        .sort_by_key(|finding| (finding.file.clone(), finding.line, finding.column));
    check.findings.dedup();
    check.findings
}

struct Check<'a> {
    flow: &'a Flow,
    languages: &'a [Language],
    doors: &'a [Door],
    findings: Vec<Finding>,
}

impl<'a> Check<'a> {
    fn language(&self, code: &str) -> Option<&'a Language> {
        self.languages.iter().find(|language| language.code == code)
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
                let set = choice.set.iter().map(|(name, _)| name.as_str());
                let condition = choice.condition.as_ref();
                let known = condition.and_then(|condition| condition.makes_known(true));
                exit(&choice.to, set.chain(known).map(str::to_owned).collect());
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
        Kind::Fork(fork) => {
            for (target, holds) in [(&fork.then, true), (&fork.otherwise, false)] {
                let known = fork.condition.makes_known(holds);
                exit(target, known.map(str::to_owned).into_iter().collect());
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
                Kind::Run(_) | Kind::Fork(_) => next.extend(ways(flow, at)),
                Kind::Ask(_) | Kind::End(_) => asked.push(at),
            }
        }
    }
    asked
}
