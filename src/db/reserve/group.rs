//! Several stays of one guest in one atomic group: all are made or none. They may be of several lodges, and of several
//! rooms of one. A group goes past the lanes, which are for one lodge each, and locks in the same order as they do.

use deadpool_postgres::Client;

use super::batch::{Answer, Request, reserve_batch};
use super::{Booking, Isolation, Patience, Reserved};
use crate::booking::code::Code;
use crate::db::effect::Draft;
use crate::db::reservations::Reservation;
use crate::db::{DbError, unknown};

/// The most stays of one group.
pub const PARTS_MAX: usize = 10;

/// What became of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouped {
    /// Every part, in order: made now, or by this turn before.
    Made(Vec<Reservation>),
    /// This part, counted from 0, could not be made, so that nothing was written.
    Refused(usize, Box<Reserved>),
}

/// Makes all bookings of a turn or none; `compose` writes the messages of a part for its code.
///
/// # Errors
/// As [`super::reserve`]: the same turn again tells what happened.
pub async fn reserve_group(
    client: &mut Client,
    isolation: Isolation,
    bookings: &[Booking<'_>],
    compose: impl Fn(usize, &Code) -> Vec<Draft>,
) -> Result<Grouped, DbError> {
    let mut patience = Patience::new();
    loop {
        let mut requests = Vec::with_capacity(bookings.len());
        for (part, booking) in (0..).zip(bookings) {
            let code = Code::random();
            let drafts = compose(requests.len(), &code);
            requests.push(Request::new(booking, part, code, &drafts)?);
        }
        let asked: Vec<&Request> = requests.iter().collect();
        match reserve_batch(client, isolation, &asked).await {
            Ok(answers) => match settle(answers)? {
                Some(grouped) => return Ok(grouped),
                None => patience.draw_again()?,
            },
            Err(error) => patience.after(error).await?,
        }
    }
}

/// `None`: a code was another's.
fn settle(answers: Vec<Answer>) -> Result<Option<Grouped>, DbError> {
    if answers
        .iter()
        .any(|answer| matches!(answer, Answer::CodeTaken))
    {
        return Ok(None);
    }
    let mut made = Vec::with_capacity(answers.len());
    let mut waits_for_others = false;
    for (part, answer) in answers.into_iter().enumerate() {
        match answer {
            Answer::Settled(reserved) => match *reserved {
                Reserved::Made(reservation) | Reserved::Again(reservation) => {
                    made.push(reservation)
                }
                why => return Ok(Some(Grouped::Refused(part, Box::new(why)))),
            },
            Answer::WithOthers => waits_for_others = true,
            Answer::CodeTaken => return Ok(None),
        }
    }
    if waits_for_others {
        return Err(unknown("outcome"));
    }
    Ok(Some(Grouped::Made(made)))
}
