//! The cell `fees` of `properties.csv`: `City tax 2%|Cleaning 500/stay|Levy 100/person-night|VAT 16% included`.

use serde::Serialize;

use super::sheet::{read_digits, read_price};
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
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fee {
    name: String,
    per: &'static str,
    /// Minor units, or hundredths of a percent.
    amount: i64,
    included: bool,
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
        (Some(percent), _) => ("percent", read_percent(percent)?),
        (None, Some((price, "stay"))) => ("stay", read_price(price, currency)?.into()),
        (None, Some((price, "night"))) => ("night", read_price(price, currency)?.into()),
        (None, Some((price, "person-night"))) => {
            ("person_night", read_price(price, currency)?.into())
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
        let fee = |name: &str, per, amount, included| Fee {
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
                    fee("City tax", "percent", 200, false),
                    fee("Cleaning", "stay", 50_000, false),
                ]),
            ),
            (
                "VAT 16.5% included | Levy 10.50/person-night",
                Currency::Kes,
                Some(vec![
                    fee("VAT", "percent", 1_650, true),
                    fee("Levy", "person_night", 1_050, false),
                ]),
            ),
            (
                "Service 2000/night",
                Currency::Ugx,
                Some(vec![fee("Service", "night", 2_000, false)]),
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
        }
    }
}
