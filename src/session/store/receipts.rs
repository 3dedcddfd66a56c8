//! The replies of the last turns of a dialogue, kept with it: whoever asks again gets what the phone showed.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::identity::Identity;

/// The most that are kept. An aggregator repeats its last calls; who is further behind is told that the session has expired.
const KEPT_MAX: usize = 16;

/// The reply of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whether the dialogue ended with it.
    pub ends: bool,
    /// What the phone showed.
    pub text: String,
}

/// Those of one dialogue, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts(Vec<Answered>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answered {
    turn: Identity,
    /// In milliseconds since 1970, by the clock of who answered.
    at: i64,
    receipt: Receipt,
}

impl Receipts {
    /// What the turn was answered with.
    pub(super) fn find(&self, turn: &Identity, now: DateTime<Utc>) -> Option<&Receipt> {
        let newest = self.0.last()?;
        let found = if turn.is_told_by_time() {
            Some(newest)
                .filter(|newest| newest.turn.is_told_by_time() && newest.turn.may_repeat(turn))
        } else {
            self.0.iter().rev().find(|answered| answered.turn == *turn)
        };
        let age = TimeDelta::from_std(turn.receipt_age_max()).unwrap_or(TimeDelta::MAX);
        let found =
            found.filter(|found| now.timestamp_millis() - found.at <= age.num_milliseconds());
        found.map(|found| &found.receipt)
    }

    /// Whether it may be the last turn once more.
    pub fn may_be_newest(&self, turn: &Identity) -> bool {
        self.0
            .last()
            .is_some_and(|newest| newest.turn.may_repeat(turn))
    }

    /// Keeps the reply of the next turn.
    pub fn push(&mut self, turn: &Identity, receipt: Receipt, now: DateTime<Utc>) {
        // After another turn they mean nothing any more.
        self.0
            .retain(|answered| !answered.turn.is_told_by_time() && answered.turn != *turn);
        if self.0.len() >= KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(Answered {
            turn: *turn,
            at: now.timestamp_millis(),
            receipt,
        });
    }

    /// These and, as older ones, those of the same dialogue that were kept elsewhere.
    pub(super) fn with(self, elsewhere: Receipts) -> Receipts {
        let is_here = |other: &Answered| self.0.iter().any(|answered| answered.turn == other.turn);
        let mut all: Vec<_> = elsewhere
            .0
            .into_iter()
            .filter(|other| !other.turn.is_told_by_time() && !is_here(other))
            .collect();
        all.extend(self.0);
        let surplus = all.len().saturating_sub(KEPT_MAX);
        Receipts(all.split_off(surplus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn receipts(turns: &[(Identity, &str)]) -> Receipts {
        let mut receipts = Receipts::default();
        for (turn, text) in turns {
            let receipt = Receipt {
                ends: false,
                text: (*text).to_owned(),
            };
            receipts.push(turn, receipt, T0);
        }
        receipts
    }

    fn text<'a>(receipts: &'a Receipts, turn: &Identity, seconds: i64) -> Option<&'a str> {
        let found = receipts.find(turn, T0 + TimeDelta::seconds(seconds));
        found.map(|receipt| receipt.text.as_str())
    }

    #[test]
    fn an_older_turn_finds_its_own_reply() {
        let (one, two) = (Identity::transcript("1"), Identity::transcript("1*1"));
        let receipts = receipts(&[(one, "Which town?"), (two, "Which day?")]);
        assert_eq!(text(&receipts, &one, 599), Some("Which town?"));
        assert_eq!(text(&receipts, &two, 599), Some("Which day?"));
        assert_eq!(text(&receipts, &one, 601), None);
        assert_eq!(text(&receipts, &Identity::hop("1"), 0), None);
    }

    #[test]
    fn what_only_time_tells_is_repeated_at_once_and_last_or_not_at_all() {
        let (one, two) = (Identity::answer("1"), Identity::answer("2"));
        let begun = Identity::dialled("sent");
        assert_eq!(
            text(&receipts(&[(begun, "Welcome")]), &begun, 5),
            Some("Welcome")
        );
        assert_eq!(text(&receipts(&[(begun, "Welcome")]), &begun, 6), None);
        let receipts = receipts(&[(one, "Which town?"), (two, "Which day?")]);
        assert_eq!(text(&receipts, &one, 0), None);
        assert_eq!(text(&receipts, &two, 1), Some("Which day?"));
        assert_eq!(text(&receipts, &two, 2), None);
        // The number of a call is not what was typed.
        assert_eq!(text(&receipts, &Identity::hop("2"), 0), None);
        assert!(receipts.may_be_newest(&Identity::either("2")));
    }

    #[test]
    fn the_oldest_go_first() {
        let turns: Vec<_> = (0..=KEPT_MAX)
            .map(|n| (Identity::hop(&n.to_string()), "screen"))
            .collect();
        let receipts = receipts(&turns);
        assert_eq!(text(&receipts, &turns[0].0, 0), None);
        for (turn, _) in &turns[1..] {
            assert_eq!(text(&receipts, turn, 0), Some("screen"));
        }
    }

    #[test]
    fn those_from_elsewhere_are_older() {
        let turn = Identity::transcript;
        let here = receipts(&[(turn("1"), "here"), (turn("1*1"), "last")]);
        let elsewhere = receipts(&[
            (turn(""), "first"),
            (turn("1"), "elsewhere"),
            (Identity::answer("1"), "gone"),
        ]);
        let all = here.with(elsewhere);
        assert_eq!(text(&all, &turn(""), 0), Some("first"));
        assert_eq!(text(&all, &turn("1"), 0), Some("here"));
        assert_eq!(text(&all, &Identity::answer("1"), 0), None);
        assert!(all.may_be_newest(&turn("1*1")));
    }
}
