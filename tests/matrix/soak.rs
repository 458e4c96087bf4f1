//! Everything at once, for a long time: writers that append by name, rotations, the agent killed and started again at any moment, and
//! `dwindle compress` on the same folder. At the end every record is there.
//!
//! A sample of seconds; half an hour with `DWINDLE_EXHAUSTIVE=1`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;

use super::at_work::{AT_ONCE, free_name, only_outputs_in};
use super::moments::is_exhaustive;
use super::race::{lost_records, write_while};
use crate::support::{Dwindle, Inbox, names_below};

#[test]
fn kills_writers_and_rotations_together_lose_no_record() {
    let (rounds, kills) = if is_exhaustive() { (30, 120) } else { (1, 20) };
    for seed in 0..rounds {
        let inbox = Inbox::new();
        let written = live(&inbox, seed, kills);
        let mut running = inbox.dwindle_with("level = 1", AT_ONCE).start();
        running.wait_for_text("watching");
        running.wait_for("the last output", || only_outputs_in(&inbox.path));
        running.signal(Signal::TERM);
        let output = running.wait_exit().expect_code(0);
        let lost = lost_records(&inbox.path, &written);
        assert!(
            lost.is_empty(),
            "round {seed}: lost of {written:?} records: {lost:?}\n{output}"
        );
        let left: Vec<_> = names_below(&inbox.path)
            .into_iter()
            .filter(|name| is_ours(name))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Goes on until the agent has been killed so often. Returns how many records each writer wrote.
fn live(inbox: &Inbox, seed: u64, kills: usize) -> Vec<u64> {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || rotate(&inbox.path, Rng::with_seed(!seed), stop));
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                // It fails where a file is in use or in the agent's hands, which is no matter here.
                Dwindle::new(&inbox.sandbox).args(["compress", "-r", "inbox"]).finish();
            }
        });
        // Ends the others also when this panics.
        let result = catch_unwind(AssertUnwindSafe(|| {
            write_while(|| kill_again_and_again(inbox, Rng::with_seed(seed), kills), &inbox.path)
        }));
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn kill_again_and_again(inbox: &Inbox, mut random: Rng, kills: usize) {
    for _ in 0..kills {
        let running = inbox.dwindle_with("level = 1", AT_ONCE).start();
        thread::sleep(Duration::from_millis(random.u64(0..800)));
        running.signal(Signal::KILL);
        running.wait_exit();
    }
}

/// Renames files out of their writers' way, as a rotation does.
fn rotate(folder: &Path, mut random: Rng, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let from = folder.join(format!("F{}", random.usize(0..16)));
        let to = free_name(|number| from.with_extension(number.to_string()));
        let _ = fs::rename(from, to);
        thread::sleep(Duration::from_millis(random.u64(1..100)));
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(".dwindle-") || name.starts_with(".F")
}
