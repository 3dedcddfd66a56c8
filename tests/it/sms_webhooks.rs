//! What providers post, over HTTP to a whole service: tokens, signatures, parts, repetitions, and what they are answered.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use deadpool_postgres::Client;
use reserveflow::app::{App, Clock};
use reserveflow::config::Config;
use reserveflow::jobs;
use reserveflow::service::{self, Service, StoreUrls};
use reserveflow::sms::sign::{Algorithm, hmac};

use crate::support::background;
use crate::support::postgres::sample_database;
use crate::support::stores::stores;

const CONFIG: &str = "
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
public: 127.0.0.1:0
private: 127.0.0.1:0
public_url: https://sms.example.com
aggregators:
  twilio: { tokens: [tok] }
  vonage: { tokens: [tok] }
  termii: { tokens: [tok] }
  jasmin: { tokens: [tok] }
  kannel: { tokens: [tok] }
  infobip: { tokens: [tok] }
  africastalking: { tokens: [tok] }
sms:
  providers:
    twilio: { account_sid: AC0, auth_token: hush }
    vonage: { api_key: k, api_secret: s, signature_secret: hush, signature_method: sha256 }
    termii: { base_url: http://127.0.0.1:1, api_key: k, secret_key: hush }
  ids:
    jasmin: { answers: hexadecimal, reports: decimal }
";

struct Running {
    url: String,
    app: Arc<App>,
    http: reqwest::Client,
    service: Service,
}

impl Running {
    fn start() -> Running {
        let redis = stores().redis.clone();
        background(async move {
            let urls = StoreUrls {
                database: sample_database().await,
                redis,
            };
            let config = Config::parse(CONFIG, "test", HashMap::new()).unwrap();
            let service = service::start(config, urls, Clock::System).await.unwrap();
            Running {
                url: format!("http://{}/sms", service.public),
                app: service.app.clone(),
                // An idle connection would be waited for at the end.
                http: reqwest::Client::builder()
                    .pool_max_idle_per_host(0)
                    .build()
                    .unwrap(),
                service,
            }
        })
    }

    async fn client(&self) -> Client {
        self.app.pool.get().await.unwrap()
    }

    async fn count(&self, sql: &str) -> i64 {
        self.client()
            .await
            .query_one(sql, &[])
            .await
            .unwrap()
            .get(0)
    }

    /// Status, media type and body of the answer.
    async fn call(&self, request: reqwest::RequestBuilder) -> (u16, String, String) {
        let response = request.send().await.unwrap();
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (
            response.status().as_u16(),
            media_type,
            response.text().await.unwrap(),
        )
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let (status, _, body) = self
            .call(self.http.post(format!("{}{path}", self.url)).form(form))
            .await;
        (status, body)
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, String) {
        let (status, _, body) = self
            .call(self.http.get(format!("{}{path}", self.url)).query(query))
            .await;
        (status, body)
    }

    /// A message that `provider` has accepted under this id, or that is in doubt.
    async fn sent(&self, provider: &str, id: Option<&str>) -> i64 {
        let sql = "insert into outbox (kind, msisdn, text, expires_at, provider, provider_id, status, due_at, sent_at)
                   values ('test', '+254700000009', 'x', now() + interval '1 hour', $1, $2,
                           case when $2::text is null then 'unknown' else 'accepted' end, now() + interval '1 hour', now())
                   returning outbox_id";
        self.client()
            .await
            .query_one(sql, &[&provider, &id])
            .await
            .unwrap()
            .get(0)
    }

    async fn status(&self, outbox_id: i64) -> String {
        let sql = "select status from outbox where outbox_id = $1";
        self.client()
            .await
            .query_one(sql, &[&outbox_id])
            .await
            .unwrap()
            .get(0)
    }

    async fn stop(self) {
        self.service.stop().await;
    }
}

fn twilio_signature(path: &str, form: &[(&str, &str)]) -> String {
    let mut sorted = form.to_vec();
    sorted.sort();
    let params: String = sorted
        .iter()
        .flat_map(|(name, value)| [*name, *value])
        .collect();
    let signed = format!("https://sms.example.com/sms{path}{params}");
    STANDARD.encode(hmac(Algorithm::Sha1, b"hush", signed.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_message_is_taken_once_and_any_other_is_not() {
    let app = Running::start();
    let form = [
        ("MessageSid", "SM1"),
        ("From", "+254700000001"),
        ("To", "+15005550006"),
        ("Body", "HELP"),
        ("NumMedia", "0"),
    ];
    let path = "/twilio/tok/inbound?k=a%20b";
    let signature = twilio_signature(path, &form);
    let post = |signature: Option<&str>, form: &[(&str, &str)], path: &str| {
        let request = app.http.post(format!("{}{path}", app.url)).form(form);
        match signature {
            Some(signature) => request.header("X-Twilio-Signature", signature),
            None => request,
        }
    };
    let tampered = [form[0], form[1], form[2], ("Body", "STOP"), form[4]];
    for (signature, form) in [
        (None, &form),
        (Some("AAAA"), &form),
        (Some("not base64 !"), &form),
        (Some(signature.as_str()), &tampered),
    ] {
        assert_eq!(app.call(post(signature, form, path)).await.0, 403);
    }
    assert_eq!(app.count("select count(*) from inbound_sms").await, 0);
    for _ in 0..3 {
        let (status, media_type, body) = app.call(post(Some(&signature), &form, path)).await;
        assert_eq!(status, 200);
        assert_eq!(media_type, "text/xml; charset=utf-8");
        assert_eq!(body, r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
    }
    assert_eq!(
        app.count("select count(*) from inbound_sms where text = 'HELP'")
            .await,
        1
    );
    assert_eq!(
        app.count("select count(*) from outbox where kind = 'help'")
            .await,
        1
    );
    // A stranger to the path learns nothing, signed or not.
    for path in [
        "/twilio/wrong/inbound",
        "/nobody/tok/inbound",
        "/twilio/tok/nowhere",
        "/beem/tok/inbound",
    ] {
        let signature = twilio_signature(path, &form);
        let response = post(Some(&signature), &form, path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.text().await.unwrap(), "", "{path}");
    }
    let path = "/twilio/tok/delivery";
    let id = app.sent("twilio", Some("sm9")).await;
    for (word, state) in [("delivered", "delivered"), ("sent", "delivered")] {
        let form = [
            ("MessageSid", "SM9"),
            ("MessageStatus", word),
            ("To", "+254700000009"),
        ];
        assert_eq!(
            app.call(post(Some(&twilio_signature(path, &form)), &form, path))
                .await
                .0,
            200
        );
        assert_eq!(app.status(id).await, state);
    }
    app.stop().await;
}

fn vonage(fields: &[(&str, &str)], seconds: i64) -> Vec<(String, String)> {
    let mut signed: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    signed.push((
        "timestamp".to_owned(),
        (Utc::now().timestamp() + seconds).to_string(),
    ));
    signed.sort();
    let text: String = signed
        .iter()
        .map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_")))
        .collect();
    let sig = hmac(Algorithm::Sha256, b"hush", text.as_bytes());
    signed.push((
        "sig".to_owned(),
        sig.iter().map(|octet| format!("{octet:02X}")).collect(),
    ));
    signed
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_in_any_order_and_by_any_transport_and_make_one_message() {
    let app = Running::start();
    let url = format!("{}/vonage/tok/inbound", app.url);
    let part = |number: &'static str, text: &'static str| {
        [
            ("msisdn", "254700000001"),
            ("to", "22384"),
            ("messageId", number),
            ("text", text),
            ("type", "text"),
            ("concat", "true"),
            ("concat-ref", "108"),
            ("concat-total", "3"),
            ("concat-part", number),
        ]
    };
    let (one, two, three) = (part("1", "MSA"), part("2", "AD"), part("3", "A & x=y"));
    let stale = vonage(&two, -600);
    assert_eq!(app.call(app.http.post(&url).form(&stale)).await.0, 401);
    let unsigned = two;
    assert_eq!(app.call(app.http.post(&url).form(&unsigned)).await.0, 401);
    assert_eq!(
        app.call(app.http.get(&url)).await.0,
        200,
        "a question whether we are there"
    );
    assert_eq!(
        app.call(app.http.post(&url).form(&vonage(&two, 0))).await.0,
        200
    );
    assert_eq!(
        app.call(app.http.get(&url).query(&vonage(&three, 0)))
            .await
            .0,
        200
    );
    assert_eq!(
        app.call(app.http.post(&url).form(&vonage(&two, 1))).await.0,
        200
    );
    assert_eq!(app.count("select count(*) from inbound_part").await, 2);
    assert_eq!(app.count("select count(*) from inbound_sms").await, 0);
    let json: HashMap<_, _> = vonage(&one, 0).into_iter().collect();
    assert_eq!(app.call(app.http.post(&url).json(&json)).await.0, 200);
    assert_eq!(app.count("select count(*) from inbound_part").await, 0);
    assert_eq!(
        app.count(
            "select count(*) from inbound_sms where text = 'MSAADA & x=y' and provider_id = '1'"
        )
        .await,
        1
    );
    assert_eq!(
        app.count("select count(*) from outbox where kind = 'help'")
            .await,
        1
    );
    // All of them once more: the same message.
    for part in [&one, &two, &three] {
        assert_eq!(
            app.call(app.http.post(&url).form(&vonage(part, 0))).await.0,
            200
        );
    }
    assert_eq!(app.count("select count(*) from inbound_sms").await, 1);
    // A part whose others never come is dropped after ten minutes, and does not meet a later message of the same name.
    assert_eq!(
        app.call(app.http.post(&url).form(&vonage(&one, 0))).await.0,
        200
    );
    app.client()
        .await
        .execute(
            "update inbound_part set at = at - interval '10 minutes'",
            &[],
        )
        .await
        .unwrap();
    for part in [&two, &three] {
        assert_eq!(
            app.call(app.http.post(&url).form(&vonage(part, 0))).await.0,
            200
        );
    }
    jobs::sms::sweep(&app.app.pool).await.unwrap();
    assert_eq!(app.count("select count(*) from inbound_part").await, 2);
    // Octets for a program are kept and not answered.
    let binary = [
        ("msisdn", "254700000002"),
        ("to", "22384"),
        ("messageId", "b1"),
        ("type", "binary"),
        ("data", "0123ff"),
        ("udh", "0605040B8423F0"),
    ];
    assert_eq!(
        app.call(app.http.post(&url).form(&vonage(&binary, 0)))
            .await
            .0,
        200
    );
    assert_eq!(app.count("select count(*) from inbound_sms").await, 2);
    assert_eq!(
        app.count("select count(*) from outbox where msisdn = '+254700000002'")
            .await,
        0
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_find_their_message_in_each_providers_words() {
    let app = Running::start();
    // Termii signs the raw body.
    let id = app.sent("termii", Some("9122821270554876574")).await;
    let body = r#"{"type":"outbound","message_id":"9122821270554876574","receiver":"254700000009","status":"DELIVERED | Message delivered to handset"}"#;
    let signature: String = hmac(Algorithm::Sha512, b"hush", body.as_bytes())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let url = format!("{}/termii/tok/delivery", app.url);
    let post = |body: &str, signature: &str| {
        let request = app
            .http
            .post(&url)
            .header("Content-Type", "application/json");
        request
            .header("X-Termii-Signature", signature)
            .body(body.to_owned())
    };
    for (body, signature) in [
        (body, ""),
        (body, "00ff"),
        (&body.replace("DELIVERED", "REJECTED"), signature.as_str()),
    ] {
        assert_eq!(app.call(post(body, signature)).await.0, 401);
    }
    assert_eq!(app.status(id).await, "accepted");
    assert_eq!(app.call(post(body, &signature)).await.0, 200);
    assert_eq!(app.status(id).await, "delivered");

    // The gateway's SMSC answers in hexadecimal and reports in decimal.
    let id = app.sent("jasmin", Some("2587")).await;
    let acknowledged = (200, "ACK/Jasmin".to_owned());
    let level1 = [
        ("id", "0000002587"),
        ("level", "1"),
        ("message_status", "ESME_ROK"),
    ];
    assert_eq!(
        app.post("/jasmin/tok/delivery", &level1).await,
        acknowledged
    );
    assert_eq!(app.status(id).await, "sent");
    let level2 = [
        ("id", "2587"),
        ("level", "2"),
        ("message_status", "UNDELIV"),
        ("id_smsc", "0a1b"),
    ];
    assert_eq!(app.get("/jasmin/tok/delivery", &level2).await, acknowledged);
    assert_eq!(app.status(id).await, "failed");
    let inbound = [
        ("id", "j1"),
        ("from", "254700000003"),
        ("to", "22384"),
        ("coding", "8"),
        ("binary", "00480045004c0050"),
    ];
    assert_eq!(
        app.post("/jasmin/tok/inbound", &inbound).await,
        acknowledged
    );
    assert_eq!(
        app.count("select count(*) from inbound_sms where provider = 'jasmin' and text = 'HELP'")
            .await,
        1
    );
    let (status, body) = app.post("/jasmin/tok/inbound", &inbound[1..]).await;
    assert_eq!((status, body.as_str()), (400, "missing field id"));

    // Kannel names our own id, also of a message in doubt; the answer's text would go to the subscriber.
    let id = app.sent("kannel", None).await;
    let reference = id.to_string();
    let report = [
        ("id", reference.as_str()),
        ("type", "1"),
        ("reply", ""),
        ("foreign", "0A1B"),
        ("ts", "1714555850"),
    ];
    assert_eq!(app.get("/kannel/tok/delivery", &report).await.0, 200);
    assert_eq!(app.status(id).await, "delivered");
    let inbound = [
        ("id", "k1"),
        ("from", "+254700000004"),
        ("to", "22384"),
        ("text", "HELP"),
        ("coding", "0"),
        ("time", "1714555812"),
    ];
    assert_eq!(
        app.get("/kannel/tok/inbound", &inbound).await,
        (200, String::new())
    );

    // Several in one call.
    let ids = [
        app.sent("infobip", Some("m1")).await,
        app.sent("infobip", Some("m2")).await,
    ];
    let body = r#"{"results":[{"messageId":"m1","status":{"groupId":3}},{"messageId":"m2","status":{"groupId":4}}]}"#;
    let request = app
        .http
        .post(format!("{}/infobip/tok/delivery", app.url))
        .header("Content-Type", "application/json")
        .body(body);
    assert_eq!(app.call(request).await.0, 200);
    assert_eq!(
        (app.status(ids[0]).await, app.status(ids[1]).await),
        ("delivered".to_owned(), "expired".to_owned())
    );

    // An opt-out is kept, a subscription is taken note of.
    let opt_out = [("senderId", "SHORTY"), ("phoneNumber", "+254700000005")];
    assert_eq!(
        app.post("/africastalking/tok/optout", &opt_out).await.0,
        200
    );
    let subscription = [
        ("phoneNumber", "+254700000005"),
        ("shortCode", "22384"),
        ("keyword", "news"),
        ("updateType", "Addition"),
    ];
    assert_eq!(
        app.post("/africastalking/tok/subscription", &subscription)
            .await
            .0,
        200
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_acknowledged() {
    let app = Running::start();
    let form = [
        ("id", "j1"),
        ("from", "254700000003"),
        ("to", "22384"),
        ("content", "HELP"),
    ];
    app.client()
        .await
        .batch_execute("alter table inbound_sms rename to gone")
        .await
        .unwrap();
    assert_eq!(app.post("/jasmin/tok/inbound", &form).await.0, 503);
    app.client()
        .await
        .batch_execute("alter table gone rename to inbound_sms")
        .await
        .unwrap();
    assert_eq!(
        app.post("/jasmin/tok/inbound", &form).await,
        (200, "ACK/Jasmin".to_owned())
    );
    app.stop().await;
}
