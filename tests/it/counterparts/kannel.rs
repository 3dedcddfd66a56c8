//! The gateway Kannel with its fake SMSC, at which a phone writes and reads lines.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::program::{Counterpart, free_port, installed};
use crate::support::app::{TestApp, noon};
use crate::support::postgres::sample_database;
use crate::support::stores::stores;
use crate::support::{background, eventually};

const MSISDN: &str = "254711000001";

/// Where the fake SMSC is among the files of its package.
const FAKESMSC_FOLDERS: &[&str] = &["/usr/lib/kannel/test"];

/// A phone, Kannel and a service between.
struct Network {
    phone: Counterpart,
    app: TestApp,
    _boxes: [Counterpart; 2],
    _folder: TempDir,
}

impl Network {
    async fn start() -> Network {
        let [public, admin, boxes, fake, sendsms] = std::array::from_fn(|_| free_port());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("kannel.conf");
        let url = format!("http://127.0.0.1:{public}/sms/kannel/demo");
        std::fs::write(
            &config,
            kannel(folder.path(), admin, boxes, fake, sendsms, &url),
        )
        .unwrap();
        let app = service(public, sendsms);
        let start = |name: &str| {
            let mut command = Command::new(installed(name, &["/usr/sbin"]));
            Counterpart::start(
                command
                    .arg("-v")
                    .arg("1")
                    .arg(&config)
                    .current_dir(folder.path()),
            )
        };
        let bearerbox = start("bearerbox");
        listening(boxes).await;
        let smsbox = start("smsbox");
        listening(sendsms).await;
        let mut command = Command::new(installed("fakesmsc", FAKESMSC_FOLDERS));
        let phone = Counterpart::start(
            command
                .args(["-H", "127.0.0.1", "-r"])
                .arg(fake.to_string())
                .current_dir(folder.path()),
        );
        let network = Network {
            phone,
            app,
            _boxes: [bearerbox, smsbox],
            _folder: folder,
        };
        network.online(admin).await;
        network
    }

    /// Kannel has taken its phone in.
    async fn online(&self, admin: u16) {
        let url = format!("http://127.0.0.1:{admin}/status.txt?password=adm");
        eventually("Kannel's SMSC", async || {
            let status = self
                .app
                .http
                .get(&url)
                .send()
                .await
                .ok()?
                .text()
                .await
                .ok()?;
            let boxes = status.contains("smsbox:");
            (status.contains("(online") && boxes).then_some(())
        })
        .await;
    }

    /// The line that the phone shows of a message whose text `wanted` is part of.
    async fn shown(&self, wanted: &str) -> String {
        self.phone
            .eventually(wanted, |lines| {
                let shown = |line: &&String| line.contains("Got message") && line.contains(wanted);
                lines.iter().find(shown).cloned()
            })
            .await
    }

    async fn column(&self, sql: &'static str) -> Vec<String> {
        let client = self.app.pool.get().await.unwrap();
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn listening(port: u16) {
    eventually("a port of Kannel's", async || {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        connected.ok().map(drop)
    })
    .await;
}

fn service(public: u16, sendsms: u16) -> TestApp {
    let config = format!(
        "care_phone: \"+254709000000\"\n\
         service_codes: [\"*384*7#\"]\n\
         public: 127.0.0.1:{public}\n\
         private: 127.0.0.1:0\n\
         public_url: http://127.0.0.1:{public}\n\
         aggregators: {{ kannel: {{ tokens: [demo] }} }}\n\
         sms:\n  routes: [{{ provider: kannel, sender: \"22384\" }}]\n  providers:\n    \
         kannel: {{ sendsms_url: \"http://127.0.0.1:{sendsms}/cgi-bin/sendsms\", username: gw, password: gwpass }}\n"
    );
    let redis = stores().redis.clone();
    background(async move {
        let database = sample_database().await;
        TestApp::configured(noon(), &config, &database, &redis).await
    })
}

/// As its operator would write it, but for the ports.
fn kannel(folder: &Path, admin: u16, boxes: u16, fake: u16, sendsms: u16, url: &str) -> String {
    let store = folder.join("kannel.store");
    let store = store.display();
    format!(
        r#"
group = core
admin-port = {admin}
admin-password = adm
admin-deny-ip = "*.*.*.*"
admin-allow-ip = "127.0.0.1"
smsbox-interface = "127.0.0.1"
smsbox-port = {boxes}
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
store-type = file
store-location = "{store}"
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = FAKE
host = 127.0.0.1
port = {fake}
connect-allow-ip = 127.0.0.1
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
global-sender = 22384
http-request-retry = 3
http-queue-delay = 1

group = sendsms-user
username = gw
password = gwpass
concatenation = true
max-messages = 10
user-deny-ip = "*.*.*.*"
user-allow-ip = "127.0.0.1"

group = sms-service
keyword = default
catch-all = true
get-url = "{url}/inbound?id=%I&from=%p&to=%P&text=%b&coding=%c&charset=%C&time=%T&smsc=%i"
max-messages = 0
"#
    )
}

#[tokio::test]
async fn kannel_takes_what_a_phone_writes_to_us_and_our_answer_back() {
    let mut network = Network::start().await;
    network.phone.tell(&format!("{MSISDN} 22384 text HELP"));
    let answer = network.shown("22384").await;
    assert!(answer.contains(&format!("<22384 +{MSISDN} ")), "{answer}");
    let kept = network
        .column("select text from inbound_sms where provider = 'kannel'")
        .await;
    assert_eq!(kept, ["HELP"]);
    // Its report comes over our URL, and says that the SMSC has it and then that the phone has it.
    let status = "select status from outbox where provider = 'kannel'";
    eventually("the report", async || {
        let statuses = network.column(status).await;
        (statuses == ["delivered"]).then_some(())
    })
    .await;
    network.app.stop().await;
}

#[tokio::test]
async fn letters_of_every_alphabet_pass_through_kannel_both_ways() {
    let mut network = Network::start().await;
    // ሰላም, in octets; ላ has one that Kannel's `%a` would take for white space.
    network
        .phone
        .tell(&format!("{MSISDN} 22384 ucs2 %12%30%12%0b%12%1d"));
    eventually("the text", async || {
        let kept = network
            .column("select text from inbound_sms where provider = 'kannel'")
            .await;
        (kept == ["ሰላም"]).then_some(())
    })
    .await;
    for text in ["Karibu é {€}", "ሰላም"] {
        let client = network.app.pool.get().await.unwrap();
        client
            .execute(
                "insert into outbox (kind, msisdn, text, expires_at) values ('test', $1, $2, now() + interval '1 hour')",
                &[&format!("+{MSISDN}"), &text],
            )
            .await
            .unwrap();
    }
    network.app.app.outbox.notify_one();
    network.shown("Karibu").await;
    network.shown("ucs-2 %120%12%0B%12%1D").await;
    network.app.stop().await;
}
