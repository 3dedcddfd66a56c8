//! Random operations against a plain model and the real database: both say the same of every answer and of every night,
//! also where the connection is cut in the middle of a call and the call is made again.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Days, NaiveTime, TimeDelta, Utc};
use deadpool_postgres::{Client, Pool};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reserveflow::booking::code::Code;
use reserveflow::booking::reservation::Status;
use reserveflow::db::DbError;
use reserveflow::db::audit::audit;
use reserveflow::db::change::{Change, Changed, change_stay};
use reserveflow::db::effect::Turn;
use reserveflow::db::holds::expire_holds;
use reserveflow::db::life::{Moved, complete_stays, move_to};
use reserveflow::db::payments::settle::{Settled, Texts};
use reserveflow::db::reservations::{Cancel, Cancelled, cancel};
use reserveflow::db::reserve::Reserved;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::lodging::{GUEST, Lodge, Wish, kes, pay_all, stay, today, turn};
use crate::support::postgres::database;

/// Each is a story of its own, told again by its number: short ones, which leave little to read when one goes wrong, and some
/// long enough for many guests to meet.
const SHORT: Length = Length {
    lanes: 6,
    stories: 170,
    operations: 6,
};
const LONG: Length = Length {
    lanes: 2,
    stories: 1,
    operations: 300,
};
/// Everything is looked through after so many stories of a lane.
const AUDIT_EVERY: u64 = 50;
/// Few nights and units: most operations meet.
const DAYS: std::ops::Range<u64> = 3..13;
const UNITS: i32 = 2;
const PRICE: i64 = 4500;

/// What the books would be if nothing ever happened at the same time.
#[derive(Default)]
struct Model {
    /// Units, taken units, closed; by property and day.
    nights: BTreeMap<(usize, u64), (i32, i32, bool)>,
    stays: Vec<Kept>,
}

#[derive(Clone)]
struct Kept {
    id: Uuid,
    code: Code,
    property: usize,
    from: u64,
    nights: u8,
    status: Status,
    /// Whether its hold has run out, seen by the job or not.
    late: bool,
}

impl Kept {
    fn days(&self) -> std::ops::Range<u64> {
        self.from..self.from + u64::from(self.nights)
    }
}

impl Model {
    fn is_free(
        &self,
        property: usize,
        days: std::ops::Range<u64>,
        own: std::ops::Range<u64>,
    ) -> bool {
        days.into_iter().all(|day| {
            own.contains(&day)
                || self
                    .nights
                    .get(&(property, day))
                    .is_none_or(|(units, taken, closed)| !closed && taken < units)
        })
    }

    fn take(&mut self, property: usize, days: std::ops::Range<u64>, units: i32) {
        for day in days {
            let night = self
                .nights
                .entry((property, day))
                .or_insert((UNITS, 0, false));
            night.1 += units;
        }
    }

    fn go(&mut self, index: usize, next: Status) {
        let before = self.stays[index].clone();
        assert!(
            before.status.may_become(next),
            "{:?} to {next:?}",
            before.status
        );
        let units = i32::from(next.takes_nights()) - i32::from(before.status.takes_nights());
        self.take(before.property, before.days(), units);
        self.stays[index].status = next;
    }
}

/// How many databases side by side, stories told in each one after the other, and operations of each.
#[derive(Clone, Copy)]
struct Length {
    lanes: u64,
    stories: u64,
    operations: u32,
}

struct Story {
    seed: u64,
    rng: StdRng,
    pool: Pool,
    /// The first is paid at the lodge, the second before.
    properties: [Uuid; 2],
    model: Model,
    told: Vec<String>,
    /// Under way to cut a connection.
    cutting: Option<JoinHandle<()>>,
}

impl Story {
    async fn begin(seed: u64) -> Story {
        let pool = database().await;
        let at_lodge = Lodge {
            units: UNITS,
            ..Lodge::default()
        }
        .insert(&pool)
        .await;
        let prepaid = Lodge {
            units: UNITS,
            pay: "prepay",
            ..Lodge::default()
        }
        .insert(&pool)
        .await;
        Story {
            seed,
            rng: StdRng::seed_from_u64(seed),
            pool,
            properties: [at_lodge, prepaid],
            model: Model::default(),
            told: Vec::new(),
            cutting: None,
        }
    }

    /// Everything as it was, for the next story.
    async fn begin_anew(&mut self, seed: u64) {
        let client = self.steady().await;
        client
            .batch_execute(&format!(
                "set session_replication_role = replica;
                 delete from ledger; delete from refund; delete from payment; delete from outbox;
                 delete from reservation_event; delete from reservation;
                 reset session_replication_role;
                 update property_availability set reserved_units = 0, available_units = {UNITS}, closed = false
                 where reserved_units <> 0 or available_units <> {UNITS} or closed"
            ))
            .await
            .unwrap();
        self.seed = seed;
        self.rng = StdRng::seed_from_u64(seed);
        self.model = Model::default();
        self.told.clear();
    }

    async fn assert_sound(&mut self) {
        let mut client = self.steady().await;
        let found = audit(&mut client, Utc::now()).await.unwrap();
        let wrong: Vec<_> = (found.iter())
            .filter(|difference| {
                // Messages are not part of this story, and holds that ran out may wait for the job.
                !["confirmed without a message", "holds past their time"]
                    .contains(&difference.rule.as_str())
            })
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", self.story());
        let row = client
            .query_one(
                "select deadlocks from pg_stat_database where datname = current_database()",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 0, "{}", self.story());
    }

    /// A client that nobody cuts off.
    async fn steady(&mut self) -> Client {
        if let Some(cutting) = self.cutting.take() {
            cutting.await.unwrap();
        }
        loop {
            let client = self.pool.get().await.unwrap();
            if client.execute("select 1", &[]).await.is_ok() {
                return client;
            }
        }
    }

    /// A client whose connection may be cut at any moment of what it does next.
    async fn client(&mut self) -> Client {
        let client = self.steady().await;
        if self.rng.random_ratio(1, 4) {
            let row = client.query_one("select pg_backend_pid()", &[]).await;
            let pid: i32 = row.unwrap().get(0);
            let wait = Duration::from_micros(self.rng.random_range(0..2500));
            let other = self.steady().await;
            self.cutting = Some(tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let sql = "select pg_terminate_backend($1, 10000)";
                other.execute(sql, &[&pid]).await.unwrap();
            }));
        }
        client
    }

    fn turn(&self) -> Turn {
        turn(&format!("{}-{}", self.seed, self.told.len()))
    }

    fn stay(&mut self) -> (u64, u8) {
        (self.rng.random_range(DAYS), self.rng.random_range(1..4))
    }

    /// A reservation in one of these states, as often as there are any.
    fn pick(&mut self, states: &[Status]) -> Option<usize> {
        let fits: Vec<usize> = (0..self.model.stays.len())
            .filter(|index| states.contains(&self.model.stays[*index].status))
            .collect();
        (!fits.is_empty()).then(|| fits[self.rng.random_range(0..fits.len())])
    }

    async fn step(&mut self) {
        let kind = self.rng.random_range(0..100);
        self.told.push(format!("{kind}"));
        match kind {
            0..30 => self.reserve().await,
            30..38 => self.run_out().await,
            38..50 => self.pay().await,
            50..60 => self.cancel().await,
            60..76 => self.change().await,
            76..82 => self.close_or_open().await,
            82..88 => self.set_units().await,
            88..93 => self.check_in().await,
            93..97 => self.no_show().await,
            _ => self.complete().await,
        }
        self.compare().await;
    }

    fn tell(&mut self, what: String) {
        *self.told.last_mut().unwrap() = what;
    }

    async fn reserve(&mut self) {
        let property = self.rng.random_range(0..2);
        let (from, nights) = self.stay();
        self.tell(format!("reserve {property} day {from} for {nights}"));
        let number = u32::try_from(self.told.len()).unwrap();
        let wish = Wish::new(self.properties[property], stay(from, nights), number);
        let days = from..from + u64::from(nights);
        let is_free = self.model.is_free(property, days.clone(), 0..0);
        let reserved = loop {
            let client = self.client().await;
            match wish.reserve_with(client).await {
                Ok(reserved) => break reserved,
                Err(error) => self.cut(&error),
            }
        };
        match reserved {
            Reserved::Made(made) | Reserved::Again(made) if is_free => {
                self.model.take(property, days, 1);
                self.model.stays.push(Kept {
                    id: made.id,
                    code: made.code,
                    property,
                    from,
                    nights,
                    status: [Status::Confirmed, Status::Held][property],
                    late: false,
                });
            }
            Reserved::Taken if !is_free => {}
            other => panic!("{}: free {is_free}, {other:?}", self.story()),
        }
    }

    /// Time passes for some holds, and the job comes by.
    async fn run_out(&mut self) {
        let Some(index) = self.pick(&[Status::Held]) else {
            return;
        };
        self.tell(format!("hold {index} runs out"));
        self.model.stays[index].late = true;
        self.let_run_out(index).await;
        if self.rng.random_ratio(2, 3) {
            loop {
                let client = self.client().await;
                match expire_holds(&client, 50).await {
                    Ok(_) => break,
                    Err(error) => self.cut(&error),
                }
            }
            for index in 0..self.model.stays.len() {
                let kept = &self.model.stays[index];
                if kept.status == Status::Held && kept.late {
                    self.model.go(index, Status::Expired);
                }
            }
        }
    }

    async fn let_run_out(&mut self, index: usize) {
        let client = self.steady().await;
        let sql = "update reservation set hold_expires_at = now() - interval '1 minute' where reservation_id = $1";
        client
            .execute(sql, &[&self.model.stays[index].id])
            .await
            .unwrap();
    }

    async fn pay(&mut self) {
        let states = [
            Status::Held,
            Status::Expired,
            Status::Cancelled,
            Status::Confirmed,
        ];
        let Some(index) = self.pick(&states) else {
            return;
        };
        let kept = self.model.stays[index].clone();
        // Who pays on arrival pays the lodge.
        if kept.status == Status::Confirmed && kept.property == 0 {
            return;
        }
        self.tell(format!("pay {index}, {:?}", kept.status));
        let receipt = self.turn().key();
        let mut was_cut = false;
        let paid = loop {
            let client = self.client().await;
            let texts = Texts::default();
            match pay_all(&client, &kept.code, &receipt, Utc::now(), &texts).await {
                Ok(paid) => break paid.unwrap(),
                Err(error) => self.cut(&error),
            }
            was_cut = true;
        };
        let (next, expected) = match kept.status {
            Status::Held => (Some(Status::Confirmed), Settled::Confirmed),
            Status::Expired if self.model.is_free(kept.property, kept.days(), 0..0) => {
                (Some(Status::Confirmed), Settled::Confirmed)
            }
            Status::Expired | Status::Cancelled => (Some(Status::RefundDue), Settled::RefundDue),
            _ => (None, Settled::RefundDue),
        };
        // The answer of the first try may be the one that was lost.
        if !(was_cut && paid == Settled::Again) {
            assert_eq!(paid, expected, "{}", self.story());
        }
        if let Some(next) = next {
            self.model.go(index, next);
        }
    }

    async fn cancel(&mut self) {
        let states = [
            Status::Held,
            Status::Confirmed,
            Status::CheckedIn,
            Status::Cancelled,
        ];
        let Some(index) = self.pick(&states) else {
            return;
        };
        let kept = self.model.stays[index].clone();
        self.tell(format!("cancel {index}, {:?}", kept.status));
        let turn = self.turn();
        let cancelled = loop {
            let client = self.client().await;
            let cancelling = Cancel {
                id: kept.id,
                at: Utc::now(),
                cost_shown: 0,
                turn: &turn,
                cause: &GUEST,
                drafts: &[],
            };
            match cancel(&client, &cancelling).await {
                Ok(cancelled) => break cancelled,
                Err(error) => self.cut(&error),
            }
        };
        match (kept.status, &cancelled) {
            (Status::Held | Status::Confirmed, Cancelled::Done(_)) => {
                self.model.go(index, Status::Cancelled);
                if kept.property == 1 && kept.status == Status::Confirmed {
                    self.model.go(index, Status::RefundDue);
                }
            }
            (Status::CheckedIn, Cancelled::TooLate(_))
            | (Status::Cancelled, Cancelled::AlreadyCancelled(_)) => {}
            other => panic!("{}: {other:?}", self.story()),
        }
    }

    async fn change(&mut self) {
        let states = [
            Status::Held,
            Status::Confirmed,
            Status::Confirmed,
            Status::Expired,
        ];
        let Some(index) = self.pick(&states) else {
            return;
        };
        let kept = self.model.stays[index].clone();
        let (from, nights) = self.stay();
        self.tell(format!(
            "change {index} from {:?} to day {from} for {nights}",
            kept.days()
        ));
        let turn = self.turn();
        let changed = loop {
            let client = self.client().await;
            let change = Change {
                id: kept.id,
                stay: stay(from, nights),
                at: Utc::now(),
                total_shown: kes(PRICE * i64::from(nights)).minor,
                turn: &turn,
                cause: &GUEST,
                drafts: &[],
            };
            match change_stay(&client, &change).await {
                Ok(changed) => break changed,
                Err(error) => self.cut(&error),
            }
        };
        let days = from..from + u64::from(nights);
        let is_paid = kept.property == 1 && kept.status == Status::Confirmed;
        match &changed {
            Changed::TooLate(_) if kept.status == Status::Expired => {}
            Changed::Same(_) if kept.days() == days => {}
            Changed::Taken(_)
                if !self
                    .model
                    .is_free(kept.property, days.clone(), self.own(&kept, &days)) => {}
            Changed::Prepaid(_) if is_paid && nights != kept.nights => {}
            Changed::Done(_)
                if kept.status != Status::Expired
                    && self
                        .model
                        .is_free(kept.property, days.clone(), self.own(&kept, &days)) =>
            {
                self.model.take(kept.property, kept.days(), -1);
                self.model.take(kept.property, days, 1);
                self.model.stays[index] = Kept {
                    from,
                    nights,
                    ..kept
                };
            }
            other => panic!("{}: {other:?}", self.story()),
        }
    }

    /// The nights that the guest keeps.
    #[expect(clippy::unused_self, reason = "reads as a question to the story")]
    fn own(&self, kept: &Kept, days: &std::ops::Range<u64>) -> std::ops::Range<u64> {
        kept.from.max(days.start)..(kept.from + u64::from(kept.nights)).min(days.end)
    }

    async fn close_or_open(&mut self) {
        let (property, day) = (self.rng.random_range(0..2), self.rng.random_range(DAYS));
        let night = self
            .model
            .nights
            .entry((property, day))
            .or_insert((UNITS, 0, false));
        night.2 = !night.2;
        let closed = night.2;
        self.tell(format!("closed {closed}: {property} day {day}"));
        let client = self.steady().await;
        let sql =
            "update property_availability set closed = $3 where property_id = $1 and date = $2";
        let date = today() + Days::new(day);
        client
            .execute(sql, &[&self.properties[property], &date, &closed])
            .await
            .unwrap();
    }

    /// The lodge has more units or fewer, but never fewer than are taken.
    async fn set_units(&mut self) {
        let (property, day) = (self.rng.random_range(0..2), self.rng.random_range(DAYS));
        let units = self.rng.random_range(0..4);
        self.tell(format!("{units} units: {property} day {day}"));
        let client = self.steady().await;
        let sql = "update property_availability set available_units = $3 where property_id = $1 and date = $2";
        let date = today() + Days::new(day);
        let set = client
            .execute(sql, &[&self.properties[property], &date, &units])
            .await;
        let night = self
            .model
            .nights
            .entry((property, day))
            .or_insert((UNITS, 0, false));
        if units >= night.1 {
            night.0 = units;
        }
        let fits = units >= night.1;
        assert_eq!(set.is_ok(), fits, "{}", self.story());
    }

    async fn check_in(&mut self) {
        self.go_to(Status::CheckedIn).await;
    }

    async fn no_show(&mut self) {
        self.go_to(Status::NoShow).await;
    }

    async fn go_to(&mut self, next: Status) {
        let states = [
            Status::Held,
            Status::Confirmed,
            Status::Confirmed,
            Status::Cancelled,
        ];
        let Some(index) = self.pick(&states) else {
            return;
        };
        let kept = self.model.stays[index].clone();
        self.tell(format!("{next:?} {index}, {:?}", kept.status));
        let turn = self.turn();
        let moved = loop {
            let client = self.client().await;
            match move_to(&client, kept.id, next, &GUEST, &turn, &[]).await {
                Ok(moved) => break moved,
                Err(error) => self.cut(&error),
            }
        };
        if kept.status.may_become(next) {
            assert_eq!(moved, Moved::Done, "{}", self.story());
            self.model.go(index, next);
        } else {
            assert_eq!(moved, Moved::Refused, "{}", self.story());
        }
    }

    /// The job comes by at noon of some day.
    async fn complete(&mut self) {
        let day = self.rng.random_range(DAYS);
        self.tell(format!("noon of day {day}"));
        let noon = (today() + Days::new(day))
            .and_time(NaiveTime::MIN)
            .and_utc()
            + TimeDelta::hours(9);
        loop {
            let client = self.client().await;
            match complete_stays(&client, noon, 50).await {
                Ok(_) => break,
                Err(error) => self.cut(&error),
            }
        }
        for index in 0..self.model.stays.len() {
            let kept = self.model.stays[index].clone();
            if kept.days().end <= day {
                if kept.status == Status::Confirmed {
                    self.model.go(index, Status::CheckedIn);
                }
                if self.model.stays[index].status == Status::CheckedIn {
                    self.model.go(index, Status::Completed);
                }
            }
        }
    }

    /// Only a connection that was cut is a reason to call again.
    fn cut(&self, error: &DbError) {
        let is_cut = matches!(error, DbError::Unreachable(_) | DbError::Busy(_));
        assert!(is_cut, "{}: {error:?}", self.story());
    }

    async fn compare(&mut self) {
        let client = self.steady().await;
        let rows = client
            .query("select reservation_id, status from reservation", &[])
            .await
            .unwrap();
        let found: BTreeMap<Uuid, String> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let wanted: BTreeMap<Uuid, String> = (self.model.stays.iter())
            .map(|kept| (kept.id, kept.status.word().to_owned()))
            .collect();
        assert_eq!(found, wanted, "{}", self.story());
        let sql = "select property_id, date, reserved_units from property_availability where reserved_units > 0";
        let rows = client.query(sql, &[]).await.unwrap();
        let found: BTreeMap<(Uuid, u64), i32> = rows
            .iter()
            .map(|row| {
                let date: chrono::NaiveDate = row.get(1);
                let day = u64::try_from((date - today()).num_days()).unwrap();
                ((row.get(0), day), row.get(2))
            })
            .collect();
        let wanted: BTreeMap<(Uuid, u64), i32> = (self.model.nights.iter())
            .filter(|(_, night)| night.1 > 0)
            .map(|((property, day), night)| ((self.properties[*property], *day), night.1))
            .collect();
        assert_eq!(found, wanted, "{}", self.story());
    }

    fn story(&self) -> String {
        format!(
            "seed {}, step {}:\n{}",
            self.seed,
            self.told.len(),
            self.told.join("\n")
        )
    }
}

async fn tell(length: Length) {
    let lanes = (0..length.lanes).map(|lane| async move {
        let mut story = Story::begin(0).await;
        for number in 0..length.stories {
            story.begin_anew(number * length.lanes + lane).await;
            for _ in 0..length.operations {
                story.step().await;
            }
            if (number + 1) % AUDIT_EVERY == 0 || number + 1 == length.stories {
                story.assert_sound().await;
            }
        }
    });
    join_all(lanes).await;
}

/// `MODEL_STORIES=5000` tells so many in each database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_hundreds_of_short_stories_books_and_model_agree() {
    let stories = std::env::var("MODEL_STORIES").map(|number| number.parse().unwrap());
    let stories = stories.unwrap_or(SHORT.stories);
    tell(Length { stories, ..SHORT }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_in_whatever_order_books_and_model_agree() {
    tell(LONG).await;
}
