//! `reserveflow bench NAME`: the service beside its floor, in the same run on the same machine.

mod api;
mod archive;
mod booking;
mod ground;
mod menu;
mod search;
mod turn;

use std::process::ExitCode;

use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Steps and screens in memory, on one core, beside the same dialogue as plain code.
    Menu,
    /// Reservations through the lanes, beside the best that pgbench reaches one at a time, on a Postgres of its own.
    Booking,
    /// Reservations while old months are detached and archived, beside the same without, on a Postgres of its own.
    Archive,
    /// Searches of the next 90 days, of one date and of a calendar, on a Postgres of its own.
    Search,
    /// 50 properties with 30 nights over HTTP, beside the same query by pgbench, on a Postgres of its own.
    Api,
    /// Calls over HTTP to a service on stores of its own, beside a bare handler with one Redis GET and one SET.
    Turn(turn::Args),
    /// The process that calls.
    #[command(hide = true)]
    Load(turn::load::Args),
    /// The process that a service is compared with.
    #[command(hide = true)]
    Floor(turn::floor::Args),
}

pub(crate) fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    match bench {
        Bench::Menu => menu::run(),
        Bench::Booking => booking::run(),
        Bench::Archive => archive::run(),
        Bench::Search => search::run(),
        Bench::Api => api::run(),
        Bench::Turn(args) => crate::run(turn::run(args)),
        Bench::Load(args) => turn::load::run(&args),
        Bench::Floor(args) => crate::run(turn::floor::run(args)),
    }
}

/// What a target says of a measured value.
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

/// The closing line of a target. A missed one is said, and is no failure of the run.
fn target(name: &str, measured: f64, wanted: Wanted) {
    let (met, bound) = match wanted {
        Wanted::AtLeast(bound) => (measured >= bound, format!("at least {bound}")),
        Wanted::AtMost(bound) => (measured <= bound, format!("at most {bound}")),
        Wanted::Exactly(bound) => (measured == bound, format!("exactly {bound}")),
    };
    println!(
        "target {name}: measured {measured:.2}, wanted {bound}, {}",
        if met { "met" } else { "missed" }
    );
}
