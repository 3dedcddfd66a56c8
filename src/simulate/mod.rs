//! Whole runs in virtual time: several phones, several instances, and stores, networks and an SMS provider that fail.
//! Dialogues, bookings and the outbox are the service's own; [`MemoryBooks`](crate::books::memory::MemoryBooks) and
//! [a simulated Redis](crate::session::store::simulated) stand for the stores. One seed is one run, which it tells again
//! step by step; after every step the law is looked at.

pub mod gateway;
mod law;
pub mod link;
mod phone;
mod scene;
mod weather;
mod world;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use tokio::time::sleep;

use self::phone::Phone;
use self::world::World;

/// Phones in a run.
const PHONES: usize = 4;
/// Instances at the start.
const INSTANCES: usize = 2;
/// How long everything may take to come to rest once nothing fails any more.
const REST_MAX: Duration = Duration::from_secs(20 * 60);
/// How often it is looked whether it has.
const REST_LOOK: Duration = Duration::from_secs(5);

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub seed: u64,
    /// What happened, line by line, each with its second.
    pub story: Vec<String>,
    /// How much was done.
    pub done: Done,
    /// Which law was broken; the story ends there.
    pub broken: Option<String>,
}

/// How much was done in a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the word says it")]
pub struct Done {
    pub calls: usize,
    pub reservations: usize,
    pub messages: usize,
}

/// One run. The same seed makes the same run.
///
/// # Errors
/// Whatever keeps it from starting: the menus, the settings.
pub fn run(seed: u64) -> anyhow::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("a runtime")?;
    runtime.block_on(play(seed))
}

async fn play(seed: u64) -> anyhow::Result<Run> {
    let world = Arc::new(World::new(seed));
    for _ in 0..INSTANCES {
        world.start_instance().await?;
    }
    let phones: Vec<_> = (0..PHONES)
        .map(|number| tokio::spawn(Phone::new(&world, number).live()))
        .collect();
    let payers = tokio::spawn(weather::payers(world.clone()));
    let storms = tokio::spawn(weather::storms(world.clone()));
    for phone in join_all(phones).await {
        phone.context("a phone broke")?;
    }
    storms.abort();
    weather::heal(&world).await?;
    rest(&world).await;
    payers.abort();
    law::check_rest(&world);
    let (calls, broken) = {
        let law = world.law();
        (law.calls(), law.broken())
    };
    let done = {
        let ledger = world.ledger();
        Done {
            calls,
            reservations: ledger.stays.len(),
            messages: ledger.outbox.rows.len(),
        }
    };
    Ok(Run {
        seed,
        story: world.take_story(),
        done,
        broken,
    })
}

/// Waits until nothing is left to be done.
async fn rest(world: &World) {
    let mut waited = Duration::ZERO;
    while waited < REST_MAX && world.law().broken().is_none() && !law::is_at_rest(world) {
        sleep(REST_LOOK).await;
        waited += REST_LOOK;
        law::check(world);
    }
}
