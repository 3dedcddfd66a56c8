//! Keys: who may ask, and for what.
//!
//! A key is `rf_` and 43 characters of base64url, which are 256 random bits; the database has its SHA-256. What is random needs
//! no slow hash. A program has as many keys as it likes, so that one can take the place of another without a gap.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::problem::Problem;
use crate::app::App;
use crate::db::api_keys::find_key;
use crate::db::patience::{EXTRA_MAX, within};
use crate::session::coalesce::{Coalesced, Coalescer};

/// How long a key is believed before the database is asked again: a revoked one ends after so long.
const BELIEVED: Duration = Duration::from_secs(10);
/// How long it is believed while the database is away.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
const KEYS_MAX: u64 = 10_000;
/// The longest key that is looked at, in bytes.
const KEY_BYTES_MAX: usize = 128;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See places, properties, calendars and what changed of them.
    Read,
    /// Hold, pay, change and cancel for guests, and see their reservations.
    Book,
    /// Change properties, their prices and their calendars.
    Manage,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Book, Scope::Manage];

    /// Its word in tables and commands.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Book => "book",
            Scope::Manage => "manage",
        }
    }

    /// The scope with this word.
    pub fn find(word: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// A key that is valid. As an argument of a handler it is the one that the request has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id; not the key.
    pub id: Uuid,
    /// Who uses it.
    pub name: String,
    /// What for.
    pub scopes: Vec<Scope>,
    /// Whose properties it may manage; `None`: of every host.
    pub host: Option<Uuid>,
}

impl Key {
    /// The one of the demo, which is `demo`.
    pub fn demo() -> Key {
        Key {
            id: Uuid::now_v7(),
            name: "demo".to_owned(),
            scopes: Scope::ALL.to_vec(),
            host: None,
        }
    }

    /// Lets pass who has the scope.
    ///
    /// # Errors
    /// [`Problem::scope_missing`].
    pub fn needs(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Problem::scope_missing(scope.word()))
    }
}

impl FromRequest for Key {
    type Error = Problem;
    type Future = Ready<Result<Key, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let shown = request.extensions().get::<Arc<Key>>().cloned();
        ready(
            shown
                .map(|key| (*key).clone())
                .ok_or_else(Problem::unknown_key),
        )
    }
}

/// What the database has of a key.
pub type KeyHash = [u8; 32];

/// A new key, and what of it is stored.
pub fn new_key() -> (String, KeyHash) {
    let random: [u8; 32] = rand::random();
    let key = format!("rf_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hash(&key);
    (key, hash)
}

/// SHA-256.
pub fn hash(key: &str) -> KeyHash {
    Sha256::digest(key.as_bytes()).into()
}

/// The hash of the key that a request shows.
pub(super) fn shown(headers: &HeaderMap) -> Option<KeyHash> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = header.split_once(' ')?;
    let key = key.trim();
    let is_key = scheme.eq_ignore_ascii_case("bearer") && (1..=KEY_BYTES_MAX).contains(&key.len());
    is_key.then(|| hash(key))
}

/// The keys that were shown lately.
pub struct Keys {
    now: Coalescer<KeyHash, Option<Arc<Key>>>,
    remembered: Cache<KeyHash, Arc<Key>>,
}

impl Default for Keys {
    fn default() -> Self {
        Keys {
            now: Coalescer::new(BELIEVED, KEYS_MAX),
            remembered: Cache::builder()
                .time_to_live(REMEMBERED)
                .max_capacity(KEYS_MAX)
                .build(),
        }
    }
}

impl Keys {
    /// Whether it was valid lately.
    pub(super) fn is_known(&self, hash: &KeyHash) -> bool {
        self.remembered.contains_key(hash)
    }

    /// The key with this hash, as it was within 10 s, or within an hour while the database is away.
    ///
    /// # Errors
    /// [`Problem`] where the database does not answer and the key was not seen before.
    pub async fn find(&self, app: &Arc<App>, hash: KeyHash) -> Result<Option<Arc<Key>>, Problem> {
        let asked = app.clone();
        let work = async move {
            let find = async {
                let client = asked.pool.get().await?;
                find_key(&client, &hash, asked.clock.now()).await
            };
            let found = within(&asked.postgres, EXTRA_MAX, find).await?;
            Ok(found.map(Arc::new))
        };
        match self.now.get(hash, work).await {
            Ok(Some(key)) => {
                self.remembered.insert(hash, key.clone()).await;
                Ok(Some(key))
            }
            Ok(None) => {
                self.remembered.invalidate(&hash).await;
                Ok(None)
            }
            Err(error) => match self.remembered.get(&hash).await {
                Some(key) if matches!(error, Coalesced::Failed(_)) => Ok(Some(key)),
                _ => Err(error.into()),
            },
        }
    }
}
