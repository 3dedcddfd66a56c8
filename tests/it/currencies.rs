//! Money without decimals: what is shown, stored and told is the same whole number, fees and all.

use crate::support::app::{TestApp, session_id};

/// A guest's number, a town, its cheapest lodge's price for a night, and how it is shown.
const LODGES: &[(&str, &str, i64, &str)] = &[
    ("+256772000951", "Jinja", 55_000, "UGX"),
    ("+255754000951", "Moshi", 38_000, "TZS"),
    ("+250788000951", "Huye", 15_000, "RWF"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_stay_in_a_currency_without_decimals_costs_whole_units_from_offer_to_sms() {
    let app = TestApp::start("");
    let client = app.pool.get().await.unwrap();
    // A percentage that leaves half a unit, and a surge.
    client
        .batch_execute(
            "update property set fees = '[{\"name\": \"Levy\", \"per\": \"percent\", \"amount\": 125, \"included\": false}]'
             where currency in ('UGX', 'TZS', 'RWF');
             update property_availability a set surge_multiplier = 1.01 from property p
             where p.property_id = a.property_id and p.town in ('ug-jinja', 'tz-moshi', 'rw-huye')
               and a.date < current_date + 9",
        )
        .await
        .unwrap();
    for (guest, town, price, currency) in LODGES {
        let night = (price * 101 + 50) / 100;
        let total = 2 * night + (2 * night * 125 + 5_000) / 10_000;
        let shown = format!("{currency} {},{:03}", total / 1000, total % 1000);
        let answers = ["1", town, "2", "2", "1", "1", "0"];
        let session = session_id();
        let screen = app.dialogue(&session, guest, &answers).await;
        assert!(screen.contains(&shown), "{shown}: {screen}");
        let screen = app
            .call(&session, guest, &format!("{}*1", answers.join("*")))
            .await;
        assert!(screen.contains(&shown), "{shown}: {screen}");
        let sql = "select total, currency from reservation where msisdn = $1";
        let row = client.query_one(sql, &[guest]).await.unwrap();
        let stored: (i64, &str) = (row.get(0), row.get(1));
        assert_eq!(stored, (total, *currency));
        let told = app.sms(guest, 1).await;
        assert!(
            told[0]["text"].as_str().unwrap().contains(&shown),
            "{told:?}"
        );
    }
}
