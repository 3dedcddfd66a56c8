//! What `menus/README.md` says of actions, values and findings is what the code does.

use std::collections::BTreeSet;

use crate::menu::action::{ACTIONS, GIVEN, VARIABLES};
use crate::menu::finding::Fault;
use crate::menu::value::RECORDS;

use super::shipped;

#[test]
fn the_actions_of_the_readme_are_those_of_the_code() {
    let mut table =
        "| action | needs | ends in | and binds | commits |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for action in ACTIONS {
        let outcomes: Vec<_> = action.outcomes.iter().map(|outcome| outcome.name).collect();
        let binds = action
            .outcomes
            .iter()
            .filter(|outcome| !outcome.binds.is_empty());
        let binds: Vec<_> = binds
            .map(|outcome| format!("{}: {}", outcome.name, outcome.binds.join(", ")))
            .collect();
        let commits = match (action.commits, action.costs) {
            (true, true) => "yes, costs money",
            (true, false) => "yes",
            _ => "",
        };
        table.push_str(&row(&[
            &format!("`{}`", action.name),
            &action.needs.join(", "),
            &outcomes.join(", "),
            &binds.join("; "),
            commits,
        ]));
    }
    contains(&table);
}

#[test]
fn the_values_of_the_readme_are_those_of_the_code() {
    let mut table = "| record | fields |\n| --- | --- |\n".to_owned();
    for record in RECORDS
        .iter()
        .filter(|record| !["moment", "evening", "wish", "secret"].contains(&record.name))
    {
        let fields = record.fields.iter();
        let fields: Vec<_> = fields
            .map(|(name, of)| format!("{name} ({})", of.word()))
            .collect();
        table.push_str(&row(&[&format!("`{}`", record.name), &fields.join(", ")]));
    }
    contains(&table);
    let listed = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, of)| format!("`{name}` ({of})"))
            .collect();
        format!("{}.\n", pairs.join(", "))
    };
    contains(&listed(VARIABLES));
    contains(&listed(GIVEN));
}

#[test]
fn every_kind_of_finding_is_explained() {
    let readme = shipped("README.md");
    let explained: BTreeSet<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| finding |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    let kinds: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.word()).collect();
    assert_eq!(explained, kinds);
}

#[test]
fn every_key_of_a_flow_file_is_explained() {
    let readme = shipped("README.md");
    let fields = include_str!("../source.rs").lines().filter_map(|line| {
        line.strip_prefix("    pub ")?
            .split_once(": ")
            .map(|(name, _)| name.trim_start_matches("r#"))
            .filter(|name| !name.contains(' '))
    });
    let missing: Vec<_> = fields
        .filter(|name| {
            !readme.contains(&format!("`{name}`")) && !readme.contains(&format!("{name}: "))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "menus/README.md says nothing of {missing:?}"
    );
}

#[test]
fn the_first_menu_of_the_readme_is_right() {
    let readme = shipped("README.md");
    let (_, after) = readme.split_once("```yaml\n").unwrap();
    let (first, _) = after.split_once("```").unwrap();
    super::menu(first, 160);
}

fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
        .replace("|  |", "| |")
        .replace("|  |", "| |")
}

fn contains(part: &str) {
    assert!(
        shipped("README.md").contains(part),
        "menus/README.md has to say:\n\n{part}"
    );
}
