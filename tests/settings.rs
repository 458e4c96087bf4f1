//! What the keys of a watch change, each through a configuration file.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;

use crate::support::inbox::copy;
use crate::support::run::Running;
use crate::support::{Arrival, Data, Inbox, assert_gz_of, names_below};

const SETTLE: &str = "settle = \"300ms\"\n";

#[test]
fn output_dir_keeps_the_tree_and_what_is_in_it_is_not_watched() {
    let inbox = Inbox::new();
    let files = arrivals(300, &["flat.csv", "a/b/deep.csv", "a/other.csv"]);
    let mut running = watch(&inbox, "output-dir = \"archive\"");
    deliver(&inbox, &files);
    let outputs = [
        "archive/",
        "archive/a/",
        "archive/a/b/",
        "archive/a/b/deep.csv.gz",
        "archive/a/other.csv.gz",
    ];
    running.wait_for_names(
        &inbox.path,
        ["a/", "a/b/", "archive/flat.csv.gz"].into_iter().chain(outputs),
    );
    for file in &files {
        let folder = inbox.path.join("archive").join(&file.folder);
        assert_gz_of(&file.original.gz_in(&folder), &file.original);
    }
    inbox.sandbox.file("inbox/archive/note.txt", "not to be compressed");
    let later = arrivals(301, &["later.csv"]);
    deliver(&inbox, &later);
    running.wait_for("the later file's .gz", || {
        inbox.path.join("archive/later.csv.gz").exists()
    });
    stop(running, 4);
    assert!(inbox.path.join("archive/note.txt").exists());
}

#[test]
fn output_dir_elsewhere_is_made() {
    let inbox = Inbox::new();
    let files = arrivals(302, &["flat.csv", "a/deep.csv"]);
    let elsewhere = inbox.sandbox.path("made/for/it");
    let mut running = watch(&inbox, &format!("output-dir = \"{}\"", elsewhere.display()));
    deliver(&inbox, &files);
    running.wait_for_names(&elsewhere, ["a/", "a/deep.csv.gz", "flat.csv.gz"]);
    running.wait_for_names(&inbox.path, ["a/"]);
    for file in &files {
        assert_gz_of(&file.original.gz_in(&elsewhere.join(&file.folder)), &file.original);
    }
    stop(running, 2);
}

#[test]
fn keep_original_keeps_it_and_the_next_start_does_nothing() {
    let inbox = Inbox::new();
    let files = arrivals(303, &["file.csv"]);
    let mut running = watch(&inbox, "keep-original = true");
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &["file.csv"]);
    assert_eq!(
        fs::read(inbox.path.join("file.csv")).unwrap(),
        files[0].original.content
    );
    stop(running, 1);
    let inode = || fs::metadata(inbox.path.join("file.csv.gz")).unwrap().ino();
    let before = inode();
    let again = inbox
        .dwindle("keep-original = true\nsettle = \"300ms\"")
        .args(["--once"])
        .finish();
    assert_eq!(again.expect_compressed(0).report().skipped, 1);
    assert_eq!(inode(), before);
}

#[test]
fn on_conflict_number_takes_the_next_free_name() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/file.csv.gz", "somebody's");
    inbox.sandbox.file("inbox/file.csv.~1~.gz", "somebody else's");
    let files = arrivals(304, &["file.csv"]);
    let mut running = watch(&inbox, "on-conflict = \"number\"");
    deliver(&inbox, &files);
    running.wait_for_names(&inbox.path, ["file.csv.gz", "file.csv.~1~.gz", "file.csv.~2~.gz"]);
    assert_gz_of(&inbox.path.join("file.csv.~2~.gz"), &files[0].original);
    assert_eq!(fs::read(inbox.path.join("file.csv.gz")).unwrap(), b"somebody's");
    assert_eq!(
        fs::read(inbox.path.join("file.csv.~1~.gz")).unwrap(),
        b"somebody else's"
    );
    stop(running, 1);
}

#[test]
fn on_conflict_replace_takes_the_name() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/file.csv.gz", "somebody's");
    let files = arrivals(305, &["file.csv"]);
    let mut running = watch(&inbox, "on-conflict = \"replace\"");
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    stop(running, 1);
}

#[test]
fn on_conflict_skip_leaves_both() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/file.csv.gz", "somebody's");
    let files = arrivals(306, &["file.csv"]);
    let mut running = watch(&inbox, "on-conflict = \"skip\"");
    deliver(&inbox, &files);
    deliver(&inbox, &arrivals(307, &["later.csv"]));
    running.wait_for_names(&inbox.path, ["file.csv", "file.csv.gz", "later.csv.gz"]);
    assert_eq!(fs::read(inbox.path.join("file.csv.gz")).unwrap(), b"somebody's");
    running.signal(Signal::TERM);
    assert_eq!(running.wait_exit().expect_compressed(1).report().skipped, 1);
}

#[test]
fn include_and_exclude_choose_by_name_and_by_path() {
    let inbox = Inbox::new();
    let taken = ["a.csv", "deep/below/b.csv", "reports/c.txt", "reports/2026/d.txt"];
    let left = [
        "e.txt",
        "deep/f.txt",
        "private-g.csv",
        "deep/private-h.csv",
        "old/i.csv",
        "reports/j.md",
    ];
    let keys = "include = [\"*.csv\", \"reports/**/*.txt\"]\nexclude = [\"private-*\", \"old/**\"]";
    let mut running = watch(&inbox, keys);
    deliver(&inbox, &arrivals(308, &left));
    let files = arrivals(309, &taken);
    deliver(&inbox, &files);
    let others: Vec<_> = left.into_iter().chain(["deep/", "old/", "reports/"]).collect();
    inbox.wait_for_gz_of(&mut running, &files, &others);
    stop(running, taken.len());
}

#[test]
fn min_size_leaves_smaller_files() {
    let inbox = Inbox::new();
    let mut files = arrivals(310, &["large-enough", "too-small"]);
    files[0].original.content = vec![b'x'; 1024];
    files[1].original.content = vec![b'x'; 1023];
    let mut running = watch(&inbox, "min-size = \"1KiB\"");
    files.reverse();
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files[1..], &["too-small"]);
    stop(running, 1);
}

#[test]
fn recursive_false_leaves_subfolders() {
    let inbox = Inbox::new();
    let mut running = watch(&inbox, "recursive = false");
    deliver(&inbox, &arrivals(311, &["sub/file.csv"]));
    let files = arrivals(312, &["file.csv"]);
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &["sub/", "sub/file.csv"]);
    stop(running, 1);
}

#[test]
fn durable_false_makes_the_same_files() {
    let inbox = Inbox::new();
    let files = arrivals(313, &["file.csv", "sub/file.csv"]);
    let mut running = watch(&inbox, "durable = false");
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    stop(running, 2);
}

#[test]
fn polling_finds_new_files_and_new_folders() {
    let inbox = Inbox::new();
    let files = arrivals(314, &["file.csv", "sub/below/file.csv"]);
    let mut running = watch(&inbox, "watcher = \"poll\"\npoll-interval = \"200ms\"");
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    stop(running, 2);
}

#[test]
fn the_level_of_a_watch_counts_before_the_common_one() {
    let inbox = Inbox::new();
    let size = |general: &str, keys: &str| {
        inbox.sandbox.file("inbox/file", Data::from_seed(315).log_text(200_000));
        let output = inbox
            .dwindle_with(general, &format!("{SETTLE}{keys}"))
            .args(["--once"])
            .finish();
        output.expect_compressed(1);
        let path = inbox.path.join("file.gz");
        let size = fs::metadata(&path).unwrap().len();
        fs::remove_file(path).unwrap();
        size
    };
    let fast = size("level = 1", "");
    let best = size("level = 9", "");
    assert!(best < fast, "{best} {fast}");
    assert_eq!(size("level = 1", "level = 9"), best);
}

#[test]
fn rotated_logs_takes_what_a_rotation_made_and_no_live_file() {
    let inbox = Inbox::new();
    let taken = ["app.log.1", "app.1.log", "app.log-20260102", "other-2026-01-02.log"];
    let left = [
        "app.log",
        "app.txt",
        "libfoo.so.1",
        "audit.log.1",
        // May be live: nothing newer of its series stands beside it.
        "alone-20260102",
        "other-2026-01-03.log",
        "sub/app.log.1",
    ];
    let mut running = watch(&inbox, "preset = \"rotated-logs\"");
    deliver(&inbox, &arrivals(316, &left));
    let files = arrivals(317, &taken);
    deliver(&inbox, &files);
    let others: Vec<_> = left.into_iter().chain(["sub/"]).collect();
    inbox.wait_for_gz_of(&mut running, &files, &others);

    // The next rotation: rename by rename, from the oldest on.
    fs::rename(inbox.path.join("app.log.1.gz"), inbox.path.join("app.log.2.gz")).unwrap();
    fs::rename(inbox.path.join("app.log"), inbox.path.join("app.log.1")).unwrap();
    running.wait_for("the .gz of what was live", || {
        let names = names_below(&inbox.path);
        let has = |name: &str| names.iter().any(|other| other == name);
        has("app.log.1.gz") && has("app.log.2.gz") && !has("app.log.1")
    });
    stop(running, 5);
}

#[test]
fn static_assets_keeps_the_original_and_remakes_its_gz_on_change() {
    let inbox = Inbox::new();
    let files = arrivals(318, &["index.html", "js/app.js"]);
    let left = ["photo.jpg", "readme.md", "data.bin"];
    let mut running = watch(&inbox, "preset = \"static-assets\"");
    deliver(&inbox, &arrivals(319, &left));
    deliver(&inbox, &files);
    let others: Vec<_> = left.into_iter().chain(["index.html", "js/app.js"]).collect();
    inbox.wait_for_gz_of(&mut running, &files, &others);

    let changed = arrivals(320, &["index.html"]);
    fs::remove_file(inbox.outside.join("index.html")).unwrap();
    deliver(&inbox, &changed);
    let gz = inbox.path.join("index.html.gz");
    let seconds = changed[0].original.kept.modified.0;
    running.wait_for("the new .gz", || {
        fs::metadata(&gz).is_ok_and(|gz| gz.mtime() == seconds)
    });
    assert_gz_of(&gz, &changed[0].original);
    assert_gz_of(&inbox.path.join("js/app.js.gz"), &files[1].original);
    stop(running, 3);
}

#[test]
fn two_watches_keep_their_own_rules() {
    let inbox = Inbox::new();
    let second = inbox.sandbox.folder("second");
    let general = format!(
        "[[watch]]\npath = \"{}\"\nkeep-original = true\nsettle = \"300ms\"",
        second.display()
    );
    let mut running = inbox.dwindle_with(&general, SETTLE).start();
    running.wait_for_text("watching");
    let files = arrivals(321, &["file.csv"]);
    deliver(&inbox, &files);
    copy(&[inbox.outside.join("file.csv")], &second);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.wait_for_names(&second, ["file.csv", "file.csv.gz"]);
    stop(running, 2);
}

fn watch(inbox: &Inbox, keys: &str) -> Running {
    let settle = if keys.contains("static-assets") { "" } else { SETTLE };
    inbox.watch(&format!("{settle}{keys}"))
}

fn arrivals(seed: u64, paths: &[&str]) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    paths.iter().map(|path| Arrival::new(data, path)).collect()
}

/// By copy, in this order.
fn deliver(inbox: &Inbox, files: &[Arrival]) {
    for file in files {
        fs::create_dir_all(inbox.outside.join(&file.folder)).unwrap();
        let staged = file.path_in(&inbox.outside);
        file.write_to(&staged);
        let folder = inbox.path.join(&file.folder);
        fs::create_dir_all(&folder).unwrap();
        copy(&[staged], &folder);
    }
}

fn stop(running: Running, compressed: usize) {
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(compressed);
}
