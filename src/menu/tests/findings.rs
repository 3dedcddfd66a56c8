//! A small menu, broken in one way at a time: each finding names its kind, its line and its column.

use crate::menu::finding::{Fault, Finding};
use crate::menu::language::Language;
use crate::menu::load::load;
use crate::menu::messages::Messages;

use super::{doors, languages, shipped};

pub(super) const SMALL: &str = r#"flow: small
languages: [en, sw]
start: home
resume: { screen: again, needs: [place] }
after_wrong: { tries: 3, goto: lost }
dial: where
variables:
  typed: text 40
  places: list of place
  place: place
  region: region
  check_in: date
  nights: count 1..30
  few: count 1..3
screens:
  home:
    say: { en: Hello, sw: Habari }
    options:
      1: { say: { en: Town, sw: Mji }, goto: where }
      2: { say: { en: Swahili, sw: Kiswahili }, language: sw, goto: home }
  again:
    say: { en: "Back in {place.name}?", sw: "Tena {place.name}?" }
    options:
      1: { say: { en: Go on, sw: Endelea }, goto: draft }
  lost:
    say: { en: Need help?, sw: Msaada? }
    options:
      1: { say: { en: Again, sw: Tena }, goto: home }
  where:
    say: { en: Which town?, sw: Mji gani? }
    input: { typed: text 40 }
    goto: look
  look:
    run: find_place
    on: { one: when, several: which, none: where }
    notice:
      none: { en: "No {typed:16}.", sw: "Hakuna {typed:16}." }
  which:
    say: { en: Which one?, sw: Upi? }
    list: places
    item: { en: "{name}, {town}", sw: "{name}, {town}" }
    pick: place
    goto: when
    options:
      90: { say: { en: None, sw: Hakuna }, goto: where }
  when:
    say: { en: "{place.name}: day?", sw: "{place.name}: siku?" }
    input: { check_in: date }
    goto: how_long
    options:
      1: { say: { en: Today, sw: Leo }, set: { check_in: today, few: 2 }, goto: how_long }
  how_long:
    say: { en: Nights?, sw: Siku? }
    input: { nights: count 1..30 }
    goto: done
  done:
    end:
      en: "{place.name}, {nights|# night|# nights}. Dial {service_code}"
      sw: "{place.name}, {nights|usiku #|siku #}. Piga {service_code}"
"#;
/// So much of a line at least is in the picture from the place on.
const SHOWN_CHARS: usize = 20;
/// Stands where the finding has to point, and is taken out.
const HERE: char = '¶';

/// Kind, words of its message, and what is replaced in [`SMALL`] by what.
pub(super) type Case = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    // Names that lead nowhere.
    ("target", "no screen 'hom'", &[("start: home", "start: ¶hom")]),
    ("target", "no screen 'nowhere'", &[("sw: Mji }, goto: where", "sw: Mji }, goto: ¶nowhere")]),
    ("target", "no screen 'looks'", &[("goto: look\n", "goto: ¶looks\n")]),
    ("target", "no screen 'wich'", &[("several: which", "several: ¶wich")]),
    ("target", "no screen 'help'", &[("tries: 3, goto: lost", "tries: 3, goto: ¶help")]),
    ("target", "no screen 'wher'", &[("dial: where", "dial: ¶wher")]),
    ("target", "no screen 'agan'", &[("screen: again", "screen: ¶agan")]),
    ("target", "'draft' needs 'resume'", &[("resume: { screen: again, needs: [place] }\n", ""), ("goto: draft", "goto: ¶draft")]),
    ("target", "only an option can lead to 'draft'", &[("one: when", "one: ¶draft")]),
    ("target", "need a 'goto'", &[("  where:\n", "  ¶where:\n"), ("    goto: look\n", "")]),
    // Languages.
    ("language", "speaks no language", &[("flow: small", "flow: ¶small"), ("[en, sw]", "[]")]),
    ("language", "no file for the language 'fr'", &[("[en, sw]", "[en, sw, ¶fr]")]),
    ("language", "no text in 'sw'", &[("  lost:", "  ¶lost:"), ("{ en: Need help?, sw: Msaada? }", "{ en: Need help? }")]),
    ("language", "no text in 'sw'", &[("      90: { say: { en: None, sw: Hakuna }", "      ¶90: { say: { en: None }")]),
    ("language", "does not speak 'fr'", &[("sw: Msaada?", "sw: Msaada?, ¶fr: Aide?")]),
    ("language", "does not speak 'lg'", &[("language: sw", "language: ¶lg")]),
    // Variables.
    ("variable", "'town' is not declared", &[("input: { typed:", "input: { ¶town:")]),
    ("variable", "'plaes' is not declared", &[("list: places\n", "list: ¶plaes\n")]),
    ("variable", "'spot' is not declared", &[("pick: place", "pick: ¶spot")]),
    ("variable", "'palce' is not declared", &[("needs: [place]", "needs: [¶palce]")]),
    ("variable", "'day' is not declared", &[("set: { check_in:", "set: { ¶day:")]),
    ("variable", "'price' is not declared", &[("\"{place.name}: day?\"", "¶\"{price}: day?\"")]),
    ("variable", "'today' is given", &[("  few: count", "  ¶today: date\n  few: count")]),
    ("unbound", "'check_in' is not bound on every way", &[("{ en: Which town?,", "{ en: ¶\"{check_in}: town?\",")]),
    ("unbound", "'few' is not bound on every way", &[("\"{place.name}, {nights|# ", "¶\"{few}{place.name}, {nights|# ")]),
    ("unbound", "'place' is not bound on every way", &[("Piga {service_code}\"", "Piga {service_code}\"\n  lodge:\n    end: { en: ¶\"{place.name} stays\", sw: Lodge }"), ("sw: Tena }, goto: home", "sw: Tena }, goto: lodge")]),
    ("unbound", "'places' is not bound on every way", &[("one: when", "one: which"), ("list: places\n", "list: ¶places\n")]),
    ("unbound", "'typed' is not bound on every way", &[("\"No {typed:16}.\", sw: \"Hakuna {typed:16}.\"", "None, sw: Hakuna"), ("run: find_place", "run: ¶find_place"), ("sw: Tena }, goto: home", "sw: Tena }, goto: look")]),
    ("unbound", "'nights' is not bound on every way", &[("few: 2 }", "few: 2, nights: nights }"), ("      1: { say: { en: Today", "      ¶1: { say: { en: Today")]),
    // Types.
    ("type", "'dat' is not a type", &[("  few: count 1..3", "  few: ¶dat")]),
    ("type", "'count 3..1' is not a type", &[("  few: count 1..3", "  few: ¶count 3..1")]),
    ("type", "'text 0' is not a type", &[("  few: count 1..3", "  few: ¶text 0")]),
    ("type", "actions know 'region' as 'region'", &[("region: region", "region: ¶place")]),
    ("type", "declared as 'count 1..30'", &[("input: { nights: count 1..30", "input: { nights: ¶count 1..31")]),
    ("type", "nobody can type a place", &[("input: { typed: text 40 }", "input: { place: ¶place }")]),
    ("type", "'place' is a place, not a list", &[("list: places\n", "list: ¶place\n")]),
    ("type", "'region' cannot hold a place", &[("pick: place", "pick: ¶region")]),
    ("type", "'7' is not a count 1..3", &[("few: 2", "few: ¶7")]),
    ("type", "'nights' is not a count 1..3", &[("few: 2", "few: ¶nights")]),
    ("type", "'region' is not a place", &[("few: 2", "place: ¶region")]),
    ("type", "'place' has no field 'price'", &[("\"{place.name}: day?\"", "¶\"{place.price}: day?\"")]),
    ("type", "cannot be shown", &[("\"{place.name}: day?\"", "¶\"{place}: day?\"")]),
    ("type", "cannot be shown", &[("{ en: Nights?", "{ en: ¶\"{check_in|#|#}\"")]),
    ("type", "'nights' is no text and cannot be cut", &[("en: \"{place.name}, {nights", "en: ¶\"{nights:1}{place.name}, {nights")]),
    ("plural", "'nights' has 1 forms", &[("\"{place.name}, {nights|# night|# nights}", "¶\"{place.name}, {nights|# nights}")]),
    // Work.
    ("action", "no action 'find_places'", &[("run: find_place\n", "run: ¶find_places\n")]),
    ("outcome", "never ends in 'two'", &[("on: { one", "on: { ¶two: when, one")]),
    ("outcome", "'none' of 'find_place' is not handled", &[("run: find_place", "run: ¶find_place"), (", none: where }", " }"), ("    notice:\n      none: { en: \"No {typed:16}.\", sw: \"Hakuna {typed:16}.\" }\n", "")]),
    ("outcome", "a notice for 'gone'", &[("      none: { en: \"No", "      ¶gone: { en: \"No")]),
    ("loop", "'look' can lead back to itself", &[("  look:", "  ¶look:"), ("none: where }", "none: look }")]),
    // Conditions.
    ("condition", "is not a condition", &[("few: 2 }, goto", "few: 2 }, if: ¶nights >= 2, goto")]),
    ("condition", "'place' always holds", &[("few: 2 }, goto", "few: 2 }, if: ¶place, goto")]),
    ("condition", "'region' never holds", &[("few: 2 }, goto", "few: 2 }, if: ¶region, goto")]),
    ("condition", "'not region' always holds", &[("few: 2 }, goto", "few: 2 }, if: ¶not region, goto")]),
    ("condition", "'nights > 30' never holds", &[("goto: done\n", "goto: fork\n  fork: { if: ¶nights > 30, goto: done, else: when }\n")]),
    ("condition", "'not nights = 31' always holds", &[("goto: done\n", "goto: fork\n  fork: { if: ¶not nights = 31, goto: done, else: when }\n")]),
    ("type", "cannot be compared", &[("goto: done\n", "goto: fork\n  fork: { if: ¶nights = today, goto: done, else: when }\n")]),
    ("type", "cannot be compared", &[("goto: done\n", "goto: fork\n  fork: { if: ¶country < KE, goto: done, else: when }\n")]),
    ("unbound", "'few' is not bound", &[("goto: done\n", "goto: fork\n  fork: { if: ¶few > 1, goto: done, else: when }\n")]),
    ("variable", "'fiend' is not declared", &[("few: 2 }, goto", "few: 2 }, if: ¶fiend, goto")]),
    ("target", "needs a 'goto' and an 'else'", &[("goto: done\n", "goto: fork\n  ¶fork: { if: nights > 2, goto: done }\n")]),
    ("target", "only an option can lead to 'draft'", &[("goto: done\n", "goto: fork\n  fork: { if: nights > 2, goto: done, else: ¶draft }\n")]),
    ("screen", "'else' belongs to a screen with 'if'", &[("  lost:\n", "  ¶lost:\n    else: home\n")]),
    ("dead end", "no answer may be left that leads out of 'lost'", &[("  lost:", "  ¶lost:"), ("sw: Tena }, goto: home", "sw: Tena }, if: place, goto: home")]),
    ("loop", "'turn' can lead back to itself", &[("goto: done\n", "goto: turn\n  ¶turn: { if: nights > 2, goto: done, else: turn }\n")]),
    // Dialling.
    ("dial", "'a-b' cannot be dialled", &[("dial: where\n", "dial: where\naliases: { ¶a-b: where }\n")]),
    ("dial", "'X' is there already", &[("dial: where\n", "dial: where\naliases: { x: where, ¶X: where }\n")]),
    ("dial", "would come to 'ring' unasked", &[("dial: where\n", "dial: where\naliases: { x: ring }\n"), ("  lost:\n", "  ¶ring: { run: call_back, on: { noted: lost, unavailable: lost } }\n  lost:\n")]),
    ("target", "no screen 'wher'", &[("dial: where\n", "dial: where\naliases: { x: ¶wher }\n")]),
    ("screen", "'bye' is where callers are taken", &[("dial: where\n", "dial: where\naliases: { x: bye }\n"), ("  lost:\n", "  ¶bye: { end: { en: Bye, sw: Kwaheri } }\n  lost:\n")]),
    // Keys.
    ("key", "'00' leads around", &[("      90:", "      ¶00:")]),
    ("key", "'98' leads around behind test", &[("      90:", "      ¶98:")]),
    ("key", "'97' leads around behind test", &[("start: home", "start: home\nkeys: { more: 97 }"), ("      90:", "      ¶97:")]),
    ("key", "'2' leads around behind test and is a number of the list", &[("start: home", "start: home\nkeys: { home: 2 }"), ("list: places\n", "list: ¶places\n"), ("      2: { say: { en: Swahili, sw: Kiswahili }, language: sw, goto: home }\n", "")]),
    ("key", "'27' leads around behind test and can be typed here", &[("start: home", "start: home\nkeys: { back: 27 }"), ("input: { nights: count", "input: { nights: ¶count")]),
    ("key", "'99' cannot lead around", &[("start: home", "start: home\nkeys: { more: ¶99 }")]),
    ("key", "'x' cannot lead around", &[("start: home", "start: home\nkeys: { back: ¶x }")]),
    ("key", "'1000' cannot be", &[("      90:", "      ¶1000:")]),
    ("key", "'05' cannot be", &[("      90:", "      ¶05:")]),
    ("key", "'A' cannot be", &[("      90:", "      ¶A:")]),
    ("key", "'7' is also a number of the list", &[("      90:", "      ¶7:")]),
    // Shapes.
    ("screen", "exactly one of", &[("  lost:\n", "  ¶lost:\n    end: { en: Bye, sw: Kwaheri }\n")]),
    ("screen", "'goto' belongs to a screen with 'input' or 'list'", &[("  lost:\n", "  ¶lost:\n    goto: home\n")]),
    ("screen", "'typed_goto' says where", &[("  which:\n", "  ¶which:\n    input: { typed: text 40 }\n")]),
    ("screen", "exactly one variable", &[("  how_long:", "  ¶how_long:"), ("{ nights: count 1..30 }", "{ nights: count 1..30, few: count 1..3 }")]),
    ("screen", "needs 'item' and 'pick'", &[("  which:", "  ¶which:"), ("    pick: place\n", "")]),
    ("screen", "'on' belongs to a screen with 'run'", &[("  lost:\n", "  ¶lost:\n    on: { none: home }\n")]),
    ("screen", "'options' belongs to a screen with 'say'", &[("  done:\n", "  ¶done:\n    options: { 1: { say: { en: A, sw: B }, goto: home } }\n")]),
    ("screen", "'goto' belongs to a screen with 'say'", &[("  look:\n", "  ¶look:\n    goto: home\n")]),
    ("screen", "'per_page' belongs to a screen with 'list'", &[("  lost:\n", "  ¶lost:\n    per_page: 3\n")]),
    ("screen", "cannot be a screen", &[("  lost:", "  ¶draft:"), ("goto: lost", "goto: draft")]),
    ("screen", "has to ask something", &[("  done:", "  ¶done:"), ("goto: lost", "goto: done"), ("  lost:\n    say: { en: Need help?, sw: Msaada? }\n    options:\n      1: { say: { en: Again, sw: Tena }, goto: home }\n", ""), ("{place.name}, {nights|# night|# nights}", "Bye"), ("{place.name}, {nights|usiku #|siku #}", "Kwaheri")]),
    ("dead end", "no answer leads out of 'lost'", &[("  lost:", "  ¶lost:"), ("    options:\n      1: { say: { en: Again, sw: Tena }, goto: home }\n", "")]),
    ("unreachable", "no answer leads to 'lost'", &[("after_wrong: { tries: 3, goto: lost }\n", ""), ("  lost:", "  ¶lost:")]),
    // Texts.
    ("text", "'{' without '}'", &[("{ en: Nights?", "{ en: ¶\"Nights {few\"")]),
    ("text", "'}' without '{'", &[("{ en: Nights?", "{ en: ¶\"Nights }\"")]),
    ("text", "not in the GSM-7 alphabet", &[("{ en: Nights?", "{ en: ¶\"Ẹ kú\"")]),
    ("text", "'Few' is not a variable", &[("{ en: Nights?", "{ en: ¶\"{Few}\"")]),
    ("text", "'x' is not a length", &[("\"{place.name}: day?\"", "¶\"{place.name:x}: day?\"")]),
    ("text", "'0' is not a length", &[("\"{place.name}: day?\"", "¶\"{place.name:0}: day?\"")]),
    ("text", "'{' inside of '{'", &[("{nights|# night|# nights}. Dial", "{nights|# night|# {nights}. Dial"), ("      en: ", "      en: ¶")]),
    ("text", "nothing to read", &[("{ en: Nights?", "{ en: ¶\" \"")]),
    // Limits.
    ("limit", "'per_page' is 1 to 24", &[("    pick: place\n", "    pick: place\n    per_page: ¶0\n")]),
    ("limit", "'at_most' is 1 to 24", &[("    pick: place\n", "    pick: place\n    at_most: ¶25\n")]),
    ("fit", "the last screen can take 182 septets; test shows 160", &[("      en: \"{place", "      en: ¶\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789{place")]),
    ("fit", "longest notice can take", &[("{ en: Which town?", "{ en: ¶\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"")]),
    ("fit", "with this option", &[("say: { en: Again", "say: { en: ¶\"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"")]),
    ("fit", "with one item", &[("item: { en: \"{name}, {town}\"", "item: { en: ¶\"0123456789012345678901234567890123456789012345678901234567890123456789{name}, {town}\"")]),
    // Files that are no flow at all.
    ("syntax", "duplicate", &[("      2: {", "      ¶1: {")]),
    ("syntax", "duplicate", &[("  where:\n", "  ¶where:\n"), ("  lost:\n", "  where:\n")]),
    ("syntax", "unknown variant", &[("needs: [place] }", "needs: [place], mode: ¶quiet }")]),
    ("syntax", "unknown field", &[("    goto: look\n", "    ¶got: look\n")]),
    ("syntax", "missing field", &[("screens:", "¶screens:"), ("start: home\n", "")]),
];

#[test]
fn the_small_menu_has_nothing_to_find() {
    assert_eq!(load(SMALL, &languages(), &doors(160)).map(|_| ()), Ok(()));
}

/// What is found of each case, which is one thing at its place, drawn with its line.
fn found_of(
    whole: &str,
    cases: &[Case],
    load: impl Fn(&str) -> Option<Vec<Finding>>,
) -> Vec<Finding> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for (fault, words, changes) in cases {
        let (source, line, column) = broken(whole, changes);
        let findings = load(&source).unwrap_or_default();
        if let Err(fault) = points_at(&findings, &source, (fault, words, line, column)) {
            faults.push(fault);
        }
        found.extend(findings);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    found
}

pub(super) fn found_of_the_small_menu() -> Vec<Finding> {
    let languages = languages();
    found_of(SMALL, CASES, |source| {
        load(source, &languages, &doors(160)).err()
    })
}

#[test]
fn each_fault_is_found_once_where_it_stands_and_drawn_with_its_line() {
    assert!(!found_of_the_small_menu().is_empty());
}

#[test]
fn too_many_screens_or_pieces_of_work_are_found() {
    assert_eq!(found_of_what_is_too_much().len(), 2);
}

pub(super) fn found_of_what_is_too_much() -> Vec<Finding> {
    let languages = languages();
    let chain = |runs: usize| {
        let mut source = SMALL.replace("one: when,", "one: work_1,");
        for run in 1..=runs {
            let next = if run == runs {
                "when".to_owned()
            } else {
                format!("work_{}", run + 1)
            };
            source.push_str(&format!(
                "  work_{run}:\n    run: time_of_day\n    on: {{ day: {next}, after_midnight: {next} }}\n"
            ));
        }
        load(&source, &languages, &doors(160))
            .err()
            .unwrap_or_default()
    };
    // `look` is the first of eight.
    assert_eq!(chain(7), []);
    let works = chain(8);
    let [finding] = &works[..] else {
        panic!("one finding");
    };
    let place = (finding.fault, finding.line, finding.column);
    assert_eq!(place, (Fault::Limit, 33, 3));

    let mut source = SMALL.replace("sw: Tena }, goto: home", "sw: Tena }, goto: s0");
    for screen in 0..500 {
        let next = screen + 1;
        source.push_str(&format!(
            "  s{screen}: {{ say: {{ en: A, sw: B }}, options: {{ 1: {{ say: {{ en: A, sw: B }}, goto: s{next} }} }} }}\n"
        ));
    }
    source.push_str("  s500: { end: { en: A, sw: B } }\n");
    let screens = load(&source, &languages, &doors(160)).unwrap_err();
    let place = (screens[0].fault, screens[0].line, screens[0].column);
    assert_eq!(place, (Fault::Limit, 1, 7));
    works
        .into_iter()
        .chain(screens.into_iter().take(1))
        .collect()
}

#[test]
fn a_finding_has_a_hint_where_the_word_is_nearly_right() {
    let (source, ..) = broken(SMALL, &[("run: find_place", "run: find_plase")]);
    let findings = load(&source, &languages(), &doors(160)).unwrap_err();
    assert_eq!(
        findings[0].hint.as_deref(),
        Some("did you mean 'find_place'?")
    );
}

#[rustfmt::skip]
const MESSAGE_CASES: &[Case] = &[
    ("message", "no message 'hold'", &[("  wrong_code:", "  ¶hold: { en: A, sw: B }\n  wrong_code:")]),
    ("message", "'pay_first' is missing", &[("  pay_first:\n    en: \"now\"\n    sw: \"sasa\"\n", ""), ("  confirmed:", "  ¶confirmed:")]),
    ("language", "no text in 'sw'", &[("  pay_first:", "  ¶pay_first:"), ("    sw: \"sasa\"\n", "")]),
    ("language", "do not speak 'fr'", &[("    sw: \"sasa\"\n", "    sw: \"sasa\"\n    ¶fr: \"vite\"\n")]),
    ("language", "no file for the language 'fr'", &[("languages: [en, sw]", "languages: [en, sw, ¶fr]")]),
    ("text", "not in the GSM-7 alphabet", &[("\"now\"", "¶\"now…\"")]),
    ("text", "nothing to read", &[("\"now\"", "¶\"\"")]),
    ("plural", "'nights' has 1 forms", &[("    en: \"{town:14} {check_in}, {nights|# night|# nights}:\"", "    en: ¶\"{town:14} {check_in}, {nights|# nights}:\"")]),
    ("type", "'price' is no text", &[("    en: \"{name:14} {price}\"", "    en: ¶\"{name:14} {price:9}\"")]),
    ("variable", "a value that it does not have", &[("    en: \"{name:14} {price}\"", "    en: ¶\"{name:14} {code}\"")]),
    ("fit", "can take 11 septets of 8", &[("\"now\"", "¶\"now or soon\"")]),
    ("syntax", "duplicate", &[("  pay_first:", "  ¶busy:")]),
];

pub(super) fn found_of_the_messages() -> Vec<Finding> {
    let languages = languages();
    found_of(&shipped("messages.yaml"), MESSAGE_CASES, |source| {
        Messages::load(source, &languages).err()
    })
}

#[test]
fn each_fault_of_the_messages_is_found_where_it_stands() {
    assert!(!found_of_the_messages().is_empty());
}

#[rustfmt::skip]
const LANGUAGE_CASES: &[Case] = &[
    ("language", "'text' is missing", &[("wrong:\n  ", "wrong:\n  ¶"), ("  text: \"Andika neno.\"\n", "")]),
    ("language", "in the way 'txt'", &[("  text: \"", "  ¶txt: \"x\"\n  text: \"")]),
    ("variable", "does not know 'neno'", &[("\"Andika neno.", "¶\"Andika {neno}.")]),
    ("text", "is not a variable", &[("\"Andika {low} hadi {high}.", "¶\"Andika {low hadi {high}.")]),
    ("text", "'“' is not in the GSM-7 alphabet", &[("\"Andika neno.", "¶\"Andika “neno”.")]),
    ("text", "'Mwạnzo' has a letter outside", &[("home: Mwanzo", "home: ¶Mwạnzo")]),
    ("text", "'Jtṭ' has a letter outside", &[("[Jtt, ", "[¶Jtṭ, ")]),
    ("syntax", "unknown variant", &[("plural: one_other", "plural: ¶two")]),
    ("syntax", "invalid length 6", &[("\nweekdays: [Jtt, ", "\n¶weekdays: [")]),
    ("syntax", "unknown field", &[("\ntoday:", "\n¶todays:")]),
];

pub(super) fn found_of_a_language() -> Vec<Finding> {
    found_of(&shipped("languages/sw.yaml"), LANGUAGE_CASES, |source| {
        Language::parse(source).err().map(|finding| vec![finding])
    })
}

#[test]
fn each_fault_of_a_language_is_found_where_it_stands() {
    assert!(!found_of_a_language().is_empty());
}

/// The file with its changes made, and where [`HERE`] stood in it.
pub(super) fn broken(whole: &str, changes: &[(&str, &str)]) -> (String, u64, u64) {
    let mut source = whole.to_owned();
    for (from, to) in changes {
        let plain = source.replace(HERE, "");
        assert_eq!(plain.matches(from).count(), 1, "'{from}' is not unique");
        assert!(source.contains(from), "'{from}' is changed before");
        source = source.replacen(from, to, 1);
    }
    let at = source.find(HERE).unwrap_or_default();
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (
        source.replace(HERE, ""),
        u64::try_from(line).unwrap(),
        u64::try_from(column).unwrap(),
    )
}

fn points_at(
    findings: &[Finding],
    source: &str,
    (code, words, line, column): (&str, &str, u64, u64),
) -> Result<(), String> {
    let wanted = format!("{code} '{words}' at {line}:{column}");
    let [finding] = findings else {
        let drawn: Vec<_> = findings.iter().map(|f| f.draw("x", source)).collect();
        return Err(format!(
            "{wanted}: {} findings\n{}",
            findings.len(),
            drawn.join("\n")
        ));
    };
    let picture = finding.draw("menus/small.yaml", source);
    let at = format!("menus/small.yaml:{line}:{column}");
    let (row, skipped) = (line - 1, column - 1);
    let text = source.lines().nth(usize::try_from(row).unwrap()).unwrap();
    let after = text.chars().skip(usize::try_from(skipped).unwrap());
    let shown: String = after.take(SHOWN_CHARS).collect();
    let found = (finding.fault.word(), finding.line, finding.column) == (code, line, column)
        && finding.message.contains(words)
        && picture.contains(&at)
        && picture.contains(&shown);
    found
        .then_some(())
        .ok_or(format!("{wanted}, drawn\n{picture}"))
}
