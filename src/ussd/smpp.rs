//! USSD over SMPP 3.4: an operator's USSD gateway that speaks as an SMSC. The connection is [`crate::smpp`]'s; here is what
//! its PDUs mean for a dialogue.
//!
//! Source: SMPP 3.4, issue 1.2, §5.3.2.44 (`ussd_service_op`) and §5.3.2.43 (`its_session_info`); how gateways name their
//! sessions is each one's own affair, seen in Kannel and in two public clients.
//!
//! A dialled code, an answer or the end comes as a `deliver_sm`, acknowledged at once (octets of the body, ` | ` for the
//! fields in between):
//!
//! ```text
//! deliver_sm  USSD | 254700000001 | *384*7# | data_coding 0 | "*384*7#"  ussd_service_op=1   user_message_reference=42
//! deliver_sm  USSD | 254700000001 | *384*7# | data_coding 0 | "1"        ussd_service_op=18  user_message_reference=42
//! deliver_sm  USSD | 254700000001 | *384*7# | data_coding 0 | ""         ussd_service_op=129 user_message_reference=42
//! ```
//!
//! A screen goes back as a `submit_sm` of its own, from the code to the number:
//!
//! ```text
//! submit_sm   USSD | *384*7# | 254700000001 | data_coding 0 | "Town?"    ussd_service_op=2   user_message_reference=42
//! submit_sm   USSD | *384*7# | 254700000001 | data_coding 0 | "Bye"      ussd_service_op=17  user_message_reference=42
//! ```
//!
//! | `ussd_service_op` | from the gateway | | to it |
//! | --- | --- | --- | --- |
//! | 0, 1 | dialled | 2 | a screen that waits |
//! | 18 | answered | 16, 17 | the last screen, of a dialogue that began with 0, 1 |
//! | 19 | has read a notice | 3 | a notice, which is not sent |
//! | 32 and above | the gateway's own: it is over | | |

use serde::Deserialize;

use super::fields::{TYPED_CHARS_MAX, dialled, readable, registered};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};
use crate::country::Country;
use crate::phone::Msisdn;
use crate::smpp::pdu::{Deliver, Submit, tag};
use crate::smpp::text::{Alphabet, user_data};

/// `service_type` of a dialogue.
const SERVICE_TYPE: &str = "USSD";
/// What a screen of GSM-7 holds in USSD.
const SEPTETS_MAX: usize = 182;
/// Operations of 32 and above are each gateway's own.
const OWN: u32 = 32;
/// `data_coding` as USSD itself has it, which some gateways pass on. Source: 3GPP TS 23.038 §5.
const CELL_BROADCAST_GSM7: u8 = 0x0f;
const CELL_BROADCAST_UCS2: u8 = 0x48;

/// Where a gateway writes what names a dialogue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionField {
    /// The parameter of this name.
    #[default]
    UserMessageReference,
    /// The upper 15 bits of the parameter of this name; the last one says that the dialogue is over.
    ItsSessionInfo,
    /// The first octet of `its_session_info`; the second one counts, and its last bit says that the dialogue is over.
    ItsSessionNumber,
    /// Nowhere: a number has one dialogue at a time.
    Msisdn,
}

/// How a gateway carries USSD.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UssdConfig {
    /// Where it writes what names a dialogue: `user_message_reference`, `its_session_info`, `its_session_number`, `msisdn`.
    /// Default `user_message_reference`.
    #[serde(default)]
    pub session: SessionField,
    /// The `ussd_service_op` of the last screen. Default 17; some gateways want 23, a well copied misreading of 0x17.
    #[serde(default = "default_end_op")]
    pub end_op: u8,
    /// ISO codes of the countries that it is contracted for. Default any.
    #[serde(default)]
    pub countries: Vec<String>,
}

fn default_end_op() -> u8 {
    17
}

impl UssdConfig {
    /// The name of a setting that is not understood, and what is wrong with it.
    pub fn unsound(&self) -> Option<(&'static str, &'static str)> {
        let unserved = |code: &String| Country::find(code).is_none();
        let any = self.countries.iter().any(unserved);
        any.then_some(("ussd.countries", "has one that is not a country of service"))
    }

    /// What [`Smpp`] has to know of it, for the gateway called `name`.
    pub fn options(&self, name: &str, alphabet: Alphabet) -> Vec<(&'static str, String)> {
        let session = match self.session {
            SessionField::UserMessageReference => "user_message_reference",
            SessionField::ItsSessionInfo => "its_session_info",
            SessionField::ItsSessionNumber => "its_session_number",
            SessionField::Msisdn => "msisdn",
        };
        let alphabet = match alphabet {
            Alphabet::Gsm7 => "gsm7",
            Alphabet::Latin1 => "latin1",
        };
        vec![
            (LINK, name.to_owned()),
            (SESSION, session.to_owned()),
            (END_OP, self.end_op.to_string()),
            (ALPHABET, alphabet.to_owned()),
        ]
    }
}

/// Options of the account.
const LINK: &str = "link";
const SESSION: &str = "session";
const END_OP: &str = "end_op";
const ALPHABET: &str = "alphabet";

/// What the answer repeats, and its parameters.
const OP: &str = "ussd_service_op";
const REFERENCE: &str = "user_message_reference";
const INFO: &str = "its_session_info";

/// Whether a delivery is a step of a dialogue.
pub fn is_ussd(deliver: &Deliver) -> bool {
    deliver.parameter(tag::USSD_SERVICE_OP).is_some() || deliver.service_type == SERVICE_TYPE
}

/// The `submit_sm` that answers a delivery by what [`Smpp`] made of the reply.
pub fn submit(deliver: &Deliver, alphabet: Alphabet, rendered: &Rendered) -> Submit {
    let parameter = |name: &str| {
        let found = rendered.headers.iter().find(|(known, _)| *known == name);
        found.and_then(|(_, value)| value.parse::<u16>().ok())
    };
    // A screen is one message, whatever an SMS of its length would be.
    let (data_coding, short_message) = alphabet.encode_whole(&rendered.body);
    Submit {
        service_type: deliver.service_type.clone(),
        source: deliver.destination.clone(),
        destination: deliver.source.clone(),
        data_coding,
        short_message,
        ussd_service_op: parameter(OP).map(|op| op.to_be_bytes()[1]),
        user_message_reference: parameter(REFERENCE),
        its_session_info: parameter(INFO),
        ..Submit::default()
    }
}

/// The aggregator `smpp`. Its callbacks are bodies of `deliver_sm`, the query names the PDU; the headers of its answers are
/// optional parameters.
#[derive(Debug, Clone, Copy)]
pub struct Smpp;

impl Aggregator for Smpp {
    fn name(&self) -> &'static str {
        "smpp"
    }

    fn configured_as<'a>(&'a self, call: &'a Call) -> &'a str {
        call.operator.as_deref().unwrap_or_default()
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        if inbound.method != "deliver_sm" {
            return Err(BadCall::Method);
        }
        let deliver =
            Deliver::read(inbound.body).map_err(|_| BadCall::InvalidBody("not a deliver_sm"))?;
        let op = deliver
            .number(tag::USSD_SERVICE_OP)
            .ok_or(BadCall::MissingField(OP))?;
        let msisdn = Msisdn::parse(&deliver.source.value)
            .map_err(|_| BadCall::InvalidField("source_addr"))?;
        let named = session(&deliver, &msisdn, account)?;
        let operator = account.options.get(LINK).cloned();
        if named.over || op >= OWN {
            return Ok(Callback::End(SessionEnd {
                msisdn: Some(msisdn),
                operator,
                error: Some(format!("ussd_service_op {op}")).filter(|_| op >= OWN),
                ..SessionEnd::of(named.session, Outcome::Abandoned)
            }));
        }
        let typed = text(&deliver, account)?;
        let code = deliver.destination.value.as_str();
        let (service_code, said) = match op {
            0 | 1 => {
                let string = if typed.trim().is_empty() {
                    code
                } else {
                    &typed
                };
                let first = dialled(account, string, Some(code));
                (first.service_code, Said::Dialled(first.ahead))
            }
            18 => (
                registered(account, Some(code)),
                Said::Answered {
                    input: typed,
                    hop: Some(inbound.query.to_owned()).filter(|hop| !hop.is_empty()),
                },
            ),
            19 => return Ok(Callback::Question(Rendered::empty())),
            _ => return Err(BadCall::InvalidField(OP)),
        };
        let mut echo = vec![(OP, op.to_string())];
        for (name, tag) in [
            (REFERENCE, tag::USER_MESSAGE_REFERENCE),
            (INFO, tag::ITS_SESSION_INFO),
        ] {
            let value = deliver.number(tag);
            echo.extend(value.map(|value| (name, value.to_string())));
        }
        echo.push((
            END_OP,
            account.options.get(END_OP).cloned().unwrap_or_default(),
        ));
        Ok(Callback::Call(Call {
            msisdn,
            session: named.session,
            service_code,
            operator,
            said,
            echo,
        }))
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let echoed = |name: &str| {
            let found = call.echo.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| value.parse::<u16>().ok())
        };
        let (text, op) = match (reply, echoed(OP)) {
            (Reply::Continue(text), _) => (text, 2),
            (Reply::End(text), Some(0)) => (text, 16),
            (Reply::End(text), _) => (text, echoed(END_OP).unwrap_or(u16::from(default_end_op()))),
        };
        let over = u16::from(matches!(reply, Reply::End(_)));
        let mut headers = vec![(OP, op.to_string())];
        headers.extend(echoed(REFERENCE).map(|value| (REFERENCE, value.to_string())));
        headers.extend(echoed(INFO).map(|value| (INFO, (value & !1 | over).to_string())));
        Rendered {
            headers,
            ..Rendered::text(text.as_str())
        }
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }

    fn urls(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

struct Named {
    session: String,
    over: bool,
}

fn session(deliver: &Deliver, msisdn: &Msisdn, account: &Account) -> Result<Named, BadCall> {
    let field = account
        .options
        .get(SESSION)
        .map_or(REFERENCE, String::as_str);
    let number = |tag, name| deliver.number(tag).ok_or(BadCall::MissingField(name));
    let (session, over) = match field {
        "msisdn" => (msisdn.digits().to_owned(), false),
        "its_session_info" => {
            let info = number(tag::ITS_SESSION_INFO, INFO)?;
            ((info >> 1).to_string(), info & 1 == 1)
        }
        "its_session_number" => {
            let info = number(tag::ITS_SESSION_INFO, INFO)?;
            ((info >> 8).to_string(), info & 1 == 1)
        }
        _ => {
            let reference = number(tag::USER_MESSAGE_REFERENCE, REFERENCE)?;
            (reference.to_string(), false)
        }
    };
    Ok(Named { session, over })
}

fn text(deliver: &Deliver, account: &Account) -> Result<String, BadCall> {
    let alphabet = match account.options.get(ALPHABET).map(String::as_str) {
        Some("latin1") => Alphabet::Latin1,
        _ => Alphabet::Gsm7,
    };
    let data_coding = match deliver.data_coding {
        CELL_BROADCAST_GSM7 => 0,
        CELL_BROADCAST_UCS2 => 8,
        other => other,
    };
    let text = alphabet
        .decode(data_coding, &user_data(deliver).octets)
        .ok_or(BadCall::InvalidField("data_coding"))?;
    Ok(readable(&text).chars().take(TYPED_CHARS_MAX).collect())
}
