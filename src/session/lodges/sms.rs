//! What hosts do by SMS: see who comes, check a guest in by code, close and open nights, change rooms, prices and bookings.
//! The number is the host's own. What cannot be taken back easily is done when the host says yes with a number that only the
//! host's phone was sent: anybody can write in the host's name, nobody else reads what comes back.

use chrono::{Days, Duration, NaiveDate};
use deadpool_postgres::GenericClient;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::guests::{Arrived, Sent, Word, arrived_message, note_wrong_code};
use super::nights::{change_record, is_range, minor_of, what_came};
use super::tonight;
use crate::app::App;
use crate::booking::code::Code;
use crate::booking::money::Currency;
use crate::booking::reservation::Status;
use crate::country::Country;
use crate::db::effect::Turn;
use crate::db::hosts::{self, Host};
use crate::db::nights::{self, Change, What};
use crate::db::reservations::Reservation;
use crate::db::{DbError, host_wishes};
use crate::menu::input::Reader;
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::{Type, Value};
use crate::session::records;
use crate::sms::gsm7;
use crate::sms::keywords::HostCommand;

/// One SMS of one part.
const SMS_SEPTETS: usize = 160;
/// How long a host may take to say yes.
const YES_WITHIN: Duration = Duration::minutes(15);
/// The most words of one day, as in `Fri 6 Nov`.
const DAY_WORDS_MAX: usize = 3;
/// The most rooms that can be typed.
const ROOMS_MAX: i64 = 999;

/// A host's message, answered in the transaction that takes note of it.
pub struct Asked<'a, C> {
    /// The service.
    pub app: &'a App,
    /// That transaction.
    pub client: &'a C,
    /// Who asks.
    pub host: &'a Host,
    /// What any effect is keyed by.
    pub turn: &'a Turn,
    /// What is spoken to the host.
    pub language: &'a Language,
}

/// What a host asked for and has to say yes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Rooms(Nights),
    Price(Nights),
    NoShow(Code),
    TurnAway(Code),
}

/// Nights of one lodge and their new value: rooms, or minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Nights {
    property_id: Uuid,
    from: NaiveDate,
    until: NaiveDate,
    value: i32,
}

impl<C: GenericClient> Asked<'_, C> {
    /// The answer.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn answer(&self, command: &HostCommand) -> Result<String, DbError> {
        let tonight = tonight(self.app, self.host);
        match command {
            HostCommand::Today => self.arrivals(tonight).await,
            HostCommand::Tomorrow => self.arrivals(tonight + Days::new(1)).await,
            HostCommand::CheckIn(code) => self.check_in(code.as_ref()).await,
            HostCommand::Close(days) => self.close(days, What::Close).await,
            HostCommand::Open(days) => self.close(days, What::Open).await,
            HostCommand::Rooms(rest) => self.ask_nights(rest, false).await,
            HostCommand::Price(rest) => self.ask_nights(rest, true).await,
            HostCommand::NoShow(code) => self.ask_guest(code.as_ref(), Wish::NoShow).await,
            HostCommand::TurnAway(code) => self.ask_guest(Some(code), Wish::TurnAway).await,
            HostCommand::Yes(number) => self.yes(number).await,
        }
    }

    async fn arrivals(&self, date: NaiveDate) -> Result<String, DbError> {
        arrivals(self.app, self.client, self.host, date, self.language).await
    }

    async fn check_in(&self, code: Option<&Code>) -> Result<String, DbError> {
        if hosts::is_locked(self.client, &self.host.msisdn, Some(self.host.id)).await? {
            return Ok(self.say(Message::HostCodeLocked, None));
        }
        match self.word().check_in(self.client, code).await? {
            Arrived::Yes(guest) => {
                let record = records::booking(self.app, &guest);
                Ok(self.say(arrived_message(&guest), Some(&record)))
            }
            Arrived::No => {
                note_wrong_code(self.client, self.host).await?;
                Ok(self.say(Message::HostCodeWrong, None))
            }
        }
    }

    /// At once: the opposite word takes it back.
    async fn close(&self, days: &str, what: What) -> Result<String, DbError> {
        let Some((from, until)) = self.range(&words(days)) else {
            return Ok(self.say(Message::HostUnclear, None));
        };
        let change = Change {
            host: self.host,
            property_id: None,
            from,
            until,
            what,
        };
        let changed = nights::change(self.client, &change, "sms", self.turn).await?;
        let sum = |of: fn(&nights::Night) -> i32| -> i64 {
            changed.iter().map(|night| i64::from(of(night))).sum()
        };
        let (before, free) = (sum(|night| night.before), sum(|night| night.after));
        let to_come = hosts::count_to_come(self.client, self.host, from, until).await?;
        let evening = evening(from, to_come, before, free).with([("until", Value::Date(until))]);
        let message = match (what, from == until) {
            (What::Close, true) => Message::HostClosed,
            (What::Close, false) => Message::HostClosedDays,
            (_, true) => Message::HostOpened,
            (_, false) => Message::HostOpenedDays,
        };
        Ok(self.say(message, Some(&evening)))
    }

    /// `3 FRI` for rooms, `1500 FRI SUN` for a price: tonight where no day is told.
    async fn ask_nights(&self, rest: &str, is_price: bool) -> Result<String, DbError> {
        let words = words(rest);
        let date = tonight(self.app, self.host);
        let lodges = nights::list_lodges(self.client, self.host, date).await?;
        // Of several lodges nobody knows which is meant.
        let ([lodge], Some((number, days))) = (&lodges[..], words.split_first()) else {
            return Ok(self.say(Message::HostUnclear, None));
        };
        let of = if is_price {
            Type::Money
        } else {
            Type::Count(0, ROOMS_MAX)
        };
        let value = match self.read(number, of) {
            Some(Value::Money(price)) => minor_of(price, lodge.currency),
            Some(rooms) => rooms.as_count().and_then(|rooms| i32::try_from(rooms).ok()),
            None => None,
        };
        let (Some(value), Some((from, until))) = (value, self.range(days)) else {
            return Ok(self.say(Message::HostUnclear, None));
        };
        let asked = Nights {
            property_id: lodge.property_id,
            from,
            until,
            value,
        };
        let (wish, sure) = if is_price {
            (Wish::Price(asked), Message::HostSurePrice)
        } else {
            (Wish::Rooms(asked), Message::HostSureRooms)
        };
        let planned = nights::preview(self.client, &self.change(&wish)).await?;
        if what_came(self.change(&wish).what, &planned, "found") != Some("found") {
            return Ok(self.say(Message::HostUnclear, None));
        }
        let record = self.told(&wish, &planned, &lodge.name, lodge.currency);
        self.ask(&wish, sure, record).await
    }

    /// A guest of the host's, who is told of it once the host says yes.
    async fn ask_guest(
        &self,
        code: Option<&Code>,
        wish: fn(Code) -> Wish,
    ) -> Result<String, DbError> {
        if hosts::is_locked(self.client, &self.host.msisdn, Some(self.host.id)).await? {
            return Ok(self.say(Message::HostCodeLocked, None));
        }
        let guest = match code {
            Some(code) => hosts::find_guest_of(self.client, self.host, code).await?,
            None => None,
        };
        let Some(guest) = guest.filter(|guest| guest.status == Status::Confirmed) else {
            note_wrong_code(self.client, self.host).await?;
            return Ok(self.say(Message::HostCodeWrong, None));
        };
        let wish = wish(guest.code.clone());
        let message = match wish {
            Wish::NoShow(_) => Message::HostSureNoShow,
            _ => Message::HostSureCancel,
        };
        self.ask(&wish, message, guest_record(&guest)).await
    }

    async fn ask(&self, wish: &Wish, sure: Message, record: Value) -> Result<String, DbError> {
        let number = format!("{:04}", rand::rng().random_range(0..10_000));
        let until = self.app.clock.now() + YES_WITHIN;
        host_wishes::insert(self.client, self.host.id, &number, wish, until).await?;
        let record = record.with([("number", Value::Text(number))]);
        Ok(self.say(sure, Some(&record)))
    }

    async fn yes(&self, number: &str) -> Result<String, DbError> {
        if hosts::is_locked(self.client, &self.host.msisdn, Some(self.host.id)).await? {
            return Ok(self.say(Message::HostCodeLocked, None));
        }
        let now = self.app.clock.now();
        let wish = host_wishes::take(self.client, self.host.id, number, now).await?;
        match wish {
            Some(wish @ (Wish::Rooms(_) | Wish::Price(_))) => self.change_nights(&wish).await,
            Some(wish @ (Wish::NoShow(_) | Wish::TurnAway(_))) => self.send_away(&wish).await,
            None => {
                note_wrong_code(self.client, self.host).await?;
                Ok(self.say(Message::HostYesWrong, None))
            }
        }
    }

    async fn change_nights(&self, wish: &Wish) -> Result<String, DbError> {
        let change = self.change(wish);
        let date = tonight(self.app, self.host);
        let lodges = nights::list_lodges(self.client, self.host, date).await?;
        let lodge = lodges
            .iter()
            .find(|lodge| Some(lodge.property_id) == change.property_id);
        let changed = nights::change(self.client, &change, "sms", self.turn).await?;
        let (Some(lodge), Some("done")) = (lodge, what_came(change.what, &changed, "done")) else {
            return Ok(self.say(Message::HostUnclear, None));
        };
        let message = match wish {
            Wish::Price(_) => Message::HostPriceSet,
            _ => Message::HostRoomsSet,
        };
        let record = self.told(wish, &changed, &lodge.name, lodge.currency);
        Ok(self.say(message, Some(&record)))
    }

    async fn send_away(&self, wish: &Wish) -> Result<String, DbError> {
        let (Wish::NoShow(code) | Wish::TurnAway(code)) = wish else {
            return Ok(self.say(Message::HostUnclear, None));
        };
        let Some(guest) = hosts::find_guest_of(self.client, self.host, code).await? else {
            return Ok(self.say(Message::HostCodeWrong, None));
        };
        let (sent, message) = match wish {
            Wish::NoShow(_) => (
                self.word().no_show(self.client, &guest).await?,
                Message::HostNoShowSet,
            ),
            _ => (
                self.word().turn_away(self.client, &guest).await?,
                Message::HostTurnedAway,
            ),
        };
        Ok(match sent {
            Sent::Done => self.say(message, Some(&records::booking(self.app, &guest))),
            Sent::TooSoon | Sent::Refused => self.say(Message::HostUnclear, None),
        })
    }

    fn change(&self, wish: &Wish) -> Change<'_> {
        let (nights, what): (Option<&Nights>, _) = match wish {
            Wish::Price(nights) => (Some(nights), What::Price(nights.value)),
            Wish::Rooms(nights) => (Some(nights), What::Free(nights.value)),
            Wish::NoShow(_) | Wish::TurnAway(_) => (None, What::Open),
        };
        Change {
            host: self.host,
            property_id: nights.map(|nights| nights.property_id),
            from: nights.map_or(NaiveDate::MAX, |nights| nights.from),
            until: nights.map_or(NaiveDate::MIN, |nights| nights.until),
            what,
        }
    }

    fn told(&self, wish: &Wish, nights: &[nights::Night], lodge: &str, of: Currency) -> Value {
        let change = self.change(wish);
        change_record(change.what, nights, of, self.language).with([
            ("lodge", Value::text(lodge)),
            ("from", Value::Date(change.from)),
            ("until", Value::Date(change.until)),
        ])
    }

    /// One day, or a first and a last one; tonight where none is told. `None`: something else is written there.
    fn range(&self, words: &[&str]) -> Option<(NaiveDate, NaiveDate)> {
        let tonight = tonight(self.app, self.host);
        let mut days = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let most = words.len().min(at + DAY_WORDS_MAX);
            let (end, day) = (at + 1..=most).rev().find_map(|end| {
                let day = self.read(&words[at..end].join(" "), Type::Date)?;
                Some((end, day.as_date()?))
            })?;
            days.push(day);
            at = end;
        }
        let (from, until) = match days[..] {
            [] => (tonight, tonight),
            [day] => (day, day),
            [from, until] => (from, until),
            _ => return None,
        };
        is_range(tonight, from, until).then_some((from, until))
    }

    fn read(&self, words: &str, of: Type) -> Option<Value> {
        let menus = self.app.menus.current();
        let reader: Reader<'_> = self
            .app
            .reader(&menus.menu, &self.language.code, self.country());
        reader.read(words, of).ok()
    }

    fn word(&self) -> Word<'_> {
        Word {
            app: self.app,
            host: self.host,
            channel: "sms",
            turn: self.turn,
        }
    }

    fn country(&self) -> &'static Country {
        self.app.country(&self.host.msisdn)
    }

    fn say(&self, message: Message, record: Option<&Value>) -> String {
        self.app.say(message, self.language, record, self.country())
    }
}

/// Who arrives on that day, as many as fit, and how many rooms are free.
///
/// # Errors
/// [`DbError`].
pub async fn arrivals(
    app: &App,
    client: &impl GenericClient,
    host: &Host,
    date: NaiveDate,
    language: &Language,
) -> Result<String, DbError> {
    let country = app.country(&host.msisdn);
    let guests = hosts::list_arrivals(client, host, date).await?;
    let free = hosts::count_free(client, host, date).await?;
    let evening = evening(
        date,
        i64::try_from(guests.len()).unwrap_or(i64::MAX),
        0,
        free,
    );
    let mut text = app.say(Message::HostArrivals, language, Some(&evening), country);
    for guest in &guests {
        let record = records::booking(app, guest);
        let line = app.say(Message::HostArrival, language, Some(&record), country);
        if !gsm7::fits_ussd(&format!("{text}\n{line}"), SMS_SEPTETS) {
            break;
        }
        text = format!("{text}\n{line}");
    }
    Ok(text)
}

fn evening(date: NaiveDate, arrivals: i64, before: i64, free: i64) -> Value {
    Value::record([
        ("date", Value::Date(date)),
        ("arrivals", Value::Count(arrivals)),
        ("before", Value::Count(before)),
        ("free", Value::Count(free)),
    ])
}

fn guest_record(guest: &Reservation) -> Value {
    let name = if guest.guest_name.is_empty() {
        guest.msisdn.national()
    } else {
        guest.guest_name.clone()
    };
    Value::record([
        ("code", Value::text(guest.code.to_string())),
        ("guest", Value::Text(name)),
        ("check_in", Value::Date(guest.stay.check_in())),
    ])
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_whitespace() || c == ';')
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect()
}
