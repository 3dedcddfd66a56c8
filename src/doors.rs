//! How much of a screen each aggregator and each operator behind it shows, and which keys they keep to themselves: one
//! table. What the settings do not say comes from the aggregators' own documents.

use serde::Deserialize;

use crate::menu::door::{Door, DoorKeys, Keys, SEPTETS_USUAL};
use crate::ussd::smpp::Smpp;
use crate::ussd::{self, AGGREGATORS, Aggregator};

/// The shortest screen that a menu can be shown on, in septets.
pub const SEPTETS_MIN: usize = 80;
/// The longest that any phone shows. Source: 3GPP TS 23.038 §6.1.2.3, 160 octets.
pub const SEPTETS_MAX: usize = 182;

/// A row of `screens:` in the settings. Later rows stand above earlier ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorConfig {
    /// Which aggregator; every one if not said.
    pub aggregator: Option<String>,
    /// Which operator behind it, as the aggregator names it; every one if not said.
    pub operator: Option<String>,
    /// Septets of a screen.
    pub septets: Option<usize>,
    /// Keys that stand instead of the flow's.
    #[serde(default)]
    pub keys: DoorKeys,
}

impl DoorConfig {
    /// What is wrong with the row, in a sentence.
    pub fn unsound(&self) -> Option<String> {
        if let Some(name) = self
            .aggregator
            .as_ref()
            .filter(|name| ussd::find(name).is_none() && **name != Smpp.name())
        {
            return Some(format!("knows no aggregator '{name}'"));
        }
        if self.operator.is_some() && self.aggregator.is_none() {
            return Some("needs an aggregator with its operator".to_owned());
        }
        if self
            .septets
            .is_some_and(|septets| !(SEPTETS_MIN..=SEPTETS_MAX).contains(&septets))
        {
            return Some(format!(
                "has septets between {SEPTETS_MIN} and {SEPTETS_MAX}"
            ));
        }
        let key = self.keys.over(Keys::default()).unsound()?;
        Some(format!(
            "cannot have the key '{key}': 0 to 999 or 00, each once"
        ))
    }
}

/// Every door.
#[derive(Debug)]
pub struct Doors(Vec<(&'static str, Option<String>, Door)>);

impl Doors {
    /// The doors of every aggregator, with what these rows say of them.
    pub fn new(rows: &[DoorConfig]) -> Doors {
        let mut doors = Vec::new();
        let smpp: &dyn Aggregator = &Smpp;
        for aggregator in AGGREGATORS.iter().copied().chain([smpp]) {
            let name = aggregator.name();
            let of = |operator: Option<&str>| {
                let mut door = Door::new(name, aggregator.septets_max().min(SEPTETS_USUAL));
                if let Some(operator) = operator {
                    door.name = format!("{name} {operator}");
                }
                for row in rows {
                    let own = row.aggregator.as_deref().is_none_or(|own| own == name);
                    let its = row.operator.as_deref().is_none_or(|its| {
                        operator.is_some_and(|operator| operator.eq_ignore_ascii_case(its))
                    });
                    if own && its {
                        row.change(&mut door);
                    }
                }
                door
            };
            doors.push((name, None, of(None)));
            let operators = rows
                .iter()
                .filter(|row| row.aggregator.as_deref() == Some(name));
            for operator in operators.filter_map(|row| row.operator.as_deref()) {
                doors.push((name, Some(operator.to_owned()), of(Some(operator))));
            }
        }
        Doors(doors)
    }

    /// The door of an aggregator's operator; of the aggregator, where nothing is known of the operator.
    pub fn find(&self, aggregator: &str, operator: Option<&str>) -> &Door {
        let of = |wanted: Option<&str>| {
            self.0.iter().find(|(name, operator, _)| {
                *name == aggregator
                    && match (operator.as_deref(), wanted) {
                        (Some(operator), Some(wanted)) => operator.eq_ignore_ascii_case(wanted),
                        (operator, wanted) => operator == wanted,
                    }
            })
        };
        let found = operator
            .and_then(|operator| of(Some(operator)))
            .or_else(|| of(None));
        &found.unwrap_or(&self.0[0]).2
    }

    /// One of each kind, for a menu to be proven behind: every size of screen with every set of keys.
    pub fn kinds(&self) -> Vec<Door> {
        let mut kinds: Vec<Door> = Vec::new();
        for (_, _, door) in &self.0 {
            let alike =
                |kind: &Door| (kind.septets_max, &kind.keys) == (door.septets_max, &door.keys);
            if !kinds.iter().any(alike) {
                kinds.push(door.clone());
            }
        }
        kinds
    }
}

impl DoorConfig {
    fn change(&self, door: &mut Door) {
        door.septets_max = self.septets.unwrap_or(door.septets_max);
        let keys = self.keys.clone();
        let own = std::mem::take(&mut door.keys);
        door.keys = DoorKeys {
            back: keys.back.or(own.back),
            home: keys.home.or(own.home),
            more: keys.more.or(own.more),
            previous: keys.previous.or(own.previous),
        };
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn rows(source: &str) -> Vec<DoorConfig> {
        serde_saphyr::from_str(source).unwrap()
    }

    #[test]
    fn each_aggregator_shows_what_its_documents_say() {
        let doors = Doors::new(&[]);
        for (name, septets) in [
            ("nalo", 120),
            ("mnotify", 150),
            ("africastalking", 160),
            ("hollatags", 160),
        ] {
            assert_eq!(doors.find(name, Some("MTN")).septets_max, septets, "{name}");
        }
        let sizes: Vec<_> = doors.kinds().iter().map(|door| door.septets_max).collect();
        assert_eq!(sizes, [160, 120, 150]);
    }

    #[test]
    fn a_later_row_stands_above_an_earlier_one_and_an_operator_above_its_aggregator() {
        let doors = Doors::new(&rows(
            "[{ septets: 140 }, { aggregator: africastalking, septets: 160, keys: { more: '97', home: '96' } }, \
             { aggregator: africastalking, operator: '63903', septets: 182 }]",
        ));
        let at = |operator| doors.find("africastalking", operator);
        assert_eq!(doors.find("nalo", None).septets_max, 140);
        assert_eq!(
            (at(None).septets_max, at(Some("63902")).septets_max),
            (160, 160)
        );
        assert_eq!(
            (
                at(Some("63903")).septets_max,
                at(Some("63903")).name.as_str()
            ),
            (182, "africastalking 63903")
        );
        assert_eq!(
            at(Some("63903")).keys.over(Keys::default()).all(),
            ["0", "96", "97", "99"]
        );
    }

    #[test]
    fn a_row_that_cannot_be_is_refused_with_a_sentence() {
        for (row, why) in [
            ("{ aggregator: nobody }", "knows no aggregator"),
            ("{ operator: MTN }", "needs an aggregator"),
            ("{ septets: 79 }", "between 80 and 182"),
            ("{ septets: 183 }", "between 80 and 182"),
            ("{ keys: { more: '0' } }", "the key '0'"),
            ("{ keys: { back: '#' } }", "the key '#'"),
            ("{ keys: { back: '07' } }", "the key '07'"),
            ("{ septets: 80, keys: { home: '000' } }", "the key '000'"),
        ] {
            let row: DoorConfig = serde_saphyr::from_str(row).unwrap();
            assert!(
                row.unsound().unwrap().contains(why),
                "{why}: {:?}",
                row.unsound()
            );
        }
    }
}
