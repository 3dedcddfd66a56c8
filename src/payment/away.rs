//! Which providers are away: after some failures in a row nobody is sent to one until it has proved itself again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::sms::Account;

/// Why nothing was asked of a provider that is away.
pub const AWAY: &str = "away";

/// A breaker for each provider that has an account.
#[derive(Debug, Default)]
pub struct Breakers(BTreeMap<&'static str, Arc<Breaker>>);

impl Breakers {
    /// All closed.
    pub fn new(accounts: &BTreeMap<String, Account>) -> Breakers {
        let spoken = accounts.keys().filter_map(|name| super::find(name));
        let breaker = |name| (name, Arc::new(Breaker::new(name)));
        Breakers(spoken.map(|provider| breaker(provider.name())).collect())
    }

    /// The breaker of this provider.
    pub fn find(&self, provider: &str) -> Option<&Arc<Breaker>> {
        self.0.get(provider)
    }

    /// Whether nobody is to be sent to this provider now.
    pub fn is_away(&self, provider: &str) -> bool {
        self.find(provider).is_some_and(|breaker| breaker.is_open())
    }

    /// The names of those that are away.
    pub fn list_away(&self) -> Vec<&'static str> {
        let away = self.0.iter().filter(|(_, breaker)| breaker.is_open());
        away.map(|(name, _)| *name).collect()
    }
}
