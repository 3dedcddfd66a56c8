//! What is wrong with a menu file, where, and what to do: drawn as a picture of the line.

use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_saphyr::Location;

use super::source::Word;

/// The kinds of findings; `menus/README.md` says of each what to do.
macro_rules! faults {
    ($($fault:ident $word:literal)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "menus/README.md describes each")]
        pub enum Fault {
            $($fault,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Fault] = &[$(Fault::$fault,)*];

            /// As it is shown: `dead end`.
            pub fn word(self) -> &'static str {
                match self {
                    $(Fault::$fault => $word,)*
                }
            }
        }
    };
}

faults! {
    Syntax "syntax"
    Screen "screen"
    Target "target"
    Unreachable "unreachable"
    DeadEnd "dead end"
    Loop "loop"
    Action "action"
    Outcome "outcome"
    Call "call"
    Variable "variable"
    Unbound "unbound"
    Type "type"
    Condition "condition"
    Dial "dial"
    Repeat "repeat"
    Plural "plural"
    Language "language"
    Key "key"
    Text "text"
    Fit "fit"
    Limit "limit"
    Message "message"
    Translation "translation"
}

/// One thing wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub fault: Fault,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if there is something short to say.
    pub hint: Option<String>,
    /// The translation that it is in, e.g. `translations/fr.yaml`; `None` for the file being read.
    pub file: Option<Arc<str>>,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    span: std::ops::Range<usize>,
    /// Which line of the checks found it: the tests break a menu for each.
    #[cfg(test)]
    pub(super) raised: &'static std::panic::Location<'static>,
}

impl Finding {
    /// A finding at a word of the file.
    #[track_caller]
    pub fn at(fault: Fault, word: &Word, message: impl Into<String>) -> Finding {
        Finding {
            file: word.file.clone(),
            ..Finding::at_location(fault, word.defined, message)
        }
    }

    /// A finding at a place of the file.
    #[track_caller]
    pub fn at_location(fault: Fault, location: Location, message: impl Into<String>) -> Finding {
        let span = location.span();
        let start = span.byte_offset().unwrap_or(0) as usize;
        let len = span.byte_len().unwrap_or(0) as usize;
        Finding {
            fault,
            message: message.into(),
            hint: None,
            file: None,
            line: location.line(),
            column: location.column(),
            span: start..start + len,
            #[cfg(test)]
            raised: std::panic::Location::caller(),
        }
    }

    /// A file that cannot be read as what it should be.
    #[track_caller]
    pub(super) fn syntax(error: &serde_saphyr::Error) -> Finding {
        let location = error.location().unwrap_or(Location::UNKNOWN);
        let message = error.without_snippet().to_string();
        // The place is drawn, and nobody who edits a menu can set an option of the reader.
        let message = [" at line ", ", set "]
            .into_iter()
            .fold(message.as_str(), |text, end| {
                text.split(end).next().unwrap_or(text)
            });
        Finding::at_location(Fault::Syntax, location, message)
    }

    /// The same in a translation.
    pub(super) fn in_file(mut self, file: &Arc<str>) -> Finding {
        self.file = Some(file.clone());
        self
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it is about this word.
    pub(super) fn is_at(&self, word: &Word) -> bool {
        (&self.file, self.line, self.column)
            == (&word.file, word.defined.line(), word.defined.column())
    }

    /// `file:line:column` and the line itself with the place marked, in plain characters.
    pub fn draw(&self, path: &str, source: &str) -> String {
        // The reader counts otherwise where a file has marks that nobody sees.
        let whole = |at: usize| (0..=at.min(source.len())).rfind(|at| source.is_char_boundary(*at));
        let end = whole(self.span.end).unwrap_or_default();
        let start = whole(self.span.start).unwrap_or_default().min(end);
        let snippet = Snippet::source(source)
            .path(path)
            .annotation(AnnotationKind::Primary.span(start..end));
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .id(self.fault.word())
            .element(snippet);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

/// `, did you mean 'x'?` for the closest of `known`, else nothing.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const ALIKE_MIN: f64 = 0.75;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean '{candidate}'?"))
}
