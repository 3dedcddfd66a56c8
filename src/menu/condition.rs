//! What has to hold for an option to be offered, or for a fork to take its first way: `friend`, `not friend`, `nights > 1`,
//! `country = UG`, `check_in = today`.

use std::cmp::Ordering;

use super::source::Word;
use super::template::Path;
use super::value::{Type, Value, Values};

/// The word that turns a condition round.
const NOT: &str = "not";

/// A condition, with its place in the file.
#[derive(Debug, Clone)]
pub struct Condition {
    test: Test,
    /// Whether it is wanted that the test holds.
    holds: bool,
    pub(super) at: Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// The variable is bound.
    Known(String),
    /// Two values compare so.
    Compares(Path, Ordering, Operand),
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    /// A count, or whole units of money.
    Number(i64),
    /// A word with a capital letter.
    Word(String),
    /// Another value.
    Path(Path),
}

/// What can come of a condition, whatever its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    Always,
    Never,
}

impl Condition {
    /// Reads it.
    pub(super) fn parse(word: &Word) -> Option<Condition> {
        let mut parts: Vec<&str> = word.value.split_whitespace().collect();
        let holds = parts.first() != Some(&NOT);
        if !holds {
            parts.remove(0);
        }
        let test = match parts[..] {
            [name] => Test::Known(
                Path::parse(name)
                    .filter(|path| path.field.is_none())?
                    .variable,
            ),
            [left, sign, right] => {
                Test::Compares(Path::parse(left)?, ordering(sign)?, Operand::parse(right)?)
            }
            _ => return None,
        };
        Some(Condition {
            test,
            holds,
            at: word.clone(),
        })
    }

    /// Whether it holds of these values. What is not known compares with nothing.
    pub(super) fn holds(&self, values: &Values, given: &Values) -> bool {
        let holds = match &self.test {
            Test::Known(variable) => values.contains_key(variable),
            Test::Compares(left, wanted, right) => {
                let left = left.find(values, given);
                left.and_then(|left| right.compare(left, values, given)) == Some(*wanted)
            }
        };
        holds == self.holds
    }

    /// The variable that is sure to be known where the condition came out as `holds`.
    pub(super) fn makes_known(&self, holds: bool) -> Option<&str> {
        match &self.test {
            Test::Known(variable) if self.holds == holds => Some(variable),
            _ => None,
        }
    }

    /// The variable that it asks after.
    pub(super) fn asks_after(&self) -> Option<&str> {
        match &self.test {
            Test::Known(variable) => Some(variable),
            Test::Compares(..) => None,
        }
    }

    /// What comes of asking after a variable that is known, or is not.
    pub(super) fn when_known(&self, known: bool) -> Option<Sure> {
        self.asks_after()?;
        Some(if known == self.holds {
            Sure::Always
        } else {
            Sure::Never
        })
    }

    /// The values that have to be known.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let (left, right) = match &self.test {
            Test::Known(_) => (None, None),
            Test::Compares(left, _, Operand::Path(right)) => (Some(left), Some(right)),
            Test::Compares(left, ..) => (Some(left), None),
        };
        left.into_iter().chain(right)
    }

    /// Whether values of these types compare.
    pub(super) fn is_sound(&self, type_of: &impl Fn(&Path) -> Option<Type>) -> bool {
        let Test::Compares(left, wanted, right) = &self.test else {
            return true;
        };
        let Some(left) = type_of(left) else {
            return false;
        };
        let is_number = left.range().is_some() || left == Type::Money;
        let is_text = left.chars_max().is_some();
        match right {
            Operand::Number(_) => is_number,
            Operand::Word(word) => {
                *wanted == Ordering::Equal
                    && left
                        .chars_max()
                        .is_some_and(|max| word.chars().count() <= max)
            }
            Operand::Path(right) => type_of(right).is_some_and(|right| {
                let alike = left.range().is_some() && right.range().is_some()
                    || is_text && right.chars_max().is_some() && *wanted == Ordering::Equal;
                alike || left == right && matches!(left, Type::Money | Type::Date)
            }),
        }
    }

    /// What always comes of it, by the ranges of what it compares.
    pub(super) fn sure(&self, type_of: &impl Fn(&Path) -> Option<Type>) -> Option<Sure> {
        let Test::Compares(left, wanted, right) = &self.test else {
            return None;
        };
        let (low, high) = type_of(left)?.range()?;
        let (least, most) = match right {
            Operand::Number(number) => (*number, *number),
            Operand::Path(right) => type_of(right)?.range()?,
            Operand::Word(_) => return None,
        };
        let (always, never) = match wanted {
            Ordering::Less => (high < least, low >= most),
            Ordering::Greater => (low > most, high <= least),
            Ordering::Equal => (
                low == high && (least, most) == (low, high),
                high < least || low > most,
            ),
        };
        match (always, never) {
            (true, _) if self.holds => Some(Sure::Always),
            (_, true) if !self.holds => Some(Sure::Always),
            (true, _) | (_, true) => Some(Sure::Never),
            _ => None,
        }
    }
}

fn ordering(sign: &str) -> Option<Ordering> {
    match sign {
        "<" => Some(Ordering::Less),
        "=" => Some(Ordering::Equal),
        ">" => Some(Ordering::Greater),
        _ => None,
    }
}

impl Operand {
    fn parse(text: &str) -> Option<Operand> {
        if let Ok(number) = text.parse() {
            return Some(Operand::Number(number));
        }
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric());
        if plain && text.chars().any(|c| c.is_ascii_uppercase()) {
            return Some(Operand::Word(text.to_owned()));
        }
        Path::parse(text).map(Operand::Path)
    }

    /// How `left` compares with it.
    fn compare(&self, left: &Value, values: &Values, given: &Values) -> Option<Ordering> {
        match self {
            Operand::Number(number) => match left {
                Value::Count(count) => Some(count.cmp(number)),
                Value::Money(money) => {
                    let minor = number.checked_mul(money.currency.minor_per_unit())?;
                    Some(money.minor.cmp(&minor))
                }
                _ => None,
            },
            Operand::Word(word) => Some(left.as_text()?.cmp(word)),
            Operand::Path(path) => match (left, path.find(values, given)?) {
                (Value::Count(left), Value::Count(right)) => Some(left.cmp(right)),
                (Value::Date(left), Value::Date(right)) => Some(left.cmp(right)),
                (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
                (Value::Money(left), Value::Money(right)) => {
                    (left.currency == right.currency).then(|| left.minor.cmp(&right.minor))
                }
                _ => None,
            },
        }
    }
}
