//! Several instances as one service: any call on any of them, on one Redis, behind Sentinels, on a cluster, on two that know
//! nothing of each other; Postgres through `PgBouncer`; `HAProxy` in front while they are restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use reserveflow::db::pool::{PoolSettings, Statements, pool};
use tempfile::TempDir;

use crate::support::app::{CONFIG, TestApp, form, noon, session_id, today};
use crate::support::binary::{Program, Served};
use crate::support::postgres::sample_database;
use crate::support::redis::{RedisServer, free_port};
use crate::support::stores::stores;
use crate::support::{background, eventually};

const MSISDN: &str = "+254711000001";
const TO_CONFIRM: [&str; 7] = ["1", "Nakuru", "2", "1", "1", "1", "Asha"];

fn deploy(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file);
    fs::read_to_string(path).unwrap()
}

/// Two instances on one database.
async fn two(more: &str, redis_urls: [&str; 2]) -> [TestApp; 2] {
    let database = sample_database().await;
    let mut apps = Vec::new();
    for url in redis_urls {
        let (more, database, url) = (more.to_owned(), database.clone(), url.to_owned());
        apps.push(background(async move {
            let more = format!("{more}database: {{ pool: 3 }}\n");
            TestApp::on(noon(), &more, &database, &url).await
        }));
    }
    apps.try_into().ok().unwrap()
}

/// The call after these answers, and what it must show.
async fn hop(app: &TestApp, session: &str, msisdn: &str, answers: &[&str]) -> String {
    let screen = app.call(session, msisdn, &answers.join("*")).await;
    assert!(screen.starts_with("CON "), "{answers:?}: {screen}");
    screen
}

/// Their connections to Postgres are for others.
async fn stop(apps: [TestApp; 2]) {
    for app in apps {
        app.stop().await;
    }
}

fn caller(number: usize) -> String {
    format!("+2547110{number:05}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogue_goes_from_instance_to_instance() {
    let redis = stores().redis.as_str();
    let apps = two("", [redis, redis]).await;
    let session = session_id();
    for count in 0..=TO_CONFIRM.len() {
        hop(&apps[count % 2], &session, MSISDN, &TO_CONFIRM[..count]).await;
    }
    let answers = [&TO_CONFIRM[..], &["1"]].concat().join("*");
    let booked = apps[0].call(&session, MSISDN, &answers).await;
    assert!(booked.starts_with("END BOOKED"), "{booked}");
    assert_eq!(apps[1].call(&session, MSISDN, &answers).await, booked);
    assert_eq!(apps[0].count("select count(*) from reservation").await, 1);
    stop(apps).await;
}

/// Two instances that cannot see each other's dialogues get every call at once: Postgres decides.
#[tokio::test(flavor = "multi_thread")]
async fn on_two_redis_servers_one_answer_still_has_one_effect() {
    let other = RedisServer::start("", &[]).await;
    let apps = two("", [&stores().redis, &other.url()]).await;
    let session = session_id();
    let answers = [&TO_CONFIRM[..], &["1"]].concat();
    let mut last = BTreeSet::new();
    for count in 0..=answers.len() {
        let text = answers[..count].join("*");
        let calls = apps.iter().map(|app| app.call(&session, MSISDN, &text));
        last = join_all(calls).await.into_iter().collect();
    }
    assert_eq!(last.len(), 1, "both tell the same booking: {last:?}");
    assert!(
        last.iter().all(|screen| screen.starts_with("END BOOKED")),
        "{last:?}"
    );
    assert_eq!(apps[0].count("select count(*) from reservation").await, 1);
    assert_eq!(
        apps[0]
            .count("select count(*) from outbox where kind = 'confirmed'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_holds_dialogues_and_they_follow_their_slots() {
    const DIALOGUES: usize = 24;
    let config = format!(
        "{}\n{}",
        deploy("redis/server.conf"),
        deploy("redis/cluster.conf")
    );
    let nodes = join_all((0..3).map(|_| RedisServer::start(&config, &[]))).await;
    form_cluster(&nodes).await;
    let urls: Vec<_> = nodes.iter().map(RedisServer::url).collect();
    let apps = two(&format!("redis: {{ cluster: {urls:?} }}\n"), ["", ""]).await;
    let sessions: Vec<_> = (0..DIALOGUES)
        .map(|number| (session_id(), caller(number)))
        .collect();
    let all = async |count: usize| {
        let calls = sessions
            .iter()
            .enumerate()
            .map(|(number, (session, msisdn))| {
                hop(
                    &apps[(number + count) % 2],
                    session,
                    msisdn,
                    &TO_CONFIRM[..count],
                )
            });
        join_all(calls).await;
    };
    for count in 0..=4 {
        all(count).await;
    }
    for node in &nodes {
        assert!(dialogues(node).await > 0, "every node has dialogues");
    }
    move_slots(&nodes[0], &nodes[1], &nodes).await;
    assert_eq!(dialogues(&nodes[0]).await, 0);
    all(5).await;
    assert_eq!(
        dialogues(&nodes[0]).await,
        0,
        "they went on where their slots are"
    );
    let kept = dialogues(&nodes[1]).await + dialogues(&nodes[2]).await;
    assert_eq!(kept, DIALOGUES);
    stop(apps).await;
}

async fn dialogues(server: &RedisServer) -> usize {
    server.ask::<Vec<String>>("KEYS session:*}").await.len()
}

/// Joins fresh nodes, each with a third of the slots.
async fn form_cluster(nodes: &[RedisServer]) {
    const SLOTS: usize = 16_384;
    for (number, node) in nodes.iter().enumerate() {
        let slots = SLOTS * number / nodes.len()..SLOTS * (number + 1) / nodes.len();
        let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
        let () = node
            .ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")))
            .await;
        if number > 0 {
            let () = node
                .ask(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[0].port))
                .await;
        }
    }
    for node in nodes {
        eventually("the cluster", async || {
            let info: String = node.ask("CLUSTER INFO").await;
            let whole = [
                "cluster_state:ok",
                "cluster_slots_ok:16384",
                "cluster_known_nodes:3",
            ];
            whole.iter().all(|line| info.contains(line)).then_some(())
        })
        .await;
    }
}

/// Moves every slot that holds a key.
async fn move_slots(from: &RedisServer, to: &RedisServer, nodes: &[RedisServer]) {
    const NO_KEY: &str = "";
    let (from_id, to_id): (String, String) =
        (from.ask("CLUSTER MYID").await, to.ask("CLUSTER MYID").await);
    let mut slots: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for key in from.ask::<Vec<String>>("KEYS session:*").await {
        let slot = from.ask(&format!("CLUSTER KEYSLOT {key}")).await;
        slots.entry(slot).or_default().push(key);
    }
    for (slot, keys) in slots {
        let () = to
            .ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"))
            .await;
        let () = from
            .ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"))
            .await;
        let () = from
            .ask(&format!(
                "MIGRATE 127.0.0.1 {} {NO_KEY} 0 5000 KEYS {}",
                to.port,
                keys.join(" ")
            ))
            .await;
        for node in nodes {
            let () = node
                .ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_tell_where_the_primary_is_now() {
    let server = deploy("redis/server.conf");
    let first = RedisServer::start(&server, &[]).await;
    let replica_of = format!("replicaof 127.0.0.1 {}", first.port);
    let second = RedisServer::start(&format!("{server}\n{replica_of}"), &[]).await;
    eventually("the replica", async || {
        let info: String = second.ask("INFO replication").await;
        info.contains("master_link_status:up").then_some(())
    })
    .await;
    let monitor = format!("127.0.0.1 {} 1", first.port);
    let config = deploy("redis/sentinel.conf").replace("10.0.0.1 6379 2", &monitor);
    let sentinel = RedisServer::start(&config.replace("port 26379", ""), &["--sentinel"]).await;
    eventually("the Sentinel's view", async || {
        let info: String = sentinel.ask("INFO sentinel").await;
        info.contains("slaves=1").then_some(())
    })
    .await;
    let more = format!("redis: {{ sentinels: [\"{}\"] }}\n", sentinel.url());
    let apps = two(&more, ["", ""]).await;
    let session = session_id();
    for count in 0..=3 {
        hop(&apps[count % 2], &session, MSISDN, &TO_CONFIRM[..count]).await;
    }
    assert_eq!(first.ask::<u64>("WAIT 1 5000").await, 1);

    // The old primary is there and takes no writes any more: that is not taken for success.
    let () = sentinel.ask("SENTINEL FAILOVER reserveflow").await;
    becomes(&second, "master").await;
    becomes(&first, "slave").await;
    for count in 4..=5 {
        hop(&apps[count % 2], &session, MSISDN, &TO_CONFIRM[..count]).await;
    }
    assert_eq!(dialogues(&second).await, 1, "it went on in the new primary");
    eventually("the second replica", async || {
        let info: String = first.ask("INFO replication").await;
        info.contains("master_link_status:up").then_some(())
    })
    .await;

    // And now it is gone.
    second.kill();
    becomes(&first, "master").await;
    eventually("the Sentinel's word", async || {
        let named: Vec<String> = sentinel
            .ask("SENTINEL GET-MASTER-ADDR-BY-NAME reserveflow")
            .await;
        (named[1] == first.port.to_string()).then_some(())
    })
    .await;
    // Until they have found it, each keeps dialogues to itself.
    for app in &apps {
        eventually("an instance's return", async || {
            let health = app
                .http
                .get(format!("{}/health/ready", app.private))
                .send()
                .await;
            let health = health.ok()?.text().await.ok()?;
            (!health.contains("redis")).then_some(())
        })
        .await;
    }
    for count in 6..=TO_CONFIRM.len() {
        hop(&apps[count % 2], &session, MSISDN, &TO_CONFIRM[..count]).await;
    }
    let answers = [&TO_CONFIRM[..], &["1"]].concat().join("*");
    let booked = apps[0].call(&session, MSISDN, &answers).await;
    assert!(booked.starts_with("END BOOKED"), "{booked}");
    stop(apps).await;
}

async fn becomes(server: &RedisServer, role: &str) {
    eventually(role, async || {
        let info: String = server.ask("INFO replication").await;
        info.contains(&format!("role:{role}")).then_some(())
    })
    .await;
}

/// What is missing is told: a test that is left out looks like one that succeeds.
fn find(program: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: `deploy/ensure instances` installs it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_may_give_each_transaction_another_connection() {
    let database = sample_database().await;
    let value = |key: &str| {
        let (_, rest) = database.split_once(&format!("{key}=")).unwrap();
        rest.split(' ')
            .next()
            .unwrap()
            .trim_matches('\'')
            .to_owned()
    };
    // The last one counts.
    let name = database.rsplit_once("dbname=").unwrap().1.to_owned();
    let (folder, port) = (TempDir::new().unwrap(), free_port());
    let dir = folder.path();
    let users = dir.join("userlist.txt");
    fs::write(&users, "\"app\" \"\"\n").unwrap();
    let config = deploy("pgbouncer.ini")
        .replace(
            "reserveflow = host=/var/run/postgresql dbname=reserveflow",
            &format!("{name} = host={} user=app dbname={name}", value("host")),
        )
        .replace(
            "listen_port = 6432",
            &format!("listen_port = {port}\nunix_socket_dir ="),
        )
        .replace("/etc/pgbouncer/userlist.txt", &users.display().to_string())
        .replace("scram-sha-256", "trust")
        .replace(
            "default_pool_size = 8",
            "default_pool_size = 4\nlogfile =\npidfile =",
        );
    let path = dir.join("pgbouncer.ini");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(find("pgbouncer"));
    if geteuid().is_root() {
        // It does not run as root, and only the servers' account may enter their folder.
        let account = ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).unwrap());
        fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        command.arg("--user").arg(account.unwrap().name);
    }
    let _pooler = Program::start(command.arg(&path));
    let url = format!("host=127.0.0.1 port={port} user=app dbname={name}");
    let named = pool(&url, &PoolSettings::default()).unwrap();
    eventually("PgBouncer", async || named.get().await.ok().map(drop)).await;

    let more = format!(
        "payments: {{ sandbox: true }}\ndatabase: {{ pool: 4, statements: unnamed, direct_url: \"{database}\" }}\n"
    );
    let redis = stores().redis.clone();
    let app = background(async move { TestApp::on(noon(), &more, &url, &redis).await });
    // Many at once, so that the server's connections change hands.
    let dialogues = (0..24).map(|number| {
        let (app, number) = (&app, number);
        async move {
            app.dialogue(&session_id(), &caller(number), &TO_CONFIRM)
                .await
        }
    });
    for screen in join_all(dialogues).await {
        assert!(screen.contains("1 Yes, book"), "{screen}");
    }
    let (guest, answers) = (caller(99), [&TO_CONFIRM[..], &["1"]].concat());
    let booked = app.dialogue(&session_id(), &guest, &answers).await;
    assert!(booked.starts_with("END BOOKED"), "{booked}");
    assert_eq!(app.sms(&guest, 1).await.len(), 1);
    // Booked, changed and given up; held and paid by prompt; several of them at once.
    let stories = (100..106).map(|number| stories(&app, number));
    join_all(stories).await;
    let moved =
        "select count(*) from reservation where status = 'cancelled' and check_out - check_in = 3";
    assert_eq!(app.count(moved).await, 6);
    let paid = "select count(*) from reservation r join property p using (property_id)
                where p.pay = 'prepay' and r.status = 'confirmed'";
    eventually("the payments", async || {
        (app.count(paid).await == 6).then_some(())
    })
    .await;
    app.stop().await;
    let settings = PoolSettings {
        statements: Statements::Unnamed,
        ..PoolSettings::default()
    };
    let unnamed = pool(
        &format!("host=127.0.0.1 port={port} user=app dbname={name}"),
        &settings,
    );
    let client = unnamed.unwrap().get().await.unwrap();
    let statement = client.prepare_cached("select 1 / $1::int4").await.unwrap();
    assert!(client.query(&statement, &[&0]).await.is_err());
    assert!(
        client.query(&statement, &[&1]).await.is_ok(),
        "an error leaves nothing behind"
    );
}

/// Two real instances behind `HAProxy`; each is stopped and started again while people dial.
/// The main dialogues of two guests, one after the other.
async fn stories(app: &TestApp, number: usize) {
    // Everybody on days of his own, so that nobody takes another's room.
    let day = |after: u64| {
        let days = chrono::Days::new(u64::try_from(number).unwrap() - 90 + after);
        (today() + days).format("%d%m").to_string()
    };
    let guest = caller(number);
    let (from, later) = (day(0), day(1));
    let book = ["1", "Nakuru", &from, "2", "1", "1", "Asha", "=Yes, book"];
    let booked = talk(app, &guest, &book).await;
    assert!(booked.starts_with("END BOOKED"), "{booked}");
    let change = [
        "=My booking",
        "1",
        "=Other days",
        "3",
        &later,
        "=Yes, change",
    ];
    let changed = talk(app, &guest, &change).await;
    assert!(changed.starts_with("END CHANGED"), "{changed}");
    let cancel = ["=My booking", "1", "=Cancel it", "=Yes"];
    let cancelled = talk(app, &guest, &cancel).await;
    assert!(cancelled.starts_with("END "), "{cancelled}");
    let none = talk(app, &guest, &["=My booking"]).await;
    assert!(none.contains("no booking"), "{none}");
    let guest = caller(number + 50);
    let pay = [
        "1",
        "Nakuru",
        &from,
        "1",
        "4",
        "=Jacaranda",
        "Asha",
        "=Yes, book",
        "1",
    ];
    let asked = talk(app, &guest, &pay).await;
    assert!(asked.starts_with("END Check your phone"), "{asked}");
}

/// A dialogue from the first screen; `=words` is the option with these words, on whichever page it is.
async fn talk(app: &TestApp, guest: &str, answers: &[&str]) -> String {
    let session = session_id();
    let mut given: Vec<String> = Vec::new();
    let mut screen = app.call(&session, guest, "").await;
    for answer in answers {
        let key = match answer.strip_prefix('=') {
            None => (*answer).to_owned(),
            Some(words) => loop {
                let line = screen.lines().find(|line| line.contains(words));
                if let Some(key) =
                    line.and_then(|line| line.trim_start_matches("CON ").split(' ').next())
                {
                    break key.to_owned();
                }
                assert!(screen.contains("98 More"), "{words}: {screen}");
                given.push("98".to_owned());
                screen = app.call(&session, guest, &given.join("*")).await;
            },
        };
        given.push(key);
        screen = app.call(&session, guest, &given.join("*")).await;
    }
    screen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_answer() {
    const DIALOGUES: usize = 100;
    let (folder, database) = (TempDir::new().unwrap(), sample_database().await);
    let ports: Vec<u16> = (0..5).map(|_| free_port()).collect();
    let instance = |number: usize| {
        let config = CONFIG
            .replace(
                "public: 127.0.0.1:0",
                &format!("public: 127.0.0.1:{}", ports[number]),
            )
            .replace(
                "private: 127.0.0.1:0",
                &format!("private: 127.0.0.1:{}", ports[number + 2]),
            );
        let config = format!(
            "{config}trusted_proxies: [127.0.0.0/8]\nredis: {{ url: \"{}\" }}\ndatabase: {{ url: \"{database}\", pool: 4 }}\n",
            stores().redis
        );
        let home = folder.path().join(number.to_string());
        fs::create_dir_all(&home).unwrap();
        async move { Program::serve(&home, &config, &[]).await }
    };
    let mut running = [Some(instance(0).await), Some(instance(1).await)];
    let haproxy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/haproxy.cfg");
    let mut command = Command::new(find("haproxy"));
    command
        .arg("-db")
        .arg("-f")
        .arg(haproxy)
        .stdin(Stdio::null());
    command.env("RESERVEFLOW_BIND", format!("127.0.0.1:{}", ports[4]));
    for (number, name) in ["ONE", "TWO"].into_iter().enumerate() {
        command.env(
            format!("RESERVEFLOW_{name}"),
            format!("127.0.0.1:{}", ports[number]),
        );
        command.env(
            format!("RESERVEFLOW_{name}_PRIVATE"),
            ports[number + 2].to_string(),
        );
    }
    let front = Program::start(&mut command);
    let front = Served::new(
        front,
        format!("http://127.0.0.1:{}", ports[4]),
        String::new(),
    );
    // Shorter than HAProxy waits, 5 s for a first request: else it may close a connection just as it is used.
    let http = reqwest::Client::builder()
        .pool_idle_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let url = format!("{}/ussd/africastalking/demo", front.public);
    eventually("HAProxy", async || {
        http.get(&url).send().await.ok().map(drop)
    })
    .await;

    let sessions: Vec<_> = (0..DIALOGUES)
        .map(|number| (session_id(), caller(number)))
        .collect();
    let all = async |count: usize| {
        let calls = sessions.iter().map(async |(session, msisdn)| {
            let text = TO_CONFIRM[..count].join("*");
            let response = http
                .post(&url)
                .form(&form(session, msisdn, &text))
                .send()
                .await;
            let told = || front.program.printed();
            let response = response.unwrap_or_else(|error| panic!("{text}: {error:?}\n{}", told()));
            assert_eq!(response.status(), 200, "{text}\n{}", told());
            let screen = response.text().await.unwrap();
            assert!(screen.starts_with("CON "), "{text}: {screen}");
            screen
        });
        join_all(calls).await
    };
    // Whoever restarts one after the other waits for the one to be taken before the other goes.
    let is_taken = async |name: &str| {
        let printed = front.program.printed();
        let said = |what: &str| {
            let words = format!("Server reserveflow/{name} is {what}");
            let lines = printed.lines();
            lines
                .filter(|line| line.starts_with("[WARNING]") && line.contains(&words))
                .count()
        };
        (said("DOWN") == said("UP")).then_some(())
    };
    all(0).await;
    // A dialogue alone, so that no instance has too many calls for it.
    let alone = session_id();
    let answered = async || {
        let (_, metrics) = running[0].as_ref().unwrap().look("/metrics").await;
        let of = |line: &str| line.starts_with("ussd_replies_total{") && line.contains("continue");
        let counted = metrics.lines().find(|line| of(line));
        counted.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let before: usize = answered().await;
    for count in 0..=3 {
        let text = TO_CONFIRM[..count].join("*");
        let form = form(&alone, "+254711999999", &text);
        let response = http.post(&url).form(&form).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let here = answered().await - before;
    assert!(here == 0 || here == 4, "{here} of 4 calls at one instance");
    for (number, name, counts) in [(0, "one", 1..=3), (1, "two", 4..=6)] {
        let old = running[number].take().unwrap();
        old.program.send(Signal::SIGTERM);
        for count in counts {
            all(count).await;
        }
        let finished = old.program.end().await;
        assert!(finished.status.success(), "{}", finished.printed);
        running[number] = Some(instance(number).await);
        eventually(name, async || is_taken(name).await).await;
    }
    for screen in all(TO_CONFIRM.len()).await {
        assert!(screen.contains("1 Yes, book"), "no draft is lost: {screen}");
    }
}

#[test]
fn the_unit_of_systemd_has_a_tight_sandbox() {
    /// As `systemd-analyze security` counts exposure, in tenths of 0 to 10.
    const EXPOSURE_MAX: &str = "25";
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/reserveflow.service");
    let output = Command::new(find("systemd-analyze"))
        .args(["security", "--offline=true", "--threshold", EXPOSURE_MAX])
        .arg(unit)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}");
}
