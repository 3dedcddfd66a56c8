//! What the operator's machines ask: is it alive, is it ready, what does it count.

use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpResponse;
use actix_web::web::Data;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::app::App;

/// Turns false when the service is about to stop: a load balancer sends no new calls then.
pub struct Readiness(AtomicBool);

impl Default for Readiness {
    fn default() -> Self {
        Readiness(AtomicBool::new(true))
    }
}

impl Readiness {
    /// From now on `/health/ready` says no.
    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

/// `GET /health/ready`: 200 while calls are taken, with what is missing; callers are still told the truth then.
pub async fn ready(app: Data<App>, readiness: Data<Readiness>) -> HttpResponse {
    let redis = async { !app.store.breaker().is_open() && app.store.is_up().await };
    let postgres = async {
        !app.postgres.is_open() && app.pool.get().await.is_ok_and(|client| !client.is_closed())
    };
    let (redis, postgres) = tokio::join!(redis, postgres);
    let sms = !app.sms.are_down();
    let degraded: Vec<_> = [("postgres", postgres), ("redis", redis), ("sms", sms)]
        .into_iter()
        .filter(|(_, up)| !up)
        .map(|(name, _)| name)
        .chain(app.payments.list_away())
        .collect();
    let ready = readiness.0.load(Ordering::Relaxed);
    let body = json!({ "ready": ready, "degraded": degraded });
    if ready {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// `GET /metrics`: counters in the Prometheus text format.
pub async fn metrics(handle: Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .body(handle.render())
}
