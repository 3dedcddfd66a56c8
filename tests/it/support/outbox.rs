//! Messages to be sent that no booking wrote.

use chrono::{TimeDelta, Utc};
use deadpool_postgres::Client;
use uuid::Uuid;

/// Writes one that is of use for six hours.
pub async fn insert(client: &Client, kind: &str, number: &str, text: &str) -> i64 {
    let inserted = insert_for(client, None, kind, number, text).await;
    inserted.unwrap()
}

/// The same about a reservation; `None` where that has one of this kind to this number.
pub async fn insert_for(
    client: &Client,
    reservation: Option<Uuid>,
    kind: &str,
    number: &str,
    text: &str,
) -> Option<i64> {
    let expires_at = Utc::now() + TimeDelta::hours(6);
    client
        .query_opt(
            "insert into outbox (reservation_id, kind, msisdn, text, expires_at)
             values ($1, $2, $3, $4, $5) on conflict do nothing returning outbox_id",
            &[&reservation, &kind, &number, &text, &expires_at],
        )
        .await
        .unwrap()
        .map(|row| row.get(0))
}
