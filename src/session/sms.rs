//! A subscriber's SMS: a keyword, one answer by SMS, once.

use std::sync::Arc;

use chrono::Duration;
use deadpool_postgres::Transaction;

use crate::app::App;
use crate::booking::code::Code;
use crate::booking::reservation::Status;
use crate::country::Country;
use crate::db::effect::{Cause, Draft, Turn};
use crate::db::reservations::{self, Cancel, Cancelled};
use crate::db::{DbError, guests, hosts, outbox, replies};
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::session::{host, notices, records};
use crate::sms::InboundSms;
use crate::sms::keywords::{self, Command, HostCommand};

/// An answer is of no use after so long.
const ANSWER_TTL: Duration = Duration::hours(12);
/// Unknown words get help once in so long.
const HELP_EVERY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
/// The most bookings told of in answer to CODE.
const BOOKINGS_MAX: usize = 3;

/// Answers a message that a provider delivered; the same message again changes nothing. A part of a long message waits
/// for the others; octets for a program are kept and not answered.
///
/// # Errors
/// [`DbError`]: nothing was kept, the provider may deliver it again.
pub async fn receive(app: &Arc<App>, provider: &str, sms: &InboundSms) -> Result<(), DbError> {
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let whole = match &sms.part {
        Some(part) => outbox::join_part(&transaction, provider, sms, part).await?,
        None => Some(sms.clone()),
    };
    let Some(sms) = &whole else {
        transaction.commit().await?;
        return Ok(());
    };
    if !outbox::insert_inbound(&transaction, provider, sms).await? {
        return Ok(());
    }
    if sms.binary.is_some() {
        transaction.commit().await?;
        return Ok(());
    }
    let helped = replies::was_sent(&transaction, &sms.msisdn, "help", HELP_EVERY).await?;
    let turn = Turn {
        door: format!("sms:{provider}"),
        session: sms.provider_id.clone(),
        position: 0,
    };
    // What it asks for is done in the transaction that takes note of it: a message is lost with its effect, or has it.
    Answer {
        app,
        client: &transaction,
        sms,
        turn,
        country: app.country(&sms.msisdn),
        helped,
    }
    .answer()
    .await?;
    transaction.commit().await?;
    app.outbox.notify_one();
    Ok(())
}

struct Answer<'a> {
    app: &'a Arc<App>,
    client: &'a Transaction<'a>,
    sms: &'a InboundSms,
    turn: Turn,
    country: &'static Country,
    helped: bool,
}

impl Answer<'_> {
    async fn answer(&self) -> Result<(), DbError> {
        let guest = guests::find(self.client, &self.sms.msisdn).await?;
        let menus = self.app.menus.current();
        let menu = &menus.menu;
        let code = guest.and_then(|guest| guest.language).map_or_else(
            || menu.default_language(self.country).to_owned(),
            |code| self.app.spoken(menu, &code, self.country),
        );
        let language = menu.language(&code);
        // A provider that has understood a refusal in its own language is believed.
        let command = match self.sms.opt_out.as_deref() {
            Some("STOP") => Command::Stop,
            Some("START") => Command::Start,
            _ => keywords::parse(&self.sms.text),
        };
        metrics::counter!("sms_received_total", "command" => command.word()).increment(1);
        match command {
            Command::Code => self.tell_bookings(language).await,
            Command::Cancel(code) => self.cancel(code, language).await,
            Command::Stop => {
                guests::opt_out(self.client, &self.sms.msisdn).await?;
                self.say("stopped", Message::Stopped, language).await
            }
            Command::Start => {
                guests::opt_in(self.client, &self.sms.msisdn).await?;
                self.say("started", Message::Started, language).await
            }
            Command::Help => self.say("help", Message::Help, language).await,
            Command::Host(command) => self.host(&command, language).await,
            Command::Unknown if self.helped => Ok(()),
            Command::Unknown => self.say("help", Message::Help, language).await,
        }
    }

    /// Who is not a host is helped like anybody else.
    async fn host(&self, command: &HostCommand, language: &Language) -> Result<(), DbError> {
        let Some(host) = hosts::find_host(self.client, &self.sms.msisdn).await? else {
            return match self.helped {
                true => Ok(()),
                false => self.say("help", Message::Help, language).await,
            };
        };
        let menus = self.app.menus.current();
        let language = menus.menu.language(&host.language);
        let text = host::answer(self.app, self.client, &host, command, &self.turn, language);
        let text = text.await?;
        self.send("host", text, 0).await
    }

    async fn tell_bookings(&self, language: &Language) -> Result<(), DbError> {
        let today = self.app.local_time(self.country).today;
        let live = reservations::list_live(self.client, &self.sms.msisdn, today).await?;
        if live.is_empty() {
            return self.say("no_booking", Message::NoBooking, language).await;
        }
        for (part, reservation) in (0..).zip(live.iter().take(BOOKINGS_MAX)) {
            let record = records::booking(self.app, reservation);
            let text = self
                .app
                .say(Message::BookingLine, language, Some(&record), self.country);
            self.send("code", text, part).await?;
        }
        Ok(())
    }

    async fn cancel(&self, code: Option<Code>, language: &Language) -> Result<(), DbError> {
        let found = match &code {
            Some(code) => reservations::find_by_code(self.client, code, &self.sms.msisdn).await?,
            None => None,
        };
        let Some(reservation) = found else {
            return self
                .say("cancel_unknown", Message::CancelUnknown, language)
                .await;
        };
        let cause = Cause {
            who: "guest",
            channel: "sms",
            why: "cancelled by the guest",
        };
        let cancel = Cancel {
            id: reservation.id,
            at: self.app.clock.now(),
            cost_shown: 0,
            turn: &self.turn,
            cause: &cause,
            drafts: &notices::cancelled(self.app, &reservation, language, 0),
        };
        match reservations::cancel(self.client, &cancel).await? {
            // Its own message went out with it.
            Cancelled::Done(_) => Ok(()),
            Cancelled::Costs(reservation, _) | Cancelled::TooLate(reservation) => {
                let record = records::booking(self.app, &reservation);
                let text = self.app.say(
                    Message::CancelTooLate,
                    language,
                    Some(&record),
                    self.country,
                );
                self.send("cancel_too_late", text, 0).await
            }
            // It is as they want it, whoever asked first.
            Cancelled::AlreadyCancelled(reservation) if reservation.status == Status::Cancelled => {
                let record = records::booking(self.app, &reservation);
                let text = self
                    .app
                    .say(Message::Cancelled, language, Some(&record), self.country);
                self.send("cancelled", text, 0).await
            }
            Cancelled::AlreadyCancelled(_) | Cancelled::NotFound => {
                self.say("cancel_unknown", Message::CancelUnknown, language)
                    .await
            }
        }
    }

    async fn say(
        &self,
        kind: &'static str,
        message: Message,
        language: &Language,
    ) -> Result<(), DbError> {
        let text = self.app.say(message, language, None, self.country);
        self.send(kind, text, 0).await
    }

    async fn send(&self, kind: &'static str, text: String, part: i32) -> Result<(), DbError> {
        let turn = Turn {
            position: part,
            ..self.turn.clone()
        };
        let draft = Draft {
            kind,
            msisdn: self.sms.msisdn.clone(),
            text,
            expires_at: self.app.clock.now() + ANSWER_TTL,
        };
        replies::insert_reply(self.client, &turn, &draft).await?;
        Ok(())
    }
}
