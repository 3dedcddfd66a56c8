//! What a call means to its dialogue: it begins, goes on, or tells all answers so far.

use crate::menu::step::State;
use crate::menu::value::Values;
use crate::session::error::TurnError;
use crate::session::keeper::{Draft, Memory, Resume};
use crate::session::store::{Dialogue, HOPS_MAX, Receipt};
use crate::session::turn::{Session, Worked};
use crate::ussd::Said;
use crate::ussd::transcript::{Hop, hop, position};

impl Session {
    pub(super) async fn work(&self, mut dialogue: Option<Dialogue>) -> Result<Worked, TurnError> {
        // The menus may have changed since.
        if let Some(state) = dialogue.as_mut().and_then(|before| before.state.as_mut()) {
            state.language = self.app.spoken(&state.language, self.country);
        }
        match &self.call.said {
            Said::Transcript(transcript) => {
                let at = position(transcript);
                let given = self.app.given(self.country, self.service_code());
                let state = self.transcribed(dialogue, transcript, at, &given).await?;
                let after = Dialogue {
                    begun: String::new(),
                    service_code: self.service_code().to_owned(),
                    transcript: transcript.clone(),
                    position: at,
                    state: None,
                };
                Ok(self.worked(after, state, &given, false))
            }
            Said::Dialled(ahead) => {
                let live = dialogue.is_some_and(|before| before.state.is_some());
                if live && self.aggregator.encode_known(&self.call).is_some() {
                    return Err(TurnError::Known);
                }
                self.dialled(ahead).await
            }
            Said::Answered { input, .. } => {
                self.answered(dialogue.ok_or(TurnError::Over)?, input).await
            }
            Said::Either { input, ahead } => {
                match dialogue.filter(|before| before.state.is_some()) {
                    Some(before) => self.answered(before, input).await,
                    None => self.dialled(ahead.as_ref().ok_or(TurnError::Over)?).await,
                }
            }
        }
    }

    /// A dialogue that begins, whatever was said under its session id before.
    async fn dialled(&self, ahead: &str) -> Result<Worked, TurnError> {
        let begun = self.app.chance.uuid().simple().to_string();
        let given = self.app.given(self.country, self.service_code());
        let state = self.first(ahead, &begun, &given).await?;
        let after = Dialogue {
            begun,
            service_code: self.service_code().to_owned(),
            transcript: ahead.to_owned(),
            position: position(ahead),
            state: None,
        };
        Ok(self.worked(after, state, &given, true))
    }

    /// The dialogue after its next answer. The code is what was dialled, whatever the call says.
    async fn answered(&self, before: Dialogue, input: &str) -> Result<Worked, TurnError> {
        let mut state = before.state.ok_or(TurnError::Over)?;
        let at = before.position + 1;
        if at > HOPS_MAX {
            return Err(TurnError::Over);
        }
        let given = self.app.given(self.country, &before.service_code);
        let turn = self.turn_at(at, &before.begun);
        self.step(&mut state, input, &turn, &given).await?;
        let joint = if before.transcript.is_empty() {
            ""
        } else {
            "*"
        };
        let after = Dialogue {
            transcript: format!("{}{joint}{input}", before.transcript),
            position: at,
            state: None,
            ..before
        };
        Ok(self.worked(after, state, &given, false))
    }

    /// The state after a call that tells all answers so far.
    async fn transcribed(
        &self,
        dialogue: Option<Dialogue>,
        transcript: &str,
        at: i32,
        given: &Values,
    ) -> Result<State, TurnError> {
        if at > HOPS_MAX {
            return Err(TurnError::Over);
        }
        let (previous, state) = match dialogue {
            Some(dialogue) => (Some(dialogue.transcript), dialogue.state),
            None => (None, None),
        };
        match hop(previous.as_deref(), transcript) {
            Hop::First { input } => self.first(input, "", given).await,
            Hop::Reply { input } => {
                let mut state = state.ok_or(TurnError::Over)?;
                self.replies(&mut state, input, at, given).await?;
                Ok(state)
            }
            Hop::Repeat => state.ok_or(TurnError::Over),
            // Its receipt would have been found: it is too old to be kept.
            Hop::Late => Err(TurnError::Over),
            Hop::Mismatch { input } => {
                tracing::warn!(
                    aggregator = self.aggregator.name(),
                    "a transcript does not follow the one before"
                );
                metrics::counter!("transcripts_mismatched_total", "aggregator" => self.aggregator.name())
                    .increment(1);
                let mut state = state.ok_or(TurnError::Over)?;
                self.replay(&mut state, &[input], &self.turn_at(at, ""), given)
                    .await?;
                Ok(state)
            }
        }
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
        state: State,
        given: &Values,
        begins: bool,
    ) -> Worked {
        let page = self.app.menu.page(&state, given);
        let draft = match (self.app.menu.draft(&state), page.ends) {
            (_, true) => Draft::Close,
            (Some(state), false) => Draft::Save(Box::new(Resume {
                session: self.key.clone(),
                transcript: after.transcript.clone(),
                state,
                over: false,
            })),
            (None, false) => Draft::Keep,
        };
        let mut memory = Memory {
            language: Some(state.language.clone()),
            ..Memory::default()
        };
        // Not before there is a draft to go on from: a dialogue that is gone through again must find what it found.
        if draft != Draft::Keep {
            let text = |name: &str, field: Option<&str>| {
                let value = state.values.get(name)?;
                let text = field
                    .map_or(Some(value), |field| value.field(field))?
                    .as_text()?;
                Some(text.to_owned())
            };
            memory.name = text("name", None).filter(|_| !state.values.contains_key("friend"));
            memory.places = text("place", Some("id")).into_iter().collect();
        }
        memory.draft = draft;
        Worked {
            dialogue: Dialogue {
                state: (!page.ends).then_some(state),
                ..after
            },
            receipt: Receipt {
                ends: page.ends,
                text: page.text,
            },
            memory,
            begins,
        }
    }
}
