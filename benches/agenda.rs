//! What the agenda costs for a file: from the event that tells of it, or the scan that finds it, to the outcome that ends it.
//!
//! ```sh
//! cargo bench --bench agenda
//! ```
//!
//! A figure is the time for all files; items a second are files. The agenda is not public: it is compiled in.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

#[path = "../src/model/mod.rs"]
mod model;
#[path = "../src/policy/mod.rs"]
mod policy;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use policy::{Action, Agenda, FileId, Limits, Outcome, Timing, WatchId};

fn main() {
    divan::main();
}

/// A few, and as many as an agent knows of one watch by default.
const FILES: [usize; 2] = [100, MOST_KNOWN];

const MOST_KNOWN: usize = 16_384;

const WATCH: WatchId = WatchId(1);
const SETTLE: Duration = Duration::from_secs(2);
const DONE: Outcome = Outcome::Compressed {
    bytes_in: 4096,
    bytes_out: 1024,
};

/// All files are told of, then they are all quiet, and each is begun and done.
#[divan::bench(args = FILES, sample_count = 50)]
fn events(bencher: Bencher<'_, '_>, files: usize) {
    bencher
        .counter(ItemsCount::new(files))
        .with_inputs(|| (watched(files), names(files)))
        .bench_local_values(|((mut agenda, now), names)| {
            for name in names {
                agenda.handle_event(&file(name), now);
            }
            assert_eq!(do_all(&mut agenda, now + SETTLE), files);
        });
}

/// One file that is written to again and again, among others that wait.
#[divan::bench(args = FILES, sample_count = 50)]
fn touches(bencher: Bencher<'_, '_>, files: usize) {
    const TOUCHES: u32 = 1000;
    let (mut agenda, mut now) = watched(files);
    for name in names(files) {
        agenda.handle_event(&file(name), now);
    }
    let touched = file(name(files / 2));
    bencher.counter(ItemsCount::new(TOUCHES)).bench_local(|| {
        for _ in 0..TOUCHES {
            now += Duration::from_micros(1);
            agenda.handle_event(&touched, now);
        }
        agenda.poll_timeout()
    });
}

/// A backlog is scanned in batches, as there is room, and each file is begun and done.
#[divan::bench(args = FILES, sample_count = 50)]
fn backlog(bencher: Bencher<'_, '_>, files: usize) {
    bencher
        .counter(ItemsCount::new(files))
        .with_inputs(|| {
            (
                agenda(Limits {
                    files: MOST_KNOWN,
                    begun: 8,
                }),
                names(files),
            )
        })
        .bench_local_values(|((mut agenda, now), names)| {
            let mut names = names.into_iter();
            let mut done = 0;
            while let Some(action) = agenda.poll_action(now) {
                match action {
                    Action::Scan { most, .. } | Action::ScanOn { most, .. } => {
                        let batch: Vec<PathBuf> = names.by_ref().take(most).collect();
                        agenda.handle_scanned(WATCH, batch, names.len() == 0, now);
                    }
                    Action::Begin(file) => {
                        agenda.handle_outcome(&file, DONE, now);
                        done += 1;
                    }
                    Action::Retain(_) | Action::Finish => break,
                }
            }
            assert_eq!(done, files);
        });
}

/// Begins whatever is ready, and ends it at once. Returns how many files that were.
fn do_all(agenda: &mut Agenda, now: Instant) -> usize {
    let mut done = 0;
    while let Some(action) = agenda.poll_action(now) {
        if let Action::Begin(file) = action {
            agenda.handle_outcome(&file, DONE, now);
            done += 1;
        }
    }
    done
}

/// An agenda that has room for so many files, whose watch has been scanned and was empty.
fn watched(files: usize) -> (Agenda, Instant) {
    let (mut agenda, now) = agenda(Limits { files, begun: 8 });
    let scan = agenda.poll_action(now);
    assert!(matches!(scan, Some(Action::Scan { .. })));
    agenda.handle_scanned(WATCH, Vec::new(), true, now);
    (agenda, now)
}

fn agenda(limits: Limits) -> (Agenda, Instant) {
    let now = Instant::now();
    let mut agenda = Agenda::new(limits);
    let timing = Timing {
        settle: SETTLE,
        rescan_every: Duration::from_secs(900),
    };
    agenda.add_watch(WATCH, timing, now);
    (agenda, now)
}

fn names(files: usize) -> Vec<PathBuf> {
    (0..files).map(name).collect()
}

fn name(number: usize) -> PathBuf {
    format!("incoming/{:03}/report-{number:06}.csv", number % 100).into()
}

fn file(path: impl AsRef<Path>) -> FileId {
    FileId {
        watch: WATCH,
        path: path.as_ref().into(),
    }
}
