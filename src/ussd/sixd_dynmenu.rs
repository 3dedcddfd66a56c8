//! 6D Technologies `USSDDynMenu` by XML: `AirtelTigo` in Ghana, Equitel in Kenya and others. Source: five public handlers, which
//! agree on the envelope and differ in its optional parts.
//!
//! A call is an XML document. `IS_NEW_REQ` 1 marks what was dialled; else `userData` is the latest answer, sometimes with a `#`
//! at its end. `requestId` tells the calls of a session apart. Equitel has no `sessionId` but a `SESSION_ID` in the data set:
//!
//! ```text
//! POST  content-type: text/xml
//! <USSDDynMenuRequest><requestId>1001</requestId><sessionId>55501</sessionId><msisdn>233270000001</msisdn>
//!  <starCode>384</starCode><keyWord>384</keyWord><dataSet><param><id>IS_NEW_REQ</id><value>1</value></param></dataSet>
//!  <userData>*384*7#</userData><timeStamp>2024/05/01 09:30:12</timeStamp></USSDDynMenuRequest>
//! ```
//!
//! The answer repeats what names the call; `rspFlag` is 1 (go on) or 2 (end), `ErrCode` 1 means success:
//!
//! ```text
//! 200  content-type: text/xml; charset=utf-8
//! <USSDDynMenuResponse><requestId>1001</requestId><sessionId>55501</sessionId><msisdn>233270000001</msisdn>
//!  <starCode>384</starCode><langId>1</langId><encodingScheme>0</encodingScheme><transferCode>success</transferCode>
//!  <dataSet><param><id>1</id><value>Which town?</value><rspFlag>1</rspFlag><rspURL></rspURL>
//!  <appendIndex>0</appendIndex><default>1</default></param></dataSet><ErrCode>1</ErrCode><errURL></errURL>
//!  <timeStamp>2024/05/01 09:30:12</timeStamp></USSDDynMenuResponse>
//! ```
//!
//! A fault is 400 with `<USSDError>`. Options: `country_code`, the digits that a national number lacks; without it they are
//! those of the country set.

use super::fields::{Fields, dialled, printable, registered};
use super::xml::{Element, element};
use super::{Account, Aggregator, BadCall, Call, Callback, Inbound, Rendered, Reply, Said};
use crate::country::COUNTRIES;
use crate::phone::Msisdn;

/// What an answer repeats, before and after the screen.
const NAMES: [&str; 4] = ["requestId", "sessionId", "msisdn", "starCode"];
/// When the call was sent; no clock of ours is needed to repeat it.
const SENT: &str = "timeStamp";
/// The code of the only error answer seen.
const ERROR: &str = "112";
/// The longest id of a call, in characters.
const HOP_CHARS_MAX: usize = 100;
/// The most parameters read of a data set; real ones have 6.
const PARAMETERS_MAX: usize = 40;
/// No limit is documented; every network shows this many.
const SEPTETS_MAX: usize = 160;

/// The aggregator `sixd_dynmenu`.
#[derive(Debug, Clone, Copy)]
pub struct SixdDynMenu;

impl Aggregator for SixdDynMenu {
    fn name(&self) -> &'static str {
        "sixd_dynmenu"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let root = Element::post(inbound, "USSDDynMenuRequest")?;
        let parameters = parameters(&root);
        call(&root.fields(), &parameters, account).map(Callback::Call)
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (flag, text) = match reply {
            Reply::Continue(text) => ("1", text),
            Reply::End(text) => ("2", text),
        };
        let repeat = |wanted: &[&str]| -> String {
            let came = call.echo.iter().filter(|(name, _)| wanted.contains(name));
            came.map(|(name, value)| element(name, value)).collect()
        };
        let names = repeat(&NAMES);
        let sent = repeat(&[SENT]);
        let value = element("value", text);
        Rendered::xml(format!(
            "<USSDDynMenuResponse>{names}<langId>1</langId><encodingScheme>0</encodingScheme>\
             <transferCode>success</transferCode><dataSet><param><id>1</id>{value}<rspFlag>{flag}</rspFlag>\
             <rspURL></rspURL><appendIndex>0</appendIndex><default>1</default></param></dataSet>\
             <ErrCode>1</ErrCode><errURL></errURL>{sent}</USSDDynMenuResponse>"
        ))
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        let status = match bad {
            BadCall::Method => 405,
            BadCall::Path => 404,
            BadCall::Unauthorized => 403,
            BadCall::MissingField(_) | BadCall::InvalidField(_) | BadCall::InvalidBody(_) => 400,
        };
        let why = element("userData", &bad.to_string());
        Rendered {
            status,
            ..Rendered::xml(format!(
                "<USSDError><errorCode>{ERROR}</errorCode><responseFlag>Y</responseFlag>{why}</USSDError>"
            ))
        }
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// The data set, by the ids of its parameters.
fn parameters(root: &Element) -> Fields<'_> {
    let set = root.child("dataSet").map(|set| &set.children[..]);
    let text = |parameter: &'_ Element, name: &str| {
        let child = parameter.child(name);
        child.map(|child| child.text.trim().to_owned())
    };
    let values = set
        .unwrap_or_default()
        .iter()
        .take(PARAMETERS_MAX)
        .filter_map(|parameter| {
            let value = text(parameter, "value").unwrap_or_default();
            Some((text(parameter, "id")?.into(), value.into()))
        });
    Fields::of(values.collect())
}

fn call(fields: &Fields<'_>, parameters: &Fields<'_>, account: &Account) -> Result<Call, BadCall> {
    let msisdn = msisdn(fields.required("msisdn")?, account)?;
    let session = match fields.find("sessionId") {
        None if parameters.find("SESSION_ID").is_some() => parameters.session("SESSION_ID")?,
        _ => fields.session("sessionId")?,
    };
    let star_code = fields.find("starCode");
    let input = fields.required_typed("userData")?;
    let (service_code, said) = if parameters.get("IS_NEW_REQ") == Some("1") {
        let string = parameters
            .find("DIAL-CODE")
            .filter(|_| input.is_empty())
            .unwrap_or(&input);
        let first = dialled(account, string, star_code);
        (first.service_code, Said::Dialled(first.ahead))
    } else {
        let answer = input.strip_suffix('#').unwrap_or(&input).to_owned();
        let said = Said::Answered {
            input: answer,
            hop: hop(fields)?,
        };
        (registered(account, star_code), said)
    };
    let mut echo = fields.echo(&NAMES)?;
    echo.extend(fields.echo(&[SENT])?);
    Ok(Call {
        msisdn,
        session,
        service_code,
        operator: None,
        said,
        echo,
    })
}

fn hop(fields: &Fields<'_>) -> Result<Option<String>, BadCall> {
    let id = fields
        .find("requestId")
        .map(|id| printable(id, HOP_CHARS_MAX).ok_or(BadCall::InvalidField("requestId")));
    id.transpose()
}

/// An international number, or a national one of the country set. Where its length is not known, a number that does not
/// begin with the country's code is national.
fn msisdn(raw: &str, account: &Account) -> Result<Msisdn, BadCall> {
    let code = account
        .options
        .get("country_code")
        .map_or(account.country.dialling_code, String::as_str);
    let country = COUNTRIES
        .iter()
        .find(|country| country.dialling_code == code);
    let raw = raw.trim();
    let digits = raw.strip_prefix('0').unwrap_or(raw);
    let is_national = match country {
        _ if raw.starts_with('+') || raw.starts_with("00") => false,
        Some(country) => digits.len() == country.national_digits,
        None => raw.starts_with('0') || !raw.starts_with(code),
    };
    let whole = if is_national {
        Msisdn::parse(&format!("{code}{digits}"))
    } else {
        Msisdn::parse(raw)
    };
    whole.map_err(|_| BadCall::InvalidField("msisdn"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors_test::sample_account;
    use super::super::xml::inbound;
    use super::*;

    fn decode(body: &str) -> Result<Call, BadCall> {
        let account = sample_account("*384*7#", &[]);
        match SixdDynMenu.decode(&inbound(body.as_bytes()), &account)? {
            Callback::Call(call) => Ok(call),
            other => panic!("{other:?}"),
        }
    }

    fn document(parameters: &str, user_data: &str) -> String {
        let user_data = element("userData", user_data);
        format!(
            "<USSDDynMenuRequest><requestId>1</requestId><sessionId>5</sessionId><msisdn>254763000001</msisdn>\
             <starCode>384</starCode><dataSet>{parameters}</dataSet>{user_data}\
             <timeStamp>2024/05/01 09:30:12</timeStamp></USSDDynMenuRequest>"
        )
    }

    const NEW: &str = "<param><id>IS_NEW_REQ</id><value>1</value></param>";

    #[test]
    fn a_national_number_gets_its_country() {
        let kenya = sample_account("*384*7#", &[]);
        let ghana = sample_account("*384*7#", &[("country_code", "233")]);
        let britain = sample_account("*384*7#", &[("country_code", "44")]);
        for (account, raw, expected) in [
            (&kenya, "254763000001", Some("+254763000001")),
            (&kenya, "763000001", Some("+254763000001")),
            (&kenya, "0763000001", Some("+254763000001")),
            (&kenya, "+256772000001", Some("+256772000001")),
            (&kenya, "256772000001", Some("+256772000001")),
            (&ghana, "233123456", Some("+233233123456")),
            (&ghana, "233233123456", Some("+233233123456")),
            (&britain, "7700900023", Some("+447700900023")),
            (&britain, "07700900023", Some("+447700900023")),
            (&britain, "447700900023", Some("+447700900023")),
            (&kenya, "hello", None),
            (&kenya, "1", None),
        ] {
            let read = msisdn(raw, account);
            let read = read.as_ref().map(Msisdn::as_str).ok();
            assert_eq!(read, expected, "{raw}");
        }
    }

    #[test]
    fn the_dial_code_helps_out_and_the_star_code_too() {
        let dial_code = "<param><id>DIAL-CODE</id><value>*384*7*2#</value></param>";
        for (parameters, user_data, code, ahead) in [
            (NEW.to_owned(), "*384*7*1#", "*384*7#", "1"),
            (format!("{NEW}{dial_code}"), "", "*384*7#", "2"),
            (NEW.to_owned(), "", "*384#", ""),
        ] {
            let call = decode(&document(&parameters, user_data)).unwrap();
            let expected = (code, Said::Dialled(ahead.to_owned()));
            assert_eq!((&call.service_code[..], call.said), expected);
        }
    }

    #[test]
    fn an_answer_without_a_data_set_is_one() {
        let body = document("", "12##").replace("<dataSet></dataSet>", "");
        let call = decode(&body).unwrap();
        let said = Said::Answered {
            input: "12#".to_owned(),
            hop: Some("1".to_owned()),
        };
        assert_eq!((call.service_code.as_str(), call.said), ("", said));
    }

    #[test]
    fn a_field_is_refused_by_its_name() {
        let whole = document("", "1");
        for (from, to, bad) in [
            ("msisdn", "x", BadCall::MissingField("msisdn")),
            ("254763000001", "x", BadCall::InvalidField("msisdn")),
            ("sessionId", "x", BadCall::MissingField("sessionId")),
            (">5<", ">é<", BadCall::InvalidField("sessionId")),
            ("userData", "x", BadCall::MissingField("userData")),
            (
                ">1</requestId",
                ">é</requestId",
                BadCall::InvalidField("requestId"),
            ),
        ] {
            assert_eq!(decode(&whole.replace(from, to)).unwrap_err(), bad);
        }
        let refused = SixdDynMenu.refuse(&BadCall::MissingField("msisdn"));
        let error = Element::read(refused.body.as_bytes(), "USSDError").unwrap();
        assert_eq!(error.fields().get("userData"), Some("missing field msisdn"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300), user_data in ".{0,200}", number in ".{0,20}") {
            let account = sample_account("*384*7#", &[]);
            let _ = SixdDynMenu.decode(&inbound(&body), &account);
            let _ = msisdn(&number, &account);
            for parameters in ["", NEW] {
                let _ = decode(&document(parameters, &user_data));
            }
        }

        #[test]
        fn every_screen_is_one_document(text in ".{0,200}") {
            let call = decode(&document(NEW, "*384*7#")).unwrap();
            let answer = SixdDynMenu.encode(&call, &Reply::End(text)).body;
            prop_assert!(Element::read(answer.as_bytes(), "USSDDynMenuResponse").is_ok());
        }
    }
}
