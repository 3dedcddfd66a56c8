//! Bookings, offers and places as the records that menus show.

use chrono::{Days, Duration, NaiveDate, NaiveDateTime};

use crate::app::App;
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::offer::{Offer, Pay};
use crate::booking::stay::Stay;
use crate::country::Country;
use crate::db::reservations::Reservation;
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::phone::Msisdn;
use crate::places::{Gazetteer, Place};

/// The longest name before a number in a message to a host.
const CONTACT_NAME_CHARS_MAX: usize = 12;
/// Money that is to go back is back after so many days, as messages promise.
const REFUND_DAYS: Days = Days::new(3);

/// A place with the name of its town, and the label that tells it from its namesakes.
pub fn place(place: &Place, gazetteer: &Gazetteer) -> Value {
    let inside = place.town.as_deref().and_then(|town| gazetteer.find(town));
    let town = inside.map_or(place.region.as_str(), |town| town.name.as_str());
    let label = match inside {
        Some(town) => format!("{}, {}", place.name, town.name),
        None => place.name.clone(),
    };
    Value::record([
        ("id", Value::text(place.id.as_str())),
        ("name", Value::text(place.name.as_str())),
        ("town", Value::text(town)),
        ("label", Value::Text(label)),
    ])
}

/// A region of a country.
pub fn region(name: &str) -> Value {
    Value::record([("name", Value::text(name))])
}

/// An offer as a list shows it.
pub fn offer(offer: &Offer) -> Value {
    Value::record([
        ("id", Value::text(offer.property_id.to_string())),
        ("name", Value::text(offer.name.as_str())),
        ("landmark", Value::text(offer.landmark.as_str())),
        ("town", Value::text(offer.town.as_str())),
        ("price", Value::Money(offer.per_night)),
        ("total", Value::Money(offer.total)),
        ("left", Value::Count(i64::from(offer.units_left))),
    ])
}

/// What is offered for good: total, how to pay, how to cancel.
pub fn quote(
    app: &App,
    offer: &Offer,
    stay: Stay,
    language: &Language,
    country: &'static Country,
) -> Value {
    let check_in = stay.check_in().and_time(offer.check_in_time);
    let cancel_until = check_in - Duration::hours(i64::from(offer.cancel_hours));
    let now = app
        .clock
        .now()
        .with_timezone(&offer.time_zone)
        .naive_local();
    let rule = if cancel_until > now {
        Message::CancelUntil
    } else {
        Message::NoCancel
    };
    let pay = match offer.pay {
        Pay::AtLodge => Message::PayAtLodge,
        Pay::Prepay => Message::PayFirst,
    };
    let moment = Value::record([("until", Value::text(moment(cancel_until, language)))]);
    Value::record([
        ("total", Value::Money(offer.total)),
        ("check_out", Value::Date(stay.check_out())),
        ("pay", Value::text(app.say(pay, language, None, country))),
        (
            "cancel_rule",
            Value::text(app.say(rule, language, Some(&moment), country)),
        ),
        (
            "offer",
            Value::text(serde_json::to_string(offer).unwrap_or_default()),
        ),
    ])
}

/// `Thu 5 Nov 14:00`
pub(super) fn moment(moment: NaiveDateTime, language: &Language) -> String {
    format!(
        "{} {}",
        language.date(moment.date()),
        moment.format("%H:%M")
    )
}

/// What a reservation is made of, before and after it is one.
pub struct Terms<'a> {
    /// What is booked.
    pub offer: &'a Offer,
    /// When.
    pub stay: Stay,
    /// For how many.
    pub guests: u8,
    /// Who comes, or an empty text.
    pub guest: &'a str,
    /// Who is called about it.
    pub msisdn: &'a Msisdn,
}

impl Terms<'_> {
    /// The booking that it becomes under this code.
    pub fn booking(&self, code: &Code) -> Value {
        booking_record(BookingRecord {
            id: String::new(),
            code: code.to_string(),
            lodge: &self.offer.name,
            town: &self.offer.town,
            landmark: &self.offer.landmark,
            phone: &self.offer.phone,
            stay: self.stay,
            check_in_time: self.offer.check_in_time.format("%H:%M").to_string(),
            guests: i64::from(self.guests),
            guest: self.guest,
            msisdn: self.msisdn,
            total: self.offer.total,
            cost: 0,
            refund: 0,
            refund_by: None,
            left: self.offer.total.minor,
            hold_minutes: i64::from(self.offer.hold_minutes),
        })
    }
}

/// A reservation.
pub fn booking(app: &App, reservation: &Reservation) -> Value {
    let left = reservation
        .hold_expires_at
        .map_or(0, |until| (until - app.clock.now()).num_minutes());
    let today = app
        .clock
        .now()
        .with_timezone(&reservation.time_zone)
        .date_naive();
    booking_record(BookingRecord {
        id: reservation.code.to_string(),
        code: reservation.code.to_string(),
        lodge: &reservation.property_name,
        town: &reservation.town,
        landmark: &reservation.landmark,
        phone: &reservation.property_phone,
        stay: reservation.stay,
        check_in_time: reservation.check_in_time.format("%H:%M").to_string(),
        guests: i64::from(reservation.guests),
        guest: &reservation.guest_name,
        msisdn: reservation
            .guest_msisdn
            .as_ref()
            .unwrap_or(&reservation.msisdn),
        total: reservation.total,
        cost: reservation.cancel_cost.minor,
        refund: reservation.refund.minor,
        refund_by: Some(today + REFUND_DAYS),
        left: reservation.left().minor,
        hold_minutes: left.clamp(1, 999),
    })
}

struct BookingRecord<'a> {
    id: String,
    code: String,
    lodge: &'a str,
    town: &'a str,
    landmark: &'a str,
    phone: &'a Msisdn,
    stay: Stay,
    check_in_time: String,
    guests: i64,
    guest: &'a str,
    msisdn: &'a Msisdn,
    total: Money,
    /// In minor units of the total's currency.
    cost: i64,
    refund: i64,
    /// The day until which it is back; `None`: nothing is paid yet.
    refund_by: Option<NaiveDate>,
    left: i64,
    hold_minutes: i64,
}

fn booking_record(booking: BookingRecord<'_>) -> Value {
    let landmark = if booking.landmark.is_empty() {
        booking.town
    } else {
        booking.landmark
    };
    // A guest without a name is known to the host by the number.
    let phone = booking.msisdn.national();
    let (guest, contact) = if booking.guest.is_empty() {
        (phone.clone(), phone)
    } else {
        let short: String = booking.guest.chars().take(CONTACT_NAME_CHARS_MAX).collect();
        (
            booking.guest.to_owned(),
            format!("{} {phone}", short.trim_end()),
        )
    };
    let money = |minor| {
        Value::Money(Money {
            minor,
            ..booking.total
        })
    };
    let record = Value::record([
        ("id", Value::Text(booking.id)),
        ("code", Value::Text(booking.code)),
        ("lodge", Value::text(booking.lodge)),
        ("town", Value::text(booking.town)),
        ("landmark", Value::text(landmark)),
        ("phone", Value::Text(booking.phone.national())),
        ("check_in", Value::Date(booking.stay.check_in())),
        ("check_in_time", Value::Text(booking.check_in_time)),
        ("nights", Value::Count(i64::from(booking.stay.nights()))),
        ("guests", Value::Count(booking.guests)),
        ("guest", Value::Text(guest)),
        ("guest_phone", Value::Text(booking.msisdn.national())),
        ("contact", Value::Text(contact)),
        ("total", Value::Money(booking.total)),
        ("cost", money(booking.cost)),
        ("refund", money(booking.refund)),
        ("left", money(booking.left)),
        ("hold_minutes", Value::Count(booking.hold_minutes)),
    ]);
    match booking.refund_by {
        Some(date) => record.with([("refund_by", Value::Date(date))]),
        None => record,
    }
}
