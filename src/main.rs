//! The command line.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use reserveflow::embedded::{SuperviseArgs, supervise};
use reserveflow::simulator::dial::{self, DialArgs};

use command::archive::ArchiveArgs;
use command::bench::Bench;
use command::demo::DemoArgs;
use command::import::ImportArgs;
use command::keys::KeysArgs;
use command::menus::MenusCommand;
use command::payments::PaymentsArgs;
use command::reconcile::ReconcileArgs;
use command::simulate::SimulateArgs;

/// A turn makes some hundred small allocations; this allocator takes half the time of the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// USSD and SMS gateway that finds and books lodging from any phone.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    ///
    /// Uses the Postgres and Redis that the configuration names (by default `$DATABASE_URL` and `$REDIS_URL`). Where one is
    /// not named, private ones are started in the data folder and stopped with the service.
    Serve {
        /// The configuration file; deploy/reserveflow.yaml shows every setting.
        #[arg(long, env = "RESERVEFLOW_CONFIG", default_value = "reserveflow.yaml")]
        config: PathBuf,
    },
    /// Run the service with sample lodgings, a phone in the browser and stores of its own.
    Demo(DemoArgs),
    /// Be a phone: dial a short code and answer the screens.
    Dial(DialArgs),
    /// Look after menu files.
    #[command(subcommand)]
    Menus(MenusCommand),
    /// Bring the database schema up to date.
    Migrate {
        /// The database.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: String,
    },
    /// Say what does not add up in the books, one line each; exits with 1 if anything does not. Repairs nothing.
    Audit {
        /// The database.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: String,
    },
    /// Take months that are over for long out of the calendar, into cold storage. The service does it by itself; this does
    /// it now.
    Archive(ArchiveArgs),
    /// Load places, properties or nights from CSV files: all rows, or none and every fault by line.
    Import(ImportArgs),
    /// Say who may use the API.
    Keys(KeysArgs),
    /// Look after money: what belongs to no booking, what goes back.
    Payments(PaymentsArgs),
    /// Compare what has come with a provider's statement.
    Reconcile(ReconcileArgs),
    /// Run the engine in virtual time while everything fails, and say which law was broken; exits with 1 if any was.
    ///
    /// The same seed makes the same run.
    Simulate(SimulateArgs),
    /// Measure the service beside its floor; closes with a line per target.
    #[command(subcommand)]
    Bench(Bench),
    /// Watches over one server of the private stores.
    #[command(hide = true)]
    Supervise(SuperviseArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Supervise(args) => return supervise(args),
        Command::Menus(menus) => Ok(command::menus::run(menus)),
        Command::Bench(bench) => command::bench::run(bench),
        Command::Simulate(args) => command::simulate::run(&args),
        Command::Serve { config } => run(command::serve::run(config)),
        Command::Demo(args) => run(command::demo::run(args)),
        Command::Dial(args) => run(dial::run(args)),
        Command::Migrate { database_url } => run(command::migrate::run(database_url)),
        Command::Audit { database_url } => run(command::audit::run(database_url)),
        Command::Archive(args) => run(command::archive::run(args)),
        Command::Import(args) => run(command::import::run(args)),
        Command::Keys(args) => run(command::keys::run(args)),
        Command::Payments(args) => run(command::payments::run(args)),
        Command::Reconcile(args) => run(command::reconcile::run(args)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("reserveflow: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A prompt may still be waiting for a line.
    runtime.shutdown_background();
    result
}
