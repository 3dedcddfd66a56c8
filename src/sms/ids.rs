//! One spelling of a provider's message id, where its answers and its reports write it differently.
//!
//! SMSCs are known to answer in hexadecimal and to report in decimal, with or without zeros in front. Which of them
//! does what must be configured: `10` may be either, and guessing would match the report of another message.

use serde::Deserialize;

/// How a provider writes the ids of messages.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdForm {
    /// As a text; case and zeros in front do not count.
    #[default]
    Text,
    /// As a decimal number.
    Decimal,
    /// As a hexadecimal number.
    Hexadecimal,
}

/// The ids of one provider.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// In answers to a send. Default `text`.
    #[serde(default)]
    pub answers: IdForm,
    /// In delivery reports. Default `text`.
    #[serde(default)]
    pub reports: IdForm,
}

impl IdForm {
    /// The spelling that ids are compared in: a number in decimal, a text in lower case, both without zeros in front.
    /// What is not of this form is a text.
    pub fn comparable(self, raw: &str) -> String {
        let id = raw.trim().replace('\0', "").to_ascii_lowercase();
        let number = match self {
            IdForm::Text => None,
            IdForm::Decimal => id.parse::<u128>().ok(),
            IdForm::Hexadecimal => {
                u128::from_str_radix(id.strip_prefix("0x").unwrap_or(&id), 16).ok()
            }
        };
        if let Some(number) = number {
            return number.to_string();
        }
        match id.trim_start_matches('0') {
            "" => id.chars().take(1).collect(),
            short => short.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for (form, raw, id) in [
            (IdForm::Text, "ATXid_0A", "atxid_0a"),
            (IdForm::Text, " atxid_0a\n", "atxid_0a"),
            (IdForm::Text, "00123", "123"),
            (IdForm::Text, "123", "123"),
            (IdForm::Text, "000", "0"),
            (IdForm::Text, "", ""),
            (IdForm::Hexadecimal, "0A1B", "2587"),
            (IdForm::Hexadecimal, "0x0a1b", "2587"),
            (IdForm::Decimal, "0000002587", "2587"),
            (IdForm::Decimal, "0a1b", "a1b"),
            (IdForm::Hexadecimal, "", ""),
            (IdForm::Hexadecimal, "0", "0"),
        ] {
            assert_eq!(form.comparable(raw), id, "{form:?} {raw}");
            // What has its spelling keeps it.
            assert_eq!(IdForm::Text.comparable(id), id);
        }
    }
}
