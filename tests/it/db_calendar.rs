//! What searches read follows every change of a night, and what they find can be booked.

use chrono::{Days, NaiveDate};
use deadpool_postgres::{GenericClient, Pool};
use futures_util::future::join_all;
use reserveflow::booking::money::Money;
use reserveflow::booking::offer::Search;
use reserveflow::booking::stay::Stay;
use reserveflow::db::holds::expire_holds;
use reserveflow::db::partitions::ensure_months;
use reserveflow::db::reserve::{Reserved, Restriction};
use reserveflow::db::search::{calendar, find_offer, find_restriction, next_stays, search_offers};

use crate::support::lodging::{Lodge, Wish, assert_sound, count, kes, stay, today};
use crate::support::postgres::database;

/// Every bit is what the night's row says, and there is one for each night.
async fn assert_calendars_fit(pool: &Pool) {
    let client = pool.get().await.unwrap();
    let wrong = count(
        &client,
        "property_availability a left join property_calendar c using (property_id)
         where c.property_id is null or a.date < c.first_night or a.date >= c.first_night + length(c.free)
            or get_bit(c.free, a.date - c.first_night)
               <> (not a.closed and a.reserved_units < a.available_units)::integer",
    )
    .await;
    assert_eq!(wrong, 0, "bits that differ from their nights");
}

fn night(days: u64) -> NaiveDate {
    today() + Days::new(days)
}

fn wanted(stay: Stay) -> Search {
    Search {
        place: "ke-nakuru".into(),
        stay,
        guests: 1,
        prepaid: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bits_follow_reservations_ends_of_holds_and_the_host() {
    let pool = database().await;
    let mut lodges = Vec::new();
    for units in [1, 2] {
        lodges.push(
            Lodge {
                pay: "prepay",
                units,
                ..Lodge::default()
            }
            .insert(&pool)
            .await,
        );
    }
    assert_calendars_fit(&pool).await;
    let wishes: Vec<Wish> = (0..60)
        .map(|number| {
            let nights = 1 + (number % 3) as u8;
            Wish::new(
                lodges[number as usize % 2],
                stay(u64::from(number % 17), nights),
                number,
            )
        })
        .collect();
    join_all(wishes.iter().map(|wish| wish.reserve(&pool))).await;
    let client = pool.get().await.unwrap();
    let full = "property_availability where reserved_units = available_units";
    assert!(count(&client, full).await > 10);
    assert_calendars_fit(&pool).await;
    let end = "update reservation set hold_expires_at = now() where status = 'held' and msisdn < '+254711000040'";
    client.batch_execute(end).await.unwrap();
    while expire_holds(&client, 7).await.unwrap() > 0 {}
    assert_calendars_fit(&pool).await;
    for change in [
        "closed = true where extract(isodow from date) = 7",
        "available_units = 3 where not closed",
        "closed = false where extract(day from date) < 15",
        "available_units = reserved_units where extract(day from date) = 20",
    ] {
        client
            .batch_execute(&format!("update property_availability set {change}"))
            .await
            .unwrap();
        assert_calendars_fit(&pool).await;
    }
    client
        .batch_execute("delete from property_availability where date > now()::date + 90")
        .await
        .unwrap();
    assert_calendars_fit(&pool).await;
    assert_sound(&pool).await;
}

#[tokio::test]
async fn a_month_made_later_can_be_searched() {
    let pool = database().await;
    let lodge = Lodge::default().insert(&pool).await;
    let mut client = pool.get().await.unwrap();
    ensure_months(&mut client, today(), 20).await.unwrap();
    assert_calendars_fit(&pool).await;
    let far = Stay::new(today() + Days::new(560), 2).unwrap();
    assert!(find_offer(&client, lodge, far, 1).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_closed_or_restricted_is_not_offered_and_the_reason_is_told() {
    let pool = database().await;
    let lodge = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    let cases = [
        (
            format!(
                "update property_availability set closed = true where date = '{}'",
                night(4)
            ),
            None,
        ),
        (
            "update property set min_stay = 3".into(),
            Some(Restriction::MinStay(3)),
        ),
        (
            "update property set max_stay = 1".into(),
            Some(Restriction::MaxStay(1)),
        ),
        (
            format!(
                "update property_availability set closed_to_arrival = true where date = '{}'",
                night(3)
            ),
            Some(Restriction::NoArrival),
        ),
        (
            format!(
                "update property_availability set closed_to_departure = true where date = '{}'",
                night(5)
            ),
            Some(Restriction::NoDeparture),
        ),
    ];
    let now = chrono::Utc::now();
    for (change, restriction) in cases {
        assert!(
            find_offer(&client, lodge, stay(3, 2), 1)
                .await
                .unwrap()
                .is_some()
        );
        client.batch_execute(&change).await.unwrap();
        assert!(
            find_offer(&client, lodge, stay(3, 2), 1)
                .await
                .unwrap()
                .is_none(),
            "{change}"
        );
        assert!(
            search_offers(&client, &wanted(stay(3, 2)))
                .await
                .unwrap()
                .is_empty(),
            "{change}"
        );
        let told = find_restriction(&client, lodge, stay(3, 2), now)
            .await
            .unwrap();
        assert_eq!(told, restriction, "{change}");
        client
            .batch_execute(
                "update property set min_stay = 1, max_stay = 30;
                 update property_availability set closed = false, closed_to_arrival = false, closed_to_departure = false",
            )
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_next_free_stay_is_found_across_full_nights() {
    let pool = database().await;
    let lodge = Lodge {
        units: 1,
        name: "One",
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    let other = Lodge {
        units: 1,
        name: "Two",
        price: 1000,
        ..Lodge::default()
    }
    .insert(&pool)
    .await;
    for (number, (property, days, nights)) in [
        (lodge, 3, 2),
        (lodge, 6, 4),
        (other, 3, 1),
        (other, 5, 1),
        (other, 7, 8),
    ]
    .into_iter()
    .enumerate()
    {
        let taken = Wish::new(property, stay(days, nights), number as u32);
        let taken = Wish {
            total: kes(if property == other { 1000 } else { 4500 } * i64::from(nights)),
            ..taken
        };
        assert!(matches!(taken.reserve(&pool).await, Reserved::Made(_)));
    }
    let client = pool.get().await.unwrap();
    let found = |days: u16, stay| {
        let client = &client;
        async move {
            let found = next_stays(client, &wanted(stay), days).await.unwrap();
            found
                .into_iter()
                .map(|next| (next.name, (next.check_in - today()).num_days()))
                .collect::<Vec<_>>()
        }
    };
    let of = |name: &str, days| (name.to_owned(), days);
    assert_eq!(found(30, stay(3, 2)).await, [of("One", 10), of("Two", 15)]);
    assert_eq!(found(30, stay(3, 1)).await, [of("Two", 4), of("One", 5)]);
    // The last arrival is within the days, its nights may go beyond.
    assert_eq!(found(8, stay(3, 2)).await, [of("One", 10)]);
    assert_eq!(found(7, stay(3, 2)).await, []);
    let nights = calendar(&client, &[lodge, other], night(3), 3)
        .await
        .unwrap();
    let free: Vec<i32> = nights
        .iter()
        .filter(|night| night.property_id == lodge)
        .map(|night| night.free_units)
        .collect();
    assert_eq!(free, [0, 0, 1]);
    assert!(nights.iter().all(|night| night.price_minor
        == if night.property_id == other {
            100_000
        } else {
            450_000
        }));
}

#[tokio::test]
async fn fees_are_part_of_the_total_that_is_offered_and_frozen() {
    let pool = database().await;
    let lodge = Lodge::default().insert(&pool).await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute(
            r#"update property set fees = '[
                 {"name": "VAT", "per": "percent", "amount": 1600, "included": true},
                 {"name": "City tax", "per": "percent", "amount": 250, "included": false},
                 {"name": "Levy", "per": "person_night", "amount": 5000, "included": false},
                 {"name": "Cleaning", "per": "stay", "amount": 30000, "included": false},
                 {"name": "Service", "per": "night", "amount": 1000, "included": false}]'"#,
        )
        .await
        .unwrap();
    // 3 nights, 2 people: 13,500 + 337.50 + 300 + 300 + 30.
    let total = Money {
        minor: 1_446_750,
        ..kes(0)
    };
    let offer = find_offer(&client, lodge, stay(3, 3), 2)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((offer.per_night, offer.total), (kes(4500), total));
    let wish = Wish {
        guests: 2,
        total,
        ..Wish::new(lodge, stay(3, 3), 1)
    };
    let Reserved::Made(made) = wish.reserve(&pool).await else {
        panic!("not made")
    };
    assert_eq!(made.total, total);
    let without = Wish {
        guests: 2,
        ..Wish::new(lodge, stay(3, 3), 2)
    };
    assert_eq!(without.reserve(&pool).await, Reserved::PriceChanged(total));
    // Two units for four people: the night twice, the cleaning twice.
    let two = Money {
        minor: 2 * 1_350_000 + 67_500 + 60_000 + 60_000 + 6_000,
        ..kes(0)
    };
    let wish = Wish {
        guests: 4,
        units: 2,
        total: two,
        ..Wish::new(lodge, stay(3, 3), 3)
    };
    assert!(matches!(wish.reserve(&pool).await, Reserved::Made(_)));
    client
        .batch_execute("update property set fees = '[]'")
        .await
        .unwrap();
    let wrong = count(
        &client,
        "reservation r where r.total <> r.units * (select sum(price) from unnest(r.nightly_prices) price)
             + fees_added(r.fees) or jsonb_array_length(r.fees) <> 5",
    )
    .await;
    assert_eq!(wrong, 0);
}

/// Thousands of stays: what fees add is whole, is the sum of its lines, and no line is off by a whole minor unit.
#[tokio::test]
async fn no_fee_drifts_by_rounding() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute("set statement_timeout = 0; select setseed(0.4)")
        .await
        .unwrap();
    let wrong: i64 = client
        .query_one(
            "select count(*) from (
                 select s.*, fee_lines(s.fees, s.price, s.nights, s.units, s.guests) as lines
                 from (select (1 + random() * 100000000)::bigint as price, (1 + random() * 29)::integer as nights,
                              (1 + random() * 4)::integer as units, (1 + random() * 11)::integer as guests,
                              jsonb_build_array(
                                  jsonb_build_object('name', 'a', 'per', 'percent', 'amount', (1 + random() * 9999)::integer,
                                                     'included', random() < 0.5),
                                  jsonb_build_object('name', 'b', 'per', (array['stay', 'night', 'person_night'])
                                                         [1 + floor(random() * 3)::integer],
                                                     'amount', (1 + random() * 100000)::integer, 'included', false)) as fees
                       from generate_series(1, 5000)) s
             ) t
             where jsonb_array_length(lines) <> 2
                or fees_added(lines) <> (select coalesce(sum((l ->> 'amount')::numeric), 0) from jsonb_array_elements(lines) l
                                         where not (l ->> 'included')::boolean)
                or abs((lines -> 0 ->> 'amount')::numeric
                       - case when (fees -> 0 ->> 'included')::boolean
                              -- What is left without it, with it added again, is the price.
                              then price - price / (1 + (fees -> 0 ->> 'amount')::numeric / 10000)
                              else price * (fees -> 0 ->> 'amount')::numeric / 10000 end) > 0.5
                or (lines -> 1 ->> 'amount')::bigint <> (fees -> 1 ->> 'amount')::bigint
                       * case fees -> 1 ->> 'per' when 'stay' then units when 'night' then nights * units
                              else nights * guests end",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(wrong, 0);
}

/// Reading a stay touches the partitions of its months only, also under a plan made for any dates.
#[tokio::test]
async fn a_generic_plan_leaves_other_months_alone() {
    let pool = database().await;
    let client = pool.get().await.unwrap();
    client
        .batch_execute(
            "prepare nights (uuid, date, date) as
             select * from property_availability where property_id = $1 and date >= $2 and date < $3",
        )
        .await
        .unwrap();
    let months: i64 = count(
        &client,
        "pg_inherits where inhparent = 'property_availability'::regclass",
    )
    .await;
    let first = Days::new(40);
    let explain = format!(
        "explain execute nights ('{}', '{}', '{}')",
        uuid::Uuid::nil(),
        today() + first,
        today() + first + Days::new(1)
    );
    let plan = client.simple_query(&explain).await.unwrap();
    let lines: Vec<&str> = plan
        .iter()
        .filter_map(|line| match line {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    let removed = format!("Subplans Removed: {}", months - 1);
    assert!(
        lines.iter().any(|line| line.trim() == removed),
        "{lines:#?}"
    );
}
