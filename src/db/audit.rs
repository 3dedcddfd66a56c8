//! Does everything still add up? Each rule is one question that answers with what breaks it; nothing is repaired.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::{Client, GenericClient};

use super::DbError;
use super::payments::ledger::money_faults;

/// How long a rule may read.
const RULE_TIME_MAX: Duration = Duration::from_secs(300);
/// How long after its end a hold may wait for the job that ends it.
const SWEEP_GRACE: TimeDelta = TimeDelta::minutes(2);
/// The most differences told of each rule.
const DIFFERENCES_MAX: i64 = 1000;

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The rule that is broken.
    pub rule: String,
    /// Where and how.
    pub what: String,
}

/// A name, and a query of texts with `$1` the time by which a hold must be over to be late and `$2` the most rows.
type Rule = (&'static str, &'static str);

/// The nights of every reservation that takes them, within the months that are attached, beside the counters.
const RULES: &[Rule] = &[
    (
        "nights without reservation",
        "with taken as (
             select r.property_id, r.check_in + d.day as date, sum(r.units) as units
             from reservation r cross join lateral generate_series(0, r.check_out - r.check_in - 1) as d (day)
             where takes_nights(r.status) group by 1, 2)
         select format('%s %s: counter %s, reservations %s', p.short_id, a.date, a.reserved_units, coalesce(t.units, 0))
         from property_availability a
         left join taken t on t.property_id = a.property_id and t.date = a.date
         join property p on p.property_id = a.property_id
         where a.reserved_units > coalesce(t.units, 0) and $1::timestamptz is not null
         order by p.short_id, a.date limit $2",
    ),
    (
        "reservations without nights",
        "with taken as (
             select r.property_id, r.check_in + d.day as date, sum(r.units) as units,
                    string_agg(r.code, ' ' order by r.code) as codes
             from reservation r cross join lateral generate_series(0, r.check_out - r.check_in - 1) as d (day)
             where takes_nights(r.status) group by 1, 2)
         select format('%s %s: reservations %s (%s), counter %s', p.short_id, t.date, t.units, t.codes,
                       coalesce(a.reserved_units, 0))
         from taken t
         left join property_availability a on a.property_id = t.property_id and a.date = t.date
         join property p on p.property_id = t.property_id
         where t.units > coalesce(a.reserved_units, 0) and t.date >= calendar_start() and $1::timestamptz is not null
         order by p.short_id, t.date limit $2",
    ),
    (
        "nights sold twice",
        "select format('%s %s: counter %s, units %s', p.short_id, a.date, a.reserved_units, a.available_units)
         from property_availability a join property p on p.property_id = a.property_id
         where a.reserved_units > a.available_units and $1::timestamptz is not null
         order by p.short_id, a.date limit $2",
    ),
    (
        "holds past their time",
        "select format('%s: %s until %s', r.code, r.status, r.hold_expires_at)
         from reservation r
         where r.status in ('held', 'paying') and r.hold_expires_at < $1 order by r.code limit $2",
    ),
    (
        "confirmed without a message",
        "select format('%s: %s', r.code, r.status)
         from reservation r
         where r.status in ('confirmed', 'checked_in', 'completed', 'no_show') and $1::timestamptz is not null
           and not exists (select from outbox o where o.reservation_id = r.reservation_id
                           and o.msisdn = r.msisdn and o.kind = 'confirmed')
         order by r.code limit $2",
    ),
    (
        "messages of a confirmation that is not",
        "select format('%s: %s', r.code, r.status)
         from outbox o join reservation r on r.reservation_id = o.reservation_id
         where o.kind = 'confirmed' and $1::timestamptz is not null
           and not exists (select from reservation_event e
                           where e.reservation_id = r.reservation_id and e.to_status = 'confirmed')
         order by r.code limit $2",
    ),
    (
        "state and history differ",
        "select format('%s: %s, last event %s', r.code, r.status, coalesce(e.to_status, 'none'))
         from reservation r
         left join lateral (select e.to_status from reservation_event e where e.reservation_id = r.reservation_id
                            order by e.reservation_event_id desc limit 1) e on true
         where e.to_status is distinct from r.status and $1::timestamptz is not null order by r.code limit $2",
    ),
    (
        "events and messages of no reservation",
        "select format('%s %s', stray.kind, stray.id)
         from (select 'event' as kind, e.reservation_event_id as id, e.reservation_id from reservation_event e
               union all
               select 'message', o.outbox_id, o.reservation_id from outbox o where o.reservation_id is not null) stray
         where not exists (select from reservation r where r.reservation_id = stray.reservation_id)
           and $1::timestamptz is not null
         order by stray.kind, stray.id limit $2",
    ),
    (
        "totals that are not the sum of their nights",
        "select format('%s: total %s, nights and fees %s', r.code, r.total, s.total)
         from reservation r
         cross join lateral (
             select case when cardinality(r.nightly_prices) = r.check_out - r.check_in
                         then (select sum(price) from unnest(r.nightly_prices) price) * r.units + fees_added(r.fees)
                    end as total) s
         where s.total is distinct from r.total and $1::timestamptz is not null order by r.code limit $2",
    ),
    (
        "rooms held for who waited without a message",
        "select format('%s: %s', r.code, r.status)
         from wish w join reservation r on r.reservation_id = w.reservation_id
         where $1::timestamptz is not null
           and not exists (select from outbox o where o.reservation_id = r.reservation_id and o.kind = 'room_for_you')
         order by r.code limit $2",
    ),
    (
        "wishes past their day",
        "select format('wish %s: from %s', w.wish_id, w.check_in)
         from wish w
         where w.reservation_id is null and w.ended_at is null and w.check_in < ($1::timestamptz at time zone 'UTC')::date - 2
         order by w.wish_id limit $2",
    ),
    (
        "overbooked nights that nobody looks after",
        "select format('%s %s: short of %s, told of %s', p.short_id, coalesce(a.date, o.date), coalesce(a.overbooked, 0),
                       coalesce(o.missing, 0))
         from (select a.property_id, a.date, a.overbooked from property_availability a where a.overbooked > 0) a
         full join (select o.property_id, o.date, o.missing from overbooking o where o.settled_at is null
                    and o.date >= calendar_start()) o
             on o.property_id = a.property_id and o.date = a.date
         join property p on p.property_id = coalesce(a.property_id, o.property_id)
         where coalesce(a.overbooked, 0) <> coalesce(o.missing, 0) and $1::timestamptz is not null
         order by 1 limit $2",
    ),
    (
        "money to go back without a sum",
        "select format('%s: %s, refund %s, refunds of %s', r.code, r.status, r.refund, coalesce(f.amount, 0))
         from reservation r
         left join (select reservation_id, sum(amount) as amount from refund group by 1) f
             on f.reservation_id = r.reservation_id
         where (r.refund <> coalesce(f.amount, 0) or r.status in ('refund_due', 'refunded') and r.refund = 0)
           and $1::timestamptz is not null order by r.code limit $2",
    ),
];

/// Every difference at one moment, while others go on booking; at most 1000 of each rule.
///
/// # Errors
/// [`DbError`].
pub async fn audit(client: &mut Client, at: DateTime<Utc>) -> Result<Vec<Difference>, DbError> {
    let limit_ms = RULE_TIME_MAX.as_millis();
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    transaction
        .batch_execute(&format!(
            "set local statement_timeout = {limit_ms}; set local plan_cache_mode = force_custom_plan"
        ))
        .await?;
    let differences = list_differences(&transaction, at).await?;
    transaction.commit().await?;
    Ok(differences)
}

/// The same within a transaction of the caller's.
///
/// # Errors
/// [`DbError`].
pub async fn list_differences(
    client: &impl GenericClient,
    at: DateTime<Utc>,
) -> Result<Vec<Difference>, DbError> {
    let late = at - SWEEP_GRACE;
    let mut differences = Vec::new();
    for (rule, query) in RULES {
        for row in client.query(*query, &[&late, &DIFFERENCES_MAX]).await? {
            differences.push(Difference {
                rule: (*rule).to_owned(),
                what: row.try_get(0)?,
            });
        }
    }
    for fault in money_faults(client, DIFFERENCES_MAX).await? {
        differences.push(Difference {
            rule: fault.rule,
            what: fault.what,
        });
    }
    Ok(differences)
}
