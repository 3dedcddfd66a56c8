//! A message out: one `submit_sm` a part, and what each status of an SMSC means for the whole. Source: SMPP 3.4, §5.1.3.

use std::time::Duration;

use rusmpp::CommandStatus;
use tokio::time::{sleep, timeout};

use super::bound::Submitted;
use super::link::{Down, Link};
use super::pdu::{Address, Submit};
use crate::sms::http::SEND_MAX;
use crate::sms::{Message, Sent};

/// How long one message may take, all its parts and their waits.
const MESSAGE_MAX: Duration = SEND_MAX.saturating_mul(2);
/// How often the next part of a message is offered again to an SMSC that is busy, and the wait between: the parts before it
/// are on their way, and the whole is of no use without it.
const PART_TRIES: u32 = 4;
const PART_PAUSE: Duration = Duration::from_secs(1);

/// Hands one message over. Only its last part asks for a receipt: what became of that stands for the whole.
pub async fn send(link: &Link, message: &Message) -> Sent {
    let _sending = link.begin();
    // Whatever the last part waits for, those before it are on their way.
    let sent = timeout(MESSAGE_MAX, submit_parts(link, message)).await;
    sent.unwrap_or_else(|_| Sent::unknown("timeout"))
}

async fn submit_parts(link: &Link, message: &Message) -> Sent {
    // The same whenever it is sent again: a phone that has some of the parts waits for just these.
    let reference = message.reference.parse::<u64>().unwrap_or_default() as u8;
    let encoded = link.config().alphabet.encode(&message.text, reference);
    let total = encoded.parts.len();
    let sender = message.sender.as_deref().map(Address::sender);
    let mut last = Sent::refused("empty");
    for (number, part) in (1..).zip(encoded.parts) {
        let submit = Submit {
            source: sender.clone().unwrap_or_default(),
            destination: Address::subscriber(message.msisdn.digits()),
            has_header: encoded.has_header,
            wants_receipt: number == total,
            data_coding: encoded.data_coding,
            short_message: part,
            ..Submit::default()
        };
        let tries = if number == 1 { 1 } else { PART_TRIES };
        last = submit_part(link, &submit, tries).await;
        if !matches!(last, Sent::Accepted { .. }) {
            return last;
        }
    }
    last
}

async fn submit_part(link: &Link, submit: &Submit, tries: u32) -> Sent {
    let mut tried = 0;
    loop {
        let sent = match link.submit(submit.clone()).await {
            Ok(submitted) => outcome(submitted),
            Err(Down::Refused) => Sent::paused("bind_refused"),
            Err(Down::Away) => Sent::later("not_bound"),
            Err(Down::Busy) => Sent::later("window_full"),
        };
        tried += 1;
        if tried == tries || !matches!(sent, Sent::RetryLater { .. }) {
            return sent;
        }
        sleep(PART_PAUSE).await;
    }
}

fn outcome(submitted: Submitted) -> Sent {
    match submitted {
        Submitted::Answered { status, message_id } => by_status(status, message_id),
        Submitted::NotSent => Sent::later("connection_lost"),
        Submitted::Lost(why) => Sent::unknown(why),
    }
}

/// What a status says.
fn by_status(status: CommandStatus, message_id: String) -> Sent {
    use CommandStatus::{
        EsmeRalybnd, EsmeRbindfail, EsmeRinvbndsts, EsmeRinvdcs, EsmeRinvdftmsgid, EsmeRinvdstadr,
        EsmeRinvdstnpi, EsmeRinvdstton, EsmeRinvesmclass, EsmeRinvexpiry, EsmeRinvmsglen,
        EsmeRinvpaswd, EsmeRinvsched, EsmeRinvsertyp, EsmeRinvsrcadr, EsmeRinvsrcnpi,
        EsmeRinvsrcton, EsmeRinvsysid, EsmeRinvsystyp, EsmeRmsgqful, EsmeRok, EsmeRprohibited,
        EsmeRsertypdenied, EsmeRsertypunauth, EsmeRthrottled, EsmeRxPAppn, EsmeRxRAppn,
    };
    match status {
        EsmeRok => Sent::accepted(message_id),
        EsmeRthrottled => Sent::later("throttled"),
        EsmeRmsgqful => Sent::later("queue_full"),
        EsmeRinvdstadr | EsmeRinvdstton | EsmeRinvdstnpi => Sent::refused("destination_address"),
        EsmeRinvmsglen | EsmeRinvdcs | EsmeRinvesmclass | EsmeRinvexpiry | EsmeRinvsched
        | EsmeRinvdftmsgid | EsmeRxPAppn | EsmeRxRAppn => Sent::refused(name(status)),
        // About the account or the sender: nothing else will pass either.
        EsmeRinvsrcadr | EsmeRinvsrcton | EsmeRinvsrcnpi => Sent::paused("source_address"),
        EsmeRbindfail | EsmeRinvpaswd | EsmeRinvsysid | EsmeRinvsystyp | EsmeRinvsertyp
        | EsmeRprohibited | EsmeRsertypunauth | EsmeRsertypdenied => Sent::paused(name(status)),
        // Bound no more, as the SMSC sees it: the next bind mends it.
        EsmeRinvbndsts | EsmeRalybnd => Sent::later(name(status)),
        // A system error, a failed submit, or what this operator has made up: it may pass.
        _ => Sent::later(name(status)),
    }
}

/// A short word for the row and the log.
fn name(status: CommandStatus) -> String {
    format!("status_{:#x}", u32::from(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_one_of_a_few_outcomes() {
        for (status, expected) in [
            (0, Sent::accepted("7")),
            (0x58, Sent::later("throttled")),
            (0x14, Sent::later("queue_full")),
            (0x0b, Sent::refused("destination_address")),
            (0x01, Sent::refused("status_0x1")),
            (0x0a, Sent::paused("source_address")),
            (0x0e, Sent::paused("status_0xe")),
            (0x08, Sent::later("status_0x8")),
            (0x45, Sent::later("status_0x45")),
            (0xff, Sent::later("status_0xff")),
            (0x400, Sent::later("status_0x400")),
        ] {
            let sent = by_status(CommandStatus::from(status), "7".to_owned());
            assert_eq!(sent, expected, "{status:#x}");
        }
    }
}
