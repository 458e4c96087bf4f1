//! `dwindle run` with `marker`: files wait for the one that says that they are finished.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::support::inbox::copy;
use crate::support::run::{Output, Running};
use crate::support::{Arrival, Data, Inbox, assert_gz_of, names_below};

const KEYS: &str = "settle = \"300ms\"\nmarker = \"{name}.done\"\n";

#[test]
fn a_file_waits_for_its_marker_and_takes_it_along() {
    let inbox = Inbox::new();
    let files = arrivals(600, &["file.csv", "sub/file.csv"]);
    let mut running = inbox.watch(KEYS);
    deliver(&inbox, &files);
    expect_waiting(&inbox, &mut running, &["file.csv", "sub/", "sub/file.csv"]);
    mark(&inbox, "sub/file.csv", "a checksum, perhaps");
    running.wait_for_names(&inbox.path, ["file.csv", "sub/", "sub/file.csv.gz"]);
    mark(&inbox, "file.csv", "");
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 3);
}

#[test]
fn a_marker_may_come_before_its_file() {
    let inbox = Inbox::new();
    let files = arrivals(601, &["file.csv"]);
    let mut running = inbox.watch(KEYS);
    mark(&inbox, "file.csv", "");
    expect_waiting(&inbox, &mut running, &["file.csv.done"]);
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 2);
}

#[test]
fn a_marker_may_come_by_rename_or_by_link() {
    let inbox = Inbox::new();
    let files = arrivals(602, &["renamed.csv", "moved.csv", "linked.csv"]);
    let mut running = inbox.watch(KEYS);
    deliver(&inbox, &files);
    expect_waiting(&inbox, &mut running, &["renamed.csv", "moved.csv", "linked.csv"]);
    let hidden = inbox.sandbox.file("inbox/.marker", "");
    fs::rename(&hidden, inbox.path.join("renamed.csv.done")).unwrap();
    let outside = inbox.sandbox.file("outside/marker", "");
    fs::hard_link(&outside, inbox.path.join("linked.csv.done")).unwrap();
    fs::rename(&outside, inbox.path.join("moved.csv.done")).unwrap();
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 4);
}

/// The agent is stopped meanwhile, so that its look comes after the removal.
#[test]
fn a_marker_that_is_taken_back_does_not_count() {
    let inbox = Inbox::new();
    let files = arrivals(603, &["file.csv"]);
    let mut running = inbox.watch(KEYS);
    deliver(&inbox, &files);
    running.signal(Signal::STOP);
    let marker = mark(&inbox, "file.csv", "");
    fs::remove_file(marker).unwrap();
    running.signal(Signal::CONT);
    expect_waiting(&inbox, &mut running, &["file.csv"]);
    mark(&inbox, "file.csv", "");
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 2);
}

#[test]
fn only_a_regular_file_is_a_marker() {
    let inbox = Inbox::new();
    let files = arrivals(604, &["by-link.csv", "by-folder.csv"]);
    deliver(&inbox, &files);
    symlink("by-link.csv", inbox.path.join("by-link.csv.done")).unwrap();
    fs::create_dir(inbox.path.join("by-folder.csv.done")).unwrap();
    let before = names_below(&inbox.path);
    expect_report(inbox.dwindle(KEYS).args(["--once"]).finish(), 0);
    assert_eq!(names_below(&inbox.path), before);
}

#[test]
fn names_that_need_escaping_have_markers_too() {
    let inbox = Inbox::new();
    let names: [&[u8]; 3] = [b"two\nlines", b"caf\xe9.csv", b"a\\b {name}"];
    let data = &mut Data::from_seed(605);
    let files: Vec<Arrival> = names.map(|name| Arrival::new(data, OsStr::from_bytes(name))).into();
    deliver(&inbox, &files);
    let keys = "settle = \"300ms\"\nmarker = \"-{name}\\u001b\"";
    let output = inbox.dwindle(keys).args(["--dry-run"]).finish().expect_code(0);
    let stdout = String::from_utf8_lossy(&output.stdout);
    for (file, marker) in [
        ("two\\nlines", "-two\\nlines\\u{1b}"),
        ("caf\\xe9.csv", "-caf\\xe9.csv\\u{1b}"),
        ("a\\\\b {name}", "-a\\\\b {name}\\u{1b}"),
    ] {
        let line = format!("inbox/{file}: its marker {marker} is not there\n");
        assert!(stdout.contains(&line), "{output}");
    }
    assert!(
        stdout.contains("Would compress 0 files of 0 B; 3 to wait for, 0 skipped, 0 failed"),
        "{output}"
    );

    let mut running = inbox.watch(keys);
    for name in names {
        fs::write(inbox.path.join(OsStr::from_bytes(&[b"-", name, b"\x1b"].concat())), "").unwrap();
    }
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 3);
}

#[test]
fn with_an_output_folder_the_marker_still_stands_beside_the_original() {
    let inbox = Inbox::new();
    let files = arrivals(606, &["sub/file.csv"]);
    let mut running = inbox.watch(&format!("{KEYS}output-dir = \"archive\""));
    deliver(&inbox, &files);
    // A name like this in the output folder means nothing.
    inbox.sandbox.file("inbox/archive/sub/file.csv.done", "");
    let unmarked = [
        "sub/",
        "sub/file.csv",
        "archive/",
        "archive/sub/",
        "archive/sub/file.csv.done",
    ];
    mark(&inbox, "witness", "");
    deliver(&inbox, &arrivals(607, &["witness"]));
    running.wait_for_names(&inbox.path, unmarked.into_iter().chain(["archive/witness.gz"]));
    mark(&inbox, "sub/file.csv", "");
    running.wait_for("the original and its marker to go", || {
        names_below(&inbox.path.join("sub")).is_empty()
    });
    assert_gz_of(&inbox.path.join("archive/sub/file.csv.gz"), &files[0].original);
    assert!(inbox.path.join("archive/sub/file.csv.done").exists());
    expect_report(stop(running), 2);
}

#[test]
fn a_kept_original_loses_its_marker_and_is_done_until_it_gets_another() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(&format!("{KEYS}preset = \"static-assets\""));
    let [before, after] = [608, 609].map(|seed| arrivals(seed, &["page.html"]));
    deliver(&inbox, &before);
    mark(&inbox, "page.html", "");
    inbox.wait_for_gz_of(&mut running, &before, &["page.html"]);
    // As after a crash at the last moment: the work is done, and the marker is there.
    mark(&inbox, "page.html", "");
    inbox.wait_for_gz_of(&mut running, &before, &["page.html"]);
    deliver(&inbox, &after);
    mark(&inbox, "witness.html", "");
    deliver(&inbox, &arrivals(610, &["witness.html"]));
    inbox.wait_for_gz_of(&mut running, &before, &["page.html", "witness.html", "witness.html.gz"]);
    mark(&inbox, "page.html", "");
    running.wait_for_names(
        &inbox.path,
        ["page.html", "page.html.gz", "witness.html", "witness.html.gz"],
    );
    assert_gz_of(&inbox.path.join("page.html.gz"), &after[0].original);
    let report = stop(running).expect_compressed(3).report();
    assert_eq!(report.skipped, 1);
}

#[test]
fn a_file_that_is_left_as_it_is_keeps_its_marker() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/file.csv.gz", "somebody's");
    deliver(&inbox, &arrivals(611, &["file.csv"]));
    mark(&inbox, "file.csv", "");
    let dwindle = inbox.dwindle(&format!("{KEYS}on-conflict = \"skip\"")).args(["--once"]);
    assert_eq!(dwindle.finish().expect_compressed(0).report().skipped, 1);
    assert_eq!(names_below(&inbox.path), ["file.csv", "file.csv.done", "file.csv.gz"]);
}

/// By this pattern every name with a dot before it is a marker's, even that of an original which a killed run had put aside.
#[test]
fn an_original_left_in_quarantine_is_no_marker() {
    let inbox = Inbox::new();
    let files = arrivals(615, &["file.csv"]);
    deliver(&inbox, &files);
    let quarantined = ".file.csv.dwindle-1a2b3c4d";
    let path = |name: &str| inbox.path.join(name);
    fs::copy(path("file.csv"), path(quarantined)).unwrap();
    fs::rename(path("file.csv"), path(&format!("{quarantined}.q"))).unwrap();
    let keys = "settle = \"300ms\"\nmarker = \".{name}\"";
    expect_report(inbox.dwindle(keys).args(["--once"]).finish(), 0);
    assert_eq!(names_below(&inbox.path), [quarantined, "file.csv"]);
    fs::rename(path(quarantined), path(".file.csv")).unwrap();
    let mut running = inbox.watch(keys);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 1);
}

#[test]
fn one_pass_does_not_wait_for_markers() {
    let inbox = Inbox::new();
    let files = arrivals(612, &["marked.csv", "sub/marked.csv"]);
    deliver(&inbox, &files);
    deliver(&inbox, &arrivals(613, &["unmarked.csv"]));
    for name in ["marked.csv", "sub/marked.csv", "missing.csv"] {
        mark(&inbox, name, "");
    }
    expect_report(inbox.dwindle(KEYS).args(["--once"]).finish(), 2);
    assert_eq!(
        names_below(&inbox.path),
        [
            "marked.csv.gz",
            "missing.csv.done",
            "sub/",
            "sub/marked.csv.gz",
            "unmarked.csv"
        ]
    );
    mark(&inbox, "unmarked.csv", "");
    expect_report(inbox.dwindle(KEYS).args(["--once"]).finish(), 1);
}

#[test]
fn polling_finds_markers() {
    let inbox = Inbox::new();
    let files = arrivals(614, &["file.csv", "sub/file.csv"]);
    let mut running = inbox.watch(&format!("{KEYS}watcher = \"poll\"\npoll-interval = \"200ms\""));
    deliver(&inbox, &files);
    expect_waiting(&inbox, &mut running, &["file.csv", "sub/", "sub/file.csv"]);
    mark(&inbox, "file.csv", "");
    mark(&inbox, "sub/file.csv", "");
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    expect_report(stop(running), 3);
}

/// Another file goes all the way meanwhile, and is taken away again.
fn expect_waiting(inbox: &Inbox, running: &mut Running, names: &[&str]) {
    deliver(inbox, &arrivals(699, &["witness"]));
    mark(inbox, "witness", "");
    running.wait_for_names(&inbox.path, names.iter().copied().chain(["witness.gz"]));
    fs::remove_file(inbox.path.join("witness.gz")).unwrap();
}

fn mark(inbox: &Inbox, name: &str, content: &str) -> PathBuf {
    inbox.sandbox.file(format!("inbox/{name}.done"), content)
}

fn arrivals(seed: u64, paths: &[&str]) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    paths.iter().map(|path| Arrival::new(data, path)).collect()
}

/// By copy, each from a folder of its own.
fn deliver(inbox: &Inbox, files: &[Arrival]) {
    for file in files {
        let staged = tempfile::tempdir_in(&inbox.outside).unwrap();
        let from = staged.path().join(Path::new(&file.original.name));
        file.write_to(&from);
        let folder = inbox.path.join(&file.folder);
        fs::create_dir_all(&folder).unwrap();
        copy(&[from], &folder);
    }
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit()
}

/// A file without its marker is neither skipped, nor failed, nor left.
fn expect_report(output: Output, compressed: usize) {
    assert_eq!(output.expect_compressed(compressed).report().skipped, 0);
}
