//! The actions around a host's PIN: asked at the door, set by way of a code that only the host's own phone gets.

use chrono::{DateTime, Duration, Utc};
use rand::RngExt;

use super::{OfHost, pin};
use crate::db::DbError;
use crate::db::effect::Draft;
use crate::db::host_pins::{self, NewCode};
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::actions::{Done, done};
use crate::session::records;

/// A code by SMS.
const CODE_DIGITS: usize = 6;
/// How long a code counts.
const CODE_TTL: Duration = Duration::hours(24);
/// Who has a PIN already waits so long for another: time for the rightful host to see the SMS. Source: row S-37 of the
/// security requirements.
const RESET_AFTER: Duration = Duration::hours(24);

impl OfHost<'_> {
    /// What to ask at the door.
    pub(super) async fn know_host(&self) -> Result<Done, DbError> {
        if self.work.channel != "ussd" {
            // A PIN would stay in the phone's list of what was sent.
            return Ok(done("by_sms"));
        }
        let pin = host_pins::find_pin(self.client, self.host.id, self.now()).await?;
        Ok(done(if pin.locked {
            "locked"
        } else if pin.hash.is_some() {
            "pin"
        } else if pin.code_hash.is_some() {
            "code"
        } else {
            "new_pin"
        }))
    }

    pub(super) async fn check_pin(&self) -> Result<Done, DbError> {
        let turn = self.work.turn;
        let tried = host_pins::take_try(self.client, self.host.id, self.now(), turn).await?;
        let Some(pin) = tried else {
            return Ok(done("locked"));
        };
        if pin::fits(self.typed(), pin.hash).await {
            host_pins::right(self.client, self.host.id).await?;
            return Ok(done("right").bind("host", self.record()));
        }
        self.wrong().await
    }

    /// By SMS to the host's own number. A first code counts at once, one for another PIN after a day.
    pub(super) async fn send_pin_code(&self) -> Result<Done, DbError> {
        let now = self.now();
        let pin = host_pins::find_pin(self.client, self.host.id, now).await?;
        if pin.locked {
            return Ok(done("too_often"));
        }
        let is_reset = pin.hash.is_some();
        if is_reset && pin.code_hash.is_some() {
            return Ok(done("have"));
        }
        if let Some(from) = pin.code_from {
            return Ok(self.later(from));
        }
        let code: String = {
            let mut rng = rand::rng();
            (0..CODE_DIGITS)
                .map(|_| char::from(b'0' + rng.random_range(0..10u8)))
                .collect()
        };
        let from = if is_reset { now + RESET_AFTER } else { now };
        let until = from + CODE_TTL;
        let message = if is_reset {
            Message::HostPinLater
        } else {
            Message::HostPinCode
        };
        let secret = Value::record([
            ("secret", Value::text(code.as_str())),
            ("from", Value::Text(self.moment(from))),
        ]);
        let draft = self.draft(message, Some(&secret), until);
        let new = NewCode {
            host_id: self.host.id,
            at: now,
            hash: &pin::hash(code).await?,
            from,
            until,
            draft: &draft,
        };
        let sent = host_pins::send_code(self.client, &new, self.work.turn).await?;
        self.work.app.outbox.notify_one();
        Ok(if !sent {
            done("too_often")
        } else if is_reset {
            self.later(from)
        } else {
            done("sent")
        })
    }

    pub(super) async fn check_pin_code(&self) -> Result<Done, DbError> {
        let (now, turn) = (self.now(), self.work.turn);
        let tried = host_pins::take_try(self.client, self.host.id, now, turn).await?;
        let Some(pin) = tried else {
            return Ok(done("locked"));
        };
        if pin::fits(self.typed(), pin.code_hash).await {
            host_pins::right(self.client, self.host.id).await?;
            host_pins::let_choose(self.client, self.host.id, now).await?;
            return Ok(done("right"));
        }
        self.wrong().await
    }

    pub(super) async fn choose_pin(&self) -> Result<Done, DbError> {
        let typed = self.typed();
        if pin::is_weak(&typed, &self.host.msisdn) {
            return Ok(done("weak"));
        }
        let hash = pin::hash(typed).await?;
        let kept = host_pins::choose(self.client, self.host.id, self.now(), &hash).await?;
        Ok(done(if kept { "kept" } else { "over" }))
    }

    pub(super) async fn set_pin(&self) -> Result<Done, DbError> {
        let now = self.now();
        let pin = host_pins::find_pin(self.client, self.host.id, now).await?;
        let typed = self.typed();
        let is_set = match &pin.next_hash {
            Some(next) if pin::fits(typed.clone(), pin.next_hash.clone()).await => {
                let told = self.draft(Message::HostPinSet, None, now + CODE_TTL);
                let turn = self.work.turn;
                host_pins::set(self.client, self.host.id, now, next, turn, &told).await?
            }
            Some(_) => return Ok(done("differs")),
            // This very answer may have set it before.
            None => pin::fits(typed, pin.hash).await,
        };
        self.work.app.outbox.notify_one();
        Ok(if is_set {
            done("set").bind("host", self.record())
        } else {
            done("over")
        })
    }

    async fn wrong(&self) -> Result<Done, DbError> {
        if host_pins::wrong(self.client, self.host.id, self.now()).await? {
            metrics::counter!("host_pins_locked_total").increment(1);
            tracing::warn!(host.id = %self.host.id, "a host is locked out after wrong PINs");
            return Ok(done("locked"));
        }
        Ok(done("wrong"))
    }

    fn later(&self, from: DateTime<Utc>) -> Done {
        done("later").bind("usable_from", Value::Text(self.moment(from)))
    }

    fn moment(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.host.time_zone).naive_local();
        records::moment(local, self.work.language())
    }

    fn draft(&self, message: Message, record: Option<&Value>, expires_at: DateTime<Utc>) -> Draft {
        let work = self.work;
        Draft {
            kind: "host_pin",
            msisdn: self.host.msisdn.clone(),
            text: work.app.say(message, work.language(), record, work.country),
            expires_at,
        }
    }

    fn record(&self) -> Value {
        Value::record([("name", Value::text(self.host.name.as_str()))])
    }

    fn typed(&self) -> String {
        let typed = self.work.state.values.get("pin");
        let typed = typed.and_then(Value::as_pin);
        typed.map_or_else(String::new, |pin| pin.digits().to_owned())
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.work.app.clock.now()
    }
}
