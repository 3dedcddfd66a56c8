//! The hot lane: requests that arrive while a commit of their lane is under way go together in the next one.
//!
//! ```text
//! request ─┐                         ┌─ one call: reserve_batch ─ one commit ─ one answer each
//! request ─┼─► queue of their lane ──┤
//! request ─┘   (bounded)             └─ the next, as soon as that one is back, or it is full
//! ```
//!
//! An idle lane takes a request at once, alone: nothing waits for company. A full batch is sent behind the one under way, on
//! the same connection, so that the database has the next before it answers the last. Ten thousand people before one lodge cost some
//! commits, not ten thousand. Each is judged in the order of arrival and on its own; where one spoils its batch, the others
//! are judged again without it. A property belongs to one lane, so that a lane can stay on one shard of the database.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Client, Pool, PoolError, TimeoutType, Timeouts};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::effect::Draft;
use super::reserve::batch::{Answer, Request, reserve_batch, reserve_in_one_call};
use super::reserve::{Booking, Isolation, Patience, Reserved};
use super::{DbError, unknown};
use crate::booking::code::Code;

/// How wide the lanes are.
#[derive(Debug, Clone, Copy)]
pub struct LaneSettings {
    /// How many lanes, each with at most one commit under way. Few make large batches.
    pub lanes: u8,
    /// Most requests of one lane that wait; over it the answer is "busy" at once.
    pub waiting_max: usize,
    /// Most requests of one commit.
    pub batch_max: usize,
}

impl Default for LaneSettings {
    fn default() -> LaneSettings {
        LaneSettings {
            lanes: 2,
            waiting_max: 16_384,
            batch_max: 128,
        }
    }
}

/// Batches of a lane that are under way at once, all but the last of them full.
const UNDER_WAY_MAX: usize = 2;
/// Longest wait of a batch for a connection: searches may have all of them.
const CONNECTION_WAIT: Duration = Duration::from_secs(1);

/// Every lane of this process.
pub struct Lanes {
    lanes: Vec<Arc<Lane>>,
}

struct Lane {
    pool: Pool,
    isolation: Isolation,
    settings: LaneSettings,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether somebody is taking from it.
    running: bool,
    /// Properties whose nights somebody else keeps locked, and whether a request is trying them. They do not hold up
    /// the lane.
    stuck: HashMap<Uuid, bool>,
}

/// Whether it is known what a batch has done.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Known,
    /// The connection broke off.
    Unknown,
}

struct Waiting {
    request: Request,
    until: Instant,
    answer: oneshot::Sender<Result<Answer, DbError>>,
}

impl Waiting {
    fn settle(self, answer: Result<Answer, DbError>) {
        // Nobody may be waiting any more: the turn key tells them later.
        let _ = self.answer.send(answer);
    }
}

impl Lanes {
    /// Lanes into this database.
    pub fn new(pool: &Pool, isolation: Isolation, settings: LaneSettings) -> Lanes {
        let lane = |_| {
            Arc::new(Lane {
                pool: pool.clone(),
                isolation,
                settings,
                queue: Mutex::default(),
            })
        };
        Lanes {
            lanes: (0..settings.lanes.max(1)).map(lane).collect(),
        }
    }

    /// As [`super::reserve::reserve`], together with whoever comes at the same time. A request that has not gone to the
    /// database at `until` does not go any more.
    ///
    /// # Errors
    /// [`DbError::Busy`] when too many wait or `until` is over, and nothing was written. [`DbError::Unreachable`] when the
    /// outcome is unknown: the same turn again tells it.
    pub async fn reserve(
        &self,
        booking: &Booking<'_>,
        until: Instant,
        compose: impl Fn(&Code) -> Vec<Draft>,
    ) -> Result<Reserved, DbError> {
        let mut hasher = DefaultHasher::new();
        booking.property_id.hash(&mut hasher);
        let place = hasher.finish() % self.lanes.len() as u64;
        let lane = &self.lanes[usize::try_from(place).unwrap_or(0)];
        let mut patience = Patience::new();
        loop {
            let code = Code::random();
            let request = Request::new(booking, 0, code.clone(), &compose(&code))?;
            match lane.clone().submit(request, until).await {
                Ok(Answer::Settled(reserved)) => return Ok(*reserved),
                Ok(Answer::CodeTaken | Answer::WithOthers) => patience.draw_again()?,
                Err(error) => patience.after(error).await?,
            }
        }
    }
}

impl Lane {
    async fn submit(self: Arc<Lane>, request: Request, until: Instant) -> Result<Answer, DbError> {
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut queue = self.queue();
            if queue.waiting.len() >= self.settings.waiting_max {
                metrics::counter!("reservations_turned_away_total").increment(1);
                return Err(crowded());
            }
            queue.waiting.push_back(Waiting {
                request,
                until,
                answer,
            });
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            tokio::spawn(self.run());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(DbError::Unreachable("the lane broke off".into())))
    }

    /// Takes batches until nobody waits.
    async fn run(self: Arc<Lane>) {
        let broken = Broken(&self);
        let mut under_way = FuturesUnordered::new();
        let mut shared = None;
        loop {
            let (batch, trials) = self.take();
            for trial in trials {
                tokio::spawn(self.clone().try_stuck(trial));
            }
            if !batch.is_empty() {
                metrics::histogram!("reservation_batch_size").record(batch.len() as f64);
                match self.connect(&mut shared).await {
                    Ok(()) => under_way.push(self.judge(batch, shared.clone())),
                    Err(error) => settle_all(batch, error),
                }
            }
            let waiting = {
                let mut queue = self.queue();
                if under_way.is_empty() && queue.waiting.is_empty() {
                    queue.running = false;
                    std::mem::forget(broken);
                    return;
                }
                queue.waiting.len()
            };
            if under_way.len() == UNDER_WAY_MAX || waiting < self.settings.batch_max {
                let unknown = under_way.next().await == Some(Outcome::Unknown);
                // Others want it too, and one that broke off is of no use.
                if unknown || under_way.is_empty() {
                    shared = None;
                }
            }
        }
    }

    /// A connection for the batches that are under way. Transactions of more than one call have each their own.
    async fn connect(&self, shared: &mut Option<Arc<Client>>) -> Result<(), DbError> {
        if shared.is_none() && self.isolation == Isolation::ReadCommitted {
            *shared = Some(Arc::new(self.client().await?));
        }
        Ok(())
    }

    async fn client(&self) -> Result<Client, DbError> {
        let timeouts = Timeouts {
            wait: Some(CONNECTION_WAIT),
            ..self.pool.timeouts()
        };
        Ok(self.pool.timeout_get(&timeouts).await?)
    }

    /// The next batch in order of arrival, and requests for stuck properties that go their own way. Those whose time is
    /// over get no further, and neither do those who have left.
    fn take(&self) -> (Vec<Waiting>, Vec<Waiting>) {
        let now = Instant::now();
        let mut queue = self.queue();
        let (mut batch, mut trials, mut later) = (Vec::new(), Vec::new(), Vec::new());
        let mut numbers = HashSet::new();
        while batch.len() < self.settings.batch_max
            && let Some(waiting) = queue.waiting.pop_front()
        {
            if waiting.until <= now || waiting.answer.is_closed() {
                waiting.settle(Err(crowded()));
            } else if let Some(tried) = queue.stuck.get_mut(&waiting.request.property_id) {
                if std::mem::replace(tried, true) {
                    let why = "others keep its nights locked";
                    waiting.settle(Err(DbError::Busy(why.into())));
                } else {
                    trials.push(waiting);
                }
            } else if numbers.insert(waiting.request.msisdn.clone()) {
                batch.push(waiting);
            } else {
                // What a number holds is counted once a batch, and a turn repeated finds what the first one made.
                later.push(waiting);
            }
        }
        for waiting in later.into_iter().rev() {
            queue.waiting.push_front(waiting);
        }
        (batch, trials)
    }

    async fn judge(&self, batch: Vec<Waiting>, shared: Option<Arc<Client>>) -> Outcome {
        let shared = shared.as_deref();
        match self.call(&batch, shared).await {
            Ok(answers) => {
                for (waiting, answer) in batch.into_iter().zip(answers) {
                    waiting.settle(Ok(answer));
                }
            }
            Err(DbError::Busy(_)) if has_neighbours(&batch) => {
                // Somebody keeps the nights of one property locked: the others do without it.
                for part in by_property(batch) {
                    self.judge_property(part, shared).await;
                }
            }
            Err(DbError::Refused(source)) if batch.len() > 1 => {
                tracing::debug!(source, "each of a batch is judged alone");
                for waiting in batch {
                    let alone = [waiting];
                    let answer = self.call(&alone, shared).await;
                    settle_one(alone, answer);
                }
            }
            Err(error) => {
                let unknown = matches!(error, DbError::Unreachable(_));
                settle_all(batch, error);
                if unknown {
                    return Outcome::Unknown;
                }
            }
        }
        Outcome::Known
    }

    async fn judge_property(&self, batch: Vec<Waiting>, shared: Option<&Client>) {
        match self.call(&batch, shared).await {
            Ok(answers) => {
                for (waiting, answer) in batch.into_iter().zip(answers) {
                    waiting.settle(Ok(answer));
                }
            }
            Err(error) => {
                if let (DbError::Busy(_), Some(first)) = (&error, batch.first())
                    && !error.is_crowded()
                {
                    let property = first.request.property_id;
                    tracing::warn!(property.id = %property, "the nights of a property stay locked");
                    self.queue().stuck.insert(property, false);
                }
                settle_all(batch, error);
            }
        }
    }

    /// Whether a property can be had again.
    async fn try_stuck(self: Arc<Lane>, waiting: Waiting) {
        let property = waiting.request.property_id;
        let alone = [waiting];
        let answer = self.call(&alone, None).await;
        {
            let mut queue = self.queue();
            if matches!(answer, Err(DbError::Busy(_))) {
                queue.stuck.insert(property, false);
            } else {
                queue.stuck.remove(&property);
            }
        }
        settle_one(alone, answer);
    }

    async fn call(
        &self,
        batch: &[Waiting],
        shared: Option<&Client>,
    ) -> Result<Vec<Answer>, DbError> {
        let requests: Vec<&Request> = batch.iter().map(|waiting| &waiting.request).collect();
        if let Some(client) = shared {
            return reserve_in_one_call(client, &requests).await;
        }
        let mut client = self.client().await?;
        reserve_batch(&mut client, self.isolation, &requests).await
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane whose runner ended in a panic or with its runtime: whoever waits hears it, and the next request begins anew.
struct Broken<'a>(&'a Lane);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.running = false;
        queue.waiting.clear();
    }
}

fn has_neighbours(batch: &[Waiting]) -> bool {
    let mut properties = batch.iter().map(|waiting| waiting.request.property_id);
    let first = properties.next();
    properties.any(|property| Some(property) != first)
}

/// Split, each part in order of arrival.
fn by_property(batch: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut parts: Vec<Vec<Waiting>> = Vec::new();
    for waiting in batch {
        let property = waiting.request.property_id;
        match parts
            .iter_mut()
            .find(|part| part[0].request.property_id == property)
        {
            Some(part) => part.push(waiting),
            None => parts.push(vec![waiting]),
        }
    }
    parts
}

fn settle_one([waiting]: [Waiting; 1], answers: Result<Vec<Answer>, DbError>) {
    let one = |mut answers: Vec<Answer>| answers.pop().ok_or_else(|| unknown("outcome"));
    waiting.settle(answers.and_then(one));
}

fn settle_all(mut batch: Vec<Waiting>, error: DbError) {
    if batch.len() < 2 {
        if let Some(waiting) = batch.pop() {
            waiting.settle(Err(error));
        }
        return;
    }
    let is_crowded = error.is_crowded();
    let (kind, source): (fn(Source) -> DbError, Arc<DbError>) = match &error {
        DbError::Busy(_) => (DbError::Busy, Arc::new(error)),
        DbError::Conflict(_) => (DbError::Conflict, Arc::new(error)),
        DbError::Unreachable(_) => (DbError::Unreachable, Arc::new(error)),
        DbError::Refused(_) => (DbError::Refused, Arc::new(error)),
    };
    for waiting in batch {
        waiting.settle(Err(if is_crowded {
            crowded()
        } else {
            kind(Shared(source.clone()).into())
        }));
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What all of a batch failed with.
#[derive(Debug)]
struct Shared(Arc<DbError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch failed")
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// Nothing was done for lack of room: the same answer a moment later may find it.
fn crowded() -> DbError {
    PoolError::Timeout(TimeoutType::Wait).into()
}
