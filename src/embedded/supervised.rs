//! The owner's side of a supervisor: starts it, knows what it tells, holds the pipe.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::StoresError;
use super::folders::Folders;
use super::supervise::{Server, SuperviseArgs};

/// Pause before a supervisor that was killed is started again.
const SUPERVISOR_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for a supervisor to end, longer than all steps of [`Server::farewell`].
const STOP_DEADLINE: Duration = Duration::from_secs(40);

/// The owner's side of one supervisor. Dropping it stops the server.
#[derive(Debug)]
pub(super) struct Supervised {
    server: Server,
    log: PathBuf,
    condition: watch::Receiver<Condition>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What the supervisor told of its server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Condition {
    /// Of the running server.
    pub(super) pid: Option<u32>,
    /// How often it ended by itself.
    pub(super) exits: u32,
}

impl Supervised {
    /// Runs `command` under a supervisor, in `dir`, as the user of `folders`.
    pub(super) fn launch(
        supervisor: &Path,
        folders: &Folders,
        server: Server,
        dir: &Path,
        arg0: Option<OsString>,
        command: Vec<OsString>,
    ) -> Result<Supervised, StoresError> {
        let args = SuperviseArgs {
            server,
            dir: dir.to_owned(),
            run: folders.run.clone(),
            uid: folders.account.as_ref().map(|account| account.uid),
            gid: folders.account.as_ref().map(|account| account.gid),
            arg0,
            command,
        };
        let log = args.file("log");
        let mut command = command_line(supervisor, &args);
        let first = command
            .spawn()
            .map_err(StoresError::io("run", supervisor))?;
        let (told, condition) = watch::channel(Condition::default());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keep_supervised(server, command, first, told, stopped));
        Ok(Supervised {
            server,
            log,
            condition,
            stop,
            task,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.server.name()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn condition(&self) -> Condition {
        *self.condition.borrow()
    }

    /// Stops the server and waits for its end.
    pub(super) async fn stop(self) {
        drop(self.stop);
        if timeout(STOP_DEADLINE, self.task).await.is_err() {
            tracing::error!(store = self.server.name(), "private store did not stop");
        }
    }
}

/// Reads what the supervisor tells, until `stopped` or dropped. A supervisor that was killed is replaced, else nobody would
/// stop its server.
async fn keep_supervised(
    server: Server,
    mut command: Command,
    mut child: Child,
    told: watch::Sender<Condition>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let pipe = child.stdin.take();
        let lines = child
            .stdout
            .take()
            .map(|stdout| BufReader::new(stdout).lines());
        tokio::select! {
            () = listen(server, lines, &told) => {}
            _ = &mut stopped => {
                drop(pipe);
                let _ = child.wait().await;
                return;
            }
        }
        let _ = child.wait().await;
        told.send_modify(|condition| {
            condition.pid = None;
            condition.exits += 1;
        });
        tracing::error!(
            store = server.name(),
            "supervisor of a private store ended, starting another"
        );
        child = loop {
            tokio::select! {
                () = sleep(SUPERVISOR_PAUSE) => {}
                _ = &mut stopped => return,
            }
            match command.spawn() {
                Ok(child) => break child,
                Err(error) => tracing::error!(%error, "cannot start the supervisor"),
            }
        };
    }
}

type Lines = tokio::io::Lines<BufReader<ChildStdout>>;

/// Ends when the supervisor does.
async fn listen(server: Server, lines: Option<Lines>, told: &watch::Sender<Condition>) {
    let Some(mut lines) = lines else { return };
    while let Ok(Some(line)) = lines.next_line().await {
        match line.split_once(' ') {
            Some(("up", pid)) => told.send_modify(|condition| condition.pid = pid.parse().ok()),
            Some(("down", status)) => {
                tracing::warn!(
                    store = server.name(),
                    status,
                    "private store ended, starting it again"
                );
                told.send_modify(|condition| {
                    condition.pid = None;
                    condition.exits += 1;
                });
            }
            _ => {}
        }
    }
}

/// The command line of the sub-command that parses to `args`.
fn command_line(supervisor: &Path, args: &SuperviseArgs) -> Command {
    let mut command = Command::new(supervisor);
    command
        .arg("supervise")
        .arg("--server")
        .arg(args.server.name());
    command
        .arg("--dir")
        .arg(&args.dir)
        .arg("--run")
        .arg(&args.run);
    if let (Some(uid), Some(gid)) = (args.uid, args.gid) {
        command
            .arg("--uid")
            .arg(uid.to_string())
            .arg("--gid")
            .arg(gid.to_string());
    }
    if let Some(arg0) = &args.arg0 {
        command.arg("--arg0").arg(arg0);
    }
    command.arg("--").args(&args.command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0);
    command
}
