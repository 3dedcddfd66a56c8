//! A search shows what is free, nearest and cheapest first.

use reserveflow::booking::offer::{Offer, Pay, Search};
use reserveflow::db::places::list_places;
use reserveflow::db::reserve::Reserved;
use reserveflow::db::search::{OFFERS_MAX, alternatives, find_offer, search_offers};

use crate::support::lodging::{Lodge, Wish, kes, stay};
use crate::support::postgres::database;

const MILIMANI: Option<&str> = Some("ke-nakuru-milimani");

fn search(place: &str, guests: u8) -> Search {
    Search {
        prepaid: true,
        place: place.into(),
        stay: stay(3, 2),
        guests,
    }
}

fn names(offers: &[Offer]) -> Vec<&str> {
    offers.iter().map(|offer| offer.name.as_str()).collect()
}

#[tokio::test]
async fn offers_are_sorted_by_price_and_those_of_the_area_come_first() {
    let pool = database().await;
    let lodge = |name, price, area| Lodge {
        name,
        price,
        area,
        ..Lodge::default()
    };
    lodge("Cheap", 1000, None).insert(&pool).await;
    lodge("Dear", 9000, MILIMANI).insert(&pool).await;
    let b = lodge("Bravo", 4500, MILIMANI).insert(&pool).await;
    lodge("Alpha", 4500, None).insert(&pool).await;
    Lodge {
        guests_max: 4,
        ..lodge("Large", 2000, None)
    }
    .insert(&pool)
    .await;
    let full = Lodge {
        units: 1,
        ..lodge("Full", 4500, None)
    }
    .insert(&pool)
    .await;
    let taken = Wish::new(full, stay(4, 1), 1).reserve(&pool).await;
    assert!(matches!(taken, Reserved::Made(_)));

    let client = pool.get().await.unwrap();
    let found = search_offers(&client, &search("ke-nakuru", 2))
        .await
        .unwrap();
    assert_eq!(names(&found), ["Cheap", "Large", "Alpha", "Bravo", "Dear"]);
    let found = search_offers(&client, &search("ke-nakuru-milimani", 2))
        .await
        .unwrap();
    assert_eq!(names(&found), ["Bravo", "Dear", "Cheap", "Large", "Alpha"]);
    let found = search_offers(&client, &search("ke-nakuru", 3))
        .await
        .unwrap();
    assert_eq!(names(&found), ["Large"]);
    assert!(
        search_offers(&client, &search("ke-nowhere", 1))
            .await
            .unwrap()
            .is_empty()
    );
    let found = alternatives(&client, &search("ke-nakuru-milimani", 2), b)
        .await
        .unwrap();
    assert_eq!(names(&found), ["Dear", "Cheap", "Large"]);

    let offer = find_offer(&client, b, stay(3, 2), 2)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((offer.per_night, offer.total), (kes(4500), kes(9000)));
    assert_eq!((offer.units_left, offer.pay), (7, Pay::AtLodge));
    assert_eq!((offer.town.as_str(), offer.hold_minutes), ("Nakuru", 10));
    assert_eq!(offer.time_zone.name(), "Africa/Nairobi");
    assert!(
        find_offer(&client, full, stay(3, 2), 2)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        find_offer(&client, full, stay(5, 2), 2)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        find_offer(&client, b, stay(3, 2), 3)
            .await
            .unwrap()
            .is_none()
    );
    client
        .execute(
            "update property set open = false where property_id = $1",
            &[&b],
        )
        .await
        .unwrap();
    assert!(
        find_offer(&client, b, stay(3, 2), 2)
            .await
            .unwrap()
            .is_none()
    );

    let places = list_places(&client).await.unwrap();
    assert_eq!(places.len(), 2);
    assert_eq!(places[0].aliases, ["nax"]);
}

#[tokio::test]
async fn a_search_shows_a_limited_number() {
    let pool = database().await;
    for _ in 0..=OFFERS_MAX {
        Lodge::default().insert(&pool).await;
    }
    let client = pool.get().await.unwrap();
    let found = search_offers(&client, &search("ke-nakuru", 1))
        .await
        .unwrap();
    assert_eq!(found.len(), 24);
}
