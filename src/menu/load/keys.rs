//! Keys that lead around, and what would take them away: options, numbers of a list, numbers that are typed.

use super::Loader;
use crate::menu::door::{Door, Keys};
use crate::menu::finding::{Fault, Finding};
use crate::menu::source::{Map, OptionFile, ScreenFile, Word};

impl Loader<'_> {
    pub(super) fn keys_are_sound(&mut self) {
        let file = &self.file.keys;
        let words = [&file.back, &file.home, &file.more, &file.previous];
        for door in self.doors {
            if let Some(bad) = self.keys_behind(door).unsound() {
                let bad = bad.to_owned();
                let mut words = words.into_iter().flatten();
                let at = words.find(|word| word.value == bad);
                let message = format!("behind {}, '{bad}' cannot lead around", door.name);
                self.find(
                    Finding::at(Fault::Key, at.unwrap_or(&self.file.flow), message)
                        .hint("0 to 999 or 00, each once"),
                );
            }
        }
    }

    pub(super) fn keys_behind<'b>(&'b self, door: &'b Door) -> Keys<'b> {
        door.keys.over(self.keys.over(Keys::default()))
    }

    /// The door behind which this key turns a page or leads home.
    pub(super) fn door_of(&self, key: &str) -> Option<&Door> {
        self.doors.iter().find(|door| {
            let keys = self.keys_behind(door);
            [keys.home, keys.more, keys.previous].contains(&key)
        })
    }

    /// An option's key would take the number of an item away from it.
    pub(super) fn numbers_are_free(&mut self, screen: &ScreenFile, at_most: usize) {
        for (key, _) in &screen.options.0 {
            if let Ok(number @ 1..) = key.value.parse::<usize>()
                && number <= at_most
                && !key.value.starts_with('0')
            {
                self.find(
                    Finding::at(
                        Fault::Key,
                        key,
                        format!("'{number}' is also a number of the list, which has up to {at_most} items"),
                    )
                    .hint(format!(
                        "take a key above {at_most}, or write 'at_most: {}' beside 'list'",
                        number - 1
                    )),
                );
            }
        }
    }

    /// A number that leads around cannot be answered with.
    pub(super) fn numbers_can_be_typed(
        &mut self,
        of: &Word,
        (low, high): (i64, i64),
        options: &Map<OptionFile>,
    ) {
        let taken = self.doors.iter().find_map(|door| {
            let keys = self.keys_behind(door);
            let mut keys = [keys.back, keys.more, keys.previous].into_iter();
            let key = keys.find(|key| {
                let number = key.parse::<i64>();
                number.is_ok_and(|number| (low..=high).contains(&number))
                    && options.find(key).is_none()
            });
            key.map(|key| (key.to_owned(), door.name.clone()))
        });
        if let Some((key, door)) = taken {
            let message = format!("'{key}' leads around behind {door} and can be typed here");
            self.find(
                Finding::at(Fault::Key, of, message)
                    .hint("give that another key under 'keys', or ask for other numbers"),
            );
        }
    }
}
