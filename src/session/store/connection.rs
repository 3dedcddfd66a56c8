//! Where Redis is: one server, the primary that Sentinels name, or a cluster. Connects when first used, and again when the
//! server is lost or turns out to be no primary any more. Each thread has a connection of its own: to write to another
//! thread's would mean to wake that thread, which costs more than all else about a command.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, RedisResult, ServerErrorKind, Value,
};
use thread_local::ThreadLocal;

const CONNECT_MAX: Duration = Duration::from_millis(400);
/// How often a cluster is asked again within one command, after it told that a slot has moved.
const MOVES_MAX: u32 = 3;

/// Where Redis is.
#[derive(Debug, Clone)]
pub enum Site {
    /// One server, by its URL.
    One(String),
    /// The server that these Sentinels call by this name.
    Sentinel {
        /// URLs of the Sentinels.
        sentinels: Vec<String>,
        /// As in `sentinel monitor NAME`.
        primary: String,
        /// User, password and database of the server, as in the URL of one whose address does not count.
        login: Option<String>,
    },
    /// The cluster that these nodes belong to, by their URLs; one of them has to be there.
    Cluster(Vec<String>),
}

impl From<&str> for Site {
    fn from(url: &str) -> Site {
        Site::One(url.to_owned())
    }
}

/// The way there. Clones are the same one.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    source: Source,
    answer_max: Duration,
    /// Rises when a server was lost: what was connected before is not used any more, on no thread.
    age: AtomicU64,
    seats: ThreadLocal<Seat>,
}

/// The connection of one thread.
#[derive(Default)]
struct Seat {
    link: Mutex<Option<Link>>,
    connecting: tokio::sync::Mutex<()>,
}

enum Source {
    One(Client),
    Sentinel(tokio::sync::Mutex<SentinelClient>),
    Cluster(ClusterClient),
}

#[derive(Clone)]
struct Link {
    age: u64,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// One whose commands take at most `answer_max` each.
    ///
    /// # Errors
    /// A URL that cannot be read.
    pub(super) fn new(site: &Site, answer_max: Duration) -> RedisResult<Connection> {
        let source = match site {
            Site::One(url) => Source::One(Client::open(url.as_str())?),
            Site::Sentinel {
                sentinels,
                primary,
                login,
            } => {
                let mut node = SentinelNodeConnectionInfo::default();
                if let Some(login) = login {
                    let login = login.as_str().into_connection_info()?;
                    node = node.set_redis_connection_info(login.redis_settings().clone());
                }
                Source::Sentinel(tokio::sync::Mutex::new(SentinelClient::build(
                    sentinels.iter().map(String::as_str).collect(),
                    primary,
                    Some(node),
                    SentinelServerType::Master,
                )?))
            }
            Site::Cluster(nodes) => Source::Cluster(
                ClusterClient::builder(nodes.iter().map(String::as_str))
                    .retries(MOVES_MAX)
                    .connection_timeout(CONNECT_MAX)
                    .response_timeout(answer_max)
                    .build()?,
            ),
        };
        Ok(Connection(Arc::new(Shared {
            source,
            answer_max,
            age: AtomicU64::default(),
            seats: ThreadLocal::new(),
        })))
    }
}

impl Shared {
    fn current(&self, seat: &Seat) -> Option<Link> {
        let link = seat.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.as_ref()
            .filter(|link| link.age == self.age.load(Ordering::Acquire))
            .cloned()
    }

    async fn link(&self) -> RedisResult<Link> {
        let seat = self.seats.get_or_default();
        match self.current(seat) {
            Some(link) => Ok(link),
            // In a box: no command need carry what it takes.
            None => Box::pin(self.link_anew(seat)).await,
        }
    }

    /// Connected by the first of this thread who needs it; the others wait for him.
    async fn link_anew(&self, seat: &Seat) -> RedisResult<Link> {
        let _connecting = seat.connecting.lock().await;
        if let Some(link) = self.current(seat) {
            return Ok(link);
        }
        let age = self.age.load(Ordering::Acquire);
        let way = self.connect().await?;
        let link = Link { age, way };
        *seat.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
        Ok(link)
    }

    async fn connect(&self) -> RedisResult<Way> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(self.answer_max));
        Ok(match &self.source {
            Source::One(client) => Way::Server(
                client
                    .get_multiplexed_async_connection_with_config(&settings)
                    .await?,
            ),
            Source::Sentinel(sentinels) => Way::Server(
                sentinels
                    .lock()
                    .await
                    .get_async_connection_with_config(&settings)
                    .await?,
            ),
            Source::Cluster(client) => Way::Cluster(client.get_async_connection().await?),
        })
    }

    /// The first who finds a server lost tells all threads.
    fn forget(&self, link: &Link) {
        let newer = link.age + 1;
        self.age
            .compare_exchange(link.age, newer, Ordering::AcqRel, Ordering::Acquire)
            .ok();
    }

    /// Whether another connection may do better.
    fn is_lost(&self, error: &RedisError) -> bool {
        let fallen_silent = matches!(self.source, Source::Sentinel(_)) && error.is_timeout();
        fallen_silent || error.is_unrecoverable_error() || is_refused(error)
    }

    /// A server that takes no writes has done nothing: its successor is asked at once.
    async fn send<T, A>(&self, ask: impl Fn(Way) -> A) -> RedisResult<T>
    where
        A: Future<Output = RedisResult<T>>,
    {
        let link = self.link().await?;
        match ask(link.way.clone()).await {
            Err(error) if is_refused(&error) => {
                self.forget(&link);
                ask(self.link().await?.way).await
            }
            Err(error) => {
                if self.is_lost(&error) {
                    self.forget(&link);
                }
                Err(error)
            }
            answer => answer,
        }
    }
}

/// A replica, or a server that is still reading its file.
fn is_refused(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
    matches!(
        error.kind(),
        ErrorKind::Server(ReadOnly | BusyLoading | MasterDown)
    )
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.0.send(move |way| async move {
            match way {
                Way::Server(mut server) => server.send_packed_command(command).await,
                Way::Cluster(mut cluster) => cluster.req_packed_command(command).await,
            }
        }))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.0.send(move |way| async move {
            match way {
                Way::Server(mut server) => {
                    server.req_packed_commands(pipeline, offset, count).await
                }
                Way::Cluster(mut cluster) => {
                    cluster.req_packed_commands(pipeline, offset, count).await
                }
            }
        }))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
