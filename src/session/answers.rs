//! Answers, one after the other, and the actions that they run: never an effect for an answer that was not given to a
//! screen.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::App;
use crate::country::Country;
use crate::db::DbError;
use crate::db::effect::Turn;
use crate::db::patience::{EXTRA_MAX, within};
use crate::menu::door::Door;
use crate::menu::flow::RUNS_MAX;
use crate::menu::input::Reader;
use crate::menu::step::{State, Step, World};
use crate::menu::value::Type;
use crate::phone::Msisdn;
use crate::session::actions::{self, Work};
use crate::session::error::TurnError;
use crate::session::menus::Spoken;
use crate::session::turn::Session;
use crate::ussd::{INPUT_CHARS_MAX, Said};

impl Session {
    /// What one call added: one answer, or several where calls were missed. `at` is the position of the last.
    pub(super) async fn replies(
        &self,
        state: &mut State,
        input: &str,
        at: i32,
        spoken: &Spoken,
    ) -> Result<(), TurnError> {
        let answers: Vec<_> = input.split('*').collect();
        let takes_words = matches!(
            spoken.menu().asks_for(state),
            Some(Type::Text(_) | Type::PlaceName | Type::Name)
        );
        let turn = self.turn_at(at, "");
        if answers.len() == 1
            || input.trim_matches('*').is_empty()
            // Unless the last of them has booked: Redis has come back older than that.
            || takes_words && !self.has_made(&turn).await?
        {
            return self.step(state, input, &turn, spoken).await;
        }
        let first = at - i32::try_from(answers.len()).unwrap_or(i32::MAX) + 1;
        let first = self.turn_at(first, "");
        Box::pin(self.replay(state, &answers, &first, spoken)).await
    }

    /// Goes through answers that were not given to a screen of this dialogue: never past an answer that commits, unless it
    /// reserves and the reservation of then is on record, nor past a screen that asks for a PIN.
    pub(super) async fn replay(
        &self,
        state: &mut State,
        answers: &[&str],
        first: &Turn,
        spoken: &Spoken,
    ) -> Result<(), TurnError> {
        let more = i32::try_from(answers.len()).unwrap_or(i32::MAX) - 1;
        let last = first.position.saturating_add(more);
        for (answer, position) in answers.iter().zip(first.position..) {
            let turn = Turn {
                position,
                ..first.clone()
            };
            let commits = spoken.menu().commits(state, answer, &spoken.given);
            let secret = spoken.menu().asks_for(state) == Some(Type::Pin);
            let reserves = commits && spoken.menu().reserves(state, answer, &spoken.given);
            let made_at = if reserves {
                self.made_at(&turn).await?
            } else {
                None
            };
            // Whoever answers later calls to what is rebuilt for it would answer another screen than was shown.
            if made_at > Some(last) {
                return Err(TurnError::Over);
            }
            if secret || commits && made_at != Some(position) {
                return Ok(());
            }
            let answering = Answering {
                // A dialogue that was dialled just now has done nothing yet.
                unfinished: matches!(self.call.said, Said::Transcript(_)),
                ..self.answering(&turn, spoken)
            };
            answering.step(state, answer).await?;
            let page = spoken.menu().page(state, &spoken.given, self.door());
            if !page.asks {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn has_made(&self, turn: &Turn) -> Result<bool, TurnError> {
        Ok(self.made_at(turn).await? == Some(turn.position))
    }

    /// With which answer the dialogue of this turn has reserved last, if it has.
    async fn made_at(&self, turn: &Turn) -> Result<Option<i32>, TurnError> {
        let asked = self.app.books.find_by_dialogue(&turn.door, &turn.session);
        let made = within(&self.app.postgres, self.patience(EXTRA_MAX), asked);
        // Nobody may say then that nothing was booked.
        let made = made.await.map_err(TurnError::Unknown)?;
        Ok(made.map(|(_, made_at)| made_at))
    }

    /// What is left of the caller's patience, and not more than `limit`.
    pub(super) fn patience(&self, limit: Duration) -> Duration {
        limit.min(self.until.saturating_duration_since(Instant::now()))
    }

    pub(super) fn door(&self) -> &Door {
        let operator = self.call.operator.as_deref();
        self.app.doors.find(self.aggregator.name(), operator)
    }

    /// The name of a turn in Postgres: the same after a crash and on every instance, and never again in a later dialogue.
    pub(super) fn turn_at(&self, position: i32, begun: &str) -> Turn {
        let joint = if begun.is_empty() { "" } else { "/" };
        Turn {
            door: self.aggregator.name().to_owned(),
            session: format!(
                "{}/{}{joint}{begun}",
                self.call.session,
                self.call.msisdn.digits()
            ),
            position,
        }
    }

    pub(super) async fn step(
        &self,
        state: &mut State,
        input: &str,
        turn: &Turn,
        spoken: &Spoken,
    ) -> Result<(), TurnError> {
        let answering = self.answering(turn, spoken);
        answering.step(state, input).await.map(|_| ())
    }

    /// What is dialled behind the code, before anything is answered. Whether it is answered with nothing more: it named
    /// a screen.
    pub(super) async fn dial(
        &self,
        state: &mut State,
        dialled: &str,
        turn: &Turn,
        spoken: &Spoken,
    ) -> Result<bool, TurnError> {
        match spoken.menu().dial(state, dialled, &spoken.given) {
            Some(step) => {
                let answering = self.answering(turn, spoken);
                answering.work(state, step).await.map(|_| true)
            }
            None => Ok(false),
        }
    }

    /// To the screen of a fresh dialogue with this alias, if the menu has one.
    pub(super) async fn jump(
        &self,
        state: &mut State,
        alias: &str,
        turn: &Turn,
        spoken: &Spoken,
    ) -> Result<bool, TurnError> {
        match spoken.menu().jump(state, alias, &spoken.given) {
            Some(step) => {
                let answering = self.answering(turn, spoken);
                answering.work(state, step).await.map(|_| true)
            }
            None => Ok(false),
        }
    }

    fn answering<'b>(&'b self, turn: &'b Turn, spoken: &'b Spoken) -> Answering<'b> {
        Answering {
            app: &self.app,
            country: self.country,
            msisdn: &self.call.msisdn,
            channel: "ussd",
            turn,
            spoken,
            door: self.door(),
            until: self.until,
            unfinished: self.unfinished,
            only_looks: self.only_looks,
            places: self.places.get().map(Vec::as_slice),
        }
    }
}

/// Who answers, at which door and in which turn.
pub(super) struct Answering<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) country: &'static Country,
    pub(super) msisdn: &'a Msisdn,
    pub(super) channel: &'static str,
    pub(super) turn: &'a Turn,
    pub(super) spoken: &'a Spoken,
    pub(super) door: &'a Door,
    /// When nobody waits for the outcome any more.
    pub(super) until: Instant,
    /// An earlier try may have had its effect, of this answer or of one that follows it.
    pub(super) unfinished: bool,
    /// Nothing else may be done.
    pub(super) only_looks: bool,
    /// Ids of the places that the caller looked for, the last one first, where that is known.
    pub(super) places: Option<&'a [String]>,
}

impl Answering<'_> {
    /// One answer and the actions that it runs. Whether one of them has told the guest by SMS what came of it.
    pub(super) async fn step(&self, state: &mut State, input: &str) -> Result<bool, TurnError> {
        let typed: String = input.chars().take(INPUT_CHARS_MAX).collect();
        let reader = self.reader(state);
        let step = self
            .spoken
            .menu()
            .answer(state, &typed, &self.world(&reader));
        self.work(state, step).await
    }

    fn reader(&self, state: &State) -> Reader<'_> {
        self.app
            .reader(self.spoken.menu(), &state.language, self.country)
    }

    fn world<'b>(&'b self, reader: &'b Reader<'b>) -> World<'b> {
        World {
            given: &self.spoken.given,
            reader,
            door: self.door,
        }
    }

    /// The actions that follow from a step.
    async fn work(&self, state: &mut State, mut step: Step) -> Result<bool, TurnError> {
        let menu = self.spoken.menu();
        let reader = self.reader(state);
        let world = self.world(&reader);
        let (mut texted, mut acted) = (false, false);
        for _ in 0..RUNS_MAX {
            let Step::Run(action) = step else {
                break;
            };
            if self.only_looks && !action.only_looks() {
                return Err(TurnError::Unclaimed);
            }
            let work = Work {
                app: self.app,
                menu,
                country: self.country,
                msisdn: self.msisdn,
                turn: self.turn,
                channel: self.channel,
                until: self.until,
                unfinished: self.unfinished,
                places: self.places,
                state: &*state,
            };
            let ran = match actions::at_once(action, &work) {
                Some(done) => Ok(done),
                None => Box::pin(actions::run(action, &work)).await,
            };
            let done = match ran {
                Err(TurnError::Database(error)) if self.unfinished => {
                    return Err(TurnError::Unknown(error));
                }
                Err(TurnError::Database(error)) if acted => actions::without(action, error)?,
                done => done?,
            };
            // What it would show denies what an earlier try may have done.
            if self.unfinished && done.outcome == "unavailable" {
                let error = DbError::Busy(format!("{} could not be done", action.name).into());
                return Err(TurnError::Unknown(error));
            }
            texted |= actions::is_texted(action, done.outcome);
            acted |= action.commits;
            step = menu.resume(state, done.outcome, done.binds, &world);
        }
        Ok(texted)
    }
}
