//! `/pay/{provider}/{token}/{door}[/{secret}]`: what became of prompts and refunds, and payments by hand.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{body, is_authentic, nothing_here, send};
use crate::app::App;
use crate::cashier::{Cashier, Posted};
use crate::payment::{self, Door, Rejection};
use crate::ussd::Rendered;

/// The longest secret: hexadecimal of 128 bits.
const SECRET_CHARS_MAX: usize = 32;

/// Takes what a provider posts, by the method it likes; success only once it is kept.
pub async fn receive(
    app: Data<App>,
    cashier: Data<Cashier>,
    path: Path<(String, String, String, String)>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let (name, token, door, rest) = &*path;
    let known = payment::find(name).filter(|_| is_authentic(&app, &request, name, token));
    let secret = rest.trim_start_matches('/');
    let Some((provider, door)) = known.zip(Door::find(door)).filter(|_| is_secret(secret)) else {
        return nothing_here(payload);
    };
    let body = match body(&request, &mut payload).await {
        Ok(body) => body,
        Err(refused) => return refused.response(payload),
    };
    let posted = Posted {
        provider,
        door,
        secret,
        body: &body,
    };
    send(take(&cashier.into_inner(), &posted).await)
}

async fn take(cashier: &Arc<Cashier>, posted: &Posted<'_>) -> Rendered {
    let taken = match posted.door {
        Door::Validation => cashier.validate(posted).await,
        _ => cashier.keep(posted).await.map(Ok),
    };
    match taken {
        Ok(accepted) => posted.provider.acknowledge(posted.door, accepted),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                provider = posted.provider.name(),
                door = posted.door.segment(),
                "a payment callback was not kept"
            );
            match posted.door {
                // Money is not turned away because we cannot look: what it is for is found out afterwards.
                Door::Validation => posted
                    .provider
                    .acknowledge(Door::Validation, Ok::<(), Rejection>(())),
                _ => Rendered {
                    status: 503,
                    ..Rendered::empty()
                },
            }
        }
    }
}

fn is_secret(text: &str) -> bool {
    text.len() <= SECRET_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
