//! What one turn adds: told by where its dialogue stood before and stands after it.

use std::sync::Arc;

use super::{Event, Funnel, Spot};
use crate::menu::step::State;
use crate::menu::{Menu, Menus};

/// What a turn found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// No dialogue: it begins.
    Nothing,
    /// A dialogue that began where an earlier one had broken off.
    BrokenOff,
    /// The screen that it answers.
    Screen(Stand),
    /// Its own answer: nothing happened.
    Itself,
}

/// Where a dialogue stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    screen: usize,
    language: usize,
    wrong: u8,
    /// Where it was offered to go on.
    offered: Option<usize>,
}

impl Before {
    /// What the answer to this state finds.
    pub fn of(menu: &Menu, state: &State) -> Before {
        let draft = state.draft.as_deref();
        menu.flow
            .screen(&state.screen)
            .map_or(Before::Nothing, |screen| {
                Before::Screen(Stand {
                    screen,
                    language: language(menu, state),
                    wrong: state.wrong,
                    offered: draft.and_then(|draft| menu.flow.screen(&draft.screen)),
                })
            })
    }

    /// What a dialogue finds that nobody has answered to yet: `state` is its first.
    pub fn begun(menu: &Menu, state: &State) -> Before {
        let begins = menu.flow.screen(&state.screen) == Some(menu.flow.start);
        if begins || state.draft.is_some() {
            Before::Nothing
        } else {
            Before::BrokenOff
        }
    }
}

/// What one turn adds to the counts, once it is committed.
#[derive(Debug)]
pub struct Tally {
    menus: Arc<Menus>,
    before: Before,
    screen: usize,
    language: usize,
    wrong: u8,
    goes_on: bool,
    ends: bool,
}

impl Tally {
    /// Of a turn that led from `before` to `state`; `ends`: with the last screen.
    pub fn new(menus: &Arc<Menus>, before: Before, state: &State, ends: bool) -> Tally {
        let menu = &menus.menu;
        Tally {
            menus: menus.clone(),
            before,
            screen: menu.flow.screen(&state.screen).unwrap_or(menu.flow.start),
            language: language(menu, state),
            wrong: state.wrong,
            goes_on: state.draft.is_none(),
            ends,
        }
    }

    /// Counts it for who called.
    pub fn count(&self, funnel: &Funnel, aggregator: &'static str, operator: Option<&str>) {
        let add = |screen, language, event| {
            let spot = Spot {
                menus: &self.menus,
                aggregator,
                operator,
                language,
                screen,
            };
            funnel.count(spot, event);
        };
        let here = |event| add(self.screen, self.language, event);
        match self.before {
            Before::Itself => return,
            Before::Nothing => {}
            Before::BrokenOff => here(Event::Resumed),
            Before::Screen(stand) => {
                let event = if self.is_wrong(&stand) {
                    Event::Wrong
                } else {
                    Event::Answered
                };
                add(stand.screen, stand.language, event);
                if self.goes_on && stand.offered == Some(self.screen) {
                    here(Event::Resumed);
                }
            }
        }
        here(Event::Shown);
        if self.ends {
            here(Event::Completed);
        }
    }

    /// Whether the answer was not understood: asked again, or helped after too many of them.
    fn is_wrong(&self, stand: &Stand) -> bool {
        let asked_again = self.screen == stand.screen && self.wrong > stand.wrong;
        let helped = self
            .menus
            .menu
            .flow
            .after_wrong
            .is_some_and(|(tries, lost)| {
                self.screen == lost
                    && stand.screen != lost
                    && stand.wrong.saturating_add(1) >= tries
            });
        asked_again || helped
    }
}

/// Counts a session that was over while this screen waited for an answer.
pub fn left_at(
    funnel: &Funnel,
    menus: &Arc<Menus>,
    state: &State,
    aggregator: &'static str,
    operator: Option<&str>,
) {
    let menu = &menus.menu;
    if let Some(screen) = menu.flow.screen(&state.screen) {
        let spot = Spot {
            menus,
            aggregator,
            operator,
            language: language(menu, state),
            screen,
        };
        funnel.count(spot, Event::TimedOut);
    }
}

/// The place of its language among those of the flow.
fn language(menu: &Menu, state: &State) -> usize {
    let mut languages = menu.flow.languages.iter();
    let language = languages.position(|known| *known == state.language);
    language.unwrap_or_default()
}
