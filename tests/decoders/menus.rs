//! Menu files and dialogues of any bytes: each is understood or refused, every finding can be drawn, and no answer, nor a
//! state that was tampered with, ends in anything but a screen.
//!
//! The seeds are the small menus of `tests/corpus/menus`; `tests/corpus/menus.jsonl` keeps what mutation has found, as for
//! the decoders.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use chrono::NaiveDate;
use reserveflow::country::Country;
use reserveflow::menu::door::{Door, SEPTETS_USUAL};
use reserveflow::menu::finding::Finding;
use reserveflow::menu::flow::RUNS_MAX;
use reserveflow::menu::input::Reader;
use reserveflow::menu::language::Language;
use reserveflow::menu::link::Called;
use reserveflow::menu::load::load_whole;
use reserveflow::menu::messages::Messages;
use reserveflow::menu::sample::Sample;
use reserveflow::menu::step::{State, Step, World};
use reserveflow::menu::translation::Translation;
use reserveflow::menu::{Menu, files};
use reserveflow::sms::gsm7;

use super::corpus::{self, Input};
use super::mutate::Mutator;
use super::{keeps, rounds};

const FILE: &str = "menus.jsonl";
/// Mutations of each kind in a run of the whole suite: a menu takes longer to prove than a request to read.
const MUTATIONS: usize = 400;
/// Answers of one dialogue.
const ANSWERS_MAX: usize = 40;
const KINDS: [&str; 6] = [
    "booking.yaml",
    "people.yaml",
    "fr.yaml",
    "messages.yaml",
    "language",
    "dialogue",
];

/// The menus as they are shipped, for dialogues.
static SHIPPED: LazyLock<Menu> = LazyLock::new(|| files::read(None, &[door()]).unwrap().0);
static ENGLISH: LazyLock<String> = LazyLock::new(|| written("../../menus/languages/en.yaml"));
static FRENCH: LazyLock<String> = LazyLock::new(|| written("../../menus/languages/fr.yaml"));

fn door() -> Door {
    Door::new("any", SEPTETS_USUAL)
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 9, 30).unwrap()
}

/// A file below `tests/corpus`.
fn written(name: &str) -> String {
    fs::read_to_string(corpus::folder().join(name)).unwrap()
}

fn seeds(kind: &str) -> Vec<Input> {
    let bodies = match kind {
        "language" => vec![ENGLISH.clone().into_bytes()],
        "dialogue" => dialogues(),
        file => vec![written(&format!("menus/{file}")).into_bytes()],
    };
    let input = |body| Input {
        decoder: kind.to_owned(),
        body,
        ..Input::default()
    };
    bodies.into_iter().map(input).collect()
}

/// A state on the first line, and what is answered on the others.
fn dialogues() -> Vec<Vec<u8>> {
    let fresh = SHIPPED.begin("sw");
    let mut known = SHIPPED.begin("en");
    known.values = Sample::Usual.values(&SHIPPED.flow, today());
    known.screen = "confirm".to_owned();
    known.history = vec!["home".to_owned(), "which_room".to_owned()];
    let mut listing = known.clone();
    listing.screen = "which_room".to_owned();
    listing.pages = vec![0, 4];
    let answers = "1\nNakuru\n2512\n2\n2\n1\nMary\n1\n98\n99\n0\n00\n*384*7*pay#";
    [fresh, known, listing]
        .map(|state| format!("{}\n{answers}", serde_json::to_string(&state).unwrap()).into_bytes())
        .into()
}

#[test]
fn any_bytes_are_a_menu_or_refused_and_any_answer_leads_to_a_screen() {
    let mut kept = corpus::kept(FILE);
    let mut found: BTreeSet<String> = kept.iter().map(outcome).collect();
    let known = found.len();
    rounds(|round| {
        for kind in KINDS {
            let of_kind = kept.iter().filter(|input| input.decoder == kind).cloned();
            let seeds: Vec<_> = seeds(kind).into_iter().chain(of_kind).collect();
            let mut mutator = Mutator::new(kind, round);
            for count in 0..MUTATIONS {
                let seed = &seeds[count % seeds.len()];
                let other = &seeds[(count / seeds.len()) % seeds.len()];
                let mut input = seed.clone();
                // The seeds as they are first.
                if round > 0 || count >= seeds.len() {
                    input.body = mutator.body(&seed.body, &other.body);
                }
                if found.insert(outcome(&input)) && keeps() {
                    kept.push(input);
                }
            }
        }
    });
    println!("{} outcomes, {known} of them in the corpus", found.len());
    if keeps() {
        corpus::keep(FILE, kept);
    }
}

fn outcome(input: &Input) -> String {
    let text = String::from_utf8_lossy(&input.body);
    let of = input.decoder.as_str();
    let word = match of {
        "dialogue" => dialogue(&text),
        "language" => word(
            of,
            &text,
            &Language::parse(&text).map_err(|finding| vec![finding]),
        ),
        "messages.yaml" => word(of, &text, &Messages::load(&text, &languages())),
        _ => {
            let loaded = flow(of, &text);
            if let Ok(menu) = &loaded {
                walk(menu, menu.begin("fr"), "1\n2\n3\nx\n97\n0\n00\n40");
            }
            word(of, &text, &loaded)
        }
    };
    format!("{of}: {word}")
}

fn languages() -> Vec<Language> {
    [&*ENGLISH, &*FRENCH]
        .map(|source| Language::parse(source).unwrap())
        .into()
}

/// The small menu with this for one of its files.
fn flow(of: &str, text: &str) -> Result<Menu, Vec<Finding>> {
    let source = |name: &str| match name == of {
        true => text.to_owned(),
        false => written(&format!("menus/{name}")),
    };
    let one = |finding| vec![finding];
    let called = Called::parse("people.yaml", &source("people.yaml")).map_err(one)?;
    let french = Translation::parse("fr.yaml", &source("fr.yaml")).map_err(one)?;
    let languages = languages();
    let main = source("booking.yaml");
    let flow = load_whole(&main, vec![called], &[french], &languages, &[door()])?;
    Ok(Menu { flow, languages })
}

/// What came of it, by the first finding; each of them is drawn.
fn word<T>(name: &str, source: &str, loaded: &Result<T, Vec<Finding>>) -> String {
    let Err(findings) = loaded else {
        return "proven".to_owned();
    };
    assert!(!findings.is_empty(), "refused without a reason: {source}");
    for finding in findings {
        let picture = finding.draw(name, source);
        assert!(picture.contains(finding.fault.word()), "{picture}");
    }
    findings[0].fault.word().to_owned()
}

fn dialogue(text: &str) -> String {
    let (state, answers) = text.split_once('\n').unwrap_or(("", text));
    let kept = serde_json::from_str::<State>(state);
    let word = if kept.is_ok() { "kept" } else { "begun" };
    let state = kept.unwrap_or_else(|_| SHIPPED.begin("en"));
    format!("{word} {}", walk(&SHIPPED, state, answers))
}

/// Answers one after the other, with a screen after each. The screen of the last one.
fn walk(menu: &Menu, mut state: State, answers: &str) -> String {
    let given = Sample::Usual.given(today());
    let reader = Reader {
        languages: menu.languages.iter().collect(),
        today: today(),
        country: Country::find("KE").unwrap(),
    };
    let door = door();
    let world = World {
        given: &given,
        reader: &reader,
        door: &door,
    };
    let sample = Sample::Longest.values(&menu.flow, today());
    shows(menu, &state, &world);
    for (turn, typed) in answers.split('\n').take(ANSWERS_MAX).enumerate() {
        let mut step = match typed.starts_with('*') {
            true => menu.dial(&mut state, typed, &given).unwrap_or(Step::Show),
            false => menu.answer(&mut state, typed, &world),
        };
        for _ in 0..RUNS_MAX {
            let Step::Run(action) = step else { break };
            let outcome = &action.outcomes[turn % action.outcomes.len()];
            let binds = outcome.binds.iter();
            let binds =
                binds.filter_map(|name| Some(((*name).to_owned(), sample.get(*name)?.clone())));
            step = menu.resume(&mut state, outcome.name, binds.collect(), &world);
        }
        assert!(
            matches!(step, Step::Show),
            "work without end at {}",
            state.screen
        );
        shows(menu, &state, &world);
    }
    state.screen
}

fn shows(menu: &Menu, state: &State, world: &World<'_>) {
    let page = menu.page(state, world.given, world.door);
    let septets = gsm7::septets(&page.text);
    assert!(septets.is_some(), "outside GSM-7: {state:?}");
}
