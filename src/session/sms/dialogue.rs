//! The booking flow by SMS: the menus of the dialled code, one message a screen.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::Inbound;
use super::ahead::{Ahead, Words};
use crate::app::text_is_missing;
use crate::db::DbError;
use crate::menu::Menus;
use crate::menu::door::{Door, SEPTETS_USUAL};
use crate::menu::files::Version;
use crate::menu::input::Reader;
use crate::menu::step::State;
use crate::menu::value::{Type, Value};
use crate::session::answers::Answering;
use crate::session::error::TurnError;
use crate::session::keeper::Memory;
use crate::session::menus::Spoken;
use crate::sms::keywords::Command;

/// One message of one part, all keys ours.
static DOOR: LazyLock<Door> = LazyLock::new(|| Door::new("sms", SEPTETS_USUAL));

/// A dialogue between two messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextDialogue {
    menus: Version,
    state: State,
    /// What was told behind BOOK and not asked for yet.
    ahead: Ahead,
}

impl TextDialogue {
    pub(super) fn kept(&self) -> Result<serde_json::Value, DbError> {
        serde_json::to_value(self).map_err(|error| DbError::Refused(error.into()))
    }
}

/// What a message means to the dialogue.
pub(super) enum Spoke {
    /// Nothing: it is no part of one.
    Nothing,
    /// It is here now.
    Dialogue {
        /// `None` after the last screen.
        dialogue: Option<Box<TextDialogue>>,
        /// What is said. `None`: an SMS of its own tells what came of it.
        text: Option<String>,
        memory: Memory,
    },
}

impl Inbound<'_> {
    /// Begins a dialogue or answers the last message of the one under way.
    pub(super) async fn go_on(
        &self,
        command: &Command,
        kept: Option<serde_json::Value>,
    ) -> Result<Spoke, DbError> {
        if self.sms.binary.is_some() {
            return Ok(Spoke::Nothing);
        }
        match command {
            Command::Book(rest) => {
                let ahead = self.read(|words| Ahead::parse(rest, words));
                self.begin(ahead).await
            }
            Command::Day { day, rest } => {
                if rest.is_empty()
                    && let Some((dialogue, spoken)) = self.under_way(kept).await?
                    && spoken.menu().asks_for(&dialogue.state) == Some(Type::Date)
                {
                    return self.answer(dialogue, spoken).await;
                }
                if self.host.is_some() {
                    return Ok(Spoke::Nothing);
                }
                let ahead = self.read(|words| Ahead::on(day, rest, words));
                self.begin(ahead).await
            }
            Command::Host(_) if self.host.is_some() => Ok(Spoke::Nothing),
            Command::Host(_) | Command::Unknown => match self.under_way(kept).await? {
                Some((dialogue, spoken)) => self.answer(dialogue, spoken).await,
                None => Ok(Spoke::Nothing),
            },
            _ => Ok(Spoke::Nothing),
        }
    }

    /// The dialogue that waits for an answer, in the language that is spoken to the guest now.
    async fn under_way(
        &self,
        kept: Option<serde_json::Value>,
    ) -> Result<Option<(TextDialogue, Spoken)>, DbError> {
        let Some(mut dialogue) =
            kept.and_then(|kept| serde_json::from_value::<TextDialogue>(kept).ok())
        else {
            return Ok(None);
        };
        let today = self.app.local_time(self.country).today;
        let check_in = dialogue.state.values.get("check_in");
        if check_in
            .and_then(Value::as_date)
            .is_some_and(|day| day < today)
        {
            return Ok(None);
        }
        let found = self
            .app
            .menus
            .find(&dialogue.menus, &self.app.books)
            .await?;
        Ok(found.map(|menus| {
            let spoken = self.spoken(menus);
            if spoken.menu().speaks(&self.language) {
                dialogue.state.language.clone_from(&self.language);
            }
            (dialogue, spoken)
        }))
    }

    async fn begin(&self, ahead: Ahead) -> Result<Spoke, DbError> {
        let spoken = self.spoken(self.menus.clone());
        let mut state = spoken.menu().begin(&self.language);
        spoken.menu().dial(&mut state, "", &spoken.given);
        self.feed(state, ahead, &spoken, false).await
    }

    async fn answer(&self, before: TextDialogue, spoken: Spoken) -> Result<Spoke, DbError> {
        let TextDialogue {
            mut state, ahead, ..
        } = before;
        let answering = self.answering(&spoken);
        let texted = answering.step(&mut state, self.sms.text.trim()).await;
        self.feed(state, ahead, &spoken, texted.map_err(plain)?)
            .await
    }

    /// Gives the answers that are known already, as long as the screen asks for one of them, and says where that leads.
    /// Never one that books.
    async fn feed(
        &self,
        mut state: State,
        mut ahead: Ahead,
        spoken: &Spoken,
        mut texted: bool,
    ) -> Result<Spoke, DbError> {
        let menu = spoken.menu();
        while let Some(known) = ahead.next(menu.asks_for(&state)) {
            if menu.commits(&state, &known, &spoken.given) {
                break;
            }
            texted |= self
                .answering(spoken)
                .step(&mut state, &known)
                .await
                .map_err(plain)?;
        }
        if menu.lacks_a_line(&state) {
            text_is_missing(&state.language);
        }
        let page = menu.page(&state, &spoken.given, &DOOR);
        let memory = Memory::of(&state, true);
        let menus = spoken.menus.version.clone();
        Ok(Spoke::Dialogue {
            text: Some(page.text).filter(|_| !(page.ends && texted)),
            dialogue: (!page.ends).then(|| {
                Box::new(TextDialogue {
                    menus,
                    state,
                    ahead,
                })
            }),
            memory,
        })
    }

    fn answering<'b>(&'b self, spoken: &'b Spoken) -> Answering<'b> {
        Answering {
            app: self.app,
            country: self.country,
            msisdn: &self.sms.msisdn,
            channel: "sms",
            turn: &self.turn,
            spoken,
            door: &DOOR,
            until: self.until,
            // Whether it was delivered before is not known: nobody must hear that nothing was booked.
            unfinished: true,
            only_looks: false,
            places: None,
        }
    }

    fn spoken(&self, menus: Arc<Menus>) -> Spoken {
        Spoken {
            given: self
                .app
                .given(&menus, self.country, self.app.service_code()),
            menus,
        }
    }

    fn read(&self, read: impl Fn(&Words<'_>) -> Ahead) -> Ahead {
        let reader: Reader<'_> = self
            .app
            .reader(&self.menus.menu, &self.language, self.country);
        read(&Words {
            is_day: &|text| reader.read(text, Type::Date).is_ok(),
            is_count: &|text| reader.read(text, Type::Count(1, 30)).is_ok(),
        })
    }
}

impl Ahead {
    /// The answer to what is asked, if it is known. It is given once.
    fn next(&mut self, asked: Option<Type>) -> Option<String> {
        match asked? {
            Type::Text(_) | Type::PlaceName => self.place.take(),
            Type::Date => self.day.take(),
            Type::Count(..) | Type::Nights | Type::Guests if !self.counts.is_empty() => {
                Some(self.counts.remove(0))
            }
            _ => None,
        }
    }
}

/// A dialogue by SMS has no other store than the database.
fn plain(error: TurnError) -> DbError {
    match error {
        TurnError::Database(error) | TurnError::Unknown(error) => error,
        other => DbError::Busy(other.into()),
    }
}
