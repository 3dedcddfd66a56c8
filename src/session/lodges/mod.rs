//! What hosts do from a phone. By USSD behind a PIN, see `menus/host.yaml`; by SMS from the number that they are known by.

mod guests;
mod nights;
mod pin;
mod pins;
pub mod sms;

use chrono::{Days, NaiveDate, Timelike};
use deadpool_postgres::Client;

use crate::app::{App, SMALL_HOURS_END};
use crate::db::DbError;
use crate::db::hosts::{self, Host};
use crate::session::actions::{Done, Work, done};

impl Work<'_> {
    /// The actions of `menus/host.yaml`. All but those about the PIN need the variable `host`, which only a right PIN binds.
    pub(super) async fn for_lodges(&self, action: &str) -> Result<Done, DbError> {
        let client = self.app.pool.get().await?;
        let Some(host) = hosts::find_host(&client, self.msisdn).await? else {
            return Ok(done(match action {
                "know_host" => "stranger",
                _ => "unavailable",
            }));
        };
        let of = OfHost {
            work: self,
            client: &client,
            host: &host,
        };
        match action {
            "know_host" => of.know_host().await,
            "check_pin" => of.check_pin().await,
            "send_pin_code" => of.send_pin_code().await,
            "check_pin_code" => of.check_pin_code().await,
            "choose_pin" => of.choose_pin().await,
            "set_pin" => of.set_pin().await,
            "list_arrivals" => of.list_arrivals().await,
            "check_in" => of.check_in().await,
            "check_in_code" => of.check_in_code().await,
            "no_show" => of.no_show().await,
            "turn_away" => of.turn_away().await,
            "list_lodges" => of.list_lodges().await,
            "look_at_night" => of.look_at_night().await,
            "look_at_prices" => of.look_at_prices().await,
            other => of.nights(other).await,
        }
    }
}

/// A host at work.
struct OfHost<'a> {
    work: &'a Work<'a>,
    client: &'a Client,
    host: &'a Host,
}

/// The night that is meant by "tonight" at a host's: until five in the morning it is the one that goes on.
pub(super) fn tonight(app: &App, host: &Host) -> NaiveDate {
    let local = app.clock.now().with_timezone(&host.time_zone);
    let today = local.date_naive();
    if local.hour() < SMALL_HOURS_END {
        today - Days::new(1)
    } else {
        today
    }
}
