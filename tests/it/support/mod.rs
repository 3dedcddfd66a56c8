//! What every area needs.

pub mod app;
pub mod binary;
pub mod collections;
pub mod daraja;
pub mod double;
pub mod lodging;
pub mod menus;
pub mod outbox;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod stores;

use std::sync::LazyLock;

use tokio::runtime::Runtime;

/// Servers and services outlive the test that starts them: they run here, not on the test's own runtime.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
});

/// Runs there what nobody waits for.
pub fn detach(work: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(work);
}

/// What work there comes to.
pub fn background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    RUNTIME.spawn(async move { done.send(work.await) });
    result.recv().unwrap()
}

/// How long anything that happens by itself may take on a busy machine.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What `look` finds, looked for again and again until it is there.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(std::time::Instant::now() < until, "{what} did not come");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
