//! Everything a request needs, built once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Days, NaiveDate, Timelike, Utc};
use deadpool_postgres::Pool;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::books::Books;
use crate::breaker::Breaker;
use crate::chance::Chance;
use crate::config::Config;
use crate::country::Country;
use crate::db::DbError;
use crate::doors::Doors;
use crate::funnel::Funnel;
use crate::menu::date::weekend;
use crate::menu::input::Reader;
use crate::menu::language::Language;
use crate::menu::messages::Message;
use crate::menu::value::{Value, Values};
use crate::menu::{Menu, Menus};
use crate::payment::away::Breakers;
use crate::phone::Msisdn;
use crate::places::{Gazetteer, Place, PlaceKind};
use crate::session::coalesce::Flights;
use crate::session::error::TurnError;
use crate::session::given::{Given, Whom};
use crate::session::keeper::Keeper;
use crate::session::limits::Limits;
use crate::session::menus::LiveMenus;
use crate::session::search::Searches;
use crate::session::store::{Identity, Receipt, SessionKey, Store};
use crate::smpp::Links;
use crate::sms::route::Routes;
use crate::spool::Spool;
use crate::traffic::Traffic;
use crate::ussd::Account;

/// Callers whose language is remembered by this instance.
const LANGUAGES_MAX: u64 = 50_000;
/// Before this hour "tonight" may mean the night that is passing. Source: field practice, hotels count it to the day before.
pub const SMALL_HOURS_END: u32 = 5;

/// The service.
pub struct App {
    /// Settings.
    pub config: Config,
    /// SMSCs; whoever starts the service puts them here.
    pub links: Links,
    /// Where messages leave; whoever starts the service puts them here.
    pub sms: Arc<Routes>,
    /// Of each aggregator, by its name.
    pub accounts: BTreeMap<String, Account>,
    /// How much of a screen each shows.
    pub doors: Doors,
    /// What is said.
    pub menus: LiveMenus,
    /// Postgres, for the service's own upkeep.
    pub pool: Pool,
    /// Guests, stays and messages.
    pub books: Books,
    /// Whether they are asked on the way of a call.
    pub postgres: Breaker,
    /// Whether each payment provider is asked.
    pub payments: Breakers,
    /// Dialogues.
    pub store: Store,
    /// Searches of the last moments.
    pub searches: Searches,
    /// Reports that wait for the database.
    pub spool: Option<Spool>,
    /// Who may call how often.
    pub limits: Limits,
    /// Turns in flight: whether a finished one counts is for Redis to say.
    pub turns: Arc<Flights<(SessionKey, Identity), Receipt, TurnError>>,
    /// What aggregators have sent.
    pub traffic: Traffic,
    /// What is remembered of callers.
    pub keeper: Keeper,
    /// How far they come.
    pub funnel: Funnel,
    /// Rung when a message is waiting.
    pub outbox: Arc<Notify>,
    /// Tells the time; tests set it.
    pub clock: Clock,
    /// What is random in a dialogue.
    pub chance: Chance,
    gazetteer: RwLock<Arc<Gazetteer>>,
    given: Given,
    /// Of callers who chose another than their country's.
    languages: moka::sync::Cache<Msisdn, String>,
}

/// Where everything is kept.
pub struct Stores {
    /// Postgres, for the service's own upkeep.
    pub pool: Pool,
    /// Guests, stays and messages.
    pub books: Books,
    /// Dialogues.
    pub sessions: Store,
    /// Searches of the last moments.
    pub searches: Searches,
    /// Reports that wait for the database.
    pub spool: Option<Spool>,
}

/// Where the time comes from.
#[derive(Debug, Default, Clone, Copy)]
pub enum Clock {
    /// The machine.
    #[default]
    System,
    /// Always this moment.
    Fixed(DateTime<Utc>),
    /// This moment at the start, and then as time passes for the runtime, whose clock may be its own.
    Running {
        /// The moment.
        from: DateTime<Utc>,
        /// When it was that.
        start: Instant,
    },
}

impl Clock {
    /// The moment.
    pub fn now(self) -> DateTime<Utc> {
        match self {
            Clock::System => Utc::now(),
            Clock::Fixed(moment) => moment,
            Clock::Running { from, start } => from + start.elapsed(),
        }
    }
}

/// A day and an hour somewhere.
#[derive(Debug, Clone, Copy)]
pub struct LocalTime {
    /// Calendar date.
    pub today: NaiveDate,
    /// Whether "tonight" may still mean last night.
    pub after_midnight: bool,
}

impl App {
    /// Puts the parts together; nothing is connected yet.
    pub fn new(
        config: Config,
        menus: LiveMenus,
        stores: Stores,
        outbox: Arc<Notify>,
        clock: Clock,
        chance: Chance,
    ) -> App {
        let limits = Limits::new(&config.limits);
        App {
            accounts: config.accounts(),
            doors: Doors::new(&config.screens),
            payments: Breakers::new(&config.payments.providers),
            config,
            links: Links::new(),
            sms: Arc::new(Routes::new(Vec::new())),
            menus,
            pool: stores.pool,
            books: stores.books,
            postgres: Breaker::new("postgres"),
            store: stores.sessions,
            searches: stores.searches,
            spool: stores.spool,
            limits,
            turns: Arc::default(),
            traffic: Traffic::default(),
            keeper: Keeper::default(),
            funnel: Funnel::default(),
            outbox,
            clock,
            chance,
            languages: moka::sync::Cache::new(LANGUAGES_MAX),
            given: Given::default(),
            gazetteer: RwLock::new(Arc::new(Gazetteer::new(Vec::new()))),
        }
    }

    /// Every place that can be named.
    pub fn gazetteer(&self) -> Arc<Gazetteer> {
        self.gazetteer
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the places again.
    ///
    /// # Errors
    /// [`DbError`]; the places known before stay.
    pub async fn load_places(&self) -> Result<(), DbError> {
        let rows = self.books.list_places().await?;
        let places = rows.into_iter().filter_map(|row| {
            let kind = PlaceKind::find(&row.kind)?;
            Some(Place {
                id: row.place_id,
                kind,
                town: row.town,
                name: row.name,
                country: row.country,
                region: row.region,
                popularity: row.popularity,
                aliases: row.aliases,
            })
        });
        let gazetteer = Arc::new(Gazetteer::new(places.collect()));
        *self
            .gazetteer
            .write()
            .unwrap_or_else(PoisonError::into_inner) = gazetteer;
        Ok(())
    }

    /// The caller's country, the service's own for numbers from elsewhere.
    pub fn country(&self, msisdn: &Msisdn) -> &'static Country {
        msisdn.country().unwrap_or_else(|| self.config.home())
    }

    /// The language that a caller was last seen to speak here, the country's default for others.
    pub fn language_of(&self, menu: &Menu, msisdn: &Msisdn, country: &Country) -> String {
        self.languages.get(msisdn).map_or_else(
            || menu.default_language(country).to_owned(),
            |code| self.spoken(menu, &code, country),
        )
    }

    /// Takes note of what a caller speaks: texts that end a dialogue in trouble are in it, whatever store is away.
    pub fn hears(&self, menu: &Menu, msisdn: &Msisdn, language: &str, country: &Country) {
        if language != menu.default_language(country) {
            self.languages.insert(msisdn.clone(), language.to_owned());
        } else if self.languages.contains_key(msisdn) {
            self.languages.invalidate(msisdn);
        }
    }

    /// What is spoken to somebody who chose `code`: that, or the country's default where `menu` has lost it.
    pub fn spoken(&self, menu: &Menu, code: &str, country: &Country) -> String {
        if menu.speaks(code) {
            return code.to_owned();
        }
        text_is_missing(code);
        menu.default_language(country).to_owned()
    }

    /// Day and hour in a country.
    pub fn local_time(&self, country: &Country) -> LocalTime {
        let local = self.clock.now().with_timezone(&country.time_zone);
        LocalTime {
            today: local.date_naive(),
            after_midnight: local.hour() < SMALL_HOURS_END,
        }
    }

    /// What every text can show.
    pub fn given(
        &self,
        menus: &Arc<Menus>,
        country: &'static Country,
        service_code: &str,
    ) -> Arc<Values> {
        let whom = Whom {
            menus,
            country,
            service_code,
            today: self.local_time(country).today,
        };
        self.given.find(whom, || self.give(whom))
    }

    fn give(&self, whom: Whom<'_>) -> Values {
        let Whom { country, today, .. } = whom;
        let languages = whom.menus.menu.names_spoken_in(country);
        [
            ("today", Value::Date(today)),
            ("tomorrow", Value::Date(today + Days::new(1))),
            ("yesterday", Value::Date(today - Days::new(1))),
            ("weekend", Value::Date(weekend(today))),
            ("service_code", Value::text(whom.service_code)),
            ("care_phone", Value::text(self.config.care_phone.as_str())),
            ("country", Value::text(country.code)),
            ("languages", Value::Text(languages)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// How to read what a caller types.
    pub fn reader<'a>(
        &self,
        menu: &'a Menu,
        language: &str,
        country: &'static Country,
    ) -> Reader<'a> {
        let own = menu.language(language);
        let others = menu.languages.iter().filter(|other| other.code != own.code);
        Reader {
            languages: std::iter::once(own).chain(others).collect(),
            today: self.local_time(country).today,
            country,
        }
    }

    /// The short code that texts teach.
    pub fn service_code(&self) -> &str {
        &self.config.service_codes[0]
    }

    /// A text outside of the flow, in the words of the current version.
    pub fn say(
        &self,
        message: Message,
        language: &Language,
        item: Option<&Value>,
        country: &'static Country,
    ) -> String {
        let menus = self.menus.current();
        let language = if menus.messages.says(message, &language.code) {
            language
        } else {
            text_is_missing(&language.code);
            let menu = &menus.menu;
            menu.language(menu.default_language(country))
        };
        let given = self.given(&menus, country, self.service_code());
        menus.messages.say(message, language, item, &given)
    }
}

/// Counts what was said in another language than the caller's.
pub fn text_is_missing(language: &str) {
    metrics::counter!("menu_texts_missing_total", "language" => language.to_owned()).increment(1);
}
