//! Money: whole minor units and their currency; no floating point.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A currency of service. Source of codes and minor digits: ISO 4217; Tanzanian shillings are handled without cents, as traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the ISO code says it")]
pub enum Currency {
    Kes,
    Ugx,
    Tzs,
    Rwf,
    Ngn,
    Ghs,
}

impl Currency {
    /// Every currency of service.
    pub const ALL: [Currency; 6] = [
        Currency::Kes,
        Currency::Ugx,
        Currency::Tzs,
        Currency::Rwf,
        Currency::Ngn,
        Currency::Ghs,
    ];

    /// Upper-case ISO code.
    pub fn code(self) -> &'static str {
        match self {
            Currency::Kes => "KES",
            Currency::Ugx => "UGX",
            Currency::Tzs => "TZS",
            Currency::Rwf => "RWF",
            Currency::Ngn => "NGN",
            Currency::Ghs => "GHS",
        }
    }

    /// The currency with this ISO code, in any case.
    pub fn find(code: &str) -> Option<Currency> {
        Currency::ALL
            .into_iter()
            .find(|currency| currency.code().eq_ignore_ascii_case(code))
    }

    /// Minor units in one whole unit: 100, or 1 where no smaller coin is used.
    pub fn minor_per_unit(self) -> i64 {
        match self {
            Currency::Kes | Currency::Ngn | Currency::Ghs => 100,
            Currency::Ugx | Currency::Tzs | Currency::Rwf => 1,
        }
    }
}

/// An amount in whole minor units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units (cents, or shillings where there are none).
    pub minor: i64,
    /// What they are of.
    pub currency: Currency,
}

impl Money {
    /// An amount of whole units, e.g. shillings.
    pub fn from_units(units: i64, currency: Currency) -> Money {
        Money {
            minor: units * currency.minor_per_unit(),
            currency,
        }
    }

    /// Whole units and what is left in minor units, e.g. `(4500, 50)`.
    pub fn split(self) -> (i64, i64) {
        let per_unit = self.currency.minor_per_unit();
        (self.minor / per_unit, self.minor % per_unit)
    }
}

/// For operators: `KES 4500`, `KES 4500.50`. Guests read amounts as their language writes them.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = self.split();
        write!(f, "{} {units}", self.currency.code())?;
        if rest == 0 {
            return Ok(());
        }
        write!(f, ".{:02}", rest.abs())
    }
}
