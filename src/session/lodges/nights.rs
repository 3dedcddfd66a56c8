//! A host's nights: what is free, and what is changed of it. A change is shown with before and after before it is made.

use chrono::NaiveDate;
use uuid::Uuid;

use super::{OfHost, tonight};
use crate::booking::money::{Currency, Money};
use crate::db::DbError;
use crate::db::nights::{self, Change, Lodge, NIGHTS_MAX, Night, What};
use crate::menu::language::Language;
use crate::menu::value::Value;
use crate::session::actions::{Done, done};

/// Longest text of prices before a change.
const PRICES_CHARS_MAX: usize = 30;
/// The largest number of rooms that is told.
const ROOMS_SHOWN_MAX: i64 = 999;

impl OfHost<'_> {
    /// The host's lodges, with tonight as the first night of what is changed.
    pub(super) async fn list_lodges(&self) -> Result<Done, DbError> {
        let date = tonight(self.work.app, self.host);
        let lodges = nights::list_lodges(self.client, self.host, date).await?;
        let ended = match &lodges[..] {
            [] => return Ok(done("unavailable")),
            [one] => done("one").bind("lodge", lodge_record(one)),
            several => {
                done("several").bind("lodges", Value::list(several.iter().map(lodge_record)))
            }
        };
        Ok(ended.bind("from", Value::Date(date)))
    }

    pub(super) async fn look_at_night(&self) -> Result<Done, DbError> {
        let Some(lodge) = self.lodge().await? else {
            return Ok(done("unavailable"));
        };
        let outcome = if lodge.closed { "closed" } else { "open" };
        Ok(done(outcome).bind("lodge", lodge_record(&lodge)))
    }

    pub(super) async fn look_at_prices(&self) -> Result<Done, DbError> {
        // A price that changes nothing tells what there is.
        self.change("plan_price", What::Price(1)).await
    }

    /// What the change would do, or has done.
    pub(super) async fn nights(&self, action: &str) -> Result<Done, DbError> {
        let what = match action {
            "plan_closing" | "close_nights" => What::Close,
            "plan_opening" | "open_nights" => What::Open,
            "plan_rooms" | "set_rooms" => What::Free(self.rooms()),
            "plan_out_of_use" | "set_out_of_use" | "overbook" => What::OutOfService {
                rooms: self.rooms(),
                insists: action == "overbook",
            },
            "plan_price" | "set_price" => {
                let lodge = self.lodge().await?;
                let amount = self.work.state.values.get("amount");
                let minor = match (lodge, amount) {
                    (Some(lodge), Some(Value::Money(typed))) => minor_of(*typed, lodge.currency),
                    _ => None,
                };
                match minor {
                    Some(minor) => What::Price(minor),
                    None => return Ok(done("bad_price")),
                }
            }
            _ => return Ok(done("unavailable")),
        };
        self.change(action, what).await
    }

    async fn change(&self, action: &str, what: What) -> Result<Done, DbError> {
        let (Some((from, until)), Some(lodge)) = (self.dates(), self.lodge().await?) else {
            return Ok(done("bad_dates"));
        };
        let change = Change {
            host: self.host,
            property_id: Some(lodge.property_id),
            from,
            until,
            what,
        };
        let work = self.work;
        let (nights, fits) = if action.starts_with("plan") {
            (nights::preview(self.client, &change).await?, "found")
        } else {
            let changed = nights::change(self.client, &change, work.channel, work.turn).await?;
            (changed, "done")
        };
        let Some(came) = what_came(what, &nights, fits) else {
            return Ok(done("bad_dates"));
        };
        if came == "done" && nights.iter().any(|night| night.short > 0) {
            metrics::counter!("nights_overbooked_total").increment(1);
            tracing::error!(
                host.id = %self.host.id,
                "a lodge has fewer rooms than bookings: see /private/overbookings"
            );
        }
        let record = change_record(what, &nights, lodge.currency, work.language());
        Ok(done(came).bind("change", record))
    }

    /// The lodge picked, as it is tonight.
    async fn lodge(&self) -> Result<Option<Lodge>, DbError> {
        let wanted = self.work.text("lodge", "id");
        let wanted = wanted.and_then(|id| id.parse::<Uuid>().ok());
        let date = tonight(self.work.app, self.host);
        let lodges = nights::list_lodges(self.client, self.host, date).await?;
        let mut lodges = lodges.into_iter();
        Ok(lodges.find(|lodge| Some(lodge.property_id) == wanted))
    }

    fn dates(&self) -> Option<(NaiveDate, NaiveDate)> {
        let date = |name| self.work.state.values.get(name)?.as_date();
        let (from, until) = (date("from")?, date("until")?);
        let tonight = tonight(self.work.app, self.host);
        is_range(tonight, from, until).then_some((from, until))
    }

    fn rooms(&self) -> i32 {
        i32::try_from(self.count("rooms")).unwrap_or(i32::MAX)
    }

    fn count(&self, name: &str) -> i64 {
        let value = self.work.state.values.get(name);
        value.and_then(Value::as_count).unwrap_or_default()
    }
}

/// Nights from tonight on, not too many.
pub(super) fn is_range(tonight: NaiveDate, from: NaiveDate, until: NaiveDate) -> bool {
    tonight <= from && from <= until && (until - from).num_days() < NIGHTS_MAX
}

/// An amount as typed, in minor units of what the lodge takes: it is read in the currency of the host's number. `None` for
/// no price, and for one that nobody can store.
pub(super) fn minor_of(typed: Money, currency: Currency) -> Option<i32> {
    let (units, minor) = typed.split();
    let is_whole = minor == 0 || typed.currency == currency;
    let price = if typed.currency == currency {
        typed
    } else {
        Money::from_units(units, currency)
    };
    let minor = i32::try_from(price.minor).ok()?;
    (is_whole && minor > 0).then_some(minor)
}

/// The outcome of a change of these nights, `fits` unless something is in its way; `None` where there are none.
pub(super) fn what_came(what: What, nights: &[Night], fits: &'static str) -> Option<&'static str> {
    let is_short = nights.iter().any(|night| night.short > 0);
    Some(match what {
        _ if nights.is_empty() => return None,
        What::Free(_) if is_short => "too_many",
        What::OutOfService { insists: false, .. } if is_short => "overbooks",
        _ => fits,
    })
}

/// The nights of a change added up, or their prices.
pub(super) fn change_record(
    what: What,
    nights: &[Night],
    currency: Currency,
    language: &Language,
) -> Value {
    let is_price = matches!(what, What::Price(_));
    let sum = |of: fn(&Night) -> i32, counts: bool| {
        let sum: i64 = nights.iter().map(|night| i64::from(of(night))).sum();
        Value::Count(if counts {
            sum.clamp(0, ROOMS_SHOWN_MAX)
        } else {
            0
        })
    };
    let money = |minor: i32| Money {
        minor: minor.into(),
        currency,
    };
    let (old_prices, price) = if is_price {
        let before = || nights.iter().map(|night| night.before);
        let low = money(before().min().unwrap_or_default());
        let high = money(before().max().unwrap_or_default());
        let after = nights.first().map_or(0, |night| night.after);
        (prices(low, high, language), money(after))
    } else {
        (String::new(), money(0))
    };
    Value::record([
        ("before", sum(|night| night.before, !is_price)),
        ("after", sum(|night| night.after, !is_price)),
        ("short", sum(|night| night.short, true)),
        ("sold", sum(|night| night.sold, true)),
        ("old_prices", Value::Text(old_prices)),
        ("price", Value::Money(price)),
    ])
}

/// `KES 1,500`, or `KES 1,500-2,000` where nights differ.
fn prices(low: Money, high: Money, language: &Language) -> String {
    let text = if low == high {
        language.money(low)
    } else {
        let high = language.money(high);
        let amount = high.split_once(' ').map_or(&*high, |(_, amount)| amount);
        format!("{}-{amount}", language.money(low))
    };
    text.chars().take(PRICES_CHARS_MAX).collect()
}

fn lodge_record(of: &Lodge) -> Value {
    Value::record([
        ("id", Value::text(of.property_id.to_string())),
        ("name", Value::text(of.name.as_str())),
        ("free", Value::Count(of.free.into())),
        ("sold", Value::Count(of.sold.into())),
        ("out", Value::Count(of.out_of_service.into())),
    ])
}
