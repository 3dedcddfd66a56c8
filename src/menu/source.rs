//! A flow file as it is written, every word with its place. See `menus/README.md` for the language.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

pub use super::word::Word;

/// One text in each language, or one for all of them.
#[derive(Debug, Clone)]
pub struct Say {
    /// Those of single languages.
    pub(super) each: Map<Word>,
    /// What every other language says: a name, or values alone.
    pub(super) every: Option<Word>,
}

impl Say {
    /// What this language says.
    pub fn find(&self, language: &str) -> Option<&Word> {
        self.each.find(language).or(self.every.as_ref())
    }
}

/// A whole flow file.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct FlowFile {
    pub flow: Word,
    #[serde(default)]
    pub languages: Vec<Word>,
    pub start: Word,
    pub resume: Option<ResumeFile>,
    pub after_wrong: Option<AfterWrongFile>,
    pub dial: Option<Word>,
    #[serde(default)]
    pub aliases: Map<Word>,
    #[serde(default)]
    pub keys: KeysFile,
    pub variables: Map<Word>,
    pub screens: Map<ScreenFile>,
    /// Languages whose translations may lack lines.
    #[serde(skip)]
    pub fall_back: Vec<String>,
}

/// Where a caller is taken who dials again soon.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct ResumeFile {
    pub screen: Word,
    pub needs: Vec<Word>,
    #[serde(default)]
    pub mode: ResumeMode,
}

/// What becomes of who dials again soon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeMode {
    /// Taken at once to where the last session broke off.
    Silent,
    /// Asked whether to go on there.
    #[default]
    Ask,
    /// Taken to the first screen.
    StartOver,
}

/// The answers that lead around instead of on.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct KeysFile {
    pub back: Option<Word>,
    pub home: Option<Word>,
    pub more: Option<Word>,
    pub previous: Option<Word>,
}

/// Where a caller is taken who is lost.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct AfterWrongFile {
    pub tries: u8,
    pub goto: Word,
}

/// One screen: something said and asked, a piece of work, another flow, or an end.
#[derive(Debug, Clone, serde::Deserialize)]
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
    pub call: Option<Word>,
    pub r#if: Option<Word>,
    pub r#else: Option<Word>,
    #[serde(default)]
    pub on: Map<Word>,
    #[serde(default)]
    pub notice: Map<Say>,
    pub end: Option<Say>,
}

/// One numbered option.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "menus/README.md describes each")]
pub struct OptionFile {
    pub say: Say,
    pub goto: Word,
    #[serde(default)]
    pub set: Map<Word>,
    pub language: Option<Word>,
    pub r#if: Option<Word>,
}

impl FlowFile {
    /// Every word that names where callers are taken, the start first.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Word> {
        let resume = self.resume.as_mut().map(|resume| &mut resume.screen);
        let after_wrong = self.after_wrong.as_mut().map(|after| &mut after.goto);
        std::iter::once(&mut self.start)
            .chain(resume)
            .chain(after_wrong)
            .chain(&mut self.dial)
            .chain(self.aliases.0.iter_mut().map(|(_, screen)| screen))
    }
}

impl ScreenFile {
    /// Keys that a screen of this kind does not have, so that nobody would read them, and the key that they belong to.
    pub(super) fn strange_keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let asks = self.say.is_some();
        let (runs, calls, forks) = (self.run.is_some(), self.call.is_some(), self.r#if.is_some());
        let lists = asks && self.list.is_some();
        let keys = [
            ("options", !self.options.0.is_empty(), asks, "say"),
            ("input", self.input.is_some(), asks, "say"),
            ("list", self.list.is_some(), asks, "say"),
            ("goto", self.goto.is_some(), asks || calls || forks, "say"),
            ("else", self.r#else.is_some(), forks, "if"),
            ("on", !self.on.0.is_empty(), runs || calls, "run"),
            ("notice", !self.notice.0.is_empty(), runs, "run"),
            ("item", self.item.is_some(), lists, "list"),
            ("pick", self.pick.is_some(), lists, "list"),
            ("per_page", self.per_page.is_some(), lists, "list"),
            ("at_most", self.at_most.is_some(), lists, "list"),
            ("typed_goto", self.typed_goto.is_some(), lists, "list"),
        ];
        keys.into_iter()
            .filter(|(_, is_there, belongs, _)| *is_there && !belongs)
            .map(|(key, _, _, to)| (key, to))
    }

    /// Every word that names where something leads.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Word> {
        let options = self.options.0.iter().map(|(_, option)| &option.goto);
        let outcomes = self.on.0.iter().map(|(_, target)| target);
        let gotos = self.goto.iter().chain(&self.typed_goto).chain(&self.r#else);
        options.chain(outcomes).chain(gotos)
    }

    /// The same, to lead elsewhere.
    pub(super) fn targets_mut(&mut self) -> impl Iterator<Item = &mut Word> {
        let options = self.options.0.iter_mut();
        let options = options.map(|(_, option)| &mut option.goto);
        let outcomes = self.on.0.iter_mut().map(|(_, target)| target);
        let gotos = self.goto.iter_mut().chain(&mut self.typed_goto);
        let gotos = gotos.chain(&mut self.r#else);
        options.chain(outcomes).chain(gotos)
    }
}

/// Tells every word which file it stands in.
pub(super) trait Placed {
    /// Words that know already keep theirs.
    fn place(&mut self, file: &Arc<str>);
}

impl Placed for Word {
    fn place(&mut self, file: &Arc<str>) {
        self.file.get_or_insert_with(|| file.clone());
    }
}

impl Placed for Say {
    fn place(&mut self, file: &Arc<str>) {
        self.each.place(file);
        self.every.place(file);
    }
}

impl<V: Placed> Placed for Map<V> {
    fn place(&mut self, file: &Arc<str>) {
        for (key, value) in &mut self.0 {
            key.place(file);
            value.place(file);
        }
    }
}

impl<V: Placed> Placed for Option<V> {
    fn place(&mut self, file: &Arc<str>) {
        if let Some(value) = self {
            value.place(file);
        }
    }
}

impl Placed for OptionFile {
    fn place(&mut self, file: &Arc<str>) {
        self.say.place(file);
        self.goto.place(file);
        self.set.place(file);
        self.language.place(file);
        self.r#if.place(file);
    }
}

impl Placed for ScreenFile {
    fn place(&mut self, file: &Arc<str>) {
        let words = [
            &mut self.list,
            &mut self.pick,
            &mut self.goto,
            &mut self.typed_goto,
            &mut self.run,
            &mut self.call,
            &mut self.r#if,
            &mut self.r#else,
        ];
        words.into_iter().for_each(|word| word.place(file));
        let says = [&mut self.say, &mut self.item, &mut self.end];
        says.into_iter().for_each(|say| say.place(file));
        self.options.place(file);
        self.input.place(file);
        self.on.place(file);
        self.notice.place(file);
    }
}

impl Placed for FlowFile {
    fn place(&mut self, file: &Arc<str>) {
        self.flow.place(file);
        self.languages.iter_mut().for_each(|word| word.place(file));
        self.start.place(file);
        self.dial.place(file);
        self.aliases.place(file);
        if let Some(resume) = &mut self.resume {
            resume.screen.place(file);
            resume.needs.iter_mut().for_each(|word| word.place(file));
        }
        if let Some(after_wrong) = &mut self.after_wrong {
            after_wrong.goto.place(file);
        }
        self.variables.place(file);
        self.screens.place(file);
    }
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

impl<'de> Deserialize<'de> for Say {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        enum Written {
            Each(Map<Word>),
            Every(String),
        }
        impl<'de> Deserialize<'de> for Written {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(EachOrEvery)
            }
        }
        struct EachOrEvery;
        impl<'de> Visitor<'de> for EachOrEvery {
            type Value = Written;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in each language, or one for all of them")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Map::deserialize(MapAccessDeserializer::new(map)).map(Written::Each)
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Written::Every(text.to_owned()))
            }
        }
        let written = Spanned::<Written>::deserialize(deserializer)?;
        Ok(match written.value {
            Written::Each(each) => Say { each, every: None },
            Written::Every(value) => Say {
                each: Map::default(),
                every: Some(Word {
                    value,
                    defined: written.defined,
                    file: None,
                }),
            },
        })
    }
}
