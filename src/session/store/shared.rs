//! Results that instances share through Redis: one of them works for all, under a short lease.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use tokio::time::Instant;

use super::redis::RedisStore;
use super::{Store, StoreError, millis};

/// How long one instance may work for the others before the next one tries.
pub const WORK_MAX: Duration = Duration::from_secs(2);

/// How often an instance looks whether another has found what it waits for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What Redis has of a shared result.
#[derive(Debug)]
pub enum Shared {
    /// It, as it was put there.
    Found(Vec<u8>),
    /// Nothing: who asked is to work for all, and to tell by this token.
    Ours(u64),
    /// Nothing yet: another works on it.
    Running,
}

static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local kept = redis.call('GET', KEYS[1])
        if not kept then
            redis.call('SET', KEYS[1], 'w' .. ARGV[1], 'PX', ARGV[2])
            return {'ours', ''}
        end
        if string.sub(kept, 1, 1) == 'w' then return {'running', ''} end
        return {'found', string.sub(kept, 2)}
        ",
    )
});

static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GET', KEYS[1]) ~= 'r' .. ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])
        ",
    )
});

static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GET', KEYS[1]) ~= 'w' .. ARGV[1] then return 0 end
        if ARGV[2] == '' then redis.call('DEL', KEYS[1])
        else redis.call('SET', KEYS[1], 'r' .. ARGV[2], 'PX', ARGV[3]) end
        return 1
        ",
    )
});

impl Store {
    /// The result of this name that another instance has put there within `ttl`, or our own for all. `read` and `write`
    /// give its form there; what cannot be read is worked for again.
    ///
    /// # Errors
    /// What `work` failed with.
    pub async fn share<T, E>(
        &self,
        name: &str,
        ttl: Duration,
        read: impl Fn(&[u8]) -> Option<T>,
        write: impl Fn(&T) -> Option<Vec<u8>>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let until = Instant::now() + WORK_MAX;
        loop {
            match self.claim_shared(name).await {
                Ok(Shared::Found(stored)) => match read(&stored) {
                    Some(found) => return Ok(found),
                    None => return work.await,
                },
                Ok(Shared::Ours(token)) => {
                    let done = work.await;
                    let result = done.as_ref().ok().and_then(&write);
                    self.put_shared(name, token, result.as_deref(), ttl).await;
                    return done;
                }
                Ok(Shared::Running) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Ok(Shared::Running) | Err(_) => return work.await,
            }
        }
    }

    /// Looks for the result of this name, and takes it on to work for all where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_shared(&self, name: &str) -> Result<Shared, StoreError> {
        self.far.claim_shared(name).await
    }

    /// Puts the result there for `ttl`; without one the next who asks works.
    pub async fn put_shared(&self, name: &str, token: u64, result: Option<&[u8]>, ttl: Duration) {
        // Whoever waits for it works for himself then.
        self.far
            .put_shared(name, token, result, ttl)
            .await
            .unwrap_or_default();
    }

    /// Takes the result of this name away, if it is still this one.
    pub async fn forget_shared(&self, name: &str, result: &[u8]) {
        // It ends by itself.
        self.far
            .forget_shared(name, result)
            .await
            .unwrap_or_default();
    }
}

impl RedisStore {
    pub(super) async fn claim_shared(&self, name: &str) -> Result<Shared, StoreError> {
        let token: u64 = rand::random();
        let mut call = CLAIM.prepare_invoke();
        call.key(name).arg(token).arg(millis(WORK_MAX));
        let (found, result): (String, Vec<u8>) = self.run(&call).await?;
        Ok(match found.as_str() {
            "found" => Shared::Found(result),
            "ours" => Shared::Ours(token),
            _ => Shared::Running,
        })
    }

    pub(super) async fn put_shared(
        &self,
        name: &str,
        token: u64,
        result: Option<&[u8]>,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let mut call = PUT.prepare_invoke();
        call.key(name)
            .arg(token)
            .arg(result.unwrap_or_default())
            .arg(millis(ttl));
        let _: i64 = self.run(&call).await?;
        Ok(())
    }

    pub(super) async fn forget_shared(&self, name: &str, result: &[u8]) -> Result<(), StoreError> {
        let mut call = FORGET.prepare_invoke();
        call.key(name).arg(result);
        let _: i64 = self.run(&call).await?;
        Ok(())
    }
}
