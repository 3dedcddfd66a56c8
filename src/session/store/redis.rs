//! Dialogues in Redis, opened and committed in one round trip each.
//!
//! A dialogue is a string at its key, with its receipts in it, which ends with the stamp of whoever wrote it, or claimed or
//! ended it since. Beside it, in the same slot of a cluster: `:claim`, the token of whoever works on its turn; and `:over`,
//! there when its aggregator has ended it. The server's own clock ends all of them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use redis::{FromRedisValue, RedisError, Script, ScriptInvocation};
use tokio::time::timeout;

use super::connection::{Connection, Site};
use super::{
    Dialogue, Identity, LEASE, Opened, SESSION_TTL, SessionKey, StoreError, Token, millis,
};
use crate::breaker::Breaker;
use crate::session::packed::read_stamped;

/// How long one command may take, and both tries of it with all waiting for a connection.
const ANSWER_MAX: Duration = Duration::from_millis(150);
pub(super) const TRIES_MAX: Duration = Duration::from_millis(400);
/// What a probe writes.
const PROBE: &str = "reserveflow:probe";
/// A claim that was let go by one who does not know what he did.
const UNFINISHED: &str = "unfinished";

// Few commands a script, and none where it can be done without: each costs the server as much as a GET, and with all
// instances on one server it is what ends their growth.

/// What is kept, and the claim unless somebody holds it: one is taken over when its lease is up or when it was let go
/// unfinished. It is kept for longer than its lease, so that the next one knows that it was never let go. A claim that is
/// ours already is one whose answer was lost. Whoever claims a turn stamps the dialogue, so that no turn without a claim goes
/// on from it.
static OPEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local kept, held, over = unpack(redis.call('MGET', KEYS[1], KEYS[2], KEYS[3]))
        if held and held ~= ARGV[1] and held ~= ARGV[4] then
            local age = ARGV[2] - redis.call('PTTL', KEYS[2])
            if age < tonumber(ARGV[3]) then return {0, 0, kept, over} end
        end
        redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
        if kept and #kept >= 8 then redis.call('SETRANGE', KEYS[1], #kept - 8, ARGV[1]) end
        return {1, held and 1 or 0, kept, over}
        ",
    )
});

static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', unpack(KEYS, 2))
        return 1
        ",
    )
});

/// Nobody has stamped the dialogue since. Without a stamp: there is none, and nobody works on one or has ended it.
static ADVANCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GETRANGE', KEYS[1], -8, -1) ~= ARGV[1] then return 0 end
        if KEYS[2] and redis.call('EXISTS', KEYS[2], KEYS[3]) ~= 0 then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1
        ",
    )
});

static CLOSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local kept = redis.call('STRLEN', KEYS[1])
        if kept >= 8 then redis.call('SETRANGE', KEYS[1], kept - 8, ARGV[1]) end
        local was_over = redis.call('SET', KEYS[2], 1, 'PX', ARGV[2], 'GET')
        return kept > 0 and not was_over and 1 or 0
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

fn claim(key: &SessionKey) -> String {
    format!("{}:claim", key.0)
}

fn over(key: &SessionKey) -> String {
    format!("{}:over", key.0)
}

/// Whether the claim is ours now, whether it was let go by nobody before, and what is kept: the dialogue and its end.
type Found = (bool, bool, Option<Vec<u8>>, Option<i64>);

/// A dialogue written by another version, or damaged, is as good as lost.
fn read(stored: Option<Vec<u8>>) -> Option<Box<Dialogue>> {
    let read = read_stamped(&stored?).map(|(dialogue, _)| Box::new(dialogue));
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
        now: DateTime<Utc>,
    ) -> Result<Opened, StoreError> {
        let token: i64 = rand::random();
        let mut call = OPEN.prepare_invoke();
        call.key(&key.0)
            .key(claim(key))
            .key(over(key))
            .arg(&token.to_be_bytes())
            .arg(millis(SESSION_TTL))
            .arg(millis(LEASE))
            .arg(UNFINISHED);
        let (is_ours, unfinished, dialogue, over): Found = self.run(&call).await?;
        let dialogue = read(dialogue);
        let answered = dialogue
            .as_ref()
            .and_then(|dialogue| dialogue.receipts.find(turn, now));
        let done = match (answered, over) {
            (Some(receipt), _) => Opened::Answered(receipt.clone()),
            (None, Some(_)) if !turn.may_begin() => Opened::Closed,
            _ if !is_ours => return Ok(Opened::Running),
            (None, over) => {
                return Ok(Opened::Claimed {
                    token: Token::Redis(token),
                    unfinished,
                    dialogue: dialogue.filter(|_| over.is_none()),
                });
            }
        };
        if is_ours {
            self.release(key, token, unfinished).await?;
        }
        Ok(done)
    }

    /// Writes what the turn led to. `false`: the claim had ended; nothing was written.
    pub(super) async fn commit(
        &self,
        key: &SessionKey,
        token: i64,
        stamped: &[u8],
        begins: bool,
    ) -> Result<bool, StoreError> {
        let mut call = COMMIT.prepare_invoke();
        call.key(&key.0).key(claim(key));
        if begins {
            call.key(over(key));
        }
        call.arg(&token.to_be_bytes())
            .arg(stamped)
            .arg(millis(SESSION_TTL));
        self.run(&call).await
    }

    pub(super) async fn advance(
        &self,
        key: &SessionKey,
        from: Option<i64>,
        stamped: &[u8],
    ) -> Result<bool, StoreError> {
        let mut call = ADVANCE.prepare_invoke();
        call.key(&key.0);
        match from {
            Some(stamp) => call.arg(&stamp.to_be_bytes()),
            None => call.key(claim(key)).key(over(key)).arg(""),
        };
        call.arg(stamped).arg(millis(SESSION_TTL));
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
            .arg(&token.to_be_bytes())
            .arg(if unfinished { UNFINISHED } else { "" })
            .arg(millis(SESSION_TTL));
        let _: i64 = self.run(&call).await?;
        Ok(())
    }

    /// Marks a session as over.
    pub(super) async fn close(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let stamp: i64 = rand::random();
        let mut call = CLOSE.prepare_invoke();
        call.key(&key.0)
            .key(over(key))
            .arg(&stamp.to_be_bytes())
            .arg(millis(SESSION_TTL));
        self.run(&call).await
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
