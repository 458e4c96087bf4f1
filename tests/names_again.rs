//! `dwindle run`: names that come again, and files that go and come back. Nothing is lost, and nothing is there twice.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use rustix::process::Signal;

use crate::support::gz::read_with_flate2;
use crate::support::programs::while_none_is_started;
use crate::support::run::{Output, Running};
use crate::support::{Inbox, names_below};

const KEYS: &str = "settle = \"200ms\"\n";

/// Whoever drops it makes a new file as soon as the name is free, which is in the middle of the work on the one before.
#[test]
fn the_same_name_again_and_again_loses_nothing() {
    const TIMES: usize = 25;
    let inbox = Inbox::new();
    let path = inbox.path.join("report.csv");
    let mut running = inbox.watch(KEYS);
    let contents: BTreeSet<String> = (0..TIMES)
        .map(|version| format!("version {version}\n").repeat(200))
        .collect();
    for content in &contents {
        running.wait_for("the name to be free", || {
            let made = while_none_is_started(|| File::create_new(&path)?.write_all(content.as_bytes()));
            made.map_err(|error| assert_eq!(error.kind(), ErrorKind::AlreadyExists))
                .is_ok()
        });
    }
    running.wait_for("a .gz of each", || {
        names_below(&inbox.path).len() == TIMES && !path.exists()
    });
    expect_contents(&inbox, &contents);
    let numbered: BTreeSet<String> = (1..TIMES).map(|number| format!("report.csv.~{number}~.gz")).collect();
    let names: BTreeSet<String> = names_below(&inbox.path).into_iter().collect();
    assert_eq!(names, &numbered | &BTreeSet::from(["report.csv.gz".to_owned()]));
    stop(running).expect_compressed(TIMES);
}

/// Each way that has the name for a moment with other content in it.
#[test]
fn the_same_name_by_every_way() {
    let inbox = Inbox::new();
    let path = inbox.path.join("report.csv");
    let mut running = inbox.watch(KEYS);
    let mut contents = BTreeSet::new();
    let ways: [&dyn Fn(&str); 3] = [
        &|content| write(&path, content),
        &|content| {
            let hidden = inbox.path.join(".report.csv.AbCdEf");
            write(&hidden, content);
            fs::rename(hidden, &path).unwrap();
        },
        &|content| {
            let outside = inbox.outside.join("report.csv");
            write(&outside, content);
            fs::rename(outside, &path).unwrap();
        },
    ];
    for round in 0..3 {
        for (way, drop) in ways.iter().enumerate() {
            let content = format!("round {round}, way {way}\n");
            drop(&content);
            contents.insert(content);
            running.wait_for("one .gz more", || {
                !path.exists() && names_below(&inbox.path).len() == contents.len()
            });
        }
    }
    expect_contents(&inbox, &contents);
    stop(running).expect_compressed(contents.len());
}

#[test]
fn the_same_bytes_again_are_there_once() {
    let inbox = Inbox::new();
    let path = inbox.path.join("report.csv");
    let mut running = inbox.watch(KEYS);
    for _ in 0..3 {
        write(&path, "the same");
        running.wait_for_names(&inbox.path, ["report.csv.gz"]);
    }
    stop(running).expect_compressed(3);
}

#[test]
fn files_that_go_before_they_are_taken_and_come_back() {
    let inbox = Inbox::new();
    let (path, away) = (inbox.path.join("report.csv"), inbox.outside.join("report.csv"));
    let mut running = inbox.watch("settle = \"1s\"");
    write(&path, "first");
    fs::rename(&path, &away).unwrap();
    write(&inbox.path.join("witness"), "text");
    running.wait_for_names(&inbox.path, ["witness.gz"]);
    fs::rename(&away, &path).unwrap();
    running.wait_for_names(&inbox.path, ["report.csv.gz", "witness.gz"]);
    // And under a name that it had before.
    write(&path, "second");
    fs::rename(&path, inbox.path.join("other.csv")).unwrap();
    fs::rename(inbox.path.join("other.csv"), &path).unwrap();
    running.wait_for_names(&inbox.path, ["report.csv.gz", "report.csv.~1~.gz", "witness.gz"]);
    let expected = ["first", "second", "text"].map(str::to_owned);
    expect_contents(&inbox, &expected.into());
    stop(running).expect_compressed(3);
}

fn expect_contents(inbox: &Inbox, expected: &BTreeSet<String>) {
    let content = |name: &String| String::from_utf8(read_with_flate2(&inbox.path.join(name)).content).unwrap();
    let found: Vec<String> = names_below(&inbox.path).iter().map(content).collect();
    assert_eq!(found.len(), expected.len());
    assert_eq!(&found.into_iter().collect::<BTreeSet<_>>(), expected);
}

fn write(path: &Path, content: &str) {
    while_none_is_started(|| fs::write(path, content)).unwrap();
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit()
}
