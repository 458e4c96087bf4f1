//! Runs a simulation from many seeds: `DWINDLE_SEED=N` prints one run, `DWINDLE_EXHAUSTIVE=1` tries ten times as many.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What a run did, step by step where that was asked for, and what was wrong with it.
pub(crate) type Run = (String, Result<(), String>);

/// Runs the kept seeds, a file with one a line, and then those from 0 to `most`, on all processors.
///
/// # Panics
///
/// When a run fails: with its seed and the end of its trace.
pub(crate) fn run_seeds(kept: &str, most: u64, run: impl Fn(u64, bool) -> Run + Sync) {
    if let Ok(seed) = env::var("DWINDLE_SEED") {
        let seed = seed.parse().expect("DWINDLE_SEED is a number");
        let (trace, result) = run(seed, true);
        println!("{trace}");
        return result.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
    }
    let kept = kept
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().parse().ok());
    let most = if env::var_os("DWINDLE_EXHAUSTIVE").is_some() {
        10 * most
    } else {
        most
    };
    let seeds: Vec<u64> = kept.chain(0..most).collect();
    if let Some(seed) = first_failing(&seeds, &run) {
        let (trace, result) = run(seed, true);
        let problem = result.err().unwrap_or_else(|| "fails only at times".to_owned());
        let lines: Vec<&str> = trace.lines().collect();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        panic!("{last}\nseed {seed}: {problem} (DWINDLE_SEED={seed} prints all of it)");
    }
}

fn first_failing(seeds: &[u64], run: &(impl Fn(u64, bool) -> Run + Sync)) -> Option<u64> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None::<usize>));
    let work = || {
        while let Some((at, seed)) = take(seeds, &next) {
            if run(seed, false).1.is_err() {
                next.store(seeds.len(), Ordering::SeqCst);
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(failed.map_or(at, |first| first.min(at)));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map(|at| seeds[at])
}

fn take(seeds: &[u64], next: &AtomicUsize) -> Option<(usize, u64)> {
    let at = next.fetch_add(1, Ordering::SeqCst);
    seeds.get(at).map(|seed| (at, *seed))
}

/// What a run that panicked has to say.
pub(crate) fn catching(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}
