//! A whole service in this process on free ports, with a database of its own and the sample lodgings.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime, Utc};
use deadpool_postgres::Pool;
use redis::aio::MultiplexedConnection;
use reserveflow::app::{App, Clock};
use reserveflow::config::Config;
use reserveflow::phone::Msisdn;
use reserveflow::service::{self, Service, StoreUrls};
use reserveflow::session::store::SessionKey;
use reserveflow::ussd::AGGREGATORS;
use serde_json::Value;

use super::postgres::{sample_database, sample_database_of};
use super::stores::stores;
use super::{background, detach};

pub const CONFIG: &str = "\
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
public: 127.0.0.1:0
private: 127.0.0.1:0
limits: { calls_per_minute: 0, dialogues_per_10_minutes: 0, same_key_ms: 0 }
aggregators:
  africastalking: { tokens: [demo, second] }
";

/// Every other aggregator that is spoken, to stand below [`CONFIG`].
fn other_aggregators() -> String {
    let others = AGGREGATORS
        .iter()
        .map(|aggregator| aggregator.name())
        .filter(|name| *name != "africastalking");
    others
        .map(|name| format!("  {name}: {{ tokens: [demo] }}\n"))
        .collect()
}

/// A running service.
pub struct TestApp {
    /// `http://127.0.0.1:…` of the aggregators' address.
    pub public: String,
    /// `http://127.0.0.1:…` of the operator's address.
    pub private: String,
    pub app: Arc<App>,
    /// For looking into the tables.
    pub pool: Pool,
    pub http: reqwest::Client,
    /// Key/value form.
    pub database_url: String,
    pub redis_url: String,
    service: Option<Service>,
}

/// Noon of today in Nairobi: no test crosses midnight, and "tonight" is one night.
pub fn noon() -> Clock {
    at("12:00:00")
}

/// This time of today in Nairobi.
pub fn at(time: &str) -> Clock {
    let time: NaiveTime = time.parse().unwrap();
    Clock::Fixed(
        today()
            .and_time(time)
            .and_local_timezone(chrono_tz::Africa::Nairobi)
            .unwrap()
            .to_utc(),
    )
}

/// This time of Wednesday 4 November 2099 in Nairobi. Screens can be written down with their dates, and nothing expires.
pub fn wednesday(time: &str) -> Clock {
    let time: NaiveTime = time.parse().unwrap();
    Clock::Fixed(
        WEDNESDAY
            .and_time(time)
            .and_local_timezone(chrono_tz::Africa::Nairobi)
            .unwrap()
            .to_utc(),
    )
}

/// The calendar of [`wednesday_database`] begins here.
pub const WEDNESDAY: NaiveDate = NaiveDate::from_ymd_opt(2099, 11, 4).unwrap();

/// The URL of a new database with the sample lodgings, whose calendar begins on [`WEDNESDAY`].
pub async fn wednesday_database() -> String {
    sample_database_of(WEDNESDAY).await
}

/// Today in Nairobi.
pub fn today() -> NaiveDate {
    Utc::now()
        .with_timezone(&chrono_tz::Africa::Nairobi)
        .date_naive()
}

impl TestApp {
    /// At noon, on the run's stores, with more lines of configuration.
    pub fn start(more: &str) -> TestApp {
        TestApp::start_at(noon(), more)
    }

    /// At a moment.
    pub fn start_at(clock: Clock, more: &str) -> TestApp {
        let stores = stores();
        let more = more.to_owned();
        background(async move {
            let database_url = sample_database().await;
            TestApp::on(clock, &more, &database_url, &stores.redis).await
        })
    }

    /// At noon, with one more aggregator, a line like those of [`CONFIG`].
    pub fn start_with_aggregator(line: &str) -> TestApp {
        let redis = stores().redis.clone();
        let config = format!("{CONFIG}  {line}\n");
        background(async move {
            let database_url = sample_database().await;
            TestApp::configured(noon(), &config, &database_url, &redis).await
        })
    }

    /// On stores of the test's choice, which may be out of reach. Call it inside [`background`] if others use it too.
    pub async fn on(clock: Clock, more: &str, database_url: &str, redis_url: &str) -> TestApp {
        let config = format!("{CONFIG}{}{more}", other_aggregators());
        TestApp::configured(clock, &config, database_url, redis_url).await
    }

    /// With a configuration of the test's own.
    pub async fn configured(
        clock: Clock,
        config: &str,
        database_url: &str,
        redis_url: &str,
    ) -> TestApp {
        let config = Config::parse(config, "test", HashMap::new()).unwrap();
        let urls = StoreUrls {
            database: database_url.to_owned(),
            redis: redis_url.to_owned(),
        };
        let service = service::start(config, urls, clock).await.unwrap();
        TestApp {
            public: format!("http://{}", service.public),
            private: format!("http://{}", service.private),
            app: service.app.clone(),
            pool: service.app.pool.clone(),
            http: reqwest::Client::new(),
            database_url: database_url.to_owned(),
            redis_url: redis_url.to_owned(),
            service: Some(service),
        }
    }

    /// Ends it as a signal would.
    pub async fn stop(mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// One call of Africa's Talking as it comes over the wire; the body of the answer, which must be 200.
    pub async fn call(&self, session: &str, msisdn: &str, text: &str) -> String {
        let response = self
            .post(
                &format!("{}/ussd/africastalking/demo", self.public),
                &form(session, msisdn, text),
            )
            .await;
        assert_eq!(response.status(), 200, "{session} {text}");
        response.text().await.unwrap()
    }

    /// A whole dialogue: dials, gives each answer, and returns the last screen with `CON ` or `END `.
    pub async fn dialogue(&self, session: &str, msisdn: &str, answers: &[&str]) -> String {
        let mut screen = self.call(session, msisdn, "").await;
        for count in 1..=answers.len() {
            screen = self
                .call(session, msisdn, &answers[..count].join("*"))
                .await;
        }
        screen
    }

    pub async fn post(&self, url: &str, form: &[(&str, &str)]) -> reqwest::Response {
        self.http.post(url).form(form).send().await.unwrap()
    }

    /// The SMS that the sandbox has sent to this number, newest first, once there are at least so many.
    pub async fn sms(&self, msisdn: &str, at_least: usize) -> Vec<Value> {
        super::eventually("the SMS", async || {
            let url = format!("{}/simulator/sms", self.private);
            let sent: Vec<Value> = self
                .http
                .get(url)
                .query(&[("msisdn", msisdn)])
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            (sent.len() >= at_least).then_some(sent)
        })
        .await
    }

    /// One number from the database.
    pub async fn count(&self, sql: &str) -> i64 {
        self.pool
            .get()
            .await
            .unwrap()
            .query_one(sql, &[])
            .await
            .unwrap()
            .get(0)
    }

    /// Redis itself.
    pub async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// All keys that Redis keeps of a dialogue.
    pub async fn keys_of(&self, dialogue: &SessionKey) -> Vec<String> {
        let mut keys = redis::cmd("KEYS");
        keys.arg(format!("{}*", dialogue.as_str()));
        keys.query_async(&mut self.redis().await).await.unwrap()
    }

    /// Makes Redis lose a dialogue and all that belongs to it.
    pub async fn lose(&self, dialogue: &SessionKey) {
        let keys = self.keys_of(dialogue).await;
        assert!(!keys.is_empty(), "it is kept");
        let mut lost = redis::cmd("DEL");
        lost.arg(keys);
        lost.exec_async(&mut self.redis().await).await.unwrap();
    }
}

impl Drop for TestApp {
    /// Its connections are wanted by the tests that come after.
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            detach(service.stop());
        }
    }
}

pub fn form<'a>(session: &'a str, msisdn: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("sessionId", session),
        ("serviceCode", "*384*7#"),
        ("phoneNumber", msisdn),
        ("networkCode", "99999"),
        ("text", text),
    ]
}

/// A session id as the aggregator makes them.
pub fn session_id() -> String {
    format!("ATUid_{}", uuid::Uuid::new_v4().simple())
}

/// This number in the form of the tables.
pub fn msisdn(number: &str) -> Msisdn {
    Msisdn::parse(number).unwrap()
}
