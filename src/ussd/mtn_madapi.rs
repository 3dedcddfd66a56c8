//! MTN's own gateway, MADAPI. Source: API description "Messaging USSD API v1" of its developer portal.
//!
//! ```text
//! POST  content-type: application/json
//! {"sessionId":"01235","messageType":"0","msisdn":"256771000001","serviceCode":"1234","ussdString":"*1234#","imsi":"…","language":"en"}
//! {"sessionId":"01235","messageType":"1","msisdn":"256771000001","serviceCode":"1234","ussdString":"1"}
//! ```
//!
//! `messageType` is 0 begin, 1 continue, 2 end, 3 notification, 4 abort (`ussdString` says why) and 5 timeout, as text or as a
//! number. `ussdString` is the string dialled, sometimes without `#`, then the latest answer alone.
//!
//! ```text
//! 200  content-type: application/json
//! {"statusCode":"0000","statusMessage":"Success","transactionId":"01235",
//!  "data":{"inboundResponse":"Which town?","userInputRequired":true,"messageType":1,"serviceCode":"*1234#","msisdn":"256771000001"},
//!  "_link":{"self":{"href":"https://…"}}}
//! ```
//!
//! `messageType` of an answer is 1 (go on) or 2 (end), as a number. What is wrong is answered with its HTTP status and
//! `{"statusCode":"3001","statusMessage":"missing field msisdn","transactionId":""}`. Nothing is signed.

use serde_json::json;

use super::fields::{self, echoed};
use super::{
    Account, Aggregator, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said,
    SessionEnd,
};

/// What every network is known to show.
const SEPTETS_MAX: usize = 160;
/// Its code of four digits for a request that it would not understand itself.
const NOT_UNDERSTOOD: &str = "3001";

/// The aggregator `mtn_madapi`.
#[derive(Debug, Clone, Copy)]
pub struct MtnMadapi;

impl Aggregator for MtnMadapi {
    fn name(&self) -> &'static str {
        "mtn_madapi"
    }

    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall> {
        let fields = fields::json_post(inbound)?;
        let kind = fields.required("messageType")?;
        let session = fields.session("sessionId")?;
        let msisdn = fields.msisdn("msisdn")?;
        let named = fields.find("serviceCode");
        let typed = fields.typed("ussdString");
        let (service_code, said) = match kind {
            "0" => {
                let dialled = fields::dialled(account, &typed, named);
                (dialled.service_code, Said::Dialled(dialled.ahead))
            }
            "1" => {
                let answered = Said::Answered {
                    input: typed,
                    hop: None,
                };
                (fields::registered(account, named), answered)
            }
            "2" | "3" | "4" | "5" => {
                let outcome = match kind {
                    "4" => Outcome::Abandoned,
                    "5" => Outcome::TimedOut,
                    _ => Outcome::Completed,
                };
                return Ok(Callback::End(SessionEnd {
                    msisdn: Some(msisdn),
                    service_code: fields::registered(account, named),
                    error: (kind == "4" && !typed.is_empty()).then_some(typed),
                    ..SessionEnd::of(session, outcome)
                }));
            }
            _ => return Err(BadCall::InvalidField("messageType")),
        };
        let mut echo = fields.echo(&["msisdn", "serviceCode"])?;
        echo.push((LINK, account.url.clone()));
        Ok(Callback::Call(Call {
            msisdn,
            session,
            service_code,
            operator: None,
            said,
            echo,
        }))
    }

    fn encode(&self, call: &Call, reply: &Reply) -> Rendered {
        let (text, kind, goes_on) = match reply {
            Reply::Continue(text) => (text, 1, true),
            Reply::End(text) => (text, 2, false),
        };
        let service_code = match call.service_code.as_str() {
            "" => echoed(call, "serviceCode"),
            code => code,
        };
        Rendered::json(&json!({
            "statusCode": "0000", "statusMessage": "Success", "transactionId": call.session,
            "data": {
                "inboundResponse": text, "userInputRequired": goes_on, "messageType": kind, "serviceCode": service_code,
                "msisdn": echoed(call, "msisdn"),
            },
            "_link": { "self": { "href": echoed(call, LINK) } },
        }))
    }

    fn acknowledge(&self, end: &SessionEnd) -> Rendered {
        Rendered::json(&json!({
            "statusCode": "0000", "statusMessage": "Success", "transactionId": end.session,
        }))
    }

    fn refuse(&self, bad: &BadCall) -> Rendered {
        Rendered {
            status: bad.status(),
            ..Rendered::json(&json!({
                "statusCode": NOT_UNDERSTOOD, "statusMessage": bad.to_string(), "transactionId": "",
            }))
        }
    }

    fn septets_max(&self) -> usize {
        SEPTETS_MAX
    }
}

/// What an answer links to: where it came from.
const LINK: &str = "_link";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::test_calls::{self, answered, body, call, end, post, with};
    use super::*;

    fn reply() -> Value {
        json!({ "sessionId": "1", "messageType": "1", "msisdn": "254711000001", "serviceCode": "384", "ussdString": "1" })
    }

    #[test]
    fn an_answer_has_every_member_of_the_description() {
        let call = call(post(&MtnMadapi, &reply()));
        assert_eq!(call.said, answered("1"));
        let answer = body(&MtnMadapi.encode(&call, &Reply::Continue("x".to_owned())));
        let expected = json!({
            "statusCode": "0000", "statusMessage": "Success", "transactionId": "1",
            "data": {
                "inboundResponse": "x", "userInputRequired": true, "messageType": 1, "serviceCode": "384",
                "msisdn": "254711000001",
            },
            "_link": { "self": { "href": "https://ussd.example.com/ussd/x/demo" } },
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn the_longest_registered_code_was_dialled_with_or_without_its_end() {
        for string in ["*384*7*9*1#", "*384*7*9*1"] {
            let body = with(&reply(), json!({ "messageType": 0, "ussdString": string }));
            let call = call(post(&MtnMadapi, &body));
            assert_eq!(call.service_code, "*384*7*9#");
            assert_eq!(call.said, Said::Dialled("1".to_owned()));
        }
    }

    #[test]
    fn a_session_ends_in_several_ways() {
        for (kind, outcome, error) in [
            ("2", Outcome::Completed, None),
            ("3", Outcome::Completed, None),
            ("4", Outcome::Abandoned, Some("1")),
            ("5", Outcome::TimedOut, None),
        ] {
            let end = end(post(
                &MtnMadapi,
                &with(&reply(), json!({ "messageType": kind })),
            ));
            assert_eq!((end.outcome, end.error.as_deref()), (outcome, error));
        }
    }

    #[test]
    fn a_refusal_is_in_its_own_form() {
        let refused = MtnMadapi.refuse(&BadCall::MissingField("msisdn"));
        assert_eq!(refused.status, 400);
        assert_eq!(body(&refused)["statusMessage"], "missing field msisdn");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in test_calls::bodies(&["sessionId", "messageType", "msisdn", "serviceCode", "ussdString"])) {
            test_calls::survives(&MtnMadapi, "POST", "", "", &body);
        }
    }
}
