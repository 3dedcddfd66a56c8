//! The books in memory against the books in Postgres: the same questions in the same order have the same answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};
use deadpool_postgres::Pool;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reserveflow::app::Clock;
use reserveflow::booking::code::Code;
use reserveflow::booking::money::Currency;
use reserveflow::booking::offer::{Pay, Search};
use reserveflow::booking::stay::Stay;
use reserveflow::books::Books;
use reserveflow::books::memory::{self, AttemptStatus, Ledger, MemoryBooks, Night};
use reserveflow::chance::Chance;
use reserveflow::db::change::{Change, Changed};
use reserveflow::db::effect::{Cause, Draft, Turn};
use reserveflow::db::guests::{self, Remembered};
use reserveflow::db::outbox::{Claimed, Outcome, Via};
use reserveflow::db::payments::attempts::{Ask, Part};
use reserveflow::db::payments::settle::{Arrival, Purpose, Texts, find_payable, settle};
use reserveflow::db::reservations::{Cancel, Reservation};
use reserveflow::db::reserve::{Booking, Isolation, Reserved};
use reserveflow::db::session_ends::{Past, SessionEndRow};
use reserveflow::phone::Msisdn;
use reserveflow::simulate::link::Link;
use reserveflow::sms::{DeliveryReport, DeliveryStatus};
use uuid::Uuid;

use crate::support::lodging::{GUEST, Lodge, kes, msisdn, stay, today};
use crate::support::postgres::database;

const SEEDS: std::ops::Range<u64> = 0..4;
const QUESTIONS: usize = 220;
/// Few nights, units and numbers: most questions meet.
const NIGHTS: std::ops::Range<u64> = 2..7;
const NUMBERS: std::ops::Range<u32> = 1..4;
const LEASE: Duration = Duration::from_secs(90);
const VIA: Via<'static> = Via {
    provider: "sandbox",
    route: "only",
};

/// Both books, and what either calls what the other has too.
struct Story {
    seed: u64,
    rng: StdRng,
    pool: Pool,
    postgres: Books,
    ledger: Arc<Mutex<Ledger>>,
    /// How far the model's clock is ahead: the rows of the real books were moved back instead.
    ahead: TimeDelta,
    lodges: Vec<Uuid>,
    /// Pairs of ids and codes, real and modelled.
    names: Vec<(String, String)>,
    made: Vec<(Reservation, Reservation)>,
    turns: Vec<Turn>,
    claimed: Vec<(Claimed, Claimed)>,
    told: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_in_memory_answer_as_the_books_in_postgres_do() {
    let stories = SEEDS.map(|seed| async move {
        let mut story = Story::begin(seed).await;
        for _ in 0..QUESTIONS {
            story.ask().await;
        }
        story.told
    });
    let told: Vec<String> = join_all(stories).await.concat();
    for outcome in [
        "Made(",
        "Taken",
        "Again(",
        "PriceChanged(",
        "Yours(",
        "TooMany",
        "Asked(",
        "Confirmed",
        "Done(",
        "Quoted(",
        "RefundDue",
        "Some(Ways",
        "over: true",
        "AlreadyCancelled(",
    ] {
        let is_seen = told.iter().any(|line| line.contains(outcome));
        assert!(is_seen, "{outcome} never happened");
    }
}

impl Story {
    async fn begin(seed: u64) -> Story {
        let pool = database().await;
        let lodge = |pay, units| Lodge {
            units,
            pay,
            ..Lodge::default()
        };
        let lodges = vec![
            lodge("at_lodge", 1).insert(&pool).await,
            lodge("prepay", 2).insert(&pool).await,
            lodge("prepay", 1).insert(&pool).await,
        ];
        let client = pool.get().await.unwrap();
        client
            .execute(
                "update property set deposit_percent = 20, pay_at_lodge_too = true, cancel_hours = 72, hold_minutes = 10
                 where property_id = $1",
                &[&lodges[1]],
            )
            .await
            .unwrap();
        let sql = "update property set min_stay = 2, unpaid_percent = 0 where property_id = $1";
        client.execute(sql, &[&lodges[2]]).await.unwrap();
        let sql = "update property set cancel_hours = 72 where property_id = $1";
        client.execute(sql, &[&lodges[0]]).await.unwrap();
        drop(client);
        Story {
            seed,
            rng: StdRng::seed_from_u64(seed),
            ledger: Arc::new(Mutex::new(model(&pool).await)),
            postgres: Books::postgres(pool.clone(), Isolation::ReadCommitted, 1),
            pool,
            ahead: TimeDelta::zero(),
            lodges,
            names: Vec::new(),
            made: Vec::new(),
            turns: Vec::new(),
            claimed: Vec::new(),
            told: Vec::new(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.ahead
    }

    /// The moment of every question that brings its own: noon of today.
    fn at() -> DateTime<Utc> {
        today().and_hms_opt(9, 0, 0).unwrap().and_utc()
    }

    fn memory(&self) -> Books {
        let chance = Chance::seeded(self.seed + self.told.len() as u64);
        let link = Arc::new(Link::new(chance.clone()));
        let clock = Clock::Fixed(self.now());
        Books::Memory(MemoryBooks::new(self.ledger.clone(), link, clock, chance))
    }

    /// Both have said the same, but for names and moments of their own.
    fn compare(&mut self, what: &str, real: String, model: String) {
        let (mut real, mut model) = (without_moments(&real), without_moments(&model));
        for (place, (left, right)) in self.names.iter().enumerate() {
            real = real.replace(left, &format!("#{place}"));
            model = model.replace(right, &format!("#{place}"));
        }
        self.told.push(format!("{what} -> {real}"));
        assert_eq!(real, model, "seed {}:\n{}", self.seed, self.told.join("\n"));
    }

    fn turn(&mut self) -> Turn {
        if !self.turns.is_empty() && self.rng.random_ratio(1, 6) {
            let place = self.rng.random_range(0..self.turns.len());
            return self.turns[place].clone();
        }
        let turn = Turn {
            door: "africastalking".to_owned(),
            session: format!("s{}", self.turns.len() / 3),
            position: i32::try_from(self.turns.len() % 3).unwrap(),
        };
        self.turns.push(turn.clone());
        turn
    }

    fn stay(&mut self) -> Stay {
        let (from, nights) = (self.rng.random_range(NIGHTS), self.rng.random_range(1..4));
        stay(from, nights)
    }

    fn lodge(&mut self) -> Uuid {
        self.lodges[self.rng.random_range(0..self.lodges.len())]
    }

    fn pick(&mut self) -> Option<(Reservation, Reservation)> {
        let last = self.made.len().checked_sub(1)?;
        // Mostly of late.
        let first = if self.rng.random_ratio(1, 4) {
            0
        } else {
            last.saturating_sub(4)
        };
        let place = self.rng.random_range(first..=last);
        Some(self.made[place].clone())
    }

    async fn ask(&mut self) {
        match self.rng.random_range(0..100) {
            0..22 => self.reserve().await,
            22..30 => self.search().await,
            30..38 => self.look_up().await,
            38..46 => self.cancel().await,
            46..54 => self.change().await,
            54..66 => self.pay().await,
            66..72 => self.money_comes().await,
            72..78 => self.time_passes().await,
            78..82 => self.host_changes().await,
            82..88 => self.callers().await,
            _ => self.messages().await,
        }
        if self.told.len().is_multiple_of(10) {
            self.rows().await;
        }
    }

    async fn reserve(&mut self) {
        let (turn, stay, property_id) = (self.turn(), self.stay(), self.lodge());
        let caller = msisdn(self.rng.random_range(NUMBERS));
        let guests = self.rng.random_range(1..4);
        let memory = self.memory();
        let offer = memory.find_offer(property_id, stay, 1).await.unwrap();
        let mut total_shown = offer.map_or(kes(4500), |offer| offer.total);
        if self.rng.random_ratio(1, 12) {
            total_shown.minor += 100;
        }
        let booking = Booking {
            turn: &turn,
            property_id,
            stay,
            units: 1,
            guests,
            msisdn: &caller,
            guest_msisdn: None,
            guest_name: "Asha",
            language: "en",
            total_shown,
            at: Story::at(),
            cause: GUEST,
        };
        let compose = |code: &Code| vec![draft("confirmed", &caller, &format!("Booked {code}"))];
        let real = self.postgres.reserve(&booking, &compose).await.unwrap();
        let modelled = memory.reserve(&booking, &compose).await.unwrap();
        if let (Reserved::Made(real), Reserved::Made(model)) = (&real, &modelled) {
            for (real, model) in [
                (real.id.to_string(), model.id.to_string()),
                (
                    real.code.digits().to_owned(),
                    model.code.digits().to_owned(),
                ),
                (real.code.to_string(), model.code.to_string()),
            ] {
                self.names.push((real, model));
            }
            self.made.push((real.clone(), model.clone()));
        }
        let what = format!(
            "reserve {property_id} {stay:?} {caller} {guests} {}",
            turn.key()
        );
        self.compare(&what, format!("{real:?}"), format!("{modelled:?}"));
    }

    async fn search(&mut self) {
        let wanted = Search {
            place: ["ke-nakuru", "ke-nakuru-milimani"][self.rng.random_range(0..2)].to_owned(),
            stay: self.stay(),
            guests: self.rng.random_range(1..4),
            prepaid: self.rng.random_ratio(3, 4),
        };
        let (lodge, memory) = (self.lodge(), self.memory());
        let mut both = Vec::new();
        for books in [&self.postgres, &memory] {
            let (guests, at) = (wanted.guests, Story::at());
            both.push(format!(
                "{:?} {:?} {:?} {:?} {:?}",
                books.search_offers(&wanted).await.unwrap(),
                books.alternatives(&wanted, lodge).await.unwrap(),
                books.least_stay(&wanted).await.unwrap(),
                books.find_offer(lodge, wanted.stay, guests).await.unwrap(),
                books
                    .find_restriction(lodge, wanted.stay, at)
                    .await
                    .unwrap(),
            ));
        }
        let model = both.pop().unwrap();
        self.compare(&format!("search {wanted:?} {lodge}"), both.remove(0), model);
    }

    async fn look_up(&mut self) {
        let caller = msisdn(self.rng.random_range(NUMBERS));
        let Some((real, model)) = self.pick() else {
            return;
        };
        let (turn, memory) = (self.turn(), self.memory());
        let mut both = Vec::new();
        for (books, made) in [(&self.postgres, &real), (&memory, &model)] {
            both.push(format!(
                "{:?} {:?} {:?} {:?} {:?}",
                books.list_live(&caller, today()).await.unwrap(),
                books.find_by_code(&made.code, &caller).await.unwrap(),
                books
                    .find_by_dialogue(&turn.door, &turn.session)
                    .await
                    .unwrap(),
                books.find_cancel_cost(made.id, Story::at()).await.unwrap(),
                books.find_ways(made).await.unwrap(),
            ));
        }
        let model = both.pop().unwrap();
        self.compare("look up", both.remove(0), model);
    }

    async fn cancel(&mut self) {
        let Some((real, model)) = self.pick() else {
            return;
        };
        let (turn, memory) = (self.turn(), self.memory());
        let who = if self.rng.random_ratio(3, 4) {
            "guest"
        } else {
            "host"
        };
        let cause = Cause { who, ..GUEST };
        let cost = memory
            .find_cancel_cost(model.id, Story::at())
            .await
            .unwrap();
        let cost_shown = match who {
            "guest" if self.rng.random_ratio(5, 6) => cost.unwrap(),
            _ => 0,
        };
        let mut both = Vec::new();
        for (books, made) in [(&self.postgres, &real), (&memory, &model)] {
            let drafts = [draft("cancelled", &made.msisdn, "Cancelled")];
            let cancel = Cancel {
                id: made.id,
                at: Story::at(),
                cost_shown,
                turn: &turn,
                cause: &cause,
                drafts: &drafts,
            };
            both.push(format!("{:?}", books.cancel(&cancel).await.unwrap()));
        }
        let model = both.pop().unwrap();
        let what = format!("cancel {} by {who} {}", real.id, turn.key());
        self.compare(&what, both.remove(0), model);
    }

    async fn change(&mut self) {
        let Some((real, model)) = self.pick() else {
            return;
        };
        let (turn, stay, memory) = (self.turn(), self.stay(), self.memory());
        let quoted = memory
            .quote_change(model.id, stay, Story::at())
            .await
            .unwrap();
        let total_shown = match &quoted {
            Changed::Quoted(_, total) => total.minor,
            _ => 450_000,
        };
        let mut both = Vec::new();
        for (books, made) in [(&self.postgres, &real), (&memory, &model)] {
            let drafts = [draft("changed", &made.msisdn, "Changed")];
            let change = Change {
                id: made.id,
                stay,
                at: Story::at(),
                total_shown,
                turn: &turn,
                cause: &GUEST,
                drafts: &drafts,
            };
            both.push(format!(
                "{:?} {:?}",
                books
                    .quote_change(made.id, stay, Story::at())
                    .await
                    .unwrap(),
                books.change_stay(&change).await.unwrap()
            ));
        }
        let model = both.pop().unwrap();
        let what = format!("change {} to {stay:?} {}", real.id, turn.key());
        self.compare(&what, both.remove(0), model);
    }

    async fn pay(&mut self) {
        let Some((real, model)) = self.pick() else {
            return;
        };
        let (turn, memory) = (self.turn(), self.memory());
        let part = if self.rng.random_ratio(1, 2) {
            Part::All
        } else {
            Part::Deposit
        };
        let at_lodge = self.rng.random_ratio(1, 4);
        let mut both = Vec::new();
        for (books, made) in [(&self.postgres, &real), (&memory, &model)] {
            let drafts = [draft("confirmed", &made.msisdn, "Booked")];
            let ask = Ask {
                reservation_id: made.id,
                part,
                provider: "sandbox",
                msisdn: &made.msisdn,
                minor_per_unit: 100,
                turn: &turn,
                cause: &GUEST,
            };
            both.push(if at_lodge {
                let paid = books.pay_at_lodge(made.id, &GUEST, &turn, &drafts).await;
                format!("{:?}", paid.unwrap())
            } else {
                format!("{:?}", books.ask_payment(&ask).await.unwrap())
            });
        }
        let model = both.pop().unwrap();
        let what = format!(
            "pay {} {part:?} at lodge {at_lodge} {}",
            real.id,
            turn.key()
        );
        self.compare(&what, both.remove(0), model);
    }

    /// A payer pays, or the prompt fails.
    async fn money_comes(&mut self) {
        let attempts = self.ledger.lock().unwrap().attempts.clone();
        if attempts.is_empty() {
            return;
        }
        let place = self.rng.random_range(0..attempts.len());
        let attempt = &attempts[place];
        let client = self.pool.get().await.unwrap();
        let sql = "select attempt_id from payment_attempt where turn = $1";
        let id: Uuid = client
            .query_one(sql, &[&attempt.turn])
            .await
            .unwrap()
            .get(0);
        if self.rng.random_ratio(1, 3) {
            if attempt.status == AttemptStatus::Open {
                let sql = "update payment_attempt set status = 'failed' where attempt_id = $1";
                client.execute(sql, &[&id]).await.unwrap();
                self.ledger.lock().unwrap().attempts[place].status = AttemptStatus::Failed;
            }
            return;
        }
        let drafts = vec![draft("confirmed", &msisdn(1), "Paid")];
        let receipt = format!("R{place}");
        let arrival = Arrival {
            provider: "sandbox",
            receipt: Some(&receipt),
            purpose: Purpose::Attempt(id),
            amount: attempt.amount,
            paid_at: Utc::now(),
            cause: GUEST,
        };
        let texts = Texts {
            confirmed: drafts.clone(),
            ..Texts::default()
        };
        let seen = find_payable(&client, arrival.purpose).await.unwrap();
        let real = settle(&client, &arrival, Utc::now(), seen.as_ref(), &texts).await;
        let now = self.now();
        let model = self.ledger.lock().unwrap().settle(place, &drafts, now);
        self.compare(
            "money comes",
            format!("{:?}", real.unwrap()),
            format!("{model:?}"),
        );
    }

    async fn time_passes(&mut self) {
        let minutes = [1, 4, 11, 16][self.rng.random_range(0..4)];
        self.ahead += TimeDelta::minutes(minutes);
        let client = self.pool.get().await.unwrap();
        let moved = [
            ("reservation", "hold_expires_at"),
            ("reservation", "created_at"),
            ("payment_attempt", "created_at"),
            ("outbox", "due_at"),
            ("outbox", "created_at"),
            ("outbox", "expires_at"),
            ("draft", "saved_at"),
            ("session_end", "at"),
        ];
        for (table, column) in moved {
            let sql = format!("update {table} set {column} = {column} - interval '{minutes} min'");
            client.batch_execute(&sql).await.unwrap();
        }
        let limit = self.rng.random_range(0..3);
        let real = self.postgres.expire_holds(limit).await.unwrap();
        let model = self.memory().expire_holds(limit).await.unwrap();
        let what = format!("{minutes} minutes pass, {limit} holds are looked at");
        self.compare(&what, real.to_string(), model.to_string());
    }

    async fn host_changes(&mut self) {
        let (id, day) = (self.lodge(), self.rng.random_range(NIGHTS));
        let date = today() + Days::new(day);
        let client = self.pool.get().await.unwrap();
        let closes = self.rng.random_ratio(1, 2);
        {
            let mut ledger = self.ledger.lock().unwrap();
            let night = ledger.lodges.get_mut(&id).unwrap();
            let night = night.nights.get_mut(&date).unwrap();
            if closes {
                night.closed = !night.closed;
            } else {
                night.price += 10_000;
            }
        }
        let sql = if closes {
            "update property_availability set closed = not closed where property_id = $1 and date = $2"
        } else {
            "update property_availability set price_base = price_base + 10000 where property_id = $1 and date = $2"
        };
        client.execute(sql, &[&id, &date]).await.unwrap();
        self.told.push(format!("{id} {date}: closes {closes}"));
    }

    async fn callers(&mut self) {
        let caller = msisdn(self.rng.random_range(NUMBERS));
        let (turn, memory) = (self.turn(), self.memory());
        let places = ["a", "b", "c", "d"][..self.rng.random_range(0..4)].iter();
        let places: Vec<String> = places.map(|place| (*place).to_owned()).collect();
        let draft = self.rng.random_ratio(1, 3).then(|| guests::Draft {
            session: turn.session.clone(),
            is_over: false,
            dialogue: vec![1],
        });
        let closes = draft.is_none() && self.rng.random_ratio(1, 2);
        let (has_name, was_live) = (self.rng.random_ratio(1, 3), self.rng.random_ratio(1, 2));
        let end = SessionEndRow {
            aggregator: &turn.door,
            session: &turn.session,
            msisdn: Some(&caller),
            service_code: "*384*7#",
            operator: None,
            outcome: "completed",
            hops: None,
            duration_ms: None,
            cost: None,
            input: None,
            last_reply: None,
            error: None,
        };
        let past = Past {
            turn: &turn,
            msisdn: &caller,
            key: &turn.session,
            age_max: Duration::from_secs(600),
        };
        let mut both = Vec::new();
        for books in [&self.postgres, &memory] {
            let new = Remembered {
                msisdn: caller.as_str(),
                language: has_name.then_some("sw"),
                name: has_name.then_some("Juma"),
                places: &places,
                draft: draft.clone(),
                closes,
            };
            books.remember(&[new]).await.unwrap();
            both.push(format!(
                "{:?} {:?} {:?} {:?} {:?}",
                books.find_caller(&caller).await.unwrap(),
                books.find_guest(&caller).await.unwrap(),
                books
                    .insert_call_back(&turn, &caller, "en", "help")
                    .await
                    .unwrap(),
                books.insert_session_end(&end, was_live).await.unwrap(),
                books.is_past(&past).await.unwrap(),
            ));
        }
        let model = both.pop().unwrap();
        self.compare(
            &format!("{caller} calls {}", turn.key()),
            both.remove(0),
            model,
        );
    }

    async fn messages(&mut self) {
        let (turn, memory) = (self.turn(), self.memory());
        if self.rng.random_ratio(1, 4) {
            let reply = draft("help", &msisdn(1), "Help");
            for books in [&self.postgres, &memory] {
                books.insert_reply(&turn, &reply).await.unwrap();
            }
        }
        if self.rng.random_ratio(1, 2) {
            let real = self.postgres.claim_due(1000, LEASE).await.unwrap();
            let model = memory.claim_due(1000, LEASE).await.unwrap();
            let sorted = |mut claimed: Vec<Claimed>| {
                claimed.sort_by_key(|row| row.outbox_id);
                claimed
            };
            let (claimed, modelled) = (sorted(real.claimed), sorted(model.claimed));
            let shown = |rows: &[Claimed], expired| {
                let rows = rows.iter().map(|row| {
                    format!(
                        "{} {} {} {}",
                        row.msisdn, row.text, row.attempts, row.unknowns
                    )
                });
                format!("{} expired {expired}", rows.collect::<Vec<_>>().join("; "))
            };
            let (real, model) = (
                shown(&claimed, real.expired),
                shown(&modelled, model.expired),
            );
            self.compare("claim", real, model);
            self.claimed.extend(claimed.into_iter().zip(modelled));
        }
        for _ in 0..3 {
            let Some(last) = self.claimed.len().checked_sub(1) else {
                return;
            };
            let (real, model) = self.claimed.swap_remove(self.rng.random_range(0..=last));
            let reason = "busy".to_owned();
            let after = Duration::from_secs(120);
            let outcome = |id: i64| match (self.seed + real.outbox_id.unsigned_abs()) % 5 {
                0 | 1 => Outcome::Accepted {
                    provider_id: format!("m{id}"),
                },
                2 => Outcome::Retry {
                    after,
                    reason: reason.clone(),
                },
                3 => Outcome::Unknown {
                    resend_after: Some(after),
                    reason: reason.clone(),
                },
                _ => Outcome::Failed {
                    reason: reason.clone(),
                },
            };
            let status = [
                DeliveryStatus::Sent,
                DeliveryStatus::Delivered,
                DeliveryStatus::Failed,
            ];
            let status = status[self.rng.random_range(0..3)];
            let is_early = self.rng.random_ratio(1, 3);
            let mut both = Vec::new();
            for (books, claimed) in [(&self.postgres, &real), (&memory, &model)] {
                let mut report = DeliveryReport::new(format!("m{}", claimed.outbox_id), status);
                report.msisdn = Msisdn::parse(&claimed.msisdn).ok();
                if is_early {
                    books.record_report("sandbox", &report).await.unwrap();
                }
                let done = books
                    .complete(claimed, VIA, &outcome(claimed.outbox_id))
                    .await;
                if !is_early {
                    books.record_report("sandbox", &report).await.unwrap();
                }
                books.apply_reports().await.unwrap();
                both.push(format!("{}", done.unwrap()));
            }
            let model = both.pop().unwrap();
            self.compare(&format!("complete, {status:?}"), both.remove(0), model);
        }
    }

    /// Every row of both.
    async fn rows(&mut self) {
        let client = self.pool.get().await.unwrap();
        let row = |row: &tokio_postgres::Row| -> String { row.get(0) };
        let lines = async |sql: &str| -> Vec<String> {
            client
                .query(sql, &[])
                .await
                .unwrap()
                .iter()
                .map(row)
                .collect()
        };
        let real = [
            lines("select concat_ws(' ', kind, msisdn, text, nth, status, attempts, unknowns) from outbox order by outbox_id").await,
            lines("select concat_ws(' ', reservation_id, status, paid, to_pay, refund) from reservation order by created_at, reservation_id").await,
            lines("select concat_ws(' ', property_id, date, reserved_units) from property_availability where reserved_units > 0 order by property_id, date").await,
        ];
        let model = {
            let ledger = self.ledger.lock().unwrap();
            let outbox = ledger.outbox.rows.iter().map(|row| {
                let (status, attempts) = (row.status.word(), row.attempts);
                format!(
                    "{} {} {} {} {status} {attempts} {}",
                    row.kind, row.msisdn, row.text, row.nth, row.unknowns
                )
            });
            let stays = ledger.stays.iter().map(|kept| {
                let shown = &kept.shown;
                let to_pay = kept
                    .to_pay
                    .map(|to_pay| format!(" {to_pay}"))
                    .unwrap_or_default();
                format!(
                    "{} {} {}{to_pay} {}",
                    shown.id,
                    shown.status.word(),
                    kept.paid(),
                    shown.refund.minor
                )
            });
            let nights = ledger.lodges.values().flat_map(|lodge| {
                let taken = lodge.nights.iter().filter(|(_, night)| night.reserved > 0);
                taken.map(|(date, night)| format!("{} {date} {}", lodge.id, night.reserved))
            });
            [
                outbox.collect::<Vec<_>>(),
                stays.collect(),
                nights.collect(),
            ]
        };
        self.compare("rows", format!("{real:#?}"), format!("{model:#?}"));
    }
}

fn draft(kind: &'static str, to: &Msisdn, text: &str) -> Draft {
    Draft {
        kind,
        msisdn: to.clone(),
        text: text.to_owned(),
        expires_at: Utc::now() + TimeDelta::hours(12),
    }
}

/// `hold_expires_at: Some(2026-11-28T23:59:00Z)` is `hold_expires_at: Some(…)`.
fn without_moments(text: &str) -> String {
    let mut parts = text.split("hold_expires_at: Some(");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str("hold_expires_at: Some(…");
        plain.push_str(&part[part.find(')').unwrap()..]);
    }
    plain
}

/// What the database has before the story begins.
async fn model(pool: &Pool) -> Ledger {
    let client = pool.get().await.unwrap();
    let books = Books::postgres(pool.clone(), Isolation::ReadCommitted, 1);
    let mut ledger = Ledger::default();
    ledger.places = books.list_places().await.unwrap();
    let sql = "select p.*, h.msisdn as host_msisdn, h.language as host_language
               from property p join host h on h.host_id = p.host_id";
    for row in client.query(sql, &[]).await.unwrap() {
        let parse = |column: &str| Msisdn::parse(row.get(column)).unwrap();
        let number = |column: &str| u16::try_from(row.get::<_, i16>(column)).unwrap();
        let lodge = memory::Lodge {
            id: row.get("property_id"),
            name: row.get("name"),
            landmark: row.get("landmark"),
            town: row.get("town"),
            area: row.get("area"),
            guests_max: row.get("guests_max"),
            currency: Currency::find(row.get("currency")).unwrap(),
            time_zone: row.get::<_, &str>("time_zone").parse().unwrap(),
            check_in_time: row.get("check_in_time"),
            cancel_hours: row.get("cancel_hours"),
            pay: Pay::find(row.get("pay")).unwrap(),
            hold_minutes: row.get("hold_minutes"),
            phone: parse("phone"),
            host_msisdn: parse("host_msisdn"),
            host_language: row.get("host_language"),
            open: row.get("open"),
            min_stay: number("min_stay"),
            max_stay: number("max_stay"),
            advance_days_max: u16::try_from(row.get::<_, i32>("advance_days_max")).unwrap(),
            unpaid_percent: row.get::<_, i16>("unpaid_percent").into(),
            deposit_percent: row.get::<_, i16>("deposit_percent").into(),
            pay_at_lodge_too: row.get("pay_at_lodge_too"),
            by_hand_minutes: row.get::<_, i32>("by_hand_minutes").into(),
            nights: BTreeMap::new(),
        };
        ledger.lodges.insert(lodge.id, lodge);
    }
    let sql = "select property_id, date, available_units, reserved_units, closed,
                      night_price(price_base, surge_multiplier)::bigint as price from property_availability";
    for row in client.query(sql, &[]).await.unwrap() {
        let night = Night {
            available: row.get("available_units"),
            reserved: row.get("reserved_units"),
            price: row.get("price"),
            closed: row.get("closed"),
        };
        let lodge = ledger
            .lodges
            .get_mut(&row.get::<_, Uuid>("property_id"))
            .unwrap();
        lodge.nights.insert(row.get("date"), night);
    }
    ledger
}
