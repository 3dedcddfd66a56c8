//! One language of the menus in a file of its own, which a translator owns: `menus/translations/fr.yaml`. Its texts are
//! merged beside those that the flow and the messages carry themselves, and are checked there like any other.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Location;

use super::finding::{Fault, Finding, did_you_mean};
use super::source::{FlowFile, Map, OptionFile, Say, ScreenFile, Word};

/// A translation file, read.
#[derive(Debug)]
pub struct Translation {
    file: Arc<str>,
    language: Word,
    texts: TranslationFile,
}

#[derive(Debug)]
struct TranslationFile {
    language: Option<Word>,
    /// Whether what is missing is said in the language of the caller's country.
    fall_back: bool,
    flows: Vec<(Word, Map<ScreenTexts>)>,
    messages: Option<(Word, Map<Word>)>,
}

/// The texts of one screen, under the keys of the flow.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenTexts {
    say: Option<Word>,
    #[serde(default)]
    options: Map<Word>,
    item: Option<Word>,
    #[serde(default)]
    notice: Map<Word>,
    end: Option<Word>,
}

impl Translation {
    /// Reads the file `name`, as in `translations/fr.yaml`.
    ///
    /// # Errors
    /// What cannot be read, or a name that is not that of its language.
    pub fn parse(name: &str, source: &str) -> Result<Translation, Finding> {
        let file: Arc<str> = name.into();
        let mut texts: TranslationFile = serde_saphyr::from_str(source)
            .map_err(|error| Finding::syntax(&error).in_file(&file))?;
        let Some(language) = texts.language.take() else {
            let first = texts.flows.first().map(|(name, _)| name.defined);
            return Err(Finding::at_location(
                Fault::Language,
                first.unwrap_or(Location::UNKNOWN),
                "'language' is missing",
            )
            .hint("begin with a line 'language: …'")
            .in_file(&file));
        };
        let code = &language.value;
        if name.rsplit('/').next() != Some(&format!("{code}.yaml")) {
            return Err(Finding::at(
                Fault::Language,
                &language,
                format!("'{code}' stands in {name}"),
            )
            .hint(format!("name the file {code}.yaml, or change this line"))
            .in_file(&file));
        }
        Ok(Translation {
            file,
            language,
            texts,
        })
    }
}

/// Puts the texts of every translation into the flow files.
pub(super) fn into_flows(
    translations: &[Translation],
    flows: &mut [&mut FlowFile],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names: Vec<_> = flows.iter().map(|flow| flow.flow.value.clone()).collect();
    for translation in translations {
        for flow in flows.iter_mut() {
            let name = flow.flow.value.clone();
            let mut merge = Merge::new(translation, &mut flow.languages);
            let sections = &translation.texts.flows;
            match sections.iter().find(|(known, _)| known.value == name) {
                Some((at, screens)) => merge.screens(&mut flow.screens, at, screens),
                None if translation.texts.fall_back => {}
                None => merge.find(
                    Fault::Language,
                    &translation.language,
                    format!("no texts of the flow '{name}'"),
                ),
            }
            if translation.texts.fall_back {
                flow.fall_back.push(translation.language.value.clone());
            }
            findings.extend(merge.findings);
        }
        let mut merge = Merge {
            translation,
            findings: Vec::new(),
        };
        for (other, _) in &translation.texts.flows {
            if !names.contains(&other.value) {
                merge.lacks(other, "flow", names.iter().map(String::as_str));
            }
        }
        findings.extend(merge.findings);
    }
    findings
}

/// Puts the texts of every translation beside those of the messages.
pub(super) fn into_messages(
    translations: &[Translation],
    languages: &mut Vec<Word>,
    messages: &mut Map<Say>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for translation in translations {
        let mut merge = Merge::new(translation, languages);
        match &translation.texts.messages {
            Some((at, texts)) => {
                let says = messages.0.iter_mut().map(|(name, say)| (&*name, say));
                merge.texts("message", says, texts, at);
            }
            None if translation.texts.fall_back => {}
            None => merge.find(Fault::Language, &translation.language, "no 'messages'"),
        }
        findings.extend(merge.findings);
    }
    findings
}

/// The languages that may lack lines.
pub(super) fn falling_back(translations: &[Translation]) -> Vec<&str> {
    let fall_back = translations.iter().filter(|own| own.texts.fall_back);
    fall_back.map(|own| own.language.value.as_str()).collect()
}

struct Merge<'a> {
    translation: &'a Translation,
    findings: Vec<Finding>,
}

impl<'a> Merge<'a> {
    fn new(translation: &'a Translation, languages: &mut Vec<Word>) -> Merge<'a> {
        let mut merge = Merge {
            translation,
            findings: Vec::new(),
        };
        let language = &translation.language;
        if languages.iter().any(|known| known.value == language.value) {
            let message = format!("'{}' is there already", language.value);
            merge.find(Fault::Language, language, message);
        }
        languages.push(merge.placed(language));
        merge
    }

    /// A word that knows which file it is from.
    fn placed(&self, word: &Word) -> Word {
        Word {
            file: Some(self.translation.file.clone()),
            ..word.clone()
        }
    }

    #[track_caller]
    fn find(&mut self, fault: Fault, at: &Word, message: impl Into<String>) {
        let finding = Finding::at(fault, at, message);
        self.findings.push(finding.in_file(&self.translation.file));
    }

    /// What the translation names and the menus do not have.
    fn lacks<'k>(&mut self, at: &Word, what: &str, known: impl IntoIterator<Item = &'k str>) {
        let message = format!("there is no {what} '{}'", at.value);
        let finding = Finding::at(Fault::Translation, at, message);
        let finding = match did_you_mean(&at.value, known) {
            Some(hint) => finding.hint(hint),
            None => finding.hint("take it out"),
        };
        self.findings.push(finding.in_file(&self.translation.file));
    }

    fn screens(&mut self, screens: &mut Map<ScreenFile>, at: &Word, texts: &Map<ScreenTexts>) {
        for (name, _) in &texts.0 {
            if screens.find(&name.value).is_none() {
                let known = screens.0.iter().map(|(name, _)| name.value.as_str());
                self.lacks(name, "screen", known);
            }
        }
        for (name, screen) in &mut screens.0 {
            match texts.0.iter().find(|(known, _)| known.value == name.value) {
                Some((at, texts)) => self.screen(screen, at, texts),
                None if screen.has_texts() && !self.translation.texts.fall_back => {
                    let message = format!("'{}' has no text in '{}'", name.value, self.code());
                    self.find(Fault::Language, at, message);
                }
                None => {}
            }
        }
    }

    fn screen(&mut self, screen: &mut ScreenFile, at: &Word, texts: &ScreenTexts) {
        self.text("say", screen.say.as_mut(), texts.say.as_ref(), at);
        self.text("item", screen.item.as_mut(), texts.item.as_ref(), at);
        self.text("end", screen.end.as_mut(), texts.end.as_ref(), at);
        let options = screen.options.0.iter_mut();
        let options =
            options.map(|(key, option): &mut (Word, OptionFile)| (&*key, &mut option.say));
        self.texts("option", options, &texts.options, at);
        let notices = screen.notice.0.iter_mut();
        let notices = notices.map(|(outcome, say)| (&*outcome, say));
        self.texts("notice", notices, &texts.notice, at);
    }

    /// A text that a screen has at most once.
    fn text(&mut self, key: &str, say: Option<&mut Say>, text: Option<&Word>, at: &Word) {
        match (say, text) {
            (Some(say), Some(text)) => self.add(say, text),
            (Some(say), None) => {
                let message = format!("'{key}' of '{}' is missing", at.value);
                self.missing(say, at, message);
            }
            (None, Some(text)) => {
                let message = format!("'{}' has no '{key}' to translate", at.value);
                self.find(Fault::Translation, text, message);
            }
            (None, None) => {}
        }
    }

    /// Texts under keys of the flow's.
    fn texts<'s>(
        &mut self,
        what: &'static str,
        says: impl Iterator<Item = (&'s Word, &'s mut Say)>,
        texts: &Map<Word>,
        at: &Word,
    ) {
        let mut known = Vec::new();
        for (key, say) in says {
            known.push(key.value.as_str());
            match texts.find(&key.value) {
                Some(text) => self.add(say, text),
                None => {
                    let message = format!("{what} '{}' of '{}' is missing", key.value, at.value);
                    self.missing(say, at, message);
                }
            }
        }
        for (key, _) in &texts.0 {
            if !known.contains(&key.value.as_str()) {
                self.lacks(key, what, known.iter().copied());
            }
        }
    }

    fn add(&self, say: &mut Say, text: &Word) {
        let language = self.placed(&self.translation.language);
        say.each.0.push((language, self.placed(text)));
    }

    fn missing(&mut self, say: &Say, at: &Word, message: String) {
        if self.translation.texts.fall_back || say.every.is_some() {
            return;
        }
        let finding = Finding::at(
            Fault::Language,
            at,
            format!("{message} in '{}'", self.code()),
        );
        let finding = match say.each.0.first() {
            Some((language, text)) => {
                finding.hint(format!("in '{}': {:?}", language.value, text.value))
            }
            None => finding,
        };
        self.findings.push(finding.in_file(&self.translation.file));
    }

    fn code(&self) -> &'a str {
        &self.translation.language.value
    }
}

impl ScreenFile {
    /// Whether there is anything to translate.
    fn has_texts(&self) -> bool {
        let own = [&self.say, &self.item, &self.end].into_iter().flatten();
        let options = self.options.0.iter().map(|(_, option)| &option.say);
        let notices = self.notice.0.iter().map(|(_, say)| say);
        own.chain(options)
            .chain(notices)
            .any(|say| say.every.is_none())
    }
}

impl<'de> Deserialize<'de> for TranslationFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sections;
        impl<'de> Visitor<'de> for Sections {
            type Value = TranslationFile;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(
                    "'language', 'fall_back', the texts of a flow under its name, and 'messages'",
                )
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut language, mut flows, mut messages) = (None, Vec::new(), None);
                let mut fall_back = false;
                while let Some(key) = map.next_key::<Word>()? {
                    match key.value.as_str() {
                        "language" => language = Some(map.next_value()?),
                        "fall_back" => fall_back = map.next_value()?,
                        "messages" => messages = Some((key, map.next_value()?)),
                        _ => flows.push((key, map.next_value()?)),
                    }
                }
                Ok(TranslationFile {
                    language,
                    fall_back,
                    flows,
                    messages,
                })
            }
        }
        deserializer.deserialize_map(Sections)
    }
}
