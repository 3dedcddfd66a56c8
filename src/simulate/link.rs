//! The way from an instance to what it works with, in virtual time: it may be slow, crowded, silent or broken, and the
//! instance at this end of it may be dead.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::chance::Chance;

/// How long a silent peer is waited for before the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(6);

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weather {
    /// Each way takes a few milliseconds.
    Fair,
    /// Each way takes up to so long.
    Slow(Duration),
    /// So many of a hundred requests get no connection, or lose it on the way back.
    Rough(u8),
    /// So many of a hundred requests come too many at once and are turned away.
    Crowded(u8),
    /// Nothing comes back; half of what was sent has got there.
    Silent,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Trouble {
    #[error("too many at once")]
    Crowded,
    #[error("the connection broke")]
    Broken,
    #[error("no answer came")]
    Silent,
}

/// One link.
#[derive(Debug)]
pub struct Link {
    chance: Chance,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    dead: bool,
}

impl Link {
    /// In fair weather.
    pub fn new(chance: Chance) -> Link {
        Link {
            chance,
            state: Mutex::new(State {
                weather: Weather::Fair,
                dead: false,
            }),
        }
    }

    /// From now on it is so.
    pub fn set(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// How it is.
    pub fn weather(&self) -> Weather {
        self.state().weather
    }

    /// The instance at this end is no more: nothing that it still does gets anywhere.
    pub fn die(&self) {
        self.state().dead = true;
    }

    /// Whether [`Link::die`] was called.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// A request on its way there.
    ///
    /// # Errors
    /// [`Trouble`]: it has not got there.
    pub async fn go(&self) -> Result<(), Trouble> {
        match self.weather() {
            Weather::Rough(percent) if self.happens(percent) => {
                self.pass().await;
                Err(Trouble::Broken)
            }
            Weather::Crowded(percent) if self.happens(percent) => {
                self.pass().await;
                Err(Trouble::Crowded)
            }
            Weather::Silent if self.happens(50) => {
                self.wait(SILENCE_MAX).await;
                Err(Trouble::Silent)
            }
            _ => {
                self.pass().await;
                Ok(())
            }
        }
    }

    /// The answer on its way back.
    ///
    /// # Errors
    /// [`Trouble`]: it is lost, and what was asked for is done.
    pub async fn come_back(&self) -> Result<(), Trouble> {
        match self.weather() {
            Weather::Rough(percent) if self.happens(percent) => {
                self.pass().await;
                Err(Trouble::Broken)
            }
            Weather::Silent => {
                self.wait(SILENCE_MAX).await;
                Err(Trouble::Silent)
            }
            _ => {
                self.pass().await;
                Ok(())
            }
        }
    }

    fn happens(&self, percent: u8) -> bool {
        self.chance.number(0.0..100.0) < f64::from(percent)
    }

    async fn pass(&self) {
        let most = match self.weather() {
            Weather::Slow(most) => most,
            _ => Duration::from_millis(4),
        };
        self.wait(most.mul_f64(self.chance.number(0.0..1.0))).await;
    }

    async fn wait(&self, time: Duration) {
        if !self.is_dead() {
            sleep(time).await;
        }
        if self.is_dead() {
            std::future::pending().await
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
