//! Where a run plays: two towns with a few small lodges, so that guests meet.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Africa::Nairobi;
use uuid::Uuid;

use crate::booking::money::Currency;
use crate::booking::offer::Pay;
use crate::books::memory::{Ledger, Lodge, Night};
use crate::chance::Chance;
use crate::db::places::PlaceRow;
use crate::phone::Msisdn;

/// The nights that are for sale.
const NIGHTS: u64 = 10;
/// In whole shillings.
const PRICE: f64 = 4500.0;
/// Holds end within a run.
const HOLD_MINUTES: i32 = 2;

/// When every run begins: a Wednesday, 12:00 in Nairobi.
pub(super) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(4_097_466_000, 0).unwrap_or_default()
}

/// What is typed for each town.
pub(super) const TOWNS: [&str; 2] = ["Nakuru", "Kisumu"];

pub(super) fn ledger(chance: &Chance) -> Ledger {
    let places = TOWNS.iter().map(|name| PlaceRow {
        place_id: format!("ke-{}", name.to_lowercase()),
        kind: "town".to_owned(),
        town: None,
        name: (*name).to_owned(),
        country: "KE".to_owned(),
        region: "Rift Valley".to_owned(),
        latitude: -0.3,
        longitude: 36.1,
        popularity: 9,
        aliases: Vec::new(),
    });
    let today = noon().with_timezone(&Nairobi).date_naive();
    let lodges = (0..4).map(|number| (Uuid::from_u128(number), lodge(number, today, chance)));
    let mut ledger = Ledger::default();
    ledger.places = places.collect();
    ledger.lodges = lodges.collect();
    ledger
}

fn lodge(number: u128, today: NaiveDate, chance: &Chance) -> Lodge {
    let is_prepaid = number % 2 == 1;
    let units = if chance.number(0.0..1.0) < 0.5 { 1 } else { 2 };
    let phone = Msisdn::parse(&format!("+25472200000{number}"));
    let phone = phone.unwrap_or_else(|bad| unreachable!("a number of ours is {bad}"));
    let shillings = (PRICE + 500.0 * chance.number(0.0..4.0).floor()) as i64;
    let nights: BTreeMap<NaiveDate, Night> = (0..NIGHTS)
        .map(|night| {
            let night = today + Days::new(night);
            let price = shillings * 100;
            let kept = Night {
                available: units,
                reserved: 0,
                price,
                closed: false,
            };
            (night, kept)
        })
        .collect();
    Lodge {
        id: Uuid::from_u128(number),
        name: format!("Lodge {number}"),
        landmark: "Stage".to_owned(),
        town: format!("ke-{}", TOWNS[usize::from(number >= 3)].to_lowercase()),
        area: None,
        guests_max: 2,
        currency: Currency::Kes,
        time_zone: Nairobi,
        check_in_time: NaiveTime::from_hms_opt(14, 0, 0).unwrap_or_default(),
        cancel_hours: 0,
        pay: if is_prepaid {
            Pay::Prepay
        } else {
            Pay::AtLodge
        },
        hold_minutes: HOLD_MINUTES,
        phone: phone.clone(),
        host_msisdn: phone,
        host_language: "en".to_owned(),
        open: true,
        min_stay: 1,
        max_stay: 30,
        advance_days_max: 365,
        unpaid_percent: 100,
        deposit_percent: if number == 3 { 20 } else { 0 },
        pay_at_lodge_too: number == 1,
        by_hand_minutes: if number == 1 { 120 } else { 0 },
        nights,
    }
}
