//! The connection pool: short waits, and every connection set up for turns that must be answered in seconds.

use std::time::Duration;

use deadpool_postgres::{
    BuildError, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
};
use serde::Deserialize;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::unnamed::ConnectUnnamed;
use super::{DbError, doubt};
use crate::tls;

/// How statements are told to the server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statements {
    /// Prepared once on each connection, under a name.
    #[default]
    Named,
    /// Anew with each use, and nothing is set on the connection: for a pooler that gives each transaction another
    /// connection of the server. The pooler has to set [`SESSION`].
    Unnamed,
}

/// How many connections, and how long one is waited for.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Most connections of this process. 4 to 8 per core of the database is best: the queue belongs outside it.
    pub connections_max: usize,
    /// Longest wait for a free connection.
    pub wait: Duration,
    /// Longest wait for a new connection.
    pub create: Duration,
    /// Behind a pooler, or not.
    pub statements: Statements,
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings {
            connections_max: 16,
            wait: Duration::from_millis(250),
            create: Duration::from_secs(1),
            statements: Statements::default(),
        }
    }
}

/// A network that swallows everything is given up after so long; without this it would be a quarter of an hour.
const SILENCE_MAX: Duration = Duration::from_secs(6);
const KEEPALIVES: u32 = 3;

/// The settings of every connection, with names and values as `pg_settings` has them. Generic plans spare the planning of
/// 15 partitions on each statement; the limits end what a guest no longer waits for.
pub const SESSION: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("lock_timeout", "1s"),
    ("statement_timeout", "1500ms"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("TimeZone", "UTC"),
    ("search_path", "public"),
    ("client_min_messages", "warning"),
];

/// What sets [`SESSION`].
pub fn session_sql() -> String {
    let set = |(name, value): &(&str, &str)| format!("set {name} = '{value}'");
    SESSION.iter().map(set).collect::<Vec<_>>().join("; ")
}

/// Those settings of [`SESSION`] that a connection of the pool does not have.
///
/// # Errors
/// [`DbError`].
pub async fn list_unset(pool: &Pool) -> Result<Vec<&'static str>, DbError> {
    let client = pool.get().await?;
    let statement = client.prepare_cached("select current_setting($1)").await?;
    let mut unset = Vec::new();
    for (name, value) in SESSION {
        let row = client.query_one(&statement, &[name]).await?;
        if row.try_get::<_, &str>(0)? != *value {
            unset.push(*name);
        }
    }
    Ok(unset)
}

/// Why there is no pool. Whether the database answers shows only with the first connection.
#[derive(Debug, thiserror::Error)]
pub enum BadPool {
    /// The URL cannot be read. It may hold a password, so it is not repeated.
    #[error("not a Postgres URL")]
    Url(#[source] tokio_postgres::Error),
    /// TLS cannot be set up.
    #[error("TLS")]
    Tls(#[source] rustls::Error),
    /// A pooler is spoken to in the clear.
    #[error("with `statements: unnamed` there is no TLS: run the pooler on this machine")]
    UnnamedTls,
    /// The pool cannot be built.
    #[error("pool")]
    Build(#[from] BuildError),
}

/// A pool for `url`, e.g. `postgres://user@host/reserveflow?sslmode=require`. TLS is used where sslmode is `require`,
/// `verify-ca` or `verify-full`, and the certificate is then always verified against the public roots.
///
/// # Errors
/// [`BadPool`] when the URL or TLS is wrong; no connection is tried.
pub fn pool(url: &str, settings: &PoolSettings) -> Result<Pool, BadPool> {
    let url = url
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    let mut config: tokio_postgres::Config = url.parse().map_err(BadPool::Url)?;
    config.connect_timeout(settings.create);
    config.tcp_user_timeout(SILENCE_MAX);
    config.keepalives_idle(SILENCE_MAX);
    config.keepalives_interval(SILENCE_MAX / KEEPALIVES);
    config.keepalives_retries(KEEPALIVES);
    if config.get_application_name().is_none() {
        config.application_name("reserveflow");
    }
    let fast = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let statements = settings.statements;
    let manager = match (statements, config.get_ssl_mode()) {
        (Statements::Unnamed, SslMode::Require) => return Err(BadPool::UnnamedTls),
        (Statements::Unnamed, _) => Manager::from_connect(config, ConnectUnnamed, fast),
        (Statements::Named, SslMode::Require) => {
            let tls = tls::client(tls::public_roots()).map_err(BadPool::Tls)?;
            Manager::from_config(config, MakeRustlsConnect::new(tls), fast)
        }
        (Statements::Named, _) => Manager::from_config(config, NoTls, fast),
    };
    let set_up = Hook::async_fn(move |client, _| {
        Box::pin(async move {
            if statements == Statements::Unnamed {
                return Ok(());
            }
            client
                .batch_execute(&session_sql())
                .await
                .map_err(HookError::Backend)
        })
    });
    Ok(Pool::builder(manager)
        .max_size(settings.connections_max)
        .wait_timeout(Some(settings.wait))
        .create_timeout(Some(settings.create))
        .recycle_timeout(Some(settings.create))
        .runtime(Runtime::Tokio1)
        .post_create(set_up)
        .pre_recycle(doubt::hook(settings.create))
        .build()?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_kinds_are_read_and_a_wrong_one_is_not_repeated() {
        let settings = PoolSettings::default();
        for url in [
            "postgres://app@localhost/app",
            "postgres://app@localhost/app?sslmode=verify-full",
            "host=/tmp/run user=app dbname=app",
        ] {
            pool(url, &settings).unwrap();
        }
        let error = pool("postgres://app:secret@localhost:port/app", &settings).unwrap_err();
        assert_eq!(error.to_string(), "not a Postgres URL");
    }
}
