//! The REST API over HTTP: keys, limits, envelopes, refusals.

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use reserveflow::api::answer::checksum;
use reserveflow::api::keys::{Key, Scope, hash, new_key};
use reserveflow::db::api_keys::{insert_key, list_keys, revoke_key};
use serde_json::Value;
use uuid::Uuid;

use crate::support::app::TestApp;

/// A service with the key `demo`.
pub async fn start(more: &str) -> TestApp {
    let app = TestApp::start(more);
    let client = app.pool.get().await.unwrap();
    insert_key(&client, &Key::demo(), &hash("demo"), None)
        .await
        .unwrap();
    drop(client);
    app
}

pub fn request(app: &TestApp, method: Method, path: &str) -> RequestBuilder {
    let url = format!("{}/v1{path}", app.public);
    app.http.request(method, url).bearer_auth("demo")
}

pub async fn get(app: &TestApp, path: &str) -> Response {
    request(app, Method::GET, path).send().await.unwrap()
}

/// Data and metadata of an answer that must be 200 and must be whole.
pub async fn ask(app: &TestApp, path: &str) -> (Value, Value) {
    whole(get(app, path).await).await
}

pub async fn whole(response: Response) -> (Value, Value) {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    let canonical = serde_json_canonicalizer::to_vec(&body["data"]).unwrap();
    assert_eq!(body["_metadata"]["checksum"], checksum(&canonical));
    (body["data"].clone(), body["_metadata"].clone())
}

/// The last word of a problem's type; it must be a problem with this status.
pub async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    for member in ["type", "title", "detail", "instance"] {
        assert!(body[member].is_string(), "{member} in {body}");
    }
    body
}

fn code(problem: &Value) -> &str {
    let kind = problem["type"].as_str().unwrap();
    kind.strip_prefix("urn:reserveflow:problem:").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_can_be_checked_and_is_not_sent_twice() {
    let app = start("api: { shared_ms: 0 }\n").await;
    let response = get(&app, "/places?town=ke-nakuru").await;
    let headers = response.headers().clone();
    assert_eq!(headers["age"], "0");
    assert_eq!(headers["cache-control"], "private, max-age=3600");
    let (data, metadata) = whole(response).await;
    assert_eq!(metadata["timestamp"], app.app.clock.now().timestamp());
    assert_eq!(metadata["cache_ttl"], 3600);
    let places = data["places"].as_array().unwrap();
    assert_eq!(places.len(), 5, "{data}");
    assert!(
        places
            .iter()
            .all(|place| place["place_id"] == "ke-nakuru" || place["town"] == "ke-nakuru")
    );

    for tag in [headers["etag"].to_str().unwrap(), "\"x\", *"] {
        let known =
            request(&app, Method::GET, "/places?town=ke-nakuru").header("if-none-match", tag);
        let response = known.send().await.unwrap();
        assert_eq!(response.status(), 304);
        assert_eq!(response.headers()["etag"], headers["etag"]);
        assert!(response.bytes().await.unwrap().is_empty());
    }
    let other =
        request(&app, Method::GET, "/places?town=ke-nakuru").header("if-none-match", "\"x\"");
    assert_eq!(other.send().await.unwrap().status(), 200);

    // What is shown changes: another number, another tag. What changes elsewhere does not.
    let client = app.pool.get().await.unwrap();
    client
        .execute(
            "update place set region = 'x' where place_id = 'ke-mombasa'",
            &[],
        )
        .await
        .unwrap();
    let (_, same) = ask(&app, "/places?town=ke-nakuru").await;
    assert_eq!(same["version"], metadata["version"]);
    client
        .execute(
            "update place set region = 'x' where place_id = 'ke-nakuru'",
            &[],
        )
        .await
        .unwrap();
    let response = get(&app, "/places?town=ke-nakuru").await;
    assert_ne!(response.headers()["etag"], headers["etag"]);
    let (_, changed) = whole(response).await;
    assert!(changed["version"].as_i64() > metadata["version"].as_i64());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_sent_small_to_whoever_can_read_them() {
    let app = start("").await;
    let plain = get(&app, "/places").await.bytes().await.unwrap();
    for encoding in ["gzip", "br", "zstd"] {
        let asked = request(&app, Method::GET, "/places").header("accept-encoding", encoding);
        let response = asked.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        let vary = response.headers().get_all("vary");
        let mut varies = vary.iter().map(|line| line.to_str().unwrap());
        assert!(varies.any(|line| line.contains("accept-encoding")));
        let small = response.bytes().await.unwrap();
        assert!(
            small.len() * 3 < plain.len(),
            "{encoding}: {} of {}",
            small.len(),
            plain.len()
        );
    }
    let head = request(&app, Method::HEAD, "/places").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(head.bytes().await.unwrap().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_a_problem() {
    let app = start("").await;
    for (method, path, status, word) in [
        (Method::GET, "/nothing", 404, "not_found"),
        (Method::GET, "", 404, "not_found"),
        (Method::GET, "/places/", 404, "not_found"),
        (Method::GET, "/places?twon=x", 400, "bad_request"),
        (Method::GET, "/places?town=a&town=b", 400, "bad_request"),
        (Method::DELETE, "/places", 405, "method_not_allowed"),
    ] {
        let response = request(&app, method.clone(), path).send().await.unwrap();
        let allow = response.headers().get("allow").cloned();
        let body = problem(response, status).await;
        assert_eq!(code(&body), word, "{method} {path}");
        assert_eq!(allow.is_some(), status == 405);
    }
    let url = format!("{}/v1/places", app.public);
    for header in [
        None,
        Some("Bearer nobody"),
        Some("Bearer "),
        Some("Basic demo"),
        Some("demo"),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("authorization", HeaderValue::from_static(header));
        }
        let response = app.http.get(&url).headers(headers).send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(
            code(&problem(response, 401).await),
            "unknown_key",
            "{header:?}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_known_by_their_hash_and_end_when_they_are_revoked_or_over() {
    let app = start("").await;
    let client = app.pool.get().await.unwrap();
    let now = app.app.clock.now();
    let make = async |scopes: &[Scope], expires_at| {
        let (shown, hash) = new_key();
        let key = Key {
            id: Uuid::now_v7(),
            name: "app".to_owned(),
            scopes: scopes.to_vec(),
            host: None,
        };
        assert!(insert_key(&client, &key, &hash, expires_at).await.unwrap());
        (key, shown)
    };
    let status = async |shown: &str| {
        let url = format!("{}/v1/places", app.public);
        app.http
            .get(url)
            .bearer_auth(shown)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let (_, old) = make(&[Scope::Read], None).await;
    let (second, new) = make(&[Scope::Read, Scope::Book], None).await;
    let (_, over) = make(&[Scope::Read], Some(now)).await;
    let (_, other) = make(&[Scope::Manage], None).await;
    // Two of one program are valid at once.
    assert_eq!((status(&old).await, status(&new).await), (200, 200));
    assert_eq!((status(&over).await, status(&other).await), (401, 403));

    assert!(revoke_key(&client, second.id).await.unwrap());
    assert!(!revoke_key(&client, second.id).await.unwrap());
    let rows = list_keys(&client).await.unwrap();
    let row = rows.iter().find(|row| row.key.id == second.id).unwrap();
    assert!(row.revoked_at.is_some());
    // It is believed for some seconds where it was just used, and nowhere else.
    let fresh = TestApp::on(app.app.clock, "", &app.database_url, &app.redis_url).await;
    let url = format!("{}/v1/places", fresh.public);
    let refused = app.http.get(url).bearer_auth(&new).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    fresh.stop().await;
    let stored = app
        .count("select count(*) from api_key where octet_length(key_hash) = 32")
        .await;
    assert_eq!(stored, 5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_too_often_is_told_when_to_ask_again() {
    let app = start("api: { requests_per_minute: 3 }\n").await;
    for left in ["2", "1", "0"] {
        let response = get(&app, "/places?town=ke-nakuru").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["ratelimit-limit"], "3");
        assert_eq!(response.headers()["ratelimit-remaining"], left);
        assert!(response.headers().contains_key("ratelimit-reset"));
    }
    let response = get(&app, "/places").await;
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(code(&problem(response, 429).await), "too_many_requests");

    // Nobody guesses keys: the database is not asked about every one.
    let url = format!("{}/v1/places", app.public);
    let mut last = 0;
    for number in 0..70 {
        let guess = app.http.get(&url).bearer_auth(format!("guess-{number}"));
        last = guess.send().await.unwrap().status().as_u16();
    }
    assert_eq!(last, 429);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_of_others_may_not_ask_unless_they_are_named() {
    let app = start("api: { origins: [\"https://app.example.com\"] }\n").await;
    let closed = start("").await;
    let allowed = async |app: &TestApp, origin: &str| {
        let preflight = request(app, Method::OPTIONS, "/places")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        let asked = request(app, Method::GET, "/places").header("origin", origin);
        let (preflight, asked) = (preflight.send().await.unwrap(), asked.send().await.unwrap());
        let told = |response: &Response| {
            response
                .headers()
                .contains_key("access-control-allow-origin")
        };
        (told(&preflight), told(&asked))
    };
    assert_eq!(allowed(&app, "https://app.example.com").await, (true, true));
    assert_eq!(
        allowed(&app, "https://evil.example.com").await,
        (false, false)
    );
    assert_eq!(
        allowed(&closed, "https://app.example.com").await,
        (false, false)
    );
    app.stop().await;
    closed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_names_what_is_there_and_its_page_needs_nothing_from_elsewhere() {
    let app = start("api: { requests_per_minute: 0 }\n").await;
    let open = async |path: &str| {
        let response = app
            .http
            .get(format!("{}/v1{path}", app.public))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    };
    let description: Value = serde_json::from_str(&open("/openapi.json").await).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path
            .strip_prefix("/v1")
            .unwrap()
            .replace("{property_id}", "prop_nobody")
            .replace("{code}", "x");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let response = request(&app, method.clone(), &path).send().await.unwrap();
            assert_ne!(response.status(), 405, "{method} {path}");
        }
        // What is not described is not there.
        let others = request(&app, Method::TRACE, &path).send().await.unwrap();
        let allowed = others.headers()["allow"].to_str().unwrap().to_lowercase();
        let allowed: Vec<_> = allowed
            .split(", ")
            .filter(|method| *method != "head")
            .collect();
        assert!(
            allowed.iter().all(|method| methods.get(*method).is_some()),
            "{path}: {allowed:?}"
        );
        problem(others, 405).await;
    }
    // The page, reached without a slash too.
    let page = open("/docs").await;
    for part in ["src=\"", "href=\""] {
        for link in page.split(part).skip(1) {
            let link = link.split('"').next().unwrap();
            assert!(!link.contains("//"), "{link}");
            open(&format!("/docs/{}", link.trim_start_matches("./"))).await;
        }
    }
    assert!(
        open("/docs/swagger-initializer.js")
            .await
            .contains("/v1/openapi.json")
    );
    app.stop().await;
}
