//! Behaviour on real stores, one file per area.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod aggregators;
mod authentic;
mod bad_input;
mod counterparts;
mod crash;
mod db_calendar;
mod db_cancel;
mod db_change;
mod db_errors;
mod db_guests;
mod db_holds;
mod db_import;
mod db_jobs;
mod db_lane;
mod db_life;
mod db_migrate;
mod db_payments;
mod db_reserve;
mod db_restrictions;
mod db_search;
mod dialogues;
mod embedded;
mod instances;
mod lifecycle;
mod live_menus;
mod operator;
mod outages;
mod payments;
mod repeats;
mod rush;
mod simulator;
mod sms_outbox;
mod sms_routes;
mod sms_webhooks;
mod support;
