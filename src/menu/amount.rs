//! An amount of money as people type it: `4500`, `4,500`, `KES 4 500.50`, `Ksh4500/=`, `4k`.

use super::value::UNITS_MAX;
use crate::booking::money::{Currency, Money};

/// What `k` behind a number means.
const THOUSAND: i64 = 1_000;
/// The most digits read; more are no amount.
const DIGITS_MAX: usize = 9;

/// The amount typed, in this currency. `None` for what is no amount, one of another currency, nothing at all, or more
/// than [`UNITS_MAX`] whole units.
pub fn parse_amount(typed: &str, currency: Currency) -> Option<Money> {
    let lower = typed.trim().to_lowercase();
    let bare = without_marks(&lower, currency);
    let (number, times) = match bare.strip_suffix('k') {
        Some(thousands) => (thousands.trim_end(), THOUSAND),
        None => (bare, 1),
    };
    let number: String = number
        .chars()
        .map(|c| match c {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    let (units, cents) = split(&number)?;
    let per_unit = currency.minor_per_unit();
    // A currency without cents may be typed with none of them.
    if per_unit == 1 && cents != 0 {
        return None;
    }
    let minor = (units * per_unit + cents * per_unit / 100) * times;
    (1..=UNITS_MAX * per_unit)
        .contains(&minor)
        .then_some(Money { minor, currency })
}

/// The longest mark first: `ksh` ends in `sh`.
fn marks(currency: Currency) -> &'static [&'static str] {
    match currency {
        Currency::Kes => &["kes", "kshs", "ksh", "shs", "sh", "bob"],
        Currency::Ugx => &["ugx", "ushs", "ush", "shs", "sh"],
        Currency::Tzs => &["tzs", "tshs", "tsh", "shs", "sh"],
        Currency::Rwf => &["rwf", "frw", "rf"],
        Currency::Ngn => &["ngn", "naira", "n", "₦"],
        Currency::Ghs => &["ghs", "ghc", "cedis", "cedi", "₵"],
    }
}

fn without_marks(lower: &str, currency: Currency) -> &str {
    let text = lower.trim_end_matches(['=', '-']).trim_end_matches('/');
    let text = text.trim();
    let marks = marks(currency);
    let text = marks
        .iter()
        .find_map(|mark| text.strip_prefix(mark))
        .unwrap_or(text);
    let text = text.trim_start_matches(['.', ' ']);
    let text = marks
        .iter()
        .find_map(|mark| text.strip_suffix(mark))
        .unwrap_or(text);
    text.trim()
}

/// Whole units and hundredths of `4,500.50`. A sign with three digits behind it sets thousands apart; the last one with
/// one or two digits behind it begins the hundredths.
fn split(number: &str) -> Option<(i64, i64)> {
    let is_sign = |c: char| matches!(c, ',' | '.' | ' ' | '\'');
    let (whole, cents) = match number.rsplit_once(['.', ',']) {
        Some((whole, cents)) if cents.len() == 1 => (whole, digits(cents)? * 10),
        Some((whole, cents)) if cents.len() == 2 => (whole, digits(cents)?),
        _ => (number, 0),
    };
    let mut groups = whole.split(is_sign);
    let mut all = groups.next()?.to_owned();
    let first = all.len();
    for group in groups {
        if group.len() != 3 || !(1..=3).contains(&first) {
            return None;
        }
        all.push_str(group);
    }
    Some((digits(&all)?, cents))
}

fn digits(text: &str) -> Option<i64> {
    let plain =
        (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_as_people_type_them() {
        for (typed, currency, minor) in [
            ("4500", Currency::Kes, Some(450_000)),
            (" 4,500 ", Currency::Kes, Some(450_000)),
            ("4 500", Currency::Kes, Some(450_000)),
            ("4.500", Currency::Kes, Some(450_000)),
            ("4500.5", Currency::Kes, Some(450_050)),
            ("4,500.50", Currency::Kes, Some(450_050)),
            ("4500,05", Currency::Kes, Some(450_005)),
            ("KES 4500", Currency::Kes, Some(450_000)),
            ("Ksh.4,500/=", Currency::Kes, Some(450_000)),
            ("4500/-", Currency::Kes, Some(450_000)),
            ("4500 bob", Currency::Kes, Some(450_000)),
            ("4.5k", Currency::Kes, Some(450_000)),
            ("4K", Currency::Ugx, Some(4_000)),
            ("45OO", Currency::Kes, Some(450_000)),
            ("l500", Currency::Kes, Some(150_000)),
            ("N15,000", Currency::Ngn, Some(1_500_000)),
            ("₦15000", Currency::Ngn, Some(1_500_000)),
            ("50,000.00", Currency::Ugx, Some(50_000)),
            ("1,234,567", Currency::Ugx, Some(1_234_567)),
            ("9999999.99", Currency::Ghs, None),
            ("9999999", Currency::Ghs, Some(999_999_900)),
            ("50,000.50", Currency::Ugx, None),
            ("UGX 4500", Currency::Kes, None),
            ("0", Currency::Kes, None),
            ("-5", Currency::Kes, None),
            ("45,00,0", Currency::Kes, None),
            ("4500 500", Currency::Kes, None),
            ("12345678", Currency::Kes, None),
            ("1e5", Currency::Kes, None),
            ("k", Currency::Kes, None),
            ("", Currency::Kes, None),
            ("four", Currency::Kes, None),
        ] {
            let read = parse_amount(typed, currency).map(|money| money.minor);
            assert_eq!(read, minor, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_comes_back_however_it_is_written(
            units in 1..=UNITS_MAX,
            cents in 0..100i64,
            which in prop::sample::select(&Currency::ALL[..]),
            thousands in prop::sample::select(vec!["", ",", ".", " ", "'"]),
            decimals in prop::sample::select(vec![".", ","]),
            marked in any::<bool>(),
        ) {
            let per_unit = which.minor_per_unit();
            let cents = if per_unit == 1 || units == UNITS_MAX { 0 } else { cents };
            let mut text = units.to_string();
            for at in (1..text.len()).rev().filter(|at| (units.to_string().len() - at) % 3 == 0) {
                text.insert_str(at, thousands);
            }
            if cents > 0 {
                text.push_str(&format!("{decimals}{cents:02}"));
            }
            if marked {
                text.insert_str(0, which.code());
            }
            let money = Money { minor: units * per_unit + cents, currency: which };
            prop_assert_eq!(parse_amount(&text, which), Some(money), "{}", text);
        }

        #[test]
        fn anything_typed_is_an_amount_within_bounds_or_none(
            typed in prop_oneof!["[0-9kKoOlI., '/=-]{0,14}", any::<String>()],
            which in prop::sample::select(&Currency::ALL[..]),
        ) {
            if let Some(money) = parse_amount(&typed, which) {
                prop_assert!(money.currency == which);
                prop_assert!(money.minor > 0 && money.minor <= UNITS_MAX * which.minor_per_unit());
            }
        }
    }
}
