//! What must hold after every step of a run, whatever failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::time::Instant;
use uuid::Uuid;

use super::link::Weather;
use super::phone::{Asked, Kind};
use super::world::World;
use crate::booking::reservation::Status;
use crate::books::memory::{AttemptStatus, Kept, Ledger, RowStatus};
use crate::menu::messages::Message;
use crate::sms::gsm7;
use crate::ussd::Reply;

/// From accepting a call to its reply.
const REPLY_MAX: Duration = Duration::from_millis(3_500);
/// How long the same call gets the same text.
const SAME_FOR: Duration = Duration::from_secs(600);
/// A reply is on its way for no longer.
const REPLY_MARGIN: Duration = Duration::from_secs(5);
const SEPTETS_MAX: usize = 160;
/// A message in doubt is sent so often at the most.
const SENDS_MAX: u32 = 3;
/// How long a hold may outlive its time.
const HOLD_MARGIN: chrono::Duration = chrono::Duration::seconds(60);
/// Words that nothing was booked.
const DENIALS: [&str; 2] = ["Nothing was booked", "Nothing is booked"];
/// The last words of a dialogue that cannot go on: no receipts.
const SORRIES: [Message; 7] = [
    Message::Working,
    Message::Busy,
    Message::Unavailable,
    Message::Down,
    Message::Expired,
    Message::TooOften,
    Message::WrongCode,
];

/// What was seen so far, and which law was broken first.
#[derive(Default)]
pub(super) struct Law {
    broken: Option<String>,
    calls: usize,
    /// Calls under way by name, each with whether another of its name was under way with it.
    under_way: BTreeMap<String, BTreeMap<usize, bool>>,
    /// The first receipt of each call.
    receipts: BTreeMap<String, (Instant, String)>,
    /// Every screen that answered each call: two, where receipts were lost in between.
    screens: BTreeMap<String, BTreeSet<String>>,
    /// Positions of the answers that booked, by door and session.
    presses: BTreeMap<(&'static str, String), BTreeSet<i32>>,
    /// When receipts may have been lost last.
    disturbed_at: Option<Instant>,
    /// Whether anything may have kept an outcome of a message from being written down.
    outcomes_lost: bool,
    said: BTreeSet<String>,
}

impl Law {
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    pub(super) fn begins(&mut self, name: &str) -> usize {
        self.calls += 1;
        let same = self.under_way.entry(name.to_owned()).or_default();
        let is_alone = same.is_empty();
        for met in same.values_mut() {
            *met = true;
        }
        same.insert(self.calls, !is_alone);
        self.calls
    }

    /// Whether no other call of this name was under way meanwhile.
    pub(super) fn ends(&mut self, name: &str, number: usize) -> bool {
        let same = self.under_way.entry(name.to_owned()).or_default();
        !same.remove(&number).unwrap_or(true)
    }

    /// Somebody answered a screen with the key that books.
    pub(super) fn pressed(&mut self, asked: &Asked) {
        let session = (asked.door, asked.session.clone());
        self.presses
            .entry(session)
            .or_default()
            .insert(asked.position() + 1);
    }

    /// The screens that a call was answered with; the phone may show any of them.
    pub(super) fn screens(&self, name: &str) -> Vec<String> {
        let screens = self.screens.get(name).into_iter().flatten();
        screens.cloned().collect()
    }

    pub(super) fn disturbed(&mut self) {
        self.disturbed_at = Some(Instant::now());
    }

    pub(super) fn books_failed(&mut self) {
        self.outcomes_lost = true;
    }

    pub(super) fn killed(&mut self) {
        self.outcomes_lost = true;
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// The same receipt as before, unless it may be lost.
    fn same(&mut self, name: &str, text: &str) -> Result<(), String> {
        let now = Instant::now();
        let disturbed_at = self.disturbed_at;
        let (at, before) = self
            .receipts
            .entry(name.to_owned())
            .or_insert_with(|| (now, text.to_owned()));
        let may_be_lost = disturbed_at.is_some_and(|disturbed| disturbed + REPLY_MARGIN >= *at);
        if before == text || may_be_lost || now - *at > SAME_FOR {
            return Ok(());
        }
        Err(format!(
            "{name} was answered {before:?} before, now {text:?}"
        ))
    }
}

/// Looks at a reply.
pub(super) fn replied(
    world: &World,
    asked: &Asked,
    reply: &Reply,
    began: Instant,
    was_alone: bool,
    is_sorry: bool,
) {
    let name = asked.name();
    let (Reply::Continue(text) | Reply::End(text)) = reply;
    let mut faults = Vec::new();
    if began.elapsed() > REPLY_MAX {
        faults.push(format!("{name} was answered after {:?}", began.elapsed()));
    }
    match gsm7::septets(text) {
        Some(1..=SEPTETS_MAX) => {}
        other => faults.push(format!("{name} got {other:?} septets: {text:?}")),
    }
    let is_sorry = is_sorry || is_sorry_for(world, text);
    note_disturbance(world);
    let mut law = world.law();
    let screens = law.screens.entry(name.clone()).or_default();
    screens.insert(text.clone());
    drop(law);
    let ledger = world.ledger();
    if !is_sorry
        && asked.kind != Kind::Latest
        && let Err(fault) = world.law().same(&name, text)
    {
        faults.push(fault);
    }
    if was_alone && DENIALS.iter().any(|denial| text.contains(denial)) {
        faults.extend(denied(&ledger, asked));
    }
    faults.extend(codes(text).filter_map(|code| told_code(&ledger, asked, code, text)));
    drop(ledger);
    for fault in faults {
        world.tell(format_args!("BROKEN: {fault}"));
        world.law().breaks(fault);
    }
}

fn is_sorry_for(world: &World, text: &str) -> bool {
    let mut law = world.law();
    if law.said.is_empty()
        && let Some(instance) = world.instances().first()
    {
        let menus = instance.app.menus.current();
        let country = instance.app.config.home();
        for language in &menus.menu.languages {
            let say = |message| instance.app.say(message, language, None, country);
            law.said.extend(SORRIES.map(say));
        }
    }
    law.said.contains(text)
}

/// Receipts may be lost as long as an instance does without Redis.
fn note_disturbance(world: &World) {
    let is_calm = world.instances().iter().all(|instance| {
        instance.to_redis.weather() == Weather::Fair && !instance.app.store.breaker().is_open()
    });
    if !is_calm {
        world.law().disturbed();
    }
}

/// Whoever is told that nothing was booked must not have booked in that turn.
fn denied(ledger: &Ledger, asked: &Asked) -> Option<String> {
    let made = ledger.stays.iter().find(|kept| {
        asked.kind == Kind::Transcript
            && kept.turn.door == asked.door
            && kept.turn.session == asked.session
            && kept.turn.position == asked.position()
    })?;
    Some(format!(
        "{} is told that nothing was booked, and has {}",
        asked.name(),
        made.shown.code
    ))
}

/// Everything like `4821-7736`.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit() && c != '-')
        .filter(|word| word.len() == 9 && word.as_bytes()[4] == b'-')
}

/// A code that is told is that of a reservation of the caller, and one told as booked is, or was.
fn told_code(ledger: &Ledger, asked: &Asked, code: &str, text: &str) -> Option<String> {
    let kept = ledger.stays.iter().find(|kept| {
        kept.shown.code.to_string() == code
            && (kept.shown.msisdn == asked.msisdn
                || kept.shown.guest_msisdn.as_ref() == Some(&asked.msisdn))
    });
    let Some(kept) = kept else {
        return Some(format!(
            "{} is told of {code}, which is not his",
            asked.name()
        ));
    };
    let is_told_so = text.starts_with("BOOKED ");
    (is_told_so && !was_confirmed(ledger, kept)).then(|| {
        format!(
            "{} is told that {code} is booked, which it never was",
            asked.name()
        )
    })
}

fn was_confirmed(ledger: &Ledger, kept: &Kept) -> bool {
    ledger
        .events
        .iter()
        .any(|event| event.reservation_id == kept.shown.id && event.to == Status::Confirmed)
}

/// Looks at the books.
pub(super) fn check(world: &World) {
    note_disturbance(world);
    let fault = {
        let ledger = world.ledger();
        nights(&ledger)
            .or_else(|| messages(&ledger))
            .or_else(|| effects(&ledger, &world.law()))
    };
    if let Some(fault) = fault {
        world.tell(format_args!("BROKEN: {fault}"));
        world.law().breaks(fault);
    }
}

/// Per property and night: what is taken is what live reservations take, and not more than there is.
fn nights(ledger: &Ledger) -> Option<String> {
    let mut taken: BTreeMap<(Uuid, NaiveDate), i32> = BTreeMap::new();
    for kept in &ledger.stays {
        if kept.shown.status.takes_nights() {
            for night in kept.shown.stay.check_in().iter_days() {
                if night >= kept.shown.stay.check_out() {
                    break;
                }
                *taken.entry((kept.shown.property_id, night)).or_default() += kept.shown.units;
            }
        }
    }
    let lodges = ledger.lodges.values();
    let mut all = lodges.flat_map(|lodge| lodge.nights.iter().map(move |night| (lodge, night)));
    all.find_map(|(lodge, (day, night))| {
        let live = taken.get(&(lodge.id, *day)).copied().unwrap_or(0);
        let is_sound = night.reserved == live && live <= night.available;
        (!is_sound).then(|| format!("{} {day}: {night:?}, {live} live", lodge.name))
    })
}

/// A confirmation and its notice exist if and only if the reservation was confirmed.
fn messages(ledger: &Ledger) -> Option<String> {
    ledger.stays.iter().find_map(|kept| {
        let wanted = usize::from(was_confirmed(ledger, kept));
        let count = |kind: &str, to: &str| {
            let rows = ledger.outbox.rows.iter();
            rows.filter(|row| {
                row.reservation_id == Some(kept.shown.id) && row.kind == kind && row.msisdn == to
            })
            .count()
        };
        let shown = &kept.shown;
        let guest = count("confirmed", shown.msisdn.as_str());
        let host = count("host_booked", shown.host_msisdn.as_str());
        (guest != wanted || host != wanted).then(|| {
            format!(
                "{} is {:?}: {guest} messages to the guest, {host} to the host",
                shown.code, shown.status
            )
        })
    })
}

/// Every reservation was asked for by an answer of its own.
fn effects(ledger: &Ledger, law: &Law) -> Option<String> {
    let mut made: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let blurred = Kind::Latest.aggregator().name();
    for kept in &ledger.stays {
        let turn = &kept.turn;
        // Without Redis nobody can tell which screen an answer is to that comes with nothing else.
        if turn.door == blurred && law.disturbed_at.is_some() {
            continue;
        }
        // What tells dialogues under one id apart comes third.
        let end = turn.session.match_indices('/').nth(1);
        let session = end.map_or(&*turn.session, |(end, _)| &turn.session[..end]);
        let presses = law
            .presses
            .iter()
            .find(|((door, name), _)| *door == turn.door && name == session)
            .map(|(_, presses)| presses);
        let is_asked = presses.is_some_and(|presses| {
            end.is_some() && !presses.is_empty() || presses.contains(&turn.position)
        });
        let count = made.entry((&turn.door, session)).or_default();
        *count += 1;
        if !is_asked || presses.is_none_or(|presses| presses.len() < *count) {
            return Some(format!(
                "{} was made by {}, which nobody answered so",
                kept.shown.code,
                turn.key()
            ));
        }
    }
    None
}

/// Whether nothing is left to be sent, ended or paid.
pub(super) fn is_at_rest(world: &World) -> bool {
    let ledger = world.ledger();
    let is_open = |status| matches!(status, Status::Held | Status::Paying);
    !ledger.outbox.rows.iter().any(|row| row.due_at.is_some())
        && !ledger.stays.iter().any(|kept| is_open(kept.shown.status))
        && !(ledger.attempts.iter()).any(|attempt| attempt.status == AttemptStatus::Open)
}

/// What must hold once nothing has failed for a while.
pub(super) fn check_rest(world: &World) {
    if world.law().broken().is_some() {
        return;
    }
    let faults = {
        let (ledger, law) = (world.ledger(), world.law());
        let now = world.clock.now();
        let mut faults: Vec<String> = Vec::new();
        for kept in &ledger.stays {
            let shown = &kept.shown;
            let is_open = matches!(shown.status, Status::Held | Status::Paying);
            if is_open
                && shown
                    .hold_expires_at
                    .is_none_or(|end| end + HOLD_MARGIN < now)
            {
                faults.push(format!("{} is {:?} for too long", shown.code, shown.status));
            }
        }
        for row in &ledger.outbox.rows {
            let reference = row.id.to_string();
            let (sent, doubted) = (
                world.gateway.shown(&reference),
                world.gateway.doubted(&reference),
            );
            if row.due_at.is_some() {
                faults.push(format!("message {reference} waits: {row:?}"));
            }
            let taken = matches!(row.status, RowStatus::Accepted | RowStatus::Reported(..));
            if taken && sent == 0 {
                faults.push(format!("message {reference} never left: {row:?}"));
            }
            let most = if doubted > 0 || law.outcomes_lost {
                SENDS_MAX
            } else {
                1
            };
            if sent > most {
                faults.push(format!("message {reference} came {sent} times: {row:?}"));
            }
        }
        faults
    };
    for fault in faults {
        world.tell(format_args!("BROKEN: {fault}"));
        world.law().breaks(fault);
    }
}
