//! Hosts and operators write property data over HTTP: checked as an import is, kept with who it was, seen at once.

use chrono::{Days, NaiveDate};
use reqwest::{Method, RequestBuilder, Response};
use reserveflow::api::keys::{Key, Scope, hash};
use reserveflow::db::api_keys::insert_key;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{get, problem, request, start, whole};
use crate::support::app::{TestApp, today};

/// Mwangaza Rooms of Mary Wanjiku: 12 units at KES 1,800.
const ROOMS: &str = "prop_de8gxd";
/// Jacaranda Flat of Esther Chebet: 2 units.
const FLAT: &str = "prop_vj50ce";

fn day(days: u64) -> NaiveDate {
    today() + Days::new(days)
}

fn path(rest: &str) -> String {
    format!("/properties/{ROOMS}{rest}")
}

async fn put(app: &TestApp, rest: &str, body: &Value) -> Response {
    let sent = request(app, Method::PUT, &path(rest)).json(body);
    sent.send().await.unwrap()
}

async fn put_text(app: &TestApp, rest: &str, body: String) -> Response {
    let sent = request(app, Method::PUT, &path(rest)).body(body);
    sent.send().await.unwrap()
}

async fn text(app: &TestApp, rest: &str) -> String {
    let response = get(app, &path(rest)).await;
    assert_eq!(response.status(), 200, "{rest}");
    response.text().await.unwrap()
}

async fn patch(app: &TestApp, changes: &Value) -> Response {
    let sent = request(app, Method::PATCH, &path("")).json(changes);
    sent.send().await.unwrap()
}

/// Who changed what of the property, from what to what, the newest first.
async fn events(app: &TestApp) -> Vec<(Option<NaiveDate>, String, Value, Value)> {
    let client = app.pool.get().await.unwrap();
    let rows = client
        .query(
            "select e.date, e.who || ' by ' || e.channel as who, e.before, e.after
             from property_event e join property p on p.property_id = e.property_id
             where p.short_id = $1 and e.channel <> 'import' order by e.property_event_id desc",
            &[&ROOMS],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

/// Of the property as clients see it.
async fn version(app: &TestApp) -> i64 {
    let (_, metadata) = whole(get(app, &path("")).await).await;
    metadata["version"].as_i64().unwrap()
}

/// A request of Mary Wanjiku's own key.
async fn as_host(app: &TestApp, method: Method, path: &str) -> RequestBuilder {
    let client = app.pool.get().await.unwrap();
    let host = "select host_id from property where short_id = $1";
    let host: Uuid = client.query_one(host, &[&ROOMS]).await.unwrap().get(0);
    let key = Key {
        id: Uuid::now_v7(),
        name: "mary".to_owned(),
        scopes: vec![Scope::Manage],
        host: Some(host),
    };
    insert_key(&client, &key, &hash("mary"), None)
        .await
        .unwrap();
    let url = format!("{}/v1{path}", app.public);
    app.http.request(method, url).bearer_auth("mary")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_checked_kept_with_who_it_was_and_seen_at_once() {
    let app = start("api: { shared_ms: 0 }\n").await;
    let before = version(&app).await;
    let (data, metadata) =
        whole(patch(&app, &json!({"price_minor": 190_000, "units": 11})).await).await;
    assert_eq!(data["price_minor"], 190_000);
    assert_eq!(data["host_name"], "Mary Wanjiku");
    assert!(metadata["version"].as_i64().unwrap() > before);
    assert!(version(&app).await > before);
    let (shown, _) = whole(get(&app, &path("")).await).await;
    assert!(shown.to_string().contains("190000"), "{shown}");
    // One row, though it changes every night that follows the property.
    let changed = events(&app).await;
    assert_eq!(
        changed,
        [(
            None,
            "demo by api".to_owned(),
            json!({"price_base": 180_000, "units": 12}),
            json!({"price_base": 190_000, "units": 11})
        )]
    );
    let url = format!("/calendar?from={}&to={}", day(3), day(3));
    let (calendar, _) = whole(get(&app, &path(&url)).await).await;
    assert_eq!(calendar["nights"][0]["available_units"], 11);

    // The same again is no change.
    let now = version(&app).await;
    whole(patch(&app, &json!({"units": 11})).await).await;
    assert_eq!(version(&app).await, now);
    assert_eq!(events(&app).await.len(), 1);

    for (changes, member) in [
        (json!({"units": -1}), "units"),
        (json!({"price_minor": 0}), "price_per_night"),
        (json!({"town": "atlantis"}), "town"),
        (json!({"name": "A name with [brackets]"}), "name"),
        (json!({"fees": ["Tax"]}), "fees"),
        (json!({"currency": "UGX"}), "currency"),
        (json!({"check_in_time": "noon"}), "check_in_time"),
    ] {
        let refused = problem(patch(&app, &changes).await, 422).await;
        assert_eq!(refused["faults"][0]["member"], member, "{changes}");
    }
    problem(patch(&app, &json!({"surprise": 1})).await, 400).await;
    problem(patch(&app, &json!({"units": "many"})).await, 400).await;
    problem(patch(&app, &json!([])).await, 400).await;
    problem(patch(&app, &json!({"property_id": FLAT})).await, 422).await;
    assert_eq!(version(&app).await, now, "what is refused changes nothing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_property_can_be_booked_at_once() {
    let app = start("").await;
    let (mut record, _) = whole(get(&app, &path("/record")).await).await;
    for (member, value) in [
        ("property_id", json!("prop_new1")),
        ("name", json!("New Rooms")),
        ("fees", json!(["City tax 2%", "Cleaning 500/stay"])),
    ] {
        record[member] = value;
    }
    let sent = request(&app, Method::PUT, "/properties/prop_new1").json(&record);
    let (made, _) = whole(sent.send().await.unwrap()).await;
    assert_eq!(made["name"], "New Rooms");
    assert_eq!(made["fees"], json!(["City tax 2.00%", "Cleaning 500/stay"]));
    let quote = json!({"operations": [{
        "id": Uuid::new_v4(), "type": "QUOTE", "at": "2026-11-28T20:00:00Z", "property_id": "prop_new1",
        "check_in": day(3), "nights": 1, "guests": 2,
    }]});
    let sent = request(&app, Method::POST, "/operations").json(&quote);
    let (answers, _) = whole(sent.send().await.unwrap()).await;
    let offer = &answers["operations"][0]["result"]["offer"];
    assert_eq!(offer["total_minor"], 180_000 + 3_600 + 50_000, "{answers}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_has_its_own_properties_and_no_others() {
    let app = start("").await;
    let own = as_host(&app, Method::PATCH, &path("")).await;
    let own = own.json(&json!({"units": 10})).send().await.unwrap();
    assert_eq!(whole(own).await.0["units"], 10);
    assert_eq!(events(&app).await[0].1, "mary by api");
    for (method, rest, body) in [
        (Method::PATCH, "", json!({"units": 1})),
        (Method::GET, "/record", json!(null)),
        (Method::GET, "/property.csv", json!(null)),
        (
            Method::GET,
            "/calendar?from=2026-12-01&to=2026-12-02",
            json!(null),
        ),
        (
            Method::PUT,
            "/closures",
            json!({"from": day(3), "to": day(4)}),
        ),
        (
            Method::PUT,
            "/calendar",
            json!({"nights": [{"from": day(3), "to": day(4)}]}),
        ),
    ] {
        let sent = as_host(&app, method, &format!("/properties/{FLAT}{rest}")).await;
        problem(sent.json(&body).send().await.unwrap(), 404).await;
    }
    let given_away = as_host(&app, Method::PATCH, &path("")).await;
    let given_away = given_away.json(&json!({"host_phone": "+254711000009"}));
    problem(given_away.send().await.unwrap(), 422).await;
    // It has no other scope.
    let read = as_host(&app, Method::GET, "/properties?town=ke-nakuru").await;
    problem(read.send().await.unwrap(), 403).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nights_and_closures_are_ranges() {
    let app = start("").await;
    let nights = json!({"nights": [
        {"from": day(3), "to": day(5), "price_minor": 250_050, "surge_hundredths": 150, "min_stay": 2},
        {"from": day(4), "to": day(4), "available_units": 4},
    ]});
    let (calendar, _) = whole(put(&app, "/calendar", &nights).await).await;
    assert_eq!(calendar["archived"], json!([]));
    let shown = calendar["nights"].as_array().unwrap();
    assert_eq!(shown.len(), 3);
    assert_eq!(shown[0]["price_minor"], 250_050);
    assert_eq!(shown[1]["surge_hundredths"], 150);
    let units: Vec<_> = shown
        .iter()
        .map(|night| night["available_units"].clone())
        .collect();
    assert_eq!(units, [12, 4, 12]);
    let changed = events(&app).await;
    assert_eq!(changed.len(), 3);
    let fourth = changed
        .iter()
        .find(|event| event.0 == Some(day(4)))
        .unwrap();
    assert_eq!(fourth.3["available_units"], 4);
    assert_eq!(fourth.2["min_stay"], Value::Null);

    let closed = json!({"from": day(10), "to": day(12)});
    whole(put(&app, "/closures", &closed).await).await;
    let open = format!("/closures?from={}&to={}", day(11), day(11));
    let sent = request(&app, Method::DELETE, &path(&open));
    whole(sent.send().await.unwrap()).await;
    let all = format!("/closures?from={}&to={}", day(1), day(40));
    let (left, _) = whole(get(&app, &path(&all)).await).await;
    let ranges = json!([{"from": day(10), "to": day(10)}, {"from": day(12), "to": day(12)}]);
    assert_eq!(left["closures"], ranges);

    // What is sold stays for sale to whom it was sold.
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "update property_availability a set reserved_units = 3 from property p
             where p.property_id = a.property_id and p.short_id = $1 and a.date = $2",
            &[&ROOMS, &day(20)],
        )
        .await
        .unwrap();
    let fewer = json!({"nights": [{"from": day(20), "to": day(20), "available_units": 2}]});
    let refused = problem(put(&app, "/calendar", &fewer).await, 422).await;
    assert_eq!(refused["faults"][0]["member"], "available_units");
    for wrong in [
        json!({"nights": []}),
        json!({"nights": [{"from": day(5), "to": day(4)}]}),
        json!({"nights": [{"from": day(5), "to": day(2000)}]}),
        json!({"nights": [{"from": "0001-01-01", "to": "+262142-12-31"}]}),
        json!({"nights": [{"from": day(5), "to": day(5), "surge_hundredths": 1000}]}),
    ] {
        problem(put(&app, "/calendar", &wrong).await, 422).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archived_months_say_so() {
    let app = start("").await;
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "insert into archived_month (month) values ('2019-11-01'), ('2019-12-01')",
            &[],
        )
        .await
        .unwrap();
    let (calendar, _) =
        whole(get(&app, &path("/calendar?from=2019-11-30&to=2019-11-30")).await).await;
    assert_eq!(calendar, json!({"nights": [], "archived": ["2019-11"]}));
    let (calendar, _) =
        whole(get(&app, &path("/calendar?from=2019-10-30&to=2020-01-02")).await).await;
    assert_eq!(calendar["archived"], json!(["2019-11", "2019-12"]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_as_csv_can_be_imported_and_changes_nothing() {
    let app = start("").await;
    let nights = json!({"nights": [
        {"from": day(3), "to": day(5), "price_minor": 250_000, "closed": true, "out_of_service": 2},
    ]});
    whole(put(&app, "/calendar", &nights).await).await;
    let changed = events(&app).await.len();
    let property = text(&app, "/property.csv").await;
    assert!(property.contains(",Mwangaza Rooms,room,"), "{property}");
    let span = format!("/calendar.csv?from={}&to={}", day(1), day(40));
    let calendar = text(&app, &span).await;
    assert_eq!(calendar.lines().count(), 41);
    whole(put_text(&app, "/property.csv", property.clone()).await).await;
    whole(put_text(&app, "/calendar.csv", calendar.clone()).await).await;
    assert_eq!(events(&app).await.len(), changed);
    assert_eq!(text(&app, "/property.csv").await, property);
    assert_eq!(text(&app, &span).await, calendar);

    let renamed = property.replace("Mwangaza Rooms", "Mwangaza House");
    let (record, _) = whole(put_text(&app, "/property.csv", renamed).await).await;
    assert_eq!(record["name"], "Mwangaza House");
    let others = property.replace(ROOMS, FLAT);
    problem(put_text(&app, "/property.csv", others).await, 422).await;
    problem(
        put_text(&app, "/calendar.csv", "property_id,from\nx".to_owned()).await,
        400,
    )
    .await;
    app.stop().await;
}

fn ical(events: &[(&str, NaiveDate, NaiveDate)]) -> String {
    let events = events.iter().map(|(uid, from, past)| {
        let (from, past) = (from.format("%Y%m%d"), past.format("%Y%m%d"));
        format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART;VALUE=DATE:{from}\r\n\
             DTEND;VALUE=DATE:{past}\r\nSUMMARY:Reserved\r\nEND:VEVENT\r\n"
        )
    });
    let events: String = events.collect();
    format!(
        "BEGIN:VCALENDAR\r\nPRODID:-//Airbnb Inc//Hosting Calendar 1.0//EN\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n"
    )
}

async fn units(app: &TestApp, days: u64) -> (i64, i64) {
    let url = format!("/calendar?from={0}&to={0}", day(days));
    let (calendar, _) = whole(get(app, &path(&url)).await).await;
    let night = &calendar["nights"][0];
    let number = |name: &str| night[name].as_i64().unwrap();
    (number("available_units"), number("out_of_service"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_channels_have_sold_is_not_sold_here() {
    let app = start("").await;
    let source = "/calendar.ics?source=airbnb";
    let sold = ical(&[("1@airbnb", day(3), day(5)), ("2@airbnb", day(4), day(6))]);
    let (blocked, _) = whole(put_text(&app, source, sold.clone()).await).await;
    assert_eq!(blocked["nights"], json!([[day(3), day(5)]]));
    assert_eq!(blocked["sold_twice"], json!([]));
    assert_eq!(
        (units(&app, 3).await, units(&app, 4).await),
        ((11, 1), (10, 2))
    );
    let changed = events(&app).await;
    assert_eq!(changed[0].1, "demo for airbnb by ical");
    whole(put_text(&app, source, sold).await).await;
    assert_eq!(
        events(&app).await.len(),
        changed.len(),
        "the same again changes nothing"
    );
    // Another channel's nights are its own, and what we have told a channel is not news.
    let other = ical(&[
        ("9@booking", day(4), day(5)),
        ("prop_x-2026-12-01@reserveflow", day(8), day(9)),
    ]);
    whole(put_text(&app, "/calendar.ics?source=booking", other).await).await;
    assert_eq!(
        (units(&app, 4).await, units(&app, 8).await),
        ((9, 3), (12, 0))
    );
    // A guest of the channel has cancelled.
    let fewer = ical(&[("1@airbnb", day(3), day(5))]);
    whole(put_text(&app, source, fewer).await).await;
    assert_eq!(
        (units(&app, 4).await, units(&app, 5).await),
        ((10, 2), (12, 0))
    );
    // A change of the property leaves them.
    whole(patch(&app, &json!({"units": 6})).await).await;
    assert_eq!(units(&app, 4).await, (4, 2));

    // All are sold here, and one more there: nobody loses a room, and somebody hears of it.
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "update property_availability a set reserved_units = available_units from property p
             where p.property_id = a.property_id and p.short_id = $1 and a.date = $2",
            &[&ROOMS, &day(7)],
        )
        .await
        .unwrap();
    let both = ical(&[("1@airbnb", day(3), day(5)), ("3@airbnb", day(7), day(8))]);
    let (blocked, _) = whole(put_text(&app, source, both).await).await;
    assert_eq!(blocked["sold_twice"], json!([{"date": day(7), "units": 1}]));
    assert_eq!(units(&app, 7).await, (6, 0));

    let exported = text(&app, "/calendar.ics").await;
    let (from, past) = (day(7).format("%Y%m%d"), day(8).format("%Y%m%d"));
    assert!(
        exported.contains(&format!("DTSTART;VALUE=DATE:{from}\r\n")),
        "{exported}"
    );
    assert!(
        exported.contains(&format!("DTEND;VALUE=DATE:{past}\r\n")),
        "{exported}"
    );
    assert_eq!(exported.matches("BEGIN:VEVENT").count(), 1);
    // It can be read by itself, and is nothing new.
    let (back, _) = whole(put_text(&app, "/calendar.ics?source=echo", exported).await).await;
    assert_eq!(back["nights"], json!([]));

    for (source, calendar, status) in [
        ("airbnb", "hello".to_owned(), 400),
        ("Air BnB", ical(&[]), 422),
        ("airbnb", ical(&[("1", day(3), day(1000))]), 422),
    ] {
        let sent = put_text(&app, &format!("/calendar.ics?source={source}"), calendar).await;
        problem(sent, status).await;
    }
    assert_eq!(units(&app, 4).await, (4, 2));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_reads_the_calendar_by_a_secret_url_until_it_is_replaced() {
    let app = start("").await;
    let closed = json!({"from": day(10), "to": day(12)});
    whole(put(&app, "/closures", &closed).await).await;
    let make = async || {
        let sent = request(&app, Method::POST, &path("/feed"));
        let (feed, _) = whole(sent.send().await.unwrap()).await;
        format!("{}{}", app.public, feed["url"].as_str().unwrap())
    };
    // Without a key.
    let read = async |url: &str| app.http.get(url).send().await.unwrap();
    let first = make().await;
    let feed = read(&first).await;
    assert_eq!(
        feed.headers()["content-type"],
        "text/calendar; charset=utf-8"
    );
    let feed = feed.text().await.unwrap();
    let from = day(10).format("DTSTART;VALUE=DATE:%Y%m%d").to_string();
    assert!(feed.contains(&from), "{feed}");
    let second = make().await;
    problem(read(&first).await, 404).await;
    assert_eq!(read(&second).await.status(), 200);
    let end = request(&app, Method::DELETE, &path("/feed"));
    assert_eq!(end.send().await.unwrap().status(), 204);
    problem(read(&second).await, 404).await;
    let stored = "select count(*) from property_feed where secret_hash::text like '%rf_%'";
    assert_eq!(app.count(stored).await, 0);
    let other = as_host(&app, Method::POST, &format!("/properties/{FLAT}/feed")).await;
    problem(other.send().await.unwrap(), 404).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_sees_who_has_changed_what() {
    let app = start("").await;
    whole(patch(&app, &json!({"units": 11})).await).await;
    let closed = json!({"from": day(10), "to": day(10)});
    whole(put(&app, "/closures", &closed).await).await;
    let seen = as_host(&app, Method::GET, &path("/events")).await;
    let (seen, _) = whole(seen.send().await.unwrap()).await;
    let events = seen["events"].as_array().unwrap();
    assert_eq!(events[0]["date"], json!(day(10)));
    assert_eq!(events[0]["after"], json!({"closed": true}));
    assert_eq!(events[1]["before"], json!({"units": 12}));
    assert_eq!(events[1]["who"], "demo");
    // The sample's import is the beginning.
    let first = events.last().unwrap();
    assert_eq!(
        (&first["who"], &first["channel"]),
        (&json!("operator"), &json!("import"))
    );
    let older = format!("/events?before={}", events[0]["id"]);
    let (older, _) = whole(get(&app, &path(&older)).await).await;
    assert_eq!(older["events"].as_array().unwrap()[..], events[1..]);
    app.stop().await;
}
