//! Reads that many ask for at the same time: asked once for all, in this instance and in the others, and remembered for when
//! the database is away. The answer tells its true age.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use moka::future::Cache;

use super::Api;
use super::answer::{Answer, Metadata};
use super::problem::Problem;
use crate::app::App;
use crate::session::coalesce::{Coalesced, Coalescer};
use crate::session::search::short_name;

/// How long an answer may still be shown, marked as stale, while the database is away.
const REMEMBERED_TTL: Duration = Duration::from_secs(60 * 60);
/// Answers shared at a time. A large one has some 150 kB.
const ANSWERS_MAX: u64 = 200;
/// What is remembered, in bytes.
const REMEMBERED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The reads of this instance.
pub struct Reads {
    ttl: Duration,
    now: Coalescer<String, Arc<Answer>>,
    remembered: Cache<String, Arc<Answer>>,
}

impl Reads {
    /// Shares each for `ttl`; with zero only what is under way at the same time.
    pub fn new(ttl: Duration) -> Reads {
        Reads {
            ttl,
            now: Coalescer::new(ttl, ANSWERS_MAX),
            remembered: Cache::builder()
                .time_to_live(REMEMBERED_TTL)
                .weigher(|name: &String, answer: &Arc<Answer>| {
                    u32::try_from(name.len() + answer.data.len()).unwrap_or(u32::MAX)
                })
                .max_capacity(REMEMBERED_BYTES_MAX)
                .build(),
        }
    }
}

impl Api {
    /// The answer of `work`, or one that was made for the same `name` moments ago, here or at another instance.
    /// While the database is away, it is the last one, marked as stale.
    ///
    /// # Errors
    /// What `work` failed with, shared by all who waited; the next one asks again.
    pub async fn share(
        &self,
        name: String,
        work: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
    ) -> Result<Arc<Answer>, Problem> {
        let (app, ttl, key) = (self.app.clone(), self.reads.ttl, name.clone());
        let asked = async move {
            if ttl.is_zero() {
                return work.await.map(Arc::new);
            }
            across(&app, &key, ttl, work).await.map(Arc::new)
        };
        match self.reads.now.get(name.clone(), asked).await {
            Ok(answer) => {
                self.reads.remembered.insert(name, answer.clone()).await;
                Ok(answer)
            }
            Err(Coalesced::Failed(problem)) if problem.is_busy() => {
                match self.reads.remembered.get(&name).await {
                    Some(answer) => Ok(Arc::new((*answer).clone().stale())),
                    None => Err((*problem).clone()),
                }
            }
            Err(Coalesced::Failed(problem)) => Err((*problem).clone()),
            Err(Coalesced::Lost) => Err(Problem::defect()),
        }
    }
}

async fn across(
    app: &App,
    name: &str,
    ttl: Duration,
    work: impl Future<Output = Result<Answer, Problem>>,
) -> Result<Answer, Problem> {
    let name = format!(
        "api:{}:{{{}}}",
        app.searches.database(),
        short_name(name.as_bytes())
    );
    app.store
        .share(&name, ttl, read, |answer| Some(write(answer)), work)
        .await
}

/// A line of metadata, and the data.
fn write(answer: &Answer) -> Vec<u8> {
    let metadata = serde_json::to_vec(&answer.metadata).unwrap_or_default();
    [&metadata[..], b"\n", &answer.data].concat()
}

/// `None`: written by another version.
fn read(stored: &[u8]) -> Option<Answer> {
    let end = stored.iter().position(|byte| *byte == b'\n')?;
    let metadata: Metadata = serde_json::from_slice(&stored[..end]).ok()?;
    let data = Bytes::copy_from_slice(&stored[end + 1..]);
    Some(Answer::of(metadata, data))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn what_another_instance_reads_is_what_was_written() {
        let answer = Answer::new(&["a\nb"], DateTime::UNIX_EPOCH, 3, 30).unwrap();
        assert_eq!(read(&write(&answer)), Some(answer));
        assert_eq!(read(b"{}\n[]"), None);
        assert_eq!(read(b""), None);
    }
}
