//! A booking dialogue, stepped and rendered again and again: through the menu engine, and as plain code that knows
//! nothing but this dialogue.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use reserveflow::country::COUNTRIES;
use reserveflow::doors::Doors;
use reserveflow::menu::action::{ACTIONS, Action};
use reserveflow::menu::door::{Door, SEPTETS_USUAL};
use reserveflow::menu::files;
use reserveflow::menu::input::Reader;
use reserveflow::menu::language::Language;
use reserveflow::menu::sample::Sample;
use reserveflow::menu::step::{Step, World};
use reserveflow::menu::{Menu, value::Value, value::Values};

use super::{Wanted, target};

/// One way to BOOKED.
const ANSWERS: [&str; 8] = ["1", "Nakuru", "1", "2", "2", "1", "Mary", "1"];
/// How long each side runs, of several rounds in turn.
const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;
const TURNS_PER_SECOND: f64 = 500_000.0;
const TIMES_PLAIN: f64 = 5.0;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let (menu, _) = files::read(None, &Doors::new(&[]).kinds())?;
    let today = NaiveDate::from_ymd_opt(2026, 11, 4).unwrap_or_default();
    let given = Sample::Usual.given(today);
    let reader = Reader {
        languages: menu.languages.iter().collect(),
        today,
        country: &COUNTRIES[0],
    };
    let world = World {
        given: &given,
        reader: &reader,
        door: &Door::new("bench", SEPTETS_USUAL),
    };
    let language = menu.language("en");
    let ends: BTreeMap<_, _> = ACTIONS
        .iter()
        .map(|action| (action.name, end(action, today)))
        .collect();
    let (mut engine, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        engine.push(rate(|| through_the_menu(&menu, &world, &ends)));
        plain.push(rate(|| as_plain_code(language, &given)));
    }
    let (engine, plain) = (median(engine), median(plain));
    println!("| booking dialogue, one core | turns/s | µs a turn |\n| --- | ---: | ---: |");
    println!("| plain code | {plain:.0} | {:.2} |", 1e6 / plain);
    println!("| menu engine | {engine:.0} | {:.2} |", 1e6 / engine);
    target(
        "menu-turns-per-second",
        engine,
        Wanted::AtLeast(TURNS_PER_SECOND),
    );
    target(
        "menu-times-plain-code",
        plain / engine,
        Wanted::AtMost(TIMES_PLAIN),
    );
    Ok(ExitCode::SUCCESS)
}

/// Turns in a second.
fn rate(mut dialogue: impl FnMut() -> usize) -> f64 {
    let begin = Instant::now();
    let mut turns = 0;
    while begin.elapsed() < ROUND {
        for _ in 0..100 {
            turns += dialogue();
        }
    }
    turns as f64 / begin.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// How each action ends here, and what it binds: its own work is not the engine's.
type Ends = BTreeMap<&'static str, (&'static str, Values)>;

fn end(action: &Action, today: NaiveDate) -> (&'static str, Values) {
    let outcome = match action.name {
        "recent_places" | "known_guest" => &action.outcomes[1],
        _ => &action.outcomes[0],
    };
    (outcome.name, Sample::Usual.binds(outcome, today))
}

fn through_the_menu(menu: &Menu, world: &World<'_>, ends: &Ends) -> usize {
    let mut state = menu.begin("en");
    black_box(menu.page(&state, world.given, world.door));
    for answer in ANSWERS {
        let mut step = menu.answer(&mut state, answer, world);
        while let Step::Run(action) = step {
            let (outcome, binds) = &ends[action.name];
            step = menu.resume(&mut state, outcome, binds.clone(), world);
        }
        black_box(menu.page(&state, world.given, world.door));
    }
    ANSWERS.len() + 1
}

/// The screens that the engine shows, written by hand.
fn as_plain_code(language: &Language, given: &Values) -> usize {
    let today = language.show(&given["today"]);
    let price = language.show(&Value::Money(
        reserveflow::booking::money::Money::from_units(
            4_500,
            reserveflow::booking::money::Currency::Kes,
        ),
    ));
    let nav = "0 Back 00 Menu";
    let mut place = String::new();
    let (mut nights, mut guests, mut name) = (0u8, 0u8, String::new());
    for (turn, answer) in std::iter::once("").chain(ANSWERS).enumerate() {
        let screen = match turn {
            0 => "ReserveFlow: a room tonight\n1 Book a room\n2 My booking\n3 Pay\n4 Kiswahili / language\n5 Help, call me\n6 For lodges".to_owned(),
            1 => "Where do you sleep? Type the town or stage, e.g. Nakuru\n1 Choose from a list\n0 Back".to_owned(),
            2 => {
                answer.clone_into(&mut place);
                format!("{place}: which night?\n1 Today, {today}\n2 Tomorrow, {}\n3 {}\n4 Other day\n{nav}", language.show(&given["tomorrow"]), language.show(&given["weekend"]))
            }
            3 => format!("{place}, {today}\nHow many nights?\n{nav}"),
            4 => {
                nights = answer.parse().unwrap_or(1);
                format!("{place}, {today}, {nights} nights\nHow many people?\n{nav}")
            }
            5 => {
                guests = answer.parse().unwrap_or(1);
                let mut screen = format!("{place}, {today}, {nights} nights");
                for row in 1..=3 {
                    screen.push_str(&format!("\n{row} Sunset Lodge {price} KFA stage"));
                }
                screen.push_str("\n98 More 0 Back 00 Menu");
                screen
            }
            6 => format!("Sunset Lodge: {price}\nYour name?\n0 Skip\n00 Menu"),
            7 => {
                answer.clone_into(&mut name);
                format!("Sunset Lodge {place}\n{today}, {nights} nights\n{price} at lodge\nCancel by 5 Nov 14:00\n1 Yes, book\n2 For a friend\n{nav}")
            }
            _ => format!("BOOKED 4821-7736. Sunset Lodge, {today}, {nights} nights. Pay {price} at the lodge. The code comes by SMS. 0712345678"),
        };
        assert!(reserveflow::sms::gsm7::fits_ussd(&screen, 160));
        black_box((screen, guests, &name));
    }
    ANSWERS.len() + 1
}
