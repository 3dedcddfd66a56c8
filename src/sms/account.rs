//! An account at a provider.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Settings;

/// The settings of an account at a provider, all kept secret, by names that the provider's file documents.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Account(BTreeMap<String, SecretString>);

impl Account {
    /// An account with these settings.
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Account {
        let settings = settings.into_iter();
        Account(
            settings
                .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
                .collect(),
        )
    }

    /// The same account with a token.
    pub fn with(&self, token: &Token) -> Account {
        let mut settings = self.0.clone();
        settings.insert(token.setting.to_owned(), token.value.clone());
        Account(settings)
    }

    /// A setting that is there and not empty.
    pub fn find(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|value| value.expose_secret());
        value.filter(|value| !value.is_empty())
    }

    /// A setting that the start has made sure of.
    pub fn needed(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// Whether this is the token that it has.
    pub fn has(&self, token: &Token) -> bool {
        self.find(token.setting) == Some(token.value.expose_secret())
    }

    /// A secret and, while it is being replaced, the one that takes its place: the same name with `_next`.
    pub fn secrets(&self, name: &str) -> impl Iterator<Item = &str> {
        let next = format!("{name}_next");
        self.find(name).into_iter().chain(self.find(&next))
    }

    /// The name of a setting that is missing or not understood, and what is wrong with it.
    pub fn unsound(&self, settings: &Settings) -> Option<(String, &'static str)> {
        let missing = settings
            .needed
            .iter()
            .find(|name| self.find(name).is_none());
        if let Some(name) = missing {
            return Some(((*name).to_owned(), "is needed"));
        }
        let known =
            |name: &str| settings.needed.contains(&name) || settings.optional.contains(&name);
        let unknown = self.0.keys().find(|name| !known(name))?;
        Some((unknown.clone(), "is not a setting of this provider"))
    }
}

/// What a provider wants to see with each message for a while.
#[derive(Debug, Clone)]
pub struct Token {
    /// The setting of the account that it becomes.
    pub setting: &'static str,
    /// The token.
    pub value: SecretString,
    /// How long it lasts.
    pub lasts: Duration,
}
