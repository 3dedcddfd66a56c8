//! What the formats share that call by GET, everything in the query.

use serde_json::json;

use super::fields::Fields;
use super::{BadCall, Inbound, Rendered};

/// The fields of a call.
pub(super) fn query<'a>(inbound: &Inbound<'a>) -> Result<Fields<'a>, BadCall> {
    if inbound.method != "GET" {
        return Err(BadCall::Method);
    }
    if !inbound.path.is_empty() {
        return Err(BadCall::Path);
    }
    Ok(Fields::query(inbound))
}

/// 400 with the name of the field, as the reference clients of these formats say it; any other fault in plain words.
pub(super) fn refuse(bad: &BadCall) -> Rendered {
    let (status, body) = match bad {
        BadCall::MissingField(field) => (400, json!({ "missing_parameter": [field] })),
        BadCall::InvalidField(field) => (400, json!({ "invalid_parameter": [field] })),
        BadCall::InvalidBody(why) => (400, json!({ "invalid_request": why })),
        BadCall::Method => (405, json!({ "invalid_request": "method" })),
        BadCall::Path => (404, json!({ "invalid_request": "path" })),
        BadCall::Unauthorized => {
            return Rendered {
                status: 403,
                ..Rendered::text("Forbidden")
            };
        }
    };
    Rendered {
        status,
        ..Rendered::json(&body)
    }
}

/// A call as it comes over the wire, for tests.
#[cfg(test)]
pub(super) fn inbound(query: &str) -> Inbound<'_> {
    Inbound {
        method: "GET",
        path: "",
        query,
        headers: &[],
        body: b"",
    }
}
