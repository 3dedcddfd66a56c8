//! The sample inventory of the demo keeps the rules that importing relies on.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use super::{Place, PlaceKind};
use crate::booking::stay::GUESTS_MAX;
use crate::country::{COUNTRIES, Country};
use crate::letters::squash;
use crate::phone::Msisdn;

const PLACES: &str = include_str!("../../menus/demo/places.csv");
const PROPERTIES: &str = include_str!("../../menus/demo/properties.csv");
const PLACES_HEADER: &str =
    "place_id,kind,town,name,country,region,latitude,longitude,popularity,aliases";
const PROPERTIES_HEADER: &str = "property_id,host_name,host_phone,name,kind,town,area,landmark,units,guests_max,\
     price_per_night,currency,hold_minutes,phone,check_in_time,cancel_hours,pay";
const NAME_CHARS_MAX: usize = 20;

/// The places of the demo, in the order of the file.
pub(super) fn sample_places() -> Vec<Place> {
    rows(PLACES)
        .into_iter()
        .map(|row| Place {
            kind: PlaceKind::find(&row["kind"]).unwrap(),
            town: Some(row["town"].clone()).filter(|town| !town.is_empty()),
            name: row["name"].clone(),
            country: row["country"].clone(),
            region: row["region"].clone(),
            popularity: row["popularity"].parse().unwrap(),
            aliases: row["aliases"]
                .split('|')
                .filter(|alias| !alias.is_empty())
                .map(str::to_owned)
                .collect(),
            id: row["place_id"].clone(),
        })
        .collect()
}

type Row = HashMap<String, String>;

fn rows(csv: &str) -> Vec<Row> {
    csv::Reader::from_reader(csv.as_bytes())
        .deserialize()
        .map(|row| row.unwrap())
        .collect()
}

/// ASCII that GSM-7 writes in one septet each.
fn is_plain(text: &str) -> bool {
    text.chars()
        .all(|c| (c.is_ascii_alphanumeric() || " '-.,&/:".contains(c)) && text.trim() == text)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_CHARS_MAX && is_plain(text)
}

fn price_range(country: &Country) -> std::ops::RangeInclusive<u32> {
    match country.code {
        "KE" => 1_200..=9_500,
        "UG" => 40_000..=250_000,
        "TZ" => 30_000..=200_000,
        "RW" => 15_000..=90_000,
        "NG" => 9_000..=70_000,
        "GH" => 120..=900,
        other => panic!("no price range for {other}"),
    }
}

#[test]
fn headers_are_the_agreed_ones() {
    assert_eq!(PLACES.lines().next().unwrap(), PLACES_HEADER);
    assert_eq!(PROPERTIES.lines().next().unwrap(), PROPERTIES_HEADER);
}

#[test]
fn places_are_well_formed_and_towns_come_before_what_lies_in_them() {
    let mut towns: HashMap<String, (String, String)> = HashMap::new();
    let mut ids = HashSet::new();
    for row in rows(PLACES) {
        let id = &row["place_id"];
        let country = Country::find(&row["country"]).unwrap();
        assert!(ids.insert(id.clone()), "{id} twice");
        assert!(id.starts_with(&format!("{}-", country.code.to_lowercase())));
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{id}"
        );
        assert!(is_name(&row["name"]), "{id}");
        assert!(is_name(&row["region"]), "{id}");
        assert!(row["aliases"].split('|').all(is_plain), "{id}");
        assert!(row["popularity"].parse::<i32>().unwrap() > 0, "{id}");
        let latitude: f64 = row["latitude"].parse().unwrap();
        let longitude: f64 = row["longitude"].parse().unwrap();
        assert!((-12.0..14.0).contains(&latitude), "{id}");
        assert!((-4.0..42.0).contains(&longitude), "{id}");
        let at_home = (row["country"].clone(), row["region"].clone());
        if PlaceKind::find(&row["kind"]).unwrap() == PlaceKind::Town {
            assert_eq!(row["town"], "", "{id}");
            towns.insert(id.clone(), at_home);
        } else {
            assert_eq!(towns.get(&row["town"]), Some(&at_home), "{id}");
            assert!(id.starts_with(&format!("{}-", row["town"])), "{id}");
        }
    }
}

#[test]
fn every_area_landmark_and_stage_lies_within_reach_of_its_town() {
    let coordinates: HashMap<String, (f64, f64)> = rows(PLACES)
        .iter()
        .map(|row| {
            let degrees = |column: &str| row[column].parse::<f64>().unwrap();
            (
                row["place_id"].clone(),
                (degrees("latitude"), degrees("longitude")),
            )
        })
        .collect();
    for place in sample_places() {
        let Some(town) = &place.town else { continue };
        let (here, there) = (coordinates[&place.id], coordinates[town]);
        // A quarter of a degree is 28 km at the equator.
        assert!((here.0 - there.0).abs() < 0.25, "{}", place.id);
        assert!((here.1 - there.1).abs() < 0.25, "{}", place.id);
    }
}

#[test]
fn no_alias_means_two_places_of_one_country() {
    let mut owners: HashMap<(String, String), String> = HashMap::new();
    for place in sample_places() {
        for alias in &place.aliases {
            let key = (place.country.clone(), squash(alias));
            let other = owners.insert(key, place.id.clone());
            assert_eq!(other, None, "{alias} of {}", place.id);
        }
    }
}

#[test]
fn every_country_has_its_towns() {
    let towns: Vec<Place> = sample_places()
        .into_iter()
        .filter(|place| place.kind == PlaceKind::Town)
        .collect();
    assert!(towns.len() >= 25);
    for country in COUNTRIES {
        let count = towns.iter().filter(|t| t.country == country.code).count();
        let wanted = if country.code == "KE" { 8 } else { 3 };
        assert!(count >= wanted, "{}: {count}", country.code);
    }
}

#[test]
fn properties_are_well_formed() {
    let places: HashMap<String, Place> = sample_places()
        .into_iter()
        .map(|place| (place.id.clone(), place))
        .collect();
    let mut ids = HashSet::new();
    let mut hosts: HashMap<String, String> = HashMap::new();
    for row in rows(PROPERTIES) {
        let id = &row["property_id"];
        assert!(ids.insert(id.clone()), "{id} twice");
        let suffix = id.strip_prefix("prop_").unwrap();
        assert!(suffix.len() == 6, "{id}");
        assert!(
            suffix
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );

        let town = &places[&row["town"]];
        let country = Country::find(&town.country).unwrap();
        assert_eq!(town.kind, PlaceKind::Town, "{id}");
        if !row["area"].is_empty() {
            assert_eq!(places[&row["area"]].town.as_ref(), Some(&town.id), "{id}");
        }
        for column in ["host_name", "name", "landmark"] {
            assert!(is_name(&row[column]), "{id} {column}");
        }
        let kinds = [
            "room",
            "studio",
            "apartment",
            "cottage",
            "banda",
            "hostel bed",
        ];
        assert!(kinds.contains(&row["kind"].as_str()), "{id}");

        for column in ["phone", "host_phone"] {
            let phone = Msisdn::parse(&row[column]).unwrap();
            assert_eq!(phone.as_str(), row[column], "{id}");
            assert_eq!(phone.country().unwrap().code, country.code, "{id}");
            let national = phone.digits().len() - country.dialling_code.len();
            assert_eq!(national, country.national_digits, "{id}");
        }
        let host = hosts
            .entry(row["host_phone"].clone())
            .or_insert_with(|| row["host_name"].clone());
        assert_eq!(*host, row["host_name"], "{id}");

        let number = |column: &str| row[column].parse::<u32>().unwrap();
        assert!((1..=40).contains(&number("units")), "{id}");
        assert!((1..=8).contains(&number("guests_max")), "{id}");
        assert!(number("guests_max") <= u32::from(GUESTS_MAX));
        assert!(
            price_range(country).contains(&number("price_per_night")),
            "{id}"
        );
        assert_eq!(row["currency"], country.currency.code(), "{id}");
        assert_eq!(number("hold_minutes"), 10, "{id}");
        assert!(number("cancel_hours") <= 48, "{id}");
        assert_eq!(row["check_in_time"], "14:00", "{id}");
        assert!(
            ["at_lodge", "prepay"].contains(&row["pay"].as_str()),
            "{id}"
        );
    }
}

#[test]
fn there_is_enough_to_search_in() {
    let rows = rows(PROPERTIES);
    let mut by_town: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in &rows {
        by_town.entry(&row["town"]).or_default().push(row);
    }
    assert!(rows.len() >= 75);
    assert!(by_town.len() >= 20);
    assert!(by_town.values().all(|rows| rows.len() >= 2));
    assert!(by_town["ke-nairobi"].len() >= 8);

    let nakuru = &by_town["ke-nakuru"];
    let at_lodge = |row: &&&Row| row["pay"] == "at_lodge";
    let takes_two = |row: &&&Row| row["guests_max"].parse::<u32>().unwrap() >= 2;
    assert!(nakuru.len() >= 9);
    assert!(nakuru.iter().filter(at_lodge).count() >= 7);
    assert!(nakuru.iter().filter(at_lodge).filter(takes_two).count() >= 6);

    let prepaid = rows.iter().filter(|row| row["pay"] == "prepay").count();
    assert!((3..=rows.len() / 5).contains(&prepaid));
}
