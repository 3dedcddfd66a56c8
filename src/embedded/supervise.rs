//! One supervisor process per server: starts it, starts it again when it dies, stops it when our end of a pipe closes.
//!
//! The pipe closes however the owner ends, `SIGKILL` included, on every Unix. The supervisor is a process of its own because
//! somebody must live on to stop the server cleanly; it stays outside the owner's process group and ignores the signals of
//! terminals and service managers, so that the owner drains first.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// First pause before a server that died is started again; it doubles up to the longest.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause before a server that died is started again.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// A server that ran this long starts again after the shortest pause.
const STEADY: Duration = Duration::from_secs(10);
/// Pause between two looks at something that gives no notice.
const POLL: Duration = Duration::from_millis(10);
/// A log longer than this is put aside, as `.old`, when its server starts.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// Which server, and so how it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Server {
    /// `SIGINT` ends its clients' sessions, `SIGQUIT` means a recovery at the next start.
    Postgres,
    /// `SIGTERM` writes what is outstanding.
    Redis,
}

impl Server {
    pub(super) fn name(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::Redis => "redis",
        }
    }

    /// Signals to send in turn, and how long each may take. Source: the manual of Postgres, "Shutting Down the Server".
    pub(super) fn farewell(self) -> &'static [(Signal, Duration)] {
        const POSTGRES: &[(Signal, Duration)] = &[
            (Signal::SIGINT, Duration::from_secs(20)),
            (Signal::SIGQUIT, Duration::from_secs(8)),
            (Signal::SIGKILL, Duration::from_secs(3)),
        ];
        const REDIS: &[(Signal, Duration)] = &[
            (Signal::SIGTERM, Duration::from_secs(10)),
            (Signal::SIGKILL, Duration::from_secs(3)),
        ];
        match self {
            Server::Postgres => POSTGRES,
            Server::Redis => REDIS,
        }
    }
}

/// Arguments of the hidden sub-command `supervise`.
#[derive(Debug, Clone, clap::Args)]
pub struct SuperviseArgs {
    /// Which server.
    #[arg(long, value_enum)]
    pub(super) server: Server,
    /// The server's working folder; it holds the server's data.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Where lock, pid file and log are kept.
    #[arg(long)]
    pub(super) run: PathBuf,
    /// User id to run the server as.
    #[arg(long, requires = "gid")]
    pub(super) uid: Option<u32>,
    /// Group id to run the server as.
    #[arg(long, requires = "uid")]
    pub(super) gid: Option<u32>,
    /// The name the program is called by, where that differs from its path.
    #[arg(long)]
    pub(super) arg0: Option<OsString>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(super) command: Vec<OsString>,
}

/// Runs the server until stdin ends; the status is 0 when it was stopped by that. Each start and end of the server is a line
/// on stdout: `up PID`, `down STATUS`. Builds its own runtime, so call it outside of one.
pub fn supervise(args: SuperviseArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| {
        let outcome = runtime.block_on(watch_over(&args));
        // The thread that reads stdin may still wait for its end.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&args, &format!("supervisor: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Resolves when the owner is gone.
type OwnerGone<'a> = Pin<&'a mut (dyn Future<Output = ()> + 'a)>;

async fn watch_over(args: &SuperviseArgs) -> io::Result<()> {
    // Handlers that do nothing, for the pipe alone decides. A blocked or ignored signal would stay so in the server.
    let _deaf = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal);
    let owner_gone = async {
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
    };
    tokio::pin!(owner_gone);
    let mut owner_gone: OwnerGone<'_> = owner_gone;

    // A supervisor before us may still be stopping its server.
    let lock = File::create(args.file("lock"))?;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {
                if timeout(POLL, &mut owner_gone).await.is_ok() {
                    return Ok(());
                }
            }
        }
    }
    stop_orphan(args).await;
    let mut pause = RESTART_PAUSE_MIN;
    loop {
        let begun = Instant::now();
        if run_once(args, &mut owner_gone).await? {
            return Ok(());
        }
        if begun.elapsed() > STEADY {
            pause = RESTART_PAUSE_MIN;
        }
        if timeout(pause, &mut owner_gone).await.is_ok() {
            return Ok(());
        }
        pause = (pause * 2).min(RESTART_PAUSE_MAX);
    }
}

/// Starts the server and waits for its end. `true`: it was stopped because the owner is gone.
async fn run_once(args: &SuperviseArgs, owner_gone: &mut OwnerGone<'_>) -> io::Result<bool> {
    let mut child = match args.spawn() {
        Ok(child) => child,
        Err(error) => {
            note(
                args,
                &format!("cannot run {}: {error}", args.command[0].display()),
            );
            tell("down not run");
            return Ok(false);
        }
    };
    let pid = child
        .id()
        .and_then(|pid| pid.try_into().ok())
        .map(Pid::from_raw);
    let pid = pid.expect("a child that was not waited for has an id");
    fs::write(args.file("pid"), format!("{pid}\n"))?;
    tell(&format!("up {pid}"));
    let stopped = tokio::select! {
        status = child.wait() => {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            note(args, &format!("{} ended: {status}", args.server.name()));
            tell(&format!("down {status}"));
            false
        }
        () = owner_gone => {
            stop(args.server, pid, child.wait()).await;
            true
        }
    };
    fs::remove_file(args.file("pid"))?;
    Ok(stopped)
}

/// Stops the server of a supervisor that was killed. Two servers on one folder would destroy it.
async fn stop_orphan(args: &SuperviseArgs) {
    let text = fs::read_to_string(args.file("pid")).unwrap_or_default();
    let Ok(pid) = text.trim().parse() else {
        return;
    };
    // Only a process that works in this folder is our server: the id may belong to another by now. Without /proc (macOS)
    // nothing is stopped, and Postgres refuses to start beside the old server.
    let lives = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == args.dir);
    if lives() {
        let gone = async {
            while lives() {
                sleep(POLL).await;
            }
        };
        stop(args.server, Pid::from_raw(pid), gone).await;
    }
}

/// Sends the server's signals in turn until it is gone.
async fn stop<T>(server: Server, pid: Pid, gone: impl Future<Output = T>) {
    tokio::pin!(gone);
    for &(step, patience) in server.farewell() {
        // A refusal means that it just ended, which `gone` will tell.
        let _ = kill(pid, step);
        // A server that was suspended takes the signal only when it goes on.
        let _ = kill(pid, Signal::SIGCONT);
        if timeout(patience, &mut gone).await.is_ok() {
            return;
        }
    }
}

/// The owner may be gone, and nobody else reads.
fn tell(event: &str) {
    let _ = writeln!(io::stdout(), "{event}");
}

/// Adds a line of our own to the server's log, where an error message quotes it.
fn note(args: &SuperviseArgs, line: &str) {
    let _ = args.open_log().and_then(|mut log| writeln!(log, "{line}"));
}

impl SuperviseArgs {
    pub(super) fn file(&self, extension: &str) -> PathBuf {
        self.run.join(self.server.name()).with_extension(extension)
    }

    fn open_log(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("log"))
    }

    fn spawn(&self) -> io::Result<Child> {
        let path = self.file("log");
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            fs::rename(&path, self.file("log.old"))?;
        }
        let log = self.open_log()?;
        let (program, arguments) = self.command.split_first().expect("clap requires a program");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.dir)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(arg0) = &self.arg0 {
            command.arg0(arg0);
        }
        if let (Some(uid), Some(gid)) = (self.uid, self.gid) {
            command.uid(uid).gid(gid);
        }
        command.spawn()
    }
}
