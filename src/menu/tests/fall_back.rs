//! A translation that may lack lines: the screen that lacks one is said whole in the language of the caller's country, and
//! proven in it.

use crate::menu::Menu;
use crate::menu::finding::Finding;
use crate::menu::load::load_whole;
use crate::menu::messages::{Message, Messages};
use crate::menu::step::World;
use crate::menu::translation::Translation;
use crate::menu::value::{Value, Values};

use super::{DOOR, doors, language, pages, reader, settle, shipped};

const FLOW: &str = r#"flow: small
languages: [en, sw]
start: home
variables: { typed: text 40, places: list of place, place: place }
screens:
  home:
    say: { en: Hello, sw: Habari }
    input: { typed: text 40 }
    goto: look
    options: { 1: { say: { en: Town, sw: Mji }, goto: town } }
  look:
    run: find_place
    on: { one: town, several: which, none: town }
    notice:
      one: { en: "It is {place.name}.", sw: "Ni {place.name}." }
      none: { en: "No {typed:16}.", sw: "Hakuna {typed:16}." }
  which:
    say: { en: Which?, sw: Upi? }
    list: places
    item: { en: "{name}", sw: "{name}" }
    pick: place
    goto: town
  town:
    say: { en: Today?, sw: Leo? }
    options:
      1: { say: { en: Yes, sw: Ndiyo }, goto: home }
      2: { say: { en: No, sw: Hapana }, goto: home }
"#;
/// No `which`, no option 2, no notice `none`.
const FRENCH: &str = r#"language: fr
fall_back: true
small:
  home: { say: "Bonjour", options: { 1: "Ville" } }
  look: { notice: { one: "C'est {place.name}." } }
  town: { say: "Aujourd'hui?", options: { 1: "Oui" } }
messages: { help: "Aide" }
"#;

fn load(flow: &str, french: &str, septets_max: usize) -> Result<Menu, Vec<Finding>> {
    let languages: Vec<_> = ["en", "sw", "fr"].map(language).into();
    let translation = Translation::parse("fr.yaml", french).map_err(|finding| vec![finding])?;
    let flow = load_whole(
        flow,
        Vec::new(),
        &[translation],
        &languages,
        &doors(septets_max),
    )?;
    Ok(Menu { flow, languages })
}

#[test]
fn a_screen_that_lacks_a_line_is_said_in_the_language_of_the_country() {
    let menu = load(FLOW, FRENCH, 160).unwrap();
    let reader = reader(&menu);
    for (country, wrong, town, none) in [
        (
            "RW",
            "Choose a number shown.",
            "Today?\n1 Yes\n2 No\n0 Back",
            "No Huye.",
        ),
        (
            "TZ",
            "Chagua namba iliyopo.",
            "Leo?\n1 Ndiyo\n2 Hapana\n0 Rudi",
            "Hakuna Huye.",
        ),
    ] {
        let given: Values = [("country".to_owned(), Value::text(country))].into();
        let world = World {
            given: &given,
            reader: &reader,
            door: &DOOR,
        };
        let mut state = menu.begin("fr");
        assert_eq!(pages(&menu, &state, &world).unwrap(), ["Bonjour\n1 Ville"]);
        assert!(!menu.lacks_a_line(&state));

        menu.answer(&mut state, "1", &world);
        assert_eq!(menu.page(&state, &given, &DOOR).text, town);
        assert!(menu.lacks_a_line(&state));
        assert_eq!(state.language, "fr");
        // What is typed and what was wrong is in the language that is read there.
        let mut named = state.clone();
        let no = town.lines().nth(2).unwrap().trim_start_matches("2 ");
        menu.answer(&mut named, no, &world);
        assert_eq!(named.screen, "home", "{town}");
        menu.answer(&mut state, "7", &world);
        assert_eq!(state.notice.as_deref(), Some(wrong));

        for (outcome, notice) in [("none", none), ("one", "C'est Huye.")] {
            let mut state = menu.begin("fr");
            let step = menu.answer(&mut state, "Huye", &world);
            let place = Value::record([("name", Value::text("Huye"))]);
            let binds: Values = [("place".to_owned(), place)].into();
            settle(&menu, &mut state, step, &world, |_| {
                (outcome, binds.clone())
            });
            assert_eq!(
                menu.page(&state, &given, &DOOR).text,
                format!("{notice}\n{town}")
            );
        }
    }
}

#[test]
fn only_who_says_so_may_lack_lines_and_the_rest_is_proven() {
    let strict = load(FLOW, &FRENCH.replace("fall_back: true\n", ""), 160).unwrap_err();
    assert_eq!(strict.len(), 3, "{strict:?}");
    assert!(
        strict
            .iter()
            .all(|finding| finding.fault.word() == "language")
    );
    // Half a translation is no licence for wrong lines.
    for (from, to, code) in [
        ("\"Oui\"", "\"{town}\"", "variable"),
        ("1: \"Oui\"", "3: \"Oui\"", "translation"),
    ] {
        let found = load(FLOW, &FRENCH.replace(from, to), 160).err();
        let found: Vec<_> = found
            .into_iter()
            .flatten()
            .map(|finding| finding.fault.word())
            .collect();
        assert_eq!(found, [code], "{from}");
    }
    // A long notice of another language can stand above a screen that is said in French.
    let long = "W".repeat(100);
    let fits = |notice: &str, screen: &str| {
        let flow = FLOW.replace("\"No {typed:16}.\"", &format!("\"{notice}\""));
        let french = FRENCH.replace("1: \"Oui\"", "1: \"Oui\", 2: \"Non\"");
        load(&flow, &french.replace("Aujourd'hui?", screen), 160).is_ok()
    };
    assert!(fits("No", &long));
    assert!(!fits(&"W".repeat(60), &long));
}

#[test]
fn messages_may_be_missing_too() {
    let languages: Vec<_> = ["en", "sw", "fr"].map(language).into();
    let load = |french: &str| {
        let translation = Translation::parse("fr.yaml", french).unwrap();
        Messages::load_translated(&shipped("messages.yaml"), &[translation], &languages)
    };
    let messages = load(FRENCH).unwrap();
    assert!(messages.says(Message::Help, "fr") && !messages.says(Message::Stopped, "fr"));
    assert!(load(&FRENCH.replace("fall_back: true\n", "")).is_err());
}
