//! The audit names each thing that does not add up, and repairs nothing.

use chrono::{NaiveDate, Utc};
use deadpool_postgres::{GenericClient, Pool};
use reserveflow::db::audit::{audit, list_differences};
use reserveflow::db::reserve::Reserved;
use uuid::Uuid;

use crate::support::lodging::{Lodge, Wish, stay};
use crate::support::postgres::database;

/// `rule: what`, with the code of the confirmed one written as CODE.
async fn differences(client: &impl GenericClient, code: &str) -> Vec<String> {
    let found = list_differences(client, Utc::now()).await.unwrap();
    let named = found
        .iter()
        .map(|difference| format!("{}: {}", difference.rule, difference.what));
    named.map(|text| text.replace(code, "CODE")).collect()
}

/// What the differences are planted in.
#[derive(Default)]
pub struct Kept {
    property: Uuid,
    first: NaiveDate,
    second: NaiveDate,
    /// The digits of the confirmed one.
    pub code: String,
}

/// A confirmed stay of two nights and a hold, with everything in order.
pub async fn kept(pool: &Pool) -> Kept {
    let property = Lodge::default().insert(pool).await;
    let held = Lodge {
        pay: "prepay",
        name: "Held",
        ..Lodge::default()
    }
    .insert(pool)
    .await;
    let Reserved::Made(made) = Wish::new(property, stay(3, 2), 1).reserve(pool).await else {
        panic!("not made");
    };
    Wish::new(held, stay(3, 1), 2).reserve(pool).await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute(
            "update outbox set kind = 'confirmed' where reservation_id in
                 (select reservation_id from reservation where status = 'confirmed');
             update outbox set kind = 'held' where kind = 'confirmation';
             update property set short_id = lower(name)",
        )
        .await
        .unwrap();
    Kept {
        property,
        first: made.stay.check_in(),
        second: made.stay.check_in().succ_opt().unwrap(),
        code: made.code.digits().to_owned(),
    }
}

/// One way each to spoil it, and what is said then.
pub fn corruptions(kept: &Kept) -> Vec<(String, Vec<String>)> {
    let Kept {
        property,
        first,
        second,
        ..
    } = kept;
    let of = format!("where property_id = '{property}'");
    vec![
        (
            format!("update property_availability set reserved_units = 3 {of} and date = '{first}'"),
            vec![format!("nights without reservation: lake view {first}: counter 3, reservations 1")],
        ),
        (
            format!("update property_availability set reserved_units = 0 {of} and date = '{second}'"),
            vec![format!("reservations without nights: lake view {second}: reservations 1 (CODE), counter 0")],
        ),
        (
            format!("delete from property_availability {of} and date = '{second}'"),
            vec![format!("reservations without nights: lake view {second}: reservations 1 (CODE), counter 0")],
        ),
        (
            format!(
                "alter table property_availability drop constraint property_availability_check;
                 update property_availability set available_units = 0 {of} and date = '{first}'"
            ),
            vec![format!("nights sold twice: lake view {first}: counter 1, units 0")],
        ),
        (
            format!("update reservation set check_out = check_out + 1 {of}"),
            vec![
                format!(
                    "reservations without nights: lake view {}: reservations 1 (CODE), counter 0",
                    second.succ_opt().unwrap()
                ),
                "totals that are not the sum of their nights: CODE: total 900000, nights and fees ".to_owned(),
            ],
        ),
        (
            format!("update reservation set total = total + 1 {of}"),
            vec!["totals that are not the sum of their nights: CODE: total 900001, nights and fees 900000".to_owned()],
        ),
        (
            "delete from outbox where kind = 'confirmed'".to_owned(),
            vec!["confirmed without a message: CODE: confirmed".to_owned()],
        ),
        (
            format!("update reservation set status = 'no_show' {of}; update property_availability set reserved_units = 0 {of}"),
            vec!["state and history differ: CODE: no_show, last event confirmed".to_owned()],
        ),
        (
            format!(
                "insert into reservation_event (reservation_event_id, reservation_id, to_status, who, channel, why)
                     overriding system value values (900, '{property}', 'confirmed', 'host', 'sms', 'a stray');
                 insert into outbox (outbox_id, reservation_id, kind, msisdn, text, expires_at)
                     overriding system value values (901, '{property}', 'changed', '+254712000000', 'a stray', now())"
            ),
            ["event 900", "message 901"].map(|stray| format!("events and messages of no reservation: {stray}")).to_vec(),
        ),
        (
            "update reservation set refund = 5 where status = 'confirmed'".to_owned(),
            vec!["money to go back without a sum: CODE: confirmed, refund 5, refunds of 0".to_owned()],
        ),
        (
            "update reservation set paid = 7 where status = 'confirmed'".to_owned(),
            vec!["what is applied is what reservations have: CODE: 7 on it, 0 in the ledger".to_owned()],
        ),
    ]
}

#[tokio::test]
async fn each_corruption_is_named_and_left_as_it_is() {
    let pool = database().await;
    let kept = kept(&pool).await;
    let mut client = pool.get().await.unwrap();
    assert_eq!(audit(&mut client, Utc::now()).await.unwrap(), []);
    for (corrupt, named) in corruptions(&kept) {
        // Undone for the next one.
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute(&corrupt).await.unwrap();
        // Asked twice: nothing was repaired.
        for _ in 0..2 {
            assert_eq!(
                differences(&transaction, &kept.code).await,
                named,
                "{corrupt}"
            );
        }
        transaction.rollback().await.unwrap();
    }
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute("update reservation set hold_expires_at = now() - interval '1 hour' where status = 'held'", &[])
        .await
        .unwrap();
    let late = differences(&transaction, &kept.code).await;
    assert!(
        late.len() == 1 && late[0].starts_with("holds past their time: "),
        "{late:?}"
    );
}
