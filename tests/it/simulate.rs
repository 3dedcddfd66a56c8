//! The engine in virtual time while everything fails: a thousand runs, and one of them twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use reserveflow::simulate::run;

const SEEDS: u64 = 1_000;

#[test]
fn no_law_is_broken_in_a_thousand_runs() {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut reservations, mut broken) = (0, Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return (reservations, broken);
            }
            let run = run(seed).unwrap();
            reservations += run.done.reservations;
            if run.broken.is_some() {
                broken.push(format!("seed {seed}\n{}", run.story.join("\n")));
            }
        }
    };
    let all: Vec<_> = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let broken: Vec<_> = all.iter().flat_map(|(_, broken)| broken).collect();
    assert!(
        broken.is_empty(),
        "{} runs broke a law; the first:\n{}",
        broken.len(),
        broken[0]
    );
    let reservations: usize = all.iter().map(|(made, _)| made).sum();
    assert!(reservations > 2 * SEEDS as usize, "{reservations}");
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in [7, 8] {
        let (first, second) = (run(seed).unwrap(), run(seed).unwrap());
        assert!(first.story.len() > 50);
        assert_eq!(first, second);
    }
    assert_ne!(run(7).unwrap().story, run(8).unwrap().story);
}
