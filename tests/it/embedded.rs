//! The private stores on real servers: starting, dying, being killed, starting again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use reserveflow::embedded::{Options, Pids, Search, Stores, StoresError};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Longest wait for anything that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Names the data folder to the process that [`owner`] becomes.
const OWNER_DATA: &str = "RESERVEFLOW_TEST_OWNER_DATA";

fn options(data: &Path) -> Options {
    Options {
        fsync: false,
        supervisor: env!("CARGO_BIN_EXE_reserveflow").into(),
        ..Options::new(data.to_owned()).unwrap()
    }
}

#[tokio::test]
async fn both_stores_answer_and_keep_what_they_hold_over_a_restart() {
    let data = tempdir_with_mode(0o700);
    let stores = Stores::start(options(data.path())).await.unwrap();
    sql(
        &stores,
        "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)",
    )
    .await
    .unwrap();
    redis_set(&stores, "kept", "7").await;
    let Pids { postgres, redis } = stores.pids();
    stores.stop().await;
    assert!(
        gone(postgres.unwrap()) && gone(redis.unwrap()),
        "stop waits for both"
    );

    let stores = Stores::start(options(data.path())).await.unwrap();
    assert_eq!(sql(&stores, "SELECT n FROM kept").await.unwrap(), ["7"]);
    assert_eq!(redis_get(&stores, "kept").await, "7");
    stores.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_comes_back() {
    let data = tempdir_with_mode(0o700);
    let stores = Stores::start(options(data.path())).await.unwrap();
    let before = stores.pids();
    send(before.postgres.unwrap(), Signal::SIGKILL);
    send(before.redis.unwrap(), Signal::SIGKILL);
    until(async || {
        let now = stores.pids();
        now.postgres != before.postgres
            && now.redis != before.redis
            && sql(&stores, "SELECT 1").await.is_ok()
    })
    .await;
    redis_set(&stores, "key", "value").await;
    assert_eq!(redis_get(&stores, "key").await, "value");
    stores.stop().await;
}

#[tokio::test]
async fn a_supervisor_that_is_killed_is_replaced_and_leaves_no_second_server() {
    let data = tempdir_with_mode(0o700);
    let stores = Stores::start(options(data.path())).await.unwrap();
    let before = stores.pids();
    for pid in [before.postgres.unwrap(), before.redis.unwrap()] {
        send(parent(pid), Signal::SIGKILL);
    }
    until(async || {
        let now = stores.pids();
        now.postgres.is_some_and(|pid| Some(pid) != before.postgres)
            && now.redis.is_some_and(|pid| Some(pid) != before.redis)
            && sql(&stores, "SELECT 1").await.is_ok()
    })
    .await;
    assert!(gone(before.postgres.unwrap()) && gone(before.redis.unwrap()));
    stores.stop().await;
}

#[tokio::test]
async fn a_suspended_server_still_stops() {
    let data = tempdir_with_mode(0o700);
    let stores = Stores::start(options(data.path())).await.unwrap();
    let Pids { postgres, redis } = stores.pids();
    let (postgres, redis) = (postgres.unwrap(), redis.unwrap());
    send(postgres, Signal::SIGSTOP);
    send(redis, Signal::SIGSTOP);
    stores.stop().await;
    assert!(gone(postgres) && gone(redis));
}

#[tokio::test]
async fn after_a_kill_of_the_owner_the_servers_stop_cleanly_and_start_again() {
    let data = tempdir_with_mode(0o700);
    let (mut child, pids) = spawn_owner(data.path());
    let second = Stores::start(options(data.path())).await.unwrap_err();
    let text = second.to_string();
    assert!(
        matches!(second, StoresError::Locked { holder, .. } if holder == Some(child.id())),
        "{text}"
    );
    assert!(text.contains("in use by process"), "{text}");

    child.kill().unwrap();
    child.wait().unwrap();
    // At once, while the supervisors still stop the servers.
    let stores = Stores::start(options(data.path())).await.unwrap();
    assert!(pids.into_iter().all(gone), "the old servers are gone");
    assert_eq!(sql(&stores, "SELECT n FROM owned").await.unwrap(), ["1"]);
    stores.stop().await;
    let log = fs::read_to_string(data.path().join("run/postgres.log")).unwrap();
    assert!(!log.contains("not properly shut down"), "{log}");
}

/// Not a test of its own: the body of the process that [`spawn_owner`] starts.
#[tokio::test]
async fn owner() {
    let Some(data) = std::env::var_os(OWNER_DATA) else {
        return;
    };
    let stores = Stores::start(options(Path::new(&data))).await.unwrap();
    sql(
        &stores,
        "CREATE TABLE owned (n int); INSERT INTO owned VALUES (1)",
    )
    .await
    .unwrap();
    let Pids { postgres, redis } = stores.pids();
    println!("\npids {} {}", postgres.unwrap(), redis.unwrap());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_the_end_of_its_log() {
    let data = tempdir_with_mode(0o700);
    Stores::start(options(data.path()))
        .await
        .unwrap()
        .stop()
        .await;
    fs::write(
        data.path().join("pg/postgresql.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();
    let text = Stores::start(options(data.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("postgres did not start") && text.contains("no_such_setting"),
        "{text}"
    );
}

#[tokio::test]
async fn missing_binaries_are_one_line_with_package_and_variable() {
    let data = tempdir_with_mode(0o700);
    let nowhere = Some(data.path().join("nowhere"));
    let start = async |search: Search| {
        let options = Options {
            search,
            ..options(data.path())
        };
        let text = Stores::start(options).await.unwrap_err().to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };

    let no_redis = Search {
        redis_bin: nowhere.clone(),
        ..Search::from_env()
    };
    let text = start(no_redis).await;
    assert!(
        text.contains("`redis-server`") && text.contains("REDIS_BIN"),
        "{text}"
    );

    let no_postgres = Search {
        pg_bin: nowhere,
        ..Search::from_env()
    };
    let text = start(no_postgres.clone()).await;
    assert!(
        text.contains("`postgresql`") && text.contains("PG_BIN"),
        "{text}"
    );

    fs::create_dir(data.path().join("pg")).unwrap();
    fs::write(data.path().join("pg/PG_VERSION"), "99\n").unwrap();
    let text = start(Search::from_env()).await;
    assert!(
        text.contains("`postgresql-99`") && text.contains("PG_BIN"),
        "{text}"
    );
}

#[tokio::test]
async fn a_long_path_moves_the_sockets_and_odd_characters_do_no_harm() {
    let parent = tempdir_with_mode(0o711);
    let data = parent
        .path()
        .join(format!("it's 100% \\ {}", "long".repeat(25)));
    let stores = Stores::start(options(&data)).await.unwrap();
    assert!(
        !stores.database_url().contains("long"),
        "{}",
        stores.database_url()
    );
    assert_eq!(sql(&stores, "SELECT 1").await.unwrap(), ["1"]);
    stores.stop().await;

    let data = parent.path().join("it's 100% \\");
    let stores = Stores::start(options(&data)).await.unwrap();
    assert!(
        stores.redis_url().contains("it%27s%20100%25%20%5C/socket/"),
        "{}",
        stores.redis_url()
    );
    redis_set(&stores, "key", "value").await;
    assert_eq!(sql(&stores, "SELECT 1").await.unwrap(), ["1"]);
    stores.stop().await;
}

#[tokio::test]
async fn as_root_a_closed_folder_on_the_way_is_named_with_the_fix() {
    if !geteuid().is_root() {
        return;
    }
    let closed = tempdir_with_mode(0o700);
    let error = Stores::start(options(&closed.path().join("data")))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, StoresError::Closed { folder, .. } if folder == closed.path()),
        "{text}"
    );
    assert!(text.contains("chmod o+x"), "{text}");
}

/// Starts another process that owns stores in `data`, and tells their process ids.
fn spawn_owner(data: &Path) -> (Child, [u32; 2]) {
    let name = match module_path!().split_once("::") {
        Some((_, module)) => format!("{module}::owner"),
        None => "owner".into(),
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture"])
        .env(OWNER_DATA, data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .find_map(|line| line.unwrap().strip_prefix("pids ").map(str::to_owned))
        .unwrap();
    let (postgres, redis) = line.split_once(' ').unwrap();
    (child, [postgres.parse().unwrap(), redis.parse().unwrap()])
}

fn tempdir_with_mode(mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    folder
}

/// The first column of the last statement's rows.
async fn sql(stores: &Stores, statements: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(stores.database_url(), NoTls).await?;
    tokio::spawn(connection);
    let messages = client.simple_query(statements).await?;
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(rows.collect())
}

async fn redis_set(stores: &Stores, key: &str, value: &str) {
    let mut connection = redis_connection(stores).await;
    redis::cmd("SET")
        .arg(key)
        .arg(value)
        .exec_async(&mut connection)
        .await
        .unwrap();
}

async fn redis_get(stores: &Stores, key: &str) -> String {
    let mut connection = redis_connection(stores).await;
    redis::cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap()
}

async fn redis_connection(stores: &Stores) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(stores.redis_url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Asks until it is so.
async fn until(so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// Ended; a zombie that its parent has not asked for yet has ended too.
fn gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z")
}

/// The supervisor of a server.
fn parent(pid: u32) -> u32 {
    stat(pid).unwrap().1
}

/// State and parent of a process. Source: `/proc/pid/stat` in proc(5).
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
