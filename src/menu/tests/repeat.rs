//! No key that leads to a question about money says yes to it.

use crate::menu::finding::Finding;
use crate::menu::load::load;

use super::{doors, languages};

/// `¶` stands where the finding has to point.
fn flow(list: &str, sure: &str, costs: &str) -> String {
    format!(
        "flow: any\nlanguages: [en]\nstart: home\n\
         variables: {{ bookings: list of booking, booking: booking, cancel_cost: money, few: count 1..5 }}\nscreens:\n  \
         home:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: look }} }}\n  \
         look: {{ run: list_bookings, on: {{ found: which, none: home, unavailable: home }} }}\n  \
         which:\n    say: {{ en: Which? }}\n    list: bookings\n    item: {{ en: \"{{code}}\" }}\n    pick: booking\n    \
         goto: price\n{list}  \
         price: {{ run: price_of_cancel, on: {{ free: sure, costs: sure, too_late: home, gone: home, unavailable: home }} }}\n  \
         sure:\n    say: {{ en: Sure? }}\n{sure}  \
         cancel: {{ run: cancel, on: {{ cancelled: home, cancelled_late: home, costs: {costs}, too_late: home, gone: home, unavailable: home }} }}\n"
    )
}

#[test]
fn a_key_that_leads_to_a_question_about_money_cannot_say_yes_to_it() {
    assert!(!found().is_empty());
}

/// What is found of each case at its place.
pub(super) fn found() -> Vec<Finding> {
    let mut placed = Vec::new();
    let yes = |key: &str| {
        format!(
            "    options:\n      0: {{ say: {{ en: Keep }}, goto: home }}\n      {key}: {{ say: {{ en: Cancel }}, goto: cancel }}\n"
        )
    };
    let typed = "    input: { few: count 1..5 }\n    goto: cancel\n    options: { 0: { say: { en: Keep }, goto: home } }\n";
    for (what, list, sure, costs, found) in [
        (
            "no number leads there",
            "    at_most: 6\n",
            yes("7"),
            "home",
            None,
        ),
        (
            "a number of the list",
            "    at_most: 6\n",
            yes("¶6"),
            "home",
            Some("'6' leads here from 'which'"),
        ),
        (
            "an option",
            "    at_most: 6\n    options: { 7: { say: { en: First }, goto: price } }\n",
            yes("¶7"),
            "home",
            None,
        ),
        (
            "the key itself, where the price has changed",
            "    at_most: 6\n",
            yes("¶7"),
            "sure",
            Some("'7' leads here from 'sure'"),
        ),
        (
            "what is typed",
            "    at_most: 6\n",
            typed.to_owned(),
            "home",
            Some("'1' leads here from 'which'"),
        ),
    ] {
        let source = flow(list, &sure, costs);
        let source = if what == "what is typed" {
            source.replace("  sure:\n", "  ¶sure:\n")
        } else {
            source
        };
        let before = source.split('¶').next().unwrap_or_default();
        let line = before.lines().count() as u64 + u64::from(before.ends_with('\n'));
        let column = before
            .lines()
            .last()
            .map_or(1, |last| last.len() as u64 + 1);
        let findings = load(&source.replace('¶', ""), &languages(), &doors(160)).err();
        let findings = findings.unwrap_or_default();
        match found {
            None if what == "an option" => {
                // `booking` is not known there, whatever else is found.
                assert!(
                    findings
                        .iter()
                        .any(|finding| finding.fault.word() == "unbound"),
                    "{findings:?}"
                );
                let repeats = findings
                    .iter()
                    .filter(|finding| finding.fault.word() == "repeat");
                let repeats: Vec<_> = repeats
                    .map(|finding| (finding.line, finding.column))
                    .collect();
                assert_eq!(repeats, [(line, column)], "{what}");
            }
            None => assert!(findings.is_empty(), "{what}: {findings:?}"),
            Some(words) => {
                let [finding] = &findings[..] else {
                    panic!("{what}: {findings:?}");
                };
                assert_eq!(
                    (finding.fault.word(), finding.line, finding.column),
                    ("repeat", line, column),
                    "{what}"
                );
                assert!(
                    finding.message.contains(words),
                    "{what}: {}",
                    finding.message
                );
                placed.push(finding.clone());
            }
        }
    }
    placed
}
