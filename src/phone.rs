//! Phone numbers: one identity per subscriber, masked wherever it is printed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::country::{COUNTRIES, Country};

/// Fewest and most digits of a subscriber number with its country code. Source: ITU-T E.164 (most), practice (fewest).
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// A phone number in E.164: `+` and 8 to 15 digits. `Debug` and `Display` show the country and the last three digits only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Msisdn(String);

/// The text is not an international phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a phone number")]
pub struct BadMsisdn;

impl Msisdn {
    /// Reads an international number: blanks trimmed, one leading `+` or `00` dropped, digits only after that.
    ///
    /// # Errors
    /// [`BadMsisdn`] for anything but 8 to 15 digits that do not begin with 0.
    pub fn parse(raw: &str) -> Result<Msisdn, BadMsisdn> {
        let raw = raw.trim();
        let digits = raw
            .strip_prefix('+')
            .or_else(|| raw.strip_prefix("00"))
            .unwrap_or(raw);
        let plausible =
            DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plausible && !digits.starts_with('0') {
            Ok(Msisdn(format!("+{digits}")))
        } else {
            Err(BadMsisdn)
        }
    }

    /// Reads what a person types: `0712 345 678`, `712345678`, `254712…` or `+254712…`, national forms meaning `country`.
    ///
    /// # Errors
    /// [`BadMsisdn`] when it fits neither the national nor the international form.
    pub fn parse_typed(raw: &str, country: &Country) -> Result<Msisdn, BadMsisdn> {
        let compact: String = raw
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
            .collect();
        let national = compact.strip_prefix('0').unwrap_or(&compact);
        if !compact.starts_with("00") && national.len() == country.national_digits {
            return Msisdn::parse(&format!("{}{national}", country.dialling_code));
        }
        Msisdn::parse(&compact)
    }

    /// `+` and digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits without `+`.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// The served country whose dialling code begins this number.
    pub fn country(&self) -> Option<&'static Country> {
        COUNTRIES
            .iter()
            .find(|country| self.digits().starts_with(country.dialling_code))
    }

    /// How a person at home in its country writes it: `0712345678`; other countries keep `+`.
    pub fn national(&self) -> String {
        match self.country() {
            Some(country) => format!("0{}", &self.digits()[country.dialling_code.len()..]),
            None => self.0.clone(),
        }
    }
}

impl TryFrom<String> for Msisdn {
    type Error = BadMsisdn;
    fn try_from(raw: String) -> Result<Msisdn, BadMsisdn> {
        Msisdn::parse(&raw)
    }
}

impl From<Msisdn> for String {
    fn from(msisdn: Msisdn) -> String {
        msisdn.0
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        write!(f, "{}****{}", &digits[..3], &digits[digits.len() - 3..])
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_number_is_one_identity() {
        let kenya = Country::find("ke").unwrap();
        for raw in [
            "+254712345678",
            "254712345678",
            "00254712345678",
            " 254712345678",
            "0712345678",
            "0712 345 678",
            "712-345-678",
        ] {
            assert_eq!(
                Msisdn::parse_typed(raw, kenya).unwrap().as_str(),
                "+254712345678",
                "{raw}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for raw in [
            "",
            "anonymous",
            "+",
            "0",
            "+2547123456789012",
            "1234567",
            "+25471234567a",
            "+٢٥٤٧١٢٣٤٥٦٧٨",
        ] {
            assert_eq!(Msisdn::parse(raw), Err(BadMsisdn), "{raw}");
        }
    }

    #[test]
    fn printing_hides_the_subscriber() {
        let msisdn = Msisdn::parse("+254712345678").unwrap();
        assert_eq!(format!("{msisdn} {msisdn:?}"), "254****678 254****678");
        assert_eq!(msisdn.national(), "0712345678");
    }
}
