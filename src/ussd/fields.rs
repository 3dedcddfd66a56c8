//! What the formats share: the fields of forms, queries and JSON objects, and what each kind of field may hold.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Account, BadCall, Call, Inbound, service_code};
use crate::phone::Msisdn;

/// The longest session id taken, in characters; the longest known has 38.
pub(super) const SESSION_CHARS_MAX: usize = 100;
/// The longest name of a network taken, in characters.
pub(super) const OPERATOR_CHARS_MAX: usize = 40;
/// The most characters kept of what a subscriber typed or dialled: as many as a USSD string holds.
pub(super) const TYPED_CHARS_MAX: usize = 182;
/// The longest value that is repeated in an answer, in characters.
pub(super) const ECHO_CHARS_MAX: usize = 100;

/// The named values of one callback, all as text. Where a form has a name twice the first counts; bytes that are no UTF-8
/// have become U+FFFD.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    values: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// JSON objects inside.
    objects: Vec<(String, Map<String, Value>)>,
    any_case: bool,
}

impl<'a> Fields<'a> {
    /// Of a form in the body.
    pub(super) fn form(inbound: &Inbound<'a>) -> Result<Fields<'a>, BadCall> {
        if !inbound.is_of_type("application/x-www-form-urlencoded") {
            return Err(BadCall::InvalidBody("not a form"));
        }
        Ok(Fields::of(form_urlencoded::parse(inbound.body).collect()))
    }

    /// Of the query string. Junk without a name does no harm.
    pub(super) fn query(inbound: &Inbound<'a>) -> Fields<'a> {
        Fields::of(form_urlencoded::parse(inbound.query.as_bytes()).collect())
    }

    /// Of a JSON object in the body, whatever its content type says. Numbers and truth values are read as their text, `null`
    /// as absent.
    pub(super) fn json(inbound: &Inbound<'_>) -> Result<Fields<'a>, BadCall> {
        let text = String::from_utf8_lossy(inbound.body);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(Fields::members(members)),
            Ok(_) => Err(BadCall::InvalidBody("not a JSON object")),
            Err(_) => Err(BadCall::InvalidBody("not JSON")),
        }
    }

    /// Of values read elsewhere.
    pub(super) fn of(values: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Fields<'a> {
        Fields {
            values,
            objects: vec![],
            any_case: false,
        }
    }

    fn members(members: Map<String, Value>) -> Fields<'a> {
        let mut fields = Fields::of(vec![]);
        for (name, value) in members {
            match value {
                Value::String(text) => fields.values.push((name.into(), text.into())),
                Value::Number(_) | Value::Bool(_) => {
                    fields.values.push((name.into(), value.to_string().into()))
                }
                Value::Object(object) => fields.objects.push((name, object)),
                Value::Null | Value::Array(_) => {}
            }
        }
        fields
    }

    /// With names that are the same in capitals and in small letters. A name in its exact spelling comes first.
    pub(super) fn in_any_case(self) -> Fields<'a> {
        Fields {
            any_case: true,
            ..self
        }
    }

    /// The value of this name, which may be blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let exact = self.values.iter().find(|(key, _)| key == name);
        let similar = || {
            self.values
                .iter()
                .find(|(key, _)| self.any_case && key.eq_ignore_ascii_case(name))
        };
        exact.or_else(similar).map(|(_, value)| value.as_ref())
    }

    /// The value of this name unless it is blank.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of this name, which must be there and not be blank.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, BadCall> {
        self.find(name).ok_or(BadCall::MissingField(name))
    }

    /// The JSON object of this name.
    pub(super) fn object(&self, name: &'static str) -> Result<Fields<'static>, BadCall> {
        let object = self.objects.iter().find(|(key, _)| key == name);
        let (_, members) = object.ok_or(BadCall::MissingField(name))?;
        Ok(Fields::members(members.clone()))
    }

    /// A session id.
    pub(super) fn session(&self, name: &'static str) -> Result<String, BadCall> {
        session(self.required(name)?).ok_or(BadCall::InvalidField(name))
    }

    /// An international number.
    pub(super) fn msisdn(&self, name: &'static str) -> Result<Msisdn, BadCall> {
        Msisdn::parse(self.required(name)?).map_err(|_| BadCall::InvalidField(name))
    }

    /// The name of a network, which may be missing.
    pub(super) fn operator(&self, name: &'static str) -> Result<Option<String>, BadCall> {
        let operator = self
            .find(name)
            .map(|raw| printable(raw, OPERATOR_CHARS_MAX).ok_or(BadCall::InvalidField(name)));
        operator.transpose()
    }

    /// What a subscriber typed or dialled, as much of it as a USSD string holds; blank where the field is missing.
    pub(super) fn typed(&self, name: &str) -> String {
        let typed = self.get(name).unwrap_or_default();
        readable(typed).chars().take(TYPED_CHARS_MAX).collect()
    }

    /// What a subscriber typed, in a field that must be there but may be blank.
    pub(super) fn required_typed(&self, name: &'static str) -> Result<String, BadCall> {
        self.get(name).ok_or(BadCall::MissingField(name))?;
        Ok(self.typed(name))
    }

    /// Free text of any length, unless it is blank.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.find(name).map(readable)
    }

    /// A number that only informs: one that cannot be read is not worth refusing the call for.
    pub(super) fn figure(&self, name: &str) -> Option<i32> {
        self.find(name)?.parse().ok().filter(|figure| *figure >= 0)
    }

    /// `true` or `false`, as a truth value or as a word.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, BadCall> {
        match self.required(name)? {
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(BadCall::InvalidField(name)),
        }
    }

    /// The fields of these names that came, for the answer to repeat.
    pub(super) fn echo(
        &self,
        names: &[&'static str],
    ) -> Result<Vec<(&'static str, String)>, BadCall> {
        let came = names
            .iter()
            .filter_map(|name| Some((*name, self.get(name)?)));
        came.map(|(name, value)| {
            let short = value.chars().count() <= ECHO_CHARS_MAX;
            short
                .then(|| (name, value.to_owned()))
                .ok_or(BadCall::InvalidField(name))
        })
        .collect()
    }
}

/// The members of a JSON object that is posted to the aggregator's one URL.
pub(super) fn json_post(inbound: &Inbound<'_>) -> Result<Fields<'static>, BadCall> {
    only("POST", inbound)?;
    Fields::json(inbound)
}

/// The parameters of a request for the aggregator's one URL.
pub(super) fn query_get<'a>(inbound: &Inbound<'a>) -> Result<Fields<'a>, BadCall> {
    only("GET", inbound)?;
    Ok(Fields::query(inbound))
}

fn only(method: &str, inbound: &Inbound<'_>) -> Result<(), BadCall> {
    if !matches!(inbound.path, "" | "/") {
        return Err(BadCall::Path);
    }
    if inbound.method != method {
        return Err(BadCall::Method);
    }
    Ok(())
}

/// What came under this name, to be repeated; blank if nothing came.
pub(super) fn echoed<'a>(call: &'a Call, name: &str) -> &'a str {
    let echo = call.echo.iter().find(|(key, _)| *key == name);
    echo.map_or("", |(_, value)| value)
}

/// A session id that can be kept: not empty, printable and not too long.
pub(super) fn session(raw: &str) -> Option<String> {
    printable(raw, SESSION_CHARS_MAX).filter(|id| !id.is_empty())
}

/// Text without control characters, all ASCII.
pub(super) fn printable(raw: &str, chars_max: usize) -> Option<String> {
    let plain = raw
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (plain && raw.len() <= chars_max).then(|| raw.to_owned())
}

/// The database takes no NUL, so it is as unreadable as broken UTF-8.
pub(super) fn readable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What a session began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialled {
    /// In its one spelling; empty where nothing tells.
    pub(super) service_code: String,
    /// What was dialled behind the code.
    pub(super) ahead: String,
}

/// Reads a dialled string, and the code that a callback names beside it. A registered code that the string begins with is the
/// code; else the one named; else the whole string. Neither needs its first `*` or its last `#`.
pub(super) fn dialled(account: &Account, string: &str, named: Option<&str>) -> Dialled {
    let string = complete(string);
    if let Some((code, ahead)) = account.dialled(&string) {
        return Dialled {
            service_code: code.to_owned(),
            ahead: ahead.to_owned(),
        };
    }
    let named = named.and_then(service_code::normalize);
    if let Some(code) = named {
        let ahead = service_code::dialled_ahead(&string, &code).unwrap_or_default();
        return Dialled {
            ahead: ahead.to_owned(),
            service_code: code,
        };
    }
    Dialled {
        service_code: service_code::normalize(&string).unwrap_or_default(),
        ahead: String::new(),
    }
}

/// The code that a callback names beside an answer, if it is a registered one. Any other is the gateway's name for the root of
/// a longer code: the session knows better.
pub(super) fn registered(account: &Account, named: Option<&str>) -> String {
    named
        .and_then(service_code::normalize)
        .filter(|code| account.service_codes.contains(code))
        .unwrap_or_default()
}

/// The code of callbacks that name none: one URL serves one code.
pub(super) fn configured(account: &Account) -> String {
    account.service_codes.first().cloned().unwrap_or_default()
}

fn complete(string: &str) -> String {
    let string = string.trim();
    let begins = string.starts_with(|c: char| c.is_ascii_digit());
    let dialled = begins || string.starts_with('*');
    let head = if begins { "*" } else { "" };
    let tail = if dialled && !string.ends_with('#') {
        "#"
    } else {
        ""
    };
    format!("{head}{string}{tail}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::country::Country;

    fn inbound(body: &[u8]) -> Inbound<'_> {
        Inbound {
            method: "POST",
            path: "",
            query: "",
            headers: &[],
            body,
        }
    }

    fn json(body: &str) -> Fields<'static> {
        Fields::json(&inbound(body.as_bytes())).unwrap()
    }

    fn account(codes: &[&str]) -> Account {
        Account {
            service_codes: codes.iter().map(|&code| code.to_owned()).collect(),
            country: Country::find("KE").unwrap(),
            url: String::new(),
            options: BTreeMap::new(),
        }
    }

    #[test]
    fn a_member_is_text_whatever_its_type() {
        let fields = json(r#"{"a":"x","b":7,"c":true,"d":null,"e":[1],"f":{"g":"h"},"i":""}"#);
        assert_eq!(fields.get("a"), Some("x"));
        assert_eq!(fields.get("b"), Some("7"));
        assert!(fields.flag("c").unwrap());
        for absent in ["d", "e", "f", "g"] {
            assert_eq!(fields.get(absent), None, "{absent}");
        }
        assert_eq!(fields.object("f").unwrap().get("g"), Some("h"));
        assert_eq!(fields.get("i"), Some(""));
        assert_eq!(fields.required("i"), Err(BadCall::MissingField("i")));
        assert_eq!(fields.required_typed("i").unwrap(), "");
        assert_eq!(fields.required_typed("d"), Err(BadCall::MissingField("d")));
        assert_eq!(fields.flag("b"), Err(BadCall::InvalidField("b")));
    }

    #[test]
    fn case_matters_unless_it_is_said_not_to() {
        let body = r#"{"SESSIONID":"1","sessionId":"2"}"#;
        assert_eq!(json(body).get("SessionId"), None);
        assert_eq!(json(body).in_any_case().get("SessionId"), Some("1"));
        assert_eq!(json(body).in_any_case().get("sessionId"), Some("2"));
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["", "[]", "1", "null", "{", "a=b", "{} {}"] {
            let refused = Fields::json(&inbound(body.as_bytes()));
            assert!(matches!(refused, Err(BadCall::InvalidBody(_))), "{body}");
        }
        assert!(Fields::json(&inbound("\u{feff}{}".as_bytes())).is_ok());
        let broken = Fields::json(&inbound(b"{\"a\":\"\xff\"}")).unwrap();
        assert_eq!(broken.get("a"), Some("\u{fffd}"));
    }

    #[test]
    fn what_is_typed_is_cut_and_readable() {
        let long = "é".repeat(TYPED_CHARS_MAX + 1);
        let fields = json(&format!(r#"{{"a":"{long}","b":"1\u00002"}}"#));
        assert_eq!(fields.typed("a").chars().count(), TYPED_CHARS_MAX);
        assert_eq!(fields.typed("b"), "1\u{fffd}2");
        assert_eq!(fields.typed("none"), "");
    }

    #[test]
    fn ids_have_limits() {
        for (id, fits) in [
            ("x".repeat(SESSION_CHARS_MAX), true),
            ("x".repeat(SESSION_CHARS_MAX + 1), false),
            ("a b".to_owned(), true),
            ("a\tb".to_owned(), false),
            ("é".to_owned(), false),
        ] {
            let fields = Fields::of(vec![("s".into(), id.clone().into())]);
            assert_eq!(fields.session("s").is_ok(), fits, "{id}");
        }
        let long = "é".repeat(ECHO_CHARS_MAX + 1);
        let fields = Fields::of(vec![("a".into(), "é".into()), ("b".into(), long.into())]);
        assert_eq!(
            fields.echo(&["a", "none"]).unwrap(),
            [("a", "é".to_owned())]
        );
        assert_eq!(fields.echo(&["b"]), Err(BadCall::InvalidField("b")));
    }

    #[test]
    fn a_dialled_string_is_its_longest_registered_code_and_the_rest() {
        let account = account(&["*384*7#", "*384*7*9#"]);
        for (string, named, code, ahead) in [
            ("*384*7#", None, "*384*7#", ""),
            ("*384*7", None, "*384*7#", ""),
            ("384*7*1", None, "*384*7#", "1"),
            ("*384*7*9*1*2#", None, "*384*7*9#", "1*2"),
            ("*384*7*9*1*2#", Some("*384#"), "*384*7*9#", "1*2"),
            ("*500*1#", Some("500"), "*500#", "1"),
            ("*500*1#", None, "*500*1#", ""),
            ("", Some("384*7"), "*384*7#", ""),
            ("", Some("00000abc"), "", ""),
            ("", None, "", ""),
            ("again", None, "", ""),
        ] {
            let expected = Dialled {
                service_code: code.to_owned(),
                ahead: ahead.to_owned(),
            };
            assert_eq!(
                dialled(&account, string, named),
                expected,
                "{string:?} {named:?}"
            );
        }
    }

    #[test]
    fn an_answer_names_a_registered_code_or_none() {
        let account = account(&["*384*7#"]);
        assert_eq!(registered(&account, Some("384*7")), "*384*7#");
        assert_eq!(registered(&account, Some("*384#")), "");
        assert_eq!(registered(&account, None), "");
        assert_eq!(configured(&account), "*384*7#");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200), string in ".*") {
            let _ = Fields::json(&inbound(&body));
            dialled(&account(&["*384*7#"]), &string, Some(&string));
        }
    }
}
