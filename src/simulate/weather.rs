//! What goes wrong in a run, and what others do meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::link::{Link, Weather};
use super::world::World;
use crate::books::memory::AttemptStatus;
use crate::session::notices;

/// A prompt leaves so long after its turn, and is answered some time after.
const PROMPT_WAIT: chrono::Duration = chrono::Duration::seconds(3);

/// One thing after the other goes wrong, until it is told to stop.
pub(super) async fn storms(world: Arc<World>) {
    loop {
        pause(&world, 0.3, 5.0).await;
        match world.below(12) {
            0 | 1 => books(&world).await,
            2 | 3 => redis(&world).await,
            4 => {
                world.tell("redis comes back empty");
                world.redis.lose_all();
                world.law().disturbed();
            }
            5 => {
                let snapshot = world.redis.snapshot();
                pause(&world, 0.5, 1.5).await;
                world.tell("redis comes back without its last second");
                world.redis.restore(&snapshot);
                world.law().disturbed();
            }
            6 | 7 => restart(&world).await,
            8 => {
                let percent = [0, 20, 70][world.below(3)];
                world.tell(format_args!("sms: {percent} of 100 meet trouble"));
                world.gateway.set_trouble(percent);
            }
            9 => {
                let victims = some(&world, |instance| &instance.to_gateway);
                spell(&world, "the sms provider", victims, Weather::Silent).await;
            }
            10 => reprice(&world),
            _ => {}
        }
    }
}

async fn pause(world: &World, least: f64, most: f64) {
    let seconds = world.chance.number(least..most);
    sleep(Duration::from_secs_f64(seconds)).await;
}

type Way = fn(&super::world::Instance) -> &Arc<Link>;

/// The links of one instance, or of all.
fn some(world: &World, way: Way) -> Vec<Arc<Link>> {
    let instances = world.instances();
    let links: Vec<Arc<Link>> = instances.iter().map(|it| way(it).clone()).collect();
    match world.below(2) {
        0 => vec![links[world.below(links.len())].clone()],
        _ => links,
    }
}

async fn spell(world: &World, what: &str, victims: Vec<Arc<Link>>, weather: Weather) {
    world.tell(format_args!(
        "the way to {what}, of {} instances, is {weather:?}",
        victims.len()
    ));
    for link in &victims {
        link.set(weather);
    }
    pause(world, 0.2, 6.0).await;
    for link in &victims {
        link.set(Weather::Fair);
    }
    world.tell(format_args!("the way to {what} is fair"));
}

async fn books(world: &World) {
    let slow = Weather::Slow(Duration::from_millis(3_000));
    let weathers = [
        slow,
        Weather::Rough(30),
        Weather::Crowded(60),
        Weather::Silent,
    ];
    let weather = weathers[world.below(weathers.len())];
    world.law().books_failed();
    spell(world, "the books", some(world, |it| &it.to_books), weather).await;
}

async fn redis(world: &World) {
    let slow = Weather::Slow(Duration::from_millis(400));
    let weathers = [slow, Weather::Rough(40), Weather::Silent];
    let weather = weathers[world.below(weathers.len())];
    spell(world, "redis", some(world, |it| &it.to_redis), weather).await;
    // Also where nobody was answered meanwhile.
    world.law().disturbed();
}

/// An instance is killed; another takes its place, before or after.
async fn restart(world: &World) {
    let instances = world.instances();
    let victim = instances[world.below(instances.len())].clone();
    let is_alone = instances.len() == 1;
    if is_alone && world.start_instance().await.is_err() {
        return;
    }
    world.tell(format_args!("{} is killed", victim.number));
    world.law().killed();
    world.kill(&victim);
    pause(world, 0.0, 3.0).await;
    if !is_alone && let Ok(fresh) = world.start_instance().await {
        world.tell(format_args!("{} starts", fresh.number));
    }
}

/// A host changes a price, or closes a night.
fn reprice(world: &World) {
    let (lodge, night) = (world.below(4), world.below(4));
    let closes = world.happens(30.0);
    let mut ledger = world.ledger();
    let Some(lodge) = ledger.lodges.values_mut().nth(lodge) else {
        return;
    };
    let name = lodge.name.clone();
    let Some(night) = lodge.nights.values_mut().nth(night) else {
        return;
    };
    if closes {
        night.closed = !night.closed;
    } else {
        night.price += 10_000;
    }
    let told = format!("{name} has {night:?}");
    drop(ledger);
    world.tell(told);
}

/// Who was prompted pays or does not.
pub(super) async fn payers(world: Arc<World>) {
    loop {
        pause(&world, 1.0, 3.0).await;
        let now = world.clock.now();
        let open = world.ledger().attempts.iter().position(|attempt| {
            attempt.status == AttemptStatus::Open && attempt.created_at + PROMPT_WAIT < now
        });
        let Some(open) = open else {
            continue;
        };
        match world.below(4) {
            0 | 1 => settle(&world, open),
            2 => {
                world.tell(format_args!("prompt {open} fails"));
                world.ledger().attempts[open].status = AttemptStatus::Failed;
            }
            _ => {}
        }
        super::law::check(&world);
    }
}

fn settle(world: &World, attempt: usize) {
    let instances = world.instances();
    let mut ledger = world.ledger();
    let id = ledger.attempts[attempt].reservation_id;
    let reservation = ledger.stays.iter().find(|kept| kept.shown.id == id);
    let Some(reservation) = reservation.map(|kept| kept.shown.clone()) else {
        return;
    };
    let app = &instances[0].app;
    let menus = app.menus.current();
    let language = menus.menu.language(&reservation.language);
    let drafts = notices::booked(app, &reservation, language);
    let settled = ledger.settle(attempt, &drafts, world.clock.now());
    drop(ledger);
    app.outbox.notify_one();
    world.tell(format_args!("prompt {attempt} is paid: {settled:?}"));
}

/// From now on nothing fails, and one instance does what is left to be done.
pub(super) async fn heal(world: &World) -> anyhow::Result<()> {
    world.tell("everything heals");
    world.gateway.set_trouble(0);
    for instance in world.instances() {
        for link in instance.links() {
            link.set(Weather::Fair);
        }
    }
    // What is remembered of callers is written.
    sleep(Duration::from_secs(12)).await;
    let instances = world.instances();
    for spare in &instances[1.min(instances.len())..] {
        world.kill(spare);
    }
    if instances.is_empty() {
        world.start_instance().await?;
    }
    Ok(())
}
