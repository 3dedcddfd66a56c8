//! A network that fails on purpose: stands between the service and the unix socket of one store, and forwards, delays,
//! withholds or cuts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::Host;

/// Longest wait for a trigger.
const PATIENCE: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 64 * 1024;

/// What happens to the bytes that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Fair,
    /// Every piece of an answer comes so much later.
    Slow(Duration),
    /// Connections stay open and nothing passes, as if the server were stopped.
    Silent,
    /// Connections break, and new ones break at once.
    Cut,
}

/// What happens once a request with certain bytes in it has gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The weather turns [`Weather::Silent`] before the server has the request.
    Silence,
    /// This connection gets no answer any more; the server has done its work.
    Withhold,
    /// The connection is cut when the server has answered, before the answer passes. Only the first time.
    CutBeforeAnswer,
    /// The same, and the weather turns [`Weather::Cut`].
    CutForGood,
}

/// A listener in front of one server. It ends with the runtime.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    trigger: Arc<Mutex<Option<Trigger>>>,
    tripped: watch::Receiver<usize>,
}

struct Trigger {
    needle: Vec<u8>,
    mishap: Mishap,
}

impl Proxy {
    /// In front of the Postgres of a key/value URL; the proxied URL is [`Proxy::postgres_url`].
    pub async fn postgres(database_url: &str) -> Proxy {
        let config: tokio_postgres::Config = database_url.parse().unwrap();
        let Host::Unix(folder) = &config.get_hosts()[0] else {
            panic!("not a unix socket");
        };
        let port = config.get_ports()[0];
        Proxy::start(folder.join(format!(".s.PGSQL.{port}"))).await
    }

    /// In front of the Redis of a `redis+unix` URL.
    pub async fn redis(redis_url: &str) -> Proxy {
        let path = redis_url.strip_prefix("redis+unix://").unwrap();
        assert!(!path.contains('%'), "an odd path");
        Proxy::start(path.into()).await
    }

    async fn start(socket: PathBuf) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = watch::Sender::new(Weather::Fair);
        let forecast = weather.clone();
        let (trip, tripped) = watch::channel(0);
        let trigger = Arc::new(Mutex::new(None));
        let shared = trigger.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let link = Link {
                    weather: forecast.clone(),
                    trigger: shared.clone(),
                    trip: trip.clone(),
                };
                let socket = socket.clone();
                tokio::spawn(async move { link.run(client, &socket).await });
            }
        });
        Proxy {
            address,
            weather,
            trigger,
            tripped,
        }
    }

    /// The way through the proxy to the database of `database_url`.
    pub fn postgres_url(&self, database_url: &str) -> String {
        let config: tokio_postgres::Config = database_url.parse().unwrap();
        format!(
            "postgres://{}@{}/{}?sslmode=disable",
            config.get_user().unwrap(),
            self.address,
            config.get_dbname().unwrap()
        )
    }

    /// The way through the proxy to a database of Redis, by its number.
    pub fn redis_url(&self, number: u8) -> String {
        format!("redis://{}/{number}", self.address)
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// From now on, until it has happened.
    pub fn arm(&self, needle: &str, mishap: Mishap) {
        *self.trigger.lock().unwrap() = Some(Trigger {
            needle: needle.into(),
            mishap,
        });
    }

    /// Waits until the mishap has happened.
    pub async fn tripped(&self) {
        let mut tripped = self.tripped.clone();
        timeout(PATIENCE, tripped.wait_for(|count| *count > 0))
            .await
            .expect("the trigger was never passed")
            .unwrap();
    }
}

/// One connection.
struct Link {
    weather: watch::Sender<Weather>,
    trigger: Arc<Mutex<Option<Trigger>>>,
    trip: watch::Sender<usize>,
}

impl Link {
    async fn run(&self, client: TcpStream, socket: &Path) {
        if *self.weather.borrow() == Weather::Cut {
            return;
        }
        let Ok(server) = UnixStream::connect(socket).await else {
            return;
        };
        let (mishap, happens) = watch::channel(None);
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let mut weather = self.weather.subscribe();
        tokio::select! {
            () = self.requests(from_client, to_server, &mishap) => {}
            () = self.answers(from_server, to_client, happens) => {}
            _ = weather.wait_for(|weather| *weather == Weather::Cut) => {}
        }
    }

    async fn requests(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mishap: &watch::Sender<Option<Mishap>>,
    ) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            self.pass().await;
            let mut trigger = self.trigger.lock().unwrap().take_if(|trigger| {
                chunk[..count]
                    .windows(trigger.needle.len())
                    .any(|bytes| bytes == trigger.needle)
            });
            if let Some(trigger) = trigger.take() {
                mishap.send_replace(Some(trigger.mishap));
                if trigger.mishap == Mishap::Silence {
                    self.weather.send_replace(Weather::Silent);
                }
                if matches!(trigger.mishap, Mishap::Silence | Mishap::Withhold) {
                    self.trip.send_modify(|count| *count += 1);
                }
            }
            if to.write_all(&chunk[..count]).await.is_err() {
                return;
            }
        }
    }

    async fn answers(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mishap: watch::Receiver<Option<Mishap>>,
    ) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            self.pass().await;
            let happens = *mishap.borrow();
            match happens {
                Some(Mishap::Withhold) => continue,
                Some(cut @ (Mishap::CutBeforeAnswer | Mishap::CutForGood)) => {
                    if cut == Mishap::CutForGood {
                        self.weather.send_replace(Weather::Cut);
                    }
                    self.trip.send_modify(|count| *count += 1);
                    return;
                }
                Some(Mishap::Silence) | None => {}
            }
            let weather = *self.weather.borrow();
            if let Weather::Slow(delay) = weather {
                sleep(delay).await;
            }
            if to.write_all(&chunk[..count]).await.is_err() {
                return;
            }
        }
    }

    /// Waits while it is silent.
    async fn pass(&self) {
        let mut weather = self.weather.subscribe();
        // The proxy is gone: so is the test.
        let _ = weather
            .wait_for(|weather| *weather != Weather::Silent)
            .await;
    }
}
