//! The gazetteer: towns, areas, landmarks and stages in memory, found by what people type.
//!
//! Every place has keys: its name, its aliases, and for places inside a town the name joined with the town's
//! (`kfa stage nakuru`). Typed text and keys are compared without case, accents, blanks and punctuation.
//! A hit scores by its kind: exact above prefix above same sound above typos above left-out letters.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strsim::{jaro_winkler, osa_distance};

use crate::country::COUNTRIES;
use crate::letters::squash;

/// The most places that a search offers.
pub const SEARCH_RESULTS_MAX: usize = 8;
/// The most typed letters that can be a place; anything longer matches nothing.
pub const TYPED_LETTERS_MAX: usize = 40;
/// Searches remembered; over it all are forgotten.
const MEANT_MAX: usize = 10_000;
/// The fewest typed letters that can be a place.
const TYPED_LETTERS_MIN: usize = 2;
/// The most typos forgiven in a long name.
const TYPOS_MAX: usize = 2;

const SCORE_EXACT: i32 = 100;
const SCORE_PREFIX: i32 = 88;
const SCORE_WORD_PREFIX: i32 = 84;
const SCORE_SOUND: i32 = 80;
const SCORE_TYPOS: [i32; TYPOS_MAX + 1] = [80, 70, 60];
const SCORE_LETTERS_LEFT_OUT: i32 = 45;
const SCORE_ONE_WORD: i32 = 40;
/// What an exact name outside the caller's country loses: it then stands between a prefix and a typo at home.
const ABROAD_EXACT_PENALTY: i32 = 14;
/// What any other hit outside the caller's country loses: it then stands behind every hit at home.
const ABROAD_PENALTY: i32 = 50;
/// A best score this far ahead of the second stands alone.
const CLEAR_MARGIN: i32 = 6;
/// Hits this far behind the best are not worth a line on a screen.
const WINDOW: i32 = 15;

/// Words around a place name that do not name it. Dropped only where something is left.
const FILLERS: &[&str] = &[
    "in", "at", "near", "the", "to", "town", "city", "county", "stop", "hotel", "hotels", "lodge",
    "room", "rooms", "huko", "karibu", "na", "ya", "mji", "wa", "mjini", "jijini",
];

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaceKind {
    /// A town or city; every other place lies in one.
    Town,
    /// A part of a town.
    Area,
    /// Something everybody there knows.
    Landmark,
    /// Where buses and matatus stop.
    Stage,
}

impl PlaceKind {
    /// The word used in files and tables: `town`, `area`, `landmark` or `stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            PlaceKind::Town => "town",
            PlaceKind::Area => "area",
            PlaceKind::Landmark => "landmark",
            PlaceKind::Stage => "stage",
        }
    }

    /// The kind with this word.
    pub fn find(word: &str) -> Option<PlaceKind> {
        [
            PlaceKind::Town,
            PlaceKind::Area,
            PlaceKind::Landmark,
            PlaceKind::Stage,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }
}

/// One place that a guest may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A stable slug: `ke-nakuru-kfa-stage`.
    pub id: String,
    /// Town, area, landmark or stage.
    pub kind: PlaceKind,
    /// Id of its town; `None` for towns.
    pub town: Option<String>,
    /// As printed on a screen.
    pub name: String,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// County, district or state.
    pub region: String,
    /// Higher is asked for more often.
    pub popularity: i32,
    /// Other names, short forms and local spellings.
    pub aliases: Vec<String>,
}

type Meant = HashMap<(String, Option<String>), Vec<usize>>;

/// All places, prepared for searching.
#[derive(Debug, Default)]
pub struct Gazetteer {
    entries: Vec<Entry>,
    by_id: HashMap<String, usize>,
    /// What was typed lately, with the country, and the entries it means: most guests type one of few names.
    meant: Mutex<Meant>,
}

#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    keys: Vec<Key>,
}

/// One spelling under which a place is found.
#[derive(Debug, Clone)]
struct Key {
    squashed: String,
    sound: String,
    /// Where its second and later words begin in `squashed`.
    word_starts: Vec<usize>,
    /// Fewest typed letters for a prefix: for `nakuru kfa stage` more than the town's own name.
    prefix_min: usize,
}

impl Gazetteer {
    /// Takes places in any order. Of two with one id, the later is found by [`Gazetteer::find`].
    pub fn new(places: Vec<Place>) -> Gazetteer {
        let town_names: HashMap<String, String> = places
            .iter()
            .filter(|place| place.kind == PlaceKind::Town)
            .map(|town| (town.id.clone(), town.name.clone()))
            .collect();
        let entries: Vec<Entry> = places
            .into_iter()
            .map(|place| {
                let town = place.town.as_ref().and_then(|id| town_names.get(id));
                Entry {
                    keys: keys_of(&place, town),
                    place,
                }
            })
            .collect();
        let by_id = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.place.id.clone(), index))
            .collect();
        Gazetteer {
            entries,
            by_id,
            meant: Mutex::default(),
        }
    }

    /// The place with this id.
    pub fn find(&self, id: &str) -> Option<&Place> {
        self.by_id.get(id).map(|index| &self.entries[*index].place)
    }

    /// The places that `typed` may mean, best first, at most [`SEARCH_RESULTS_MAX`]; a clear winner comes alone, nonsense
    /// finds nothing. `country` (ISO code) is where the caller is: places there come first, others need a better match.
    pub fn search(&self, typed: &str, country: Option<&str>) -> Vec<&Place> {
        let Some(read) = Typed::read(typed) else {
            return Vec::new();
        };
        let asked = (typed.trim().to_owned(), country.map(str::to_owned));
        let known = self.meant().get(&asked).cloned();
        let meant = known.unwrap_or_else(|| {
            let meant = self.compare(&read, country);
            let mut kept = self.meant();
            if kept.len() >= MEANT_MAX {
                kept.clear();
            }
            kept.insert(asked, meant.clone());
            meant
        });
        meant
            .into_iter()
            .map(|index| &self.entries[index].place)
            .collect()
    }

    fn meant(&self) -> MutexGuard<'_, Meant> {
        self.meant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare(&self, typed: &Typed, country: Option<&str>) -> Vec<usize> {
        let mut hits: Vec<(i32, usize)> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                let score = typed.score(entry)?;
                Some((score - abroad_penalty(score, &entry.place, country), index))
            })
            .collect();
        hits.sort_by_key(|(score, index)| {
            let place = &self.entries[*index].place;
            (Reverse(*score), Reverse(place.popularity), &place.id)
        });
        keep_the_best(&hits)
    }

    /// The towns of a country, or of one region of it, the most popular first.
    pub fn towns(&self, country: &str, region: Option<&str>) -> Vec<&Place> {
        let mut towns: Vec<&Place> = self
            .entries
            .iter()
            .map(|entry| &entry.place)
            .filter(|place| place.kind == PlaceKind::Town)
            .filter(|place| place.country.eq_ignore_ascii_case(country))
            .filter(|place| region.is_none_or(|region| place.region == region))
            .collect();
        towns.sort_by_key(|town| (Reverse(town.popularity), &town.name));
        towns
    }

    /// The regions of a country that have towns, by the summed popularity of those towns.
    pub fn regions(&self, country: &str) -> Vec<String> {
        let mut sums: HashMap<&str, i64> = HashMap::new();
        for town in self.towns(country, None) {
            *sums.entry(&town.region).or_default() += i64::from(town.popularity);
        }
        let mut regions: Vec<(&str, i64)> = sums.into_iter().collect();
        regions.sort_by_key(|(region, sum)| (Reverse(*sum), *region));
        regions
            .into_iter()
            .map(|(region, _)| region.to_owned())
            .collect()
    }
}

fn abroad_penalty(score: i32, place: &Place, home: Option<&str>) -> i32 {
    match home {
        Some(home) if place.country.eq_ignore_ascii_case(home) => 0,
        Some(_) if score == SCORE_EXACT => ABROAD_EXACT_PENALTY,
        Some(_) => ABROAD_PENALTY,
        None => 0,
    }
}

fn keep_the_best(hits: &[(i32, usize)]) -> Vec<usize> {
    let Some((best, winner)) = hits.first() else {
        return Vec::new();
    };
    if hits
        .get(1)
        .is_none_or(|(second, _)| best - second >= CLEAR_MARGIN)
    {
        return vec![*winner];
    }
    hits.iter()
        .take_while(|(score, _)| best - score <= WINDOW)
        .take(SEARCH_RESULTS_MAX)
        .map(|(_, index)| *index)
        .collect()
}

fn keys_of(place: &Place, town: Option<&String>) -> Vec<Key> {
    let mut names = vec![place.name.clone()];
    names.extend(place.aliases.iter().cloned());
    if let Some(town) = town {
        names.push(format!("{town} {}", place.name));
        names.push(format!("{} {town}", place.name));
    }
    let town = town.map(|town| squash(town));
    names
        .iter()
        .map(|name| Key::new(name, town.as_deref()))
        .filter(|key| !key.squashed.is_empty())
        .collect()
}

impl Key {
    /// `town`, squashed, is where the place lies: its name alone must not find everything in it.
    fn new(name: &str, town: Option<&str>) -> Key {
        let mut squashed = String::new();
        let mut word_starts = Vec::new();
        for word in words(name) {
            if !squashed.is_empty() {
                word_starts.push(squashed.len());
            }
            squashed.push_str(&word);
        }
        let names_town = |text: &str| town.is_some_and(|town| text.starts_with(town));
        word_starts.retain(|start| !names_town(&squashed[*start..]));
        let prefix_min = match town {
            Some(town) if names_town(&squashed) => town.len() + TYPED_LETTERS_MIN,
            _ => TYPED_LETTERS_MIN,
        };
        Key {
            sound: sound(&squashed),
            squashed,
            word_starts,
            prefix_min,
        }
    }
}

/// What was typed, whole and without fillers.
struct Typed {
    readings: Vec<Reading>,
    words: Vec<String>,
}

struct Reading {
    squashed: String,
    sound: String,
}

impl Typed {
    /// `None` when it cannot be a place: too short or too long.
    fn read(typed: &str) -> Option<Typed> {
        // Four characters of typing for one letter that counts is generous; it bounds the work for 10 kB of blanks.
        let scanned = typed.trim();
        if scanned.chars().nth(4 * TYPED_LETTERS_MAX).is_some() {
            return None;
        }
        let words: Vec<String> = words(scanned);
        let whole = words.concat();
        if !(TYPED_LETTERS_MIN..=TYPED_LETTERS_MAX).contains(&whole.len()) {
            return None;
        }
        let telling: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| !is_filler(word))
            .collect();
        let without_fillers = telling.concat();
        let mut readings = vec![Reading::new(whole)];
        if without_fillers.len() >= TYPED_LETTERS_MIN && without_fillers != readings[0].squashed {
            readings.push(Reading::new(without_fillers));
        }
        Some(Typed { readings, words })
    }

    fn score(&self, entry: &Entry) -> Option<i32> {
        let whole = self
            .readings
            .iter()
            .flat_map(|reading| entry.keys.iter().map(|key| reading.score(key)))
            .max()
            .flatten();
        whole.or_else(|| self.score_one_word(entry))
    }

    /// A whole key among other words: `nakuru twn`, `Lagos pls`.
    fn score_one_word(&self, entry: &Entry) -> Option<i32> {
        let named = self.words.len() > 1
            && self.words.iter().any(|word| {
                word.len() > TYPED_LETTERS_MIN
                    && !is_filler(word)
                    && entry.keys.iter().any(|key| key.squashed == *word)
            });
        named.then_some(SCORE_ONE_WORD)
    }
}

impl Reading {
    fn new(squashed: String) -> Reading {
        Reading {
            sound: sound(&squashed),
            squashed,
        }
    }

    fn score(&self, key: &Key) -> Option<i32> {
        let typed = self.squashed.as_str();
        if typed == key.squashed {
            return Some(SCORE_EXACT);
        }
        // A number or a lone short run of digits names nothing by its beginning.
        if typed.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if typed.len() >= key.prefix_min && key.squashed.starts_with(typed) {
            return Some(SCORE_PREFIX);
        }
        let starts_a_word = |start: &usize| key.squashed[*start..].starts_with(typed);
        if typed.len() > TYPED_LETTERS_MIN && key.word_starts.iter().any(starts_a_word) {
            return Some(SCORE_WORD_PREFIX);
        }
        self.score_spelling(key)
            .or_else(|| self.score_letters_left_out(key))
    }

    fn score_spelling(&self, key: &Key) -> Option<i32> {
        if self.sound.len() >= 4 && self.sound == key.sound {
            return Some(SCORE_SOUND);
        }
        let allowed = typos_allowed(key.squashed.len().min(self.squashed.len() + 1));
        let typos = typos(&self.squashed, &key.squashed, allowed).or_else(|| {
            let allowed = typos_allowed(key.sound.len().min(self.sound.len()));
            typos(&self.sound, &key.sound, allowed.min(1))
        })?;
        let likeness = jaro_winkler(&self.squashed, &key.squashed);
        // Two slips in one short word can be another word: the rest must be very alike.
        if typos == TYPOS_MAX && likeness < 0.8 {
            return None;
        }
        Some(SCORE_TYPOS[typos] + nearness(likeness))
    }

    /// `nkr` for Nakuru: letters in order, the first one right, at least half of them there.
    fn score_letters_left_out(&self, key: &Key) -> Option<i32> {
        let typed = self.squashed.as_str();
        let mut rest = key.squashed.chars();
        let in_order = typed
            .chars()
            .all(|letter| rest.by_ref().any(|other| other == letter));
        let plausible = typed.len() > TYPED_LETTERS_MIN
            && 2 * typed.len() >= key.squashed.len()
            && typed.as_bytes().first() == key.squashed.as_bytes().first();
        (in_order && plausible)
            .then(|| SCORE_LETTERS_LEFT_OUT + nearness(jaro_winkler(typed, &key.squashed)))
    }
}

/// Jaro-Winkler likeness as 0 to 5 points, to order hits of one kind.
#[expect(
    clippy::cast_possible_truncation,
    reason = "likeness is between 0 and 1"
)]
fn nearness(likeness: f64) -> i32 {
    (likeness * 5.0) as i32
}

/// How many typos a name of this length survives before it could be another one.
fn typos_allowed(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=5 => 1,
        _ => TYPOS_MAX,
    }
}

/// Letters added, left out, changed or swapped, if at most `allowed`.
fn typos(typed: &str, key: &str, allowed: usize) -> Option<usize> {
    if allowed == 0 || typed.len().abs_diff(key.len()) > allowed {
        return None;
    }
    let typos = osa_distance(typed, key);
    (typos <= allowed).then_some(typos)
}

fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
        || COUNTRIES
            .iter()
            .any(|country| country.name.eq_ignore_ascii_case(word))
}

/// Folded words: split at blanks and punctuation except apostrophes, which people leave out.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’' | '\u{300}'..='\u{36f}'))
        .map(squash)
        .filter(|word| !word.is_empty())
        .collect()
}

/// How a spelling sounds around the Great Lakes and the Gulf of Guinea, where l and r, c and k, s and z, y and i change places
/// and doubled letters and a mute h come and go. Takes squashed text.
fn sound(squashed: &str) -> String {
    let mut heard = String::with_capacity(squashed.len());
    let mut letters = squashed.chars().peekable();
    while let Some(letter) = letters.next() {
        let next_is_h = letters.peek() == Some(&'h');
        let as_heard = match letter {
            'c' if next_is_h => 'c',
            'p' if next_is_h => 'f',
            'c' | 'q' => 'k',
            'r' => 'l',
            'z' | 'x' => 's',
            'y' => 'i',
            'w' | 'v' => 'v',
            'h' if !heard.is_empty() => continue,
            other => other,
        };
        if !heard.ends_with(as_heard) {
            heard.push(as_heard);
        }
    }
    heard
}

#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod tests;
