//! `places.csv`.

use std::collections::HashMap;

use serde::Serialize;

use super::sheet::{self, Line};
use super::{KnownPlace, RowError};
use crate::country::Country;

const COLUMNS: [&str; 10] = [
    "place_id",
    "kind",
    "town",
    "name",
    "country",
    "region",
    "latitude",
    "longitude",
    "popularity",
    "aliases",
];
const KINDS: [&str; 4] = ["town", "area", "landmark", "stage"];
/// The longest id, in characters.
const ID_CHARS_MAX: usize = 40;
/// The most other names of one place.
const ALIASES_MAX: usize = 20;
/// The largest popularity.
const POPULARITY_MAX: i32 = 1_000_000;

/// One right row.
#[derive(Serialize)]
pub(super) struct Place {
    #[serde(skip)]
    line: u64,
    pub(super) place_id: String,
    kind: String,
    pub(super) town: Option<String>,
    name: String,
    pub(super) country: String,
    region: String,
    latitude: f64,
    longitude: f64,
    popularity: i32,
    aliases: Vec<String>,
}

/// The right rows; `stored` are the places that rows may also lie in.
pub(super) fn read(
    text: Option<&str>,
    stored: &HashMap<String, KnownPlace>,
    faults: &mut Vec<RowError>,
) -> Vec<Place> {
    let places = sheet::read("places", text, &COLUMNS, &[], faults, read_line);
    let mut lines: HashMap<&str, (u64, Option<&str>)> = HashMap::new();
    for place in &places {
        let first = lines
            .entry(&place.place_id)
            .or_insert((place.line, place.town.as_deref()));
        if first.0 != place.line {
            let message = format!("is the same as in line {}", first.0);
            faults.push(sheet::Fault::at("places", place.line, "place_id", message));
        }
    }
    for place in &places {
        let Some(town) = place.town.as_deref() else {
            continue;
        };
        let is_town = match lines.get(town) {
            Some((_, town)) => town.is_none(),
            None => stored.get(town).is_some_and(|known| known.town.is_none()),
        };
        if !is_town {
            let message = format!("there is no town \"{town}\"");
            faults.push(sheet::Fault::at("places", place.line, "town", message));
        }
    }
    places
}

fn read_line(line: &mut Line<'_>) -> Option<Place> {
    let place_id = line.cell("place_id", "an id of a-z, 0-9 and -", |raw| {
        is_id(raw).then(|| raw.to_owned())
    });
    let kind = line.cell("kind", "town, area, landmark or stage", |raw| {
        KINDS.contains(&raw).then(|| raw.to_owned())
    });
    let town = match kind.as_deref() {
        Some("town") => line.cell("town", "empty, as it is for a town", |raw| {
            raw.is_empty().then_some(None)
        }),
        _ => line.cell("town", "the id of a town", |raw| {
            is_id(raw).then(|| Some(raw.to_owned()))
        }),
    };
    let name = line.name("name");
    let country = line.cell("country", "a country served", |raw| {
        Country::find(raw).map(|country| country.code.to_owned())
    });
    let region = line.name_or_empty("region");
    let latitude = line.number("latitude", -90.0..=90.0);
    let longitude = line.number("longitude", -180.0..=180.0);
    let popularity = line.number("popularity", 0..=POPULARITY_MAX);
    let aliases = line.cell("aliases", "a list of names separated by |", |raw| {
        let aliases: Vec<String> = raw
            .split('|')
            .map(str::trim)
            .filter(|alias| !alias.is_empty())
            .map(str::to_owned)
            .collect();
        let short = |alias: &String| alias.chars().count() <= sheet::NAME_CHARS_MAX;
        (aliases.len() <= ALIASES_MAX && aliases.iter().all(short)).then_some(aliases)
    });
    Some(Place {
        line: line.number,
        place_id: place_id?,
        kind: kind?,
        town: town?,
        name: name?,
        country: country?,
        region: region?,
        latitude: latitude?,
        longitude: longitude?,
        popularity: popularity?,
        aliases: aliases?,
    })
}

fn is_id(raw: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&raw.len())
        && raw
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
