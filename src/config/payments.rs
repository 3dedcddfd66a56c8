//! How guests pay by phone.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::booking::money::{Currency, Money};
use crate::payment::{self, sandbox};
use crate::phone::Msisdn;
use crate::sms::Account;

/// Accounts, and who pays by which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentsConfig {
    /// The accounts, by the provider's name; its file in `src/payment` documents each setting. Default none.
    #[serde(default)]
    pub providers: BTreeMap<String, Account>,
    /// The beginnings of the numbers that pay by each provider, country code included. A provider that is not here takes
    /// every number whose currency it has.
    #[serde(default)]
    pub prefixes: BTreeMap<String, Vec<String>>,
    /// Whole units that one operator may send back or give to a booking alone; above it two have to. Default 10000.
    #[serde(default = "default_alone_max")]
    pub alone_max: i64,
    /// Pretends that everybody pays, where no account is set. The demo's and the tests', refused in production.
    #[serde(default)]
    pub sandbox: bool,
}

impl Default for PaymentsConfig {
    fn default() -> Self {
        PaymentsConfig {
            providers: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            alone_max: default_alone_max(),
            sandbox: false,
        }
    }
}

fn default_alone_max() -> i64 {
    10_000
}

impl PaymentsConfig {
    /// Who can ask this phone for money of this currency. `None`: nobody.
    pub fn provider(&self, msisdn: &Msisdn, currency: Currency) -> Option<&'static str> {
        let serves = |name: &str| {
            self.prefixes.get(name).is_none_or(|prefixes| {
                prefixes
                    .iter()
                    .any(|prefix| msisdn.digits().starts_with(prefix.trim_start_matches('+')))
            })
        };
        let found = self.providers.iter().find_map(|(name, account)| {
            let provider = payment::find(name)?;
            (provider.takes(account, currency) && serves(name)).then(|| provider.name())
        });
        found.or_else(|| self.sandbox.then_some(sandbox::NAME))
    }

    /// The number that money of this currency can be sent to by hand, where there is one.
    pub fn paybill(&self, currency: Currency) -> Option<&str> {
        let account = self.providers.get(payment::daraja::NAME)?;
        (currency == Currency::Kes)
            .then(|| account.find("till").or_else(|| account.find("short_code")))
            .flatten()
    }

    /// The largest amount of a currency that one operator decides on alone.
    pub fn alone_max(&self, currency: Currency) -> Money {
        Money::from_units(self.alone_max, currency)
    }

    /// A setting that is not understood, and what is wrong with it.
    pub(super) fn unsound(&self, is_production: bool) -> Option<(String, String)> {
        let fault = |key: String, why: &str| Some((key, why.to_owned()));
        if self.sandbox && is_production {
            return fault("payments.sandbox".to_owned(), "is refused in production");
        }
        if self.alone_max < 0 {
            return fault("payments.alone_max".to_owned(), "is at least 0");
        }
        for (name, account) in &self.providers {
            let key = format!("payments.providers.{name}");
            let Some(provider) = payment::find(name) else {
                return fault(key, "is not a provider that is spoken");
            };
            if let Some((setting, why)) = account.unsound(provider.settings()) {
                return fault(format!("{key}.{setting}"), why);
            }
        }
        self.prefixes
            .keys()
            .find(|name| !self.providers.contains_key(*name))
            .and_then(|name| fault(format!("payments.prefixes.{name}"), "has no account"))
    }
}
