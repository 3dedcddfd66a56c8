//! The cell `fees` of `properties.csv`: `City tax 2%|Cleaning 500/stay|Levy 100/person-night|VAT 16% included`.

use serde::{Deserialize, Serialize};

use super::sheet::{read_digits, read_price, write_price};
use crate::booking::money::Currency;

/// The most fees of one property.
const FEES_MAX: usize = 5;
/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 20;
/// In hundredths of a percent: all of the price.
const PERCENT_MAX: i64 = 10_000;

/// What the cell has to be, for whoever wrote something else.
pub(super) const WANTED: &str = "fees like City tax 2%|Cleaning 500/stay|Service 50/night|Levy 100/person-night|VAT 16% included, \
     or - for none";

/// One fee, as the database keeps it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fee {
    name: String,
    per: Per,
    /// Minor units, or hundredths of a percent.
    amount: i64,
    included: bool,
}

/// What a fee is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Per {
    Percent,
    Stay,
    Night,
    PersonNight,
}

/// The cell that [`read`] reads as these fees.
pub(super) fn write(fees: &[Fee], currency: Currency) -> String {
    if fees.is_empty() {
        return "-".to_owned();
    }
    let cell = |fee: &Fee| {
        let price = || write_price(fee.amount, currency);
        let amount = match fee.per {
            Per::Percent => format!("{}.{:02}%", fee.amount / 100, fee.amount % 100),
            Per::Stay => format!("{}/stay", price()),
            Per::Night => format!("{}/night", price()),
            Per::PersonNight => format!("{}/person-night", price()),
        };
        let included = if fee.included { " included" } else { "" };
        format!("{} {amount}{included}", fee.name)
    };
    fees.iter().map(cell).collect::<Vec<_>>().join("|")
}

pub(super) fn read(raw: &str, currency: Currency) -> Option<Vec<Fee>> {
    if raw == "-" {
        return Some(Vec::new());
    }
    let fees: Vec<Fee> = raw
        .split('|')
        .map(|fee| read_fee(fee.trim(), currency))
        .collect::<Option<_>>()?;
    (fees.len() <= FEES_MAX).then_some(fees)
}

fn read_fee(raw: &str, currency: Currency) -> Option<Fee> {
    let (raw, included) = match raw.strip_suffix(" included") {
        Some(rest) => (rest.trim_end(), true),
        None => (raw, false),
    };
    let (name, amount) = raw.rsplit_once(' ')?;
    let name = name.trim();
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '.' | '\''));
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !plain {
        return None;
    }
    let (per, amount) = match (amount.strip_suffix('%'), amount.split_once('/')) {
        (Some(percent), _) => (Per::Percent, read_percent(percent)?),
        (None, Some((price, "stay"))) => (Per::Stay, read_price(price, currency)?.into()),
        (None, Some((price, "night"))) => (Per::Night, read_price(price, currency)?.into()),
        (None, Some((price, "person-night"))) => {
            (Per::PersonNight, read_price(price, currency)?.into())
        }
        _ => return None,
    };
    Some(Fee {
        name: name.to_owned(),
        per,
        amount,
        included,
    })
}

/// `2`, `2.5` or `2.25`, in hundredths.
fn read_percent(raw: &str) -> Option<i64> {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, "00"));
    let hundredths = match fraction.len() {
        1 => read_digits(fraction)? * 10,
        2 => read_digits(fraction)?,
        _ => return None,
    };
    let percent = read_digits(whole)?
        .checked_mul(100)?
        .checked_add(hundredths)?;
    (1..=PERCENT_MAX).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_fee_is_read_in_the_currency_s_minor_units() {
        let fee = |name: &str, per: Per, amount, included| Fee {
            name: name.into(),
            per,
            amount,
            included,
        };
        for (raw, currency, fees) in [
            ("-", Currency::Kes, Some(vec![])),
            (
                "City tax 2%|Cleaning 500/stay",
                Currency::Kes,
                Some(vec![
                    fee("City tax", Per::Percent, 200, false),
                    fee("Cleaning", Per::Stay, 50_000, false),
                ]),
            ),
            (
                "VAT 16.5% included | Levy 10.50/person-night",
                Currency::Kes,
                Some(vec![
                    fee("VAT", Per::Percent, 1_650, true),
                    fee("Levy", Per::PersonNight, 1_050, false),
                ]),
            ),
            (
                "Service 2000/night",
                Currency::Ugx,
                Some(vec![fee("Service", Per::Night, 2_000, false)]),
            ),
            ("Service 2000.50/night", Currency::Ugx, None),
            ("2%", Currency::Kes, None),
            ("Tax 0%", Currency::Kes, None),
            ("Tax 101%", Currency::Kes, None),
            ("Tax 1.255%", Currency::Kes, None),
            ("Tax 5", Currency::Kes, None),
            ("Tax 5/week", Currency::Kes, None),
            ("Tax 2%||Tax 3%", Currency::Kes, None),
            ("Tax {x} 2%", Currency::Kes, None),
            ("a 1%|b 1%|c 1%|d 1%|e 1%|f 1%", Currency::Kes, None),
            ("", Currency::Kes, None),
        ] {
            assert_eq!(read(raw, currency), fees, "{raw}");
            if let Some(fees) = fees {
                assert_eq!(read(&write(&fees, currency), currency), Some(fees), "{raw}");
            }
        }
    }
}
