//! The provider of the demo and of tests: no money moves. Everybody pays a moment after the prompt, but for some numbers,
//! so that each way it can go can be tried by hand. What counts is how the number ends:
//!
//! | ends in | what happens |
//! | --- | --- |
//! | `9001` | too little money |
//! | `9032` | the payer says no |
//! | `9037` | the phone is out of reach |
//! | `9038` | the phone is out of reach at first, and pays after all |
//! | `9011` | the line is busy |
//! | `9021` | the PIN is wrong |
//! | `9025` | the prompt cannot be shown |
//! | `9090` | nothing is ever heard |
//! | `9408` | the answer to the prompt is lost, and the money comes |
//! | `9503` | the provider is down |

use super::{Asked, Failure, Fate, Paid, Prompt, Prompted};
use crate::phone::Msisdn;

/// Its name in configuration and the database.
pub const NAME: &str = "sandbox";

/// What becomes of a prompt: see the table above.
pub fn prompt(prompt: &Prompt<'_>) -> Prompted {
    match ending(prompt.msisdn) {
        "9503" => Prompted::RetryLater {
            reason: "down".to_owned(),
        },
        "9408" => Prompted::Unknown {
            reason: "timeout".to_owned(),
        },
        "9011" => Prompted::Failed(Failure::LineBusy),
        _ => Prompted::Accepted { provider_id: None },
    }
}

/// What a payer at `msisdn` has done when asked for the `times`-th time.
pub fn query(msisdn: &Msisdn, asked: &Asked<'_>, times: u32) -> Fate {
    let paid = || {
        Fate::Paid(Paid {
            receipt: Some(receipt(asked)),
            amount: Some(asked.amount),
        })
    };
    Fate::Failed(match ending(msisdn) {
        "9001" => Failure::NoFunds,
        "9021" => Failure::WrongPin,
        "9025" => Failure::NotShown,
        "9032" => Failure::Cancelled,
        "9037" => Failure::Unreachable,
        "9038" if times < 2 => Failure::Unreachable,
        "9090" => return Fate::Pending,
        "9503" => return Fate::Missing,
        _ => return paid(),
    })
}

fn receipt(asked: &Asked<'_>) -> String {
    format!("SBX{}", &asked.key.simple().to_string()[..12]).to_uppercase()
}

/// The last four digits: a number has at least eight.
fn ending(msisdn: &Msisdn) -> &str {
    let digits = msisdn.digits();
    &digits[digits.len() - 4..]
}
