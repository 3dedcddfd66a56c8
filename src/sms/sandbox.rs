//! The provider of the demo and of tests: it sends nothing, accepts everything and reports it delivered at once.
//! The message is in the outbox, where the simulator shows it.
//!
//! Some numbers fail, so that failure can be tried by hand. What counts is how the number ends:
//!
//! | ends in | what happens |
//! | --- | --- |
//! | `0404` | refused for good |
//! | `0500` | "try later" at the first attempt, accepted at the second |
//! | `0504` | no answer at the first attempt (it may or may not be sent), accepted at the second |
//! | `0410` | accepted, but the report says that it failed |

use super::{DeliveryReport, DeliveryStatus, Message, Sent};

/// Its name in configuration and the database.
pub const NAME: &str = "sandbox";

/// What becomes of a message: see the table above.
pub fn send(message: &Message) -> Sent {
    let first = message.attempt <= 1;
    match ending(message) {
        "0404" => Sent::Refused {
            reason: "InvalidPhoneNumber".to_owned(),
        },
        "0500" if first => Sent::RetryLater {
            after_seconds: None,
            reason: "GatewayError".to_owned(),
        },
        "0504" if first => Sent::Unknown {
            reason: "timeout".to_owned(),
        },
        _ => Sent::Accepted {
            provider_id: format!("sandbox-{}", message.reference),
        },
    }
}

/// The delivery report of an accepted message.
pub fn report(message: &Message, provider_id: &str) -> DeliveryReport {
    let failed = ending(message) == "0410";
    let status = if failed {
        DeliveryStatus::Failed
    } else {
        DeliveryStatus::Delivered
    };
    DeliveryReport {
        msisdn: Some(message.msisdn.clone()),
        reason: failed.then(|| "UserIsInactive".to_owned()),
        ..DeliveryReport::new(provider_id, status)
    }
}

/// The last four digits: a number has at least eight.
fn ending(message: &Message) -> &str {
    let digits = message.msisdn.digits();
    &digits[digits.len() - 4..]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::phone::Msisdn;

    #[test]
    fn the_ending_of_the_number_decides() {
        let message = |msisdn, attempt| Message {
            reference: "7".to_owned(),
            msisdn: Msisdn::parse(msisdn).unwrap(),
            text: String::new(),
            attempt,
            sender: None,
            report_url: None,
        };
        let accepted = Sent::Accepted {
            provider_id: "sandbox-7".to_owned(),
        };
        assert_eq!(send(&message("+254700000001", 1)), accepted);
        for (msisdn, attempt) in [
            ("+254700000500", 2),
            ("+254700000504", 2),
            ("+254700000410", 1),
        ] {
            assert_eq!(send(&message(msisdn, attempt)), accepted);
        }
        assert!(matches!(
            send(&message("+254700000404", 9)),
            Sent::Refused { .. }
        ));
        assert!(matches!(
            send(&message("+254700000500", 1)),
            Sent::RetryLater { .. }
        ));
        assert!(matches!(
            send(&message("+254700000504", 1)),
            Sent::Unknown { .. }
        ));
        assert_eq!(
            report(&message("+254700000410", 1), "x").status,
            DeliveryStatus::Failed
        );
        assert_eq!(
            report(&message("+254700000001", 1), "x").status,
            DeliveryStatus::Delivered
        );
    }
}
