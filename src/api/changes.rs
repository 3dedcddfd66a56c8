//! `GET /v1/changes`: what is otherwise than at a version that the client has seen.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Enveloped};
use super::keys::{Key, Scope};
use super::paging::PAGE_MAX;
use super::problem::Problem;
use super::properties::{Shown, ShownQuery, all_of, find_town, given};
use super::property::Property;
use super::window::cache_ttl;
use crate::app::App;
use crate::db::catalogue::changes::{Changed, FoundChanges, list_changes};
use crate::db::patience::{ASK_MAX, within};

/// Since when, and what of it.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// `_metadata.version` of the client's last list or last changes; 0 for everything.
    #[param(minimum = 0)]
    since: i64,
    /// Only of a town, by its id or its name.
    town: Option<String>,
    /// The calendar's first night; today where it is not said. Keep to the one that the list was asked with.
    from: Option<NaiveDate>,
    /// How many nights the calendar has; 30 where it is not said.
    #[param(minimum = 1, maximum = 62)]
    days: Option<u8>,
    /// As with the list.
    include: Option<String>,
    /// As with the list.
    fields: Option<String>,
}

/// What is otherwise. Each property comes whole, as it is now: put it in place of what is there. `_metadata.version` is what to
/// ask `since` next.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Changes {
    /// What was asked for is too long ago: forget everything, and take these properties and those of the pages that follow
    /// as a new beginning.
    pub snapshot: bool,
    /// At most 50.
    #[schema(value_type = Vec<Property>)]
    pub properties: Vec<Value>,
    /// What is not shown any more: remove it.
    pub gone: Vec<Gone>,
    /// Ask for the places again.
    pub places_changed: bool,
    /// There is more: ask at once, `since` the new version.
    pub more: bool,
    /// Of a snapshot: ask for `GET /v1/properties?page=` this for more, with the same town and calendar.
    pub next: Option<String>,
}

/// A property that is closed for good, or not in the town any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct Gone {
    /// Its id.
    pub property_id: String,
    /// When it went.
    pub version: i64,
}

/// Answers with what has changed.
///
/// # Errors
/// [`Problem`].
#[utoipa::path(get, path = "/v1/changes", operation_id = "list_changes", tag = "catalogue", params(ChangesQuery),
    responses((status = 200, description = "As it is now", body = Enveloped<Changes>)))]
pub async fn list(
    api: Data<Api>,
    key: Key,
    query: Query<ChangesQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    key.needs(Scope::Read)?;
    let query = query.into_inner();
    if query.since < 0 {
        return Err(Problem::bad_request("since: is a version, 0 or more"));
    }
    let today = api.app.local_time(api.app.config.home()).today;
    let town = given(query.town.as_ref())
        .map(|town| find_town(&api.app, town))
        .transpose()?;
    let shown = ShownQuery {
        from: query.from,
        days: query.days,
        include: query.include,
        fields: query.fields,
    };
    let wanted = Wanted {
        today,
        since: query.since,
        town: town.map(|town| town.id),
        shown: Shown::read(&shown, today)?,
    };
    let name = format!("changes {wanted:?}");
    let app = api.app.clone();
    let answer = api.share(name, async move { wanted.ask(&app).await });
    Ok(answer.await?.send(&request, api.app.clock.now()))
}

/// What is asked for, understood. Its `Debug` form names it among the shared reads.
#[derive(Debug)]
struct Wanted {
    today: NaiveDate,
    since: i64,
    town: Option<String>,
    shown: Shown,
}

impl Wanted {
    async fn ask(self, app: &App) -> Result<Answer, Problem> {
        let at = app.clock.now();
        let ttl = cache_ttl(self.shown.window, self.today);
        let ask = async {
            let client = app.pool.get().await?;
            let (town, nights) = (self.town.as_deref(), self.shown.window.nights());
            // One more than shown tells whether there is more.
            let limit = i64::from(PAGE_MAX) + 1;
            list_changes(&client, self.since, town, nights, limit).await
        };
        let found = within(&app.postgres, ASK_MAX, ask).await?;
        if found.is_lost(self.since) {
            let (list, version) = all_of(app, self.town, self.shown, self.today).await?;
            let changes = Changes {
                snapshot: true,
                properties: list.properties,
                places_changed: true,
                next: list.next,
                ..Changes::default()
            };
            return Answer::new(&changes, at, version, ttl);
        }
        let (changes, version) = self.changes(found)?;
        Answer::new(&changes, at, version, ttl)
    }

    fn changes(&self, mut found: FoundChanges) -> Result<(Changes, i64), Problem> {
        let mut changes = Changes {
            more: found.changed.len() > usize::from(PAGE_MAX),
            ..Changes::default()
        };
        found.changed.truncate(PAGE_MAX.into());
        let last = found.changed.last().filter(|_| changes.more);
        let version = last.map_or(found.version, |(number, _)| *number);
        for (number, what) in found.changed {
            match what {
                Changed::Property(row) => {
                    let property = Property::new(*row, &self.shown.includes, None);
                    let json = property.json(self.shown.fields.as_deref())?;
                    changes.properties.push(json);
                }
                Changed::Gone(property_id) => changes.gone.push(Gone {
                    property_id,
                    version: number,
                }),
                Changed::Places => changes.places_changed = true,
            }
        }
        Ok((changes, version))
    }
}
