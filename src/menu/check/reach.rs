//! Every screen is reached, and work between two screens ends.

use std::collections::BTreeSet;

use super::{Check, ways};
use crate::menu::finding::{Fault, Finding};
use crate::menu::flow::{Kind, RUNS_MAX, Target};
use crate::menu::link::own_name;

impl Check<'_> {
    pub(super) fn entries(&mut self) {
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
                    Fault::Screen,
                    &screen.at,
                    format!(
                        "'{}' is where callers are taken: it has to ask something",
                        own_name(own_name(&screen.name))
                    ),
                ));
            }
        }
        for (alias, entry) in &self.flow.aliases {
            let screen = &self.flow.screens[*entry];
            let name = own_name(&screen.name);
            if matches!(screen.kind, Kind::End(_)) {
                let message =
                    format!("'{name}' is where callers are taken: it has to ask something");
                self.findings
                    .push(Finding::at(Fault::Screen, &screen.at, message));
            }
            if self.flow.commits(Target::Screen(*entry)) {
                let message = format!("who dials '{alias}' would come to '{name}' unasked");
                self.findings
                    .push(Finding::at(Fault::Dial, &screen.at, message).hint(
                        "lead to a screen that asks before anything is booked, paid or sent",
                    ));
            }
        }
    }

    pub(super) fn reach(&mut self) {
        let mut reached = BTreeSet::new();
        let mut next = vec![self.flow.start];
        next.extend(self.flow.resume.as_ref().map(|resume| resume.screen));
        next.extend(self.flow.after_wrong.map(|(_, screen)| screen));
        next.extend(self.flow.dial);
        next.extend(self.flow.aliases.iter().map(|(_, screen)| *screen));
        while let Some(screen) = next.pop() {
            if reached.insert(screen) {
                next.extend(ways(self.flow, screen));
            }
        }
        for (index, screen) in self.flow.screens.iter().enumerate() {
            if !reached.contains(&index) {
                self.findings.push(
                    Finding::at(
                        Fault::Unreachable,
                        &screen.at,
                        format!("no answer leads to '{}'", own_name(&screen.name)),
                    )
                    .hint("remove it, or lead to it"),
                );
            }
        }
    }

    /// Work that leads to work for ever would never answer the caller, and too much of it not in time.
    pub(super) fn work(&mut self) {
        for (index, screen) in self.flow.screens.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let mut next = vec![index];
            while let Some(at) = next.pop() {
                if self.flow.screens[at].kind.is_passed() && seen.insert(at) {
                    let ways = ways(self.flow, at);
                    if ways.contains(&index) {
                        self.findings.push(Finding::at(
                            Fault::Loop,
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
                    Fault::Limit,
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
            at.retain(|screen| self.flow.screens[*screen].kind.is_passed());
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
}
