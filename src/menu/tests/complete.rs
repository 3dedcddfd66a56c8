//! Every place of the checks that finds something is reached by a menu broken in just that way, whose position is asserted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::menu::finding::{Fault, Finding};

use super::{call, findings, repeat, translation};

/// Which line of the sources finds a fault.
type Site = (String, usize);

fn asserted() -> Vec<Finding> {
    [
        findings::found_of_the_small_menu(),
        findings::found_of_what_is_too_much(),
        findings::found_of_the_messages(),
        findings::found_of_a_language(),
        call::found(),
        call::found_of_a_deep_call(),
        translation::found(),
        translation::found_without_messages(),
        repeat::found(),
    ]
    .concat()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().filter(|path| !path.ends_with("tests"));
    let is_ours = |path: &PathBuf| {
        !["tests.rs", "finding.rs"]
            .iter()
            .any(|name| path.ends_with(name))
    };
    let below = below.flat_map(|folder| sources(folder));
    below.chain(files.into_iter().filter(is_ours)).collect()
}

/// Each line that begins to make a finding, with its text.
fn sites() -> BTreeMap<Site, String> {
    let mut sites = BTreeMap::new();
    for path in sources(Path::new("src/menu")) {
        let source = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = source.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let makes = line.contains("Fault::") || line.contains("Finding::syntax(");
            // Where the call is written over several lines, the kind is alone on the next one.
            let alone = line.trim_start().starts_with("Fault::");
            if makes && !line.trim_start().starts_with("use ") {
                let line = if alone { index } else { index + 1 };
                sites.insert(
                    (path.display().to_string(), line),
                    lines[line - 1].trim().to_owned(),
                );
            }
        }
    }
    sites
}

#[test]
fn every_kind_of_finding_has_a_menu_that_is_broken_in_just_that_way() {
    let found: BTreeSet<_> = asserted().iter().map(|finding| finding.fault).collect();
    let missing: Vec<_> = Fault::ALL
        .iter()
        .filter(|fault| !found.contains(fault))
        .collect();
    assert!(missing.is_empty(), "no case of {missing:?}");
}

#[test]
fn every_line_that_finds_something_has_a_menu_that_is_broken_in_just_that_way() {
    let reached: BTreeSet<Site> = asserted()
        .iter()
        .map(|finding| {
            let line = usize::try_from(finding.raised.line()).unwrap();
            (finding.raised.file().to_owned(), line)
        })
        .collect();
    let sites = sites();
    assert!(sites.len() > 60, "{sites:#?}");
    let missed: Vec<_> = sites
        .iter()
        .filter(|(site, _)| !reached.contains(site))
        .collect();
    assert!(missed.is_empty(), "no case reaches {missed:#?}");
}
