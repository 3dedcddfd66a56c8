//! A Redis that is no server: the rules of the memory store behind a link, for [`crate::simulate`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use redis::RedisError;
use tokio::time::{Instant, timeout};

use super::memory::MemoryStore;
use super::redis::TRIES_MAX;
use super::shared::{Shared, WORK_MAX};
use super::{Dialogue, Identity, Opened, SessionKey, StoreError, Token, TurnEnd};
use crate::breaker::Breaker;
use crate::session::packed::read_stamped;
use crate::simulate::link::Link;

/// What all instances share.
#[derive(Default)]
pub struct Server {
    sessions: MemoryStore,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    kept: BTreeMap<String, Kept>,
    tokens: u64,
}

/// `None`: somebody works on it.
struct Kept {
    token: u64,
    result: Option<Vec<u8>>,
    until: Instant,
}

/// What was kept at a moment.
pub struct Snapshot(MemoryStore);

impl Server {
    /// It comes back with nothing.
    pub fn lose_all(&self) {
        self.sessions.replace(&MemoryStore::default());
        self.results().kept.clear();
    }

    /// What is kept now.
    pub fn snapshot(&self) -> Snapshot {
        let copy = MemoryStore::default();
        copy.replace(&self.sessions);
        Snapshot(copy)
    }

    /// It comes back with what it kept then.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.sessions.replace(&snapshot.0);
        self.results().kept.clear();
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One instance's way there.
#[derive(Clone)]
pub(super) struct SimulatedStore {
    server: Arc<Server>,
    link: Arc<Link>,
    pub(super) breaker: Arc<Breaker>,
}

impl SimulatedStore {
    pub(super) fn new(server: Arc<Server>, link: Arc<Link>) -> SimulatedStore {
        SimulatedStore {
            server,
            link,
            breaker: Arc::new(Breaker::new("redis")),
        }
    }

    pub(super) async fn open(
        &self,
        key: &SessionKey,
        turn: &Identity,
        now: DateTime<Utc>,
    ) -> Result<Opened, StoreError> {
        self.ask(|server| match server.sessions.open(key, turn, now) {
            Opened::Claimed {
                token: Token::Memory(token) | Token::Redis(token),
                unfinished,
                dialogue,
            } => Opened::Claimed {
                token: Token::Redis(token),
                unfinished,
                dialogue,
            },
            opened => opened,
        })
        .await
    }

    pub(super) async fn commit(
        &self,
        key: &SessionKey,
        token: i64,
        stamped: &[u8],
        begins: bool,
    ) -> Result<bool, StoreError> {
        let Some((dialogue, _)) = read_stamped(stamped) else {
            return Ok(false);
        };
        let end = TurnEnd { dialogue, begins };
        self.ask(|server| server.sessions.commit(key, token, end))
            .await
    }

    pub(super) async fn advance(
        &self,
        key: &SessionKey,
        from: Option<i64>,
        stamped: &[u8],
    ) -> Result<bool, StoreError> {
        let Some((dialogue, stamp)) = read_stamped(stamped) else {
            return Ok(false);
        };
        self.ask(|server| server.sessions.advance(key, from, stamp, dialogue))
            .await
    }

    pub(super) async fn release(
        &self,
        key: &SessionKey,
        token: i64,
        unfinished: bool,
    ) -> Result<(), StoreError> {
        self.ask(|server| server.sessions.release(key, token, unfinished))
            .await
    }

    pub(super) async fn close(&self, key: &SessionKey) -> Result<bool, StoreError> {
        self.ask(|server| server.sessions.close(key, false)).await
    }

    pub(super) async fn find_waiting(
        &self,
        key: &SessionKey,
    ) -> Result<Option<Box<Dialogue>>, StoreError> {
        self.ask(|server| server.sessions.find_waiting(key).flatten())
            .await
    }

    pub(super) async fn is_up(&self) -> bool {
        let asked = async {
            self.link.go().await?;
            self.link.come_back().await
        };
        matches!(timeout(TRIES_MAX, asked).await, Ok(Ok(())))
    }

    pub(super) async fn claim_shared(&self, name: &str) -> Result<Shared, StoreError> {
        self.ask(|server| {
            let now = Instant::now();
            let mut results = server.results();
            match results.kept.get(name).filter(|kept| kept.until > now) {
                Some(kept) => match &kept.result {
                    Some(result) => Shared::Found(result.clone()),
                    None => Shared::Running,
                },
                None => {
                    results.tokens += 1;
                    let token = results.tokens;
                    let kept = Kept {
                        token,
                        result: None,
                        until: now + WORK_MAX,
                    };
                    results.kept.insert(name.to_owned(), kept);
                    Shared::Ours(token)
                }
            }
        })
        .await
    }

    pub(super) async fn put_shared(
        &self,
        name: &str,
        token: u64,
        result: Option<&[u8]>,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.ask(|server| {
            let mut results = server.results();
            let is_ours = |kept: &Kept| kept.token == token && kept.result.is_none();
            if !results.kept.get(name).is_some_and(is_ours) {
                return;
            }
            match result {
                None => {
                    results.kept.remove(name);
                }
                Some(result) => {
                    let kept = Kept {
                        token,
                        result: Some(result.to_vec()),
                        until: Instant::now() + ttl,
                    };
                    results.kept.insert(name.to_owned(), kept);
                }
            }
        })
        .await
    }

    pub(super) async fn forget_shared(&self, name: &str, result: &[u8]) -> Result<(), StoreError> {
        self.ask(|server| {
            let mut results = server.results();
            let is_it = |kept: &Kept| kept.result.as_deref() == Some(result);
            if results.kept.get(name).is_some_and(is_it) {
                results.kept.remove(name);
            }
        })
        .await
    }

    async fn ask<T>(&self, command: impl FnOnce(&Server) -> T) -> Result<T, StoreError> {
        self.breaker.admit()?;
        let asked = async {
            self.link.go().await?;
            let answer = command(&self.server);
            self.link.come_back().await?;
            Ok(answer)
        };
        match timeout(TRIES_MAX, asked).await {
            Ok(Ok(answer)) => {
                self.breaker.succeeded();
                Ok(answer)
            }
            Ok(Err::<_, crate::simulate::link::Trouble>(trouble)) => {
                self.breaker.failed();
                let broken = io::Error::new(io::ErrorKind::ConnectionReset, trouble);
                Err(RedisError::from(broken).into())
            }
            Err(late) => {
                self.breaker.failed();
                Err(late.into())
            }
        }
    }
}
