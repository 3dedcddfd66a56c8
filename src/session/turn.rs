//! One call: claim the turn, run it on a copy of the dialogue, commit state and receipt together. A turn that only looks
//! needs no claim.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::app::App;
use crate::country::Country;
use crate::crash_point;
use crate::funnel::Tally;
use crate::menu::messages::Message;
use crate::phone::Msisdn;
use crate::session::coalesce::Coalesced;
use crate::session::error::TurnError;
use crate::session::keeper::{Memory, REST};
use crate::session::store::{
    Dialogue, Identity, Known, Opened, Receipt, SessionKey, Token, TurnEnd,
};
use crate::ussd::transcript::{Hop, hop};
use crate::ussd::{Aggregator, Call, Reply, Said};

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
    call: &Arc<Call>,
    request: impl FnOnce() -> String,
    accepted: Instant,
) -> Answer {
    let country = app.country(&call.msisdn);
    let sorry = |message| sorry(app, &call.msisdn, message);
    // What looks like a code may be an answer: only the session tells.
    let is_dialled = !matches!(call.said, Said::Either { .. }) && !call.service_code.is_empty();
    if is_dialled && !app.config.service_codes.contains(&call.service_code) {
        return Answer::Screen(Reply::End(sorry(Message::WrongCode)));
    }
    let _admitted = match app.limits.admit(aggregator.name(), call) {
        Ok(admitted) => admitted,
        Err(message) => return Answer::Screen(Reply::End(sorry(message))),
    };
    let msisdn = (!aggregator.session_is_unique()).then_some(&call.msisdn);
    let key = SessionKey::new(aggregator.name(), &call.session, msisdn);
    let identity = identity(&call.said, request);
    let mut session = Session {
        app: app.clone(),
        country,
        aggregator,
        key: key.clone(),
        identity,
        call: call.clone(),
        until: accepted + REPLY_MAX,
        unfinished: false,
        without_redis: false,
        only_looks: true,
        places: OnceLock::new(),
    };
    let aggregator = aggregator.name();
    // In boxes: what is as large as all that a turn may do is moved many times on the way to its task.
    let work = async move {
        if let Some(receipt) = Box::pin(session.glance()).await {
            return Ok(receipt);
        }
        session.only_looks = false;
        let turn = Box::pin(session.turn());
        app.turns.get((key, identity), turn).await
    };
    let message =
        match tokio::time::timeout(REPLY_MAX.saturating_sub(accepted.elapsed()), work).await {
            Ok(Ok(Receipt { ends: false, text })) => return Answer::Screen(Reply::Continue(text)),
            Ok(Ok(Receipt { ends: true, text })) => return Answer::Screen(Reply::End(text)),
            Ok(Err(Coalesced::Failed(error))) if matches!(*error, TurnError::Known) => {
                return Answer::KnownSession;
            }
            Ok(Err(Coalesced::Failed(error))) => {
                failed(aggregator, why(&error), &*error);
                match &*error {
                    TurnError::Over => return Answer::UnknownSession(sorry(Message::Expired)),
                    TurnError::Unknown(_) | TurnError::Running => Message::Working,
                    TurnError::Database(error) if error.is_crowded() => Message::Busy,
                    TurnError::Database(_) | TurnError::Known | TurnError::Unclaimed => {
                        Message::Unavailable
                    }
                    TurnError::Down => Message::Down,
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

/// A text to end with, in the language that this caller was last seen to speak, else in that of the country.
pub fn sorry(app: &App, msisdn: &Msisdn, message: Message) -> String {
    let country = app.country(msisdn);
    let menus = app.menus.current();
    let language = menus
        .menu
        .language(&app.language_of(&menus.menu, msisdn, country));
    app.say(message, language, None, country)
}

fn identity(said: &Said, request: impl FnOnce() -> String) -> Identity {
    match said {
        Said::Transcript(transcript) => Identity::transcript(transcript),
        Said::Dialled(_) => Identity::dialled(&request()),
        Said::Answered { hop: Some(hop), .. } => Identity::hop(hop),
        Said::Answered { input, hop: None } => Identity::answer(input),
        Said::Either { input, .. } => Identity::either(input),
    }
}

/// Whether a dialogue must have been there before.
pub(super) fn goes_on(said: &Said) -> bool {
    match said {
        Said::Transcript(transcript) => !transcript.is_empty(),
        Said::Dialled(_) => false,
        Said::Answered { .. } => true,
        Said::Either { ahead, .. } => ahead.is_none(),
    }
}

fn failed(aggregator: &'static str, why: &'static str, error: &(dyn std::error::Error + 'static)) {
    metrics::counter!("turns_failed_total", "why" => why).increment(1);
    tracing::warn!(error, aggregator, why, "a turn failed");
}

fn why(error: &TurnError) -> &'static str {
    match error {
        TurnError::Database(_) => "postgres",
        TurnError::Down => "down",
        TurnError::Unknown(_) => "unknown",
        TurnError::Over => "over",
        TurnError::Running => "running",
        TurnError::Known => "known",
        TurnError::Unclaimed => "unclaimed",
    }
}

/// A call and what its turn is worked on with.
pub(super) struct Session {
    pub(super) app: Arc<App>,
    pub(super) country: &'static Country,
    pub(super) aggregator: &'static dyn Aggregator,
    pub(super) key: SessionKey,
    pub(super) identity: Identity,
    pub(super) call: Arc<Call>,
    /// When its caller stops waiting.
    pub(super) until: Instant,
    /// An earlier try of it, or of the turn before, was not finished, or nobody knows whether there was one.
    pub(super) unfinished: bool,
    /// Redis is away.
    pub(super) without_redis: bool,
    /// Nothing may come of it but its reply: it has no claim.
    pub(super) only_looks: bool,
    /// Ids of the places that the caller looked for, the last one first, once that is known.
    pub(super) places: OnceLock<Vec<String>>,
}

/// Who works on a turn.
enum Claim {
    /// Nobody: it was answered before.
    Answered(Receipt),
    /// We do.
    Ours {
        token: Token,
        unfinished: bool,
        dialogue: Option<Box<Dialogue>>,
    },
}

/// A dialogue after its answer, and what its caller is remembered by.
pub(super) struct Worked {
    pub(super) end: TurnEnd,
    pub(super) receipt: Receipt,
    pub(super) memory: Memory,
    /// What it adds to the funnel.
    pub(super) tally: Tally,
}

impl Session {
    /// The turn in one round trip to Redis, where it only looks: with the dialogue as this instance knows it, and kept only if
    /// that is still what all instances know. Whoever goes away meanwhile takes nothing from anybody. `None`: it is to be
    /// claimed.
    async fn glance(&self) -> Option<Receipt> {
        let store = &self.app.store;
        if !store.is_in_redis(&self.key) {
            return None;
        }
        let known = store.known(&self.key);
        let follows = match &known {
            None => !goes_on(&self.call.said),
            Some(known) => self.answers(known),
        };
        if !follows {
            return None;
        }
        let from = known.as_ref().map(|known| known.stamp);
        let dialogue = known.map(|known| known.dialogue);
        let worked = self.work(dialogue).await.ok()?;
        crash_point!("turn:glanced");
        if !store.advance(&self.key, from, worked.end).await {
            return None;
        }
        self.remember(worked.memory);
        self.count(worked.tally);
        crash_point!("turn:advanced");
        Some(worked.receipt)
    }

    /// Whether it is the next answer after what is known, and can be no repetition of another.
    fn answers(&self, known: &Known) -> bool {
        let before = &known.dialogue;
        before.state.is_some()
            && match &self.call.said {
                Said::Transcript(transcript) => {
                    matches!(hop(Some(&before.transcript), transcript), Hop::Reply { .. })
                }
                Said::Answered { hop: Some(_), .. } => {
                    let numbers = before.number.zip(self.number());
                    numbers.is_some_and(|(last, number)| last.checked_add(1) == Some(number))
                }
                Said::Answered { hop: None, .. } | Said::Either { .. } => {
                    !before.receipts.may_be_newest(&self.identity)
                }
                Said::Dialled(_) => false,
            }
    }

    fn remember(&self, memory: Memory) {
        // Without Redis it is all that the others have.
        let rest = if self.without_redis {
            Duration::ZERO
        } else {
            REST
        };
        self.app.keeper.remember(&self.call.msisdn, memory, rest);
    }

    fn count(&self, tally: Tally) {
        let operator = self.call.operator.as_deref();
        tally.count(&self.app.funnel, self.aggregator.name(), operator);
    }

    async fn turn(mut self) -> Result<Receipt, TurnError> {
        let (token, dialogue) = match self.claim().await? {
            Claim::Answered(receipt) => return Ok(receipt),
            Claim::Ours {
                token,
                unfinished,
                dialogue,
            } => {
                let is_lost = dialogue.is_none() && goes_on(&self.call.said);
                self.unfinished = unfinished || is_lost;
                self.without_redis = matches!(token, Token::Memory(_));
                (token, dialogue)
            }
        };
        crash_point!("turn:claimed");
        let store = &self.app.store;
        let worked = match self.work(dialogue.map(|dialogue| *dialogue)).await {
            Ok(worked) => worked,
            Err(error) => {
                let error = match error {
                    // An earlier try may have booked: nobody may say that nothing was.
                    TurnError::Database(error) if self.unfinished => TurnError::Unknown(error),
                    error => error,
                };
                store
                    .release(&self.key, token, matches!(error, TurnError::Unknown(_)))
                    .await;
                return Err(error);
            }
        };
        crash_point!("turn:worked");
        self.remember(worked.memory);
        if !store.commit(&self.key, token, worked.end).await {
            match self.open().await {
                Opened::Answered(receipt) => return Ok(receipt),
                Opened::Claimed { token, .. } => store.release(&self.key, token, false).await,
                Opened::Running | Opened::Closed => {}
            }
        } else {
            self.count(worked.tally);
        }
        crash_point!("turn:committed");
        Ok(worked.receipt)
    }

    async fn open(&self) -> Opened {
        let now = self.app.clock.now();
        self.app.store.open(&self.key, &self.identity, now).await
    }

    async fn claim(&self) -> Result<Claim, TurnError> {
        loop {
            match self.open().await {
                Opened::Answered(receipt) => return Ok(Claim::Answered(receipt)),
                Opened::Closed => return Err(TurnError::Over),
                Opened::Claimed {
                    token,
                    unfinished,
                    dialogue,
                } => {
                    return Ok(Claim::Ours {
                        token,
                        unfinished,
                        dialogue,
                    });
                }
                Opened::Running if Instant::now() < self.until => {
                    tokio::time::sleep(RUNNING_POLL).await
                }
                Opened::Running => return Err(TurnError::Running),
            }
        }
    }
}
