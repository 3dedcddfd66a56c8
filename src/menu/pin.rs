//! A PIN between the phone and the work that asks whether it is right: never shown, never written down.

use std::fmt;

/// Fewest and most digits.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=6;

/// Four to six digits as typed. `Debug` hides them, and nothing can serialize them.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// Reads what is typed, blanks and a final `#` aside. Leading zeros count.
    pub fn parse(typed: &str) -> Option<Pin> {
        let digits = typed.trim().trim_end_matches('#').trim_end();
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        (plain && DIGITS.contains(&digits.len())).then(|| Pin(digits.to_owned()))
    }

    /// The digits, for whoever compares them.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_to_six_digits_are_a_pin_and_read_as_typed() {
        for (typed, digits) in [
            ("1234", Some("1234")),
            (" 0012# ", Some("0012")),
            ("123456", Some("123456")),
            ("123", None),
            ("1234567", None),
            ("12a4", None),
            ("1 234", None),
            ("١٢٣٤", None),
            ("", None),
        ] {
            let pin = Pin::parse(typed);
            assert_eq!(pin.as_ref().map(Pin::digits), digits, "{typed}");
            assert!(!format!("{pin:?}").contains(digits.unwrap_or("1234")));
        }
    }
}
