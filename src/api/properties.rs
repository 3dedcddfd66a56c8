//! `GET /v1/properties` and `GET /v1/properties/{property_id}`: properties with a month of their calendars.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Enveloped};
use super::keys::{Key, Scope};
use super::paging::{Cursor, PAGE_MAX, words};
use super::problem::Problem;
use super::property::{FIELDS, INCLUDES, Property};
use super::window::{Window, cache_ttl};
use crate::app::App;
use crate::booking::stay::{GUESTS_MAX, NIGHTS_MAX, Stay};
use crate::db::catalogue::properties::{self, Near, Wanted};
use crate::db::patience::{ASK_MAX, within};
use crate::places::{Place, PlaceKind};

/// Which properties, and what of them.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PropertiesQuery {
    /// A town, by its id or its name.
    #[param(example = "ke-nakuru")]
    town: Option<String>,
    /// An area, landmark or stage, by its id or its name.
    area: Option<String>,
    /// The nearest first: to a place, by its id or its name, or to a point, `-0.3031,36.08`.
    near: Option<String>,
    /// Only what is free for a stay from this night on; then the cheapest first.
    check_in: Option<NaiveDate>,
    /// How many nights it is; 1 where it is not said.
    #[param(minimum = 1, maximum = 30)]
    nights: Option<u8>,
    /// How many people sleep in one unit.
    #[param(minimum = 1, maximum = 12)]
    guests: Option<u8>,
    /// Of a night, in whole units of the property's currency.
    #[param(minimum = 0, maximum = 1000000000)]
    max_price: Option<i64>,
    /// `next` of the page before.
    page: Option<String>,
    /// At most so many on a page; 50 where it is not said.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<u8>,
    /// The calendar's first night; `check_in`, or today, where it is not said.
    from: Option<NaiveDate>,
    /// How many nights the calendar has; 30 where it is not said.
    #[param(minimum = 1, maximum = 62)]
    days: Option<u8>,
    /// What comes with each: `calendar`, `host`, `place`, `policies`, separated by commas; `calendar` where it is not said.
    include: Option<String>,
    /// Only these members of each, separated by commas.
    fields: Option<String>,
}

/// What is shown of a property.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShownQuery {
    /// The calendar's first night; today where it is not said.
    pub(super) from: Option<NaiveDate>,
    /// How many nights the calendar has; 30 where it is not said.
    #[param(minimum = 1, maximum = 62)]
    pub(super) days: Option<u8>,
    /// What comes with each: `calendar`, `host`, `place`, `policies`, separated by commas; `calendar` where it is not said.
    pub(super) include: Option<String>,
    /// Only these members of each, separated by commas.
    pub(super) fields: Option<String>,
}

/// A page of properties.
#[derive(Debug, Serialize, ToSchema)]
pub struct Properties {
    /// At most 50.
    #[schema(value_type = Vec<Property>)]
    pub properties: Vec<Value>,
    /// Ask for `page=` this for more; null on the last page.
    pub next: Option<String>,
}

/// Answers with a page.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties", operation_id = "list_properties", tag = "catalogue", params(PropertiesQuery),
    responses((status = 200, description = "As it is now", body = Enveloped<Properties>)))]
pub async fn list(
    api: Data<Api>,
    key: Key,
    query: Query<PropertiesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Read)?;
    let page = Page::read(&api.app, query.into_inner())?;
    let name = format!("properties {page:?}");
    let app = api.app.clone();
    let answer = api.share(name, async move { page.ask(&app).await });
    Ok(answer.await?.send(&request, api.app.clock.now()))
}

/// Answers with one property.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/properties/{property_id}", operation_id = "find_property", tag = "catalogue", params(("property_id" = String, Path, description = "`prop_…`"), ShownQuery),
    responses((status = 200, description = "As it is now", body = Enveloped<Property>)))]
pub async fn find(
    api: Data<Api>,
    key: Key,
    property_id: Path<String>,
    query: Query<ShownQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Read)?;
    let today = api.app.local_time(api.app.config.home()).today;
    let shown = Shown::read(&query, today)?;
    let property_id = property_id.into_inner();
    let name = format!("property {property_id} {shown:?}");
    let app = api.app.clone();
    let answer = api.share(name, async move {
        let at = app.clock.now();
        let ids = [property_id.as_str()];
        let nights = shown.window.nights();
        let ask = async { properties::find_properties(&app.pool.get().await?, &ids, nights).await };
        let found = within(&app.postgres, ASK_MAX, ask).await?;
        let row = found.properties.into_iter().next();
        let property = Property::new(row.ok_or_else(Problem::not_found)?, &shown.includes, None);
        let json = property.json(shown.fields.as_deref())?;
        Answer::new(&json, at, property.version, cache_ttl(shown.window, today))
    });
    Ok(answer.await?.send(&request, api.app.clock.now()))
}

/// What of each property.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) window: Window,
    pub(super) includes: Vec<&'static str>,
    pub(super) fields: Option<Vec<&'static str>>,
}

impl Shown {
    pub(super) fn read(query: &ShownQuery, today: NaiveDate) -> Result<Shown, Problem> {
        let includes = given(query.include.as_ref());
        let fields = given(query.fields.as_ref());
        Ok(Shown {
            window: Window::read(query.from, query.days, today)?,
            includes: match includes {
                Some(list) => words("include", list, &INCLUDES)?,
                None => vec!["calendar"],
            },
            fields: fields
                .map(|list| words("fields", list, &FIELDS))
                .transpose()?,
        })
    }
}

/// What is asked for, understood. Its `Debug` form names it among the shared reads.
#[derive(Debug)]
struct Page {
    today: NaiveDate,
    town: Option<String>,
    area: Option<String>,
    near: Option<NearTo>,
    stay: Option<Stay>,
    guests: Option<u8>,
    price_max: Option<i64>,
    after: Option<Cursor>,
    limit: u8,
    shown: Shown,
}

#[derive(Debug)]
enum NearTo {
    Place(String),
    Point(f64, f64),
}

impl Page {
    fn read(app: &App, query: PropertiesQuery) -> Result<Page, Problem> {
        let today = app.local_time(app.config.home()).today;
        let place = |parameter: &'static str, typed: &Option<String>| {
            given(typed.as_ref())
                .map(|typed| find_place(app, parameter, typed, |_| true))
                .transpose()
        };
        let town = given(query.town.as_ref())
            .map(|town| find_town(app, town))
            .transpose()?;
        let area = place("area", &query.area)?;
        let near = match given(query.near.as_ref()) {
            None => None,
            Some(text) => Some(match point(text) {
                Some((latitude, longitude)) => NearTo::Point(latitude, longitude),
                None => {
                    let place = place("near", &query.near)?;
                    NearTo::Place(place.map(|place| place.id).unwrap_or_default())
                }
            }),
        };
        let stay = match query.check_in {
            None => None,
            Some(check_in) => Some(stay(check_in, query.nights.unwrap_or(1), today)?),
        };
        within_bounds("nights", query.nights, NIGHTS_MAX)?;
        within_bounds("guests", query.guests, GUESTS_MAX)?;
        within_bounds("limit", query.limit, PAGE_MAX)?;
        if query
            .max_price
            .is_some_and(|price| !PRICES.contains(&price))
        {
            return Err(Problem::bad_request(
                "max_price: is between 0 and 1000000000",
            ));
        }
        let page = given(query.page.as_ref());
        let shown = ShownQuery {
            from: query.from.or(query.check_in),
            days: query.days,
            include: query.include,
            fields: query.fields,
        };
        Ok(Page {
            today,
            town: town.map(|town| town.id),
            area: area.map(|area| area.id),
            near,
            stay,
            guests: query.guests,
            price_max: query.max_price,
            after: page.map(Cursor::read).transpose()?,
            limit: query.limit.unwrap_or(PAGE_MAX),
            shown: Shown::read(&shown, today)?,
        })
    }

    fn wanted(&self, app: &App) -> Wanted<'_> {
        let after = self.after.as_ref();
        Wanted {
            nights: self.shown.window.nights(),
            town: self.town.as_deref(),
            area: self.area.as_deref(),
            near: self.near.as_ref().map(|near| match near {
                NearTo::Place(id) => Near::Place(id),
                NearTo::Point(latitude, longitude) => Near::Point(*latitude, *longitude),
            }),
            stay: self.stay,
            prepaid: app.config.takes_money(),
            guests: self.guests,
            price_max: self.price_max,
            after: after.map(|cursor| (cursor.rank, cursor.id.as_str())),
            // One more than shown tells whether there is another page.
            limit: i64::from(self.limit) + 1,
        }
    }

    async fn ask(&self, app: &App) -> Result<Answer, Problem> {
        let at = app.clock.now();
        let (properties, version) = self.find(app).await?;
        let ttl = cache_ttl(self.shown.window, self.today);
        Answer::new(&properties, at, version, ttl)
    }

    async fn find(&self, app: &App) -> Result<(Properties, i64), Problem> {
        let wanted = self.wanted(app);
        let ask = async { properties::list_properties(&app.pool.get().await?, &wanted).await };
        let mut found = within(&app.postgres, ASK_MAX, ask).await?;
        let is_more = found.properties.len() > usize::from(self.limit);
        found.properties.truncate(self.limit.into());
        let last = found.properties.last().filter(|_| is_more);
        let next = last.map(|row| {
            let (rank, id) = (row.rank, row.short_id.clone());
            Cursor { rank, id }.write()
        });
        let shown = &self.shown;
        let properties = found
            .properties
            .into_iter()
            .map(|row| Property::new(row, &shown.includes, self.stay).json(shown.fields.as_deref()))
            .collect::<Result<_, _>>()?;
        Ok((Properties { properties, next }, found.version))
    }
}

/// The first page of all properties, or of a town's, with its version.
pub(super) async fn all_of(
    app: &App,
    town: Option<String>,
    shown: Shown,
    today: NaiveDate,
) -> Result<(Properties, i64), Problem> {
    let page = Page {
        today,
        town,
        area: None,
        near: None,
        stay: None,
        guests: None,
        price_max: None,
        after: None,
        limit: PAGE_MAX,
        shown,
    };
    page.find(app).await
}

/// The town with this id or name.
pub(super) fn find_town(app: &App, typed: &str) -> Result<Place, Problem> {
    find_place(app, "town", typed, |place| place.kind == PlaceKind::Town)
}

fn find_place(
    app: &App,
    parameter: &'static str,
    typed: &str,
    fits: impl Fn(&Place) -> bool,
) -> Result<Place, Problem> {
    let gazetteer = app.gazetteer();
    let by_id = gazetteer.find(typed).filter(|place| fits(place));
    let found = by_id.or_else(|| {
        let meant = gazetteer.search(typed, Some(app.config.home().code));
        meant.into_iter().find(|place| fits(place))
    });
    found.cloned().ok_or_else(|| unknown_place(parameter))
}

const PRICES: std::ops::RangeInclusive<i64> = 0..=1_000_000_000;

fn within_bounds(parameter: &str, given: Option<u8>, most: u8) -> Result<(), Problem> {
    if given.is_some_and(|given| !(1..=most).contains(&given)) {
        let detail = format!("{parameter}: is between 1 and {most}");
        return Err(Problem::bad_request(detail));
    }
    Ok(())
}

fn stay(check_in: NaiveDate, nights: u8, today: NaiveDate) -> Result<Stay, Problem> {
    let stay = Stay::new(check_in, nights);
    // The night that is passing can still be slept in.
    stay.filter(|_| check_in >= today - Days::new(1))
        .filter(|_| check_in <= today + Days::new(crate::booking::stay::ADVANCE_DAYS_MAX.into()))
        .ok_or_else(|| {
            Problem::bad_request("check_in: is from today to 365 days ahead, for 1 to 30 nights")
        })
}

/// Empty is as if it were not there.
pub(super) fn given(parameter: Option<&String>) -> Option<&str> {
    parameter
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

fn unknown_place(parameter: &'static str) -> Problem {
    Problem::new(
        actix_web::http::StatusCode::NOT_FOUND,
        "unknown_place",
        format!("{parameter}: no such place; GET /v1/places lists them"),
    )
    .with("parameter", parameter)
}

fn point(text: &str) -> Option<(f64, f64)> {
    let (latitude, longitude) = text.split_once(',')?;
    let (latitude, longitude): (f64, f64) = (
        latitude.trim().parse().ok()?,
        longitude.trim().parse().ok()?,
    );
    let is_on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    is_on_earth.then_some((latitude, longitude))
}
