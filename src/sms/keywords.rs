//! What a subscriber asks for by SMS: the first word decides, in any case and in the languages of the menus. Pure.

use super::gsm7::fold;
use crate::booking::code::Code;
use crate::letters::squash;

/// An inbound SMS, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `BOOK NAKURU FRI 2`: look for a room, with what is known already behind the word.
    Book(String),
    /// `LEO NAKURU`: the same with the day before all else.
    Day {
        /// The word as typed.
        day: String,
        /// What is known besides.
        rest: String,
    },
    /// `CODE`: send my booking codes again.
    Code,
    /// `PAID`: what do I owe, what is paid.
    Paid,
    /// `CANCEL 4821-7736`: give this booking up. `None`: no code, or a mistyped one.
    Cancel(Option<Code>),
    /// `HELP`: who is this, what does it cost, whom do I call.
    Help,
    /// `STOP`: no more marketing and reminders.
    Stop,
    /// `START`: the opposite.
    Start,
    /// What only hosts can ask for.
    Host(HostCommand),
    /// `DELETE`: forget me.
    Delete,
    /// `LANG KISWAHILI`: speak this language to me.
    Language(String),
    /// Anything else: an answer, if something was asked.
    Unknown,
}

/// What a host asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCommand {
    /// `TODAY`: who comes today.
    Today,
    /// `TOMORROW`: who comes tomorrow.
    Tomorrow,
    /// `IN 4821-7736`: the guest is here. `None`: no code, or a mistyped one.
    CheckIn(Option<Code>),
    /// `CLOSE`, `CLOSE FRI SUN`: sell no more rooms for tonight, for one day or from one to the other.
    Close(String),
    /// `OPEN`: the opposite.
    Open(String),
    /// `ROOMS 3`, `ROOMS 3 FRI`: so many rooms are free.
    Rooms(String),
    /// `PRICE 1500`, `PRICE 1500 FRI SUN`: what a room costs.
    Price(String),
    /// `NOSHOW 4821-7736`: the guest did not come.
    NoShow(Option<Code>),
    /// `CANCEL 4821-7736` of a guest of the host's: the lodge has no room.
    TurnAway(Code),
    /// `YES 4821`: do what was asked for under this number.
    Yes(String),
}

impl Command {
    /// The word in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Command::Book(_) => "book",
            Command::Day { .. } => "day",
            Command::Code => "code",
            Command::Paid => "paid",
            Command::Cancel(_) => "cancel",
            Command::Help => "help",
            Command::Stop => "stop",
            Command::Start => "start",
            Command::Host(HostCommand::Today) => "today",
            Command::Host(HostCommand::Tomorrow) => "tomorrow",
            Command::Host(HostCommand::CheckIn(_)) => "check_in",
            Command::Host(HostCommand::Close(_)) => "close",
            Command::Host(HostCommand::Open(_)) => "open",
            Command::Host(HostCommand::Rooms(_)) => "rooms",
            Command::Host(HostCommand::Price(_)) => "price",
            Command::Host(HostCommand::NoShow(_)) => "no_show",
            Command::Host(HostCommand::TurnAway(_)) => "turn_away",
            Command::Host(HostCommand::Yes(_)) => "yes",
            Command::Delete => "delete",
            Command::Language(_) => "language",
            Command::Unknown => "unknown",
        }
    }

    /// What it asks for when a host sends it: the word for a day and nothing else asks who comes.
    pub fn of_host(&self) -> Option<HostCommand> {
        match self {
            Command::Host(command) => Some(command.clone()),
            Command::Day { day, rest } if rest.is_empty() => {
                match day.to_ascii_uppercase().as_str() {
                    "TOMORROW" | "KESHO" | "DEMAIN" | "ENKYA" | "GOBE" => {
                        Some(HostCommand::Tomorrow)
                    }
                    _ => Some(HostCommand::Today),
                }
            }
            _ => None,
        }
    }
}

/// Understands an SMS. Punctuation and blanks around the words do not matter, nor accents (`ARRÊT`).
pub fn parse(text: &str) -> Command {
    let text = fold(text);
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word_end = text
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(word_end);
    let after = || rest.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    match squash(word).to_ascii_uppercase().as_str() {
        "BOOK" | "ROOM" | "WEKA" | "CHUMBA" | "RESERVER" | "CHAMBRE" | "EKISENGE" | "ICYUMBA"
        | "DAKI" | "YARA" => Command::Book(after()),
        "LEO" | "KESHO" | "TODAY" | "TONIGHT" | "TOMORROW" | "DEMAIN" | "LEERO" | "ENKYA"
        | "YAU" | "GOBE" => Command::Day {
            day: word.to_owned(),
            rest: after(),
        },
        "CODE" => Command::Code,
        "PAID" | "NIMELIPA" | "PAYE" => Command::Paid,
        "CANCEL" | "GHAIRI" | "FUTA" | "ANNULER" => Command::Cancel(find_code(rest)),
        "HELP" | "MSAADA" | "AIDE" | "OBUYAMBI" | "UBUFASHA" | "TAIMAKO" | "IRANLOWO" => {
            Command::Help
        }
        "STOP" | "ACHA" | "SIMAMA" | "ARRET" => Command::Stop,
        "START" => Command::Start,
        "IN" | "INGIA" => Command::Host(HostCommand::CheckIn(find_code(rest))),
        "CLOSE" | "FUNGA" | "FERMER" => Command::Host(HostCommand::Close(after())),
        "OPEN" | "FUNGUA" | "OUVRIR" => Command::Host(HostCommand::Open(after())),
        "ROOMS" | "VYUMBA" | "CHAMBRES" => Command::Host(HostCommand::Rooms(after())),
        "PRICE" | "BEI" | "PRIX" => Command::Host(HostCommand::Price(after())),
        "NOSHOW" | "HAKUJA" | "ABSENT" => Command::Host(HostCommand::NoShow(find_code(rest))),
        "YES" | "NDIYO" | "OUI" if is_yes_number(&after()) => {
            Command::Host(HostCommand::Yes(after()))
        }
        "DELETE" | "EFFACER" => Command::Delete,
        "LANG" | "LANGUAGE" | "LUGHA" | "LANGUE" | "OLULIMI" | "URURIMI" | "HARSHE" | "EDE" => {
            Command::Language(after())
        }
        _ => Command::Unknown,
    }
}

/// Without its number it answers a screen.
fn is_yes_number(after: &str) -> bool {
    after.len() == 4 && after.bytes().all(|byte| byte.is_ascii_digit())
}

/// The code among what follows the keyword: all of it, or else what stands between the words (`my room 4821 7736, sorry`).
fn find_code(rest: &str) -> Option<Code> {
    let bare = rest.trim_matches(|c: char| !c.is_alphanumeric());
    let digits = || {
        let with_digits = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
        let words = rest.split_whitespace().filter(with_digits);
        words
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
            .collect::<String>()
    };
    Code::parse(bare).or_else(|_| Code::parse(&digits())).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    /// A valid code and its two halves.
    fn code() -> (Code, String, String) {
        let code = Code::random();
        let digits = code.digits();
        let (left, right) = (digits[..4].to_owned(), digits[4..].to_owned());
        (code, left, right)
    }

    #[test]
    fn the_first_word_decides() {
        for (text, command) in [
            ("CODE", Command::Code),
            ("IN", Command::Host(HostCommand::CheckIn(None))),
            ("funga leo", Command::Host(HostCommand::Close("leo".into()))),
            ("OPEN.", Command::Host(HostCommand::Open(String::new()))),
            (
                "Rooms 3 fri",
                Command::Host(HostCommand::Rooms("3 fri".into())),
            ),
            (
                "BEI 1,500",
                Command::Host(HostCommand::Price("1,500".into())),
            ),
            ("noshow 1", Command::Host(HostCommand::NoShow(None))),
            ("Yes 0417", Command::Host(HostCommand::Yes("0417".into()))),
            ("Yes", Command::Unknown),
            ("yes 1", Command::Unknown),
            ("code", Command::Code),
            ("  Code please", Command::Code),
            ("help", Command::Help),
            ("HELP!", Command::Help),
            ("\"Help\"", Command::Help),
            ("Msaada tafadhali", Command::Help),
            ("aide", Command::Help),
            ("STOP", Command::Stop),
            ("Stop.", Command::Stop),
            ("\u{a0}stop\u{a0}", Command::Stop),
            ("STOP\r\n", Command::Stop),
            ("acha", Command::Stop),
            ("SIMAMA", Command::Stop),
            ("Arrêt", Command::Stop),
            ("ARRET", Command::Stop),
            ("start", Command::Start),
            ("Book Nakuru fri 2", Command::Book("Nakuru fri 2".into())),
            (
                "BOOK: Fort Portal, kesho.",
                Command::Book("Fort Portal, kesho".into()),
            ),
            ("weka", Command::Book(String::new())),
            ("Réserver Kigali", Command::Book("Kigali".into())),
            (
                "LEO Nakuru",
                Command::Day {
                    day: "LEO".into(),
                    rest: "Nakuru".into(),
                },
            ),
            (
                "kesho",
                Command::Day {
                    day: "kesho".into(),
                    rest: String::new(),
                },
            ),
            ("paid", Command::Paid),
            ("Payé?", Command::Paid),
            ("DELETE me", Command::Delete),
            ("lang", Command::Language(String::new())),
            ("Lugha Kiswahili", Command::Language("Kiswahili".into())),
            ("cancel", Command::Cancel(None)),
            ("GHAIRI", Command::Cancel(None)),
            ("CANCEL 12", Command::Cancel(None)),
            ("CANCEL all my bookings", Command::Cancel(None)),
            ("stopping by", Command::Unknown),
            ("please stop", Command::Unknown),
            ("booking", Command::Unknown),
            ("1", Command::Unknown),
            ("", Command::Unknown),
            ("???", Command::Unknown),
            ("ሰላም", Command::Unknown),
        ] {
            assert_eq!(parse(text), command, "{text}");
        }
    }

    #[test]
    fn a_day_alone_asks_a_host_s_question() {
        for (text, asked) in [
            ("Leo", Some(HostCommand::Today)),
            ("tomorrow?", Some(HostCommand::Tomorrow)),
            ("gobe", Some(HostCommand::Tomorrow)),
            ("CLOSE", Some(HostCommand::Close(String::new()))),
            ("LEO Nakuru", None),
            ("CODE", None),
        ] {
            assert_eq!(parse(text).of_host(), asked, "{text}");
        }
    }

    #[test]
    fn a_code_is_found_in_every_spelling() {
        let (code, left, right) = code();
        for text in [
            format!("CANCEL {left} {right}"),
            format!("cancel {left}{right}"),
            format!("Cancel {left}-{right}."),
            format!("cancel: {left}–{right}"),
            format!("CANCEL#{left}{right}"),
            format!("cancel{left}{right}"),
            format!("ghairi\u{a0}{left}\u{a0}{right}"),
            format!("Cancel (my room) {left} {right}, sorry"),
            format!("cancel \"{left}-{right}\""),
            format!("cancel\n{left}\n{right}"),
            format!("cancel {}", format!("{left}{right}").replace('0', "O")),
        ] {
            assert_eq!(parse(&text), Command::Cancel(Some(code.clone())), "{text}");
        }
    }

    #[test]
    fn a_mistyped_code_is_no_code() {
        let (code, left, right) = code();
        let last = code.digits().bytes().last().unwrap();
        let wrong = char::from(b'0' + (last - b'0' + 1) % 10);
        for text in [
            format!("CANCEL {left}{}{wrong}", &right[..3]),
            format!("CANCEL {left}"),
            format!("CANCEL {left}{right}{right}"),
        ] {
            assert_eq!(parse(&text), Command::Cancel(None), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_understood_somehow(text: String) {
            parse(&text);
        }
    }
}
