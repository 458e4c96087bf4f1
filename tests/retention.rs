//! `dwindle run` with `keep-for`, `keep-count` and `keep-bytes`: which `.gz` are removed again, and which never.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::gz::put_gz;
use crate::support::inbox::copy;
use crate::support::programs::while_none_is_started;
use crate::support::run::Output;
use crate::support::{Arrival, Data, Dwindle, Inbox, names_below};

const SETTLE: &str = "settle = \"0s\"\n";
const LOGS: &str = "preset = \"rotated-logs\"\n";

fn once(inbox: &Inbox, keys: &str) -> Output {
    let output = inbox.dwindle(&format!("{SETTLE}{keys}")).args(["--once"]).finish();
    output.expect_code(0)
}

fn left(inbox: &Inbox) -> BTreeSet<String> {
    names_below(&inbox.path).into_iter().collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn so_many_of_each_series_are_kept_and_what_is_not_ours_stays() {
    let inbox = Inbox::new();
    for number in 1..=5 {
        put_gz(&inbox.path, &format!("app.log.{number}.gz"), number, 10);
        put_gz(&inbox.path, &format!("web.log-2026010{}.gz", 6 - number), number, 10);
    }
    let not_ours = [
        "backup.gz",
        "libz.so.1.gz",
        "sub/app.log.9.gz",
        "app.log.7.gz.part",
        ".app.log.8.gz",
    ];
    for name in not_ours {
        put_gz(&inbox.path, name, 100, 10);
    }
    // Not gzip, in spite of its name, and the oldest of its series.
    inbox.sandbox.file("inbox/app.log.6.gz", "text");
    let file = File::options()
        .append(true)
        .open(inbox.path.join("app.log.6.gz"))
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(90 * 24 * 3600))
        .unwrap();
    drop(file);
    let output = once(&inbox, &format!("{LOGS}keep-count = 2"));
    let kept = [
        "app.log.1.gz",
        "app.log.2.gz",
        "web.log-20260104.gz",
        "web.log-20260105.gz",
        "app.log.6.gz",
        "sub/",
    ];
    assert_eq!(left(&inbox), set(kept.into_iter().chain(not_ours)), "{output}");
    let removals = output
        .stderr
        .matches("as many newer ones of its series as keep-count says")
        .count();
    assert_eq!(removals, 6, "{output}");
    assert!(output.stderr.contains("reason=\"keep-count\""), "{output}");
    assert!(output.stderr.contains("removed=6"), "{output}");
}

/// More than a batch of a scan has.
#[test]
fn one_pass_removes_all_that_is_surplus() {
    let inbox = Inbox::new();
    for number in 1..=1500 {
        put_gz(&inbox.path, &format!("report.csv.~{number}~.gz"), number, 10);
    }
    let output = once(&inbox, "keep-count = 1");
    assert_eq!(left(&inbox), set(["report.csv.~1~.gz"]), "{output}");
    assert_eq!(output.stderr.matches("reason=\"keep-count\"").count(), 1499, "{output}");
    assert!(output.stderr.contains("removed=1499"), "{output}");
}

#[test]
fn a_dry_run_says_what_would_be_removed_and_removes_nothing() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "a.csv.gz", 3, 1000);
    put_gz(&inbox.path, "b.csv.gz", 2, 1000);
    put_gz(&inbox.path, "c.csv.gz", 1, 1000);
    let before = left(&inbox);
    let dry = inbox
        .dwindle("keep-bytes = \"2500B\"")
        .args(["--dry-run"])
        .finish()
        .expect_code(0);
    let stdout = String::from_utf8(dry.stdout.clone()).unwrap();
    let line = format!(
        "remove   {}: the oldest of more than keep-bytes\n",
        inbox.path.join("a.csv.gz").display()
    );
    assert!(stdout.contains(&line), "{dry}");
    assert_eq!(stdout.matches("remove ").count(), 1, "{dry}");
    assert_eq!(stdout.matches("a.csv.gz").count(), 1, "a line per file: {dry}");
    assert!(stdout.ends_with("2 skipped, 0 failed; 1 to remove\n"), "{dry}");
    assert_eq!(left(&inbox), before);
    once(&inbox, "keep-bytes = \"2500B\"");
    assert_eq!(left(&inbox), set(["b.csv.gz", "c.csv.gz"]));
}

#[test]
fn what_came_with_an_old_date_is_not_old_yet() {
    let inbox = Inbox::new();
    let mut arrival = Arrival::new(&mut Data::from_seed(900), "old.csv");
    arrival.original.kept.modified = (100_000_000, 0);
    let source = inbox.outside.join("old.csv");
    arrival.write_to(&source);
    copy(&[source], &inbox.path.join("old.csv"));
    once(&inbox, "keep-for = \"1h\"").expect_compressed(1);
    once(&inbox, "keep-for = \"1h\"");
    assert_eq!(left(&inbox), set(["old.csv.gz"]));
    // It becomes so.
    let mut running = inbox
        .dwindle(&format!(
            "{SETTLE}keep-for = \"1s\"\nwatcher = \"poll\"\npoll-interval = \"100ms\""
        ))
        .start();
    running.wait_for_names(&inbox.path, [""; 0]);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    assert!(output.stderr.contains("older than keep-for"), "{output}");
}

#[test]
fn an_original_keeps_its_gz_and_is_never_removed() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "kept.csv.gz", 9, 10);
    put_gz(&inbox.path, "kept.csv.~1~.gz", 8, 10);
    put_gz(&inbox.path, "alone.csv.gz", 7, 10);
    put_gz(&inbox.path, "newest.csv.gz", 1, 10);
    inbox.sandbox.file("inbox/kept.csv", "the original");
    let keys = "keep-original = true\nkeep-bytes = \"1B\"\nmin-size = \"1KiB\"";
    once(&inbox, keys);
    assert_eq!(
        left(&inbox),
        set(["kept.csv", "kept.csv.gz", "kept.csv.~1~.gz", "newest.csv.gz"])
    );
}

#[test]
fn a_gz_that_is_being_written_stays_until_it_is_closed() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "a.csv.gz", 9, 10);
    put_gz(&inbox.path, "newest.csv.gz", 1, 10);
    let writer = File::options().append(true).open(inbox.path.join("a.csv.gz")).unwrap();
    once(&inbox, "keep-bytes = \"1B\"");
    assert_eq!(left(&inbox), set(["a.csv.gz", "newest.csv.gz"]));
    drop(writer);
    once(&inbox, "keep-bytes = \"1B\"");
    assert_eq!(left(&inbox), set(["newest.csv.gz"]));
}

/// It is the only copy of what came last.
#[test]
fn the_newest_stays_where_it_alone_has_more_bytes_than_are_kept() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "old.csv.gz", 9, 10);
    inbox.sandbox.file("inbox/new.csv", "it has the time of now");
    once(&inbox, "keep-bytes = \"1B\"").expect_compressed(1);
    once(&inbox, "keep-bytes = \"1B\"");
    assert_eq!(left(&inbox), set(["new.csv.gz"]));
}

#[test]
fn an_output_folder_is_kept_in_order_and_the_watched_one_left_alone() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "archive/sub/a.csv.gz", 2, 10);
    put_gz(&inbox.path, "archive/sub/b.csv.gz", 1, 10);
    put_gz(&inbox.path, "dropped.csv.gz", 9, 10);
    once(&inbox, "output-dir = \"archive\"\nkeep-bytes = \"50B\"");
    assert_eq!(
        left(&inbox),
        set(["archive/", "archive/sub/", "archive/sub/b.csv.gz", "dropped.csv.gz"])
    );
}

#[test]
fn the_folders_of_other_watches_are_theirs() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "a.csv.gz", 9, 10);
    put_gz(&inbox.path, "inner/b.csv.gz", 9, 10);
    put_gz(&inbox.path, "out/c.csv.gz", 9, 10);
    put_gz(&inbox.path, "newest.csv.gz", 1, 10);
    let (outer, inner) = (inbox.path.display(), inbox.path.join("inner"));
    let (inner, outside) = (inner.display(), inbox.outside.display());
    let text = format!(
        "[[watch]]\npath = \"{outer}\"\nkeep-bytes = \"1B\"\n{SETTLE}[[watch]]\npath = \"{inner}\"\n\
         [[watch]]\npath = \"{outside}\"\noutput-dir = \"{outer}/out\"\n"
    );
    let config = inbox.sandbox.file("dwindle.toml", text);
    let run = Dwindle::new(&inbox.sandbox)
        .args(["run", "--once", "-c"])
        .args([&config]);
    run.finish().expect_code(0);
    let theirs = ["inner/", "inner/b.csv.gz", "out/", "out/c.csv.gz"];
    assert_eq!(left(&inbox), set(theirs.into_iter().chain(["newest.csv.gz"])));
}

#[test]
fn of_a_shared_output_folder_nothing_is_removed_and_that_is_said() {
    let inbox = Inbox::new();
    let shared = inbox.sandbox.folder("shared");
    put_gz(&shared, "a.csv.gz", 9, 10);
    put_gz(&shared, "b.csv.gz", 1, 10);
    let keys = format!("output-dir = \"{}\"\nkeep-bytes = \"1B\"\n{SETTLE}", shared.display());
    let (one, other) = (inbox.path.display(), inbox.outside.display());
    let text = format!("[[watch]]\npath = \"{one}\"\n{keys}[[watch]]\npath = \"{other}\"\n{keys}");
    let config = inbox.sandbox.file("dwindle.toml", text);
    let run = Dwindle::new(&inbox.sandbox)
        .args(["run", "--once", "-c"])
        .args([&config]);
    let output = run.finish().expect_code(0);
    assert!(
        output.stderr.contains("another watch puts its outputs there too"),
        "{output}"
    );
    assert_eq!(names_below(&shared), ["a.csv.gz", "b.csv.gz"]);
}

/// Or a good one would go in its place.
#[test]
fn what_is_no_gzip_or_still_being_written_does_not_count_among_those_that_are_kept() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "empty.~1~.gz", 1, 10);
    inbox.sandbox.file("inbox/empty.gz", "");
    put_gz(&inbox.path, "text.~1~.gz", 1, 10);
    inbox.sandbox.file("inbox/text.gz", "no gzip, in spite of its name");
    put_gz(&inbox.path, "busy.gz", 2, 10);
    put_gz(&inbox.path, "busy.~1~.gz", 1, 10);
    let writer = while_none_is_started(|| File::options().append(true).open(inbox.path.join("busy.~1~.gz")));
    let before = left(&inbox);
    once(&inbox, "keep-count = 1");
    assert_eq!(left(&inbox), before);
    drop(writer);
    once(&inbox, "keep-count = 1");
    assert!(!inbox.path.join("busy.gz").exists() && inbox.path.join("busy.~1~.gz").exists());
}

/// One of them puts its outputs into a subfolder, which the other does not look after.
#[test]
fn of_two_watches_on_one_folder_neither_removes_what_the_other_made() {
    let inbox = Inbox::new();
    put_gz(&inbox.path, "a.csv.gz", 3, 10);
    put_gz(&inbox.path, "archive/b.csv.gz", 3, 10);
    put_gz(&inbox.path, "newest.csv.gz", 1, 10);
    let path = inbox.path.display().to_string();
    let general = format!("[[watch]]\npath = \"{path}\"\noutput-dir = \"archive\"\n");
    let dwindle = inbox.dwindle_with(&general, &format!("{SETTLE}keep-bytes = \"1B\""));
    dwindle.args(["--once"]).finish().expect_code(0);
    assert_eq!(left(&inbox), set(["archive/", "archive/b.csv.gz", "newest.csv.gz"]));
}

#[test]
fn a_running_agent_keeps_order_after_each_commit() {
    let inbox = Inbox::new();
    let mut running = inbox.watch("settle = \"100ms\"\nkeep-count = 2\n");
    for round in 0..5u64 {
        let mut arrival = Arrival::new(&mut Data::from_seed(910 + round), "report.csv");
        arrival.original.kept.modified = (1_000_000_000 + i64::try_from(round).unwrap(), 0);
        let source = inbox.outside.join("report.csv");
        arrival.write_to(&source);
        copy(&[source], &inbox.path.join("report.csv"));
        running.wait_for("it compressed", || !inbox.path.join("report.csv").exists());
    }
    running.wait_for("two of them", || names_below(&inbox.path).len() == 2);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(5);
    assert_eq!(output.stderr.matches("removed report.csv").count(), 3, "{output}");
}
