//! A process that is measured: started, asked for its address, looked at through `/proc`, stopped.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What the floor prints before its address.
pub(super) const LISTENING: &str = "listening on ";
/// Of `utime` and `stime`. Source: proc(5); 100 on every Linux port since 2.6.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server of ours. It is stopped when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    /// The bare handler.
    pub(super) fn floor(redis: &str) -> anyhow::Result<Server> {
        let mut command = ourselves()?;
        command.args(["bench", "floor", "--redis", redis]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let printed = child.stdout.take().context("stdout")?;
        let address = find(printed, |line| line.strip_prefix(LISTENING)?.parse().ok())?;
        Ok(Server { child, address })
    }

    /// `reserveflow serve`.
    pub(super) fn service(config: &Path) -> anyhow::Result<Server> {
        let mut command = ourselves()?;
        command
            .args(["serve", "--config"])
            .arg(config)
            .env("RUST_LOG", "warn,reserveflow::service=info");
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let printed = child.stderr.take().context("stderr")?;
        let address = find(printed, |line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            event["public"].as_str()?.parse().ok()
        })?;
        Ok(Server { child, address })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB. Source: proc(5), `VmRSS` in kB.
    pub(super) fn resident_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|size| size.split_whitespace().next())
            .context("VmRSS")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        )
        .ok();
        self.child.wait().ok();
    }
}

/// This program, with nothing of this environment that it would take as a setting.
pub(super) fn ourselves() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .stdin(Stdio::null());
    Ok(command)
}

/// Waits for the line that tells the address; what comes after goes to our stderr.
fn find(
    printed: impl Read + Send + 'static,
    address: impl Fn(&str) -> Option<SocketAddr>,
) -> anyhow::Result<SocketAddr> {
    let mut printed = BufReader::new(printed);
    let mut line = String::new();
    loop {
        line.clear();
        anyhow::ensure!(
            printed.read_line(&mut line)? > 0,
            "a server ended before it listened"
        );
        if let Some(address) = address(line.trim_end()) {
            std::thread::spawn(move || std::io::copy(&mut printed, &mut std::io::stderr()));
            return Ok(address);
        }
    }
}

/// CPU time that a process and its children have used.
pub(super) fn cpu(pid: u32) -> Duration {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ticks: u64 = children
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (id, rest) = stat.split_once(' ')?;
            // The name may hold anything, spaces and brackets too.
            let fields: Vec<_> = rest.rsplit_once(") ")?.1.split(' ').collect();
            let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
            let own = id.parse() == Ok(pid);
            (own || number(1)? == u64::from(pid)).then_some(number(11)? + number(12)?)
        })
        .sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}
