//! What the operator does to a booking by its code, on the private address only.

use actix_web::HttpResponse;
use actix_web::web::{Data, Form, Path};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::booking::code::Code;
use crate::booking::reservation::Status;
use crate::cashier::Cashier;
use crate::db::DbError;
use crate::db::effect::{Cause, Turn};
use crate::db::life::{self, Moved};
use crate::db::nights;
use crate::db::reservations::{self, Cancel, Cancelled, Reservation, find_any};
use crate::session::notices;

/// The longest reason kept, in characters.
const WHY_CHARS_MAX: usize = 80;

/// Why it is done.
#[derive(Deserialize)]
pub struct Reason {
    /// A few words for the history: a receipt's number, who called.
    why: String,
    /// Names this action: sent again with the same key it is done once. Without it each request is an action.
    key: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    code: String,
    status: Status,
    property: String,
    check_in: NaiveDate,
    check_out: NaiveDate,
    total: i64,
    paid: i64,
    refund: i64,
    currency: &'static str,
    history: Vec<Event>,
}

#[derive(Serialize)]
struct Event {
    at: DateTime<Utc>,
    to: String,
    who: String,
    channel: String,
    why: String,
}

/// `GET /private/bookings/{code}`: where it stands and how it came there.
pub async fn show(app: Data<App>, code: Path<String>) -> HttpResponse {
    answer(async {
        let client = app.pool.get().await?;
        let Some(reservation) = find(&client, &code).await? else {
            return Ok(None);
        };
        shown(&client, reservation).await.map(Some)
    })
    .await
}

/// `POST /private/bookings/{code}/{move}` with `why=`: `paid`, `cancel`, `check_in` or `no_show`. Money goes back by `reserveflow payments`. Answers as
/// [`show`]; 409 where it does not go there from where it stands.
pub async fn act(
    app: Data<App>,
    cashier: Data<Cashier>,
    path: Path<(String, String)>,
    reason: Form<Reason>,
) -> HttpResponse {
    let (code, action) = path.into_inner();
    let why: String = reason.why.trim().chars().take(WHY_CHARS_MAX).collect();
    if why.is_empty() {
        return HttpResponse::BadRequest().body("why= says in a few words why this is done\n");
    }
    let cause = Cause {
        who: "operator",
        channel: "console",
        why: &why,
    };
    let key = reason.key.clone();
    let turn = Turn {
        door: "console".to_owned(),
        session: key.unwrap_or_else(|| Uuid::now_v7().to_string()),
        position: 0,
    };
    let mut is_refused = false;
    let answered = answer(async {
        let client = app.pool.get().await?;
        let Some(reservation) = find(&client, &code).await? else {
            return Ok(None);
        };
        is_refused = !apply(
            &app,
            &cashier,
            &client,
            &reservation,
            &action,
            &turn,
            &cause,
        )
        .await?;
        app.outbox.notify_one();
        let now = find_any(&client, &reservation.code).await?;
        shown(&client, now.unwrap_or(reservation)).await.map(Some)
    })
    .await;
    if is_refused {
        return HttpResponse::Conflict()
            .body(format!("it does not go from its state to {action}\n"));
    }
    answered
}

/// Whether it was done.
async fn apply(
    app: &App,
    cashier: &Cashier,
    client: &deadpool_postgres::Client,
    reservation: &Reservation,
    action: &str,
    turn: &Turn,
    cause: &Cause<'_>,
) -> Result<bool, DbError> {
    let to = match action {
        "paid" => {
            let taken = cashier.take(&reservation.code, &turn.key(), *cause).await?;
            return Ok(taken.is_some());
        }
        "cancel" => {
            let cancel = Cancel {
                id: reservation.id,
                at: app.clock.now(),
                cost_shown: 0,
                turn,
                cause,
                drafts: &notices::cancelled_by_lodge(app, reservation),
            };
            let cancelled = reservations::cancel(client, &cancel).await?;
            return Ok(matches!(cancelled, Cancelled::Done(_)));
        }
        "check_in" => Status::CheckedIn,
        "no_show" => Status::NoShow,
        _ => return Ok(false),
    };
    let moved = life::move_to(client, reservation.id, to, cause, turn, &[]).await?;
    Ok(moved == Moved::Done)
}

/// `GET /private/overbookings`: nights with more bookings than rooms, which hosts said are so. It is settled as bookings are
/// cancelled or rooms are found.
pub async fn overbookings(app: Data<App>) -> HttpResponse {
    let listed = async {
        let today = app.local_time(app.config.home()).today;
        nights::list_overbookings(&app.pool.get().await?, today).await
    };
    match listed.await {
        Ok(nights) => HttpResponse::Ok().json(nights),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what is overbooked could not be read");
            HttpResponse::ServiceUnavailable().body("the database does not answer\n")
        }
    }
}

async fn find(
    client: &deadpool_postgres::Client,
    code: &str,
) -> Result<Option<Reservation>, DbError> {
    match Code::parse(code) {
        Ok(code) => find_any(client, &code).await,
        Err(_) => Ok(None),
    }
}

async fn shown(
    client: &deadpool_postgres::Client,
    reservation: Reservation,
) -> Result<Shown, DbError> {
    let events = life::list_events(client, reservation.id).await?;
    let history = events.into_iter().map(|event| Event {
        at: event.at,
        to: event.to,
        who: event.who,
        channel: event.channel,
        why: event.why,
    });
    Ok(Shown {
        code: reservation.code.to_string(),
        status: reservation.status,
        property: reservation.property_name,
        check_in: reservation.stay.check_in(),
        check_out: reservation.stay.check_out(),
        total: reservation.total.minor,
        paid: reservation.paid.minor,
        refund: reservation.refund.minor,
        currency: reservation.total.currency.code(),
        history: history.collect(),
    })
}

async fn answer(work: impl Future<Output = Result<Option<Shown>, DbError>>) -> HttpResponse {
    match work.await {
        Ok(Some(shown)) => HttpResponse::Ok().json(shown),
        Ok(None) => HttpResponse::NotFound().body("there is no booking with this code\n"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the operator's request was not done");
            HttpResponse::ServiceUnavailable()
                .body("the database does not answer; nothing is half done\n")
        }
    }
}
