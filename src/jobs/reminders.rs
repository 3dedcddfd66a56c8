//! Reminds guests the day before they come and before a hold runs out, tells them when it has, and tells hosts at five who
//! comes next, and at once whom no SMS reaches.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use chrono_tz::Tz;
use tokio::sync::watch;

use super::rounds::Rounds;
use crate::app::App;
use crate::db::effect::{Draft, Turn};
use crate::db::{DbError, hosts, reminders, replies};
use crate::session::{lodges, notices};

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(60);
/// Messages of each kind in one round.
const BATCH_MAX: i64 = 100;
/// Nobody is woken by what can wait: local hours. Source: field practice.
const WAKING_HOURS: Range<i32> = 10..19;
/// Row X-51 of the field requirements; a service that was away at five still tells it until nine.
const DIGEST_HOURS: Range<i32> = 17..21;
/// What was not sent by then stays unsent, rather than wake somebody once a provider is back.
const NIGHT: NaiveTime = NaiveTime::from_hms_opt(21, 0, 0).expect("is a time of day");

/// Runs until `stop` turns true or its sender is gone. A failure is logged; the next round tries again.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        if let Err(error) = remind(&app).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "not everybody was reminded");
        }
    }
}

/// Writes what is due now; each message once, however often and on however many instances.
///
/// # Errors
/// [`DbError`]; what was written before stays.
pub async fn remind(app: &App) -> Result<(), DbError> {
    let client = app.pool.get().await?;
    let now = app.clock.now();
    for stay in reminders::list_due_stays(&client, now, WAKING_HOURS, BATCH_MAX).await? {
        for mut draft in notices::remind_stay(app, &stay) {
            draft.expires_at = tonight(now, stay.time_zone);
            reminders::insert_reminder(&client, &stay, &draft).await?;
        }
    }
    for hold in reminders::list_due_payments(&client, now, BATCH_MAX).await? {
        for draft in notices::remind_pay(app, &hold) {
            reminders::insert_reminder(&client, &hold, &draft).await?;
        }
    }
    for hold in reminders::list_ended_holds(&client, now, BATCH_MAX).await? {
        for draft in notices::hold_expired(app, &hold) {
            reminders::insert_reminder(&client, &hold, &draft).await?;
        }
    }
    for stay in reminders::list_unreached(&client, now, BATCH_MAX).await? {
        reminders::insert_reminder(&client, &stay, &notices::unreached(app, &stay)).await?;
    }
    for due in hosts::list_due_digests(&client, now, DIGEST_HOURS, BATCH_MAX).await? {
        let today = now.with_timezone(&due.time_zone).date_naive();
        let menus = app.menus.current();
        let language = menus.menu.language(&due.language);
        let tomorrow = today + Days::new(1);
        let draft = Draft {
            kind: "host_digest",
            msisdn: due.msisdn.clone(),
            text: lodges::sms::arrivals(app, &client, &due, tomorrow, language).await?,
            expires_at: tonight(now, due.time_zone),
        };
        let turn = Turn {
            door: "digest".to_owned(),
            session: format!("{}", due.id),
            position: today
                .format("%Y%m%d")
                .to_string()
                .parse()
                .unwrap_or_default(),
        };
        replies::insert_reply(&client, &turn, &draft).await?;
    }
    app.outbox.notify_one();
    Ok(())
}

/// When the night of `now`'s day begins; where clocks jump over it, `now`.
fn tonight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    let night = today.and_time(NIGHT).and_local_timezone(zone).earliest();
    night.map_or(now, |night| night.to_utc())
}
