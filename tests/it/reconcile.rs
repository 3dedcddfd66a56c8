//! `reserveflow reconcile` as a person runs it: statements as each provider's portal exports them, every difference a line,
//! and an exit status that a script can go by.

use std::path::Path;

use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use reserveflow::booking::money::{Currency, Money};
use reserveflow::db::effect::Cause;
use reserveflow::db::payments::settle::{Arrival, Purpose, Settled, Texts, settle};
use reserveflow::db::pool::{PoolSettings, pool};
use tempfile::TempDir;

use crate::support::binary::{Finished, finish, reserveflow};
use crate::support::postgres::sample_database;

/// A provider's statement beside the books.
struct Books {
    provider: &'static str,
    currency: Currency,
    /// Receipt and whole units, as they came in on 20 November.
    ours: &'static [(&'static str, i64)],
    /// As exported, with a row that failed and one that is a fee.
    statement: &'static str,
    /// What is found, in order.
    wanted: &'static [&'static str],
}

const BOOKS: [Books; 3] = [
    Books {
        provider: "daraja",
        currency: Currency::Kes,
        ours: &[("SKJ4X7", 4500), ("SKJ4X8", 9000), ("SKJ4X9", 700)],
        statement: "Account Holder:,Lodging Ltd\n\
            Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance\n\
            SKJ4X7,2026-11-20 10:00:00,Pay Bill,Completed,\"4,500.00\",,9000\n\
            SKJ4X8,2026-11-20 10:01:00,Pay Bill,Completed,\"9,500.00\",,18500\n\
            SKJ4Y1,2026-11-20 10:02:00,Pay Bill,Completed,300.00,,18800\n\
            SKJ4Y1,2026-11-20 10:02:00,Pay Bill,Completed,300.00,,18800\n\
            SKJ4Y2,2026-11-20 10:03:00,Pay Bill,Failed,100.00,,18800\n\
            SKJ4Y3,2026-11-20 10:04:00,Charge,Completed,,-20.00,18780\n",
        wanted: &[
            "amount: SKJ4X8 KES 9500 there, KES 9000 here",
            "missing here: SKJ4Y1 KES 300",
            "twice there: SKJ4Y1 KES 300",
            "unknown there: SKJ4X9 KES 700",
        ],
    },
    Books {
        provider: "mtn_momo",
        currency: Currency::Ugx,
        ours: &[("23503452", 120_000), ("23503453", 80_000)],
        statement: "Id,External id,Date,Status,Type,From,To,Amount,Currency,Fee\n\
            23503452,BK1,2026-11-20T10:00:00,Successful,Debit,256774290781,Lodging,120000,UGX,0\n\
            23503460,BK2,2026-11-20T10:05:00,Failed,Debit,256774290782,Lodging,50000,UGX,0\n\
            23503461,BK3,2026-11-20T10:06:00,Successful,Debit,256774290783,Lodging,65000,UGX,0\n",
        wanted: &[
            "missing here: 23503461 UGX 65000",
            "unknown there: 23503453 UGX 80000",
        ],
    },
    Books {
        provider: "airtel_money",
        currency: Currency::Kes,
        ours: &[("MP261120.1234.L06941", 1000)],
        statement: "Transaction ID,Reference,Date,Transaction Status,Amount\n\
            MP261120.1234.L06941,BK1,20-11-2026 10:00,TS,1000.00\n\
            MP261120.1235.L06942,BK2,20-11-2026 10:01,TF,700\n\
            MP261120.1236.L06943,BK3,20-11-2026 10:02,TS,2500\n",
        wanted: &["missing here: MP261120.1236.L06943 KES 2500"],
    },
];

fn moment() -> DateTime<Utc> {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

async fn came(tables: &Pool, provider: &str, receipt: &str, amount: Money) {
    let arrival = Arrival {
        provider,
        receipt: Some(receipt),
        purpose: Purpose::Reference {
            typed: "room",
            code: None,
        },
        amount,
        paid_at: moment(),
        cause: Cause {
            who: "provider",
            channel: "payment",
            why: "a payment came",
        },
    };
    let client = tables.get().await.unwrap();
    let settled = settle(&client, &arrival, moment(), None, &Texts::default()).await;
    assert_eq!(settled.unwrap(), Settled::Unallocated);
}

fn run(database: &str, books: &Books, statement: &Path) -> Finished {
    finish(
        reserveflow()
            .args(["reconcile", books.provider, "--statement"])
            .arg(statement)
            .args(["--currency", books.currency.code()])
            .args(["--from", "2026-11-20", "--to", "2026-11-20"])
            .env("DATABASE_URL", database),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_difference_of_each_statement_is_printed_and_none_ends_well() {
    let database = sample_database().await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let folder = TempDir::new().unwrap();
    for books in &BOOKS {
        for (receipt, units) in books.ours {
            let amount = Money::from_units(*units, books.currency);
            came(&tables, books.provider, receipt, amount).await;
        }
    }
    let path = folder.path().join("statement.csv");
    for books in &BOOKS {
        let provider = books.provider;
        std::fs::write(&path, books.statement).unwrap();
        let finished = run(&database, books, &path);
        let lines: Vec<_> = finished.printed.lines().collect();
        let (sum, differences) = lines.split_last().unwrap();
        assert_eq!(differences, books.wanted, "{provider}");
        let count = books.wanted.len();
        assert!(
            sum.contains(&format!("{count} differences, 0 faults")),
            "{sum}"
        );
        assert_eq!(finished.status.code(), Some(1), "{provider}");

        // The books as a statement have none.
        let rows = books.ours.iter();
        let rows = rows.map(|(receipt, units)| format!("{receipt},{units}\n"));
        let same = format!("receipt,amount\n{}", rows.collect::<String>());
        std::fs::write(&path, same).unwrap();
        let finished = run(&database, books, &path);
        assert_eq!(finished.status.code(), Some(0), "{}", finished.printed);
        let count = books.ours.len();
        let sum = format!(
            "{count} payments in the statement, {count} in the books, 0 differences, 0 faults\n"
        );
        assert_eq!(finished.printed, sum, "{provider}");
    }

    // What cannot be read names its line, and is no sum of nothing.
    std::fs::write(&path, "receipt,amount\nA,12x\n").unwrap();
    let finished = run(&database, &BOOKS[0], &path);
    assert!(finished.printed.contains("line 2"), "{}", finished.printed);
    assert_eq!(finished.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_does_not_add_up_is_told_without_any_difference() {
    let database = sample_database().await;
    let tables = pool(&database, &PoolSettings::default()).unwrap();
    let client = tables.get().await.unwrap();
    // Written past the service: money without its row in the ledger.
    let stray = "insert into payment (payment_id, provider, receipt, amount, currency, paid_at)
                 values (gen_random_uuid(), 'daraja', 'STRAY1', 100, 'KES', '2026-11-20T10:00:00Z')";
    client.execute(stray, &[]).await.unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("statement.csv");
    std::fs::write(&path, "receipt,amount\nSTRAY1,1\n").unwrap();
    let finished = run(&database, &BOOKS[0], &path);
    assert!(
        finished.printed.contains("broken: "),
        "{}",
        finished.printed
    );
    assert!(
        finished.printed.contains("0 differences, 1 faults"),
        "{}",
        finished.printed
    );
    assert_eq!(finished.status.code(), Some(1));
}
