//! Identical work asked for at the same time is done once, and its result shared for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a result may stay in memory after its time. The cache counts by the machine's clock, the results by the
/// runtime's, which may be virtual.
const LINGER: Duration = Duration::from_secs(10);

/// Shares results by key. Failures are not kept: the next caller tries again.
pub struct Coalescer<K, V> {
    ttl: Duration,
    /// With the moment that each was found at.
    results: Cache<K, (Instant, V)>,
}

impl<K, V> Coalescer<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Keeps at most `results_max` results, each for `ttl`.
    pub fn new(ttl: Duration, results_max: u64) -> Coalescer<K, V> {
        Coalescer {
            ttl,
            results: Cache::builder()
                .time_to_live(ttl + LINGER)
                .max_capacity(results_max)
                .build(),
        }
    }

    /// The result of `work`, run at most once at a time for this key. It runs in a task of its own: a caller that goes
    /// away takes nothing from the others.
    ///
    /// # Errors
    /// What `work` failed with; [`Lost`](Coalesced::Lost) when it panicked.
    pub fn get<E>(
        &self,
        key: K,
        work: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> impl Future<Output = Result<V, Coalesced<E>>> + Send
    where
        E: Send + Sync + 'static,
    {
        // In a box: the cache has several copies of its type in its own, and a task is moved as a whole.
        let work = Box::pin(work);
        let (results, ttl) = (self.results.clone(), self.ttl);
        async move {
            match results.get(&key).await {
                Some((at, value)) if at.elapsed() < ttl => return Ok(value),
                Some(_) => results.invalidate(&key).await,
                None => {}
            }
            let work = async move { work.await.map(|value| (Instant::now(), value)) };
            let found = tokio::spawn(async move { results.try_get_with(key, work).await });
            match found.await {
                Ok(result) => result.map(|(_, value)| value).map_err(Coalesced::Failed),
                Err(_) => Err(Coalesced::Lost),
            }
        }
    }
}

/// Shares work under way, and keeps nothing of it: what a [`Coalescer`] is too much for.
pub struct Flights<K, V, E> {
    under_way: Mutex<HashMap<K, watch::Receiver<Landed<V, E>>>>,
}

/// `None` until the work is done.
type Landed<V, E> = Option<Result<V, Arc<E>>>;

impl<K, V, E> Default for Flights<K, V, E> {
    fn default() -> Self {
        Flights {
            under_way: Mutex::default(),
        }
    }
}

impl<K, V, E> Flights<K, V, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// The result of `work`, run once at a time for this key, in a task of its own as with [`Coalescer::get`].
    ///
    /// # Errors
    /// As [`Coalescer::get`].
    pub async fn get(
        self: &Arc<Self>,
        key: K,
        work: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Coalesced<E>> {
        let (mut landed, land) = {
            let mut under_way = self.lock();
            match under_way.get(&key) {
                Some(landed) => (landed.clone(), None),
                None => {
                    let (land, landed) = watch::channel(None);
                    under_way.insert(key.clone(), landed.clone());
                    (landed, Some(land))
                }
            }
        };
        if let Some(land) = land {
            let flight = Flight {
                flights: self.clone(),
                key,
            };
            tokio::spawn(async move {
                let result = work.await.map_err(Arc::new);
                land.send_replace(Some(result));
                drop(flight);
            });
        }
        match landed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(value))) => Ok(value.clone()),
            Ok(Some(Err(error))) => Err(Coalesced::Failed(error.clone())),
            Ok(None) | Err(_) => Err(Coalesced::Lost),
        }
    }
}

impl<K, V, E> Flights<K, V, E> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Landed<V, E>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work under way; it ends however the work ends.
struct Flight<K: Hash + Eq, V, E> {
    flights: Arc<Flights<K, V, E>>,
    key: K,
}

impl<K: Hash + Eq, V, E> Drop for Flight<K, V, E> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

/// Why there is no result.
#[derive(Debug)]
pub enum Coalesced<E> {
    /// The work failed; the error is shared by all who waited.
    Failed(Arc<E>),
    /// The work panicked.
    Lost,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_share_one_answer() {
        let (shared, runs) = (Coalescer::new(TTL, 10), Arc::new(AtomicUsize::new(0)));
        let asks = (0..100).map(|_| {
            let runs = runs.clone();
            shared.get("nakuru", async move {
                Ok::<_, ()>(runs.fetch_add(1, Ordering::SeqCst))
            })
        });
        let answers = join_all(asks).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap() == 0));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_those_who_waited_and_not_kept() {
        let shared = Coalescer::new(TTL, 10);
        let failed = shared.get(1, async { Err::<i32, _>("down") }).await;
        assert!(matches!(failed, Err(Coalesced::Failed(why)) if *why == "down"));
        assert_eq!(shared.get(1, async { Ok::<_, &str>(7) }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_takes_nothing_from_the_others() {
        let (shared, go) = (Arc::new(Coalescer::new(TTL, 10)), Arc::new(Notify::new()));
        let (began, wait) = (Arc::new(Notify::new()), go.clone());
        let first = {
            let (shared, began) = (shared.clone(), began.clone());
            tokio::spawn(async move {
                let work = async move {
                    began.notify_one();
                    wait.notified().await;
                    Ok::<_, ()>(1)
                };
                shared.get("nakuru", work).await.is_ok()
            })
        };
        began.notified().await;
        first.abort();
        go.notify_one();
        assert_eq!(
            shared
                .get("nakuru", async { Ok::<_, ()>(2) })
                .await
                .unwrap(),
            1
        );
    }

    #[tokio::test]
    async fn a_panic_is_no_answer_for_ever() {
        let shared = Coalescer::<i32, i32>::new(TTL, 10);
        let defect = || -> Result<i32, ()> { panic!("a defect") };
        let lost = shared.get(1, async move { defect() }).await;
        assert!(matches!(lost, Err(Coalesced::Lost)));
        assert_eq!(shared.get(1, async { Ok::<_, ()>(7) }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_under_way_is_shared_and_nothing_of_it_is_kept() {
        let flights = Arc::new(Flights::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let runs = runs.clone();
            flights.get("nakuru", async move {
                tokio::task::yield_now().await;
                Ok::<_, ()>(runs.fetch_add(1, Ordering::SeqCst))
            })
        };
        for run in 0..3 {
            let answers = join_all((0..100).map(|_| ask())).await;
            assert!(answers.into_iter().all(|answer| answer.unwrap() == run));
        }
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_in_flight_takes_nothing_and_a_panic_is_told() {
        let flights = Arc::new(Flights::<_, i32, &str>::default());
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let leaving = flights.get(1, async move {
            wait.notified().await;
            Ok(7)
        });
        let left = tokio::time::timeout(Duration::ZERO, leaving).await;
        assert!(left.is_err());
        go.notify_one();
        assert_eq!(flights.get(1, async { Ok(8) }).await.unwrap(), 7);
        let failed = flights.get(1, async { Err("down") }).await;
        assert!(matches!(failed, Err(Coalesced::Failed(why)) if *why == "down"));
        let defect = || -> Result<i32, &str> { panic!("a defect") };
        let lost = flights.get(1, async move { defect() }).await;
        assert!(matches!(lost, Err(Coalesced::Lost)));
        assert_eq!(flights.get(1, async { Ok(9) }).await.unwrap(), 9);
    }
}
