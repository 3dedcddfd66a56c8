#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::BadDate::{NoSuchDay, Past, TooFar, Unreadable};
use super::*;

fn list(words: &str) -> Vec<String> {
    words.split('|').map(str::to_owned).collect()
}

fn language(today: &str, tomorrow: &str, weekdays: [&str; 7], months: [&str; 12]) -> DateWords {
    DateWords {
        today: list(today),
        tomorrow: list(tomorrow),
        weekdays: weekdays.map(list),
        months: months.map(list),
    }
}

static ENGLISH: LazyLock<DateWords> = LazyLock::new(|| {
    language(
        "today|tonight",
        "tomorrow|tmrw",
        [
            "Monday|Mon",
            "Tuesday|Tue",
            "Wednesday|Wed",
            "Thursday|Thu",
            "Friday|Fri",
            "Saturday|Sat",
            "Sunday|Sun",
        ],
        [
            "January|Jan",
            "February|Feb",
            "March|Mar",
            "April|Apr",
            "May",
            "June|Jun",
            "July|Jul",
            "August|Aug",
            "September|Sep|Sept",
            "October|Oct",
            "November|Nov",
            "December|Dec",
        ],
    )
});

static SWAHILI: LazyLock<DateWords> = LazyLock::new(|| {
    language(
        "leo",
        "kesho",
        [
            "Jumatatu|Jtt",
            "Jumanne|Jnn",
            "Jumatano|Jtn",
            "Alhamisi|Alh",
            "Ijumaa|Ijm",
            "Jumamosi|Jms",
            "Jumapili|Jpl",
        ],
        [
            "Januari|Jan",
            "Februari|Feb",
            "Machi|Mac",
            "Aprili|Apr",
            "Mei",
            "Juni|Jun",
            "Julai|Jul",
            "Agosti|Ago",
            "Septemba|Sep",
            "Oktoba|Okt",
            "Novemba|Nov",
            "Desemba|Des",
        ],
    )
});

static FRENCH: LazyLock<DateWords> = LazyLock::new(|| {
    language(
        "aujourd'hui",
        "demain",
        [
            "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche",
        ],
        [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
    )
});

fn day(iso: &str) -> NaiveDate {
    iso.parse().unwrap()
}

fn read(typed: &str, today: NaiveDate) -> Result<NaiveDate, BadDate> {
    parse_date(typed, today, &[&ENGLISH, &SWAHILI, &FRENCH])
}

/// Every row is read on the same Thursday.
#[test]
fn what_people_type_on_a_thursday_in_november() {
    let today = day("2026-11-05");
    let cases = [
        // Digits run together.
        ("2512", Ok("2026-12-25")),
        ("0511", Ok("2026-11-05")),
        ("0411", Ok("2027-11-04")),
        ("1201", Ok("2027-01-12")),
        ("251226", Ok("2026-12-25")),
        ("25122026", Ok("2026-12-25")),
        ("512", Ok("2026-12-05")),
        ("311", Err(Unreadable)),
        ("112", Err(Unreadable)),
        ("999", Err(NoSuchDay)),
        ("25l2", Ok("2026-12-25")),
        ("O512", Ok("2026-12-05")),
        ("O5I2", Ok("2026-12-05")),
        // Day and month apart.
        ("25/12", Ok("2026-12-25")),
        ("25-12", Ok("2026-12-25")),
        ("25.12.", Ok("2026-12-25")),
        ("25 12", Ok("2026-12-25")),
        ("25,12", Ok("2026-12-25")),
        (" 25 / 12 ", Ok("2026-12-25")),
        ("12/01", Ok("2027-01-12")),
        ("5/11", Ok("2026-11-05")),
        ("6/11", Ok("2026-11-06")),
        ("l/l2", Ok("2026-12-01")),
        ("O1/I2", Ok("2026-12-01")),
        ("25-12-26", Ok("2026-12-25")),
        ("25/12/2026", Ok("2026-12-25")),
        ("25.12.26", Ok("2026-12-25")),
        ("2026-12-25", Ok("2026-12-25")),
        ("1/1/27", Ok("2027-01-01")),
        // Month names.
        ("25 dec", Ok("2026-12-25")),
        ("dec 25", Ok("2026-12-25")),
        ("25dec", Ok("2026-12-25")),
        ("Dec25", Ok("2026-12-25")),
        ("25DEC26", Ok("2026-12-25")),
        ("25 dec 2026", Ok("2026-12-25")),
        ("December 25, 2026", Ok("2026-12-25")),
        ("22nd dec", Ok("2026-12-22")),
        ("on the 1st of december", Ok("2026-12-01")),
        ("3rd Jan", Ok("2027-01-03")),
        ("2oct", Ok("2027-10-02")),
        ("l2 dec", Ok("2026-12-12")),
        ("25 decem", Ok("2026-12-25")),
        ("25 decmber", Ok("2026-12-25")),
        ("25 dec '26", Ok("2026-12-25")),
        ("tarehe 25 Desemba", Ok("2026-12-25")),
        ("25 mei", Ok("2027-05-25")),
        ("1er décembre", Ok("2026-12-01")),
        ("14 fevrier", Ok("2027-02-14")),
        // Words for days.
        ("today", Ok("2026-11-05")),
        ("Tonight", Ok("2026-11-05")),
        ("leo", Ok("2026-11-05")),
        ("LEO USIKU", Ok("2026-11-05")),
        ("aujourd'hui", Ok("2026-11-05")),
        ("aujourd’hui", Ok("2026-11-05")),
        ("tomorrow", Ok("2026-11-06")),
        ("kesho", Ok("2026-11-06")),
        ("Demain", Ok("2026-11-06")),
        ("to morrow", Ok("2026-11-06")),
        ("tommorow", Ok("2026-11-06")),
        ("tomoro", Ok("2026-11-06")),
        ("next tomorrow", Ok("2026-11-07")),
        ("thursday", Ok("2026-11-05")),
        ("friday", Ok("2026-11-06")),
        ("fri", Ok("2026-11-06")),
        ("on fri.", Ok("2026-11-06")),
        ("this Friday", Ok("2026-11-06")),
        ("next friday", Ok("2026-11-13")),
        ("next thursday", Ok("2026-11-12")),
        ("wed", Ok("2026-11-11")),
        ("wensday", Ok("2026-11-11")),
        ("thurs", Ok("2026-11-05")),
        ("ijumaa", Ok("2026-11-06")),
        ("ijumaa ijayo", Ok("2026-11-13")),
        ("juma tatu", Ok("2026-11-09")),
        ("jumamosi hii", Ok("2026-11-07")),
        ("samedi", Ok("2026-11-07")),
        ("Friday 25 Dec", Ok("2026-12-25")),
        ("25/12 fri", Ok("2026-12-25")),
        ("monday 25 dec", Err(NoSuchDay)),
        // Outside the year that is sold.
        ("04/11/2026", Err(Past)),
        ("041126", Err(Past)),
        ("25 dec 2025", Err(Past)),
        ("25-12-25", Err(Past)),
        ("05/11/2027", Ok("2027-11-05")),
        ("06/11/2027", Err(TooFar)),
        ("1 jan 2030", Err(TooFar)),
        ("31129999", Err(TooFar)),
        // Not in the calendar.
        ("31/02", Err(NoSuchDay)),
        ("3102", Err(NoSuchDay)),
        ("31 feb 2020", Err(NoSuchDay)),
        ("31 nov", Err(NoSuchDay)),
        ("29/02", Err(NoSuchDay)),
        ("29 feb 2027", Err(NoSuchDay)),
        ("12/25", Err(NoSuchDay)),
        ("0000", Err(NoSuchDay)),
        ("9999", Err(NoSuchDay)),
        ("0 dec", Err(NoSuchDay)),
        // Not a date.
        ("", Err(Unreadable)),
        (" ", Err(Unreadable)),
        ("1", Err(Unreadable)),
        ("25", Err(Unreadable)),
        ("25122", Err(Unreadable)),
        ("2512202", Err(Unreadable)),
        ("251220261", Err(Unreadable)),
        ("99999999999999999999", Err(Unreadable)),
        ("25/12/6", Err(Unreadable)),
        ("25/12/026", Err(Unreadable)),
        ("2 5 1 2", Err(Unreadable)),
        ("025/12", Err(Unreadable)),
        ("dec", Err(Unreadable)),
        ("on", Err(Unreadable)),
        ("next", Err(Unreadable)),
        ("next today", Err(Unreadable)),
        ("next 25 dec", Err(Unreadable)),
        ("juma", Err(Unreadable)),
        ("jumatanu", Err(Unreadable)),
        ("sonday", Err(Unreadable)),
        ("jana", Err(Unreadable)),
        ("yesterday", Err(Unreadable)),
        ("kesho kutwa", Err(Unreadable)),
        ("day after tomorrow", Err(Unreadable)),
        ("not friday", Err(Unreadable)),
        ("nakuru", Err(Unreadable)),
        ("oil", Err(Unreadable)),
        ("25*12", Err(Unreadable)),
        ("25 dec 😀", Err(Unreadable)),
        ("٢٥/١٢", Err(Unreadable)),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(typed, wanted)| (typed, wanted.map(day), read(typed, today)))
        .filter(|(_, wanted, found)| wanted != found)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn month_ends_year_ends_and_leap_days() {
    let cases = [
        ("2026-12-31", "tomorrow", Ok("2027-01-01")),
        ("2026-12-31", "0101", Ok("2027-01-01")),
        ("2026-12-31", "3112", Ok("2026-12-31")),
        ("2026-12-31", "3012", Ok("2027-12-30")),
        ("2026-12-31", "31 dec 27", Ok("2027-12-31")),
        ("2026-12-31", "1 jan 28", Err(TooFar)),
        ("2027-01-01", "31/12/26", Err(Past)),
        ("2026-11-30", "kesho", Ok("2026-12-01")),
        ("2026-11-30", "sun", Ok("2026-12-06")),
        ("2027-02-28", "tomorrow", Ok("2027-03-01")),
        ("2028-02-28", "tomorrow", Ok("2028-02-29")),
        ("2028-02-28", "29/02", Ok("2028-02-29")),
        ("2028-02-29", "2902", Ok("2028-02-29")),
        ("2028-03-01", "2902", Err(NoSuchDay)),
        ("2027-03-01", "29 feb", Ok("2028-02-29")),
        ("2027-02-28", "29 feb", Err(TooFar)),
        ("2027-03-01", "290228", Ok("2028-02-29")),
        ("2026-11-05", "29/02/2028", Err(TooFar)),
        // A year with a leap day ahead of it is 366 days long.
        ("2027-03-02", "01/03", Ok("2028-03-01")),
        ("2027-03-01", "01/03/2028", Err(TooFar)),
        ("2026-11-30", "31/11", Err(NoSuchDay)),
    ];
    for (today, typed, wanted) in cases {
        assert_eq!(
            read(typed, day(today)),
            wanted.map(day),
            "{typed} on {today}"
        );
    }
}

#[test]
fn the_callers_language_comes_first_and_numbers_need_none() {
    let today = day("2026-11-05");
    // "mar" begins mardi and mars in French, and is March in English.
    let french_first = parse_date("12 mar", today, &[&FRENCH, &ENGLISH]);
    assert_eq!(french_first, Ok(day("2027-03-12")));
    assert_eq!(parse_date("mar", today, &[&FRENCH]), Err(Unreadable));
    assert_eq!(parse_date("friday", today, &[&SWAHILI]), Err(Unreadable));
    assert_eq!(parse_date("25/12", today, &[]), Ok(day("2026-12-25")));
    assert_eq!(parse_date("today", today, &[]), Err(Unreadable));
    let empty = DateWords::default();
    assert_eq!(parse_date("today", today, &[&empty]), Err(Unreadable));
}

#[test]
fn text_too_long_for_a_date_is_not_read() {
    let today = day("2026-11-05");
    assert_eq!(read(&"1".repeat(10_000), today), Err(Unreadable));
    assert_eq!(read(&"next ".repeat(2_000), today), Err(Unreadable));
    let padded = format!("{}25/12{}", " ".repeat(5_000), " ".repeat(5_000));
    assert_eq!(read(&padded, today), Ok(day("2026-12-25")));
}

#[test]
fn the_weekend_is_neither_today_nor_tomorrow() {
    for (today, night) in [
        ("2026-11-02", "2026-11-06"),
        ("2026-11-04", "2026-11-06"),
        ("2026-11-05", "2026-11-07"),
        ("2026-11-06", "2026-11-13"),
        ("2026-11-07", "2026-11-13"),
        ("2026-11-08", "2026-11-13"),
        ("2026-12-30", "2027-01-01"),
    ] {
        assert_eq!(weekend(day(today)), day(night), "{today}");
    }
}

#[test]
fn the_last_day_of_the_calendar_breaks_nothing() {
    for typed in [
        "tomorrow",
        "friday",
        "next friday",
        "0101",
        "31/12",
        "today",
    ] {
        let _ = read(typed, NaiveDate::MAX);
        let _ = read(typed, NaiveDate::MIN);
    }
    let _ = weekend(NaiveDate::MAX);
}

fn some_today() -> impl Strategy<Value = NaiveDate> {
    (0u64..20_000).prop_map(|days| day("2020-01-01") + Days::new(days))
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(typed in any::<String>(), today in some_today()) {
        let _ = read(&typed, today);
    }

    #[test]
    fn any_text_like_a_date_gives_a_day_on_sale_or_a_reason(
        typed in "[0-9oOIl]{0,8}[ /.-]?([0-9]{1,2}|[a-zé]{1,9}|dec|next fri|leo)?[ /.-]?[0-9]{0,4}",
        today in some_today(),
    ) {
        if let Ok(date) = read(&typed, today) {
            prop_assert!(date >= today);
            prop_assert!((date - today).num_days() <= i64::from(ADVANCE_DAYS_MAX));
        }
    }

    #[test]
    fn every_way_to_write_a_day_with_its_year_is_read_back(today in some_today(), ahead in 0u64..=365) {
        let date = today + Days::new(ahead);
        for form in [
            "%d%m%y", "%d%m%Y", "%d/%m/%Y", "%-d/%-m/%y", "%d-%m-%y", "%d.%m.%Y", "%-d %-m %Y", "%Y-%m-%d",
            "%d %b %Y", "%-d%b%y", "%B %-d, %Y", "%A %-d %B %Y", "%a %d/%m/%y",
        ] {
            let typed = date.format(form).to_string();
            prop_assert_eq!(read(&typed, today), Ok(date), "{}", typed);
        }
    }

    #[test]
    fn every_way_to_write_a_day_without_its_year_is_read_back(today in some_today(), ahead in 0u64..=364) {
        let date = today + Days::new(ahead);
        for form in [
            "%d%m", "%d/%m", "%-d/%-m", "%-d-%-m", "%d.%m.", "%-d %-m", "%d %b", "%b %d", "%-d%b", "%b%-d",
            "%-dth %B", "on %-d %b", "%A %-d %b",
        ] {
            let typed = date.format(form).to_string();
            prop_assert_eq!(read(&typed, today), Ok(date), "{}", typed);
        }
    }

    #[test]
    fn every_weekday_is_the_next_such_day(today in some_today(), ahead in 0u64..7) {
        let date = today + Days::new(ahead);
        for form in ["%A", "%a", "this %A", "on %a"] {
            let typed = date.format(form).to_string();
            prop_assert_eq!(read(&typed, today), Ok(date), "{}", typed);
        }
        let next = date.format("next %A").to_string();
        prop_assert_eq!(read(&next, today), Ok(date + Days::new(7)));
    }
}
