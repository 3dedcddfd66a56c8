//! How a caller reaches the menus: how much of a screen a door shows, and which keys it leaves to us.

use serde::Deserialize;

use super::Menu;

/// What every network is known to show, in septets, unless its own documents say otherwise.
pub const SEPTETS_USUAL: usize = 160;

/// An aggregator, perhaps one operator behind it, or SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// As findings name it: `nalo`, `africastalking 63903`.
    pub name: String,
    /// No screen is longer. Screens are GSM-7 only, so that the room of UCS-2 never counts.
    pub septets_max: usize,
    /// Keys that it changes.
    pub keys: DoorKeys,
}

impl Door {
    /// One that changes no keys.
    pub fn new(name: &str, septets_max: usize) -> Door {
        Door {
            name: name.to_owned(),
            septets_max,
            keys: DoorKeys::default(),
        }
    }
}

/// Keys that stand instead of the flow's, because the door keeps those to itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as `Keys`")]
pub struct DoorKeys {
    pub back: Option<String>,
    pub home: Option<String>,
    pub more: Option<String>,
    pub previous: Option<String>,
}

/// The answers that lead around instead of on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys<'a> {
    /// Back one screen; an option with this key stands instead.
    pub back: &'a str,
    /// To the first screen.
    pub home: &'a str,
    /// To the next page.
    pub more: &'a str,
    /// To the page before.
    pub previous: &'a str,
}

impl Default for Keys<'_> {
    fn default() -> Self {
        Keys {
            back: "0",
            home: "00",
            more: "98",
            previous: "99",
        }
    }
}

impl<'a> Keys<'a> {
    /// In the order of the fields.
    pub fn all(self) -> [&'a str; 4] {
        [self.back, self.home, self.more, self.previous]
    }

    /// The first that nobody can type, or that means two things.
    pub(crate) fn unsound(self) -> Option<&'a str> {
        let all = self.all();
        all.into_iter().enumerate().find_map(|(index, key)| {
            let plain = key == "00"
                || key
                    .parse::<u16>()
                    .is_ok_and(|number| number < 1000 && number.to_string() == key);
            (!plain || all[..index].contains(&key)).then_some(key)
        })
    }
}

impl DoorKeys {
    /// These where they are set, else `keys`.
    pub fn over<'a>(&'a self, keys: Keys<'a>) -> Keys<'a> {
        Keys {
            back: self.back.as_deref().unwrap_or(keys.back),
            home: self.home.as_deref().unwrap_or(keys.home),
            more: self.more.as_deref().unwrap_or(keys.more),
            previous: self.previous.as_deref().unwrap_or(keys.previous),
        }
    }
}

impl Menu {
    /// The keys behind this door.
    pub fn keys<'a>(&'a self, door: &'a Door) -> Keys<'a> {
        door.keys.over(self.flow.keys.over(Keys::default()))
    }
}
