//! What is remembered of a number.

use reserveflow::db::call_backs::insert_call_back;
use reserveflow::db::consents::{self, Consent};
use reserveflow::db::effect::Turn;
use reserveflow::db::guests::{Caller, Draft, Remembered, find, find_callers, remember};
use reserveflow::db::session_ends::{SessionEndRow, insert_session_end};
use reserveflow::menu::files::Version;

use crate::support::lodging::msisdn;
use crate::support::postgres::database;

const NOTHING: Remembered<'static> = Remembered {
    msisdn: "",
    language: None,
    name: None,
    places: &[],
    draft: None,
    closes: false,
};

#[tokio::test]
async fn a_number_is_remembered_with_its_last_three_places() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let (asha, musa) = (msisdn(1), msisdn(2));
    let both = [musa.clone(), asha.clone()];
    assert_eq!(
        find_callers(&client, &both).await.unwrap(),
        [Caller::default(), Caller::default()]
    );
    let of = |msisdn| Remembered { msisdn, ..NOTHING };
    for places in [
        &["nakuru"][..],
        &["kisumu"],
        &["nakuru"],
        &["nyeri", "thika"],
    ] {
        let places: Vec<_> = places.iter().map(|place| (*place).to_owned()).collect();
        let new = Remembered {
            places: &places,
            ..of(asha.as_str())
        };
        remember(&client, &[new]).await.unwrap();
    }
    let (language, name) = (Some("sw"), Some("Asha"));
    remember(
        &client,
        &[
            Remembered {
                language: Some("en"),
                ..of(musa.as_str())
            },
            Remembered {
                language,
                name,
                ..of(asha.as_str())
            },
        ],
    )
    .await
    .unwrap();
    let version = Version::named("1");
    let consent = |given| Consent {
        msisdn: &asha,
        given,
        channel: "sms:kannel",
        text_version: &version,
    };
    assert!(consents::record(&client, &consent(false)).await.unwrap());
    assert!(!consents::record(&client, &consent(false)).await.unwrap());
    let guest = find(&client, &asha).await.unwrap().unwrap();
    assert_eq!(guest.recent_places, ["nyeri", "thika", "nakuru"]);
    assert_eq!(guest.language.as_deref(), language);
    assert_eq!(guest.name.as_deref(), name);
    assert!(guest.opted_out_at.is_some());
    assert!(consents::record(&client, &consent(true)).await.unwrap());
    let callers = find_callers(&client, &both).await.unwrap();
    let guests: Vec<_> = callers
        .into_iter()
        .map(|caller| caller.guest.unwrap())
        .collect();
    assert_eq!(guests[0].language.as_deref(), Some("en"));
    assert_eq!(
        (&guests[1].name, guests[1].opted_out_at),
        (&guest.name, None)
    );
    assert!(find(&client, &msisdn(3)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_draft_is_offered_for_half_an_hour() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    let asha = [msisdn(1)];
    let of = || Remembered {
        msisdn: asha[0].as_str(),
        ..NOTHING
    };
    let draft = async || find_callers(&client, &asha).await.unwrap().remove(0);
    let kept = |session: &str, is_over| Draft {
        session: session.to_owned(),
        is_over,
        dialogue: vec![0, 255],
    };
    for session in ["x", "y"] {
        let draft = Some(kept(session, false));
        remember(&client, &[Remembered { draft, ..of() }])
            .await
            .unwrap();
    }
    let caller = draft().await;
    assert_eq!((caller.guest, caller.draft), (None, Some(kept("y", false))));
    remember(
        &client,
        &[Remembered {
            closes: true,
            ..of()
        }],
    )
    .await
    .unwrap();
    assert_eq!(draft().await.draft, Some(kept("y", true)));
    client
        .execute(
            "update draft set saved_at = now() - interval '31 minutes'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(draft().await.draft, None);
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
