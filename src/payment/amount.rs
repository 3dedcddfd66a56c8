//! Amounts on the wire: decimal text or JSON numbers, read into whole minor units without floating point.

use serde_json::Value;

use crate::booking::money::{Currency, Money};

/// Digits that an amount may have: more than any price of lodging, few enough for an `i64` of minor units.
const DIGITS_MAX: usize = 15;
/// Decimals that an amount may have; those past the currency's minor unit must be zero.
const DECIMALS_MAX: usize = 6;

/// Reads `4500`, `4500.00` or `"4500.5"`. `None`: not an amount of whole minor units, negative or too long.
pub fn parse(value: &Value, currency: Currency) -> Option<Money> {
    match value {
        Value::String(text) => parse_text(text, currency),
        // Written with the fewest digits that read back the same, which for amounts are those that were sent.
        Value::Number(number) => parse_text(&number.to_string(), currency),
        _ => None,
    }
}

/// Reads decimal text.
pub fn parse_text(text: &str, currency: Currency) -> Option<Money> {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > DIGITS_MAX || decimals.len() > DECIMALS_MAX {
        return None;
    }
    if !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let per_unit = currency.minor_per_unit();
    let places = per_unit.checked_ilog10()? as usize;
    let (kept, past) = decimals.split_at(places.min(decimals.len()));
    if past.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let minor: i64 = match places {
        0 => 0,
        _ => format!("{kept:0<places$}").parse().ok()?,
    };
    let units: i64 = whole.parse().ok()?;
    Some(Money {
        minor: units.checked_mul(per_unit)?.checked_add(minor)?,
        currency,
    })
}

/// Whole units, as providers want them. `None`: the amount has a part of a unit, or is none.
pub fn whole_units(amount: Money) -> Option<i64> {
    match amount.split() {
        (units, 0) if units > 0 => Some(units),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_of_the_wire() {
        for (value, currency, minor) in [
            (json!(4500), Currency::Kes, Some(450_000)),
            (json!(4500.00), Currency::Kes, Some(450_000)),
            (json!("4500.5"), Currency::Kes, Some(450_050)),
            (json!("10.00"), Currency::Kes, Some(1_000)),
            (json!("120000"), Currency::Ugx, Some(120_000)),
            (json!("120000.00"), Currency::Ugx, Some(120_000)),
            (json!("120000.50"), Currency::Ugx, None),
            (json!("0.001"), Currency::Kes, None),
            (json!(1e20), Currency::Kes, None),
            (json!(-5), Currency::Kes, None),
            (json!("1,000"), Currency::Kes, None),
            (json!(""), Currency::Kes, None),
            (json!("."), Currency::Kes, None),
            (json!(null), Currency::Kes, None),
            (json!("99999999999999999999"), Currency::Kes, None),
        ] {
            let read = parse(&value, currency).map(|money| money.minor);
            assert_eq!(read, minor, "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_reads_back(minor in 0..10_i64.pow(13), place in 0..Currency::ALL.len()) {
            let currency = Currency::ALL[place];
            let money = Money { minor, currency };
            let (units, rest) = money.split();
            let text = if currency.minor_per_unit() == 1 { units.to_string() } else { format!("{units}.{rest:02}") };
            prop_assert_eq!(parse_text(&text, currency).unwrap(), money);
            let number: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parse(&number, currency).unwrap(), money);
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            parse_text(&text, Currency::Kes);
        }
    }
}
