//! One call: claim the turn, run it on a copy of the dialogue, commit state and receipt together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::country::Country;
use crate::db::effect::Turn;
use crate::db::guests::{self, Caller};
use crate::db::{DbError, reservations};
use crate::menu::flow::RUNS_MAX;
use crate::menu::messages::Message;
use crate::menu::step::{State, Step, World};
use crate::menu::value::{Type, Values};
use crate::phone::Msisdn;
use crate::session::actions::{self, Work};
use crate::session::coalesce::Coalesced;
use crate::session::error::TurnError;
use crate::session::keeper::{Draft, Memory, Resume};
use crate::session::store::{Dialogue, HOPS_MAX, Identity, Opened, Receipt, SessionKey};
use crate::ussd::transcript::{Hop, hop, position};
use crate::ussd::{Aggregator, Call, INPUT_CHARS_MAX, Reply, Said};

/// From accepting a call to its reply: the shortest wait known of an aggregator is 5 s.
pub const REPLY_MAX: Duration = Duration::from_millis(3_300);
/// How often a call looks again whether another has finished the turn.
const RUNNING_POLL: Duration = Duration::from_millis(20);

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A screen.
    Screen(Reply),
    /// The session has ended or never was; a text to end with where the protocol has no word for that.
    UnknownSession(String),
    /// The session goes on already and cannot begin again.
    KnownSession,
}

/// The answer to a call that came in `request` and was accepted at `accepted`. Always there in time.
pub async fn answer(
    app: &Arc<App>,
    aggregator: &'static dyn Aggregator,
    call: Call,
    request: String,
    accepted: Instant,
) -> Answer {
    let country = app.country(&call.msisdn);
    let caller = call.msisdn.clone();
    let sorry = |message| sorry(app, &caller, message);
    // What looks like a code may be an answer: only the session tells.
    let is_dialled = !matches!(call.said, Said::Either { .. }) && !call.service_code.is_empty();
    if is_dialled && !app.config.service_codes.contains(&call.service_code) {
        return Answer::Screen(Reply::End(sorry(Message::WrongCode)));
    }
    let msisdn = (!aggregator.session_is_unique()).then_some(&call.msisdn);
    let key = SessionKey::new(aggregator.name(), &call.session, msisdn);
    let identity = identity(&call.said, request);
    let session = Session {
        app: app.clone(),
        country,
        aggregator,
        key: key.clone(),
        identity: identity.clone(),
        call,
    };
    let aggregator = aggregator.name();
    let work = app
        .turns
        .get((key, identity), async move { session.turn().await });
    let message = match tokio::time::timeout(REPLY_MAX.saturating_sub(accepted.elapsed()), work)
        .await
    {
        Ok(Ok(Receipt { ends: false, text })) => return Answer::Screen(Reply::Continue(text)),
        Ok(Ok(Receipt { ends: true, text })) => return Answer::Screen(Reply::End(text)),
        Ok(Err(Coalesced::Failed(error))) if matches!(*error, TurnError::Known) => {
            return Answer::KnownSession;
        }
        Ok(Err(Coalesced::Failed(error))) => {
            failed(aggregator, why(&error), &*error);
            match &*error {
                TurnError::Over => return Answer::UnknownSession(sorry(Message::Expired)),
                TurnError::Made(_) | TurnError::Unknown(_) | TurnError::Running => Message::Working,
                TurnError::Database(error) if error.is_crowded() => Message::Busy,
                TurnError::Store(_) | TurnError::Database(_) | TurnError::Known => {
                    Message::Unavailable
                }
            }
        }
        Ok(Err(Coalesced::Lost)) => {
            failed(aggregator, "panic", &TurnError::Running);
            Message::Working
        }
        Err(late) => {
            failed(aggregator, "late", &late);
            Message::Working
        }
    };
    Answer::Screen(Reply::End(sorry(message)))
}

/// A text to end with, in the language that callers of this number's country begin with.
pub fn sorry(app: &App, msisdn: &Msisdn, message: Message) -> String {
    let country = app.country(msisdn);
    let language = app.menu.language(&app.default_language(country));
    app.say(message, language, None, country)
}

fn identity(said: &Said, request: String) -> Identity {
    match said {
        Said::Transcript(transcript) => Identity::Transcript(transcript.clone()),
        Said::Dialled(_) => Identity::Dialled(request),
        Said::Answered { hop: Some(hop), .. } => Identity::Hop(hop.clone()),
        Said::Answered { input, hop: None } => Identity::Answer(input.clone()),
        Said::Either { input, .. } => Identity::Either(input.clone()),
    }
}

fn failed(aggregator: &'static str, why: &'static str, error: &(dyn std::error::Error + 'static)) {
    metrics::counter!("turns_failed_total", "why" => why).increment(1);
    tracing::warn!(error, aggregator, why, "a turn failed");
}

fn why(error: &TurnError) -> &'static str {
    match error {
        TurnError::Store(_) | TurnError::Made(_) => "redis",
        TurnError::Database(_) => "postgres",
        TurnError::Unknown(_) => "unknown",
        TurnError::Over => "over",
        TurnError::Running => "running",
        TurnError::Known => "known",
    }
}

struct Session {
    app: Arc<App>,
    country: &'static Country,
    aggregator: &'static dyn Aggregator,
    key: SessionKey,
    identity: Identity,
    call: Call,
}

/// Who works on a turn.
enum Claim {
    /// Nobody: it was answered before.
    Answered(Receipt),
    /// We do.
    Ours {
        token: i64,
        dialogue: Option<Box<Dialogue>>,
    },
}

/// A dialogue after its answer, and what its caller is remembered by.
struct Worked {
    dialogue: Dialogue,
    receipt: Receipt,
    memory: Memory,
    /// Whether it is the dialogue's first turn, whatever was said under its session id before.
    begins: bool,
}

impl Session {
    async fn turn(self) -> Result<Receipt, TurnError> {
        let store = &self.app.store;
        let (token, dialogue) = match self.claim().await {
            // Who asks again must not hear that nothing was booked.
            Err(TurnError::Store(error)) if self.may_have_booked().await => {
                return Err(TurnError::Made(error));
            }
            Ok(Claim::Answered(receipt)) => return Ok(receipt),
            Ok(Claim::Ours { token, dialogue }) => (token, dialogue),
            Err(error) => return Err(error),
        };
        match self.work(dialogue.map(|dialogue| *dialogue)).await {
            Err(error) => {
                // A retry must not wait for the lease; if Redis is gone, the lease ends by itself.
                store.release(&self.key, token).await.ok();
                Err(error)
            }
            Ok(worked) => {
                self.app.keeper.remember(&self.call.msisdn, worked.memory);
                match store
                    .commit(
                        &self.key,
                        token,
                        &self.identity,
                        &worked.dialogue,
                        &worked.receipt,
                        worked.begins,
                    )
                    .await
                {
                    Ok(true) => {}
                    Ok(false) => {
                        if let Ok(Opened::Answered(receipt)) =
                            store.open(&self.key, &self.identity).await
                        {
                            return Ok(receipt);
                        }
                    }
                    // What was done is done: the caller hears of it, and the next call rebuilds the dialogue.
                    Err(error) => tracing::warn!(%error, "a turn is not kept"),
                }
                Ok(worked.receipt)
            }
        }
    }

    async fn claim(&self) -> Result<Claim, TurnError> {
        let until = Instant::now() + REPLY_MAX;
        loop {
            match self.app.store.open(&self.key, &self.identity).await? {
                Opened::Answered(receipt) => return Ok(Claim::Answered(receipt)),
                Opened::Closed => return Err(TurnError::Over),
                Opened::Claimed { token, dialogue } => return Ok(Claim::Ours { token, dialogue }),
                Opened::Running if Instant::now() < until => tokio::time::sleep(RUNNING_POLL).await,
                Opened::Running => return Err(TurnError::Running),
            }
        }
    }

    async fn work(&self, mut dialogue: Option<Dialogue>) -> Result<Worked, TurnError> {
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
        let begun = Uuid::new_v4().simple().to_string();
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

    fn service_code(&self) -> &str {
        if self.call.service_code.is_empty() {
            self.app.service_code()
        } else {
            &self.call.service_code
        }
    }

    /// What comes of a turn that led to `state`, which `after` does not hold yet.
    fn worked(&self, after: Dialogue, state: State, given: &Values, begins: bool) -> Worked {
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

    /// A new dialogue, or one whose state was lost: it goes on from what was kept behind its replies, else what was
    /// typed so far is gone through again, without effects.
    async fn first(&self, input: &str, begun: &str, given: &Values) -> Result<State, TurnError> {
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
        let client = self.app.pool.get().await.map_err(DbError::from)?;
        let mut caller = guests::find_caller(&client, &self.call.msisdn).await?;
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

    /// What one call added: one answer, or several where calls were missed. `at` is the position of the last.
    async fn replies(
        &self,
        state: &mut State,
        input: &str,
        at: i32,
        given: &Values,
    ) -> Result<(), TurnError> {
        let answers: Vec<_> = input.split('*').collect();
        let takes_words = matches!(
            self.app.menu.asks_for(state),
            Some(Type::Text(_) | Type::Name)
        );
        if answers.len() == 1 || takes_words || input.trim_matches('*').is_empty() {
            return self.step(state, input, &self.turn_at(at, ""), given).await;
        }
        let first = at - i32::try_from(answers.len()).unwrap_or(i32::MAX) + 1;
        self.replay(state, &answers, &self.turn_at(first, ""), given)
            .await
    }

    /// Goes through answers that were not given to a screen of this dialogue: never past an answer that commits, unless
    /// what it committed then is on record.
    async fn replay(
        &self,
        state: &mut State,
        answers: &[&str],
        first: &Turn,
        given: &Values,
    ) -> Result<(), TurnError> {
        for (answer, position) in answers.iter().zip(first.position..) {
            let turn = Turn {
                position,
                ..first.clone()
            };
            if self.app.menu.commits(state, answer) && !self.has_made(&turn).await? {
                return Ok(());
            }
            self.step(state, answer, &turn, given).await?;
            if self.app.menu.page(state, given).ends {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether this very call may have booked before. Calls that do not tell all answers have no position without their
    /// dialogue, so that nobody can know.
    async fn may_have_booked(&self) -> bool {
        match &self.call.said {
            Said::Transcript(transcript) => {
                let turn = self.turn_at(position(transcript), "");
                turn.position > 0 && self.has_made(&turn).await.unwrap_or(false)
            }
            Said::Dialled(_) => false,
            Said::Answered { .. } | Said::Either { .. } => true,
        }
    }

    async fn has_made(&self, turn: &Turn) -> Result<bool, TurnError> {
        let client = self.app.pool.get().await.map_err(DbError::from)?;
        let made = reservations::find_by_dialogue(&client, &turn.door, &turn.session).await?;
        Ok(made.is_some_and(|(_, made_at)| made_at == turn.position))
    }

    /// The name of a turn in Postgres: the same after a crash and on every instance, and never again in a later dialogue.
    fn turn_at(&self, position: i32, begun: &str) -> Turn {
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

    async fn step(
        &self,
        state: &mut State,
        input: &str,
        turn: &Turn,
        given: &Values,
    ) -> Result<(), TurnError> {
        let typed: String = input.chars().take(INPUT_CHARS_MAX).collect();
        let reader = self.app.reader(&state.language, self.country);
        let world = World {
            given,
            reader: &reader,
        };
        let mut step = self.app.menu.answer(state, &typed, &world);
        for _ in 0..RUNS_MAX {
            let Step::Run(action) = step else {
                return Ok(());
            };
            let work = Work {
                app: &self.app,
                country: self.country,
                msisdn: &self.call.msisdn,
                turn,
                channel: "ussd",
                state: &*state,
            };
            let done = actions::run(action, &work).await?;
            step = self
                .app
                .menu
                .resume(state, done.outcome, done.binds, &world);
        }
        Ok(())
    }
}
