//! What is dialled behind the code: aliases lead to their screens whatever the menu's numbers are, and never past a question.

use crate::menu::step::{Step, World};
use crate::menu::value::Values;

use crate::menu::link::Called;
use crate::menu::load::load_whole;

use super::{BOOKING, DOOR, doors, languages, pages, reader, settle, shipped};

#[test]
fn every_alias_leads_to_a_screen_that_asks_first() {
    let menu = &*BOOKING;
    let given = super::longest::given();
    let reader = reader(menu);
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    for (alias, _) in &menu.flow.aliases {
        for dialled in [alias.clone(), format!(" {} ", alias.to_uppercase())] {
            let mut state = menu.begin("sw");
            let step = menu.dial(&mut state, &dialled, &given).unwrap();
            settle(menu, &mut state, step, &world, |action| {
                assert!(!action.commits, "{alias} runs {}", action.name);
                (
                    action.outcomes[0].name,
                    super::longest::bound(action.outcomes[0].binds, 3),
                )
            });
            assert_ne!(state.screen, "home", "{alias}");
            assert_eq!(state.history[0], "home", "{alias}");
            pages(menu, &state, &world).unwrap();
        }
    }
}

#[test]
fn an_alias_survives_a_reordering_of_the_menu_and_an_option_does_not() {
    let source = shipped("booking.yaml");
    let reordered = source
        .replace(
            "      1: { say: { en: Book a room",
            "      9: { say: { en: Book a room",
        )
        .replace(
            "      3: { say: { en: Pay, sw: Lipa }",
            "      1: { say: { en: Pay, sw: Lipa }",
        );
    assert_ne!(source, reordered);
    for (source, by_hand) in [(&source, "last_places"), (&reordered, "find_unpaid")] {
        let menu = in_two_languages(source);
        let given = Values::new();
        let reader = reader(&menu);
        let world = World {
            given: &given,
            reader: &reader,
            door: &DOOR,
        };
        let mut dialled = menu.begin("en");
        assert!(matches!(
            menu.dial(&mut dialled, "1", &given),
            Some(Step::Run(_))
        ));
        assert_eq!(dialled.screen, "last_places");
        let mut pressed = menu.begin("en");
        menu.answer(&mut pressed, "1", &world);
        assert_eq!(pressed.screen, by_hand);
    }
}

#[test]
fn what_is_no_alias_goes_to_the_screen_that_takes_it() {
    let menu = &*BOOKING;
    let given = Values::new();
    for (dialled, screen) in [
        ("Nakuru", "place_typed"),
        ("", "place_typed"),
        ("5", "home"),
    ] {
        let mut state = menu.begin("en");
        assert!(menu.dial(&mut state, dialled, &given).is_none());
        assert_eq!(state.screen, screen, "{dialled}");
    }
}

/// The flow without the languages that have files of their own.
fn in_two_languages(source: &str) -> crate::menu::Menu {
    let further = ["lg", "rw", "fr", "pcm", "ha", "yo"].map(|code| format!("language: {code},"));
    let mut language = shipped("choose_language.yaml");
    for further in &further {
        let line = language.lines().find(|line| line.contains(further));
        language = language.replace(&format!("{}\n", line.unwrap()), "");
    }
    let called = [
        ("host.yaml", shipped("host.yaml")),
        ("choose_language.yaml", language),
    ];
    let called = called.map(|(name, source)| Called::parse(name, &source).unwrap());
    let languages = languages();
    let flow = load_whole(source, called.into(), &[], &languages, &doors(160)).unwrap();
    crate::menu::Menu { flow, languages }
}
