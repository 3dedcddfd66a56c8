//! Several stays at once, all or none.

use super::{
    CAUSE, DOOR, Done, Judge, Undone, Wanted, done, member, session, shown_reservations, wish,
};
use crate::api::problem::Problem;
use crate::booking::code::Code;
use crate::booking::money::Money;
use crate::booking::offer::Offer;
use crate::booking::stay::Stay;
use crate::db::effect::Cause;
use crate::db::properties::Named;
use crate::db::reservations::{Reservation, list_by_dialogue};
use crate::db::reserve::Booking;
use crate::db::reserve::group::{Grouped, PARTS_MAX, reserve_group};
use crate::session::notices;

/// A part that can be asked for.
struct Part {
    property: Named,
    stay: Stay,
    offer: Offer,
}

impl Judge<'_> {
    pub(super) async fn group(&self, wish: &wish::Group) -> Result<Done, Undone> {
        if !(1..=PARTS_MAX).contains(&wish.parts.len()) {
            let why = format!("are 1 to {PARTS_MAX}");
            return Err(Undone::Final(wish::unfit("parts", why)));
        }
        let name = self.guest_name(wish.guest_name.as_deref())?;
        let made = self.group_made().await?;
        if !made.is_empty() {
            return self.with_group(&made).await;
        }
        let mut parts = Vec::with_capacity(wish.parts.len());
        for (number, part) in wish.parts.iter().enumerate() {
            let found = self.part(part).await;
            parts.push(found.map_err(|undone| of_part(undone, number))?);
        }
        let country = self.app.country(&wish.msisdn);
        let menus = self.app.menus.current();
        let language = self.language(&menus.menu, wish.language.as_deref(), country)?;
        let why = format!("booked by the guest at {}", self.operation.at.to_rfc3339());
        let at = self.app.clock.now();
        let bookings: Vec<Booking<'_>> = parts
            .iter()
            .zip(&wish.parts)
            .map(|(part, wanted)| Booking {
                turn: &self.turn,
                property_id: part.property.id,
                stay: part.stay,
                units: 1,
                guests: wanted.guests,
                msisdn: &wish.msisdn,
                guest_msisdn: wish.guest_msisdn.as_ref(),
                guest_name: &name,
                language,
                total_shown: Money {
                    minor: wanted.total_minor,
                    currency: wanted.currency,
                },
                at,
                cause: Cause { why: &why, ..CAUSE },
            })
            .collect();
        let speaks = menus.menu.language(language);
        let compose = |part: usize, code: &Code| {
            let (booking, offer) = (&bookings[part], &parts[part].offer);
            notices::made(self.app, code, booking, offer, speaks, country)
        };
        let reserve = async {
            let mut client = self.app.pool.get().await?;
            let isolation = self.app.config.database.isolation;
            reserve_group(&mut client, isolation, &bookings, compose).await
        };
        match self.ask(reserve).await? {
            Grouped::Made(reservations) => {
                let outcome = [("outcome", "made"), ("channel", DOOR)];
                metrics::counter!("reservations_total", &outcome)
                    .increment(reservations.len() as u64);
                self.app.outbox.notify_one();
                self.with_group(&reservations).await
            }
            Grouped::Refused(number, why) => {
                let part = &parts[number];
                let wanted = Wanted {
                    property: &part.property,
                    stay: part.stay,
                    guests: wish.parts[number].guests,
                };
                match self.reserved(*why, &wanted).await {
                    Err(undone) => Err(of_part(undone, number)),
                    done => done,
                }
            }
        }
    }

    async fn part(&self, part: &wish::GroupPart) -> Result<Part, Undone> {
        let stay = self.stay(part.check_in, part.nights, part.guests)?;
        let property = self.property(&part.property_id).await?;
        let wanted = Wanted {
            property: &property,
            stay,
            guests: part.guests,
        };
        match self.offer(&wanted).await? {
            Some(offer) => Ok(Part {
                property,
                stay,
                offer,
            }),
            None => Err(self.not_free(&wanted).await?),
        }
    }

    /// What this operation has made before: the last of it may be why nothing is free.
    async fn group_made(&self) -> Result<Vec<Reservation>, Undone> {
        let session = session(self.client, self.operation.id);
        let list = async {
            let client = self.app.pool.get().await?;
            list_by_dialogue(&client, DOOR, &session).await
        };
        Ok(self.ask(list).await?)
    }

    async fn with_group(&self, reservations: &[Reservation]) -> Result<Done, Undone> {
        let ids: Vec<_> = reservations.iter().map(|made| made.property_id).collect();
        let short_ids = self.short_ids(&ids).await?;
        let shown = shown_reservations(reservations, &short_ids);
        Ok(done(member("reservations", shown)))
    }
}

/// Which part it was, counted from 0.
fn of_part(undone: Undone, part: usize) -> Undone {
    let with_part = |problem: Problem| problem.with("part", part);
    match undone {
        Undone::Final(problem) => Undone::Final(with_part(problem)),
        Undone::Passing(problem) => Undone::Passing(with_part(problem)),
    }
}
