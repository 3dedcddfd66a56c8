//! STOP, START, HELP, LANG and DELETE: how a guest wants to be treated.

use super::Answer;
use crate::db::consents::{self, Consent};
use crate::db::guests::{self, Remembered};
use crate::db::{DbError, erasures};
use crate::letters::squash;
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::session::keeper::{Memory, REST};

/// The fewest letters that stand for a language's own name: `swahili` for Kiswahili.
const NAME_LETTERS_MIN: usize = 4;

impl Answer<'_> {
    /// Confirmed once: who stops again has heard it.
    pub(super) async fn stop(&self) -> Result<(), DbError> {
        if self.consent(false).await? {
            self.say("stopped", Message::Stopped, None).await?;
        }
        Ok(())
    }

    pub(super) async fn start(&self) -> Result<(), DbError> {
        self.consent(true).await?;
        self.say("started", Message::Started, None).await
    }

    async fn consent(&self, given: bool) -> Result<bool, DbError> {
        let consent = Consent {
            msisdn: &self.of.sms.msisdn,
            given,
            channel: &self.of.turn.door,
            text_version: &self.of.menus.version,
        };
        consents::record(self.client, &consent).await
    }

    pub(super) async fn help(&self) -> Result<(), DbError> {
        let message = match self.of.guest.opted_out_at {
            None => Message::Help,
            Some(_) => Message::HelpStopped,
        };
        self.say("help", message, None).await
    }

    pub(super) async fn speak(&self, named: &str) -> Result<(), DbError> {
        let menu = &self.of.menus.menu;
        let spoken = menu
            .languages
            .iter()
            .filter(|language| menu.speaks(&language.code));
        let Some(language) = find_language(spoken, named) else {
            return self
                .say("which_language", Message::WhichLanguage, None)
                .await;
        };
        let (app, msisdn) = (self.of.app, &self.of.sms.msisdn);
        let remembered = Remembered {
            msisdn: msisdn.as_str(),
            language: Some(&language.code),
            name: None,
            places: &[],
            draft: None,
            closes: false,
        };
        guests::remember(self.client, &[remembered]).await?;
        // What waits to be written of an earlier choice must not come after this one.
        let chosen = Memory {
            language: Some(language.code.clone()),
            ..Memory::default()
        };
        app.keeper.remember(msisdn, chosen, REST);
        let text = app.say(Message::LanguageSet, language, None, self.of.country);
        self.send("language_set", text, 0).await
    }

    pub(super) async fn erase(&self) -> Result<(), DbError> {
        self.consent(false).await?;
        erasures::request(self.client, &self.of.sms.msisdn, &self.of.turn.door).await?;
        self.say("erasing", Message::Erasing, None).await
    }
}

/// By its code, its name or a good part of the name.
fn find_language<'a>(
    mut languages: impl Iterator<Item = &'a Language> + Clone,
    named: &str,
) -> Option<&'a Language> {
    let named = squash(named);
    let name = |language: &Language| squash(&language.name);
    languages
        .clone()
        .find(|language| language.code == named || name(language) == named)
        .or_else(|| {
            languages
                .find(|language| named.len() >= NAME_LETTERS_MIN && name(language).contains(&named))
        })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::menu::files;

    #[test]
    fn a_language_is_found_by_code_by_name_and_by_a_part_of_it() {
        let (menu, _) = files::read(None, &[]).unwrap();
        for (named, code) in [
            ("SW", Some("sw")),
            ("kiswahili", Some("sw")),
            ("Swahili", Some("sw")),
            ("English", Some("en")),
            ("Français", Some("fr")),
            ("rwanda", Some("rw")),
            ("Yorùbá", Some("yo")),
            ("pidgin", Some("pcm")),
            ("", None),
            ("ki", None),
            ("Deutsch", None),
        ] {
            let found = find_language(menu.languages.iter(), named);
            assert_eq!(
                found.map(|language| language.code.as_str()),
                code,
                "{named}"
            );
        }
    }
}
