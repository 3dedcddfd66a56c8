//! MTN `MoMo` and Airtel Money from the first dial to the SMS, by callback and by question, over HTTP.

use reserveflow::app::Clock;
use reserveflow::booking::reservation::Status;
use reserveflow::db::payments::ledger::list_faults;
use serde_json::Value;

use crate::support::app::{TestApp, session_id};
use crate::support::collections::{Collections, Prompt, airtel_callback, mtn_status};
use crate::support::eventually;
use crate::support::lodging::Lodge;

const PROVIDERS: [&str; 2] = ["mtn_momo", "airtel_money"];

/// A service with an account at one of them, and a lodge that wants money first and is the cheapest.
struct Shop {
    app: TestApp,
    fake: Collections,
    provider: &'static str,
}

impl Shop {
    async fn open(provider: &'static str) -> Shop {
        let fake = Collections::start();
        let url = &fake.url;
        let account = match provider {
            "mtn_momo" => format!(
                "subscription_key: sub, api_user: user, api_key: key, target_environment: mtnkenya, currency: KES, url: \"{url}\""
            ),
            _ => format!(
                "client_id: id, client_secret: secret, country: KE, currency: KES, url: \"{url}\""
            ),
        };
        let more = format!(
            "  {provider}: {{ tokens: [till] }}\npublic_url: http://PUBLIC\npayments: {{ providers: {{ {provider}: {{ {account} }} }} }}\n"
        );
        let app = TestApp::start_at(Clock::System, &more);
        let lodge = Lodge {
            pay: "prepay",
            price: 1,
            units: 9,
            ..Lodge::default()
        };
        lodge.insert(&app.pool).await;
        Shop {
            app,
            fake,
            provider,
        }
    }

    /// Dials, books, is held, and asks to pay; the code.
    async fn book(&self, caller: &str) -> String {
        let session = session_id();
        let mut answers = vec!["1", "Nakuru", "2", "1", "1", "1", "Asha", "1"];
        let shown = self.app.dialogue(&session, caller, &answers).await;
        assert!(shown.contains("1 Pay all now KES "), "{shown}");
        let (code, _) = shown.trim_start_matches("CON ").split_once(':').unwrap();
        answers.push("1");
        let prompted = self.app.call(&session, caller, &answers.join("*")).await;
        assert!(prompted.starts_with("END Check your phone"), "{prompted}");
        code.to_owned()
    }

    /// The prompt that reaches the phone once the dialogue is over.
    async fn prompted(&self, caller: &str) -> Prompt {
        self.pass("status = 'due'").await;
        let number = caller.trim_start_matches('+');
        eventually("the prompt", async || {
            self.fake.prompts().into_iter().find(|prompt| {
                let body = &prompt.body;
                body["payer"]["partyId"] == number
                    || body["subscriber"]["msisdn"] == number.trim_start_matches("254")
            })
        })
        .await
    }

    /// Lets the wait of attempts pass.
    async fn pass(&self, which: &str) {
        let client = self.app.pool.get().await.unwrap();
        let sql = format!("update payment_attempt set due_at = now() where {which}");
        client.execute(&sql, &[]).await.unwrap();
    }

    async fn until_attempt(&self, wanted: &str) {
        eventually("the attempt", async || {
            let sql = format!("select count(*) from payment_attempt where {wanted}");
            (self.app.count(&sql).await > 0).then_some(())
        })
        .await;
    }

    async fn status(&self, code: &str) -> Status {
        let client = self.app.pool.get().await.unwrap();
        let digits = code.replace('-', "");
        let sql = "select status from reservation where code = $1";
        let row = client.query_one(sql, &[&digits]).await.unwrap();
        Status::find(row.get(0)).unwrap()
    }

    async fn until(&self, code: &str, wanted: Status) {
        eventually("the reservation", async || {
            (self.status(code).await == wanted).then_some(())
        })
        .await;
    }

    /// Posts what the provider says of a prompt, as it does: `PAID` or a reason.
    async fn tell(&self, prompt: &Prompt, said: &str) -> u16 {
        let (url, body) = match &prompt.callback_url {
            Some(url) => (
                url.replace("http://PUBLIC", &self.app.public),
                mtn_status(prompt, said, "KES"),
            ),
            None => (
                format!("{}/pay/{}/till/result", self.app.public, self.provider),
                airtel_callback(prompt, if said == "PAID" { "TS" } else { "TF" }),
            ),
        };
        let method = match self.provider {
            "mtn_momo" => reqwest::Method::PUT,
            _ => reqwest::Method::POST,
        };
        let response = self.app.http.request(method, url).json(&body).send().await;
        response.unwrap().status().as_u16()
    }

    async fn booked(&self, caller: &str) -> String {
        let sent = eventually("BOOKED", async || {
            let sent = self.app.sms(caller, 1).await;
            sent.into_iter().find(|sms| sms["kind"] == "confirmed")
        })
        .await;
        text(&sent)
    }

    async fn close(self) {
        let mut client = self.app.pool.get().await.unwrap();
        assert_eq!(list_faults(&mut client).await.unwrap(), []);
        drop(client);
        self.app.stop().await;
    }
}

fn text(sms: &Value) -> String {
    sms["text"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_dials_books_pays_by_prompt_and_reads_booked_by_callback_and_by_question() {
    for provider in PROVIDERS {
        let shop = Shop::open(provider).await;
        // Told by callback, twice.
        let caller = "+254711000031";
        let code = shop.book(caller).await;
        let prompt = shop.prompted(caller).await;
        assert_eq!(shop.fake.prompts().len(), 1, "{provider}");
        shop.until_attempt("status = 'pending'").await;
        assert_eq!(shop.fake.asked(), 0, "{provider}: not asked yet");
        for _ in 0..2 {
            assert_eq!(shop.tell(&prompt, "PAID").await, 200, "{provider}");
        }
        shop.until(&code, Status::Confirmed).await;
        let told = shop.booked(caller).await;
        assert!(told.starts_with(&format!("BOOKED {code}.")), "{told}");
        assert!(shop.fake.asked() > 0, "{provider}: a callback is a hint");

        // Told by nobody: the question finds it out.
        let caller = "+254711000032";
        shop.fake
            .says(|script| script.says = ["PENDING", "PAID"].into());
        let code = shop.book(caller).await;
        shop.prompted(caller).await;
        for status in [
            "status = 'pending' and asked = 0",
            "status = 'pending' and asked = 1",
        ] {
            shop.until_attempt(status).await;
            shop.pass("status = 'pending'").await;
        }
        shop.until(&code, Status::Confirmed).await;
        shop.booked(caller).await;
        let sent = "select count(*) from outbox where kind = 'confirmed'";
        assert_eq!(shop.app.count(sent).await, 2, "{provider}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_wins_over_a_failure_in_either_order() {
    let unsure = [("mtn_momo", "EXPIRED"), ("airtel_money", "DP00800001029")];
    for (provider, expired) in unsure {
        let shop = Shop::open(provider).await;
        // First it failed, then it had not.
        let caller = "+254711000033";
        shop.fake
            .says(|script| script.says = [expired, "PAID"].into());
        let code = shop.book(caller).await;
        let prompt = shop.prompted(caller).await;
        shop.until_attempt("status = 'pending'").await;
        shop.tell(&prompt, expired).await;
        shop.until_attempt("asked = 1").await;
        assert_eq!(shop.status(&code).await, Status::Paying, "{provider}");
        shop.tell(&prompt, "PAID").await;
        shop.until(&code, Status::Confirmed).await;
        // A failure that comes last changes nothing.
        shop.tell(&prompt, expired).await;
        eventually("the last callback", async || {
            let open = "select count(*) from payment_callback where applied_at is null";
            (shop.app.count(open).await == 0).then_some(())
        })
        .await;
        assert_eq!(shop.status(&code).await, Status::Confirmed, "{provider}");
        let told = "select count(*) from outbox where kind = 'pay_failed'";
        assert_eq!(shop.app.count(told).await, 0, "{provider}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_after_the_hold_takes_the_room_again_or_goes_back() {
    for provider in PROVIDERS {
        let shop = Shop::open(provider).await;
        shop.fake.says(|script| script.says = ["PENDING"].into());
        let callers = ["+254711000034", "+254711000035"];
        let mut codes = Vec::new();
        let mut prompts = Vec::new();
        for caller in callers {
            codes.push(shop.book(caller).await);
            prompts.push(shop.prompted(caller).await);
        }
        eventually("both prompts", async || {
            let sql = "select count(*) from payment_attempt where status = 'pending'";
            (shop.app.count(sql).await == 2).then_some(())
        })
        .await;
        let client = shop.app.pool.get().await.unwrap();
        let hours = "update payment_attempt set created_at = created_at - interval '2 hours';
                     update reservation set hold_expires_at = now() - interval '1 hour'";
        client.batch_execute(hours).await.unwrap();
        drop(client);
        for code in &codes {
            shop.until(code, Status::Expired).await;
        }
        shop.fake.says(|script| script.says = ["PAID"].into());
        // The room is free still, and then gone to somebody else.
        shop.tell(&prompts[0], "PAID").await;
        shop.until(&codes[0], Status::Confirmed).await;
        let client = shop.app.pool.get().await.unwrap();
        let gone =
            "update property_availability a set available_units = reserved_units from reservation r
                    where r.property_id = a.property_id";
        client.execute(gone, &[]).await.unwrap();
        drop(client);
        shop.tell(&prompts[1], "PAID").await;
        shop.until(&codes[1], Status::RefundDue).await;
        let told = "select count(*) from outbox where kind = 'refund_due' and text like '%goes back to you within 3 days%'";
        assert_eq!(shop.app.count(told).await, 1, "{provider}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_currency_than_was_asked_for_confirms_nothing_and_alarms() {
    let shop = Shop::open("mtn_momo").await;
    shop.fake.says(|script| script.currency = Some("UGX"));
    let caller = "+254711000036";
    let code = shop.book(caller).await;
    let prompt = shop.prompted(caller).await;
    shop.until_attempt("status = 'pending'").await;
    assert_eq!(shop.tell(&prompt, "PAID").await, 200);
    shop.until_attempt("reason = 'other_currency' and alarmed_at is not null")
        .await;
    assert_eq!(shop.status(&code).await, Status::Paying);
    assert_eq!(shop.app.count("select count(*) from payment").await, 0);
    assert_eq!(
        shop.app
            .count("select count(*) from payment_callback")
            .await,
        1
    );
    // It was a slip of the provider's.
    shop.fake.says(|script| script.currency = None);
    eventually("the confirmation", async || {
        // The question that raised the alarm may still be putting off the next one.
        shop.pass("status = 'pending'").await;
        (shop.status(&code).await == Status::Confirmed).then_some(())
    })
    .await;
    shop.close().await;
}
