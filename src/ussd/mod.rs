//! The contract of every USSD aggregator: bytes in, a [`Call`] out; a [`Reply`] in, bytes out. Pure; one file per aggregator.

pub mod aat;
pub mod africastalking;
pub mod airtel_flares;
pub mod arkesel;
pub mod beem;
mod call;
pub mod cross_switch;
pub mod dmark;
pub mod emergent;
mod fields;
mod get;
pub mod hollatags;
pub mod hubtel;
pub mod infobip;
pub mod mnotify;
pub mod moolre;
pub mod mtn_madapi;
pub mod nalo;
pub mod safaricom_direct;
pub mod service_code;
pub mod sixd_dynmenu;
pub mod smpp;
#[cfg(test)]
mod test_calls;
pub mod transcript;
pub mod truroute;
#[cfg(test)]
mod vectors_test;
pub mod wigal_v1;
pub mod wigal_v2;
mod xml;

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

pub use call::{
    Account, BadCall, Call, Callback, Inbound, Outcome, Rendered, Reply, Said, SessionEnd,
};

/// The longest answer of a subscriber that is kept, in characters. A USSD string holds at most 182.
pub const INPUT_CHARS_MAX: usize = 160;

/// One aggregator's wire format. Adding one touches its file, [`AGGREGATORS`], its settings and its cases.
pub trait Aggregator: Sync {
    /// Its name in configuration, URLs, logs and the database.
    fn name(&self) -> &'static str;

    /// Whose settings apply to a call: its own, but where one format serves several gateways.
    fn configured_as<'a>(&'a self, _call: &'a Call) -> &'a str {
        self.name()
    }

    /// Reads a callback, of whatever path below its URL.
    ///
    /// # Errors
    /// [`BadCall`] names the field by its name on the wire.
    fn decode(&self, inbound: &Inbound<'_>, account: &Account) -> Result<Callback, BadCall>;

    /// Writes the answer to a call.
    fn encode(&self, call: &Call, reply: &Reply) -> Rendered;

    /// Writes the answer to a call of a session that nobody knows: it was never begun here, or is long over. `sorry` is
    /// the screen to end with where the protocol has no word of its own.
    fn encode_unknown(&self, call: &Call, sorry: String) -> Rendered {
        self.encode(call, &Reply::End(sorry))
    }

    /// Writes the answer to a call that begins a session which is going on already. `None`: the session begins anew.
    fn encode_known(&self, _call: &Call) -> Option<Rendered> {
        None
    }

    /// Acknowledges the news that a session is over.
    fn acknowledge(&self, _end: &SessionEnd) -> Rendered {
        Rendered::empty()
    }

    /// Acknowledges the news that a session is over which nobody knows, or of which that was told before.
    fn acknowledge_unknown(&self, end: &SessionEnd) -> Rendered {
        self.acknowledge(end)
    }

    /// Answers [`Callback::Status`]: whether the session is going on.
    fn encode_status(&self, _active: bool) -> Rendered {
        Rendered::empty()
    }

    /// Whether the answers of a session are numbered, each one more than the last: one that is late, or the one after one that
    /// was missed, is told by its number.
    fn numbers_answers(&self) -> bool {
        false
    }

    /// Whether a session id names a session without the number of its caller, which some callbacks then do not tell.
    fn session_is_unique(&self) -> bool {
        false
    }

    /// Answers a callback that could not be read.
    fn refuse(&self, bad: &BadCall) -> Rendered {
        Rendered {
            status: bad.status(),
            ..Rendered::text(bad.to_string())
        }
    }

    /// Whether its format carries credentials, and these options say which.
    fn has_credentials(&self, _options: &BTreeMap<String, String>) -> bool {
        false
    }

    /// The E.164 country code of a network, where the aggregator's name for it tells.
    fn dialling_code(&self, _operator: &str) -> Option<&'static str> {
        None
    }

    /// The most GSM-7 septets one screen may have unless configured otherwise.
    fn septets_max(&self) -> usize;

    /// What to enter in its console: a label, and what follows the callback URL.
    fn urls(&self) -> &'static [(&'static str, &'static str)] {
        &[("USSD callback", "")]
    }
}

/// Every aggregator spoken over HTTP.
pub static AGGREGATORS: &[&dyn Aggregator] = &[
    &africastalking::AfricasTalking,
    &hubtel::Hubtel,
    &arkesel::Arkesel,
    &nalo::Nalo,
    &beem::Beem,
    &infobip::Infobip,
    &mtn_madapi::MtnMadapi,
    &mnotify::Mnotify,
    &moolre::Moolre,
    &emergent::Emergent,
    &cross_switch::CrossSwitch,
    &hollatags::Hollatags,
    &wigal_v1::WigalV1,
    &wigal_v2::WigalV2,
    &airtel_flares::AirtelFlares,
    &sixd_dynmenu::SixdDynMenu,
    &truroute::TruRoute,
    &aat::Aat,
    &safaricom_direct::SafaricomDirect,
    &dmark::Dmark,
];

/// Formats of whoever embeds this crate.
static ADDED: RwLock<Vec<&dyn Aggregator>> = RwLock::new(Vec::new());

/// From now on this one is spoken too: call it before the configuration that names it is read. `false`: its name is taken.
pub fn add(aggregator: &'static dyn Aggregator) -> bool {
    let free = find(aggregator.name()).is_none();
    if free {
        let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
        added.push(aggregator);
    }
    free
}

/// The aggregator with this name.
pub fn find(name: &str) -> Option<&'static dyn Aggregator> {
    let is_named = |aggregator: &&dyn Aggregator| aggregator.name() == name;
    let added = || {
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        added.iter().copied().find(is_named)
    };
    AGGREGATORS.iter().copied().find(is_named).or_else(added)
}
