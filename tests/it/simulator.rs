//! Steps of a person at the simulator's page, in headless Chromium.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::support::app::TestApp;

/// How long anything on the page may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How often the page is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A browser with the page open. [`Browser::close`] ends it properly; dropping it, as a failed test does, ends it at once.
pub(crate) struct Browser {
    client: Client,
    _said: Lines<BufReader<ChildStdout>>,
    _group: ProcessGroup,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port, and with it a headless Chromium with a profile of its own.
    ///
    /// # Panics
    /// With a sentence that says what to install, when there is no chromedriver.
    pub(crate) async fn start() -> Browser {
        let profile = TempDir::new().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver is missing: install Debian's `chromium` and `chromium-driver`");
        let group = ProcessGroup(i32::try_from(driver.id().unwrap()).unwrap());
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = timeout(WITHIN, async {
            loop {
                let line = lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("chromedriver stopped before it named its port");
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        });
        let port = port.await.expect("chromedriver names its port");
        let client = connect(&port, &profile).await;
        Browser {
            client,
            _group: group,
            _profile: profile,
            _said: lines,
        }
    }

    /// Opens the page of the service whose private address this is: `http://127.0.0.1:8081`.
    pub(crate) async fn open(&self, private: &str) {
        self.client
            .goto(&format!("{private}/simulator"))
            .await
            .unwrap();
        self.wait_for(&["idle"]).await;
    }

    /// Puts in the SIM of this number.
    pub(crate) async fn use_number(&self, msisdn: &str) {
        let field = self.client.find(Locator::Id("msisdn")).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(&format!("{msisdn}\n")).await.unwrap();
        self.wait_for(&["idle"]).await;
    }

    /// Dials on the keypad and reads the first screen.
    pub(crate) async fn dial(&self, code: &str) -> String {
        self.press(code).await;
        self.click("call").await;
        self.wait_for(&["ussd", "over", "fault"]).await;
        self.screen().await
    }

    /// Answers with digits, `*` or a word and reads the next screen. Digits are pressed on the keypad, letters come from the keyboard.
    pub(crate) async fn answer(&self, text: &str) -> String {
        if text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'*')
        {
            self.press(text).await;
        } else {
            self.client
                .active_element()
                .await
                .unwrap()
                .send_keys(text)
                .await
                .unwrap();
        }
        let before = self.exchanges().await;
        self.click("soft-left").await;
        self.until("the next screen", async || {
            (self.exchanges().await > before && self.view().await != "running").then_some(())
        })
        .await;
        self.screen().await
    }

    /// Presses keys of the keypad, one a character.
    pub(crate) async fn press(&self, keys: &str) {
        for key in keys.chars() {
            match key {
                '*' => self.click("key-star").await,
                '#' => self.click("key-hash").await,
                digit => self.click(&format!("key-{digit}")).await,
            }
        }
    }

    /// Clicks what has this id: `soft-right`, `end`, `inbox` …
    pub(crate) async fn click(&self, id: &str) {
        self.client
            .find(Locator::Id(id))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    /// What the phone says: the text of a dialogue or a message where there is one, else the whole screen.
    pub(crate) async fn screen(&self) -> String {
        self.read("const s = document.getElementById('screen'); return (s.querySelector('#screen-text') ?? s).innerText").await
    }

    /// What kind of screen it is: `idle`, `ussd`, `over` (the dialogue ended), `fault`, `inbox`, `message` …
    pub(crate) async fn view(&self) -> String {
        self.read("return document.getElementById('screen').dataset.view")
            .await
    }

    /// Waits for one of these kinds of screen.
    pub(crate) async fn wait_for(&self, views: &[&str]) {
        self.until(&format!("{views:?}"), async || {
            views.contains(&self.view().await.as_str()).then_some(())
        })
        .await;
    }

    /// Goes to the inbox and waits for an SMS with these words in it; reads it.
    pub(crate) async fn wait_for_sms(&self, words: &str) -> String {
        while !matches!(self.view().await.as_str(), "idle" | "inbox" | "arrived") {
            self.click("end").await;
        }
        self.click("inbox").await;
        let script = "const row = [...document.querySelectorAll('#inbox-list li')].slice(1).find(row => row.innerText.includes(arguments[0])); row?.click(); return !!row";
        self.until(&format!("an SMS with {words:?}"), async || {
            let found = self
                .client
                .execute(script, vec![json!(words)])
                .await
                .unwrap();
            found.as_bool().filter(|found| *found)
        })
        .await;
        self.wait_for(&["message"]).await;
        self.screen().await
    }

    /// Writes what the page shows to a PNG, for people.
    pub(crate) async fn screenshot(&self, path: &std::path::Path) {
        std::fs::write(path, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Ends browser and driver.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.unwrap();
    }

    /// How many requests of the phone the page has noted.
    async fn exchanges(&self) -> usize {
        self.read("return String(document.querySelectorAll('#wire details').length)")
            .await
            .parse()
            .unwrap()
    }

    async fn read(&self, script: &str) -> String {
        let value = self.client.execute(script, vec![]).await.unwrap();
        value.as_str().unwrap_or_default().to_owned()
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what}; the phone shows {:?}",
                self.screen().await
            );
            sleep(LOOK_EVERY).await;
        }
    }
}

/// A whole booking by hand. `SCREENSHOTS=folder` keeps a picture of each step.
#[tokio::test]
async fn a_person_books_at_the_page_and_gets_the_sms() {
    let app = TestApp::start("");
    let browser = Browser::start().await;
    let folder = std::env::var_os("SCREENSHOTS").map(std::path::PathBuf::from);
    let picture = async |name: &str| {
        if let Some(folder) = &folder {
            browser
                .screenshot(&folder.join(format!("{name}.png")))
                .await;
        }
    };
    browser.open(&app.private).await;
    browser.use_number("+254711000001").await;
    picture("1-idle").await;
    let home = browser.dial("*384*7#").await;
    assert!(home.contains("1 Book a room"), "{home}");
    picture("2-home").await;
    browser.answer("1").await;
    let when = browser.answer("Nakuru").await;
    assert!(when.starts_with("Nakuru: which night?"), "{when}");
    picture("3-when").await;
    browser.answer("2").await;
    browser.answer("1").await;
    let rooms = browser.answer("2").await;
    assert!(rooms.contains("Soko Lodge"), "{rooms}");
    picture("4-rooms").await;
    browser.answer("1").await;
    let price = browser.answer("Amina").await;
    assert!(price.contains("1 Yes, book"), "{price}");
    picture("5-price").await;
    let booked = browser.answer("1").await;
    let code = booked
        .strip_prefix("BOOKED ")
        .and_then(|rest| rest.split_once('.'))
        .unwrap_or_else(|| panic!("{booked}"))
        .0;
    picture("6-booked").await;
    let sms = browser.wait_for_sms(code).await;
    assert!(sms.contains("Soko Lodge"), "{sms}");
    picture("7-sms").await;
    browser.close().await;
    app.stop().await;
}

/// The driver and the browser that it starts, ended together.
struct ProcessGroup(i32);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

async fn connect(port: &str, profile: &TempDir) -> Client {
    // The window's own bars take 143 of its height: the page gets 1280 x 900.
    let options = json!({ "args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1043", "--hide-scrollbars",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--no-first-run", format!("--user-data-dir={}", profile.path().display()),
    ]});
    let capabilities = [("goog:chromeOptions".to_owned(), options)]
        .into_iter()
        .collect();
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(capabilities);
    let address = format!("http://127.0.0.1:{port}");
    let client = timeout(WITHIN, builder.connect(&address))
        .await
        .expect("the browser starts in time");
    client.expect("chromedriver starts a browser: is Debian's `chromium` installed?")
}
