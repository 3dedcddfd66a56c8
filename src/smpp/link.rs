//! The connection to one SMSC: made, lost, made again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::bound::{Bound, Ended, Request, Stream, Submitted, stopped};
use super::doubt::Doubts;
use super::inbound;
use super::pdu::{self, Submit};
use super::text::Alphabet;
use crate::app::App;
use crate::sms::http::CONNECT_MAX;
use crate::sms::ids::Ids;
use crate::tls;
use crate::ussd::Account;
use crate::ussd::smpp::UssdConfig;

/// The wait before the second connection, the third … : twice as long each time, up to the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The wait moves by up to this part either way, so that an SMSC that comes back is not met by all at once.
const JITTER: f64 = 0.2;
/// A connection that held so long was a good one: the next wait is the shortest again.
const HELD: Duration = Duration::from_secs(30);
/// How long a request waits for room in the window.
const WINDOW_WAIT: Duration = Duration::from_secs(5);
/// Bounds of settings.
const WINDOW: std::ops::RangeInclusive<usize> = 1..=200;
const ENQUIRE_SECONDS: std::ops::RangeInclusive<u64> = 1..=300;
/// The longest names and passwords of the standard, without the zero behind them. Source: SMPP 3.4, §4.1.5.
const SYSTEM_ID_CHARS_MAX: usize = 15;
const PASSWORD_CHARS_MAX: usize = 8;
const SYSTEM_TYPE_CHARS_MAX: usize = 12;

/// One SMSC as configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// `HOST:PORT`.
    pub address: String,
    /// Whether the connection is encrypted; the certificate is verified. Default false.
    #[serde(default)]
    pub tls: bool,
    /// A PEM file of the authorities that may vouch for the SMSC, instead of the public ones.
    pub tls_roots: Option<PathBuf>,
    /// The account, at most 15 characters.
    pub system_id: String,
    /// At most 8 characters.
    pub password: SecretString,
    /// At most 12 characters. Default empty.
    #[serde(default)]
    pub system_type: String,
    /// Requests under way at once. Default 10.
    #[serde(default = "default_window")]
    pub window: usize,
    /// The longest silence before the SMSC is asked whether it is there. Default 30.
    #[serde(default = "default_enquire_seconds")]
    pub enquire_seconds: u64,
    /// What it understands by `data_coding` 0: `gsm7` or `latin1`. Default `gsm7`.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// How it writes message ids, where answers and receipts differ.
    #[serde(default)]
    pub ids: Ids,
    /// It carries USSD too.
    pub ussd: Option<UssdConfig>,
}

fn default_window() -> usize {
    10
}
fn default_enquire_seconds() -> u64 {
    30
}

impl LinkConfig {
    /// The name of a setting that is out of bounds, and its bounds.
    pub fn unsound(&self) -> Option<(&'static str, &'static str)> {
        let fits = |text: &str, chars_max| text.is_ascii() && text.len() <= chars_max;
        let (host, port) = self.address.rsplit_once(':').unwrap_or_default();
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Some(("address", "is HOST:PORT"));
        }
        if self.system_id.is_empty() || !fits(&self.system_id, SYSTEM_ID_CHARS_MAX) {
            return Some(("system_id", "has 1 to 15 ASCII characters"));
        }
        if !fits(self.password.expose_secret(), PASSWORD_CHARS_MAX) {
            return Some(("password", "has at most 8 ASCII characters"));
        }
        if !fits(&self.system_type, SYSTEM_TYPE_CHARS_MAX) {
            return Some(("system_type", "has at most 12 ASCII characters"));
        }
        if self.tls_roots.is_some() && !self.tls {
            return Some(("tls_roots", "is of no use without `tls: true`"));
        }
        if !WINDOW.contains(&self.window) {
            return Some(("window", "is between 1 and 200"));
        }
        if !ENQUIRE_SECONDS.contains(&self.enquire_seconds) {
            return Some(("enquire_seconds", "is between 1 and 300"));
        }
        self.ussd.as_ref().and_then(UssdConfig::unsound)
    }
}

/// Every SMSC, by its name in configuration, logs and the database.
pub type Links = BTreeMap<String, Arc<Link>>;

/// The way to one SMSC.
pub struct Link {
    name: String,
    config: LinkConfig,
    /// What its dialogues have to know, if it carries any.
    pub(super) ussd: Option<Account>,
    state: Mutex<State>,
    pub(super) doubts: Mutex<Doubts>,
    /// Messages being handed over, some of their parts perhaps not offered yet.
    sending: AtomicUsize,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    bound_at: Option<DateTime<Utc>>,
    refused: bool,
    last_error: Option<String>,
}

/// A bound connection as those see it who send.
#[derive(Clone)]
struct Session {
    requests: mpsc::Sender<Request>,
    window: Arc<Semaphore>,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// The SMSC does not let us in.
    Refused,
    /// There is no connection now.
    Away,
    /// There is no room in the window.
    Busy,
}

/// What an operator wants to know of a link.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Health {
    /// Whether it is bound now.
    pub bound: bool,
    /// Since when, or when it last was.
    pub bound_at: Option<DateTime<Utc>>,
    /// Why the last connection ended or could not be made.
    pub last_error: Option<String>,
}

/// Somebody sends until this is dropped.
pub(super) struct Sending<'a>(&'a AtomicUsize);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// Not connected yet.
    pub fn new(name: &str, config: LinkConfig, ussd: Option<Account>) -> Link {
        Link {
            name: name.to_owned(),
            config,
            ussd,
            state: Mutex::default(),
            doubts: Mutex::default(),
            sending: AtomicUsize::new(0),
        }
    }

    /// Its name in configuration, logs and the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its settings.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// How it is.
    pub fn health(&self) -> Health {
        let state = self.state();
        Health {
            bound: state.session.is_some(),
            bound_at: state.bound_at,
            last_error: state.last_error.clone(),
        }
    }

    pub(super) fn begin(&self) -> Sending<'_> {
        self.sending.fetch_add(1, Ordering::Relaxed);
        Sending(&self.sending)
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// [`Down`]: nothing was sent.
    pub(super) async fn submit(&self, submit: Submit) -> Result<Submitted, Down> {
        let session = {
            let state = self.state();
            let down = if state.refused {
                Down::Refused
            } else {
                Down::Away
            };
            state.session.clone().ok_or(down)?
        };
        let permit = timeout(WINDOW_WAIT, session.window.acquire_owned())
            .await
            .map_err(|_| Down::Busy)?
            .map_err(|_| Down::Away)?;
        let (answer, answered) = oneshot::channel();
        let request = Request {
            submit,
            answer,
            permit,
        };
        session
            .requests
            .send(request)
            .await
            .map_err(|_| Down::Away)?;
        Ok(answered.await.unwrap_or(Submitted::Lost("connection_lost")))
    }

    /// Holds the connection until `stop` turns true or its sender is gone.
    pub async fn run(self: Arc<Link>, app: Arc<App>, mut stop: watch::Receiver<bool>) {
        let mut wait = BACKOFF_MIN;
        loop {
            let started = Instant::now();
            let ended = self.connect(&app, &mut stop).await;
            self.lost(&ended);
            if matches!(ended, Ended::Stopped) {
                return;
            }
            if started.elapsed() >= HELD {
                wait = BACKOFF_MIN;
            }
            let jitter = 1.0 + rand::random_range(-JITTER..JITTER);
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = sleep(wait.mul_f64(jitter)) => {}
            }
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }

    /// One connection, from its first octet to its last.
    async fn connect(self: &Arc<Link>, app: &Arc<App>, stop: &mut watch::Receiver<bool>) -> Ended {
        let bound = tokio::select! {
            bound = self.bind() => bound,
            () = stopped(stop) => Err(Ended::Stopped),
        };
        let bound = match bound {
            Ok(bound) => bound,
            Err(ended) => return ended,
        };
        let (requests, mut queue) = mpsc::channel(self.config.window);
        self.bound(requests);
        let connection = Uuid::new_v4().simple().to_string();
        let receive = {
            let (app, link) = (app.clone(), self.clone());
            Arc::new(move |frame: pdu::Frame| {
                let (app, link, connection) = (app.clone(), link.clone(), connection.clone());
                Box::pin(async move { inbound::deliver(app, link, &connection, &frame).await })
                    as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
            })
        };
        let idle = || self.sending.load(Ordering::Relaxed) == 0;
        bound.serve(&mut queue, receive, idle, stop).await
    }

    async fn bind(&self) -> Result<Bound, Ended> {
        let config = &self.config;
        let stream = match timeout(CONNECT_MAX, open(config)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Ended::Unreached(error)),
            Err(_) => return Err(Ended::Silent),
        };
        let greeting = pdu::bind(
            &config.system_id,
            config.password.expose_secret(),
            &config.system_type,
        );
        let enquire_every = Duration::from_secs(config.enquire_seconds);
        Bound::bind(stream, greeting, enquire_every).await
    }

    fn bound(&self, requests: mpsc::Sender<Request>) {
        tracing::info!(link = self.name, "bound to the SMSC");
        metrics::gauge!("smpp_bound", "link" => self.name.clone()).set(1.0);
        *self.state() = State {
            session: Some(Session {
                requests,
                window: Arc::new(Semaphore::new(self.config.window)),
            }),
            bound_at: Some(Utc::now()),
            refused: false,
            last_error: None,
        };
    }

    fn lost(&self, ended: &Ended) {
        let mut state = self.state();
        let known = state.last_error.is_some();
        state.session = None;
        state.refused = matches!(ended, Ended::Refused(_));
        state.last_error = Some(ended.to_string());
        drop(state);
        self.doubts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cut(Instant::now());
        metrics::gauge!("smpp_bound", "link" => self.name.clone()).set(0.0);
        let error = ended as &dyn std::error::Error;
        match ended {
            Ended::Stopped => tracing::info!(link = self.name, "unbound from the SMSC"),
            // Said once, not with every try.
            _ if known => tracing::debug!(link = self.name, error, "still not bound to the SMSC"),
            _ => tracing::error!(link = self.name, error, "not bound to the SMSC"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(config: &LinkConfig) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(&config.address).await?;
    stream.set_nodelay(true)?;
    if !config.tls {
        return Ok(Box::new(stream));
    }
    let (host, _) = config.address.rsplit_once(':').unwrap_or_default();
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let tls = tls::client(roots(config)?).map_err(std::io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(name, stream)
        .await?;
    Ok(Box::new(stream))
}

/// Who may vouch for the SMSC.
fn roots(config: &LinkConfig) -> std::io::Result<RootCertStore> {
    let Some(path) = &config.tls_roots else {
        return Ok(tls::public_roots());
    };
    let unreadable =
        |why: &dyn std::fmt::Display| std::io::Error::other(format!("{}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|why| unreadable(&why))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|why| unreadable(&why))?;
        roots.add(certificate).map_err(|why| unreadable(&why))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"has no certificate"));
    }
    Ok(roots)
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
