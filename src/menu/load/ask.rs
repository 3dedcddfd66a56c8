//! A screen that says something and waits: its options, its list, and what is typed.

use super::Loader;
use crate::menu::finding::{Fault, Finding};
use crate::menu::flow::{Ask, Choice, Input, List, Setting, Target};
use crate::menu::link::own_name;
use crate::menu::source::{Map, OptionFile, Say, ScreenFile, Word};
use crate::menu::value::{LIST_LEN_MAX, Type, Value};

const LIST_PER_PAGE: u8 = 4;

impl Loader<'_> {
    pub(super) fn ask(&mut self, name: &Word, screen: &ScreenFile, say: &Say) -> Option<Ask> {
        let say = self.texts(name, say);
        let options: Vec<_> = screen
            .options
            .0
            .iter()
            .filter_map(|(key, option)| self.choice(key, option))
            .collect();
        let to = screen.goto.as_ref().and_then(|goto| self.target(goto));
        if screen.goto.is_none() && (screen.input.is_some() || screen.list.is_some()) {
            self.find(Finding::at(
                Fault::Target,
                name,
                "'input' and 'list' need a 'goto'",
            ));
        }
        if screen.goto.is_some() && screen.input.is_none() && screen.list.is_none() {
            self.find(Finding::at(
                Fault::Screen,
                name,
                "'goto' belongs to a screen with 'input' or 'list'",
            ));
        }
        let both = screen.input.is_some() && screen.list.is_some();
        if both != screen.typed_goto.is_some() {
            self.find(Finding::at(
                Fault::Screen,
                name,
                "'typed_goto' says where typed words lead on a screen with 'input' and 'list'",
            ));
        }
        let typed_to = match &screen.typed_goto {
            Some(goto) => self.target(goto),
            None => to,
        };
        let input = screen
            .input
            .as_ref()
            .and_then(|input| self.input(name, input, &screen.options, typed_to?));
        let list = screen
            .list
            .as_ref()
            .and_then(|list| self.list(name, screen, list, to?));
        if let Some(list) = &list {
            self.numbers_are_free(screen, list.at_most);
            let taken = (1..=list.at_most).find_map(|number| {
                let door = self.door_of(&number.to_string())?;
                Some((number, door.name.clone()))
            });
            if let Some((number, door)) = taken {
                let message =
                    format!("'{number}' leads around behind {door} and is a number of the list");
                self.find(
                    Finding::at(Fault::Key, &list.at, message)
                        .hint(format!("write 'at_most: {}' beside 'list'", number - 1)),
                );
            }
        }
        let always = screen
            .options
            .0
            .iter()
            .any(|(_, option)| option.r#if.is_none());
        if !always && screen.input.is_none() && screen.list.is_none() {
            let why = if screen.options.0.is_empty() {
                "no answer leads out of"
            } else {
                "no answer may be left that leads out of"
            };
            self.find(
                Finding::at(
                    Fault::DeadEnd,
                    name,
                    format!("{why} '{}'", own_name(&name.value)),
                )
                .hint("give it an option without 'if', an input, or make it an 'end'"),
            );
        }
        Some(Ask {
            say: say?,
            options,
            input,
            list,
        })
    }

    fn choice(&mut self, key: &Word, option: &OptionFile) -> Option<Choice> {
        let number = key.value.parse::<u16>();
        let plain = number.is_ok_and(|number| number < 1000 && key.value == number.to_string());
        let taken = self.door_of(&key.value).map(|door| door.name.clone());
        if let Some(door) = taken {
            let message = format!("'{}' leads around behind {door}", key.value);
            self.find(Finding::at(Fault::Key, key, message).hint("take another"));
        } else if !plain {
            let message = format!("'{}' cannot be an option's key", key.value);
            self.find(Finding::at(Fault::Key, key, message).hint("0 to 999"));
        }
        let mut set = Vec::new();
        for (name, word) in &option.set.0 {
            let Some(of) = self.variable(name) else {
                continue;
            };
            match self.setting(word, of) {
                Some(setting) => set.push((name.value.clone(), setting)),
                None => self.find(Finding::at(
                    Fault::Type,
                    word,
                    format!("'{}' is not a {}", word.value, of.word()),
                )),
            }
        }
        if let Some(language) = &option.language
            && !self
                .file
                .languages
                .iter()
                .any(|known| known.value == language.value)
        {
            self.find(Finding::at(
                Fault::Language,
                language,
                format!("the flow does not speak '{}'", language.value),
            ));
        }
        let condition = option.r#if.as_ref().map(|word| self.condition(word));
        let label = self.texts(key, &option.say);
        let to = self.target(&option.goto);
        Some(Choice {
            key: key.value.clone(),
            label: label?,
            to: to?,
            set,
            language: option.language.as_ref().map(|word| word.value.clone()),
            condition: condition.flatten(),
            at: key.clone(),
        })
    }

    fn setting(&self, word: &Word, of: Type) -> Option<Setting> {
        if let (Type::Count(low, high), Ok(count)) = (of, word.value.parse::<i64>()) {
            return (low..=high)
                .contains(&count)
                .then_some(Setting::Value(Value::Count(count)));
        }
        let other = self.type_of(&word.value)?;
        other.fits_in(of).then(|| Setting::Copy(word.value.clone()))
    }

    fn input(
        &mut self,
        name: &Word,
        input: &Map<Word>,
        options: &Map<OptionFile>,
        to: Target,
    ) -> Option<Input> {
        let [(variable, of)] = &input.0[..] else {
            self.find(Finding::at(
                Fault::Screen,
                name,
                "'input' binds exactly one variable",
            ));
            return None;
        };
        let declared = self.variable(variable)?;
        let read = Type::parse(&of.value).filter(|read| read.fits_in(declared));
        if read.is_none() {
            self.find(Finding::at(
                Fault::Type,
                of,
                format!("'{}' is declared as '{}'", variable.value, declared.word()),
            ));
        }
        if !declared.can_be_typed() {
            self.find(Finding::at(
                Fault::Type,
                of,
                format!("nobody can type a {}", declared.word()),
            ));
        }
        if let Some(range) = read.and_then(Type::range) {
            self.numbers_can_be_typed(of, range, options);
        }
        Some(Input {
            variable: variable.value.clone(),
            of: read?,
            to,
        })
    }

    fn list(&mut self, name: &Word, screen: &ScreenFile, list: &Word, to: Target) -> Option<List> {
        let of = match self.variable(list)? {
            Type::List(of) => of,
            other => {
                self.find(Finding::at(
                    Fault::Type,
                    list,
                    format!("'{}' is a {}, not a list", list.value, other.word()),
                ));
                return None;
            }
        };
        let (Some(item), Some(pick)) = (&screen.item, &screen.pick) else {
            self.find(Finding::at(
                Fault::Screen,
                name,
                "a 'list' needs 'item' and 'pick'",
            ));
            return None;
        };
        if self.variable(pick)? != Type::Record(of) {
            self.find(Finding::at(
                Fault::Type,
                pick,
                format!("'{}' cannot hold a {}", pick.value, of.name),
            ));
        }
        let item = self.texts(name, item)?;
        let per_page = usize::from(
            screen
                .per_page
                .as_ref()
                .map_or(LIST_PER_PAGE, |per_page| per_page.value),
        );
        let at_most = screen
            .at_most
            .as_ref()
            .map_or(LIST_LEN_MAX, |at_most| at_most.value);
        let limits = [
            (
                "per_page",
                per_page,
                screen.per_page.as_ref().map(|word| word.defined),
            ),
            (
                "at_most",
                at_most,
                screen.at_most.as_ref().map(|word| word.defined),
            ),
        ];
        for (key, number, defined) in limits {
            if let Some(defined) = defined
                && !(1..=LIST_LEN_MAX).contains(&number)
            {
                let message = format!("'{key}' is 1 to {LIST_LEN_MAX}");
                let finding = Finding::at_location(Fault::Limit, defined, message);
                self.find(match &name.file {
                    Some(file) => finding.in_file(file),
                    None => finding,
                });
            }
        }
        Some(List {
            variable: list.value.clone(),
            of,
            item,
            pick: pick.value.clone(),
            per_page: per_page.max(1),
            at_most,
            to,
            at: list.clone(),
        })
    }
}
