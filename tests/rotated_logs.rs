//! `dwindle run` with rotated logs: which files of a series are taken, and when. The next sweep, which would find them anyway, comes 15 minutes
//! after the start: what happens before is by events.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::programs::{self, while_none_is_started};
use crate::support::run::{Output, Running};
use crate::support::{Inbox, names_below};

const KEYS: &str = "preset = \"rotated-logs\"\nsettle = \"300ms\"\n";

#[test]
fn a_dated_log_is_taken_as_soon_as_its_successor_comes() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(KEYS);
    for hour in 10..15 {
        write(&inbox.path.join(format!("app.log-20261123{hour}")));
        // Its own name says nothing of it: it may be the live file.
        write(&inbox.path.join(format!("witness.log.{hour}")));
        let witnesses = (10..=hour).map(|hour| format!("witness.log.{hour}.gz"));
        let older = (10..hour).map(|hour| format!("app.log-20261123{hour}.gz"));
        running.wait_for_names(
            &inbox.path,
            witnesses.chain(older).chain([format!("app.log-20261123{hour}")]),
        );
    }
    stop(running).expect_compressed(5 + 4);
}

#[test]
fn a_dated_log_is_taken_as_soon_as_its_live_file_comes() {
    let inbox = Inbox::new();
    let log = "preset = \"rotated-logs\"\nsettle = \"300ms\"\nrecursive = true";
    let mut running = inbox.watch(log);
    for folder in ["", "sub/"] {
        fs::create_dir_all(inbox.path.join(folder)).unwrap();
        write(&inbox.path.join(format!("{folder}app.log-20261123")));
        write(&inbox.path.join(format!("{folder}witness.log.1")));
    }
    let waiting = [
        "app.log-20261123",
        "sub/",
        "sub/app.log-20261123",
        "witness.log.1.gz",
        "sub/witness.log.1.gz",
    ];
    running.wait_for_names(&inbox.path, waiting);
    // As a program does it that has been told to begin a new file: much later.
    write(&inbox.path.join("sub/app.log"));
    let names = [
        "app.log-20261123",
        "sub/",
        "sub/app.log",
        "sub/app.log-20261123.gz",
        "witness.log.1.gz",
        "sub/witness.log.1.gz",
    ];
    running.wait_for_names(&inbox.path, names);
    fs::rename(inbox.path.join("sub/app.log"), inbox.path.join("app.log")).unwrap();
    let names = [
        "app.log",
        "app.log-20261123.gz",
        "sub/",
        "sub/app.log-20261123.gz",
        "witness.log.1.gz",
        "sub/witness.log.1.gz",
    ];
    running.wait_for_names(&inbox.path, names);
    stop(running).expect_compressed(4);
}

#[test]
fn the_newest_of_a_numbered_series_are_left_through_many_rotations() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(&format!("{KEYS}leave-newest = 2"));
    for rotation in 1..=5 {
        // As logrotate does it: from the oldest on, compressed or not.
        for number in (1..rotation).rev() {
            for suffix in ["", ".gz"] {
                let path = |number: usize| inbox.path.join(format!("app.log.{number}{suffix}"));
                if path(number).exists() {
                    fs::rename(path(number), path(number + 1)).unwrap();
                }
            }
        }
        write(&inbox.path.join("app.log"));
        fs::rename(inbox.path.join("app.log"), inbox.path.join("app.log.1")).unwrap();
        let name = |number: usize| format!("app.log.{number}{}", if number > 2 { ".gz" } else { "" });
        running.wait_for_names(&inbox.path, (1..=rotation).map(name));
    }
    stop(running).expect_compressed(3);
}

#[test]
fn the_newest_of_a_dated_series_are_left_and_of_each_series() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(&format!("{KEYS}leave-newest = 2"));
    for day in 11..16 {
        for series in ["app.log", "other.log"] {
            write(&inbox.path.join(series));
            fs::rename(
                inbox.path.join(series),
                inbox.path.join(format!("{series}-202611{day}")),
            )
            .unwrap();
        }
        let name = |series: &str, of: u32| format!("{series}-202611{of}{}", if of + 2 <= day { ".gz" } else { "" });
        let names = (11..=day).flat_map(|of| [name("app.log", of), name("other.log", of)]);
        running.wait_for_names(&inbox.path, names);
    }
    stop(running).expect_compressed(6);
}

#[test]
fn the_newest_are_left_by_one_pass_and_by_an_inbox_too() {
    let inbox = Inbox::new();
    for name in ["app.log.1", "app.log.2", "app.log.3", "report.csv"] {
        write(&inbox.path.join(name));
    }
    let keys = "settle = \"300ms\"\nleave-newest = 1";
    let output = inbox.dwindle(keys).args(["--once"]).finish().expect_compressed(3);
    assert_eq!(output.report().skipped, 1, "{output}");
    assert_eq!(
        names_below(&inbox.path),
        ["app.log.1", "app.log.2.gz", "app.log.3.gz", "report.csv.gz"]
    );
}

/// logrotate opens what it compresses for reading only, which nobody notices, and what it writes exclusively.
#[test]
fn a_log_whose_gz_somebody_is_writing_is_left_to_him() {
    let inbox = Inbox::new();
    let path = |name: &str| inbox.path.join(name);
    let mut gz = while_none_is_started(|| File::create_new(path("app.log.1.gz"))).unwrap();
    let content = "a line\n".repeat(1000);
    while_none_is_started(|| fs::write(path("app.log.1"), &content)).unwrap();
    let packed = programs::output(Command::new("gzip").arg("-c").arg(path("app.log.1")))
        .unwrap()
        .stdout;
    let (half, rest) = packed.split_at(packed.len() / 2);
    gz.write_all(half).unwrap();
    let mut running = inbox.watch(KEYS);
    for number in 2..5 {
        // Each goes all the way; so would the first, if it were taken.
        write(&path(&format!("app.log.{number}")));
        let others = (2..=number).map(|number| format!("app.log.{number}.gz"));
        let names = others.chain(["app.log.1".into(), "app.log.1.gz".into()]);
        running.wait_for_names(&inbox.path, names);
    }
    gz.write_all(rest).unwrap();
    drop(gz);
    // Whoever of the two is quicker removes it now.
    running.wait_for_names(&inbox.path, (1..5).map(|number| format!("app.log.{number}.gz")));
    assert_eq!(fs::read(path("app.log.1.gz")).unwrap(), packed);
    stop(running).expect_code(0);
}

fn write(path: &Path) {
    while_none_is_started(|| fs::write(path, format!("of {}\n", path.display()).repeat(100))).unwrap();
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit()
}
