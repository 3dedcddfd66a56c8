//! What is typed: each kind read as people type it, numbers that lead around, and a PIN that nothing remembers.

use crate::booking::money::{Currency, Money};
use crate::menu::language::Wrong;
use crate::menu::load::load;
use crate::menu::step::{Step, World};
use crate::menu::value::{Type, Value, Values};

use super::{BOOKING, DOOR, doors, languages, menu, reader};

#[test]
fn each_kind_of_input_reads_what_people_type_and_says_what_is_wrong() {
    let menu = &*BOOKING;
    let reader = reader(menu);
    let count = |count| Ok(Value::Count(count));
    for (of, typed, read) in [
        (Type::Nights, "2", count(2)),
        (Type::Nights, "two", count(2)),
        (Type::Nights, "2 nights", count(2)),
        (Type::Nights, "siku 2", count(2)),
        (Type::Nights, "usiku mmoja", count(1)),
        (Type::Nights, "3NUITS", count(3)),
        (Type::Nights, "amajoro abiri", count(2)),
        (Type::Nights, "O2", count(2)),
        (Type::Nights, "31", Err(Wrong::Nights)),
        (Type::Nights, "0", Err(Wrong::Nights)),
        (Type::Nights, "2 people", Err(Wrong::Nights)),
        (Type::Nights, "nights", Err(Wrong::Nights)),
        (Type::Nights, "2 nights 3", Err(Wrong::Nights)),
        (Type::Nights, "99999999999999999999", Err(Wrong::Nights)),
        (Type::Guests, "watu wawili", count(2)),
        (Type::Guests, "4 people", count(4)),
        (Type::Guests, "l2", count(12)),
        (Type::Guests, "13", Err(Wrong::Guests)),
        (Type::Guests, "2 nights", Err(Wrong::Guests)),
        (
            Type::PlaceName,
            " Fort  Portal ",
            Ok(Value::text("Fort Portal")),
        ),
        (Type::PlaceName, "Km 46", Ok(Value::text("Km 46"))),
        (Type::PlaceName, "46", Err(Wrong::Place)),
        (Type::PlaceName, "?!", Err(Wrong::Place)),
        (
            Type::Money,
            "Ksh 4,500/=",
            Ok(Value::Money(Money::from_units(4_500, Currency::Kes))),
        ),
        (Type::Money, "UGX 4500", Err(Wrong::Money)),
        (Type::Money, "much", Err(Wrong::Money)),
        (Type::Pin, "12345678", Err(Wrong::Pin)),
        (Type::Pin, "12a4", Err(Wrong::Pin)),
    ] {
        assert_eq!(reader.read(typed, of), read, "{of:?} {typed}");
    }
    for language in &menu.languages {
        let words = [
            (Type::Nights, &language.night_words),
            (Type::Guests, &language.guest_words),
        ];
        for (of, words) in words {
            for word in words {
                for typed in [format!("2 {word}"), format!("{word} 2")] {
                    assert_eq!(reader.read(&typed, of), Ok(Value::Count(2)), "{typed}");
                }
            }
        }
    }
}

fn asks(keys: &str, of: &str) -> String {
    format!(
        "flow: any\nlanguages: [en]\nstart: home\n{keys}variables: {{ answer: {of} }}\nscreens:\n  \
         home:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: asks }} }}\n  \
         asks:\n    say: {{ en: How many? }}\n    input: {{ answer: {of} }}\n    goto: work\n  \
         work: {{ run: time_of_day, on: {{ day: bye, after_midnight: bye }} }}\n  \
         bye:\n    say: {{ en: Thanks }}\n    options: {{ 1: {{ say: {{ en: Again }}, goto: asks }} }}\n"
    )
}

#[test]
fn a_number_that_leads_around_is_no_answer_unless_it_has_another_key() {
    let codes = |source: &str| {
        let found = load(source, &languages(), &doors(160)).err();
        let found = found.into_iter().flatten();
        found
            .map(|finding| (finding.fault.word(), finding.line))
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&asks("", "count 0..9")), [("key", 11)]);
    assert_eq!(codes(&asks("", "count 1..98")), [("key", 11)]);
    assert_eq!(codes(&asks("", "count 1..97")), []);

    let menu = menu(&asks("keys: { back: 100 }\n", "count 0..9"), 160);
    let (given, reader) = (Values::new(), reader(&menu));
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    let mut state = menu.begin("en");
    menu.answer(&mut state, "1", &world);
    let page = menu.page(&state, &given, &DOOR).text;
    assert!(page.ends_with("100 Back"), "{page}");
    let mut back = state.clone();
    menu.answer(&mut back, "100", &world);
    assert_eq!(back.screen, "home");
    let step = menu.answer(&mut state, "0", &world);
    assert!(matches!(step, Step::Run(_)));
    assert_eq!(state.values["answer"], Value::Count(0));
}

#[test]
fn a_pin_is_known_to_the_work_behind_its_screen_and_nowhere_else() {
    let menu = menu(&asks("", "pin"), 160);
    let (given, reader) = (Values::new(), reader(&menu));
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    let mut state = menu.begin("en");
    menu.answer(&mut state, "1", &world);

    menu.answer(&mut state, "12345678", &world);
    let page = menu.page(&state, &given, &DOOR).text;
    assert!(
        page.starts_with("Type 4 to 6 numbers.") && !page.contains("1234"),
        "{page}"
    );
    assert!(!format!("{state:?}").contains("1234"));

    let step = menu.answer(&mut state, "0042", &world);
    assert!(matches!(step, Step::Run(_)));
    let pin = state.values["answer"].as_pin().map(|pin| pin.digits());
    assert_eq!(pin, Some("0042"));
    assert!(!format!("{state:?}").contains("0042"));
    assert!(
        serde_json::to_string(&state).is_err(),
        "it can be written down"
    );

    menu.resume(&mut state, "day", Values::new(), &world);
    assert_eq!(state.screen, "bye");
    assert!(state.values.is_empty());
    assert!(!serde_json::to_string(&state).unwrap().contains("0042"));
}

#[test]
fn what_asks_for_a_pin_comes_right_behind_its_screen_and_no_text_shows_it() {
    let broken = |text: &str| {
        let source = asks("", "pin").replace("Thanks", text);
        load(&source, &languages(), &doors(160)).unwrap_err()
    };
    let findings = broken("\"Your {answer}\"");
    assert!(
        findings
            .iter()
            .any(|finding| finding.fault.word() == "unbound"),
        "{findings:?}"
    );

    let source = asks("", "pin").replace(
        "work: { run: time_of_day, on: { day: bye, after_midnight: bye } }",
        "work:\n    run: time_of_day\n    on: { day: bye, after_midnight: bye }\n    notice: { day: { en: \"{answer}\" } }",
    );
    let findings = load(&source, &languages(), &doors(160)).unwrap_err();
    assert!(
        findings
            .iter()
            .any(|finding| finding.fault.word() == "type"),
        "{findings:?}"
    );
}
