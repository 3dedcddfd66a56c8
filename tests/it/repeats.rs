//! The same call again, at once, late, on another instance: one effect and one text.

use std::ops::Range;

use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use reserveflow::session::store::{Dialogue, Identity, Opened, SessionKey, TurnEnd};

use crate::support::app::{TestApp, at, form, msisdn, noon, session_id, today};
use crate::support::background;
use crate::support::postgres::sample_database;
use crate::support::stores::stores;

/// From dialling to the booking of a room in Nakuru for the night after next.
fn answers() -> Vec<String> {
    let day = (today() + chrono::Days::new(2)).format("%d%m").to_string();
    ["1", "Nakuru", &day, "1", "2", "1", "Amina", "1"]
        .map(str::to_owned)
        .to_vec()
}

fn transcript(answers: &[String], hop: usize) -> String {
    answers[..hop].join("*")
}

async fn reservations(app: &TestApp) -> i64 {
    app.count("select count(*) from reservation").await
}

/// Two instances on one database and one Redis.
fn two_instances() -> [TestApp; 2] {
    let stores = stores();
    background(async move {
        let database = sample_database().await;
        [
            TestApp::on(noon(), "", &database, &stores.redis).await,
            TestApp::on(noon(), "", &database, &stores.redis).await,
        ]
    })
}

#[tokio::test]
async fn every_call_three_times_reads_the_same_and_books_once() {
    let app = TestApp::start("");
    let (session, phone, answers) = (session_id(), "+254711000201", answers());
    let mut last = String::new();
    for hop in 0..=answers.len() {
        let text = transcript(&answers, hop);
        last = app.call(&session, phone, &text).await;
        for _ in 0..2 {
            assert_eq!(app.call(&session, phone, &text).await, last, "{text}");
        }
    }
    assert!(last.starts_with("END BOOKED "), "{last}");
    assert_eq!(reservations(&app).await, 1);
    assert_eq!(app.count("select count(*) from outbox").await, 2);
    app.stop().await;
}

#[tokio::test]
async fn a_confirmation_fifty_times_at_once_books_once() {
    let app = TestApp::start("");
    let (session, phone, answers) = (session_id(), "+254711000202", answers());
    let before: Vec<&str> = answers[..answers.len() - 1]
        .iter()
        .map(String::as_str)
        .collect();
    app.dialogue(&session, phone, &before).await;
    let text = answers.join("*");
    let replies = join_all((0..50).map(|_| app.call(&session, phone, &text))).await;
    assert!(replies[0].starts_with("END BOOKED "), "{}", replies[0]);
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(reservations(&app).await, 1);
    let kinds = "select count(*) from outbox where kind = 'confirmed' and msisdn = '+254711000202'";
    assert_eq!(app.count(kinds).await, 1);
    assert_eq!(
        app.count("select count(*) from outbox where kind = 'host_booked'")
            .await,
        1
    );
    assert_eq!(app.count("select count(*) from outbox").await, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_an_aggregator_kept_back_for_minutes_do_nothing_and_harm_nobody() {
    const STALE: usize = 60;
    const LIVE: usize = 3;
    let before = TestApp::start("");
    let answers = answers();
    let asked = &answers[..answers.len() - 1];
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let phone = |number: usize| format!("+2547112{number:05}");
    let waiting = async |app: &TestApp, numbers: Range<usize>| {
        let guests: Vec<_> = numbers
            .map(|number| (session_id(), phone(number)))
            .collect();
        for (session, phone) in &guests {
            app.dialogue(session, phone, &asked).await;
        }
        guests
    };
    let stale = waiting(&before, 0..STALE).await;
    let (database, redis) = (before.database_url.clone(), before.redis_url.clone());
    let later = TestApp::on(at("12:03:01"), "", &database, &redis).await;
    let live = waiting(&later, STALE..STALE + LIVE).await;
    let text = answers.join("*");
    let calls = stale.iter().chain(&live);
    let calls = calls.map(|(session, phone)| later.call(session, phone, &text));
    let screens = join_all(calls).await;
    let (late, booked) = screens.split_at(STALE);
    for screen in late {
        assert!(screen.starts_with("END Your time is over."), "{screen}");
    }
    for screen in booked {
        assert!(screen.starts_with("END BOOKED "), "{screen}");
    }
    assert_eq!(reservations(&later).await, LIVE as i64);
    // Nothing is lost either: who dials anew goes on there.
    let again = later.call(&session_id(), &stale[0].1, "").await;
    assert!(again.contains("Continue"), "{again}");
    before.stop().await;
    later.stop().await;
}

#[tokio::test]
async fn an_overtaken_call_gets_its_own_answer_and_the_dialogue_goes_on() {
    let app = TestApp::start("");
    let (session, phone, answers) = (session_id(), "+254711000203", answers());
    let mut seen = Vec::new();
    for hop in 0..=answers.len() {
        seen.push(app.call(&session, phone, &transcript(&answers, hop)).await);
        for (earlier, reply) in seen.iter().enumerate() {
            let again = app
                .call(&session, phone, &transcript(&answers, earlier))
                .await;
            assert_eq!(again, *reply, "{earlier} after {hop}");
        }
    }
    assert!(seen[answers.len()].starts_with("END BOOKED "));
    assert_eq!(reservations(&app).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn another_phone_in_the_same_session_sees_nothing_of_the_first() {
    let app = TestApp::start("");
    let (session, answers) = (session_id(), answers());
    let (first, second) = ("+254711000204", "+254711000205");
    for hop in 0..answers.len() {
        app.call(&session, first, &transcript(&answers, hop)).await;
    }
    let fresh = app.call(&session_id(), "+254711000206", "").await;
    assert_eq!(app.call(&session, second, "").await, fresh);
    let town = app.call(&session, second, "1").await;
    assert!(town.contains("Type the town"), "{town}");
    // Its word to the first phone's question is no confirmation: it never saw the price.
    let other = app
        .call(&session, "+254711000207", &answers.join("*"))
        .await;
    assert!(
        other.starts_with("CON ") && !other.contains("BOOKED"),
        "{other}"
    );
    assert_eq!(reservations(&app).await, 0);
    let booked = app.call(&session, first, &answers.join("*")).await;
    assert!(booked.starts_with("END BOOKED "), "{booked}");
    assert_eq!(reservations(&app).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_session_that_has_ended_is_kept_once_and_not_woken_up() {
    let app = TestApp::start("");
    let (session, phone, answers) = (session_id(), "+254711000208", answers());
    let mut seen = Vec::new();
    for hop in 0..answers.len() {
        seen.push(app.call(&session, phone, &transcript(&answers, hop)).await);
    }
    let url = format!("{}/ussd/africastalking/demo/events", app.public);
    let mut end = form(&session, phone, "");
    end.retain(|(name, _)| *name != "text");
    end.extend([
        ("status", "Incomplete"),
        ("hopsCount", "8"),
        ("durationInMillis", "61000"),
    ]);
    for _ in 0..2 {
        assert_eq!(app.post(&url, &end).await.status(), 200);
    }
    assert_eq!(app.count("select count(*) from session_end").await, 1);
    let late = app.call(&session, phone, &answers.join("*")).await;
    assert!(
        late.starts_with("END ") && late.contains("Nothing more was booked"),
        "{late}"
    );
    assert_eq!(reservations(&app).await, 0);
    // What was answered before is still the answer.
    let text = transcript(&answers, 3);
    assert_eq!(app.call(&session, phone, &text).await, seen[3]);
    app.stop().await;
}

#[tokio::test]
async fn one_confirmation_at_two_instances_at_once_books_once() {
    let apps = two_instances();
    let answers = answers();
    let text = answers.join("*");
    for round in 0..5 {
        let (session, phone) = (session_id(), format!("+25471100021{round}"));
        let before: Vec<&str> = answers[..answers.len() - 1]
            .iter()
            .map(String::as_str)
            .collect();
        apps[round % 2].dialogue(&session, &phone, &before).await;
        let both = apps.each_ref().map(|app| app.call(&session, &phone, &text));
        let replies = join_all(both).await;
        assert!(replies[0].starts_with("END BOOKED "), "{}", replies[0]);
        assert_eq!(replies[0], replies[1]);
        assert_eq!(
            reservations(&apps[0]).await,
            i64::try_from(round).unwrap() + 1
        );
    }
    for app in apps {
        app.stop().await;
    }
}

#[tokio::test]
async fn a_dialogue_may_hop_between_instances() {
    let apps = two_instances();
    let answers = answers();
    let mut random = SmallRng::seed_from_u64(7);
    for number in 0..5 {
        let (session, phone) = (session_id(), format!("+25471100022{number}"));
        let mut last = String::new();
        for hop in 0..=answers.len() {
            let text = transcript(&answers, hop);
            let app = apps.choose(&mut random).unwrap();
            last = app.call(&session, &phone, &text).await;
            let app = apps.choose(&mut random).unwrap();
            assert_eq!(app.call(&session, &phone, &text).await, last, "{text}");
        }
        assert!(last.starts_with("END BOOKED "), "{last}");
    }
    assert_eq!(reservations(&apps[1]).await, 5);
    for app in apps {
        app.stop().await;
    }
}

#[tokio::test]
async fn a_dialogue_replayed_after_hours_has_no_effect_and_shows_nothing() {
    let app = TestApp::start("");
    let (session, phone, answers) = (session_id(), "+254711000231", answers());
    let calls: Vec<String> = (0..=answers.len())
        .map(|hop| transcript(&answers, hop))
        .collect();
    for text in &calls {
        app.call(&session, phone, text).await;
    }
    assert_eq!(reservations(&app).await, 1);
    // Hours later nothing of it is in Redis; Postgres remembers.
    let key = SessionKey::new("africastalking", &session, Some(&msisdn(phone)));
    app.lose(&key).await;
    let aged = "with a as (update draft set saved_at = saved_at - interval '3 hours'),
                     b as (update reservation set created_at = created_at - interval '3 hours' returning 1)
                select count(*) from b";
    assert_eq!(app.count(aged).await, 1);
    for text in &calls[1..] {
        let replayed = app.call(&session, phone, text).await;
        assert!(replayed.starts_with("END Your time is over."), "{replayed}");
    }
    assert_eq!(reservations(&app).await, 1);
    assert_eq!(app.count("select count(*) from outbox").await, 2);
    app.stop().await;
}

#[tokio::test]
async fn two_live_dialogues_of_one_phone_do_not_mix() {
    let app = TestApp::start("");
    let (sessions, phone) = ([session_id(), session_id()], "+254711000232");
    let (one, mut other) = (answers(), answers());
    other[1] = "Kisumu".to_owned();
    for hop in 0..7 {
        app.call(&sessions[0], phone, &transcript(&one, hop)).await;
        app.call(&sessions[1], phone, &transcript(&other, hop))
            .await;
    }
    let screens = [(&sessions[0], &one), (&sessions[1], &other)].map(|(session, answers)| {
        let app = &app;
        async move {
            app.call(session, phone, &transcript(answers, 7)).await;
            app.call(session, phone, &answers.join("*")).await
        }
    });
    let screens = join_all(screens).await;
    assert!(
        screens
            .iter()
            .all(|screen| screen.starts_with("END BOOKED ")),
        "{screens:?}"
    );
    let towns =
        "select count(distinct p.town) from reservation r join property p using (property_id)";
    assert_eq!(app.count(towns).await, 2);
    app.stop().await;
}

#[tokio::test]
async fn a_key_that_comes_three_times_confirms_nothing() {
    let database = background(sample_database());
    let stores = stores();
    let config = "care_phone: \"+254709000000\"\nservice_codes: [\"*384*7#\"]\npublic: 127.0.0.1:0\nprivate: 127.0.0.1:0\n\
        limits: { calls_per_minute: 0 }\naggregators: { africastalking: { tokens: [demo] } }\n";
    let app =
        background(
            async move { TestApp::configured(noon(), config, &database, &stores.redis).await },
        );
    let (session, phone) = (session_id(), "+254711000233");
    let answers = answers();
    // Known by name, so that the room's key and the confirmation's are one after the other.
    let first: Vec<&str> = ["1", "Nakuru", &answers[2], "1", "2", "1", "Amina"].to_vec();
    app.dialogue(&session_id(), phone, &first).await;
    crate::support::eventually("the name", async || {
        let sql = "select count(*) from guest where name = 'Amina'";
        (app.count(sql).await == 1).then_some(())
    })
    .await;
    // New, a room, the last place, the day, one night, two people, the first room.
    let to_confirm = ["2", "1", "1", &answers[2], "1", "2", "1"];
    let asked = app.dialogue(&session, phone, &to_confirm).await;
    assert!(asked.contains("1 Yes, book"), "{asked}");
    let again = app
        .call(&session, phone, &format!("{}*1", to_confirm.join("*")))
        .await;
    let thrice = app
        .call(&session, phone, &format!("{}*1*1", to_confirm.join("*")))
        .await;
    for screen in [&again, &thrice] {
        assert!(
            screen.starts_with("CON ") && screen.contains("1 Yes, book"),
            "{screen}"
        );
    }
    assert_eq!(reservations(&app).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_claim_from_before_redis_was_emptied_holds_no_more() {
    let app = TestApp::start("");
    let key = SessionKey::new("africastalking", &session_id(), None);
    let turn = Identity::transcript("1");
    let claim = async || match app.app.store.open(&key, &turn, chrono::Utc::now()).await {
        Opened::Claimed { token, .. } => token,
        other => panic!("{other:?}"),
    };
    let before = claim().await;
    app.lose(&key).await;
    let after = claim().await;
    assert_ne!(before, after);
    let end = || TurnEnd {
        dialogue: Dialogue::default(),
        begins: false,
    };
    assert!(!app.app.store.commit(&key, before, end()).await);
    assert!(app.app.store.commit(&key, after, end()).await);
    app.stop().await;
}
