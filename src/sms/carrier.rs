//! Who takes a message from us: a provider over HTTP, an SMSC, or the sandbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::http::{SEND_MAX, exchange};
use super::{Account, DeliveryReport, Message, Provider, Sent, Token, sandbox, send};
use crate::simulate::gateway;
use crate::smpp::{self, Link};

/// How long before its end a token is not used any more: longer than one send.
const TOKEN_MARGIN: Duration = SEND_MAX.saturating_mul(3);
/// The longest that a token is used, whatever it says.
const TOKEN_MAX: Duration = Duration::from_secs(24 * 3600);

/// The way to one account.
pub enum Carrier {
    /// Over HTTP.
    Http(HttpCarrier),
    /// Over SMPP.
    Smpp(Arc<Link>),
    /// Sends nothing; see [`sandbox`].
    Sandbox,
    /// In a run of [`crate::simulate`].
    Simulated(gateway::Line),
}

/// An account at a provider over HTTP.
pub struct HttpCarrier {
    provider: &'static dyn Provider,
    account: Account,
    /// The token in use and when it ends.
    token: Mutex<Option<(Token, Instant)>>,
}

impl Carrier {
    /// Over HTTP by this account.
    pub fn http(provider: &'static dyn Provider, account: Account) -> Carrier {
        Carrier::Http(HttpCarrier {
            provider,
            account,
            token: Mutex::new(None),
        })
    }

    /// Its name in configuration, URLs, logs and the database.
    pub fn name(&self) -> &str {
        match self {
            Carrier::Http(carrier) => carrier.provider.name(),
            Carrier::Smpp(link) => link.name(),
            Carrier::Sandbox => sandbox::NAME,
            Carrier::Simulated(_) => gateway::NAME,
        }
    }

    /// Hands one message over within twice [`SEND_MAX`], `http` being made from [`super::http_builder`].
    pub async fn send(&self, http: &reqwest::Client, message: &Message) -> Sent {
        match self {
            Carrier::Http(carrier) => carrier.send(http, message).await,
            Carrier::Smpp(link) => smpp::sms::send(link, message).await,
            Carrier::Sandbox => sandbox::send(message),
            Carrier::Simulated(line) => line.send(message).await,
        }
    }

    /// The report that a carrier without a network makes at once on what it accepted.
    pub fn own_report(&self, message: &Message, provider_id: &str) -> Option<DeliveryReport> {
        match self {
            Carrier::Http(_) | Carrier::Smpp(_) | Carrier::Simulated(_) => None,
            Carrier::Sandbox => Some(sandbox::report(message, provider_id)),
        }
    }
}

impl HttpCarrier {
    async fn send(&self, http: &reqwest::Client, message: &Message) -> Sent {
        let Some(login) = self.provider.encode_login(&self.account) else {
            return send(http, self.provider, &self.account, message).await;
        };
        // Held while a token is fetched: all messages wait for the same one.
        let mut token = self.token.lock().await;
        let stale = token.as_ref().is_none_or(|(_, end)| Instant::now() >= *end);
        if stale {
            *token = match exchange(http, login).await {
                Ok(reply) => {
                    let answer = reply.answer();
                    let fresh = self.provider.decode_login(&answer);
                    let end = |fresh: &Token| {
                        let lasts = fresh.lasts.min(TOKEN_MAX);
                        Instant::now() + lasts.saturating_sub(TOKEN_MARGIN)
                    };
                    match (fresh, answer.by_status()) {
                        (Some(fresh), _) => Some((fresh.clone(), end(&fresh))),
                        // No message has left: what is in doubt for one is not for a token.
                        (None, Sent::RetryLater { .. } | Sent::Unknown { .. }) => {
                            return Sent::later("login");
                        }
                        (None, _) => return Sent::paused("authentication"),
                    }
                }
                Err(_) => return Sent::later("login"),
            };
        }
        let account = match &*token {
            Some((token, _)) => self.account.with(token),
            None => return Sent::later("login"),
        };
        drop(token);
        let sent = send(http, self.provider, &account, message).await;
        let refused = matches!(&sent, Sent::RoutePaused { reason } if reason == "authentication");
        if refused {
            *self.token.lock().await = None;
        }
        // A token may end before its time; one that is refused at once means the account.
        if refused && !stale {
            return Sent::later("token_refused");
        }
        sent
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
