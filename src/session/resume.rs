//! A dialogue that is new or was lost: where it goes on.

use serde_json::Value;

use crate::db::guests::Caller;
use crate::menu::step::State;
use crate::menu::value::Values;
use crate::session::error::TurnError;
use crate::session::keeper::{Draft, Resume};
use crate::session::turn::Session;
use crate::ussd::transcript::{Hop, hop, position};

impl Session {
    /// A new dialogue, or one whose state was lost: it goes on from what was kept behind its replies, else what was
    /// typed so far is gone through again, without effects.
    pub(super) async fn first(
        &self,
        input: &str,
        begun: &str,
        given: &Values,
    ) -> Result<State, TurnError> {
        let caller = self.caller().await?;
        let language = caller
            .guest
            .as_ref()
            .and_then(|guest| guest.language.as_deref())
            .map_or_else(
                || self.app.default_language(self.country),
                |code| self.app.spoken(code, self.country),
            );
        let resume = caller
            .draft
            .and_then(|draft| serde_json::from_value::<Resume>(draft).ok());
        if input.is_empty() {
            let offered = resume
                .filter(|resume| !resume.over && self.is_ahead(&resume.state))
                .and_then(|resume| self.app.menu.offer(resume.state, &language));
            return Ok(offered.unwrap_or_else(|| self.app.menu.begin(&language)));
        }
        if let Some(Resume {
            transcript,
            mut state,
            ..
        }) = resume.filter(|resume| begun.is_empty() && resume.session == self.key)
        {
            let at = position(input);
            match hop(Some(&transcript), input) {
                Hop::Repeat => return Ok(state),
                Hop::Reply { input } => {
                    self.replies(&mut state, input, at, given).await?;
                    return Ok(state);
                }
                _ => {}
            }
        }
        let mut state = self.app.menu.begin(&language);
        let answers: Vec<_> = input.split('*').collect();
        self.app.menu.dial(&mut state, answers[0]);
        self.replay(&mut state, &answers, &self.turn_at(1, begun), given)
            .await?;
        Ok(state)
    }

    async fn caller(&self) -> Result<Caller, TurnError> {
        // First what waits to be written: it may be written, and gone from there, while the database answers.
        let pending = self.app.keeper.pending(&self.call.msisdn);
        let mut caller = self.app.books.find_caller(&self.call.msisdn).await?;
        if let Some(language) = pending.language {
            caller.guest.get_or_insert_default().language = Some(language);
        }
        match pending.draft {
            Draft::Keep => {}
            Draft::Close => {
                if let Some(Value::Object(draft)) = &mut caller.draft {
                    draft.insert("over".to_owned(), Value::Bool(true));
                }
            }
            Draft::Save(draft) => caller.draft = serde_json::to_value(draft).ok(),
        }
        Ok(caller)
    }

    /// Whether the nights of a draft can still be slept.
    fn is_ahead(&self, draft: &State) -> bool {
        let today = self.app.local_time(self.country).today;
        draft
            .values
            .get("check_in")
            .and_then(|date| date.as_date())
            .is_some_and(|date| date >= today)
    }
}
