//! Nobody pays by sending the same key twice: what leads to a screen where an answer costs money is never that answer.

use std::collections::BTreeSet;

use super::{Check, asked_next};
use crate::country::COUNTRIES;
use crate::menu::finding::{Fault, Finding};
use crate::menu::flow::{Ask, Kind, Target};
use crate::menu::input::Reader;
use crate::menu::source::Word;

/// Every key that can be an option's or a list's number.
const KEYS: std::ops::RangeInclusive<u16> = 0..=999;

/// Keys that are answered alike, and where that leads.
struct Way<'a> {
    keys: BTreeSet<u16>,
    to: Target,
    at: &'a Word,
}

impl Check<'_> {
    pub(super) fn repeats(&mut self) {
        let flow = self.flow;
        let ways: Vec<Vec<Way<'_>>> = flow
            .screens
            .iter()
            .map(|screen| match &screen.kind {
                Kind::Ask(ask) => self.ways_by_key(ask, &screen.at),
                Kind::Run(_) | Kind::Fork(_) | Kind::End(_) => Vec::new(),
            })
            .collect();
        let mut findings = Vec::new();
        for (screen, own) in ways.iter().enumerate() {
            for costly in own.iter().filter(|way| flow.costs(way.to)) {
                let lead_here = ways.iter().enumerate().flat_map(|(from, ways)| {
                    let here = ways.iter().filter(|way| match way.to {
                        Target::Screen(to) => asked_next(flow, to).contains(&screen),
                        Target::Draft => false,
                    });
                    here.map(move |way| (from, way))
                });
                for (from, way) in lead_here {
                    if let Some(key) = costly.keys.intersection(&way.keys).next() {
                        let from = &flow.screens[from].name;
                        let message = format!(
                            "'{key}' leads here from '{from}' and costs money here: whoever sends it twice has paid"
                        );
                        let hint = "take a key that leads here from nowhere, or lead elsewhere";
                        findings.push(Finding::at(Fault::Repeat, costly.at, message).hint(hint));
                        break;
                    }
                }
            }
        }
        self.findings.extend(findings);
    }

    fn ways_by_key<'a>(&self, ask: &'a Ask, at: &'a Word) -> Vec<Way<'a>> {
        let mut ways = Vec::new();
        let mut taken = BTreeSet::new();
        for choice in &ask.options {
            let key = choice.key.parse().ok();
            taken.extend(key.filter(|_| choice.condition.is_none()));
            ways.push(Way {
                keys: key.into_iter().collect(),
                to: choice.to,
                at: &choice.at,
            });
        }
        if let Some(list) = &ask.list {
            let numbers = KEYS.filter(|key| (1..=list.at_most).contains(&usize::from(*key)));
            ways.push(Way {
                keys: numbers.filter(|key| !taken.contains(key)).collect(),
                to: list.to,
                at: &list.at,
            });
        }
        if let Some(input) = &ask.input {
            let reader = self.reader();
            let read = |key: &u16| reader.read(&key.to_string(), input.of).is_ok();
            ways.push(Way {
                keys: KEYS
                    .filter(|key| !taken.contains(key) && read(key))
                    .collect(),
                to: input.to,
                at,
            });
        }
        ways
    }

    /// Reads as callers do; on which day does not matter for numbers of three digits at most.
    fn reader(&self) -> Reader<'_> {
        Reader {
            languages: self.languages.iter().collect(),
            today: chrono::NaiveDate::default(),
            country: &COUNTRIES[0],
        }
    }
}
