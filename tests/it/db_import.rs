//! An import writes everything or, with the list of every wrong row, nothing; twice is as once.

use chrono::Days;
use deadpool_postgres::Pool;
use reserveflow::db::inventory::{Files, ImportError, Imported, RowError, import};
use reserveflow::db::reserve::Reserved;

use crate::support::lodging::{Wish, assert_sound, count, kes, stay, today};
use crate::support::postgres::database;

const PLACES: &str = "\
place_id,kind,town,name,country,region,latitude,longitude,popularity,aliases
ke-nakuru,town,,Nakuru,KE,Rift Valley,-0.3031,36.0800,500,nax|nakuru town
ke-nakuru-milimani,area,ke-nakuru,Milimani,KE,Rift Valley,-0.28,36.07,90,
ug-kampala,town,,Kampala,UG,Central,0.3476,32.5825,900,kla
";
const PROPERTIES: &str = "\
property_id,host_name,host_phone,name,kind,town,area,landmark,units,guests_max,price_per_night,currency,hold_minutes,phone,check_in_time,cancel_hours,pay
prop_nax1,Asha,0712000001,Lake View,studio,ke-nakuru,ke-nakuru-milimani,Near the gate,7,2,4500,KES,10,0712000002,14:00,24,at_lodge
prop_nax2,Asha,+254712000001,Crater Inn,room,ke-nakuru,,,3,4,2500.50,KES,10,0712000003,13:30,0,prepay
prop_kla1,Okello,0772000001,Kololo House,room,ug-kampala,,,5,2,120000,UGX,15,0772000002,12:00,12,at_lodge
";

fn nights(rows: &[(&str, u64, u64, &str)]) -> String {
    let mut text = String::from("property_id,from,to,available_units,price_per_night,surge\n");
    for (id, from, to, rest) in rows {
        let date = |days: u64| today() + Days::new(days);
        text.push_str(&format!("{id},{},{},{rest}\n", date(*from), date(*to)));
    }
    text
}

async fn run(pool: &Pool, files: Files<'_>) -> Result<Imported, ImportError> {
    let mut client = pool.get().await.unwrap();
    import(&mut client, files, today()).await
}

fn rows(outcome: Result<Imported, ImportError>) -> Vec<RowError> {
    match outcome {
        Err(ImportError::Rows(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

fn all(nights: &str) -> Files<'_> {
    Files {
        places: Some(PLACES),
        properties: Some(PROPERTIES),
        nights: Some(nights),
    }
}

/// Everything that an import writes, but what only says when.
async fn content(pool: &Pool) -> String {
    let client = pool.get().await.unwrap();
    let row = client
        .query_one(
            "select concat_ws(E'\\n',
                 (select jsonb_agg(to_jsonb(p) order by place_id) from place p),
                 (select jsonb_agg(to_jsonb(h) order by host_id) from host h),
                 (select jsonb_agg(to_jsonb(p) - 'updated_at' order by property_id) from property p),
                 (select md5(string_agg((to_jsonb(a) - 'updated_at')::text, '' order by property_id, date))
                  from property_availability a))",
            &[],
        )
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn importing_twice_is_as_importing_once() {
    let pool = database().await;
    let overrides = nights(&[
        ("prop_nax1", 3, 5, "2,,1.25"),
        ("prop_nax1", 5, 6, ",5000,"),
    ]);
    let imported = run(&pool, all(&overrides)).await.unwrap();
    assert_eq!(
        imported,
        Imported {
            places: 3,
            properties: 3,
            nights: 4
        }
    );
    let first = content(&pool).await;
    run(&pool, all(&overrides)).await.unwrap();
    assert_eq!(content(&pool).await, first);

    let client = pool.get().await.unwrap();
    assert_eq!(count(&client, "host").await, 2);
    let zone = client
        .query_one(
            "select time_zone, price_base, phone from property where short_id = 'prop_kla1'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(zone.get::<_, &str>(0), "Africa/Kampala");
    assert_eq!(zone.get::<_, i32>(1), 120_000);
    assert_eq!(zone.get::<_, &str>(2), "+256772000002");
    let set = client
        .query(
            "select available_units, night_price(a.price_base, surge_multiplier)
             from property_availability a join property p using (property_id)
             where p.short_id = 'prop_nax1' and date between $1 and $2 order by date",
            &[&(today() + Days::new(2)), &(today() + Days::new(7))],
        )
        .await
        .unwrap();
    let set: Vec<(i32, i32)> = set.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(
        set,
        [
            (7, 450_000),
            (2, 562_500),
            (2, 562_500),
            (2, 625_000),
            (7, 500_000),
            (7, 450_000)
        ]
    );
}

#[tokio::test]
async fn a_changed_property_changes_the_nights_that_have_nothing_of_their_own() {
    let pool = database().await;
    let overrides = nights(&[("prop_nax1", 3, 3, "2,,"), ("prop_nax1", 4, 4, ",5000,")]);
    run(&pool, all(&overrides)).await.unwrap();
    let changed = PROPERTIES.replace("7,2,4500,KES", "9,2,4000,KES");
    let files = Files {
        properties: Some(&changed),
        ..Files::default()
    };
    run(&pool, files).await.unwrap();
    let client = pool.get().await.unwrap();
    let rows = client
        .query(
            "select available_units, a.price_base from property_availability a join property p using (property_id)
             where p.short_id = 'prop_nax1' and date between $1 and $2 order by date",
            &[&(today() + Days::new(2)), &(today() + Days::new(4))],
        )
        .await
        .unwrap();
    let rows: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [(9, 400_000), (2, 400_000), (9, 500_000)]);
}

#[tokio::test]
async fn every_wrong_row_is_listed_and_nothing_is_written() {
    let pool = database().await;
    let places = format!(
        "{PLACES}Nakuru!,city,x,,ZZ,,91,0,0,\nke-x,area,ke-nakuru-milimani,X,KE,,0,0,0,\nke-nakuru,town,,Again,KE,,0,0,0,\nshort,town\n"
    );
    let properties = format!(
        "{PROPERTIES}PROP,Asha,07,Name that is far too long for any screen,,ke-none,,,-1,13,4500,XXX,0,07,25:00,999,later\n\
         prop_nax1,Asha,0712000001,Twin,room,ke-nakuru,ug-kampala,,1,1,1,KES,1,0712000001,14:00,0,prepay\n\
         prop_nax9,Other,0712000001,Caf\u{e9},room,ke-nakuru,,,1,1,12.345,KES,1,0712000001,14:00,0,prepay\n\
         prop_nax8,Other,0712000001,Cafe,room,ke-nakuru,,,1,1,12,KES,1,0712000001,14:00,0,prepay\n"
    );
    let overrides = nights(&[
        ("prop_none", 1, 2, "1,,"),
        ("prop_nax1", 5, 2, ",,"),
        ("prop_nax1", 1, 900, "x,0,9"),
    ]);
    let faults = rows(
        run(
            &pool,
            Files {
                places: Some(&places),
                properties: Some(&properties),
                nights: Some(&overrides),
            },
        )
        .await,
    );
    let found: Vec<(&str, u64, &str)> = faults
        .iter()
        .map(|fault| (fault.file, fault.line, fault.column.as_str()))
        .collect();
    let wanted = [
        ("places", 5, "place_id"),
        ("places", 5, "kind"),
        ("places", 5, "name"),
        ("places", 5, "country"),
        ("places", 5, "latitude"),
        ("places", 8, "line"),
        ("places", 7, "place_id"),
        ("places", 6, "town"),
        ("properties", 5, "property_id"),
        ("properties", 5, "town"),
        ("properties", 5, "host_phone"),
        ("properties", 5, "name"),
        ("properties", 5, "kind"),
        ("properties", 5, "units"),
        ("properties", 5, "guests_max"),
        ("properties", 5, "currency"),
        ("properties", 5, "hold_minutes"),
        ("properties", 5, "phone"),
        ("properties", 5, "check_in_time"),
        ("properties", 5, "cancel_hours"),
        ("properties", 5, "pay"),
        ("properties", 6, "area"),
        ("properties", 7, "name"),
        ("properties", 7, "price_per_night"),
        ("properties", 8, "host_phone"),
        ("nights", 2, "property_id"),
        ("nights", 3, "to"),
        ("nights", 4, "available_units"),
        ("nights", 4, "price_per_night"),
        ("nights", 4, "surge"),
        ("nights", 4, "to"),
    ];
    assert_eq!(found, wanted);
    let client = pool.get().await.unwrap();
    for table in ["place", "host", "property", "property_availability"] {
        assert_eq!(count(&client, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn columns_must_be_the_known_ones_in_any_order() {
    let pool = database().await;
    let places = "kind,place_id,colour,name,name\n";
    let faults = rows(
        run(
            &pool,
            Files {
                places: Some(places),
                ..Files::default()
            },
        )
        .await,
    );
    let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        found[0],
        "places, line 1, colour: is not a column of this file"
    );
    assert_eq!(found[1], "places, line 1, name: comes twice");
    assert_eq!(found[2], "places, line 1, town: is missing");
    assert_eq!(found.len(), 9);
    let moved = "name,place_id,kind,town,country,region,latitude,longitude,popularity,aliases\r\n\
                 Nakuru,ke-nakuru,town,,ke,,0,0,0,\r\n";
    let files = Files {
        places: Some(moved),
        ..Files::default()
    };
    assert_eq!(run(&pool, files).await.unwrap().places, 1);
}

#[tokio::test]
async fn units_never_go_below_what_is_sold() {
    let pool = database().await;
    run(&pool, all(&nights(&[]))).await.unwrap();
    let client = pool.get().await.unwrap();
    let property = client
        .query_one(
            "select property_id from property where short_id = 'prop_nax1'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    for number in 0..3 {
        let made = Wish::new(property, stay(3, 1), number).reserve(&pool).await;
        assert!(matches!(made, Reserved::Made(_)), "{made:?}");
    }
    let fewer = PROPERTIES.replace("7,2,4500,KES", "2,2,4500,KES");
    let overrides = nights(&[("prop_nax1", 2, 4, "1,,")]);
    let only = |nights| Files {
        nights,
        ..Files::default()
    };
    let sold = today() + Days::new(3);

    let faults = rows(run(&pool, only(Some(&overrides))).await);
    assert_eq!(faults.len(), 1);
    assert_eq!(
        faults[0].to_string(),
        format!("nights, line 2, available_units: 3 are sold on {sold}, more than 1")
    );
    let files = Files {
        properties: Some(&fewer),
        ..Files::default()
    };
    let faults = rows(run(&pool, files).await);
    assert_eq!(
        faults[0].to_string(),
        format!("properties, line 2, units: 3 are sold on {sold}, more than 2")
    );
    // With a calendar that keeps the sold night at three the property may shrink.
    let kept = nights(&[("prop_nax1", 3, 3, "3,,")]);
    let files = Files {
        properties: Some(&fewer),
        nights: Some(&kept),
        ..Files::default()
    };
    run(&pool, files).await.unwrap();
    assert_eq!(
        count(
            &client,
            "property_availability where available_units = 3 and own_units"
        )
        .await,
        1
    );
    let stored = rows(
        run(
            &pool,
            Files {
                properties: Some(&PROPERTIES.replace("4500,KES", "4500,UGX")),
                ..Files::default()
            },
        )
        .await,
    );
    assert_eq!(stored[0].message, "was KES and cannot change");
    let row = client
        .query_one(
            "select count(*) from reservation where status = 'confirmed'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 3);
    assert_sound(&pool).await;
}

#[tokio::test]
async fn what_a_host_says_beyond_units_and_price_is_imported_and_kept() {
    let pool = database().await;
    let mut lines = PROPERTIES.lines();
    let header = lines.next().unwrap();
    let first = lines.next().unwrap();
    let properties = format!(
        "{header},min_stay,max_stay,advance_hours_min,advance_days_max,unpaid_percent,fees,no_show_hours,by_hand_minutes\n\
         {first},2,14,24,90,50,City tax 2%|Cleaning 500/stay,6,120\n"
    );
    let date = |days: u64| today() + Days::new(days);
    let nights = format!(
        "property_id,from,to,available_units,price_per_night,surge,closed,out_of_service,min_stay,max_stay,\
         closed_to_arrival,closed_to_departure\n\
         prop_nax1,{},{},,,,yes,2,3,5,yes,no\n\
         prop_nax1,{},{},9,,,no,,,,,\n",
        date(3),
        date(5),
        date(5),
        date(5),
    );
    run(&pool, all_of(&properties, &nights)).await.unwrap();
    let client = pool.get().await.unwrap();
    let terms = client
        .query_one(
            "select concat_ws(' ', min_stay, max_stay, advance_hours_min, advance_days_max, unpaid_percent,
                 jsonb_array_length(fees), no_show_hours, by_hand_minutes) from property where short_id = 'prop_nax1'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(terms.get::<_, &str>(0), "2 14 24 90 50 2 6 120");
    let rows = async || {
        let rows = client
            .query(
                "select concat_ws(' ', available_units, out_of_service, closed, min_stay, max_stay, closed_to_arrival,
                     closed_to_departure) from property_availability where date between $1 and $2 order by date",
                &[&date(2), &date(5)],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let broken = "5 2 t 3 5 t f";
    assert_eq!(rows().await, ["7 0 f f f", broken, broken, "7 2 f 3 5 t f"]);
    // A file without these columns leaves them alone; units that follow the property do so without the broken ones.
    let fewer = format!("{header}\n{}\n", first.replace(",7,2,4500,", ",6,2,4500,"));
    let files = Files {
        properties: Some(&fewer),
        ..Files::default()
    };
    run(&pool, files).await.unwrap();
    let broken = "4 2 t 3 5 t f";
    assert_eq!(rows().await, ["6 0 f f f", broken, broken, "7 2 f 3 5 t f"]);

    // Until the host alone is to say who has not come.
    let cut_off = async || -> Option<i32> {
        let sql = "select no_show_hours from property where short_id = 'prop_nax1'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert_eq!(cut_off().await, Some(6));
    let first = first.replace(",7,2,4500,", ",6,2,4500,");
    for (hours, stored) in [("", Some(6)), ("48", Some(48)), ("0", None)] {
        let files = format!("{header},no_show_hours\n{first},{hours}\n");
        let files = Files {
            properties: Some(&files),
            ..Files::default()
        };
        run(&pool, files).await.unwrap();
        assert_eq!(cut_off().await, stored);
    }
    let late = format!("{header},no_show_hours\n{first},73\n");
    let files = Files {
        properties: Some(&late),
        ..Files::default()
    };
    run(&pool, files).await.unwrap_err();

    // More out of service than is left beside what is sold.
    client
        .batch_execute("update property_availability set closed = false")
        .await
        .unwrap();
    client
        .batch_execute("update property set min_stay = 1")
        .await
        .unwrap();
    let property = client
        .query_one(
            "select property_id from property where short_id = 'prop_nax1'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let wish = Wish {
        units: 5,
        total: kes(4500 * 5 + 450 + 2500),
        ..Wish::new(property, stay(8, 1), 1)
    };
    assert!(matches!(wish.reserve(&pool).await, Reserved::Made(_)));
    let more = format!(
        "property_id,from,to,available_units,price_per_night,surge,out_of_service\nprop_nax1,{0},{0},,,,2\n",
        date(8)
    );
    let faults = rows_of_faults(&pool, &more).await;
    assert_eq!(
        faults,
        [format!(
            "nights, line 2, out_of_service: 5 are sold on {}, more than 4",
            date(8)
        )]
    );
    assert_sound(&pool).await;
}

async fn rows_of_faults(pool: &Pool, nights: &str) -> Vec<String> {
    let files = Files {
        nights: Some(nights),
        ..Files::default()
    };
    rows(run(pool, files).await)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn all_of<'a>(properties: &'a str, nights: &'a str) -> Files<'a> {
    Files {
        places: Some(PLACES),
        properties: Some(properties),
        nights: Some(nights),
    }
}
