//! The real program as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::app::form;
use super::eventually;

/// A process and all that it printed. It is killed when dropped.
pub struct Program {
    child: Child,
    printed: Arc<Mutex<String>>,
}

/// What a finished program left.
pub struct Finished {
    pub status: ExitStatus,
    /// Both streams, stdout first.
    pub printed: String,
}

/// The program, with nothing of this environment that it would take as a setting.
pub fn reserveflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reserveflow"));
    command
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .env_remove("RUST_LOG")
        .env_remove("RESERVEFLOW_CONFIG")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    let streams = [output.stdout, output.stderr].concat();
    Finished {
        status: output.status,
        printed: String::from_utf8_lossy(&streams).into_owned(),
    }
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        // Whoever starts one asks it something.
        reserveflow::service::install_tls();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), printed.clone());
        collect(child.stderr.take().unwrap(), printed.clone());
        Program { child, printed }
    }

    /// `serve` with this configuration, on free ports; waits until it listens.
    pub async fn serve(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Served {
        let path = folder.join("reserveflow.yaml");
        std::fs::write(&path, config).unwrap();
        let mut command = reserveflow();
        command
            .arg("serve")
            .arg("--config")
            .arg(path)
            .envs(environment.iter().copied());
        Program::listening(Program::start(&mut command)).await
    }

    /// Waits until it listens.
    pub async fn listening(program: Program) -> Served {
        let (public, private) = eventually("the service", async || {
            let printed = program.printed();
            let listening = printed.lines().find_map(|line| {
                let event: Value = serde_json::from_str(line).ok()?;
                (event["message"] == "listening").then_some(event)
            });
            let Some(event) = listening else {
                assert!(program.runs(), "{printed}");
                return None;
            };
            let url = |name: &str| Some(format!("http://{}", event[name].as_str()?));
            Some((url("public")?, url("private")?))
        })
        .await;
        Served::new(program, public, private)
    }

    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    pub fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Ended without being waited for is still there as a zombie.
    pub fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Finished {
        eventually("its end", async || (!self.runs()).then_some(())).await;
        let status = self.child.wait().unwrap();
        Finished {
            status,
            printed: self.printed(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn collect(stream: impl Read + Send + 'static, printed: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let mut printed = printed.lock().unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}

/// A running service.
pub struct Served {
    pub program: Program,
    pub public: String,
    pub private: String,
    http: reqwest::Client,
}

/// Whether a screen asks its caller to come again: a dead process holds a turn until its lease ends, and a machine may be
/// busy with other tests.
pub fn says_later(screen: &str) -> bool {
    const WORDS: [&str; 3] = [
        "If it is booked",
        "Many people are calling",
        "We can't serve",
    ];
    WORDS.iter().any(|words| screen.contains(words))
}

/// Time for any answer of a service that is in trouble.
const ANSWER_MAX: Duration = Duration::from_secs(20);

impl Served {
    pub fn new(program: Program, public: String, private: String) -> Served {
        Served {
            program,
            public,
            private,
            http: reqwest::Client::builder()
                .timeout(ANSWER_MAX)
                .build()
                .unwrap(),
        }
    }

    /// One call of Africa's Talking; the body of the answer, which must be 200.
    pub async fn call(&self, session: &str, msisdn: &str, text: &str) -> String {
        let url = format!("{}/ussd/africastalking/demo", self.public);
        let form = form(session, msisdn, text);
        let response = self.http.post(url).form(&form).send().await.unwrap();
        assert_eq!(response.status(), 200, "{text}");
        response.text().await.unwrap()
    }

    /// A whole dialogue; the last screen.
    pub async fn dialogue(&self, session: &str, msisdn: &str, answers: &[&str]) -> String {
        let mut screen = self.call(session, msisdn, "").await;
        for count in 1..=answers.len() {
            screen = self
                .call(session, msisdn, &answers[..count].join("*"))
                .await;
        }
        screen
    }

    /// Status and body of a page on the private address.
    pub async fn look(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.private);
        let response = self.http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}
