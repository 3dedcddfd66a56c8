//! One answer, one step. Pure: the same state, answer and world lead to the same place.

use serde::{Deserialize, Serialize};

use super::Menu;
use super::action::Action;
use super::door::Door;
use super::flow::{Ask, Choice, Flow, Input, Kind, List, Setting, Target};
use super::input::{Reader, key};
use super::language::Wrong;
use super::source::ResumeMode;
use super::value::{Type, Value, Values};

/// How many screens back a dialogue remembers.
pub(super) const HISTORY_MAX: usize = 20;

/// Where a dialogue stands, as stored between two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The screen shown last, or at work.
    pub screen: String,
    /// The caller's language.
    pub language: String,
    /// Every bound variable.
    pub values: Values,
    /// The screens before, the last one last.
    pub history: Vec<String>,
    /// The first entry of each page turned so far; the last is the page shown.
    pub pages: Vec<usize>,
    /// Wrong answers to this screen in a row.
    pub wrong: u8,
    /// What to say above the screen, once.
    pub notice: Option<String>,
    /// What an earlier session was doing when it broke off.
    pub draft: Option<Box<State>>,
}

/// What has to happen next.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Show the screen and wait for an answer, or END.
    Show,
    /// Do this, then [`Menu::resume`].
    Run(&'static Action),
}

/// What a step depends on besides the state and the answer.
pub struct World<'a> {
    /// Today, the short code and the like, by the names in `action::GIVEN`.
    pub given: &'a Values,
    /// How to read what is typed.
    pub reader: &'a Reader<'a>,
    /// Where the caller stands.
    pub door: &'a Door,
}

impl Menu {
    /// The beginning of a dialogue.
    pub fn begin(&self, language: &str) -> State {
        let flow = &self.flow;
        let language = if flow.languages.iter().any(|known| known == language) {
            language
        } else {
            &flow.languages[0]
        };
        State {
            screen: flow.screens[flow.start].name.clone(),
            language: language.to_owned(),
            values: Values::new(),
            history: Vec::new(),
            pages: vec![0],
            wrong: 0,
            notice: None,
            draft: None,
        }
    }

    /// A dialogue that offers to go on where `draft` broke off. `None` if there is nothing to go on with.
    pub fn offer(&self, draft: State, language: &str) -> Option<State> {
        let resume = self.flow.resume.as_ref()?;
        let whole = resume
            .needs
            .iter()
            .all(|need| draft.values.contains_key(need))
            && ask(&self.flow, &draft.screen).is_some();
        let mut state = self.begin(language);
        state.screen = self.flow.screens[resume.screen].name.clone();
        state.values = draft.values.clone();
        state.draft = Some(Box::new(draft));
        whole.then_some(state)
    }

    /// Where the dialogue begins of who dials again soon after `draft` broke off. With `news` to hear first, nobody is
    /// taken on without being asked: the line has its place above that question. `None`: at the first screen.
    pub fn take_up(&self, draft: State, language: &str, news: bool) -> Option<State> {
        match self.flow.resume.as_ref()?.mode {
            ResumeMode::StartOver => None,
            ResumeMode::Silent if !news => {
                let offered = self.offer(draft, language)?;
                Some(State {
                    language: offered.language,
                    ..*offered.draft?
                })
            }
            ResumeMode::Silent | ResumeMode::Ask => self.offer(draft, language),
        }
    }

    /// What to keep of a dialogue so that it can be offered later. `None` while there is nothing to go on with.
    pub fn draft(&self, state: &State) -> Option<State> {
        let resume = self.flow.resume.as_ref()?;
        ask(&self.flow, &state.screen)?;
        let beside = [
            Some(resume.screen),
            self.flow.after_wrong.map(|(_, lost)| lost),
        ];
        let is_beside = beside
            .into_iter()
            .flatten()
            .any(|screen| self.flow.screens[screen].name == state.screen);
        if is_beside
            || !resume
                .needs
                .iter()
                .all(|need| state.values.contains_key(need))
        {
            return None;
        }
        Some(State {
            draft: None,
            notice: None,
            wrong: 0,
            ..state.clone()
        })
    }

    /// Moves a fresh dialogue to where what was dialled behind the short code leads: to the screen that it is an alias
    /// of, else to the one that takes it as an answer, unless the first screen has an option for it. `Some`: it was an
    /// alias, and this comes of it; otherwise it is still to be answered with.
    pub fn dial(&self, state: &mut State, dialled: &str, given: &Values) -> Option<Step> {
        let flow = &self.flow;
        if let Some(step) = self.jump(state, dialled, given) {
            return Some(step);
        }
        let takes = ask(flow, &state.screen)
            .is_some_and(|(_, ask)| self.chosen(ask, state, dialled, given).is_some());
        if let Some(dial) = flow.dial.filter(|_| !takes) {
            self.leave(state, flow.start, Target::Screen(dial), given);
        }
        None
    }

    /// Moves a fresh dialogue to the screen that this is an alias of, if it is one.
    pub fn jump(&self, state: &mut State, alias: &str, given: &Values) -> Option<Step> {
        let flow = &self.flow;
        let is_it = |known: &str| known.eq_ignore_ascii_case(alias.trim());
        let (_, to) = flow.aliases.iter().find(|(known, _)| is_it(known))?;
        Some(self.leave(state, flow.start, Target::Screen(*to), given))
    }

    /// Whether this answer to the screen can change anything outside the dialogue.
    pub fn commits(&self, state: &State, typed: &str, given: &Values) -> bool {
        self.leads(state, typed, given, |to| self.flow.commits(to))
    }

    /// Whether this answer to the screen can make a reservation.
    pub fn reserves(&self, state: &State, typed: &str, given: &Values) -> bool {
        self.leads(state, typed, given, |to| self.flow.reserves(to))
    }

    fn leads(
        &self,
        state: &State,
        typed: &str,
        given: &Values,
        there: impl Fn(Target) -> bool,
    ) -> bool {
        let Some((_, ask)) = ask(&self.flow, &state.screen) else {
            return false;
        };
        if let Some(choice) = self.chosen(ask, state, typed, given) {
            return there(choice.to);
        }
        let input = ask.input.as_ref().map(|input| input.to);
        let list = ask.list.as_ref().map(|list| list.to);
        [input, list].into_iter().flatten().any(there)
    }

    /// What the screen asks to be typed.
    pub fn asks_for(&self, state: &State) -> Option<Type> {
        ask(&self.flow, &state.screen)
            .and_then(|(_, ask)| ask.input.as_ref())
            .map(|input| input.of)
    }

    /// One answer.
    pub fn answer(&self, state: &mut State, typed: &str, world: &World<'_>) -> Step {
        let flow = &self.flow;
        let Some((screen, ask)) = ask(flow, &state.screen) else {
            return self.turn(state, &key(typed), world);
        };
        if let Some(choice) = self.chosen(ask, state, typed, world.given) {
            return self.choose(state, choice, world);
        }
        let keys = self.keys(world.door);
        let typed_key = key(typed);
        let typed_key = typed_key.as_str();
        if typed_key == keys.back {
            return self.back(state, keys.back, world.given);
        }
        if typed_key == keys.home {
            return self.enter(state, Target::Screen(flow.start), world.given);
        }
        if typed_key == keys.more && self.next_page(state, world) {
            return Step::Show;
        }
        if typed_key == keys.previous && state.pages.len() > 1 {
            return self.page_before(state);
        }
        if let Some(list) = &ask.list
            && let Some(picked) = picked(state, list, typed_key)
        {
            state.values.insert(list.pick.clone(), picked);
            return self.leave(state, screen, list.to, world.given);
        }
        match &ask.input {
            Some(input) => match world.reader.read(typed, input.of) {
                Ok(value) => {
                    state.values.insert(input.variable.clone(), value);
                    self.leave(state, screen, input.to, world.given)
                }
                Err(wrong) => self.wrong(state, wrong, Some(input), world.given),
            },
            None => self.wrong(state, Wrong::Option, None, world.given),
        }
    }

    /// The pages of a last screen that is longer than the door's. Whatever is typed turns to the next.
    fn turn(&self, state: &mut State, typed_key: &str, world: &World<'_>) -> Step {
        let keys = self.keys(world.door);
        if typed_key == keys.previous && state.pages.len() > 1 {
            return self.page_before(state);
        }
        if typed_key != keys.home && self.next_page(state, world) {
            return Step::Show;
        }
        self.enter(state, Target::Screen(self.flow.start), world.given)
    }

    fn next_page(&self, state: &mut State, world: &World<'_>) -> bool {
        let page = self.page(state, world.given, world.door);
        if page.has_more {
            state.pages.push(page.next);
            state.notice = None;
        }
        page.has_more
    }

    fn page_before(&self, state: &mut State) -> Step {
        state.pages.pop();
        state.notice = None;
        Step::Show
    }

    /// The way on after an action has ended.
    pub fn resume(
        &self,
        state: &mut State,
        outcome: &str,
        binds: Values,
        world: &World<'_>,
    ) -> Step {
        let flow = &self.flow;
        state.values.extend(binds);
        let Some(Kind::Run(run)) = flow
            .screen(&state.screen)
            .map(|screen| &flow.screens[screen].kind)
        else {
            return self.enter(state, Target::Screen(flow.start), world.given);
        };
        let notice = run
            .notice
            .iter()
            .find(|(on, _)| on == outcome)
            .map(|(_, texts)| {
                let speaks = |language| texts.own(language).is_some();
                let tongue = self.tongue(&state.language, world.given, speaks);
                let language = self.language(&flow.languages[tongue]);
                let text = texts.find(tongue);
                text.fill(&state.values, None, world.given, language)
            })
            .or_else(|| state.notice.take());
        let target = run
            .on
            .iter()
            .find(|(on, _)| on == outcome)
            .map_or(Target::Screen(flow.start), |(_, target)| *target);
        let step = self.enter(state, target, world.given);
        if notice.is_some() {
            state.notice = notice;
        }
        step
    }

    fn choose(&self, state: &mut State, choice: &Choice, world: &World<'_>) -> Step {
        for (name, setting) in &choice.set {
            let value = match setting {
                Setting::Value(value) => Some(value.clone()),
                Setting::Copy(from) => state
                    .values
                    .get(from)
                    .or_else(|| world.given.get(from))
                    .cloned(),
            };
            if let Some(value) = value {
                state.values.insert(name.clone(), value);
            }
        }
        if let Some(language) = &choice.language {
            state.language.clone_from(language);
        }
        let Some(screen) = self.flow.screen(&state.screen) else {
            return Step::Show;
        };
        self.leave(state, screen, choice.to, world.given)
    }

    fn leave(&self, state: &mut State, from: usize, to: Target, given: &Values) -> Step {
        state.history.push(self.flow.screens[from].name.clone());
        if state.history.len() > HISTORY_MAX {
            state.history.remove(0);
        }
        self.enter(state, to, given)
    }

    fn enter(&self, state: &mut State, target: Target, given: &Values) -> Step {
        state.pages = vec![0];
        state.wrong = 0;
        state.notice = None;
        let mut to = match target {
            Target::Screen(to) => to,
            Target::Draft => match state.draft.take() {
                Some(draft) => {
                    *state = State {
                        language: state.language.clone(),
                        ..*draft
                    };
                    return Step::Show;
                }
                None => self.flow.start,
            },
        };
        while let Kind::Fork(fork) = &self.flow.screens[to].kind {
            let target = if fork.condition.holds(&state.values, given) {
                fork.then
            } else {
                fork.otherwise
            };
            to = match target {
                Target::Screen(to) => to,
                Target::Draft => self.flow.start,
            };
        }
        let screen = &self.flow.screens[to];
        state.screen.clone_from(&screen.name);
        if to == self.flow.start {
            state.values.clear();
            state.history.clear();
            state.draft = None;
        }
        if let Kind::Run(run) = &screen.kind {
            return Step::Run(run.action);
        }
        state
            .values
            .retain(|_, value| !matches!(value, Value::Pin(_)));
        if let Some(seen) = state
            .history
            .iter()
            .position(|before| *before == screen.name)
        {
            state.history.truncate(seen);
        }
        Step::Show
    }

    /// By its key; by its label or the label's first word, if no other option begins with it.
    fn chosen<'a>(
        &self,
        ask: &'a Ask,
        state: &State,
        typed: &str,
        given: &Values,
    ) -> Option<&'a Choice> {
        let typed_key = key(typed);
        let options = ask.options.iter();
        let offered = options.filter(|choice| choice.is_offered(&state.values, given));
        if let Some(choice) = offered.clone().find(|choice| choice.key == typed_key) {
            return Some(choice);
        }
        if ask.input.is_some() {
            return None;
        }
        let language = self.tongue_of(state, given);
        let typed = typed.trim().to_lowercase();
        let mut named = offered.filter(|choice| choice.is_called(language, &typed));
        named.next().filter(|_| named.next().is_none())
    }

    /// Past screens on which this key means something else: from there nobody could go further back.
    fn back(&self, state: &mut State, back: &str, given: &Values) -> Step {
        while let Some(name) = state.history.pop() {
            let Some((to, ask)) = ask(&self.flow, &name) else {
                continue;
            };
            let mut options = ask.options.iter();
            if options.all(|choice| choice.key != back || !choice.is_offered(&state.values, given))
            {
                return self.enter(state, Target::Screen(to), given);
            }
        }
        self.enter(state, Target::Screen(self.flow.start), given)
    }

    fn wrong(
        &self,
        state: &mut State,
        wrong: Wrong,
        input: Option<&Input>,
        given: &Values,
    ) -> Step {
        state.wrong = state.wrong.saturating_add(1);
        if let Some((tries, lost)) = self.flow.after_wrong
            && state.wrong >= tries
            && self.flow.screens[lost].name != state.screen
        {
            let Some(from) = self.flow.screen(&state.screen) else {
                return Step::Show;
            };
            return self.leave(state, from, Target::Screen(lost), given);
        }
        let range = input.and_then(|input| input.of.range());
        state.pages = vec![0];
        let tongue = self.tongue_of(state, given);
        let language = self.language(&self.flow.languages[tongue]);
        state.notice = Some(language.wrong(wrong, range));
        Step::Show
    }
}

fn ask<'a>(flow: &'a Flow, name: &str) -> Option<(usize, &'a Ask)> {
    let screen = flow.screen(name)?;
    match &flow.screens[screen].kind {
        Kind::Ask(ask) => Some((screen, ask)),
        Kind::Run(_) | Kind::Fork(_) | Kind::End(_) => None,
    }
}

fn picked(state: &State, list: &List, typed_key: &str) -> Option<Value> {
    let index = typed_key.parse::<usize>().ok()?.checked_sub(1)?;
    match state.values.get(&list.variable)? {
        Value::List(items) => items.get(index).filter(|_| index < list.at_most).cloned(),
        _ => None,
    }
}

impl Choice {
    fn is_called(&self, language: usize, typed: &str) -> bool {
        let label = self.label.find(language).opening().to_lowercase();
        !typed.is_empty() && (label == typed || label.split([' ', ',', ':']).next() == Some(typed))
    }
}

impl Flow {
    /// The position of a language among the flow's, the first if it does not speak it.
    pub(super) fn language(&self, code: &str) -> usize {
        self.languages
            .iter()
            .position(|known| known == code)
            .unwrap_or_default()
    }
}
