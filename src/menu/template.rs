//! Texts with typed values in them: `{offer.name:14}`, `{total}`, `{nights|# night|# nights}`.

use super::language::Language;
use super::value::{Type, Value, Values};
use crate::sms::gsm7;

/// A text, read once at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Show {
        path: Path,
        chars_max: Option<usize>,
    },
    Plural {
        path: Path,
        forms: Vec<String>,
    },
}

/// A variable, or a field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The variable.
    pub variable: String,
    /// The field of a record.
    pub field: Option<String>,
}

/// A text that cannot be read, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTemplate(pub String);

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// [`BadTemplate`] for an open or empty brace, a bad length, or a character that no GSM-7 phone shows.
    pub fn parse(text: &str) -> Result<Template, BadTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest[open..]
                .find('}')
                .ok_or_else(|| BadTemplate("'{' without '}'".to_owned()))?
                + open;
            if open > 0 {
                pieces.push(Piece::Literal(literal(&rest[..open])?));
            }
            pieces.push(placeholder(&rest[open + 1..close])?);
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(literal(rest)?));
        }
        Ok(Template { pieces })
    }

    /// Every variable and field shown.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Show { path, .. } | Piece::Plural { path, .. } => Some(path),
        })
    }

    /// How many forms each plural has, with its path.
    pub fn plurals(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Plural { path, forms } => Some((path, forms.len())),
            _ => None,
        })
    }

    /// The text with its values. A value that is not there shows as nothing.
    pub fn fill(
        &self,
        values: &Values,
        item: Option<&Value>,
        given: &Values,
        language: &Language,
    ) -> String {
        let mut text = String::new();
        self.fill_into(
            &mut text,
            &Filling {
                values,
                item,
                given,
                language,
            },
        );
        text
    }

    /// Writes the text with its values behind what is in `text`.
    pub(super) fn fill_into(&self, text: &mut String, with: &Filling<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Show { path, chars_max } => {
                    let Some(value) = with.find(path) else {
                        continue;
                    };
                    let begin = text.len();
                    with.language.write(text, value);
                    if let Some(max) = chars_max
                        && text.len() - begin > *max
                    {
                        let end = begin + cut(&text[begin..], *max).len();
                        text.truncate(end);
                    }
                }
                Piece::Plural { path, forms } => {
                    let count = with
                        .find(path)
                        .and_then(Value::as_count)
                        .unwrap_or_default();
                    let form = &forms[with.language.plural.form(count).min(forms.len() - 1)];
                    for (index, part) in form.split('#').enumerate() {
                        if index > 0 {
                            with.language.write(text, &Value::Count(count));
                        }
                        text.push_str(part);
                    }
                }
            }
        }
    }

    /// The most septets it can take, given each path's type. `None` for a path of unknown or unshowable type.
    pub fn septets_max(
        &self,
        type_of: &impl Fn(&Path) -> Option<Type>,
        language: &Language,
    ) -> Option<usize> {
        let pieces = self.pieces.iter();
        pieces
            .map(|piece| piece.septets_max(type_of, language))
            .sum()
    }

    /// The most septets that it can have between two blanks. A value counts as one word.
    pub(super) fn word_septets_max(
        &self,
        type_of: &impl Fn(&Path) -> Option<Type>,
        language: &Language,
    ) -> Option<usize> {
        let (mut longest, mut word) = (0, 0);
        for piece in &self.pieces {
            let Piece::Literal(literal) = piece else {
                word += piece.septets_max(type_of, language)?;
                longest = longest.max(word);
                continue;
            };
            for (index, part) in literal.split([' ', '\n']).enumerate() {
                word = if index > 0 { 0 } else { word } + gsm7::septets(part)?;
                longest = longest.max(word);
            }
        }
        Some(longest)
    }

    /// Cuts texts at what their types declare, so that no value is longer than what was measured.
    pub(super) fn bound(&mut self, type_of: &impl Fn(&Path) -> Option<Type>) {
        for piece in &mut self.pieces {
            if let Piece::Show { path, chars_max } = piece
                && let Some(cap) = type_of(path).and_then(Type::chars_max)
            {
                *chars_max = Some(chars_max.map_or(cap, |max| max.min(cap)));
            }
        }
    }

    /// Every variable and field that is shown with a length of its own.
    pub(super) fn cut_paths(&self) -> impl Iterator<Item = &Path> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Show {
                path,
                chars_max: Some(_),
            } => Some(path),
            _ => None,
        })
    }

    /// Whether it shows anything at all.
    pub(super) fn is_blank(&self) -> bool {
        self.pieces
            .iter()
            .all(|piece| matches!(piece, Piece::Literal(literal) if literal.trim().is_empty()))
    }

    /// The words before the first value.
    pub fn opening(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(literal)) => literal.trim_end(),
            _ => "",
        }
    }

    /// The text up to its first line break.
    pub fn first_line(&self) -> Template {
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => match literal.split_once('\n') {
                    Some((head, _)) => {
                        pieces.push(Piece::Literal(head.to_owned()));
                        break;
                    }
                    None => pieces.push(piece.clone()),
                },
                _ => pieces.push(piece.clone()),
            }
        }
        Template { pieces }
    }
}

impl Piece {
    fn septets_max(
        &self,
        type_of: &impl Fn(&Path) -> Option<Type>,
        language: &Language,
    ) -> Option<usize> {
        match self {
            Piece::Literal(literal) => gsm7::septets(literal),
            Piece::Show { path, chars_max } => {
                let longest = language.septets_max(type_of(path)?)?;
                Some(chars_max.map_or(longest, |max| longest.min(max)))
            }
            Piece::Plural { path, forms } => {
                let (low, high) = type_of(path)?.range()?;
                let digits = low.to_string().len().max(high.to_string().len());
                let longest = forms.iter().filter_map(|form| {
                    let counts = form.matches('#').count();
                    Some(gsm7::septets(form)? - counts + counts * digits)
                });
                longest.max()
            }
        }
    }
}

/// At most `chars` characters: whole words where they are at least half of that, else cut where it is.
fn cut(text: &str, chars: usize) -> &str {
    let Some((end, after)) = text.char_indices().nth(chars) else {
        return text;
    };
    let cut = text[..end].trim_end();
    if after == ' ' || cut.len() < end {
        return cut;
    }
    match cut.rsplit_once(' ') {
        Some((words, _)) if 2 * words.chars().count() >= chars => words.trim_end(),
        _ => cut,
    }
}

fn literal(text: &str) -> Result<String, BadTemplate> {
    if let Some(bad) = text
        .chars()
        .find(|c| gsm7::septets(c.encode_utf8(&mut [0; 4])).is_none())
    {
        return Err(BadTemplate(format!(
            "'{bad}' is not in the GSM-7 alphabet; one such character halves the room of the whole text"
        )));
    }
    if text.contains('}') {
        return Err(BadTemplate("'}' without '{'".to_owned()));
    }
    if text.contains('{') {
        return Err(BadTemplate("'{' inside of '{'".to_owned()));
    }
    Ok(text.to_owned())
}

fn placeholder(inside: &str) -> Result<Piece, BadTemplate> {
    let (head, forms) = match inside.split_once('|') {
        Some((head, forms)) => (head, Some(forms)),
        None => (inside, None),
    };
    let (name, chars_max) = match head.split_once(':') {
        Some((name, max)) => (
            name,
            Some(
                max.trim()
                    .parse()
                    .ok()
                    .filter(|max| *max > 0 && forms.is_none())
                    .ok_or_else(|| BadTemplate(format!("'{max}' is not a length")))?,
            ),
        ),
        None => (head, None),
    };
    let name = name.trim();
    let path =
        Path::parse(name).ok_or_else(|| BadTemplate(format!("'{name}' is not a variable")))?;
    match forms {
        None => Ok(Piece::Show { path, chars_max }),
        Some(forms) => Ok(Piece::Plural {
            path,
            forms: forms.split('|').map(literal).collect::<Result<_, _>>()?,
        }),
    }
}

impl Path {
    /// Reads `nights` or `booking.nights`.
    pub(super) fn parse(name: &str) -> Option<Path> {
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        let (variable, field) = match name.split_once('.') {
            Some((variable, field)) => (variable, Some(field)),
            None => (name, None),
        };
        (is_word(variable) && field.is_none_or(is_word)).then(|| Path {
            variable: variable.to_owned(),
            field: field.map(str::to_owned),
        })
    }

    /// What it leads to: a bound variable first, then what is always given.
    pub(super) fn find<'a>(&self, values: &'a Values, given: &'a Values) -> Option<&'a Value> {
        let bound = values
            .get(&self.variable)
            .or_else(|| given.get(&self.variable))?;
        match &self.field {
            Some(field) => bound.field(field),
            None => Some(bound),
        }
    }
}

/// Where values come from.
pub(super) struct Filling<'a> {
    pub(super) values: &'a Values,
    pub(super) item: Option<&'a Value>,
    pub(super) given: &'a Values,
    pub(super) language: &'a Language,
}

impl<'a> Filling<'a> {
    /// An item's own field first.
    fn find(&self, path: &Path) -> Option<&'a Value> {
        let own = self.item.filter(|_| path.field.is_none());
        own.and_then(|item| item.field(&path.variable))
            .or_else(|| path.find(self.values, self.given))
    }
}
