//! A text is never longer than its measure says, whatever its values are.

use proptest::prelude::*;

use crate::booking::money::{Currency, Money};
use crate::menu::template::{Path, Template};
use crate::menu::value::{Type, Value, Values};
use crate::sms::gsm7;

use super::{languages, today};

const TYPES: [(&str, Type); 5] = [
    ("text", Type::Text(12)),
    ("name", Type::Name),
    ("count", Type::Count(-5, 120)),
    ("date", Type::Date),
    ("money", Type::Money),
];

fn type_of(path: &Path) -> Option<Type> {
    let known = TYPES.iter().find(|(name, _)| *name == path.variable);
    known.map(|(_, of)| *of)
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9 .,€@é^\\[~\n]{0,12}",
        Just("{text}".to_owned()),
        (1..30usize).prop_map(|max| format!("{{text:{max}}}")),
        (1..30usize).prop_map(|max| format!("{{name:{max}}}")),
        Just("{count}".to_owned()),
        "[#a-z€ ]{0,9}\\|[#a-z€ ]{0,9}".prop_map(|forms| format!("{{count|{forms}}}")),
        Just("{date}".to_owned()),
        Just("{money}".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = Values> {
    let money = (0..=999_999_999i64, 0..6usize).prop_map(|(minor, currency)| {
        let currency = Currency::ALL[currency];
        // The declared bound is in whole units.
        let minor = minor.min(9_999_999 * currency.minor_per_unit());
        Value::Money(Money { minor, currency })
    });
    let date = (0..800u64).prop_map(|days| Value::Date(today() + chrono::Days::new(days)));
    (
        any::<String>(),
        any::<String>(),
        -5..=120i64,
        date,
        money,
        prop::collection::vec(any::<bool>(), 5),
    )
        .prop_map(|(text, name, count, date, money, there)| {
            let all = [
                Value::Text(text),
                Value::Text(name),
                Value::Count(count),
                date,
                money,
            ];
            TYPES
                .iter()
                .zip(all)
                .zip(there)
                .filter(|(_, there)| *there)
                .map(|(((name, _), value), _)| ((*name).to_owned(), value))
                .collect()
        })
}

proptest! {
    #[test]
    fn a_filled_text_is_within_its_measure(
        pieces in prop::collection::vec(piece(), 0..8),
        values in values(),
    ) {
        let mut template = Template::parse(&pieces.concat()).unwrap();
        template.bound(&type_of);
        for language in languages() {
            let longest = template.septets_max(&type_of, &language).unwrap();
            let filled = template.fill(&values, None, &Values::new(), &language);
            let septets = gsm7::septets(&filled).unwrap();
            prop_assert!(septets <= longest, "{septets} of {longest}: {filled}");
            let head = template.first_line().fill(&values, None, &Values::new(), &language);
            prop_assert_eq!(Some(head.as_str()), filled.split('\n').next());
        }
    }

    #[test]
    fn any_text_is_a_template_or_a_fault(text in any::<String>()) {
        if let Ok(template) = Template::parse(&text) {
            template.paths().count();
            template.opening();
        }
    }
}

#[test]
fn values_read_as_a_person_writes_them() {
    let [en, sw] = languages().try_into().unwrap();
    let values: Values = [
        ("nights".to_owned(), Value::Count(1)),
        ("day".to_owned(), Value::Date(today())),
        (
            "total".to_owned(),
            Value::Money(Money::from_units(4500, Currency::Kes)),
        ),
        ("lodge".to_owned(), Value::text("Sunset “Lodge”, Nakuru")),
    ]
    .into();
    let fill = |text: &str, language| {
        Template::parse(text)
            .unwrap()
            .fill(&values, None, &Values::new(), language)
    };
    assert_eq!(fill("{nights|# night|# nights}", &en), "1 night");
    assert_eq!(fill("{nights|usiku #|siku #}", &sw), "usiku 1");
    assert_eq!(fill("{day}", &en), "Wed 30 Sep");
    assert_eq!(fill("{day}", &sw), "Jtn 30 Sep");
    assert_eq!(fill("{total}", &en), "KES 4,500");
    assert_eq!(fill("{lodge:14}!", &en), "Sunset \"Lodge\"!");
    assert_eq!(fill("{missing} {total.field}.", &en), " .");
}
