//! Translations merged into a small flow and into messages; what is wrong with one is found in its own file.

use crate::menu::Menu;
use crate::menu::finding::Finding;
use crate::menu::load::load_whole;
use crate::menu::messages::Messages;
use crate::menu::translation::Translation;
use crate::menu::value::Values;

use super::{DOOR, doors, language, shipped};

const FLOW: &str = r#"flow: small
languages: [en]
start: home
variables:
  typed: text 40
  places: list of place
  place: place
screens:
  home:
    say: { en: Hello }
    options:
      1: { say: { en: Town }, goto: where }
      2: { say: { en: Deutsch }, language: fr, goto: home }
  where:
    say: { en: Which town? }
    input: { typed: text 40 }
    goto: look
  look:
    run: find_place
    on: { one: done, several: which, none: where }
    notice:
      none: { en: "No {typed:16}." }
  which:
    say: { en: Which one? }
    list: places
    item: { en: "{name}, {town}" }
    pick: place
    goto: done
  done:
    end: { en: "{place.name}. Dial {service_code}" }
"#;

const FRENCH: &str = r#"language: fr
small:
  home:
    say: "Bonjour"
    options: { 1: "Ville", 2: "Français" }
  where: { say: "Quelle ville?" }
  look: { notice: { none: "Pas de {typed:16}." } }
  which: { say: "Laquelle?", item: "{name} ({town})" }
  done: { end: "{place.name}. Tapez {service_code}" }
messages: {}
"#;

/// Kind, words of its message, what is replaced in [`FRENCH`] by what; `¶` stands where the finding has to point.
type Case = (&'static str, &'static str, &'static str, &'static str);

const FAULTS: &[Case] = &[
    ("syntax", "sya", "  home:\n    say:", "  home:\n    ¶sya:"),
    ("language", "is missing", "language: fr\nsmall", "¶small"),
    (
        "language",
        "'lg' stands in",
        "language: fr",
        "language: ¶lg",
    ),
    (
        "language",
        "is there already",
        "language: fr",
        "language: ¶en",
    ),
    ("translation", "no flow 'smal'", "small:", "¶smal:"),
    (
        "language",
        "no texts of the flow 'small'",
        "language: fr\nsmall:",
        "language: ¶fr\nsmal:",
    ),
    ("translation", "no screen 'hom'", "  home:", "  ¶hom:"),
    (
        "language",
        "'home' has no text",
        "small:\n  home:",
        "¶small:\n  hom:",
    ),
    (
        "language",
        "'say' of 'home' is missing",
        "  home:\n    say: \"Bonjour\"\n",
        "  ¶home:\n",
    ),
    (
        "language",
        "option '2' of 'home' is missing",
        "  home:\n    say: \"Bonjour\"\n    options: { 1: \"Ville\", 2: \"Français\" }",
        "  ¶home:\n    say: \"Bonjour\"\n    options: { 1: \"Ville\" }",
    ),
    (
        "translation",
        "no option '3'",
        "2: \"Français\"",
        "2: \"Ville\", ¶3: \"Non\"",
    ),
    (
        "translation",
        "'where' has no 'end'",
        "where: { say: \"Quelle ville?\" }",
        "where: { say: \"Quelle ville?\", end: ¶\"Fin\" }",
    ),
    (
        "translation",
        "no notice 'one'",
        "none: \"Pas",
        "¶one: \"Oui\", none: \"Pas",
    ),
    ("text", "GSM-7", "2: \"Français\"", "2: ¶\"Français\""),
    (
        "variable",
        "'plce' is not declared",
        "\"{place.name}. Tapez",
        "¶\"{plce.name}. Tapez",
    ),
    (
        "fit",
        "can take",
        "\"Bonjour\"",
        "\"Bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour, bonjour\"",
    ),
];

fn french() -> String {
    FRENCH.replace("Français", "Francais")
}

fn load(source: &str, name: &str) -> Result<Menu, Vec<Finding>> {
    let languages = vec![language("en"), language("fr"), language("lg")];
    let translation = Translation::parse(name, source).map_err(|finding| vec![finding])?;
    let flow = load_whole(FLOW, Vec::new(), &[translation], &languages, &doors(160))?;
    Ok(Menu { flow, languages })
}

#[test]
fn a_translated_flow_speaks_both_languages() {
    let menu = load(&french(), "translations/fr.yaml").unwrap();
    assert_eq!(menu.flow.languages, ["en", "fr"]);
    let shown = |code| menu.page(&menu.begin(code), &Values::new(), &DOOR).text;
    assert_eq!(shown("fr"), "Bonjour\n1 Ville\n2 Francais");
    assert_eq!(shown("en"), "Hello\n1 Town\n2 Deutsch");
    assert_eq!(shown("rw"), shown("en"), "not spoken: the flow's first");
}

#[test]
fn each_fault_is_found_in_the_translation_where_it_stands() {
    assert!(!found().is_empty());
}

/// What is found of each case at its place.
pub(super) fn found() -> Vec<Finding> {
    let mut found = Vec::new();
    for (code, words, from, to) in FAULTS {
        let from = from.replace("Français", "Francais");
        let source = french();
        assert!(source.contains(&from), "{from}");
        let to = match *code {
            "text" => (*to).to_owned(),
            _ => to.replace("Français", "Francais"),
        };
        let marked = source.replacen(&from, &to, 1);
        let at = marked.find('¶');
        let broken = marked.replace('¶', "");
        let name = if *words == "is there already" {
            "translations/en.yaml"
        } else {
            "translations/fr.yaml"
        };
        let findings = load(&broken, name).unwrap_err();
        let finding = findings
            .iter()
            .find(|finding| finding.fault.word() == *code && finding.message.contains(words))
            .unwrap_or_else(|| panic!("{words}: {findings:#?}"));
        assert_eq!(finding.file.as_deref(), Some(name), "{words}");
        if let Some(at) = at {
            let before = &marked[..at];
            let line = before.matches('\n').count() as u64 + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() as u64 + 1;
            assert_eq!((finding.line, finding.column), (line, column), "{words}");
        }
        let picture = finding.draw(name, &broken);
        assert!(picture.contains(name), "{picture}");
        if at.is_some() {
            found.push(finding.clone());
        }
    }
    found
}

#[test]
fn a_missing_line_shows_the_one_to_translate() {
    let source = french().replace("where: { say: \"Quelle ville?\" }", "where: {}");
    let findings = load(&source, "translations/fr.yaml").unwrap_err();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].fault.word(), "language");
    assert_eq!(
        findings[0].hint.as_deref(),
        Some("in 'en': \"Which town?\"")
    );
}

#[test]
fn a_translation_without_messages_is_found() {
    assert_eq!(found_without_messages().len(), 1);
}

/// What is found of a translation that has no messages at all.
pub(super) fn found_without_messages() -> Vec<Finding> {
    let translation = Translation::parse("translations/fr.yaml", "language: fr\n").unwrap();
    let languages = ["en", "sw", "fr"].map(language);
    let messages = shipped("messages.yaml");
    let findings = Messages::load_translated(&messages, &[translation], &languages).unwrap_err();
    let placed = findings.into_iter().filter(|finding| {
        finding.message.contains("no 'messages'") && (finding.line, finding.column) == (1, 11)
    });
    placed.collect()
}

#[test]
fn each_fault_of_translated_messages_is_found_where_it_stands() {
    let name = "translations/fr.yaml";
    let languages = ["en", "sw", "fr"].map(language);
    let findings = |source: &str| {
        let translation = Translation::parse(name, source).unwrap();
        Messages::load_translated(&shipped("messages.yaml"), &[translation], &languages)
            .err()
            .unwrap_or_default()
    };
    let whole = shipped(name);
    assert_eq!(findings(&whole), []);
    let broken = [
        ("translation", "  busy:", "  bussy:"),
        ("language", "  busy:", "  bussy:"),
        ("plural", "{nights|# nuit|# nuits}:\"", "{nights|# nuit}:\""),
        ("variable", "  pay_first: \"", "  pay_first: \"{code} "),
        ("fit", "  pay_first: \"", "  pay_first: \"tout de suite "),
    ];
    for (code, from, to) in broken {
        let source = whole.replace(from, to);
        assert_ne!(source, whole, "{from}");
        let findings = findings(&source);
        let finding = findings.iter().find(|finding| finding.fault.word() == code);
        let finding = finding.unwrap_or_else(|| panic!("{code}: {findings:#?}"));
        assert_eq!(finding.file.as_deref(), Some(name));
        assert!(finding.line > 1 && finding.column > 0, "{finding:?}");
    }
}
