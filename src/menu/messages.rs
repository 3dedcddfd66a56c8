//! Texts outside of any screen: every SMS, and the last words when a dialogue cannot go on.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::action;
use super::finding::{Fault, Finding, did_you_mean};
use super::language::Language;
use super::source::{Map, Say, Word};
use super::template::{Path, Template};
use super::translation::{self, Translation};
use super::value::{RECORDS, Type, Value, Values};

/// What is said. Each has one text in every language, within its bound whatever its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "menus/messages.yaml shows each")]
pub enum Message {
    Confirmed,
    Held,
    RoomForYou,
    HostBooked,
    Cancelled,
    HostCancelled,
    HostUnreached,
    CancelledOwed,
    CancelledRefund,
    CancelledByLodge,
    Changed,
    HostChanged,
    HostArrivals,
    HostArrival,
    HostCheckedIn,
    HostCheckedInPaid,
    HostCodeWrong,
    HostCodeLocked,
    HostClosed,
    HostOpened,
    HostPinCode,
    HostPinLater,
    HostPinSet,
    HostUnclear,
    HostClosedDays,
    HostOpenedDays,
    HostSureRooms,
    HostSurePrice,
    HostSureNoShow,
    HostSureCancel,
    HostRoomsSet,
    HostPriceSet,
    HostNoShowSet,
    HostTurnedAway,
    HostYesWrong,
    NoShow,
    RemindStay,
    RemindPay,
    HoldExpired,
    BookingLine,
    NoBooking,
    CancelTooLate,
    CancelCosts,
    CancelUnknown,
    Help,
    HelpStopped,
    OwedAtLodge,
    MoneyChecked,
    OwedNow,
    LanguageSet,
    WhichLanguage,
    Erasing,
    Stopped,
    Started,
    OffersHead,
    OfferLine,
    Unavailable,
    Working,
    Expired,
    WrongCode,
    Busy,
    Down,
    TooOften,
    CancelUntil,
    NoCancel,
    PayAtLodge,
    PayFirst,
    Paid,
    HostPaidByPhone,
    PaidPart,
    PaidRest,
    MoneyBack,
    PartBack,
    RedialWaiting,
    RedialChecking,
    RedialPaid,
    RedialFailed,
    RedialBack,
    RefundSurplus,
    Refunded,
    PayWrongPin,
    PayNoFunds,
    PayCancelled,
    PayUnreachable,
    PayLineBusy,
    PayFailed,
    WayAll,
    WayDeposit,
    WayAtLodge,
    WayByHand,
    WayLater,
    DueAtLodge,
    IsPaid,
    IsPartPaid,
    IsUnpaid,
}

/// One SMS of one part.
const SMS: usize = 160;
/// One USSD screen on any operator: they cannot go on over a second page. Nalo shows the least.
const SCREEN: usize = 120;
/// A line of an SMS with several.
const LINE: usize = 72;
/// As long as the fields of a quote that hold them.
const PHRASE: usize = 26;
const WORD: usize = 8;
const PAY_WORDS: usize = 15;
const WAY: usize = 17;

impl Message {
    pub(super) const ALL: &[Declared] = &[
        (Message::Confirmed, "confirmed", Some("booking"), SMS),
        (Message::Held, "held", Some("booking"), SMS),
        (Message::RoomForYou, "room_for_you", Some("booking"), SMS),
        (Message::HostBooked, "host_booked", Some("booking"), SMS),
        (Message::Cancelled, "cancelled", Some("booking"), SMS),
        (
            Message::HostUnreached,
            "host_unreached",
            Some("booking"),
            SMS,
        ),
        (
            Message::HostCancelled,
            "host_cancelled",
            Some("booking"),
            SMS,
        ),
        (
            Message::CancelledOwed,
            "cancelled_owed",
            Some("booking"),
            SMS,
        ),
        (
            Message::CancelledRefund,
            "cancelled_refund",
            Some("booking"),
            SMS,
        ),
        (
            Message::CancelledByLodge,
            "cancelled_by_lodge",
            Some("booking"),
            SMS,
        ),
        (Message::Changed, "changed", Some("booking"), SMS),
        (Message::HostChanged, "host_changed", Some("booking"), SMS),
        (
            Message::HostArrivals,
            "host_arrivals",
            Some("evening"),
            LINE,
        ),
        (Message::HostArrival, "host_arrival", Some("booking"), LINE),
        (
            Message::HostCheckedIn,
            "host_checked_in",
            Some("booking"),
            SMS,
        ),
        (
            Message::HostCheckedInPaid,
            "host_checked_in_paid",
            Some("booking"),
            SMS,
        ),
        (Message::HostCodeWrong, "host_code_wrong", None, SMS),
        (Message::HostCodeLocked, "host_code_locked", None, SMS),
        (Message::HostClosed, "host_closed", Some("evening"), SMS),
        (Message::HostOpened, "host_opened", Some("evening"), SMS),
        (Message::HostPinCode, "host_pin_code", Some("secret"), SMS),
        (Message::HostPinLater, "host_pin_later", Some("secret"), SMS),
        (Message::HostPinSet, "host_pin_set", None, SMS),
        (Message::HostUnclear, "host_unclear", None, SMS),
        (
            Message::HostClosedDays,
            "host_closed_days",
            Some("evening"),
            SMS,
        ),
        (
            Message::HostOpenedDays,
            "host_opened_days",
            Some("evening"),
            SMS,
        ),
        (Message::HostSureRooms, "host_sure_rooms", Some("wish"), SMS),
        (Message::HostSurePrice, "host_sure_price", Some("wish"), SMS),
        (
            Message::HostSureNoShow,
            "host_sure_no_show",
            Some("wish"),
            SMS,
        ),
        (
            Message::HostSureCancel,
            "host_sure_cancel",
            Some("wish"),
            SMS,
        ),
        (Message::HostRoomsSet, "host_rooms_set", Some("wish"), SMS),
        (Message::HostPriceSet, "host_price_set", Some("wish"), SMS),
        (
            Message::HostNoShowSet,
            "host_no_show_set",
            Some("booking"),
            SMS,
        ),
        (
            Message::HostTurnedAway,
            "host_turned_away",
            Some("booking"),
            SMS,
        ),
        (Message::HostYesWrong, "host_yes_wrong", None, SMS),
        (Message::NoShow, "no_show", Some("booking"), SMS),
        (Message::RemindStay, "remind_stay", Some("booking"), SMS),
        (Message::RemindPay, "remind_pay", Some("booking"), SMS),
        (Message::HoldExpired, "hold_expired", Some("booking"), SMS),
        (Message::BookingLine, "booking_line", Some("booking"), SMS),
        (Message::NoBooking, "no_booking", None, SMS),
        (
            Message::CancelTooLate,
            "cancel_too_late",
            Some("booking"),
            SMS,
        ),
        (Message::CancelCosts, "cancel_costs", Some("booking"), SMS),
        (Message::CancelUnknown, "cancel_unknown", None, SMS),
        (Message::Help, "help", None, SMS),
        (Message::HelpStopped, "help_stopped", None, SMS),
        (Message::OwedAtLodge, "owed_at_lodge", Some("booking"), SMS),
        (Message::MoneyChecked, "money_checked", Some("booking"), SMS),
        (Message::OwedNow, "owed_now", Some("booking"), SMS),
        (Message::LanguageSet, "language_set", None, SMS),
        (Message::WhichLanguage, "which_language", None, SMS),
        (Message::Erasing, "erasing", None, SMS),
        (Message::Stopped, "stopped", None, SMS),
        (Message::Started, "started", None, SMS),
        (Message::OffersHead, "offers_head", Some("booking"), LINE),
        (Message::OfferLine, "offer_line", Some("offer"), LINE),
        (Message::Unavailable, "unavailable", None, SCREEN),
        (Message::Working, "working", None, SCREEN),
        (Message::Expired, "expired", None, SCREEN),
        (Message::WrongCode, "wrong_code", None, SCREEN),
        (Message::Busy, "busy", None, SCREEN),
        (Message::Down, "down", None, SCREEN),
        (Message::TooOften, "too_often", None, SCREEN),
        (Message::CancelUntil, "cancel_until", Some("moment"), PHRASE),
        (Message::NoCancel, "no_cancel", None, PHRASE),
        (Message::PayAtLodge, "pay_at_lodge", None, WORD),
        (Message::PayFirst, "pay_first", None, WORD),
        (Message::Paid, "paid", Some("payment"), SMS),
        (
            Message::HostPaidByPhone,
            "host_paid_by_phone",
            Some("payment"),
            SMS,
        ),
        (Message::PaidPart, "paid_part", Some("payment"), SMS),
        (Message::PaidRest, "paid_rest", Some("payment"), SMS),
        (Message::MoneyBack, "money_back", Some("payment"), SMS),
        (Message::PartBack, "part_back", Some("payment"), SMS),
        (
            Message::RedialWaiting,
            "redial_waiting",
            Some("payment"),
            LINE,
        ),
        (
            Message::RedialChecking,
            "redial_checking",
            Some("payment"),
            LINE,
        ),
        (Message::RedialPaid, "redial_paid", Some("payment"), LINE),
        (
            Message::RedialFailed,
            "redial_failed",
            Some("payment"),
            LINE,
        ),
        (Message::RedialBack, "redial_back", Some("payment"), LINE),
        (
            Message::RefundSurplus,
            "refund_surplus",
            Some("payment"),
            SMS,
        ),
        (Message::Refunded, "refunded", Some("payment"), SMS),
        (Message::PayWrongPin, "pay_wrong_pin", Some("payment"), SMS),
        (Message::PayNoFunds, "pay_no_funds", Some("payment"), SMS),
        (Message::PayCancelled, "pay_cancelled", Some("payment"), SMS),
        (
            Message::PayUnreachable,
            "pay_unreachable",
            Some("payment"),
            SMS,
        ),
        (Message::PayLineBusy, "pay_line_busy", Some("payment"), SMS),
        (Message::PayFailed, "pay_failed", Some("payment"), SMS),
        (Message::WayAll, "way_all", None, WAY),
        (Message::WayDeposit, "way_deposit", None, WAY),
        (Message::WayAtLodge, "way_at_lodge", None, WAY),
        (Message::WayByHand, "way_by_hand", None, WAY),
        (Message::WayLater, "way_later", None, WAY),
        (Message::DueAtLodge, "due_at_lodge", None, PAY_WORDS),
        (Message::IsPaid, "is_paid", None, PAY_WORDS),
        (Message::IsPartPaid, "is_part_paid", None, PAY_WORDS),
        (Message::IsUnpaid, "is_unpaid", None, PAY_WORDS),
    ];
}

/// Every message in every language.
#[derive(Debug)]
pub struct Messages {
    texts: BTreeMap<(Message, String), Template>,
    /// The default first.
    languages: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesFile {
    languages: Vec<Word>,
    messages: Spanned<Map<Say>>,
}

impl Messages {
    /// Reads and checks `menus/messages.yaml`.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn load(source: &str, languages: &[Language]) -> Result<Messages, Vec<Finding>> {
        Messages::load_translated(source, &[], languages)
    }

    /// The same with further languages from files of their own.
    ///
    /// # Errors
    /// As [`Messages::load`]; each finding names the translation that it is in.
    pub fn load_translated(
        source: &str,
        translations: &[Translation],
        languages: &[Language],
    ) -> Result<Messages, Vec<Finding>> {
        let mut file: MessagesFile =
            serde_saphyr::from_str(source).map_err(|error| vec![Finding::syntax(&error)])?;
        let findings =
            translation::into_messages(translations, &mut file.languages, &mut file.messages.value);
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut loader = Loader {
            spoken: &file.languages,
            fall_back: translation::falling_back(translations),
            languages,
            texts: BTreeMap::new(),
            findings: Vec::new(),
        };
        loader.spoken();
        if !loader.findings.is_empty() {
            return Err(loader.findings);
        }
        for (name, say) in &file.messages.value.0 {
            match Message::ALL
                .iter()
                .find(|(_, known, ..)| *known == name.value)
            {
                Some(message) => loader.message(message, name, say),
                None => loader.unknown(name),
            }
        }
        for (_, name, ..) in Message::ALL {
            if file.messages.value.find(name).is_none() {
                loader.findings.push(Finding::at_location(
                    Fault::Message,
                    file.messages.defined,
                    format!("the message '{name}' is missing"),
                ));
            }
        }
        let Loader {
            texts, findings, ..
        } = loader;
        if findings.is_empty() {
            Ok(Messages {
                texts,
                languages: file.languages.into_iter().map(|word| word.value).collect(),
            })
        } else {
            Err(findings)
        }
    }

    /// The message in this language, or the first on file; `values` are the fields of its record.
    pub fn say(
        &self,
        message: Message,
        language: &Language,
        values: Option<&Value>,
        given: &Values,
    ) -> String {
        let find = |code: &String| self.texts.get(&(message, code.clone()));
        find(&language.code)
            .or_else(|| self.languages.first().and_then(find))
            .map(|template| template.fill(&Values::new(), values, given, language))
            .unwrap_or_default()
    }

    /// Whether the message has a text in this language.
    pub fn says(&self, message: Message, code: &str) -> bool {
        self.texts.contains_key(&(message, code.to_owned()))
    }
}

/// A name, the record that fills it, and the most septets.
pub(super) type Declared = (Message, &'static str, Option<&'static str>, usize);

struct Loader<'a> {
    spoken: &'a [Word],
    /// Those of them that may lack lines.
    fall_back: Vec<&'a str>,
    languages: &'a [Language],
    texts: BTreeMap<(Message, String), Template>,
    findings: Vec<Finding>,
}

impl Loader<'_> {
    #[track_caller]
    fn find(&mut self, fault: Fault, at: &Word, message: impl Into<String>) {
        self.findings.push(Finding::at(fault, at, message));
    }

    fn language(&self, code: &str) -> Option<&Language> {
        self.languages.iter().find(|language| language.code == code)
    }

    fn spoken(&mut self) {
        for word in self.spoken {
            if self.language(&word.value).is_none() {
                let message = format!("there is no file for the language '{}'", word.value);
                self.find(Fault::Language, word, message);
            }
        }
    }

    fn unknown(&mut self, name: &Word) {
        let finding = Finding::at(
            Fault::Message,
            name,
            format!("there is no message '{}'", name.value),
        );
        let known = Message::ALL.iter().map(|(_, known, ..)| *known);
        self.findings.push(match did_you_mean(&name.value, known) {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }

    fn message(&mut self, declared: &Declared, at: &Word, say: &Say) {
        for spoken in self.spoken {
            match say.find(&spoken.value) {
                Some(word) => self.text(declared, &spoken.value, word),
                None if self.fall_back.contains(&spoken.value.as_str()) => {}
                None => self.find(
                    Fault::Language,
                    at,
                    format!("no text in '{}'", spoken.value),
                ),
            }
        }
        for (code, _) in &say.each.0 {
            if self.spoken.iter().all(|spoken| spoken.value != code.value) {
                let message = format!("the messages do not speak '{}'", code.value);
                self.find(Fault::Language, code, message);
            }
        }
    }

    fn text(&mut self, &(message, name, record, bound): &Declared, code: &str, word: &Word) {
        let Some(language) = self.languages.iter().find(|language| language.code == code) else {
            return;
        };
        let mut template = match Template::parse(&word.value) {
            Ok(template) => template,
            Err(error) => return self.find(Fault::Text, word, error.0),
        };
        if template.is_blank() {
            self.find(Fault::Text, word, "there is nothing to read here");
        }
        let type_of = |path: &Path| type_of(path, record);
        for (path, forms) in template.plurals() {
            if forms != language.plural.forms() {
                let message = format!(
                    "'{}' has {forms} forms, the language has {}",
                    path.variable,
                    language.plural.forms()
                );
                self.find(Fault::Plural, word, message);
            }
        }
        for path in template.cut_paths() {
            if type_of(path).is_some_and(|of| of.chars_max().is_none()) {
                let message = format!("'{}' is no text and cannot be cut", path.variable);
                self.find(Fault::Type, word, message);
            }
        }
        match template.septets_max(&type_of, language) {
            None => self.find(
                Fault::Variable,
                word,
                format!("'{name}' shows a value that it does not have"),
            ),
            Some(needed) if needed > bound => self.find(
                Fault::Fit,
                word,
                format!("'{name}' can take {needed} septets of {bound}"),
            ),
            Some(_) => {}
        }
        template.bound(&type_of);
        self.texts.insert((message, code.to_owned()), template);
    }
}

fn type_of(path: &Path, record: Option<&'static str>) -> Option<Type> {
    let fields = record
        .and_then(|name| RECORDS.iter().find(|record| record.name == name))
        .map(|record| record.fields);
    let of_field = fields
        .and_then(|fields| fields.iter().find(|(field, _)| *field == path.variable))
        .map(|(_, of)| *of);
    let of_given = action::GIVEN
        .iter()
        .find(|(given, _)| *given == path.variable)
        .and_then(|(_, of)| Type::parse(of));
    of_field.or(of_given).filter(|_| path.field.is_none())
}
