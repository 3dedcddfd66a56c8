//! Holds rooms that have come free, whatever freed them, for those who wait: the first in the line who fits.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Client;
use tokio::sync::watch;

use super::rounds::Rounds;
use crate::app::App;
use crate::booking::code::Code;
use crate::db::DbError;
use crate::db::search::search_offers;
use crate::db::waitlist::{self, Offered, Wish};
use crate::session::notices;

/// How often the line is looked at. Rooms go to whoever dials meanwhile.
const INTERVAL: Duration = Duration::from_secs(5);
/// Local hours in which an SMS wakes nobody. Source: field practice.
const WAKING_HOURS: Range<i32> = 7..21;

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        match offer_all(&app).await {
            Ok(0) => {}
            Ok(offered) => tracing::info!(offered, "rooms are held for guests who waited"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "those who wait were not looked at"
            ),
        }
    }
}

/// Offers whatever is free to those who wait for it and returns how many rooms are held now. One worker at a time.
///
/// # Errors
/// [`DbError`]; what was offered before stays.
pub async fn offer_all(app: &App) -> Result<u64, DbError> {
    let mut client = app.pool.get().await?;
    waitlist::end_past(&client, app.clock.now()).await?;
    let (mut offered, mut after) = (0, 0);
    loop {
        match offer_next(app, &mut client, after).await? {
            Next::Offered(id) => {
                (offered, after) = (offered + 1, id);
                app.outbox.notify_one();
                metrics::counter!("waitlist_offers_total").increment(1);
            }
            Next::Passed(id) => after = id,
            Next::CodeTaken => {}
            Next::Nobody => return Ok(offered),
        }
    }
}

enum Next {
    /// This wish has a room now.
    Offered(i64),
    /// Nothing is free for this wish after all.
    Passed(i64),
    /// The code drawn was another's.
    CodeTaken,
    /// Nobody else waits for what is free, or another worker is at it.
    Nobody,
}

/// One transaction: whose turn it is, what is free, and the hold.
async fn offer_next(app: &App, client: &mut Client, after: i64) -> Result<Next, DbError> {
    let (at, prepaid) = (app.clock.now(), app.config.takes_money());
    let mut transaction = client.transaction().await?;
    if !waitlist::lock_line(&transaction).await? {
        return Ok(Next::Nobody);
    }
    let next = waitlist::next(&transaction, after, at, prepaid, &WAKING_HOURS).await?;
    let Some(wish) = next else {
        return Ok(Next::Nobody);
    };
    let Wish { id, search, .. } = &wish;
    for offer in search_offers(&transaction, search).await? {
        let code = Code::random();
        let draft = notices::offered(app, &wish, &offer, &code);
        // Whatever is not held is unlocked before the next is tried: nights are locked in order, of one lodge at a time.
        let step = transaction.transaction().await?;
        match waitlist::offer(&step, &wish, &offer, &code, at, &[draft]).await {
            Ok(Offered::Held) => {
                step.commit().await?;
                transaction.commit().await?;
                return Ok(Next::Offered(*id));
            }
            Ok(Offered::CodeTaken) => return Ok(Next::CodeTaken),
            // Others keep its nights locked: perhaps they take them.
            Ok(Offered::NotHeld) | Err(DbError::Busy(_)) => step.rollback().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(Next::Passed(*id))
}
