//! What can be dialled behind the code to begin at a screen of its own.

use super::Loader;
use crate::menu::finding::{Fault, Finding};

/// The longest that is dialled for a screen, in characters.
const ALIAS_CHARS_MAX: usize = 12;

impl Loader<'_> {
    pub(super) fn aliases(&mut self) -> Vec<(String, usize)> {
        let mut aliases: Vec<(String, usize)> = Vec::new();
        for (name, screen) in &self.file.aliases.0 {
            let alias = name.value.to_lowercase();
            let is_short = (1..=ALIAS_CHARS_MAX).contains(&alias.len());
            if !is_short || !alias.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let message = format!("'{}' cannot be dialled behind the code", name.value);
                self.find(
                    Finding::at(Fault::Dial, name, message)
                        .hint(format!("letters and digits, {ALIAS_CHARS_MAX} at most")),
                );
            }
            if aliases.iter().any(|(known, _)| *known == alias) {
                let message = format!("'{}' is there already", name.value);
                self.find(Finding::at(Fault::Dial, name, message));
            }
            aliases.extend(self.screen_index(screen).map(|screen| (alias, screen)));
        }
        aliases
    }
}
