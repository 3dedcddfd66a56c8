//! Whether a callback comes from whom it says: every proof that is configured has to be there. Pure; the body is not
//! looked at.
//!
//! The phone number in a callback is the caller's whole login, and aggregators do not sign: a secret in the path, the
//! addresses they call from and, where they offer it, a name and password stand for the signature.

use std::net::IpAddr;

use data_encoding::BASE64;
use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};

use crate::config::{AggregatorConfig, Basic};
use crate::country::Country;
use crate::phone::Msisdn;

/// What a stranger shows of himself before his body is read.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The secret part of the path.
    pub token: &'a str,
    /// Where he comes from; `None` where that cannot be told.
    pub source: Option<IpAddr>,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
}

/// The proof that is missing, for our own eyes: the stranger is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// No such token.
    Token,
    /// The token is right, the address is not on the list.
    Address,
    /// Token and address are right, name or password are not.
    Credentials,
}

impl Stranger {
    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Stranger::Token => "token",
            Stranger::Address => "address",
            Stranger::Credentials => "credentials",
        }
    }
}

/// Checks every proof that the aggregator is configured to give.
///
/// # Errors
/// [`Stranger`]: the first that is missing.
pub fn check(policy: &AggregatorConfig, visitor: &Visitor<'_>) -> Result<(), Stranger> {
    let tokens = policy.tokens.iter().map(|known| {
        known
            .expose_secret()
            .as_bytes()
            .ct_eq(visitor.token.as_bytes())
    });
    if !any(tokens) {
        return Err(Stranger::Token);
    }
    let from = |source| policy.allow.iter().any(|block| block.contains(source));
    if !policy.allow.is_empty() && !visitor.source.is_some_and(from) {
        return Err(Stranger::Address);
    }
    let given = visitor.authorization.and_then(basic_credentials);
    let given = given.unwrap_or_default().as_bytes();
    let known = policy
        .basic
        .iter()
        .map(|known| encoded(known).as_bytes().ct_eq(given));
    if !policy.basic.is_empty() && !any(known) {
        return Err(Stranger::Credentials);
    }
    Ok(())
}

/// All are looked at, so that time tells nothing.
fn any(matches: impl Iterator<Item = Choice>) -> bool {
    matches.fold(Choice::from(0), |any, one| any | one).into()
}

/// How many proofs the aggregator is configured to give; `own` where its format carries credentials of its own.
pub fn factors(policy: &AggregatorConfig, own: bool) -> usize {
    usize::from(!policy.tokens.is_empty())
        + usize::from(!policy.allow.is_empty())
        + usize::from(!policy.basic.is_empty() || own)
}

/// What follows `Basic `. Source: RFC 7617 §2; the scheme is the same in capitals and small letters.
fn basic_credentials(authorization: &str) -> Option<&str> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| credentials.trim())
}

/// How name and password come over the wire. Comparing this form needs no reading of what a stranger sent.
fn encoded(known: &Basic) -> String {
    BASE64.encode(format!("{}:{}", known.username, known.password.expose_secret()).as_bytes())
}

/// Whether a caller can come from this aggregator: his number is of one of the countries that it is contracted for, and of
/// the country of the network that the call names. Without a list of countries every number can.
pub fn fits(msisdn: &Msisdn, network: Option<&str>, countries: &[&Country]) -> bool {
    let is_of = |dialling_code: &str| msisdn.digits().starts_with(dialling_code);
    countries.is_empty()
        || countries.iter().any(|country| is_of(country.dialling_code)) && network.is_none_or(is_of)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn policy(allow: &[&str], basic: &[(&str, &str)]) -> AggregatorConfig {
        AggregatorConfig {
            tokens: vec!["one".into(), "two".into()],
            allow: allow.iter().map(|block| block.parse().unwrap()).collect(),
            basic: basic
                .iter()
                .map(|(username, password)| Basic {
                    username: (*username).to_owned(),
                    password: (*password).into(),
                })
                .collect(),
            countries: vec![],
            options: [].into(),
        }
    }

    #[test]
    fn every_proof_that_is_configured_has_to_be_there() {
        let token = policy(&[], &[]);
        let address = policy(&["196.201.214.0/24", "2001:db8::1"], &[]);
        let whole = policy(
            &["196.201.214.0/24"],
            &[("at", "pass:word"), ("at", "next")],
        );
        // `at:pass:word` and `at:next`.
        let (first, second) = ("Basic YXQ6cGFzczp3b3Jk", "basic  YXQ6bmV4dA==");
        let (inside, outside) = (Some("196.201.214.7"), Some("196.201.215.7"));
        let (no_token, no_address, no_credentials) = (
            Err(Stranger::Token),
            Err(Stranger::Address),
            Err(Stranger::Credentials),
        );
        for (policy, given, source, authorization, expected) in [
            (&token, "one", None, None, Ok(())),
            (&token, "two", outside, Some("junk"), Ok(())),
            (&token, "three", inside, Some(first), no_token),
            (&token, "", inside, None, no_token),
            (&token, "one ", inside, None, no_token),
            (&token, "ONE", inside, None, no_token),
            (&address, "one", inside, None, Ok(())),
            (&address, "one", Some("2001:db8::1"), None, Ok(())),
            (&address, "one", Some("::ffff:196.201.214.7"), None, Ok(())),
            (&address, "one", outside, None, no_address),
            (&address, "one", None, None, no_address),
            (&address, "three", inside, None, no_token),
            (&whole, "one", inside, Some(first), Ok(())),
            (&whole, "two", inside, Some(second), Ok(())),
            (&whole, "one", outside, Some(first), no_address),
            (&whole, "one", inside, None, no_credentials),
            (&whole, "one", inside, Some(""), no_credentials),
            (&whole, "one", inside, Some("Basic"), no_credentials),
            (&whole, "one", inside, Some("Basic "), no_credentials),
            (
                &whole,
                "one",
                inside,
                Some("Bearer YXQ6bmV4dA=="),
                no_credentials,
            ),
            (
                &whole,
                "one",
                inside,
                Some("Basic YXQ6bmV4dA="),
                no_credentials,
            ),
            (
                &whole,
                "one",
                inside,
                Some("Basic YXQ6bmV4eA=="),
                no_credentials,
            ),
            (&whole, "three", inside, Some(first), no_token),
        ] {
            let source = source.map(|source| source.parse().unwrap());
            let visitor = Visitor {
                token: given,
                source,
                authorization,
            };
            assert_eq!(
                check(policy, &visitor),
                expected,
                "{visitor:?} at {policy:?}"
            );
        }
    }

    #[test]
    fn the_proofs_are_counted_by_their_kind() {
        let pair = [("at", "x")];
        for (allow, basic, own, expected) in [
            (&[][..], &[][..], false, 1),
            (&["10.0.0.0/8", "196.201.214.7"], &[], false, 2),
            (&[], &pair, false, 2),
            (&[], &[], true, 2),
            (&[], &pair, true, 2),
            (&["10.0.0.0/8"], &pair, false, 3),
        ] {
            assert_eq!(factors(&policy(allow, basic), own), expected);
        }
    }

    /// Source: RFC 4648 §10.
    #[test]
    fn a_number_is_of_the_countries_and_of_the_network() {
        let kenya = Country::find("KE").unwrap();
        let uganda = Country::find("UG").unwrap();
        for (number, network, countries, expected) in [
            ("+447700900001", Some("254"), &[][..], true),
            ("+254711000001", None, &[kenya], true),
            ("+254711000001", Some("254"), &[kenya], true),
            ("+254711000001", Some("256"), &[kenya, uganda], false),
            ("+256772000001", Some("256"), &[kenya, uganda], true),
            ("+256772000001", None, &[kenya], false),
            ("+447700900001", None, &[kenya], false),
            ("+260955000001", Some("260"), &[kenya], false),
        ] {
            let msisdn = Msisdn::parse(number).unwrap();
            assert_eq!(
                fits(&msisdn, network, countries),
                expected,
                "{number} {network:?}"
            );
        }
    }
}
