//! A provider's statement against our own entries: every difference, by receipt.

use std::collections::BTreeMap;

use crate::booking::money::{Currency, Money};
use crate::payment::amount;

/// The most rows of a statement.
pub const ROWS_MAX: usize = 1_000_000;

/// One payment, as a statement or as we have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The provider's receipt; empty where we do not know it.
    pub receipt: String,
    /// How much.
    pub amount: Money,
}

/// What is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Money that came and that we do not know of.
    Missing(Entry),
    /// Money that we have written down and that the provider does not know of.
    Unknown(Entry),
    /// Another sum.
    Amount {
        /// Which.
        receipt: String,
        /// In the statement.
        theirs: Money,
        /// In our books.
        ours: Money,
    },
    /// The statement has it twice.
    Twice(Entry),
    /// Ours have no receipt: perhaps one of those missing.
    NoReceipt(Entry),
}

/// A statement that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// A column that is needed has none of its usual names.
    #[error("no column for the {0}: looked for {1}")]
    Column(&'static str, String),
    /// A row's amount cannot be read.
    #[error("line {line}: {text} is not an amount")]
    Amount {
        /// In the file.
        line: u64,
        /// As it stands there.
        text: String,
    },
    /// More than [`ROWS_MAX`] rows.
    #[error("more than {ROWS_MAX} rows")]
    TooLong,
}

/// What providers call the columns, in lower case.
const RECEIPT: &[&str] = &[
    "receipt no.",
    "receipt no",
    "receipt",
    "transactionid",
    "transaction id",
    "financialtransactionid",
    "financial transaction id",
    "airtel_money_id",
    "id",
];
const AMOUNT: &[&str] = &["paid in", "amount", "transaction amount", "credit"];
const STATUS: &[&str] = &["transaction status", "status"];
/// Words of rows whose money has moved.
const MOVED: &[&str] = &["completed", "successful", "success", "ts"];

/// Reads a statement: CSV with a header, receipts and amounts under their usual names, lines before the header left out.
/// Rows without a sum that came in, or of a status that is not one of success, are left out.
///
/// # Errors
/// [`StatementError`] names the line or the column.
pub fn read(source: &str, currency: Currency) -> Result<Vec<Entry>, StatementError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(source.as_bytes());
    let mut columns: Option<(usize, usize, Option<usize>)> = None;
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record?;
        let Some((receipt, sum, status)) = columns else {
            let find = |names: &[&str]| {
                record
                    .iter()
                    .position(|cell| names.contains(&cell.to_lowercase().as_str()))
            };
            columns = find(RECEIPT)
                .zip(find(AMOUNT))
                .map(|(receipt, sum)| (receipt, sum, find(STATUS)));
            continue;
        };
        let moved = status.is_none_or(|status| {
            let word = record.get(status).unwrap_or_default().to_lowercase();
            MOVED.contains(&word.as_str())
        });
        let text = record.get(sum).unwrap_or_default().replace(',', "");
        if !moved || text.is_empty() || text.starts_with('-') {
            continue;
        }
        let amount = amount::parse_text(&text, currency).ok_or_else(|| StatementError::Amount {
            line: record.position().map_or(0, csv::Position::line),
            text: text.clone(),
        })?;
        if amount.minor == 0 {
            continue;
        }
        if entries.len() == ROWS_MAX {
            return Err(StatementError::TooLong);
        }
        entries.push(Entry {
            receipt: record.get(receipt).unwrap_or_default().to_owned(),
            amount,
        });
    }
    match columns {
        Some(_) => Ok(entries),
        None => Err(StatementError::Column(
            "receipt and the amount",
            [RECEIPT, AMOUNT].concat().join(", "),
        )),
    }
}

/// Every difference between a statement and our entries of the same time.
pub fn compare(theirs: &[Entry], ours: &[Entry]) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut open: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in ours {
        if entry.receipt.is_empty() {
            differences.push(Difference::NoReceipt(entry.clone()));
        } else {
            open.insert(&entry.receipt, entry);
        }
    }
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    for entry in theirs {
        if seen.insert(&entry.receipt, ()).is_some() {
            differences.push(Difference::Twice(entry.clone()));
            continue;
        }
        match open.remove(entry.receipt.as_str()) {
            None => differences.push(Difference::Missing(entry.clone())),
            Some(own) if own.amount != entry.amount => differences.push(Difference::Amount {
                receipt: entry.receipt.clone(),
                theirs: entry.amount,
                ours: own.amount,
            }),
            Some(_) => {}
        }
    }
    differences.extend(open.into_values().cloned().map(Difference::Unknown));
    differences
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(receipt: &str, units: i64) -> Entry {
        Entry {
            receipt: receipt.to_owned(),
            amount: Money::from_units(units, Currency::Kes),
        }
    }

    #[test]
    fn a_statement_reads_as_it_is_exported() {
        let source = "Account Holder:,Lodging Ltd\n\
            Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance\n\
            SKJ4X7,2026-11-20 10:00:00,Pay Bill,Completed,\"4,500.00\",,9000\n\
            SKJ4X8,2026-11-20 10:01:00,Pay Bill,Failed,100.00,,9000\n\
            SKJ4X9,2026-11-20 10:02:00,Charge,Completed,,-20.00,8980\n";
        assert_eq!(
            read(source, Currency::Kes).unwrap(),
            [entry("SKJ4X7", 4500)]
        );
        assert!(matches!(
            read("a,b\n1,2\n", Currency::Kes),
            Err(StatementError::Column(..))
        ));
        let odd = read("receipt,amount\nA,12x\n", Currency::Kes).unwrap_err();
        assert!(odd.to_string().contains("line 2"), "{odd}");
    }

    #[test]
    fn each_difference_is_told() {
        let theirs = [entry("A", 1), entry("B", 2), entry("C", 3), entry("C", 3)];
        let ours = [entry("A", 1), entry("C", 4), entry("D", 5), entry("", 6)];
        assert_eq!(
            compare(&theirs, &ours),
            [
                Difference::NoReceipt(entry("", 6)),
                Difference::Missing(entry("B", 2)),
                Difference::Amount {
                    receipt: "C".to_owned(),
                    theirs: Money::from_units(3, Currency::Kes),
                    ours: Money::from_units(4, Currency::Kes),
                },
                Difference::Twice(entry("C", 3)),
                Difference::Unknown(entry("D", 5)),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_statement_is_too_odd(source in "(?s).{0,400}") {
            read(&source, Currency::Kes).ok();
        }

        #[test]
        fn the_same_on_both_sides_has_no_difference(amounts in prop::collection::vec(1..10_000_i64, 0..50)) {
            let entries: Vec<_> = (0..).zip(amounts).map(|(nth, units)| entry(&format!("R{nth}"), units)).collect();
            prop_assert_eq!(compare(&entries, &entries), []);
        }
    }
}
