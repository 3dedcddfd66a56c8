//! What is remembered of a number.

use std::time::Duration;

use reserveflow::db::call_backs::insert_call_back;
use reserveflow::db::effect::Turn;
use reserveflow::db::guests::{
    Caller, close_draft, find, find_caller, find_draft, opt_in, opt_out, remember_language,
    remember_name, remember_place, save_draft,
};
use reserveflow::db::session_ends::{SessionEndRow, insert_session_end};
use serde_json::json;

use crate::support::lodging::msisdn;
use crate::support::postgres::database;

#[tokio::test]
async fn a_number_is_remembered_with_its_last_three_places() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let asha = msisdn(1);
    assert_eq!(
        find_caller(&client, &asha).await.unwrap(),
        Caller::default()
    );
    for place in ["nakuru", "kisumu", "nakuru", "thika", "nyeri"] {
        remember_place(&client, &asha, place).await.unwrap();
    }
    remember_language(&client, &asha, "sw").await.unwrap();
    remember_name(&client, &asha, "Asha").await.unwrap();
    opt_out(&client, &asha).await.unwrap();
    let guest = find(&client, &asha).await.unwrap().unwrap();
    assert_eq!(guest.recent_places, ["nyeri", "thika", "nakuru"]);
    assert_eq!(guest.language.as_deref(), Some("sw"));
    assert_eq!(guest.name.as_deref(), Some("Asha"));
    assert!(guest.opted_out_at.is_some());
    opt_in(&client, &asha).await.unwrap();
    let caller = find_caller(&client, &asha).await.unwrap();
    assert_eq!(caller.guest.unwrap().opted_out_at, None);
    assert!(find(&client, &msisdn(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_draft_is_offered_for_half_an_hour() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let asha = msisdn(1);
    save_draft(&client, &asha, &json!({"place": "x"}))
        .await
        .unwrap();
    save_draft(&client, &asha, &json!({"place": "y"}))
        .await
        .unwrap();
    let caller = find_caller(&client, &asha).await.unwrap();
    assert_eq!(
        (caller.guest, caller.draft),
        (None, Some(json!({"place": "y"})))
    );
    client
        .execute(
            "update draft set saved_at = now() - interval '31 minutes'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(find_caller(&client, &asha).await.unwrap().draft, None);
    let hour = Duration::from_secs(3600);
    assert!(find_draft(&client, &asha, hour).await.unwrap().is_some());
    close_draft(&client, &asha).await.unwrap();
    assert_eq!(
        find_draft(&client, &asha, hour).await.unwrap(),
        Some(json!({"place": "y", "over": true}))
    );
}

#[tokio::test]
async fn reports_and_wishes_are_kept_once() {
    let pool = database().await;
    let mut client = pool.get().await.unwrap();
    let asha = msisdn(1);
    let end = SessionEndRow {
        aggregator: "africastalking",
        session: "s1",
        msisdn: Some(&asha),
        service_code: "*384*7#",
        operator: None,
        outcome: "completed",
        hops: Some(8),
        duration_ms: Some(61_000),
        cost: Some("KES 0.80"),
        input: Some("1*2"),
        last_reply: None,
        error: None,
    };
    // Told twice, it is kept once; the next dialogue under the same id has an end of its own, and so has another caller's.
    let baraka = msisdn(2);
    let theirs = SessionEndRow {
        msisdn: Some(&baraka),
        ..end.clone()
    };
    for (end, was_live, seconds, kept) in [
        (&end, true, 0, true),
        (&end, false, 0, false),
        (&end, true, 0, false),
        (&theirs, true, 0, true),
        (&end, false, 300, false),
        (&end, true, 300, true),
        (&end, false, 700, true),
    ] {
        client
            .execute(
                "update session_end set at = at - make_interval(secs => $1)",
                &[&f64::from(seconds)],
            )
            .await
            .unwrap();
        let transaction = client.transaction().await.unwrap();
        let inserted = insert_session_end(&transaction, end, was_live)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(inserted, kept, "{was_live} after {seconds} s");
    }
    let turn = Turn {
        door: "africastalking".into(),
        session: "s1".into(),
        position: 3,
    };
    assert!(
        insert_call_back(&client, &turn, &asha, "sw", "town")
            .await
            .unwrap()
    );
    assert!(
        !insert_call_back(&client, &turn, &asha, "sw", "town")
            .await
            .unwrap()
    );
}
