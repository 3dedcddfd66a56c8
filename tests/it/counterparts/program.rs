//! A program that nobody here wrote, in a process group of its own, with the lines that it is told and prints.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::PATIENCE;

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A running program. Its whole process group is ended with it.
pub struct Counterpart {
    child: Child,
    told: Option<ChildStdin>,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Counterpart {
    pub fn start(command: &mut Command) -> Counterpart {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `deploy/ensure counterparts` installs it")
            });
        let printed = Arc::new(Mutex::new(Vec::new()));
        let told = child.stdin.take();
        collect(child.stdout.take().unwrap(), printed.clone());
        collect(child.stderr.take().unwrap(), printed.clone());
        Counterpart {
            child,
            told,
            printed,
        }
    }

    /// Writes a line to it.
    pub fn tell(&mut self, line: &str) {
        let told = self.told.as_mut().unwrap();
        writeln!(told, "{line}").unwrap();
    }

    /// Everything that it has printed.
    pub fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap().clone()
    }

    /// The lines that are JSON objects.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.printed();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What `look` finds in what it prints, once that is there.
    pub async fn eventually<T>(&self, what: &str, look: impl Fn(&[String]) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let lines = self.printed();
            if let Some(found) = look(&lines) {
                return found;
            }
            let waits = self.runs() && Instant::now() < until;
            assert!(waits, "{what} did not come; it printed {lines:#?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        )
        .ok();
        self.child.wait().ok();
    }
}

impl Drop for Counterpart {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, printed: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            printed.lock().unwrap().push(line);
        }
    });
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Node, running a script of this folder with the packages that `deploy/ensure counterparts` has put into `data`.
pub fn node(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("data/counterparts/node_modules");
    assert!(
        packages.is_dir(),
        "{} is missing: run `deploy/ensure counterparts`",
        packages.display()
    );
    let mut command = Command::new("node");
    command
        .arg(root.join("tests/it/counterparts").join(script))
        .env("NODE_PATH", packages);
    command
}

/// A program of the Python that `deploy/ensure counterparts` has put into `data`.
pub fn python(program: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("data/counterparts/python/bin").join(program);
    assert!(
        path.is_file(),
        "{} is missing: run `deploy/ensure counterparts`",
        path.display()
    );
    Command::new(path)
}

/// A program of a package of the distribution.
pub fn installed(name: &str, folders: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: run `deploy/ensure counterparts`"))
}
