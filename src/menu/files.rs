//! The menu files: inside the binary, or in a folder of the operator's.

use std::path::Path;

use rust_embed::RustEmbed;

use super::Menu;
use super::finding::Finding;
use super::language::Language;
use super::link::Called;
use super::load::load_whole;
use super::messages::Messages;
use super::translation::Translation;

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
    /// Each finding as a picture of its line.
    #[error("{}", pictures.join("\n\n"))]
    Findings {
        /// In the order of the files.
        pictures: Vec<String>,
    },
}

/// Reads and checks every menu file, from `folder` or from inside the binary.
///
/// # Errors
/// [`MenuError`] with everything that is wrong.
pub fn read(folder: Option<&Path>, septets_max: usize) -> Result<(Menu, Messages), MenuError> {
    let files = Files { folder };
    let languages = files.languages()?;
    let (translations, mut pictures) =
        files.parsed(&files.names(TRANSLATIONS)?, Translation::parse)?;
    let (called, unreadable) = files.parsed(&files.called()?, Called::parse)?;
    pictures.extend(unreadable);
    if !pictures.is_empty() {
        return Err(MenuError::Findings { pictures });
    }
    let flow = load_whole(
        &files.source(FLOW)?.1,
        called,
        &translations,
        &languages,
        septets_max,
    )
    .map_err(|findings| files.draw(&findings, FLOW));
    let messages = Messages::load_translated(&files.source(MESSAGES)?.1, &translations, &languages)
        .map_err(|findings| files.draw(&findings, MESSAGES));
    match (flow, messages) {
        (Ok(flow), Ok(messages)) => Ok((
            Menu {
                flow,
                languages,
                septets_max,
            },
            messages,
        )),
        (flow, messages) => {
            for drawn in [flow.err(), messages.err()].into_iter().flatten() {
                pictures.extend(drawn?);
            }
            Err(MenuError::Findings { pictures })
        }
    }
}

/// A file of the sample data.
pub fn sample(name: &str) -> Option<String> {
    let file = Embedded::get(&format!("demo/{name}"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

struct Files<'a> {
    folder: Option<&'a Path>,
}

impl Files<'_> {
    fn languages(&self) -> Result<Vec<Language>, MenuError> {
        self.names(LANGUAGES)?
            .iter()
            .map(|name| {
                let (path, source) = self.source(name)?;
                Language::parse(&source).map_err(|why| MenuError::Unreadable { path, why })
            })
            .collect()
    }

    /// Every one of these files that can be read, and pictures of what is wrong with the others.
    fn parsed<T>(
        &self,
        names: &[String],
        parse: impl Fn(&str, &str) -> Result<T, Finding>,
    ) -> Result<(Vec<T>, Vec<String>), MenuError> {
        let (mut parsed, mut pictures) = (Vec::new(), Vec::new());
        for name in names {
            let (path, source) = self.source(name)?;
            match parse(name, &source) {
                Ok(file) => parsed.push(file),
                Err(finding) => pictures.push(finding.draw(&path, &source)),
            }
        }
        Ok((parsed, pictures))
    }

    /// The flow files beside the one that is dialled.
    fn called(&self) -> Result<Vec<String>, MenuError> {
        let mut names = self.names("")?;
        names.retain(|name| ![FLOW, MESSAGES, GLOSSARY].contains(&name.as_str()));
        Ok(names)
    }

    /// Each finding drawn in the file that it is in: a translation, or else `own`.
    fn draw(&self, findings: &[Finding], own: &str) -> Result<Vec<String>, MenuError> {
        findings
            .iter()
            .map(|finding| {
                let (path, source) = self.source(finding.file.as_deref().unwrap_or(own))?;
                Ok(finding.draw(&path, &source))
            })
            .collect()
    }

    /// The YAML files of a folder of the menus, in order of name; of the menus themselves if it is empty. A folder that is
    /// not there has none.
    fn names(&self, folder: &str) -> Result<Vec<String>, MenuError> {
        let is_in = |name: &str| {
            let parts = name.rsplit_once('/').unwrap_or(("", name));
            parts.0 == folder && parts.1.ends_with(".yaml")
        };
        let mut names = match self.folder {
            None => Embedded::iter().map(|name| name.into_owned()).collect(),
            Some(menus) if menus.join(folder).is_dir() => listed(menus, folder)?,
            Some(_) => Vec::new(),
        };
        names.retain(|name| is_in(name));
        names.sort();
        Ok(names)
    }

    fn source(&self, name: &str) -> Result<(String, String), MenuError> {
        let path = self.folder.map_or_else(
            || format!("menus/{name}"),
            |folder| folder.join(name).display().to_string(),
        );
        let unreadable = |why: String| MenuError::Unreadable {
            path: path.clone(),
            why,
        };
        let source = match self.folder {
            Some(folder) => std::fs::read_to_string(folder.join(name))
                .map_err(|error| unreadable(error.to_string()))?,
            None => {
                let file = Embedded::get(name)
                    .ok_or_else(|| unreadable("is not in the binary".to_owned()))?;
                String::from_utf8(file.data.into_owned())
                    .map_err(|error| unreadable(error.to_string()))?
            }
        };
        Ok((path, source))
    }
}

/// Everything in a folder of the menus, named from there.
fn listed(menus: &Path, folder: &str) -> Result<Vec<String>, MenuError> {
    let unreadable = |error: std::io::Error| MenuError::Unreadable {
        path: menus.join(folder).display().to_string(),
        why: error.to_string(),
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(menus.join(folder)).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let name = name.to_string_lossy();
        names.push(match folder {
            "" => name.into_owned(),
            folder => format!("{folder}/{name}"),
        });
    }
    Ok(names)
}
