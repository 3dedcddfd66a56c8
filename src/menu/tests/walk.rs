//! Every screen of the shipped menu in every language, by every way that an answer or an outcome leads, with the longest
//! values: what the checks promise is what the engine shows.

use std::collections::BTreeSet;

use crate::booking::money::{Currency, Money};
use crate::doors::Doors;
use crate::menu::Menu;
use crate::menu::condition::Condition;
use crate::menu::door::Door;
use crate::menu::flow::{Ask, Choice, Kind};
use crate::menu::step::{State, Step, World};
use crate::menu::value::{LIST_LEN_MAX, Type, Value, Values};

use super::longest::{bound, given, longest, typed};
use super::{BOOKING, DOOR, asked, booking, pages, reader, shipped};

/// Whatever else differs does not change what is shown.
type Seen = (String, String, Option<String>, usize, usize, Vec<bool>);

struct Walk<'a> {
    menu: &'a Menu,
    world: &'a World<'a>,
    seen: BTreeSet<Seen>,
    next: Vec<State>,
    faults: Vec<String>,
}

#[test]
fn every_page_of_every_way_fits_and_keeps_its_entries() {
    // One of each size: keys only differ in length.
    for door in Doors::new(&[]).kinds() {
        walk(&door);
    }
}

fn walk(door: &Door) {
    let menu = &*BOOKING;
    let (given, reader) = (given(), reader(menu));
    let world = World {
        given: &given,
        reader: &reader,
        door,
    };
    let mut walk = Walk {
        menu,
        world: &world,
        seen: BTreeSet::new(),
        next: Vec::new(),
        faults: Vec::new(),
    };
    for language in &menu.flow.languages {
        walk.meet(menu.begin(language));
        for (alias, _) in &menu.flow.aliases {
            let mut state = menu.begin(language);
            if let Some(step) = menu.jump(&mut state, alias, &given) {
                walk.follow(state, step);
            }
        }
    }
    while let Some(state) = walk.next.pop() {
        walk.visit(&state);
    }
    assert!(walk.faults.is_empty(), "{}", walk.faults.join("\n\n"));
    walk.covers_everything();
}

impl Walk<'_> {
    fn meet(&mut self, state: State) {
        // The checks prove that whatever else is bound is not shown here.
        let list = asked(self.menu, &state)
            .and_then(|ask| ask.list.as_ref())
            .and_then(|list| state.values.get(&list.variable))
            .and_then(|value| match value {
                Value::List(items) => Some(items.len()),
                _ => None,
            });
        let seen = (
            state.screen.clone(),
            state.language.clone(),
            state.notice.clone(),
            state.history.len().min(2),
            list.unwrap_or_default(),
            self.facts(&state),
        );
        if self.seen.insert(seen) {
            self.other_sides(&state);
            self.next.push(state);
        }
    }

    /// Which conditions of the flow hold.
    fn facts(&self, state: &State) -> Vec<bool> {
        let conditions = conditions(self.menu).into_iter();
        conditions
            .map(|condition| condition.holds(&state.values, self.world.given))
            .collect()
    }

    /// The same screen, where each condition comes out the other way.
    fn other_sides(&mut self, state: &State) {
        for condition in conditions(self.menu) {
            if let Some(values) = other_side(self.menu, condition, &state.values, self.world.given)
            {
                self.meet(State {
                    values,
                    ..state.clone()
                });
            }
        }
    }

    fn visit(&mut self, state: &State) {
        let shown = match pages(self.menu, state, self.world) {
            Ok(texts) => texts.concat(),
            Err(fault) => return self.faults.push(fault),
        };
        let Some(ask) = asked(self.menu, state) else {
            return;
        };
        let position = self.menu.flow.language(&state.language);
        let offered = |option: &&Choice| option.is_offered(&state.values, self.world.given);
        for option in ask.options.iter().filter(offered) {
            let label = option.label.find(position).opening();
            if !shown.contains(&format!("{} {label}", option.key)) {
                self.faults
                    .push(format!("{}: no '{label}' in\n{shown}", state.screen));
            }
        }
        for answer in answers(ask, state) {
            let mut after = state.clone();
            let step = self.menu.answer(&mut after, &answer, self.world);
            self.picks_what_is_shown(state, &after, ask, &answer);
            self.follow(after, step);
        }
        let mut lost = state.clone();
        for _ in 0..3 {
            self.menu.answer(&mut lost, "\u{7}", self.world);
        }
        self.meet(lost);
        if let Some(draft) = self.menu.draft(state) {
            self.offers_again(draft);
        }
    }

    fn follow(&mut self, state: State, step: Step) {
        let Step::Run(action) = step else {
            return self.meet(state);
        };
        for outcome in action.outcomes {
            for list_len in [1, LIST_LEN_MAX] {
                let mut after = state.clone();
                let binds = bound(outcome.binds, list_len);
                let lists = binds.values().any(|value| matches!(value, Value::List(_)));
                let step = self
                    .menu
                    .resume(&mut after, outcome.name, binds, self.world);
                self.follow(after, step);
                if !lists {
                    break;
                }
            }
        }
    }

    fn picks_what_is_shown(&mut self, before: &State, after: &State, ask: &Ask, answer: &str) {
        let Some(list) = &ask.list else { return };
        let Some(Value::List(items)) = before.values.get(&list.variable) else {
            return;
        };
        let number = answer.parse::<usize>().unwrap_or_default();
        if (1..=items.len().min(list.at_most)).contains(&number)
            && after.values.get(&list.pick) != items.get(number - 1)
        {
            self.faults
                .push(format!("{}: {number} picks another item", before.screen));
        }
    }

    fn offers_again(&mut self, draft: State) {
        let Some(offer) = self.menu.offer(draft.clone(), &draft.language) else {
            return self
                .faults
                .push(format!("{}: kept but never offered", draft.screen));
        };
        let mut after = offer.clone();
        let step = self.menu.answer(&mut after, "1", self.world);
        if !matches!(step, Step::Show) || after != draft {
            self.faults
                .push(format!("{}: goes on elsewhere", draft.screen));
        }
        self.meet(offer);
    }

    fn covers_everything(&self) {
        for language in &self.menu.flow.languages {
            for screen in &self.menu.flow.screens {
                let met = self
                    .seen
                    .iter()
                    .any(|(name, spoken, ..)| *name == screen.name && spoken == language);
                let passed = screen.kind.is_passed();
                assert!(met != passed, "{} in {language}", screen.name);
            }
        }
    }
}

/// Every condition of the flow.
fn conditions(menu: &Menu) -> Vec<&Condition> {
    let screens = menu.flow.screens.iter();
    screens
        .flat_map(|screen| match &screen.kind {
            Kind::Ask(ask) => {
                let options = ask.options.iter();
                options
                    .filter_map(|option| option.condition.as_ref())
                    .collect()
            }
            Kind::Fork(fork) => vec![&fork.condition],
            Kind::Run(_) | Kind::End(_) => Vec::new(),
        })
        .collect()
}

/// Values that differ from these in what the condition looks at, so that it comes out the other way.
pub(super) fn other_side(
    menu: &Menu,
    condition: &Condition,
    values: &Values,
    given: &Values,
) -> Option<Values> {
    let holds = condition.holds(values, given);
    let type_of = |name: &str| {
        let declared = menu.flow.variables.iter();
        let declared = declared.filter(|(known, _)| known == name);
        declared.map(|(_, of)| *of).next()
    };
    let mut candidates = Vec::new();
    if let Some(variable) = condition.asks_after() {
        let mut changed = values.clone();
        if changed.remove(variable).is_none() {
            changed.insert(variable.to_owned(), longest(type_of(variable)?, 1));
        }
        candidates.push(changed);
    }
    for path in condition.paths() {
        let Some(of) = menu.flow.type_of(path, None) else {
            continue;
        };
        let others: Vec<Value> = match (of, of.range()) {
            (_, Some((low, high))) => (low..=high).map(Value::Count).collect(),
            (Type::Money, _) => [0, 1, 9_999_999]
                .map(|units| Value::Money(Money::from_units(units, Currency::Kes)))
                .into(),
            (Type::Date, _) => (0..3)
                .map(|days| Value::Date(super::today() + chrono::Days::new(days)))
                .collect(),
            _ => Vec::new(),
        };
        for other in others {
            let mut changed = values.clone();
            let Some(value) = changed.remove(&path.variable) else {
                continue;
            };
            let value = match &path.field {
                None => other,
                Some(field) => value.with([(field, other)]),
            };
            changed.insert(path.variable.clone(), value);
            candidates.push(changed);
        }
    }
    candidates
        .into_iter()
        .find(|values| condition.holds(values, given) != holds)
}

/// Everything that leads on from a screen, and something wrong of each kind.
fn answers(ask: &Ask, state: &State) -> Vec<String> {
    let mut answers: Vec<String> = ask
        .options
        .iter()
        .map(|option| option.key.clone())
        .collect();
    answers.extend(["0", "00", "", "?", "97"].map(str::to_owned));
    if let Some(input) = &ask.input {
        answers.push(typed(input.of));
        if input.of == Type::Date {
            answers.extend(["01-01-2020", "01-01-2030", "3113"].map(str::to_owned));
        }
    }
    if let Some(list) = &ask.list
        && let Some(Value::List(items)) = state.values.get(&list.variable)
    {
        answers.extend([1, 2, items.len()].map(|number| number.to_string()));
    }
    answers
}

#[test]
fn a_notice_stays_until_something_is_shown() {
    let source = shipped("booking.yaml").replace(
        "on: { one: when, several: which_place, none: place_typed }",
        "on: { one: when, several: which_place, none: look_up_regions }",
    );
    let menu = booking(&source, 160);
    let (given, reader) = (given(), reader(&menu));
    let world = World {
        given: &given,
        reader: &reader,
        door: &DOOR,
    };
    let mut state = menu.begin("en");
    assert!(menu.dial(&mut state, "Nowhere", &given).is_none());
    menu.answer(&mut state, "Nowhere", &world);
    menu.resume(&mut state, "none", Values::new(), &world);
    menu.resume(&mut state, "found", bound(&["regions"], 2), &world);
    assert_eq!(state.screen, "which_region");
    let text = menu.page(&state, &given, &DOOR).text;
    assert!(
        text.starts_with("We know no place like 'Nowhere'."),
        "{text}"
    );
}

#[test]
fn work_that_leads_to_a_commit_commits() {
    let source = shipped("booking.yaml").replace(
        "1: { say: { en: \"Yes, book\", sw: \"Ndiyo, weka\" }, goto: book }",
        "1: { say: { en: \"Yes, book\", sw: \"Ndiyo, weka\" }, goto: first }",
    ) + "  first:\n    run: time_of_day\n    on: { day: book, after_midnight: book }\n";
    let menu = booking(&source, 160);
    let mut state = menu.begin("en");
    assert!(!menu.commits(&state, "1", &given()));
    state.screen = "confirm".to_owned();
    assert!(menu.commits(&state, "1", &given()));
}
