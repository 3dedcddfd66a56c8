//! What guests see, written down in `tests/dialogues/`: one file a story, read and run from top to bottom.
//!
//! ```text
//! # Milimani is in two towns         the title
//! money                              lodges want money first, a part or all, by phone or on arrival; as a first line
//! clock 12:00                        of Wednesday 4 November 2099; noon if left out
//! phone +254711000101                whose phone it is from here on
//! dial *384*7#                       a new dialogue; the screen stands below, indented by four
//!     ReserveFlow: a room tonight
//!     1 Book a room
//! > 1                                the answer, and the next screen
//!     …
//! = END                              the screen above was the last one
//! hang up                            the dialogue breaks off, and the aggregator says so
//! drop                               it breaks off, and nobody says so
//! redial                             what was dialled last, again
//! text CODE                          the phone sends us an SMS
//! sms                                its next SMS
//! sms +254722000264                  the next SMS to someone else about the last booking
//! no sms                             nothing else was written to this phone
//! taken Likii Rooms                  others book all of it
//! back Likii Rooms                    one of them gives it back
//! price 2500 Likii Rooms             its host asks for so much a night
//! ```
//!
//! `{code}` is the first booking code seen in a file, `{code2}` the second, `{account}` and `{account2}` their digits,
//! `{receipt}` that of a payment. How a phone pays under `money` is told by how its number ends: see `payment/sandbox.rs`.
//! Blank lines and lines that begin with `//` are for the reader. After a change of texts, `DIALOGUES=rewrite cargo test
//! dialogues` writes down what is seen now: read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use reserveflow::session::keeper::Memory;
use reserveflow::sms::gsm7;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use crate::support::app::{TestApp, form, msisdn, session_id, wednesday, wednesday_database};
use crate::support::stores::stores;
use crate::support::{background, eventually};

const SERVICE_CODE: &str = "*384*7#";
const SEPTETS_MAX: usize = 160;
const NOON: &str = "12:00";
/// Phones can be asked for money, or pay by hand.
const MONEY: &str = "money";
const ACCOUNTS: &str = "  daraja: { tokens: [till] }
public_url: http://127.0.0.1:9
payments:
  sandbox: true
  providers: { daraja: { consumer_key: k, consumer_secret: s, short_code: \"174379\", passkey: p, url: \"http://127.0.0.1:9\" } }
  prefixes: { daraja: [\"254799\"] }
";
/// `SBX20E7F3419`
const RECEIPT_CHARS: usize = 12;
/// What stands in place of a screen when a step fails; never what is expected.
const FAULT: &str = "    !! ";
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn every_dialogue_reads_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let apps = Apps::start(&files).await;
    let failures = join_all(files.iter().map(|file| check(&apps, file))).await;
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// What differs, for a person to read.
async fn check(apps: &Apps, file: &Path) -> Option<String> {
    let written = fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let seen = run(apps, &written).await;
    if std::env::var("DIALOGUES").is_ok_and(|wish| wish == "rewrite") {
        fs::write(file, seen.join("\n") + "\n").unwrap();
        return None;
    }
    let written: Vec<&str> = written
        .lines()
        .filter(|line| !line.starts_with(FAULT))
        .collect();
    let same = written.iter().zip(&seen).take_while(|(a, b)| a == b);
    let line = same.count();
    (line < written.len().max(seen.len())).then(|| side_by_side(&name, &written, &seen, line))
}

/// The step in which `line`, counted from 0, differs: expected on the left.
fn side_by_side(name: &str, written: &[&str], seen: &[String], line: usize) -> String {
    let is_shown = |text: &str| text.starts_with("    ") || text == "= END";
    let begin = (0..line)
        .rev()
        .find(|at| !is_shown(written[*at]))
        .unwrap_or(0);
    let block = |lines: &[&str]| -> Vec<String> {
        let after = lines.iter().skip(begin + 1);
        let shown = after.take_while(|text| is_shown(text));
        shown.map(|text| text.trim_start().to_owned()).collect()
    };
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    let (expected, got) = (block(written), block(&seen));
    let mut text = format!("{name}:{}  {}\n", line + 1, written[begin]);
    for at in 0..expected.len().max(got.len()) {
        let side = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
        let (left, right) = (side(&expected), side(&got));
        let mark = if left == right { ' ' } else { '|' };
        text.push_str(&format!("  {left:<60} {mark} {right}\n"));
    }
    text
}

/// One service for each hour that the files ask for, all on one database.
struct Apps(BTreeMap<String, TestApp>);

impl Apps {
    async fn start(files: &[PathBuf]) -> Apps {
        let clock = |file: &PathBuf| {
            let text = fs::read_to_string(file).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("clock "));
            line.unwrap_or(NOON).to_owned()
        };
        let hours: BTreeSet<String> = files.iter().map(clock).chain([NOON.to_owned()]).collect();
        stores();
        Apps(background(async move {
            let database = wednesday_database().await;
            let mut apps = BTreeMap::new();
            for hour in hours {
                let clock = wednesday(&format!("{hour}:00"));
                apps.insert(
                    hour,
                    TestApp::on(clock, "", &database, &stores().redis).await,
                );
            }
            apps.insert(MONEY.to_owned(), money().await);
            apps
        }))
    }
}

/// Lodges of its own, which all want money first.
async fn money() -> TestApp {
    let database = wednesday_database().await;
    let clock = wednesday(&format!("{NOON}:00"));
    let app = TestApp::on(clock, ACCOUNTS, &database, &stores().redis).await;
    let client = app.pool.get().await.unwrap();
    let terms = "update property set pay = 'prepay', deposit_percent = 20, pay_at_lodge_too = true";
    client.execute(terms, &[]).await.unwrap();
    app
}

/// The file as it would be written down now.
async fn run(apps: &Apps, written: &str) -> Vec<String> {
    let mut story = Story {
        app: &apps.0[NOON],
        phone: String::new(),
        session: String::new(),
        dialled: String::new(),
        answers: Vec::new(),
        codes: Vec::new(),
        read: BTreeMap::new(),
    };
    let mut seen = Vec::new();
    for text in written.lines() {
        if text.starts_with("    ") || text == "= END" {
            continue;
        }
        seen.push(text.to_owned());
        match story.step(apps, text).await {
            Ok(shown) => seen.extend(shown),
            Err(why) => seen.push(format!("{FAULT}{why}")),
        }
    }
    if let Err(why) = story.nothing_unread().await {
        seen.push(format!("{FAULT}{why}"));
    }
    seen
}

struct Story<'a> {
    app: &'a TestApp,
    phone: String,
    session: String,
    dialled: String,
    answers: Vec<String>,
    codes: Vec<String>,
    /// Ids of the messages read, by phone.
    read: BTreeMap<String, Vec<i64>>,
}

impl<'a> Story<'a> {
    /// Does what a line says; the lines that are seen then.
    async fn step(&mut self, apps: &'a Apps, line: &str) -> Result<Vec<String>, String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" | "//" => {}
            "clock" => self.app = &apps.0[rest],
            MONEY => self.app = &apps.0[MONEY],
            "phone" => {
                self.nothing_unread().await?;
                rest.clone_into(&mut self.phone);
            }
            "dial" => {
                rest.clone_into(&mut self.dialled);
                return self.dial().await;
            }
            "redial" => return self.dial().await,
            ">" => {
                self.answers.push(self.with_codes(rest));
                return self.call().await;
            }
            "hang" => self.hang_up().await,
            "drop" => {}
            "text" => self.text(&self.with_codes(rest)).await,
            "sms" if rest.is_empty() => return self.sms(&self.phone.clone(), "").await,
            "sms" => {
                let about = self.codes.last().cloned().unwrap_or_default();
                return self.sms(rest, &about).await;
            }
            "taken" => {
                let sql = "update property_availability a set reserved_units = available_units
                           from property p where p.property_id = a.property_id and p.name = $1 and a.date >= '2099-12-01'";
                self.change(sql, &[&rest]).await;
            }
            "back" => {
                let sql = "update property_availability a set reserved_units = reserved_units - 1
                           from property p where p.property_id = a.property_id and p.name = $1 and a.date >= '2099-12-01'";
                self.change(sql, &[&rest]).await;
            }
            "price" => {
                let (units, name) = rest.split_once(' ').ok_or("is not a price and a name")?;
                let sql = "update property_availability a set price_base = $1::text::integer * 100
                           from property p where p.property_id = a.property_id and p.name = $2 and a.date >= '2099-12-01'";
                self.change(sql, &[&units, &name]).await;
            }
            "no" => self.nothing_unread().await?,
            _ => return Err("is not a step".to_owned()),
        }
        Ok(Vec::new())
    }

    async fn change(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) {
        let client = self.app.pool.get().await.unwrap();
        assert!(client.execute(sql, values).await.unwrap() > 0);
    }

    async fn dial(&mut self) -> Result<Vec<String>, String> {
        let base = SERVICE_CODE.trim_end_matches('#');
        let ahead = self
            .dialled
            .strip_prefix(base)
            .and_then(|rest| rest.strip_suffix('#'))
            .ok_or("is not our code")?;
        self.session = session_id();
        self.answers = ahead
            .strip_prefix('*')
            .into_iter()
            .map(str::to_owned)
            .collect();
        self.call().await
    }

    async fn call(&mut self) -> Result<Vec<String>, String> {
        let text = self.answers.join("*");
        let reply = self.app.call(&self.session, &self.phone, &text).await;
        let msisdn = msisdn(&self.phone);
        eventually("what is remembered of the caller", async || {
            let pending = self.app.app.keeper.pending(&msisdn);
            (pending == Memory::default()).then_some(())
        })
        .await;
        let (ends, screen) = match reply.split_at_checked(4) {
            Some(("CON ", screen)) => (false, screen),
            Some(("END ", screen)) => (true, screen),
            _ => return Err(format!("{reply:?} is no reply")),
        };
        match gsm7::septets(screen) {
            Some(1..=SEPTETS_MAX) => {}
            other => return Err(format!("{other:?} septets: {screen}")),
        }
        if screen
            .lines()
            .any(|line| line.trim() != line || line.is_empty())
        {
            return Err(format!("a ragged line: {screen:?}"));
        }
        let mut shown = self.shown(screen);
        shown.extend(ends.then(|| "= END".to_owned()));
        Ok(shown)
    }

    async fn hang_up(&self) {
        let url = format!("{}/ussd/africastalking/demo/events", self.app.public);
        let text = self.answers.join("*");
        let mut end = form(&self.session, &self.phone, &text);
        end.retain(|(name, _)| *name != "text");
        end.extend([("status", "Incomplete"), ("input", &text)]);
        assert_eq!(self.app.post(&url, &end).await.status(), 200);
    }

    async fn text(&self, text: &str) {
        let url = format!("{}/sms/africastalking/demo/inbound", self.app.public);
        let id = session_id();
        let sms = [
            ("id", id.as_str()),
            ("from", &self.phone),
            ("to", "22384"),
            ("text", text),
        ];
        assert_eq!(self.app.post(&url, &sms).await.status(), 200);
    }

    /// The next message with these words to this phone, once it is sent.
    async fn sms(&mut self, to: &str, words: &str) -> Result<Vec<String>, String> {
        let read = self.read.entry(to.to_owned()).or_default();
        let sql =
            "select outbox_id, text from outbox where msisdn = $1 and position($2 in text) > 0
                   and outbox_id <> all ($3) and sent_at is not null order by outbox_id limit 1";
        let sent = eventually("an SMS", async || {
            let client = self.app.pool.get().await.unwrap();
            client.query_opt(sql, &[&to, &words, read]).await.unwrap()
        });
        let row = timeout(PATIENCE, sent).await.map_err(|_| "nothing came")?;
        read.push(row.get(0));
        let text: String = row.get(1);
        match gsm7::septets(&text) {
            Some(1..=SEPTETS_MAX) => Ok(self.shown(&text)),
            other => Err(format!("{other:?} septets: {text}")),
        }
    }

    async fn nothing_unread(&self) -> Result<(), String> {
        let nothing = Vec::new();
        let read = self.read.get(&self.phone).unwrap_or(&nothing);
        let sql = "select text from outbox where msisdn = $1 and outbox_id <> all ($2)";
        let client = self.app.pool.get().await.unwrap();
        let unread = client.query(sql, &[&self.phone, read]).await.unwrap();
        let texts: Vec<String> = unread.iter().map(|row| row.get(0)).collect();
        if texts.is_empty() {
            Ok(())
        } else {
            Err(format!("nobody reads {texts:?}"))
        }
    }

    /// Indented, with names for codes.
    fn shown(&mut self, text: &str) -> Vec<String> {
        let mut text = text.to_owned();
        for code in codes(&text) {
            if !self.codes.contains(&code) {
                self.codes.push(code);
            }
        }
        for (name, code) in self.named_codes() {
            text = text.replace(code, &name);
            text = text.replace(&code.replace('-', ""), &name.replace("code", "account"));
        }
        if let Some(receipt) = receipt(&text) {
            text = text.replace(&receipt, "{receipt}");
        }
        text.lines().map(|line| format!("    {line}")).collect()
    }

    fn with_codes(&self, text: &str) -> String {
        self.named_codes()
            .fold(text.to_owned(), |text, (name, code)| {
                text.replace(&name, code)
            })
    }

    fn named_codes(&self) -> impl Iterator<Item = (String, &String)> {
        (1..).zip(&self.codes).map(|(number, code)| match number {
            1 => ("{code}".to_owned(), code),
            _ => (format!("{{code{number}}}"), code),
        })
    }
}

/// What the sandbox gave for a payment.
fn receipt(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let found = words.find(|word| word.len() == RECEIPT_CHARS && word.starts_with("SBX"));
    found.map(str::to_owned)
}

/// Everything like `4821-7736`.
fn codes(text: &str) -> Vec<String> {
    let is_code = |word: &&str| {
        word.len() == 9
            && word.bytes().enumerate().all(|(at, byte)| match at {
                4 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    text.split(|c: char| !c.is_ascii_digit() && c != '-')
        .filter(is_code)
        .map(str::to_owned)
        .collect()
}
