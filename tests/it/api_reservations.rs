//! A reservation by its code over HTTP.

use reserveflow::api::keys::{Key, Scope, new_key};
use reserveflow::db::api_keys::insert_key;
use reserveflow::db::reserve::Reserved;

use crate::api::{ask, get, problem, start};
use crate::support::lodging::{Lodge, Wish, stay};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_knows_code_and_number_sees_a_reservation_and_nobody_guesses() {
    let app = start("").await;
    let lodge = Lodge::default().insert(&app.pool).await;
    let wish = Wish::new(lodge, stay(3, 2), 1);
    let Reserved::Made(made) = wish.reserve(&app.pool).await else {
        panic!("not made");
    };
    let (code, number) = (
        made.code.to_string(),
        wish.msisdn.as_str().trim_start_matches('+'),
    );
    let path = format!("/reservations/{code}?msisdn={number}");
    let (data, metadata) = ask(&app, &path).await;
    assert_eq!(data["code"], code.as_str());
    assert_eq!(
        (&data["status"], &data["total_minor"]),
        (&"confirmed".into(), &900_000.into())
    );
    assert_eq!(metadata["version"], 1);

    let form = [("why", "the roof leaks")];
    let url = format!("{}/private/bookings/{code}/cancel", app.private);
    assert_eq!(app.post(&url, &form).await.status(), 200);
    let (data, metadata) = ask(&app, &path).await;
    assert_eq!(data["status"], "cancelled");
    assert_eq!(metadata["version"], 2);

    // Another number, another code, no code: all alike.
    let other = format!("/reservations/{code}?msisdn=254711999999");
    for wrong in [
        other.as_str(),
        "/reservations/0000-0000?msisdn=254711999999",
        "/reservations/x?msisdn=254711999999",
    ] {
        let mut refused = problem(get(&app, wrong).await, 404).await;
        refused["instance"].take();
        assert_eq!(refused["detail"], "nothing is there");
    }
    for _ in 0..2 {
        problem(get(&app, &other).await, 404).await;
    }
    let locked = get(&app, &other).await;
    assert_eq!(locked.headers()["retry-after"], "3600");
    problem(locked, 429).await;
    assert_eq!(get(&app, &path).await.status(), 200);
    problem(get(&app, &format!("/reservations/{code}")).await, 400).await;
    problem(
        get(&app, &format!("/reservations/{code}?msisdn=x")).await,
        400,
    )
    .await;

    let (shown, hash) = new_key();
    let key = Key {
        scopes: vec![Scope::Read],
        ..Key::demo()
    };
    insert_key(&app.pool.get().await.unwrap(), &key, &hash, None)
        .await
        .unwrap();
    let url = format!("{}/v1{path}", app.public);
    let refused = app.http.get(url).bearer_auth(shown).send().await.unwrap();
    assert_eq!(problem(refused, 403).await["scope"], "book");
    app.stop().await;
}
