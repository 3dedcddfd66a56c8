//! Every text of the menus held to `menus/glossary.yaml`: one word per idea and language.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::menu::files;
use crate::menu::flow::{Flow, Kind, Texts};
use crate::menu::template::Template;

use super::{doors, shipped};

#[derive(Deserialize)]
struct Idea {
    #[serde(default)]
    always: bool,
    #[serde(flatten)]
    words: BTreeMap<String, Words>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    say: Vec<String>,
    never: Vec<String>,
}

fn glossary() -> BTreeMap<String, Idea> {
    serde_saphyr::from_str(&shipped("glossary.yaml")).unwrap()
}

/// Every text with its name, in each language.
fn texts() -> Vec<(String, BTreeMap<String, String>)> {
    let (menu, _) = files::read(None, &doors(160)).unwrap();
    let flow = &menu.flow;
    let mut texts = Vec::new();
    let mut add = |name: String, of: &Texts| texts.push((name, in_languages(flow, of)));
    for screen in &flow.screens {
        let name = &screen.name;
        match &screen.kind {
            Kind::Ask(ask) => {
                add(name.clone(), &ask.say);
                for choice in &ask.options {
                    add(format!("{name} {}", choice.key), &choice.label);
                }
                if let Some(list) = &ask.list {
                    add(format!("{name} item"), &list.item);
                }
            }
            Kind::Fork(_) => {}
            Kind::Run(run) => {
                for (outcome, notice) in &run.notice {
                    add(format!("{name} {outcome}"), notice);
                }
            }
            Kind::End(end) => add(name.clone(), end),
        }
    }
    let languages = || flow.languages.iter();
    texts.extend(messages(&flow.languages));
    texts.push((
        "navigation".to_owned(),
        languages()
            .map(|code| {
                let words = &menu.language(code).navigation;
                let line = [&words.back, &words.home, &words.more].map(String::as_str);
                (code.clone(), line.join(" "))
            })
            .collect(),
    ));
    texts
}

#[derive(Deserialize)]
struct MessagesFile<T> {
    messages: BTreeMap<String, T>,
}

fn messages(languages: &[String]) -> BTreeMap<String, BTreeMap<String, String>> {
    let own: MessagesFile<BTreeMap<String, String>> =
        serde_saphyr::from_str(&shipped("messages.yaml")).unwrap();
    let mut messages = own.messages;
    for code in &languages[2..] {
        let translation: MessagesFile<String> =
            serde_saphyr::from_str(&shipped(&format!("translations/{code}.yaml"))).unwrap();
        for (name, text) in translation.messages {
            messages.entry(name).or_default().insert(code.clone(), text);
        }
    }
    messages
}

fn in_languages(flow: &Flow, texts: &Texts) -> BTreeMap<String, String> {
    let languages = flow.languages.iter().cloned().enumerate();
    languages
        .filter_map(|(index, code)| Some((code, texts.own(index)?.1.value.clone())))
        .collect()
}

/// The words that are read: values and keywords left out, the forms of a plural kept.
fn words(text: &str) -> Vec<String> {
    let mut read = String::new();
    let mut in_name = false;
    for letter in text.chars() {
        match letter {
            '{' => in_name = true,
            '}' | '|' => in_name = false,
            _ if in_name => {}
            _ => read.push(letter),
        }
        if matches!(letter, '{' | '}' | '|') {
            read.push(' ');
        }
    }
    read.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().any(char::is_lowercase))
        .map(str::to_lowercase)
        .collect()
}

fn is_in(text: &str, patterns: &[String]) -> bool {
    let words = words(text);
    patterns.iter().any(|pattern| {
        let parts: Vec<_> = pattern.split(' ').collect();
        words
            .windows(parts.len())
            .any(|run| run.iter().zip(&parts).all(|(word, part)| fits(word, part)))
    })
}

fn fits(word: &str, pattern: &str) -> bool {
    let stem = pattern.trim_matches('*');
    match (pattern.starts_with('*'), pattern.ends_with('*')) {
        (true, true) => word.contains(stem),
        (true, false) => word.ends_with(stem),
        (false, true) => word.starts_with(stem),
        (false, false) => word == stem,
    }
}

#[test]
fn every_idea_has_words_of_its_own_in_every_language() {
    let (menu, _) = files::read(None, &doors(160)).unwrap();
    let glossary = glossary();
    for code in &menu.flow.languages {
        let mut said = BTreeMap::new();
        for (idea, of) in &glossary {
            let words = of.words.get(code);
            let words = words.unwrap_or_else(|| panic!("{idea} has no word in {code}"));
            for word in &words.say {
                let before = said.insert(word, idea);
                assert!(
                    before.is_none_or(|_| word == "booking"),
                    "{word} is {idea} and {before:?} in {code}"
                );
                assert!(!words.never.contains(word), "{word} in {code}");
            }
        }
    }
    for idea in glossary.values() {
        assert_eq!(idea.words.len(), menu.flow.languages.len());
    }
}

#[test]
fn every_text_says_the_words_of_the_glossary() {
    let texts = texts();
    let mut faults = Vec::new();
    for (idea, of) in glossary() {
        let english = &of.words["en"].say;
        for (code, words) in &of.words {
            if !texts.iter().any(|(_, text)| is_in(&text[code], &words.say)) {
                faults.push(format!("{code} never says {idea}: {:?}", words.say));
            }
            for (name, text) in &texts {
                let text = &text[code];
                for word in &words.never {
                    if is_in(text, std::slice::from_ref(word)) {
                        faults.push(format!("{code} {name} says '{word}' for {idea}: {text}"));
                    }
                }
            }
            for (name, text) in texts.iter().filter(|_| of.always) {
                if is_in(&text["en"], english) && !is_in(&text[code], &words.say) {
                    faults.push(format!("{code} {name} does not say {idea}: {}", text[code]));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}: {}", faults.len(), faults.join("\n"));
}

#[test]
fn texts_are_calm_and_give_no_bare_hours() {
    for (name, text) in texts() {
        for (code, text) in text {
            assert!(!text.contains('!'), "{code} {name}: {text}");
            let words = words(&text);
            assert!(!words.contains(&"saa".to_owned()), "{code} {name}: {text}");
        }
    }
}

#[test]
fn every_language_shows_the_same_values() {
    let names = |text: &str| -> BTreeSet<String> {
        let paths = Template::parse(text).unwrap();
        paths.paths().map(|path| format!("{path:?}")).collect()
    };
    for (name, text) in texts() {
        for (code, translated) in &text {
            assert_eq!(names(translated), names(&text["en"]), "{code} {name}");
        }
    }
}
