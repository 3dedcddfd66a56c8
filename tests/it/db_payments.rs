//! Money is counted once, applied to what it was sent for, and goes back where it is too much or too late.

use chrono::Utc;
use deadpool_postgres::Pool;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reserveflow::booking::code::Code;
use reserveflow::booking::money::{Currency, Money};
use reserveflow::booking::reservation::Status;
use reserveflow::db::effect::{Cause, Turn};
use reserveflow::db::holds::expire_holds;
use reserveflow::db::payments::attempts::{self, Ask, Asked, Next, Part, ask};
use reserveflow::db::payments::callbacks;
use reserveflow::db::payments::ledger::{list_balances, list_faults};
use reserveflow::db::payments::refunds::{self, Approval};
use reserveflow::db::payments::settle::{Arrival, Purpose, Settled, Texts, find_payable, settle};
use reserveflow::db::payments::unallocated::{self, Given};
use reserveflow::db::reservations::{Cancel, Cancelled, Reservation, cancel, find_cancel_cost};
use reserveflow::db::reserve::Reserved;
use reserveflow::payment::Failure;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::support::lodging::{GUEST, Lodge, Wish, count, kes, reserved, stay, turn};
use crate::support::postgres::database;

const TOLD: Cause<'static> = Cause {
    who: "provider",
    channel: "payment",
    why: "it came",
};
const PAYS: Cause<'static> = Cause {
    who: "guest",
    channel: "ussd",
    why: "pays",
};

async fn lodge(pool: &Pool, units: i32, deposit_percent: i16) -> Uuid {
    let lodge = Lodge {
        units,
        pay: "prepay",
        ..Lodge::default()
    };
    let id = lodge.insert(pool).await;
    let client = pool.get().await.unwrap();
    client
        .execute(
            "update property set deposit_percent = $2 where property_id = $1",
            &[&id, &deposit_percent],
        )
        .await
        .unwrap();
    id
}

async fn hold(pool: &Pool, property: Uuid, number: u32) -> Reservation {
    match Wish::new(property, stay(3, 2), number).reserve(pool).await {
        Reserved::Made(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

async fn prompt(pool: &Pool, reservation: &Reservation, part: Part) -> Asked {
    let asking = Ask {
        reservation_id: reservation.id,
        part,
        provider: "daraja",
        msisdn: &reservation.msisdn,
        minor_per_unit: 100,
        turn: &turn(&Uuid::new_v4().to_string()),
        cause: &PAYS,
    };
    ask(&pool.get().await.unwrap(), &asking).await.unwrap()
}

async fn open_attempt(pool: &Pool, reservation: &Reservation) -> Uuid {
    let client = pool.get().await.unwrap();
    client
        .query_one(
            "select attempt_id from payment_attempt where reservation_id = $1 order by created_at desc limit 1",
            &[&reservation.id],
        )
        .await
        .unwrap()
        .get(0)
}

async fn arrive(
    pool: &Pool,
    purpose: Purpose<'_>,
    receipt: Option<&str>,
    amount: Money,
) -> Settled {
    let arrival = Arrival {
        provider: "daraja",
        receipt,
        purpose,
        amount,
        paid_at: Utc::now(),
        cause: TOLD,
    };
    loop {
        let client = pool.get().await.unwrap();
        let texts = Texts::default();
        let seen = find_payable(&client, purpose).await.unwrap();
        let settled = settle(&client, &arrival, Utc::now(), seen.as_ref(), &texts);
        match settled.await.unwrap() {
            Settled::Moved => {}
            settled => return settled,
        }
    }
}

async fn status(pool: &Pool, reservation: &Reservation) -> (Status, i64, i64) {
    let client = pool.get().await.unwrap();
    let row = client
        .query_one(
            "select status, paid, refund from reservation where reservation_id = $1",
            &[&reservation.id],
        )
        .await
        .unwrap();
    let status: &str = row.get(0);
    (Status::find(status).unwrap(), row.get(1), row.get(2))
}

async fn run_out(pool: &Pool, reservation: &Reservation) {
    let client = pool.get().await.unwrap();
    client
        .execute(
            "update reservation set hold_expires_at = now() - interval '1 second' where reservation_id = $1",
            &[&reservation.id],
        )
        .await
        .unwrap();
    client
        .execute(
            "update payment_attempt set created_at = now() - interval '20 minutes' where reservation_id = $1",
            &[&reservation.id],
        )
        .await
        .unwrap();
    expire_holds(&client, 100).await.unwrap();
}

async fn assert_adds_up(pool: &Pool) {
    let mut client = pool.get().await.unwrap();
    assert_eq!(list_faults(&mut client).await.unwrap(), []);
    let balances = list_balances(&client).await.unwrap();
    let of = |account: &str| {
        let found = balances.iter().filter(|balance| balance.account == account);
        found.map(|balance| balance.amount.minor).sum::<i64>()
    };
    let others = of("unallocated") + of("applied") + of("refund_due") + of("refunded");
    assert_eq!(of("paid"), others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_confirms_once_however_often_and_in_which_order_it_is_told() {
    let pool = database().await;
    let property = lodge(&pool, 20, 0).await;
    // Callback and pay bill's notice name the receipt; the query does not.
    type Told = (bool, Option<&'static str>);
    let orders: [&[Told]; 5] = [
        &[(true, Some("A")), (true, Some("A")), (false, Some("A"))],
        &[(true, None), (true, Some("A")), (false, Some("A"))],
        &[(false, Some("A")), (true, None), (true, Some("A"))],
        &[(true, None), (false, Some("A")), (true, Some("A"))],
        &[(false, Some("A")), (true, Some("A"))],
    ];
    for (number, order) in (1..).zip(orders) {
        let reservation = hold(&pool, property, number).await;
        let asked = prompt(&pool, &reservation, Part::All).await;
        assert!(matches!(asked, Asked::Asked(amount, _) if amount == reservation.total));
        let client = pool.get().await.unwrap();
        client
            .execute(
                "update payment_attempt set due_at = now() where status = 'due'",
                &[],
            )
            .await
            .unwrap();
        let claimed = attempts::claim_due(&client, 10, Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(claimed.len(), 1);
        drop(client);
        let attempt = claimed[0].attempt_id;
        let mut settled = Vec::new();
        for (by_prompt, receipt) in order {
            let receipt = receipt.map(|name| format!("{name}{number}"));
            let purpose = if *by_prompt {
                Purpose::Attempt(attempt)
            } else {
                Purpose::Reference {
                    typed: "x",
                    code: Some(&reservation.code),
                }
            };
            settled.push(arrive(&pool, purpose, receipt.as_deref(), reservation.total).await);
        }
        assert_eq!(settled[0], Settled::Confirmed, "{order:?}");
        assert!(
            settled[1..]
                .iter()
                .all(|settled| *settled == Settled::Again),
            "{order:?} {settled:?}"
        );
        assert_eq!(
            status(&pool, &reservation).await,
            (Status::Confirmed, reservation.total.minor, 0)
        );
    }
    assert_adds_up(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_receipt_twenty_times_at_once_is_one_payment() {
    let pool = database().await;
    let property = lodge(&pool, 2, 0).await;
    let reservation = hold(&pool, property, 1).await;
    prompt(&pool, &reservation, Part::All).await;
    let attempt = open_attempt(&pool, &reservation).await;
    let settled = join_all((0..20).map(|nth| {
        let purpose = if nth % 2 == 0 {
            Purpose::Attempt(attempt)
        } else {
            Purpose::Reference {
                typed: "x",
                code: Some(&reservation.code),
            }
        };
        arrive(&pool, purpose, Some("R1"), reservation.total)
    }))
    .await;
    let confirmed = settled
        .iter()
        .filter(|settled| **settled == Settled::Confirmed);
    assert_eq!(confirmed.count(), 1);
    assert_eq!(count(&pool.get().await.unwrap(), "payment").await, 1);
    assert_adds_up(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_after_expiry_takes_the_nights_again_or_goes_back() {
    let pool = database().await;
    let property = lodge(&pool, 1, 0).await;
    let late = hold(&pool, property, 1).await;
    prompt(&pool, &late, Part::All).await;
    let attempt = open_attempt(&pool, &late).await;
    run_out(&pool, &late).await;
    assert_eq!(status(&pool, &late).await.0, Status::Expired);
    let settled = arrive(&pool, Purpose::Attempt(attempt), Some("L1"), late.total).await;
    assert_eq!(settled, Settled::Confirmed);
    assert_eq!(
        reserved(&pool.get().await.unwrap(), property, late.stay).await,
        [1, 1]
    );

    let other = lodge(&pool, 1, 0).await;
    let gone = hold(&pool, other, 2).await;
    prompt(&pool, &gone, Part::All).await;
    let attempt = open_attempt(&pool, &gone).await;
    run_out(&pool, &gone).await;
    hold(&pool, other, 3).await;
    let settled = arrive(&pool, Purpose::Attempt(attempt), Some("L2"), gone.total).await;
    assert_eq!(settled, Settled::RefundDue);
    assert_eq!(
        status(&pool, &gone).await,
        (Status::RefundDue, 0, gone.total.minor)
    );
    assert_eq!(
        reserved(&pool.get().await.unwrap(), other, gone.stay).await,
        [1, 1]
    );

    // Approved by a person, sent, and the booking is closed.
    let client = pool.get().await.unwrap();
    let open = refunds::list_open(&client).await.unwrap();
    assert_eq!(open.len(), 1);
    let approved = refunds::approve(&client, open[0].refund_id, "asha", 1_000_000).await;
    assert_eq!(approved.unwrap(), Approval::Approved);
    let claimed = refunds::claim_due(&client, 10, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(claimed.len(), 1);
    assert!(
        refunds::end(&client, claimed[0].refund_id, None, "provider")
            .await
            .unwrap()
    );
    assert!(
        !refunds::end(&client, claimed[0].refund_id, None, "provider")
            .await
            .unwrap()
    );
    drop(client);
    assert_eq!(status(&pool, &gone).await.0, Status::Refunded);
    assert_adds_up(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_asks_for_the_rest_and_too_much_goes_back() {
    let pool = database().await;
    let property = lodge(&pool, 9, 20).await;
    let by_hand = |code| Purpose::Reference {
        typed: "by hand",
        code: Some(code),
    };

    let reservation = hold(&pool, property, 1).await;
    let code = &reservation.code;
    assert_eq!(
        arrive(&pool, by_hand(code), Some("P1"), kes(1000)).await,
        Settled::Part
    );
    assert_eq!(status(&pool, &reservation).await.0, Status::Paying);
    assert_eq!(
        arrive(&pool, by_hand(code), Some("P2"), kes(8500)).await,
        Settled::Confirmed
    );
    assert_eq!(
        status(&pool, &reservation).await,
        (Status::Confirmed, 900_000, 50_000)
    );
    // Paid twice: all of the second goes back, the booking stays.
    assert_eq!(
        arrive(&pool, by_hand(code), Some("P3"), kes(9000)).await,
        Settled::RefundDue
    );
    assert_eq!(
        status(&pool, &reservation).await,
        (Status::Confirmed, 900_000, 950_000)
    );

    // A deposit confirms, and the rest may follow.
    let reservation = hold(&pool, property, 2).await;
    let asked = prompt(&pool, &reservation, Part::Deposit).await;
    assert!(matches!(asked, Asked::Asked(amount, _) if amount == kes(1800)));
    assert!(matches!(
        prompt(&pool, &reservation, Part::All).await,
        Asked::Open(_)
    ));
    let attempt = open_attempt(&pool, &reservation).await;
    let settled = arrive(&pool, Purpose::Attempt(attempt), Some("D1"), kes(1800)).await;
    assert_eq!(settled, Settled::Confirmed);
    let settled = arrive(&pool, by_hand(&reservation.code), Some("D2"), kes(7200)).await;
    assert_eq!(settled, Settled::ToppedUp);
    assert_eq!(
        status(&pool, &reservation).await,
        (Status::Confirmed, 900_000, 0)
    );
    assert!(matches!(
        prompt(&pool, &reservation, Part::All).await,
        Asked::Settled(_)
    ));

    // What was paid in part goes back with the hold.
    let reservation = hold(&pool, property, 3).await;
    arrive(&pool, by_hand(&reservation.code), Some("H1"), kes(100)).await;
    run_out(&pool, &reservation).await;
    assert_eq!(
        status(&pool, &reservation).await,
        (Status::RefundDue, 0, 10_000)
    );

    // A code that nobody has waits for a person; two have to agree on much.
    let unknown = Purpose::Reference {
        typed: "48217736",
        code: None,
    };
    assert_eq!(
        arrive(&pool, unknown, Some("U1"), kes(50)).await,
        Settled::Unallocated
    );
    let client = pool.get().await.unwrap();
    let waiting = unallocated::list_unallocated(&client).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let payment = waiting[0].payment_id;
    let give = async |by| {
        let code = &reservation.code;
        unallocated::give(&client, payment, code, by, 1000)
            .await
            .unwrap()
    };
    assert_eq!(give("asha").await, Given::NeedsAnother);
    assert_eq!(give("asha").await, Given::NeedsAnother);
    assert_eq!(give("juma").await, Given::Given);
    assert_eq!(give("juma").await, Given::Refused);
    assert!(
        !unallocated::give_back(&client, payment, "asha")
            .await
            .unwrap()
    );

    // Nobody claims it: it goes back when another person agrees.
    assert_eq!(
        arrive(&pool, unknown, Some("U2"), kes(70)).await,
        Settled::Unallocated
    );
    let waiting = unallocated::list_unallocated(&client).await.unwrap();
    let payment = waiting[0].payment_id;
    assert!(
        unallocated::give_back(&client, payment, "asha")
            .await
            .unwrap()
    );
    assert!(
        !unallocated::give_back(&client, payment, "asha")
            .await
            .unwrap()
    );
    let open = refunds::list_open(&client).await.unwrap();
    let refund = open.iter().find(|one| one.code.is_empty()).unwrap();
    assert_eq!(
        (refund.amount, refund.requested_by.as_str()),
        (kes(70), "asha")
    );
    let approve = async |by| {
        refunds::approve(&client, refund.refund_id, by, i64::MAX)
            .await
            .unwrap()
    };
    assert_eq!(approve("asha").await, Approval::Refused);
    assert_eq!(approve("juma").await, Approval::Approved);
    assert!(
        refunds::end(&client, refund.refund_id, None, "juma")
            .await
            .unwrap()
    );
    drop(client);
    assert_adds_up(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_prompt_does_not_undo_a_success_and_three_are_enough() {
    let pool = database().await;
    let property = lodge(&pool, 9, 0).await;
    let reservation = hold(&pool, property, 1).await;
    let mut first = None;
    for _ in 0..3 {
        assert!(matches!(
            prompt(&pool, &reservation, Part::All).await,
            Asked::Asked(..)
        ));
        let client = pool.get().await.unwrap();
        client
            .execute(
                "update payment_attempt set due_at = now() where status = 'due'",
                &[],
            )
            .await
            .unwrap();
        let claimed = attempts::claim_due(&client, 10, Duration::from_secs(60))
            .await
            .unwrap();
        let failed = Next::Failed(Failure::Unreachable);
        assert!(
            attempts::complete(&client, &claimed[0], &failed)
                .await
                .unwrap()
        );
        assert!(
            !attempts::complete(&client, &claimed[0], &failed)
                .await
                .unwrap()
        );
        first.get_or_insert(claimed[0].attempt_id);
    }
    assert!(matches!(
        prompt(&pool, &reservation, Part::All).await,
        Asked::TooOften(_)
    ));
    let settled = arrive(
        &pool,
        Purpose::Attempt(first.unwrap()),
        Some("S1"),
        reservation.total,
    )
    .await;
    assert_eq!(settled, Settled::Confirmed);
    assert_adds_up(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_only_added_to() {
    let pool = database().await;
    let property = lodge(&pool, 9, 0).await;
    let reservation = hold(&pool, property, 1).await;
    let purpose = Purpose::Reference {
        typed: "x",
        code: Some(&reservation.code),
    };
    arrive(&pool, purpose, Some("K1"), reservation.total).await;
    let mut client = pool.get().await.unwrap();
    for change in ["update ledger set amount = 1", "delete from ledger"] {
        assert!(client.execute(change, &[]).await.is_err(), "{change}");
    }
    // What is wrong is told by its rule.
    client
        .execute("update reservation set paid = paid - 1", &[])
        .await
        .unwrap();
    let faults = list_faults(&mut client).await.unwrap();
    assert!(
        faults
            .iter()
            .any(|fault| fault.rule == "what is applied is what reservations have")
    );
}

/// One guest's luck with money: what is told of it, how often, in which order, and what else happens meanwhile.
async fn live(pool: &Pool, property: Uuid, number: u32, rng: &mut StdRng) {
    let mut wish = Wish::new(
        property,
        stay(u64::from(number % 300), 1 + (number % 3) as u8),
        number % 90_000,
    );
    wish.session = format!("luck-{number}");
    let Reserved::Made(reservation) = wish.reserve(pool).await else {
        return;
    };
    let total = reservation.total;
    let by_hand = Purpose::Reference {
        typed: "by hand",
        code: Some(&reservation.code),
    };
    let mut attempt = None;
    for step in 0..rng.random_range(1..5) {
        let receipt = format!("{number}-{}", rng.random_range(0..3));
        match rng.random_range(0..12) {
            0..4 => {
                let part = if rng.random() {
                    Part::All
                } else {
                    Part::Deposit
                };
                if let Asked::Asked(..) = prompt(pool, &reservation, part).await {
                    attempt = Some(open_attempt(pool, &reservation).await);
                }
            }
            4..7 => {
                if let Some(attempt) = attempt {
                    let client = pool.get().await.unwrap();
                    let row = client
                        .query_one(
                            "select amount from payment_attempt where attempt_id = $1",
                            &[&attempt],
                        )
                        .await
                        .unwrap();
                    let amount = Money {
                        minor: row.get(0),
                        currency: Currency::Kes,
                    };
                    drop(client);
                    let receipt = rng.random::<bool>().then_some(receipt.as_str());
                    for _ in 0..rng.random_range(1..3) {
                        arrive(pool, Purpose::Attempt(attempt), receipt, amount).await;
                    }
                }
            }
            7 => {
                arrive(pool, by_hand, Some(&receipt), total).await;
            }
            8 => {
                let amount = Money {
                    minor: total.minor * rng.random_range(1..30) / 10,
                    ..total
                };
                arrive(pool, by_hand, Some(&format!("{number}-odd-{step}")), amount).await;
            }
            9 => {
                let mistyped = Purpose::Reference {
                    typed: "1234",
                    code: None,
                };
                arrive(pool, mistyped, Some(&format!("{number}-lost")), total).await;
            }
            10 => run_out(pool, &reservation).await,
            _ => {
                let client = pool.get().await.unwrap();
                let cost = find_cancel_cost(&client, reservation.id, Utc::now())
                    .await
                    .unwrap();
                let cancelling = Cancel {
                    id: reservation.id,
                    at: Utc::now(),
                    cost_shown: cost.unwrap_or(0),
                    turn: &Turn {
                        door: "test".into(),
                        session: format!("{number}"),
                        position: step,
                    },
                    cause: &GUEST,
                    drafts: &[],
                };
                let cancelled = cancel(&client, &cancelling).await.unwrap();
                assert!(!matches!(cancelled, Cancelled::NotFound));
            }
        }
    }
    if rng.random() {
        let client = pool.get().await.unwrap();
        let due = client
            .query(
                "select refund_id from refund where reservation_id = $1 and status = 'requested'",
                &[&reservation.id],
            )
            .await
            .unwrap();
        for row in due {
            refunds::approve(&client, row.get(0), "asha", i64::MAX)
                .await
                .unwrap();
            refunds::end(&client, row.get(0), None, "provider")
                .await
                .unwrap();
        }
    }
    assert!(Code::parse(&reservation.code.to_string()).is_ok());
}

/// Guests whose money takes random ways. Set `RESERVEFLOW_MONEY_SEED` to go through another run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bookings_with_random_faults_add_up() {
    const BOOKINGS: u32 = 10_000;
    const AT_ONCE: u32 = 8;
    let seed = std::env::var("RESERVEFLOW_MONEY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let pool = database().await;
    let mut lodges = Vec::new();
    for nth in 0..8 {
        lodges.push(lodge(&pool, 400, 10 * nth).await);
    }
    let lodges = &lodges;
    let pool = &pool;
    let started = std::time::Instant::now();
    join_all((0..AT_ONCE).map(|worker| async move {
        for number in (worker..BOOKINGS).step_by(AT_ONCE as usize) {
            let mut rng = StdRng::seed_from_u64(seed ^ u64::from(number) << 8);
            live(
                pool,
                lodges[number as usize % lodges.len()],
                number,
                &mut rng,
            )
            .await;
        }
    }))
    .await;
    eprintln!("{:?}", started.elapsed());
    let client = pool.get().await.unwrap();
    let payments = count(&client, "payment").await;
    assert!(payments > i64::from(BOOKINGS) / 3, "{payments}");
    drop(client);
    assert_adds_up(pool).await;
}

#[tokio::test]
async fn what_a_provider_posted_is_never_changed_and_its_outcome_is_noted_once() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let kept = callbacks::insert(&client, "daraja", "result", "", b"{}").await;
    let kept = kept.unwrap();
    for change in [
        "update payment_callback set body = 'x'",
        "update payment_callback set provider = 'other', applied_at = now(), outcome = 'heard'",
        "update payment_callback set received_at = now() - interval '1 day'",
        "delete from payment_callback",
        "truncate payment_callback",
    ] {
        let error = client.batch_execute(change).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::RESTRICT_VIOLATION),
            "{change}"
        );
    }
    callbacks::applied(&client, kept, "heard").await.unwrap();
    let again = "update payment_callback set outcome = 'paid'";
    assert!(client.batch_execute(again).await.is_err());
    let client = pool.get().await.unwrap();
    let row = client
        .query_one("select body, outcome from payment_callback", &[])
        .await
        .unwrap();
    let kept: (Vec<u8>, String) = (row.get(0), row.get(1));
    assert_eq!(kept, (b"{}".to_vec(), "heard".to_owned()));
}
