//! Properties and their calendars over HTTP.

use std::collections::BTreeSet;

use chrono::Days;
use reqwest::Method;
use reserveflow::booking::stay::Stay;
use serde_json::{Value, json};

use crate::api::{ask, get, problem, request, start};
use crate::support::app::{TestApp, noon, today};
use crate::support::eventually;
use crate::support::lodging::{Lodge, Wish, kes};
use crate::support::proxy::{Proxy, Weather};

/// Every read is our own.
const UNSHARED: &str = "api: { requests_per_minute: 0, shared_ms: 0 }\n";

fn properties(data: &Value) -> &Vec<Value> {
    data["properties"].as_array().unwrap()
}

/// A stay that begins so many days after today in Nairobi.
fn stay(days: u64, nights: u8) -> Stay {
    Stay::new(today() + Days::new(days), nights).unwrap()
}

async fn short_id(app: &TestApp, id: uuid::Uuid) -> String {
    let client = app.pool.get().await.unwrap();
    let sql = "select short_id from property where property_id = $1";
    client.query_one(sql, &[&id]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_carries_a_month_with_price_and_units_of_each_night() {
    let app = start(UNSHARED).await;
    let lodge = Lodge {
        name: "Own",
        units: 2,
        ..Lodge::default()
    };
    let id = lodge.insert(&app.pool).await;
    let short = short_id(&app, id).await;
    let (before, metadata) = ask(&app, &format!("/properties/{short}")).await;
    assert_eq!(before["name"], "Own");
    assert_eq!(before["price_per_night"], 4500);
    assert_eq!(before["price_per_night_minor"], 450_000);
    assert_eq!(
        (&before["currency"], &before["minor_per_unit"]),
        (&json!("KES"), &json!(100))
    );
    assert_eq!(before["available_dates"].as_array().unwrap().len(), 30);
    assert_eq!(before["available_dates"][0], json!(today()));
    let night = json!({"date": today(), "price_minor": 450_000, "units_left": 2});
    assert_eq!(before["calendar"][0], night);
    assert_eq!(metadata["version"], before["version"]);
    assert_eq!(metadata["cache_ttl"], 30);

    // Two guests take all of two nights.
    let first = stay(3, 2);
    for number in [1, 2] {
        Wish::new(id, first, number).reserve(&app.pool).await;
    }
    let (after, _) = ask(&app, &format!("/properties/{short}")).await;
    assert!(after["version"].as_i64() > before["version"].as_i64());
    assert_eq!(after["available_dates"].as_array().unwrap().len(), 28);
    assert_eq!(after["calendar"][3]["units_left"], 0);
    assert_eq!(after["calendar"][5]["units_left"], 2);
    let (again, _) = ask(&app, &format!("/properties/{short}")).await;
    assert_eq!(again["version"], after["version"]);

    // A month that is far is believed longer.
    let from = today() + Days::new(40);
    let (later, metadata) = ask(&app, &format!("/properties/{short}?from={from}&days=62")).await;
    assert_eq!(later["calendar"].as_array().unwrap().len(), 62);
    assert_eq!(later["calendar"][0]["date"], json!(from));
    assert_eq!(metadata["cache_ttl"], 3600);
    problem(get(&app, "/properties/prop_nobody").await, 404).await;

    // What is closed is no longer there.
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "update property set open = false where property_id = $1",
            &[&id],
        )
        .await
        .unwrap();
    problem(get(&app, &format!("/properties/{short}")).await, 404).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_come_with_all_that_belongs_to_them_and_pages_lose_and_repeat_none() {
    let app = start(UNSHARED).await;
    let (data, _) = ask(&app, "/properties?include=calendar,host,place,policies").await;
    assert_eq!(properties(&data).len(), 50);
    for property in properties(&data) {
        assert_eq!(property["calendar"].as_array().unwrap().len(), 30);
        assert!(property["host"]["phone"].as_str().unwrap().starts_with('+'));
        assert!(property["place"]["latitude"].is_number());
        assert_eq!(property["policies"]["check_in_time"], "14:00");
    }
    let all = app.count("select count(*) from property where open").await;
    for query in [
        "",
        "&near=-1.28,36.82",
        "&near=Nakuru",
        "&check_in=tomorrow&nights=2",
    ] {
        let tomorrow = (today() + Days::new(1)).to_string();
        let query = query.replace("tomorrow", &tomorrow);
        let (mut seen, mut page, mut ranks) = (BTreeSet::new(), String::new(), Vec::new());
        loop {
            let (data, _) = ask(
                &app,
                &format!("/properties?limit=7&fields=distance_metres,stay&page={page}{query}"),
            )
            .await;
            assert!(properties(&data).len() <= 7);
            for property in properties(&data) {
                assert!(
                    seen.insert(property["property_id"].as_str().unwrap().to_owned()),
                    "{property}"
                );
                let rank = property["distance_metres"]
                    .as_i64()
                    .or(property["stay"]["total_minor"].as_i64());
                ranks.push(rank.unwrap_or(0));
            }
            match data["next"].as_str() {
                Some(next) => page = next.to_owned(),
                None => break,
            }
        }
        assert!(ranks.is_sorted(), "{query}: {ranks:?}");
        // The sample lets no property without a free night, and the sandbox takes no money here.
        let prepaid = app
            .count("select count(*) from property where open and pay = 'prepay'")
            .await;
        let expected = if query.contains("check_in") {
            all - prepaid
        } else {
            all
        };
        assert_eq!(i64::try_from(seen.len()).unwrap(), expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_decides_what_is_found() {
    let app = start(UNSHARED).await;
    let client = app.pool.get().await.unwrap();
    client
        .batch_execute("insert into place values ('ke-here', 'town', null, 'Here', 'KE', 'R', 0.5, 35, 1, '{}'),
                            ('ke-here-hill', 'area', 'ke-here', 'Hill', 'KE', 'R', 0.51, 35, 1, '{}')")
        .await
        .unwrap();
    app.app.load_places().await.unwrap();
    let cheap = Lodge {
        name: "Cheap",
        price: 1000,
        ..Lodge::default()
    }
    .insert(&app.pool)
    .await;
    let hill = Lodge {
        name: "Hill",
        price: 3000,
        guests_max: 4,
        ..Lodge::default()
    }
    .insert(&app.pool)
    .await;
    let full = Lodge {
        name: "Full",
        price: 2000,
        units: 1,
        ..Lodge::default()
    }
    .insert(&app.pool)
    .await;
    client
        .execute("update property set town = 'ke-here', area = case when property_id = $1 then 'ke-here-hill' end
                  where property_id = any ($2)", &[&hill, &vec![cheap, hill, full]])
        .await
        .unwrap();
    client
        .execute("update property set min_stay = 2, fees = '[{\"name\": \"Linen\", \"per\": \"stay\", \"amount\": 5000, \"included\": false}]'
                  where property_id = $1", &[&cheap])
        .await
        .unwrap();
    Wish {
        total: kes(2000),
        ..Wish::new(full, stay(2, 1), 1)
    }
    .reserve(&app.pool)
    .await;
    let names = async |query: &str| {
        let (data, _) = ask(&app, &format!("/properties?{query}")).await;
        let names = properties(&data)
            .iter()
            .map(|property| property["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let day = |ahead: u64| today() + Days::new(ahead);
    let (second, third) = (day(2), day(3));
    for (query, expected) in [
        (
            "town=ke-here&near=ke-here-hill&guests=3".to_owned(),
            vec!["Hill"],
        ),
        (
            "town=Here&max_price=1999&near=0.5,35".to_owned(),
            vec!["Cheap"],
        ),
        ("area=ke-here-hill".to_owned(), vec!["Hill"]),
        ("area=Hill,+Here".to_owned(), vec!["Hill"]),
        // One night is too short for one and full at another.
        (format!("town=ke-here&check_in={second}"), vec!["Hill"]),
        (
            format!("town=ke-here&check_in={second}&nights=2"),
            vec!["Cheap", "Hill"],
        ),
        (
            format!("town=ke-here&check_in={third}"),
            vec!["Full", "Hill"],
        ),
        (
            format!("town=ke-here&check_in={third}&max_price=2500"),
            vec!["Full"],
        ),
        (
            format!("town=ke-here&check_in={third}&max_price=1999"),
            vec![],
        ),
    ] {
        assert_eq!(names(&query).await, expected, "{query}");
    }
    let (data, metadata) = ask(
        &app,
        &format!("/properties?town=ke-here&check_in={second}&nights=2&fields=stay,calendar&days=2"),
    )
    .await;
    let stayed = json!({"check_in": second, "check_out": day(4), "total_minor": 205_000});
    assert_eq!(data["properties"][0]["stay"], stayed);
    assert_eq!(data["properties"][0]["calendar"][0]["date"], json!(second));
    assert_eq!(metadata["cache_ttl"], 120);
    let members: Vec<_> = data["properties"][0]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(members, ["calendar", "property_id", "stay", "version"]);
    let (data, _) = ask(
        &app,
        "/properties?town=ke-here&near=ke-here-hill&include=place",
    )
    .await;
    assert_eq!(data["properties"][0]["distance_metres"], 0);
    let away = data["properties"][1]["distance_metres"].as_i64().unwrap();
    assert!((1_100..1_125).contains(&away), "{away}");
    assert_eq!(data["properties"][0]["place"]["town_name"], "Here");
    assert!(data["properties"][0].get("calendar").is_none());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_refused_by_its_name() {
    let app = start(UNSHARED).await;
    let yesterday = today() - Days::new(2);
    for (query, status, word) in [
        ("town=Atlantis", 404, "town"),
        ("near=Atlantis", 404, "near"),
        ("near=91,0", 404, "near"),
        ("nights=0", 400, "nights"),
        ("guests=13", 400, "guests"),
        ("guests=-1", 400, "invalid digit"),
        ("limit=51", 400, "limit"),
        ("days=63", 400, "days"),
        ("max_price=-1", 400, "max_price"),
        ("page=x", 400, "page"),
        ("include=hst", 400, "hst"),
        ("fields=property_id,nme", 400, "nme"),
        ("check_in=2026-02-30", 400, "out of range"),
        (&format!("check_in={yesterday}"), 400, "check_in"),
        (&format!("from={yesterday}"), 400, "from"),
        ("checkin=2026-02-20", 400, "checkin"),
    ] {
        let refused = problem(get(&app, &format!("/properties?{query}")).await, status).await;
        assert!(
            refused["detail"].as_str().unwrap().contains(word),
            "{query}: {refused}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_ask_the_same_at_once_share_one_query_and_are_told_its_age() {
    let app = start("api: { requests_per_minute: 0, shared_ms: 60000 }\n").await;
    let twin = TestApp::on(
        noon(),
        "api: { shared_ms: 60000 }\n",
        &app.database_url,
        &app.redis_url,
    )
    .await;
    // Nobody reads until all have asked.
    let mut client = app.pool.get().await.unwrap();
    let held = client.transaction().await.unwrap();
    held.batch_execute("set local idle_in_transaction_session_timeout = 0; lock table host in access exclusive mode").await.unwrap();
    let asks: Vec<_> = (0..40)
        .map(|number| {
            let app = if number % 2 == 0 { &app } else { &twin };
            tokio::spawn(request(app, Method::GET, "/properties?town=ke-nakuru").send())
        })
        .collect();
    let waiting = eventually("a reader", async || {
        let row = held.query_one("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()", &[]);
        let waiting: i64 = row.await.unwrap().get(0);
        (waiting > 0).then_some(waiting)
    });
    assert_eq!(waiting.await, 1);
    held.rollback().await.unwrap();
    let mut bodies = BTreeSet::new();
    for ask in asks {
        let response = ask.await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        bodies.insert(response.text().await.unwrap());
    }
    assert_eq!(bodies.len(), 1);
    // Also moments later, and at the other instance; never for another question.
    client
        .execute("update property set name = 'Other'", &[])
        .await
        .unwrap();
    for app in [&app, &twin] {
        let text = get(app, "/properties?town=ke-nakuru")
            .await
            .text()
            .await
            .unwrap();
        assert!(bodies.contains(&text));
    }
    let (data, _) = ask(&app, "/properties?town=ke-nakuru&days=1").await;
    assert_eq!(data["properties"][0]["name"], "Other");
    app.stop().await;
    twin.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_the_last_answer_is_shown_as_stale() {
    let first = start(UNSHARED).await;
    let proxy = Proxy::postgres(&first.database_url).await;
    let url = proxy.postgres_url(&first.database_url);
    let app = TestApp::on(noon(), UNSHARED, &url, &first.redis_url).await;
    let path = "/properties?town=ke-nakuru";
    let (known, metadata) = ask(&app, path).await;
    assert_eq!(metadata.get("stale"), None);
    proxy.set(Weather::Cut);
    let (data, stale) = ask(&app, path).await;
    assert_eq!(data, known);
    assert_eq!(stale["stale"], true);
    assert_eq!(stale["checksum"], metadata["checksum"]);
    let refused = get(&app, "/properties?town=ke-mombasa").await;
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, 503).await;
    app.stop().await;
    first.stop().await;
}
