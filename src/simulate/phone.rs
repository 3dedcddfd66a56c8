//! A phone with a person, and the aggregator in between: which asks again when it hears nothing, now and then asks twice,
//! and hands over late what was overtaken.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::scene::TOWNS;
use super::world::{Instance, World};
use crate::db::patience::within;
use crate::phone::Msisdn;
use crate::session::store::SessionKey;
use crate::session::turn::{Answer, answer};
use crate::ussd::transcript::position;
use crate::ussd::{self, Aggregator, Call, Outcome, Reply, Said, SessionEnd};
use crate::webhook;

/// How long the aggregator waits for an answer before it asks once more, and how often it asks.
const AGGREGATOR_WAIT: Duration = Duration::from_secs(10);
const TRIES_MAX: usize = 3;
const CODE: &str = "*384*7#";
/// Dialogues of one phone.
const DIALOGUES: usize = 3;
/// The most answers of one.
const ANSWERS_MAX: usize = 20;
/// The end of a session waits so long for the books.
const END_MAX: Duration = Duration::from_secs(2);

/// How an aggregator tells what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All answers so far.
    Transcript,
    /// The latest answer with its number.
    Numbered,
    /// The latest answer only.
    Latest,
}

impl Kind {
    pub(super) fn aggregator(self) -> &'static dyn Aggregator {
        let name = match self {
            Kind::Transcript => "africastalking",
            Kind::Numbered => "beem",
            Kind::Latest => "arkesel",
        };
        ussd::find(name).unwrap_or(ussd::AGGREGATORS[0])
    }
}

/// One call, as often as it is made.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) door: &'static str,
    /// As turns name it, without what tells dialogues under the same id apart.
    pub(super) session: String,
    pub(super) answers: Vec<String>,
    pub(super) msisdn: Msisdn,
    pub(super) kind: Kind,
}

impl Asked {
    pub(super) fn name(&self) -> String {
        let (door, session, answers) = (self.door, &self.session, self.answers.join("*"));
        match self.kind {
            Kind::Transcript => format!("{door} {session} {answers}"),
            _ => format!("{door} {session} {}: {answers}", self.answers.len()),
        }
    }

    /// Of its turn, where all answers are told.
    pub(super) fn position(&self) -> i32 {
        position(&self.answers.join("*"))
    }
}

/// One person.
#[derive(Clone)]
pub(super) struct Phone {
    world: Arc<World>,
    number: usize,
    msisdn: Msisdn,
}

/// One dialogue of it.
struct Dialogue {
    kind: Kind,
    session: String,
    answers: Vec<String>,
}

impl Phone {
    pub(super) fn new(world: &Arc<World>, number: usize) -> Phone {
        let msisdn = Msisdn::parse(&format!("+2547110000{number:02}"));
        Phone {
            world: world.clone(),
            number,
            msisdn: msisdn.unwrap_or_else(|bad| unreachable!("a number of ours is {bad}")),
        }
    }

    pub(super) async fn live(self) {
        for number in 0..DIALOGUES {
            self.pause(0.2, 4.0).await;
            if self.world.law().broken().is_some() {
                return;
            }
            let kinds = [
                Kind::Transcript,
                Kind::Transcript,
                Kind::Numbered,
                Kind::Latest,
            ];
            let dialogue = Dialogue {
                kind: kinds[self.world.below(kinds.len())],
                session: format!("s{}{number}", self.number),
                answers: Vec::new(),
            };
            self.lead(dialogue).await;
        }
    }

    async fn pause(&self, least: f64, most: f64) {
        let seconds = self.world.chance.number(least..most);
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// From dialling to the last screen, unless it breaks off.
    async fn lead(&self, mut dialogue: Dialogue) {
        loop {
            let shown = self.ask(&dialogue).await;
            if self.world.law().broken().is_some() {
                return;
            }
            let screen = match shown {
                Some(Reply::Continue(screen)) if dialogue.answers.len() < ANSWERS_MAX => screen,
                _ => break,
            };
            self.pause(0.1, 2.0).await;
            if self.world.happens(4.0) {
                break;
            }
            let answer = self.choose(&screen);
            let asked = self.asked(&dialogue);
            let screens = self.world.law().screens(&asked.name());
            let books = |screen: &String| label(screen, &answer) == Some("Yes, book");
            if screens.iter().any(books) {
                self.world.law().pressed(&asked);
            }
            dialogue.answers.push(answer);
        }
        if self.world.happens(50.0) {
            self.end(&dialogue).await;
        }
    }

    /// What a person who mostly wants a room answers.
    fn choose(&self, screen: &str) -> String {
        let world = &self.world;
        let one_of = |words: &[&str]| words[world.below(words.len())].to_owned();
        if world.happens(2.0) {
            return one_of(&["", "9", "zz", "0", "00", "1*1"]);
        }
        if screen.contains("Where do you sleep") {
            return one_of(&[TOWNS[0], TOWNS[0], TOWNS[1]]);
        }
        if screen.contains("1 Keep it") {
            return one_of(&["1", "2"]);
        }
        if screen.contains("How many") {
            return one_of(&["1", "1", "2"]);
        }
        if screen.contains("Your name?") || screen.contains("Name of the guest?") {
            return one_of(&["Asha", "Juma", "0"]);
        }
        if screen.contains("Phone number of the guest") {
            return "0711000099".to_owned();
        }
        let keys: Vec<&str> = screen
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(key, _)| key)
            .filter(|key| key.len() < 3 && key.bytes().all(|byte| byte.is_ascii_digit()))
            .collect();
        match keys[..] {
            [] => "1".to_owned(),
            _ if screen.contains("a room tonight") => one_of(&["1", "1", "1", "2", "2", "3"]),
            _ if world.happens(75.0) => keys[0].to_owned(),
            _ => one_of(&keys),
        }
    }

    fn asked(&self, dialogue: &Dialogue) -> Asked {
        Asked {
            door: dialogue.kind.aggregator().name(),
            session: format!("{}/{}", dialogue.session, self.msisdn.digits()),
            answers: dialogue.answers.clone(),
            msisdn: self.msisdn.clone(),
            kind: dialogue.kind,
        }
    }

    fn call(&self, dialogue: &Dialogue) -> Call {
        let last = dialogue.answers.last().cloned();
        let said = match (dialogue.kind, last) {
            (Kind::Transcript, _) => Said::Transcript(dialogue.answers.join("*")),
            (_, None) => Said::Dialled(String::new()),
            (Kind::Numbered, Some(input)) => Said::Answered {
                input,
                hop: Some(dialogue.answers.len().to_string()),
            },
            (Kind::Latest, Some(input)) => Said::Answered { input, hop: None },
        };
        Call {
            msisdn: self.msisdn.clone(),
            session: dialogue.session.clone(),
            service_code: CODE.to_owned(),
            operator: None,
            said,
            echo: Vec::new(),
        }
    }

    /// Has the call answered, if need be by asking again. `None`: the network gives up.
    async fn ask(&self, dialogue: &Dialogue) -> Option<Reply> {
        let (asked, call) = (self.asked(dialogue), self.call(dialogue));
        let aggregator = dialogue.kind.aggregator();
        let again = |least: f64, most: f64| {
            let (phone, asked, call) = (self.clone(), asked.clone(), call.clone());
            tokio::spawn(async move {
                phone.pause(least, most).await;
                phone.post(aggregator, &asked, call, "again").await
            });
        };
        // What nothing but time tells from the next call is not made again: it would be the next one.
        let is_told_apart = match dialogue.kind {
            Kind::Transcript => true,
            Kind::Numbered => !dialogue.answers.is_empty(),
            Kind::Latest => false,
        };
        if is_told_apart && self.world.happens(8.0) {
            again(0.0, 0.4);
        }
        if is_told_apart && self.world.happens(5.0) {
            again(1.0, 30.0);
        }
        for _ in 0..if is_told_apart { TRIES_MAX } else { 1 } {
            let posted = self.post(aggregator, &asked, call.clone(), "asks");
            let reply = timeout(AGGREGATOR_WAIT, posted).await.ok().flatten();
            if reply.is_some() && !self.world.happens(4.0) {
                return reply;
            }
            self.pause(0.05, 0.4).await;
        }
        None
    }

    /// One request to one instance. `None`: it died.
    async fn post(
        &self,
        aggregator: &'static dyn Aggregator,
        asked: &Asked,
        call: Call,
        verb: &str,
    ) -> Option<Reply> {
        let world = &self.world;
        let instance = self.any_instance();
        let place = instance.number;
        let name = asked.name();
        world.tell(format_args!("{verb} {place}: {name}"));
        let began = Instant::now();
        let number = world.law().begins(&name);
        let request = format!("{} {:?}", call.session, call.said);
        let answer = answer(
            &instance.app,
            aggregator,
            &Arc::new(call),
            || request,
            began,
        )
        .await;
        let was_alone = world.law().ends(&name, number);
        if instance.is_dead() {
            return None;
        }
        let (is_sorry, reply) = match answer {
            Answer::Screen(reply) => (false, reply),
            Answer::UnknownSession(text) => (true, Reply::End(text)),
            Answer::KnownSession => (true, Reply::End("goes on".to_owned())),
        };
        world.tell(format_args!("{place} says: {name} -> {reply:?}"));
        super::law::replied(world, asked, &reply, began, was_alone, is_sorry);
        super::law::check(world);
        Some(reply)
    }

    fn any_instance(&self) -> Arc<Instance> {
        let instances = self.world.instances();
        instances[self.world.below(instances.len())].clone()
    }

    /// The aggregator says that the session is over.
    async fn end(&self, dialogue: &Dialogue) {
        let instance = self.any_instance();
        let (app, aggregator) = (&instance.app, dialogue.kind.aggregator());
        self.world.tell(format_args!(
            "ends {}: {}",
            instance.number, dialogue.session
        ));
        let key = SessionKey::new(aggregator.name(), &dialogue.session, Some(&self.msisdn));
        let was_live = app.store.close(&key).await;
        let end = SessionEnd {
            msisdn: Some(self.msisdn.clone()),
            ..SessionEnd::of(dialogue.session.clone(), Outcome::Abandoned)
        };
        let kept = webhook::ussd::keep(app, aggregator.name(), &end, was_live);
        // An end that is not kept is the aggregator's to tell again.
        within(&app.postgres, END_MAX, kept).await.ok();
    }
}

/// What a screen has beside a key.
fn label<'a>(screen: &'a str, key: &str) -> Option<&'a str> {
    let mut options = screen.lines().filter_map(|line| line.split_once(' '));
    options
        .find(|(option, _)| *option == key)
        .map(|(_, label)| label)
}
