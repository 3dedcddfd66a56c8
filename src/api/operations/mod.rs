//! `POST /v1/operations`: what a client did while it was offline, in one batch.
//!
//! Each operation is judged on its own, in the order sent, and has an answer of its own with a status as HTTP has them. An
//! answer that is final is kept for a day under the client's id of the operation ([`crate::db::operations`]): sent again,
//! because the answer was lost, it is answered the same. An answer that is not final (400, 403, 429, 500, 503) may be another one
//! next time.

mod judge;
mod shown;
mod wish;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::shown::{
    CurrentShown, InsteadShown, NightShown, OfferShown, ReservationShown, WaysShown,
};
pub use self::wish::{
    Cancel, Confirm, Group, GroupPart, Of, OfCode, OfOperation, Operation, Part, Pay, Quote,
    Reserve, Search, Wish,
};

use self::judge::Judge;
use super::Api;
use super::answer::{Answer, Enveloped};
use super::keys::{Key, Scope};
use super::problem::Problem;
use crate::crash_point;
use crate::db::DbError;
use crate::db::operations::{self, Claim, Queued};
use crate::db::patience::{ASK_MAX, within};
use crate::db::{catalogue, properties};

/// The most operations of one batch.
pub const OPERATIONS_MAX: usize = 50;
/// How long a batch is worked on; what is not begun by then is to be sent again. Below the lease of an operation.
const BATCH_TIME_MAX: Duration = Duration::from_secs(15);

/// A batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// In the order in which they were queued, at most 50.
    #[schema(value_type = Vec<Operation>, max_items = 50)]
    operations: Vec<Value>,
}

/// The answers, in the order of the batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answers {
    /// One for each operation.
    #[schema(value_type = Vec<OperationAnswer>)]
    pub operations: Vec<Value>,
}

/// The answer to one operation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationAnswer {
    /// The operation's id; null where it has none.
    #[schema(value_type = Option<Uuid>)]
    pub id: Value,
    /// As HTTP has them: 200 done; 202 the phone is asked for the money; 409 it is not possible any more, and the problem
    /// says what is so now and what would work instead; 404, 422 and 424 it cannot be; 429 and 503 send it again later.
    pub status: u16,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why nothing came of it, as RFC 9457 has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Value>,
}

impl OperationAnswer {
    fn refused(id: Value, problem: &Problem) -> OperationAnswer {
        OperationAnswer {
            id,
            status: problem.status().as_u16(),
            result: None,
            problem: Some(problem.json()),
        }
    }
}

/// What came of an operation.
struct Done {
    status: StatusCode,
    result: Value,
}

/// Why nothing came of it.
enum Undone {
    /// For good: the answer is kept.
    Final(Problem),
    /// Not this time.
    Passing(Problem),
}

impl From<DbError> for Undone {
    fn from(error: DbError) -> Undone {
        Undone::Passing(error.into())
    }
}

/// Answers a batch.
///
/// # Errors
/// [`Problem`] where the batch is none; what is wrong with one operation is said in its answer.
#[utoipa::path(post, path = "/v1/operations", operation_id = "work", tag = "reservations", request_body = Batch,
    responses((status = 200, description = "Each operation has an answer", body = Enveloped<Answers>)))]
pub async fn work(
    api: Data<Api>,
    key: Key,
    batch: Json<Batch>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    if !(1..=OPERATIONS_MAX).contains(&batch.operations.len()) {
        let detail = format!("a batch has 1 to {OPERATIONS_MAX} operations");
        return Err(Problem::unfit(detail).with("operations_max", OPERATIONS_MAX));
    }
    let until = Instant::now() + BATCH_TIME_MAX;
    let mut answers = Vec::with_capacity(batch.operations.len());
    for sent in &batch.operations {
        let answer = if Instant::now() < until {
            answer(&api, &key, sent).await
        } else {
            written(&OperationAnswer::refused(id(sent), &Problem::busy()))
        };
        answers.push(answer);
    }
    let now = api.app.clock.now();
    let version = async {
        let client = api.app.pool.get().await?;
        catalogue::number_changes(&client).await?;
        properties::last_version(&client).await
    };
    // What was done is done: an answer without its version is better than none.
    let version = within(&api.app.postgres, ASK_MAX, version).await;
    let operations = Answers {
        operations: answers,
    };
    let answer = Answer::new(&operations, now, version.unwrap_or_default(), 0)?;
    Ok(answer.send(&request, now))
}

fn id(sent: &Value) -> Value {
    let id = sent.get("id").and_then(Value::as_str);
    let id = id.and_then(|id| Uuid::parse_str(id).ok());
    id.map_or(Value::Null, |id| id.to_string().into())
}

fn written(answer: &OperationAnswer) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

async fn answer(api: &Api, key: &Key, sent: &Value) -> Value {
    let refused = |problem: &Problem| written(&OperationAnswer::refused(id(sent), problem));
    let operation = match Operation::read(sent) {
        Ok(operation) => operation,
        Err(problem) => return refused(&problem),
    };
    let scope = match operation.wish {
        Wish::Search(_) | Wish::Quote(_) => Scope::Read,
        Wish::Reserve(_) | Wish::Group(_) | Wish::Pay(_) | Wish::Confirm(_) | Wish::Cancel(_) => {
            Scope::Book
        }
    };
    if let Err(problem) = key.needs(scope) {
        return refused(&problem);
    }
    let Ok(canonical) = serde_json_canonicalizer::to_vec(sent) else {
        return refused(&Problem::defect());
    };
    let queued = Queued {
        client: &key.name,
        id: operation.id,
        hash: &Sha256::digest(&canonical).into(),
        kind: operation.wish.word(),
        at: operation.at,
    };
    let answered = answer_once(api, &queued, &operation).await;
    let answer = answered.unwrap_or_else(|problem| refused(&problem));
    let status = answer["status"].as_u64().unwrap_or_default();
    let labels = [
        ("type", queued.kind.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!("api_operations_total", &labels).increment(1);
    answer
}

/// The answer that is kept, or a new one.
async fn answer_once(
    api: &Api,
    queued: &Queued<'_>,
    operation: &Operation,
) -> Result<Value, Problem> {
    let postgres = &api.app.postgres;
    let claim = async {
        let client = api.app.pool.get().await?;
        operations::claim(&client, queued).await
    };
    let token = match within(postgres, ASK_MAX, claim).await? {
        Claim::Ours(token) => token,
        Claim::Answered(answer) => {
            return serde_json::from_str(&answer).map_err(|_| Problem::defect());
        }
        Claim::Running => return Err(Problem::busy()),
        Claim::Other => {
            let detail = "this id was used for another operation: queue it under a new one";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Problem::new(status, "id_reused", detail));
        }
    };
    crash_point!("operation:claimed");
    let judged = Judge::new(api, queued, operation).judge().await;
    crash_point!("operation:done");
    let (answer, keep) = match &judged {
        Ok(done) => {
            let answer = OperationAnswer {
                id: queued.id.to_string().into(),
                status: done.status.as_u16(),
                result: Some(done.result.clone()),
                problem: None,
            };
            (answer, true)
        }
        Err(Undone::Final(problem)) => (
            OperationAnswer::refused(queued.id.to_string().into(), problem),
            true,
        ),
        Err(Undone::Passing(problem)) => (
            OperationAnswer::refused(queued.id.to_string().into(), problem),
            false,
        ),
    };
    let answer = written(&answer);
    let keep = async {
        let client = api.app.pool.get().await?;
        if keep {
            operations::answer(&client, queued, token, &answer.to_string()).await
        } else {
            operations::release(&client, queued, token).await?;
            Ok(true)
        }
    };
    let kept = within(postgres, ASK_MAX, keep).await?;
    crash_point!("operation:answered");
    // Somebody else has it since: that one's answer counts.
    if kept {
        Ok(answer)
    } else {
        Err(Problem::busy())
    }
}
