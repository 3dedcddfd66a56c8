//! Which way a message takes: the first route for its number, the next ones as spares.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::bucket::Bucket;
use super::budget::Budgets;
use super::http::SEND_MAX;
use super::ids::Ids;
use super::{Carrier, Message};
use crate::phone::Msisdn;

/// How long a route is left alone that takes nothing from us.
pub const PAUSE: Duration = Duration::from_secs(60);
/// Messages without an answer from its provider after which a route is said to be down.
const UNANSWERED_MAX: u32 = 3;
/// How long others wait for the one message that tries a route after its pause.
const PROBE: Duration = SEND_MAX.saturating_add(Duration::from_secs(2));

/// One route as configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Who carries the messages.
    pub provider: String,
    /// Its name in logs, metrics and the database. Default: the provider's.
    pub name: Option<String>,
    /// ISO codes of the countries whose numbers it serves. Default: every number.
    #[serde(default)]
    pub countries: Vec<String>,
    /// How the numbers it serves begin, country code included: `25470`. Default: every number of the countries.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Registered short code, number or name that messages come from.
    pub sender: Option<String>,
    /// The same by country code, where one differs.
    #[serde(default)]
    pub senders: BTreeMap<String, String>,
    /// The most messages a second. Default: as fast as the provider answers.
    pub per_second: Option<f64>,
}

/// A way out.
#[derive(Debug)]
pub struct Route {
    config: RouteConfig,
    carrier: Carrier,
    /// Where its provider is told to send reports.
    report_url: Option<String>,
    ids: Ids,
    gate: Mutex<Gate>,
}

#[derive(Debug)]
struct Gate {
    bucket: Option<Bucket>,
    paused: bool,
    /// Messages in a row that its provider neither took nor refused.
    unanswered: u32,
    /// When a paused route may be tried.
    try_at: Instant,
}

/// Why a route takes no message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The provider takes nothing from us; try again after this.
    Paused(Duration),
    /// Enough has left for now; come back after this.
    Throttled(Duration),
}

impl Route {
    /// A route that is open.
    pub fn new(
        config: RouteConfig,
        carrier: Carrier,
        report_url: Option<String>,
        ids: Ids,
    ) -> Route {
        let now = Instant::now();
        let bucket = config.per_second.map(|rate| Bucket::new(rate, now));
        Route {
            config,
            carrier,
            report_url,
            ids,
            gate: Mutex::new(Gate {
                bucket,
                paused: false,
                unanswered: 0,
                try_at: now,
            }),
        }
    }

    /// Its name in logs, metrics and the database.
    pub fn name(&self) -> &str {
        self.config.name.as_deref().unwrap_or(&self.config.provider)
    }

    /// Who carries its messages.
    pub fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// How its provider writes ids.
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// A message for this route: its sender and where to report.
    pub fn address(&self, message: &Message) -> Message {
        let country = message.msisdn.country().map(|country| country.code);
        let own =
            self.config.senders.iter().find(|(code, _)| {
                country.is_some_and(|country| country.eq_ignore_ascii_case(code))
            });
        Message {
            sender: own
                .map(|(_, sender)| sender)
                .or(self.config.sender.as_ref())
                .cloned(),
            report_url: self.report_url.clone(),
            ..message.clone()
        }
    }

    fn serves(&self, msisdn: &Msisdn) -> bool {
        let RouteConfig {
            countries,
            prefixes,
            ..
        } = &self.config;
        let country = msisdn.country().map(|country| country.code);
        let at_home = countries.is_empty()
            || countries
                .iter()
                .any(|code| country.is_some_and(|country| country.eq_ignore_ascii_case(code)));
        at_home
            && (prefixes.is_empty()
                || prefixes
                    .iter()
                    .any(|prefix| msisdn.digits().starts_with(prefix.trim_start_matches('+'))))
    }

    /// Lets one message through. After a pause, the first one tries the route for all.
    ///
    /// # Errors
    /// [`Closed`]
    pub fn enter(&self, now: Instant) -> Result<(), Closed> {
        let mut gate = self.gate();
        if gate.paused {
            if now < gate.try_at {
                return Err(Closed::Paused(gate.try_at - now));
            }
            gate.try_at = now + PROBE;
        }
        match &mut gate.bucket {
            Some(bucket) => bucket.take(now).map_err(Closed::Throttled),
            None => Ok(()),
        }
    }

    /// The provider takes nothing from us. `true`: it did before.
    pub fn pause(&self, now: Instant) -> bool {
        let mut gate = self.gate();
        gate.try_at = now + PAUSE;
        !std::mem::replace(&mut gate.paused, true)
    }

    /// The provider speaks with us. `true`: it did not before.
    pub fn open(&self) -> bool {
        std::mem::replace(&mut self.gate().paused, false)
    }

    /// Notes whether its provider has answered for a message.
    pub fn answered(&self, for_good: bool) {
        let mut gate = self.gate();
        gate.unanswered = if for_good {
            0
        } else {
            gate.unanswered.saturating_add(1)
        };
    }

    /// Whether nothing leaves by it: it is paused, or its provider has not answered for a while.
    pub fn is_down(&self) -> bool {
        let gate = self.gate();
        gate.paused || gate.unanswered >= UNANSWERED_MAX
    }

    /// When it may be tried, if it is paused.
    pub fn paused_until(&self) -> Option<Instant> {
        let gate = self.gate();
        gate.paused.then_some(gate.try_at)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All routes, the preferred first.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
    budgets: Budgets,
}

impl Routes {
    /// In this order, with the usual budgets.
    pub fn new(routes: Vec<Route>) -> Routes {
        Routes {
            routes,
            budgets: Budgets::default(),
        }
    }

    /// The same with these budgets.
    #[must_use]
    pub fn within(self, budgets: Budgets) -> Routes {
        Routes { budgets, ..self }
    }

    /// What may be spent.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// One way for every number.
    pub fn one(carrier: Carrier, sender: Option<&str>) -> Routes {
        let config = RouteConfig {
            provider: carrier.name().to_owned(),
            sender: sender.map(str::to_owned),
            ..RouteConfig::default()
        };
        Routes::new(vec![Route::new(config, carrier, None, Ids::default())])
    }

    /// The routes that serve a number, the preferred first; `last`, by its name, before all others.
    pub fn to(&self, msisdn: &Msisdn, last: Option<&str>) -> Vec<&Route> {
        let serving = self.routes.iter().filter(|route| route.serves(msisdn));
        let mut routes: Vec<&Route> = serving.collect();
        routes.sort_by_key(|route| last != Some(route.name()));
        routes
    }

    /// Whether messages wait because every route is down.
    pub fn are_down(&self) -> bool {
        !self.routes.is_empty() && self.routes.iter().all(Route::is_down)
    }

    /// When the first one may be tried again, if all are paused.
    pub fn paused_until(&self) -> Option<Instant> {
        let pauses: Option<Vec<Instant>> = self.routes.iter().map(Route::paused_until).collect();
        pauses?.into_iter().min()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn route(json: serde_json::Value) -> Route {
        let config: RouteConfig = serde_json::from_value(json).unwrap();
        Route::new(config, Carrier::Sandbox, None, Ids::default())
    }

    fn msisdn(raw: &str) -> Msisdn {
        Msisdn::parse(raw).unwrap()
    }

    #[test]
    fn the_first_route_that_serves_the_number_comes_first() {
        let routes = Routes::new(vec![
            route(
                serde_json::json!({ "provider": "x", "name": "safaricom", "countries": ["KE"], "prefixes": ["25470", "+25472"] }),
            ),
            route(
                serde_json::json!({ "provider": "x", "name": "east", "countries": ["ke", "TZ"] }),
            ),
            route(serde_json::json!({ "provider": "x", "name": "rest" })),
        ]);
        let names = |number: &str, last| -> Vec<String> {
            let found = routes.to(&msisdn(number), last);
            found.iter().map(|route| route.name().to_owned()).collect()
        };
        assert_eq!(names("+254700000001", None), ["safaricom", "east", "rest"]);
        assert_eq!(names("+254730000001", None), ["east", "rest"]);
        assert_eq!(names("+255700000001", None), ["east", "rest"]);
        assert_eq!(names("+447700900001", None), ["rest"]);
        assert_eq!(
            names("+254700000001", Some("rest")),
            ["rest", "safaricom", "east"]
        );
        assert_eq!(
            names("+254700000001", Some("gone")),
            ["safaricom", "east", "rest"]
        );
    }

    #[test]
    fn each_country_has_its_sender() {
        let route = route(
            serde_json::json!({ "provider": "x", "sender": "LODGE", "senders": { "KE": "22384" } }),
        );
        let sender = |number| {
            let message = Message {
                reference: "1".to_owned(),
                msisdn: msisdn(number),
                text: "x".to_owned(),
                attempt: 1,
                sender: None,
                report_url: None,
            };
            route.address(&message).sender.unwrap()
        };
        assert_eq!(sender("+254700000001"), "22384");
        assert_eq!(sender("+255700000001"), "LODGE");
        assert_eq!(sender("+447700900001"), "LODGE");
    }

    #[test]
    fn after_a_pause_one_message_tries_for_all() {
        let route = route(serde_json::json!({ "provider": "x" }));
        let now = Instant::now();
        assert_eq!(route.enter(now), Ok(()));
        assert!(route.pause(now));
        assert!(!route.pause(now));
        assert_eq!(route.enter(now), Err(Closed::Paused(PAUSE)));
        assert_eq!(route.enter(now + PAUSE), Ok(()));
        assert_eq!(route.enter(now + PAUSE), Err(Closed::Paused(PROBE)));
        assert!(route.open());
        assert!(!route.open());
        assert_eq!(route.enter(now + PAUSE), Ok(()));
        assert_eq!(route.paused_until(), None);
    }

    #[test]
    fn a_route_lets_so_many_through() {
        let route = route(serde_json::json!({ "provider": "x", "per_second": 1 }));
        let now = Instant::now();
        assert_eq!(route.enter(now), Ok(()));
        assert!(matches!(route.enter(now), Err(Closed::Throttled(_))));
    }
}
