//! Every language: how values read, what is understood when typed, and one whole booking from the first screen to the last.

use chrono::{Days, NaiveDate};

use crate::booking::money::{Currency, Money};
use crate::country::{COUNTRIES, Country};
use crate::menu::action::Action;
use crate::menu::input::Reader;
use crate::menu::language::Language;
use crate::menu::step::{State, Step, World};
use crate::menu::value::{Type, Value, Values};
use crate::sms::gsm7;

use super::{BOOKING, DOOR, language};

const CODES: [&str; 8] = ["en", "sw", "fr", "lg", "rw", "ha", "yo", "pcm"];
/// A Wednesday.
const TODAY: &str = "2026-11-04";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn reader<'a>(own: &'a Language, country: &'static Country) -> Reader<'a> {
    let others = BOOKING.languages.iter();
    Reader {
        languages: std::iter::once(own)
            .chain(others.filter(|other| other.code != own.code))
            .collect(),
        today: day(TODAY),
        country,
    }
}

fn kenya() -> &'static Country {
    Country::find("KE").unwrap()
}

#[test]
fn money_and_dates_read_as_people_write_them() {
    let money = Money {
        minor: 1_250_000,
        currency: Currency::Rwf,
    };
    for (code, amount, date) in [
        ("en", "RWF 1,250,000", "Fri 6 Nov"),
        ("sw", "RWF 1,250,000", "Ijm 6 Nov"),
        ("fr", "RWF 1 250 000", "ven 6 nov"),
        ("lg", "RWF 1,250,000", "Kuta 6 Nov"),
        ("rw", "RWF 1,250,000", "Gatanu 6 Ugu"),
        ("ha", "RWF 1,250,000", "Jum 6 Nuw"),
        ("yo", "RWF 1,250,000", "Eti 6 Nov"),
        ("pcm", "RWF 1,250,000", "Fri 6 Nov"),
    ] {
        let language = language(code);
        assert_eq!(language.money(money), amount, "{code}");
        assert_eq!(language.date(day("2026-11-06")), date, "{code}");
    }
}

#[test]
fn counts_take_the_form_of_their_language() {
    for (code, forms) in [
        ("en", [1, 0, 1, 1]),
        ("sw", [1, 0, 1, 1]),
        ("fr", [0, 0, 1, 1]),
        ("lg", [1, 0, 1, 1]),
        ("rw", [1, 0, 1, 1]),
        ("ha", [1, 0, 1, 1]),
        ("yo", [0, 0, 0, 0]),
        ("pcm", [0, 0, 0, 0]),
    ] {
        let plural = language(code).plural;
        assert_eq!(
            [0, 1, 2, 30].map(|count| plural.form(count)),
            forms,
            "{code}"
        );
        assert!(forms.iter().all(|form| *form < plural.forms()), "{code}");
    }
}

#[test]
fn every_date_shown_is_understood_when_typed_back() {
    for code in CODES {
        let language = language(code);
        let reader = reader(&language, kenya());
        for ahead in 0..365 {
            let date = day(TODAY) + Days::new(ahead);
            let shown = language.date(date);
            for typed in [
                shown.clone(),
                shown.to_uppercase(),
                shown.split_once(' ').unwrap().1.to_owned(),
            ] {
                let read = reader.read(&typed, Type::Date);
                assert_eq!(read, Ok(Value::Date(date)), "{code}: {typed}");
            }
        }
    }
}

#[test]
fn words_for_days_and_numbers_are_understood() {
    for (code, today, tomorrow, friday, two) in [
        ("en", "tonight", "tomorrow", "friday", "two"),
        ("sw", "leo", "kesho", "ijumaa", "mbili"),
        ("fr", "Aujourd'hui", "demain", "vendredi", "deux"),
        ("lg", "leero", "enkya", "ku lwakutaano", "bbiri"),
        ("rw", "uyu munsi", "ejo", "kuwa gatanu", "kabiri"),
        ("ha", "yau", "gobe", "Juma'a", "biyu"),
        ("yo", "oni", "ola", "ojo eti", "meji"),
        ("pcm", "today", "tomoro", "friday", "two"),
    ] {
        let language = language(code);
        let reader = reader(&language, kenya());
        for (typed, date) in [
            (today, "2026-11-04"),
            (tomorrow, "2026-11-05"),
            (friday, "2026-11-06"),
        ] {
            let read = reader.read(typed, Type::Date);
            assert_eq!(read, Ok(Value::Date(day(date))), "{code}: {typed}");
        }
        let read = reader.read(two, Type::Count(1, 30));
        assert_eq!(read, Ok(Value::Count(2)), "{code}: {two}");
    }
}

#[test]
fn english_words_keep_their_meaning_beside_every_language() {
    let own = language("en");
    let reader = reader(&own, kenya());
    for (typed, date) in [
        ("mar 3", Some("2027-03-03")),
        ("sun", Some("2026-11-08")),
        ("sat 7 nov", Some("2026-11-07")),
        ("none", None),
        ("nakuru", None),
        ("how", None),
    ] {
        let read = reader.read(typed, Type::Date).ok();
        assert_eq!(read, date.map(|date| Value::Date(day(date))), "{typed}");
    }
}

fn given(country: &Country) -> Values {
    let today = day(TODAY);
    [
        ("today", Value::Date(today)),
        ("tomorrow", Value::Date(today + Days::new(1))),
        ("yesterday", Value::Date(today - Days::new(1))),
        ("weekend", Value::Date(today + Days::new(2))),
        ("service_code", Value::text("*384*7#")),
        ("care_phone", Value::text("+254700000000")),
        ("country", Value::text(country.code)),
        ("languages", Value::text(BOOKING.names_spoken_in(country))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[test]
fn the_first_screen_is_one_page_in_every_language_and_country() {
    for country in COUNTRIES {
        let given = given(country);
        for code in CODES {
            let state = BOOKING.begin(code);
            let text = BOOKING.page(&state, &given, &DOOR).text;
            assert!(gsm7::fits_ussd(&text, 160), "{text}");
            let keys: Vec<_> = text.lines().skip(1).map(|line| &line[..2]).collect();
            assert_eq!(keys, ["1 ", "2 ", "3 ", "4 ", "5 ", "6 "], "{text}");
            let names = BOOKING.names_spoken_in(country);
            assert!(text.contains(&format!(": {names}\n")), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= 40),
                "{text}"
            );
        }
    }
}

#[test]
fn languages_of_the_country_come_first_and_keep_their_numbers() {
    for (country, first, rest) in [
        (
            "KE",
            "1 English\n2 Kiswahili",
            "3 Luganda\n4 Kinyarwanda\n5 Francais\n6 Pidgin\n7 Hausa\n8 Yoruba",
        ),
        (
            "TZ",
            "2 Kiswahili\n1 English",
            "3 Luganda\n4 Kinyarwanda\n5 Francais\n6 Pidgin\n7 Hausa\n8 Yoruba",
        ),
        (
            "UG",
            "1 English\n3 Luganda\n2 Kiswahili",
            "4 Kinyarwanda\n5 Francais\n6 Pidgin\n7 Hausa\n8 Yoruba",
        ),
        (
            "RW",
            "4 Kinyarwanda\n1 English\n5 Francais",
            "2 Kiswahili\n3 Luganda\n6 Pidgin\n7 Hausa\n8 Yoruba",
        ),
        (
            "NG",
            "1 English\n6 Pidgin\n7 Hausa\n8 Yoruba",
            "2 Kiswahili\n3 Luganda\n4 Kinyarwanda\n5 Francais",
        ),
        (
            "GH",
            "1 English",
            "2 Kiswahili\n3 Luganda\n4 Kinyarwanda\n5 Francais\n6 Pidgin\n7 Hausa\n8 Yoruba",
        ),
    ] {
        let country = Country::find(country).unwrap();
        let (own, given) = (language("en"), given(country));
        let world = World {
            given: &given,
            reader: &reader(&own, country),
            door: &DOOR,
        };
        let mut state = BOOKING.begin("en");
        BOOKING.answer(&mut state, "4", &world);
        let text = BOOKING.page(&state, &given, &DOOR).text;
        assert_eq!(text, format!("Which language?\n{first}\n98 More 0 Back"));
        BOOKING.answer(&mut state, "98", &world);
        let text = BOOKING.page(&state, &given, &DOOR).text;
        assert_eq!(text, format!("Which language?\n{rest}\n99 Prev 0 Back"));
        // A number works from either page.
        BOOKING.answer(&mut state, "5", &world);
        assert_eq!(
            (state.screen.as_str(), state.language.as_str()),
            ("home", "fr")
        );
    }
}

fn money() -> Value {
    Value::Money(Money {
        minor: 1_500_000,
        currency: Currency::Ngn,
    })
}

/// What the service would find.
fn work(action: &'static Action, state: &State) -> (&'static str, Values) {
    let place = || {
        Value::record([
            ("name", Value::text("Ibadan")),
            ("town", Value::text("Ibadan")),
        ])
    };
    let offer = || {
        Value::record([
            ("name", Value::text("Sunset Lodge")),
            ("landmark", Value::text("Mokola")),
            ("town", Value::text("Ibadan")),
            ("price", money()),
            ("total", money()),
            ("left", Value::Count(2)),
        ])
    };
    let quote = || {
        Value::record([
            ("total", money()),
            ("check_out", Value::Date(day("2026-11-06"))),
            ("pay", Value::text("")),
            ("cancel_rule", Value::text("")),
        ])
    };
    let booking = || {
        Value::record([
            ("code", Value::text("4821-7736")),
            ("lodge", Value::text("Sunset Lodge")),
            ("phone", Value::text("+2348030000001")),
            ("check_in", state.values["check_in"].clone()),
            ("nights", state.values["nights"].clone()),
            ("total", money()),
        ])
    };
    let (outcome, bind) = match action.name {
        "recent_places" => ("none", None),
        "find_place" => ("one", Some(("place", place()))),
        "time_of_day" => ("day", None),
        "search" => ("found", Some(("offers", Value::List(vec![offer()].into())))),
        "quote" => ("quoted", Some(("quote", quote()))),
        "known_guest" => ("unknown", None),
        "reserve" => ("confirmed", Some(("booking", booking()))),
        other => panic!("{other}"),
    };
    let binds = bind.map(|(name, value)| (name.to_owned(), value));
    (outcome, binds.into_iter().collect())
}

/// One booking: today, two nights (in the caller's own word), one person.
fn dialogue(code: &str, country: &'static Country, two: &str) -> Vec<String> {
    let (own, given) = (language(code), given(country));
    let reader = reader(&own, country);
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    let mut state = BOOKING.begin(code);
    let mut shown = vec![BOOKING.page(&state, &given, &DOOR).text];
    for typed in ["1", "ibadan", "1", two, "1", "1", "Ada", "1"] {
        let step = BOOKING.answer(&mut state, typed, &world);
        if let Step::Run(action) = step {
            let mut next = Some(action);
            while let Some(action) = next {
                let (outcome, binds) = work(action, &state);
                next = match BOOKING.resume(&mut state, outcome, binds, &world) {
                    Step::Run(action) => Some(action),
                    Step::Show => None,
                };
            }
        }
        let page = BOOKING.page(&state, &given, &DOOR);
        assert!(gsm7::fits_ussd(&page.text, 160), "{}", page.text);
        shown.push(page.text);
        assert_eq!(page.ends, shown.len() == 9, "{code}: {shown:#?}");
    }
    assert_eq!(state.screen, "booked");
    shown
}

#[test]
fn a_whole_booking_in_every_language() {
    for (code, country, two, home, question, last) in [
        (
            "en",
            "NG",
            "two",
            "ReserveFlow: a room tonight",
            "Ibadan, Wed 4 Nov\nHow many nights?",
            "2 nights. Pay NGN 15,000 at the lodge.",
        ),
        (
            "sw",
            "TZ",
            "mbili",
            "ReserveFlow: chumba leo",
            "Ibadan, Jtn 4 Nov\nSiku ngapi?",
            "siku 2. Lipa NGN 15,000 kwenye lodge.",
        ),
        (
            "fr",
            "RW",
            "deux",
            "ReserveFlow: une chambre ce soir",
            "Ibadan, mer 4 nov\nCombien de nuits?",
            "2 nuits. Payez NGN 15 000 au lodge.",
        ),
        (
            "lg",
            "UG",
            "bbiri",
            "ReserveFlow: ekisenge ekiro kino",
            "Ibadan, Kusa 4 Nov\nEbiro bimeka?",
            "ebiro 2. Sasula NGN 15,000 ku lodge.",
        ),
        (
            "rw",
            "RW",
            "kabiri",
            "ReserveFlow: icyumba iri joro",
            "Ibadan, Gatatu 4 Ugu\nAmajoro angahe?",
            "amajoro 2. Ishyura NGN 15,000 kuri lodge.",
        ),
        (
            "ha",
            "NG",
            "biyu",
            "ReserveFlow: dakin kwana yau",
            "Ibadan, Lar 4 Nuw\nKwana nawa?",
            "kwana 2. Biya NGN 15,000 a lodge.",
        ),
        (
            "yo",
            "NG",
            "meji",
            "ReserveFlow: yara fun oru oni",
            "Ibadan, Ojoru 4 Nov\nOru melo?",
            "oru 2. San NGN 15,000 ni lodge.",
        ),
        (
            "pcm",
            "NG",
            "two",
            "ReserveFlow: room for tonight",
            "Ibadan, Wed 4 Nov\nHow many night?",
            "2 night. Pay NGN 15,000 for the lodge.",
        ),
    ] {
        let shown = dialogue(code, Country::find(country).unwrap(), two);
        assert!(shown[0].starts_with(home), "{}", shown[0]);
        assert!(shown[3].starts_with(question), "{}", shown[3]);
        assert!(
            shown[8].starts_with("BOOKED 4821-7736. Sunset Lodge"),
            "{}",
            shown[8]
        );
        assert!(shown[8].contains(last), "{}", shown[8]);
    }
}
