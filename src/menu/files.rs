//! The menu files: inside the binary, or in a folder of the operator's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::string::FromUtf8Error;

use data_encoding::HEXLOWER;
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::door::Door;
use super::finding::Finding;
use super::language::Language;
use super::link::Called;
use super::load::load_whole;
use super::messages::Messages;
use super::translation::Translation;
use super::{Menu, Menus};

/// `menus/` as it was when the binary was built.
#[derive(RustEmbed)]
#[folder = "menus/"]
#[include = "*.yaml"]
#[include = "*.csv"]
struct Embedded;

const FLOW: &str = "booking.yaml";
const MESSAGES: &str = "messages.yaml";
/// What a test holds every text to.
const GLOSSARY: &str = "glossary.yaml";
const LANGUAGES: &str = "languages";
const TRANSLATIONS: &str = "translations";

/// Menus that cannot go live.
#[derive(Debug, thiserror::Error)]
pub enum MenuError {
    /// A file is missing or cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// Everything wrong, in the order of the files; shown as a picture of each line.
    #[error("{}", pictures(.0).join("\n\n"))]
    Findings(Vec<Found>),
}

/// A finding in its file.
pub struct Found {
    /// The file.
    pub path: String,
    /// What is wrong in it.
    pub finding: Finding,
    source: String,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.draw(&self.path, &self.source))
    }
}

fn pictures(found: &[Found]) -> Vec<String> {
    found
        .iter()
        .map(|found| found.finding.draw(&found.path, &found.source))
        .collect()
}

/// The most bytes of all menu files together, and the most files.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
const FILES_MAX: usize = 500;

/// Reads and checks every menu file, from `folder` or from inside the binary, for these doors.
///
/// # Errors
/// [`MenuError`] with everything that is wrong.
pub fn read(folder: Option<&Path>, doors: &[Door]) -> Result<(Menu, Messages), MenuError> {
    let menus = Sources::read(folder)?.load(doors)?;
    Ok((menus.menu, menus.messages))
}

/// A file of the sample data.
pub fn sample(name: &str) -> Option<String> {
    let file = Embedded::get(&format!("demo/{name}"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// Tells one state of the menu files from every other: 32 hex digits, from the names and contents of all files. By default that
/// of none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// The version under this name. Whether there is one is not said.
    pub fn named(name: &str) -> Version {
        Version(name.to_owned())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The menu files as they are written, by name below the folder: `booking.yaml`, `languages/en.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Stands before each name where a person reads it.
    root: String,
    files: BTreeMap<String, String>,
}

impl Sources {
    /// The files of `folder`, or those inside the binary. Not whether they are any good.
    ///
    /// # Errors
    /// [`MenuError::Unreadable`] names the file.
    pub fn read(folder: Option<&Path>) -> Result<Sources, MenuError> {
        let (root, files) = match folder {
            Some(folder) => (folder.display().to_string(), on_disk(folder)?),
            None => ("menus".to_owned(), embedded()?),
        };
        Ok(Sources { root, files })
    }

    /// Files that were kept under their version.
    pub fn kept(version: &Version, files: BTreeMap<String, String>) -> Sources {
        Sources {
            root: format!("menus of version {version}"),
            files,
        }
    }

    /// Name and content of each.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Where they come from does not matter.
    pub fn version(&self) -> Version {
        let mut hash = Sha256::new();
        for text in self.files.iter().flat_map(|(name, source)| [name, source]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let digest = hash.finalize();
        Version(HEXLOWER.encode(&digest[..16]))
    }

    /// Checks everything for these doors and makes it ready to be spoken.
    ///
    /// # Errors
    /// [`MenuError`] with everything that is wrong.
    pub fn load(&self, doors: &[Door]) -> Result<Menus, MenuError> {
        let (languages, mut found) =
            self.parsed(self.below(LANGUAGES), |_, source| Language::parse(source));
        let (translations, unreadable) = self.parsed(self.below(TRANSLATIONS), Translation::parse);
        found.extend(unreadable);
        let (called, unreadable) = self.parsed(self.called(), Called::parse);
        found.extend(unreadable);
        if !found.is_empty() {
            return Err(MenuError::Findings(found));
        }
        let flow = load_whole(self.source(FLOW)?, called, &translations, &languages, doors)
            .map_err(|findings| self.found(findings, FLOW));
        let messages = Messages::load_translated(self.source(MESSAGES)?, &translations, &languages)
            .map_err(|findings| self.found(findings, MESSAGES));
        match (flow, messages) {
            (Ok(flow), Ok(messages)) => Ok(Menus {
                version: self.version(),
                menu: Menu { flow, languages },
                messages,
            }),
            (flow, messages) => {
                for more in [flow.err(), messages.err()].into_iter().flatten() {
                    found.extend(more?);
                }
                Err(MenuError::Findings(found))
            }
        }
    }

    /// Every one of these files that can be read, and what is wrong with the others.
    fn parsed<'a, T>(
        &'a self,
        files: impl Iterator<Item = (&'a str, &'a str)>,
        parse: impl Fn(&str, &str) -> Result<T, Finding>,
    ) -> (Vec<T>, Vec<Found>) {
        let (mut parsed, mut found) = (Vec::new(), Vec::new());
        for (name, source) in files {
            match parse(name, source) {
                Ok(file) => parsed.push(file),
                Err(finding) => found.push(Found {
                    path: self.path(name),
                    finding,
                    source: source.to_owned(),
                }),
            }
        }
        (parsed, found)
    }

    /// The flow files beside the one that is dialled.
    fn called(&self) -> impl Iterator<Item = (&str, &str)> {
        self.below("")
            .filter(|(name, _)| ![FLOW, MESSAGES, GLOSSARY].contains(name))
    }

    /// Each finding with the file that it is in: a translation, a called flow, or else `own`.
    fn found(&self, findings: Vec<Finding>, own: &str) -> Result<Vec<Found>, MenuError> {
        let placed = findings.into_iter().map(|finding| {
            let name = finding.file.as_deref().unwrap_or(own);
            Ok(Found {
                path: self.path(name),
                source: self.source(name)?.to_owned(),
                finding,
            })
        });
        placed.collect()
    }

    /// The files of a folder of the menus, in order of name; of the menus themselves if it is empty.
    fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(name, _)| name.rsplit_once('/').unwrap_or(("", name)).0 == folder)
            .map(|(name, source)| (name.as_str(), source.as_str()))
    }

    fn source(&self, name: &str) -> Result<&str, MenuError> {
        self.files
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| self.unreadable(name, "there is no such file"))
    }

    fn path(&self, name: &str) -> String {
        Path::new(&self.root).join(name).display().to_string()
    }

    fn unreadable(&self, name: &str, why: impl fmt::Display) -> MenuError {
        MenuError::Unreadable {
            path: self.path(name),
            why: why.to_string(),
        }
    }
}

fn embedded() -> Result<BTreeMap<String, String>, MenuError> {
    Embedded::iter()
        .filter(|name| name.ends_with(".yaml"))
        .filter_map(|name| Some((name.to_string(), Embedded::get(&name)?.data)))
        .map(|(name, data)| match String::from_utf8(data.into_owned()) {
            Ok(source) => Ok((name, source)),
            Err(error) => Err(MenuError::Unreadable {
                path: format!("menus/{name}"),
                why: error.to_string(),
            }),
        })
        .collect()
}

/// The YAML files of `menus` and of the folders that belong to it.
fn on_disk(menus: &Path) -> Result<BTreeMap<String, String>, MenuError> {
    let (mut files, mut bytes) = (BTreeMap::new(), 0);
    for folder in ["", LANGUAGES, TRANSLATIONS] {
        let within = menus.join(folder);
        if !folder.is_empty() && !within.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&within).map_err(|error| unreadable(&within, error))? {
            let path = entry.map_err(|error| unreadable(&within, error))?.path();
            let is_yaml = path.extension().is_some_and(|end| end == "yaml");
            let Some(name) = path.file_name().filter(|_| is_yaml && path.is_file()) else {
                continue;
            };
            bytes += path.metadata().map_or(0, |file| file.len());
            if files.len() >= FILES_MAX || bytes > BYTES_MAX {
                let why = format!("more than {FILES_MAX} menu files or {BYTES_MAX} bytes");
                return Err(unreadable(menus, why));
            }
            let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
            let source =
                String::from_utf8(bytes).map_err(|error| unreadable(&path, no_text(&error)))?;
            let name = Path::new(folder).join(name).to_string_lossy().into_owned();
            files.insert(name, source);
        }
    }
    Ok(files)
}

/// Where a file stops to be text.
fn no_text(error: &FromUtf8Error) -> String {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let good = String::from_utf8_lossy(good);
    let line = good.split('\n').count();
    let column = good.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: this is not UTF-8")
}

fn unreadable(path: &Path, why: impl fmt::Display) -> MenuError {
    MenuError::Unreadable {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_of_names_and_contents_and_of_nothing_else() {
        let embedded = Sources::read(None).unwrap();
        let on_disk = Sources::read(Some(Path::new("menus"))).unwrap();
        assert_eq!(embedded.version(), on_disk.version());
        let kept = Sources::kept(&embedded.version(), embedded.files().clone());
        assert_eq!(kept.version(), embedded.version());

        let changed = |change: fn(&mut BTreeMap<String, String>)| {
            let mut files = embedded.files().clone();
            change(&mut files);
            Sources {
                root: String::new(),
                files,
            }
            .version()
        };
        let versions = [
            embedded.version(),
            changed(|files| files.get_mut(FLOW).unwrap().push(' ')),
            changed(|files| files.get_mut(MESSAGES).unwrap().push(' ')),
            changed(|files| drop(files.remove("languages/yo.yaml"))),
            changed(|files| {
                let language = files.remove("languages/yo.yaml").unwrap();
                files.insert("languages/yp.yaml".to_owned(), language);
            }),
        ];
        for (at, version) in versions.iter().enumerate() {
            assert!(!versions[..at].contains(version), "{at}");
            assert_eq!(version.as_str().len(), 32);
        }
    }

    #[test]
    fn what_is_missing_or_no_text_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let why = |what: Result<Menus, MenuError>| what.unwrap_err().to_string();
        let load = || {
            Sources::read(Some(folder.path()))
                .and_then(|found| found.load(&[Door::new("any", 160)]))
        };
        assert!(why(load()).contains("booking.yaml: there is no such file"));
        std::fs::write(folder.path().join(FLOW), "flow: é\nstart: é".as_bytes()).unwrap();
        let mut bytes = std::fs::read(folder.path().join(FLOW)).unwrap();
        bytes.extend(b"\xff");
        std::fs::write(folder.path().join(FLOW), bytes).unwrap();
        assert!(why(load()).contains("booking.yaml: line 2, column 9: this is not UTF-8"));
        let nowhere = folder.path().join("nowhere");
        assert!(
            why(Sources::read(Some(&nowhere))
                .and_then(|found| found.load(&[Door::new("any", 160)])))
            .contains("nowhere")
        );
    }
}
