//! Builders of rows, and what must hold of them at the end of every test.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use deadpool_postgres::{Client, GenericClient, Pool};
use reserveflow::booking::code::Code;
use reserveflow::booking::money::{Currency, Money};
use reserveflow::booking::stay::Stay;
use reserveflow::db::DbError;
use reserveflow::db::effect::{Cause, Draft, Turn};
use reserveflow::db::lane::Lanes;
use reserveflow::db::partitions::fill_nights;
use reserveflow::db::payments::settle::{Arrival, Purpose, Settled, Texts, find_payable, settle};
use reserveflow::db::reserve::{Booking, Isolation, Reserved, reserve};
use reserveflow::phone::Msisdn;
use tokio::time::Instant;
use uuid::Uuid;

pub const GUEST: Cause<'static> = Cause {
    who: "guest",
    channel: "ussd",
    why: "pressed 1",
};

/// A property in Nakuru, of a host of its own.
pub struct Lodge {
    pub name: &'static str,
    pub area: Option<&'static str>,
    pub units: i32,
    pub guests_max: i32,
    /// In whole shillings.
    pub price: i32,
    pub pay: &'static str,
    pub cancel_hours: i32,
    /// How much of a night strangers may hold unpaid. All of it, where a test is not about that.
    pub unpaid_percent: i16,
}

impl Default for Lodge {
    fn default() -> Lodge {
        Lodge {
            name: "Lake View",
            area: None,
            units: 7,
            guests_max: 2,
            price: 4500,
            pay: "at_lodge",
            cancel_hours: 0,
            unpaid_percent: 100,
        }
    }
}

impl Lodge {
    /// Writes it with all its nights.
    pub async fn insert(self, pool: &Pool) -> Uuid {
        let mut client = pool.get().await.unwrap();
        client
            .batch_execute(
                "insert into place values
                     ('ke-nakuru', 'town', null, 'Nakuru', 'KE', 'Rift Valley', -0.3, 36.1, 9, '{nax}'),
                     ('ke-nakuru-milimani', 'area', 'ke-nakuru', 'Milimani', 'KE', 'Rift Valley', -0.3, 36.1, 5, '{}')
                 on conflict do nothing",
            )
            .await
            .unwrap();
        let (id, host) = (Uuid::new_v4(), Uuid::new_v4());
        let phone = format!("+2547{:08}", id.as_u128() % 100_000_000);
        client
            .execute(
                "insert into host (host_id, name, msisdn) values ($1, 'Host', $2)",
                &[&host, &phone],
            )
            .await
            .unwrap();
        client
            .execute(
                "insert into property (property_id, short_id, host_id, town, area, name, kind, units, guests_max,
                     price_base, currency, time_zone, cancel_hours, pay, phone, unpaid_percent)
                 values ($1, $2, $3, 'ke-nakuru', $4, $5, 'studio', $6, $7, $8, 'KES', 'Africa/Nairobi', $9, $10, $11, $12)",
                &[
                    &id,
                    &format!("prop_{}", &id.simple().to_string()[..12]),
                    &host,
                    &self.area,
                    &self.name,
                    &self.units,
                    &self.guests_max,
                    &(self.price * 100),
                    &self.cancel_hours,
                    &self.pay,
                    &phone,
                    &self.unpaid_percent,
                ],
            )
            .await
            .unwrap();
        fill_nights(&mut client, today()).await.unwrap();
        id
    }
}

pub fn today() -> NaiveDate {
    Utc::now().date_naive()
}

/// A stay that begins `days` after today.
pub fn stay(days: u64, nights: u8) -> Stay {
    Stay::new(today() + Days::new(days), nights).unwrap()
}

pub fn kes(shillings: i64) -> Money {
    Money::from_units(shillings, Currency::Kes)
}

pub fn msisdn(number: u32) -> Msisdn {
    Msisdn::parse(&format!("+2547110{number:05}")).unwrap()
}

/// The third turn of a session.
pub fn turn(session: &str) -> Turn {
    Turn {
        door: "africastalking".into(),
        session: session.to_owned(),
        position: 3,
    }
}

/// One guest's wish; the fields that a test cares about are changed on it.
#[derive(Clone)]
pub struct Wish {
    pub property: Uuid,
    pub stay: Stay,
    pub units: i32,
    pub guests: u8,
    pub msisdn: Msisdn,
    pub session: String,
    pub total: Money,
    pub isolation: Isolation,
    pub at: DateTime<Utc>,
}

impl Wish {
    pub fn new(property: Uuid, stay: Stay, number: u32) -> Wish {
        Wish {
            property,
            stay,
            units: 1,
            guests: 1,
            msisdn: msisdn(number),
            session: format!("session-{number}"),
            total: kes(4500 * i64::from(stay.nights())),
            isolation: Isolation::ReadCommitted,
            at: Utc::now(),
        }
    }

    /// Again with the same turn after a conflict, as a guest who is told "busy" does.
    pub async fn reserve(&self, pool: &Pool) -> Reserved {
        loop {
            match self.try_reserve(pool).await {
                Err(DbError::Conflict(_)) if self.isolation == Isolation::Serializable => {}
                outcome => return outcome.unwrap(),
            }
        }
    }

    pub async fn try_reserve(&self, pool: &Pool) -> Result<Reserved, DbError> {
        self.reserve_with(pool.get().await.unwrap()).await
    }

    /// On this connection.
    pub async fn reserve_with(&self, mut client: Client) -> Result<Reserved, DbError> {
        let turn = self.turn();
        reserve(&mut client, self.isolation, &self.booking(&turn), |code| {
            vec![draft(code, "confirmation", &self.msisdn)]
        })
        .await
    }

    /// Together with others.
    pub async fn reserve_in(&self, lanes: &Lanes, until: Instant) -> Result<Reserved, DbError> {
        let turn = self.turn();
        lanes
            .reserve(&self.booking(&turn), until, |code| {
                vec![draft(code, "confirmation", &self.msisdn)]
            })
            .await
    }

    fn turn(&self) -> Turn {
        Turn {
            door: "africastalking".into(),
            session: self.session.clone(),
            position: 7,
        }
    }

    fn booking<'a>(&'a self, turn: &'a Turn) -> Booking<'a> {
        Booking {
            turn,
            property_id: self.property,
            stay: self.stay,
            units: self.units,
            guests: self.guests,
            msisdn: &self.msisdn,
            guest_msisdn: None,
            guest_name: "Asha",
            language: "en",
            total_shown: self.total,
            at: self.at,
            cause: GUEST,
        }
    }
}

pub fn draft(code: &Code, kind: &'static str, to: &Msisdn) -> Draft {
    Draft {
        kind,
        msisdn: to.clone(),
        text: format!("Booked {code}"),
        expires_at: Utc::now() + TimeDelta::hours(12),
    }
}

/// How many units of a property are reserved on each night of a stay.
pub async fn reserved(client: &impl GenericClient, property: Uuid, stay: Stay) -> Vec<i32> {
    client
        .query(
            "select reserved_units from property_availability
             where property_id = $1 and date >= $2 and date < $3 order by date",
            &[&property, &stay.check_in(), &stay.check_out()],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

pub async fn count(client: &impl GenericClient, from: &str) -> i64 {
    client
        .query_one(&format!("select count(*) from {from}"), &[])
        .await
        .unwrap()
        .get(0)
}

/// Every counter equals the reservations that take its night, every live one has its event and its message, and the
/// server has seen no deadlock.
pub async fn assert_sound(pool: &Pool) {
    let client = pool.get().await.unwrap();
    let wrong = count(
        &client,
        "property_availability a where a.reserved_units <> (
             select coalesce(sum(r.units), 0) from reservation r
             where r.property_id = a.property_id and a.date >= r.check_in and a.date < r.check_out
               and r.status in ('held', 'paying', 'confirmed', 'checked_in', 'completed'))",
    )
    .await;
    assert_eq!(
        wrong, 0,
        "nights whose counter is not the sum of live reservations"
    );
    let silent = count(
        &client,
        "reservation r where 1 <> (select count(*) from outbox o
             where o.reservation_id = r.reservation_id and o.kind = 'confirmation')
         or not exists (select from reservation_event e where e.reservation_id = r.reservation_id)",
    )
    .await;
    assert_eq!(
        silent, 0,
        "reservations without exactly one message and an event"
    );
    let row = client
        .query_one(
            "select deadlocks from pg_stat_database where datname = current_database()",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "deadlocks");
}

/// All that is due of a reservation comes at this moment, told by this receipt. `None`: nothing is due.
pub async fn pay_all(
    client: &impl GenericClient,
    code: &Code,
    receipt: &str,
    at: DateTime<Utc>,
    texts: &Texts,
) -> Result<Option<Settled>, DbError> {
    let purpose = Purpose::Reference {
        typed: "test",
        code: Some(code),
    };
    loop {
        let Some(seen) = find_payable(client, purpose).await? else {
            return Ok(None);
        };
        let arrival = Arrival {
            provider: "test",
            receipt: Some(receipt),
            purpose,
            amount: seen.reservation.total,
            paid_at: at,
            cause: Cause {
                who: "operator",
                channel: "console",
                why: "seen on the till",
            },
        };
        match settle(client, &arrival, at, Some(&seen), texts).await? {
            Settled::Moved => {}
            settled => return Ok(Some(settled)),
        }
    }
}
