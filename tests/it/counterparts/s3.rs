//! Cold storage in the S3 of `PyPI`'s moto: months are written there and read back.

use std::collections::BTreeMap;

use reserveflow::archive::{ColdStore, archive, read};
use reserveflow::db::archive::list_archived;

use super::program::{Counterpart, free_port, python};
use crate::archive::{UNTIL, lodge_with_old_months};
use crate::support::postgres::database;

#[tokio::test]
async fn old_months_go_to_a_bucket_and_are_read_back() {
    reserveflow::service::install_tls();
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let port = endpoint.rsplit(':').next().unwrap();
    let s3 = Counterpart::start(python("moto_server").args(["-H", "127.0.0.1", "-p", port]));
    s3.eventually("the S3", |lines| {
        lines
            .iter()
            .any(|line| line.contains("Running on"))
            .then_some(())
    })
    .await;
    let http = reqwest::Client::new();
    let made = http.put(format!("{endpoint}/cold")).send().await.unwrap();
    assert!(made.status().is_success(), "{made:?}");

    let settings: BTreeMap<String, _> = [
        ("endpoint", endpoint.as_str()),
        ("allow_http", "true"),
        ("region", "us-east-1"),
        ("access_key_id", "reserveflow"),
        ("secret_access_key", "secret"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.into()))
    .collect();
    let store = ColdStore::open("s3://cold/months", &settings).unwrap();
    let pool = database().await;
    lodge_with_old_months(&pool).await;
    let done = archive(&pool, &store, UNTIL).await.unwrap().unwrap();
    assert_eq!(done.len(), 2);
    for month in list_archived(&pool.get().await.unwrap()).await.unwrap() {
        let file = month.file.unwrap();
        let csv = read(&store, &file).await.unwrap();
        let rows = csv.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(i64::try_from(rows).unwrap(), file.nights + 1);
    }
    let wrong = BTreeMap::from([("regoin".to_owned(), "a".into())]);
    assert!(ColdStore::open("s3://cold", &wrong).is_err());
}
