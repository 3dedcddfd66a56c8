//! A word of a menu file that knows where it stands.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

/// A word with its place.
#[derive(Debug, Clone)]
pub struct Word {
    /// The word.
    pub value: String,
    /// Its place in its file.
    pub defined: Location,
    /// The translation that it stands in, e.g. `translations/fr.yaml`; `None` for the file being read.
    pub file: Option<Arc<str>>,
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Spanned::<String>::deserialize(deserializer)?;
        Ok(Word {
            value: word.value,
            defined: word.defined,
            file: None,
        })
    }
}
