//! Calls in one thread of a process of its own: in turn on each connection (closed loop), or at a constant rate whatever the
//! answers do (open loop, latency from the intended start). Every answer is compared, byte by byte.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::dialogue::{CALLS, Request, Response, response};

const RESPONSE_BYTES_MAX: usize = 16 * 1024;
const ANSWER_MAX: Duration = Duration::from_secs(10);
const MICROS_MAX: u64 = 60_000_000;

/// What to call, and how.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The servers; connections take them in turn.
    #[arg(long, required = true)]
    pub(super) to: Vec<SocketAddr>,
    #[arg(long)]
    pub(super) connections: usize,
    /// Dialogues are numbered from here.
    #[arg(long)]
    pub(super) first: u64,
    /// For so long …
    #[arg(long)]
    pub(super) seconds: f64,
    /// … or until so many dialogues have begun.
    #[arg(long)]
    pub(super) dialogues: Option<u64>,
    /// Calls of each dialogue.
    #[arg(long, default_value_t = CALLS.len())]
    pub(super) calls: usize,
    /// Calls a second; without, each connection calls as soon as it has its answer.
    #[arg(long)]
    pub(super) rate: Option<f64>,
    /// What the first dialogue's last answer has to hold, so that the others can be compared with it.
    #[arg(long)]
    pub(super) shows: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) calls: u64,
    /// Answers that were not the expected ones, or none.
    pub(super) wrong: u64,
    pub(super) seconds: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

const PATH: &str = "/ussd/africastalking/demo";

pub(in super::super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(LocalSet::new().run_until(load(args)))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(ExitCode::SUCCESS)
}

/// What all connections share.
struct Shared {
    requests: Vec<Request>,
    expected: Vec<Vec<u8>>,
    next: Cell<u64>,
    end: u64,
    until: Instant,
    calls: Cell<u64>,
    wrong: Cell<u64>,
    micros: RefCell<Histogram<u64>>,
    /// Calls that are due, in the open loop.
    due: Option<Arc<Due>>,
}

struct Due {
    starts: Mutex<VecDeque<Instant>>,
    waiting: Semaphore,
}

impl Due {
    fn starts(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn load(args: &Args) -> anyhow::Result<Outcome> {
    let requests = Request::all(&args.to[0].to_string(), PATH);
    let mut first = Connection::open(args.to[0]).await?;
    let mut expected = Vec::new();
    for request in &requests[..args.calls] {
        expected.push(first.call(request, args.first).await?.to_vec());
    }
    if let (Some(shows), Some(last)) = (&args.shows, expected.last()) {
        let last = String::from_utf8_lossy(last);
        anyhow::ensure!(last.contains(shows), "the dialogue ends with {last:?}");
    }
    let begun = Instant::now();
    let shared = Rc::new(Shared {
        requests,
        expected,
        next: Cell::new(args.first + 1),
        end: args.dialogues.map_or(u64::MAX, |count| args.first + count),
        until: begun + Duration::from_secs_f64(args.seconds),
        calls: Cell::new(0),
        wrong: Cell::new(0),
        micros: RefCell::new(Histogram::new_with_max(MICROS_MAX, 3)?),
        due: args.rate.map(|_| {
            Arc::new(Due {
                starts: Mutex::default(),
                waiting: Semaphore::new(0),
            })
        }),
    });
    let mut callers = Vec::new();
    for number in 0..args.connections {
        let (shared, to) = (shared.clone(), args.to[number % args.to.len()]);
        callers.push(tokio::task::spawn_local(caller(shared, to)));
    }
    if let (Some(rate), Some(due)) = (args.rate, shared.due.clone()) {
        let (until, callers) = (shared.until, args.connections);
        std::thread::spawn(move || pace(&due, rate, until, callers));
    }
    for caller in callers {
        caller.await??;
    }
    let micros = shared.micros.borrow();
    Ok(Outcome {
        calls: shared.calls.get(),
        wrong: shared.wrong.get(),
        seconds: begun.elapsed().as_secs_f64(),
        p50_us: micros.value_at_quantile(0.5),
        p99_us: micros.value_at_quantile(0.99),
    })
}

/// One connection: dialogue after dialogue.
async fn caller(shared: Rc<Shared>, to: SocketAddr) -> anyhow::Result<()> {
    let mut connection = Connection::open(to).await?;
    loop {
        let dialogue = shared.next.get();
        if dialogue >= shared.end {
            return Ok(());
        }
        shared.next.set(dialogue + 1);
        for (request, expected) in shared.requests.iter().zip(&shared.expected) {
            let Some(start) = shared.start().await else {
                return Ok(());
            };
            let answered = connection.call(request, dialogue).await;
            let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(MICROS_MAX);
            shared.micros.borrow_mut().saturating_record(micros);
            shared.calls.set(shared.calls.get() + 1);
            if !matches!(&answered, Ok(body) if body == expected) {
                shared.wrong.set(shared.wrong.get() + 1);
            }
            if answered.is_err() {
                connection = Connection::open(to).await?;
            }
        }
    }
}

impl Shared {
    /// When the next call is meant to start; `None` at the end.
    async fn start(&self) -> Option<Instant> {
        let Some(due) = &self.due else {
            let now = Instant::now();
            return (now < self.until).then_some(now);
        };
        due.waiting.acquire().await.ok()?.forget();
        due.starts().pop_front()
    }
}

/// Makes calls due at a constant rate, then lets the callers go home. In a thread of its own, whose sleep is finer than
/// the millisecond of tokio's timers.
fn pace(due: &Due, rate: f64, until: Instant, callers: usize) {
    let (begun, mut made) = (Instant::now(), 0_u32);
    loop {
        let start = begun + Duration::from_secs_f64(f64::from(made) / rate);
        if start >= until {
            // Once all that was due is done, nobody finds a call.
            return due.waiting.add_permits(callers);
        }
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        due.starts().push_back(start);
        due.waiting.add_permits(1);
        made += 1;
    }
}

struct Connection {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(to: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            sent: Vec::new(),
            received: Vec::with_capacity(RESPONSE_BYTES_MAX),
        })
    }

    /// The body of the answer, which must be 200.
    async fn call(&mut self, request: &Request, dialogue: u64) -> anyhow::Result<&[u8]> {
        request.write(dialogue, &mut self.sent);
        self.stream.write_all(&self.sent).await?;
        self.received.clear();
        loop {
            let read = self.stream.read_buf(&mut self.received);
            let count = tokio::time::timeout(ANSWER_MAX, read).await??;
            anyhow::ensure!(
                count > 0 && self.received.len() < RESPONSE_BYTES_MAX,
                "no answer"
            );
            match response(&self.received) {
                Response::Whole(body) => {
                    let range = self.received.len() - body.len();
                    return Ok(&self.received[range..]);
                }
                Response::Part => {}
                Response::Wrong => anyhow::bail!("not an answer"),
            }
        }
    }
}
