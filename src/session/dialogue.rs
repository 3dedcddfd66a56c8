//! What a call means to its dialogue: it begins, goes on, or tells all answers so far.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::app::text_is_missing;
use crate::db::DbError;
use crate::funnel::{Before, Tally};
use crate::menu::Menus;
use crate::menu::files::Version;
use crate::menu::step::State;
use crate::session::error::TurnError;
use crate::session::keeper::{Draft, Memory, Resume, last_places};
use crate::session::menus::Spoken;
use crate::session::store::{Dialogue, HOPS_MAX, Receipt, TurnEnd};
use crate::session::turn::{Session, Worked, goes_on};
use crate::ussd::Said;
use crate::ussd::transcript::{Hop, hop, kept, position};

/// How long a screen can be on a phone. An answer that comes later is from an aggregator that catches up, and nobody waits
/// for what it leads to. Source: no session of the networks of Kenya lasts longer, and those of others end sooner when idle.
const SCREEN_MAX: TimeDelta = TimeDelta::minutes(3);

impl Session {
    pub(super) async fn work(&self, mut dialogue: Option<Dialogue>) -> Result<Worked, TurnError> {
        if let Some(places) = dialogue.as_ref().and_then(|before| before.places.clone()) {
            self.places.set(places).ok();
        }
        let is_stale = |before: &Dialogue| self.is_stale(before);
        if goes_on(&self.call.said) && dialogue.as_ref().is_some_and(is_stale) {
            return Err(TurnError::Over);
        }
        match &self.call.said {
            Said::Transcript(transcript) => {
                let at = position(transcript);
                let receipts = dialogue
                    .as_mut()
                    .map(|before| std::mem::take(&mut before.receipts));
                let (state, spoken, before) = self.transcribed(dialogue, transcript, at).await?;
                let after = Dialogue {
                    service_code: self.service_code().to_owned(),
                    transcript: kept(transcript),
                    position: at,
                    menus: spoken.menus.version.clone(),
                    receipts: receipts.unwrap_or_default(),
                    ..Dialogue::default()
                };
                Ok(self.worked(after, before, state, &spoken, false))
            }
            Said::Dialled(ahead) => {
                let live = dialogue.is_some_and(|before| before.state.is_some());
                if live && self.aggregator.encode_known(&self.call).is_some() {
                    return Err(TurnError::Known);
                }
                self.dialled(ahead).await
            }
            Said::Answered { input, .. } => match dialogue {
                Some(before) => match before.number.zip(self.number()) {
                    // Its receipt would have been found: it is too old to be kept.
                    Some((last, number)) if number <= last => Err(TurnError::Over),
                    // An answer was missed, and this one is to a screen that nobody here knows.
                    Some((last, number)) if number > last + 1 => self.found_again().await,
                    _ => self.answered(before, input).await,
                },
                None => self.found_again().await,
            },
            Said::Either { input, ahead } => {
                let live = |before: &Dialogue| before.state.is_some() && !self.is_stale(before);
                match dialogue.filter(live) {
                    Some(before) => self.answered(before, input).await,
                    None => match ahead {
                        Some(ahead) => self.dialled(ahead).await,
                        None => self.found_again().await,
                    },
                }
            }
        }
    }

    /// A dialogue that begins, whatever was said under its session id before.
    async fn dialled(&self, ahead: &str) -> Result<Worked, TurnError> {
        let begun = self.app.chance.uuid().simple().to_string();
        let (state, spoken) = Box::pin(self.first(ahead, &begun)).await?;
        let before = begins(ahead, &state, &spoken);
        Ok(self.begun(begun, before, ahead, state, &spoken))
    }

    /// A dialogue that was lost under way.
    async fn found_again(&self) -> Result<Worked, TurnError> {
        let begun = self.app.chance.uuid().simple().to_string();
        let (state, spoken) = Box::pin(self.lost()).await?;
        let before = Before::Nothing;
        let mark = self
            .without_redis
            .then(|| self.mark(&begun, &state, &spoken));
        let mut worked = self.begun(begun, before, "", state, &spoken);
        if let Some(mark) = mark {
            worked.memory.draft = Draft::Save(Box::new(mark));
        }
        Ok(worked)
    }

    /// What tells an instance that still has the dialogue from before that its screen is not the last one shown.
    fn mark(&self, begun: &str, state: &State, spoken: &Spoken) -> Resume {
        let offered = state.draft.as_deref();
        Resume {
            session: self.key.clone(),
            begun: begun.to_owned(),
            transcript: String::new(),
            menus: spoken.menus.version.clone(),
            state: offered.unwrap_or(state).clone(),
            over: false,
        }
    }

    /// Whether another instance, which knew nothing of this dialogue, has shown its caller a screen since. Only while Redis
    /// is away, and where nothing tells which screen an answer is to.
    async fn is_elsewhere(&self, begun: &str) -> Result<bool, TurnError> {
        let resume = self.resume_point().await?;
        Ok(resume.is_some_and(|resume| resume.begun != begun))
    }

    fn begun(
        &self,
        begun: String,
        before: Before,
        ahead: &str,
        state: State,
        spoken: &Spoken,
    ) -> Worked {
        let after = Dialogue {
            number: self.number(),
            begun,
            service_code: self.service_code().to_owned(),
            transcript: kept(ahead),
            position: position(ahead),
            menus: spoken.menus.version.clone(),
            ..Dialogue::default()
        };
        self.worked(after, before, state, spoken, true)
    }

    /// The dialogue after its next answer. The code is what was dialled, whatever the call says.
    async fn answered(&self, before: Dialogue, input: &str) -> Result<Worked, TurnError> {
        let mut state = before.state.ok_or(TurnError::Over)?;
        let at = before.position + 1;
        if at > HOPS_MAX {
            return Err(TurnError::Over);
        }
        let menus = self.find_menus(&before.menus).await?;
        let spoken = self.spoken(menus.ok_or(TurnError::Over)?, &before.service_code);
        let turn = self.turn_at(at, &before.begun);
        if self.without_redis
            && self.number().is_none()
            && spoken.menu().commits(&state, input, &spoken.given)
            && self.is_elsewhere(&before.begun).await?
        {
            return self.found_again().await;
        }
        let mut found = Before::of(spoken.menu(), &state);
        if self.is_key_again(&before.transcript, before.shown_at, &state, input, &spoken) {
            found = Before::Itself;
        } else {
            self.step(&mut state, input, &turn, &spoken).await?;
        }
        let joint = if before.transcript.is_empty() {
            ""
        } else {
            "*"
        };
        let after = Dialogue {
            transcript: format!("{}{joint}{}", before.transcript, kept(input)),
            position: at,
            state: None,
            number: self.number(),
            ..before
        };
        Ok(self.worked(after, found, state, &spoken, false))
    }

    /// The state after a call that tells all answers so far.
    async fn transcribed(
        &self,
        dialogue: Option<Dialogue>,
        transcript: &str,
        at: i32,
    ) -> Result<(State, Spoken, Before), TurnError> {
        if at > HOPS_MAX {
            return Err(TurnError::Over);
        }
        let begun = async || {
            let (state, spoken) = Box::pin(self.first(transcript, "")).await?;
            let before = begins(transcript, &state, &spoken);
            Ok((state, spoken, before))
        };
        let Some(before) = dialogue else {
            return begun().await;
        };
        let mut state = before.state.ok_or(TurnError::Over)?;
        // A dialogue whose menus are gone is as good as lost.
        let Some(menus) = self.find_menus(&before.menus).await? else {
            return begun().await;
        };
        let spoken = self.spoken(menus, self.service_code());
        let mut found = Before::of(spoken.menu(), &state);
        match hop(Some(&before.transcript), transcript) {
            Hop::First { .. } | Hop::Repeat => found = Before::Itself,
            Hop::Reply { input }
                if self.is_key_again(
                    &before.transcript,
                    before.shown_at,
                    &state,
                    input,
                    &spoken,
                ) =>
            {
                found = Before::Itself;
            }
            Hop::Reply { input } => self.replies(&mut state, input, at, &spoken).await?,
            // Its receipt would have been found: it is too old to be kept.
            Hop::Late => return Err(TurnError::Over),
            Hop::Mismatch { input } => {
                tracing::warn!(
                    aggregator = self.aggregator.name(),
                    "a transcript does not follow the one before"
                );
                metrics::counter!("transcripts_mismatched_total", "aggregator" => self.aggregator.name())
                    .increment(1);
                let turn = self.turn_at(at, "");
                Box::pin(self.replay(&mut state, &[input], &turn, &spoken)).await?;
            }
        }
        Ok((state, spoken, found))
    }

    /// The number of the answer, where the aggregator numbers them.
    pub(super) fn number(&self) -> Option<u32> {
        match &self.call.said {
            Said::Answered { hop, .. } if self.aggregator.numbers_answers() => {
                hop.as_ref()?.parse().ok()
            }
            _ => None,
        }
    }

    /// `None`: that version cannot be spoken any more.
    pub(super) async fn find_menus(
        &self,
        version: &Version,
    ) -> Result<Option<Arc<Menus>>, DbError> {
        self.app.menus.find(version, &self.app.books).await
    }

    pub(super) fn spoken(&self, menus: Arc<Menus>, service_code: &str) -> Spoken {
        Spoken {
            given: self.app.given(&menus, self.country, service_code),
            menus,
        }
    }

    /// Whether its last screen has gone from its phone. What an earlier try of the call has done is told all the same.
    fn is_stale(&self, before: &Dialogue) -> bool {
        let since = self.app.clock.now().timestamp_millis() - before.shown_at;
        since > SCREEN_MAX.num_milliseconds() && !self.unfinished
    }

    /// Whether the phone sent the key of the screen before once more: nobody reads what he confirms in so short a time.
    fn is_key_again(
        &self,
        transcript: &str,
        shown_at: i64,
        state: &State,
        input: &str,
        spoken: &Spoken,
    ) -> bool {
        let since = self.app.clock.now().timestamp_millis() - shown_at;
        since < i64::from(self.app.config.limits.same_key_ms)
            && transcript.rsplit('*').next() == Some(input)
            && spoken.menu().commits(state, input, &spoken.given)
    }

    pub(super) fn service_code(&self) -> &str {
        if self.call.service_code.is_empty() {
            self.app.service_code()
        } else {
            &self.call.service_code
        }
    }

    /// What comes of a turn that led to `state`, which `after` does not hold yet.
    pub(super) fn worked(
        &self,
        after: Dialogue,
        before: Before,
        state: State,
        spoken: &Spoken,
        begins: bool,
    ) -> Worked {
        self.app.hears(
            spoken.menu(),
            &self.call.msisdn,
            &state.language,
            self.country,
        );
        if spoken.menu().lacks_a_line(&state) {
            text_is_missing(&state.language);
        }
        let page = spoken.menu().page(&state, &spoken.given, self.door());
        let draft = match (spoken.menu().draft(&state), page.asks) {
            (_, false) => Draft::Close,
            (Some(state), true) => Draft::Save(Box::new(Resume {
                session: self.key.clone(),
                begun: after.begun.clone(),
                transcript: after.transcript.clone(),
                menus: after.menus.clone(),
                state,
                over: false,
            })),
            (None, true) => Draft::Keep,
        };
        // Not before there is a draft to go on from: a dialogue that is gone through again must find what it found.
        let mut memory = Memory::of(&state, draft != Draft::Keep);
        memory.draft = draft;
        let places = self
            .places
            .get()
            .map(|known| last_places(memory.places.clone(), known.clone()));
        let tally = Tally::new(&spoken.menus, before, &state, page.ends);
        let receipt = Receipt {
            ends: page.ends,
            text: page.text,
        };
        let now = self.app.clock.now();
        let mut receipts = after.receipts;
        receipts.push(&self.identity, receipt.clone(), now);
        Worked {
            end: TurnEnd {
                dialogue: Dialogue {
                    state: (!page.ends).then_some(state),
                    shown_at: now.timestamp_millis(),
                    places,
                    receipts,
                    ..after
                },
                begins,
            },
            receipt,
            memory,
            tally,
        }
    }
}

/// What a dialogue finds that begins in this state.
fn begins(ahead: &str, state: &State, spoken: &Spoken) -> Before {
    if ahead.is_empty() {
        Before::begun(spoken.menu(), state)
    } else {
        Before::Nothing
    }
}
