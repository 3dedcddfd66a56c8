//! Every URL. Aggregators reach the public ones, the operator the private ones.

use actix_web::web::{self, ServiceConfig};

use crate::webhook::{payment, sms, ussd};
use crate::{api, console, funnel, health, operator, simulator};

/// What aggregators and providers post to, and what apps ask; `origins` are the web pages that may.
pub fn public(cfg: &mut ServiceConfig, origins: &[String]) {
    // First, because most requests by far are calls.
    cfg.service(web::resource("/ussd/{aggregator}/{token}{rest:(/.*)?}").to(ussd::receive))
        .service(web::resource("/sms/{provider}/{token}/{door}").to(sms::receive))
        .service(
            web::resource("/pay/{provider}/{token}/{door}{secret:(/[^/]*)?}").to(payment::receive),
        );
    api::configure(cfg, origins);
}

/// What the operator looks at.
pub fn private(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/health/live").route(web::get().to(health::live)))
        .service(web::resource("/health/ready").route(web::get().to(health::ready)))
        .service(web::resource("/metrics").route(web::get().to(health::metrics)))
        .service(web::resource("/private/aggregators").route(web::get().to(console::aggregators)))
        .service(web::resource("/private/menus").route(web::get().to(console::menus)))
        .service(web::resource("/private/funnel").route(web::get().to(funnel::page::show)))
        .service(
            web::resource("/private/overbookings").route(web::get().to(operator::overbookings)),
        )
        .service(web::resource("/private/bookings/{code}").route(web::get().to(operator::show)))
        .service(
            web::resource("/private/bookings/{code}/{move}").route(web::post().to(operator::act)),
        );
}

/// A phone for trying it out, on the private address.
pub fn simulator(cfg: &mut ServiceConfig) {
    simulator::configure(cfg);
}
