//! Waiting for a room: the wish, and the room that is held for it in the end.

use crate::booking::offer::Pay;
use crate::db::DbError;
use crate::db::waitlist::Wished;
use crate::session::actions::{Done, Work, done};

/// The alias of the screen at which a number begins that a room is held for.
pub(super) const OFFERED: &str = "offered";

impl Work<'_> {
    pub(super) async fn add_wish(&self) -> Result<Done, DbError> {
        let Some(wanted) = self.wanted() else {
            return Ok(done("unavailable"));
        };
        let language = &self.state.language;
        let books = &self.app.books;
        let wished = books.add_wish(self.turn, self.msisdn, language, &wanted);
        Ok(match wished.await? {
            Wished::Noted => done("noted"),
            Wished::TooMany => done("too_many"),
        })
    }

    pub(super) async fn find_offered(&self) -> Result<Done, DbError> {
        let offered = self.app.books.find_offered(self.msisdn).await?;
        Ok(match offered {
            Some(reservation) => done("found").bind("booking", self.shown(&reservation)),
            None => done("none"),
        })
    }

    /// The guest wants the room that is held: it is booked, or has to be paid first.
    pub(super) async fn take_room(&self) -> Result<Done, DbError> {
        match self.picked().await? {
            Some(reservation) if reservation.pay == Pay::AtLodge => {
                self.pay_at_lodge(&reservation).await
            }
            Some(_) => Ok(done("pay")),
            None => Ok(done("over")),
        }
    }
}
