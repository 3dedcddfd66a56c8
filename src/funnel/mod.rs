//! How far callers come: how often each screen was shown, and what became of it. Turns count in memory, without a lock;
//! a job writes that down.

pub mod page;
mod tally;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use tally::{Before, Tally, left_at};

use crate::menu::Menus;

/// The most columns of one version of the menus. Who comes over it counts among those whose operator is not told.
const COLUMNS_MAX: usize = 500;
/// The kinds of [`Event`].
pub const EVENTS: usize = 6;

/// What happens at a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A reply showed it.
    Shown,
    /// An answer to it led on.
    Answered,
    /// An answer to it was not understood.
    Wrong,
    /// The session was over, by its aggregator's word, while it waited for an answer.
    TimedOut,
    /// A dialogue that had broken off went on here.
    Resumed,
    /// The dialogue ended with it.
    Completed,
}

/// What was counted since it was last written down.
#[derive(Default)]
pub struct Funnel {
    /// By the address of their menus, which each of them keeps from going.
    columns: ArcSwap<HashMap<usize, Vec<Arc<Column>>>>,
    /// Out of use, and perhaps in the hands of a turn.
    leaving: Mutex<Vec<Arc<Column>>>,
}

/// Who is counted together.
struct Column {
    menus: Arc<Menus>,
    aggregator: &'static str,
    operator: String,
    language: usize,
    /// By place of the screen in the flow.
    screens: Box<[[AtomicU32; EVENTS]]>,
}

/// Where something happens.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    /// In which menus.
    pub menus: &'a Arc<Menus>,
    /// Whose call it is.
    pub aggregator: &'static str,
    /// Where that tells it.
    pub operator: Option<&'a str>,
    /// In which of the flow's languages.
    pub language: usize,
    /// At which of its screens.
    pub screen: usize,
}

/// One screen of one column.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in the table funnel")]
pub struct Row<'a> {
    pub flow: &'a str,
    pub version: &'a str,
    pub screen: &'a str,
    pub place: i32,
    pub aggregator: &'a str,
    pub operator: &'a str,
    pub language: &'a str,
    /// By [`Event`].
    pub counts: [i64; EVENTS],
}

impl Funnel {
    /// Counts an event.
    pub fn count(&self, spot: Spot<'_>, event: Event) {
        let columns = self.columns.load();
        let own = columns.get(&address(spot.menus));
        match own.and_then(|own| own.iter().find(|column| column.is_for(&spot))) {
            Some(column) => column.count(spot.screen, event),
            None => self.begin(spot).count(spot.screen, event),
        }
    }

    /// The column of those who were not met before.
    fn begin(&self, spot: Spot<'_>) -> Arc<Column> {
        let mut found = Arc::new(Column::new(spot));
        let new = found.clone();
        self.columns.rcu(|columns| {
            let mut columns = HashMap::clone(columns);
            let own = columns.entry(address(spot.menus)).or_default();
            let nameless = Spot {
                operator: None,
                ..spot
            };
            let is_full = own.len() >= COLUMNS_MAX;
            let mut known = own.iter();
            let known =
                known.find(|column| column.is_for(&spot) || is_full && column.is_for(&nameless));
            found = match known.cloned() {
                Some(column) => column,
                None => {
                    let column = if is_full {
                        Arc::new(Column::new(nameless))
                    } else {
                        new.clone()
                    };
                    own.push(column.clone());
                    column
                }
            };
            columns
        });
        found
    }

    /// Takes what was counted. Columns that nobody used since the last time go.
    pub fn drain(&self) -> Drained<'_> {
        let mut counted = Vec::new();
        let mut leaving = self.leaving();
        let mut idle = Vec::new();
        for column in self.columns.load().values().flatten() {
            if !column.drain(&mut counted) {
                idle.push(column.clone());
            }
        }
        if !idle.is_empty() {
            self.columns.rcu(|columns| {
                let mut columns = HashMap::clone(columns);
                columns.retain(|_, own| {
                    own.retain(|column| !idle.iter().any(|idle| Arc::ptr_eq(idle, column)));
                    !own.is_empty()
                });
                columns
            });
            leaving.extend(idle);
        }
        // A turn that still had one in its hands may have counted there since.
        leaving.retain(|column| {
            let is_held = Arc::strong_count(column) > 1;
            column.drain(&mut counted);
            is_held
        });
        Drained {
            funnel: self,
            counted,
            written: 0,
        }
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Arc<Column>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(menus: &Arc<Menus>) -> usize {
    Arc::as_ptr(menus).addr()
}

impl Column {
    fn new(spot: Spot<'_>) -> Column {
        let screens = spot.menus.menu.flow.screens.iter();
        Column {
            menus: spot.menus.clone(),
            aggregator: spot.aggregator,
            operator: spot.operator.unwrap_or_default().to_owned(),
            language: spot.language,
            screens: screens.map(|_| Default::default()).collect(),
        }
    }

    fn is_for(&self, spot: &Spot<'_>) -> bool {
        self.language == spot.language
            && self.aggregator == spot.aggregator
            && self.operator == spot.operator.unwrap_or_default()
    }

    fn count(&self, screen: usize, event: Event) {
        if let Some(counts) = self.screens.get(screen) {
            counts[event as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether there was anything.
    fn drain(self: &Arc<Column>, counted: &mut Vec<Counted>) -> bool {
        let before = counted.len();
        for (screen, counts) in self.screens.iter().enumerate() {
            let counts = counts
                .each_ref()
                .map(|count| count.swap(0, Ordering::Relaxed));
            if counts != [0; EVENTS] {
                counted.push(Counted {
                    column: self.clone(),
                    screen,
                    counts,
                });
            }
        }
        counted.len() > before
    }
}

/// What was counted at one screen.
struct Counted {
    column: Arc<Column>,
    screen: usize,
    counts: [u32; EVENTS],
}

/// What was taken out to be written down. What is not by the end of it counts on.
pub struct Drained<'a> {
    funnel: &'a Funnel,
    counted: Vec<Counted>,
    written: usize,
}

impl Drained<'_> {
    /// The next rows to be written, `most` at most.
    pub fn next(&self, most: usize) -> Vec<Row<'_>> {
        let left = self.counted[self.written..].iter();
        left.take(most).map(Counted::row).collect()
    }

    /// So many of them are written.
    pub fn wrote(&mut self, rows: usize) {
        self.written += rows;
    }
}

impl Counted {
    fn row(&self) -> Row<'_> {
        let column = &self.column;
        let flow = &column.menus.menu.flow;
        Row {
            flow: &flow.name,
            version: column.menus.version.as_str(),
            screen: &flow.screens[self.screen].name,
            place: i32::try_from(self.screen).unwrap_or(i32::MAX),
            aggregator: column.aggregator,
            operator: &column.operator,
            language: flow
                .languages
                .get(column.language)
                .map_or("", String::as_str),
            counts: self.counts.map(i64::from),
        }
    }
}

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        let left = &self.counted[self.written..];
        if left.is_empty() {
            return;
        }
        // Whoever is out of use already is looked at once more from there.
        let mut leaving = self.funnel.leaving();
        for counted in left {
            if !leaving
                .iter()
                .any(|known| Arc::ptr_eq(known, &counted.column))
            {
                leaving.push(counted.column.clone());
            }
            let counts = &counted.column.screens[counted.screen];
            for (count, back) in counts.iter().zip(counted.counts) {
                count.fetch_add(back, Ordering::Relaxed);
            }
        }
    }
}
