//! Nothing that anybody types, and nothing that stands in a file, does harm.

use proptest::prelude::*;

use crate::menu::action::Action;
use crate::menu::input::key;
use crate::menu::language::Language;
use crate::menu::load::load;
use crate::menu::messages::Messages;
use crate::menu::step::{HISTORY_MAX, State, World};
use crate::menu::value::{Type, Value, Values};
use crate::sms::gsm7;

use super::longest::{bound, given};
use super::{BOOKING, DOOR, doors, languages, pages, reader, settle, shipped};

/// Enough items for several pages.
const LIST_LEN: usize = 9;
/// More than a dialogue of longest values takes as JSON.
const STATE_BYTES_MAX: usize = 64 * 1024;

fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "0", "00", "98", "99", "1", "2", "3", "4", "5", "6", "7", "12", "24", "90", "2512", "Nakuru", "kesho",
            "Otieno", "0712345678", "pay", "mine", "", " 1 ", "O", "l", "#", "*", "yes", "ndiyo", "book",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[0-9]{0,6}",
    ]
}

fn ended(action: &'static Action, luck: usize) -> (&'static str, Values) {
    let outcome = &action.outcomes[luck % action.outcomes.len()];
    (outcome.name, bound(outcome.binds, 1 + luck % LIST_LEN))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_dialogue_stays_whole(
        answers in prop::collection::vec((typed(), any::<prop::sample::Index>()), 1..60),
        dialled in prop::option::of(typed()),
        language in prop::sample::select(vec!["en", "sw", "xx"]),
    ) {
        let menu = &*BOOKING;
        let (given, reader) = (given(), reader(menu));
        let world = World { given: &given, reader: &reader, door: &DOOR };
        let mut state = menu.begin(language);
        if let Some(step) = dialled.and_then(|dialled| menu.dial(&mut state, &dialled, &given)) {
            settle(menu, &mut state, step, &world, |action| ended(action, 0));
        }
        for (answer, luck) in answers {
            let step = menu.answer(&mut state, &answer, &world);
            let luck = luck.index(1000);
            settle(menu, &mut state, step, &world, |action| ended(action, luck));
            pages(menu, &state, &world).map_err(TestCaseError::fail)?;
            prop_assert!(state.history.len() <= HISTORY_MAX);
            let kept = serde_json::to_string(&state).unwrap();
            prop_assert!(kept.len() < STATE_BYTES_MAX, "{} bytes", kept.len());
            prop_assert_eq!(&serde_json::from_str::<State>(&kept).unwrap(), &state);
            let draft = menu.draft(&state);
            if menu.page(&state, &given, &DOOR).ends {
                let offered = draft.and_then(|draft| menu.offer(draft, "sw"));
                state = offered.unwrap_or_else(|| menu.begin("sw"));
            }
        }
    }

    /// A state of an older menu, or one that was tampered with.
    #[test]
    fn a_state_that_does_not_fit_the_menu_still_shows_a_screen(
        screen in prop_oneof![any::<String>(), Just("confirm".to_owned()), Just("which_room".to_owned())],
        pages in prop::collection::vec(0..50usize, 0..4),
        history in prop::collection::vec(any::<String>(), 0..4),
        answer in typed(),
    ) {
        let menu = &*BOOKING;
        let (given, reader) = (given(), reader(menu));
        let world = World { given: &given, reader: &reader, door: &DOOR };
        let mut state = State { screen, pages, history, ..menu.begin("en") };
        prop_assert!(!menu.page(&state, &given, &DOOR).text.is_empty());
        let step = menu.answer(&mut state, &answer, &world);
        settle(menu, &mut state, step, &world, |action| ended(action, 0));
        prop_assert!(!menu.page(&state, &given, &DOOR).text.is_empty());
    }

    #[test]
    fn what_is_read_is_of_its_type(typed in typed(), low in -99..99i64, span in 0..99i64) {
        let menu = &*BOOKING;
        let reader = reader(menu);
        let types = [
            Type::Text(1), Type::Text(40), Type::Name, Type::Count(low, low + span), Type::Date, Type::Msisdn,
            Type::Code, Type::Money, Type::PlaceName, Type::Nights, Type::Guests,
        ];
        for of in types {
            let Ok(value) = reader.read(&typed, of) else { continue };
            prop_assert!(of.can_be_typed());
            for language in &menu.languages {
                let shown = language.show(&value);
                prop_assert!(gsm7::septets(&shown) <= language.septets_max(of), "{of:?}: {shown}");
                prop_assert!(!shown.is_empty());
            }
            if let (Value::Count(count), Some((low, high))) = (value, of.range()) {
                prop_assert!((low..=high).contains(&count));
            }
        }
    }

    #[test]
    fn a_key_is_read_through_slips(number in 1..98u8, zeros in 0..3usize, tail in "[ .#)]{0,3}") {
        let zeros = "0".repeat(zeros);
        prop_assert_eq!(key(&format!(" {zeros}{number}{tail}")), number.to_string());
        let letters = number.to_string().replace('0', "O").replace('1', "l");
        prop_assert_eq!(key(&letters), number.to_string());
    }

    #[test]
    fn any_text_has_a_key(typed in any::<String>()) {
        let key = key(&typed);
        prop_assert!(key == "0" || key == "00" || !key.starts_with('0'));
    }

    #[test]
    fn any_file_is_a_menu_or_has_findings_that_can_be_drawn(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, "[ -~\n\u{e9}\u{1e62}]{0,6}"), 1..4),
    ) {
        let languages = languages();
        for name in ["booking.yaml", "messages.yaml", "languages/sw.yaml"] {
            let mut chars: Vec<char> = shipped(name).chars().collect();
            for (at, len, text) in &cuts {
                let at = at.index(chars.len());
                let end = (at + len).min(chars.len());
                chars.splice(at..end, text.chars());
            }
            let source: String = chars.into_iter().collect();
            let findings = match name {
                "booking.yaml" => load(&source, &languages, &doors(160)).err(),
                "messages.yaml" => Messages::load(&source, &languages).err(),
                _ => Language::parse(&source).err().map(|_| Vec::new()),
            };
            for finding in findings.into_iter().flatten() {
                let picture = finding.draw(name, &source);
                prop_assert!(picture.contains(finding.fault.word()) && picture.contains(name), "{picture}");
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(source in any::<String>()) {
        let languages = languages();
        for finding in load(&source, &languages, &doors(160)).err().into_iter().flatten() {
            finding.draw("any.yaml", &source);
        }
        for finding in Messages::load(&source, &languages).err().into_iter().flatten() {
            finding.draw("any.yaml", &source);
        }
        Language::parse(&source).ok();
    }
}
