//! Dialogues in Redis: one hash each, opened and committed in one round trip.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{FromRedisValue, RedisError, Script, ScriptInvocation};
use tokio::time::timeout;

use super::connection::{Connection, Site};
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

// Few commands a script: each costs the server as much as a GET, and with all instances on one server it is what ends
// their growth. An empty lease is none. The time to live is set by the first claim and by each commit, longer than
// receipts count by a lease. The first token is the time, so that a claim from before the server was emptied holds no more.
static OPEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local kept = redis.call('HMGET', KEYS[1], ARGV[1], 'closed', 'lease', 'claimant', 'token', 'dialogue')
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        if kept[1] then
            local at, text = string.match(kept[1], '^(%d+)(.*)$')
            if at and now - at <= tonumber(ARGV[4]) then return {'answered', text, 0, 0} end
        end
        local dialogue = kept[6] or ''
        if kept[2] then
            if ARGV[5] == '0' then return {'closed', '', 0, 0} end
            redis.call('HDEL', KEYS[1], 'closed', 'dialogue')
            dialogue = ''
        end
        local lease = tonumber(kept[3] or '')
        local token = tonumber(kept[5] or '')
        local unfinished = 0
        if lease and lease > now then
            if kept[4] ~= ARGV[6] then return {'running', '', 0, 0} end
        else
            unfinished = lease and 1 or 0
            token = token and token + 1 or now
            redis.call('HSET', KEYS[1], 'token', token, 'lease', now + ARGV[2], 'claimant', ARGV[6])
            if not kept[5] then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
        end
        return {'claimed', dialogue, token, unfinished}
        ",
    )
});

static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local kept = redis.call('HMGET', KEYS[1], 'token', 'last')
        if kept[1] ~= ARGV[1] then return 0 end
        if ARGV[6] == '1' then
            redis.call('DEL', KEYS[1])
        elseif kept[2] and kept[2] ~= ARGV[2] then
            redis.call('HDEL', KEYS[1], 'last', kept[2])
        end
        if string.find(ARGV[2], '^[ad]:') then redis.call('HSET', KEYS[1], 'last', ARGV[2]) end
        local time = redis.call('TIME')
        local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
        redis.call('HSET', KEYS[1], 'token', ARGV[1], 'lease', '', ARGV[2], now .. ARGV[3], 'dialogue', ARGV[4])
        redis.call('PEXPIRE', KEYS[1], ARGV[5])
        return 1
        ",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
        if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'lease', 0)
        else redis.call('HDEL', KEYS[1], 'lease', 'claimant') end
        return 1
        ",
    )
});

static CLOSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local known = redis.call('HEXISTS', KEYS[1], 'dialogue') == 1 and redis.call('HEXISTS', KEYS[1], 'closed') == 0
        redis.call('HSET', KEYS[1], 'closed', '1')
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        return known and 1 or 0
        ",
    )
});

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

    /// Looks for the receipt of the turn, and claims the turn where there is none. Tried again it finds its own claim.
    pub(super) async fn open(
        &self,
        key: &SessionKey,
        turn: &Identity,
    ) -> Result<Opened, StoreError> {
        let claimant: u64 = rand::random();
        let mut call = OPEN.prepare_invoke();
        call.key(&key.0)
            .arg(turn.field())
            .arg(millis(LEASE))
            .arg(millis(SESSION_TTL))
            .arg(millis(turn.receipt_age_max()))
            .arg(u8::from(turn.may_begin()))
            .arg(claimant);
        let (found, content, token, unfinished): (String, Vec<u8>, i64, i64) =
            self.ask(&call).await?;
        Ok(match found.as_str() {
            "answered" => match Receipt::decode(&content) {
                Some(receipt) => Opened::Answered(receipt),
                None => Opened::Closed,
            },
            "running" => Opened::Running,
            "closed" => Opened::Closed,
            // A dialogue written by another version, or damaged, is as good as lost.
            _ => Opened::Claimed {
                token: Token::Redis(token),
                unfinished: unfinished == 1,
                dialogue: serde_json::from_slice(&content)
                    .inspect_err(|_| {
                        if !content.is_empty() {
                            metrics::counter!("dialogues_damaged_total").increment(1);
                            tracing::warn!("a stored dialogue cannot be read and is rebuilt");
                        }
                    })
                    .ok(),
            },
        })
    }

    /// Writes what the turn led to. `false`: the claim had ended; nothing was written.
    pub(super) async fn commit(
        &self,
        key: &SessionKey,
        token: i64,
        turn: &Identity,
        end: &TurnEnd<'_>,
    ) -> Result<bool, StoreError> {
        let stored = serde_json::to_string(end.dialogue).unwrap_or_default();
        let mut call = COMMIT.prepare_invoke();
        call.key(&key.0)
            .arg(token)
            .arg(turn.field())
            .arg(end.receipt.encode())
            .arg(stored)
            .arg(millis(SESSION_TTL + LEASE))
            .arg(u8::from(end.begins));
        let done: i64 = self.ask(&call).await?;
        Ok(done == 1)
    }

    /// Lets a claim go.
    pub(super) async fn release(
        &self,
        key: &SessionKey,
        token: i64,
        unfinished: bool,
    ) -> Result<(), StoreError> {
        let mut call = RELEASE.prepare_invoke();
        call.key(&key.0).arg(token).arg(u8::from(unfinished));
        let _: i64 = self.ask(&call).await?;
        Ok(())
    }

    /// Marks a session as over.
    pub(super) async fn close(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let mut call = CLOSE.prepare_invoke();
        call.key(&key.0).arg(millis(SESSION_TTL));
        let known: i64 = self.ask(&call).await?;
        Ok(known == 1)
    }

    /// Whether the session has a screen that waits for an answer.
    pub(super) async fn is_live(&self, key: &SessionKey) -> Result<bool, StoreError> {
        self.breaker.admit()?;
        let mut command = redis::cmd("HMGET");
        command.arg(&key.0).arg(&["dialogue", "closed"]);
        let mut connection = self.connection.clone();
        let (dialogue, closed): (Option<String>, Option<String>) =
            self.in_time(command.query_async(&mut connection)).await?;
        let dialogue: Option<Dialogue> =
            dialogue.and_then(|stored| serde_json::from_str(&stored).ok());
        Ok(closed.is_none() && dialogue.is_some_and(|dialogue| dialogue.state.is_some()))
    }

    /// Whether Redis answers, and takes what is written: a replica, or one without memory, does not.
    pub(super) async fn is_up(&self) -> bool {
        let mut command = redis::cmd("SET");
        command.arg(PROBE).arg(1).arg("PX").arg(millis(ANSWER_MAX));
        let mut connection = self.connection.clone();
        let written = command.query_async::<()>(&mut connection);
        matches!(timeout(TRIES_MAX, written).await, Ok(Ok(())))
    }

    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.breaker.admit()?;
        let tries = async {
            match call.invoke_async(&mut self.connection.clone()).await {
                // The connection is renewed after the first failure.
                Err(error) if error.is_io_error() && self.breaker.may_retry() => {
                    call.invoke_async(&mut self.connection.clone()).await
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
