//! What SMS may cost: a purse for each country, for an hour and for a day, and one for each 1,000 numbers in a row. Whoever
//! makes the service write to many numbers empties a purse, not the account.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::gsm7::{measure, split_sms};
use crate::country::Country;
use crate::phone::Msisdn;

/// Numbers of a block share all digits but the last three.
const BLOCK_DIGITS: usize = 3;
/// The word for the numbers of every country that is not served.
pub const OTHER: &str = "other";

/// The limits of one country, in whatever unit the price of a part is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// What one part of a message costs. Default 1: the limits count parts.
    pub part: i64,
    /// The most in an hour.
    pub hour: i64,
    /// The most in a day.
    pub day: i64,
    /// The most in an hour for 1,000 numbers in a row.
    pub block_hour: i64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            part: 1,
            hour: 50_000,
            day: 500_000,
            block_hour: 5_000,
        }
    }
}

impl Budget {
    /// For countries that are not served: a guest abroad, no more.
    const OTHER: Budget = Budget {
        part: 1,
        hour: 100,
        day: 1_000,
        block_hour: 100,
    };

    /// The setting that is out of bounds.
    pub fn unsound(&self) -> Option<&'static str> {
        let settings = [
            ("part", self.part),
            ("hour", self.hour),
            ("day", self.day),
            ("block_hour", self.block_hour),
        ];
        settings
            .into_iter()
            .find_map(|(name, amount)| (amount <= 0).then_some(name))
    }
}

/// The budgets by country.
#[derive(Debug, Clone, Default)]
pub struct Budgets(BTreeMap<&'static str, Budget>);

/// What a message takes out of which purses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The country's ISO code, or [`OTHER`].
    pub country: &'static str,
    /// The purses of its country and its block.
    pub purses: [Purse; 3],
    /// What its parts cost.
    pub amount: i64,
}

/// How much may be spent on some numbers in some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purse {
    /// Its name: `KE/hour`.
    pub name: String,
    /// `hour` or `day`.
    pub window: &'static str,
    /// The most in it.
    pub most: i64,
}

impl Budgets {
    /// By ISO code in any case, and [`OTHER`].
    pub fn new(budgets: &BTreeMap<String, Budget>) -> Budgets {
        let known = |(code, budget): (&String, &Budget)| {
            let country = Country::find(code);
            (country.map_or(OTHER, |country| country.code), *budget)
        };
        Budgets(budgets.iter().map(known).collect())
    }

    /// What sending this text to this number takes.
    pub fn charge(&self, msisdn: &Msisdn, text: &str) -> Charge {
        let country = msisdn.country();
        let code = country.map_or(OTHER, |country| country.code);
        let budget = self.0.get(code).copied().unwrap_or(match country {
            Some(_) => Budget::default(),
            None => Budget::OTHER,
        });
        let digits = msisdn.digits();
        let block = &digits[..digits.len().saturating_sub(BLOCK_DIGITS)];
        let purse = |of: &str, window, most| Purse {
            name: format!("{of}/{window}"),
            window,
            most,
        };
        let parts = split_sms(text, measure(text).encoding).len();
        Charge {
            country: code,
            purses: [
                purse(code, "hour", budget.hour),
                purse(code, "day", budget.day),
                purse(block, "hour", budget.block_hour),
            ],
            amount: budget
                .part
                .saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_its_parts_out_of_the_purses_of_its_country_and_its_block() {
        let kenya = Budget {
            part: 80,
            hour: 400_000,
            day: 2_000_000,
            block_hour: 8_000,
        };
        let budgets = Budgets::new(&[("ke".to_owned(), kenya)].into());
        let charge = |number: &str, text: &str| {
            let charge = budgets.charge(&Msisdn::parse(number).unwrap(), text);
            let purses = charge
                .purses
                .map(|purse| format!("{} {}", purse.name, purse.most));
            (purses.join(", "), charge.amount)
        };
        let long = "a".repeat(161);
        for (number, text, purses, amount) in [
            (
                "+254711000001",
                "Habari",
                "KE/hour 400000, KE/day 2000000, 254711000/hour 8000",
                80,
            ),
            (
                "+254711000999",
                &*long,
                "KE/hour 400000, KE/day 2000000, 254711000/hour 8000",
                160,
            ),
            // One letter outside the alphabet halves the room.
            (
                "+254711001000",
                &"ẹ".repeat(71),
                "KE/hour 400000, KE/day 2000000, 254711001/hour 8000",
                160,
            ),
            (
                "+256772000001",
                "Habari",
                "UG/hour 50000, UG/day 500000, 256772000/hour 5000",
                1,
            ),
            (
                "+447700900001",
                "Hello",
                "other/hour 100, other/day 1000, 447700900/hour 100",
                1,
            ),
        ] {
            assert_eq!(
                charge(number, text),
                (purses.to_owned(), amount),
                "{number}"
            );
        }
    }
}
