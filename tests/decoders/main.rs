//! Whatever comes in: every decoder of USSD, SMS and SMPP is fed with mutated requests. None may panic, none may take more
//! memory than what came in is worth, and no answer is a server's error.
//!
//! The seeds are the requests of `tests/vectors`; `tests/corpus` keeps one input for each outcome that mutation has found.
//! The order is the same with every run. To go on for longer, and to keep what leads to an outcome not seen before:
//!
//! ```sh
//! DECODER_SECONDS=600 DECODER_KEEP=1 cargo test --release --test decoders
//! ```
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod corpus;
mod decoder;
mod menus;
mod mutate;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use corpus::Input;
use decoder::{DECODERS, Decoder};
use mutate::Mutator;

/// Mutations of each decoder in a run of the whole suite.
const MUTATIONS: usize = 2_000;
/// Live memory that a decoder may take at most: so much for each octet that came in, and so much to begin with. JSON is
/// the most costly form: each `[]` becomes a value of 32 octets in a list that doubles.
const OCTETS_EACH: u64 = 64;
const OCTETS_ALWAYS: u64 = 64 * 1024;

const FILE: &str = "decoders.jsonl";

/// Whether what is found goes to the corpus.
fn keeps() -> bool {
    std::env::var_os("DECODER_KEEP").is_some()
}

/// One round, or as many as `DECODER_SECONDS` lets; each is told its number.
fn rounds(mut round: impl FnMut(u64)) {
    let seconds = std::env::var("DECODER_SECONDS").ok();
    let seconds = seconds.map(|raw| Duration::from_secs(raw.parse().unwrap()));
    let until = seconds.map(|seconds| Instant::now() + seconds);
    for number in 0.. {
        round(number);
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
}

#[test]
fn whatever_comes_in_is_understood_or_refused() {
    let mut corpus = corpus::kept(FILE);
    let mut found = BTreeSet::new();
    for input in &corpus {
        found.insert(outcome(decoder::find(&input.decoder), input));
    }
    let known = found.len();
    let mut runs = 0;
    rounds(|round| {
        for decoder in DECODERS.iter() {
            let seeds: Vec<Input> = decoder
                .seeds()
                .into_iter()
                .chain(
                    corpus
                        .iter()
                        .filter(|input| input.decoder == decoder.name)
                        .cloned(),
                )
                .collect();
            assert!(!seeds.is_empty(), "no seeds of {}", decoder.name);
            let mut mutator = Mutator::new(&decoder.name, round);
            for count in 0..MUTATIONS {
                // Each seed as it is first, then its mutations in turn.
                let seed = &seeds[count % seeds.len()];
                let input = if round == 0 && count < seeds.len() {
                    seed.clone()
                } else {
                    mutator.mutate(seed, &seeds)
                };
                runs += 1;
                if found.insert(outcome(decoder, &input)) && keeps() {
                    corpus.push(input);
                }
            }
        }
    });
    println!(
        "{runs} inputs, {} outcomes, {known} of them in the corpus",
        found.len()
    );
    if keeps() {
        corpus::keep(FILE, corpus);
    }
}

/// What comes of an input, within the limits.
fn outcome(decoder: &Decoder, input: &Input) -> String {
    let mut outcome = String::new();
    let used = allocation_counter::measure(|| outcome = decoder.run(input));
    let limit = input.octets() as u64 * OCTETS_EACH + OCTETS_ALWAYS;
    assert!(
        used.bytes_max <= limit,
        "{} octets for {} of {input:?}",
        used.bytes_max,
        input.octets()
    );
    format!("{}: {outcome}", decoder.name)
}
