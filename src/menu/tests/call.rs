//! Flows that call one another: what is shown, where back leads, and what is wrong is found in its own file.

use crate::menu::Menu;
use crate::menu::finding::{Fault, Finding};
use crate::menu::link::Called;
use crate::menu::load::load_whole;
use crate::menu::step::{Step, World};
use crate::menu::value::Values;

use super::{DOOR, doors, languages, pages, reader};

const MAIN: &str = r#"flow: small
languages: [en, sw]
start: home
variables: { nights: count 1..30 }
screens:
  home:
    say: { en: Hello, sw: Habari }
    options:
      1: { say: { en: Book, sw: Weka }, goto: how_long }
      6: { say: { en: For lodges, sw: Wenye lodge }, goto: for_lodges }
      7: { say: { en: Guests, sw: Wageni }, goto: how_many }
  for_lodges:
    call: host
    goto: home
    on: { booked: how_long }
  how_many:
    call: people
    goto: how_long
  how_long:
    say: { en: Nights?, sw: Siku? }
    input: { nights: count 1..30 }
    goto: done
  done: { end: { en: "{nights|# night|# nights}", sw: "{nights|usiku #|siku #}" } }
"#;

const HOST: &str = r#"flow: host
languages: [en, sw]
start: today
variables: { guests: count 1..12 }
screens:
  today:
    say: { en: "Your rooms", sw: "Vyumba vyako" }
    options:
      1: { say: { en: Guests, sw: Wageni }, goto: ask }
      2: { say: { en: Done, sw: Tayari }, goto: return }
      3: { say: { en: Book, sw: Weka }, goto: return booked }
  ask: { call: people, goto: shown }
  shown:
    say: { en: "For {guests|# person|# people}", sw: "Kwa {guests|mtu #|watu #}" }
    options: { 1: { say: { en: Done, sw: Tayari }, goto: return } }
"#;

const PEOPLE: &str = r#"flow: people
languages: [en, sw]
start: how_many
variables: { guests: count 1..12 }
screens:
  how_many:
    say: { en: "How many people?", sw: "Watu wangapi?" }
    input: { guests: count 1..12 }
    goto: return
"#;

fn load(main: &str, host: &str, people: &str) -> Result<Menu, Vec<Finding>> {
    let called = [("host.yaml", host), ("people.yaml", people)];
    let called: Result<Vec<_>, _> = called
        .into_iter()
        .map(|(name, source)| Called::parse(name, source).map_err(|finding| vec![finding]))
        .collect();
    let languages = languages();
    let flow = load_whole(main, called?, &[], &languages, &doors(160))?;
    Ok(Menu { flow, languages })
}

#[test]
fn a_called_flow_returns_to_where_it_was_called() {
    let menu = load(MAIN, HOST, PEOPLE).unwrap();
    let (given, reader) = (Values::new(), reader(&menu));
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    for (answers, screen) in [
        ("6", "for_lodges/today"),
        ("6 1", "for_lodges/ask/how_many"),
        ("6 1 3", "for_lodges/shown"),
        ("6 1 3 1", "home"),
        ("6 2", "home"),
        ("6 3", "how_long"),
        ("6 3 2", "done"),
        ("7", "how_many/how_many"),
        ("7 3", "how_long"),
        // Back leads to the screen before, whichever flow it is of; home to the first.
        ("6 0", "home"),
        ("6 1 0", "for_lodges/today"),
        ("6 1 3 0", "for_lodges/ask/how_many"),
        ("6 3 0", "for_lodges/today"),
        ("7 3 0 0", "home"),
        ("6 1 00", "home"),
    ] {
        let mut state = menu.begin("sw");
        for answer in answers.split(' ') {
            let step = menu.answer(&mut state, answer, &world);
            assert!(matches!(step, Step::Show));
        }
        assert_eq!(state.screen, screen, "{answers}");
        pages(&menu, &state, &world).unwrap();
    }
}

#[test]
fn each_call_is_proven_by_itself() {
    // The guests are known where the host asked for them, and not where nobody did.
    let host = HOST.replace("1: { say: { en: Guests, sw: Wageni }, goto: ask }", "1: { say: { en: Guests, sw: Wageni }, goto: shown }\n      4: { say: { en: Ask, sw: Uliza }, goto: ask }");
    let findings = load(MAIN, &host, PEOPLE).unwrap_err();
    assert!(
        findings
            .iter()
            .all(|finding| finding.fault.word() == "unbound")
    );
    assert_eq!(findings.len(), 2, "one in each language: {findings:?}");
}

/// Kind, words of the message, the file, what is replaced by what; `¶` stands where the finding has to point.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("call", "no flow 'hosts'", "", "call: host\n", "call: ¶hosts\n"),
    ("call", "nobody calls 'small'", "", "options:\n      1: { say: { en: Book, sw: Weka }, goto: how_long }", "options:\n      1: { say: { en: Book, sw: Weka }, goto: ¶return }"),
    ("call", "stands in host.yaml", "host", "flow: host", "flow: ¶hotel"),
    ("call", "can say where callers are taken", "host", "start: today\n", "start: today\ndial: ¶shown\n"),
    ("outcome", "nothing says where that leads", "", "    call: host\n    goto: home\n", "    call: ¶host\n"),
    ("outcome", "'booked', which is not handled", "", "    call: host\n    goto: home\n    on: { booked: how_long }\n", "    call: ¶host\n    goto: home\n"),
    ("outcome", "never leads to 'return sold'", "", "booked: how_long }", "booked: how_long, ¶sold: home }"),
    ("outcome", "never leads to 'return none'", "host", "goto: shown }\n  shown:", "goto: shown, on: { ¶none: shown } }\n  shown:"),
    ("loop", "calls itself", "people", "  how_many:\n", "  again: { call: ¶people, goto: how_many }\n  how_many:\n"),
    ("screen", "'options' belongs", "", "  for_lodges:\n    call: host\n", "  ¶for_lodges:\n    options: { 1: { say: { en: A, sw: B }, goto: home } }\n    call: host\n"),
    ("screen", "exactly one", "", "  for_lodges:\n    call: host\n", "  ¶for_lodges:\n    run: time_of_day\n    call: host\n"),
    ("screen", "cannot be the name", "host", "  ask: {", "  ¶a/sk: {"),
    ("target", "no screen 'tody'", "host", "start: today", "start: ¶tody"),
    ("target", "no screen 'show'", "host", "ask: { call: people, goto: shown }", "ask: { call: people, goto: ¶show }"),
    ("type", "all flows share", "people", "variables: { guests: count 1..12 }", "variables: { guests: ¶count 1..6 }"),
    ("language", "does not speak 'sw'", "people", "flow: people\nlanguages: [en, sw]", "flow: ¶people\nlanguages: [en]"),
    ("language", "does not speak 'fr'", "people", "languages: [en, sw]", "languages: [en, sw, ¶fr]"),
    ("language", "no text in 'sw'", "people", "  how_many:\n    say: { en: \"How many people?\", sw: \"Watu wangapi?\" }", "  ¶how_many:\n    say: { en: \"How many people?\" }"),
    ("syntax", "unknown field", "people", "    input: { guests", "    ¶inptu: { guests"),
    ("unreachable", "no flow calls 'people'", "people", "flow: people", "flow: ¶people"),
];

#[test]
fn each_fault_is_found_in_its_own_file() {
    assert!(!found().is_empty());
}

/// What is found of each case at its place.
pub(super) fn found() -> Vec<Finding> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for (code, words, file, from, to) in CASES {
        let (mut main, mut host, mut people) =
            (MAIN.to_owned(), HOST.to_owned(), PEOPLE.to_owned());
        if *code == "unreachable" {
            main = main.replace("call: people", "call: host").replace(
                "goto: how_long\n  how_long",
                "goto: how_long\n    on: { booked: home }\n  how_long",
            );
            host = host.replace(
                "  ask: { call: people, goto: shown }\n",
                "  ask: { say: { en: A, sw: B }, input: { guests: count 1..12 }, goto: shown }\n",
            );
        }
        let broken = match *file {
            "" => &mut main,
            "host" => &mut host,
            _ => &mut people,
        };
        assert!(broken.contains(from), "{from}");
        let marked = broken.replacen(from, to, 1);
        let before = &marked[..marked.find('¶').unwrap()];
        let line = before.lines().count().max(1) as u64 + u64::from(before.ends_with('\n'));
        let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
        *broken = marked.replace('¶', "");
        let findings = load(&main, &host, &people).err().unwrap_or_default();
        let expected = (!file.is_empty()).then(|| format!("{file}.yaml"));
        let placed = findings.into_iter().filter(|finding| {
            finding.fault.word() == *code
                && finding.message.contains(words)
                && finding.file.as_deref() == expected.as_deref()
                && (finding.line, finding.column) == (line, column)
        });
        let before = found.len();
        found.extend(placed);
        if found.len() == before {
            faults.push(format!("{code} {words} is not at {line}:{column}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    found
}

#[test]
fn flows_that_call_one_another_without_end_in_sight_are_found() {
    assert_eq!(found_of_a_deep_call().len(), 1);
}

/// What is found of five flows, each of which calls the next.
pub(super) fn found_of_a_deep_call() -> Vec<Finding> {
    let flow = |name: &str, screen: &str| {
        format!(
            "flow: {name}\nlanguages: [en]\nstart: a\nvariables: {{}}\nscreens:\n  a: {screen}\n"
        )
    };
    let called = (1..=5).map(|number| {
        let next = format!("{{ call: f{}, goto: return }}", number + 1);
        let last =
            "{ say: { en: A }, options: { 1: { say: { en: B }, goto: return } } }".to_owned();
        let screen = if number == 5 { last } else { next };
        let name = format!("f{number}");
        Called::parse(&format!("{name}.yaml"), &flow(&name, &screen)).unwrap()
    });
    let main = flow("main", "{ call: f1, goto: b }") + "  b: { end: { en: C } }\n";
    let findings = load_whole(&main, called.collect(), &[], &languages(), &doors(160)).unwrap_err();
    let deep = findings.into_iter().filter(|finding| {
        let place = (finding.file.as_deref(), finding.line, finding.column);
        finding.fault == Fault::Limit && place == (Some("f4.yaml"), 6, 14)
    });
    deep.collect()
}
