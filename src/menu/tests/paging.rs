//! Random screens: what the checks accept is shown whole, in order and within the limit, and they refuse no more than
//! they must.

use proptest::prelude::*;

use crate::menu::Menu;
use crate::menu::door::Door;
use crate::menu::load::load;
use crate::menu::step::World;
use crate::menu::value::{LIST_LEN_MAX, Value, Values};
use crate::sms::gsm7;

use super::{doors, languages, pages, reader, settle};

/// One screen behind a list, in the words of a flow file.
#[derive(Debug, Clone)]
struct Screen {
    say: String,
    item: Option<(usize, usize)>,
    per_page: usize,
    labels: Vec<String>,
    septets_max: usize,
}

impl Screen {
    fn source(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let mut screen = format!("    say: {{ en: {} }}\n", quoted(&self.say));
        if let Some((name, town)) = self.item {
            screen.push_str(&format!(
                "    list: places\n    item: {{ en: \"{{name:{name}}} {{town:{town}}}\" }}\n    pick: place\n    per_page: {}\n    goto: home\n",
                self.per_page
            ));
        }
        screen.push_str("    options:\n");
        let first = if self.item.is_some() { 90 } else { 1 };
        for (key, label) in (first..).zip(&self.labels) {
            screen.push_str(&format!(
                "      {key}: {{ say: {{ en: {} }}, goto: home }}\n",
                quoted(label)
            ));
        }
        format!(
            "flow: any\nlanguages: [en]\nstart: home\nvariables: {{ places: list of place, place: place }}\nscreens:\n  \
             home:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: middle }} }}\n  \
             middle:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: work }} }}\n  \
             work: {{ run: recent_places, on: {{ found: shown, none: home }} }}\n  shown:\n{screen}"
        )
    }
}

/// A text of up to so many more characters; no line of it looks like an entry.
fn text(more: usize) -> impl Strategy<Value = String> {
    let all = "[A-Za-z0-9 .,?'éà€^\\[~]";
    prop::string::string_regex(&format!("[A-Za-z.,?'éà€^\\[~]{all}{{0,{more}}}")).unwrap()
}

fn screen() -> impl Strategy<Value = Screen> {
    let say = (text(60), prop::option::of(text(40)));
    (
        say,
        prop::option::of((1..30usize, 1..30usize)),
        1..=LIST_LEN_MAX,
        prop::collection::vec(text(28), 1..8),
        80..=182usize,
    )
        .prop_map(
            |((first, second), item, per_page, labels, septets_max)| Screen {
                say: [Some(first), second]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("\n"),
                item,
                per_page,
                labels,
                septets_max,
            },
        )
}

fn places() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[A-Za-z]{1,25}", any::<String>()];
    prop::collection::vec((name.clone(), name), 1..=LIST_LEN_MAX + 6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_accepted_screen_shows_every_entry_once_in_order(
        screen in screen(),
        places in places(),
        wrong in any::<bool>(),
    ) {
        let languages = languages();
        let flow = match load(&screen.source(), &languages, &doors(screen.septets_max)) {
            Ok(flow) => flow,
            Err(findings) => {
                prop_assert!(
                    findings.iter().all(|finding| finding.fault.word() == "fit"),
                    "{findings:?} in\n{}", screen.source()
                );
                return Ok(());
            }
        };
        let menu = Menu { flow, languages };
        let door = Door::new("test", screen.septets_max);
        let given = Values::new();
        let reader = reader(&menu);
        let world = World { given: &given, reader: &reader, door: &door };
        let items = places.iter().map(|(name, town)| {
            Value::record([("name", Value::text(name)), ("town", Value::text(town))])
        });
        let binds: Values = [("places".to_owned(), Value::list(items))].into();
        let mut state = menu.begin("en");
        menu.answer(&mut state, "1", &world);
        let step = menu.answer(&mut state, "1", &world);
        settle(&menu, &mut state, step, &world, |_| ("found", binds.clone()));
        if wrong {
            menu.answer(&mut state, "\u{7}", &world);
        }
        let shown = pages(&menu, &state, &world).map_err(TestCaseError::fail)?;
        for label in &screen.labels {
            let whole = |text: &String| text.lines().any(|line| line.ends_with(&format!(" {label}")));
            prop_assert!(shown.iter().any(whole), "'{label}' in {shown:?}");
        }
        let shown = shown.join("\n");
        let mut shown = shown.split_whitespace();
        for word in screen.say.split_whitespace() {
            prop_assert!(shown.any(|seen| seen == word), "'{word}' is lost or out of order");
        }
    }
}

#[test]
fn a_screen_is_refused_from_the_first_septet_too_many() {
    let source = |septets: usize| {
        format!(
            "flow: any\nlanguages: [en]\nstart: home\nvariables: {{ nights: count 1..30 }}\nscreens:\n  \
             home:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: middle }} }}\n  \
             middle:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: asks }} }}\n  \
             asks:\n    say: {{ en: {} }}\n    input: {{ nights: count 1..30 }}\n    goto: home\n",
            "W".repeat(septets)
        )
    };
    for septets_max in [160, 182] {
        let accepted = (1..septets_max)
            .filter(|septets| load(&source(*septets), &languages(), &doors(septets_max)).is_ok())
            .max()
            .unwrap();
        let menu = super::menu(&source(accepted), septets_max);
        let (given, reader) = (Values::new(), reader(&menu));
        let door = Door::new("test", septets_max);
        let world = World {
            given: &given,
            reader: &reader,
            door: &door,
        };
        let mut state = menu.begin("en");
        for answer in ["1", "1", "?", "?"] {
            menu.answer(&mut state, answer, &world);
        }
        let text = menu.page(&state, &given, &door).text;
        let longest = menu
            .language("en")
            .wrong_septets_max(None)
            .saturating_sub(gsm7::septets(state.notice.as_deref().unwrap()).unwrap());
        assert_eq!(
            gsm7::septets(&text).map(|used| used + longest),
            Some(septets_max),
            "{text}"
        );
    }
}

/// The checks once took every word of a text to be short.
#[test]
fn a_word_that_fits_no_page_is_refused_on_a_short_screen() {
    let screen = |word: &str| Screen {
        say: word.to_owned(),
        item: None,
        per_page: 2,
        labels: vec!["''~é".to_owned()],
        septets_max: 84,
    };
    let end = |word: &str| {
        format!(
            "flow: any\nlanguages: [en]\nstart: home\nvariables: {{ nights: nights }}\nscreens:\n  \
             home:\n    say: {{ en: A }}\n    options: {{ 1: {{ say: {{ en: B }}, goto: bye }} }}\n  \
             bye: {{ end: {{ en: {} }} }}\n",
            serde_json::to_string(&format!("One two {word} six")).unwrap()
        )
    };
    let shown = |source: &str, answers: &[&str]| {
        let languages = languages();
        let flow =
            load(source, &languages, &doors(84)).map_err(|findings| findings[0].fault.word())?;
        let menu = Menu { flow, languages };
        let (given, reader, door) = (Values::new(), reader(&menu), Door::new("test", 84));
        let world = World {
            given: &given,
            reader: &reader,
            door: &door,
        };
        let mut state = menu.begin("en");
        for answer in answers {
            let step = menu.answer(&mut state, answer, &world);
            settle(&menu, &mut state, step, &world, |_| {
                ("found", Values::new())
            });
        }
        Ok(pages(&menu, &state, &world).unwrap().concat())
    };
    let word = "a,'aAéaa^é^,.A~'0àa~€A0AaéàAaAA~~a^~..a0à'0',€,^aA?0.AaAaaA.a";
    assert_eq!(shown(&screen(word).source(), &["1", "1"]), Err("fit"));
    // `98 More 99 Prev 0 Back 00 Menu` and its line break take 31.
    for (len, taken) in [(53, true), (54, false)] {
        let word = "W".repeat(len);
        let seen = shown(&screen(&word).source(), &["1", "1"]);
        assert_eq!(
            seen.map(|seen| seen.contains(&word)),
            if taken { Ok(true) } else { Err("fit") }
        );
    }
    // `98 More 99 Prev` and its line break take 16.
    for (len, taken) in [(68, true), (69, false)] {
        let word = "W".repeat(len);
        let seen = shown(&end(&word), &["1"]);
        assert_eq!(
            seen.map(|seen| seen.contains(&word)),
            if taken { Ok(true) } else { Err("fit") }
        );
    }
}
