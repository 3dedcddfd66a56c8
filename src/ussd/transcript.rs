//! The difference rule of aggregators that send all answers so far, joined by `*`: what is new, and what is a repetition.
//!
//! A subscriber may type `*` or nothing at all, so an answer is never found by splitting; it is what the new text adds to the old.

/// Stands for a digit that is not kept.
const HIDDEN: char = '\u{2022}';
/// An answer with so many digits may be a PIN, or somebody's phone number.
const SECRET_DIGITS_MIN: usize = 4;

/// A transcript, or one answer, as it is kept: long numbers hidden, still good to tell the next answer by.
pub fn kept(transcript: &str) -> String {
    let hide = |c: char| if c.is_ascii_digit() { HIDDEN } else { c };
    let mut kept = String::with_capacity(transcript.len());
    for (index, answer) in transcript.split('*').enumerate() {
        if index > 0 {
            kept.push('*');
        }
        if answer.bytes().filter(u8::is_ascii_digit).count() < SECRET_DIGITS_MIN {
            kept.push_str(answer);
        } else {
            kept.extend(answer.chars().map(hide));
        }
    }
    kept
}

/// What a transcript means after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop<'a> {
    /// The session begins.
    First {
        /// What was dialled after the code, answers joined by `*`; mostly empty.
        input: &'a str,
    },
    /// The next answer.
    Reply {
        /// The answer, which may be empty and may hold `*`.
        input: &'a str,
    },
    /// The same call again.
    Repeat,
    /// An earlier call of this session again, overtaken by a later one.
    Late,
    /// It does not follow: a call was missed, or the state is of another session.
    Mismatch {
        /// The best guess: what stands after the last `*`.
        input: &'a str,
    },
}

/// Reads `transcript` after `previous`, the last one seen in this session, as it came or as it is [`kept`].
pub fn hop<'a>(previous: Option<&str>, transcript: &'a str) -> Hop<'a> {
    let Some(previous) = previous else {
        return Hop::First { input: transcript };
    };
    if rest(transcript, previous) == Some("") {
        return Hop::Repeat;
    }
    if previous.is_empty() {
        return Hop::Reply { input: transcript };
    }
    if let Some(input) = answers_after(transcript, previous) {
        return Hop::Reply { input };
    }
    if transcript.is_empty() || answers_after(previous, transcript).is_some() {
        return Hop::Late;
    }
    let last = transcript
        .rsplit_once('*')
        .map_or(transcript, |(_, last)| last);
    Hop::Mismatch { input: last }
}

/// How far into the dialogue a transcript is: 0 before the first answer, else one more than it has `*`. Rises with every answer, by
/// more than one where an answer holds `*`.
pub fn position(transcript: &str) -> i32 {
    if transcript.is_empty() {
        return 0;
    }
    let stars = transcript.bytes().filter(|byte| *byte == b'*').count();
    i32::try_from(stars + 1).unwrap_or(i32::MAX)
}

/// What `long` adds to `short` after a `*`.
fn answers_after<'a>(long: &'a str, short: &str) -> Option<&'a str> {
    rest(long, short)?.strip_prefix('*')
}

/// What is left of `long` behind `short`. A hidden digit is like any.
fn rest<'a>(long: &'a str, short: &str) -> Option<&'a str> {
    let alike = |a: char, b: char| a == b || a == HIDDEN && b.is_ascii_digit();
    let mut left = long.chars();
    for expected in short.chars() {
        let c = left.next()?;
        if !alike(c, expected) && !alike(expected, c) {
            return None;
        }
    }
    Some(left.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_difference_is_the_answer() {
        for (previous, transcript, expected) in [
            (None, "", Hop::First { input: "" }),
            (None, "1*2", Hop::First { input: "1*2" }),
            (Some(""), "", Hop::Repeat),
            (Some(""), "1", Hop::Reply { input: "1" }),
            (Some(""), "500*1234", Hop::Reply { input: "500*1234" }),
            (Some("1"), "1", Hop::Repeat),
            (Some("1"), "1*1", Hop::Reply { input: "1" }),
            (Some("1"), "1*", Hop::Reply { input: "" }),
            (Some("1"), "1**", Hop::Reply { input: "*" }),
            (Some("1*"), "1**5", Hop::Reply { input: "5" }),
            (Some("1*2"), "1", Hop::Late),
            (Some("1*2"), "", Hop::Late),
            (Some("1"), "12", Hop::Mismatch { input: "12" }),
            (Some("12"), "1", Hop::Mismatch { input: "1" }),
            (Some("1*2"), "1*3*4", Hop::Mismatch { input: "4" }),
        ] {
            assert_eq!(
                hop(previous, transcript),
                expected,
                "{previous:?} then {transcript:?}"
            );
        }
    }

    proptest! {
        /// Any answers, stars and empty ones included, come back one by one; each call repeated or overtaken is seen as such.
        #[test]
        fn every_answer_comes_back(first in ".{1,9}", answers in prop::collection::vec("[a-z0-9*é]{0,5}", 0..8)) {
            let mut seen = vec![String::new()];
            for answer in std::iter::once(&first).chain(&answers) {
                let previous = seen[seen.len() - 1].clone();
                let joint = if seen.len() == 1 { "" } else { "*" };
                let next = format!("{previous}{joint}{answer}");
                prop_assert_eq!(hop(Some(&previous), &next), Hop::Reply { input: answer });
                prop_assert_eq!(hop(Some(&next), &next), Hop::Repeat);
                prop_assert!(position(&next) > position(&previous));
                for earlier in &seen {
                    prop_assert_eq!(hop(Some(&next), earlier), Hop::Late);
                }
                seen.push(next);
            }
        }

        /// The same holds of what is kept, and no long number can be read from it.
        #[test]
        fn what_is_kept_tells_the_next_answer_and_no_secret(answers in prop::collection::vec("[0-9]{0,6}|[a-z0-9]{0,5}", 1..8)) {
            for end in 1..answers.len() {
                let (before, after) = (answers[..end].join("*"), answers[..=end].join("*"));
                if before.is_empty() { continue; }
                let stored = kept(&before);
                prop_assert_eq!(hop(Some(&stored), &after), Hop::Reply { input: &answers[end] });
                prop_assert_eq!(hop(Some(&stored), &before), Hop::Repeat);
                prop_assert_eq!(hop(Some(&kept(&after)), &before), Hop::Late);
                prop_assert_eq!(position(&stored), position(&before));
                for answer in stored.split('*') {
                    prop_assert!(answer.chars().filter(char::is_ascii_digit).count() < SECRET_DIGITS_MIN);
                }
            }
        }

        /// No text is too strange.
        #[test]
        fn nothing_panics(previous in proptest::option::of(".*"), transcript in ".*") {
            hop(previous.as_deref(), &transcript);
            prop_assert!(position(&transcript) >= 0);
        }
    }
}
