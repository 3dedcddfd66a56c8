//! Dialogues as bytes, between two calls. Only the version that wrote them can read them: what cannot be read is as good as
//! lost, and a lost dialogue is found again.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of what is written: another one with every change of a type that is in it, which the bytes do not tell.
const FORMAT: u8 = 3;

/// Most dialogues have less.
const BYTES: usize = 1024;

/// `None` for what may not be written anywhere: a PIN is known to the work that follows its screen only.
pub(super) fn write(dialogue: &impl Serialize) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(BYTES);
    packed.push(FORMAT);
    postcard::to_extend(dialogue, packed).ok()
}

/// With the stamp of whoever writes it at the end.
pub(super) fn write_stamped(dialogue: &impl Serialize, stamp: i64) -> Option<Vec<u8>> {
    let mut stamped = write(dialogue)?;
    stamped.extend_from_slice(&stamp.to_be_bytes());
    Some(stamped)
}

/// What was written with a stamp, and that.
pub(super) fn read_stamped<T: DeserializeOwned>(stamped: &[u8]) -> Option<(T, i64)> {
    let (dialogue, stamp) = stamped.split_last_chunk()?;
    Some((read(dialogue)?, i64::from_be_bytes(*stamp)))
}

/// `None` for what another version has written, and for anything else.
pub(super) fn read<T: DeserializeOwned>(packed: &[u8]) -> Option<T> {
    let (&FORMAT, packed) = packed.split_first()? else {
        return None;
    };
    match postcard::take_from_bytes(packed) {
        Ok((dialogue, [])) => Some(dialogue),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use chrono::{DateTime, NaiveDate};
    use proptest::prelude::*;

    use super::*;
    use crate::booking::money::{Currency, Money};
    use crate::menu::files::Version;
    use crate::menu::pin::Pin;
    use crate::menu::step::State;
    use crate::menu::value::{Value, Values};
    use crate::session::search::short_name;
    use crate::session::store::{Dialogue, Identity, Receipt, Receipts};

    fn dialogue(values: Values) -> Dialogue {
        let state = State {
            screen: "offers".to_owned(),
            language: "sw".to_owned(),
            values,
            history: vec!["start".to_owned(), "place".to_owned()],
            pages: vec![0, 4],
            wrong: 1,
            notice: Some("Habari".to_owned()),
            draft: None,
        };
        let mut receipts = Receipts::default();
        let receipt = Receipt {
            ends: false,
            text: "Which town?".to_owned(),
        };
        receipts.push(&Identity::hop("3"), receipt, DateTime::UNIX_EPOCH);
        Dialogue {
            service_code: "*384*7#".to_owned(),
            transcript: "1*Nakuru".to_owned(),
            position: 2,
            menus: Version::named("1"),
            state: Some(State {
                draft: Some(Box::new(state.clone())),
                ..state
            }),
            shown_at: -1,
            number: Some(3),
            begun: "b".to_owned(),
            places: Some(vec!["nakuru".to_owned()]),
            receipts,
        }
    }

    fn one_of_each() -> Values {
        let money = Money {
            minor: 450_000,
            currency: Currency::Kes,
        };
        let record = Value::record([("total", Value::Money(money)), ("left", Value::Count(-3))]);
        let date = NaiveDate::from_ymd_opt(2028, 2, 29).unwrap();
        Values::from([
            ("offers".to_owned(), Value::list([record].into_iter())),
            ("check_in".to_owned(), Value::Date(date)),
            ("name".to_owned(), Value::text("Wanjikũ")),
        ])
    }

    #[test]
    fn a_dialogue_comes_back_as_it_was() {
        let before = dialogue(one_of_each());
        let packed = write(&before).unwrap();
        assert_eq!(read::<Dialogue>(&packed), Some(before));
        let json = br#"{"service_code":"*384*7#"}"#;
        let longer = [&packed[..], &[0]].concat();
        let shorter = &packed[..packed.len() - 1];
        let later = [&[FORMAT + 1], &packed[1..]].concat();
        for other in [&json[..], &longer, shorter, &later, &[]] {
            assert_eq!(read::<Dialogue>(other), None);
        }
    }

    #[test]
    fn another_form_has_another_number() {
        let packed = write(&dialogue(one_of_each())).unwrap();
        assert_eq!(packed[0], FORMAT);
        assert_eq!(short_name(&packed), "f2b615230abb393465f302b1d722d832");
    }

    #[test]
    fn a_pin_is_written_nowhere() {
        let pin = Value::Pin(Pin::parse("48213").unwrap());
        assert_eq!(
            write(&dialogue(Values::from([("pin".to_owned(), pin)]))),
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_dialogue_or_none(mut bytes: Vec<u8>) {
            bytes.insert(0, FORMAT);
            read::<Dialogue>(&bytes);
        }
    }
}
