//! A delivery whose acknowledgement may have been lost comes again, with another sequence number and nothing else to know
//! it by. The same words may also be written twice. So only those count as the same that came before while it was still
//! unacknowledged, or so shortly before the connection ended that the acknowledgement may not have arrived.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::pdu::Deliver;

/// How long before the end of a connection an acknowledgement may have been lost.
const SETTLED: Duration = Duration::from_secs(10);
/// How long after it a delivery is awaited again.
const AWAITED: Duration = Duration::from_secs(600);
/// The most deliveries remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Deliveries that may come again.
#[derive(Debug, Default)]
pub(super) struct Doubts(Vec<Doubt>);

#[derive(Debug)]
struct Doubt {
    fingerprint: [u8; 32],
    id: String,
    acknowledged_at: Option<Instant>,
    /// Since when it is in doubt for good.
    cut_at: Option<Instant>,
}

impl Doubts {
    /// The id of a delivery: that of the one it repeats, or else `fresh`.
    pub(super) fn receive(&mut self, deliver: &Deliver, fresh: String, now: Instant) -> String {
        self.0
            .retain(|doubt| match (doubt.cut_at, doubt.acknowledged_at) {
                (Some(cut_at), _) => now - cut_at < AWAITED,
                (None, Some(at)) => now - at < SETTLED,
                (None, None) => true,
            });
        let fingerprint = fingerprint(deliver);
        let again = self.0.iter_mut().find(|doubt| {
            doubt.fingerprint == fingerprint
                && (doubt.cut_at.is_some() || doubt.acknowledged_at.is_none())
        });
        if let Some(doubt) = again {
            // It is on this connection now, and comes once more only if that ends.
            (doubt.cut_at, doubt.acknowledged_at) = (None, None);
            return doubt.id.clone();
        }
        if self.0.len() < REMEMBERED_MAX {
            self.0.push(Doubt {
                fingerprint,
                id: fresh.clone(),
                acknowledged_at: None,
                cut_at: None,
            });
        }
        fresh
    }

    /// It has been acknowledged, or refused.
    pub(super) fn acknowledge(&mut self, id: &str, now: Instant) {
        if let Some(doubt) = self.0.iter_mut().find(|doubt| doubt.id == id) {
            doubt.acknowledged_at = Some(now);
        }
    }

    /// The connection is over.
    pub(super) fn cut(&mut self, now: Instant) {
        self.0.retain_mut(|doubt| {
            let lost = doubt.acknowledged_at.is_none_or(|at| now - at < SETTLED);
            doubt.cut_at = doubt.cut_at.or(Some(now));
            lost
        });
    }
}

fn fingerprint(deliver: &Deliver) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in [
        deliver.source.value.as_bytes(),
        deliver.destination.value.as_bytes(),
        &[deliver.esm_class, deliver.data_coding],
        &deliver.message,
    ] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn deliver(text: &str) -> Deliver {
        let mut body = b"\0\x01\x01254700000001\0\x03\x0022384\0\0\0\0\0\0\0\0\0\0".to_vec();
        body.push(text.len() as u8);
        body.extend(text.as_bytes());
        Deliver::read(&body).unwrap()
    }

    #[test]
    fn only_what_may_have_been_lost_is_known_again() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut doubts = Doubts::default();
        let receive = |doubts: &mut Doubts, text: &str, fresh: &str, seconds| {
            doubts.receive(&deliver(text), fresh.to_owned(), after(seconds))
        };
        // The SMSC was impatient.
        assert_eq!(receive(&mut doubts, "1", "a", 0), "a");
        assert_eq!(receive(&mut doubts, "1", "b", 1), "a");
        doubts.acknowledge("a", after(2));
        // The guest answers two screens alike.
        assert_eq!(receive(&mut doubts, "1", "c", 3), "c");
        doubts.acknowledge("c", after(3));
        assert_eq!(receive(&mut doubts, "HELP", "d", 4), "d");
        // The connection ends long after the first two, and before the last one is answered.
        doubts.cut(after(60));
        assert_eq!(receive(&mut doubts, "1", "e", 61), "e");
        assert_eq!(receive(&mut doubts, "HELP", "f", 61), "d");
        doubts.acknowledge("d", after(61));
        doubts.acknowledge("e", after(61));
        assert_eq!(receive(&mut doubts, "HELP", "g", 62), "g");
        doubts.acknowledge("g", after(62));
        // It ends again, right after an acknowledgement, and nothing comes for long.
        doubts.cut(after(63));
        assert_eq!(receive(&mut doubts, "HELP", "h", 64), "d");
        assert_eq!(receive(&mut doubts, "1", "i", 700), "i");
    }
}
