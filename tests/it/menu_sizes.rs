//! An aggregator that shows less of a screen: a whole booking is kept to its size, page by page.

use std::time::Duration;

use reserveflow::app::Clock;
use reserveflow::sms::gsm7;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::app::{TestApp, noon};

/// Nalo's own limit.
const SEPTETS_MAX: usize = 120;
/// The same answer to the next screen is taken for a repetition for a second.
const APART: Duration = Duration::from_millis(1_100);

struct Phone<'a> {
    app: &'a TestApp,
    msisdn: &'a str,
    last: String,
}

impl Phone<'_> {
    /// What is shown, and whether an answer is waited for.
    async fn say(&mut self, data: &str, dials: bool) -> (String, bool) {
        if self.last == data {
            sleep(APART).await;
        }
        data.clone_into(&mut self.last);
        let call = json!({
            "USERID": "NALOTest", "MSISDN": self.msisdn, "USERDATA": data, "MSGTYPE": dials, "NETWORK": "MTN",
        });
        let url = format!("{}/ussd/nalo/demo", self.app.public);
        let response = self.app.http.post(url).json(&call).send().await.unwrap();
        let said: Value = response.json().await.unwrap();
        let text = said["MSG"].as_str().unwrap().to_owned();
        let septets = gsm7::septets(&text).unwrap();
        assert!(septets <= SEPTETS_MAX, "{septets} septets: {text}");
        (text, said["MSGTYPE"].as_bool().unwrap())
    }

    /// All pages of what a call leads to, turned one by one.
    async fn pages(&mut self, data: &str, dials: bool) -> (Vec<String>, bool) {
        let (text, mut waits) = self.say(data, dials).await;
        let mut pages = vec![text];
        while pages[pages.len() - 1]
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("98 "))
        {
            let (text, still) = self.say("98", false).await;
            pages.push(text);
            waits = still;
        }
        (pages, waits)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_booking_is_kept_to_the_screens_of_nalo() {
    // Only time tells an answer from its repetition: it must pass.
    let clock = Clock::Running {
        from: noon().now(),
        start: Instant::now(),
    };
    let app = TestApp::start_at(clock, "");
    for (msisdn, language) in [("254711000864", "1"), ("254711000865", "2")] {
        let mut phone = Phone {
            app: &app,
            msisdn,
            last: String::new(),
        };
        let mut most = 0;
        phone.pages("*384*7#", true).await;
        let answers = [
            "4", language, "1", "Nakuru", "2", "3", "2", "1", "Mary", "1",
        ];
        for (index, answer) in answers.into_iter().enumerate() {
            let (pages, waits) = phone.pages(answer, false).await;
            most = most.max(pages.len());
            let is_last = index == answers.len() - 1;
            assert_eq!(waits, !is_last, "{answer}: {pages:?}");
            assert_eq!(
                pages[0].starts_with("BOOKED "),
                is_last,
                "{answer}: {pages:?}"
            );
        }
        assert!(most > 1, "nothing was longer than a page");
    }
}
