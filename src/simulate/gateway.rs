//! An SMS provider that is no company: it takes messages, or does what providers do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::link::{Link, Trouble};
use crate::chance::Chance;
use crate::sms::{Message, Sent};

/// Its name in the tables.
pub const NAME: &str = "simulated";

/// What all instances send by.
#[derive(Debug)]
pub struct Gateway {
    chance: Chance,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// So many of a hundred messages meet trouble.
    trouble: u8,
    /// How often each message has reached its phone, by our reference.
    shown: BTreeMap<String, u32>,
    /// Messages of which an attempt left somebody in doubt, or that were refused.
    doubted: BTreeMap<String, u32>,
}

impl Gateway {
    /// One that takes everything.
    pub fn new(chance: Chance) -> Gateway {
        Gateway {
            chance,
            state: Mutex::default(),
        }
    }

    /// From now on so many of a hundred messages meet trouble.
    pub fn set_trouble(&self, percent: u8) {
        self.state().trouble = percent;
    }

    /// How often a message has reached its phone.
    pub fn shown(&self, reference: &str) -> u32 {
        self.state().shown.get(reference).copied().unwrap_or(0)
    }

    /// How many attempts at a message ended in doubt.
    pub fn doubted(&self, reference: &str) -> u32 {
        self.state().doubted.get(reference).copied().unwrap_or(0)
    }

    fn take(&self, reference: &str) -> Sent {
        *self.state().shown.entry(reference.to_owned()).or_default() += 1;
        Sent::accepted(format!("sim-{reference}"))
    }

    fn doubt(&self, reference: &str) -> Sent {
        *self
            .state()
            .doubted
            .entry(reference.to_owned())
            .or_default() += 1;
        Sent::unknown("timeout")
    }

    fn answer(&self, reference: &str) -> Sent {
        let trouble = f64::from(self.state().trouble);
        if self.chance.number(0.0..100.0) >= trouble {
            return self.take(reference);
        }
        match self.chance.number(0.0..10.0) {
            0.0..5.0 => Sent::later("GatewayError"),
            5.0..6.0 => Sent::paused("InsufficientBalance"),
            6.0..8.0 => self.doubt(reference),
            // It has it, and nobody hears of it.
            _ => {
                self.take(reference);
                self.doubt(reference)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One instance's way there.
#[derive(Debug)]
pub struct Line {
    gateway: Arc<Gateway>,
    link: Arc<Link>,
}

impl Line {
    /// By this link.
    pub fn new(gateway: Arc<Gateway>, link: Arc<Link>) -> Line {
        Line { gateway, link }
    }

    /// Hands a message over.
    pub async fn send(&self, message: &Message) -> Sent {
        let reference = &message.reference;
        let sent = async {
            self.link.go().await?;
            let sent = self.gateway.answer(reference);
            self.link.come_back().await?;
            Ok::<_, Trouble>(sent)
        };
        match sent.await {
            Ok(sent) => sent,
            Err(_) => self.gateway.doubt(reference),
        }
    }
}
