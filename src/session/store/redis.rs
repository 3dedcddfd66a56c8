//! Sessions in Redis: one hash a dialogue, opened and committed in one round trip each.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::{Dialogue, Identity, LEASE, Opened, Receipt, SESSION_TTL, SessionKey, StoreError};

/// How long one command may take, of two tries.
const ANSWER_MAX: Duration = Duration::from_millis(180);
const CONNECT_MAX: Duration = Duration::from_millis(400);

/// Every session of every instance.
#[derive(Clone)]
pub struct Store {
    connection: ConnectionManager,
}

static OPEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local receipt = redis.call('HGET', KEYS[1], ARGV[1])
        if receipt then
            local at, text = string.match(receipt, '^(%d+)(.*)$')
            if at and now - at <= tonumber(ARGV[4]) then return {'answered', text, 0} end
        end
        if redis.call('HEXISTS', KEYS[1], 'closed') == 1 then
            if ARGV[5] == '0' then return {'closed', '', 0} end
            redis.call('HDEL', KEYS[1], 'closed', 'dialogue')
        end
        local lease = redis.call('HGET', KEYS[1], 'lease')
        if lease and tonumber(lease) > now then return {'running', '', 0} end
        local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
        redis.call('HSET', KEYS[1], 'lease', now + ARGV[2])
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return {'claimed', redis.call('HGET', KEYS[1], 'dialogue') or '', token}
        ",
    )
});

static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
        if ARGV[6] == '1' then
            redis.call('DEL', KEYS[1])
            redis.call('HSET', KEYS[1], 'token', ARGV[1])
        end
        local time = redis.call('TIME')
        local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
        local last = redis.call('HGET', KEYS[1], 'last')
        if last and last ~= ARGV[2] then redis.call('HDEL', KEYS[1], 'last', last) end
        if string.find(ARGV[2], '^[ad]:') then redis.call('HSET', KEYS[1], 'last', ARGV[2]) end
        redis.call('HSET', KEYS[1], ARGV[2], now .. ARGV[3], 'dialogue', ARGV[4])
        redis.call('HDEL', KEYS[1], 'lease')
        redis.call('PEXPIRE', KEYS[1], ARGV[5])
        return 1
        ",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then redis.call('HDEL', KEYS[1], 'lease') end
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

impl Store {
    /// Connects when first used, and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`StoreError`] when the URL cannot be read.
    pub fn new(url: &str) -> Result<Store, StoreError> {
        let client = redis::Client::open(url)?;
        let settings = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER_MAX))
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100));
        Ok(Store {
            connection: ConnectionManager::new_lazy_with_config(client, settings)?,
        })
    }

    /// Looks for the receipt of the turn, and claims the turn where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(&self, key: &SessionKey, turn: &Identity) -> Result<Opened, StoreError> {
        let mut call = OPEN.prepare_invoke();
        call.key(&key.0)
            .arg(turn.field())
            .arg(millis(LEASE))
            .arg(millis(SESSION_TTL))
            .arg(millis(turn.receipt_age_max()))
            .arg(u8::from(turn.may_begin()));
        let (found, content, token): (String, Vec<u8>, i64) =
            match call.invoke_async(&mut self.connection.clone()).await {
                // The manager reconnects on the first failure; a claim that was taken unseen ends by its lease.
                Err(error) if error.is_io_error() => {
                    call.invoke_async(&mut self.connection.clone()).await?
                }
                result => result?,
            };
        Ok(match found.as_str() {
            "answered" => match Receipt::decode(&content) {
                Some(receipt) => Opened::Answered(receipt),
                None => Opened::Closed,
            },
            "running" => Opened::Running,
            "closed" => Opened::Closed,
            // A dialogue written by another version, or damaged, is as good as lost.
            _ => Opened::Claimed {
                token,
                dialogue: serde_json::from_slice(&content).ok(),
            },
        })
    }

    /// Writes what the turn led to; with `begins`, all that was kept under this id before goes: short ids come
    /// again within minutes, and a phone number as an id with every dialogue. `false`: the claim had ended and another call owns the turn; nothing was written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit(
        &self,
        key: &SessionKey,
        token: i64,
        turn: &Identity,
        dialogue: &Dialogue,
        receipt: &Receipt,
        begins: bool,
    ) -> Result<bool, StoreError> {
        let stored = serde_json::to_string(dialogue).unwrap_or_default();
        let mut call = COMMIT.prepare_invoke();
        call.key(&key.0)
            .arg(token)
            .arg(turn.field())
            .arg(receipt.encode())
            .arg(stored)
            .arg(millis(SESSION_TTL))
            .arg(u8::from(begins));
        let done: i64 = match call.invoke_async(&mut self.connection.clone()).await {
            Err(error) if error.is_io_error() => {
                call.invoke_async(&mut self.connection.clone()).await?
            }
            result => result?,
        };
        Ok(done == 1)
    }

    /// Lets a claim go without an answer, so that a retry need not wait for its lease to end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, key: &SessionKey, token: i64) -> Result<(), StoreError> {
        let mut call = RELEASE.prepare_invoke();
        let _: i64 = call
            .key(&key.0)
            .arg(token)
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }

    /// No later answer wakes the session up; its receipts stay. `false`: it is unknown, or was closed before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let mut call = CLOSE.prepare_invoke();
        let known: i64 = call
            .key(&key.0)
            .arg(millis(SESSION_TTL))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(known == 1)
    }

    /// Whether the session has a screen that waits for an answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_live(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let (dialogue, closed): (Option<String>, Option<String>) = redis::cmd("HMGET")
            .arg(&key.0)
            .arg(&["dialogue", "closed"])
            .query_async(&mut self.connection.clone())
            .await?;
        let dialogue: Option<Dialogue> =
            dialogue.and_then(|stored| serde_json::from_str(&stored).ok());
        Ok(closed.is_none() && dialogue.is_some_and(|dialogue| dialogue.state.is_some()))
    }

    /// Whether Redis answers.
    pub async fn is_up(&self) -> bool {
        let mut connection = self.connection.clone();
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
            .is_ok()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
