//! A flow file as it is written, every word with its place. See `menus/README.md` for the language.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

pub use super::word::Word;

/// One text in each language.
pub type Say = Map<Word>;

/// A whole flow file.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct FlowFile {
    pub flow: Word,
    pub languages: Vec<Word>,
    pub start: Word,
    pub resume: Option<ResumeFile>,
    pub after_wrong: Option<AfterWrongFile>,
    pub dial: Option<Word>,
    pub variables: Map<Word>,
    pub screens: Map<ScreenFile>,
}

/// Where a caller is taken who dials again soon.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct ResumeFile {
    pub screen: Word,
    pub needs: Vec<Word>,
}

/// Where a caller is taken who is lost.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct AfterWrongFile {
    pub tries: u8,
    pub goto: Word,
}

/// One screen: something said and asked, a piece of work, or an end.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct ScreenFile {
    pub say: Option<Say>,
    #[serde(default)]
    pub options: Map<OptionFile>,
    pub input: Option<Map<Word>>,
    pub list: Option<Word>,
    pub item: Option<Say>,
    pub pick: Option<Word>,
    pub per_page: Option<Spanned<u8>>,
    pub at_most: Option<Spanned<usize>>,
    pub goto: Option<Word>,
    pub typed_goto: Option<Word>,
    pub run: Option<Word>,
    #[serde(default)]
    pub on: Map<Word>,
    #[serde(default)]
    pub notice: Map<Say>,
    pub end: Option<Say>,
}

/// One numbered option.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct OptionFile {
    pub say: Say,
    pub goto: Word,
    #[serde(default)]
    pub set: Map<Word>,
    pub language: Option<Word>,
}

/// A mapping in the order written, its keys with their places.
#[derive(Debug, Clone)]
pub struct Map<V>(pub Vec<(Word, V)>);

impl<V> Default for Map<V> {
    fn default() -> Self {
        Map(Vec::new())
    }
}

impl<V> Map<V> {
    /// The value under this key.
    pub fn find(&self, key: &str) -> Option<&V> {
        self.0
            .iter()
            .find(|(word, _)| word.value == key)
            .map(|(_, value)| value)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Map<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Map(entries))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}
