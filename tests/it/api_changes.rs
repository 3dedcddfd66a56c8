//! What changed since a version: nothing is skipped, whoever commits when.

use std::collections::BTreeMap;

use chrono::Days;
use futures_util::future::join_all;
use reserveflow::booking::stay::Stay;
use reserveflow::db::catalogue::{number_changes, prune_changes};
use serde_json::Value;
use uuid::Uuid;

use crate::api::{ask, get, problem, start};
use crate::support::app::{TestApp, today};
use crate::support::lodging::{Lodge, Wish, count, kes};

const UNSHARED: &str = "api: { requests_per_minute: 0, shared_ms: 0 }\ndatabase: { pool: 24 }\n";

/// What a client keeps.
#[derive(Default)]
struct Mirror {
    version: i64,
    properties: BTreeMap<String, Value>,
    snapshots: usize,
}

impl Mirror {
    /// Asks until there is no more; how many answers that took.
    async fn sync(&mut self, app: &TestApp, more: &str) -> usize {
        let mut answers = 0;
        loop {
            let (data, metadata) =
                ask(app, &format!("/changes?since={}{more}", self.version)).await;
            answers += 1;
            let version = metadata["version"].as_i64().unwrap();
            if data["snapshot"] == true {
                self.properties.clear();
                self.snapshots += 1;
                self.take(&data);
                let mut next = data["next"].clone();
                while let Some(page) = next.as_str() {
                    let (data, _) = ask(app, &format!("/properties?page={page}{more}")).await;
                    self.take(&data);
                    next = data["next"].clone();
                }
            } else {
                assert!(version >= self.version);
                self.take(&data);
                for gone in data["gone"].as_array().unwrap() {
                    self.properties
                        .remove(gone["property_id"].as_str().unwrap());
                }
            }
            self.version = version;
            if data["more"] != true {
                return answers;
            }
        }
    }

    fn take(&mut self, data: &Value) {
        for property in data["properties"].as_array().unwrap() {
            let id = property["property_id"].as_str().unwrap().to_owned();
            self.properties.insert(id, property.clone());
        }
    }

    /// Whether it is what a client that begins now gets.
    async fn assert_same(&self, app: &TestApp, more: &str) {
        let mut fresh = Mirror::default();
        let mut page = String::new();
        loop {
            let (data, _) = ask(app, &format!("/properties?page={page}{more}")).await;
            fresh.take(&data);
            match data["next"].as_str() {
                Some(next) => page = next.to_owned(),
                None => break,
            }
        }
        let (kept, fresh) = (&self.properties, &fresh.properties);
        assert!(kept.keys().eq(fresh.keys()));
        for (id, property) in fresh {
            assert_eq!(property, &kept[id]);
        }
    }
}

async fn short_id(app: &TestApp, id: Uuid) -> String {
    let client = app.pool.get().await.unwrap();
    let sql = "select short_id from property where property_id = $1";
    client.query_one(sql, &[&id]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_keeps_up_with_what_is_changed_closed_moved_and_removed() {
    let app = start(UNSHARED).await;
    let lodge = Lodge {
        name: "First",
        ..Lodge::default()
    };
    let first = lodge.insert(&app.pool).await;
    let second = Lodge {
        name: "Second",
        ..Lodge::default()
    };
    let second = second.insert(&app.pool).await;
    let (first_id, second_id) = (short_id(&app, first).await, short_id(&app, second).await);
    let (mut all, mut nakuru) = (Mirror::default(), Mirror::default());
    assert!(all.sync(&app, "").await > 1);
    nakuru.sync(&app, "&town=ke-nakuru").await;
    all.assert_same(&app, "").await;
    nakuru.assert_same(&app, "&town=ke-nakuru").await;
    let calm = all.version;
    assert_eq!(all.sync(&app, "").await, 1);
    assert_eq!(all.version, calm);

    // One night is sold: one property comes, and nothing else.
    let night = Stay::new(today() + Days::new(4), 1).unwrap();
    Wish::new(first, night, 1).reserve(&app.pool).await;
    let (data, metadata) = ask(&app, &format!("/changes?since={calm}")).await;
    assert_eq!(data["properties"].as_array().unwrap().len(), 1);
    assert_eq!(data["properties"][0]["property_id"], first_id.as_str());
    assert_eq!(data["properties"][0]["version"], metadata["version"]);
    assert_eq!(
        (&data["more"], &data["places_changed"]),
        (&false.into(), &false.into())
    );
    let (elsewhere, _) = ask(&app, &format!("/changes?since={calm}&town=ke-mombasa")).await;
    assert!(elsewhere["properties"].as_array().unwrap().is_empty());

    let client = app.pool.get().await.unwrap();
    let change = async |sql: &str, id: Uuid| client.execute(sql, &[&id]).await.unwrap();
    change(
        "update property set open = false where property_id = $1",
        first,
    )
    .await;
    change(
        "update property set town = 'ke-mombasa' where property_id = $1",
        second,
    )
    .await;
    client
        .batch_execute("update place set name = 'Lanet Base' where place_id = 'ke-nakuru-lanet'")
        .await
        .unwrap();
    let (data, _) = ask(
        &app,
        &format!("/changes?since={}&town=ke-nakuru", nakuru.version),
    )
    .await;
    assert_eq!(data["places_changed"], true);
    let gone: Vec<_> = data["gone"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gone| gone["property_id"].as_str().unwrap())
        .collect();
    assert!(
        gone.contains(&first_id.as_str()) && gone.contains(&second_id.as_str()),
        "{gone:?}"
    );
    all.sync(&app, "").await;
    nakuru.sync(&app, "&town=ke-nakuru").await;
    assert!(!all.properties.contains_key(&first_id) && all.properties.contains_key(&second_id));
    all.assert_same(&app, "").await;
    nakuru.assert_same(&app, "&town=ke-nakuru").await;

    for sql in [
        "delete from property_availability where property_id = $1",
        "delete from property_calendar where property_id = $1",
        "delete from property where property_id = $1",
    ] {
        change(sql, second).await;
    }
    change("update host set name = 'Other' where host_id = (select host_id from property where property_id = $1)", first).await;
    change(
        "update property set open = true where property_id = $1",
        first,
    )
    .await;
    all.sync(&app, "").await;
    assert!(all.properties.contains_key(&first_id) && !all.properties.contains_key(&second_id));
    all.assert_same(&app, "").await;
    assert_eq!(all.snapshots, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_far_back_begins_anew() {
    let app = start(UNSHARED).await;
    let mut mirror = Mirror::default();
    mirror.sync(&app, "").await;
    let mut client = app.pool.get().await.unwrap();
    number_changes(&client).await.unwrap();
    client
        .batch_execute(
            "insert into catalogue_change (version, property_id, town, short_id)
             select c.version + n, c.property_id, c.town, c.short_id
             from (select * from catalogue_change where property_id is not null order by version desc limit 1) c
             cross join generate_series(1, 50001) n",
        )
        .await
        .unwrap();
    let head = count(
        &client,
        "generate_series(1, (select max(version) from catalogue_change))",
    )
    .await;
    mirror.sync(&app, "").await;
    assert_eq!((mirror.snapshots, mirror.version), (1, head));
    mirror.assert_same(&app, "").await;

    // What is forgotten was said again, and who is near enough misses nothing by it.
    let (kept, properties) = (1_000, count(&client, "property").await);
    let towns = count(&client, "place where town is null").await;
    assert!(prune_changes(&mut client, kept).await.unwrap() > 48_000);
    assert!(count(&client, "catalogue_change").await <= kept + properties + towns);
    let mut behind = Mirror {
        version: 0,
        ..Mirror::default()
    };
    behind.sync(&app, "").await;
    behind.assert_same(&app, "").await;
    // A version that was never told, as after a database is restored.
    let (data, _) = ask(&app, &format!("/changes?since={}", head + 5)).await;
    assert_eq!(data["snapshot"], true);
    for query in ["since=-1", "since=x", "", "since=9223372036854775808"] {
        problem(get(&app, &format!("/changes?{query}")).await, 400).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_commits_after_a_later_one_was_told_is_told_then() {
    let app = start(UNSHARED).await;
    let early = Lodge::default().insert(&app.pool).await;
    let late = Lodge {
        name: "Late",
        ..Lodge::default()
    }
    .insert(&app.pool)
    .await;
    let mut mirror = Mirror::default();
    mirror.sync(&app, "").await;
    let sql = "update property_availability set price_base = price_base + 100 where property_id = $1 and date = $2";
    let night = today() + Days::new(2);
    let mut slow = app.pool.get().await.unwrap();
    let transaction = slow.transaction().await.unwrap();
    transaction.execute(sql, &[&early, &night]).await.unwrap();
    let quick = app.pool.get().await.unwrap();
    quick.execute(sql, &[&late, &night]).await.unwrap();
    let before = mirror.version;
    mirror.sync(&app, "").await;
    let told = mirror.version;
    assert!(told > before);
    transaction.commit().await.unwrap();
    let (data, metadata) = ask(&app, &format!("/changes?since={told}")).await;
    assert_eq!(
        data["properties"][0]["property_id"],
        short_id(&app, early).await
    );
    assert!(metadata["version"].as_i64().unwrap() > told);
    mirror.sync(&app, "").await;
    mirror.assert_same(&app, "").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_many_who_write_at_once_no_change_is_skipped_and_no_version_has_two_meanings() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let app = start(UNSHARED).await;
    let mut lodges = Vec::new();
    for _ in 0..6 {
        lodges.push(
            Lodge {
                units: 100,
                ..Lodge::default()
            }
            .insert(&app.pool)
            .await,
        );
    }
    let writers = (0..WRITERS).map(|writer| {
        let (pool, lodges) = (app.pool.clone(), lodges.clone());
        tokio::spawn(async move {
            for write in 0..WRITES {
                let lodge = lodges[(writer * 7 + write * 5) % lodges.len()];
                if write % 3 == 0 {
                    let night = Stay::new(today() + Days::new((write % 9) as u64), 2).unwrap();
                    let number = u32::try_from(writer * WRITES + write).unwrap();
                    Wish { total: kes(9000), ..Wish::new(lodge, night, number) }.reserve(&pool).await;
                    continue;
                }
                let mut client = pool.get().await.unwrap();
                let transaction = client.transaction().await.unwrap();
                let night = today() + Days::new(20 + (writer % 5) as u64);
                transaction
                    .execute("update property_availability set price_base = price_base + 1 where property_id = $1 and date = $2", &[&lodge, &night])
                    .await
                    .unwrap();
                // Transactions that began earlier commit later, and some do not.
                let held = format!("select pg_sleep(0.0{})", (writer * 3 + write) % 7);
                transaction.batch_execute(&held).await.unwrap();
                if write % 5 == 0 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
            }
        })
    });
    let writers = join_all(writers);
    tokio::pin!(writers);
    let mut mirror = Mirror::default();
    // Of each property: what was shown under which version.
    let mut seen: BTreeMap<(String, i64), Value> = BTreeMap::new();
    let mut rounds = 0;
    loop {
        mirror.sync(&app, "&town=ke-nakuru").await;
        rounds += 1;
        for (id, property) in &mirror.properties {
            let version = property["version"].as_i64().unwrap();
            assert!(version <= mirror.version);
            let before = seen
                .entry((id.clone(), version))
                .or_insert_with(|| property.clone());
            assert_eq!(before, property);
        }
        let done = tokio::time::timeout(std::time::Duration::ZERO, &mut writers).await;
        if let Ok(done) = done {
            done.into_iter().for_each(|writer| writer.unwrap());
            break;
        }
    }
    mirror.sync(&app, "&town=ke-nakuru").await;
    mirror.assert_same(&app, "&town=ke-nakuru").await;
    assert!(rounds > 1, "nobody read while others wrote");
    assert_eq!(mirror.snapshots, 0);
    app.stop().await;
}
