//! Dialogues in Redis, opened and committed in one round trip each.
//!
//! A dialogue is a string at its key, which ends with the stamp of whoever wrote it. Beside it, in the same slot of a cluster:
//! `:claim`, the token of whoever works on its turn; `:over`, there when its aggregator has ended it; and the receipts, each
//! with a time to live of its own, of which those that only time tells apart share `:last`. The server's own clock ends all of
//! them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{FromRedisValue, RedisError, Script, ScriptInvocation};
use tokio::time::timeout;

use super::connection::{Connection, Site};
use super::held::unstamped;
use super::{
    Dialogue, Identity, LEASE, Opened, Receipt, SESSION_TTL, SessionKey, StoreError, Token,
    TurnEnd, millis,
};
use crate::breaker::Breaker;

/// How long one command may take, and both tries of it with all waiting for a connection.
const ANSWER_MAX: Duration = Duration::from_millis(150);
pub(super) const TRIES_MAX: Duration = Duration::from_millis(400);
/// What a probe writes.
const PROBE: &str = "reserveflow:probe";
/// A claim that was let go by one who does not know what he did.
const UNFINISHED: &str = "unfinished";

// Few commands a script, and none where it can be done without: each costs the server as much as a GET, and with all
// instances on one server it is what ends their growth.

/// A claim that somebody holds: it is taken over when its lease is up or when it was let go unfinished. It is kept for
/// longer than its lease, so that the next one knows that it was never let go. A claim that is ours already may be one that
/// was taken over: its answer was lost.
static TAKE_OVER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local held = redis.call('GET', KEYS[1])
        if held and held ~= ARGV[1] and held ~= ARGV[4] then
            local age = ARGV[2] - redis.call('PTTL', KEYS[1])
            if age < tonumber(ARGV[3]) then return {0, 0, false, false, false} end
        end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return {1, held and 1 or 0, unpack(redis.call('MGET', KEYS[2], KEYS[3], KEYS[4]))}
        ",
    )
});

static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
        redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
        redis.call('DEL', KEYS[1], unpack(KEYS, 4))
        return 1
        ",
    )
});

/// Nobody has kept the dialogue since, works on it or has ended it. Without a stamp: there is none.
static ADVANCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GETRANGE', KEYS[1], -8, -1) ~= ARGV[1] then return 0 end
        if redis.call('EXISTS', KEYS[3], KEYS[4]) ~= 0 then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
        if KEYS[5] then redis.call('DEL', KEYS[5]) end
        return 1
        ",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        if ARGV[2] == '' then redis.call('DEL', KEYS[1])
        else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
        return 1
        ",
    )
});

/// One turn of a dialogue, and the keys of both.
struct Keys<'a> {
    turn: &'a Identity,
    field: String,
    dialogue: &'a str,
    claim: String,
    over: String,
    receipt: String,
}

impl<'a> Keys<'a> {
    fn of(key: &'a SessionKey, turn: &'a Identity) -> Keys<'a> {
        let field = turn.field();
        Keys {
            turn,
            dialogue: &key.0,
            claim: claim(key),
            over: over(key),
            receipt: if turn.is_told_by_time() {
                last(key)
            } else {
                format!("{}:{field}", key.0)
            },
            field,
        }
    }

    /// What else than its key must agree for a receipt to be that of this turn: the same place is used for other turns told
    /// by time, and the same number of an answer by an earlier dialogue under the same id.
    fn mark<'b>(&'b self, dialogue: Option<&'b Dialogue>) -> &'b str {
        if self.turn.is_told_by_time() {
            return &self.field;
        }
        dialogue.map_or("", |dialogue| &dialogue.begun)
    }

    fn judge(&self, (dialogue, over, receipt): Kept) -> Found {
        let dialogue = read(dialogue);
        let mark = self.mark(dialogue.as_deref());
        let answered = receipt.and_then(|stored| Receipt::decode(&stored, mark));
        match (answered, over) {
            (Some(receipt), _) => Found::Done(Opened::Answered(receipt)),
            (None, Some(_)) if !self.turn.may_begin() => Found::Done(Opened::Closed),
            (None, Some(_)) => Found::Open(None),
            (None, None) => Found::Open(dialogue),
        }
    }
}

fn claim(key: &SessionKey) -> String {
    format!("{}:claim", key.0)
}

fn over(key: &SessionKey) -> String {
    format!("{}:over", key.0)
}

/// Where the receipt is that goes with the next turn.
fn last(key: &SessionKey) -> String {
    format!("{}:last", key.0)
}

/// What is kept of a dialogue: it, its end, and what may be the receipt of the turn.
type Kept = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Whether the claim is ours now, whether it was let go by nobody before, and what is kept.
type TakenOver = (
    bool,
    bool,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
);

/// What that means for the turn.
enum Found {
    /// It was answered, or cannot be any more.
    Done(Opened),
    /// It is to be worked on.
    Open(Option<Box<Dialogue>>),
}

fn claimed(token: i64, unfinished: bool, dialogue: Option<Box<Dialogue>>) -> Opened {
    Opened::Claimed {
        token: Token::Redis(token),
        unfinished,
        dialogue,
    }
}

/// A dialogue written by another version, or damaged, is as good as lost.
fn read(stored: Option<Vec<u8>>) -> Option<Box<Dialogue>> {
    let read = unstamped(&stored?).map(|(dialogue, _)| dialogue);
    if read.is_none() {
        metrics::counter!("dialogues_damaged_total").increment(1);
        tracing::warn!("a stored dialogue cannot be read and is rebuilt");
    }
    read
}

/// Every dialogue of every instance.
#[derive(Clone)]
pub(super) struct RedisStore {
    connection: Connection,
    pub(super) breaker: Arc<Breaker>,
}

impl RedisStore {
    /// Connects when first used, and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`StoreError`] when a URL cannot be read.
    pub(super) fn new(site: &Site) -> Result<RedisStore, StoreError> {
        Ok(RedisStore {
            connection: Connection::new(site, ANSWER_MAX)?,
            breaker: Arc::new(Breaker::new("redis")),
        })
    }

    /// Looks for the receipt of the turn, and claims the turn where there is none.
    pub(super) async fn open(
        &self,
        key: &SessionKey,
        turn: &Identity,
    ) -> Result<Opened, StoreError> {
        let token: i64 = rand::random();
        let keys = Keys::of(key, turn);
        let mut call = redis::pipe();
        call.cmd("SET")
            .arg(&keys.claim)
            .arg(token)
            .arg("NX")
            .arg("PX")
            .arg(millis(SESSION_TTL))
            .cmd("MGET")
            .arg(keys.dialogue)
            .arg(&keys.over)
            .arg(&keys.receipt);
        let call = &call;
        let (is_claimed, kept): (bool, Kept) = self
            .ask(|mut redis| async move { call.query_async(&mut redis).await })
            .await?;
        match (keys.judge(kept), is_claimed) {
            (Found::Open(dialogue), true) => Ok(claimed(token, false, dialogue)),
            (Found::Open(_), false) => self.take_over(key, &keys, token).await,
            (Found::Done(done), true) => {
                self.release(key, token, false).await?;
                Ok(done)
            }
            (Found::Done(done), false) => Ok(done),
        }
    }

    async fn take_over(
        &self,
        key: &SessionKey,
        keys: &Keys<'_>,
        token: i64,
    ) -> Result<Opened, StoreError> {
        let mut call = TAKE_OVER.prepare_invoke();
        call.key(&keys.claim)
            .key(keys.dialogue)
            .key(&keys.over)
            .key(&keys.receipt)
            .arg(token)
            .arg(millis(SESSION_TTL))
            .arg(millis(LEASE))
            .arg(UNFINISHED);
        let (is_ours, unfinished, dialogue, over, receipt): TakenOver = self.run(&call).await?;
        if !is_ours {
            return Ok(Opened::Running);
        }
        match keys.judge((dialogue, over, receipt)) {
            Found::Open(dialogue) => Ok(claimed(token, unfinished, dialogue)),
            Found::Done(done) => {
                self.release(key, token, unfinished).await?;
                Ok(done)
            }
        }
    }

    /// Writes what the turn led to. `false`: the claim had ended; nothing was written.
    pub(super) async fn commit(
        &self,
        key: &SessionKey,
        token: i64,
        turn: &Identity,
        end: &TurnEnd<'_>,
        stamped: &[u8],
    ) -> Result<bool, StoreError> {
        let keys = Keys::of(key, turn);
        let mut call = COMMIT.prepare_invoke();
        call.key(&keys.claim).key(keys.dialogue).key(&keys.receipt);
        if end.begins {
            call.key(&keys.over);
        }
        if turn.is_numbered() {
            call.key(last(key));
        }
        // Longer than its receipts: they are told by it.
        call.arg(token)
            .arg(stamped)
            .arg(millis(SESSION_TTL + LEASE))
            .arg(end.receipt.encode(keys.mark(Some(end.dialogue))))
            .arg(millis(turn.receipt_age_max()));
        self.run(&call).await
    }

    pub(super) async fn advance(
        &self,
        key: &SessionKey,
        from: Option<i64>,
        turn: &Identity,
        end: &TurnEnd<'_>,
        stamped: &[u8],
    ) -> Result<bool, StoreError> {
        let keys = Keys::of(key, turn);
        let mut call = ADVANCE.prepare_invoke();
        call.key(keys.dialogue)
            .key(&keys.receipt)
            .key(&keys.claim)
            .key(&keys.over);
        if turn.is_numbered() {
            call.key(last(key));
        }
        call.arg(from.map_or(Vec::new(), |stamp| stamp.to_be_bytes().to_vec()))
            .arg(stamped)
            .arg(millis(SESSION_TTL + LEASE))
            .arg(end.receipt.encode(keys.mark(Some(end.dialogue))))
            .arg(millis(turn.receipt_age_max()));
        self.run(&call).await
    }

    /// Lets a claim go.
    pub(super) async fn release(
        &self,
        key: &SessionKey,
        token: i64,
        unfinished: bool,
    ) -> Result<(), StoreError> {
        let mut call = RELEASE.prepare_invoke();
        call.key(claim(key))
            .arg(token)
            .arg(if unfinished { UNFINISHED } else { "" })
            .arg(millis(SESSION_TTL));
        let _: i64 = self.run(&call).await?;
        Ok(())
    }

    /// Marks a session as over.
    pub(super) async fn close(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let mut call = redis::pipe();
        call.exists(&key.0)
            .cmd("SET")
            .arg(over(key))
            .arg(1)
            .arg("PX")
            .arg(millis(SESSION_TTL))
            .arg("GET");
        let call = &call;
        let (is_known, was_over): (bool, Option<i64>) = self
            .ask(|mut redis| async move { call.query_async(&mut redis).await })
            .await?;
        Ok(is_known && was_over.is_none())
    }

    /// The dialogue of the session, while a screen of it waits for an answer.
    pub(super) async fn find_waiting(
        &self,
        key: &SessionKey,
    ) -> Result<Option<Box<Dialogue>>, StoreError> {
        let mut call = redis::cmd("MGET");
        call.arg(&key.0).arg(over(key));
        let call = &call;
        let (dialogue, over): (Option<Vec<u8>>, Option<i64>) = self
            .ask(|mut redis| async move { call.query_async(&mut redis).await })
            .await?;
        let dialogue = read(dialogue).filter(|_| over.is_none());
        Ok(dialogue.filter(|dialogue| dialogue.state.is_some()))
    }

    /// Whether Redis answers, and takes what is written: a replica, or one without memory, does not.
    pub(super) async fn is_up(&self) -> bool {
        let mut command = redis::cmd("SET");
        command.arg(PROBE).arg(1).arg("PX").arg(millis(ANSWER_MAX));
        let mut connection = self.connection.clone();
        let written = command.query_async::<()>(&mut connection);
        matches!(timeout(TRIES_MAX, written).await, Ok(Ok(())))
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.ask(|mut redis| async move { script.invoke_async(&mut redis).await })
            .await
    }

    /// Whatever is asked may be asked twice.
    async fn ask<T, A>(&self, asked: impl Fn(Connection) -> A) -> Result<T, StoreError>
    where
        A: Future<Output = Result<T, RedisError>>,
    {
        self.breaker.admit()?;
        let tries = async {
            match asked(self.connection.clone()).await {
                // The connection is renewed after the first failure.
                Err(error) if error.is_io_error() && self.breaker.may_retry() => {
                    asked(self.connection.clone()).await
                }
                result => result,
            }
        };
        self.in_time(tries).await
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        match timeout(TRIES_MAX, asked).await {
            Ok(Ok(answer)) => {
                self.breaker.succeeded();
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.breaker.failed();
                Err(error.into())
            }
            Err(late) => {
                self.breaker.failed();
                Err(late.into())
            }
        }
    }
}
