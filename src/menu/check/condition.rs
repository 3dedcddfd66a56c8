//! Conditions compare what can be compared, and both of their ways can be taken.

use super::Check;
use super::bind::Bound;
use crate::menu::condition::{Condition, Sure};
use crate::menu::finding::{Fault, Finding};
use crate::menu::flow::Kind;
use crate::menu::template::Path;

impl Check<'_> {
    /// `bound` is what is known wherever the condition is asked.
    pub(super) fn decides(&mut self, condition: &Condition, bound: &Bound) {
        let type_of = |path: &Path| self.flow.type_of(path, None);
        let word = &condition.at;
        let is_sound = condition.is_sound(&type_of);
        let sure = match condition.asks_after() {
            Some(variable) if bound.contains(variable) => condition.when_known(true),
            Some(variable) if !self.is_ever_bound(variable) => condition.when_known(false),
            _ => condition.sure(&type_of),
        };
        for path in condition.paths() {
            self.need(&path.variable, word, bound);
        }
        let said = self.findings.iter().any(|finding| finding.is_at(word));
        if !is_sound && !said {
            let message = format!("'{}' compares what cannot be compared", word.value);
            self.findings.push(
                Finding::at(Fault::Type, word, message)
                    .hint("a count or an amount with a number, or two values of one type"),
            );
        }
        if let Some(sure) = sure {
            let message = match sure {
                Sure::Always => format!("'{}' always holds here", word.value),
                Sure::Never => format!("'{}' never holds here", word.value),
            };
            self.findings.push(
                Finding::at(Fault::Condition, word, message)
                    .hint("take it out, with the way that nobody goes"),
            );
        }
    }

    fn is_ever_bound(&self, variable: &str) -> bool {
        let mut screens = self.flow.screens.iter();
        screens.any(|screen| match &screen.kind {
            Kind::Ask(ask) => {
                let sets = ask.options.iter().flat_map(|choice| &choice.set);
                let typed = ask.input.as_ref().map(|input| &input.variable);
                let picked = ask.list.as_ref().map(|list| &list.pick);
                let binds = sets.map(|(name, _)| name).chain(typed).chain(picked);
                binds.into_iter().any(|bound| bound == variable)
            }
            Kind::Run(run) => {
                let mut outcomes = run.action.outcomes.iter();
                outcomes.any(|outcome| outcome.binds.contains(&variable))
            }
            Kind::Fork(_) | Kind::End(_) => false,
        })
    }
}
