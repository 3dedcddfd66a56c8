//! Runs in virtual time, each told again by its seed.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Args;
use reserveflow::simulate::{self, Run};

/// Failing runs whose stories are printed; of the rest only the seeds.
const STORIES_MAX: usize = 3;

#[derive(Args)]
pub(crate) struct SimulateArgs {
    /// How many runs.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print what happens in every run, also where nothing is wrong.
    #[arg(long)]
    story: bool,
}

/// 1 if a law was broken in any run.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let next = AtomicU64::new(args.from);
    let end = args.from.saturating_add(args.seeds);
    let runs = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return Ok(());
            }
            let mut run = simulate::run(seed)?;
            if args.story {
                println!("seed {seed}\n{}", run.story.join("\n"));
            }
            if run.broken.is_none() {
                run.story.clear();
            }
            runs.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(run);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            let ended = worker.join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|run: &Run| run.seed);
    Ok(report(&runs))
}

fn report(runs: &[Run]) -> ExitCode {
    let broken: Vec<&Run> = runs.iter().filter(|run| run.broken.is_some()).collect();
    for run in broken.iter().take(STORIES_MAX) {
        println!("seed {}\n{}\n", run.seed, run.story.join("\n"));
    }
    let sum = |of: fn(&Run) -> usize| runs.iter().map(of).sum::<usize>();
    println!(
        "{} runs: {} calls, {} reservations, {} messages; {} broke a law",
        runs.len(),
        sum(|run| run.done.calls),
        sum(|run| run.done.reservations),
        sum(|run| run.done.messages),
        broken.len()
    );
    for run in &broken {
        let why = run.broken.as_deref().unwrap_or_default();
        println!("seed {}: {why}", run.seed);
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}
