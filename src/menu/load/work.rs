//! A screen that does a piece of work: its action, and where each way it can end leads.

use super::Loader;
use crate::menu::action;
use crate::menu::finding::{Fault, Finding, did_you_mean};
use crate::menu::flow::Run;
use crate::menu::source::{ScreenFile, Word};

impl Loader<'_> {
    pub(super) fn run(&mut self, screen: &ScreenFile, run: &Word) -> Option<Run> {
        let Some(action) = action::find(&run.value) else {
            let hint = did_you_mean(&run.value, action::ACTIONS.iter().map(|action| action.name));
            let finding = Finding::at(
                Fault::Action,
                run,
                format!("there is no action '{}'", run.value),
            );
            self.find(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
            return None;
        };
        let mut on = Vec::new();
        for (outcome, target) in &screen.on.0 {
            if action.outcome(&outcome.value).is_none() {
                self.find(Finding::at(
                    Fault::Outcome,
                    outcome,
                    format!("'{}' never ends in '{}'", action.name, outcome.value),
                ));
            }
            self.not_to_draft(target);
            on.extend(
                self.target(target)
                    .map(|target| (outcome.value.clone(), target)),
            );
        }
        for outcome in action.outcomes {
            if screen.on.find(outcome.name).is_none() {
                self.find(
                    Finding::at(
                        Fault::Outcome,
                        run,
                        format!(
                            "the outcome '{}' of '{}' is not handled",
                            outcome.name, action.name
                        ),
                    )
                    .hint(format!("add '{}: …' under 'on'", outcome.name)),
                );
            }
        }
        let mut notice = Vec::new();
        for (outcome, say) in &screen.notice.0 {
            if screen.on.find(&outcome.value).is_none() {
                self.find(Finding::at(
                    Fault::Outcome,
                    outcome,
                    format!("a notice for '{}', which is not handled", outcome.value),
                ));
            }
            notice.extend(
                self.texts(outcome, say)
                    .map(|texts| (outcome.value.clone(), texts)),
            );
        }
        Some(Run {
            action,
            on,
            notice,
            at: run.clone(),
        })
    }
}
