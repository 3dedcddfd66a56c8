//! Questions of the same kind that come while one is being answered are asked together, in the next one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The most questions asked together.
const TOGETHER_MAX: usize = 256;

/// Asks about keys, many at once.
pub(super) struct Gather<K, V, E> {
    waiting: Mutex<Waiting<K, V, E>>,
}

struct Waiting<K, V, E> {
    asks: Vec<(K, Answer<V, E>)>,
    /// Whether somebody asks for all.
    is_asked: bool,
}

type Answer<V, E> = oneshot::Sender<Result<V, Arc<E>>>;

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoAnswer<E> {
    /// The question failed; the error is shared by all who waited.
    Failed(Arc<E>),
    /// It panicked or left one out.
    Lost,
}

impl<K, V, E> Default for Gather<K, V, E> {
    fn default() -> Self {
        Gather {
            waiting: Mutex::new(Waiting {
                asks: Vec::new(),
                is_asked: false,
            }),
        }
    }
}

impl<K, V, E> Gather<K, V, E>
where
    K: Send + 'static,
    V: Send + 'static,
    E: Send + Sync + 'static,
{
    /// The answer to `key`, which `query` gives at its place among the keys that it is handed. It runs in a task of its own:
    /// a caller that goes away takes nothing from the others.
    pub(super) async fn ask<Q, A>(self: &Arc<Self>, key: K, query: Q) -> Result<V, NoAnswer<E>>
    where
        Q: Fn(Vec<K>) -> A + Send + 'static,
        A: Future<Output = Result<Vec<V>, E>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let is_asked = {
            let mut waiting = self.lock();
            waiting.asks.push((key, answer));
            std::mem::replace(&mut waiting.is_asked, true)
        };
        if !is_asked {
            let asking = Asking {
                gather: self.clone(),
                is_done: false,
            };
            tokio::spawn(asking.run(query));
        }
        match answered.await {
            Ok(result) => result.map_err(NoAnswer::Failed),
            Err(_) => Err(NoAnswer::Lost),
        }
    }

    fn next(&self) -> (Vec<K>, Vec<Answer<V, E>>) {
        let mut waiting = self.lock();
        let count = waiting.asks.len().min(TOGETHER_MAX);
        waiting.is_asked = count > 0;
        waiting.asks.drain(..count).unzip()
    }
}

impl<K, V, E> Gather<K, V, E> {
    fn lock(&self) -> MutexGuard<'_, Waiting<K, V, E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asks for all. Whoever waits when it breaks off is told so, and the next one asks again.
struct Asking<K, V, E> {
    gather: Arc<Gather<K, V, E>>,
    is_done: bool,
}

impl<K, V, E> Drop for Asking<K, V, E> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = self.gather.lock();
            waiting.is_asked = false;
            waiting.asks.clear();
        }
    }
}

impl<K, V, E> Asking<K, V, E>
where
    K: Send + 'static,
    V: Send + 'static,
    E: Send + Sync + 'static,
{
    async fn run<Q, A>(mut self, query: Q)
    where
        Q: Fn(Vec<K>) -> A,
        A: Future<Output = Result<Vec<V>, E>>,
    {
        loop {
            let (keys, answers) = self.gather.next();
            if keys.is_empty() {
                self.is_done = true;
                return;
            }
            match query(keys).await {
                Ok(values) => answers.into_iter().zip(values).for_each(|(answer, value)| {
                    answer.send(Ok(value)).ok();
                }),
                Err(error) => {
                    let error = Arc::new(error);
                    answers.into_iter().for_each(|answer| {
                        answer.send(Err(error.clone())).ok();
                    });
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    type Doubles = Arc<Gather<u32, u32, &'static str>>;

    #[tokio::test]
    async fn who_ask_at_once_are_asked_for_together_and_each_gets_his_own() {
        let (doubles, queries) = (Doubles::default(), Arc::new(AtomicUsize::new(0)));
        let asks = (0..100).map(|number| {
            let queries = queries.clone();
            doubles.ask(number, move |numbers| {
                queries.fetch_add(1, Ordering::SeqCst);
                async move {
                    tokio::task::yield_now().await;
                    Ok(numbers.into_iter().map(|number| number * 2).collect())
                }
            })
        });
        let answers = join_all(asks).await;
        for (number, answer) in (0..).zip(answers) {
            assert_eq!(answer.unwrap(), number * 2);
        }
        assert_eq!(queries.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_those_who_waited_and_not_kept() {
        let doubles = Doubles::default();
        let down = || doubles.ask(1, |_| async { Err("down") });
        let (first, second) = tokio::join!(down(), down());
        for failed in [first, second] {
            assert!(matches!(failed, Err(NoAnswer::Failed(why)) if *why == "down"));
        }
        let up = doubles.ask(1, |_| async { Ok(vec![2]) }).await;
        assert_eq!(up.unwrap(), 2);
    }

    #[tokio::test]
    async fn after_a_panic_the_next_one_asks_again() {
        let doubles = Doubles::default();
        let defect = |_| async { panic!("a defect") };
        let lost = doubles.ask(1, defect).await;
        assert!(matches!(lost, Err(NoAnswer::Lost)));
        let up = doubles.ask(1, |_| async { Ok(vec![2]) }).await;
        assert_eq!(up.unwrap(), 2);
    }
}
