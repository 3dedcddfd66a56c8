//! Who was asked to pay and dials again hears first how that stands.

use std::time::Duration;

use crate::booking::reservation::Status;
use crate::db::patience::{EXTRA_MAX, within};
use crate::db::payments::attempts::{News, Stand};
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::Value;
use crate::session::records;
use crate::session::turn::Session;

/// How long after a prompt it is spoken of. Source: row X-28 of the field requirements.
const NEWS_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// How long a phone shows a prompt.
const PROMPT_LIFE: Duration = Duration::from_secs(60);

impl Session {
    /// The line above the first screen. The menu needs nothing of it: where the database does not tell, there is none.
    pub(super) async fn payment_news(&self, language: &Language) -> Option<String> {
        let books = &self.app.books;
        let asked = books.find_payment_news(&self.call.msisdn, NEWS_AGE_MAX, PROMPT_LIFE);
        let asked = within(&self.app.postgres, self.patience(EXTRA_MAX), asked);
        let news = asked.await.ok().flatten()?;
        let record = records::booking(&self.app, &news.reservation)
            .with([("amount", Value::Money(news.amount))]);
        let message = message(&news);
        Some(self.app.say(message, language, Some(&record), self.country))
    }
}

fn message(news: &News) -> Message {
    let is_over = matches!(
        news.reservation.status,
        Status::RefundDue | Status::Refunded
    );
    match news.stand {
        Stand::Waiting => Message::RedialWaiting,
        Stand::Checking => Message::RedialChecking,
        Stand::Paid if is_over => Message::RedialBack,
        Stand::Paid => Message::RedialPaid,
        Stand::Failed => Message::RedialFailed,
    }
}
