//! Row 30: writers that open a file by its name, append a numbered record and close it, again and again, while it is compressed again and
//! again. Every record must be found in what is there at the end. The same writers beside a compressor that only compares before it removes show
//! that they do come at the moments that count.
//!
//! A sample of some seconds; minutes with `DWINDLE_EXHAUSTIVE=1`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use flate2::{Compression, GzBuilder};
use rustix::process::Signal;

use super::at_work::{AT_ONCE, Delayed, contents_below, free_name, only_outputs_in, quarantined_below};
use super::moments::is_exhaustive;
use crate::support::strace::Strace;
use crate::support::wait::DEADLINE;
use crate::support::{Inbox, Sandbox, names_below, needs};

const WRITERS: usize = 4;

/// Each of them has other moments at the same time.
const FILES: usize = 16;

/// What a round of the race takes: outputs are numbered, and beside too many of them everything is slow.
const ROUND: Duration = Duration::from_secs(5);

/// Fewer outputs than this and the race was none.
const FEWEST_OUTPUTS: usize = 5;

#[test]
fn row_30_a_writers_that_race_the_commit_lose_no_record() {
    race_on(Inbox::new, AT_ONCE);
}

#[test]
fn row_30_b_nor_in_memory_where_nothing_takes_time() {
    race_on(
        || Inbox::of(Sandbox::with_room_for(64 << 20)),
        "settle = \"0s\"\ndurable = false",
    );
}

/// The kernel lets in who had looked the name up before it was taken away. Held up between its last look and the removal, the agent has
/// published what was there, and learns only afterwards of who waits.
#[test]
fn row_30_c_what_is_written_after_the_removal_is_saved_under_a_name_of_its_own() {
    needs!(tool "strace");
    let inbox = Inbox::new();
    let mut delayed = Delayed::start(&inbox, AT_ONCE, "unlinkat");
    inbox.sandbox.file("inbox/F", "in time\n");
    let quarantined = delayed.wait_for_quarantine(&inbox);
    delayed.wait_for_call("unlinkat(");
    let mut late = File::options().append(true).open(quarantined).unwrap();
    late.write_all(b"late\n").unwrap();
    drop(late);
    let names = || names_below(&inbox.path);
    delayed.running.wait_for("what was written late", || {
        names().iter().any(|name| name.starts_with("F.dwindle-rescued-1"))
    });
    delayed
        .running
        .wait_for("both outputs", || names() == ["F.dwindle-rescued-1.gz", "F.gz"]);
    let contents = contents_below(&inbox.path);
    assert_eq!(contents, [&b"in time\n"[..], b"late\n"]);
    delayed.running.signal(Signal::TERM);
    let output = delayed.running.wait_exit().expect_code(0);
    assert!(output.stderr.contains("F.dwindle-rescued-1"), "{output}");
}

/// However often the folder then cannot be synced: a copy for each try would fill the disk.
#[test]
fn row_30_e_what_is_written_after_the_removal_is_saved_once() {
    needs!(tool "strace");
    let inbox = Inbox::new();
    // Nothing but what is saved is synced then.
    let keys = format!("{AT_ONCE}\ndurable = false");
    let strace = Strace::inject(&inbox.sandbox, "fsync:error=EIO")
        .and_inject("unlinkat:delay_enter=2000000")
        .and_log("linkat")
        .on(&inbox.path);
    let agent = inbox.dwindle_with("shutdown-timeout = \"1s\"", &keys).under(&strace);
    let mut running = agent.start();
    running.wait_for_text("watching");
    inbox.sandbox.file("inbox/F", "in time\n");
    let mut quarantined = None;
    running.wait_for("the original in quarantine", || {
        quarantined = quarantined_below(&inbox.path);
        quarantined.is_some()
    });
    running.wait_for("the removal", || {
        strace.log().iter().any(|line| line.contains("unlinkat("))
    });
    let mut late = File::options().append(true).open(quarantined.unwrap()).unwrap();
    late.write_all(b"late\n").unwrap();
    drop(late);
    let count = |what: &dyn Fn(&str) -> bool| strace.log().iter().filter(|line| what(line)).count();
    running.wait_for("three tries", || count(&|line| line.contains("fsync(")) >= 3);
    running.wait_for("both outputs", || {
        names_below(&inbox.path) == ["F.dwindle-rescued-1.gz", "F.gz"]
    });
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    assert_eq!(contents_below(&inbox.path), [&b"in time\n"[..], b"late\n"]);
    let is_copy = |line: &str| line.contains(" linkat(") && line.contains("rescued-") && !line.contains(".gz");
    assert_eq!(count(&is_copy), 1, "{:#?}", strace.log());
    assert_eq!(output.stderr.matches("will be saved later").count(), 1, "{output}");
}

#[test]
fn row_30_d_comparing_before_removing_does_lose_records() {
    let end = Instant::now() + DEADLINE;
    loop {
        let sandbox = Sandbox::with_room_for(64 << 20);
        let folder = sandbox.root();
        let stop = AtomicBool::new(false);
        let written = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    (0..FILES).for_each(|number| drop(compress_naively(&folder.join(format!("F{number}")))));
                }
            });
            let written = write_for(Duration::from_secs(1), folder);
            stop.store(true, Ordering::Relaxed);
            written
        });
        let lost = lost_records(folder, &written).len();
        if lost > 0 {
            return;
        }
        assert!(
            Instant::now() < end,
            "{written:?} records, and the worst protocol lost none"
        );
    }
}

fn race_on(inbox: impl Fn() -> Inbox, keys: &str) {
    let rounds = if is_exhaustive() { 48 } else { 1 };
    for _ in 0..rounds {
        let inbox = inbox();
        let mut running = inbox.dwindle_with("level = 1", keys).start();
        running.wait_for_text("watching");
        let written = write_for(ROUND, &inbox.path);
        running.wait_for("the last output", || only_outputs_in(&inbox.path));
        running.signal(Signal::TERM);
        let output = running.wait_exit().expect_code(0);
        let lost = lost_records(&inbox.path, &written);
        assert!(lost.is_empty(), "lost of {written:?} records: {lost:?}\n{output}");
        let outputs = names_below(&inbox.path).len();
        assert!(outputs >= FEWEST_OUTPUTS, "only {outputs} outputs: {output}");
        assert_eq!(output.report().failed, 0, "{output}");
    }
}

/// Lets the writers run for so long; how many records each of them wrote.
fn write_for(time: Duration, folder: &Path) -> Vec<u64> {
    write_while(|| thread::sleep(time), folder)
}

/// The same until `wait` returns.
pub(super) fn write_while(wait: impl FnOnce(), folder: &Path) -> Vec<u64> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let writers: Vec<ScopedJoinHandle<'_, u64>> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_records(folder, writer, stop)))
            .collect();
        wait();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

fn write_records(folder: &Path, writer: usize, stop: &AtomicBool) -> u64 {
    let random = &mut Rng::with_seed(writer as u64);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let path = folder.join(format!("F{}", random.usize(0..FILES)));
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        pause(match random.u32(0..32) {
            0 => random.u64(0..15_000),
            1..=8 => random.u64(0..500),
            _ => 0,
        });
        file.write_all(record(writer, number).as_bytes()).unwrap();
        drop(file);
        number += 1;
        pause(match random.u32(0..16) {
            0 => random.u64(0..100_000),
            _ => random.u64(0..3000),
        });
    }
    number
}

/// What a writer does between two system calls of its own.
fn pause(microseconds: u64) {
    if microseconds > 0 {
        thread::sleep(Duration::from_micros(microseconds));
    }
}

fn record(writer: usize, number: u64) -> String {
    format!("record {number:08} of writer {writer}\n")
}

/// The records that no file has, of as many as each writer wrote.
pub(super) fn lost_records(folder: &Path, written: &[u64]) -> Vec<String> {
    let text = contents_below(folder).concat();
    let found: BTreeSet<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let records = written
        .iter()
        .enumerate()
        .flat_map(|(writer, count)| (0..*count).map(move |number| record(writer, number)));
    records.filter(|record| !found.contains(record.as_bytes())).collect()
}

/// What is often taken for safe: compress to another name, publish by a rename, and remove the original if it has not changed.
fn compress_naively(path: &Path) -> io::Result<()> {
    let before = fs::metadata(path)?;
    let temp = path.with_extension("new");
    let mut encoder = GzBuilder::new().write(File::create(&temp)?, Compression::fast());
    encoder.write_all(&fs::read(path)?)?;
    encoder.finish()?;
    let free = free_name(|number| path.with_extension(format!("{number}.gz")));
    fs::rename(temp, free)?;
    let after = fs::metadata(path)?;
    let facts = |metadata: &fs::Metadata| (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec());
    if facts(&after) == facts(&before) {
        fs::remove_file(path)?;
    }
    Ok(())
}
