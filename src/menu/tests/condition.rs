//! Conditions: what holds of which values, what a screen then offers, and which way a fork goes.

use crate::booking::money::{Currency, Money};
use crate::menu::condition::Condition;
use crate::menu::load::load;
use crate::menu::source::Word;
use crate::menu::step::{State, World};
use crate::menu::value::{Value, Values};

use super::{DOOR, doors, languages, menu, pages, reader, today};

fn word(text: &str) -> Word {
    serde_saphyr::from_str(&serde_json::to_string(text).unwrap()).unwrap()
}

#[test]
fn a_condition_holds_of_the_values_that_it_says() {
    let booking = Value::record([
        ("nights", Value::Count(3)),
        ("cost", Value::Money(Money::from_units(0, Currency::Kes))),
        (
            "total",
            Value::Money(Money {
                minor: 450_050,
                currency: Currency::Kes,
            }),
        ),
    ]);
    let values: Values = [
        ("nights".to_owned(), Value::Count(2)),
        ("check_in".to_owned(), Value::Date(today())),
        ("name".to_owned(), Value::text("Mary")),
        ("booking".to_owned(), booking),
    ]
    .into();
    let given: Values = [
        ("country".to_owned(), Value::text("UG")),
        ("today".to_owned(), Value::Date(today())),
        (
            "tomorrow".to_owned(),
            Value::Date(today().succ_opt().unwrap()),
        ),
    ]
    .into();
    for (condition, holds) in [
        ("nights", Some(true)),
        ("friend", Some(false)),
        ("not friend", Some(true)),
        ("not nights", Some(false)),
        ("nights = 2", Some(true)),
        ("nights > 2", Some(false)),
        ("nights < 3", Some(true)),
        ("not nights < 3", Some(false)),
        ("nights < booking.nights", Some(true)),
        ("booking.nights = 3", Some(true)),
        ("booking.total > 4500", Some(true)),
        ("booking.total = 4500", Some(false)),
        ("booking.cost = 0", Some(true)),
        ("booking.total > booking.cost", Some(true)),
        ("country = UG", Some(true)),
        ("country = KE", Some(false)),
        ("name = Mary", Some(true)),
        ("check_in = today", Some(true)),
        ("check_in < tomorrow", Some(true)),
        // What is not known compares with nothing.
        ("guests > 1", Some(false)),
        ("not guests > 1", Some(true)),
        ("booking.guests = 1", Some(false)),
        ("", None),
        ("not", None),
        ("nights >", None),
        ("nights >= 2", None),
        ("nights is 2", None),
        ("nights > 2 3", None),
        ("Nights > 2", None),
        ("booking.nights", None),
        ("nights > 99999999999999999999", None),
        ("nights = two nights", None),
        ("country = 'UG'", None),
    ] {
        let read = Condition::parse(&word(condition));
        let seen = read.map(|read| read.holds(&values, &given));
        assert_eq!(seen, holds, "{condition}");
    }
}

const FLOW: &str = r#"flow: any
languages: [en]
start: home
variables: { nights: nights, friend: msisdn, name: name }
screens:
  home:
    say: { en: Nights? }
    input: { nights: nights }
    goto: fork
  fork: { if: nights > 1, goto: long, else: short }
  long:
    say: { en: "Stay {nights|# night|# nights}" }
    options:
      1: { say: { en: Book it }, goto: bye }
      2: { say: { en: For a friend }, if: not friend, goto: friend }
      3: { say: { en: "Call {friend}" }, if: friend, goto: bye }
      0: { say: { en: Skip }, if: nights > 29, goto: bye }
  short:
    say: { en: One night }
    options: { 1: { say: { en: Good }, goto: bye } }
  friend:
    say: { en: Number? }
    input: { friend: msisdn }
    goto: again
  again: { if: friend, goto: fork, else: home }
  bye: { end: { en: Bye } }
"#;

#[test]
fn an_option_is_there_only_where_its_condition_holds_and_a_fork_goes_its_way() {
    // The fork behind `friend` always finds it known.
    let findings = load(FLOW, &languages(), &doors(160)).unwrap_err();
    let found: Vec<_> = findings
        .iter()
        .map(|finding| (finding.fault.word(), finding.line))
        .collect();
    assert_eq!(found, [("condition", 25)]);

    let source = FLOW.replace(
        "goto: again\n  again: { if: friend, goto: fork, else: home }\n",
        "goto: fork\n",
    );
    let menu = menu(&source, 160);
    let (given, reader) = (Values::new(), reader(&menu));
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    let played = |answers: &[&str]| -> (State, String) {
        let mut state = menu.begin("en");
        for answer in answers {
            menu.answer(&mut state, answer, &world);
        }
        let shown = pages(&menu, &state, &world).unwrap().concat();
        (state, shown)
    };
    for (answers, screen, shown) in [
        (&["1"][..], "short", "One night\n1 Good\n0 Back"),
        (
            &["2"],
            "long",
            "Stay 2 nights\n1 Book it\n2 For a friend\n0 Back",
        ),
        (
            &["2", "3"],
            "long",
            "Choose a number shown.\nStay 2 nights\n1 Book it\n2 For a friend\n0 Back",
        ),
        (
            &["2", "Call"],
            "long",
            "Choose a number shown.\nStay 2 nights\n1 Book it\n2 For a friend\n0 Back",
        ),
        (&["2", "0"], "home", "Nights?"),
        (
            &["30"],
            "long",
            "Stay 30 nights\n1 Book it\n2 For a friend\n0 Skip",
        ),
        (&["30", "0"], "bye", "Bye"),
        (
            &["2", "2", "0712345678"],
            "long",
            "Stay 2 nights\n1 Book it\n3 Call +254712345678\n0 Back",
        ),
        (
            &["2", "2", "0712345678", "2"],
            "long",
            "Choose a number shown.\nStay 2 nights\n1 Book it\n3 Call +254712345678\n0 Back",
        ),
        (&["2", "2", "0712345678", "3"], "bye", "Bye"),
        (&["2", "for"], "friend", "Number?\n0 Back 00 Menu"),
    ] {
        let (state, seen) = played(answers);
        assert_eq!(
            (state.screen.as_str(), seen.as_str()),
            (screen, shown),
            "{answers:?}"
        );
    }
}
