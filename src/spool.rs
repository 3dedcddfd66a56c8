//! What providers and aggregators report while the database is away: kept on this machine's disk before it is
//! acknowledged, and taken in the order it came once the database is back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::sms::Event;
use crate::ussd::SessionEnd;

/// The most that waits, in reports and in bytes.
const REPORTS_MAX: u64 = 100_000;
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Ends of names: waiting, being written, not understood by the database.
const WAITING: &str = "json";
const REFUSED: &str = "refused";

/// One webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// What a provider of SMS posted.
    Sms {
        /// Its name.
        provider: String,
        /// What is not kept yet.
        events: Vec<Event>,
    },
    /// An aggregator's word that a session is over.
    End {
        /// Its name.
        aggregator: String,
        /// Whether the session went on until then.
        was_live: bool,
        /// What it said.
        end: Box<SessionEnd>,
    },
}

/// A folder of reports, one file each, used by one process.
pub struct Spool {
    folder: PathBuf,
    waiting: AtomicU64,
    bytes: AtomicU64,
    next: Arc<Mutex<u64>>,
    /// Rung when a report has been put there.
    pub rung: Notify,
    _owner: Flock<File>,
}

/// A report that waits.
pub struct Waiting {
    path: PathBuf,
    bytes: u64,
    /// `None`: it cannot be read.
    pub report: Option<Report>,
}

impl Spool {
    /// Makes the folder if need be, and finds what waits there.
    ///
    /// # Errors
    /// It cannot be used, or another process uses it.
    pub fn open(folder: &Path) -> io::Result<Spool> {
        // It holds phone numbers and texts.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join("lock"))?;
        let owner = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        let waiting = list(folder)?;
        let bytes = waiting.iter().map(|(_, bytes)| bytes).sum();
        let last = waiting.last().and_then(|(path, _)| number(path));
        Ok(Spool {
            folder: folder.to_owned(),
            waiting: AtomicU64::new(waiting.len() as u64),
            bytes: AtomicU64::new(bytes),
            next: Arc::new(Mutex::new(last.map_or(0, |last| last + 1))),
            rung: Notify::new(),
            _owner: owner,
        })
    }

    /// Whether nothing waits. While something does, what comes after it waits too.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Puts a report there; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk, or too much waits already.
    pub async fn put(&self, report: &Report) -> io::Result<()> {
        let stored = serde_json::to_vec(report)?;
        let bytes = stored.len() as u64;
        if self.waiting.load(Ordering::Relaxed) >= REPORTS_MAX
            || self.bytes.load(Ordering::Relaxed) + bytes > BYTES_MAX
        {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the spool is full",
            ));
        }
        let (folder, next) = (self.folder.clone(), self.next.clone());
        tokio::task::spawn_blocking(move || write(&folder, &next, &stored))
            .await
            .map_err(io::Error::other)??;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        metrics::counter!("reports_spooled_total").increment(1);
        self.rung.notify_one();
        Ok(())
    }

    /// What waits longest, at most `limit`, in order.
    ///
    /// # Errors
    /// The disk.
    pub fn first(&self, limit: usize) -> io::Result<Vec<Waiting>> {
        let paths = list(&self.folder)?.into_iter().take(limit);
        paths
            .map(|(path, bytes)| {
                let stored = fs::read(&path)?;
                Ok(Waiting {
                    report: serde_json::from_slice(&stored).ok(),
                    path,
                    bytes,
                })
            })
            .collect()
    }

    /// Takes a report that is kept elsewhere now.
    ///
    /// # Errors
    /// The disk: it comes again, and changes nothing then.
    pub fn remove(&self, taken: &Waiting) -> io::Result<()> {
        fs::remove_file(&taken.path)?;
        self.gone(taken);
        Ok(())
    }

    /// Puts a report aside that nobody understands, for a person to look at.
    ///
    /// # Errors
    /// The disk.
    pub fn set_aside(&self, refused: &Waiting) -> io::Result<()> {
        fs::rename(&refused.path, refused.path.with_extension(REFUSED))?;
        self.gone(refused);
        Ok(())
    }

    fn gone(&self, report: &Waiting) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(report.bytes, Ordering::Relaxed);
    }
}

/// Under the lock, so that reports appear in the order of their numbers.
fn write(folder: &Path, next: &Mutex<u64>, stored: &[u8]) -> io::Result<()> {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    let path = folder.join(format!("{:020}.{WAITING}", *next));
    let unfinished = path.with_extension("unfinished");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(stored)?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    File::open(folder)?.sync_all()?;
    *next += 1;
    Ok(())
}

fn list(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut waiting = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|end| end == WAITING) && number(&path).is_some() {
            waiting.push((path, entry.metadata()?.len()));
        }
    }
    waiting.sort();
    Ok(waiting)
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::ussd::Outcome;

    fn report(session: &str) -> Report {
        Report::End {
            aggregator: "africastalking".to_owned(),
            was_live: true,
            end: Box::new(SessionEnd::of(session.to_owned(), Outcome::Completed)),
        }
    }

    fn reports(spool: &Spool) -> Vec<Report> {
        let waiting = spool.first(10).unwrap();
        waiting.into_iter().filter_map(|one| one.report).collect()
    }

    #[tokio::test]
    async fn reports_wait_in_order_and_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        assert!(spool.is_empty());
        for session in ["one", "two"] {
            spool.put(&report(session)).await.unwrap();
        }
        assert!(Spool::open(folder.path()).is_err(), "one process at a time");
        drop(spool);
        let spool = Spool::open(folder.path()).unwrap();
        spool.put(&report("three")).await.unwrap();
        assert_eq!(reports(&spool), ["one", "two", "three"].map(report));
        for taken in &spool.first(2).unwrap() {
            spool.remove(taken).unwrap();
        }
        assert_eq!(reports(&spool), [report("three")]);
        assert!(!spool.is_empty());
    }

    #[tokio::test]
    async fn what_is_half_written_or_damaged_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000000000000000007.unfinished"), "{").unwrap();
        fs::write(folder.path().join("00000000000000000008.json"), "{").unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.put(&report("one")).await.unwrap();
        let waiting = spool.first(10).unwrap();
        assert!(waiting[0].report.is_none());
        spool.set_aside(&waiting[0]).unwrap();
        assert_eq!(reports(&spool), [report("one")]);
        assert!(folder.path().join("00000000000000000008.refused").exists());
    }
}
