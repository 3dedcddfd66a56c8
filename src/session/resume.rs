//! A dialogue that is new or was lost: where it goes on.

use crate::db::DbError;
use crate::db::guests::Caller;
use crate::db::patience::{EXTRA_MAX, within};
use crate::db::session_ends::Past;
use crate::menu::Menu;
use crate::menu::step::State;
use crate::session::error::TurnError;
use crate::session::keeper::{Draft, Resume, last_places};
use crate::session::menus::Spoken;
use crate::session::store::SESSION_TTL;
use crate::session::turn::Session;
use crate::session::waitlist;
use crate::ussd::transcript::{Hop, hop, position};

impl Session {
    /// A new dialogue, or one whose state was lost: it goes on from what was kept behind its replies, else what was
    /// typed so far is gone through again, without effects.
    pub(super) async fn first(
        &self,
        input: &str,
        begun: &str,
    ) -> Result<(State, Spoken), TurnError> {
        let is_new = input.is_empty() || !begun.is_empty();
        if is_new && self.has_no_store() {
            return Err(TurnError::Down);
        }
        let current = self.spoken(self.app.menus.current(), self.service_code());
        let caller = self.caller().await?;
        let chosen = chosen(&caller);
        let language = |menu: &Menu| self.language(chosen.as_deref(), menu);
        let pays = caller.pays;
        let offered = caller.offered;
        let resume = kept(caller);
        if input.is_empty() {
            let news = if pays {
                let menu = current.menu();
                self.payment_news(menu.language(&language(menu))).await
            } else {
                None
            };
            if offered {
                let mut state = current.menu().begin(&language(current.menu()));
                let turn = self.turn_at(0, begun);
                let offered = self.jump(&mut state, waitlist::OFFERED, &turn, &current);
                if offered.await? && !state.history.is_empty() {
                    return Ok((state, current));
                }
            }
            let ahead = resume.filter(|resume| !resume.over && self.is_ahead(&resume.state));
            // Who goes on goes on in the menus of then.
            if let Some(resume) = ahead
                && let Some(menus) = self.find_menus(&resume.menus).await?
                && let Some(mut state) =
                    menus
                        .menu
                        .take_up(resume.state, &language(&menus.menu), news.is_some())
            {
                state.notice = news;
                return Ok((state, self.spoken(menus, self.service_code())));
            }
            let mut state = current.menu().begin(&language(current.menu()));
            state.notice = news;
            return Ok((state, current));
        }
        let is_past = if begun.is_empty() {
            self.is_past().await
        } else {
            Ok(false)
        };
        if matches!(is_past, Ok(true)) {
            return Err(TurnError::Over);
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
                // Whoever answers later calls to what is rebuilt for it would answer another screen than was shown.
                Hop::Late => return Err(TurnError::Over),
                Hop::First { .. } | Hop::Mismatch { .. } => {}
            }
        }
        let mut state = current.menu().begin(&language(current.menu()));
        let answers: Vec<_> = input.split('*').collect();
        let turn = self.turn_at(1, begun);
        let answered = self.dial(&mut state, answers[0], &turn, &current).await?;
        let turn = self.turn_at(1 + i32::from(answered), begun);
        self.replay(
            &mut state,
            &answers[usize::from(answered)..],
            &turn,
            &current,
        )
        .await?;
        let page = current.menu().page(&state, &current.given, self.door());
        match is_past {
            // What was said then may be known to nobody now: no last word may deny it.
            Err(error) if !page.asks => Err(TurnError::Unknown(error)),
            _ => Ok((state, current)),
        }
    }

    /// A dialogue that was lost although its aggregator tells the latest answer only: nobody knows which screen that
    /// answers, so it is offered to go on from where its replies are kept.
    pub(super) async fn lost(&self) -> Result<(State, Spoken), TurnError> {
        if self.has_no_store() {
            // It may have booked.
            return Err(TurnError::Running);
        }
        let current = self.spoken(self.app.menus.current(), self.service_code());
        let caller = self.caller().await?;
        let chosen = chosen(&caller);
        let language = |menu: &Menu| self.language(chosen.as_deref(), menu);
        match kept(caller).filter(|resume| resume.session == self.key) {
            Some(resume) if !resume.over => {
                if let Some(menus) = self.find_menus(&resume.menus).await?
                    && let Some(offered) = menus.menu.offer(resume.state, &language(&menus.menu))
                {
                    return Ok((offered, self.spoken(menus, self.service_code())));
                }
            }
            // Without Redis nobody knows that it has ever begun.
            None if self.without_redis => {}
            _ => return Err(TurnError::Over),
        }
        let state = current.menu().begin(&language(current.menu()));
        Ok((state, current))
    }

    /// What is kept of this session.
    pub(super) async fn resume_point(&self) -> Result<Option<Resume>, TurnError> {
        let kept = kept(self.caller().await?);
        Ok(kept.filter(|resume| resume.session == self.key))
    }

    /// Whether a call tells the answers of a dialogue that is long over: who replays them gets nothing of it.
    async fn is_past(&self) -> Result<bool, DbError> {
        let turn = self.turn_at(0, "");
        let past = Past {
            turn: &turn,
            msisdn: &self.call.msisdn,
            key: self.key.as_str(),
            age_max: SESSION_TTL,
        };
        let asked = self.app.books.is_past(&past);
        within(&self.app.postgres, self.patience(EXTRA_MAX), asked).await
    }

    fn has_no_store(&self) -> bool {
        self.without_redis && self.app.postgres.is_open()
    }

    fn language(&self, chosen: Option<&str>, menu: &Menu) -> String {
        match chosen {
            Some(code) => self.app.spoken(menu, code, self.country),
            None => self.app.language_of(menu, &self.call.msisdn, self.country),
        }
    }

    async fn caller(&self) -> Result<Caller, TurnError> {
        // First what waits to be written: it may be written, and gone from there, while the database answers.
        let pending = self.app.keeper.pending(&self.call.msisdn);
        let asked = self.app.books.find_caller(&self.call.msisdn);
        let asked = within(&self.app.postgres, self.patience(EXTRA_MAX), asked);
        let mut caller = match asked.await {
            Ok(caller) => {
                self.places.get_or_init(|| {
                    let known = caller.guest.iter();
                    let known = known.flat_map(|guest| guest.recent_places.iter().cloned());
                    last_places(pending.places, known.collect())
                });
                caller
            }
            Err(error) if error.is_crowded() => return Err(TurnError::Database(error)),
            // Menus need nothing of it.
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a caller is served without what is known of him"
                );
                Caller::default()
            }
        };
        if let Some(language) = pending.language {
            caller.guest.get_or_insert_default().language = Some(language);
        }
        match pending.draft {
            Draft::Keep => {}
            Draft::Close => {
                if let Some(draft) = &mut caller.draft {
                    draft.is_over = true;
                }
            }
            Draft::Save(resume) => caller.draft = resume.draft(),
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

fn chosen(caller: &Caller) -> Option<String> {
    caller.guest.as_ref()?.language.clone()
}

fn kept(caller: Caller) -> Option<Resume> {
    Resume::read(&caller.draft?)
}
