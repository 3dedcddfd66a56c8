//! What an account has to fetch before its first request and that lasts a while. At some providers a new token ends the one
//! before, so that instances share what one of them has fetched.

use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Provider;
use crate::session::store::Store;
use crate::sms::http::{Answer, Reply, SEND_MAX};
use crate::sms::{Account, Request, Token};

/// How long before its end a token is not used any more.
const MARGIN: Duration = SEND_MAX.saturating_mul(2);
/// The longest that a token is used, whatever it says.
pub(super) const LASTS_MAX: Duration = Duration::from_secs(24 * 3600);

/// The answer to a login, as instances share it. It holds a token, so it cannot be printed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Login {
    /// When it was asked for.
    asked_at: DateTime<Utc>,
    status: u16,
    body: String,
    /// Where it is shared.
    #[serde(skip)]
    name: String,
}

impl Login {
    /// What came back for a request that was sent at `asked_at`.
    pub(super) fn new(name: &str, asked_at: DateTime<Utc>, reply: &Reply) -> Login {
        let answer = reply.answer();
        Login {
            asked_at,
            status: answer.status,
            body: String::from_utf8_lossy(answer.body).into_owned(),
            name: name.to_owned(),
        }
    }

    /// As instances share it.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// What an instance has shared under this name.
    pub(super) fn read(name: &str, stored: &[u8]) -> Option<Login> {
        let login: Login = serde_json::from_slice(stored).ok()?;
        let name = name.to_owned();
        Some(Login { name, ..login })
    }

    /// No instance finds it any more.
    pub(super) async fn forget(&self, store: &Store) {
        if let Some(stored) = self.write() {
            store.forget_shared(&self.name, &stored).await;
        }
    }

    /// The token in it and how long it is still used; `None`: it was refused.
    pub(super) fn token(
        &self,
        provider: &dyn Provider,
        account: &Account,
    ) -> Option<(Token, Duration)> {
        let token = provider.decode_login(account, &self.answer())?;
        let lasts = token.lasts.min(LASTS_MAX).saturating_sub(MARGIN);
        let age = (Utc::now() - self.asked_at).to_std().unwrap_or_default();
        Some((token, lasts.saturating_sub(age)))
    }

    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after_seconds: None,
            body: self.body.as_bytes(),
        }
    }
}

/// The same for all who log in with the same credentials; they cannot be read from it.
pub(super) fn name(request: &Request) -> String {
    let mut hash = Sha256::new();
    let headers = request.headers.iter();
    let headers = headers.flat_map(|(name, value)| [*name, value.as_str()]);
    for part in [request.url.as_str(), request.body.as_str()]
        .into_iter()
        .chain(headers)
    {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("login:{}", HEXLOWER.encode(&hash.finalize()[..16]))
}
