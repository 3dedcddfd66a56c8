//! Where chance comes from: the machine, or a seed that gives the same chances again.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::{Builder, Uuid};

/// A source of chance.
#[derive(Debug, Clone, Default)]
pub enum Chance {
    /// The machine's.
    #[default]
    System,
    /// A row that is decided by its seed.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Chance {
    /// The row of this seed.
    pub fn seeded(seed: u64) -> Chance {
        Chance::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A number of a range that is not empty.
    pub fn number(&self, range: Range<f64>) -> f64 {
        match self {
            Chance::System => rand::random_range(range),
            Chance::Seeded(rng) => lock(rng).random_range(range),
        }
    }

    /// A random id.
    pub fn uuid(&self) -> Uuid {
        match self {
            Chance::System => Uuid::new_v4(),
            Chance::Seeded(rng) => Builder::from_random_bytes(lock(rng).random()).into_uuid(),
        }
    }
}

fn lock(rng: &Mutex<StdRng>) -> std::sync::MutexGuard<'_, StdRng> {
    rng.lock().unwrap_or_else(PoisonError::into_inner)
}
