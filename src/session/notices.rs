//! What guest and host are told of a reservation: written in the transaction that makes it true.

use chrono::{Days, Duration};

use crate::app::App;
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::offer::{Offer, Pay};
use crate::country::Country;
use crate::db::effect::Draft;
use crate::db::reservations::Reservation;
use crate::db::reserve::Booking;
use crate::db::waitlist::{HELD_MINUTES_MIN, Wish};
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::phone::Msisdn;
use crate::session::records::{self, Terms};

/// News of a reservation is of no use after so long.
const TTL: Duration = Duration::days(1);

/// A confirmation is of no use after so many days past check-in.
const CONFIRMATION_DAYS: u64 = 1;

/// The guest's confirmation (and the friend's), and the host's notice, of what is booked as it was offered.
pub fn made(
    app: &App,
    code: &Code,
    booking: &Booking<'_>,
    offer: &Offer,
    language: &Language,
    country: &'static Country,
) -> Vec<Draft> {
    let friend = booking.guest_msisdn;
    let terms = Terms {
        offer,
        stay: booking.stay,
        guests: booking.guests,
        guest: booking.guest_name,
        msisdn: friend.unwrap_or(booking.msisdn),
    };
    let record = terms.booking(code);
    let expires_at = (booking.stay.check_in() + Days::new(CONFIRMATION_DAYS))
        .and_time(offer.check_in_time)
        .and_utc();
    let draft = |kind, message, msisdn: &Msisdn, language: &Language| Draft {
        kind,
        msisdn: msisdn.clone(),
        text: app.say(message, language, Some(&record), country),
        expires_at,
    };
    let (kind, message) = match offer.pay {
        Pay::AtLodge => ("confirmed", Message::Confirmed),
        Pay::Prepay => ("held", Message::Held),
    };
    let mut drafts = vec![draft(kind, message, booking.msisdn, language)];
    drafts.extend(
        friend
            .filter(|friend| *friend != booking.msisdn)
            .map(|friend| draft(kind, message, friend, language)),
    );
    if offer.pay == Pay::AtLodge {
        let menus = app.menus.current();
        let language = menus.menu.language(&offer.host_language);
        let host = &offer.host_msisdn;
        drafts.push(draft("host_booked", Message::HostBooked, host, language));
    }
    drafts
}

/// Who waited is held this room, and told how to take it.
pub fn offered(app: &App, wish: &Wish, offer: &Offer, code: &Code) -> Draft {
    let menus = app.menus.current();
    let language = menus.menu.language(&wish.language);
    let terms = Terms {
        offer,
        stay: wish.search.stay,
        guests: wish.search.guests,
        guest: "",
        msisdn: &wish.msisdn,
    };
    let minutes = i64::from(offer.hold_minutes.max(HELD_MINUTES_MIN));
    let record = terms
        .booking(code)
        .with([("hold_minutes", Value::Count(minutes))]);
    let country = app.country(&wish.msisdn);
    Draft {
        kind: "room_for_you",
        msisdn: wish.msisdn.clone(),
        text: app.say(Message::RoomForYou, language, Some(&record), country),
        expires_at: app.clock.now() + Duration::minutes(minutes),
    }
}

/// The guest has cancelled, at this cost in minor units.
pub fn cancelled(app: &App, before: &Reservation, language: &Language, cost: i64) -> Vec<Draft> {
    let money = |minor| Money {
        minor,
        ..before.total
    };
    let after = Reservation {
        cancel_cost: money(cost),
        refund: money((before.paid.minor - cost).max(0)),
        ..before.clone()
    };
    let message = match cost {
        _ if before.paid.minor > 0 => Message::CancelledRefund,
        0 => Message::Cancelled,
        _ => Message::CancelledOwed,
    };
    let mut drafts = to_guest(app, &after, language, "cancelled", message);
    drafts.push(to_host(
        app,
        &after,
        "host_cancelled",
        Message::HostCancelled,
    ));
    drafts
}

/// The lodge or the operator has cancelled.
pub fn cancelled_by_lodge(app: &App, before: &Reservation) -> Vec<Draft> {
    let menus = app.menus.current();
    let language = menus.menu.language(&before.language);
    to_guest(
        app,
        before,
        language,
        "cancelled",
        Message::CancelledByLodge,
    )
}

/// What else is free for a guest whom the lodge has no room for; `None` where nothing is.
pub fn others(app: &App, of: &Reservation, offers: &[Offer]) -> Option<Draft> {
    let menus = app.menus.current();
    let language = menus.menu.language(&of.language);
    let country = app.country(&of.msisdn);
    let head = records::booking(app, of);
    let mut text = app.say(Message::OffersHead, language, Some(&head), country);
    for offer in offers {
        let line = app.say(
            Message::OfferLine,
            language,
            Some(&records::offer(offer)),
            country,
        );
        text = format!("{text}\n{line}");
    }
    (!offers.is_empty()).then(|| Draft {
        kind: "others",
        msisdn: of.msisdn.clone(),
        text,
        expires_at: app.clock.now() + TTL,
    })
}

/// The lodge says that the guest did not come.
pub fn no_show(app: &App, of: &Reservation) -> Vec<Draft> {
    let menus = app.menus.current();
    let language = menus.menu.language(&of.language);
    to_guest(app, of, language, "no_show", Message::NoShow)
}

/// The guest has other days; the reservation is as it is with them.
pub fn changed(app: &App, after: &Reservation, language: &Language) -> Vec<Draft> {
    let mut drafts = to_guest(app, after, language, "changed", Message::Changed);
    drafts.push(to_host(app, after, "host_changed", Message::HostChanged));
    drafts
}

/// The guest has it and pays on arrival.
pub fn booked(app: &App, reservation: &Reservation, language: &Language) -> Vec<Draft> {
    let mut drafts = to_guest(app, reservation, language, "confirmed", Message::Confirmed);
    drafts.push(to_host(
        app,
        reservation,
        "host_booked",
        Message::HostBooked,
    ));
    drafts
}

/// No SMS reaches the guest: the host calls.
pub fn unreached(app: &App, reservation: &Reservation) -> Draft {
    to_host(app, reservation, "host_unreached", Message::HostUnreached)
}

/// The guest comes tomorrow.
pub fn remind_stay(app: &App, reservation: &Reservation) -> Vec<Draft> {
    remind(app, reservation, "remind_stay", Message::RemindStay)
}

/// The guest has not paid for a hold that ends soon.
pub fn remind_pay(app: &App, reservation: &Reservation) -> Vec<Draft> {
    let until = reservation.hold_expires_at;
    let mut drafts = remind(app, reservation, "remind_pay", Message::RemindPay);
    for draft in &mut drafts {
        draft.expires_at = until.unwrap_or(draft.expires_at);
    }
    drafts
}

/// The hold ran out unpaid.
pub fn hold_expired(app: &App, reservation: &Reservation) -> Vec<Draft> {
    remind(app, reservation, "hold_expired", Message::HoldExpired)
}

fn remind(app: &App, of: &Reservation, kind: &'static str, message: Message) -> Vec<Draft> {
    let menus = app.menus.current();
    to_guest(app, of, menus.menu.language(&of.language), kind, message)
}

/// To whoever booked, and to whoever comes.
fn to_guest(
    app: &App,
    of: &Reservation,
    language: &Language,
    kind: &'static str,
    message: Message,
) -> Vec<Draft> {
    let friend = of
        .guest_msisdn
        .iter()
        .filter(|friend| **friend != of.msisdn);
    std::iter::once(&of.msisdn)
        .chain(friend)
        .map(|msisdn| draft(app, of, msisdn, language, kind, message))
        .collect()
}

fn to_host(app: &App, of: &Reservation, kind: &'static str, message: Message) -> Draft {
    let menus = app.menus.current();
    let language = menus.menu.language(&of.host_language);
    draft(app, of, &of.host_msisdn, language, kind, message)
}

fn draft(
    app: &App,
    of: &Reservation,
    msisdn: &Msisdn,
    language: &Language,
    kind: &'static str,
    message: Message,
) -> Draft {
    let record = records::booking(app, of);
    Draft {
        kind,
        msisdn: msisdn.clone(),
        text: app.say(message, language, Some(&record), app.country(&of.msisdn)),
        expires_at: app.clock.now() + TTL,
    }
}
