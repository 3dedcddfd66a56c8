//! A property as whoever manages it sees and writes it: the cells of the file that `reserveflow import` reads, as JSON.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::booking::money::Currency;
use crate::db::inventory::{read_price, write_price};

/// A property. Limits are those of the import; a member that is left out stays as it is, or has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `prop_` and 4 to 12 of a-z and 0-9; that of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_id: Option<String>,
    /// Name of its host.
    pub host_name: String,
    /// By which the host is known.
    pub host_phone: String,
    /// At most 30 plain characters.
    pub name: String,
    /// `room`, `studio`, `cottage` …
    pub kind: String,
    /// Id of a town.
    pub town: String,
    /// Id of a place in the town.
    #[serde(default)]
    pub area: Option<String>,
    /// What it is near.
    #[serde(default)]
    pub landmark: String,
    /// How many units are for rent.
    pub units: i32,
    /// People in one unit.
    pub guests_max: i32,
    /// Of one night, in minor units.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// How long an unpaid unit is kept.
    pub hold_minutes: i32,
    /// Whom guests call.
    pub phone: String,
    /// `14:00`
    pub check_in_time: String,
    /// Until how many hours before check-in cancelling costs nothing.
    pub cancel_hours: i32,
    /// `at_lodge` or `prepay`.
    pub pay: String,
    /// Nights.
    #[serde(default)]
    pub min_stay: Option<i32>,
    /// Nights.
    #[serde(default)]
    pub max_stay: Option<i32>,
    /// Booked at least so many hours before check-in.
    #[serde(default)]
    pub advance_hours_min: Option<i32>,
    /// Booked at most so many days before the first night.
    #[serde(default)]
    pub advance_days_max: Option<i32>,
    /// How much of a night may be on unpaid holds of numbers that have not stayed before.
    #[serde(default)]
    pub unpaid_percent: Option<i32>,
    /// Each like `City tax 2%`, `Cleaning 500/stay`, `Levy 100/person-night`, `VAT 16% included`.
    #[serde(default)]
    pub fees: Option<Vec<String>>,
    /// Whether it is offered.
    #[serde(default)]
    pub open: Option<bool>,
    /// Of the total, what a guest may pay first; 0: all or nothing.
    #[serde(default)]
    pub deposit_percent: Option<i32>,
    /// Whether one that wants money first takes it on arrival too.
    #[serde(default)]
    pub pay_at_lodge_too: Option<bool>,
    /// So many minutes from the booking on who pays by hand has time for it; 0: no longer than `hold_minutes`.
    #[serde(default)]
    pub by_hand_minutes: Option<i32>,
    /// So many hours past check-in time a guest who has not come is a no-show; 0: the host alone says so.
    #[serde(default)]
    pub no_show_hours: Option<i32>,
}

impl Record {
    /// The file with this property under an id.
    pub(super) fn csv(&self, short_id: &str) -> Result<String, Problem> {
        let number = |value: Option<i32>| value.map(|value| value.to_string()).unwrap_or_default();
        let fees = self.fees.as_ref().map(|fees| match &fees[..] {
            [] => "-".to_owned(),
            fees => fees.join("|"),
        });
        let cells = [
            ("property_id", short_id.to_owned()),
            ("host_name", self.host_name.clone()),
            ("host_phone", self.host_phone.clone()),
            ("name", self.name.clone()),
            ("kind", self.kind.clone()),
            ("town", self.town.clone()),
            ("area", self.area.clone().unwrap_or_default()),
            ("landmark", self.landmark.clone()),
            ("units", self.units.to_string()),
            ("guests_max", self.guests_max.to_string()),
            ("price_per_night", price(self.price_minor, &self.currency)),
            ("currency", self.currency.clone()),
            ("hold_minutes", self.hold_minutes.to_string()),
            ("phone", self.phone.clone()),
            ("check_in_time", self.check_in_time.clone()),
            ("cancel_hours", self.cancel_hours.to_string()),
            ("pay", self.pay.clone()),
            ("min_stay", number(self.min_stay)),
            ("max_stay", number(self.max_stay)),
            ("advance_hours_min", number(self.advance_hours_min)),
            ("advance_days_max", number(self.advance_days_max)),
            ("unpaid_percent", number(self.unpaid_percent)),
            ("fees", fees.unwrap_or_default()),
            ("open", yes_or_no(self.open)),
            ("deposit_percent", number(self.deposit_percent)),
            ("pay_at_lodge_too", yes_or_no(self.pay_at_lodge_too)),
            ("by_hand_minutes", number(self.by_hand_minutes)),
            ("no_show_hours", number(self.no_show_hours)),
        ];
        sheet([cells])
    }

    /// The property of a file with one line, as [`crate::db::inventory::property_csv`] writes it.
    pub(super) fn of_csv(csv: &str) -> Result<Record, Problem> {
        let defect = |_| Problem::defect();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let line = reader.deserialize().next().ok_or_else(Problem::defect)?;
        let cells: HashMap<String, String> = line.map_err(|_| Problem::defect())?;
        let text = |name: &str| cells.get(name).cloned().unwrap_or_default();
        let number = |name: &str| text(name).parse::<i32>().map_err(defect);
        let yes = |name: &str| Some(text(name) == "yes");
        let fees = text("fees");
        let currency = text("currency");
        Ok(Record {
            property_id: Some(text("property_id")),
            host_name: text("host_name"),
            host_phone: text("host_phone"),
            name: text("name"),
            kind: text("kind"),
            town: text("town"),
            area: Some(text("area")).filter(|area| !area.is_empty()),
            landmark: text("landmark"),
            units: number("units")?,
            guests_max: number("guests_max")?,
            price_minor: minor(&text("price_per_night"), &currency).ok_or_else(Problem::defect)?,
            currency,
            hold_minutes: number("hold_minutes")?,
            phone: text("phone"),
            check_in_time: text("check_in_time"),
            cancel_hours: number("cancel_hours")?,
            pay: text("pay"),
            min_stay: Some(number("min_stay")?),
            max_stay: Some(number("max_stay")?),
            advance_hours_min: Some(number("advance_hours_min")?),
            advance_days_max: Some(number("advance_days_max")?),
            unpaid_percent: Some(number("unpaid_percent")?),
            fees: Some(match fees.as_str() {
                "-" => Vec::new(),
                fees => fees.split('|').map(str::to_owned).collect(),
            }),
            open: yes("open"),
            deposit_percent: Some(number("deposit_percent")?),
            pay_at_lodge_too: yes("pay_at_lodge_too"),
            by_hand_minutes: Some(number("by_hand_minutes")?),
            no_show_hours: Some(number("no_show_hours")?),
        })
    }
}

pub(super) fn yes_or_no(yes: Option<bool>) -> String {
    match yes {
        None => String::new(),
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
    }
}

/// A file of lines that have the same columns.
pub(super) fn sheet<const N: usize>(
    lines: impl IntoIterator<Item = [(&'static str, String); N]>,
) -> Result<String, Problem> {
    let defect = |_| Problem::defect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (number, line) in lines.into_iter().enumerate() {
        if number == 0 {
            let header = line.iter().map(|(column, _)| column);
            writer.write_record(header).map_err(defect)?;
        }
        let cells = line.iter().map(|(_, cell)| cell);
        writer.write_record(cells).map_err(defect)?;
    }
    let bytes = writer.into_inner().map_err(|_| Problem::defect())?;
    String::from_utf8(bytes).map_err(|_| Problem::defect())
}

/// As a cell has it. What is of no currency is for the import to refuse.
pub(super) fn price(minor: i64, currency: &str) -> String {
    Currency::find(currency).map_or_else(
        || minor.to_string(),
        |currency| write_price(minor, currency),
    )
}

fn minor(cell: &str, currency: &str) -> Option<i64> {
    read_price(cell, Currency::find(currency)?).map(i64::from)
}
