//! The named values of a webhook, wherever it carries them: in the query, a form or a flat JSON object.

use chrono::{DateTime, NaiveDateTime, Utc};
use data_encoding::HEXLOWER_PERMISSIVE;

use super::BadSms;
use crate::phone::Msisdn;
use crate::ussd::Inbound;

/// The longest query or body that is read: ten parts of text, each character percent-encoded, and some fields.
pub const FIELDS_BYTES_MAX: usize = 16 * 1024;

/// Values by name, in their order. They are octets: some gateways percent-encode UTF-16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Of the body if there is one, else of the query.
    ///
    /// # Errors
    /// [`BadSms::InvalidBody`] for JSON that is no object, and for what is too long.
    pub fn read(request: &Inbound<'_>) -> Result<Fields, BadSms> {
        if request.body.is_empty() {
            Fields::form(request.query.as_bytes())
        } else if request.is_of_type("application/json") {
            Fields::json(request.body)
        } else {
            Fields::form(request.body)
        }
    }

    /// Of a query or a form.
    ///
    /// # Errors
    /// [`BadSms::InvalidBody`] for what is too long.
    pub fn form(raw: &[u8]) -> Result<Fields, BadSms> {
        if raw.len() > FIELDS_BYTES_MAX {
            return Err(BadSms::InvalidBody("too long"));
        }
        let pairs = raw
            .split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            let value = decode(halves.next().unwrap_or_default());
            (String::from_utf8_lossy(&name).into_owned(), value)
        });
        Ok(Fields(fields.collect()))
    }

    /// Of a JSON object; members that are no scalars are left out, null is an absent one.
    ///
    /// # Errors
    /// [`BadSms::InvalidBody`] for anything else.
    pub fn json(raw: &[u8]) -> Result<Fields, BadSms> {
        let object: serde_json::Map<String, serde_json::Value> = parse_json(raw)?;
        let fields = object.into_iter().filter_map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => text,
                scalar @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
                    scalar.to_string()
                }
                _ => return None,
            };
            Some((name, value.into_bytes()))
        });
        Ok(Fields(fields.collect()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every name and value as text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, std::borrow::Cow<'_, str>)> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)))
    }

    /// The first value of this name as it came.
    pub fn octets(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.0.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_slice())
    }

    /// The first value of this name, perhaps empty.
    pub fn find(&self, name: &str) -> Option<String> {
        let octets = self.octets(name)?;
        Some(String::from_utf8_lossy(octets).into_owned())
    }

    /// The same, unless empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.find(name).filter(|value| !value.is_empty())
    }

    /// A value that must be there, perhaps empty.
    ///
    /// # Errors
    /// [`BadSms::MissingField`]
    pub fn present(&self, name: &'static str) -> Result<String, BadSms> {
        self.find(name).ok_or(BadSms::MissingField(name))
    }

    /// A value that must be there and not empty.
    ///
    /// # Errors
    /// [`BadSms::MissingField`]
    pub fn required(&self, name: &'static str) -> Result<String, BadSms> {
        self.filled(name).ok_or(BadSms::MissingField(name))
    }

    /// A phone number that must be there.
    ///
    /// # Errors
    /// [`BadSms::MissingField`], [`BadSms::InvalidField`]
    pub fn msisdn(&self, name: &'static str) -> Result<Msisdn, BadSms> {
        Msisdn::parse(&self.required(name)?).map_err(|_| BadSms::InvalidField(name))
    }
}

/// A JSON document of a known shape.
///
/// # Errors
/// [`BadSms::InvalidBody`]
pub fn parse_json<T: serde::de::DeserializeOwned>(raw: &[u8]) -> Result<T, BadSms> {
    if raw.len() > FIELDS_BYTES_MAX {
        return Err(BadSms::InvalidBody("too long"));
    }
    serde_json::from_slice(raw).map_err(|_| BadSms::InvalidBody("not the JSON expected"))
}

/// `2024-05-01 09:30:12` or an RFC 3339 time, the former in UTC; an offset may lack its colon.
pub fn parse_date(raw: &str) -> Option<DateTime<Utc>> {
    let plain = NaiveDateTime::parse_from_str(raw, "%Y-%m-%d %H:%M:%S").map(|date| date.and_utc());
    let zoned = || DateTime::parse_from_rfc3339(raw).map(|date| date.to_utc());
    let bare = || DateTime::parse_from_str(raw, "%Y-%m-%dT%H:%M:%S%.f%z").map(|date| date.to_utc());
    plain.or_else(|_| zoned()).or_else(|_| bare()).ok()
}

/// Hexadecimal octets in either case. `None`: something else.
pub fn parse_hex(raw: &[u8]) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(raw).ok()
}

/// Percent signs and plus signs taken back. A percent sign that begins no octet stands for itself.
fn decode(raw: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2).and_then(parse_hex))
            .flatten();
        rest = match escaped {
            Some(octet) => {
                octets.extend(octet);
                &tail[2..]
            }
            None => {
                octets.push(if *first == b'+' { b' ' } else { *first });
                tail
            }
        };
    }
    octets
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn octets_survive() {
        let fields = Fields::form(b"a=%00%E9&b=x+y%2B%2&&c&a=2").unwrap();
        assert_eq!(fields.octets("a"), Some(&[0, 0xe9][..]));
        assert_eq!(fields.find("b").unwrap(), "x y+%2");
        assert_eq!(fields.find("c").unwrap(), "");
        assert_eq!(fields.filled("c"), None);
        assert_eq!(parse_hex(b"00fF"), Some(vec![0, 255]));
        assert_eq!((parse_hex(b"0"), parse_hex(b"0g")), (None, None));
    }

    #[test]
    fn numbers_of_json_are_texts() {
        let fields = Fields::json(br#"{"a":1,"b":"x","c":null,"d":{},"e":true}"#).unwrap();
        let all: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(all, ["a=1", "b=x", "e=true"]);
        assert!(Fields::json(b"[]").is_err());
    }

    #[test]
    fn dates_of_providers() {
        for raw in [
            "2024-05-01 09:30:12",
            "2024-05-01T09:30:12Z",
            "2024-05-01T12:30:12.000+0300",
        ] {
            assert_eq!(
                parse_date(raw),
                Some("2024-05-01T09:30:12Z".parse().unwrap()),
                "{raw}"
            );
        }
        assert_eq!(parse_date("yesterday"), None);
    }

    proptest! {
        #[test]
        fn a_form_reads_as_browsers_read_it(body: Vec<u8>) {
            let known: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
            let fields = Fields::form(&body).unwrap();
            let ours: Vec<_> = fields.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            prop_assert_eq!(known, ours);
        }
    }
}
