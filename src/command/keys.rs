//! `reserveflow keys`: who may use the API.

use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, Days, Utc};
use reserveflow::api::keys::{Key, Scope, new_key};
use reserveflow::db::api_keys::{KeyRow, insert_key, list_keys, revoke_key};
use reserveflow::db::hosts::find_host;
use reserveflow::db::migrate::migrate;
use reserveflow::db::pool::{PoolSettings, pool};
use reserveflow::phone::Msisdn;
use uuid::Uuid;

#[derive(clap::Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    what: What,
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Make a key and print it, once: only its hash is kept. A program may have several, so that one can replace another.
    Create {
        /// Who uses it.
        name: String,
        /// What for: read, book, manage. Several times for several.
        #[arg(long = "scope", required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// It manages the properties of the host with this number only.
        #[arg(long)]
        host: Option<String>,
        /// It ends after so many days.
        #[arg(long)]
        days: Option<u32>,
    },
    /// List the keys: ids, not keys.
    List,
    /// End a key. It is refused within 10 seconds.
    Revoke {
        /// As `list` shows it.
        id: Uuid,
    },
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::find(word).ok_or_else(|| "is read, book or manage".to_owned())
}

pub(crate) async fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    reserveflow::service::install_tls();
    let url = args
        .database_url
        .context("--database-url or DATABASE_URL says where the keys are")?;
    let pool = pool(&url, &PoolSettings::default())?;
    let client = pool.get().await?;
    migrate(&client).await?;
    match args.what {
        What::Create {
            name,
            scopes,
            host,
            days,
        } => {
            let host = match host {
                Some(number) => {
                    let msisdn = Msisdn::parse(&number).context("--host is not a phone number")?;
                    let host = find_host(&client, &msisdn).await?;
                    Some(host.context("--host is no host's number")?.id)
                }
                None => None,
            };
            let (shown, hash) = new_key();
            let key = Key {
                id: Uuid::now_v7(),
                name,
                scopes,
                host,
            };
            let expires_at = days.map(|days| Utc::now() + Days::new(days.into()));
            insert_key(&client, &key, &hash, expires_at).await?;
            println!("{shown}");
        }
        What::List => {
            for row in list_keys(&client).await? {
                println!("{}", line(&row, Utc::now()));
            }
        }
        What::Revoke { id } => {
            if !revoke_key(&client, id).await? {
                bail!("no key with this id is valid");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `0198… app read,book since 2026-01-02, valid`
fn line(row: &KeyRow, now: DateTime<Utc>) -> String {
    let scopes: Vec<_> = row.key.scopes.iter().map(|scope| scope.word()).collect();
    let state = match (row.revoked_at, row.expires_at) {
        (Some(at), _) => format!("revoked {}", at.date_naive()),
        (None, Some(at)) if at <= now => format!("ended {}", at.date_naive()),
        (None, Some(at)) => format!("valid until {}", at.date_naive()),
        (None, None) => "valid".to_owned(),
    };
    let whose = if row.key.host.is_some() {
        " of one host"
    } else {
        ""
    };
    format!(
        "{} {} {}{whose} since {}, {state}",
        row.key.id,
        row.key.name,
        scopes.join(","),
        row.created_at.date_naive()
    )
}
