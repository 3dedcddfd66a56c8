//! The way to one account at a provider: tokens kept while they last, requests sent once, and once more where only the
//! token was at fault.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::away::AWAY;
use super::login::{self, LASTS_MAX, Login};
use super::{
    Asked, Fate, Misconfigured, Prompt, Prompted, Provider, Received, Refund, Refunding, Span,
    Trace, Tracing,
};
use crate::booking::money::{Currency, Money};
use crate::breaker::Breaker;
use crate::session::store::Store;
use crate::sms::http::{Reply, exchange};
use crate::sms::{Account, Request, Token};

/// The most payments of one statement.
pub const STATEMENT_ROWS_MAX: usize = 100_000;
/// The most things that an account has to fetch before its first request: a token and a key.
const LOGINS_MAX: usize = 2;

/// An account at a provider over HTTP.
pub struct Line {
    provider: &'static dyn Provider,
    account: Account,
    http: reqwest::Client,
    breaker: Arc<Breaker>,
    /// Where instances share their logins.
    store: Option<Store>,
    /// In use, each with its token and its end.
    logins: Mutex<Vec<(Login, Token, Instant)>>,
}

/// Why there is no answer to read.
enum Unanswered {
    Misconfigured(Misconfigured),
    /// Nothing was sent.
    NotSent(&'static str),
    /// Nobody can be served until someone acts.
    Refused(&'static str),
    /// It may have arrived.
    Lost(&'static str),
}

impl Line {
    /// The way to `account`. `http` comes from [`crate::sms::http_builder`]; without a `store` its tokens are its own.
    pub fn new(
        provider: &'static dyn Provider,
        account: Account,
        http: reqwest::Client,
        breaker: Arc<Breaker>,
        store: Option<Store>,
    ) -> Line {
        Line {
            provider,
            account,
            http,
            breaker,
            store,
            logins: Mutex::new(Vec::new()),
        }
    }

    /// Whose account it is.
    pub fn provider(&self) -> &'static dyn Provider {
        self.provider
    }

    /// Its settings, for reading callbacks.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Makes a phone ask for the PIN, within four times [`SEND_MAX`](crate::sms::http::SEND_MAX).
    pub async fn prompt(&self, prompt: &Prompt<'_>) -> Prompted {
        let encode = |account: &Account| self.provider.encode_prompt(account, prompt);
        match self.ask(encode).await {
            Ok(reply) => self.provider.decode_prompt(&reply.answer()),
            Err(Unanswered::NotSent(reason)) => Prompted::RetryLater {
                reason: reason.to_owned(),
            },
            Err(Unanswered::Refused(reason)) => Prompted::Paused {
                reason: reason.to_owned(),
            },
            Err(Unanswered::Misconfigured(error)) => Prompted::Paused {
                reason: error.to_string(),
            },
            Err(Unanswered::Lost(reason)) => Prompted::Unknown {
                reason: reason.to_owned(),
            },
        }
    }

    /// Asks what became of a prompt.
    pub async fn query(&self, asked: &Asked<'_>) -> Fate {
        let encode = |account: &Account| Ok(self.provider.encode_query(account, asked));
        match self.ask(encode).await {
            Ok(reply) => self.provider.decode_query(asked, &reply.answer()),
            Err(error) => Fate::Unknown {
                reason: error.reason(),
            },
        }
    }

    /// Sends money back; only where [`Provider::can_refund`] says so.
    pub async fn refund(&self, refund: &Refund<'_>) -> Refunding {
        let encode = |account: &Account| self.provider.encode_refund(account, refund);
        match self.ask(encode).await {
            Ok(reply) => self.provider.decode_refund(&reply.answer()),
            Err(Unanswered::Lost(reason)) => Refunding::Unknown {
                reason: reason.to_owned(),
            },
            Err(Unanswered::NotSent(reason)) => Refunding::RetryLater {
                reason: reason.to_owned(),
            },
            Err(error) => Refunding::Refused {
                reason: error.reason(),
            },
        }
    }

    /// Asks whether a payment by hand has happened; only where [`Provider::can_trace`] says so.
    pub async fn trace(&self, trace: &Trace<'_>) -> Tracing {
        let encode = |account: &Account| self.provider.encode_trace(account, trace);
        match self.ask(encode).await {
            Ok(reply) => self.provider.decode_trace(&reply.answer()),
            Err(error) => Tracing::Unasked {
                reason: error.reason(),
            },
        }
    }

    /// Which payments have come in a time; at most [`STATEMENT_ROWS_MAX`].
    ///
    /// # Errors
    /// A short word why it is not known.
    pub async fn statement(&self, span: &Span) -> Result<Vec<Received>, String> {
        let mut all = Vec::new();
        loop {
            let encode = |account: &Account| {
                self.provider
                    .encode_statement(account, span, all.len())
                    .ok_or(Misconfigured("statement"))
            };
            let reply = self.ask(encode).await.map_err(|error| error.reason())?;
            let answer = reply.answer();
            let page = self
                .provider
                .decode_statement(&self.account, &answer)
                .ok_or_else(|| format!("http_{}", answer.status))?;
            if page.is_empty() || all.len() >= STATEMENT_ROWS_MAX {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Whether nobody is to be sent there now.
    pub fn is_away(&self) -> bool {
        self.breaker.is_open()
    }

    /// Asks one that is away after a prompt that never was: whatever it answers, it is back.
    pub async fn probe(&self, now: DateTime<Utc>) {
        let asked = Asked {
            key: Uuid::new_v4(),
            provider_id: "ws_CO_0",
            amount: Money::from_units(1, Currency::Kes),
            now,
        };
        let encode = |account: &Account| Ok(self.provider.encode_query(account, &asked));
        let is_back = match self.exchange(encode).await {
            Ok(reply) => !self.provider.is_away(&reply.answer()),
            Err(Unanswered::Misconfigured(_) | Unanswered::Refused(_)) => true,
            Err(Unanswered::NotSent(_) | Unanswered::Lost(_)) => false,
        };
        self.breaker.probed(is_back);
    }

    async fn ask(
        &self,
        encode: impl Fn(&Account) -> Result<Request, Misconfigured>,
    ) -> Result<Reply, Unanswered> {
        self.breaker
            .admit()
            .map_err(|_| Unanswered::NotSent(AWAY))?;
        self.exchange(encode).await
    }

    async fn exchange(
        &self,
        encode: impl Fn(&Account) -> Result<Request, Misconfigured>,
    ) -> Result<Reply, Unanswered> {
        let (account, fresh) = self.logged_in().await?;
        let reply = self.send(encode(&account)).await?;
        if fresh || !self.provider.is_logged_out(&reply.answer()) {
            return Ok(reply);
        }
        self.log_out(&account).await;
        let (account, _) = self.logged_in().await?;
        self.send(encode(&account)).await
    }

    /// Whatever an instance has fetched for this request and still lasts, else what is fetched now; and which of both it is.
    async fn log_in(
        &self,
        request: &Request,
        account: &Account,
    ) -> Result<(Login, bool), Unanswered> {
        let name = login::name(request);
        let fetch = async || {
            let asked_at = Utc::now();
            let reply = self.counted(request.clone()).await;
            let reply = reply.map_err(|_| Unanswered::NotSent("login"))?;
            Ok((Login::new(&name, asked_at, &reply), true))
        };
        let Some(store) = &self.store else {
            return fetch().await;
        };
        let lasts = |login: &Login| {
            let token = login.token(self.provider, account);
            token.is_some_and(|(_, left)| !left.is_zero())
        };
        let read = |stored: &[u8]| Some((Login::read(&name, stored)?, false));
        let write = |(login, _): &(Login, bool)| login.write().filter(|_| lasts(login));
        let (login, is_new) = store.share(&name, LASTS_MAX, read, write, fetch()).await?;
        if is_new || lasts(&login) {
            return Ok((login, is_new));
        }
        login.forget(store).await;
        store.share(&name, LASTS_MAX, read, write, fetch()).await
    }

    /// What this account was logged in with is not used any more, here or anywhere.
    async fn log_out(&self, account: &Account) {
        let mut logins = self.logins.lock().await;
        // Another call may have logged in again meanwhile.
        let ended = logins.extract_if(.., |(_, token, _)| account.has(token));
        let ended: Vec<_> = ended.collect();
        if let Some(store) = &self.store {
            for (login, ..) in &ended {
                login.forget(store).await;
            }
        }
    }

    async fn send(&self, request: Result<Request, Misconfigured>) -> Result<Reply, Unanswered> {
        let request = request.map_err(Unanswered::Misconfigured)?;
        self.counted(request).await.map_err(|error| {
            if error.is_builder() {
                Unanswered::Refused("bad_settings")
            } else if error.is_connect() {
                Unanswered::NotSent("connect")
            } else if error.is_timeout() {
                Unanswered::Lost("timeout")
            } else {
                Unanswered::Lost("connection_lost")
            }
        })
    }

    /// One exchange, of which the breaker learns how it went.
    async fn counted(&self, request: Request) -> Result<Reply, reqwest::Error> {
        let result = exchange(&self.http, request).await;
        match &result {
            Ok(reply) if !self.provider.is_away(&reply.answer()) => self.breaker.succeeded(),
            Err(error) if error.is_builder() => {}
            _ => self.breaker.failed(),
        }
        result
    }

    /// The account with all that it has to fetch, and whether any of it is fresh. Others wait for the same fetch.
    async fn logged_in(&self) -> Result<(Account, bool), Unanswered> {
        let mut logins = self.logins.lock().await;
        let now = Instant::now();
        logins.retain(|(_, _, end)| now < *end);
        let mut account = self.account.clone();
        for (_, token, _) in logins.iter() {
            account = account.with(token);
        }
        let mut fresh = false;
        for _ in 0..LOGINS_MAX {
            let Some(request) = self.provider.encode_login(&account) else {
                return Ok((account, fresh));
            };
            let (login, is_new) = self.log_in(&request, &account).await?;
            let Some((token, left)) = login.token(self.provider, &account) else {
                return Err(match login.answer().status {
                    408 | 425 | 429 | 500.. => Unanswered::NotSent("login"),
                    _ => Unanswered::Refused("authentication"),
                });
            };
            account = account.with(&token);
            logins.push((login, token, Instant::now() + left));
            fresh |= is_new;
        }
        match self.provider.encode_login(&account) {
            None => Ok((account, fresh)),
            Some(_) => Err(Unanswered::Refused("authentication")),
        }
    }
}

impl Unanswered {
    fn reason(&self) -> String {
        match self {
            Unanswered::Misconfigured(error) => error.to_string(),
            Unanswered::NotSent(reason)
            | Unanswered::Refused(reason)
            | Unanswered::Lost(reason) => (*reason).to_owned(),
        }
    }
}
