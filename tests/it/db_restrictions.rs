//! What a lodge asks of a stay is told apart from "full".

use chrono::{Days, Duration, NaiveDate, NaiveTime, Utc};
use chrono_tz::Africa::Nairobi;
use reserveflow::booking::stay::Stay;
use reserveflow::db::reserve::{Reserved, Restriction};
use reserveflow::db::search::find_restriction;

use crate::support::lodging::{Lodge, Wish, assert_sound, stay, today};
use crate::support::postgres::database;

#[tokio::test]
async fn each_restriction_is_told_by_name_and_number() {
    let night = |days: u64| format!("date = '{}'", today() + Days::new(days));
    // What the host says, the stay asked for as (first day, nights), and the answer.
    let cases = [
        ("update property set min_stay = 3".into(), (3, 2), Some(Restriction::MinStay(3))),
        ("update property set min_stay = 3".into(), (3, 3), None),
        ("update property set max_stay = 2".into(), (3, 3), Some(Restriction::MaxStay(2))),
        ("update property set max_stay = 2".into(), (3, 2), None),
        // A night's own rule goes over the property's, and counts for those who arrive on it.
        (
            format!("update property set min_stay = 3; update property_availability set min_stay = 1 where {}", night(3)),
            (3, 1),
            None,
        ),
        (
            format!("update property_availability set min_stay = 4, max_stay = 4 where {}", night(5)),
            (4, 2),
            None,
        ),
        (
            format!("update property_availability set min_stay = 4, max_stay = 4 where {}", night(5)),
            (5, 5),
            Some(Restriction::MaxStay(4)),
        ),
        (
            format!("update property_availability set closed_to_arrival = true where {}", night(4)),
            (4, 1),
            Some(Restriction::NoArrival),
        ),
        (
            format!("update property_availability set closed_to_arrival = true where {}", night(4)),
            (3, 2),
            None,
        ),
        (
            format!("update property_availability set closed_to_departure = true where {}", night(4)),
            (3, 1),
            Some(Restriction::NoDeparture),
        ),
        (
            format!("update property_availability set closed_to_departure = true where {}", night(4)),
            (3, 2),
            None,
        ),
        ("update property set advance_days_max = 9".into(), (20, 1), Some(Restriction::TooEarly(9))),
        ("update property set advance_days_max = 9".into(), (8, 1), None),
        ("update property set advance_hours_min = 48".into(), (1, 1), Some(Restriction::TooLate(48))),
        ("update property set advance_hours_min = 48".into(), (4, 1), None),
        // Full and restricted: what can be changed is told.
        (
            "update property set min_stay = 3; update property_availability set available_units = 0 where reserved_units = 0".into(),
            (3, 2),
            Some(Restriction::MinStay(3)),
        ),
    ];
    let pool = database().await;
    for (number, (said, (days, nights), restriction)) in cases.into_iter().enumerate() {
        let property = Lodge::default().insert(&pool).await;
        let client = pool.get().await.unwrap();
        client.batch_execute(&said).await.unwrap();
        let wish = Wish::new(property, stay(days, nights), number.try_into().unwrap());
        match (wish.reserve(&pool).await, restriction) {
            (Reserved::Made(_), None) => {}
            (Reserved::Restricted(told), Some(restriction)) => {
                assert_eq!(told, restriction, "{said}")
            }
            (outcome, _) => panic!("{said}: {outcome:?}"),
        }
        client
            .batch_execute("update property set min_stay = 1, max_stay = 30, advance_days_max = 365, advance_hours_min = 0, open = false")
            .await
            .unwrap();
    }
    assert_sound(&pool).await;
}

#[tokio::test]
async fn hours_before_check_in_are_counted_in_the_lodge_s_own_time() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute("update property set advance_hours_min = 24, check_in_time = '14:00'")
        .await
        .unwrap();
    let night = today() + Days::new(5);
    let noon = NaiveTime::from_hms_opt(14, 0, 0).unwrap();
    let last = (night - Days::new(1))
        .and_time(noon)
        .and_local_timezone(Nairobi)
        .unwrap()
        .to_utc();
    for (number, (at, made)) in [(last, true), (last + Duration::seconds(1), false)]
        .into_iter()
        .enumerate()
    {
        let wish = Wish {
            at,
            ..Wish::new(property, stay(5, 1), number.try_into().unwrap())
        };
        match wish.reserve(&pool).await {
            Reserved::Made(_) if made => {}
            Reserved::Restricted(Restriction::TooLate(24)) if !made => {}
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_closed_night_is_not_for_sale_and_what_is_sold_on_it_stays() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let sold = Wish::new(property, stay(3, 2), 1).reserve(&pool).await;
    assert!(matches!(sold, Reserved::Made(_)));
    let client = pool.get().await.unwrap();
    let close = format!(
        "update property_availability set closed = true where date = '{}'",
        today() + Days::new(4)
    );
    client.batch_execute(&close).await.unwrap();
    assert_eq!(
        Wish::new(property, stay(3, 2), 2).reserve(&pool).await,
        Reserved::Taken
    );
    let before = Wish::new(property, stay(3, 1), 3).reserve(&pool).await;
    assert!(matches!(before, Reserved::Made(_)), "{before:?}");
    client
        .batch_execute("update property_availability set closed = false")
        .await
        .unwrap();
    let open = Wish::new(property, stay(3, 2), 4).reserve(&pool).await;
    assert!(matches!(open, Reserved::Made(_)), "{open:?}");
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_night_that_is_over_is_not_sold() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let late = Wish {
        at: Utc::now() + Duration::days(9),
        ..Wish::new(property, stay(3, 1), 1)
    };
    assert_eq!(late.reserve(&pool).await, Reserved::Taken);
}

/// Egypt's clocks go back in the night of 28 October 2027: the day before check-in has 25 hours.
#[tokio::test]
async fn hours_are_counted_across_a_change_of_the_clocks() {
    let pool = database().await;
    let property = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute("update property set advance_hours_min = 24, time_zone = 'Africa/Cairo', check_in_time = '14:00'")
        .await
        .unwrap();
    let stay = Stay::new(NaiveDate::from_ymd_opt(2027, 10, 29).unwrap(), 1).unwrap();
    // 14:00 at UTC+2 on the 29th, less 24 hours: 15:00 at UTC+3 on the 28th.
    for (at, restriction) in [
        ("2027-10-28T12:00:00Z", None),
        ("2027-10-28T12:00:01Z", Some(Restriction::TooLate(24))),
    ] {
        let told = find_restriction(&client, property, stay, at.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(told, restriction, "{at}");
    }
}
