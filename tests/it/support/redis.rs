//! Redis servers of a test's own on loopback ports: single ones, replicas, Sentinels, nodes of a cluster. The same program
//! is all of them.

use std::env;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::eventually;

/// A node of a cluster listens on a second port, this much above the first.
const BUS: u16 = 10_000;

/// A running server. It is killed when dropped.
pub struct RedisServer {
    child: Child,
    pub port: u16,
    _folder: TempDir,
}

/// Programs, and the name each must be called by. Debian's redis-tools holds the whole server as `redis-check-rdb`.
const PROGRAMS: [(&str, &str); 4] = [
    ("redis-server", "redis-server"),
    ("valkey-server", "valkey-server"),
    ("redis-check-rdb", "redis-server"),
    ("valkey-check-rdb", "valkey-server"),
];

fn program() -> (PathBuf, &'static str) {
    let path = env::var_os("REDIS_BIN").or_else(|| env::var_os("PATH"));
    let folders: Vec<_> = env::split_paths(&path.unwrap()).collect();
    PROGRAMS
        .iter()
        .flat_map(|(file, name)| folders.iter().map(move |folder| (folder.join(file), *name)))
        .find(|(file, _)| file.is_file())
        .expect("a Redis or Valkey server: deploy/ensure installs one")
}

/// A port nobody listens on, and none on that of the bus.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let bus = (port < u16::MAX - BUS).then(|| TcpListener::bind(("127.0.0.1", port + BUS)));
        if matches!(bus, Some(Ok(_))) {
            return port;
        }
    }
}

impl RedisServer {
    /// With this configuration, and `more` arguments.
    pub async fn start(config: &str, more: &[&str]) -> RedisServer {
        let (port, folder) = (free_port(), TempDir::new().unwrap());
        let file = folder.path().join("redis.conf");
        let mut written = fs::File::create(&file).unwrap();
        let dir = folder.path().display();
        writeln!(
            written,
            "{config}\nport {port}\nbind 127.0.0.1\ndir {dir}\nmaxmemory 64mb"
        )
        .unwrap();
        let (program, name) = program();
        let child = Command::new(program)
            .arg0(name)
            .arg(&file)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = RedisServer {
            child,
            port,
            _folder: folder,
        };
        eventually("a Redis server", async || server.try_connect().await).await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn try_connect(&self) -> Option<MultiplexedConnection> {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd("PING")
            .query_async::<()>(&mut connection)
            .await
            .ok()?;
        Some(connection)
    }

    /// One command, its words split by blanks. Tried again while connections break: a Sentinel cuts those of a server that it demotes.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &str) -> T {
        eventually(command, async || {
            let mut connection = self.try_connect().await?;
            let mut words = command.split(' ');
            let mut asked = redis::cmd(words.next()?);
            words.for_each(|word| {
                asked.arg(word);
            });
            asked.query_async(&mut connection).await.ok()
        })
        .await
    }

    pub fn kill(&self) {
        kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        )
        .unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
