//! The process ends at every step of money in turn: asking, a prompt, its result, a second payment by hand, its refund.
//! After the restart and the provider's repetition the guest has the room, each message once, and the money adds up.

use std::path::Path;

use deadpool_postgres::Pool;
use futures_util::{StreamExt, stream};
use reserveflow::booking::reservation::Status;
use reserveflow::crash_point::MONEY_STEPS;
use reserveflow::db::payments::ledger::list_faults;
use reserveflow::db::payments::refunds;
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::db::reservations::Reservation;
use reserveflow::db::reserve::Reserved;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{CONFIG, form, session_id};
use crate::support::binary::{Program, Served, says_later};
use crate::support::daraja::{Fake, by_hand, moved, success};
use crate::support::double::PORTAL_KEY;
use crate::support::lodging::{Lodge, Wish, stay};
use crate::support::postgres::sample_database;
use crate::support::stores::stores;
use crate::support::{PATIENCE, eventually};

const AT_ONCE: usize = 4;
/// Longer than a prompt without an answer is waited for, shorter than a hold.
const GIVEN_UP_AFTER: &str = "200 seconds";

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_money_loses_none_and_tells_each_thing_once() {
    let crashes = MONEY_STEPS
        .iter()
        .flat_map(|(step, passes)| (1..=*passes).map(move |pass| format!("{step}:{pass}")));
    stream::iter(crashes)
        .for_each_concurrent(AT_ONCE, survive)
        .await;
}

async fn survive(crash: String) {
    let mut till = Till::open(crash).await;
    let held = till.hold().await;
    let guest = held.msisdn.as_str().to_owned();

    till.dial_to_pay(&guest).await;
    till.until_pushed(&guest).await;
    let (id, push) = till.fake.pushed();
    let url = push["CallBackURL"].as_str().unwrap().to_owned();
    till.post(&url, &success(&id, &push, "NLJ7RT61SV")).await;
    till.until("select status = 'confirmed' from reservation")
        .await;

    // Whoever could not see that it was paid pays again by hand; all of that is to go back.
    let door = |door: &str| format!("http://PUBLIC/pay/daraja/till/{door}");
    let again = by_hand("AGAIN1", held.code.digits(), "9000");
    till.post(&door("confirmation"), &again).await;
    till.until("select count(*) = 1 from payment_claim").await;
    let answer_to = till.until_traced("AGAIN1").await;
    till.post(&answer_to, &moved("AGAIN1", "9000", "174379"))
        .await;
    till.until("select count(*) = 1 from refund").await;
    let client = till.tables.get().await.unwrap();
    let refund = refunds::list_open(&client).await.unwrap()[0].refund_id;
    drop(client);
    till.approve(refund).await;
    till.until("select status in ('sent', 'refused') or asked > 0 from refund")
        .await;
    if till.is("select status <> 'sent' from refund").await {
        // In doubt, a person looks at the provider's; here it is as the fake has it, and it is sent by hand if need be.
        let client = till.tables.get().await.unwrap();
        assert!(
            refunds::end(&client, refund, Some("BACK1"), "asha")
                .await
                .unwrap()
        );
    }
    let back = json!({"Result": {"ResultType": 0, "ResultCode": 0, "ResultDesc": "ok", "ConversationID": "AG_1",
        "OriginatorConversationID": "o", "TransactionID": "BACK1"}});
    till.post(&door("refund"), &back).await;
    till.until("select status = 'done' and told_at is not null from refund")
        .await;
    till.until("select count(*) >= 4 and bool_and(applied_at is not null) from payment_callback")
        .await;

    let crash = &till.crash;
    assert_eq!(till.crashes, 1, "{crash}");
    assert!(till.fake.reversals() <= 1, "{crash}: sent back twice");
    assert!(till.fake.pushes() == 1, "{crash}: prompted twice");
    let mut client = till.tables.get().await.unwrap();
    assert_eq!(list_faults(&mut client).await.unwrap(), [], "{crash}");
    let told = "select kind, count(*) from outbox where msisdn = $1 and kind not in ('confirmation', 'pay_failed') group by 1 order by 1";
    let told: Vec<(String, i64)> = client
        .query(told, &[&guest])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let once = |kind: &str| (kind.to_owned(), 1);
    assert_eq!(
        told,
        [once("confirmed"), once("refund_due"), once("refunded")],
        "{crash}"
    );
    let hosts = "select count(*) = 1 from outbox where kind = 'host_booked'";
    assert!(till.is(hosts).await, "{crash}");
    let rooms =
        "select bool_and(reserved_units = 1) from property_availability where reserved_units > 0";
    assert!(till.is(rooms).await, "{crash}");
}

/// A lodge that wants money first, a Daraja, and a service that ends once and is started again.
struct Till {
    crash: String,
    folder: TempDir,
    config: String,
    tables: Pool,
    fake: Fake,
    service: Served,
    crashes: u32,
}

impl Till {
    async fn open(crash: String) -> Till {
        let database = sample_database().await;
        let fake = Fake::start();
        let config = format!(
            "{CONFIG}  daraja: {{ tokens: [till] }}
database: {{ url: \"{database}\" }}
redis: {{ url: \"{}\" }}
public_url: http://PUBLIC
payments:
  providers:
    daraja: {{ consumer_key: key, consumer_secret: secret, short_code: \"174379\", passkey: pass, url: \"{}\",
               initiator: api, initiator_password: hush, public_key: \"{}\" }}
",
            stores().redis,
            fake.url,
            *PORTAL_KEY
        );
        let folder = TempDir::new().unwrap();
        let service = serve(folder.path(), &config, Some(&crash)).await;
        let tables = pool(&database, &PoolSettings::default()).unwrap();
        Till {
            crash,
            folder,
            config,
            tables,
            fake,
            service,
            crashes: 0,
        }
    }

    async fn hold(&self) -> Reservation {
        let lodge = Lodge {
            pay: "prepay",
            ..Lodge::default()
        };
        let property = lodge.insert(&self.tables).await;
        let wish = Wish::new(property, stay(3, 2), 1);
        let Reserved::Made(held) = wish.reserve(&self.tables).await else {
            panic!("not held");
        };
        assert_eq!(held.status, Status::Held);
        held
    }

    /// Starts the service again if it has ended; what it had claimed is anybody's then.
    async fn mend(&mut self) {
        if self.service.program.runs() {
            return;
        }
        self.crashes += 1;
        assert_eq!(self.crashes, 1, "{}", self.service.program.printed());
        self.service = serve(self.folder.path(), &self.config, None).await;
        let pushed = self.fake.pushes() > 0;
        let client = self.tables.get().await.unwrap();
        let age = if pushed { "0 seconds" } else { GIVEN_UP_AFTER };
        let leases = format!(
            "update payment_attempt set due_at = now(), created_at = created_at - interval '{age}'
                 where status in ('prompting', 'pending');
             update payment_claim set due_at = now() where status = 'open';
             update refund set due_at = now() where status = 'sending'"
        );
        client.batch_execute(&leases).await.unwrap();
    }

    /// Lets time pass until this holds.
    async fn until(&mut self, sql: &str) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.is(sql).await {
            assert!(std::time::Instant::now() < end, "{}: {sql}", self.crash);
            self.mend().await;
            let client = self.tables.get().await.unwrap();
            let passes = "update payment_attempt set due_at = now() where status = 'due' or status = 'pending'
                          and due_at > now() + interval '61 seconds'";
            client.batch_execute(passes).await.unwrap();
            drop(client);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.mend().await;
    }

    /// Where the answer to the question about this receipt is to be posted, once it is asked.
    async fn until_traced(&mut self, receipt: &str) -> String {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            self.until("select true").await;
            if let Some(url) = self.fake.traced(receipt) {
                return url;
            }
            assert!(std::time::Instant::now() < end, "{}: {receipt}", self.crash);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn is(&self, sql: &str) -> bool {
        let client = self.tables.get().await.unwrap();
        let row = client.query_one(sql, &[]).await.unwrap();
        row.get::<_, Option<bool>>(0).unwrap_or_default()
    }

    /// Until the phone was asked; whoever is told that this did not work dials again.
    async fn until_pushed(&mut self, guest: &str) {
        let over = "select count(*) filter (where status = 'due') = 0 from payment_attempt";
        loop {
            self.until(over).await;
            let settled = "select bool_or(status in ('pending', 'paid')) or bool_and(status = 'failed') from payment_attempt";
            self.until(settled).await;
            if self.fake.pushes() > 0 {
                return;
            }
            self.until("select bool_and(status = 'failed') from payment_attempt")
                .await;
            let told = "select count(*) = 1 from outbox where kind = 'pay_failed'";
            assert!(self.is(told).await, "{}", self.crash);
            self.dial_to_pay(guest).await;
        }
    }

    /// Chooses to pay, and calls again where the service ends meanwhile.
    async fn dial_to_pay(&mut self, guest: &str) {
        let session = session_id();
        for text in ["", "3", "3*1", "3*1*1"] {
            let answers = async |service: &Served| {
                eventually("an answer", async || {
                    call(service, &session, guest, text).await
                })
                .await
            };
            let mut screen = answers(&self.service).await;
            if screen.is_none() {
                eventually("its end", async || {
                    (!self.service.program.runs()).then_some(())
                })
                .await;
                self.mend().await;
                screen = answers(&self.service).await;
            }
            let screen = screen.unwrap();
            assert_eq!(
                screen.starts_with("END Check your phone"),
                text == "3*1*1",
                "{screen}"
            );
        }
    }

    /// As providers do: again, until it is taken.
    async fn post(&mut self, url: &str, body: &Value) {
        let http = reqwest::Client::new();
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            assert!(std::time::Instant::now() < end, "{}: {url}", self.crash);
            let url = url.replace("http://PUBLIC", &self.service.public);
            match http.post(url).json(body).send().await {
                Ok(response) if response.status() == 200 => return,
                _ => self.mend().await,
            }
        }
    }

    async fn approve(&mut self, refund: uuid::Uuid) {
        self.mend().await;
        let client = self.tables.get().await.unwrap();
        let approved = refunds::approve(&client, refund, "asha", i64::MAX).await;
        assert_eq!(approved.unwrap(), refunds::Approval::Approved);
    }
}

/// `None`: ask again. `Some(None)`: the process has ended.
async fn call(service: &Served, session: &str, msisdn: &str, text: &str) -> Option<Option<String>> {
    let url = format!("{}/ussd/africastalking/demo", service.public);
    let form = form(session, msisdn, text);
    let Ok(response) = reqwest::Client::new().post(url).form(&form).send().await else {
        return Some(None);
    };
    let screen = response.text().await.ok()?;
    (!says_later(&screen)).then_some(Some(screen))
}

async fn serve(folder: &Path, config: &str, crash: Option<&str>) -> Served {
    let armed = crash.map(|crash| ("RESERVEFLOW_CRASH_AT", crash));
    Program::serve(folder, config, armed.as_slice()).await
}
