//! Every setting: one YAML file, read once at the start into typed values. `${NAME}` and `${NAME:-default}` in it stand
//! for environment variables. `deploy/reserveflow.yaml` shows each with its default.

mod archive;
mod payments;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_saphyr::options::PropertySyntax;

pub use self::archive::ArchiveConfig;
pub use self::payments::PaymentsConfig;
use crate::api::ApiConfig;
use crate::country::Country;
use crate::db::pool::Statements;
use crate::doors::DoorConfig;
use crate::payment;
use crate::session::limits::LimitsConfig;
use crate::session::store::Site;
use crate::smpp::{Link, LinkConfig, Links};
use crate::sms::budget::{Budget, Budgets, OTHER};
use crate::sms::ids::Ids;
use crate::sms::route::{Route, RouteConfig, Routes};
use crate::sms::{self, Carrier, sandbox};
use crate::ussd::{self, Account, Aggregator};
use crate::webhook::address::Block;
use crate::webhook::authentic;

/// The shortest path token that production accepts, in characters: 128 random bits in hexadecimal.
const TOKEN_CHARS_MIN: usize = 32;
/// The shortest password that production accepts, in characters.
const PASSWORD_CHARS_MIN: usize = 16;
/// The fewest kinds of proof that production accepts of an aggregator.
const FACTORS_MIN: usize = 2;

/// All settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where aggregators reach the service. Default `0.0.0.0:8080`.
    #[serde(default = "default_public")]
    pub public: SocketAddr,
    /// Where the operator reaches health, metrics and the simulator. Default `127.0.0.1:8081`.
    #[serde(default = "default_private")]
    pub private: SocketAddr,
    /// `production` refuses short tokens and the simulator. Default `development`.
    #[serde(default)]
    pub environment: Environment,
    /// The folder of the private Postgres and Redis, used where no URL is given.
    pub data: Option<PathBuf>,
    /// How aggregators reach `public`, for formats that name our address in the answer: `https://ussd.example.com`.
    #[serde(default)]
    pub public_url: String,
    /// ISO code of the country whose national phone numbers and default language apply. Default `KE`.
    #[serde(default = "default_country")]
    pub country: String,
    /// The number that callers can ring.
    pub care_phone: String,
    /// The short codes that lead to the booking flow, e.g. `*384*7#`.
    pub service_codes: Vec<String>,
    /// How much of a screen the operators show, where it is not what the aggregators document, at most 160 septets.
    #[serde(default)]
    pub screens: Vec<DoorConfig>,
    /// A folder of menus to use instead of the ones inside the binary.
    pub menus: Option<PathBuf>,
    /// Postgres.
    #[serde(default)]
    pub database: Database,
    /// Redis or Valkey.
    #[serde(default)]
    pub redis: Redis,
    /// Our own proxies, whose `X-Forwarded-For` tells where a callback comes from. Default none.
    #[serde(default)]
    pub trusted_proxies: Vec<Block>,
    /// Who may post callbacks, by the aggregator's name.
    #[serde(default)]
    pub aggregators: BTreeMap<String, AggregatorConfig>,
    /// SMSCs spoken with over SMPP, by a name of the operator's own, which routes and tables know them by.
    #[serde(default)]
    pub smpp: BTreeMap<String, LinkConfig>,
    /// How SMS leave.
    #[serde(default)]
    pub sms: SmsConfig,
    /// Who may call how often.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The REST API.
    #[serde(default)]
    pub api: ApiConfig,
    /// Where reports of providers wait on this machine's disk while Postgres is away; each instance has a folder of its
    /// own. Default: `spool` in `data`; without either they are not taken then, and the providers try again.
    pub spool: Option<PathBuf>,
    /// How guests pay by phone. Without an account, lodges that want money before the stay are not offered.
    #[serde(default)]
    pub payments: PaymentsConfig,
    /// Where months of the calendar go that are over for long.
    #[serde(default)]
    pub archive: ArchiveConfig,
    /// Load the sample lodgings into a database that has none. The demo's, not a setting.
    #[serde(skip)]
    pub sample: bool,
    /// The phone on the private address. Default: on in development, refused in production.
    pub simulator: Option<bool>,
}

/// Where this runs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the word says it")]
pub enum Environment {
    #[default]
    Development,
    Production,
}

/// Postgres.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connection URL; empty: a private one is started in `data`. Default `${DATABASE_URL}`.
    #[serde(default)]
    pub url: Option<SecretString>,
    /// Connections of this instance. Default 8.
    #[serde(default = "default_pool")]
    pub pool: usize,
    /// `read_committed` or `serializable`. Default `read_committed`.
    #[serde(default)]
    pub isolation: crate::db::reserve::Isolation,
    /// Lanes in which reservations queue, each with at most one commit under way. Default 4.
    #[serde(default = "default_lanes")]
    pub lanes: u8,
    /// `named`, or `unnamed` behind a pooler that gives each transaction another connection. Default `named`.
    #[serde(default)]
    pub statements: Statements,
    /// The database itself, past the pooler, for migrations and the calendar. Default `url`.
    #[serde(default)]
    pub direct_url: Option<SecretString>,
}

impl Default for Database {
    fn default() -> Self {
        Database {
            url: None,
            pool: default_pool(),
            isolation: crate::db::reserve::Isolation::default(),
            lanes: default_lanes(),
            statements: Statements::default(),
            direct_url: None,
        }
    }
}

/// Redis or Valkey: one server, the primary that Sentinels name, or a cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Connection URL; empty: a private one is started in `data`. Default `${REDIS_URL}`.
    #[serde(default)]
    pub url: Option<SecretString>,
    /// URLs of Sentinels. With them only user, password and database of `url` count. Default none.
    #[serde(default)]
    pub sentinels: Vec<SecretString>,
    /// What the Sentinels call the primary. Default `reserveflow`.
    #[serde(default = "default_primary")]
    pub primary: String,
    /// URLs of nodes of a cluster, of which one has to be there; `url` does not count then. Default none.
    #[serde(default)]
    pub cluster: Vec<SecretString>,
}

impl Default for Redis {
    fn default() -> Self {
        Redis {
            url: None,
            sentinels: Vec::new(),
            primary: default_primary(),
            cluster: Vec::new(),
        }
    }
}

impl Redis {
    /// Whether there is a Redis, without a private one.
    pub fn is_given(&self) -> bool {
        let url = self.url.as_ref().map(|url| url.expose_secret());
        url.is_some_and(|url| !url.is_empty())
            || !self.sentinels.is_empty()
            || !self.cluster.is_empty()
    }

    /// Where it is; `url` is what counts where one server was meant.
    pub fn site(&self, url: &str) -> Site {
        let exposed = |urls: &[SecretString]| {
            let urls = urls.iter().map(|url| url.expose_secret().to_owned());
            urls.collect::<Vec<_>>()
        };
        if !self.cluster.is_empty() {
            return Site::Cluster(exposed(&self.cluster));
        }
        if self.sentinels.is_empty() {
            return Site::One(url.to_owned());
        }
        Site::Sentinel {
            sentinels: exposed(&self.sentinels),
            primary: self.primary.clone(),
            login: Some(url.to_owned()).filter(|url| !url.is_empty()),
        }
    }
}

/// One aggregator's callbacks. Every proof of origin that is set has to be there; production wants two kinds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregatorConfig {
    /// The last part of its callback URLs. Two at once while one is being replaced.
    pub tokens: Vec<SecretString>,
    /// The addresses that it calls from. Default any.
    #[serde(default)]
    pub allow: Vec<Block>,
    /// What it signs in with by HTTP Basic. Two at once while one is being replaced. Default nothing.
    #[serde(default)]
    pub basic: Vec<Basic>,
    /// ISO codes of the countries that it is contracted for. Default any.
    #[serde(default)]
    pub countries: Vec<String>,
    /// More settings, by names that the aggregator's file documents.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// Options may hold credentials: their names only.
impl fmt::Debug for AggregatorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregatorConfig")
            .field("tokens", &self.tokens)
            .field("allow", &self.allow)
            .field("basic", &self.basic)
            .field("countries", &self.countries)
            .field("options", &self.options.keys())
            .finish()
    }
}

/// A name and password.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Without a colon.
    pub username: String,
    /// At least 16 characters in production.
    pub password: SecretString,
}

/// How SMS leave.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsConfig {
    /// The provider that sends everything, in short for one route. Default `sandbox`, unless there are routes.
    pub route: Option<String>,
    /// The ways that messages take: the first one for a number, the next ones as its spares.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// The accounts, by the provider's name; its file in `src/sms` documents each setting.
    #[serde(default)]
    pub providers: BTreeMap<String, sms::Account>,
    /// How providers write message ids, by the provider's name, where answers and reports differ.
    #[serde(default)]
    pub ids: BTreeMap<String, Ids>,
    /// What SMS may cost, by the ISO code of the country; `other` for those that are not served.
    #[serde(default)]
    pub budgets: BTreeMap<String, Budget>,
}

/// Bounds of `per_second`.
const PER_SECOND: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

impl SmsConfig {
    fn routes(&self) -> Vec<RouteConfig> {
        if !self.routes.is_empty() {
            return self.routes.clone();
        }
        vec![RouteConfig {
            provider: self
                .route
                .clone()
                .unwrap_or_else(|| sandbox::NAME.to_owned()),
            ..RouteConfig::default()
        }]
    }

    fn unsound(&self, links: &BTreeMap<String, LinkConfig>) -> Option<(String, String)> {
        let fault = |key: String, why: &str| Some((key, why.to_owned()));
        if self.route.is_some() && !self.routes.is_empty() {
            return fault(
                "sms.route".to_owned(),
                "and sms.routes are not set together",
            );
        }
        for (name, account) in &self.providers {
            let key = format!("sms.providers.{name}");
            let Some(provider) = sms::find(name) else {
                return fault(key, "is not a provider that is spoken");
            };
            if let Some((setting, why)) = account.unsound(provider.settings()) {
                return fault(format!("{key}.{setting}"), why);
            }
        }
        for name in self.ids.keys() {
            if sms::find(name).is_none() {
                return fault(
                    format!("sms.ids.{name}"),
                    "is not a provider that is spoken",
                );
            }
        }
        for (code, budget) in &self.budgets {
            let key = format!("sms.budgets.{code}");
            if Country::find(code).is_none() && code != OTHER {
                return fault(key, "is not a country of service, nor `other`");
            }
            if let Some(setting) = budget.unsound() {
                return fault(format!("{key}.{setting}"), "is at least 1");
            }
        }
        let mut names = BTreeSet::new();
        for (place, route) in self.routes().iter().enumerate() {
            let key = |field: &str| {
                if self.routes.is_empty() {
                    format!("sms.{field}")
                } else {
                    format!("sms.routes[{place}].{field}")
                }
            };
            if route.provider != sandbox::NAME && !links.contains_key(&route.provider) {
                let Some(provider) = sms::find(&route.provider) else {
                    return fault(key("provider"), "is not a provider that is spoken");
                };
                if !self.providers.contains_key(&route.provider) {
                    return fault(
                        format!("sms.providers.{}", route.provider),
                        "is needed by a route",
                    );
                }
                if provider.settings().sender_needed && route.sender.is_none() {
                    return fault(key("sender"), "is needed by this provider");
                }
            }
            let unserved = |code: &&String| Country::find(code).is_none();
            if route
                .countries
                .iter()
                .chain(route.senders.keys())
                .any(|code| unserved(&code))
            {
                return fault(key("countries"), "names a country that is not served");
            }
            let is_prefix = |prefix: &String| {
                let digits = prefix.strip_prefix('+').unwrap_or(prefix);
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            };
            if !route.prefixes.iter().all(is_prefix) {
                return fault(key("prefixes"), "needs digits, country code included");
            }
            if route
                .per_second
                .is_some_and(|rate| !PER_SECOND.contains(&rate))
            {
                return fault(key("per_second"), "is between 0.01 and 1000");
            }
            if !names.insert(route.name.clone().unwrap_or_else(|| route.provider.clone())) {
                return fault(key("name"), "is taken by another route");
            }
        }
        None
    }
}

fn default_public() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 8080))
}
fn default_private() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8081))
}
fn default_country() -> String {
    "KE".to_owned()
}
fn default_lanes() -> u8 {
    crate::db::lane::LaneSettings::default().lanes
}
fn default_primary() -> String {
    "reserveflow".to_owned()
}
fn default_pool() -> usize {
    8
}

/// A configuration that the service refuses to start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A value or key is not understood; the text is a picture of the line.
    #[error("{path}: {picture}")]
    Invalid {
        /// The file.
        path: String,
        /// Where and why.
        picture: String,
    },
    /// Two settings do not go together, or one is out of bounds.
    #[error("{path}: {key}: {why}")]
    Unsound {
        /// The file.
        path: String,
        /// The setting.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line and key.
    pub fn read(path: &std::path::Path) -> Result<Config, ConfigError> {
        let shown = path.display().to_string();
        let source = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: shown.clone(),
            source,
        })?;
        Config::parse(&source, &shown, std::env::vars().collect())
    }

    /// Reads the text of a file called `path`, `${…}` taken from `environment`.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line and key.
    pub fn parse(
        source: &str,
        path: &str,
        environment: HashMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let given = |name: &str| environment.get(name).cloned().map(SecretString::from);
        let (database, redis) = (given("DATABASE_URL"), given("REDIS_URL"));
        let options = serde_saphyr::options! { strict_booleans: true, property_syntax: PropertySyntax::DockerCompose }.with_properties(environment);
        let mut config: Config =
            serde_saphyr::from_str_with_options(source, options).map_err(|error| {
                ConfigError::Invalid {
                    path: path.to_owned(),
                    picture: error.to_string(),
                }
            })?;
        config.database.url = config.database.url.or(database);
        config.redis.url = config.redis.url.or(redis);
        match config.unsound() {
            Some((key, why)) => Err(ConfigError::Unsound {
                path: path.to_owned(),
                key,
                why,
            }),
            None => Ok(config),
        }
    }

    fn unsound(&self) -> Option<(String, String)> {
        let fault = |key: &str, why: &str| Some((key.to_owned(), why.to_owned()));
        if Country::find(&self.country).is_none() {
            return fault("country", "is not a country of service");
        }
        if self.service_codes.is_empty()
            || self.service_codes.iter().any(|code| !is_service_code(code))
        {
            return fault("service_codes", "needs at least one like *384*7#");
        }
        if let Some(why) = self.screens.iter().find_map(DoorConfig::unsound) {
            return fault("screens", &why);
        }
        if !(1..=64).contains(&self.database.lanes) {
            return fault("database.lanes", "is between 1 and 64");
        }
        if !(1..=200).contains(&self.database.pool) {
            return fault("database.pool", "is between 1 and 200");
        }
        if self.database.statements == Statements::Unnamed && self.database.direct_url.is_none() {
            return fault(
                "database.direct_url",
                "is needed with `statements: unnamed`: migrations do not go through a pooler",
            );
        }
        if !self.redis.cluster.is_empty() && !self.redis.sentinels.is_empty() {
            return fault("redis.cluster", "and redis.sentinels are not set together");
        }
        for (name, link) in &self.smpp {
            let key = format!("smpp.{name}");
            if !is_token(name) || ussd::find(name).is_some() || sms::find(name).is_some() {
                return fault(
                    &key,
                    "is a name of letters, digits, - and _ that no provider has",
                );
            }
            if name == sandbox::NAME {
                return fault(&key, "is the name of the provider that sends nothing");
            }
            if let Some((setting, why)) = link.unsound() {
                return fault(&format!("{key}.{setting}"), why);
            }
        }
        if let Some((key, why)) = self.api.unsound() {
            return fault(key, why);
        }
        if let Some(fault) = self.sms.unsound(&self.smpp) {
            return Some(fault);
        }
        if let Some((key, why)) = self.archive.unsound() {
            return fault(key, why);
        }
        let is_production = self.environment == Environment::Production;
        if let Some(fault) = self.payments.unsound(is_production) {
            return Some(fault);
        }
        let needs_url = |name: &&String| {
            payment::find(name).is_some_and(|provider| provider.settings().public_url_needed)
        };
        let paying = self.payments.providers.keys();
        if let Some(name) = paying.clone().find(needs_url)
            && !self.public_url.starts_with("http")
        {
            return fault(
                "public_url",
                &format!("is needed by {name} to post results to"),
            );
        }
        if let Some(name) = paying
            .clone()
            .find(|name| !self.aggregators.contains_key(*name))
        {
            return fault(
                &format!("aggregators.{name}"),
                "is needed: its callbacks have no token",
            );
        }
        let signs_urls = |name: &String| {
            sms::find(name).is_some_and(|provider| provider.settings().public_url_needed)
        };
        let signed = self.sms.providers.keys().find(|name| signs_urls(name));
        if let Some(name) = signed
            && !self.public_url.starts_with("http")
        {
            return fault(
                "public_url",
                &format!("is needed to check the signatures of {name}"),
            );
        }
        if self.environment == Environment::Production && self.simulator == Some(true) {
            return fault("simulator", "is refused in production");
        }
        self.aggregators.iter().find_map(|(name, aggregator)| {
            let (part, why) = self.unsound_aggregator(name, aggregator)?;
            fault(&format!("aggregators.{name}{part}"), why)
        })
    }

    /// The part of an aggregator's settings that is wrong, and why.
    fn unsound_aggregator(
        &self,
        name: &str,
        settings: &AggregatorConfig,
    ) -> Option<(&'static str, &'static str)> {
        let aggregator = ussd::find(name);
        let takes_money = payment::find(name).is_some();
        if aggregator.is_none() && sms::find(name).is_none() && !takes_money {
            return Some((
                "",
                "is neither an aggregator nor a provider of SMS or payments that is spoken",
            ));
        }
        let tokens = || settings.tokens.iter().map(|token| token.expose_secret());
        if tokens().next().is_none() || !tokens().all(is_token) {
            return Some((
                ".tokens",
                "needs at least one token of letters, digits, - and _",
            ));
        }
        let passwords = || {
            settings
                .basic
                .iter()
                .map(|basic| basic.password.expose_secret())
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains(':');
        if !settings.basic.iter().all(|basic| is_name(&basic.username))
            || passwords().any(str::is_empty)
        {
            return Some((".basic", "needs a username without a colon and a password"));
        }
        if settings
            .countries
            .iter()
            .any(|code| Country::find(code).is_none())
        {
            return Some((".countries", "has one that is not a country of service"));
        }
        if self.environment != Environment::Production {
            return None;
        }
        if tokens().any(|token| token.len() < TOKEN_CHARS_MIN) {
            return Some((
                ".tokens",
                "has a token too short to be unguessable: 32 characters at least",
            ));
        }
        if passwords().any(|password| password.chars().count() < PASSWORD_CHARS_MIN) {
            return Some((
                ".basic",
                "has a password too short to be unguessable: 16 characters at least",
            ));
        }
        let signed = || {
            let (settings, accounts) = match (sms::find(name), payment::find(name)) {
                (Some(provider), _) => (provider.settings(), &self.sms.providers),
                (None, Some(provider)) => (provider.settings(), &self.payments.providers),
                (None, None) => return None,
            };
            accounts.get(name)?.find(settings.signs_with?)
        };
        let carries = |aggregator: &dyn Aggregator| aggregator.has_credentials(&settings.options);
        let own = aggregator.is_some_and(carries) || signed().is_some();
        let wanting = authentic::factors(settings, own) < FACTORS_MIN;
        if wanting {
            return Some((
                "",
                "needs a second proof of origin beside its token in production: allow, basic, or the secret of its signatures",
            ));
        }
        None
    }

    /// The countries that an aggregator is contracted for; none named means any.
    pub fn contracted(&self, aggregator: &str) -> Vec<&'static Country> {
        let settings = self.aggregators.get(aggregator);
        let link = self.smpp.get(aggregator);
        let codes = settings
            .map(|settings| &settings.countries[..])
            .or_else(|| Some(&link?.ussd.as_ref()?.countries[..]));
        let codes = codes.unwrap_or_default().iter();
        codes.filter_map(|code| Country::find(code)).collect()
    }

    /// What each aggregator's file has to know.
    pub fn accounts(&self) -> BTreeMap<String, Account> {
        let account = |name: &String, aggregator: &AggregatorConfig| Account {
            service_codes: self.service_codes.clone(),
            country: self.home(),
            url: format!(
                "{}/ussd/{name}/{}",
                self.public_url,
                aggregator
                    .tokens
                    .first()
                    .map_or("", |token| token.expose_secret())
            ),
            options: aggregator.options.clone(),
        };
        self.aggregators
            .iter()
            .map(|(name, aggregator)| (name.clone(), account(name, aggregator)))
            .collect()
    }

    /// The country set.
    pub fn home(&self) -> &'static Country {
        Country::find(&self.country).unwrap_or(&crate::country::COUNTRIES[0])
    }

    /// The SMSCs, none of them connected yet.
    pub fn links(&self) -> Links {
        let link = |name: &String, config: &LinkConfig| {
            let ussd = config.ussd.as_ref().map(|ussd| Account {
                service_codes: self.service_codes.clone(),
                country: self.home(),
                url: String::new(),
                options: ussd
                    .options(name, config.alphabet)
                    .into_iter()
                    .map(|(option, value)| (option.to_owned(), value))
                    .collect(),
            });
            Arc::new(Link::new(name, config.clone(), ussd))
        };
        let links = self.smpp.iter();
        links
            .map(|(name, config)| (name.clone(), link(name, config)))
            .collect()
    }

    /// The ways that messages take.
    pub fn routes(&self, links: &Links) -> Routes {
        let routes = self.sms.routes().into_iter().map(|route| {
            let account = self.sms.providers.get(&route.provider);
            let http = sms::find(&route.provider).zip(account);
            let carrier = match (links.get(&route.provider), http) {
                (Some(link), _) => Carrier::Smpp(link.clone()),
                (None, Some((provider, account))) => Carrier::http(provider, account.clone()),
                (None, None) => Carrier::Sandbox,
            };
            let report_url = self.report_url(&route.provider);
            let ids = self.ids(&route.provider);
            Route::new(route, carrier, report_url, ids)
        });
        Routes::new(routes.collect()).within(Budgets::new(&self.sms.budgets))
    }

    /// How a provider writes message ids.
    pub fn ids(&self, provider: &str) -> Ids {
        let link = self.smpp.get(provider).map(|link| link.ids);
        let ids = link.or_else(|| self.sms.ids.get(provider).copied());
        ids.unwrap_or_default()
    }

    /// Where a provider is to send delivery reports, if it can reach us.
    fn report_url(&self, provider: &str) -> Option<String> {
        let token = self.aggregators.get(provider)?.tokens.first()?;
        (!self.public_url.is_empty()).then(|| {
            format!(
                "{}/sms/{provider}/{}/delivery",
                self.public_url,
                token.expose_secret()
            )
        })
    }

    /// Whether lodges that want money before the stay can be offered.
    pub fn takes_money(&self) -> bool {
        self.payments.sandbox || !self.payments.providers.is_empty()
    }

    /// Whether the phone on the private address is there.
    pub fn simulator(&self) -> bool {
        self.simulator
            .unwrap_or(self.environment == Environment::Development)
    }
}

fn is_service_code(code: &str) -> bool {
    code.len() > 2
        && code.starts_with('*')
        && code.ends_with('#')
        && code
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'*' | b'#'))
}

fn is_token(token: &str) -> bool {
    !token.is_empty()
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    const LEAST: &str = "care_phone: \"+254700000000\"\nservice_codes: [\"*384*7#\"]\n";

    fn parse(more: &str) -> Result<Config, ConfigError> {
        let environment = [("SECRET".to_owned(), "postgres://user:hush@db/x".to_owned())].into();
        Config::parse(&format!("{LEAST}{more}"), "test.yaml", environment)
    }

    #[test]
    fn the_least_is_enough_and_the_sample_is_sound() {
        assert_eq!(parse("").unwrap().database.pool, 8);
        let sample = std::fs::read_to_string("deploy/reserveflow.yaml").unwrap();
        Config::parse(&sample, "deploy/reserveflow.yaml", HashMap::new()).unwrap();
    }

    #[test]
    fn the_example_of_the_readme_starts() {
        let readme = std::fs::read_to_string("README.md").unwrap();
        let (_, example) = readme.split_once("```yaml\n").unwrap();
        let (example, _) = example.split_once("   ```").unwrap();
        let environment = [
            "DATABASE_URL",
            "REDIS_URL",
            "AFRICASTALKING_TOKEN",
            "AFRICASTALKING_API_KEY",
        ]
        .map(|name| {
            (
                name.to_owned(),
                "0123456789abcdef0123456789abcdef".to_owned(),
            )
        });
        Config::parse(example, "README.md", environment.into()).unwrap();
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (more, expected) in [
            ("databse: {}\n", "databse"),
            ("database: { pol: 3 }\n", "pol"),
            ("database: { pool: many }\n", "many"),
            ("database: { isolation: chaos }\n", "chaos"),
            ("database: { pool: 0 }\n", "database.pool"),
            ("database: { lanes: 0 }\n", "database.lanes"),
            ("public: nowhere\n", "test.yaml"),
            ("country: XX\n", "country"),
            (
                "aggregators: { nobody: { tokens: [a] } }\n",
                "aggregators.nobody",
            ),
            (
                "aggregators: { africastalking: { tokens: [] } }\n",
                "aggregators.africastalking.tokens",
            ),
            (
                "environment: production\naggregators: { africastalking: { tokens: [demo] } }\n",
                "too short",
            ),
            ("environment: production\nsimulator: true\n", "simulator"),
            ("trusted_proxies: [10.0.0.1/8]\n", "behind the prefix"),
            ("trusted_proxies: [0.0.0.0/0]\n", "too wide"),
            (
                "aggregators: { truroute: { tokens: [a], allow: [here] } }\n",
                "is not a block",
            ),
            (
                "aggregators: { truroute: { tokens: [a], basic: [{ username: \"a:b\", password: x }] } }\n",
                "aggregators.truroute.basic",
            ),
            (
                "aggregators: { truroute: { tokens: [a], basic: [{ username: a, password: \"\" }] } }\n",
                "aggregators.truroute.basic",
            ),
            (
                "aggregators: { truroute: { tokens: [a], countries: [XX] } }\n",
                "aggregators.truroute.countries",
            ),
            (
                "smpp: { hubtel: { address: \"a:1\", system_id: a, password: b } }\n",
                "smpp.hubtel",
            ),
            (
                "smpp: { x: { address: a, system_id: a, password: b } }\n",
                "smpp.x.address",
            ),
            (
                "smpp: { x: { address: \"a:1\", system_id: a, password: \"123456789\" } }\n",
                "smpp.x.password",
            ),
            (
                "smpp: { x: { address: \"a:1\", system_id: a, password: b, tls_roots: ca.pem } }\n",
                "smpp.x.tls_roots",
            ),
            (
                "smpp: { x: { address: \"a:1\", system_id: a, password: b, window: 0 } }\n",
                "smpp.x.window",
            ),
            (
                "smpp: { x: { address: \"a:1\", system_id: a, password: b, ussd: { countries: [XX] } } }\n",
                "smpp.x.ussd.countries",
            ),
            (
                "sms: { route: africastalking }\n",
                "sms.providers.africastalking",
            ),
            ("sms: { route: nobody }\n", "sms.provider"),
            (
                "sms: { providers: { africastalking: { username: a } } }\n",
                "sms.providers.africastalking.api_key",
            ),
            (
                "sms: { providers: { africastalking: { username: a, api_key: b, apikey: c } } }\n",
                "sms.providers.africastalking.apikey",
            ),
            (
                "sms: { providers: { nobody: {} } }\n",
                "sms.providers.nobody",
            ),
            ("sms: { ids: { nobody: {} } }\n", "sms.ids.nobody"),
            (
                "sms: { routes: [{ provider: sandbox, countries: [XX] }] }\n",
                "sms.routes[0].countries",
            ),
            (
                "sms: { routes: [{ provider: sandbox, prefixes: [abc] }] }\n",
                "sms.routes[0].prefixes",
            ),
            (
                "sms: { routes: [{ provider: sandbox, per_second: 0 }] }\n",
                "sms.routes[0].per_second",
            ),
            (
                "sms: { routes: [{ provider: sandbox }, { provider: sandbox }] }\n",
                "sms.routes[1].name",
            ),
            ("sms: { budgets: { XX: { hour: 5 } } }\n", "sms.budgets.XX"),
            (
                "sms: { budgets: { KE: { part: 0 } } }\n",
                "sms.budgets.KE.part",
            ),
            (
                "sms: { route: sandbox, routes: [{ provider: sandbox }] }\n",
                "sms.route",
            ),
            ("archive: { keep_months: 0 }\n", "archive.keep_months"),
            (
                "archive: { to: ./cold, s3: { region: eu-west-1 } }\n",
                "archive.s3",
            ),
        ] {
            let error = parse(more).unwrap_err().to_string();
            assert!(error.contains(expected), "{more} gave {error}");
        }
        let line = parse("database: { pol: 3 }\n").unwrap_err().to_string();
        assert!(line.contains("3:"), "{line}");
    }

    #[test]
    fn stores_of_the_environment_are_used_unless_the_file_names_others() {
        let environment =
            || -> HashMap<_, _> { [("DATABASE_URL".to_owned(), "host=db".to_owned())].into() };
        let url = |source: &str| {
            let config = Config::parse(source, "test.yaml", environment()).unwrap();
            config.database.url.unwrap().expose_secret().to_owned()
        };
        assert_eq!(url(LEAST), "host=db");
        assert_eq!(
            url(&format!("{LEAST}database: {{ url: host=own }}\n")),
            "host=own"
        );
    }

    #[test]
    fn production_wants_two_proofs_of_origin() {
        let token = "0123456789abcdef0123456789abcdef";
        let production = |name: &str, more: &str| {
            parse(&format!(
                "environment: production\naggregators: {{ {name}: {{ tokens: [{token}]{more} }} }}\n"
            ))
        };
        let own = "options: { userid: u, password: 0123456789abcdef }";
        for (name, more, expected) in [
            ("africastalking", "", Some("second proof")),
            ("africastalking", ", allow: []", Some("second proof")),
            ("africastalking", ", allow: [196.201.214.0/24]", None),
            (
                "truroute",
                ", basic: [{ username: a, password: short }]",
                Some("too short"),
            ),
            (
                "truroute",
                ", basic: [{ username: a, password: 0123456789abcdef }]",
                None,
            ),
            ("airtel_flares", &format!(", {own}"), None),
            (
                "airtel_flares",
                ", options: { userid: u }",
                Some("second proof"),
            ),
            (
                "airtel_flares",
                ", options: { userid: u, password: short }",
                Some("second proof"),
            ),
            ("truroute", &format!(", {own}"), Some("second proof")),
            // Who writes an SMS books and cancels by it: those who post them are no exception.
            ("infobip", "", Some("second proof")),
            ("infobip", ", allow: [192.0.2.0/24]", None),
            ("jasmin", "", Some("second proof")),
            (
                "jasmin",
                ", basic: [{ username: a, password: 0123456789abcdef }]",
                None,
            ),
        ] {
            let refused = production(name, more).err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(refused, None, "{name} {more}"),
                Some(why) => assert!(refused.unwrap().contains(why), "{name} {more}"),
            }
        }
        assert!(
            parse(&format!(
                "aggregators: {{ truroute: {{ tokens: [{token}] }} }}\n"
            ))
            .is_ok()
        );
        // A signature is a proof, if there is a secret to check it with.
        let termii = |secret: &str| {
            parse(&format!(
                "environment: production\naggregators: {{ termii: {{ tokens: [{token}] }} }}\n\
                 sms: {{ providers: {{ termii: {{ base_url: a, api_key: b{secret} }} }} }}\n"
            ))
        };
        assert!(termii("").is_err());
        termii(", secret_key: c").unwrap();
    }

    #[test]
    fn neither_config_nor_account_prints_a_secret() {
        let config = parse(
            "aggregators: { airtel_flares: { tokens: [hush1], basic: [{ username: a, password: hush2 }], options: { password: hush3 } } }\n\
             smpp: { x: { address: \"a:1\", system_id: a, password: hush4 } }\n",
        )
        .unwrap();
        for printed in [format!("{config:?}"), format!("{:?}", config.accounts())] {
            assert!(
                printed.contains("airtel_flares") && !printed.contains("hush"),
                "{printed}"
            );
        }
    }

    #[test]
    fn secrets_come_from_the_environment_and_are_not_printed() {
        let config = parse("database: { url: \"${SECRET}\" }\n").unwrap();
        assert_eq!(
            config.database.url.as_ref().unwrap().expose_secret(),
            "postgres://user:hush@db/x"
        );
        assert!(!format!("{config:?}").contains("hush"));
    }
}
