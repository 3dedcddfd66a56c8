//! A subscriber's SMS: a keyword, or an answer to the last one. One effect and one answer, however often it is delivered.

mod ahead;
mod bookings;
mod dialogue;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio::time::Instant;

use self::dialogue::{Spoke, TextDialogue};
use crate::app::App;
use crate::country::Country;
use crate::db::effect::{Draft, Turn};
use crate::db::guests::Guest;
use crate::db::hosts::{self, Host};
use crate::db::sms_sessions::{self, Claimed};
use crate::db::{DbError, guests, outbox, replies};
use crate::menu::Menus;
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::keeper::REST;
use crate::session::lodges;
use crate::sms::InboundSms;
use crate::sms::keywords::{self, Command, HostCommand};

/// An answer is of no use after so long.
const ANSWER_TTL: chrono::Duration = chrono::Duration::hours(12);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most answers to one number in a day: five bookings take as many. What books or cancels still tells of it.
const ANSWERS_PER_DAY_MAX: i64 = 40;
/// How long one message may take before another of its number goes on.
const LEASE: Duration = Duration::from_secs(8);
/// How long its actions may take; the rest is for writing it down.
const WORK_MAX: Duration = Duration::from_millis(2_500);
/// How long a message waits for the one before, with its own work in the patience of providers; then it comes again.
const WAIT_MAX: Duration = Duration::from_millis(1_500);
const POLL: Duration = Duration::from_millis(50);

/// Answers a message that a provider delivered; the same message again changes nothing. A part of a long message waits
/// for the others; octets for a program are kept and not answered.
///
/// # Errors
/// [`DbError`]: it is not kept, the provider may deliver it again. What it has booked is found then.
pub async fn receive(
    app: &Arc<App>,
    provider: &str,
    delivered: &InboundSms,
) -> Result<(), DbError> {
    let Some(sms) = whole(app, provider, delivered).await? else {
        return Ok(());
    };
    let claimed = claim(app, &sms).await?;
    let token = claimed.token;
    let taken = take(app, provider, delivered, &sms, claimed).await;
    if !matches!(taken, Ok(true)) {
        // The next message need not wait; if this fails, the lease ends by itself.
        let client = app.pool.get().await?;
        sms_sessions::release(&client, &sms.msisdn, token).await?;
    }
    app.outbox.notify_one();
    taken.map(|_| ())
}

/// The message, joined; `None`: the part is kept until the others come. What is joined stays in its parts until the
/// message is taken.
async fn whole(
    app: &App,
    provider: &str,
    delivered: &InboundSms,
) -> Result<Option<InboundSms>, DbError> {
    let Some(part) = &delivered.part else {
        return Ok(Some(delivered.clone()));
    };
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let whole = outbox::join_part(&transaction, provider, delivered, part).await?;
    match whole {
        None => transaction.commit().await?,
        Some(_) => transaction.rollback().await?,
    }
    Ok(whole)
}

/// The messages of one number are worked on one after the other.
async fn claim(app: &App, sms: &InboundSms) -> Result<Claimed, DbError> {
    let until = Instant::now() + WAIT_MAX;
    loop {
        let claimed = sms_sessions::claim(&app.pool.get().await?, &sms.msisdn, LEASE).await?;
        match claimed {
            Some(claimed) => return Ok(claimed),
            None if Instant::now() < until => tokio::time::sleep(POLL).await,
            None => return Err(DbError::Conflict("an earlier message is worked on".into())),
        }
    }
}

/// `false`: it was taken before.
async fn take(
    app: &Arc<App>,
    provider: &str,
    delivered: &InboundSms,
    sms: &InboundSms,
    claimed: Claimed,
) -> Result<bool, DbError> {
    let client = app.pool.get().await?;
    if outbox::has_inbound(&client, provider, &sms.provider_id).await? {
        return Ok(false);
    }
    let command = understand(sms);
    let inbound = Inbound::new(app, provider, sms, &command, &client).await?;
    drop(client);
    metrics::counter!("sms_received_total", "command" => command.word()).increment(1);
    // No connection is held while the dialogue goes on: its actions take their own.
    let spoke = inbound.go_on(&command, claimed.dialogue).await?;

    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    if let Some(part) = &delivered.part {
        outbox::join_part(&transaction, provider, delivered, part).await?;
    }
    if !outbox::insert_inbound(&transaction, provider, sms).await? {
        return Ok(false);
    }
    let answer = Answer {
        of: &inbound,
        client: &transaction,
    };
    let is_ours = match (&spoke, &command) {
        (Spoke::Nothing, Command::Delete) => {
            answer.obey(&command).await?;
            sms_sessions::save(&transaction, &sms.msisdn, claimed.token, None).await?
        }
        (Spoke::Nothing, _) => {
            answer.obey(&command).await?;
            sms_sessions::release(&transaction, &sms.msisdn, claimed.token).await?
        }
        (Spoke::Dialogue { dialogue, text, .. }, _) => {
            if let Some(text) = text {
                answer.send("screen", text.clone(), 1).await?;
            }
            let kept = dialogue.as_deref().map(TextDialogue::kept).transpose()?;
            sms_sessions::save(&transaction, &sms.msisdn, claimed.token, kept.as_ref()).await?
        }
    };
    if !is_ours {
        return Err(DbError::Conflict(
            "a later message was worked on first".into(),
        ));
    }
    transaction.commit().await?;
    if let Spoke::Dialogue { memory, .. } = spoke {
        app.keeper.remember(&sms.msisdn, memory, REST);
    }
    Ok(true)
}

fn understand(sms: &InboundSms) -> Command {
    // A provider that has understood a refusal in its own language is believed.
    match sms.opt_out.as_deref() {
        Some("STOP") => Command::Stop,
        Some("START") => Command::Start,
        _ => keywords::parse(&sms.text),
    }
}

/// A message and what is known of who wrote it.
struct Inbound<'a> {
    app: &'a Arc<App>,
    sms: &'a InboundSms,
    /// What all its effects are keyed by.
    turn: Turn,
    country: &'static Country,
    menus: Arc<Menus>,
    guest: Guest,
    /// A host, and what it asks for as one.
    host: Option<(Host, HostCommand)>,
    /// Code of the language that is spoken to them.
    language: String,
    /// When its lease is about to end.
    until: Instant,
    /// Whether nothing is written to this number: it has had enough, or nobody of a country that is served has it.
    muted: bool,
}

impl<'a> Inbound<'a> {
    async fn new(
        app: &'a Arc<App>,
        provider: &str,
        sms: &'a InboundSms,
        command: &Command,
        client: &deadpool_postgres::Client,
    ) -> Result<Inbound<'a>, DbError> {
        let country = app.country(&sms.msisdn);
        let guest = guests::find(client, &sms.msisdn).await?.unwrap_or_default();
        let host = match command.of_host() {
            Some(asked) => hosts::find_host(client, &sms.msisdn)
                .await?
                .map(|host| (host, asked)),
            None => None,
        };
        let answers = replies::count(client, &sms.msisdn, DAY).await?;
        let muted = answers >= ANSWERS_PER_DAY_MAX || sms.msisdn.country().is_none();
        if muted {
            metrics::counter!("sms_unanswered_total").increment(1);
        }
        let menus = app.menus.current();
        let chosen = app.keeper.pending(&sms.msisdn).language;
        let language = match chosen.as_ref().or(guest.language.as_ref()) {
            Some(code) => app.spoken(&menus.menu, code, country),
            None => menus.menu.default_language(country).to_owned(),
        };
        Ok(Inbound {
            app,
            sms,
            turn: Turn {
                door: format!("sms:{provider}"),
                session: sms.provider_id.clone(),
                position: 0,
            },
            country,
            menus,
            guest,
            host,
            language,
            until: Instant::now() + WORK_MAX,
            muted,
        })
    }

    fn language(&self) -> &Language {
        self.menus.menu.language(&self.language)
    }
}

/// The answer to a message, written in the transaction that takes note of it: a message is lost with its effect, or has
/// it.
struct Answer<'a> {
    of: &'a Inbound<'a>,
    client: &'a Transaction<'a>,
}

impl Answer<'_> {
    /// What is no part of a dialogue.
    async fn obey(&self, command: &Command) -> Result<(), DbError> {
        if self.of.sms.binary.is_some() {
            return Ok(());
        }
        if let Some((host, asked)) = &self.of.host {
            return self.serve(host, asked).await;
        }
        match command {
            Command::Code => self.tell_bookings().await,
            Command::Paid => self.tell_payments().await,
            Command::Cancel(code) => self.cancel(code.as_ref()).await,
            Command::Stop => self.stop().await,
            Command::Start => self.start().await,
            Command::Delete => self.erase().await,
            Command::Language(named) => self.speak(named).await,
            Command::Help => self.help().await,
            // Who is not a host is helped like anybody else.
            Command::Book(_) | Command::Day { .. } | Command::Host(_) | Command::Unknown => {
                let msisdn = &self.of.sms.msisdn;
                if replies::was_sent(self.client, msisdn, "help", DAY).await? {
                    return Ok(());
                }
                self.help().await
            }
        }
    }

    async fn serve(&self, host: &Host, asked: &HostCommand) -> Result<(), DbError> {
        let Inbound {
            app, menus, turn, ..
        } = self.of;
        let language = menus.menu.language(&host.language);
        let of_host = lodges::sms::Asked {
            app,
            client: self.client,
            host,
            turn,
            language,
        };
        self.send("host", of_host.answer(asked).await?, 0).await
    }

    async fn say(
        &self,
        kind: &'static str,
        message: Message,
        record: Option<&Value>,
    ) -> Result<(), DbError> {
        let Inbound { app, country, .. } = self.of;
        let text = app.say(message, self.of.language(), record, country);
        self.send(kind, text, 0).await
    }

    /// `part`: which of several answers to one message this is.
    async fn send(&self, kind: &'static str, text: String, part: i32) -> Result<(), DbError> {
        if self.of.muted {
            return Ok(());
        }
        let turn = Turn {
            position: part,
            ..self.of.turn.clone()
        };
        let draft = Draft {
            kind,
            msisdn: self.of.sms.msisdn.clone(),
            text,
            expires_at: self.of.app.clock.now() + ANSWER_TTL,
        };
        replies::insert_reply(self.client, &turn, &draft).await
    }
}
