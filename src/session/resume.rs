//! A dialogue that is new or was lost: where it goes on.

use serde_json::Value;

use crate::db::guests::Caller;
use crate::menu::Menu;
use crate::menu::step::State;
use crate::session::error::TurnError;
use crate::session::keeper::{Draft, Resume};
use crate::session::menus::Spoken;
use crate::session::turn::Session;
use crate::ussd::transcript::{Hop, hop, position};

impl Session {
    /// A new dialogue, or one whose state was lost: it goes on from what was kept behind its replies, else what was
    /// typed so far is gone through again, without effects.
    pub(super) async fn first(
        &self,
        input: &str,
        begun: &str,
    ) -> Result<(State, Spoken), TurnError> {
        let current = self.spoken(self.app.menus.current(), self.service_code());
        let caller = self.caller().await?;
        let chosen = caller
            .guest
            .as_ref()
            .and_then(|guest| guest.language.as_deref());
        let language = |menu: &Menu| match chosen {
            Some(code) => self.app.spoken(menu, code, self.country),
            None => menu.default_language(self.country).to_owned(),
        };
        let resume = caller
            .draft
            .and_then(|draft| serde_json::from_value::<Resume>(draft).ok());
        if input.is_empty() {
            let ahead = resume.filter(|resume| !resume.over && self.is_ahead(&resume.state));
            // Who is offered to go on goes on in the menus of then.
            if let Some(resume) = ahead
                && let Some(menus) = self.find_menus(&resume.menus).await?
                && let Some(offered) = menus.menu.offer(resume.state, &language(&menus.menu))
            {
                return Ok((offered, self.spoken(menus, self.service_code())));
            }
            let state = current.menu().begin(&language(current.menu()));
            return Ok((state, current));
        }
        if let Some(Resume {
            transcript,
            menus,
            mut state,
            ..
        }) = resume.filter(|resume| begun.is_empty() && resume.session == self.key)
            && let Some(menus) = self.find_menus(&menus).await?
        {
            let spoken = self.spoken(menus, self.service_code());
            let at = position(input);
            match hop(Some(&transcript), input) {
                Hop::Repeat => return Ok((state, spoken)),
                Hop::Reply { input } => {
                    self.replies(&mut state, input, at, &spoken).await?;
                    return Ok((state, spoken));
                }
                _ => {}
            }
        }
        let mut state = current.menu().begin(&language(current.menu()));
        let answers: Vec<_> = input.split('*').collect();
        current.menu().dial(&mut state, answers[0]);
        self.replay(&mut state, &answers, &self.turn_at(1, begun), &current)
            .await?;
        Ok((state, current))
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
