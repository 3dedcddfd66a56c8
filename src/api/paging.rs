//! Cursors, and lists of words in a query.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::Problem;

/// The most properties in one answer.
pub const PAGE_MAX: u8 = 50;

/// Where a page ends: the rank and id of its last entry. Clients hand it back as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The first key of the order.
    pub rank: i64,
    /// The second, which makes it whole.
    pub id: String,
}

impl Cursor {
    /// As clients see it.
    pub fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {}", self.rank, self.id))
    }

    /// What a client has handed back.
    ///
    /// # Errors
    /// [`Problem::bad_request`].
    pub fn read(written: &str) -> Result<Cursor, Problem> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(written).ok()?).ok()?;
            let (rank, id) = text.split_once(' ')?;
            Some(Cursor {
                rank: rank.parse().ok()?,
                id: id.to_owned(),
            })
        };
        let cursor = read().filter(|cursor| !cursor.id.contains('\0'));
        cursor.ok_or_else(|| Problem::bad_request("page is not the `next` of an answer"))
    }
}

/// Words of a list like `name,calendar`, in the order of `known`.
///
/// # Errors
/// [`Problem::bad_request`] names what is not known, and what is.
pub fn words(
    parameter: &str,
    list: &str,
    known: &[&'static str],
) -> Result<Vec<&'static str>, Problem> {
    let wanted: Vec<&str> = list.split(',').map(str::trim).collect();
    if let Some(unknown) = wanted.iter().find(|word| !known.contains(word)) {
        let detail = format!(
            "{parameter}: {unknown:?} is not one of {}",
            known.join(", ")
        );
        return Err(Problem::bad_request(detail));
    }
    let named = |word: &&'static str| wanted.contains(word);
    Ok(known.iter().copied().filter(named).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(rank: i64, id in "[a-z0-9_]{1,20}") {
            let cursor = Cursor { rank, id };
            prop_assert_eq!(Cursor::read(&cursor.write()).unwrap(), cursor);
        }

        #[test]
        fn nothing_else_is(written in ".{0,40}") {
            if let Ok(cursor) = Cursor::read(&written) {
                prop_assert_eq!(Cursor::read(&cursor.write()).unwrap(), cursor);
            }
        }
    }

    #[test]
    fn words_are_known_or_refused() {
        let known = ["host", "calendar"];
        assert_eq!(
            words("include", "calendar, host,host", &known).unwrap(),
            known
        );
        for list in ["", "hst", "host,"] {
            assert!(words("include", list, &known).is_err(), "{list}");
        }
    }
}
