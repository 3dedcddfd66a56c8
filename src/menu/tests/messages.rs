//! Every text outside of a screen, with the longest values, through the same words as the service.

use crate::menu::files;
use crate::menu::messages::{Message, Messages};
use crate::menu::value::{RECORDS, Type};
use crate::sms::gsm7;

use super::longest::{given, longest};
use super::{doors, language, shipped};

#[test]
fn every_message_is_within_its_bound_in_every_language() {
    let (menu, messages) = files::read(None, &doors(160)).unwrap();
    let languages = &menu.languages;
    let given = given();
    for &(message, name, record, bound) in Message::ALL {
        let record = record
            .and_then(|name| RECORDS.iter().find(|record| record.name == name))
            .map(|record| longest(Type::Record(record), 0));
        for language in languages {
            let text = messages.say(message, language, record.as_ref(), &given);
            let septets = gsm7::septets(&text).unwrap();
            assert!(
                septets <= bound,
                "{name} {}: {septets}\n{text}",
                language.code
            );
            assert!(!text.contains(['{', '}']) && text != name, "{name}: {text}");
        }
    }
}

#[test]
fn a_language_without_texts_hears_the_default_and_never_a_name() {
    let languages = ["en", "sw"].map(language);
    let messages = Messages::load(&shipped("messages.yaml"), &languages).unwrap();
    assert!(messages.says(Message::Help, "sw") && !messages.says(Message::Help, "fr"));
    for &(message, name, ..) in Message::ALL {
        let said = messages.say(message, &language("fr"), None, &given());
        assert!(!said.is_empty() && said != name, "{name}: {said}");
    }
}
