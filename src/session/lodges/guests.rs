//! Guests as their host sees them: who comes today, checked in by code or from the list, not there, turned away.

use super::{OfHost, tonight};
use crate::app::App;
use crate::booking::code::Code;
use crate::booking::offer::Search;
use crate::booking::reservation::Status;
use crate::db::DbError;
use crate::db::effect::{Cause, Draft, Turn};
use crate::db::hosts::{self, Host};
use crate::db::life::{self, Moved};
use crate::db::reservations::{self, Cancel, Cancelled, Reservation};
use crate::db::search;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::actions::{Done, done, listed};
use crate::session::notices;
use deadpool_postgres::GenericClient;

/// What became of a guest who is there, with what to take from him.
pub(super) enum Arrived {
    /// The booking is checked in now, or was.
    Yes(Box<Reservation>),
    /// No guest of today has it.
    No,
}

/// What became of a guest who is not there, or not wanted.
pub(super) enum Sent {
    Done,
    /// It is not time for it yet.
    TooSoon,
    /// It does not go there from where the booking stands.
    Refused,
}

/// A host's word, with the channel that it came by.
pub(super) struct Word<'a> {
    pub(super) app: &'a App,
    pub(super) host: &'a Host,
    pub(super) channel: &'a str,
    pub(super) turn: &'a Turn,
}

impl Word<'_> {
    fn cause<'b>(&'b self, why: &'b str) -> Cause<'b> {
        Cause {
            who: "host",
            channel: self.channel,
            why,
        }
    }

    /// A code of another lodge, of another day and one that nobody has read the same.
    pub(super) async fn check_in(
        &self,
        client: &impl GenericClient,
        code: Option<&Code>,
    ) -> Result<Arrived, DbError> {
        let today = tonight(self.app, self.host);
        let guest = match code {
            Some(code) => hosts::find_guest_of(client, self.host, code).await?,
            None => None,
        };
        let expected = guest.filter(|guest| {
            let is_today = guest.stay.check_in() <= today && today < guest.stay.check_out();
            is_today && matches!(guest.status, Status::Confirmed | Status::CheckedIn)
        });
        let Some(guest) = expected else {
            return Ok(Arrived::No);
        };
        if guest.status == Status::Confirmed {
            let cause = self.cause("the guest showed the code");
            let to = Status::CheckedIn;
            let moved = life::move_to(client, guest.id, to, &cause, self.turn, &[]).await?;
            if moved != Moved::Done {
                return Ok(Arrived::No);
            }
        }
        Ok(Arrived::Yes(Box::new(guest)))
    }

    /// The guest did not come: the room goes to others, and the guest hears what the lodge says. Not before the lodge lets
    /// guests in.
    pub(super) async fn no_show(
        &self,
        client: &impl GenericClient,
        guest: &Reservation,
    ) -> Result<Sent, DbError> {
        let local = self.app.clock.now().with_timezone(&guest.time_zone);
        if local.naive_local() < guest.stay.check_in().and_time(guest.check_in_time) {
            return Ok(Sent::TooSoon);
        }
        let drafts = notices::no_show(self.app, guest);
        let cause = self.cause("did not come");
        let moved =
            life::move_to(client, guest.id, Status::NoShow, &cause, self.turn, &drafts).await?;
        self.app.outbox.notify_one();
        Ok(match moved {
            Moved::Done => Sent::Done,
            Moved::Refused | Moved::Taken | Moved::NotFound => Sent::Refused,
        })
    }

    /// The lodge has no room for the guest, who hears of others first and gets back what was paid.
    pub(super) async fn turn_away(
        &self,
        client: &impl GenericClient,
        guest: &Reservation,
    ) -> Result<Sent, DbError> {
        let mut drafts: Vec<Draft> = self.others(client, guest).await?.into_iter().collect();
        drafts.extend(notices::cancelled_by_lodge(self.app, guest));
        let cause = self.cause("the lodge has no room");
        let cancel = Cancel {
            id: guest.id,
            at: self.app.clock.now(),
            cost_shown: 0,
            turn: self.turn,
            cause: &cause,
            drafts: &drafts,
        };
        let cancelled = reservations::cancel(client, &cancel).await?;
        self.app.outbox.notify_one();
        Ok(match cancelled {
            Cancelled::Done(_) => Sent::Done,
            Cancelled::Costs(..)
            | Cancelled::TooLate(_)
            | Cancelled::AlreadyCancelled(_)
            | Cancelled::NotFound => Sent::Refused,
        })
    }

    /// What else is free there for the same nights.
    async fn others(
        &self,
        client: &impl GenericClient,
        guest: &Reservation,
    ) -> Result<Option<Draft>, DbError> {
        let Some(place) = hosts::find_town(client, guest.property_id).await? else {
            return Ok(None);
        };
        let wanted = Search {
            place,
            stay: guest.stay,
            guests: u8::try_from(guest.guests).unwrap_or(u8::MAX),
            prepaid: self.app.config.takes_money(),
        };
        let offers = search::alternatives(client, &wanted, guest.property_id).await?;
        Ok(notices::others(self.app, guest, &offers))
    }
}

impl OfHost<'_> {
    pub(super) fn word(&self) -> Word<'_> {
        Word {
            app: self.work.app,
            host: self.host,
            channel: self.work.channel,
            turn: self.work.turn,
        }
    }

    /// Who comes tonight, there already or not.
    pub(super) async fn list_arrivals(&self) -> Result<Done, DbError> {
        let date = tonight(self.work.app, self.host);
        let guests = hosts::list_arrivals(self.client, self.host, date).await?;
        let shown = guests.iter().take(crate::menu::value::LIST_LEN_MAX);
        Ok(listed(
            "bookings",
            shown.map(|guest| self.work.shown(guest)).collect(),
        ))
    }

    pub(super) async fn check_in(&self) -> Result<Done, DbError> {
        let code = self.work.text("booking", "id").map(Code::parse);
        let code = code.and_then(Result::ok);
        let arrived = self.word().check_in(self.client, code.as_ref()).await?;
        Ok(match arrived {
            Arrived::Yes(guest) => self.arrived(&guest),
            Arrived::No => done("gone"),
        })
    }

    pub(super) async fn check_in_code(&self) -> Result<Done, DbError> {
        if hosts::is_locked(self.client, &self.host.msisdn, Some(self.host.id)).await? {
            return Ok(done("locked"));
        }
        let typed = self.work.state.values.get("code").and_then(Value::as_text);
        let code = typed.and_then(|typed| Code::parse(typed).ok());
        match self.word().check_in(self.client, code.as_ref()).await? {
            Arrived::Yes(guest) => Ok(self.arrived(&guest)),
            Arrived::No => {
                note_wrong_code(self.client, self.host).await?;
                Ok(done("wrong"))
            }
        }
    }

    fn arrived(&self, guest: &Reservation) -> Done {
        let outcome = match guest.left().minor {
            0 => "here_paid",
            _ => "here",
        };
        done(outcome).bind("booking", self.work.shown(guest))
    }

    pub(super) async fn no_show(&self) -> Result<Done, DbError> {
        let Some(guest) = self.picked_guest().await? else {
            return Ok(done("gone"));
        };
        Ok(match self.word().no_show(self.client, &guest).await? {
            Sent::Done => done("done"),
            Sent::TooSoon => done("too_soon"),
            Sent::Refused => done("gone"),
        })
    }

    pub(super) async fn turn_away(&self) -> Result<Done, DbError> {
        let Some(guest) = self.picked_guest().await? else {
            return Ok(done("gone"));
        };
        Ok(match self.word().turn_away(self.client, &guest).await? {
            Sent::Done => done("done"),
            Sent::TooSoon | Sent::Refused => done("gone"),
        })
    }

    async fn picked_guest(&self) -> Result<Option<Reservation>, DbError> {
        match self.work.text("booking", "id").map(Code::parse) {
            Some(Ok(code)) => hosts::find_guest_of(self.client, self.host, &code).await,
            _ => Ok(None),
        }
    }
}

/// Counts it; whoever looks at the service is told when it is one too many.
pub(super) async fn note_wrong_code(
    client: &impl GenericClient,
    host: &Host,
) -> Result<(), DbError> {
    hosts::insert_wrong_code(client, &host.msisdn, Some(host.id)).await?;
    if hosts::is_locked(client, &host.msisdn, Some(host.id)).await? {
        metrics::counter!("host_codes_locked_total").increment(1);
        tracing::warn!(host.id = %host.id, "a host has tried too many codes that fit nobody");
    }
    Ok(())
}

/// The word of the guest's arrival by SMS.
pub(super) fn arrived_message(guest: &Reservation) -> Message {
    match guest.left().minor {
        0 => Message::HostCheckedInPaid,
        _ => Message::HostCheckedIn,
    }
}
