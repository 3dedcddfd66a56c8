//! Takes changed menu files live without a restart, if they pass the checks, and keeps the versions that dialogues are
//! in. What tells of a change is the file system, or SIGHUP.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::app::App;
use crate::db::{DbError, menu_versions};
use crate::menu::Menus;
use crate::menu::files::{MenuError, Sources};
use crate::session::menus::{KEPT, Refusal};

/// Files are read once nothing has changed for so long: an editor or a copy writes several, some in two steps.
const QUIET: Duration = Duration::from_millis(300);
/// Files that change all the time are read after so long all the same.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// How often the versions in use are told to the other instances.
const INTERVAL: Duration = Duration::from_secs(60);
/// The wait before files that could not be kept are read again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Runs until `stop` turns true or its sender is gone.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let changed = Arc::new(Notify::new());
    // A demo ends when the terminal that it was started in is closed.
    let mut hangup = (!app.config.sample).then(hangups).flatten();
    let folder = app.config.menus.clone();
    let mut watcher = folder.as_deref().and_then(|folder| watch(folder, &changed));
    if watcher.is_some() {
        // They may have changed between the start and the watch.
        changed.notify_one();
    }
    let mut versions_due = Instant::now() + INTERVAL;
    loop {
        let rung = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep_until(versions_due) => false,
            () = changed.notified() => true,
            () = heard(&mut hangup) => true,
        };
        if !rung {
            versions_due = Instant::now() + INTERVAL;
            if let Err(error) = keep_versions(&app).await {
                let error = &error as &dyn Error;
                tracing::warn!(error, "the versions of the menus were not looked after");
            }
            continue;
        }
        let Some(folder) = &folder else {
            tracing::info!("the menus are those inside the program: nothing to read again");
            continue;
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = settled(&changed) => {}
        }
        // The folder may be another one under the same name.
        watcher = watch(folder, &changed).or(watcher);
        while let Err(error) = reload(&app).await {
            tracing::warn!(
                error = &error as &dyn Error,
                "changed menus wait until they can be kept"
            );
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(RETRY_AFTER) => {}
            }
        }
    }
}

fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup())
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP is not heard"))
        .ok()
}

async fn heard(hangup: &mut Option<Signal>) {
    let heard = match hangup {
        Some(hangup) => hangup.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending().await
    }
}

/// Waits until nothing has changed for a while.
async fn settled(changed: &Notify) {
    let until = Instant::now() + SETTLE_MAX;
    while Instant::now() < until
        && timeout_at(until.min(Instant::now() + QUIET), changed.notified())
            .await
            .is_ok()
    {}
}

/// Rings `changed` when something in the folder changes, or the folder itself, until it is dropped.
fn watch(folder: &Path, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let watched = || {
        let folder = std::path::absolute(folder)?;
        let (bell, within) = (changed.clone(), folder.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            // Reading them is no change, and the folder's neighbours are none of ours.
            if !event.kind.is_access() && event.paths.iter().any(|path| path.starts_with(&within)) {
                bell.notify_one();
            }
        })?;
        watcher.watch(&folder, RecursiveMode::Recursive)?;
        if let Some(parent) = folder.parent() {
            watcher.watch(parent, RecursiveMode::NonRecursive)?;
        }
        Ok::<_, notify::Error>(watcher)
    };
    watched()
        .inspect_err(|error| {
            tracing::warn!(%error, "the menus are not watched: send SIGHUP after a change");
        })
        .ok()
}

/// Reads the files again and speaks them from now on, unless they are the same, or refused.
///
/// # Errors
/// [`DbError`]: they cannot be kept for the other instances, and do not go live.
pub async fn reload(app: &App) -> Result<(), DbError> {
    let (folder, doors) = (app.config.menus.clone(), app.doors.kinds());
    let live = app.menus.current().version.clone();
    let read = move || -> Result<Option<(Sources, Menus)>, MenuError> {
        let sources = Sources::read(folder.as_deref())?;
        if sources.version() == live {
            return Ok(None);
        }
        let menus = sources.load(&doors)?;
        Ok(Some((sources, menus)))
    };
    let read = spawn_blocking(read)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    match read {
        Ok(None) => app.menus.refuse(None),
        Ok(Some((sources, menus))) => {
            menu_versions::save(&app.pool.get().await?, &sources).await?;
            let version = menus.version.clone();
            app.menus.replace(sources, menus, app.clock.now()).await;
            metrics::counter!("menu_reloads_total", "outcome" => "live").increment(1);
            tracing::info!(version = version.as_str(), "changed menus are live");
        }
        Err(error) => refuse(app, &error),
    }
    let refused = app.menus.refusal().is_some();
    metrics::gauge!("menu_refused").set(f64::from(u8::from(refused)));
    Ok(())
}

/// Once for the same findings, however often something rings.
fn refuse(app: &App, error: &MenuError) {
    let why = error.to_string();
    if app.menus.refusal().is_some_and(|before| before.why == why) {
        return;
    }
    metrics::counter!("menu_reloads_total", "outcome" => "refused").increment(1);
    tracing::error!(
        findings = why,
        "changed menus are refused, the old ones stay"
    );
    let at = app.clock.now();
    app.menus.refuse(Some(Refusal { at, why }));
}

/// Tells the other instances which versions are in use here, and drops what nobody can be in.
///
/// # Errors
/// [`DbError`]
pub async fn keep_versions(app: &App) -> Result<(), DbError> {
    let client = app.pool.get().await?;
    menu_versions::save(&client, &app.menus.current_files().sources).await?;
    menu_versions::touch(&client, &app.menus.earlier()).await?;
    let dropped = menu_versions::drop_unused(&client, KEPT).await?;
    if dropped > 0 {
        tracing::info!(
            dropped,
            "versions of the menus were dropped that nobody is in"
        );
    }
    Ok(())
}
