//! Where money meets reservations: prompts are sent and asked about, what providers post is kept and then understood,
//! what came is proven and applied with the messages that tell of it, and what is to go back is sent.

mod arrivals;
mod callbacks;
mod claims;
mod prompts;
mod refunds;
mod statements;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use futures_util::future::join_all;
use tokio::sync::Notify;

pub use callbacks::Posted;

use crate::app::App;
use crate::db::effect::Cause;
use crate::payment;
use crate::payment::exchange::Line;

/// Of money that a provider tells of.
const TOLD: Cause<'static> = Cause {
    who: "provider",
    channel: "payment",
    why: "a payment came",
};
/// Attempts, callbacks and refunds worked on in one round.
const BATCH_MAX: i64 = 16;

/// Everything that payments need, built once.
pub struct Cashier {
    app: Arc<App>,
    lines: BTreeMap<&'static str, Line>,
    hint: Notify,
}

impl Cashier {
    /// The accounts that the configuration names. `http` comes from [`crate::sms::http_builder`].
    pub fn new(app: Arc<App>, http: &reqwest::Client) -> Cashier {
        let lines = app.config.payments.providers.iter();
        let lines = lines.filter_map(|(name, account)| {
            let provider = payment::find(name)?;
            let breaker = app.payments.find(name)?.clone();
            let line = Line::new(
                provider,
                account.clone(),
                http.clone(),
                breaker,
                Some(app.store.clone()),
            );
            Some((provider.name(), line))
        });
        Cashier {
            lines: lines.collect(),
            app,
            hint: Notify::new(),
        }
    }

    /// Asks the providers that are away whether they are back.
    pub async fn probe(&self) {
        let away = self.lines.values().filter(|line| line.is_away());
        join_all(away.map(|line| line.probe(Utc::now()))).await;
    }

    /// Returns when something has come that should not wait for the next round.
    pub async fn hinted(&self) {
        self.hint.notified().await;
    }

    /// Where a provider is to post to: our address, its name, its token, the door and what else names the matter.
    fn url(&self, provider: &str, door: payment::Door, secret: &str) -> Option<String> {
        use secrecy::ExposeSecret;
        let token = self.app.config.aggregators.get(provider)?.tokens.first()?;
        let (base, token) = (&self.app.config.public_url, token.expose_secret());
        Some(format!(
            "{base}/pay/{provider}/{token}/{}/{secret}",
            door.segment()
        ))
    }
}
