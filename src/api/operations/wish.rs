//! What an operation asks for, as it comes.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::problem::Problem;
use crate::booking::code::Code;
use crate::booking::money::Currency;
use crate::booking::stay::{GUESTS_MAX, Stay};
use crate::phone::Msisdn;

/// One queued operation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Operation {
    /// Its id, the client's own and used once; the same id and body again get the same answer.
    pub id: Uuid,
    /// When it was queued, by the client's clock.
    pub at: DateTime<Utc>,
    /// The version of the data that it was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_version: Option<i64>,
    /// What is wanted.
    #[serde(flatten)]
    pub wish: Wish,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "UPPERCASE")]
pub enum Wish {
    /// What is free in a town.
    Search(Search),
    /// What a stay costs now.
    Quote(Quote),
    /// Take a stay at the price that was shown.
    Reserve(Reserve),
    /// Take several stays at the prices that were shown, all or none.
    Group(Group),
    /// Ask a phone for the money.
    Pay(Pay),
    /// Make a held stay sure without paying now, where the lodge takes that, or learn that it is.
    Confirm(Confirm),
    /// Give a stay up at the cost that was shown.
    Cancel(Cancel),
}

/// What is free in a town.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// A place of `/v1/places`.
    pub place: String,
    /// The first night.
    pub check_in: NaiveDate,
    /// How many.
    #[schema(minimum = 1, maximum = 30)]
    pub nights: u8,
    /// How many people.
    #[schema(minimum = 1, maximum = 12)]
    pub guests: u8,
}

/// What a stay costs now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// `prop_…`
    pub property_id: String,
    /// The first night.
    pub check_in: NaiveDate,
    /// How many.
    #[schema(minimum = 1, maximum = 30)]
    pub nights: u8,
    /// How many people.
    #[schema(minimum = 1, maximum = 12)]
    pub guests: u8,
}

/// Take a stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// `prop_…`
    pub property_id: String,
    /// The first night.
    pub check_in: NaiveDate,
    /// How many.
    #[schema(minimum = 1, maximum = 30)]
    pub nights: u8,
    /// How many people.
    #[schema(minimum = 1, maximum = 12)]
    pub guests: u8,
    /// What the guest was shown that all of it costs, in minor units.
    #[schema(minimum = 1)]
    pub total_minor: i64,
    /// Of the total.
    #[schema(value_type = String, example = "KES")]
    pub currency: Currency,
    /// Who books, in E.164; the confirmation goes there.
    #[schema(value_type = String, example = "+254711000001")]
    pub msisdn: Msisdn,
    /// Who comes, if that is someone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub guest_msisdn: Option<Msisdn>,
    /// The name of who comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_name: Option<String>,
    /// Of the messages. Default: the first one of the guest's country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// Take several stays, all or none: of several lodges, or several rooms of one, each a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Each becomes a reservation with a code of its own.
    #[schema(min_items = 1, max_items = 10)]
    pub parts: Vec<GroupPart>,
    /// Who books, in E.164; the confirmations go there.
    #[schema(value_type = String, example = "+254711000001")]
    pub msisdn: Msisdn,
    /// Who comes, if that is someone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub guest_msisdn: Option<Msisdn>,
    /// The name of who comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_name: Option<String>,
    /// Of the messages. Default: the first one of the guest's country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// One room of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupPart {
    /// `prop_…`
    pub property_id: String,
    /// The first night.
    pub check_in: NaiveDate,
    /// How many.
    #[schema(minimum = 1, maximum = 30)]
    pub nights: u8,
    /// How many people in this room.
    #[schema(minimum = 1, maximum = 12)]
    pub guests: u8,
    /// What the guest was shown that this room costs, in minor units.
    #[schema(minimum = 1)]
    pub total_minor: i64,
    /// Of the total.
    #[schema(value_type = String, example = "KES")]
    pub currency: Currency,
}

/// Ask a phone for the money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// What is paid for.
    pub reservation: Of,
    /// How much.
    #[serde(default)]
    pub part: Part,
    /// Whose phone is asked, in E.164. Default: of who booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub msisdn: Option<Msisdn>,
}

/// How much of what is left to pay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Everything.
    #[default]
    All,
    /// What is enough for now, where the lodge takes a part first.
    Deposit,
}

/// Make a held stay sure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Which one.
    pub reservation: Of,
}

/// Give a stay up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Which one.
    pub reservation: Of,
    /// What the guest was shown that it costs, in minor units.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub cost_minor: i64,
}

/// Which reservation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Of {
    /// The one that an earlier operation made, of this batch or of one before it.
    Operation(OfOperation),
    /// One by its code.
    Code(OfCode),
}

/// A reservation by the operation that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfOperation {
    /// Id of a `RESERVE`, or of a `GROUP`, whose first part is meant.
    pub operation: Uuid,
}

/// A reservation by its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfCode {
    /// `4821-7736`
    #[schema(value_type = String, example = "4821-7736")]
    pub code: Code,
    /// Who booked it, or who comes, in E.164.
    #[schema(value_type = String, example = "+254711000001")]
    pub msisdn: Msisdn,
}

#[derive(Deserialize)]
struct Head {
    id: Uuid,
    at: DateTime<Utc>,
    #[serde(default)]
    base_version: Option<i64>,
}

impl Operation {
    /// Reads one of a batch. Its id comes back also where the rest of it is wrong.
    ///
    /// # Errors
    /// [`Problem`] says which member is wrong.
    pub fn read(sent: &Value) -> Result<Operation, Problem> {
        let wrong = |error: serde_json::Error| Problem::bad_request(error.to_string());
        let Value::Object(members) = sent else {
            return Err(Problem::bad_request("an operation is an object"));
        };
        let head: Head = serde_json::from_value(sent.clone()).map_err(wrong)?;
        let of_wish = |name: &str| !matches!(name, "id" | "at" | "base_version");
        let wish: Map<String, Value> = members
            .iter()
            .filter(|(name, _)| of_wish(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Operation {
            id: head.id,
            at: head.at,
            base_version: head.base_version,
            wish: serde_json::from_value(Value::Object(wish)).map_err(wrong)?,
        })
    }
}

impl Wish {
    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Wish::Search(_) => "SEARCH",
            Wish::Quote(_) => "QUOTE",
            Wish::Reserve(_) => "RESERVE",
            Wish::Group(_) => "GROUP",
            Wish::Pay(_) => "PAY",
            Wish::Confirm(_) => "CONFIRM",
            Wish::Cancel(_) => "CANCEL",
        }
    }
}

/// A stay that can be one.
///
/// # Errors
/// 422 says which number is out of bounds.
pub(super) fn stay(check_in: NaiveDate, nights: u8, guests: u8) -> Result<Stay, Problem> {
    if !(1..=GUESTS_MAX).contains(&guests) {
        return Err(unfit("guests", format!("are 1 to {GUESTS_MAX}")));
    }
    Stay::new(check_in, nights).ok_or_else(|| unfit("nights", "are 1 to 30"))
}

/// 422: understood, and nothing that can be done.
pub(super) fn unfit(member: &str, why: impl std::fmt::Display) -> Problem {
    Problem::unfit(format!("`{member}` {why}")).with("member", member)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_unknown_is_refused() {
        let id = "0197a2b4-0000-7000-8000-000000000001";
        let cancel = json!({
            "id": id, "at": "2026-11-28T20:00:00Z", "type": "CANCEL", "cost_minor": 0,
            "reservation": {"operation": id},
        });
        let read = Operation::read(&cancel).expect("is an operation");
        assert_eq!(serde_json::to_value(&read).expect("is JSON"), cancel);
        for (member, value) in [
            ("type", json!("BUY")),
            (
                "reservation",
                json!({"code": "4821-7735", "msisdn": "+254711000001"}),
            ),
            ("reservation", json!({"operation": id, "code": "4821-7736"})),
            ("surprise", json!(1)),
            ("at", json!("yesterday")),
            ("id", json!("1")),
        ] {
            let mut wrong = cancel.clone();
            wrong[member] = value;
            assert!(Operation::read(&wrong).is_err(), "{wrong}");
        }
    }
}
